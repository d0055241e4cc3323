//! Secrets on a connection that others can read: a warning, or an error if the policy says so. Checked when the options are
//! built. A secret that is only known during a login is checked there, with [`unprotected`].

use std::net::IpAddr;

use super::{ServerAddress, TlsSettings};
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::policy::SecurityPolicy;
use crate::warning::{WarningKind, Warnings};

/// Checks a credential whose secret is sent in the clear. Where DNS is yet to name the hosts, `hosts` is empty, and whether
/// they are on this machine is checked once they are known.
pub(super) fn check(
    credential: Option<&Credential>,
    tls: Option<&TlsSettings>,
    hosts: &[ServerAddress],
    policy: &SecurityPolicy,
    warnings: &mut Warnings,
) -> Result<()> {
    let local = hosts.iter().all(is_local_address);
    let what = match credential {
        // Also for local hosts: an LDAP password often opens more than the database, and another local program may listen.
        Some(Credential::Plain(_)) => "PLAIN sends the password unencrypted",
        Some(Credential::Oidc(_)) if !local => "MONGODB-OIDC sends an access token unencrypted",
        Some(Credential::Aws(aws)) if !local && aws.keys.as_ref().is_some_and(|keys| keys.session_token.is_some()) => {
            AWS_SESSION_TOKEN
        }
        _ => return Ok(()),
    };
    if tls.is_some_and(TlsSettings::is_verified) {
        return Ok(());
    }
    let message = unprotected(what, policy)?;
    warnings.add(WarningKind::Insecure, message);
    Ok(())
}

/// The warning about a secret on a connection that does not protect it; an error where the policy refuses that.
pub(crate) fn unprotected(what: &str, policy: &SecurityPolicy) -> Result<String> {
    let message = format!("{what}: without verified TLS, others may read it");
    if policy.refuses_unprotected_secrets() {
        Err(Error::invalid_argument(message).with_hint(
            "the security policy refuses that (refuse_unprotected_secrets); set tls=true, and no option that weakens it",
        ))
    } else {
        Ok(message)
    }
}

/// Whether what is sent to this host (without a port; or the path of a Unix socket) stays on this machine.
pub(crate) fn is_local(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.contains('/')
        || name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn is_local_address(address: &ServerAddress) -> bool {
    match address {
        ServerAddress::Tcp { host, .. } => is_local(host),
        ServerAddress::Unix { .. } => true,
    }
}

/// What is sent with temporary AWS keys.
pub(crate) const AWS_SESSION_TOKEN: &str = "MONGODB-AWS sends the session token of temporary keys unencrypted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
            "/tmp/a.sock",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "::2", "0.0.0.0", "::"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
