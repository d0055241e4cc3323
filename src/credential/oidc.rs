//! MONGODB-OIDC: what gives a token, and what functions of the program that give tokens are told and answer.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::secret::Secret;

/// Where a token for MONGODB-OIDC comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OidcCredential {
    /// The user name. On Azure, the client id of a managed identity. A callback receives it. With a human callback the server
    /// also chooses an identity provider by it.
    pub username: Option<String>,
    /// What gives the token.
    pub source: OidcSource,
}

/// What gives a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OidcSource {
    /// The environment that the program runs in (`ENVIRONMENT`).
    Environment(OidcEnvironment),
    /// A function of the program, for a service (`OIDC_CALLBACK`).
    Callback(SharedOidcCallback),
    /// A function of the program that logs a human user in (`OIDC_HUMAN_CALLBACK`).
    HumanCallback {
        /// The function.
        callback: SharedOidcCallback,
        /// The servers that such a token may be sent to (`ALLOWED_HOSTS`).
        allowed_hosts: AllowedHosts,
    },
    /// A file that another program keeps up to date. It is read for each login.
    TokenFile(PathBuf),
    /// A program that prints a token; it is run anew for each login.
    TokenCommand(OidcCommand),
}

/// An environment that hands out tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OidcEnvironment {
    /// A file, for tests of drivers (`OIDC_TOKEN_FILE`).
    Test,
    /// The metadata service of Azure.
    Azure {
        /// The audience (`TOKEN_RESOURCE`).
        token_resource: String,
    },
    /// The metadata service of Google Cloud.
    Gcp {
        /// The audience (`TOKEN_RESOURCE`).
        token_resource: String,
    },
    /// The service account's token of a Kubernetes pod.
    K8s,
}

/// Gets tokens for MONGODB-OIDC in code. A closure implements it.
///
/// It is called on the thread that makes a connection. A client makes one call at a time, at least 100 ms after the last one.
/// The token is used for all connections of the client until a server refuses it. The driver cannot stop a function that does
/// not return, so the function should obey [`timeout`](OidcCallbackContext::timeout). Other threads that need a token meanwhile
/// wait no longer than their own time limit. A panic in it becomes an error of the operation. It must not use the client that
/// waits for its token: an operation that needs that token fails at once.
///
/// A human callback receives the identity provider that the *server* named. It should only use providers that it trusts.
///
/// ```
/// use mongo_blocking::options::ClientOptions;
/// use mongo_blocking::{IdpServerResponse, OidcCallbackContext};
///
/// let options = ClientOptions::builder()
///     .host("cluster.example.com")
///     .tls(true)
///     .auth_mechanism("MONGODB-OIDC")
///     .oidc_callback(|context: &OidcCallbackContext| {
///         let token = ask_the_provider(context.timeout)?;
///         Ok(IdpServerResponse::new(token))
///     })
///     .build();
/// # fn ask_the_provider(_within: std::time::Duration) -> std::io::Result<String> { Ok("eyJ".to_owned()) }
/// # drop(options);
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
pub trait OidcCallback: Send + Sync {
    /// The token.
    ///
    /// # Errors
    /// Any error of the program. Its text becomes part of the error of the login
    /// ([`ErrorKind::Authentication`](crate::error::ErrorKind::Authentication)), so it must not contain a secret.
    fn token(&self, context: &OidcCallbackContext) -> Result<IdpServerResponse, Box<dyn StdError + Send + Sync>>;
}

impl<F> OidcCallback for F
where
    F: Fn(&OidcCallbackContext) -> Result<IdpServerResponse, Box<dyn StdError + Send + Sync>> + Send + Sync,
{
    fn token(&self, context: &OidcCallbackContext) -> Result<IdpServerResponse, Box<dyn StdError + Send + Sync>> {
        self(context)
    }
}

/// The arguments of an [`OidcCallback`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OidcCallbackContext {
    /// The time that the callback has. For a human callback five minutes. For a service, with `timeoutMS`, the rest of
    /// `connectTimeoutMS` and `timeoutMS`; otherwise one minute.
    pub timeout: Duration,
    /// The version of this interface: 1.
    pub version: u32,
    /// The user's name, where the client has one.
    pub username: Option<String>,
    /// The identity provider that the server named; for a human callback only.
    pub idp_info: Option<IdpServerInfo>,
    /// The refresh token that the callback gave the last time; for a human callback only.
    pub refresh_token: Option<Secret>,
}

