//! The events of one pool. They are put into the client's queue under the pool's lock, so that their order is that of the changes.

use std::sync::Arc;
use std::time::Instant;

use bson::oid::ObjectId;

use super::PoolSettings;
use crate::error::{Error, ErrorKind};
use crate::event::cmap::{
    CmapEvent, ConnectionCheckedInEvent, ConnectionCheckedOutEvent, ConnectionCheckoutFailedEvent,
    ConnectionCheckoutFailedReason, ConnectionCheckoutStartedEvent, ConnectionClosedEvent, ConnectionClosedReason,
    ConnectionCreatedEvent, ConnectionPoolOptions, ConnectionReadyEvent, PoolClearedEvent, PoolClosedEvent,
    PoolCreatedEvent, PoolReadyEvent,
};
use crate::event::{Event, EventQueue, public_number};
use crate::options::ServerAddress;

/// Where the events of a pool go. Without a handler none is built, and the clock is not read.
pub(super) struct PoolEvents {
    queue: Arc<EventQueue>,
    address: Arc<ServerAddress>,
}

impl PoolEvents {
    pub(super) fn new(queue: Arc<EventQueue>, address: Arc<ServerAddress>) -> Self {
        PoolEvents { queue, address }
    }

    /// Whether there is a handler.
    pub(super) fn wanted(&self) -> bool {
        self.queue.wants_cmap()
    }

    /// Calls the handler with what waits. To be called without any lock held.
    pub(super) fn deliver(&self) {
        self.queue.deliver();
    }

    /// The moment from which a duration is measured, if anybody wants to know.
    pub(super) fn now(&self) -> Option<Instant> {
        self.wanted().then(Instant::now)
    }

    pub(super) fn pool_created(&self, settings: &PoolSettings) {
        self.push(|address| {
            CmapEvent::PoolCreated(PoolCreatedEvent { address, options: Some(settings.non_default()) })
        });
    }

    pub(super) fn pool_ready(&self) {
        self.push(|address| CmapEvent::PoolReady(PoolReadyEvent { address }));
    }

    pub(super) fn pool_cleared(&self, service_id: Option<ObjectId>, interrupt_in_use_connections: bool) {
        self.push(|address| {
            CmapEvent::PoolCleared(PoolClearedEvent { address, service_id, interrupt_in_use_connections })
        });
    }

    pub(super) fn pool_closed(&self) {
        self.push(|address| CmapEvent::PoolClosed(PoolClosedEvent { address }));
    }

    pub(super) fn created(&self, connection_id: u64) {
        self.push(|address| {
            CmapEvent::ConnectionCreated(ConnectionCreatedEvent {
                address,
                connection_id: public_number(connection_id),
            })
        });
    }

    pub(super) fn ready(&self, connection_id: u64, since: Option<Instant>) {
        self.push(|address| {
            let duration = since.map_or_else(Default::default, |since| since.elapsed());
            CmapEvent::ConnectionReady(ConnectionReadyEvent {
                address,
                connection_id: public_number(connection_id),
                duration,
            })
        });
    }

    pub(super) fn closed(&self, connection_id: u64, reason: ConnectionClosedReason) {
        self.push(|address| {
            CmapEvent::ConnectionClosed(ConnectionClosedEvent {
                address,
                connection_id: public_number(connection_id),
                reason,
            })
        });
    }

    pub(super) fn check_out_started(&self) {
        self.push(|address| CmapEvent::ConnectionCheckoutStarted(ConnectionCheckoutStartedEvent { address }));
    }

    pub(super) fn check_out_failed(&self, error: &Error, since: Option<Instant>) {
        self.push(|address| {
            let reason = match error.kind() {
                ErrorKind::Shutdown => ConnectionCheckoutFailedReason::PoolClosed,
                ErrorKind::Pool { .. } => ConnectionCheckoutFailedReason::Timeout,
                _ => ConnectionCheckoutFailedReason::ConnectionError,
            };
            let duration = since.map_or_else(Default::default, |since| since.elapsed());
            CmapEvent::ConnectionCheckoutFailed(ConnectionCheckoutFailedEvent { address, reason, duration })
        });
    }

    pub(super) fn checked_out(&self, connection_id: u64, since: Option<Instant>) {
        self.push(|address| {
            let duration = since.map_or_else(Default::default, |since| since.elapsed());
            CmapEvent::ConnectionCheckedOut(ConnectionCheckedOutEvent {
                address,
                connection_id: public_number(connection_id),
                duration,
            })
        });
    }

    pub(super) fn checked_in(&self, connection_id: u64) {
        self.push(|address| {
            CmapEvent::ConnectionCheckedIn(ConnectionCheckedInEvent {
                address,
                connection_id: public_number(connection_id),
            })
        });
    }

    fn push(&self, make: impl FnOnce(ServerAddress) -> CmapEvent) {
        if self.wanted() {
            self.queue.push(Event::Cmap(make(ServerAddress::clone(&self.address))));
        }
    }
}

impl PoolSettings {
    /// The options as [`PoolCreatedEvent`] shows them.
    fn non_default(&self) -> ConnectionPoolOptions {
        ConnectionPoolOptions {
            max_idle_time: self.max_idle_time.filter(|limit| !limit.is_zero()),
            max_pool_size: Some(self.max_size).filter(|size| *size != DEFAULT_MAX_SIZE),
            min_pool_size: Some(self.min_size).filter(|size| *size != 0),
            max_connecting: Some(self.max_connecting).filter(|count| *count != DEFAULT_MAX_CONNECTING),
        }
    }
}

/// The default of `maxPoolSize`.
const DEFAULT_MAX_SIZE: u32 = 100;
/// The default of `maxConnecting`.
const DEFAULT_MAX_CONNECTING: u32 = 2;
