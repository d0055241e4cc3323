//! The fake server itself: what a test sets, and what it sees afterwards.

use std::fmt::{self, Debug, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bson::Document;
use openssl::ssl::SslAcceptor;

use crate::behaviour::{Behaviours, Handler};
use crate::canned::Answers;
use crate::channel::Counters;
use crate::cr::CrUser;
use crate::failpoint::FailPoint;
use crate::forward::Upstream;
use crate::hello::HelloOverrides;
use crate::router::Router;
use crate::sasl_server::Start;
use crate::script::{Script, lock};
use crate::store::Store;
use crate::users::User;
use crate::wire::Request;

pub use crate::behaviour::{Answer, Behaviour, ScramTamper};
pub use crate::builder::FakeServerBuilder;
pub use crate::sasl_server::{SaslError, SaslReply, SaslServer};
pub use crate::users::Mechanism;
pub use crate::wire::Forge;

/// A running fake server. Dropping it closes the port and every connection and waits for its threads.
///
/// ```
/// use mongo_blocking_test_server::fake_server::{FakeServer, Mechanism};
/// let fake_server = FakeServer::builder().user("ann", "pencil", &[Mechanism::ScramSha256], "admin").start();
/// println!("{}", fake_server.uri());
/// assert_eq!(fake_server.connections(), 0);
/// ```
#[derive(Debug)]
pub struct FakeServer {
    pub(crate) state: Arc<State>,
    pub(crate) script: Script,
}

/// A command as it came.
#[derive(Debug, Clone)]
pub struct ReceivedCommand {
    /// The connection's number, from 1.
    pub connection: usize,
    /// The command's name.
    pub name: String,
    /// The database it names.
    pub database: String,
    /// The whole command, document sequences set in as arrays.
    pub body: Document,
    /// True if it came as OP_QUERY.
    pub legacy: bool,
    /// OP_MSG flags.
    pub flags: u32,
    /// Its requestID.
    pub request_id: i32,
}

/// What all connections share.
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) mechanisms: Vec<(String, Box<Start>)>,
    pub(crate) cr_users: Vec<CrUser>,
    pub(crate) hello_overrides: HelloOverrides,
    pub(crate) behaviours: Mutex<Behaviours>,
    pub(crate) handler: Option<Box<Handler>>,
    pub(crate) fail_point: Mutex<FailPoint>,
    pub(crate) store: Mutex<Store>,
    pub(crate) upstream_server: Option<Upstream>,
    pub(crate) tls: Option<SslAcceptor>,
    pub(crate) canned: Option<Answers>,
    pub(crate) router: Option<Router>,
    /// With a topologyVersion: what is said in hello besides the rest, and how often that has changed.
    pub(crate) topology_version: Option<Mutex<(Document, i64)>>,
    pub(crate) topology_changed: Condvar,
    pub(crate) counters: Arc<Counters>,
    pub(crate) logins: AtomicUsize,
    pub(crate) upstreams: Mutex<Vec<TcpStream>>,
    /// Known once it listens.
    pub(crate) address: OnceLock<String>,
    pub(crate) commands: AtomicUsize,
    pub(crate) log: Option<Mutex<Vec<ReceivedCommand>>>,
    pub(crate) stopped: Mutex<bool>,
    pub(crate) stopping: Condvar,
}

impl FakeServer {
    /// A fake server without users, store empty, not forwarding.
    pub fn builder() -> FakeServerBuilder {
        FakeServerBuilder::default()
    }

    /// Two routers before a replica set with these members.
    pub fn two_routers(members: &[String]) -> [FakeServer; 2] {
        [(); 2].map(|()| FakeServer::builder().mongos().routes_to(members, None).start())
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.script.address()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.script.port()
    }

    /// A URI that works: it logs in as the first user, if there is one, and asks for TLS, if that is on (the authority
    /// is left to the caller).
    pub fn uri(&self) -> String {
        let mut options = Vec::new();
        let mut login = String::new();
        if let Some(user) = self.state.users.first() {
            login = format!("{}:{}@", percent_encode(&user.name), percent_encode(&user.password));
            if user.database != "admin" {
                options.push(format!("authSource={}", percent_encode(&user.database)));
            }
        }
        if self.state.tls.is_some() {
            options.push("tls=true".to_owned());
        }
        let question = if options.is_empty() { "" } else { "?" };
        format!("mongodb://{login}{}/{question}{}", self.address(), options.join("&"))
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.script.connections()
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.script.open_connections()
    }

    /// How many commands came so far.
    pub fn command_count(&self) -> usize {
        self.state.commands.load(Ordering::SeqCst)
    }

