//! Options in code: one method for each line of the table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::client_options::put_write_concern;
use super::option_map::OptionMap;
use super::raw::RawOptions;
use super::rows::options;
use super::setting_value::SettingValue;
use super::spec::OptionId;
use super::table::MODES;
use super::value::{Understood, Value, read_properties};
use super::{
    ClientOptions, Credential, DriverInfo, IntoOption, Monitoring, ReadConcern, ReadPreference, SelectionCriteria,
    ServerAddress, ServerApi, ServerMonitoringMode, WriteConcern, credential,
};
use crate::credential::{
    AllowedHosts, AwsCredentialProvider, OidcCallback, OidcCommand, SharedAwsProvider, SharedOidcCallback,
};
use crate::error::{Error, Result};
use crate::event::cmap::CmapEvent;
use crate::event::sdam::SdamEvent;
use crate::event::{CommandEvent, EventHandler};
use crate::policy::SecurityPolicy;
use crate::resolver::{Resolver, SharedResolver, name_server};
use crate::secret::Secret;
use crate::uri::ConnectionString;
use crate::warning::Warning;

/// Takes options in code, with or without a connection string. [`ClientOptions::validate`] judges them
/// together. A value in code overrides the value of the same option in the connection string, whatever the order of the
/// calls.
///
/// ```
/// use mongo_blocking::options::ClientOptions;
///
/// let options = ClientOptions::builder()
///     .host("db.example.com")
///     .username("ann")
///     .password("pass/word")
///     .auth_source("shop")
///     .auth_mechanism("SCRAM-SHA-256")
///     .build();
/// assert_eq!(options.hosts[0].to_string(), "db.example.com:27017");
/// assert!(options.validate()?.is_empty());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientOptionsBuilder {
    pub(super) given: RawOptions,
    pub(super) uri: Option<Secret>,
    pub(super) code: OptionMap,
    pub(super) hosts: Vec<String>,
    pub(super) credential: Option<Credential>,
    pub(super) problem: Option<String>,
}

/// What names a host: a string or a [`ServerAddress`].
pub trait IntoHost {
    /// The host as [`ServerAddress::parse`] reads it.
    fn into_host(self) -> String;
}

impl<S: AsRef<str>> IntoHost for S {
    fn into_host(self) -> String {
        self.as_ref().to_owned()
    }
}

impl IntoHost for ServerAddress {
    fn into_host(self) -> String {
        self.to_string()
    }
}

impl ClientOptions {
    /// Begins options in code. Without a host they mean `localhost:27017`.
    pub fn builder() -> ClientOptionsBuilder {
        ClientOptionsBuilder::default()
    }
}

macro_rules! setters {
    (ids $ids:tt specs $specs:tt fields $fields:tt in_code $in_code:tt setters { $({ $($setter:tt)* })* } $($rest:tt)*) => {
        /// The options that one value fills.
        impl ClientOptionsBuilder {
            $(setter! { $($setter)* })*
        }
    };
}

