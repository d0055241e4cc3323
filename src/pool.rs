//! The connections of one server: a mutex, a queue of waiting threads, and connections that come back when they are dropped.
//!
//! ```text
//!                  check_out                      handshake done
//!   (nothing) ─────────────────────> connecting ──────────────────> in use
//!                Grant::Create           │ ^                        │    ^
//!                                 failed │ │ peer gone              │    │ check_out,
//!                                        v │ (at check_out)   check │    │ Grant::Reuse
//!                                     closed <──────────────┐    in v    │
//!                                            broken, stale, └────── idle
//!                                            too old, closed
//! ```
//!
//! The pool keeps no thread. Whether an idle connection is still usable is decided at check-out, and `minPoolSize` is filled by the thread
//! that gives a connection back. Threads are served in the order in which they came.
//!
//! Nothing is sent, received or closed while the lock is held, since a server decides how long that takes: connections are
//! made, looked at and dropped outside it.
//!
//! A child process (`fork`) makes its own connections: two processes on one socket would read each other's replies, and their
//! request ids run in step, so that nothing else would reveal it.

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use crate::connection::{
    Buffers, Connection, ConnectionFactory, HelloFor, OpenedConnection, ShutdownHandle, ShutdownReason,
};
use crate::deadline::Deadline;
use crate::description::ServerDescription;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::fork;
use crate::locks;
use crate::options::ServerAddress;

/// A connection that was idle for longer than this is looked at before it is used, because its peer may have gone.
const LIVENESS_CHECK_AFTER: Duration = Duration::from_secs(1);

/// How long `minPoolSize` is left alone after a connection towards it could not be made: the caller waits meanwhile.
const FILL_PAUSE: Duration = Duration::from_secs(10);

/// How many connections' buffers wait for the next check-out: about as many connections as are in use at a time where there is
/// steady work. More than that would be memory at rest; a connection beyond it allocates its own.
const KEPT_BUFFERS: usize = 4;

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    /// `maxPoolSize`; 0: no limit.
    pub(crate) max_size: u32,
    /// `minPoolSize`.
    pub(crate) min_size: u32,
    /// `maxConnecting`.
    pub(crate) max_connecting: u32,
    /// `maxIdleTimeMS`.
    pub(crate) max_idle_time: Option<Duration>,
    /// Whether connections may be made that no operation waits for, so that `minPoolSize` is reached.
    pub(crate) fill: bool,
}

/// The connections of one server.
///
/// It begins paused: without connections, and nobody gets one until it is [`ready`](Pool::ready).
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// What a pool finds out about its server. It is called without any lock held.
pub(crate) trait PoolObserver: Send + Sync {
    /// A new connection's hello was answered. Its authentication comes after this.
    fn hello_answered(&self, address: &ServerAddress, hello: &Arc<ServerDescription>, round_trip_time: Duration);
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct CheckOutFailure {
    pub(crate) error: Error,
    /// The attempt to connect that failed; `None` where there was no attempt.
    pub(crate) attempt: Option<FailedAttempt>,
}

/// An attempt to connect that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedAttempt {
    /// The pool's generation when the attempt got its slot.
    pub(crate) generation: u64,
    /// The service behind a load balancer, where hello had named it.
    #[allow(dead_code, reason = "the runtime of the topology that uses it comes next")]
    pub(crate) service_id: Option<ObjectId>,
    /// Whether it was ended by the caller's own time limit, which says nothing about the server.
    pub(crate) own_limit: bool,
}

/// What is left to do once no lock is held: closing a connection may send, and ending one wakes threads.
#[derive(Debug, Default)]
#[must_use = "connections are closed by running it"]
pub(crate) struct Cleanup {
    connections: Vec<Box<Connection>>,
    handles: Vec<(ShutdownHandle, ShutdownReason)>,
}

impl Cleanup {
    #[allow(dead_code, reason = "the runtime of the topology that uses it comes next")]
    /// Adds what is left to do elsewhere.
    pub(crate) fn merge(&mut self, other: Cleanup) {
        self.connections.extend(other.connections);
        self.handles.extend(other.handles);
    }

