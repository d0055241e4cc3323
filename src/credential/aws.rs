//! AWS keys: what they are, where they may come from, and the trait for code that gives them.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::secret::Secret;

/// AWS keys, or a provider of keys. Without either, the usual sources of the AWS tools are searched, in the order of
/// [`AwsSource`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AwsCredential {
    /// The keys that were given.
    pub keys: Option<AwsKeys>,
    /// The provider in code. It is not called if keys were given.
    pub provider: Option<SharedAwsProvider>,
}

/// A pair of AWS keys.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use mongo_blocking::AwsKeys;
///
/// let keys = AwsKeys::new("AKIDEXAMPLE", "a secret")
///     .session_token("a token")
///     .expires(SystemTime::now() + Duration::from_secs(3600));
/// assert_eq!(keys.access_key_id, "AKIDEXAMPLE");
/// assert!(!format!("{keys:?}").contains("secret\""));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AwsKeys {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token of temporary keys.
    pub session_token: Option<Secret>,
    /// When temporary keys expire, where that is known. Only keys that expire are cached for later logins.
    pub expires: Option<SystemTime>,
}

/// Gets AWS keys in code, for programs whose keys are in none of the usual sources ([`AwsSource`]).
///
/// A closure implements it. It is called on the thread that makes a connection, before the login begins, by one thread at a time.
/// Keys with an expiry are cached. The provider is called again five minutes before they expire, and after a login that the
/// server refused. Without an expiry it is called for every login.
///
/// ```
/// use std::time::Duration;
/// use mongo_blocking::options::ClientOptions;
/// use mongo_blocking::AwsKeys;
///
/// let options = ClientOptions::builder()
///     .host("cluster.example.com")
///     .auth_mechanism("MONGODB-AWS")
///     .aws_credential_provider(|_within: Duration| Ok(AwsKeys::new("AKIDEXAMPLE", "a secret")))
///     .build();
/// # drop(options);
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
pub trait AwsCredentialProvider: Send + Sync {
    /// The keys. `within` is the time that the login has left.
    ///
    /// # Errors
    /// Any error of the program. Its text becomes part of the error of the login
    /// ([`ErrorKind::Authentication`](crate::error::ErrorKind::Authentication)), so it must not contain a secret.
    fn keys(&self, within: Duration) -> Result<AwsKeys, Box<dyn StdError + Send + Sync>>;
}

impl<F> AwsCredentialProvider for F
where
    F: Fn(Duration) -> Result<AwsKeys, Box<dyn StdError + Send + Sync>> + Send + Sync,
{
    fn keys(&self, within: Duration) -> Result<AwsKeys, Box<dyn StdError + Send + Sync>> {
        self(within)
    }
}

/// A provider as options hold it. It has no name outside of the crate.
#[derive(Clone)]
pub struct SharedAwsProvider(Arc<dyn AwsCredentialProvider>);

/// Where AWS keys can come from, in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AwsSource {
    /// The connection string or the options.
    Options,
    /// An [`AwsCredentialProvider`] in code.
    Provider,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of the environment.
    Environment,
    /// A profile with `role_arn`: AssumeRole.
    AssumeRole,
    /// A token file of a web identity: AssumeRoleWithWebIdentity.
    WebIdentity,
    /// IAM Identity Center: the token that `aws sso login` left.
    IdentityCenter,
    /// The shared credentials file.
    SharedCredentialsFile,
    /// The program that a profile names in `credential_process`.
    CredentialProcess,
    /// The config file.
    ConfigFile,
    /// The endpoint of a container: ECS, or EKS Pod Identity.
    Container,
    /// The metadata service of an EC2 instance.
    Ec2,
}

/// A source that gave no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsSkipped {
    /// The source.
    pub source: AwsSource,
    /// The reason, as text without secrets.
    pub why: String,
}

/// A search for AWS keys that ended without any: the [`source`](std::error::Error::source) of its error.
///
/// ```no_run
/// use std::error::Error;
/// use mongo_blocking::AwsSearchFailed;
///
/// if let Err(error) = mongo_blocking::aws_source_report(std::time::Duration::from_secs(10)) {
///     let search = error.source().and_then(|source| source.downcast_ref::<AwsSearchFailed>());
///     for skipped in search.iter().flat_map(|search| &search.skipped) {
///         println!("{skipped}");
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsSearchFailed {
    /// The source that is configured and failed; `None` where no source had any keys.
    pub failed: Option<AwsSource>,
    /// The sources that had none, in order.
    pub skipped: Vec<AwsSkipped>,
}

/// Which source AWS keys came from, and why the sources before it had none. Its `Display` form has a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsSourceReport {
    /// The source that gave the keys.
    pub source: AwsSource,
    /// The id of the access key that it gave. It is not a secret.
    pub access_key_id: String,
    /// Whether there is a session token, too.
    pub session_token: bool,
    /// When the keys expire, where that is known.
    pub expires: Option<SystemTime>,
    /// The sources before it, in order.
    pub skipped: Vec<AwsSkipped>,
}

impl AwsKeys {
    /// Keys without a session token and without a known expiry.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<Secret>) -> Self {
        AwsKeys {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires: None,
        }
    }

    /// With the session token of temporary keys.
    pub fn session_token(mut self, token: impl Into<Secret>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// With the time at which they expire.
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }
}

impl SharedAwsProvider {
    pub(crate) fn new(provider: impl AwsCredentialProvider + 'static) -> Self {
        SharedAwsProvider(Arc::new(provider))
    }

    /// The provider itself.
    pub fn provider(&self) -> &Arc<dyn AwsCredentialProvider> {
        &self.0
    }
}

impl fmt::Debug for SharedAwsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedAwsProvider(..)")
    }
}

impl fmt::Display for AwsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AwsSource::Options => "connection string or options",
            AwsSource::Provider => "provider in code",
            AwsSource::Environment => "environment",
            AwsSource::AssumeRole => "AssumeRole by a profile",
            AwsSource::WebIdentity => "web identity",
            AwsSource::IdentityCenter => "IAM Identity Center",
            AwsSource::SharedCredentialsFile => "shared credentials file",
            AwsSource::CredentialProcess => "credential_process",
            AwsSource::ConfigFile => "config file",
            AwsSource::Container => "container endpoint",
            AwsSource::Ec2 => "EC2 metadata service",
        })
    }
}

impl fmt::Display for AwsSkipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.why)
    }
}

impl fmt::Display for AwsSourceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skipped in &self.skipped {
            writeln!(f, "skipped {skipped}")?;
        }
        write!(f, "keys {} from: {}", self.access_key_id, self.source)
    }
}

impl fmt::Display for AwsSearchFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sources passed over: {}", self.skipped.len())
    }
}

impl StdError for AwsSearchFailed {}
