//! A credential as a program gives it: parts that are judged together when a client is made.

use std::fmt;
use std::str::FromStr;

use bson::{Bson, Document};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::builder_macro::builder;
use super::option_map::OptionMap;
use super::raw::{RawOidcOptions, RawOptions};
use super::spec::OptionId;
use super::table::DEFAULT_MECHANISM;
use super::value::Value;
use super::{credential, oidc};
use crate::credential::{AllowedHosts, SharedAwsProvider};
use crate::error::{Error, Result};
use crate::secret::{self, Secret};
use crate::warning::Warnings;

/// Who the client says it is. Parts that do not go together are an error of [`Client::with_options`](crate::Client::with_options).
///
/// The password and the strings of the mechanism properties are wiped from memory when the value is dropped, and `Debug` does not show them.
///
/// ```
/// use mongo_blocking::options::{AuthMechanism, ClientOptions, Credential};
///
/// let credential = Credential::builder()
///     .username("ann")
///     .password("pencil")
///     .source("shop")
///     .mechanism(AuthMechanism::ScramSha256)
///     .build();
/// let options = ClientOptions::builder().credential(credential).build();
/// assert!(options.validate()?.is_empty());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Credential {
    /// The user's name, not percent-encoded. For MONGODB-AWS the access key id.
    pub username: Option<String>,
    /// The database that knows the user (`authSource`).
    pub source: Option<String>,
    /// The password, not percent-encoded.
    #[serde(default, deserialize_with = "secret::deserialize_unquoted")]
    pub password: Option<String>,
    /// The mechanism; negotiated unless given.
    pub mechanism: Option<AuthMechanism>,
    /// Further settings of the mechanism (`authMechanismProperties`).
    #[serde(default, deserialize_with = "secret::deserialize_unquoted")]
    pub mechanism_properties: Option<Document>,
    /// What gets tokens for MONGODB-OIDC.
    #[serde(skip)]
    pub oidc_callback: oidc::Callback,
    #[serde(skip)]
    given: LoginDetails,
}

secret::read_unquoted!(Credential, "a credential");

/// What a connection string or the builder of the options says beside the fields.
#[derive(Clone, Debug, Default)]
struct LoginDetails {
    /// The mechanism properties that are secret, or that stand there twice.
    properties: Vec<(String, Secret)>,
    /// The connection string names the mechanism `DEFAULT`.
    default_mechanism: bool,
    /// The properties are as the connection string has them, decoded.
    from_uri: bool,
    login_asked: bool,
    plus_in_uri: bool,
    gssapi_service_name: Option<String>,
    credential_cache: Option<String>,
    client_keytab: Option<String>,
    aws_provider: Option<SharedAwsProvider>,
    oidc: RawOidcOptions,
}

builder!(
    Credential,
    CredentialBuilder {
        username: String,
        source: String,
        password: String,
        mechanism: AuthMechanism,
        mechanism_properties: Document,
    }
);

impl CredentialBuilder {
    /// Sets what gets tokens for MONGODB-OIDC.
    pub fn oidc_callback(mut self, callback: oidc::Callback) -> Self {
        self.0.oidc_callback = callback;
        self
    }
}

/// An authentication mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AuthMechanism {
    /// MONGODB-CR, which MongoDB 4.0 removed.
    #[serde(alias = "MONGODB-CR")]
    MongoDbCr,
    /// SCRAM-SHA-1.
    #[serde(alias = "SCRAM-SHA-1")]
    ScramSha1,
    /// SCRAM-SHA-256.
    #[serde(alias = "SCRAM-SHA-256")]
    ScramSha256,
    /// MONGODB-X509: the client's TLS certificate.
    #[serde(alias = "MONGODB-X509")]
    MongoDbX509,
    /// GSSAPI: Kerberos. Needs the feature `gssapi`.
    #[serde(alias = "GSSAPI")]
    Gssapi,
    /// PLAIN: the password as it is, for LDAP.
    #[serde(alias = "PLAIN")]
    Plain,
    /// MONGODB-AWS: AWS IAM. Needs the feature `aws`.
    #[serde(alias = "MONGODB-AWS")]
    MongoDbAws,
    /// MONGODB-OIDC: a token of an identity provider. Needs the feature `oidc`.
    #[serde(alias = "MONGODB-OIDC")]
    MongoDbOidc,
}

