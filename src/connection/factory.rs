//! Makes connections: what a client needs for that, made once and shared by the pools of all its servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocumentBuf;
use bson::oid::ObjectId;

use super::{Connection, StreamedCheck};
use crate::auth::AuthTarget;
use crate::certificate::{NO_CLIENT_CERTIFICATE_HINT, PresentedCertificate};
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::description::{ServerDescription, TopologyVersion};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::handshake::{AfterHello, Handshake, HelloFor};
use crate::options::{ClientSettings, DriverInfo, ServerAddress, TlsSettings};
use crate::system::System;
use crate::tls::Connector;
use crate::transport::{Route, ShutdownHandle, Supervisor, Transport, WaitObserver};
use crate::warning::{Warning, WarningSink};

/// The way to servers, the TLS context, the handshake with its credential, and the time limits of a client. It names no server.
#[derive(Debug)]
pub(crate) struct ConnectionFactory {
    system: Arc<dyn System>,
    route: Route,
    tls: Option<Connector>,
    handshake: Handshake,
    /// Whether TLS verifies the server's certificate and its name.
    verified: bool,
    connect_timeout: Duration,
    socket_timeout: Option<Duration>,
    timeout: Option<Duration>,
    asks_a_person: bool,
}

/// A connection whose hello was answered, and that is not authenticated yet.
#[derive(Debug)]
pub(crate) struct OpenedConnection {
    connection: Connection,
    /// How long the hello took.
    round_trip_time: Duration,
    /// The reply to hello. It may hold the start of an authentication.
    reply: RawDocumentBuf,
    after_hello: AfterHello,
}

impl OpenedConnection {
    /// What the server reported about itself.
    pub(crate) fn hello(&self) -> &Arc<ServerDescription> {
        &self.connection.description
    }

    /// How long the hello took.
    pub(crate) fn round_trip_time(&self) -> Duration {
        self.round_trip_time
    }

    /// The service behind a load balancer.
    pub(crate) fn service_id(&self) -> Option<ObjectId> {
        self.after_hello.hello.service_id
    }

    /// The number that the server gave it.
    pub(crate) fn server_connection_id(&self) -> Option<i64> {
        self.after_hello.hello.connection_id
    }

    /// The server's reply, without the start of an authentication that may have come with it.
    pub(crate) fn reply(&self) -> RawDocumentBuf {
        let mut shown = RawDocumentBuf::new();
        for (name, value) in self.reply.iter().flatten().filter(|(name, _)| name.as_str() != "speculativeAuthenticate")
        {
            shown.append(name, value);
        }
        shown
    }

    /// A handle that ends it from another thread.
    pub(crate) fn shutdown_handle(&self) -> ShutdownHandle {
        self.connection.shutdown_handle()
    }

    /// From now on this is told of long waits.
    pub(crate) fn set_wait_observer(&mut self, observer: Arc<dyn WaitObserver>) {
        self.connection.transport.set_wait_observer(observer);
    }

    /// Whether something went wrong on it, or it was closed from this side.
    pub(crate) fn is_broken(&self) -> bool {
        self.connection.is_broken()
    }

    /// Whether the server sends another answer to a check of itself, which is all that it is good for.
    pub(crate) fn has_more_to_come(&self) -> bool {
        self.connection.has_more_to_come()
    }

    /// The connection itself, to send the command of a check on it.
    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection, which is never authenticated then.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }
}

impl ConnectionFactory {
    /// Validates the options that concern connections, and reads the files that they name.
    pub(crate) fn new(options: &ClientSettings, system: &Arc<dyn System>) -> Result<ConnectionFactory> {
        let handshake = Handshake::new(options, system)?;
        let warnings = WarningSink::new(options.warning_handler().cloned());
        let tls = options.tls.as_ref().map(|tls| Connector::new(tls, system, &warnings)).transpose()?;
        Ok(ConnectionFactory {
            system: system.clone(),
            route: Route::of(options),
            tls,
            handshake,
            verified: options.tls.as_ref().is_some_and(TlsSettings::is_verified),
            connect_timeout: options.connect_timeout(),
            socket_timeout: options.socket_timeout(),
            timeout: options.timeout(),
            asks_a_person: options.credential().is_some_and(Credential::asks_a_person),
        })
    }

    /// What the client's parts know the machine by.
    #[cfg(feature = "srv")]
    pub(crate) fn system(&self) -> &Arc<dyn System> {
        &self.system
    }

