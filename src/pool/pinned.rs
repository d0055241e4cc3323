//! A connection that several operations use one after the other: behind a load balancer, another connection may lead to another
//! server.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bson::oid::ObjectId;

use super::{PooledConnection, Purpose};
use crate::locks::lock;
use crate::options::ServerAddress;

/// Keeps the connection that an open cursor or a transaction needs, between its operations. It goes back to the pool when this is
/// dropped. A transaction shares it with the cursors that were opened in it.
#[derive(Default)]
pub(crate) struct PinnedConnection(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    connection: Option<PooledConnection>,
    /// Whether a transaction needs it, so that it stays when a cursor has come to its end.
    is_of_transaction: bool,
}

impl PinnedConnection {
    /// Takes the connection out. Dropping it brings it back. Returns `None` before the first one is kept, and while another thread has
    /// it. `now` is the current time.
    pub(crate) fn check_out(self: &Arc<Self>, now: Instant) -> Option<PooledConnection> {
        let mut connection = lock(&self.0).connection.take()?;
        connection.since = now;
        connection.pin = Some(self.clone());
        Some(connection)
    }

    /// Whether it can carry another command.
    pub(crate) fn is_usable(&self) -> bool {
        lock(&self.0).connection.as_ref().is_some_and(|connection| !connection.is_broken())
    }

    /// The address of the load balancer that it leads to, if there is a connection.
    pub(crate) fn address(&self) -> Option<ServerAddress> {
        lock(&self.0).connection.as_ref().map(|connection| connection.info().address.clone())
    }

    /// The service behind the load balancer that it leads to.
    pub(crate) fn service_id(&self) -> Option<ObjectId> {
        lock(&self.0).connection.as_ref().and_then(PooledConnection::service_id)
    }

    pub(super) fn keep(&self, connection: PooledConnection) {
        let before = lock(&self.0).connection.replace(connection);
        // Going back to the pool takes other locks, and calls handlers.
        drop(before);
    }

    /// The transaction needs it no longer. It goes back to the pool unless an open cursor needs it.
    pub(crate) fn leave_to_cursors(&self) {
        let mut kept = lock(&self.0);
        kept.is_of_transaction = false;
        // That of a parent process is left alone: a thread that does not exist here may hold its pool's lock.
        if let Some(connection) = kept.connection.as_ref().filter(|own| !own.shutdown_handle().is_inherited()) {
            connection.set_purpose(Purpose::Cursor);
        }
    }
}

impl PooledConnection {
    /// When this is dropped, the connection is kept for the operations that follow.
    pub(crate) fn pin_to(&mut self, pin: &Arc<PinnedConnection>, purpose: Purpose) {
        if self.pin.is_none() {
            self.set_purpose(purpose);
            lock(&pin.0).is_of_transaction = purpose == Purpose::Transaction;
            self.pin = Some(pin.clone());
        }
    }

    /// When this is dropped, the connection goes back to the pool, unless a transaction needs it.
    pub(crate) fn unpin(&mut self) {
        self.pin = self.pin.take().filter(|pin| lock(&pin.0).is_of_transaction);
    }
}
