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
//! A pool is paused until its server was found to be usable, and again after it was cleared: then no connection is given, and
//! threads that wait for one are sent away with [`ErrorKind::ConnectionPoolCleared`].
//!
//! The pool keeps no thread. Whether an idle connection is still usable is decided at check-out, and `minPoolSize` is filled by a
//! helper thread that ends when it is reached ([`fill`]). Threads are served in the order in which they came ([`queue`]).
//!
//! Nothing is sent, received or closed while the lock is held, since a server decides how long that takes: connections are
//! made, looked at and dropped outside it. What is left to do after unlocking is returned as a [`Cleanup`].
//!
//! A child process (`fork`) makes its own connections: two processes on one socket would read each other's replies, and their
//! request ids run in step, so that nothing else would reveal it.

mod events;
mod fill;
#[cfg(test)]
mod fixtures;
mod pinned;
mod queue;
mod state;
#[cfg(test)]
mod tests;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use crate::connection::{
    Connection, ConnectionFactory, HelloFor, OpenedConnection, ShutdownHandle, ShutdownReason, Supervisor,
    WaitObserver, interrupted,
};
use crate::deadline::Deadline;
use crate::description::ServerDescription;
use crate::error::{Error, ErrorKind, FaultKind, Result, Stage};
use crate::event::EventQueue;
use crate::event::cmap::ConnectionClosedReason;
use crate::fork;
use crate::locks;
use crate::options::ServerAddress;

use events::PoolEvents;
use fill::Filling;
pub(crate) use pinned::PinnedConnection;
use queue::{Grant, ReservedSlot};
pub(crate) use state::Purpose;
use state::{Idle, InUse, Phase, Reused, State};

/// A connection that was idle for longer than this is looked at before it is used, because its peer may have gone.
const LIVENESS_CHECK_AFTER: Duration = Duration::from_secs(1);

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
    /// Whether the server is a load balancer, so that each connection belongs to a service behind it.
    pub(crate) load_balanced: bool,
}

/// The connections of one server.
///
/// It begins paused: it gives no connection until it is [`ready`](Pool::ready).
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// A connection that was made to find its server, for an operation to take over.
pub(crate) struct AdoptableConnection {
    pub(crate) opened: Box<OpenedConnection>,
    /// Its place in the pool; `None`: it is adopted if there is one.
    pub(crate) slot: Option<HeldSlot>,
}

/// A slot of a pool that no other connection gets until this is dropped.
pub(crate) struct HeldSlot(Option<Arc<Shared>>);

impl HeldSlot {
    /// The slot was given up under the lock.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl From<Box<OpenedConnection>> for AdoptableConnection {
    fn from(opened: Box<OpenedConnection>) -> Self {
        AdoptableConnection { opened, slot: None }
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.lock();
        state.held = state.held.saturating_sub(1);
        state.wake_first();
    }
}

/// What a pool finds out about its server. It is called without any lock held.
pub(crate) trait PoolObserver: Send + Sync {
    /// A new connection's hello was answered. Its authentication comes after this.
    fn hello_answered(&self, address: &ServerAddress, hello: &Arc<ServerDescription>, round_trip_time: Duration);

    /// An attempt to connect failed, for an operation or towards `minPoolSize`. What follows from it for the server and for this
    /// pool is decided here, before the failure is published: the pool is cleared first, and the connection closed after that.
    /// Never called for [`ErrorKind::ConnectionPoolCleared`] and [`ErrorKind::Shutdown`], which say nothing about the server.
    fn attempt_failed(&self, address: &ServerAddress, error: &Error, attempt: FailedAttempt);

    /// A call on a connection of this server has waited for a second or more since this moment, and goes on waiting.
    fn still_waiting(&self, address: &ServerAddress, since: Instant);
}

/// Tells the observer of long waits on the connections of one pool.
#[derive(Debug)]
struct LongWaits {
    observer: Weak<dyn PoolObserver>,
    address: Arc<ServerAddress>,
}

