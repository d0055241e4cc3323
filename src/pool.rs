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
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::connection::{Buffers, Connection, ConnectionFactory, ShutdownHandle};
use crate::deadline::Deadline;
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
pub(crate) struct Pool {
    shared: Arc<Shared>,
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
    /// Connections of an earlier generation are not used any more.
    generation: u64,
    last_id: u64,
    /// When `minPoolSize` could not be reached.
    fill_failed: Option<Instant>,
    /// The process that all this is true of.
    process: u64,
    closed: bool,
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

/// What a thread that came first in the queue may do.
enum Grant<'a> {
    Reuse(Idle),
    Create(ReservedSlot<'a>),
}

impl Pool {
    pub(crate) fn new(settings: PoolSettings, factory: Arc<ConnectionFactory>, address: Arc<ServerAddress>) -> Self {
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
            closed: false,
        };
        Pool { shared: Arc::new(Shared { settings, factory, address, state: Mutex::new(state) }) }
    }

    /// Takes a connection: an idle one, or else a new one.
    ///
    /// `queue` limits the wait for a slot in the pool, `connect` the making of a connection.
    pub(crate) fn check_out(&self, queue: Deadline, connect: Deadline) -> Result<PooledConnection> {
        let shared = &self.shared;
        let mut dead = None;
        loop {
            let slot = match shared.wait_for_grant(queue, dead)? {
                Grant::Create(slot) => slot,
                Grant::Reuse(mut idle) => {
                    if idle.since.elapsed() <= LIVENESS_CHECK_AFTER || idle.connection.is_alive() {
                        return Ok(shared.lease(idle.connection, idle.id, connect));
                    }
                    dead = Some(idle.id);
                    continue;
                }
            };
            let id = slot.id;
            let made =
                shared.factory.connect(&shared.address, id, connect, |handle| shared.handshake_begins(id, handle));
            return shared.finish_connecting(slot, made, connect);
        }
    }

    /// The number of the present generation.
    pub(crate) fn generation(&self) -> u64 {
        self.shared.lock().generation
    }

    /// No connection made so far is used again, unless the pool was cleared since `generation` already.
    pub(crate) fn clear(&self, generation: u64) {
        let mut state = self.shared.lock();
        if state.generation != generation {
            return;
        }
        state.generation += 1;
        let stale = std::mem::take(&mut state.idle);
        state.wake_first();
        drop(state);
        drop(stale);
    }

