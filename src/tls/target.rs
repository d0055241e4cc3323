//! The server that a TLS connection is made to, and the name that its certificate must have.

use std::net::IpAddr;

use crate::deadline::Deadline;

/// The server that a TLS connection is made to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Its name or address as the connection string has it: the name that its certificate must have.
    pub(crate) host: &'a str,
    /// Its port.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "it stores no sessions")
    )]
    pub(crate) port: u16,
    /// The time limit. The stream beneath enforces it for the handshake; requests to OCSP responders must obey it too.
    pub(crate) deadline: Deadline,
}

/// The name that a certificate must have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PeerName<'a> {
    Ip(IpAddr),
    Dns(&'a str),
}

/// Reads a host of a connection string: an address, perhaps with a zone; or a name, perhaps with a final dot.
pub(super) fn peer_name(host: &str) -> PeerName<'_> {
    let address = host.split_once('%').map_or(host, |(address, _zone)| address);
    match address.parse() {
        Ok(address) => PeerName::Ip(address),
        Err(_) => PeerName::Dns(host.strip_suffix('.').unwrap_or(host)),
    }
}