impl WaitObserver for LongWaits {
    fn still_waiting(&self, since: Instant) {
        if let Some(observer) = self.observer.upgrade() {
            observer.still_waiting(&self.address, since);
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct CheckOutFailure {
    pub(crate) error: Error,
    /// The attempt to connect that failed; `None` where there was no attempt, and where it ended before a load balancer had
    /// named the service, so that nothing follows from it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the observer is told before"))]
    pub(crate) attempt: Option<FailedAttempt>,
}

/// An attempt to connect that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// The pool's generation when the attempt got its slot; behind a load balancer, that of the service.
    pub(crate) generation: u64,
    /// The service behind a load balancer.
    pub(crate) service_id: Option<ObjectId>,
    /// Whether it was ended by the caller's own time limit, which says nothing about the server.
    pub(crate) own_limit: bool,
}

impl FailedAttempt {
    /// Whether the connections of this generation are to be given up. A server that refuses the client refuses all of its
    /// connections; an overloaded network does not concern those that exist.
    #[cfg(test)]
    pub(crate) fn condemns_others(&self, error: &Error) -> bool {
        !self.own_limit && !error.contains_label(crate::error::SYSTEM_OVERLOADED_ERROR)
    }
}

/// What is left to do once no lock is held: closing a connection may send, ending one wakes threads, and a thread is started.
#[derive(Default)]
#[must_use = "connections are closed by running it"]
pub(crate) struct Cleanup(Option<Box<Remains>>);

/// What most calls leave none of, so that a [`Cleanup`] is a null pointer for them.
#[derive(Default)]
struct Remains {
    connections: Vec<Connection>,
    handles: Vec<(ShutdownHandle, ShutdownReason)>,
    fill: Vec<Filling>,
}

/// A connection that is checked out; it goes back to its pool when this is dropped.
pub(crate) struct PooledConnection {
    /// `None` only while it is being dropped. Boxed, since connections are moved in and out of the pool all the time.
    connection: Option<Box<Connection>>,
    id: u64,
    generation: u64,
    /// Whether it was borrowed for a check, of which no event tells.
    borrowed: bool,
    /// When it was checked out.
    since: Instant,
    /// Where it goes when it is dropped, if not back to the pool.
    pin: Option<Arc<PinnedConnection>>,
    shared: Arc<Shared>,
}

struct Shared {
    settings: PoolSettings,
    factory: Arc<ConnectionFactory>,
    address: Arc<ServerAddress>,
    observer: Weak<dyn PoolObserver>,
    /// What its connections tell of long waits. `None` for a load balancer, which cannot be checked.
    waits: Option<Arc<dyn WaitObserver>>,
    events: PoolEvents,
    state: Mutex<State>,
}

impl Pool {
    /// A paused pool.
    pub(crate) fn new(
        settings: PoolSettings,
        factory: Arc<ConnectionFactory>,
        address: Arc<ServerAddress>,
        observer: Weak<dyn PoolObserver>,
        events: &Arc<EventQueue>,
    ) -> Self {
        let events = PoolEvents::new(events.clone(), address.clone());
        events.pool_created(&settings);
        let state = Mutex::new(State::new());
        let waits = LongWaits { observer: observer.clone(), address: address.clone() };
        let waits = (!settings.load_balanced).then(|| Arc::new(waits) as Arc<dyn WaitObserver>);
        Pool { shared: Arc::new(Shared { settings, factory, address, observer, waits, events, state }) }
    }

    /// Takes a connection: an idle one, or else a new one. `opened` is one whose hello is over: it becomes one of the pool, and
    /// is only authenticated. Where the pool is full and one is idle, that is taken and `opened` is closed.
    ///
    /// `queue` limits the wait for a slot in the pool, `connect` the making of a connection. It is `now`.
    pub(crate) fn check_out(
        &self,
        queue: Deadline,
        connect: Deadline,
        opened: Option<AdoptableConnection>,
        now: Instant,
    ) -> Result<PooledConnection, CheckOutFailure> {
        let shared = &self.shared;
        let began = shared.check_out_begins();
        let mut dead = None;
        let (opened, mut held) = opened.map_or((None, None), |adoptable| (Some(adoptable.opened), adoptable.slot));
        let mut slot = loop {
            match shared.wait_for_grant(queue, dead, opened.is_some(), held.take()) {
                Ok(Grant::Create(slot)) => break slot,
                Ok(Grant::Reuse(mut idle)) => {
                    // One that came back while this thread waited for it is later.
                    let now = now.max(idle.since);
                    if now <= idle.since + LIVENESS_CHECK_AFTER || idle.connection.is_alive() {
                        return Ok(shared.check_out_reused(idle, began, now));
                    }
                    dead = Some(idle.id);
                }
                Err(error) => return Err(shared.check_out_fails(CheckOutFailure { error, attempt: None }, began)),
            }
        };
        shared.events.deliver();
        let id = slot.id;
        let opened = match opened {
            Some(mut opened) => {
                shared.handshake_begins(id, opened.shutdown_handle());
                shared.waits.iter().for_each(|waits| opened.set_wait_observer(waits.clone()));
                Ok(opened)
            }
            None => shared.open(id, connect).map(Box::new),
        };
        let made = match opened {
            Ok(opened) => {
                slot.belongs_to(opened.service_id());
                shared.factory.authenticate(*opened, id, connect)
            }
            Err(error) => Err(error),
        };
        match shared.conclude(slot, made, connect) {
            Ok((connection, state)) => Ok(shared.check_out_made(connection, id, state, began)),
            Err(failure) => Err(shared.check_out_fails(failure, began)),
        }
    }

    /// An idle connection to check the server on, if there is one and no thread waits for it, and since when it was idle. No event
    /// tells of it.
    pub(crate) fn borrow_idle(&self) -> Option<(PooledConnection, Instant)> {
        let shared = &self.shared;
        // Declared before the guard, hence dropped after it: closing a TLS connection writes.
        let mut cleanup = Cleanup::default();
        let mut state = shared.lock();
        if state.phase != Phase::Ready || state.process != fork::process() || !state.waiting.is_empty() {
            return None;
        }
        let idle = shared.take_idle(&mut state, &mut cleanup)?;
        Some((shared.hand_out(idle.connection, idle.id, true, Instant::now()), idle.since))
    }

    /// Keeps a slot for a connection that was made already, if there is one.
    pub(crate) fn hold_slot(&self) -> Option<HeldSlot> {
        let mut state = self.shared.lock();
        if state.phase != Phase::Ready || !self.shared.has_slot(&state) {
            return None;
        }
        state.held += 1;
        Some(HeldSlot(Some(self.shared.clone())))
    }

    /// Whether it gives no connection until its server was checked.
    pub(crate) fn is_paused(&self) -> bool {
        self.shared.lock().phase == Phase::Paused
    }

    /// Whether a connection is idle.
    pub(crate) fn has_idle(&self) -> bool {
        !self.shared.lock().idle.is_empty()
    }

    /// How many connections operations use now.
    pub(crate) fn in_use(&self) -> usize {
        self.shared.lock().in_use.len()
    }

    /// The number of the present generation; behind a load balancer, of this service.
    pub(crate) fn generation(&self, service_id: Option<ObjectId>) -> u64 {
        self.shared.lock().generation(service_id)
    }

    /// From now on connections are given, and made towards `minPoolSize`.
    pub(crate) fn ready(&self) -> Cleanup {
        let mut cleanup = Cleanup::default();
        let mut state = self.shared.lock();
        if state.phase == Phase::Paused {
            state.phase = Phase::Ready;
            state.fill_failed = None;
            self.shared.events.pool_ready();
            state.wake_first();
            cleanup.fill(self.shared.claim_filling(&mut state));
        }
        cleanup
    }

    /// No connection made so far is used again, and none is given until the pool is ready again: threads that wait get
    /// [`ErrorKind::ConnectionPoolCleared`] at once. `interrupt_in_use`: those in use and those being made end, too.
    ///
    /// With a service behind a load balancer only its connections are given up, and the pool stays ready.
    pub(crate) fn clear(&self, interrupt_in_use: bool, service_id: Option<ObjectId>) -> Cleanup {
        let shared = &self.shared;
        let mut cleanup = Cleanup::default();
        let mut state = shared.lock();
        if state.phase == Phase::Closed {
            return cleanup;
        }
        let generation = state.generation(service_id);
        state.next_generation(service_id);
        if service_id.is_some() || state.phase == Phase::Ready {
            shared.events.pool_cleared(service_id, interrupt_in_use);
        }
        if service_id.is_none() {
            state.phase = Phase::Paused;
            state.evict_all();
        }
        for idle in std::mem::take(&mut state.idle) {
            match state.perished(&idle.connection) {
                Some(reason) => shared.close_idle(&mut state, idle, reason, &mut cleanup),
                None => state.idle.push_back(idle),
            }
        }
        if interrupt_in_use && service_id.is_none() {
            let older = state.in_use.values().filter(|in_use| in_use.generation <= generation);
            older.for_each(|in_use| cleanup.end(in_use.handle.clone(), ShutdownReason::Interrupted));
            for attempt in state.connecting.values_mut().filter(|attempt| attempt.generation <= generation) {
                attempt.ends = Some(ShutdownReason::Interrupted);
                attempt.handle.iter().for_each(|handle| cleanup.end(handle.clone(), ShutdownReason::Interrupted));
            }
        }
        cleanup
    }

    /// The server has fallen silent and another one is primary, as `words` say. What waits for this server and may begin anew on the
    /// other one ends: connections in use whose operation yields, those that are being made, and the wait of every thread. The
    /// pool itself stays as it is.
    pub(crate) fn end_waits(&self, words: &str) -> Cleanup {
        let mut cleanup = Cleanup::default();
        let mut state = self.shared.lock();
        if state.phase == Phase::Closed {
            return cleanup;
        }
        let words: Arc<str> = words.into();
        let in_use = state.in_use.values().map(|in_use| &in_use.handle).filter(|handle| handle.yields());
        let mut handles: Vec<ShutdownHandle> = in_use.cloned().collect();
        for attempt in state.connecting.values_mut().filter(|attempt| attempt.ends.is_none()) {
            attempt.ends = Some(ShutdownReason::NewerPrimary);
            handles.extend(attempt.handle.clone());
        }
        handles.iter().for_each(|handle| handle.name_successor(&words));
        handles.into_iter().for_each(|handle| cleanup.end(handle, ShutdownReason::NewerPrimary));
        state.successor = Some(words);
        state.evictions += 1;
        state.evict_all();
        cleanup
    }

    /// Ends idle connections and the wait of every thread. `interrupt_in_use`: connections in use and those being made end, too;
    /// without it they end when they come back.
    pub(crate) fn close(&self, interrupt_in_use: bool) -> Cleanup {
        let shared = &self.shared;
        let mut cleanup = Cleanup::default();
        let mut state = shared.lock();
        if state.phase == Phase::Closed {
            return cleanup;
        }
        state.phase = Phase::Closed;
        for idle in std::mem::take(&mut state.idle) {
            shared.close_idle(&mut state, idle, ConnectionClosedReason::PoolClosed, &mut cleanup);
        }
        if interrupt_in_use {
            for in_use in state.in_use.values() {
                cleanup.end(in_use.handle.clone(), ShutdownReason::Client);
            }
            for attempt in state.connecting.values_mut() {
                attempt.ends.get_or_insert(ShutdownReason::Client);
                attempt.handle.iter().for_each(|handle| cleanup.end(handle.clone(), ShutdownReason::Client));
            }
        }
        state.evict_all();
        shared.events.pool_closed();
        cleanup
    }
}

impl Cleanup {
    /// Adds what is left to do elsewhere.
    pub(crate) fn merge(&mut self, other: Cleanup) {
        let Some(other) = other.0 else { return };
        let own = self.remains();
        own.connections.extend(other.connections);
        own.handles.extend(other.handles);
        own.fill.extend(other.fill);
    }

    /// Adds a connection that is to be closed.
    pub(crate) fn add(&mut self, connection: Box<Connection>) {
        self.remains().connections.push(*connection);
    }

    /// Adds a connection that is to be ended from this side.
    pub(crate) fn end(&mut self, handle: ShutdownHandle, reason: ShutdownReason) {
        self.remains().handles.push((handle, reason));
    }

    /// Adds a helper thread that is to be started.
    fn fill(&mut self, filling: Option<Filling>) {
        if let Some(filling) = filling {
            self.remains().fill.push(filling);
        }
    }

    fn remains(&mut self) -> &mut Remains {
        self.0.get_or_insert_default()
    }

    /// Does it. To be called without any lock held.
    pub(crate) fn run(self) {
        let Some(remains) = self.0 else { return };
        for (handle, reason) in remains.handles {
            handle.close(reason);
        }
        remains.fill.into_iter().for_each(fill::start);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        locks::lock(&self.state)
    }

    /// Tells the handler of events, if there is one, and the moment from which durations count.
    fn check_out_begins(&self) -> Option<Instant> {
        if !self.events.wanted() {
            return None;
        }
        let state = self.lock();
        self.events.check_out_started();
        drop(state);
        self.events.deliver();
        self.events.now()
    }

    fn check_out_reused(self: &Arc<Self>, idle: Reused, began: Option<Instant>, now: Instant) -> PooledConnection {
        if began.is_some() {
            let state = self.lock();
            self.events.checked_out(idle.id, began);
            drop(state);
            self.events.deliver();
        }
        self.hand_out(idle.connection, idle.id, false, now)
    }

    fn check_out_made(
        self: &Arc<Self>,
        connection: Box<Connection>,
        id: u64,
        mut state: MutexGuard<'_, State>,
        began: Option<Instant>,
    ) -> PooledConnection {
        let (handle, generation) = (connection.shutdown_handle(), connection.generation());
        state.in_use.insert(id, InUse { handle, generation, purpose: Purpose::Other });
        self.events.checked_out(id, began);
        state.wake_first();
        let fill = self.claim_filling(&mut state);
        drop(state);
        self.events.deliver();
        fill.into_iter().for_each(fill::start);
        self.hand_out(connection, id, false, Instant::now())
    }

    fn check_out_fails(&self, failure: CheckOutFailure, began: Option<Instant>) -> CheckOutFailure {
        if began.is_some() {
            let state = self.lock();
            self.events.check_out_failed(&failure.error, began);
            drop(state);
            self.events.deliver();
        }
        failure
    }

    fn hand_out(
        self: &Arc<Self>,
        connection: Box<Connection>,
        id: u64,
        borrowed: bool,
        since: Instant,
    ) -> PooledConnection {
        let (generation, shared) = (connection.generation(), self.clone());
        PooledConnection { connection: Some(connection), id, generation, borrowed, since, pin: None, shared }
    }

    /// Connects, and says hello, of which the observer is told.
    fn open(&self, id: u64, deadline: Deadline) -> Result<OpenedConnection> {
        let supervisor = Supervisor {
            observer: self.waits.as_ref(),
            opened: &|handle| self.handshake_begins(id, handle),
            given_up: &|| self.lock().connecting.get(&id).is_none_or(|attempt| attempt.ends.is_some()),
        };
        let purpose = HelloFor::Operation { speculate: true };
        let opened = self.factory.open(&self.address, purpose, deadline, &supervisor)?;
        if let Some(observer) = self.observer.upgrade() {
            observer.hello_answered(&self.address, opened.hello(), opened.round_trip_time());
        }
        Ok(opened)
    }

    /// Records the end of an attempt to connect. A connection is returned with the lock held, so that it counts without a gap.
    fn conclude(
        &self,
        slot: ReservedSlot<'_>,
        made: Result<Connection>,
        own: Deadline,
    ) -> Result<(Box<Connection>, MutexGuard<'_, State>), CheckOutFailure> {
        let mut connection = match made {
            Ok(connection) => Box::new(connection),
            Err(error) => return Err(self.attempt_fails(slot, error, own)),
        };
        let (id, service_id, created) = (slot.id, slot.service_id, slot.created);
        connection.set_generation(slot.generation);
        let mut state = self.lock();
        let error = match (slot.release(&mut state), state.perished(&connection)) {
            (true, None) => {
                self.events.ready(id, created);
                return Ok((connection, state));
            }
            (false, _) => forked(),
            (true, Some(reason)) => {
                state.disconnected(service_id);
                self.events.closed(id, reason);
                if reason == ConnectionClosedReason::PoolClosed { self.closed() } else { self.cleared() }
            }
        };
        state.wake_first();
        drop(state);
        Err(CheckOutFailure { error, attempt: None })
    }

    /// The observer concludes what it means before it is published.
    fn attempt_fails(&self, slot: ReservedSlot<'_>, error: Error, own: Deadline) -> CheckOutFailure {
        let state = self.lock();
        let ends = state.connecting.get(&slot.id).and_then(|attempt| attempt.ends);
        let error = match ends {
            Some(ShutdownReason::NewerPrimary) => {
                let words = state.successor.as_deref().unwrap_or_default().to_owned();
                Error::new(FaultKind::Io, error.stage(), words).with_address(&self.address)
            }
            Some(ShutdownReason::Interrupted) if !matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. }) => {
                interrupted(&self.address, error).with_address(&self.address)
            }
            Some(ShutdownReason::Client) if !matches!(error.kind(), ErrorKind::Shutdown) => self.closed(),
            _ => error,
        };
        drop(state);
        let own_limit = error.is_timeout() && own.expired();
        let attempt = FailedAttempt { generation: slot.generation, service_id: slot.service_id, own_limit };
        let concerns_server = ends.is_none()
            && !matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::Shutdown)
            && (!self.settings.load_balanced || slot.service_id.is_some());
        if concerns_server && let Some(observer) = self.observer.upgrade() {
            observer.attempt_failed(&self.address, &error, attempt);
        }
        let id = slot.id;
        let mut state = self.lock();
        if slot.release(&mut state) {
            state.disconnected(attempt.service_id);
            let closed = state.phase == Phase::Closed;
            let reason = if closed { ConnectionClosedReason::PoolClosed } else { ConnectionClosedReason::Error };
            self.events.closed(id, reason);
        }
        state.wake_first();
        drop(state);
        CheckOutFailure { error, attempt: concerns_server.then_some(attempt) }
    }

    /// Takes a connection back.
    fn check_in(self: &Arc<Self>, mut connection: Box<Connection>, id: u64, borrowed: bool) {
        connection.set_yields(false);
        let mut buffers = connection.take_buffers();
        buffers.shrink();
        // Declared before the guard, hence dropped after it.
        let mut cleanup = Cleanup::default();
        let mut state = self.lock();
        let buffers = state.keep(buffers);
        let handle = state.in_use.remove(&id).map_or_else(|| connection.shutdown_handle(), |in_use| in_use.handle);
        if !borrowed {
            self.events.checked_in(id);
        }
        let idle = Idle { connection, handle, id, since: Instant::now() };
        match state.perished(&idle.connection) {
            None => state.idle.push_back(idle),
            Some(reason) => self.close_idle(&mut state, idle, reason, &mut cleanup),
        }
        state.wake_first();
        if !std::thread::panicking() {
            cleanup.fill(self.claim_filling(&mut state));
        }
        drop(state);
        drop(buffers);
        self.events.deliver();
        cleanup.run();
    }
}

