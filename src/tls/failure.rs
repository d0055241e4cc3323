//! The errors of failed TLS handshakes, and their hints.

use std::borrow::Cow;
use std::io;

use super::target::Target;
use crate::error::{Error, FaultKind, Stage};

/// Why there is no TLS channel.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The stream beneath failed, or its time limit ran out.
    Io(io::Error),
    /// The peer's certificate was refused, or the two sides have no common protocol.
    Tls(Error),
    /// The handshake failed with this error while it resumed an earlier session. A new one without a session may succeed.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "it resumes no session")
    )]
    Resumption(Box<Failure>),
}

/// The backend itself could not be set up.
pub(super) fn set_up_failed(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(FaultKind::InvalidTlsConfig, Stage::Options, what).with_source(source)
}

/// The handshake ended without a channel.
pub(super) fn handshake_failed(
    message: impl Into<Cow<'static, str>>,
    hint: Option<impl Into<Cow<'static, str>>>,
) -> Failure {
    let error = Error::new(FaultKind::Tls, Stage::Tls, message);
    Failure::Tls(match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

/// The two sides found no common version or cipher, or the server refused, for this reason in the backend's words.
pub(super) fn no_common_tls(reason: &str, target: &Target<'_>) -> Failure {
    let lower = reason.to_ascii_lowercase();
    let not_tls = ["wrong version number", "packet length too long", "record too small", "bad record type", "http"];
    let hint = if not_tls.iter().any(|word| lower.contains(word)) {
        NOT_TLS_HINT
    } else if is_atlas(target.host) && lower.contains("alert internal error") {
        ATLAS_HINT
    } else {
        REFUSED_HINT
    };
    handshake_failed(format!("no common TLS: {reason}"), Some(hint))
}

/// Whether the host is one of MongoDB Atlas, which ends the handshake with clients that are not in the access list.
pub(crate) fn is_atlas(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    ATLAS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// For a certificate without a DNS name.
pub(super) fn no_dns_name_hint(host: &str) -> String {
    format!(
        "the certificate has no DNS name in subjectAltName, and its Common Name does not count (RFC 9525): the server needs a \
         certificate with the subjectAltName DNS:{host}"
    )
}

/// What to do about a certificate that was refused, by the backend's reason. Never: to switch verification off.
pub(super) fn certificate_hint(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["certificate revoked"]) {
        "its authority has revoked it, according to tlsCRLFile: the server needs a new certificate"
    } else if has(&["unable to get certificate crl"]) {
        "tlsCRLFile must hold a list of every authority in the server's chain, the root's and each intermediate's: \
         `openssl crl -in FILE -noout -issuer` shows whose list it holds"
    } else if has(&["crl has expired", "crl is not yet valid"]) {
        "tlsCRLFile needs a current list of every authority in the server's chain; and check this machine's clock"
    } else if has(&["crl"]) {
        "tlsCRLFile holds a list that is not valid: `openssl crl -in FILE -noout -text` shows it, `-CAfile` checks its signature"
    } else if has(&["hostname mismatch", "host name", "ip address mismatch"]) {
        "connect by one of the names in the certificate, or give the server a certificate for this one"
    } else if has(&["not yet valid", "expired"]) {
        "check this machine's clock; if it is right, the server needs a new certificate"
    } else if has(&["self signed", "self-signed", "local issuer", "unable to verify", "unknown ca", "not trusted"]) {
        "if the server's authority is a private one, name its certificate with tlsCAFile"
    } else if has(&["signature failure"]) {
        "an authority of that name is trusted, with another key: does tlsCAFile name the current certificate of this server's authority?"
    } else if has(&["purpose", "key usage"]) {
        "the server needs a certificate that is issued for servers (extendedKeyUsage serverAuth)"
    } else if has(&["too small", "too weak", "key too"]) {
        "the server needs a certificate with a stronger key or signature"
    } else {
        "`openssl s_client -connect HOST:PORT -showcerts` shows what the server presents"
    }
}

/// For an Atlas host that ends the handshake.
pub(crate) const ATLAS_HINT: &str = "Atlas ends the handshake like this when this machine's public address is not in the project's IP access list: \
     add it there (Network Access), and wait until the change is active";
/// The domains of Atlas, and of Atlas for Government.
const ATLAS_DOMAINS: [&str; 2] = [".mongodb.net", ".mongodbgov.net"];
/// For a peer that does not speak TLS.
const NOT_TLS_HINT: &str = "the server does not seem to speak TLS on this port: is tls=true right, and the port?";
/// For a peer that supports no common version, or wants a client certificate.
const REFUSED_HINT: &str = "the server refused: it may support only older versions of TLS (1.2 and later are accepted here, unless \
     min_tls_version says otherwise), or want a client certificate";
