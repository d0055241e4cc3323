//! TLS by the platform: OpenSSL on Linux and the BSDs, SChannel and Secure Transport (through `native-tls`) on Windows
//! and macOS. One backend per platform, chosen by `cfg`, never by a feature.
//!
//! Both verify the certificate and the host name, send the host name (SNI) and speak TLS 1.2 or later. With `--cfg
//! mongo_blocking_native_tls` in `RUSTFLAGS` the second one is used everywhere, so that it is tested on Linux too.
//!
//! [`Connector`] makes a [`TlsStream`], both the same for all; a backend gives them its `Context` (one identity under
//! one set of trust settings) and its `Channel`.
//!
//! This part knows no sockets: it dresses any stream. A time limit is the stream's own business.

mod certificate;
mod channel;
#[cfg(any(test, windows, target_os = "macos", mongo_blocking_native_tls))]
mod codes;
mod connector;
mod der;
mod files;
mod identity;
#[cfg(any(test, windows, target_os = "macos", mongo_blocking_native_tls))]
mod key_match;
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
mod native;
mod oid;
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
mod openssl;
mod pem;
mod trust_anchors;

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

pub(crate) use channel::TlsStream;
pub(crate) use connector::{Connector, Target};
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
use native::{Channel, Context, OcspCache, is_idle};
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
use openssl::{Channel, Context, OcspCache, is_idle};

use crate::error::{Error, ErrorKind, Stage};

/// Why there is no TLS channel.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The stream beneath failed, or its time limit ran out.
    Io(io::Error),
    /// The peer's certificate was refused, or the two sides do not understand each other.
    Tls(Error),
    /// It failed this way in a handshake that took up an earlier session. Another one, over a new stream, does not.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "it takes up none")
    )]
    Resumption(Box<Failure>),
}

/// The name that a certificate must bear.
#[derive(Debug, PartialEq, Eq)]
enum PeerName<'a> {
    Ip(IpAddr),
    Dns(&'a str),
}

/// Reads a host as it stands in a connection string: an address, maybe with a zone; or a name, maybe with a final dot.
fn peer_name(host: &str) -> PeerName<'_> {
    let address = host.split_once('%').map_or(host, |(address, _zone)| address);
    match address.parse() {
        Ok(address) => PeerName::Ip(address),
        Err(_) => PeerName::Dns(host.strip_suffix('.').unwrap_or(host)),
    }
}

/// All that is read from a certificate that a stranger wrote: as texts, as errors tell them.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_certificate(der: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(certificate) = certificate::Certificate::read(der) {
        texts.push(certificate.presented().subject);
        texts.push(certificate.presented().expires);
        texts.extend(certificate.not_valid_now());
    }
    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    texts.extend(openssl::read_certificate(der));
    texts
}

/// The backend itself could not be set up.
fn set_up_failed(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Tls, Stage::Options, what).with_source(source)
}

/// The handshake ended without a channel.
fn handshake_failed(message: impl Into<Cow<'static, str>>, hint: Option<&'static str>) -> Failure {
    let error = Error::new(ErrorKind::Tls, Stage::Tls, message);
    Failure::Tls(match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

/// The two sides did not come to terms, for this reason in the backend's words.
fn no_common_tls(reason: &str, target: &Target<'_>) -> Failure {
    let lower = reason.to_ascii_lowercase();
    let not_tls = ["wrong version number", "packet length too long", "record too small", "bad record type", "http"];
    let hint = match () {
        () if not_tls.iter().any(|word| lower.contains(word)) => NOT_TLS_HINT,
        () if is_atlas(target.host) && lower.contains("alert internal error") => ATLAS_HINT,
        () => REFUSED_HINT,
    };
    handshake_failed(format!("no common TLS: {reason}"), Some(hint))
}

/// Whether the host is one of MongoDB Atlas, which turns strangers away in mid-handshake.
pub(crate) fn is_atlas(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    ATLAS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// What to do about a certificate that was refused, judged by the backend's words. Never: to look away.
fn certificate_hint(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["certificate revoked"]) {
        "its authority has withdrawn it (tlsCRLFile says so): the server needs a new certificate"
    } else if has(&["unable to get certificate crl"]) {
        "tlsCRLFile must hold a list of every authority in the server's chain, the root's and each intermediate's: \
         `openssl crl -in FILE -noout -issuer` shows whose list it holds"
    } else if has(&["crl has expired", "crl is not yet valid"]) {
        "tlsCRLFile needs a current list of every authority in the server's chain; and check this machine's clock"
    } else if has(&["crl"]) {
        "tlsCRLFile holds a list that does not count: `openssl crl -in FILE -noout -text` shows it, `-CAfile` checks its signature"
    } else if has(&["hostname mismatch", "host name", "ip address mismatch"]) {
        "connect by one of the names that the certificate bears, or give the server a certificate for this one"
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

/// For an Atlas host that breaks off the handshake.
pub(crate) const ATLAS_HINT: &str = "Atlas breaks off like this when this machine's public address is not in the project's IP access list: \
     add it there (Network Access), and wait until the change is active";
/// The domains of Atlas, and of Atlas for Government.
const ATLAS_DOMAINS: [&str; 2] = [".mongodb.net", ".mongodbgov.net"];
/// For what a peer says that speaks no TLS.
const NOT_TLS_HINT: &str = "the server does not seem to speak TLS on this port: is tls=true right, and the port?";
/// For a peer that finds no common ground, or wants a certificate of ours.
const REFUSED_HINT: &str = "the server refused: it may speak older versions of TLS only (1.2 and later are accepted here, unless \
     min_tls_version says otherwise), or want a client certificate";

#[cfg(test)]
mod tests;
