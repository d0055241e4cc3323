//! Makes connections: what a client needs for that, made once and shared by the pools of all its servers.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Connection;
use crate::auth::AuthTarget;
use crate::certificate::{NO_CLIENT_CERTIFICATE_HINT, PresentedCertificate};
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::handshake::Handshake;
use crate::options::{ClientOptions, DriverInfo, ServerAddress, TlsOptions};
use crate::system::{RealSystem, System};
use crate::tls::Connector;
use crate::transport::{Route, ShutdownHandle, Transport};
use crate::warning::{Warning, WarningSink};

/// The way to servers, the TLS context, the handshake with its credential, and the time limits of a client. It names no server.
#[derive(Debug)]
pub(crate) struct ConnectionFactory {
    route: Route,
    tls: Option<Connector>,
    handshake: Handshake,
    /// Whether TLS verifies the server's certificate and its name.
    verified: bool,
    /// The limit on connecting, and the option that sets it.
    connect_timeout: (Duration, &'static str),
    socket_timeout: Option<Duration>,
    timeout: Option<Duration>,
    asks_a_person: bool,
}

impl ConnectionFactory {
    /// Validates the options that concern connections, and reads the files that they name.
    pub(crate) fn new(options: &ClientOptions) -> Result<ConnectionFactory> {
        let system: Arc<dyn System> = Arc::new(RealSystem);
        let handshake = Handshake::new(options, &system)?;
        let warnings = WarningSink::new(options.warning_handler.clone());
        let tls = options.tls.as_ref().map(|tls| Connector::new(tls, &warnings)).transpose()?;
        Ok(ConnectionFactory {
            route: Route::of(options),
            tls,
            handshake,
            verified: options.tls.as_ref().is_some_and(TlsOptions::is_verified),
            connect_timeout: shorter(options.connect_timeout, options.server_selection_timeout),
            socket_timeout: options.socket_timeout,
            timeout: options.timeout,
            asks_a_person: options.credential().is_some_and(Credential::asks_a_person),
        })
    }

    /// Connects to a server, says hello and authenticates. `id` is the connection's number in its pool.
    ///
    /// The name look-up, TCP and TLS together have `connectTimeoutMS`; none of it outlives `deadline`. Errors name the
    /// stage, the server, and the time it took. `opened` gets a handle that can end the handshake from another thread.
    pub(crate) fn connect(
        &self,
        address: &ServerAddress,
        id: u64,
        deadline: Deadline,
        opened: impl FnOnce(ShutdownHandle),
    ) -> Result<Connection> {
        let began = Instant::now();
        let connecting = self.connect_deadline(deadline);
        let transport = Transport::connect(address, &self.route, self.tls.as_ref(), connecting)?;
        opened(transport.shutdown_handle());
        let presented = transport.presented().cloned();
        let mut connection = Connection::new(transport, address, id);
        let target = self.target(host(address), presented.as_ref(), connecting, deadline);
        let established = self.handshake.run(&target, &mut |database, command| {
            connection.send_handshake_command(database, command, self.command_deadline(deadline))
        });
        match established {
            Ok(established) => {
                connection.establish(established);
                Ok(connection)
            }
            Err(error) => Err(hint_at_tls(error, self.tls.is_some(), presented.as_ref())
                .with_address(address)
                .with_elapsed(began.elapsed())),
        }
    }

    /// Authenticates once more, because the server asks for it. A connection on which that fails is not used again.
    pub(crate) fn reauthenticate(&self, connection: &mut Connection, deadline: Deadline) -> Result<()> {
        let began = Instant::now();
        let (address, presented) = (connection.address.clone(), connection.transport.presented().cloned());
        let mut login = std::mem::take(&mut connection.login);
        let target = self.target(host(&address), presented.as_ref(), self.connect_deadline(deadline), deadline);
        let outcome = self.handshake.reauthenticate(&target, &mut login, &mut |database, command| {
            connection.send_handshake_command(database, command, self.command_deadline(deadline))
        });
        connection.login = login;
        outcome.map_err(|error| {
            connection.broken = true;
            connection.complete(error, began)
        })
    }