    #[allow(dead_code, reason = "the runtime of the topology that uses it comes next")]
    /// A connection to be closed.
    pub(crate) fn add(&mut self, connection: Box<Connection>) {
        self.connections.push(connection);
    }

    /// Does it.
    pub(crate) fn run(self) {
        for (handle, reason) in self.handles {
            handle.close(reason);
        }
    }
}

/// A connection that is checked out; it goes back to its pool when this is dropped.
pub(crate) struct PooledConnection {
    /// `None` only while it is being dropped. Boxed, since connections are moved in and out of the pool all the time.
    connection: Option<Box<Connection>>,
    id: u64,
    generation: u64,
    /// Until when the operation has time to make a connection.
    connect: Deadline,
    shared: Arc<Shared>,
}

struct Shared {
    settings: PoolSettings,
    factory: Arc<ConnectionFactory>,
    address: Arc<ServerAddress>,
    observer: Weak<dyn PoolObserver>,
    state: Mutex<State>,
}

struct State {
    /// The last one back is the first one out, so that a pool that has grown too large goes idle at the other end.
    idle: VecDeque<Idle>,
    /// Idle connections have no buffers. These are for the next ones in use.
    buffers: Vec<Buffers>,
    /// What can end the connections in use, by connection id.
    in_use: HashMap<u64, ShutdownHandle>,
    /// The connections that are being made, by id.
    connecting: HashMap<u64, Connecting>,
    /// Threads that wait, the first to come at the front. Each sleeps on its own variable, so one return wakes one thread.
    waiting: VecDeque<Arc<Condvar>>,
    phase: Phase,
    /// Connections of an earlier generation are not used any more.
    generation: u64,
    last_id: u64,
    /// When `minPoolSize` could not be reached.
    fill_failed: Option<Instant>,
    /// The process that all this is true of.
    process: u64,
}

/// Whether a pool gives connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its server is not known to be usable.
    Paused,
    Ready,
    /// For good.
    Closed,
}

struct Idle {
    connection: Box<Connection>,
    id: u64,
    since: Instant,
}

enum Connecting {
    /// Name look-up, TCP or TLS.
    Opening,
    /// Hello or authentication, which this can end.
    Handshaking(ShutdownHandle),
}

impl Connecting {
    fn handle(&self) -> Option<&ShutdownHandle> {
        match self {
            Connecting::Opening => None,
            Connecting::Handshaking(handle) => Some(handle),
        }
    }
}

/// What a thread that came first in the queue may do.
enum Grant<'a> {
    Reuse(Idle),
    Create(ReservedSlot<'a>),
}

impl Pool {
    /// A paused pool.
    pub(crate) fn new(
        settings: PoolSettings,
        factory: Arc<ConnectionFactory>,
        address: Arc<ServerAddress>,
        observer: Weak<dyn PoolObserver>,
    ) -> Self {
        let state = State {
            idle: VecDeque::new(),
            buffers: Vec::new(),
            in_use: HashMap::new(),
            connecting: HashMap::new(),
            waiting: VecDeque::new(),
            generation: 0,
            last_id: 0,
            fill_failed: None,
            process: fork::process(),
            phase: Phase::Paused,
        };
        Pool { shared: Arc::new(Shared { settings, factory, address, observer, state: Mutex::new(state) }) }
    }

