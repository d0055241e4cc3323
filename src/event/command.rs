//! Events of commands: one for each that starts, succeeds or fails.

use std::fmt;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf};
use serde::{Serialize, Serializer};

pub use super::ConnectionInfo;
use crate::error::{Error, Readable};

/// Something that happened to a command.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
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
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// The service behind a load balancer.
    pub service_id: Option<ObjectId>,
}

/// A command that succeeded.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// The service behind a load balancer.
    pub service_id: Option<ObjectId>,
}

/// A command that failed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CommandFailedEvent {
    /// From just before it was sent until it had failed.
    pub duration: Duration,
    /// The error; for a command with credentials only its code, code name and labels.
    #[serde(serialize_with = "as_text")]
    pub failure: Error,
    /// The database it ran on.
    pub db: String,
    /// Its name.
    pub command_name: String,
    /// The number of its message.
    pub request_id: i32,
    /// Where it ran.
    pub connection: ConnectionInfo,
    /// The service behind a load balancer.
    pub service_id: Option<ObjectId>,
}

fn as_text<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

impl fmt::Debug for CommandStartedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandStartedEvent")
            .field("command", &readable(&self.command))
            .field("db", &self.db)
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
            .field("reply", &readable(&self.reply))
            .field("db", &self.db)
            .field("command_name", &self.command_name)
            .field("request_id", &self.request_id)
            .field("connection", &self.connection)
            .finish()
    }
}

/// A document that `Debug` shows on one line, within bounds.
struct Shown(RawDocumentBuf);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Readable(&self.0), f)
    }
}

fn readable(document: &Document) -> Shown {
    Shown(RawDocumentBuf::try_from(document).unwrap_or_default())
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