    /// The factory of a child of this process, made of the same options.
    pub(crate) fn of_child(&self, options: &ClientSettings) -> Result<ConnectionFactory> {
        let child = ConnectionFactory::new(options, &self.system)?;
        child.handshake.take_over_metadata(&self.handshake);
        Ok(child)
    }

    /// Connects to a server for an operation, and says hello.
    ///
    /// The name look-up, TCP and TLS together have `connectTimeoutMS`; none of it outlives `deadline`. Errors name the stage, the
    /// server, and the time it took. The supervisor may end it.
    pub(crate) fn open(
        &self,
        address: &ServerAddress,
        purpose: HelloFor,
        deadline: Deadline,
        supervisor: &Supervisor<'_>,
    ) -> Result<OpenedConnection> {
        let began = Instant::now();
        let connecting = self.connect_deadline(deadline);
        let transport = Transport::connect(address, &self.route, self.tls.as_ref(), connecting, Some(supervisor))?;
        let connection = Connection::new(transport, address);
        self.say_hello(connection, purpose, (began, connecting, deadline), &|| self.command_deadline(deadline))
    }

    /// Connects to a server for a check, and says hello. Connecting has `connectTimeoutMS`, and hello has it once more.
    pub(crate) fn open_for_check(
        &self,
        address: &ServerAddress,
        purpose: HelloFor,
        supervisor: &Supervisor<'_>,
    ) -> Result<OpenedConnection> {
        let began = Instant::now();
        let connecting = self.check_deadline();
        let transport = Transport::connect(address, &self.route, self.tls.as_ref(), connecting, Some(supervisor))?;
        let connection = Connection::new(transport, address);
        self.say_hello(connection, purpose, (began, connecting, Deadline::NEVER), &|| self.check_deadline())
    }

    /// `times`: when connecting began and when it must end, and the operation; `step`: when a command that is sent now must have
    /// its reply.
    fn say_hello(
        &self,
        mut connection: Connection,
        purpose: HelloFor,
        times: (Instant, Deadline, Deadline),
        step: &dyn Fn() -> Deadline,
    ) -> Result<OpenedConnection> {
        let (began, connecting, deadline) = times;
        let (address, presented) = (connection.address.clone(), connection.transport.presented().cloned());
        let target = self.target(host(&address), presented.as_ref(), connecting, deadline);
        let (mut said, mut round_trip_time) = (None, Duration::ZERO);
        let answered = self.handshake.say_hello(purpose, &target, &mut |database, command| {
            let sent = Instant::now();
            let reply = connection.send_handshake_command(database, command, step())?;
            round_trip_time = sent.elapsed();
            said = Some(reply.clone());
            Ok(reply)
        });
        match answered {
            Ok(after_hello) => {
                connection.introduced(&after_hello.hello);
                let reply = said.unwrap_or_default();
                // Checks neither tell nor learn the time of the cluster.
                if purpose == (HelloFor::Operation { speculate: true }) {
                    connection.keep_cluster_time(&reply);
                }
                Ok(OpenedConnection { connection, round_trip_time, reply, after_hello })
            }
            Err(error) => {
                Err(self.hint_at_tls(error, presented.as_ref()).with_address(&address).with_elapsed(began.elapsed()))
            }
        }
    }

    /// Authenticates a connection that has said hello, and gives it its number in its pool.
    pub(crate) fn authenticate(&self, opened: OpenedConnection, id: u64, deadline: Deadline) -> Result<Connection> {
        let began = Instant::now();
        let OpenedConnection { mut connection, after_hello, .. } = opened;
        let (address, presented) = (connection.address.clone(), connection.transport.presented().cloned());
        let target = self.target(host(&address), presented.as_ref(), self.connect_deadline(deadline), deadline);
        let outcome = self.handshake.authenticate(after_hello, &target, &mut |database, command| {
            connection
                .send_handshake_command(database, command, self.command_deadline(deadline))
                .inspect(|reply| connection.keep_cluster_time(reply))
        });
        match outcome {
            Ok(login) => {
                connection.establish(login, id);
                Ok(connection)
            }
            Err(error) => {
                Err(self.hint_at_tls(error, presented.as_ref()).with_address(&address).with_elapsed(began.elapsed()))
            }
        }
    }

    /// Checks a server on a connection that has said hello before.
    pub(crate) fn check(
        &self,
        connection: &mut Connection,
        limit: Deadline,
    ) -> Result<(Arc<ServerDescription>, RawDocumentBuf, Duration)> {
        let command = self.handshake.check_command(connection.description.hello_ok);
        connection.check(&command, limit)
    }

