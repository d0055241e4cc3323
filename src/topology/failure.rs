//! What an error reports about the server that it came from.

use std::error::Error as _;
use std::io;

use bson::oid::ObjectId;
use bson::{RawBsonRef, RawDocument};

use crate::description::TopologyVersion;
use crate::error::{Error, ErrorKind, Stage};
use crate::transport::is_refused_login;

/// A server's report that it cannot serve an operation because of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateChange {
    pub(crate) kind: StateChangeKind,
    /// The server's view of itself when it sent the report.
    pub(crate) topology_version: Option<TopologyVersion>,
}

/// What a [`StateChange`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateChangeKind {
    /// The server is not the primary.
    NotWritablePrimary,
    /// The server can be used neither as primary nor as secondary for now.
    Recovering,
    /// The server is about to end: its connections are of no more use.
    ShuttingDown,
}

impl StateChange {
    /// Reads a reply to any command: its error, or its write concern error. By code, and by message only where there is no
    /// code at all. Errors of single writes are not looked at.
    pub(crate) fn in_reply(reply: &RawDocument) -> Option<Self> {
        let failed = !is_ok(reply);
        let error = if failed { reply } else { reply.get("writeConcernError").ok()??.as_document()? };
        let kind = match number(error, "code").filter(|code| *code != 0) {
            Some(code) => StateChangeKind::of_code(code)?,
            None => StateChangeKind::of_message(error.get_str("errmsg").or_else(|_| error.get_str("$err")).ok()?)?,
        };
        Some(StateChange { kind, topology_version: topology_version(reply) })
    }
}

impl StateChangeKind {
    fn of_code(code: i64) -> Option<Self> {
        match code {
            INTERRUPTED_AT_SHUTDOWN | SHUTDOWN_IN_PROGRESS => Some(StateChangeKind::ShuttingDown),
            INTERRUPTED_DUE_TO_REPL_STATE_CHANGE | NOT_PRIMARY_OR_SECONDARY | PRIMARY_STEPPED_DOWN => {
                Some(StateChangeKind::Recovering)
            }
            NOT_WRITABLE_PRIMARY | NOT_PRIMARY_NO_SECONDARY_OK | LEGACY_NOT_PRIMARY => {
                Some(StateChangeKind::NotWritablePrimary)
            }
            _ => None,
        }
    }

    fn of_message(message: &str) -> Option<Self> {
        if message.contains("not master or secondary") || message.contains("node is recovering") {
            return Some(StateChangeKind::Recovering);
        }
        message.contains("not master").then_some(StateChangeKind::NotWritablePrimary)
    }
}

/// Whether an error before the end of the handshake is about the server at all. What happens on this side, and what another
/// service than MongoDB answered, is not.
pub(super) fn concerns_server(error: &Error) -> bool {
    let here = matches!(
        error.stage(),
        Stage::ConnectionString
            | Stage::Options
            | Stage::ServerSelection
            | Stage::CheckOut
            | Stage::Http
            | Stage::Encode
    );
    !here && !matches!(error.kind(), ErrorKind::Shutdown | ErrorKind::Pool { .. } | ErrorKind::InvalidArgument { .. })
}

/// Whether an established connection broke, so that the server's others are likely to be broken too. A time limit that ran
/// out is no such sign: the server may be slow with one command.
pub(super) fn is_broken_connection(error: &Error) -> bool {
    let broken = matches!(
        error.kind(),
        ErrorKind::Io(_) | ErrorKind::ProxyConnect { .. } | ErrorKind::DnsResolve { .. } | ErrorKind::Tls { .. }
    );
    broken && !error.is_timeout()
}

/// What waiting can do about an error that keeps a server from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// The server may come back, or another one take its place.
    MayChange,
    /// The host is there and nothing listens, or there is no such host: likely a slip in the address, unless it is one of
    /// several.
    NothingThere,
    /// A certificate, a login (at the server or at a proxy) or a wire version was refused. Nothing changes by waiting.
    Final,
}