    /// Takes a connection: an idle one, or else a new one. `opened` is one whose hello is over: it becomes one of the pool, and
    /// is only authenticated.
    ///
    /// `queue` limits the wait for a slot in the pool, `connect` the making of a connection.
    pub(crate) fn check_out(
        &self,
        queue: Deadline,
        connect: Deadline,
        opened: Option<OpenedConnection>,
    ) -> Result<PooledConnection, CheckOutFailure> {
        let shared = &self.shared;
        let mut dead = None;
        let slot = loop {
            let grant = shared.wait_for_grant(queue, dead, opened.is_some());
            match grant.map_err(|error| CheckOutFailure { error, attempt: None })? {
                Grant::Create(slot) => break slot,
                Grant::Reuse(mut idle) => {
                    if idle.since.elapsed() <= LIVENESS_CHECK_AFTER || idle.connection.is_alive() {
                        return Ok(shared.lease(idle.connection, idle.id, connect));
                    }
                    dead = Some(idle.id);
                }
            }
        };
        let (id, generation) = (slot.id, slot.generation);
        let mut service_id = None;
        let opened = match opened {
            Some(opened) => {
                shared.handshake_begins(id, opened.shutdown_handle());
                Ok(opened)
            }
            None => {
                let purpose = HelloFor::Operation { speculate: true };
                let handle = |handle| shared.handshake_begins(id, handle);
                shared.factory.open(&shared.address, purpose, connect, handle).inspect(|opened| {
                    if let Some(observer) = shared.observer.upgrade() {
                        observer.hello_answered(&shared.address, opened.hello(), opened.round_trip_time());
                    }
                })
            }
        };
        let made = match opened {
            Ok(opened) => {
                service_id = opened.service_id();
                shared.factory.authenticate(opened, id, connect)
            }
            Err(error) => Err(error),
        };
        shared.finish_connecting(slot, made, connect).map_err(|error| {
            let own_limit = matches!(error.kind(), ErrorKind::Timeout) && connect.expired();
            CheckOutFailure { error, attempt: Some(FailedAttempt { generation, service_id, own_limit }) }
        })
    }

    #[allow(dead_code, reason = "the runtime of the topology that uses it comes next")]
    /// An idle connection to check the server on, if there is one. No event tells of it.
    pub(crate) fn borrow_idle(&self) -> Option<PooledConnection> {
        let shared = &self.shared;
        // Declared before the guard, hence dropped after it: closing a TLS connection writes.
        let mut stale = Vec::new();
        let mut state = shared.lock();
        if state.phase != Phase::Ready || state.process != fork::process() || !state.waiting.is_empty() {
            return None;
        }
        let idle = shared.take_idle(&mut state, &mut stale)?;
        Some(shared.lease(idle.connection, idle.id, Deadline::NEVER))
    }

    #[allow(dead_code, reason = "the runtime of the topology that uses it comes next")]
    /// Whether a connection is idle.
    pub(crate) fn has_idle(&self) -> bool {
        !self.shared.lock().idle.is_empty()
    }

    #[allow(dead_code, reason = "the runtime of the topology that uses it comes next")]
    /// How many connections operations use now.
    pub(crate) fn in_use(&self) -> usize {
        self.shared.lock().in_use.len()
    }

    /// The number of the present generation; behind a load balancer, of this service.
    pub(crate) fn generation(&self, _service_id: Option<ObjectId>) -> u64 {
        self.shared.lock().generation
    }

    /// From now on connections are given.
    pub(crate) fn ready(&self) {
        let mut state = self.shared.lock();
        if state.phase == Phase::Paused {
            state.phase = Phase::Ready;
            state.wake_first();
        }
    }

    /// No connection made so far is used again, and none is given until the pool is ready again: threads that wait get
    /// [`ErrorKind::PoolCleared`]. `interrupt_in_use`: those in use and those being made end, too.
    pub(crate) fn clear(&self, interrupt_in_use: bool, _service_id: Option<ObjectId>) -> Cleanup {
        let mut state = self.shared.lock();
        let mut cleanup = Cleanup::default();
        if state.phase == Phase::Closed {
            return cleanup;
        }
        state.generation += 1;
        state.phase = Phase::Paused;
        cleanup.connections.extend(state.idle.drain(..).map(|idle| idle.connection));
        if interrupt_in_use {
            let connecting = state.connecting.values().filter_map(Connecting::handle);
            let handles = state.in_use.values().chain(connecting).cloned();
            cleanup.handles.extend(handles.map(|handle| (handle, ShutdownReason::Interrupted)));
        }
        for waiting in &state.waiting {
            waiting.notify_one();
        }
        cleanup
    }