impl AuthMechanism {
    /// Its name in `authMechanism`.
    pub fn as_str(&self) -> &'static str {
        match self {
            AuthMechanism::MongoDbCr => "MONGODB-CR",
            AuthMechanism::ScramSha1 => "SCRAM-SHA-1",
            AuthMechanism::ScramSha256 => "SCRAM-SHA-256",
            AuthMechanism::MongoDbX509 => "MONGODB-X509",
            AuthMechanism::Gssapi => "GSSAPI",
            AuthMechanism::Plain => "PLAIN",
            AuthMechanism::MongoDbAws => "MONGODB-AWS",
            AuthMechanism::MongoDbOidc => "MONGODB-OIDC",
        }
    }

    const ALL: [AuthMechanism; 8] = [
        AuthMechanism::MongoDbCr,
        AuthMechanism::ScramSha1,
        AuthMechanism::ScramSha256,
        AuthMechanism::MongoDbX509,
        AuthMechanism::Gssapi,
        AuthMechanism::Plain,
        AuthMechanism::MongoDbAws,
        AuthMechanism::MongoDbOidc,
    ];
}

impl FromStr for AuthMechanism {
    type Err = Error;

    /// Reads its name in `authMechanism`.
    fn from_str(name: &str) -> Result<Self> {
        let found = AuthMechanism::ALL.into_iter().find(|mechanism| mechanism.as_str() == name);
        found.ok_or_else(|| Error::invalid_argument(format!("{name:?} is not the name of an authentication mechanism")))
    }
}

impl Credential {
    /// Takes the options about the login out of what was given; `None` where nothing asks for one.
    pub(super) fn take(raw: &mut RawOptions) -> Option<Self> {
        let settings = &mut raw.settings;
        let only_code = raw.aws_provider.is_some() || raw.oidc.is_given();
        if !raw.login_asked && !only_code && !ASK.iter().any(|option| settings.has(*option)) {
            return None;
        }
        let text = |settings: &mut OptionMap, option| match settings.remove(option) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        let name = text(settings, OptionId::AuthMechanism);
        let mut credential = Credential {
            username: text(settings, OptionId::Username),
            source: text(settings, OptionId::AuthSource),
            password: match settings.remove(OptionId::Password) {
                Some(Value::Secret(password)) => Some(password.expose().to_owned()),
                _ => None,
            },
            mechanism: AuthMechanism::ALL.into_iter().find(|mechanism| Some(mechanism.as_str()) == name.as_deref()),
            mechanism_properties: None,
            oidc_callback: oidc::Callback::default(),
            given: LoginDetails {
                properties: Vec::new(),
                default_mechanism: name.as_deref() == Some(DEFAULT_MECHANISM),
                from_uri: true,
                login_asked: std::mem::take(&mut raw.login_asked),
                plus_in_uri: std::mem::take(&mut raw.plus_in_uri),
                gssapi_service_name: text(settings, OptionId::GssapiServiceName),
                credential_cache: text(settings, OptionId::GssapiCredentialCache),
                client_keytab: text(settings, OptionId::GssapiClientKeytab),
                aws_provider: raw.aws_provider.take(),
                oidc: std::mem::take(&mut raw.oidc),
            },
        };
        if let Some(Value::Properties(pairs)) = settings.remove(OptionId::AuthMechanismProperties) {
            let mut shown = Document::new();
            for (name, value) in pairs {
                if name.eq_ignore_ascii_case(SESSION_TOKEN) || shown.contains_key(&name) {
                    credential.given.properties.push((name, value));
                } else {
                    shown.insert(name, value.expose());
                }
            }
            credential.mechanism_properties = Some(shown);
        }
        Some(credential)
    }