impl Prospect {
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Authentication { .. }
            | ErrorKind::NotSupported { .. }
            | ErrorKind::IncompatibleServer { .. } => Prospect::Final,
            // The proxy is the same for every server, and its users do not change by waiting.
            ErrorKind::ProxyConnect { .. } if is_refused_login(error) => Prospect::Final,
            // The handshake of a server that refuses strangers by their address ends like this; so does a restart.
            ErrorKind::Tls { .. } if error.message().starts_with("no common TLS") => {
                let reason = error.message().to_ascii_lowercase();
                if reason.contains("certificate") || reason.contains("unknown ca") {
                    Prospect::Final
                } else {
                    Prospect::MayChange
                }
            }
            ErrorKind::Tls { .. } => Prospect::Final,
            // Containers often start before their name server does.
            ErrorKind::DnsResolve { .. } => match error.source().map(ToString::to_string) {
                Some(cause) if TEMPORARY.iter().any(|words| cause.contains(words)) => Prospect::MayChange,
                Some(_) => Prospect::NothingThere,
                None if error.message().ends_with("has no address") => Prospect::NothingThere,
                // It was not asked for: too many look-ups wait already.
                None => Prospect::MayChange,
            },
            ErrorKind::Io(_) if error.stage() == Stage::Connect => {
                match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind) {
                    Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Prospect::NothingThere,
                    _ => Prospect::MayChange,
                }
            }
            _ => Prospect::MayChange,
        }
    }
}

fn is_ok(reply: &RawDocument) -> bool {
    match reply.get("ok") {
        Ok(Some(RawBsonRef::Double(ok))) => ok == 1.0,
        Ok(Some(RawBsonRef::Int32(ok))) => ok == 1,
        Ok(Some(RawBsonRef::Int64(ok))) => ok == 1,
        Ok(Some(RawBsonRef::Boolean(ok))) => ok,
        _ => false,
    }
}

fn topology_version(reply: &RawDocument) -> Option<TopologyVersion> {
    let version = reply.get_document("topologyVersion").ok()?;
    let process_id: ObjectId = version.get_object_id("processId").ok()?;
    Some(TopologyVersion { process_id, counter: number(version, "counter")? })
}

fn number(document: &RawDocument, name: &str) -> Option<i64> {
    match document.get(name).ok()?? {
        RawBsonRef::Int32(value) => Some(value.into()),
        RawBsonRef::Int64(value) => Some(value),
        RawBsonRef::Double(value) if value.fract() == 0.0 => Some(value as i64),
        _ => None,
    }
}

