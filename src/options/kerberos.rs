//! Checks of the names that GSSAPI is given, for `validate()` and for making a client: before a ticket is asked for.

use crate::credential::{CanonicalizeHostName, GssapiCredential};
use crate::error::{Error, Result};

/// Refuses names that no principal can have.
pub(super) fn check(credential: &GssapiCredential) -> Result<()> {
    let texts = [
        ("the user name", Some(credential.username.as_str())),
        // The library would take the part before it for the whole password.
        ("the password", credential.password.as_ref().map(|password| password.expose())),
        ("SERVICE_NAME", Some(credential.service_name.as_str())),
        ("SERVICE_REALM", credential.service_realm.as_deref()),
        ("SERVICE_HOST", credential.service_host.as_deref()),
    ];
    for (what, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(Error::invalid_argument(format!("GSSAPI: {what} must not contain a NUL character")));
        }
    }
    if credential.service_name.contains(['@', '/']) {
        return Err(Error::invalid_argument(
            "GSSAPI: SERVICE_NAME must be the service's name alone, as in SERVICE_NAME:mongodb",
        )
        .with_hint("a realm goes into SERVICE_REALM, a host into SERVICE_HOST"));
    }
    if credential.service_host.as_ref().is_some_and(|host| host.contains(['@', '/'])) {
        return Err(Error::invalid_argument(
            "GSSAPI: SERVICE_HOST must be a host name alone, as in SERVICE_HOST:db.example.com",
        )
        .with_hint("a realm goes into SERVICE_REALM, the service's name into SERVICE_NAME"));
    }
    Ok(())
}

/// Refuses a store by name where the platform knows none.
pub(super) fn check_store(credential: &GssapiCredential) -> Result<()> {
    let named = credential.credential_cache.is_some() || credential.client_keytab.is_some();
    if cfg!(windows) && named {
        return Err(Error::not_supported("GSSAPI: on Windows, ticket caches and keytabs cannot be named")
            .with_hint("log in with a password, or with the account of the Windows session (no password)"));
    }
    if cfg!(target_os = "macos") && named {
        return Err(Error::not_supported(
            "GSSAPI: on macOS, the system's library does not let a program name a ticket cache or keytab",
        )
        .with_hint("the variables KRB5CCNAME and KRB5_CLIENT_KTNAME name them for the whole process"));
    }
    Ok(())
}

/// The value of CANONICALIZE_HOST_NAME.
pub(super) fn canonicalize(value: &str) -> Result<CanonicalizeHostName> {
    match value {
        "none" | "false" => Ok(CanonicalizeHostName::None),
        "forward" => Ok(CanonicalizeHostName::Forward),
        "forwardAndReverse" | "true" => Ok(CanonicalizeHostName::ForwardAndReverse),
        _ => Err(Error::invalid_argument(
            "CANONICALIZE_HOST_NAME must be none, forward, forwardAndReverse, true or false",
        )),
    }
}