macro_rules! setter {
    ($(#[$docs:meta])* $name:ident, $source:ident,) => {}; // by hand, below
    ($(#[$docs:meta])* $name:ident, in_code, $taken:ty) => {
        $(#[$docs])*
        pub fn $name(mut self, value: impl IntoOption<$taken>) -> Self {
            self.given.in_code.$name = value.into_option();
            self
        }
    };
    ($(#[$docs:meta])* $name:ident, $option:ident, $taken:ty) => {
        $(#[$docs])*
        pub fn $name(self, value: impl IntoOption<$taken>) -> Self {
            self.set::<$taken>(OptionId::$option, value.into_option())
        }
    };
}

options!(setters);

impl ClientOptionsBuilder {
    pub(super) fn from_given(given: RawOptions) -> Self {
        ClientOptionsBuilder { given, ..ClientOptionsBuilder::default() }
    }

    /// The options. A connection string that cannot be read, and a value that cannot be right, is an error of
    /// [`ClientOptions::validate`], and of making a client.
    pub fn build(self) -> ClientOptions {
        self.assemble().unwrap_or_else(ClientOptions::unusable)
    }

    fn assemble(self) -> Result<ClientOptions> {
        let ClientOptionsBuilder { mut given, uri, mut code, hosts, credential, problem } = self;
        if let Some(problem) = problem {
            return Err(Error::invalid_argument(problem));
        }
        if let Some(uri) = uri {
            given.take_uri(ConnectionString::parse(uri.expose())?)?;
        }
        for (option, value) in code.given() {
            let spec = option.spec();
            spec.kind.check(value).map_err(|expected| {
                Error::invalid_argument(format!("{} (in code, {}) must be {expected}", spec.name, spec.setter))
            })?;
        }
        given.plus_in_uri &= !(code.has(OptionId::Username) && code.has(OptionId::Password));
        credential::take_encoded_resource(&mut code, &mut given.uri_warnings);
        given.settings.overlay(code);
        if !hosts.is_empty() {
            given.hosts = hosts.iter().map(ServerAddress::parse).collect::<Result<_>>()?;
        }
        let mut options = ClientOptions::from_raw(given);
        options.credential = credential.or(options.credential);
        Ok(options)
    }

    /// A connection string to begin with.
    pub fn uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = Some(Secret::from(uri.into()));
        self
    }

    /// A host, besides those of other calls: `host`, `host:port`, `[IPv6]:port`, the path of a Unix socket, or several
    /// with commas between. Hosts in code replace those of a connection string.
    pub fn host(mut self, host: impl IntoHost) -> Self {
        self.hosts.extend(host.into_host().split(',').map(|host| host.trim().to_owned()));
        self
    }

    /// All the hosts, each as for [`host`](Self::host), or as a [`ServerAddress`].
    pub fn hosts<H: IntoHost>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.hosts.clear();
        for host in hosts {
            self = self.host(host);
        }
        self
    }

    /// The password, not percent-encoded. An empty string is a password too.
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.code.set(OptionId::Password, Value::Secret(password.into()));
        self
    }

    /// Mechanism properties as one string (`authMechanismProperties`): `NAME:value` pairs with commas between. Blanks
    /// and line breaks around the commas do not count.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .host("db.example.com")
    ///     .username("ann@EXAMPLE.COM")
    ///     .auth_mechanism("GSSAPI")
    ///     .auth_mechanism_properties("SERVICE_NAME:db, CANONICALIZE_HOST_NAME:true")
    ///     .build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn auth_mechanism_properties(mut self, pairs: impl AsRef<str>) -> Self {
        match read_properties(pairs.as_ref()) {
            Ok(Understood { value, .. }) => self.code.add(OptionId::AuthMechanismProperties, value),
            Err(expected) => self.problem = Some(format!("authMechanismProperties must be {expected}")),
        }
        self
    }

    /// One more mechanism property. Its value may contain commas and is not percent-encoded. A `TOKEN_RESOURCE` that is
    /// percent-encoded is decoded, with a warning.
    pub fn auth_mechanism_property(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.code.add(OptionId::AuthMechanismProperties, Value::Properties(vec![(name.into(), value.into())]));
        self
    }

    /// Adds what a library that wraps this driver says about itself.
    pub fn driver_info(mut self, info: impl IntoOption<DriverInfo>) -> Self {
        self.given.driver_info.extend(info.into_option());
        self
    }

    /// A function that is called with each warning: with those about the options (see [`ClientOptions::validate`])
    /// once, when a client is made, and with those that arise while the client works on the thread they arise on. Each
    /// also goes to the `log` crate.
    ///
    /// ```
    /// use mongo_blocking::Warning;
    /// use mongo_blocking::event::EventHandler;
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let handler = EventHandler::new(|warning: &Warning| eprintln!("{warning}"));
    /// let options = ClientOptions::builder().host("localhost").warning_handler(handler).build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn warning_handler(mut self, handler: EventHandler<Warning>) -> Self {
        self.given.in_code.warning_handler = Some(handler);
        self
    }

    /// A provider of keys for MONGODB-AWS: a closure, or a type that implements [`AwsCredentialProvider`]. If keys are
    /// given too (user name and password), these are used, with a warning. It is an error with any other mechanism.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mongo_blocking::AwsKeys;
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .host("localhost")
    ///     .auth_mechanism("MONGODB-AWS")
    ///     .aws_credential_provider(|_within: Duration| Ok(AwsKeys::new("AKIDEXAMPLE", "a secret")))
    ///     .build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn aws_credential_provider(mut self, provider: impl AwsCredentialProvider + 'static) -> Self {
        self.given.aws_provider = Some(SharedAwsProvider::new(provider));
        self
    }

    /// A callback that gets tokens for MONGODB-OIDC for a service (`OIDC_CALLBACK`): a closure, or a type that implements
    /// [`OidcCallback`]. It excludes `ENVIRONMENT`. [`OidcCallback`] says when it is called, and has an example.
    pub fn oidc_callback(mut self, callback: impl OidcCallback + 'static) -> Self {
        self.given.oidc.callback = Some(SharedOidcCallback::new(callback));
        self
    }

    /// A callback that gets tokens for MONGODB-OIDC for a human user (`OIDC_HUMAN_CALLBACK`), who may have to log in: a
    /// closure, or a type that implements [`OidcCallback`]. The tokens are sent to
    /// [allowed hosts](ClientOptionsBuilder::oidc_allowed_hosts) only. [`OidcCallback`] says when it is
    /// called.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    /// use mongo_blocking::{IdpServerResponse, OidcCallbackContext};
    ///
    /// let options = ClientOptions::builder()
    ///     .host("localhost")
    ///     .auth_mechanism("MONGODB-OIDC")
    ///     .oidc_human_callback(|context: &OidcCallbackContext| {
    ///         let idp = context.idp_info.as_ref().ok_or("no identity provider")?;
    ///         let (token, refresh) = open_a_browser(&idp.issuer, idp.client_id.as_deref(), context.timeout)?;
    ///         Ok(IdpServerResponse::new(token).refresh_token(refresh))
    ///     })
    ///     .build();
    /// # fn open_a_browser(_: &str, _: Option<&str>, _: std::time::Duration) -> std::io::Result<(String, String)> { Ok(Default::default()) }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn oidc_human_callback(mut self, callback: impl OidcCallback + 'static) -> Self {
        self.given.oidc.human_callback = Some(SharedOidcCallback::new(callback));
        self
    }

    /// The servers that the token of a human user may be sent to (`ALLOWED_HOSTS`), instead of the default of [`AllowedHosts`];
    /// only with a human callback.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    /// # use mongo_blocking::{IdpServerResponse, OidcCallbackContext};
    ///
    /// let options = ClientOptions::builder()
    ///     .host("db1.example.com")
    ///     .auth_mechanism("MONGODB-OIDC")
    ///     .oidc_human_callback(|context: &OidcCallbackContext| Ok(IdpServerResponse::new("eyJ")))
    ///     .oidc_allowed_hosts(["*.example.com"])
    ///     .build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn oidc_allowed_hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        match AllowedHosts::new(hosts) {
            Ok(hosts) => self.given.oidc.allowed_hosts = Some(hosts),
            Err(error) => self.problem = Some(error.message().to_owned()),
        }
        self
    }

    /// A file with the token for MONGODB-OIDC. Another program has to keep it up to date, as Kubernetes does for service
    /// accounts. It is read for each login; white space around the token is ignored.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .host("localhost")
    ///     .auth_mechanism("MONGODB-OIDC")
    ///     .oidc_token_file("/var/run/secrets/tokens/mongodb")
    ///     .build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn oidc_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.given.oidc.token_file = Some(path.into());
        self
    }

    /// A program that prints the token for MONGODB-OIDC, and its arguments. It is run for each login, without a shell. Its
    /// standard input is empty, and its standard error is discarded. It is killed when the time limit of the login passes.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .host("localhost")
    ///     .auth_mechanism("MONGODB-OIDC")
    ///     .oidc_token_command(["gcloud", "auth", "print-identity-token"])
    ///     .build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn oidc_token_command<A: Into<Secret>>(mut self, program_and_arguments: impl IntoIterator<Item = A>) -> Self {
        self.given.oidc.token_command = Some(OidcCommand::new(program_and_arguments));
        self
    }

    /// Which risks are refused instead of warned about.
    pub fn policy(mut self, policy: SecurityPolicy) -> Self {
        self.given.in_code.policy = policy;
        self
    }

    /// Who the client logs in as. It replaces the login of a connection string, and what [`username`](Self::username) and its
    /// siblings set.
    pub fn credential(mut self, credential: impl IntoOption<Credential>) -> Self {
        self.credential = credential.into_option();
        self
    }

    /// The same as [`repl_set_name`](Self::repl_set_name), under the name of the connection string.
    pub fn replica_set(self, name: impl IntoOption<String>) -> Self {
        self.set::<String>(OptionId::ReplicaSet, name.into_option())
    }

    /// The same as [`heartbeat_freq`](Self::heartbeat_freq), under the name of the connection string.
    pub fn heartbeat_frequency(self, frequency: impl IntoOption<Duration>) -> Self {
        self.set::<Duration>(OptionId::HeartbeatFrequencyMs, frequency.into_option())
    }

    /// Who checks the servers: the operations that need them (the default), or threads in the background. With the latter,
    /// `serverSelectionTryOnce` is an error. See [`Monitoring`].
    pub fn monitoring(mut self, monitoring: Monitoring) -> Self {
        self.given.in_code.monitoring = monitoring;
        self
    }

    /// The domain that the hosts named by DNS must be below (`srvAllowedHostsSuffix`), in place of the domain of the name in the
    /// connection string; a dot in front does not count. It must have two labels, unless the only one is reserved for private
    /// use (`local`, `internal`). Whether the public may register names below it, as below `co.uk`, is not checked: the wider
    /// it is, the more hosts a forged answer can lead to.
    pub fn srv_allowed_hosts_suffix(mut self, domain: impl Into<String>) -> Self {
        self.given.in_code.srv_allowed_hosts_suffix = Some(domain.into());
        self
    }

    /// Answers questions about names in place of the driver and the system; [`Resolver`] has an example.
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.given.resolver = Some(SharedResolver::new(resolver));
        self
    }

    /// The name servers to ask for the records of a `mongodb+srv` connection string, in the order to ask them, in place of those
    /// of the system: `10.0.0.53`, `10.0.0.53:5353`, `[::1]:5353`, `fe80::1%eth0`. The port is 53 unless given.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .uri("mongodb+srv://cluster.example.com/")
    ///     .name_servers(["10.0.0.53", "[fd00::53]:53"])
    ///     .build();
    /// assert_eq!(options.name_servers.len(), 2);
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn name_servers<A: AsRef<str>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        let servers: Option<Vec<SocketAddr>> =
            addresses.into_iter().map(|address| name_server(address.as_ref())).collect();
        match servers.filter(|servers| !servers.is_empty()) {
            Some(servers) => self.given.in_code.name_servers = servers,
            None => {
                let message =
                    "name_servers must be IP addresses, each with or without a port; an interface after '%' must exist";
                self.problem = Some(message.to_owned());
            }
        }
        self
    }

    /// Which members of a replica set to read from (`readPreference`, `readPreferenceTags`, `maxStalenessSeconds`): the
    /// whole of it, so tags and staleness of a connection string do not hold any more.
    pub fn read_preference(mut self, preference: ReadPreference) -> Self {
        let mode = preference.mode().name();
        debug_assert!(MODES.contains(&mode));
        self.given.predicate = None;
        self.code.set(OptionId::ReadPreference, Value::Text(mode.to_owned()));
        let tag_sets = preference.tag_sets().iter().map(|set| set.clone().into_iter().collect());
        self.code.set(OptionId::ReadPreferenceTags, Value::TagSets(tag_sets.collect()));
        self.given.hedged_reads = preference.options().and_then(|options| options.hedge.clone());
        let seconds = preference.max_staleness().map_or(-1, |limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
        self.code.set(OptionId::MaxStalenessSeconds, Value::Number(seconds));
        self
    }

    /// Which servers to read from: by a read preference, as [`read_preference`](Self::read_preference), or by a predicate, which goes
    /// before the connection string's read preference. Of several calls the last one counts.
    pub fn selection_criteria(mut self, criteria: impl IntoOption<SelectionCriteria>) -> Self {
        match criteria.into_option() {
            Some(SelectionCriteria::ReadPreference(preference)) => self.read_preference(preference),
            predicate @ Some(SelectionCriteria::Predicate(_)) => {
                self.given.predicate = predicate;
                self
            }
            None => self,
        }
    }

    /// How well replicated the data that a read sees must be (`readConcernLevel`).
    pub fn read_concern(self, concern: impl IntoOption<ReadConcern>) -> Self {
        let level = concern.into_option().map(|concern: ReadConcern| concern.level.as_str().to_owned());
        self.set::<String>(OptionId::ReadConcernLevel, level)
    }

    /// What a write must achieve before the server acknowledges it (`w`, `wTimeoutMS`, `journal`).
    pub fn write_concern(mut self, concern: impl IntoOption<WriteConcern>) -> Self {
        if let Some(concern) = concern.into_option()
            && let Err(error) = put_write_concern(&concern, &mut self.code)
        {
            self.problem = Some(error.message().to_owned());
        }
        self
    }

    /// What messages may be compressed with (`compressors`): `snappy`, `zlib`, `zstd`. Not supported: `NotSupported` when a client
    /// is made.
    pub fn compressors<C: Into<String>>(mut self, names: impl IntoIterator<Item = C>) -> Self {
        self.code.set(OptionId::Compressors, Value::List(names.into_iter().map(Into::into).collect()));
        self
    }

    /// The user name for the proxy (`proxyUsername`), at most 255 bytes. An empty name counts as not given.
    pub fn proxy_username(self, name: impl Into<String>) -> Self {
        let name = name.into();
        if name.is_empty() { self } else { self.text(OptionId::ProxyUsername, name) }
    }

    /// The password for the proxy (`proxyPassword`), at most 255 bytes. An empty password counts as not given.
    pub fn proxy_password(mut self, password: impl Into<Secret>) -> Self {
        let password = password.into();
        if !password.is_empty() {
            self.code.set(OptionId::ProxyPassword, Value::Secret(password));
        }
        self
    }

    /// Client-side field level encryption. It is not supported: making a client with it is an error.
    pub fn auto_encryption(mut self, _options: bson::Document) -> Self {
        self.code.set(OptionId::AutoEncryption, Value::Secret(Secret::from("given in code")));
        self
    }

    pub(super) fn set<T: SettingValue>(mut self, option: OptionId, value: Option<T>) -> Self {
        match value.map(|value| value.to_value()) {
            Some(Ok(value)) => self.code.set(option, value),
            Some(Err(error)) => self.problem = Some(error.message().to_owned()),
            None => _ = self.code.remove(option),
        }
        self
    }

    pub(super) fn text(mut self, option: OptionId, text: impl Into<String>) -> Self {
        self.code.set(option, Value::Text(text.into()));
        self
    }
}