/// An identity provider, as the server names it.
///
/// ```
/// use mongo_blocking::IdpServerInfo;
///
/// let provider = IdpServerInfo::builder().issuer("https://id.example.com").client_id("a program".to_owned()).build();
/// assert_eq!((&*provider.issuer, provider.request_scopes), ("https://id.example.com", None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct IdpServerInfo {
    /// The provider's URL: its metadata is at `/.well-known/openid-configuration` below it (OpenID Connect Discovery 1.0).
    pub issuer: String,
    /// The program's identifier at the provider.
    pub client_id: Option<String>,
    /// The scopes to ask for, besides those that OpenID Connect itself wants.
    pub request_scopes: Option<Vec<String>>,
}

/// What an [`OidcCallback`] returns.
///
/// ```
/// use mongo_blocking::IdpServerResponse;
///
/// let response = IdpServerResponse::new("eyJ").expires_in_seconds(3600).refresh_token("refresh");
/// assert!(!format!("{response:?}").contains("eyJ"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdpServerResponse {
    /// The access token, as it is sent to the server. An empty one is an error.
    pub access_token: Secret,
    /// In how many seconds the token expires, if that is known. A negative number is an error. The driver uses a token until a
    /// server refuses it, also after this time.
    pub expires_in_seconds: Option<i64>,
    /// The refresh token, which gets the next token without asking the user. The next call of a human callback receives it.
    pub refresh_token: Option<Secret>,
}

impl IdpServerInfo {
    /// A builder, for a program that tests its callback. Without an issuer that is empty.
    pub fn builder() -> IdpServerInfoBuilder {
        IdpServerInfoBuilder(IdpServerInfo { issuer: String::new(), client_id: None, request_scopes: None })
    }
}

/// The builder that [`IdpServerInfo::builder`] returns.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct IdpServerInfoBuilder(IdpServerInfo);

impl IdpServerInfoBuilder {
    /// Sets [`issuer`](IdpServerInfo::issuer).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.0.issuer = issuer.into();
        self
    }

    /// Sets [`client_id`](IdpServerInfo::client_id).
    pub fn client_id(mut self, client_id: impl Into<Option<String>>) -> Self {
        self.0.client_id = client_id.into();
        self
    }

    /// Sets [`request_scopes`](IdpServerInfo::request_scopes).
    pub fn request_scopes(mut self, scopes: impl Into<Option<Vec<String>>>) -> Self {
        self.0.request_scopes = scopes.into();
        self
    }

    /// What was set.
    pub fn build(self) -> IdpServerInfo {
        self.0
    }
}

impl IdpServerResponse {
    /// A builder, as the official driver has it. Without an access token that is empty, which is an error of the login.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use mongo_blocking::IdpServerResponse;
    ///
    /// let expires = Instant::now() + Duration::from_secs(3600);
    /// let response = IdpServerResponse::builder().access_token("eyJ").expires(expires).build();
    /// assert!(response.expires_in_seconds.is_some_and(|seconds| seconds <= 3600));
    /// ```
    pub fn builder() -> IdpServerResponseBuilder {
        IdpServerResponseBuilder(IdpServerResponse::new(""))
    }

    /// An access token, and nothing else.
    pub fn new(access_token: impl Into<Secret>) -> Self {
        IdpServerResponse { access_token: access_token.into(), expires_in_seconds: None, refresh_token: None }
    }

    /// In how many seconds it expires.
    pub fn expires_in_seconds(mut self, seconds: i64) -> Self {
        self.expires_in_seconds = Some(seconds);
        self
    }

    /// With a refresh token, which gets the next token without asking the user.
    pub fn refresh_token(mut self, token: impl Into<Secret>) -> Self {
        self.refresh_token = Some(token.into());
        self
    }
}

/// The builder that [`IdpServerResponse::builder`] returns.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct IdpServerResponseBuilder(IdpServerResponse);

impl IdpServerResponseBuilder {
    /// Sets [`access_token`](IdpServerResponse::access_token).
    pub fn access_token(mut self, token: impl Into<Secret>) -> Self {
        self.0.access_token = token.into();
        self
    }

    /// When it expires: sets [`expires_in_seconds`](IdpServerResponse::expires_in_seconds), counted from now.
    pub fn expires(mut self, at: impl Into<Option<Instant>>) -> Self {
        let left = at.into().map(|at| at.saturating_duration_since(Instant::now()).as_secs());
        self.0.expires_in_seconds = left.and_then(|seconds| seconds.try_into().ok());
        self
    }

