//! The connections of one server: a mutex, a queue of waiting threads, and a lease that returns on drop.
//!
//! There is no thread behind it. Idle connections are judged when they are taken, and `minPoolSize` is filled by the thread
//! that gives a connection back. Connections are made outside the lock. Threads are served in the order in which they came.
//!
//! A child process (`fork`) makes its own connections: two processes on one socket would read each other's replies, and their
//! message numbers run in step, so that nothing else would tell.

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Setup, ShutdownHandle};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::fork;
use crate::locks;

/// A connection that lay idle for longer than this is looked at before it is used, because its peer may have gone.
const LIVENESS_CHECK_AFTER: Duration = Duration::from_secs(1);

/// How long `minPoolSize` is left alone after a connection towards it could not be made: the caller waits meanwhile.
const FILL_PAUSE: Duration = Duration::from_secs(10);

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
}

/// The connections of one server.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// A connection on loan; it goes back when this is dropped.
pub(crate) struct PooledConnection {
    /// `None` only while it is being dropped. Boxed, for connections are moved in and out of the pool all the time.
    connection: Option<Box<Connection>>,
    id: u64,
    generation: u64,
    /// Until when the operation has time to make a connection.
    connect: Deadline,
    shared: Arc<Shared>,
}

struct Shared {
    settings: PoolSettings,
    setup: Setup,
    state: Mutex<State>,
}

struct State {
    /// The last one back is the first one out, so that a pool that has grown too large goes idle at the other end.
    idle: VecDeque<Idle>,
    /// What can end the sockets that are on loan, by connection number.
    leased: HashMap<u64, ShutdownHandle>,
    /// Connections that are being made.
    connecting: u32,
    /// What can end those of them whose handshake has begun, by connection number.
    greeting: HashMap<u64, ShutdownHandle>,
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

/// What a thread that came first in the queue may do.
enum Turn {
    Take(Idle),
    Connect { id: u64, generation: u64 },
}

impl Pool {
    pub(crate) fn new(settings: PoolSettings, setup: Setup) -> Self {
        let state = State {
            idle: VecDeque::new(),
            leased: HashMap::new(),
            connecting: 0,
            greeting: HashMap::new(),
            waiting: VecDeque::new(),
            generation: 0,
            last_id: 0,
            fill_failed: None,
            process: fork::process(),
            closed: false,
        };
        Pool { shared: Arc::new(Shared { settings, setup, state: Mutex::new(state) }) }
    }

