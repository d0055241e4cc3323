//! What a pool knows, under its lock: bookkeeping without input and output.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Condvar};
use std::time::Instant;

use bson::oid::ObjectId;

use super::Cleanup;
use crate::connection::{Buffers, Connection, ShutdownHandle, ShutdownReason};
use crate::event::cmap::ConnectionClosedReason;
use crate::fork;

/// How many connections' buffers wait for the next check-out: about as many connections as are in use at a time where there is
/// steady work. More than that would be memory at rest; a connection beyond it allocates its own.
pub(super) const KEPT_BUFFERS: usize = 4;

/// Whether a pool gives connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not until its server was found to be usable.
    Paused,
    Ready,
    /// Never again.
    Closed,
}

/// What a connection is in use for. The timeout message of a load-balanced pool counts these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A cursor keeps it until its end.
    Cursor,
    /// A transaction keeps it until its end.
    Transaction,
    /// One operation.
    #[default]
    Other,
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// Connections of an earlier generation are not used any more.
    pub(super) generation: u64,
    /// Behind a load balancer each service has a generation of its own, for as long as it has connections.
    services: HashMap<ObjectId, Service>,
    /// The last one back is the first one out, so that a pool that has grown too large goes idle at the other end.
    pub(super) idle: VecDeque<Idle>,
    /// Idle connections have no buffers. These are for the next ones in use.
    pub(super) buffers: Vec<Buffers>,
    /// The connections in use, by id.
    pub(super) in_use: HashMap<u64, InUse, BuildHasherDefault<IdHasher>>,
    /// The connections that are being made, by id.
    pub(super) connecting: HashMap<u64, Attempt>,
    /// Threads that wait, the first to come at the front. Each sleeps on its own variable, so one return wakes one thread.
    pub(super) waiting: VecDeque<Arc<Condvar>>,
    /// Slots that are kept for connections that were made already and will be brought along.
    pub(super) held: u32,
    /// How often all of them were sent away because another server is primary now, and what says so.
    pub(super) evictions: u64,
    pub(super) successor: Option<Arc<str>>,
    pub(super) last_id: u64,
    /// Whether a helper thread makes connections towards `minPoolSize`.
    pub(super) filling: bool,
    /// When `minPoolSize` could not be reached.
    pub(super) fill_failed: Option<Instant>,
    /// The process that all this is true of.
    pub(super) process: u64,
}

/// Hashes the ids of connections. A pool counts them itself, so that they cannot be chosen to collide, and every operation looks one
/// up twice.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        // Fibonacci hashing: the map looks at the first bits and at the last.
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug, Default)]
struct Service {
    generation: u64,
    connections: usize,
}

pub(super) struct Idle {
    pub(super) connection: Box<Connection>,
    /// What ends it from another thread, for when it is in use.
    pub(super) handle: ShutdownHandle,
    pub(super) id: u64,
    pub(super) since: Instant,
}

/// A connection that was idle, and counts as in use from now on.
pub(super) struct Reused {
    pub(super) connection: Box<Connection>,
    pub(super) id: u64,
    /// Since when it was idle.
    pub(super) since: Instant,
}

/// A connection in use, which an operation holds.
pub(super) struct InUse {
    pub(super) handle: ShutdownHandle,
    pub(super) generation: u64,
    pub(super) purpose: Purpose,
}

/// A connection that is being made.
pub(super) struct Attempt {
    /// What ends the handshake; `None` until there is a socket.
    pub(super) handle: Option<ShutdownHandle>,
    pub(super) generation: u64,
    /// It is to end, and there was no socket to close: that is closed as soon as there is one.
    pub(super) ends: Option<ShutdownReason>,
}