    /// Ends idle connections, those in use, handshakes, and the wait of every thread.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        let in_use = std::mem::take(&mut state.in_use);
        let connecting = std::mem::take(&mut state.connecting);
        for waiting in &state.waiting {
            waiting.notify_one();
        }
        drop(state);
        drop(idle);
        in_use.values().for_each(ShutdownHandle::close);
        for one in connecting.values() {
            if let Connecting::Handshaking(handle) = one {
                handle.close();
            }
        }
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
    fn wait_for_grant(&self, deadline: Deadline, dead: Option<u64>) -> Result<Grant<'_>> {
        // Declared before the guard, hence dropped after it: closing a TLS connection writes.
        let mut stale = Vec::new();
        let mut state = self.lock();
        state.leave_to_parent(&mut stale);
        if let Some(id) = dead {
            state.in_use.remove(&id);
        }
        if (dead.is_some() || state.waiting.is_empty())
            && let Some(grant) = self.grant(&mut state, &mut stale)?
        {
            return Ok(grant);
        }
        let began = Instant::now();
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
            let grant = if first || state.closed { self.grant(&mut state, &mut stale).transpose() } else { None };
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
    fn grant(&self, state: &mut State, stale: &mut Vec<Idle>) -> Result<Option<Grant<'_>>> {
        if state.closed {
            return Err(closed());
        }
        while let Some(mut idle) = state.idle.pop_back() {
            let limit = self.settings.max_idle_time.filter(|limit| !limit.is_zero());
            let too_old = limit.is_some_and(|limit| idle.since.elapsed() > limit);
            if too_old || idle.connection.generation() != state.generation {
                stale.push(idle);
                continue;
            }
            state.in_use.insert(idle.id, idle.connection.shutdown_handle());
            idle.connection.set_buffers(state.buffers.pop().unwrap_or_default());
            return Ok(Some(Grant::Reuse(idle)));
        }
        let full = self.settings.max_size != 0 && state.total() >= self.settings.max_size;
        if full || state.connecting() >= self.settings.max_connecting {
            return Ok(None);
        }
        Ok(Some(Grant::Create(self.reserve(state))))
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
            .with_hint("raise maxPoolSize or waitQueueTimeoutMS, or drop cursors and finish operations sooner")
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
                handle.close();
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
        if kept && !state.closed {
            state.in_use.insert(id, connection.shutdown_handle());
        }
        let is_closed = state.closed;
        state.wake_first();
        drop(state);
        match (kept, is_closed) {
            (true, false) => Ok(self.lease(connection, id, connect)),
            (_, true) => Err(closed()),
            (false, false) => Err(forked()),
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
        let usable = !state.closed && !connection.is_broken() && connection.generation() == state.generation;
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
        if state.closed || full || failed || connect.expired() {
            return;
        }
        let slot = self.reserve(&mut state);
        drop(state);
        let id = slot.id;
        let made = self.factory.connect(&self.address, id, connect, |handle| self.handshake_begins(id, handle));
        match self.finish_connecting(slot, made, connect) {
            // Back without another look at minPoolSize, so that one check-in makes one connection at the most.
            Ok(mut leased) => {
                let mut connection = leased.connection.take();
                if let Some(connection) = &mut connection {
                    drop(connection.take_buffers());
                }
                let mut state = self.lock();
                state.in_use.remove(&id);
                if !state.closed
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

    /// A pool without connections to a server with the user `user`.
    fn pool(server: &FakeServer, credential: &str) -> Pool {
        let uri = format!("mongodb://{credential}{}/", server.address());
        let options = ClientOptions::builder().uri(&uri).build().unwrap();
        let factory = Arc::new(ConnectionFactory::new(&options).unwrap());
        let settings = PoolSettings { max_size: 1, min_size: 0, max_connecting: 1, max_idle_time: None, fill: true };
        Pool::new(settings, factory, Arc::new(options.hosts.first().unwrap().clone()))
    }

    #[test]
    fn a_new_connection_reaches_scram_in_few_steps() {
        let server = FakeServer::builder().user("user", "pencil", &[Mechanism::ScramSha256], "admin").start();
        let pool = pool(&server, "user:pencil@");
        let stack = call_stack::between("Pool::check_out", "Scram::step", || {
            pool.check_out(Deadline::NEVER, Deadline::NEVER).unwrap();
        });
        println!("{stack:#?}");
        assert!(stack.len() <= MOST_TO_SCRAM, "{stack:#?}");
    }

    #[test]
    fn a_message_is_written_by_two_functions() {
        let server = FakeServer::builder().start();
        let pool = pool(&server, "");
        let mut connection = pool.check_out(Deadline::NEVER, Deadline::NEVER).unwrap();
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
        let pool = Pool::new(settings, factory, Arc::new(options.hosts.first().unwrap().clone()));
        let in_use: Vec<_> = (0..10).map(|_| pool.check_out(Deadline::NEVER, Deadline::NEVER).unwrap()).collect();
        drop(in_use);
        let mut state = pool.shared.lock();
        assert_eq!((state.idle.len(), state.buffers.len()), (10, KEPT_BUFFERS));
        for idle in &mut state.idle {
            assert!(idle.connection.take_buffers().is_empty());
        }
        drop(state);
        let mut reused = pool.check_out(Deadline::NEVER, Deadline::NEVER).unwrap();
        assert!(!reused.take_buffers().is_empty());
    }

    /// Check-out, connect, handshake, conversation, SASL, SCRAM.
    const MOST_TO_SCRAM: usize = 6;
}