    /// Ends idle connections, those in use, handshakes, and the wait of every thread.
    pub(crate) fn close(&self) -> Cleanup {
        let mut state = self.shared.lock();
        let mut cleanup = Cleanup::default();
        state.phase = Phase::Closed;
        cleanup.connections.extend(state.idle.drain(..).map(|idle| idle.connection));
        let in_use = std::mem::take(&mut state.in_use);
        let connecting = std::mem::take(&mut state.connecting);
        let handles = in_use.into_values().chain(connecting.values().filter_map(Connecting::handle).cloned());
        cleanup.handles.extend(handles.map(|handle| (handle, ShutdownReason::Client)));
        for waiting in &state.waiting {
            waiting.notify_one();
        }
        cleanup
    }

    /// The server.
    pub(crate) fn address(&self) -> &Arc<ServerAddress> {
        &self.shared.address
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        locks::lock(&self.state)
    }

    /// Waits until this thread is first in the queue and there is something for it to take.
    ///
    /// `dead` is the idle connection that it got before and found unusable: its slot is given up, and the thread has the first
    /// place in the queue, as it had before.
    ///
    /// `adopts`: it brings a connection of its own, which it wants a slot for.
    fn wait_for_grant(&self, deadline: Deadline, dead: Option<u64>, adopts: bool) -> Result<Grant<'_>> {
        // Declared before the guard, hence dropped after it: closing a TLS connection writes.
        let mut stale = Vec::new();
        let mut state = self.lock();
        state.leave_to_parent(&mut stale);
        if let Some(id) = dead {
            state.in_use.remove(&id);
        }
        if (dead.is_some() || state.waiting.is_empty())
            && let Some(grant) = self.grant(&mut state, &mut stale, adopts)?
        {
            return Ok(grant);
        }
        let began = Instant::now();
        let generation = state.generation;
        let own = Arc::new(Condvar::new());
        if dead.is_some() {
            state.waiting.push_front(own.clone());
        } else {
            state.waiting.push_back(own.clone());
        }
        loop {
            state = match deadline.remaining() {
                None => locks::unpoisoned(own.wait(state)),
                Some(left) => locks::unpoisoned(own.wait_timeout(state, left)).0,
            };
            let first = state.waiting.front().is_some_and(|front| Arc::ptr_eq(front, &own));
            let grant = match () {
                () if state.generation != generation => Some(Err(self.cleared(&state))),
                () if first || state.phase == Phase::Closed => self.grant(&mut state, &mut stale, adopts).transpose(),
                () => None,
            };
            let outcome = match grant {
                Some(outcome) => outcome,
                None if deadline.expired() => Err(self.wait_queue_timeout(&state, deadline, began)),
                None => continue,
            };
            state.waiting.retain(|waiting| !Arc::ptr_eq(waiting, &own));
            state.wake_first();
            return outcome;
        }
    }

    /// What the thread at the front may do now; `None`: wait. Connections that turn out unusable are put into `stale`.
    fn grant(&self, state: &mut State, stale: &mut Vec<Idle>, adopts: bool) -> Result<Option<Grant<'_>>> {
        match state.phase {
            Phase::Closed => return Err(closed()),
            Phase::Paused => return Err(self.cleared(state)),
            Phase::Ready => {}
        }
        if !adopts && let Some(idle) = self.take_idle(state, stale) {
            return Ok(Some(Grant::Reuse(idle)));
        }
        let full = self.settings.max_size != 0 && state.total() >= self.settings.max_size;
        if full || state.connecting() >= self.settings.max_connecting {
            return Ok(None);
        }
        Ok(Some(Grant::Create(self.reserve(state))))
    }

    /// An idle connection that may be used; it counts as in use from now on. Those that may not be are put into `stale`.
    fn take_idle(&self, state: &mut State, stale: &mut Vec<Idle>) -> Option<Idle> {
        while let Some(mut idle) = state.idle.pop_back() {
            let limit = self.settings.max_idle_time.filter(|limit| !limit.is_zero());
            let too_old = limit.is_some_and(|limit| idle.since.elapsed() > limit);
            if too_old || idle.connection.generation() != state.generation {
                stale.push(idle);
                continue;
            }
            state.in_use.insert(idle.id, idle.connection.shutdown_handle());
            idle.connection.set_buffers(state.buffers.pop().unwrap_or_default());
            return Some(idle);
        }
        None
    }

    /// The end of a wait, or of an attempt to connect, because the pool was cleared. The error that cleared it is the topology's.
    fn cleared(&self, state: &State) -> Error {
        let generation = state.generation;
        let message =
            format!("the connection pool was cleared (generation {generation}), and its server must be checked first");
        Error::new(ErrorKind::PoolCleared, Stage::CheckOut, message).with_address(&self.address)
    }

    fn reserve(&self, state: &mut State) -> ReservedSlot<'_> {
        state.last_id += 1;
        state.connecting.insert(state.last_id, Connecting::Opening);
        ReservedSlot { shared: self, id: state.last_id, generation: state.generation }
    }

    fn wait_queue_timeout(&self, state: &State, deadline: Deadline, began: Instant) -> Error {
        let message = format!(
            "no connection became free within {}: {} in use, {} idle, {} being made, {} threads waiting, maxPoolSize {}",
            deadline.name(),
            state.in_use.len(),
            state.idle.len(),
            state.connecting.len(),
            state.waiting.len(),
            self.settings.max_size,
        );
        Error::new(ErrorKind::Pool, Stage::CheckOut, message)
            .with_address(&self.address)
            .with_elapsed(began.elapsed())
            .with_hint("raise maxPoolSize or waitQueueTimeoutMS, or let fewer threads work at once: an operation holds a connection until its reply is there, an open cursor holds none")
    }

    /// Hands a connection to the caller.
    fn lease(self: &Arc<Self>, connection: Box<Connection>, id: u64, connect: Deadline) -> PooledConnection {
        let generation = connection.generation();
        PooledConnection { connection: Some(connection), id, generation, connect, shared: self.clone() }
    }

    /// From now on, closing the pool can end the connection that is being made.
    fn handshake_begins(&self, id: u64, handle: ShutdownHandle) {
        let mut state = self.lock();
        match state.connecting.get_mut(&id) {
            Some(slot) => *slot = Connecting::Handshaking(handle),
            // The pool was closed meanwhile.
            None => {
                drop(state);
                handle.close(ShutdownReason::Client);
            }
        }
    }

    /// Records the end of an attempt to connect.
    fn finish_connecting(
        self: &Arc<Self>,
        slot: ReservedSlot<'_>,
        made: Result<Connection>,
        connect: Deadline,
    ) -> Result<PooledConnection> {
        let (id, generation) = (slot.id, slot.generation);
        let mut connection = Box::new(made?);
        connection.set_generation(generation);
        let mut state = self.lock();
        let kept = slot.release(&mut state);
        let phase = state.phase;
        let stale = state.generation != generation;
        if kept && !stale && phase != Phase::Closed {
            state.in_use.insert(id, connection.shutdown_handle());
        }
        let cleared = stale.then(|| self.cleared(&state));
        state.wake_first();
        drop(state);
        match (phase, kept, cleared) {
            (Phase::Closed, ..) => Err(closed()),
            (_, false, _) => Err(forked()),
            (_, true, Some(cleared)) => Err(cleared),
            (_, true, None) => Ok(self.lease(connection, id, connect)),
        }
    }

    /// Takes a connection back, and makes one more if there are fewer than `minPoolSize`.
    fn check_in(self: &Arc<Self>, mut connection: Box<Connection>, id: u64, connect: Deadline) {
        let mut buffers = connection.take_buffers();
        buffers.shrink();
        let mut state = self.lock();
        // Dropped after the guard where they are not kept.
        let buffers = state.keep(buffers);
        state.in_use.remove(&id);
        let usable =
            state.phase == Phase::Ready && !connection.is_broken() && connection.generation() == state.generation;
        let mut unusable = None;
        if usable {
            state.idle.push_back(Idle { connection, id, since: Instant::now() });
        } else {
            unusable = Some(connection);
        }
        state.wake_first();
        let missing = usable && state.total() < self.settings.min_size && state.waiting.is_empty();
        drop(state);
        drop((unusable, buffers));
        if missing && self.settings.fill && !std::thread::panicking() {
            self.fill_one(connect);
        }
    }

    /// Makes one connection towards `minPoolSize`, in the time that the operation has left. A failure is left for the next
    /// operation to meet; it is not repeated at once, since every operation would have to wait for it.
    fn fill_one(self: &Arc<Self>, connect: Deadline) {
        let mut state = self.lock();
        let full = state.total() >= self.settings.min_size || state.connecting() >= self.settings.max_connecting;
        let failed = state.fill_failed.is_some_and(|at| at.elapsed() < FILL_PAUSE);
        if state.phase != Phase::Ready || full || failed || connect.expired() {
            return;
        }
        let slot = self.reserve(&mut state);
        drop(state);
        let id = slot.id;
        let purpose = HelloFor::Operation { speculate: true };
        let opened = self.factory.open(&self.address, purpose, connect, |handle| self.handshake_begins(id, handle));
        let made = opened.and_then(|opened| self.factory.authenticate(opened, id, connect));
        match self.finish_connecting(slot, made, connect) {
            // Back without another look at minPoolSize, so that one check-in makes one connection at the most.
            Ok(mut leased) => {
                let mut connection = leased.connection.take();
                if let Some(connection) = &mut connection {
                    drop(connection.take_buffers());
                }
                let mut state = self.lock();
                state.in_use.remove(&id);
                if state.phase == Phase::Ready
                    && leased.generation == state.generation
                    && let Some(connection) = connection.take()
                {
                    state.idle.push_front(Idle { connection, id, since: Instant::now() });
                }
                // Also where it was not kept: its slot is free.
                state.wake_first();
                drop(state);
                drop(connection);
            }
            Err(error) => {
                self.lock().fill_failed = Some(Instant::now());
                log::debug!("minPoolSize: {error}");
            }
        }
    }
}

