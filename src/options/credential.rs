//! From user name, password, source, mechanism and its properties to a credential. All parts are validated together,
//! once connection string and code are known.

use super::kerberos;
use super::option_map::OptionMap;
use super::raw::{RawOidcOptions, RawOptions};
use super::spec::OptionId;
use super::table::DEFAULT_MECHANISM;
use super::value::Value;
use crate::credential::{
    AwsCredential, AwsKeys, CrCredential, Credential, EXTERNAL, GssapiCredential, OidcCredential, OidcEnvironment,
    OidcSource, PlainCredential, ScramCredential, ScramMechanism, SharedAwsProvider, X509Credential,
};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::uri::{percent_decode, percent_encode};
use crate::warning::{WarningKind, Warnings};

/// The credential, or `None` where nothing asks for a login: a database or a source alone does not.
pub(super) fn credential(given: &RawOptions, warnings: &mut Warnings) -> Result<Option<Credential>> {
    let settings = &given.settings;
    let mechanism = mechanism(settings, warnings);
    let parts = Parts {
        mechanism: mechanism.unwrap_or("the default mechanism"),
        username: settings.text(OptionId::Username).filter(|name| !name.is_empty()),
        password: settings.secret(OptionId::Password),
        source: settings.text(OptionId::AuthSource),
        database: given.uri_database.as_deref(),
        properties: Properties::read(settings)?,
        old_service_name: settings.text(OptionId::GssapiServiceName),
        credential_cache: settings.text(OptionId::GssapiCredentialCache),
        client_keytab: settings.text(OptionId::GssapiClientKeytab),
        plus_in_uri: given.plus_in_uri,
        aws_provider: given.aws_provider.as_ref(),
        oidc: &given.oidc,
    };
    if given.aws_provider.is_some() && mechanism != Some("MONGODB-AWS") {
        return Err(Error::invalid_argument("an AwsCredentialProvider needs authMechanism=MONGODB-AWS"));
    }
    if let (Some(what), false) = (given.oidc.first(), mechanism == Some("MONGODB-OIDC")) {
        return Err(Error::invalid_argument(format!("{what} needs authMechanism=MONGODB-OIDC")));
    }
    if let (Some(_), false) = (parts.old_service_name, mechanism == Some("GSSAPI")) {
        warnings.add(WarningKind::NoEffect, "gssapiServiceName has no effect without authMechanism=GSSAPI");
    }
    if let (Some(option), false) = (parts.kerberos_store(), mechanism == Some("GSSAPI")) {
        return Err(Error::invalid_argument(format!("{} needs authMechanism=GSSAPI", option.name())));
    }
    let credential = match mechanism {
        None if !given.login_asked && parts.username.is_none() && parts.password.is_none() => {
            parts.no_properties()?;
            return Ok(None);
        }
        None => Credential::Scram(parts.scram(None)?),
        Some("SCRAM-SHA-256") => Credential::Scram(parts.scram(Some(ScramMechanism::Sha256))?),
        Some("SCRAM-SHA-1") => Credential::Scram(parts.scram(Some(ScramMechanism::Sha1))?),
        Some("MONGODB-CR") => Credential::Cr(parts.cr(warnings)?),
        Some("MONGODB-X509") => Credential::X509(parts.x509()?),
        Some("PLAIN") => Credential::Plain(parts.plain()?),
        Some("GSSAPI") => Credential::Gssapi(parts.gssapi(warnings)?),
        Some("MONGODB-AWS") => Credential::Aws(parts.aws(warnings)?),
        Some("MONGODB-OIDC") => Credential::Oidc(parts.oidc()?),
        Some(_) => return Err(Error::invalid_argument("authMechanism names an unknown mechanism")),
    };
    Ok(Some(credential))
}

/// The mechanism's name. `None`: it is negotiated.
fn mechanism<'a>(settings: &'a OptionMap, warnings: &mut Warnings) -> Option<&'a str> {
    let name = settings.text(OptionId::AuthMechanism)?;
    if name == DEFAULT_MECHANISM {
        warnings.add(
            WarningKind::Spelling,
            "authMechanism=DEFAULT, as MongoDB Compass writes it, means that the mechanism is negotiated; leave it out",
        );
        return None;
    }
    Some(name)
}