    /// Sets [`refresh_token`](IdpServerResponse::refresh_token).
    pub fn refresh_token(mut self, token: impl Into<Option<String>>) -> Self {
        self.0.refresh_token = token.into().map(Secret::from);
        self
    }

    /// What was set.
    pub fn build(self) -> IdpServerResponse {
        self.0
    }
}

/// A callback as options hold it. It has no name outside of the crate.
#[derive(Clone)]
pub struct SharedOidcCallback(Arc<dyn OidcCallback>);

impl SharedOidcCallback {
    pub(crate) fn new(callback: impl OidcCallback + 'static) -> Self {
        SharedOidcCallback(Arc::new(callback))
    }

    /// The callback itself.
    pub fn callback(&self) -> &Arc<dyn OidcCallback> {
        &self.0
    }
}

impl fmt::Debug for SharedOidcCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedOidcCallback(..)")
    }
}

/// A program and its arguments. `Debug` shows the program only.
#[derive(Clone)]
pub struct OidcCommand(Vec<Secret>);

impl OidcCommand {
    /// The program's path or name first, then its arguments. No shell is involved.
    pub fn new<A: Into<Secret>>(program_and_arguments: impl IntoIterator<Item = A>) -> Self {
        OidcCommand(program_and_arguments.into_iter().map(Into::into).collect())
    }

    /// The program's path or name.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", Secret::expose)
    }

    /// The program and its arguments.
    pub fn words(&self) -> &[Secret] {
        &self.0
    }
}

impl fmt::Debug for OidcCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OidcCommand({:?}, {} arguments)", self.program(), self.0.len().saturating_sub(1))
    }
}

/// The servers that the token of a human user may be sent to.
///
/// An entry is a host name, an address, or `*.` and a domain. The latter matches all hosts below the domain, but not the domain
/// itself. Case and ports do not matter. The default is MongoDB's own domains and this machine.
///
/// ```
/// use mongo_blocking::AllowedHosts;
///
/// let hosts = AllowedHosts::default();
/// assert!(hosts.allow("cluster0.abcde.mongodb.net") && hosts.allow("localhost"));
/// assert!(!hosts.allow("mongodb.net") && !hosts.allow("mongodb.net.example.com"));
/// assert!(AllowedHosts::new(["*.example.com"])?.allow("DB1.Example.com"));
/// assert!(AllowedHosts::new(["db.example.com:27017"]).is_err());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// These entries, and no others. An empty list allows no host.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an entry of another form; the message names it.
    pub fn new<H: Into<String>>(entries: impl IntoIterator<Item = H>) -> Result<Self> {
        let entries: Vec<String> = entries.into_iter().map(Into::into).collect();
        match entries.iter().find(|entry| !is_entry(entry)) {
            Some(entry) => Err(Error::invalid_argument(format!(
                "an entry of the allowed hosts, {entry:?}, is neither a host's name, an address, nor *. and a domain"
            ))),
            None => Ok(AllowedHosts(entries)),
        }
    }

    /// Whether this host (a name or an address without a port, or the path of a Unix socket) is among them.
    pub fn allow(&self, host: &str) -> bool {
        self.0.iter().any(|entry| matches(entry, host))
    }

    /// The entries.
    pub fn entries(&self) -> &[String] {
        &self.0
    }
}

impl Default for AllowedHosts {
    fn default() -> Self {
        AllowedHosts(DEFAULT_HOSTS.iter().map(|&entry| entry.to_owned()).collect())
    }
}

fn is_entry(entry: &str) -> bool {
    let name = entry.strip_prefix("*.").unwrap_or(entry);
    let is_path = entry.starts_with('/');
    let is_host = !name.starts_with('.') && !name.contains(['*', ':', '/', '@', ' ']);
    !name.is_empty() && (address(entry).is_some() || is_path || is_host)
}

