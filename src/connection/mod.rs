//! One connection to a server: made ready in one go, then one command after the other.
//!
//! [`Connection::establish`] is name look-up, TCP, TLS, hello and authentication. [`Connection::run`] is one write and, in
//! the common case, one read. A connection is `broken` from the moment a command goes out until its reply has arrived
//! whole and fits, so whatever goes wrong in between, it is not used again.

mod line;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf};

use crate::auth::{AuthTarget, LoginState};
use crate::certificate::PresentedCertificate;
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::description::ServerDescription;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::event::ConnectionInfo;
use crate::handshake::{Form, Handshake, Handshaken};
use crate::options::{ClientOptions, ServerAddress, TlsOptions};
use crate::system::{RealSystem, System};
use crate::tls::Connector;
pub(crate) use crate::transport::ShutdownHandle;
use crate::transport::Transport;
use crate::warning::{Warning, WarningSink};
use crate::wire::{Message, Reply};

use line::Line;

/// What a client keeps for making connections to a server.
#[derive(Debug)]
pub(crate) struct Setup {
    address: ServerAddress,
    tls: Option<Connector>,
    handshake: Handshake,
    /// Whether TLS checks the server in full.
    verified: bool,
    connect_timeout: Duration,
    socket_timeout: Option<Duration>,
    timeout: Option<Duration>,
    /// Whether a login may have to wait for a person.
    asks_a_person: bool,
}

/// A connection that is ready for commands.
#[derive(Debug)]
pub(crate) struct Connection {
    line: Line,
    info: ConnectionInfo,
    description: ServerDescription,
    login: LoginState,
    /// The certificate of ours that the server got to see, where TLS can tell.
    presented: Option<PresentedCertificate>,
    generation: u64,
}

impl Setup {
    /// Judges the options that concern connections, and reads the files that they name.
    pub(crate) fn new(address: ServerAddress, options: &ClientOptions) -> Result<Setup> {
        let system: Arc<dyn System> = Arc::new(RealSystem);
        let handshake = Handshake::new(options, &system)?;
        let alarm = WarningSink::new(options.warning_handler.clone());
        let tls = options.tls.as_ref().map(|tls| Connector::new(tls, &alarm)).transpose()?;
        Ok(Setup {
            address,
            tls,
            handshake,
            verified: options.tls.as_ref().is_some_and(TlsOptions::is_verified),
            connect_timeout: shorter(options.connect_timeout, options.server_selection_timeout),
            socket_timeout: options.socket_timeout,
            timeout: options.timeout,
            asks_a_person: options.credential().is_some_and(Credential::asks_a_person),
        })
    }

    /// The server.
    pub(crate) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// The server's name, without a port.
    fn host(&self) -> &str {
        match &self.address {
            ServerAddress::Tcp { host, .. } => host,
            ServerAddress::Unix { path } => path.to_str().unwrap_or_default(),
        }
    }

    /// Whether a login may have to wait for a person.
    pub(crate) fn asks_a_person(&self) -> bool {
        self.asks_a_person
    }

    /// What deserves a second look about the files that the options name.
    pub(crate) fn warnings(&self) -> &[Warning] {
        self.tls.as_ref().map(Connector::warnings).unwrap_or_default()
    }

    /// The server, as a login may know it that has shown it this certificate of ours.
    fn target<'a>(
        &'a self,
        presented: Option<&'a PresentedCertificate>,
        connecting: Deadline,
        deadline: Deadline,
    ) -> AuthTarget<'a> {
        AuthTarget {
            host: self.host(),
            deadline,
            step_deadline: self.command_deadline(deadline),
            connect_deadline: connecting,
            verified: self.verified,
            presented,
        }
    }

    /// Who the client says it is.
    pub(crate) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Until when a connection that is begun now must be made.
    fn connect_deadline(&self, operation: Deadline) -> Deadline {
        Deadline::after(self.connect_timeout).named("connectTimeoutMS").earliest(operation)
    }

    /// Until when one command of the handshake must be through. With `timeoutMS` it is the operation's own deadline (or,
    /// for a connection that no operation waits for, that time anew for each command); without it, `socketTimeoutMS`,
    /// or else `connectTimeoutMS`, so that nothing waits for ever unless it was told to.
    ///
    /// While a person was asked the operation's deadline may have passed. What comes of that is worth keeping: each command
    /// of such a login has `timeoutMS` anew, too.
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