struct Parts<'a> {
    mechanism: &'a str,
    username: Option<&'a str>,
    password: Option<&'a Secret>,
    source: Option<&'a str>,
    database: Option<&'a str>,
    properties: Properties<'a>,
    old_service_name: Option<&'a str>,
    credential_cache: Option<&'a str>,
    client_keytab: Option<&'a str>,
    plus_in_uri: bool,
    aws_provider: Option<&'a SharedAwsProvider>,
    oidc: &'a RawOidcOptions,
}

impl Parts<'_> {
    fn scram(&self, mechanism: Option<ScramMechanism>) -> Result<ScramCredential> {
        self.no_properties()?;
        Ok(ScramCredential {
            mechanism,
            username: self.needed_username()?,
            password: self.needed_password()?,
            source: self.source_or("admin"),
            plus_in_uri: self.plus_in_uri,
        })
    }

    fn cr(&self, warnings: &mut Warnings) -> Result<CrCredential> {
        self.no_properties()?;
        warnings.add(
            WarningKind::Deprecated,
            "MONGODB-CR is based on MD5, and MongoDB 4.0 removed it; SCRAM-SHA-1 accepts the same passwords",
        );
        Ok(CrCredential {
            username: self.needed_username()?,
            password: self.needed_password()?,
            source: self.source_or("admin"),
        })
    }

    fn x509(&self) -> Result<X509Credential> {
        self.no_properties()?;
        self.no_password()?;
        self.external_only()?;
        Ok(X509Credential { username: self.username.map(str::to_owned) })
    }

    fn plain(&self) -> Result<PlainCredential> {
        self.no_properties()?;
        let username = self.needed_username()?;
        let password = self.needed_password()?;
        if password.is_empty() {
            return Err(self.error(
                "needs a password that is not empty: an LDAP server treats a login with an empty one as anonymous",
            ));
        }
        if username.contains('\0') || password.expose().contains('\0') {
            return Err(self.error("does not allow a NUL character in user name or password"));
        }
        Ok(PlainCredential { username, password, source: self.source_or(EXTERNAL) })
    }

    fn gssapi(&self, warnings: &mut Warnings) -> Result<GssapiCredential> {
        if let (Some(_), Some(option)) = (self.password, self.kerberos_store()) {
            return Err(self.error(&format!("takes either a password or {}, not both", option.name())));
        }
        let known = ["SERVICE_NAME", "SERVICE_REALM", "SERVICE_HOST", "CANONICALIZE_HOST_NAME"];
        self.properties.only(self.mechanism, &known)?;
        self.external_only()?;
        if let Some(old) = self.old_service_name {
            let ignored = match self.properties.get("SERVICE_NAME") {
                Some(new) if new != old => "; it was ignored, since SERVICE_NAME is given too",
                _ => "",
            };
            let message = format!("gssapiServiceName is an old form of the mechanism property SERVICE_NAME{ignored}");
            warnings.add(WarningKind::Deprecated, message);
        }
        let service_name = self.properties.get("SERVICE_NAME").or(self.old_service_name).unwrap_or("mongodb");
        let credential = GssapiCredential {
            username: self.needed_username()?,
            password: self.password.cloned(),
            service_name: service_name.to_owned(),
            service_realm: self.properties.get("SERVICE_REALM").map(str::to_owned),
            service_host: self.properties.get("SERVICE_HOST").map(str::to_owned),
            canonicalize_host_name: self
                .properties
                .get("CANONICALIZE_HOST_NAME")
                .map(kerberos::canonicalize)
                .transpose()?,
            credential_cache: self.credential_cache.map(str::to_owned),
            client_keytab: self.client_keytab.map(str::to_owned),
        };
        kerberos::check(&credential)?;
        Ok(credential)
    }

    /// The option that says where Kerberos keeps the user's credentials, if one does.
    fn kerberos_store(&self) -> Option<OptionId> {
        let cache = self.credential_cache.map(|_| OptionId::GssapiCredentialCache);
        cache.or(self.client_keytab.map(|_| OptionId::GssapiClientKeytab))
    }

    fn aws(&self, warnings: &mut Warnings) -> Result<AwsCredential> {
        if self.properties.get("AWS_CREDENTIAL_PROVIDER").is_some() {
            return Err(self.error("takes no AWS_CREDENTIAL_PROVIDER as a string: a provider is given in code only"));
        }
        self.properties.only(self.mechanism, &["AWS_SESSION_TOKEN"])?;
        self.external_only()?;
        let token = self.properties.get("AWS_SESSION_TOKEN");
        let password = self.password.filter(|password| !password.is_empty());
        let keys = match (self.username, password) {
            (Some(id), Some(secret)) => {
                warnings.add(
                    WarningKind::Deprecated,
                    "AWS keys in the options are an old form; keep them in the environment or in a profile",
                );
                let mut keys = AwsKeys::new(id, secret.clone());
                keys.session_token = token.map(Secret::from);
                Some(keys)
            }
            (None, None) if token.is_some() => {
                return Err(self.error("has an AWS_SESSION_TOKEN, but not the keys that it belongs to"));
            }
            (None, None) => None,
            _ => {
                return Err(self
                    .error("needs both an access key id (user name) and a secret access key (password), or neither"));
            }
        };
        if keys.is_some() && self.aws_provider.is_some() {
            warnings.add(WarningKind::NoEffect, "the AwsCredentialProvider is not used, since AWS keys are given too");
        }
        Ok(AwsCredential { keys, provider: self.aws_provider.cloned() })
    }

    fn oidc(&self) -> Result<OidcCredential> {
        for (name, why) in [
            ("OIDC_CALLBACK", "a callback cannot be written as a string"),
            ("OIDC_HUMAN_CALLBACK", "a callback cannot be written as a string"),
            ("ALLOWED_HOSTS", "it can be given in code only, together with a human callback"),
        ] {
            if self.properties.get(name).is_some() {
                return Err(Error::invalid_argument(format!("MONGODB-OIDC: {name} is not allowed here: {why}")));
            }
        }
        self.properties.only(self.mechanism, &["ENVIRONMENT", "TOKEN_RESOURCE"])?;
        self.external_only()?;
        self.no_password()?;
        let source = self.oidc_source()?;
        let takes_user = matches!(
            &source,
            OidcSource::Environment(OidcEnvironment::Azure { .. })
                | OidcSource::Callback(_)
                | OidcSource::HumanCallback { .. }
        );
        if self.username.is_some() && !takes_user {
            return Err(self.error("takes a user name only with ENVIRONMENT:azure or with a callback"));
        }
        Ok(OidcCredential { username: self.username.map(str::to_owned), source })
    }

    /// The source of the token. None at all, or more than one, is an error.
    fn oidc_source(&self) -> Result<OidcSource> {
        let RawOidcOptions { callback, human_callback, allowed_hosts, token_file, token_command } = self.oidc;
        if allowed_hosts.is_some() && human_callback.is_none() {
            return Err(self.error("takes allowed hosts only together with a human callback"));
        }
        let mut sources = Vec::new();
        sources.extend(callback.clone().map(OidcSource::Callback));
        sources.extend(human_callback.clone().map(|callback| OidcSource::HumanCallback {
            callback,
            allowed_hosts: allowed_hosts.clone().unwrap_or_default(),
        }));
        sources.extend(token_file.clone().map(OidcSource::TokenFile));
        sources.extend(token_command.clone().map(OidcSource::TokenCommand));
        if self.properties.get("ENVIRONMENT").is_some() || sources.is_empty() {
            sources.push(OidcSource::Environment(self.oidc_environment()?));
        } else if self.properties.get("TOKEN_RESOURCE").is_some() {
            return Err(self.error("takes a TOKEN_RESOURCE only with an ENVIRONMENT"));
        }
        match (sources.pop(), sources.is_empty()) {
            (Some(OidcSource::TokenCommand(command)), true) if command.program().is_empty() => {
                Err(self.error("needs the name of a program in oidc_token_command"))
            }
            (Some(source), true) => Ok(source),
            _ => Err(self.error(
                "takes one of ENVIRONMENT, a callback, a human callback, a token file and a token command, not several",
            )),
        }
    }

    fn oidc_environment(&self) -> Result<OidcEnvironment> {
        let resource = self.properties.get("TOKEN_RESOURCE").map(str::to_owned);
        match (self.properties.get("ENVIRONMENT"), resource) {
            (None, _) => Err(self
                .error("needs the mechanism property ENVIRONMENT, or a callback in code")
                .with_hint("in code: oidc_callback, oidc_human_callback, oidc_token_file, oidc_token_command")),
            (Some("azure"), Some(token_resource)) => Ok(OidcEnvironment::Azure { token_resource }),
            (Some("gcp"), Some(token_resource)) => Ok(OidcEnvironment::Gcp { token_resource }),
            (Some("azure" | "gcp"), None) => {
                Err(self.error("needs the mechanism property TOKEN_RESOURCE with this ENVIRONMENT"))
            }
            (Some("test"), None) => Ok(OidcEnvironment::Test),
            (Some("k8s"), None) => Ok(OidcEnvironment::K8s),
            (Some("test" | "k8s"), Some(_)) => Err(self.error("takes no TOKEN_RESOURCE with this ENVIRONMENT")),
            (Some(_), _) => Err(self.error("has an unknown ENVIRONMENT; it must be test, azure, gcp or k8s")),
        }
    }

    fn needed_username(&self) -> Result<String> {
        self.username.map(str::to_owned).ok_or_else(|| self.error("needs a user name"))
    }

    fn needed_password(&self) -> Result<Secret> {
        self.password.cloned().ok_or_else(|| {
            self.error("needs a password")
                .with_hint("in a connection string the password follows the user name and a ':'")
        })
    }

    fn no_password(&self) -> Result<()> {
        match self.password {
            Some(password) if !password.is_empty() => Err(self.error("takes no password")),
            _ => Ok(()),
        }
    }

    fn no_properties(&self) -> Result<()> {
        self.properties.only(self.mechanism, &[])
    }

    fn external_only(&self) -> Result<()> {
        match self.source {
            None | Some(EXTERNAL) => Ok(()),
            Some(_) => Err(self.error("requires authSource=$external")),
        }
    }

    /// The source where none is given. A connection string may name `db.collection`: of that, the database.
    fn source_or(&self, default: &str) -> String {
        let database = self.database.and_then(|name| name.split('.').next()).filter(|name| !name.is_empty());
        self.source.or(database).unwrap_or(default).to_owned()
    }

    fn error(&self, what: &str) -> Error {
        Error::invalid_argument(format!("{} {what}", self.mechanism))
    }
}

