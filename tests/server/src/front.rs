//! The front itself: what a test sets, and what it sees afterwards.

use std::fmt::{self, Debug, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bson::{Document, oid::ObjectId};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use crate::behaviour::{Behaviours, Handler};
use crate::canned::Answers;
use crate::channel::Counters;
use crate::cr::CrUser;
use crate::dialogue::Start;
use crate::failpoint::FailPoint;
use crate::forward::Behind;
use crate::hello::Dress;
use crate::script::{Script, lock};
use crate::session;
use crate::store::Store;
use crate::users::User;
use crate::wire::Request;

pub use crate::behaviour::{Answer, Behaviour, ScramTamper};
pub use crate::dialogue::{Denied, Dialogue, Spoken};
pub use crate::users::Mechanism;
pub use crate::wire::Forge;

/// A running front. Dropping it closes the port and every connection and waits for its threads.
///
/// ```
/// use mongo_blocking_test_server::front::{Front, Mechanism};
/// let front = Front::builder().user("ann", "pencil", &[Mechanism::ScramSha256], "admin").start();
/// println!("{}", front.uri());
/// assert_eq!(front.connections(), 0);
/// ```
#[derive(Debug)]
pub struct Front {
    state: Arc<State>,
    script: Script,
}

/// Builds a [`Front`].
#[derive(Default)]
pub struct Builder {
    port: u16,
    users: Vec<NewUser>,
    mechanisms: Vec<(String, Box<Start>)>,
    cr_users: Vec<CrUser>,
    iterations: Option<u32>,
    dress: Dress,
    behaviours: Behaviours,
    handler: Option<Box<Handler>>,
    behind: Option<Behind>,
    tls: Option<Tls>,
    no_log: bool,
    canned: Option<Answers>,
}

/// A command as it came.
#[derive(Debug, Clone)]
pub struct Logged {
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

struct NewUser {
    name: String,
    password: String,
    mechanisms: Vec<Mechanism>,
    database: String,
}

struct Tls {
    certificate: String,
    key: String,
    client_authority: Option<(String, bool)>,
    only_tls_1_2: bool,
    breaks_off_resumption: bool,
    staple: Option<Vec<u8>>,
}

/// What all connections share.
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) mechanisms: Vec<(String, Box<Start>)>,
    pub(crate) cr_users: Vec<CrUser>,
    pub(crate) dress: Dress,
    pub(crate) behaviours: Mutex<Behaviours>,
    pub(crate) handler: Option<Box<Handler>>,
    pub(crate) fail_point: Mutex<FailPoint>,
    pub(crate) store: Mutex<Store>,
    pub(crate) behind: Option<Behind>,
    pub(crate) tls: Option<SslAcceptor>,
    pub(crate) canned: Option<Answers>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) logins: AtomicUsize,
    pub(crate) upstreams: Mutex<Vec<TcpStream>>,
    /// Known once it listens.
    pub(crate) address: OnceLock<String>,
    commands: AtomicUsize,
    log: Option<Mutex<Vec<Logged>>>,
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Front {
    /// A front without users, store empty, not forwarding.
    pub fn builder() -> Builder {
        Builder::default()
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

    /// The commands so far, in the order they came. Empty with [`Builder::without_log`].
    pub fn commands(&self) -> Vec<Logged> {
        self.state.log.as_ref().map(|log| lock(log).clone()).unwrap_or_default()
    }

    /// The commands of that name so far.
    pub fn commands_named(&self, name: &str) -> Vec<Logged> {
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

    /// Closes every open connection and goes on listening.
    pub fn hang_up(&self) {
        self.script.hang_up();
    }

    /// Waits until `condition` holds; false if it does not within `limit`.
    pub fn wait_until(&self, limit: Duration, condition: impl Fn(&Front) -> bool) -> bool {
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

impl Drop for Front {
    fn drop(&mut self) {
        *lock(&self.state.stopped) = true;
        self.state.stopping.notify_all();
        for upstream in lock(&self.state.upstreams).drain(..) {
            let _ = upstream.shutdown(Shutdown::Both);
        }
        // The script, dropped next, closes the clients' connections and joins the threads.
    }
}

impl Builder {
    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = port;
        self
    }

    /// Adds a user. With at least one, commands want a login.
    pub fn user(mut self, name: &str, password: &str, mechanisms: &[Mechanism], database: &str) -> Builder {
        self.users.push(NewUser {
            name: name.to_owned(),
            password: password.to_owned(),
            mechanisms: mechanisms.to_vec(),
            database: database.to_owned(),
        });
        self
    }

    /// Adds a user who has credentials for MONGODB-CR only. Commands want a login then.
    pub fn cr_user(mut self, name: &str, password: &str, database: &str) -> Builder {
        let [name, password, database] = [name, password, database].map(str::to_owned);
        self.cr_users.push(CrUser { name, password, database });
        self
    }

    /// Adds a SASL mechanism. `start` begins a conversation about a user of the database that it is given. With at least
    /// one, commands want a login.
    pub fn mechanism(
        mut self,
        name: &str,
        start: impl Fn(&str) -> Box<dyn Dialogue> + Send + Sync + 'static,
    ) -> Builder {
        self.mechanisms.push((name.to_owned(), Box::new(start)));
        self
    }

    /// Iterations of the stored credentials; by default 10,000 for SCRAM-SHA-1 and 15,000 for SCRAM-SHA-256.
    pub fn iterations(mut self, iterations: u32) -> Builder {
        self.iterations = Some(iterations);
        self
    }

    /// Adds a way of breaking the rules.
    pub fn behaviour(mut self, behaviour: Behaviour) -> Builder {
        self.behaviours.0.push(behaviour);
        self
    }

    /// Asks `handler` first about every command. It gets the command and the connection's number.
    pub fn on_command(
        mut self,
        handler: impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> Builder {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Takes TLS connections only, with this certificate and key (PEM).
    pub fn tls(mut self, certificate: &str, key: &str) -> Builder {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        self.tls = Some(Tls {
            certificate,
            key,
            client_authority: None,
            only_tls_1_2: false,
            breaks_off_resumption: false,
            staple: None,
        });
        self
    }

    /// Checks client certificates against this authority (PEM); `required` refuses clients without one. After `tls`.
    pub fn client_authority(mut self, pem: &str, required: bool) -> Builder {
        if let Some(tls) = &mut self.tls {
            tls.client_authority = Some((pem.to_owned(), required));
        }
        self
    }

    /// Staples these bytes as its OCSP answer, whatever they are. After `tls`.
    pub fn staples(mut self, answer: &[u8]) -> Builder {
        if let Some(tls) = &mut self.tls {
            tls.staple = Some(answer.to_vec());
        }
        self
    }

    /// Speaks TLS 1.2 and nothing newer. After `tls`.
    pub fn only_tls_1_2(mut self) -> Builder {
        if let Some(tls) = &mut self.tls {
            tls.only_tls_1_2 = true;
        }
        self
    }

    /// Hands out sessions, and breaks off the handshake at a client that takes one up: what OpenSSL does in a server that
    /// checks client certificates and has no session id context. After `client_authority`.
    pub fn breaks_off_resumption(mut self) -> Builder {
        if let Some(tls) = &mut self.tls {
            tls.breaks_off_resumption = true;
        }
        self
    }

    /// Hands every command that is not about logging in to the server at `address` ("127.0.0.1:port"); with a credential
    /// (name and password in `admin`) the front logs in there by SCRAM-SHA-256.
    pub fn forward_to(mut self, address: &str, credential: Option<(&str, &str)>) -> Builder {
        let credential = credential.map(|(user, password)| (user.to_owned(), password.to_owned()));
        self.behind = Some(Behind { address: address.to_owned(), credential });
        self
    }

    /// Presents itself as a server of this wire version (17, that is 6.0, by default). Below 9 (4.4) it knows neither the
    /// hello command nor speculative authentication.
    pub fn wire_version(mut self, version: i32) -> Builder {
        self.dress.wire_version = version;
        self
    }

    /// Presents itself as the primary, and only member, of this replica set.
    pub fn replica_set(mut self, name: &str) -> Builder {
        self.dress.set_name = Some(name.to_owned());
        self
    }

    /// Presents itself as mongos.
    pub fn mongos(mut self) -> Builder {
        self.dress.mongos = true;
        self
    }

    /// Presents itself as mongos behind a load balancer: hello with `loadBalanced: true` is answered with this serviceId.
    pub fn load_balancer(mut self, service: ObjectId) -> Builder {
        self.dress.mongos = true;
        self.dress.service_id = Some(service);
        self
    }

    /// Sets fields in every answer to hello, over what is there.
    pub fn hello_fields(mut self, fields: Document) -> Builder {
        self.dress.fields.extend(fields);
        self
    }

    /// Leaves a field out of every answer to hello.
    pub fn hello_without(mut self, field: &str) -> Builder {
        self.dress.without.push(field.to_owned());
        self
    }

    /// Counts commands without keeping them.
    pub fn without_log(mut self) -> Builder {
        self.no_log = true;
        self
    }

    /// Answers ping, insert, find and getMore with what was made beforehand (after the login, if there are users). They
    /// are neither counted nor logged, and no behaviour or fail point touches them.
    pub fn canned(mut self, answers: Answers) -> Builder {
        self.canned = Some(answers);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If the port can't be listened on, or OpenSSL refuses a certificate or key.
    pub fn start(self) -> Front {
        let users = self.users.iter().map(|u| {
            User::new(&u.name, &u.password, &u.mechanisms, &u.database, self.iterations).expect("credentials")
        });
        let state = Arc::new(State {
            users: users.collect(),
            mechanisms: self.mechanisms,
            cr_users: self.cr_users,
            dress: self.dress,
            behaviours: Mutex::new(self.behaviours),
            handler: self.handler,
            fail_point: Mutex::default(),
            store: Mutex::default(),
            behind: self.behind,
            tls: self.tls.as_ref().map(|tls| acceptor(tls).expect("a certificate and its key")),
            canned: self.canned,
            counters: Arc::default(),
            logins: AtomicUsize::new(0),
            upstreams: Mutex::default(),
            address: OnceLock::new(),
            commands: AtomicUsize::new(0),
            log: (!self.no_log).then(Mutex::default),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        });
        let of_connections = Arc::clone(&state);
        let script = Script::start_on(self.port, move |tcp, number| session::serve(&of_connections, tcp, number));
        let _ = state.address.set(script.address());
        Front { state, script }
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
            log.push(Logged {
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

    /// Waits; true, at once, when the front stops meanwhile.
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

fn acceptor(tls: &Tls) -> Result<SslAcceptor, openssl::error::ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let mut chain = X509::stack_from_pem(tls.certificate.as_bytes())?.into_iter();
    if let Some(leaf) = chain.next() {
        builder.set_certificate(&leaf)?;
    }
    for intermediate in chain {
        builder.add_extra_chain_cert(intermediate)?;
    }
    builder.set_private_key(&*PKey::private_key_from_pem(tls.key.as_bytes())?)?;
    builder.check_private_key()?;
    if tls.only_tls_1_2 {
        builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
    }
    if !tls.breaks_off_resumption {
        builder.set_session_id_context(b"front")?;
    }
    if let Some(staple) = tls.staple.clone() {
        builder.set_status_callback(move |ssl| ssl.set_ocsp_status(&staple).map(|()| true))?;
    }
    if let Some((pem, required)) = &tls.client_authority {
        let mut store = X509StoreBuilder::new()?;
        for authority in X509::stack_from_pem(pem.as_bytes())? {
            builder.add_client_ca(&authority)?;
            store.add_cert(authority)?;
        }
        builder.set_verify_cert_store(store.build())?;
        let fail = if *required { SslVerifyMode::FAIL_IF_NO_PEER_CERT } else { SslVerifyMode::empty() };
        builder.set_verify(SslVerifyMode::PEER | fail);
    }
    Ok(builder.build())
}

impl Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("dress", &self.dress).finish_non_exhaustive()
    }
}

impl Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("dress", &self.dress).finish_non_exhaustive()
    }
}

/// More commands than this are counted but not kept.
const MAX_LOG: usize = 100_000;
