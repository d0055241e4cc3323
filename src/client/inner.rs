//! What all clones of a client share: the options, the servers, the time limits, and the list of open cursors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::retry::Jitter;
use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::document::NestingLimits;
use crate::error::Result;
use crate::fork;
use crate::locks::lock;
use crate::operation::Namespace;
use crate::operation::kill_cursors::KillCursors;
use crate::options::{ClientOptions, DriverInfo, ServerAddress};
use crate::session::{OperationSession, Sessions};
use crate::system::RealSystem;
use crate::topology::Topology;

/// The state that all clones of a client share.
pub(crate) struct ClientInner {
    options: ClientOptions,
    /// What connections to all servers are made with.
    factory: Arc<ConnectionFactory>,
    topology: Topology,
    pub(super) jitter: Jitter,
    pub(super) sessions: Sessions,
    closed: AtomicBool,
    /// The cursors that are open on a server, by their id, so that closing the client can end them.
    cursors: Mutex<HashMap<i64, CursorHandle>>,
}

/// What it takes to go on with a cursor, or to end it.
#[derive(Clone, Debug)]
pub(crate) struct CursorHandle {
    pub(crate) database: String,
    pub(crate) collection: String,
    /// The server that holds it.
    pub(crate) server: Arc<ServerAddress>,
    /// The process that opened it.
    process: u64,
}

impl CursorHandle {
    /// A cursor that this process has opened.
    pub(crate) fn new(database: &str, collection: &str, server: Arc<ServerAddress>) -> Self {
        let (database, collection) = (database.to_owned(), collection.to_owned());
        CursorHandle { database, collection, server, process: fork::process() }
    }

    pub(crate) fn namespace(&self) -> Namespace<'_> {
        Namespace { database: &self.database, collection: &self.collection }
    }

    /// Whether this process may end it. After a `fork`, cursors of the parent are left to the parent.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == fork::process()
    }
}

impl ClientInner {
    /// Checks the options that concern connections, and reads the files that they name. Connects to no server.
    pub(crate) fn new(mut options: ClientOptions) -> Result<Self> {
        // The client's only way to the machine and the process that it runs in.
        let system = RealSystem::shared();
        let factory = Arc::new(ConnectionFactory::new(&options, &system)?);
        let topology = Topology::new(&options, &factory)?;
        options.warnings.extend_from_slice(factory.warnings());
        Ok(ClientInner {
            options,
            factory,
            topology,
            jitter: Jitter::default(),
            sessions: Sessions::new(),
            closed: AtomicBool::new(false),
            cursors: Mutex::new(HashMap::new()),
        })
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) fn factory(&self) -> &ConnectionFactory {
        &self.factory
    }

    /// Adds to the client metadata of connections that are made from now on.
    pub(super) fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.factory.append_metadata(info)
    }

    /// When an operation that begins now must end (`timeoutMS`).
    pub(crate) fn operation_deadline(&self) -> Deadline {
        Deadline::after_option(self.options.timeout).named("timeoutMS")
    }

    /// Whether operations have a time limit of their own (`timeoutMS`).
    pub(crate) fn limits_operations(&self) -> bool {
        self.options.timeout.is_some_and(|limit| !limit.is_zero())
    }

    /// How deep documents are decoded.
    pub(crate) fn nesting_limits(&self) -> NestingLimits {
        NestingLimits::lowered(self.options.max_document_nesting)
    }

    /// When one command must have its reply: by the end of its operation, or without `timeoutMS` after `socketTimeoutMS`, to
    /// which the time is added that the server itself may wait.
    pub(super) fn command_deadline(&self, operation: Deadline, server_waits: Option<Duration>) -> Deadline {
        match self.options.socket_timeout {
            Some(limit) if self.options.timeout.is_none() && !limit.is_zero() => {
                Deadline::after(limit.saturating_add(server_waits.unwrap_or_default()))
                    .named("socketTimeoutMS")
                    .earliest(operation)
            }
            _ => operation,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Ends the open cursors and the sessions on their servers, within `limit`, and closes every connection. Does nothing the second time.
    pub(super) fn close(&self, limit: Deadline) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut groups: HashMap<(Arc<ServerAddress>, String, String), Vec<i64>> = HashMap::new();
        for (id, cursor) in std::mem::take(&mut *lock(&self.cursors)).into_iter().filter(|(_, cursor)| cursor.is_ours())
        {
            groups.entry((cursor.server, cursor.database, cursor.collection)).or_default().push(id);
        }
        for ((server, database, collection), ids) in groups {
            let namespace = Namespace { database: &database, collection: &collection };
            let mut kill = KillCursors { namespace, server: &server, ids: &ids };
            if let Err(error) = self.execute(&mut kill, &mut OperationSession::Absent, limit) {
                log::debug!("cursors were left to the server's own time limit: {error}");
                if limit.expired() {
                    break;
                }
            }
        }
        self.end_sessions(limit);
        self.topology.close();
        self.factory.close();
    }

    pub(crate) fn cursor_opened(&self, id: i64, cursor: CursorHandle) {
        lock(&self.cursors).insert(id, cursor);
    }

    pub(crate) fn cursor_ended(&self, id: i64) {
        lock(&self.cursors).remove(&id);
    }
}
