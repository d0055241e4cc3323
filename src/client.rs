//! The client: the handle on a deployment that everything else comes from.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::database::Database;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::operation;
use crate::options::{ClientOptions, DriverInfo, ServerAddress};
use crate::pool::Lease;
use crate::topology::Topology;
use crate::warning::Warning;

/// How long [`Client::close`] gives the server to end open cursors.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A handle on a MongoDB deployment, with a pool of connections.
///
/// It is cheap to clone, and every clone shares the pool; many threads may use it at once. It keeps no thread of its own and
/// connects when it is first used. When the last clone, and the last cursor, is dropped, its sockets are closed.
///
/// ```no_run
/// use mongo_blocking::Client;
/// use mongo_blocking::bson::doc;
///
/// # fn main() -> mongo_blocking::Result<()> {
/// let client = Client::with_uri_str("mongodb://user:pencil@localhost/")?;
/// client.database("admin").run_command(doc! { "ping": 1 }).run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: ClientOptions,
    topology: Topology,
    closed: AtomicBool,
    /// The cursors that are open on the server, by their number, so that `close` can end them.
    cursors: Mutex<HashMap<i64, OpenCursor>>,
}

/// What it takes to end a cursor.
#[derive(Clone, Debug)]
pub(crate) struct OpenCursor {
    pub(crate) database: String,
    pub(crate) collection: String,
}

impl Client {
    /// A client for a connection string, `mongodb://…`. Nothing is connected yet.
    ///
    /// # Errors
    /// A connection string or an option that cannot be right, or names what is not supported.
    pub fn with_uri_str(uri: impl AsRef<str>) -> Result<Self> {
        Client::with_options(ClientOptions::parse(uri.as_ref())?)
    }

    /// A client for options. Nothing is connected yet.
    ///
    /// # Errors
    /// Options that contradict each other, or ask for what is not supported.
    pub fn with_options(options: ClientOptions) -> Result<Self> {
        options.check_supported()?;
        let topology = Topology::new(&options)?;
        Ok(Client(Arc::new(Inner {
            options,
            topology,
            closed: AtomicBool::new(false),
            cursors: Mutex::new(HashMap::new()),
        })))
    }

    /// A handle on a database. Nothing is sent.
    pub fn database(&self, name: impl Into<String>) -> Database {
        Database::new(self.clone(), name.into())
    }

    /// The database that the connection string names (`mongodb://host/name`), if it names one.
    pub fn default_database(&self) -> Option<Database> {
        self.0.options.default_database.as_ref().map(|name| self.database(name))
    }

    /// Asks the server whether it is there (`ping` on `admin`). The first call connects and logs in.
    ///
    /// # Errors
    /// Whatever keeps us from the server.
    pub fn ping(&self) -> Result<()> {
        operation::ping::ping(self)
    }

    /// What the options were accepted with, and deserves a second look.
    pub fn warnings(&self) -> &[Warning] {
        self.0.options.warnings()
    }

    /// Adds the name of a library that wraps this driver to the client metadata of the connections made from now on.
    ///
    /// Open connections stay as they are. What was added before is not added again; an empty version or platform counts as
    /// none.
    ///
    /// # Errors
    /// A text that contains `|`, or an empty name.
    pub fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.0.topology.setup().handshake().append_metadata(info)
    }

    /// Ends open cursors on the server and closes every connection, those in use included. Later operations of this client
    /// and its clones fail with [`ErrorKind::Closed`](crate::error::ErrorKind::Closed).
    pub fn close(self) {
        if self.0.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let cursors = std::mem::take(&mut *self.lock_cursors());
        operation::kill_cursors::kill_all(&self, cursors, Deadline::after(CLOSE_LIMIT));
        self.0.topology.close();
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.0.topology
    }

    pub(crate) fn address(&self) -> &ServerAddress {
        self.0.topology.setup().address()
    }

    pub(crate) fn lease(&self, deadline: Deadline) -> Result<Lease> {
        self.0.topology.lease(deadline)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// When an operation that begins now must end (`timeoutMS`).
    pub(crate) fn operation_deadline(&self) -> Deadline {
        Deadline::after_option(self.0.options.timeout)
    }

    /// When the exchange of one command must end: with the operation, or without `timeoutMS` after `socketTimeoutMS`.
    pub(crate) fn command_deadline(&self, operation: Deadline, server_waits: Option<Duration>) -> Deadline {
        if self.0.options.timeout.is_some() {
            return operation;
        }
        match self.0.options.socket_timeout {
            None => Deadline::NEVER,
            Some(limit) if limit.is_zero() => Deadline::NEVER,
            Some(limit) => Deadline::after(limit.saturating_add(server_waits.unwrap_or_default())),
        }
        .earliest(operation)
    }

    pub(crate) fn cursor_opened(&self, id: i64, cursor: OpenCursor) {
        self.lock_cursors().insert(id, cursor);
    }

    pub(crate) fn cursor_ended(&self, id: i64) {
        self.lock_cursors().remove(&id);
    }

    fn lock_cursors(&self) -> std::sync::MutexGuard<'_, HashMap<i64, OpenCursor>> {
        self.0.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address().to_string()).finish_non_exhaustive()
    }
}