/// How resolvers tell that no name server has answered (EAI_AGAIN, WSATRY_AGAIN): glibc and macOS, musl, Windows.
const TEMPORARY: [&str; 3] = ["emporary failure", "Try again", "emporary error"];
const INTERRUPTED_AT_SHUTDOWN: i64 = 11600;
const INTERRUPTED_DUE_TO_REPL_STATE_CHANGE: i64 = 11602;
const NOT_PRIMARY_OR_SECONDARY: i64 = 13436;
const PRIMARY_STEPPED_DOWN: i64 = 189;
const SHUTDOWN_IN_PROGRESS: i64 = 91;
const NOT_WRITABLE_PRIMARY: i64 = 10107;
const NOT_PRIMARY_NO_SECONDARY_OK: i64 = 13435;
const LEGACY_NOT_PRIMARY: i64 = 10058;

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::error::FaultKind;

    fn kind(reply: RawDocumentBuf) -> Option<StateChangeKind> {
        StateChange::in_reply(&reply).map(|change| change.kind)
    }

    #[test]
    fn the_code_decides_wherever_there_is_one() {
        let message = "not master";
        assert_eq!(kind(rawdoc! { "ok": 0, "code": 91, "errmsg": message }), Some(StateChangeKind::ShuttingDown));
        assert_eq!(kind(rawdoc! { "ok": 0, "code": 189_i64, "errmsg": message }), Some(StateChangeKind::Recovering));
        assert_eq!(kind(rawdoc! { "ok": 0, "code": 10107.0 }), Some(StateChangeKind::NotWritablePrimary));
        assert_eq!(kind(rawdoc! { "ok": 0, "code": 2, "errmsg": message }), None);
    }

    #[test]
    fn the_message_decides_where_there_is_no_code() {
        let message = |text: &str| kind(rawdoc! { "ok": 0, "errmsg": text });
        assert_eq!(message("not master or secondary; cannot read"), Some(StateChangeKind::Recovering));
        assert_eq!(message("node is recovering"), Some(StateChangeKind::Recovering));
        assert_eq!(message("not master"), Some(StateChangeKind::NotWritablePrimary));
        assert_eq!(message("out of memory"), None);
        assert_eq!(kind(rawdoc! { "$err": "not master and slaveOk=false" }), Some(StateChangeKind::NotWritablePrimary));
    }

    #[test]
    fn write_concern_errors_count_and_write_errors_do_not() {
        let concern = rawdoc! { "code": 91, "errmsg": "Replication is being shut down" };
        assert_eq!(kind(rawdoc! { "ok": 1, "writeConcernError": concern }), Some(StateChangeKind::ShuttingDown));
        let write = rawdoc! { "index": 0, "code": 10107, "errmsg": "not master" };
        assert_eq!(kind(rawdoc! { "ok": 1, "writeErrors": [write] }), None);
        assert_eq!(kind(rawdoc! { "ok": 1 }), None);
        assert_eq!(kind(rawdoc! { "ok": 1, "writeConcernError": 91 }), None);
    }

    #[test]
    fn what_waiting_can_do_follows_from_the_error() {
        let io =
            |kind: io::ErrorKind| Error::new(FaultKind::Io, Stage::Connect, "x").with_source(io::Error::from(kind));
        let dns = |text: &str| {
            Error::new(FaultKind::DnsResolve, Stage::Dns, "x").with_source(io::Error::other(text.to_owned()))
        };
        let tls = |text: &'static str| Error::new(FaultKind::Tls, Stage::Tls, text);
        let proxy = |text: &'static str| Error::new(FaultKind::ProxyConnect, Stage::Connect, text);
        for (error, prospect) in [
            (io(io::ErrorKind::ConnectionRefused), Prospect::NothingThere),
            (io(io::ErrorKind::NotFound), Prospect::NothingThere),
            (io(io::ErrorKind::HostUnreachable), Prospect::MayChange),
            (dns("Name or service not known"), Prospect::NothingThere),
            (dns("Temporary failure in name resolution"), Prospect::MayChange),
            (dns("failed to lookup address information: Try again"), Prospect::MayChange),
            (tls("the server's certificate was refused"), Prospect::Final),
            (tls("no common TLS: alert internal error"), Prospect::MayChange),
            (tls("no common TLS: tlsv13 alert certificate required"), Prospect::Final),
            (Error::new(FaultKind::Authentication, Stage::Hello, "x"), Prospect::Final),
            (Error::new(FaultKind::Io, Stage::Hello, "x"), Prospect::MayChange),
            (Error::new(FaultKind::TimedOut, Stage::Connect, "x"), Prospect::MayChange),
            (proxy("the SOCKS5 proxy p did not connect: it wants a login"), Prospect::Final),
            (proxy("the SOCKS5 proxy p did not connect: it refused the user name and password"), Prospect::Final),
            (proxy("the SOCKS5 proxy p did not connect: it answered: host unreachable (code 4)"), Prospect::MayChange),
        ] {
            assert_eq!(Prospect::of(&error), prospect, "{error}");
        }
    }

    #[test]
    fn a_malformed_topology_version_counts_as_absent() {
        for version in [rawdoc! {}, rawdoc! { "processId": 1, "counter": 1 }, rawdoc! { "processId": ObjectId::new() }]
        {
            let reply = rawdoc! { "ok": 0, "code": 91, "topologyVersion": version };
            assert_eq!(StateChange::in_reply(&reply).unwrap().topology_version, None);
        }
    }
}
