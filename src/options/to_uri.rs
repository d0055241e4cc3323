//! Options written back as a connection string.

use super::spec::{Location, OptionId, OptionSpec};
use super::value::Value;
use super::{ClientSettings, ServerAddress};
use crate::credential::Credential;
use crate::uri;

impl ClientSettings {
    /// These options as a connection string: what was given, in the order of the table, by the names of today.
    ///
    /// Without credentials, user name, password, mechanism properties, the password of the client's key and all of the
    /// proxy's login are left out. What has no form in a connection string (handlers, the security policy, the Stable
    /// API, driver info, the limit on SCRAM's rounds) is left out too, and so are tags and mechanism properties with a
    /// comma.
    ///
    /// ```
    /// use mongo_blocking::options::ClientSettings;
    ///
    /// let options = ClientSettings::parse("mongodb://ann:pass%2Fword@DB.example.com/shop?ssl=true&w=majority")?;
    /// assert_eq!(options.to_uri(false), "mongodb://db.example.com:27017/shop?tls=true&w=majority");
    /// assert_eq!(options.to_uri(true), "mongodb://ann:pass%2Fword@db.example.com:27017/shop?tls=true&w=majority");
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn to_uri(&self, with_credentials: bool) -> String {
        let mut out = String::from(if self.given.srv_host.is_some() { "mongodb+srv://" } else { "mongodb://" });
        if with_credentials {
            out.push_str(&self.user_info());
        }
        match &self.given.srv_host {
            Some(host) => out.push_str(host),
            None => out.push_str(&self.hosts.iter().map(write_host).collect::<Vec<_>>().join(",")),
        }
        out.push('/');
        out.push_str(&self.default_database().map(uri::percent_encode).unwrap_or_default());
        for (index, pair) in self.pairs(with_credentials).iter().enumerate() {
            out.push(if index == 0 { '?' } else { '&' });
            out.push_str(pair);
        }
        out
    }

    fn user_info(&self) -> String {
        let settings = self.given.settings_as_given();
        let Some(Value::Text(username)) = settings.get(OptionId::Username) else {
            return String::new();
        };
        let encode = |text: &str| {
            let unencoded = if self.given.plus_in_uri { "+" } else { "" };
            uri::encode_but(text, unencoded)
        };
        match settings.secret(OptionId::Password) {
            Some(password) => format!("{}:{}@", encode(username), encode(password.expose())),
            None => format!("{}@", encode(username)),
        }
    }

    /// The options in the order of the table, so that a connection string that is read again is written the same.
    fn pairs(&self, with_credentials: bool) -> Vec<String> {
        let mut pairs = Vec::new();
        for (option, value) in self.given.settings_as_given().given() {
            let spec = option.spec();
            let shown = with_credentials || !CREDENTIALS.contains(&option);
            if spec.location == Location::Query && shown {
                pairs.extend(value.written().into_iter().map(|value| (option, value.to_string())));
            }
        }
        if self.needs_tls_written(with_credentials) {
            pairs.push((OptionId::Tls, "true".to_owned()));
        }
        if let Some(source) = self.source_beside_database() {
            pairs.push((OptionId::AuthSource, uri::percent_encode(source)));
        }
        pairs.sort_by_key(|(option, _)| *option as usize);
        pairs.into_iter().map(|(option, value)| format!("{}={value}", option.name())).collect()
    }

    /// Whether TLS is on for a reason that is not written: options in code, or one whose value was ignored. Read again,
    /// the connection string must not ask for plain text.
    fn needs_tls_written(&self, with_credentials: bool) -> bool {
        let written = |option| with_credentials || !CREDENTIALS.contains(&option);
        let settings = self.given.settings_as_given();
        let says_so = |option: OptionId| {
            let spec: &OptionSpec = option.spec();
            spec.location == Location::Query && option.is_about_tls() && written(option)
        };
        self.tls.is_some() && self.given.srv_host.is_none() && !settings.given().any(|(option, _)| says_so(option))
    }

    /// The users' source, where it was not given and the written database would name another.
    fn source_beside_database(&self) -> Option<&str> {
        if self.given.settings_as_given().has(OptionId::AuthSource)
            || self.given.uri_database.as_deref() == self.default_database()
        {
            return None;
        }
        self.credential.as_ref().map(Credential::source)
    }
}

fn write_host(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Tcp { host, .. } if host.contains('%') => uri::encode_but(&address.to_string(), "[]:"),
        ServerAddress::Tcp { .. } => address.to_string(),
        ServerAddress::Unix { path } => uri::percent_encode(&path.to_string_lossy()),
    }
}

/// What belongs to a login, beside the user info.
const CREDENTIALS: &[OptionId] = &[
    OptionId::AuthMechanismProperties,
    OptionId::TlsCertificateKeyFilePassword,
    OptionId::ProxyUsername,
    OptionId::ProxyPassword,
    OptionId::AutoEncryption,
];