    /// Takes a connection: an idle one, or else a new one.
    ///
    /// `queue` limits the wait for a place in the pool, `connect` the making of a connection.
    pub(crate) fn check_out(&self, queue: Deadline, connect: Deadline) -> Result<PooledConnection> {
        let shared = &self.shared;
        match shared.wait_for_turn(queue)? {
            Turn::Take(idle) => Ok(shared.lend(idle.connection, idle.id, connect)),
            Turn::Connect { id, generation } => {
                let made = shared.establish(id, connect);
                shared.connected(id, generation, made, connect)
            }
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

    /// Ends idle connections, those on loan, handshakes, and the wait of every thread.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        let leased = std::mem::take(&mut state.leased);
        let greeting = std::mem::take(&mut state.greeting);
        for waiting in &state.waiting {
            waiting.notify_one();
        }
        drop(state);
        drop(idle);
        for closer in leased.values().chain(greeting.values()) {
            closer.close();
        }
        self.shared.setup.handshake().close();
    }

    /// The setup that connections are made with.
    pub(crate) fn setup(&self) -> &Setup {
        &self.shared.setup
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        locks::lock(&self.state)
    }

    /// Waits until this thread is first in the queue and there is something for it to take.
    fn wait_for_turn(&self, deadline: Deadline) -> Result<Turn> {
        let mut stale = Vec::new();
        let mut state = self.lock();
        state.leave_to_parent(&mut stale);
        if state.waiting.is_empty()
            && let Some(turn) = state.turn(&self.settings, &mut stale)?
        {
            return Ok(turn);
        }
        let began = Instant::now();
        let own = Arc::new(Condvar::new());
        state.waiting.push_back(own.clone());
        loop {
            state = match deadline.remaining() {
                None => locks::unpoisoned(own.wait(state)),
                Some(left) => locks::unpoisoned(own.wait_timeout(state, left)).0,
            };
            let first = state.waiting.front().is_some_and(|front| Arc::ptr_eq(front, &own));
            let turn = if first || state.closed { state.turn(&self.settings, &mut stale).transpose() } else { None };
            let outcome = match turn {
                Some(outcome) => outcome,
                None if deadline.expired() => Err(self.wait_queue_timeout(&state, deadline, began)),
                None => continue,
            };
            state.waiting.retain(|waiting| !Arc::ptr_eq(waiting, &own));
            state.wake_first();
            return outcome;
        }
    }

    fn wait_queue_timeout(&self, state: &State, deadline: Deadline, began: Instant) -> Error {
        let message = format!(
            "no connection became free within {}: {} in use, {} idle, {} being made, {} threads waiting, maxPoolSize {}",
            deadline.name(),
            state.leased.len(),
            state.idle.len(),
            state.connecting,
            state.waiting.len(),
            self.settings.max_size,
        );
        Error::new(ErrorKind::Pool, Stage::CheckOut, message)
            .with_address(self.setup.address())
            .with_elapsed(began.elapsed())
            .with_hint("raise maxPoolSize or waitQueueTimeoutMS, or drop cursors and finish operations sooner")
    }

    /// Hands a connection that a turn took to the caller.
    fn lend(self: &Arc<Self>, connection: Box<Connection>, id: u64, connect: Deadline) -> PooledConnection {
        let generation = connection.generation();
        PooledConnection { connection: Some(connection), id, generation, connect, shared: self.clone() }
    }

    /// Makes a connection, in a way that closing the pool can end. A panic on the way, in a function of the program's that
    /// gives tokens or keys, leaves the place in the pool to the next.
    fn establish(&self, id: u64, connect: Deadline) -> Result<Connection> {
        let mut place = Place { shared: self, id, kept: false };
        let made = Connection::establish(&self.setup, id, connect, |closer| {
            let mut state = self.lock();
            match state.closed {
                true => closer.close(),
                false => drop(state.greeting.insert(id, closer)),
            }
        });
        place.kept = true;
        made
    }

    /// Books the end of an attempt to connect.
    fn connected(
        self: &Arc<Self>,
        id: u64,
        generation: u64,
        made: Result<Connection>,
        connect: Deadline,
    ) -> Result<PooledConnection> {
        let mut state = self.lock();
        state.connecting -= 1;
        state.greeting.remove(&id);
        state.wake_first();
        let mut connection = Box::new(made?);
        if state.closed {
            return Err(closed());
        }
        state.leased.insert(id, connection.closer());
        drop(state);
        connection.set_generation(generation);
        Ok(self.lend(connection, id, connect))
    }

    /// Takes a connection back, and makes one more if there are fewer than `minPoolSize`.
    fn check_in(self: &Arc<Self>, mut connection: Box<Connection>, id: u64, connect: Deadline) {
        connection.rest();
        let mut state = self.lock();
        state.leased.remove(&id);
        let usable = !state.closed && !connection.is_broken() && connection.generation() == state.generation;
        let mut spent = None;
        if usable {
            state.idle.push_back(Idle { connection, id, since: Instant::now() });
        } else {
            spent = Some(connection);
        }
        state.wake_first();
        let missing = usable && state.total() < self.settings.min_size && state.waiting.is_empty();
        drop(state);
        drop(spent);
        // Nobody has asked for that connection, so no person is asked on its behalf.
        if missing && !self.setup.asks_a_person() && !std::thread::panicking() {
            self.fill_one(connect);
        }
    }

    /// Makes one connection towards `minPoolSize`, in the time that the operation has left. A failure is left for the next
    /// operation to meet; it is not repeated at once, for every operation would have to wait for it.
    fn fill_one(self: &Arc<Self>, connect: Deadline) {
        let mut state = self.lock();
        let full = state.total() >= self.settings.min_size || state.connecting >= self.settings.max_connecting;
        let failed = state.fill_failed.is_some_and(|at| at.elapsed() < FILL_PAUSE);
        if state.closed || full || failed || connect.expired() {
            return;
        }
        let (id, generation) = state.reserve();
        drop(state);
        let made = self.establish(id, connect);
        match self.connected(id, generation, made, connect) {
            // Back without another look at minPoolSize, so that one check-in makes one connection at the most.
            Ok(mut lease) => {
                let mut state = self.lock();
                state.leased.remove(&id);
                if let Some(connection) = lease.connection.take()
                    && !state.closed
                    && generation == state.generation
                {
                    state.idle.push_front(Idle { connection, id, since: Instant::now() });
                }
                // Also where it was not kept: its place is free.
                state.wake_first();
            }
            Err(error) => {
                self.lock().fill_failed = Some(Instant::now());
                log::debug!("minPoolSize: {error}");
            }
        }
    }
}

impl State {
    /// What the thread at the front may do now; `None`: wait. Connections that turn out unusable are put into `stale`.
    fn turn(&mut self, settings: &PoolSettings, stale: &mut Vec<Idle>) -> Result<Option<Turn>> {
        if self.closed {
            return Err(closed());
        }
        while let Some(mut idle) = self.idle.pop_back() {
            let rested = idle.since.elapsed();
            let too_old = settings.max_idle_time.is_some_and(|limit| !limit.is_zero() && rested > limit);
            if too_old
                || idle.connection.generation() != self.generation
                || (rested > LIVENESS_CHECK_AFTER && !idle.connection.is_alive())
            {
                stale.push(idle);
                continue;
            }
            self.leased.insert(idle.id, idle.connection.closer());
            return Ok(Some(Turn::Take(idle)));
        }
        let full = settings.max_size != 0 && self.total() >= settings.max_size;
        if full || self.connecting >= settings.max_connecting {
            return Ok(None);
        }
        let (id, generation) = self.reserve();
        Ok(Some(Turn::Connect { id, generation }))
    }

    /// After a `fork`, the child begins anew: the sockets are its parent's, who goes on using them, and the threads that
    /// held or waited for some are not here.
    fn leave_to_parent(&mut self, stale: &mut Vec<Idle>) {
        let process = fork::process();
        if self.process == process {
            return;
        }
        self.process = process;
        self.generation += 1;
        stale.extend(std::mem::take(&mut self.idle));
        self.leased.clear();
        self.connecting = 0;
        self.greeting.clear();
        self.waiting.clear();
    }

    fn reserve(&mut self) -> (u64, u64) {
        self.connecting += 1;
        self.last_id += 1;
        (self.last_id, self.generation)
    }

    fn total(&self) -> u32 {
        u32::try_from(self.idle.len() + self.leased.len()).unwrap_or(u32::MAX).saturating_add(self.connecting)
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

impl PooledConnection {
    /// The generation that the connection belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease holds its connection until it is dropped")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease holds its connection until it is dropped")
    }
}

/// The place of a connection that is being made; given up where nobody books the end of the attempt.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
    kept: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let mut state = self.shared.lock();
        state.connecting -= 1;
        state.greeting.remove(&self.id);
        state.wake_first();
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.check_in(connection, self.id, self.connect);
        }
    }
}