impl State {
    /// After a `fork`, the child begins anew: the sockets are its parent's, which goes on using them, and the threads that
    /// used or waited for some do not exist here.
    fn leave_to_parent(&mut self, stale: &mut Vec<Idle>) {
        let process = fork::process();
        if self.process == process {
            return;
        }
        self.process = process;
        self.generation += 1;
        stale.extend(std::mem::take(&mut self.idle));
        self.in_use.clear();
        self.connecting.clear();
        self.waiting.clear();
    }

    /// Keeps buffers for later, or gives them back where there are enough.
    fn keep(&mut self, buffers: Buffers) -> Option<Buffers> {
        if self.buffers.len() >= KEPT_BUFFERS {
            return Some(buffers);
        }
        self.buffers.push(buffers);
        None
    }

    fn connecting(&self) -> u32 {
        u32::try_from(self.connecting.len()).unwrap_or(u32::MAX)
    }

    fn total(&self) -> u32 {
        let all = self.idle.len() + self.in_use.len() + self.connecting.len();
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    fn wake_first(&self) {
        if let Some(first) = self.waiting.front() {
            first.notify_one();
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, Stage::CheckOut, "the client was closed")
}

fn forked() -> Error {
    let message = "this process was forked while the connection was made, and the connection belongs to its parent";
    Error::new(ErrorKind::Io, Stage::CheckOut, message).with_hint("begin the operation anew in the child")
}

impl PooledConnection {
    /// The generation that the connection belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is there until this is dropped")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("the connection is there until this is dropped")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.check_in(connection, self.id, self.connect);
        }
    }
}