/// Decodes a percent-encoded audience for MONGODB-OIDC that code gave. In code it needs no encoding; encoded there as
/// for a connection string, it would reach the metadata service encoded twice, and name an audience that does not
/// exist.
pub(super) fn take_encoded_resource(code: &mut OptionMap, warnings: &mut Warnings) {
    let mut pairs = code.properties(OptionId::AuthMechanismProperties).to_vec();
    for (name, value) in pairs.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("TOKEN_RESOURCE")) {
        if let Some(plain) = decoded(value.expose()) {
            *value = Secret::from(plain);
            let message = format!(
                "the mechanism property {name} is percent-encoded, and was decoded; in code, give it without percent-encoding"
            );
            warnings.add(WarningKind::Spelling, message);
        }
    }
    if !pairs.is_empty() {
        code.set(OptionId::AuthMechanismProperties, Value::Properties(pairs));
    }
}

/// The decoded string, if `text` is exactly what an encoder writes.
fn decoded(text: &str) -> Option<String> {
    let plain = percent_decode(text).ok()?;
    (plain != text && percent_encode(&plain).eq_ignore_ascii_case(text)).then_some(plain)
}

/// The mechanism properties, their names in capitals.
struct Properties<'a>(Vec<(String, &'a str)>);

impl<'a> Properties<'a> {
    fn read(settings: &'a OptionMap) -> Result<Self> {
        let mut pairs: Vec<(String, &str)> = Vec::new();
        for (name, value) in settings.properties(OptionId::AuthMechanismProperties) {
            let name = name.to_ascii_uppercase();
            let Some(known) = PROPERTIES.iter().find(|known| **known == name) else {
                return Err(Error::invalid_argument("authMechanismProperties has an unknown property")
                    .with_hint(format!("the properties are {}", PROPERTIES.join(", "))));
            };
            if value.is_empty() {
                return Err(Error::invalid_argument(format!("the mechanism property {known} is empty")));
            }
            if pairs.iter().any(|(before, _)| *before == name) {
                return Err(Error::invalid_argument(format!("the mechanism property {known} is given twice")));
            }
            pairs.push((name, value.expose()));
        }
        Ok(Properties(pairs))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    fn only(&self, mechanism: &str, known: &[&str]) -> Result<()> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(Error::invalid_argument(format!("{mechanism} does not take the mechanism property {name}")))
            }
            None => Ok(()),
        }
    }
}

/// All properties of all mechanisms.
const PROPERTIES: &[&str] = &[
    "SERVICE_NAME",
    "SERVICE_REALM",
    "SERVICE_HOST",
    "CANONICALIZE_HOST_NAME",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_PROVIDER",
    "ENVIRONMENT",
    "TOKEN_RESOURCE",
    "OIDC_CALLBACK",
    "OIDC_HUMAN_CALLBACK",
    "ALLOWED_HOSTS",
];
