//! Events of commands: one for each that starts, succeeds or fails.

use std::time::Duration;

use bson::Document;

pub use super::ConnectionInfo;
use crate::error::Error;

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
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandStartedEvent {
    /// The whole command, document sequences included; empty for a command with credentials, and where it is
    /// nested too deep to be a document.
    pub command: Document,
    /// The database it runs on.
    pub db: String,
    /// Its name (`find`).
    pub command_name: String,
    /// The number of its message.
    pub request_id: i32,
    /// Where it runs.
    pub connection: ConnectionInfo,
}

/// A command that succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandSucceededEvent {
    /// From just before it was sent until the reply was read.
    pub duration: Duration,
    /// The server's whole reply; empty for a command with credentials, and where it is
    /// nested too deep to be a document.
    pub reply: Document,
    /// The database it ran on.
    pub db: String,
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
    pub failure: Error,
    /// The database it ran on.
    pub db: String,
    /// Its name.
    pub command_name: String,
    /// The number of its message.
    pub request_id: i32,
    /// Where it ran.
    pub connection: ConnectionInfo,
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
