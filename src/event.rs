//! What the driver tells while it works: an event for each command that starts, succeeds or fails.
//!
//! Commands that carry credentials, and their replies, are shown empty, as the Command Logging and Monitoring specification asks.

pub mod cmap;
mod queue;
pub mod sdam;
mod tls_info;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use bson::oid::ObjectId;

pub(crate) use queue::{Event, EventQueue};
pub use tls_info::{Revocation, RevocationSource, TlsInfo};

use crate::error::{Error, Readable};

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

/// The connection that a command runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The server, as `host:port` or the path of its socket.
    pub address: String,
    /// The connection's number within its pool, from 1.
    pub id: u64,
    /// The number that the server gave the connection, where it gave one.
    pub server_connection_id: Option<i64>,
    /// The service behind a load balancer.
    pub service_id: Option<ObjectId>,
    /// The TLS channel; `None` without TLS.
    pub tls: Option<Arc<TlsInfo>>,
}

/// Something that happened to a command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CommandEvent {
    /// It is about to be sent.
    Started(CommandStartedEvent),
    /// The server answered `ok: 1`.
    Succeeded(CommandSucceededEvent),
    /// The server answered `ok: 0`, or no answer came.
    Failed(CommandFailedEvent),
}

/// A command that is about to be sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct CommandStartedEvent {
    /// The whole command, document sequences included; empty for a command with credentials.
    pub command: RawDocumentBuf,
    /// The database it runs on.
    pub database: String,
    /// Its name (`find`).
    pub command_name: String,
    /// The number of its message.
    pub request_id: i32,
    /// Where it runs.
    pub connection: ConnectionInfo,
}

/// A command that succeeded.
#[derive(Clone)]
#[non_exhaustive]
pub struct CommandSucceededEvent {
    /// From just before it was sent until the reply was read.
    pub duration: Duration,
    /// The server's whole reply; empty for a command with credentials.
    pub reply: RawDocumentBuf,
    /// The database it ran on.
    pub database: String,
    /// Its name.
    pub command_name: String,
    /// The number of its message.
    pub request_id: i32,
    /// Where it ran.
    pub connection: ConnectionInfo,
}

/// A command that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandFailedEvent {
    /// From just before it was sent until it had failed.
    pub duration: Duration,
    /// The error; for a command with credentials only its code, code name and labels.
    pub failure: Arc<Error>,
    /// The database it ran on.
    pub database: String,
    /// Its name.
    pub command_name: String,
    /// The number of its message.
    pub request_id: i32,
    /// Where it ran.
    pub connection: ConnectionInfo,
}

impl fmt::Debug for CommandStartedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandStartedEvent")
            .field("command", &Readable(&self.command))
            .field("database", &self.database)
            .field("command_name", &self.command_name)
            .field("request_id", &self.request_id)
            .field("connection", &self.connection)
            .finish()
    }
}

impl fmt::Debug for CommandSucceededEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSucceededEvent")
            .field("duration", &self.duration)
            .field("reply", &Readable(&self.reply))
            .field("database", &self.database)
            .field("command_name", &self.command_name)
            .field("request_id", &self.request_id)
            .field("connection", &self.connection)
            .finish()
    }
}

impl CommandEvent {
    /// The command's name.
    pub fn command_name(&self) -> &str {
        match self {
            CommandEvent::Started(event) => &event.command_name,
            CommandEvent::Succeeded(event) => &event.command_name,
            CommandEvent::Failed(event) => &event.command_name,
        }
    }

    /// The number of the command's message: the same for all events of one command.
    pub fn request_id(&self) -> i32 {
        match self {
            CommandEvent::Started(event) => event.request_id,
            CommandEvent::Succeeded(event) => event.request_id,
            CommandEvent::Failed(event) => event.request_id,
        }
    }
}
