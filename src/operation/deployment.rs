//! What an operation needs of its client: the options, the servers, the time limits, and the list of open cursors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::Result;
use crate::options::{ClientOptions, ServerAddress};
use crate::pool::PooledConnection;
use crate::topology::Topology;

/// The state that all clones of a client share.
pub(crate) struct ClientInner {
    options: ClientOptions,
    topology: Topology,
    closed: AtomicBool,
    /// The cursors that are open on the server, by their number, so that closing the client can end them.
    cursors: Mutex<HashMap<i64, CursorHandle>>,
}

/// What it takes to go on with a cursor, or to end it.
#[derive(Clone, Debug)]
pub(crate) struct CursorHandle {
    pub(crate) database: String,
    pub(crate) collection: String,
    /// The process that opened it.
    pub(crate) process: u32,
}

impl CursorHandle {
    pub(crate) fn new(database: impl Into<String>, collection: impl Into<String>) -> Self {
        CursorHandle { database: database.into(), collection: collection.into(), process: std::process::id() }
    }

    /// Whether it is this process' own to end, and not the parent's (`fork`).
    pub(crate) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl ClientInner {
    /// Judges what the options name; connects nothing.
    pub(crate) fn new(mut options: ClientOptions) -> Result<Self> {
        let topology = Topology::new(&options)?;
        options.warnings.extend_from_slice(topology.factory().warnings());
        Ok(ClientInner { options, topology, closed: AtomicBool::new(false), cursors: Mutex::new(HashMap::new()) })
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn address(&self) -> &ServerAddress {
        self.topology.address()
    }

    /// A connection to a server that suits the operation.
    pub(crate) fn lease(&self, deadline: Deadline) -> Result<PooledConnection> {
        self.topology.lease(deadline)
    }

    /// When an operation that begins now must end (`timeoutMS`).
    pub(crate) fn operation_deadline(&self) -> Deadline {
        Deadline::after_option(self.options.timeout).named("timeoutMS")
    }

    /// When the exchange of one command must end: with the operation, or without `timeoutMS` after `socketTimeoutMS`.
    pub(crate) fn command_deadline(&self, operation: Deadline, server_waits: Option<Duration>) -> Deadline {
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

    /// Marks the client closed and hands out the cursors to end; `None` if it was closed before.
    pub(crate) fn begin_close(&self) -> Option<HashMap<i64, CursorHandle>> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return None;
        }
        Some(std::mem::take(&mut *self.lock_cursors()))
    }

    pub(crate) fn cursor_opened(&self, id: i64, cursor: CursorHandle) {
        self.lock_cursors().insert(id, cursor);
    }

    pub(crate) fn cursor_ended(&self, id: i64) {
        self.lock_cursors().remove(&id);
    }

    fn lock_cursors(&self) -> MutexGuard<'_, HashMap<i64, CursorHandle>> {
        // Every change to the map is complete by itself, so a panic elsewhere leaves it sound.
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