    /// The commands so far, in the order they came. Empty with [`FakeServerBuilder::without_log`].
    pub fn commands(&self) -> Vec<ReceivedCommand> {
        self.state.log.as_ref().map(|log| lock(log).clone()).unwrap_or_default()
    }

    /// The commands of that name so far.
    pub fn commands_named(&self, name: &str) -> Vec<ReceivedCommand> {
        let mut commands = self.commands();
        commands.retain(|c| c.name == name);
        commands
    }

    /// Forgets the commands so far.
    pub fn forget_commands(&self) {
        if let Some(log) = &self.state.log {
            lock(log).clear();
        }
    }

    /// How many conversations ended with a login.
    pub fn logins(&self) -> usize {
        self.state.logins.load(Ordering::SeqCst)
    }

    /// How many reads brought something. A client that sends each command with one write causes about one a command.
    pub fn reads(&self) -> u64 {
        self.state.counters.reads.load(Ordering::SeqCst)
    }

    /// Bytes received, without TLS' own.
    pub fn bytes_in(&self) -> u64 {
        self.state.counters.bytes_in.load(Ordering::SeqCst)
    }

    /// Bytes sent, without TLS' own.
    pub fn bytes_out(&self) -> u64 {
        self.state.counters.bytes_out.load(Ordering::SeqCst)
    }

    /// In how many TLS handshakes the client took up an earlier session.
    pub fn resumed(&self) -> u64 {
        self.state.counters.resumed.load(Ordering::SeqCst)
    }

    /// The server name (SNI) that each TLS connection asked for, in the order of the handshakes.
    pub fn server_names(&self) -> Vec<Option<String>> {
        lock(&self.state.counters.server_names).clone()
    }

    /// The common name of each client certificate that came, in the order of the connections.
    pub fn client_names(&self) -> Vec<String> {
        lock(&self.state.counters.clients).clone()
    }

    /// Puts other behaviours in force, for open connections too.
    pub fn set_behaviours(&self, behaviours: Vec<Behaviour>) {
        *lock(&self.state.behaviours) = Behaviours(behaviours);
    }

    /// Sets the fail point as the command `configureFailPoint` would (`mode`, `data`), without a connection.
    pub fn fail_command(&self, setting: &Document) -> Document {
        lock(&self.state.fail_point).configure(setting)
    }

    /// Puts these fields into every answer to hello from now on, over all others, and raises the topologyVersion, so that clients
    /// that wait for it are answered. For a server with [`FakeServerBuilder::streams_hello`].
    ///
    /// # Panics
    /// For any other server.
    pub fn change_hello(&self, fields: Document) {
        let state = self.state.topology_version.as_ref().expect("a server with a topologyVersion");
        let mut state = lock(state);
        *state = (fields, state.1 + 1);
        self.state.topology_changed.notify_all();
    }

    /// Closes every open connection and goes on listening.
    pub fn hang_up(&self) {
        self.script.hang_up();
    }

    /// Waits until `condition` holds; false if it does not within `limit`.
    pub fn wait_until(&self, limit: Duration, condition: impl Fn(&FakeServer) -> bool) -> bool {
        let start = Instant::now();
        loop {
            if condition(self) {
                return true;
            }
            if start.elapsed() > limit || self.state.pause(Duration::from_millis(2)) {
                return condition(self);
            }
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        *lock(&self.state.stopped) = true;
        self.state.stopping.notify_all();
        self.state.topology_changed.notify_all();
        for upstream in lock(&self.state.upstreams).drain(..) {
            let _ = upstream.shutdown(Shutdown::Both);
        }
        // The script, dropped next, closes the clients' connections and joins the threads.
    }
}

impl State {
    /// Whether commands want a login.
    pub(crate) fn is_guarded(&self) -> bool {
        !self.users.is_empty() || !self.mechanisms.is_empty() || !self.cr_users.is_empty()
    }

    pub(crate) fn note(&self, request: &Request, connection: usize) {
        self.commands.fetch_add(1, Ordering::SeqCst);
        let Some(log) = &self.log else { return };
        let mut log = lock(log);
        if log.len() < MAX_LOG {
            log.push(ReceivedCommand {
                connection,
                name: request.name().to_owned(),
                database: request.database.clone(),
                body: request.body.clone(),
                legacy: request.legacy,
                flags: request.flags,
                request_id: request.request_id,
            });
        }
    }

    /// Waits; true, at once, when the fake server stops meanwhile.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let stopped = lock(&self.stopped);
        match self.stopping.wait_timeout_while(stopped, time, |stopped| !*stopped) {
            Ok((stopped, _)) => *stopped,
            Err(poisoned) => *poisoned.into_inner().0,
        }
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

impl Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("dress", &self.hello_overrides).finish_non_exhaustive()
    }
}

/// More commands than this are counted but not kept.
const MAX_LOG: usize = 100_000;
