//! Events of connection pools (Connection Monitoring and Pooling specification).
//!
//! There is a pool for each server. The events of one client are published in the order in which the changes happened, those of
//! discovery ([`sdam`](super::sdam)) included. They may arrive on threads that the driver has started.
//!
//! ```
//! use mongo_blocking::event::EventHandler;
//! use mongo_blocking::event::cmap::CmapEvent;
//!
//! let handler = EventHandler::new(|event: &CmapEvent| match event {
//!     CmapEvent::ConnectionCheckoutFailed(failed) => {
//!         eprintln!("{}: no connection after {:?} ({})", failed.address, failed.duration, failed.reason);
//!     }
//!     other => println!("{other:?}"),
//! });
//! ```

use std::fmt;
use std::time::Duration;

use bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use crate::address::ServerAddress;
use crate::serde_util::optional_millis;

/// Declares [`CmapEvent`], into which the event of each variant converts.
macro_rules! cmap_event {
    ($($(#[$documentation:meta])* $variant:ident($event:ident),)*) => {
        /// Something that happened to a connection pool or to a connection in it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum CmapEvent {
            $($(#[$documentation])* $variant($event),)*
        }

        $(impl From<$event> for CmapEvent {
            fn from(event: $event) -> Self {
                CmapEvent::$variant(event)
            }
        })*
    };
}

cmap_event! {
    /// A pool was made. It gives no connections until it is ready.
    PoolCreated(PoolCreatedEvent),
    /// A pool gives connections from now on.
    PoolReady(PoolReadyEvent),
    /// The connections of a pool were given up.
    PoolCleared(PoolClearedEvent),
    /// A pool was closed, because its server left the deployment or the client was closed.
    PoolClosed(PoolClosedEvent),
    /// A connection is about to be established.
    ConnectionCreated(ConnectionCreatedEvent),
    /// A connection was established and authenticated.
    ConnectionReady(ConnectionReadyEvent),
    /// A connection was closed.
    ConnectionClosed(ConnectionClosedEvent),
    /// An operation asks for a connection.
    ConnectionCheckoutStarted(ConnectionCheckoutStartedEvent),
    /// An operation got no connection.
    ConnectionCheckoutFailed(ConnectionCheckoutFailedEvent),
    /// An operation got a connection.
    ConnectionCheckedOut(ConnectionCheckedOutEvent),
    /// A connection came back from an operation.
    ConnectionCheckedIn(ConnectionCheckedInEvent),
}

/// The options of a pool that differ from their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionPoolOptions {
    /// `maxIdleTimeMS`.
    #[serde(rename = "maxIdleTimeMS", deserialize_with = "optional_millis::deserialize")]
    pub max_idle_time: Option<Duration>,
    /// `maxPoolSize`; 0 means no limit.
    pub max_pool_size: Option<u32>,
    /// `minPoolSize`.
    pub min_pool_size: Option<u32>,
    /// `maxConnecting`.
    pub max_connecting: Option<u32>,
}

/// A pool was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolCreatedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// The options that differ from their defaults.
    pub options: Option<ConnectionPoolOptions>,
}

/// A pool gives connections from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolReadyEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
}

/// The connections of a pool were given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolClearedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// Behind a load balancer, the service whose connections were given up; the others stay.
    pub service_id: Option<ObjectId>,
    /// Whether the connections in use were closed too.
    pub interrupt_in_use_connections: bool,
}

/// A pool was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolClosedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
}

/// A connection is about to be established.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionCreatedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// The connection's number within its pool, from 1.
    pub connection_id: u32,
}

/// A connection was established and authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionReadyEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// The connection's number within its pool, from 1.
    pub connection_id: u32,
    /// The time since its [`ConnectionCreatedEvent`].
    pub duration: Duration,
}

/// A connection was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionClosedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// The connection's number within its pool, from 1.
    pub connection_id: u32,
    /// Why it was closed.
    pub reason: ConnectionClosedReason,
}

/// Why a connection was closed. Displays as the specification writes it (`poolClosed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConnectionClosedReason {
    /// The pool was cleared since the connection was made.
    Stale,
    /// It was idle for longer than `maxIdleTimeMS`.
    Idle,
    /// It failed, or could not be established.
    Error,
    /// The pool was closed.
    PoolClosed,
}

/// An operation asks for a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionCheckoutStartedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
}

/// An operation got no connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionCheckoutFailedEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// Why it got none.
    pub reason: ConnectionCheckoutFailedReason,
    /// The time since its [`ConnectionCheckoutStartedEvent`].
    pub duration: Duration,
}

/// Why an operation got no connection. Displays as the specification writes it (`connectionError`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConnectionCheckoutFailedReason {
    /// No connection became free in time.
    Timeout,
    /// A connection could not be established, or the pool was cleared.
    ConnectionError,
    /// The pool was closed.
    PoolClosed,
}

/// An operation got a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionCheckedOutEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// The connection's number within its pool, from 1.
    pub connection_id: u32,
    /// The time since the operation's [`ConnectionCheckoutStartedEvent`].
    pub duration: Duration,
}

/// A connection came back from an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionCheckedInEvent {
    /// The server.
    #[serde(skip_deserializing)]
    pub address: ServerAddress,
    /// The connection's number within its pool, from 1.
    pub connection_id: u32,
}

impl fmt::Display for ConnectionClosedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionClosedReason::Stale => "stale",
            ConnectionClosedReason::Idle => "idle",
            ConnectionClosedReason::Error => "error",
            ConnectionClosedReason::PoolClosed => "poolClosed",
        })
    }
}

impl fmt::Display for ConnectionCheckoutFailedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionCheckoutFailedReason::Timeout => "timeout",
            ConnectionCheckoutFailedReason::ConnectionError => "connectionError",
            ConnectionCheckoutFailedReason::PoolClosed => "poolClosed",
        })
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn the_options_of_a_pool_are_read_in_milliseconds_and_as_they_are_written() {
        let options: ConnectionPoolOptions =
            bson::deserialize_from_document(doc! { "maxIdleTimeMS": 1500, "maxPoolSize": 3 }).unwrap();
        assert_eq!((options.max_idle_time, options.max_pool_size), (Some(Duration::from_millis(1500)), Some(3)));
        let written = bson::serialize_to_document(&options).unwrap();
        assert_eq!(bson::deserialize_from_document::<ConnectionPoolOptions>(written).unwrap(), options);
    }
}
