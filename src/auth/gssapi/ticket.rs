//! From a credential and a server to a conversation whose first step gets the ticket.

use std::sync::Arc;

use super::canonical::{SystemResolver, canonical};
use super::failure::{self, Origin};
#[cfg(unix)]
use super::gss as platform;
use super::names::{self, Service};
#[cfg(windows)]
use super::sspi as platform;
use super::{Gssapi, Opened, TICKET_STAGE, Tried};
use crate::auth::mechanism::Mechanism;
use crate::auth::sasl::Sasl;
use crate::auth::target::AuthTarget;
use crate::credential::{CanonicalizeHostName, EXTERNAL, GssapiCredential};
use crate::error::{Error, Result};
use crate::helper_thread::HelperThreads;
use crate::system::System;
use crate::warning::{WarningKind, WarningSink};

/// What the GSSAPI conversations of one client share.
#[derive(Clone)]
pub(in crate::auth) struct GssapiState {
    system: Arc<dyn System>,
    warnings: WarningSink,
}

impl GssapiState {
    pub(in crate::auth) fn new(system: Arc<dyn System>, warnings: WarningSink) -> Self {
        GssapiState { system, warnings }
    }
}

/// A conversation that logs in at `target`. No name server and no KDC is asked before it starts.
pub(in crate::auth) fn conversation(
    credential: &GssapiCredential,
    shared: &GssapiState,
    target: &AuthTarget<'_>,
) -> Result<Box<dyn Mechanism>> {
    let cache_variable = shared.system.variable("KRB5CCNAME");
    let tried = Tried {
        user: credential.username.clone(),
        service: String::new(),
        realm: credential.service_realm.clone(),
        credentials: platform::credentials(credential, cache_variable.as_deref()),
        origin: match (&credential.password, &credential.client_keytab) {
            (Some(_), _) => Origin::Password,
            (None, Some(_)) => Origin::Keytab,
            (None, None) => Origin::Cache,
        },
    };
    let (known, deadline) = (tried.clone(), target.step_deadline);
    let (owned, host, warnings) = (credential.clone(), target.host.to_owned(), shared.warnings.clone());
    let opening = move || {
        let outcome = HELPERS.run_with_deadline(deadline, move || open(&owned, &host, known, &warnings));
        outcome.unwrap_or_else(|error| Err(failure::no_ticket(error, deadline)))
    };
    Ok(Box::new(Sasl::new(Gssapi::new(&credential.username, tried, Box::new(opening)), EXTERNAL)))
}

fn open(credential: &GssapiCredential, host: &str, mut tried: Tried, warnings: &WarningSink) -> Result<Opened> {
    let host = service_host(credential, host, warnings)?;
    tried.service = names::written(credential, &host);
    let service = Service::new(credential, &host);
    match platform::open(credential, &service, &mut tried) {
        Ok((context, first)) => Ok(Opened { context, first, tried }),
        Err(failure) => Err(tried.error(TICKET_STAGE, failure)),
    }
}

/// The host in the service's principal.
fn service_host(credential: &GssapiCredential, host: &str, warnings: &WarningSink) -> Result<String> {
    let given = credential.service_host.as_deref().unwrap_or(host);
    if given.is_empty() || given.contains('/') {
        let message = "a Unix socket has no host name for the service's principal";
        return Err(Error::invalid_argument(message)
            .with_stage(TICKET_STAGE)
            .with_hint("give it as the mechanism property SERVICE_HOST"));
    }
    let how = credential.canonicalize_host_name.unwrap_or(CanonicalizeHostName::None);
    let (name, problem) = canonical(given, how, &SystemResolver);
    if let Some(problem) = problem {
        let how = how.name();
        warnings.warn(
            WarningKind::LookUp,
            format!("CANONICALIZE_HOST_NAME:{how} could not be done for {given}, so {name} is used: {problem}"),
        );
    }
    Ok(name)
}

/// A KDC or a name server may not answer, and the libraries that ask take no time limit.
static HELPERS: HelperThreads = HelperThreads::new("mongo-kerberos");