fn matches(entry: &str, host: &str) -> bool {
    if host.contains('/') {
        return entry == host;
    }
    match (address(entry), address(host)) {
        (Some(allowed), Some(host)) => return allowed == host,
        (None, None) => {}
        _ => return false,
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let entry = entry.strip_suffix('.').unwrap_or(entry).to_ascii_lowercase();
    match entry.strip_prefix('*') {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|below| !below.is_empty() && !below.ends_with('.')),
        None => host == entry,
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

impl OidcEnvironment {
    /// Its name as the mechanism property `ENVIRONMENT`.
    pub fn name(&self) -> &'static str {
        match self {
            OidcEnvironment::Test => "test",
            OidcEnvironment::Azure { .. } => "azure",
            OidcEnvironment::Gcp { .. } => "gcp",
            OidcEnvironment::K8s => "k8s",
        }
    }

    /// The audience, where it has one.
    pub fn token_resource(&self) -> Option<&str> {
        match self {
            OidcEnvironment::Azure { token_resource } | OidcEnvironment::Gcp { token_resource } => Some(token_resource),
            OidcEnvironment::Test | OidcEnvironment::K8s => None,
        }
    }
}

impl OidcCredential {
    /// The environment, where that gives the token.
    pub fn environment(&self) -> Option<&OidcEnvironment> {
        match &self.source {
            OidcSource::Environment(environment) => Some(environment),
            _ => None,
        }
    }
}

/// The default hosts of the specification.
const DEFAULT_HOSTS: &[&str] = &[
    "*.mongodb.net",
    "*.mongodb-qa.net",
    "*.mongodb-dev.net",
    "*.mongodbgov.net",
    "localhost",
    "127.0.0.1",
    "::1",
    "*.mongo.com",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_that_are_allowed_by_default() {
        for host in [
            "cluster0.abcde.mongodb.net",
            "a.mongodb.net",
            "A.MongoDB.NET",
            "a.mongodb.net.",
            "a.mongodb-qa.net",
            "a.mongodb-dev.net",
            "a.mongodbgov.net",
            "a.b.c.mongo.com",
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "::1",
            "[::1]",
            "0:0:0:0:0:0:0:1",
        ] {
            assert!(AllowedHosts::default().allow(host), "{host}");
        }
        for host in [
            "",
            ".",
            ".mongodb.net",
            "a..mongodb.net",
            "mongodb.net",
            "mongo.com",
            "amongodb.net",
            "a.mongodb.net.example.com",
            "mongodb.net.example.com",
            "azure.example.com",
            "a.mongodb.com",
            "localhost.example.com",
            "alocalhost",
            "127.0.0.1.example.com",
            "127.0.0.2",
            "::2",
            "::ffff:127.0.0.1",
            "fe80::1",
            "/tmp/a.mongodb.net",
            "/tmp/mongodb-27017.sock",
            "a.mongodb.net\0.example.com",
        ] {
            assert!(!AllowedHosts::default().allow(host), "{host:?}");
        }
    }

    #[test]
    fn a_wildcard_is_no_prefix_and_stands_at_the_front_only() {
        let azure = AllowedHosts::new(["azure.example.com", "*.azure.example.net", "10.0.0.1", "[FE80::1]", "/run/db"]);
        let azure = azure.unwrap();
        for host in
            ["AZURE.example.com", "a.azure.example.net", "a.b.azure.example.net", "10.0.0.1", "fe80::1", "/run/db"]
        {
            assert!(azure.allow(host), "{host}");
        }
        for host in [
            "azure.example.net",
            "azure.example.com.evil.example",
            "azure.evil.example",
            "xazure.example.net",
            "a.azure.example.net.evil.example",
            "azure.example.org",
            "10.0.0.10",
            "/RUN/db",
            "localhost",
        ] {
            assert!(!azure.allow(host), "{host}");
        }
        assert!(!AllowedHosts::new(Vec::<String>::new()).unwrap().allow("localhost"));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for entry in [
            "",
            "*",
            "*.",
            "*.*",
            "a.*",
            "azure.*",
            "*azure",
            "*..a",
            "db:27017",
            "http://db",
            "a b",
            "u@db",
            "[::1]:1",
        ] {
            assert!(AllowedHosts::new([entry]).is_err(), "{entry}");
        }
        for entry in ["db", "*.db", "::1", "[::1]", "127.0.0.1", "/tmp/mongodb-27017.sock", "db."] {
            assert!(AllowedHosts::new([entry]).is_ok(), "{entry}");
        }
    }

    #[test]
    fn a_command_shows_its_program_only() {
        let command = OidcCommand::new(["/usr/bin/token", "--password", "hunter2"]);
        assert_eq!(format!("{command:?}"), r#"OidcCommand("/usr/bin/token", 2 arguments)"#);
    }
}
