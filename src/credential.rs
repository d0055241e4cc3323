//! Who the client says it is: one variant for each mechanism, holding what that mechanism needs.
//!
//! Every `Credential` is valid: only the options make one, after they have validated all its parts together.

mod aws;
mod oidc;

use crate::secret::Secret;

pub use aws::{
    AwsCredential, AwsCredentialProvider, AwsKeys, AwsSearchFailed, AwsSkipped, AwsSource, AwsSourceReport,
    SharedAwsProvider,
};
pub use oidc::{
    AllowedHosts, IdpServerInfo, IdpServerInfoBuilder, IdpServerResponse, IdpServerResponseBuilder, OidcCallback,
    OidcCallbackContext, OidcCommand, OidcCredential, OidcEnvironment, OidcSource, SharedOidcCallback,
};

/// The credential of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credential {
    /// SCRAM with a user name and a password.
    Scram(ScramCredential),
    /// MONGODB-CR, the old challenge and response.
    Cr(CrCredential),
    /// MONGODB-X509: the client's TLS certificate.
    X509(X509Credential),
    /// PLAIN: the password as it is, for LDAP.
    Plain(PlainCredential),
    /// GSSAPI: Kerberos.
    Gssapi(GssapiCredential),
    /// MONGODB-AWS: AWS IAM.
    Aws(AwsCredential),
    /// MONGODB-OIDC: a token of an identity provider.
    Oidc(OidcCredential),
}

/// A user name and a password for SCRAM.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScramCredential {
    /// The mechanism, or `None` to negotiate.
    pub mechanism: Option<ScramMechanism>,
    /// The user's name, as it is (not percent-encoded).
    pub username: String,
    /// The password, as it is.
    pub password: Secret,
    /// The database that knows the user (`authSource`).
    pub source: String,
    /// Whether user name or password stood in a connection string with a `+`, which some take for a space.
    pub(crate) plus_in_uri: bool,
}

/// A SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramMechanism {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

/// A user name and a password for MONGODB-CR.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CrCredential {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The database that knows the user.
    pub source: String,
}

/// What MONGODB-X509 needs beside the client certificate of the TLS options.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct X509Credential {
    /// The certificate's subject (RFC 2253). Not needed: the server reads it from the certificate.
    pub username: Option<String>,
}

/// A user name and a password for PLAIN.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlainCredential {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// Where the user is known: `$external`, or a database.
    pub source: String,
}

/// A Kerberos principal, and how the service is named.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GssapiCredential {
    /// The principal, perhaps with its realm (`user@EXAMPLE.COM`).
    pub username: String,
    /// The password; without one the credentials of the system's cache are used.
    pub password: Option<Secret>,
    /// The service's name (`SERVICE_NAME`, default `mongodb`).
    pub service_name: String,
    /// The service's realm (`SERVICE_REALM`), where it is not the host's own.
    pub service_realm: Option<String>,
    /// The host in the service's name (`SERVICE_HOST`), where it is not the one connected to.
    pub service_host: Option<String>,
    /// How the host's name is made canonical (`CANONICALIZE_HOST_NAME`); `None` as `CanonicalizeHostName::None`.
    pub canonicalize_host_name: Option<CanonicalizeHostName>,
    /// The ticket cache to use instead of the system's (`FILE:/run/tickets`, `MEMORY:name`, ...); Unix only.
    pub credential_cache: Option<String>,
    /// A keytab with the user's own key, to get tickets with; Unix only. Without a cache they stay in memory.
    pub client_keytab: Option<String>,
}

/// How GSSAPI makes a host's name canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CanonicalizeHostName {
    /// Not at all (`none`, `false`).
    None,
    /// By the canonical name that a look-up of the host gives (`forward`).
    Forward,
    /// And by the name that a look-up of its address gives (`forwardAndReverse`, `true`).
    ForwardAndReverse,
}

impl Credential {
    /// Whether a login may have to wait for a person.
    pub(crate) fn asks_a_person(&self) -> bool {
        matches!(self, Credential::Oidc(OidcCredential { source: OidcSource::HumanCallback { .. }, .. }))
    }

