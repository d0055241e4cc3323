//! A connection that several operations use one after the other: behind a load balancer, another connection may lead to another
//! server.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bson::oid::ObjectId;

use super::{PooledConnection, Purpose};
use crate::locks::lock;

/// Keeps the connection that an open cursor needs, between its operations. It goes back to the pool when this is dropped.
#[derive(Default)]
pub(crate) struct PinnedConnection(Mutex<Option<PooledConnection>>);

impl PinnedConnection {
    /// The connection, which comes back when it is dropped. `None`: there is none so far, or another thread uses it. It is `now`.
    pub(crate) fn check_out(self: &Arc<Self>, now: Instant) -> Option<PooledConnection> {
        let mut connection = lock(&self.0).take()?;
        connection.since = now;
        connection.pin = Some(self.clone());
        Some(connection)
    }

    /// Whether it can carry another command.
    pub(crate) fn is_usable(&self) -> bool {
        lock(&self.0).as_ref().is_some_and(|connection| !connection.is_broken())
    }

    /// The service behind the load balancer that it leads to.
    pub(crate) fn service_id(&self) -> Option<ObjectId> {
        lock(&self.0).as_ref().and_then(PooledConnection::service_id)
    }

    pub(super) fn keep(&self, connection: PooledConnection) {
        let before = lock(&self.0).replace(connection);
        // Going back to the pool takes other locks, and calls handlers.
        drop(before);
    }
}

impl PooledConnection {
    /// When this is dropped, the connection is kept for the operations that follow.
    pub(crate) fn pin_to(&mut self, pin: &Arc<PinnedConnection>, purpose: Purpose) {
        if self.pin.is_none() {
            self.set_purpose(purpose);
            self.pin = Some(pin.clone());
        }
    }

    /// When this is dropped, the connection goes back to the pool.
    pub(crate) fn unpin(&mut self) {
        self.pin = None;
    }
}