impl State {
    pub(super) fn new() -> Self {
        State {
            phase: Phase::Paused,
            generation: 0,
            services: HashMap::new(),
            idle: VecDeque::new(),
            buffers: Vec::new(),
            in_use: HashMap::default(),
            connecting: HashMap::new(),
            waiting: VecDeque::new(),
            held: 0,
            evictions: 0,
            successor: None,
            last_id: 0,
            filling: false,
            fill_failed: None,
            process: fork::process(),
        }
    }

    /// After a `fork`, the child begins anew: the sockets are its parent's, which goes on using them, and the threads that
    /// used or waited for some do not exist here.
    #[inline]
    pub(super) fn leave_to_parent(&mut self, cleanup: &mut Cleanup) {
        let process = fork::process();
        if self.process == process {
            return;
        }
        self.process = process;
        self.generation += 1;
        self.services.clear();
        self.idle.drain(..).for_each(|idle| cleanup.add(idle.connection));
        self.in_use.clear();
        self.connecting.clear();
        self.waiting.clear();
        self.held = 0;
        self.filling = false;
    }

    /// Why a connection must not be used any more, if so.
    #[inline]
    pub(super) fn perished(&self, connection: &Connection) -> Option<ConnectionClosedReason> {
        if self.phase == Phase::Closed {
            return Some(ConnectionClosedReason::PoolClosed);
        }
        if connection.is_broken() {
            return Some(ConnectionClosedReason::Error);
        }
        let stale = connection.generation() != self.generation(connection.info().service_id);
        stale.then_some(ConnectionClosedReason::Stale)
    }

    /// The present generation; behind a load balancer, that of a service.
    pub(super) fn generation(&self, service_id: Option<ObjectId>) -> u64 {
        match service_id {
            None => self.generation,
            Some(id) => self.services.get(&id).map_or(0, |service| service.generation),
        }
    }

    /// Begins a new generation.
    pub(super) fn next_generation(&mut self, service_id: Option<ObjectId>) {
        match service_id {
            None => self.generation += 1,
            Some(id) => {
                if let Some(service) = self.services.get_mut(&id) {
                    service.generation += 1;
                }
            }
        }
    }

    /// A connection to this service was opened. Returns the generation that it belongs to.
    pub(super) fn service_connected(&mut self, id: ObjectId) -> u64 {
        let service = self.services.entry(id).or_default();
        service.connections += 1;
        service.generation
    }

    /// A connection was closed. A service without connections is forgotten, its generation included.
    pub(super) fn disconnected(&mut self, service_id: Option<ObjectId>) {
        if let Some(id) = service_id
            && let Some(service) = self.services.get_mut(&id)
        {
            service.connections = service.connections.saturating_sub(1);
            if service.connections == 0 {
                self.services.remove(&id);
            }
        }
    }

    /// Keeps buffers for later, or gives them back where there are enough.
    pub(super) fn keep(&mut self, buffers: Buffers) -> Option<Buffers> {
        if self.buffers.len() >= KEPT_BUFFERS {
            return Some(buffers);
        }
        self.buffers.push(buffers);
        None
    }

    pub(super) fn in_use_for(&self, purpose: Purpose) -> usize {
        self.in_use.values().filter(|in_use| in_use.purpose == purpose).count()
    }

    /// The connections that are being made, and those that will be brought along.
    pub(super) fn connecting(&self) -> u32 {
        u32::try_from(self.connecting.len()).unwrap_or(u32::MAX).saturating_add(self.held)
    }

    pub(super) fn total(&self) -> u32 {
        let all = self.idle.len() + self.in_use.len() + self.connecting.len();
        u32::try_from(all).unwrap_or(u32::MAX).saturating_add(self.held)
    }

    pub(super) fn wake_first(&self) {
        if let Some(first) = self.waiting.front() {
            first.notify_one();
        }
    }

    /// Sends every waiting thread away: each finds that the generation, the phase or the number of evictions is another than when
    /// it came.
    pub(super) fn evict_all(&mut self) {
        for waiting in self.waiting.drain(..) {
            waiting.notify_one();
        }
    }
}