    /// The mechanism's name in `authMechanism`, or `None` where it is negotiated.
    pub fn mechanism(&self) -> Option<&'static str> {
        match self {
            Credential::Scram(credential) => credential.mechanism.map(ScramMechanism::name),
            Credential::Cr(_) => Some("MONGODB-CR"),
            Credential::X509(_) => Some("MONGODB-X509"),
            Credential::Plain(_) => Some("PLAIN"),
            Credential::Gssapi(_) => Some("GSSAPI"),
            Credential::Aws(_) => Some("MONGODB-AWS"),
            Credential::Oidc(_) => Some("MONGODB-OIDC"),
        }
    }

    /// The database that knows the user.
    pub fn source(&self) -> &str {
        match self {
            Credential::Scram(credential) => &credential.source,
            Credential::Cr(credential) => &credential.source,
            Credential::Plain(credential) => &credential.source,
            Credential::X509(_) | Credential::Gssapi(_) | Credential::Aws(_) | Credential::Oidc(_) => EXTERNAL,
        }
    }

    /// The user's name, where the mechanism has one.
    pub fn username(&self) -> Option<&str> {
        match self {
            Credential::Scram(credential) => Some(&credential.username),
            Credential::Cr(credential) => Some(&credential.username),
            Credential::Plain(credential) => Some(&credential.username),
            Credential::Gssapi(credential) => Some(&credential.username),
            Credential::X509(credential) => credential.username.as_deref(),
            Credential::Aws(credential) => credential.keys.as_ref().map(|keys| keys.access_key_id.as_str()),
            Credential::Oidc(credential) => credential.username.as_deref(),
        }
    }

    /// The password, or what stands in its place, where one was given.
    pub fn password(&self) -> Option<&Secret> {
        match self {
            Credential::Scram(credential) => Some(&credential.password),
            Credential::Cr(credential) => Some(&credential.password),
            Credential::Plain(credential) => Some(&credential.password),
            Credential::Gssapi(credential) => credential.password.as_ref(),
            Credential::Aws(credential) => credential.keys.as_ref().map(|keys| &keys.secret_access_key),
            Credential::X509(_) | Credential::Oidc(_) => None,
        }
    }
}

impl ScramMechanism {
    /// Its name in `authMechanism`.
    pub fn name(self) -> &'static str {
        match self {
            ScramMechanism::Sha1 => "SCRAM-SHA-1",
            ScramMechanism::Sha256 => "SCRAM-SHA-256",
        }
    }
}

impl CanonicalizeHostName {
    /// Its name as a mechanism property.
    pub fn name(self) -> &'static str {
        match self {
            CanonicalizeHostName::None => "none",
            CanonicalizeHostName::Forward => "forward",
            CanonicalizeHostName::ForwardAndReverse => "forwardAndReverse",
        }
    }
}

/// The source of users that no database of the server holds.
pub(crate) const EXTERNAL: &str = "$external";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What a program may hand in or get, in both forms of `Debug`.
    #[test]
    fn no_debug_form_shows_a_secret() {
        let secret = || Secret::from("sesame");
        let (username, source) = ("ann".to_owned(), "admin".to_owned());
        let callback = SharedOidcCallback::new(|_: &OidcCallbackContext| Ok(IdpServerResponse::new("sesame")));
        let provider = SharedAwsProvider::new(|_: Duration| Ok(AwsKeys::new("AKIA", "sesame")));
        let keys = AwsKeys::new("AKIA", "sesame").session_token("sesame");
        let oidc = |source| Credential::Oidc(OidcCredential { username: None, source });
        let credentials = [
            Credential::Scram(ScramCredential {
                mechanism: None,
                username: username.clone(),
                password: secret(),
                source: source.clone(),
                plus_in_uri: false,
            }),
            Credential::Cr(CrCredential { username: username.clone(), password: secret(), source: source.clone() }),
            Credential::Plain(PlainCredential { username: username.clone(), password: secret(), source }),
            Credential::Gssapi(GssapiCredential {
                username,
                password: Some(secret()),
                service_name: "mongodb".to_owned(),
                service_realm: None,
                service_host: None,
                canonicalize_host_name: None,
                credential_cache: None,
                client_keytab: None,
            }),
            Credential::Aws(AwsCredential { keys: Some(keys), provider: Some(provider) }),
            oidc(OidcSource::Callback(callback.clone())),
            oidc(OidcSource::HumanCallback { callback, allowed_hosts: AllowedHosts::default() }),
            oidc(OidcSource::TokenCommand(OidcCommand::new(["program", "--token=sesame"]))),
        ];
        let context = OidcCallbackContext {
            timeout: Duration::ZERO,
            version: 1,
            username: None,
            idp_info: None,
            refresh_token: Some(secret()),
        };
        let response = IdpServerResponse::new("sesame").refresh_token("sesame");
        for shown in [
            format!("{credentials:?} {context:?} {response:?}"),
            format!("{credentials:#?} {context:#?} {response:#?}"),
        ] {
            assert!(shown.contains("ann") && !shown.contains("sesame"), "{shown}");
        }
    }
}
