//! Errors for network failures: what happened, and what to do about it.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, RETRYABLE_ERROR, SYSTEM_OVERLOADED_ERROR, Stage};
use crate::tls::{self, Target};

/// An address that could not be connected to, and why.
pub(super) type Failed = (SocketAddr, io::Error);

/// A failure of the socket at `stage`; a deadline that passed is a timeout that names its limit.
pub(crate) fn network_error(error: io::Error, stage: Stage, deadline: Deadline) -> Error {
    if is_deadline(&error) {
        return timeout(stage, deadline);
    }
    let new = |message| Error::new(FaultKind::Io, stage, message);
    match error.kind() {
        io::ErrorKind::Other if error.raw_os_error().is_none() => tls_failure(error, stage),
        io::ErrorKind::UnexpectedEof => new("the server closed the connection"),
        io::ErrorKind::ConnectionReset => new("the server reset the connection").with_source(error),
        io::ErrorKind::BrokenPipe => new("the server has closed the connection").with_source(error),
        io::ErrorKind::TimedOut => new("the connection is dead: the other side stopped answering").with_source(error),
        _ => new("the connection failed").with_source(error),
    }
}

/// A failure that the TLS backend reports. With TLS 1.3 a server refuses our certificate, or the lack of one, only when
/// the handshake is over for us, so that it shows here.
fn tls_failure(error: io::Error, stage: Stage) -> Error {
    let text = error.to_string().to_ascii_lowercase();
    if text.contains("unexpected eof") {
        return Error::new(FaultKind::Io, stage, "the server closed the connection").with_source(error);
    }
    if text.contains("alert") && (text.contains("certificate") || text.contains("unknown ca")) {
        return Error::new(FaultKind::Tls, stage, "the server refused the client's side of TLS")
            .with_source(error)
            .with_hint(
                "the server wants a client certificate (tlsCertificateKeyFile), or does not accept the one that it got",
            );
    }
    Error::new(FaultKind::Io, stage, "the TLS channel broke").with_source(error)
}

/// The stream failed within the TLS handshake. A server without TLS just closes it.
pub(super) fn tls_cut_off(error: io::Error, target: &Target<'_>) -> Error {
    let error = overload(network_error(error, Stage::Tls, target.deadline));
    match error.kind() {
        _ if error.is_timeout() => {
            error.with_hint("a server that does not speak TLS on this port (tls=true) may wait for ever")
        }
        ErrorKind::Io(_) if tls::is_atlas(target.host) => error.with_hint(tls::ATLAS_HINT),
        ErrorKind::Io(_) => error.with_hint("does the server speak TLS on this port (tls=true), and TLS 1.2 or later?"),
        _ => error,
    }
}

/// Marks a failure of TCP or of the TLS handshake's input and output: the server may be overloaded, trying again is safe.
pub(super) fn overload(error: Error) -> Error {
    error.with_label(SYSTEM_OVERLOADED_ERROR).with_label(RETRYABLE_ERROR)
}

/// No address of the host could be connected to; without labels.
pub(super) fn connect_failed(failures: Vec<Failed>, deadline: Deadline) -> Error {
    let reasons: Vec<String> = failures.iter().map(reason).take(MAX_REASONS).collect();
    let without_zone = failures.iter().any(|(address, _)| lacks_zone(address));
    let Some((_, cause)) = failures.into_iter().find(|(_, error)| !is_deadline(error)) else {
        return timeout(Stage::Connect, deadline).with_hint(if without_zone { ZONE_HINT } else { LATE_HINT });
    };
    let hint = if without_zone { Some(ZONE_HINT) } else { hint(&cause) };
    let error = Error::new(FaultKind::Io, Stage::Connect, reasons.join(", ")).with_source(cause);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// A link-local address means another machine on each network, so the system does not know which one is meant.
fn lacks_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

/// A Unix socket could not be connected to.
#[cfg(unix)]
pub(super) fn unix_failed(error: io::Error, path: &Path, deadline: Deadline) -> Error {
    if is_deadline(&error) {
        return overload(timeout(Stage::Connect, deadline));
    }
    let failed = |message: String| Error::new(FaultKind::Io, Stage::Connect, message);
    let path = path.display();
    let known = match error.kind() {
        io::ErrorKind::NotFound => failed(format!("there is no socket {path}"))
            .with_hint("is the server running, and does its unixSocketPrefix name this folder?"),
        io::ErrorKind::ConnectionRefused => failed(format!("no process listens on the socket {path}"))
            .with_hint("the file may be left over from a server that is gone"),
        io::ErrorKind::PermissionDenied => failed(format!("this user may not connect to the socket {path}"))
            .with_hint("the server sets the socket's permissions by filePermissions (0700 by default)"),
        io::ErrorKind::InvalidInput => failed(format!("the socket's path {path} is too long for this system")),
        _ => failed(format!("the socket {path} could not be connected to")),
    };
    overload(known.with_source(error))
}

fn timeout(stage: Stage, deadline: Deadline) -> Error {
    let what = match stage {
        Stage::Connect => "before the server accepted the connection",
        Stage::Tls => "before the TLS handshake was complete",
        _ => "before the server had answered",
    };
    deadline.ran_out(stage, format!("{} ran out {what}", deadline.name()))
}

/// Whether the deadline passed; a time limit of the system's own has a code.
pub(super) fn is_deadline(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// In our own words, since the first error is the cause and says the system's.
fn reason((address, error): &Failed) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by {address}"),
        io::ErrorKind::TimedOut => format!("no answer in time by {address}"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => format!("no route to {address}"),
        io::ErrorKind::AddrNotAvailable => format!("no local address or port is left for a connection to {address}"),
        io::ErrorKind::PermissionDenied => format!("this system does not permit a connection to {address}"),
        _ if is_out_of_files(error) => format!("too many files are open for a connection to {address}"),
        _ => format!("{address} could not be connected to"),
    }
}

/// EMFILE or ENFILE, WSAEMFILE on Windows; the standard library has no kind for them.
fn is_out_of_files(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[10024] } else { &[24, 23] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(
            "nothing listens there: is the server running, on this port, and on this address (net.bindIp is 127.0.0.1 by default)?",
        ),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Some("is the network (or the VPN) up?")
        }
        io::ErrorKind::AddrNotAvailable => Some("this machine may have run out of local ports"),
        io::ErrorKind::PermissionDenied => Some("a local firewall or sandbox forbids it"),
        _ if is_out_of_files(error) => Some("the system limits how many files a process may have open (ulimit -n)"),
        _ => None,
    }
}

const ZONE_HINT: &str = "a link-local address (fe80::/10) needs a zone, which names the network interface: [fe80::1%25eth0] in a \
     connection string, fe80::1%eth0 in code";
const LATE_HINT: &str =
    "a firewall may be dropping the packets, or the host is down; on Atlas, check the IP access list";
/// How many addresses an error names.
const MAX_REASONS: usize = 4;
