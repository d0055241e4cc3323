//! From a credential and a server to a machine whose first step gets the ticket.

#[cfg(feature = "gssapi")]
pub(in crate::auth) use real::machine;

#[cfg(feature = "gssapi")]
mod real {
    use crate::auth::gssapi::canonical::{System, canonical};
    use crate::auth::gssapi::failure::Origin;
    use crate::auth::gssapi::names::{self, Service};
    use crate::auth::gssapi::patience::within;
    use crate::auth::gssapi::{Gssapi, NAME, Opened, TICKET, Tried};
    use crate::auth::sasl::Sasl;
    use crate::auth::{AuthContext, AuthTarget, Mechanism};
    use crate::credential::{CanonicalizeHostName, EXTERNAL, GssapiCredential};
    use crate::error::{Error, Result, Stage};
    use crate::warning::{WarningKind, WarningSink};

    #[cfg(unix)]
    use crate::auth::gssapi::gss as platform;
    #[cfg(windows)]
    use crate::auth::gssapi::sspi as platform;

    /// A machine that logs in at `target`. Nothing is asked before it starts.
    pub(in crate::auth) fn machine(
        credential: &GssapiCredential,
        context: &AuthContext,
        target: &AuthTarget<'_>,
    ) -> Result<Box<dyn Mechanism>> {
        let tried = Tried {
            user: credential.username.clone(),
            service: String::new(),
            realm: credential.service_realm.clone(),
            credentials: platform::credentials(credential),
            origin: match (&credential.password, &credential.client_keytab) {
                (Some(_), _) => Origin::Password,
                (None, Some(_)) => Origin::Keytab,
                (None, None) => Origin::Cache,
            },
        };
        let (known, deadline) = (tried.clone(), target.step_deadline);
        let (owned, host, alarm) = (credential.clone(), target.host.to_owned(), context.alarm.clone());
        let opening = move || within(deadline, move || open(&owned, &host, known, &alarm));
        Ok(Box::new(Sasl::new(Gssapi::new(&credential.username, tried, Box::new(opening)), EXTERNAL)))
    }

    fn open(credential: &GssapiCredential, host: &str, mut tried: Tried, alarm: &WarningSink) -> Result<Opened> {
        let host = service_host(credential, host, alarm)?;
        tried.service = names::written(credential, &host);
        let service = Service::new(credential, &host);
        let stage = Stage::Authentication { mechanism: NAME, step: TICKET };
        match platform::open(credential, &service, &mut tried) {
            Ok((context, first)) => Ok(Opened { context, first, tried }),
            Err(failure) => Err(tried.error(stage, failure)),
        }
    }

    /// The host in the service's principal.
    fn service_host(credential: &GssapiCredential, host: &str, alarm: &WarningSink) -> Result<String> {
        let given = credential.service_host.as_deref().unwrap_or(host);
        if given.is_empty() || given.contains('/') {
            let message = "a Unix socket has no host name for the service's principal";
            return Err(Error::invalid_argument(message)
                .with_stage(Stage::Authentication { mechanism: NAME, step: TICKET })
                .with_hint("give it as the mechanism property SERVICE_HOST"));
        }
        let how = credential.canonicalize_host_name.unwrap_or(CanonicalizeHostName::None);
        let (name, problem) = canonical(given, how, &System);
        if let Some(problem) = problem {
            let how = how.name();
            alarm.warn(
                WarningKind::LookUp,
                format!("CANONICALIZE_HOST_NAME:{how} could not be done for {given}, so {name} is used: {problem}"),
            );
        }
        Ok(name)
    }
}