    /// As [`check`](Self::check). Until it ends, a long wait is reported to `observer` in place of the connection's own observer.
    pub(crate) fn check_observed(
        &self,
        connection: &mut Connection,
        limit: Deadline,
        observer: Arc<dyn WaitObserver>,
    ) -> Result<(Arc<ServerDescription>, RawDocumentBuf, Duration)> {
        let usual = connection.transport.replace_wait_observer(Some(observer));
        let outcome = self.check(connection, limit);
        connection.transport.replace_wait_observer(usual);
        outcome
    }

    /// Has a server checked on a connection that has said hello before, so that it answers when its view of itself is another than
    /// this, or after `most`. It may go on answering of itself then.
    pub(crate) fn start_stream(
        &self,
        connection: &mut Connection,
        known: TopologyVersion,
        most: Duration,
    ) -> Result<StreamedCheck> {
        let command = self.handshake.awaiting_check_command(connection.description.hello_ok, known, most);
        connection.start_stream(&command, self.stream_deadline(most))
    }

    /// The next answer of a server that goes on answering.
    pub(crate) fn next_in_stream(&self, connection: &mut Connection, most: Duration) -> Result<StreamedCheck> {
        connection.next_in_stream(self.stream_deadline(most))
    }

    /// When an answer that the server may keep back for `most` must be there.
    fn stream_deadline(&self, most: Duration) -> Deadline {
        Deadline::after(self.check_limit().saturating_add(most)).named("connectTimeoutMS and heartbeatFrequencyMS")
    }

    /// Whether the process runs in a function service, which may suspend it between two calls.
    pub(crate) fn in_function_service(&self) -> bool {
        self.handshake.in_function_service()
    }

    /// When a step of a check that begins now must end: `connectTimeoutMS`, whatever an operation's limit is.
    pub(crate) fn check_deadline(&self) -> Deadline {
        Deadline::after(self.check_limit()).named("connectTimeoutMS")
    }

    /// How long a step of a check may take.
    fn check_limit(&self) -> Duration {
        if self.connect_timeout.is_zero() { CHECK_LIMIT } else { self.connect_timeout }
    }

    /// Authenticates once more, because the server asks for it. A connection on which that fails is not used again.
    pub(crate) fn reauthenticate(&self, connection: &mut Connection, deadline: Deadline) -> Result<()> {
        let began = Instant::now();
        let (address, presented) = (connection.address.clone(), connection.transport.presented().cloned());
        let mut login = std::mem::take(&mut connection.login);
        let target = self.target(host(&address), presented.as_ref(), self.connect_deadline(deadline), deadline);
        let outcome = self.handshake.reauthenticate(&target, &mut login, &mut |database, command| {
            connection
                .send_handshake_command(database, command, self.command_deadline(deadline))
                .inspect(|reply| connection.keep_cluster_time(reply))
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

    /// A server that expects TLS closes a plain connection without a reply, and one that expects a certificate does the same to
    /// a client that has none.
    fn hint_at_tls(&self, error: Error, presented: Option<&PresentedCertificate>) -> Error {
        let tls = self.tls.is_some();
        match (error.stage(), error.kind(), error.hint()) {
            // With TLS 1.3 a server refuses a certificate when the handshake is over for the client.
            (_, ErrorKind::Tls { .. }, _) | (Stage::Hello, ErrorKind::Io(_), None) if tls && presented.is_some() => {
                let hint = presented.map(|presented| presented.refusal_hint(self.system.now()));
                error.with_hint(hint.unwrap_or_default())
            }
            (Stage::Hello, ErrorKind::Io(_), None) if tls => error.with_hint(NO_CLIENT_CERTIFICATE_HINT),
            (Stage::Hello, ErrorKind::Io(_), None) => error.with_hint("does the server want TLS (tls=true)?"),
            _ => error,
        }
    }

    /// When the connecting that begins now must end.
    fn connect_deadline(&self, operation: Deadline) -> Deadline {
        Deadline::after(self.connect_timeout).named("connectTimeoutMS").earliest(operation)
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
            (None, None) => Deadline::after(self.connect_timeout).named("connectTimeoutMS"),
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

/// The limit on a step of a check where `connectTimeoutMS` is 0: an operation may wait for ever if it wants to, and a check would
/// never be made again.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