/// The slot of a connection that is being made. It is given up when this is dropped: the attempt failed, or a function of the
/// program's that gives tokens or keys panicked.
struct ReservedSlot<'a> {
    shared: &'a Shared,
    id: u64,
    generation: u64,
}

impl ReservedSlot<'_> {
    /// Gives the slot up. `false`: the pool has forgotten it, because it was closed or because this is another process now.
    fn release(self, state: &mut State) -> bool {
        let id = self.id;
        std::mem::forget(self);
        state.process == fork::process() && state.connecting.remove(&id).is_some()
    }
}

impl Drop for ReservedSlot<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // In a child process it is gone already, or the pool starts anew at the next check-out.
        state.connecting.remove(&self.id);
        state.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use mongo_blocking_test_server::fake_server::FakeServer;
    use mongo_blocking_test_server::users::Mechanism;

    use super::*;
    use crate::call_stack;
    use crate::options::ClientOptions;

    /// An observer that nothing is told.
    struct Unobserved;

    impl PoolObserver for Unobserved {
        fn hello_answered(&self, _: &ServerAddress, _: &Arc<ServerDescription>, _: Duration) {}
    }

    fn ready_pool(settings: PoolSettings, factory: Arc<ConnectionFactory>, options: &ClientOptions) -> Pool {
        let address = Arc::new(options.hosts.first().unwrap().clone());
        let pool = Pool::new(settings, factory, address, Weak::<Unobserved>::new());
        pool.ready();
        pool
    }

    /// A pool without connections to a server with the user `user`.
    fn pool(server: &FakeServer, credential: &str) -> Pool {
        let uri = format!("mongodb://{credential}{}/", server.address());
        let options = ClientOptions::builder().uri(&uri).build().unwrap();
        let factory = Arc::new(ConnectionFactory::new(&options).unwrap());
        let settings = PoolSettings { max_size: 1, min_size: 0, max_connecting: 1, max_idle_time: None, fill: true };
        ready_pool(settings, factory, &options)
    }

    #[test]
    fn a_new_connection_reaches_scram_in_few_steps() {
        let server = FakeServer::builder().user("user", "pencil", &[Mechanism::ScramSha256], "admin").start();
        let pool = pool(&server, "user:pencil@");
        let stack = call_stack::between("Pool::check_out", "Scram::step", || {
            pool.check_out(Deadline::NEVER, Deadline::NEVER, None).unwrap();
        });
        println!("{stack:#?}");
        assert!(stack.len() <= MOST_TO_SCRAM, "{stack:#?}");
    }

    #[test]
    fn a_message_is_written_by_two_functions() {
        let server = FakeServer::builder().start();
        let pool = pool(&server, "");
        let mut connection = pool.check_out(Deadline::NEVER, Deadline::NEVER, None).unwrap();
        let body = bson::rawdoc! { "ping": 1 };
        let message = crate::wire::Message { database: "admin", body: &body, sequence: None, more_to_come: false };
        let stack = call_stack::between("Connection::run", "write", || {
            connection.run(&message, Deadline::NEVER).unwrap();
        });
        assert_eq!(
            stack,
            ["mongo_blocking::connection::Connection::run", "mongo_blocking::transport::Transport::write_all",]
        );
    }

    #[test]
    fn idle_connections_have_no_buffers() {
        let server = FakeServer::builder().start();
        let uri = format!("mongodb://{}/", server.address());
        let options = ClientOptions::builder().uri(&uri).build().unwrap();
        let factory = Arc::new(ConnectionFactory::new(&options).unwrap());
        let settings = PoolSettings { max_size: 0, min_size: 0, max_connecting: 2, max_idle_time: None, fill: true };
        let pool = ready_pool(settings, factory, &options);
        let in_use: Vec<_> = (0..10).map(|_| pool.check_out(Deadline::NEVER, Deadline::NEVER, None).unwrap()).collect();
        drop(in_use);
        let mut state = pool.shared.lock();
        assert_eq!((state.idle.len(), state.buffers.len()), (10, KEPT_BUFFERS));
        for idle in &mut state.idle {
            assert!(idle.connection.take_buffers().is_empty());
        }
        drop(state);
        let mut reused = pool.check_out(Deadline::NEVER, Deadline::NEVER, None).unwrap();
        assert!(!reused.take_buffers().is_empty());
    }

    /// Check-out, connect, handshake, conversation, SASL, SCRAM.
    const MOST_TO_SCRAM: usize = 6;
}