impl Connection {
    /// Connects, says hello and logs in. `id` is the connection's number in its pool.
    ///
    /// The name look-up, TCP and TLS together have `connectTimeoutMS`; none of it outlives `deadline`. Errors name the
    /// stage, the server, and the time it took. `opened` gets what can end the handshake from another thread.
    pub(crate) fn establish(
        setup: &Setup,
        id: u64,
        deadline: Deadline,
        opened: impl FnOnce(ShutdownHandle),
    ) -> Result<Connection> {
        let began = Instant::now();
        let connecting = setup.connect_deadline(deadline);
        let stream = Transport::connect(&setup.address, setup.tls.as_ref(), connecting)?;
        opened(stream.closer());
        let tls = stream.facts().cloned();
        let presented = stream.presented().cloned();
        let mut line = Line::new(stream);
        let exchange = &mut |form, database: &str, body: &RawDocument| {
            exchange(&mut line, form, database, body, setup.command_deadline(deadline))
        };
        let target = setup.target(presented.as_ref(), connecting, deadline);
        let Handshaken { hello, login } = setup.handshake.run(&target, exchange).map_err(|error| {
            hint_at_tls(error, setup.tls.is_some()).with_address(&setup.address).with_elapsed(began.elapsed())
        })?;
        line.handshake_is_over(hello.description.max_message_size_bytes);
        let info = ConnectionInfo {
            address: setup.address.to_string(),
            id,
            server_connection_id: hello.connection_id,
            service_id: hello.service_id,
            tls,
        };
        Ok(Connection { line, info, description: hello.description, login, presented, generation: 0 })
    }

    /// Logs in once more, because the server asks for it. A connection on which that fails is not used again.
    pub(crate) fn reauthenticate(&mut self, setup: &Setup, deadline: Deadline) -> Result<()> {
        let began = Instant::now();
        let Connection { line, login, presented, .. } = self;
        let exchange = &mut |form, database: &str, body: &RawDocument| {
            exchange(line, form, database, body, setup.command_deadline(deadline))
        };
        let target = setup.target(presented.as_ref(), setup.connect_deadline(deadline), deadline);
        let outcome = setup.handshake.reauthenticate(&target, login, exchange);
        outcome.map_err(|error| {
            self.line.give_up();
            self.complete(error, began)
        })
    }

    /// Runs a command and waits for its reply, which may say `ok: 0`.
    pub(crate) fn run(&mut self, message: &Message<'_>, deadline: Deadline) -> Result<Reply> {
        let began = Instant::now();
        self.line.run(message, deadline).map_err(|error| self.complete(error, began))
    }

    /// Sends a command that gets no reply.
    pub(crate) fn send(&mut self, message: &Message<'_>, deadline: Deadline) -> Result<()> {
        let began = Instant::now();
        self.line.send(message, deadline).map_err(|error| self.complete(error, began))
    }

    /// The number that the next message will have.
    pub(crate) fn next_request_id(&self) -> i32 {
        self.line.next_request_id()
    }

    /// Gives the buffer of a spent reply back, for the next long one.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        self.line.recycle(buffer);
    }

    /// Lets go of large buffers before the connection is left idle.
    pub(crate) fn rest(&mut self) {
        self.line.rest();
    }

    /// Whether something went wrong in mid-command, so that it must not be used again.
    pub(crate) fn is_broken(&self) -> bool {
        self.line.is_broken()
    }

    /// Whether the server has neither closed the connection nor sent something unasked. Does not wait.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.line.is_alive()
    }

    /// A handle that ends the connection from another thread.
    pub(crate) fn closer(&self) -> ShutdownHandle {
        self.line.closer()
    }

    /// Which connection it is.
    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// What the server said of itself.
    pub(crate) fn description(&self) -> &ServerDescription {
        &self.description
    }

    /// The pool's generation that it belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Books it into a generation.
    pub(crate) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    fn complete(&self, error: Error, began: Instant) -> Error {
        error.with_address(&self.info.address).with_elapsed(began.elapsed())
    }
}

/// One round trip of the handshake or of a login.
fn exchange(
    line: &mut Line,
    form: Form,
    database: &str,
    body: &RawDocument,
    deadline: Deadline,
) -> Result<RawDocumentBuf> {
    let outcome = match form {
        Form::Query => line.query(body, deadline),
        Form::Msg => line.run(&Message { database, body, sequence: None, more_to_come: false }, deadline),
    };
    line.wipe_outgoing();
    Ok(outcome?.document().to_owned())
}

/// Connecting is how a server is selected here, so it has no longer than `serverSelectionTimeoutMS`. Zero means no limit.
fn shorter(connect: Duration, selection: Duration) -> Duration {
    match (connect.is_zero(), selection.is_zero()) {
        (false, false) => connect.min(selection),
        (true, _) => selection,
        (_, true) => connect,
    }
}

/// A server that wants TLS closes a plain connection without a word, and one that wants a certificate does the same to a
/// client that has none.
fn hint_at_tls(error: Error, tls: bool) -> Error {
    match (error.stage(), error.kind(), error.hint()) {
        (Stage::Hello, ErrorKind::Io, None) if tls => {
            error.with_hint("does the server want a client certificate? Its log says why it closed the connection")
        }
        (Stage::Hello, ErrorKind::Io, None) => error.with_hint("does the server want TLS (tls=true)?"),
        _ => error,
    }
}
