//! One server: its address, its pool of connections, and the connection that it is checked on.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use crate::connection::{OpenedConnection, ShutdownHandle, ShutdownReason};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, Stage};
use crate::locks::lock;
use crate::options::ServerAddress;
use crate::pool::{AdoptableConnection, CheckOutFailure, Cleanup, Pool, PooledConnection};

/// A server of the deployment.
pub(crate) struct Server {
    address: Arc<ServerAddress>,
    /// Made when the server is first found usable.
    pool: OnceLock<Pool>,
    /// How many operations have chosen it and are not over.
    operations: AtomicUsize,
    check: Mutex<CheckSlot>,
    /// Whether the idle check connection may be one for an operation. It saves operations the locks.
    may_fit_operations: AtomicBool,
}

/// The connection for checks. It is outside the pool and never authenticated, unless an operation takes it over.
#[derive(Default)]
struct CheckSlot {
    idle: Option<CheckConnection>,
    /// What can end the check that is running.
    running: Option<ShutdownHandle>,
    closed: bool,
    /// Whether it was closed because it is no part of the deployment any more.
    left: bool,
}

/// A connection that has said hello, and since when it is idle.
pub(crate) struct CheckConnection {
    pub(crate) opened: Box<OpenedConnection>,
    pub(crate) since: Instant,
    /// Whether it says what an operation's connection says, and nothing was sent on it since.
    pub(crate) fits_operations: bool,
}

/// A server that an operation has chosen. The operation counts until this is dropped.
pub(crate) struct CountedServer(Arc<Server>);

impl Server {
    pub(crate) fn new(address: ServerAddress) -> Self {
        Server {
            address: Arc::new(address),
            pool: OnceLock::new(),
            operations: AtomicUsize::new(0),
            check: Mutex::default(),
            may_fit_operations: AtomicBool::new(false),
        }
    }

    pub(crate) fn address(&self) -> &Arc<ServerAddress> {
        &self.address
    }

    /// Its pool, if it was ever found usable.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.pool.get()
    }

    /// Its pool, made by `make` if there is none.
    pub(crate) fn pool_or(&self, make: impl FnOnce() -> Pool) -> &Pool {
        self.pool.get_or_init(make)
    }

    /// The generation of its pool.
    pub(crate) fn generation(&self, service_id: Option<ObjectId>) -> u64 {
        self.pool().map_or(0, |pool| pool.generation(service_id))
    }

    /// A connection out of the pool, or a new one; `opened` is one that was made for this server already. `queue` limits the
    /// wait for the pool, `connect` the making of a connection. It is `now`.
    #[inline]
    pub(crate) fn check_out(
        &self,
        queue: Deadline,
        connect: Deadline,
        opened: Option<AdoptableConnection>,
        now: Instant,
    ) -> Result<PooledConnection, CheckOutFailure> {
        match self.pool() {
            Some(pool) => pool.check_out(queue, connect, opened, now).map_err(|failure| self.explain_closed(failure)),
            None => {
                let message = "the server was not found usable so far";
                let error =
                    Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, message).with_address(&self.address);
                Err(CheckOutFailure { error, attempt: None })
            }
        }
    }

    /// An operation that has chosen a server which leaves the deployment at that moment may choose another one.
    fn explain_closed(&self, failure: CheckOutFailure) -> CheckOutFailure {
        if !matches!(failure.error.kind(), ErrorKind::Shutdown) || !lock(&self.check).left {
            return failure;
        }
        let message = format!("{} left the deployment before the operation had its connection", self.address);
        let error = Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, message);
        CheckOutFailure { error: error.with_address(&self.address).with_source(failure.error), attempt: None }
    }

    /// How many operations have chosen it and are not over.
    pub(crate) fn operation_count(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
    }

    /// Counts an operation.
    pub(crate) fn count_operation(self: Arc<Self>) -> CountedServer {
        self.operations.fetch_add(1, Ordering::Relaxed);
        CountedServer(self)
    }

    /// Takes the idle check connection.
    pub(crate) fn take_check_connection(&self) -> Option<CheckConnection> {
        lock(&self.check).idle.take()
    }

    /// Takes the idle check connection for an operation, if it is one that was made just now and the pool has none.
    pub(crate) fn take_for_operation(&self, now: Instant) -> Option<Box<OpenedConnection>> {
        if !self.may_fit_operations.load(Ordering::Relaxed) || self.pool().is_none_or(Pool::has_idle) {
            return None;
        }
        let mut slot = lock(&self.check);
        let fits = |idle: &CheckConnection| {
            idle.fits_operations && now.saturating_duration_since(idle.since) < FRESH_FOR_OPERATIONS
        };
        self.may_fit_operations.store(false, Ordering::Relaxed);
        if slot.idle.as_ref().is_some_and(fits) { slot.idle.take().map(|idle| idle.opened) } else { None }
    }

    /// Keeps a connection for the next check. One that is not needed is returned, to be closed.
    pub(crate) fn keep_check_connection(&self, connection: CheckConnection) -> Option<CheckConnection> {
        let mut slot = lock(&self.check);
        if slot.closed || slot.idle.is_some() {
            return Some(connection);
        }
        self.may_fit_operations.store(connection.fits_operations, Ordering::Relaxed);
        slot.idle = Some(connection);
        None
    }

    /// From now on closing the server ends the check that runs on this connection.
    pub(crate) fn check_runs_on(&self, handle: ShutdownHandle) {
        let mut slot = lock(&self.check);
        if slot.closed {
            drop(slot);
            handle.close(ShutdownReason::Client);
        } else {
            slot.running = Some(handle);
        }
    }

    /// Whether its check connections are of no more use: it left the deployment, or the client was closed.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.check).closed
    }

    /// The running check is over.
    pub(crate) fn check_ended(&self) {
        lock(&self.check).running = None;
    }

    /// Gives up the idle check connection.
    pub(crate) fn drop_check_connection(&self, cleanup: &mut Cleanup) {
        if let Some(idle) = self.take_check_connection() {
            cleanup.add(Box::new(idle.opened.into_connection()));
        }
    }

    /// Closes every connection, and ends every wait for one. Of a server that only left the deployment, operations under way keep
    /// their connections until they are over.
    pub(crate) fn close(&self, client_closes: bool) -> Cleanup {
        // Before its pool is closed, so that who waits there finds out why.
        lock(&self.check).left = !client_closes;
        let mut cleanup = self.pool().map(|pool| pool.close(client_closes)).unwrap_or_default();
        let mut slot = lock(&self.check);
        // Before the idle connection is taken, so that no check puts another one in its place.
        slot.closed = true;
        if let Some(running) = slot.running.take() {
            cleanup.end(running, ShutdownReason::Client);
        }
        drop(slot);
        self.drop_check_connection(&mut cleanup);
        cleanup
    }
}

impl Deref for CountedServer {
    type Target = Arc<Server>;

    fn deref(&self) -> &Arc<Server> {
        &self.0
    }
}

impl Drop for CountedServer {
    fn drop(&mut self) {
        self.0.operations.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a check's connection may have been idle for an operation to take it over without another look.
pub(crate) const FRESH_FOR_OPERATIONS: Duration = Duration::from_secs(1);