    /// Adds this to the options that a client judges.
    pub(super) fn put(&self, raw: &mut RawOptions) -> Result<()> {
        let LoginDetails { gssapi_service_name, credential_cache, client_keytab, aws_provider, .. } = &self.given;
        let is_empty = self.username.is_none() && self.password.is_none() && self.mechanism.is_none();
        raw.login_asked = self.given.login_asked || !self.given.from_uri && is_empty;
        raw.plus_in_uri = self.given.plus_in_uri;
        raw.aws_provider.clone_from(aws_provider);
        raw.oidc = self.given.oidc.clone();
        if let Some((callback, human)) = self.oidc_callback.shared() {
            let place = if human { &mut raw.oidc.human_callback } else { &mut raw.oidc.callback };
            *place = Some(callback);
        }
        let mut pairs = self.given.properties.clone();
        for (name, value) in self.mechanism_properties.iter().flatten() {
            match value {
                Bson::String(value) => pairs.push((name.clone(), Secret::from(value.as_str()))),
                Bson::Boolean(value) => pairs.push((name.clone(), Secret::from(value.to_string()))),
                Bson::Array(hosts) if name == "ALLOWED_HOSTS" => {
                    let hosts: Option<Vec<&str>> = hosts.iter().map(Bson::as_str).collect();
                    let hosts =
                        hosts.ok_or_else(|| Error::invalid_argument("ALLOWED_HOSTS must be a list of strings"))?;
                    raw.oidc.allowed_hosts = Some(AllowedHosts::new(hosts)?);
                }
                _ => {
                    return Err(Error::invalid_argument(format!(
                        "the mechanism property {name:?} must be a string or a boolean"
                    )));
                }
            }
        }
        let mechanism = self.mechanism.map(|mechanism| mechanism.as_str());
        let mechanism = mechanism.or(self.given.default_mechanism.then_some(DEFAULT_MECHANISM));
        let mut login = OptionMap::default();
        let texts = [
            (OptionId::Username, self.username.as_deref()),
            (OptionId::AuthSource, self.source.as_deref()),
            (OptionId::AuthMechanism, mechanism),
            (OptionId::GssapiServiceName, gssapi_service_name.as_deref()),
            (OptionId::GssapiCredentialCache, credential_cache.as_deref()),
            (OptionId::GssapiClientKeytab, client_keytab.as_deref()),
        ];
        for (option, text) in texts {
            if let Some(text) = text {
                login.set(option, Value::Text(text.to_owned()));
            }
        }
        if let Some(password) = &self.password {
            login.set(OptionId::Password, Value::Secret(Secret::from(password.as_str())));
        }
        if !pairs.is_empty() || self.mechanism_properties.is_some() {
            login.set(OptionId::AuthMechanismProperties, Value::Properties(pairs));
        }
        if !self.given.from_uri {
            check_username(&login)?;
            let mut warnings: Warnings = std::mem::take(&mut raw.uri_warnings);
            credential::take_encoded_resource(&mut login, &mut warnings);
            raw.uri_warnings = warnings;
        }
        raw.settings.overlay(login);
        Ok(())
    }
}

fn check_username(login: &OptionMap) -> Result<()> {
    match login.text(OptionId::Username) {
        Some("") => Err(Error::invalid_argument("the user name of the credential is empty")),
        _ => Ok(()),
    }
}

impl PartialEq for Credential {
    /// Functions that get tokens or keys are not compared.
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username
            && self.source == other.source
            && self.password == other.password
            && self.mechanism == other.mechanism
            && self.mechanism_properties == other.mechanism_properties
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.mechanism_properties.as_ref().map(|properties| properties.keys().collect::<Vec<_>>());
        f.debug_struct("Credential")
            .field("username", &self.username)
            .field("source", &self.source)
            .field("password", &self.password.as_ref().map(|_| "REDACTED"))
            .field("mechanism", &self.mechanism)
            .field("mechanism_properties", &names)
            .finish_non_exhaustive()
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        self.password.zeroize();
        // One of them may be a session token of AWS.
        self.mechanism_properties.iter_mut().flat_map(Document::iter_mut).for_each(|(_, value)| wipe(value));
    }
}

/// Wipes the strings of a value, at whatever depth they are.
fn wipe(value: &mut Bson) {
    match value {
        Bson::String(text) => text.zeroize(),
        Bson::Array(values) => values.iter_mut().for_each(wipe),
        Bson::Document(fields) => fields.iter_mut().for_each(|(_, value)| wipe(value)),
        _ => {}
    }
}

/// The options that ask for a login. A source alone does not.
const ASK: &[OptionId] = &[
    OptionId::Username,
    OptionId::Password,
    OptionId::AuthMechanism,
    OptionId::AuthMechanismProperties,
    OptionId::GssapiServiceName,
    OptionId::GssapiCredentialCache,
    OptionId::GssapiClientKeytab,
];
/// The mechanism property that is a secret.
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    #[test]
    fn strings_are_wiped_at_any_depth() {
        let mut value = bson!({ "a": "x", "b": ["y", { "c": "z" }], "d": true });
        wipe(&mut value);
        assert_eq!(value, bson!({ "a": "", "b": ["", { "c": "" }], "d": true }));
    }
}
