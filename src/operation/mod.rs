//! The server's commands as values: one struct for each, which says where it may run, builds its body for one server, and reads
//! the reply.
//!
//! Nothing here knows a client, a pool or a socket. `client/execute.rs` selects a server, has [`Operation::build`] make the
//! command for it, sends that, and hands the reply to [`Operation::read`].

pub(crate) mod aggregate;
pub(crate) mod body;
pub(crate) mod collections;
pub(crate) mod count;
pub(crate) mod databases;
pub(crate) mod distinct;
pub(crate) mod end_sessions;
pub(crate) mod end_transaction;
pub(crate) mod find;
pub(crate) mod find_and_modify;
pub(crate) mod get_more;
pub(crate) mod indexes;
pub(crate) mod kill_cursors;
pub(crate) mod ping;
pub(crate) mod reply;
pub(crate) mod run_command;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use std::sync::Arc;
use std::time::Duration;

use crate::description::ServerDescription;
use crate::error::Result;
use crate::options::{ReadPreference, ReadPreferenceMode, SelectionCriteria, ServerAddress};
use crate::wire::{Message, Reply, Sequence};

use body::Body;

/// A command of the server, with all that it takes to send it and to understand the reply.
pub(crate) trait Operation {
    /// What the reply says.
    type Output;

    /// Which servers it may run on.
    fn target(&self) -> Target<'_>;

    /// Whether it may be sent a second time after a failure that leaves open whether the server has run it.
    fn retry(&self) -> Retry {
        Retry::Never
    }

    /// Which options allow that it is sent again after a server has refused it, unread, because of overload. What ends a transaction is
    /// sent again whatever they say.
    fn access(&self) -> Access {
        match self.retry() {
            Retry::Read => Access::Read,
            Retry::Write | Retry::Always | Retry::Never => Access::Write,
        }
    }

    /// The collection it is about, for errors.
    fn namespace(&self) -> Option<Namespace<'_>> {
        None
    }

    /// The command as this server understands it. Where the operation is sent again, perhaps to another server, this is called
    /// again; it changes nothing that a second call would miss.
    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>>;

    /// Reads a reply with `ok: 1` to the command that was built last, from the server at this address. To a command that is not
    /// acknowledged the reply is `{ ok: 1 }` and nothing else.
    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<Self::Output>;
}

/// Which servers an operation may run on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target<'a> {
    /// A server that accepts writes.
    Writable,
    /// A server that the read preference allows.
    Readable(&'a ReadPreference),
    /// A server that the read preference allows and that can write the result of a read; before MongoDB 5.0 only a primary can.
    ReadableAndWritable(&'a ReadPreference),
    /// A server that the predicate among these criteria wants.
    Predicate(&'a SelectionCriteria),
    /// This server and no other: it holds the state that the operation is about.
    Pinned(&'a ServerAddress),
}

impl<'a> Target<'a> {
    /// Where a read with these criteria may run. One that has none runs on the primary.
    pub(crate) fn of(criteria: Option<&'a SelectionCriteria>) -> Self {
        match criteria {
            None => Target::Writable,
            Some(SelectionCriteria::ReadPreference(preference)) => Target::Readable(preference),
            Some(criteria @ SelectionCriteria::Predicate(_)) => Target::Predicate(criteria),
        }
    }

    /// Whether it is the primary and no other member of a set.
    pub(crate) fn is_primary(self) -> bool {
        match self {
            Target::Writable => true,
            Target::Readable(preference) => preference.mode() == ReadPreferenceMode::Primary,
            Target::ReadableAndWritable(_) | Target::Predicate(_) | Target::Pinned(_) => false,
        }
    }
}

/// Whether an operation may be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It is sent once.
    Never,
    /// It reads, so that sending it again changes nothing (`retryReads`).
    Read,
    /// It writes, and the server can recognise it by its transaction number (`retryWrites`).
    Write,
    /// It ends a transaction, whose number it has: no option forbids that it is sent again.
    Always,
}

/// What an operation does to the data, as far as the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads (`retryReads`).
    Read,
    /// It writes (`retryWrites`).
    Write,
    /// It is a command of the program's, which is not looked at (both options).
    Unknown,
}

/// A command as its operation built it. `client/execute.rs` adds what depends on the client and the moment.
pub(crate) struct Command<'a> {
    /// Its name, the first key of the body.
    pub(crate) name: &'a str,
    /// The database it runs on.
    pub(crate) database: &'a str,
    /// All of it but the sequence and what is added when it is sent.
    pub(crate) body: Body,
    /// Documents that travel beside the body.
    pub(crate) sequence: Option<Sequence<'a>>,
    /// The `$readPreference` of a read. `None` for a write, and for all that has no read preference.
    pub(crate) read_preference: Option<&'a ReadPreference>,
    /// Whether the server replies (not with write concern `w: 0`).
    pub(crate) acknowledged: bool,
    /// How long the server itself may wait for documents before it replies (`maxAwaitTimeMS`); the socket waits that much longer.
    pub(crate) await_time: Option<Duration>,
    /// A buffer whose memory the reply may use.
    pub(crate) reply_buffer: Option<Vec<u8>>,
    /// Whether it is a write that a server recognises by a number if it comes again: one that changes at most one document by
    /// each statement, and is acknowledged.
    pub(crate) is_retryable_write: bool,
    /// Whether the program composed it, so that it may have fields that else the driver adds.
    pub(crate) is_composed_by_caller: bool,
}

impl<'a> Command<'a> {
    /// A command that is acknowledged and has no read preference.
    pub(crate) fn new(name: &'a str, database: &'a str, body: impl Into<Body>) -> Self {
        Command {
            name,
            database,
            body: body.into(),
            sequence: None,
            read_preference: None,
            acknowledged: true,
            await_time: None,
            reply_buffer: None,
            is_retryable_write: false,
            is_composed_by_caller: false,
        }
    }

    /// The command as it is sent.
    pub(crate) fn message(&self) -> Message<'_> {
        Message { database: self.database, body: &self.body, sequence: self.sequence, more_to_come: !self.acknowledged }
    }
}

/// A collection's full name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Namespace<'a> {
    pub(crate) database: &'a str,
    pub(crate) collection: &'a str,
}

impl std::fmt::Display for Namespace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.database, self.collection)
    }
}

/// The reply that opens a cursor or returns a document, and the server it is from.
pub(crate) struct CursorReply {
    pub(crate) reply: Reply,
    pub(crate) server: Arc<ServerAddress>,
}

impl CursorReply {
    pub(crate) fn new(reply: Reply, server: &Arc<ServerAddress>) -> Self {
        CursorReply { reply, server: server.clone() }
    }
}
