//! What the driver tells while it works: an event for each command that starts, succeeds or fails.
//!
//! Commands that carry credentials, and their replies, are shown empty, as the Command Logging and Monitoring specification asks.

pub mod cmap;
pub mod command;
mod queue;
pub mod sdam;
mod tls_info;

use std::fmt;
use std::sync::Arc;

use bson::oid::ObjectId;
use serde::Serialize;

pub use command::{CommandEvent, CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent};
pub(crate) use queue::{Event, EventQueue};
pub use tls_info::{Revocation, RevocationSource, TlsInfo};

use crate::address::ServerAddress;

/// A function of the program that is called with each event, on the thread that the event happens on.
///
/// It should be quick, and must not call back into the same client.
///
/// ```
/// use mongo_blocking::event::{CommandEvent, EventHandler};
///
/// let handler = EventHandler::new(|event: &CommandEvent| println!("{}", event.command_name()));
/// ```
pub struct EventHandler<E>(Arc<dyn Fn(&E) + Send + Sync>);

impl<E> EventHandler<E> {
    /// Takes the function to call.
    pub fn new(function: impl Fn(&E) + Send + Sync + 'static) -> Self {
        EventHandler(Arc::new(function))
    }

    /// Takes a function that is given each event, as the official driver's handlers are. Each event is copied for it.
    ///
    /// ```
    /// use mongo_blocking::event::EventHandler;
    /// use mongo_blocking::event::command::CommandEvent;
    ///
    /// let handler = EventHandler::callback(|event: CommandEvent| {
    ///     if let CommandEvent::Started(started) = event {
    ///         println!("{} on {}", started.command_name, started.db);
    ///     }
    /// });
    /// ```
    pub fn callback(function: impl Fn(E) + Send + Sync + 'static) -> Self
    where
        E: Clone,
    {
        EventHandler::new(move |event: &E| function(event.clone()))
    }

    pub(crate) fn call(&self, event: &E) {
        (self.0)(event);
    }
}

impl<E> Clone for EventHandler<E> {
    fn clone(&self) -> Self {
        EventHandler(self.0.clone())
    }
}

/// Handlers are the same where one is a clone of the other.
impl<E> PartialEq for EventHandler<E> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<E> fmt::Debug for EventHandler<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventHandler")
    }
}

/// The number of a connection as events show it. The pool counts further than that.
pub(crate) fn public_number(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

/// The connection that a command runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The server.
    pub address: ServerAddress,
    /// The connection's number within its pool, from 1.
    pub id: u32,
    /// The number that the server gave the connection, where it gave one.
    pub server_id: Option<i64>,
    /// The service behind a load balancer.
    #[serde(skip)]
    pub service_id: Option<ObjectId>,
    /// The TLS channel; `None` without TLS.
    #[serde(skip)]
    pub tls: Option<Arc<TlsInfo>>,
}