fn forked() -> Error {
    let message = "this process was forked while the connection was made, and the connection belongs to its parent";
    Error::new(FaultKind::Io, Stage::CheckOut, message).with_hint("begin the operation anew in the child")
}

impl PooledConnection {
    /// The generation that the connection belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// When it was checked out: so short ago, on the way to its first command, that the clock need not be read again.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The service behind a load balancer that it leads to.
    pub(crate) fn service_id(&self) -> Option<ObjectId> {
        self.info().service_id
    }

    /// Tells what it is in use for, for the message of a timeout.
    fn set_purpose(&self, purpose: Purpose) {
        if let Some(in_use) = self.shared.lock().in_use.get_mut(&self.id) {
            in_use.purpose = purpose;
        }
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
        // In a child of the process that checked it out (`fork`), it is the parent's, and so is its place in the pool.
        let Some(connection) = self.connection.take().filter(|own| !own.is_inherited()) else {
            return;
        };
        match self.pin.take() {
            Some(pin) => pin.keep(PooledConnection {
                connection: Some(connection),
                id: self.id,
                generation: self.generation,
                borrowed: self.borrowed,
                since: self.since,
                pin: None,
                shared: self.shared.clone(),
            }),
            None => self.shared.check_in(connection, self.id, self.borrowed),
        }
    }
}
