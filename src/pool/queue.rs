//! Who gets what: the queue of waiting threads, and the slots of connections that are being made.

use std::sync::{Arc, Condvar};
use std::time::Instant;

use bson::oid::ObjectId;

use super::state::{Attempt, Idle, InUse, Phase, Purpose, Reused, State};
use super::{Cleanup, HeldSlot, Shared};
use crate::connection::{ShutdownHandle, ShutdownReason};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::cmap::ConnectionClosedReason;
use crate::fork;
use crate::locks;

/// What a thread that came first in the queue may do.
pub(super) enum Grant<'a> {
    Reuse(Reused),
    Create(ReservedSlot<'a>),
}

impl Shared {
    /// Waits until this thread is first in the queue and there is something for it to take.
    ///
    /// `dead` is the idle connection that it got before and found unusable: its slot is given up, and the thread has the first
    /// place in the queue, as it had before. `adopts`: it brings a connection of its own, and prefers a slot for that, which may be
    /// `held` for it.
    pub(super) fn wait_for_grant(
        &self,
        deadline: Deadline,
        dead: Option<u64>,
        adopts: bool,
        held: Option<HeldSlot>,
    ) -> Result<Grant<'_>> {
        // Declared before the guard, hence dropped after it: closing a TLS connection writes.
        let mut cleanup = Cleanup::default();
        let mut state = self.lock();
        state.leave_to_parent(&mut cleanup);
        if let Some(id) = dead {
            state.in_use.remove(&id);
            self.events.closed(id, ConnectionClosedReason::Error);
        }
        let goes_first = dead.is_some() || held.is_some() || state.waiting.is_empty();
        if let Some(held) = held {
            state.held = state.held.saturating_sub(1);
            held.disarm(); // Dropping it would take the lock.
        }
        if goes_first && let Some(grant) = self.grant(&mut state, &mut cleanup, adopts)? {
            return Ok(grant);
        }
        let began = Instant::now();
        let (generation, evictions) = (state.generation, state.evictions);
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
            let grant = if state.phase == Phase::Closed {
                Some(Err(self.closed()))
            } else if state.generation != generation {
                Some(Err(self.cleared()))
            } else if state.evictions != evictions {
                Some(Err(self.superseded(&state)))
            } else if first {
                self.grant(&mut state, &mut cleanup, adopts).transpose()
            } else {
                None
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

    /// What the thread at the front may do now; `None`: wait. Connections that turn out unusable are left to the cleanup.
    fn grant(&self, state: &mut State, cleanup: &mut Cleanup, adopts: bool) -> Result<Option<Grant<'_>>> {
        match state.phase {
            Phase::Closed => return Err(self.closed()),
            Phase::Paused => return Err(self.cleared()),
            Phase::Ready => {}
        }
        // A connection that is brought along is used before an idle one, but only if there is a slot for it: nothing else may
        // ever wake a thread that waits while one is idle.
        if adopts && self.has_slot(state) {
            return Ok(Some(Grant::Create(self.reserve(state))));
        }
        if let Some(idle) = self.take_idle(state, cleanup) {
            return Ok(Some(Grant::Reuse(idle)));
        }
        Ok(self.has_slot(state).then(|| Grant::Create(self.reserve(state))))
    }

    pub(super) fn has_slot(&self, state: &State) -> bool {
        let full = self.settings.max_size != 0 && state.total() >= self.settings.max_size;
        !full && state.connecting() < self.settings.max_connecting
    }

    /// An idle connection that may be used; it counts as in use from now on. Those that may not be are left to the cleanup.
    pub(super) fn take_idle(&self, state: &mut State, cleanup: &mut Cleanup) -> Option<Reused> {
        while let Some(idle) = state.idle.pop_back() {
            let limit = self.settings.max_idle_time.filter(|limit| !limit.is_zero());
            let too_old = limit.is_some_and(|limit| idle.since.elapsed() > limit);
            if let Some(reason) = state.perished(&idle.connection).or(too_old.then_some(ConnectionClosedReason::Idle)) {
                self.close_idle(state, idle, reason, cleanup);
                continue;
            }
            let Idle { mut connection, handle, id, since } = idle;
            let in_use = InUse { handle, generation: connection.generation(), purpose: Purpose::Other };
            state.in_use.insert(id, in_use);
            connection.set_buffers(state.buffers.pop().unwrap_or_default());
            return Some(Reused { connection, id, since });
        }
        None
    }

    /// A connection leaves the pool; the cleanup closes it.
    pub(super) fn close_idle(
        &self,
        state: &mut State,
        idle: Idle,
        reason: ConnectionClosedReason,
        cleanup: &mut Cleanup,
    ) {
        state.disconnected(idle.connection.info().service_id);
        self.events.closed(idle.id, reason);
        cleanup.add(idle.connection);
    }