    /// Whether there is a credential, so that every connection except an arbiter's is authenticated.
    pub(crate) fn authenticates(&self) -> bool {
        self.handshake.authenticates()
    }

    /// Whether authentication may have to wait for a person.
    pub(crate) fn asks_a_person(&self) -> bool {
        self.asks_a_person
    }

    /// Warnings about the files that the options name.
    pub(crate) fn warnings(&self) -> &[Warning] {
        self.tls.as_ref().map(Connector::warnings).unwrap_or_default()
    }

    /// Adds the metadata of a library that wraps this one, for connections that are made from now on.
    pub(crate) fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.handshake.append_metadata(info)
    }

    /// The client is closed: ends what authentication waits for, other than the server.
    pub(crate) fn close(&self) {
        self.handshake.close();
    }

    fn target<'a>(
        &'a self,
        host: &'a str,
        presented: Option<&'a PresentedCertificate>,
        connecting: Deadline,
        deadline: Deadline,
    ) -> AuthTarget<'a> {
        AuthTarget {
            host,
            deadline,
            step_deadline: self.command_deadline(deadline),
            connect_deadline: connecting,
            verified: self.verified,
            presented,
        }
    }

    /// When the connecting that begins now must end.
    fn connect_deadline(&self, operation: Deadline) -> Deadline {
        let (limit, name) = self.connect_timeout;
        Deadline::after(limit).named(name).earliest(operation)
    }

    /// When one command of the handshake must end. With `timeoutMS` it is the operation's own deadline (or, for a connection
    /// that no operation waits for, that time anew for each command); without it, `socketTimeoutMS`, or else
    /// `connectTimeoutMS`, so that nothing waits without limit unless the options ask for that.
    ///
    /// While a person was asked, the operation's deadline may have passed. The token is worth keeping all the same, so each
    /// command of such an authentication has `timeoutMS` anew, too.
    fn command_deadline(&self, operation: Deadline) -> Deadline {
        let own = match (self.timeout, self.socket_timeout) {
            (Some(limit), _) if self.asks_a_person => return Deadline::after(limit).named("timeoutMS"),
            (Some(_), _) if operation.instant().is_some() => return operation,
            (Some(limit), _) => Deadline::after(limit).named("timeoutMS"),
            (None, Some(limit)) => Deadline::after(limit).named("socketTimeoutMS"),
            (None, None) => Deadline::after(self.connect_timeout.0).named(self.connect_timeout.1),
        };
        own.earliest(operation)
    }
}

/// The server's name without a port; for a Unix socket, its path.
fn host(address: &ServerAddress) -> &str {
    match address {
        ServerAddress::Tcp { host, .. } => host,
        ServerAddress::Unix { path } => path.to_str().unwrap_or_default(),
    }
}

/// Connecting is how a server is selected here, so it has no longer than `serverSelectionTimeoutMS`. Zero means no limit.
fn shorter(connect: Duration, selection: Duration) -> (Duration, &'static str) {
    let selection_is_shorter = !selection.is_zero() && (connect.is_zero() || selection < connect);
    if selection_is_shorter { (selection, "serverSelectionTimeoutMS") } else { (connect, "connectTimeoutMS") }
}

/// A server that expects TLS closes a plain connection without a reply, and one that expects a certificate does the same to
/// a client that has none.
fn hint_at_tls(error: Error, tls: bool, presented: Option<&PresentedCertificate>) -> Error {
    match (error.stage(), error.kind(), error.hint()) {
        // With TLS 1.3 a server refuses a certificate when the handshake is over for the client.
        (_, ErrorKind::Tls, _) | (Stage::Hello, ErrorKind::Io, None) if tls && presented.is_some() => {
            let hint = presented.map(|presented| presented.refusal_hint(SystemTime::now()));
            error.with_hint(hint.unwrap_or_default())
        }
        (Stage::Hello, ErrorKind::Io, None) if tls => error.with_hint(NO_CLIENT_CERTIFICATE_HINT),
        (Stage::Hello, ErrorKind::Io, None) => error.with_hint("does the server want TLS (tls=true)?"),
        _ => error,
    }
}
