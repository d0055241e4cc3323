//! The options of a client as a program sees them: plain fields.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use super::login::Credential;
use super::option_map::OptionMap;
use super::raw::RawOptions;
use super::rows::options;
use super::spec::OptionId;
use super::tls_given::Tls;
use super::value::Value;
use super::{
    Acknowledgment, ClientSettings, DriverInfo, Monitoring, ReadConcern, ReadPreference, ReadPreferenceMode,
    ReadPreferenceOptions, SelectionCriteria, ServerAddress, ServerApi, ServerMonitoringMode, WriteConcern, validate,
};
use crate::error::{Error, Result};
use crate::event::cmap::CmapEvent;
use crate::event::sdam::SdamEvent;
use crate::event::{CommandEvent, EventHandler};
use crate::policy::SecurityPolicy;
use crate::secret::Secret;
use crate::uri::ConnectionString as ReadUri;
use crate::warning::Warning;

/// Emits the options, with a field for each option that one value fills, and what has to be done with each of these.
macro_rules! client_options {
    (
        ids $ids:tt specs $specs:tt
        fields { $($(#[$about:meta])* $field:ident: $type:ty = $option:ident $(or $alias:literal)?;)* }
        in_code { $($(#[$code_about:meta])* $code_field:ident: $code_type:ty;)* }
        $($rest:tt)*
    ) => {
        /// The options of a client: fields that a program may set and read. What is `None` was not given, and has its default.
        ///
        /// [`validate`](Self::validate) judges all of them together, and making a client does so first.
        ///
        /// ```
        /// use std::time::Duration;
        /// use mongo_blocking::options::ClientOptions;
        ///
        /// let mut options = ClientOptions::parse("mongodb://ann:secret@db.example.com/shop?w=majority").run()?;
        /// assert_eq!(options.default_database.as_deref(), Some("shop"));
        /// options.app_name = Some("reports".to_string());
        /// options.connect_timeout = Some(Duration::from_secs(2));
        /// assert!(options.validate()?.is_empty());
        /// # Ok::<(), mongo_blocking::Error>(())
        /// ```
        #[derive(Clone, Default)]
        #[non_exhaustive]
        pub struct ClientOptions {
            /// Where the servers listen. Without one, `localhost:27017`. Empty for a `mongodb+srv` connection string, until
            /// DNS was asked.
            pub hosts: Vec<ServerAddress>,
            /// Who the client logs in as; `None`: no login.
            pub credential: Option<Credential>,
            /// Whether to speak TLS, and how. `None`: plain text, and TLS with `mongodb+srv`.
            pub tls: Option<Tls>,
            /// Which servers reads go to (`readPreference`, `readPreferenceTags`, `maxStalenessSeconds`).
            pub selection_criteria: Option<SelectionCriteria>,
            /// How well replicated the data that a read sees must be (`readConcernLevel`).
            pub read_concern: Option<ReadConcern>,
            /// What a write must achieve before the server acknowledges it (`w`, `wTimeoutMS`, `journal`).
            pub write_concern: Option<WriteConcern>,
            /// What a library that wraps this driver says about itself.
            pub driver_info: Option<DriverInfo>,
            $($(#[$about])* pub $field: Option<$type>,)*
            $($(#[$code_about])* pub $code_field: $code_type,)*
            /// What only a connection string or the builder can say.
            given: Box<RawOptions>,
            /// Why the builder could not read what it was given.
            problem: Option<Box<Error>>,
        }

        /// The options that a document may name, each by its field.
        #[derive(Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(super) struct Fields {
            hosts: Vec<ServerAddress>,
            credential: Option<Credential>,
            tls: Option<Tls>,
            selection_criteria: Option<SelectionCriteria>,
            read_concern: Option<ReadConcern>,
            write_concern: Option<WriteConcern>,
            server_api: Option<ServerApi>,
            driver_info: Option<DriverInfo>,
            $($(#[serde(alias = $alias)])? $field: Option<$type>,)*
        }

        impl From<Fields> for ClientOptions {
            fn from(fields: Fields) -> Self {
                ClientOptions {
                    hosts: fields.hosts,
                    credential: fields.credential,
                    tls: fields.tls,
                    selection_criteria: fields.selection_criteria,
                    read_concern: fields.read_concern,
                    write_concern: fields.write_concern,
                    server_api: fields.server_api,
                    driver_info: fields.driver_info,
                    $($field: fields.$field,)*
                    ..ClientOptions::default()
                }
            }
        }

        impl ClientOptions {
            fn take_plain(&mut self) {
                $(self.$field = self.given.settings.take(OptionId::$option);)*
                $(self.$code_field = std::mem::take(&mut self.given.in_code.$code_field);)*
            }

            fn put_plain(&self, raw: &mut RawOptions) -> Result<()> {
                $(raw.settings.put(OptionId::$option, self.$field.as_ref())?;)*
                $(raw.in_code.$code_field.clone_from(&self.$code_field);)*
                Ok(())
            }

            fn same_plain(&self, other: &Self) -> bool {
                true $(&& same(&self.$field, &other.$field))* $(&& self.$code_field == other.$code_field)*
            }

            fn debug_plain(&self, out: &mut fmt::DebugStruct<'_, '_>) {
                $(out.field(stringify!($field), &self.$field);)*
            }
        }
    };
}

options!(client_options);

impl ClientOptions {
    /// Reads a connection string, when [`ParseConnectionString::run`] is called.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::parse("mongodb://localhost/?maxPoolSize=many").run()?;
    /// assert_eq!(options.max_pool_size, None);
    /// assert_eq!(options.validate()?.len(), 1);
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn parse(uri: impl Into<ConnectionString>) -> ParseConnectionString {
        ParseConnectionString { uri: uri.into() }
    }

    /// Judges all options together, without looking at files or the network. Making a client does this first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a value that its option does not allow, and for
    /// options that exclude one another.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let mut options = ClientOptions::default();
    /// options.app_name = Some("a".repeat(129));
    /// assert!(options.validate().unwrap_err().message().contains("appName"));
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn validate(&self) -> Result<Vec<Warning>> {
        Ok(self.settings()?.warnings)
    }

    /// What a client does with these options: the default of each that was not given, and the mechanism of the login.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// assert_eq!(ClientOptions::default().settings()?.max_pool_size(), 100);
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn settings(&self) -> Result<ClientSettings> {
        if let Some(problem) = &self.problem {
            return Err(Error::clone(problem));
        }
        validate::options(self.raw()?)
    }

    /// These options as a connection string; see [`ClientSettings::to_uri`].
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn to_uri(&self, with_credentials: bool) -> Result<String> {
        Ok(self.settings()?.to_uri(with_credentials))
    }

    /// Asks DNS for the records of a `mongodb+srv` connection string; see [`ClientSettings::resolve_srv`].
    ///
    /// # Errors
    /// As for [`validate`](Self::validate) and [`ClientSettings::resolve_srv`].
    #[cfg(feature = "srv")]
    pub fn resolve_srv(&self) -> Result<Self> {
        self.settings()?.resolve_srv().map(ClientOptions::from)
    }

    /// Fields for what was given, and the rest as it is.
    pub(super) fn from_raw(raw: RawOptions) -> Self {
        let mut options = ClientOptions { given: Box::new(raw), ..ClientOptions::default() };
        let given = &mut *options.given;
        options.hosts = match &given.seedlist {
            Some(seedlist) => seedlist.hosts.clone(),
            None => std::mem::take(&mut given.hosts),
        };
        options.credential = Credential::take(given);
        options.tls = Tls::take(given);
        options.selection_criteria = take_read_preference(given);
        options.read_concern =
            given.settings.take(OptionId::ReadConcernLevel).map(|level: String| ReadConcern::custom(level));
        options.write_concern = take_write_concern(&mut given.settings);
        options.driver_info = (!given.driver_info.is_empty()).then(|| given.driver_info.remove(0));
        options.take_plain();
        options
    }

    /// Options that cannot be used, and why.
    pub(super) fn unusable(problem: Error) -> Self {
        ClientOptions { problem: Some(Box::new(problem)), ..ClientOptions::default() }
    }

    /// All that was given, to be judged.
    pub(super) fn raw(&self) -> Result<RawOptions> {
        let mut raw = RawOptions::clone(&self.given);
        raw.hosts = match &raw.seedlist {
            Some(seedlist) if seedlist.hosts == self.hosts => Vec::new(),
            _ => self.hosts.iter().cloned().map(ServerAddress::with_port).collect(),
        };
        if let Some(credential) = &self.credential {
            credential.put(&mut raw)?;
        }
        match &self.tls {
            Some(tls) => tls.put(&mut raw)?,
            None => _ = raw.settings.remove(OptionId::Tls),
        }
        if let Some(criteria) = &self.selection_criteria {
            put_read_preference(criteria, &mut raw);
        }
        raw.settings.put(
            OptionId::ReadConcernLevel,
            self.read_concern.as_ref().map(|concern| concern.level.as_str().to_owned()).as_ref(),
        )?;
        if let Some(concern) = &self.write_concern {
            put_write_concern(concern, &mut raw.settings)?;
        }
        raw.driver_info.splice(0..0, self.driver_info.clone());
        self.put_plain(&mut raw)?;
        if let Some(before) = &mut raw.settings_before_txt {
            // What only the TXT record says is not part of what was given.
            let mut given = raw.settings.clone();
            super::seedlist::ALLOWED
                .iter()
                .filter(|option| !before.has(**option))
                .for_each(|option| _ = given.remove(*option));
            *before = given;
        }
        Ok(raw)
    }
}

impl From<ClientSettings> for ClientOptions {
    fn from(settings: ClientSettings) -> Self {
        ClientOptions::from_raw(settings.given)
    }
}

impl PartialEq for ClientOptions {
    /// Functions of the program are the same where one is a clone of the other.
    fn eq(&self, other: &Self) -> bool {
        self.same_plain(other)
            && self.hosts == other.hosts
            && self.credential == other.credential
            && self.tls == other.tls
            && self.selection_criteria == other.selection_criteria
            && self.read_concern == other.read_concern
            && self.write_concern == other.write_concern
            && self.driver_info == other.driver_info
            && self.given.srv_host == other.given.srv_host
            && self.given.settings.same_as(&other.given.settings)
            && self.problem.is_some() == other.problem.is_some()
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ClientOptions");
        out.field("hosts", &self.hosts).field("credential", &self.credential).field("tls", &self.tls);
        out.field("selection_criteria", &self.selection_criteria).field("read_concern", &self.read_concern);
        out.field("write_concern", &self.write_concern).field("server_api", &self.server_api);
        out.field("driver_info", &self.driver_info).field("monitoring", &self.monitoring);
        self.debug_plain(&mut out);
        out.finish_non_exhaustive()
    }
}

/// A connection string, `mongodb://…` or `mongodb+srv://…`, that has not been read. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ConnectionString(Secret);

impl PartialEq for ConnectionString {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl ConnectionString {
    /// A string that has the form of a connection string.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for another form.
    pub fn parse(uri: impl AsRef<str>) -> Result<Self> {
        ReadUri::parse(uri.as_ref())?;
        Ok(ConnectionString::from(uri))
    }
}

/// `mongodb://localhost`.
impl Default for ConnectionString {
    fn default() -> Self {
        ConnectionString::from("mongodb://localhost")
    }
}

impl FromStr for ConnectionString {
    type Err = Error;

    /// As [`parse`](Self::parse).
    fn from_str(uri: &str) -> Result<Self> {
        ConnectionString::parse(uri)
    }
}

impl<S: AsRef<str>> From<S> for ConnectionString {
    fn from(uri: S) -> Self {
        ConnectionString(Secret::from(uri.as_ref()))
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionString(..)")
    }
}

/// The action that [`ClientOptions::parse`] makes.
#[derive(Clone, Debug)]
#[must_use = "nothing is read until `run`"]
pub struct ParseConnectionString {
    uri: ConnectionString,
}

impl ParseConnectionString {
    /// Reads the connection string. Unknown options, some invalid values and old names become
    /// [warnings](ClientOptions::validate).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an invalid form or port, a value of `tls` or
    /// `ssl`, of an option for authentication, of `appName` or of `w`. The error points at the byte, says what to do, and shows no
    /// part of the user info. Options that exclude one another are an error of [`ClientOptions::validate`].
    pub fn run(self) -> Result<ClientOptions> {
        let mut raw = RawOptions::default();
        raw.take_uri(ReadUri::parse(self.uri.0.expose())?)?;
        Ok(ClientOptions::from_raw(raw))
    }
}

/// Where a secret is compared, its text is.
trait Same {
    fn same_as(&self, other: &Self) -> bool;
}

impl Same for Secret {
    fn same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

macro_rules! same_by_eq {
    ($($type:ty)*) => {
        $(impl Same for $type {
            fn same_as(&self, other: &Self) -> bool {
                self == other
            }
        })*
    };
}

same_by_eq!(bool u16 u32 i32 String Duration Vec<String> ServerMonitoringMode);

fn same<T: Same>(one: &Option<T>, other: &Option<T>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.same_as(other),
        (None, None) => true,
        _ => false,
    }
}

/// What a type can hold is taken; the primary with tags or staleness is left to be refused.
fn take_read_preference(raw: &mut RawOptions) -> Option<SelectionCriteria> {
    if let Some(predicate) = raw.predicate.take() {
        return Some(predicate);
    }
    let given = [OptionId::ReadPreference, OptionId::ReadPreferenceTags, OptionId::MaxStalenessSeconds];
    if !given.iter().any(|option| raw.settings.has(*option)) {
        return None;
    }
    let (mode, options) = validate::read_preference_parts(raw);
    let set = options != ReadPreferenceOptions::default();
    if mode == ReadPreferenceMode::Primary && set {
        return None;
    }
    given.iter().for_each(|option| _ = raw.settings.remove(*option));
    raw.hedged_reads = None;
    Some(ReadPreference::with_mode(mode, set.then_some(options)).into())
}

fn put_read_preference(criteria: &SelectionCriteria, raw: &mut RawOptions) {
    let SelectionCriteria::ReadPreference(preference) = criteria else {
        raw.predicate = Some(criteria.clone());
        return;
    };
    raw.settings.set(OptionId::ReadPreference, Value::Text(preference.mode().name().to_owned()));
    let tag_sets = preference.tag_sets().iter().map(|set| set.clone().into_iter().collect());
    raw.settings.set(OptionId::ReadPreferenceTags, Value::TagSets(tag_sets.collect()));
    raw.hedged_reads = preference.options().and_then(|options| options.hedge.clone());
    let seconds = preference.max_staleness().map_or(-1, |limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
    raw.settings.set(OptionId::MaxStalenessSeconds, Value::Number(seconds));
}

fn take_write_concern(settings: &mut OptionMap) -> Option<WriteConcern> {
    let w = match settings.remove(OptionId::W) {
        Some(Value::Number(count)) => Some(Acknowledgment::Nodes(u32::try_from(count).unwrap_or(u32::MAX))),
        Some(Value::Text(name)) if name == "majority" => Some(Acknowledgment::Majority),
        Some(Value::Text(name)) => Some(Acknowledgment::Custom(name)),
        _ => None,
    };
    let concern =
        WriteConcern { w, w_timeout: settings.take(OptionId::WTimeoutMs), journal: settings.take(OptionId::Journal) };
    (concern != WriteConcern::default()).then_some(concern)
}

pub(super) fn put_write_concern(concern: &WriteConcern, settings: &mut OptionMap) -> Result<()> {
    let w = concern.w.as_ref().map(|w| match w {
        Acknowledgment::Nodes(count) => Value::Number((*count).into()),
        Acknowledgment::Majority => Value::Text("majority".to_owned()),
        Acknowledgment::Custom(name) => Value::Text(name.clone()),
    });
    if let Some(w) = w {
        settings.set(OptionId::W, w);
    }
    settings.put(OptionId::WTimeoutMs, concern.w_timeout.as_ref())?;
    settings.put(OptionId::Journal, concern.journal.as_ref())
}