    /// Takes a slot for a connection that is to be made.
    pub(super) fn reserve(&self, state: &mut State) -> ReservedSlot<'_> {
        state.last_id += 1;
        let (id, generation) = (state.last_id, state.generation);
        state.connecting.insert(id, Attempt { handle: None, generation, ends: None });
        self.events.created(id);
        ReservedSlot { shared: self, id, generation, service_id: None, created: self.events.now() }
    }

    fn wait_queue_timeout(&self, state: &State, deadline: Deadline, began: Instant) -> Error {
        // The words of the load balancer specification.
        let counts = if self.settings.load_balanced {
            format!(
                "maxPoolSize: {}, connections in use by cursors: {}, connections in use by transactions: {}, \
                 connections in use by other operations: {}",
                self.settings.max_size,
                state.in_use_for(Purpose::Cursor),
                state.in_use_for(Purpose::Transaction),
                state.in_use_for(Purpose::Other),
            )
        } else {
            format!(
                "{} in use, {} idle, {} being made, {} threads waiting, maxPoolSize {}",
                state.in_use.len(),
                state.idle.len(),
                state.connecting.len(),
                state.waiting.len(),
                self.settings.max_size,
            )
        };
        let message = format!("{WAIT_QUEUE_TIMEOUT} ({}); {counts}", deadline.name());
        Error::new(FaultKind::Pool, Stage::CheckOut, message)
            .with_address(&self.address)
            .with_elapsed(began.elapsed())
            .with_hint(if self.settings.load_balanced {
                "raise maxPoolSize or waitQueueTimeoutMS, or let fewer threads work at once: behind a load balancer an open \
                     cursor holds a connection until it was read to its end or is dropped, and a transaction until it has ended"
            } else {
                "raise maxPoolSize or waitQueueTimeoutMS, or let fewer threads work at once: an operation holds a connection \
                     until its reply is there, an open cursor holds none"
            })
    }

    /// The pool is paused, or was cleared while a thread waited: the operation may be tried again.
    pub(super) fn cleared(&self) -> Error {
        let message = format!("Connection pool for {} was cleared because another operation failed", self.address);
        Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, message)
            .with_address(&self.address)
            .with_hint("the server is checked before it is used again; try the operation once more")
    }

    /// The server has fallen silent while a thread waited, and another one is primary: the operation may be tried again there.
    fn superseded(&self, state: &State) -> Error {
        let words = state.successor.as_deref().unwrap_or_default().to_owned();
        Error::new(FaultKind::ConnectionPoolCleared, Stage::CheckOut, words).with_address(&self.address)
    }

    pub(super) fn closed(&self) -> Error {
        Error::new(FaultKind::Shutdown, Stage::CheckOut, POOL_CLOSED)
            .with_address(&self.address)
            .with_hint("the client was closed, or the server left the deployment")
    }

    /// From now on, closing the pool and an interrupting clear can end the connection that is being made.
    pub(super) fn handshake_begins(&self, id: u64, handle: ShutdownHandle) {
        let mut state = self.lock();
        let closed = state.phase == Phase::Closed;
        let reason = match state.connecting.get_mut(&id) {
            Some(attempt) => {
                attempt.handle = Some(handle.clone());
                attempt.ends
            }
            // The process was forked meanwhile.
            None => Some(ShutdownReason::Client),
        };
        if let (Some(ShutdownReason::NewerPrimary), Some(words)) = (reason, &state.successor) {
            handle.name_successor(words);
        }
        drop(state);
        if closed {
            handle.close(ShutdownReason::Client);
        } else if let Some(reason) = reason {
            handle.close(reason);
        }
    }
}

/// The slot of a connection that is being made. It is given up when this is dropped: a function of the program's that gives
/// tokens or keys panicked.
pub(super) struct ReservedSlot<'a> {
    shared: &'a Shared,
    pub(super) id: u64,
    /// The generation when the slot was taken; behind a load balancer, that of the service once hello has named it.
    pub(super) generation: u64,
    pub(super) service_id: Option<ObjectId>,
    /// When it was taken, if events are wanted.
    pub(super) created: Option<Instant>,
}

impl ReservedSlot<'_> {
    /// Hello was answered by this service behind a load balancer.
    pub(super) fn belongs_to(&mut self, service_id: Option<ObjectId>) {
        if let Some(id) = service_id {
            self.service_id = service_id;
            self.generation = self.shared.lock().service_connected(id);
        }
    }

    /// Gives the slot up. `false`: the pool has forgotten it, because this is another process now.
    pub(super) fn release(self, state: &mut State) -> bool {
        let id = self.id;
        std::mem::forget(self); // Dropping it would take the lock.
        state.process == fork::process() && state.connecting.remove(&id).is_some()
    }
}

impl Drop for ReservedSlot<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // In a child process it is gone already, or the pool begins anew at the next check-out.
        if state.connecting.remove(&self.id).is_some() {
            state.disconnected(self.service_id);
            self.shared.events.closed(self.id, ConnectionClosedReason::Error);
            state.wake_first();
        }
    }
}

/// The words of the specification.
const WAIT_QUEUE_TIMEOUT: &str = "Timed out while checking out a connection from connection pool";
/// The words of the specification.
const POOL_CLOSED: &str = "Attempted to check out a connection from closed connection pool";
