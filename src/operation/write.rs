//! `insert`, `update`, `delete`: writes, gathered into as few commands as the server's limits allow.
//!
//! A [`WriteBatcher`] takes one statement after the other and sends a command whenever the next statement is of another kind or would
//! not fit. One buffer serves all of its commands, and each statement is turned into BSON once.

mod outcome;

use std::collections::HashSet;

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Bson, Document, RawDocument};
use serde::Serialize;

use crate::deadline::Deadline;
use crate::description::WireVersion;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::options::WriteConcern;
use crate::pool::PooledConnection;
use crate::wire::Sequence;

use super::body::{Body, not_bson};
use super::{ClientInner, Command, Namespace, run_on, send_on};

pub(crate) use outcome::WriteOutcome;

/// What a statement other than an inserted document may be longer than a document (its operators and options).
const STATEMENT_ALLOWANCE: usize = 16 * 1024;
/// What a message may hold beside body and statements: headers, flags, lengths, names, and what is added when it is sent.
const MESSAGE_ALLOWANCE: usize = 16 * 1024;
/// Room for the statements to begin with, so that a document of usual size is written without moving it several times.
const FIRST_ROOM: usize = 2048;
/// Updates understand `hint` from the first of these versions on, deletes and findAndModify from the second.
const UPDATE_HINT: WireVersion = WireVersion::MONGODB_4_2;
const DELETE_HINT: WireVersion = WireVersion::MONGODB_4_4;
/// Type, key and value of an `_id` that is an ObjectId.
const ID_FIELD: usize = 1 + 4 + 12;

/// The three commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteKind {
    Insert,
    Update,
    Delete,
}

/// What all commands of a writer have in common.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) ordered: bool,
    pub(crate) bypass_document_validation: Option<bool>,
    pub(crate) let_vars: Option<&'a Document>,
    pub(crate) comment: Option<&'a Bson>,
    pub(crate) write_concern: Option<&'a WriteConcern>,
}

impl Settings<'_> {
    /// The bytes of what the caller put into them, which every command carries.
    fn length(&self) -> Result<usize> {
        if self.let_vars.is_none() && self.comment.is_none() {
            return Ok(0);
        }
        let mut body = Body::empty();
        body.document(cstr!("let"), self.let_vars)?;
        body.any(cstr!("comment"), self.comment)?;
        Ok(body.done().as_bytes().len())
    }
}

/// Writes in progress.
pub(crate) struct WriteBatcher<'a> {
    deployment: &'a ClientInner,
    namespace: Namespace<'a>,
    settings: Settings<'a>,
    deadline: Deadline,
    /// The connection, unless it is given back between two commands.
    lease: Option<PooledConnection>,
    keeps_lease: bool,
    limits: Limits,
    kind: WriteKind,
    /// The statements that wait to be sent, one BSON document behind the other.
    statements: Vec<u8>,
    /// For each of them its place in the caller's list and, for an insert, the document's `_id`.
    places: Vec<(usize, Option<Bson>)>,
    outcome: WriteOutcome,
}

/// What the server allows.
struct Limits {
    /// How many bytes of statements a message has room for.
    room: usize,
    document: usize,
    statements: usize,
    wire_version: WireVersion,
}

impl<'a> WriteBatcher<'a> {
    /// Takes a connection, whose server's limits count.
    pub(crate) fn new(deployment: &'a ClientInner, namespace: Namespace<'a>, settings: Settings<'a>) -> Result<Self> {
        settings.write_concern.map_or(Ok(()), WriteConcern::check)?;
        let beside = MESSAGE_ALLOWANCE + settings.length()?;
        let deadline = deployment.operation_deadline();
        let lease = deployment.lease(deadline)?;
        let server = lease.description();
        let limits = Limits {
            room: server.max_message_size_bytes.saturating_sub(beside),
            document: server.max_bson_object_size,
            statements: server.max_write_batch_size,
            wire_version: server.max_wire_version,
        };
        Ok(WriteBatcher {
            deployment,
            namespace,
            settings,
            deadline,
            lease: Some(lease),
            keeps_lease: true,
            limits,
            kind: WriteKind::Insert,
            statements: Vec::with_capacity(FIRST_ROOM),
            places: Vec::new(),
            outcome: WriteOutcome::default(),
        })
    }

    /// Holds a connection only while a command is sent: the caller's iterator may need one itself, to read what we write.
    pub(crate) fn between_commands_without_connection(mut self) -> Self {
        self.lease = None;
        self.keeps_lease = false;
        self
    }

    /// Adds a document to insert. `false`: a write before it failed, and the rest is to be left out.
    pub(crate) fn insert<T: Serialize>(&mut self, place: usize, document: &T) -> Result<bool> {
        if !self.begin(WriteKind::Insert) {
            return Ok(false);
        }
        let start = self.statements.len();
        let id = append_with_id(document, &mut self.statements);
        self.added(place, start, id.map(Some))
    }

    /// Adds an update or a delete. `false`: as for [`WriteBatcher::insert`].
    pub(crate) fn statement(&mut self, place: usize, kind: WriteKind, statement: &RawDocument) -> Result<bool> {
        if !self.begin(kind) {
            return Ok(false);
        }
        if matches!(statement.get("hint"), Ok(Some(_))) {
            check_hint(self.is_acknowledged(), self.limits.wire_version, kind)?;
        }
        let start = self.statements.len();
        self.statements.extend_from_slice(statement.as_bytes());
        self.added(place, start, Ok(None))
    }

    /// Sends what is left, and tells what came of it all.
    pub(crate) fn finish(mut self) -> WriteOutcome {
        if !self.stopped() {
            self.send(self.statements.len());
        }
        self.outcome
    }

    /// Gives up because of a statement that cannot be sent. What was sent before has happened.
    pub(crate) fn give_up(mut self, error: Error) -> WriteOutcome {
        if !self.stopped() && self.settings.ordered {
            self.send(self.statements.len());
        }
        self.outcome.failure.get_or_insert(error);
        self.outcome
    }

    fn is_acknowledged(&self) -> bool {
        self.settings.write_concern.is_none_or(WriteConcern::is_acknowledged)
    }

    fn stopped(&self) -> bool {
        self.outcome.failure.is_some() || (self.settings.ordered && !self.outcome.write_errors.is_empty())
    }

    /// Makes way for a statement of this kind.
    fn begin(&mut self, kind: WriteKind) -> bool {
        if self.kind != kind {
            self.send(self.statements.len());
            self.kind = kind;
        }
        !self.stopped()
    }

    /// Judges the statement that stands in the buffer from `start` on, and sends what it does not fit in with.
    fn added(&mut self, place: usize, start: usize, id: Result<Option<Bson>>) -> Result<bool> {
        let largest = self.limits.document + if self.kind == WriteKind::Insert { 0 } else { STATEMENT_ALLOWANCE };
        let length = self.statements.len() - start;
        let id = id.and_then(|id| if length > largest { Err(too_large(length, largest)) } else { Ok(id) });
        let id = match id {
            Ok(id) => id,
            Err(error) => {
                self.statements.truncate(start);
                return Err(error);
            }
        };
        if start > 0 && (self.places.len() >= self.limits.statements || self.statements.len() > self.limits.room) {
            self.send(start);
            if self.stopped() {
                return Ok(false);
            }
        }
        self.places.push((place, id));
        Ok(true)
    }

    /// Sends the first `length` bytes of the statements as one command and reads what came of them.
    fn send(&mut self, length: usize) {
        if self.places.is_empty() || self.stopped() {
            return;
        }
        let places = std::mem::take(&mut self.places);
        if let Err(error) = self.run(length, &places) {
            self.outcome.failure = Some(error);
        }
        self.statements.drain(..length);
    }

    fn run(&mut self, length: usize, places: &[(usize, Option<Bson>)]) -> Result<()> {
        let (name, key, identifier) = match self.kind {
            WriteKind::Insert => ("insert", cstr!("insert"), "documents"),
            WriteKind::Update => ("update", cstr!("update"), "updates"),
            WriteKind::Delete => ("delete", cstr!("delete"), "deletes"),
        };
        let mut body = Body::new(key, self.namespace.collection);
        body.put(cstr!("ordered"), self.settings.ordered);
        if self.kind != WriteKind::Delete {
            body.flag(cstr!("bypassDocumentValidation"), self.settings.bypass_document_validation);
        }
        if self.kind != WriteKind::Insert {
            body.document(cstr!("let"), self.settings.let_vars)?;
        }
        body.any(cstr!("comment"), self.settings.comment)?;
        body.write_concern(self.settings.write_concern)?;
        let mut command = Command::new(self.deployment, name, self.namespace.database, body.done());
        command.deadline = self.deadline;
        let documents = self.statements.get(..length).unwrap_or_default();
        command.sequence = Some(Sequence { identifier, documents, count: places.len() });
        let mut lease = match self.lease.take() {
            Some(lease) => lease,
            None => self.deployment.lease(self.deadline)?,
        };
        if !self.is_acknowledged() {
            send_on(self.deployment, &mut lease, command)?;
            self.lease = self.keeps_lease.then_some(lease);
            self.outcome.inserted(places, &HashSet::new(), self.settings.ordered);
            return Ok(());
        }
        let reply = run_on(self.deployment, &mut lease, command)?;
        self.lease = self.keeps_lease.then_some(lease);
        self.outcome.read(self.kind, reply.document(), places, self.settings.ordered)
    }
}

/// Before servers knew `hint` they ignored it: with an acknowledgment they would at least have to say so.
pub(crate) fn check_hint(acknowledged: bool, wire_version: WireVersion, kind: WriteKind) -> Result<()> {
    let since = if kind == WriteKind::Update { UPDATE_HINT } else { DELETE_HINT };
    if acknowledged || wire_version >= since {
        return Ok(());
    }
    Err(Error::not_supported("this server does not know hint for this command, and unacknowledged it could not say so"))
}

/// Appends the document to the buffer, with an `_id` in front if it has none, and returns its `_id`.
fn append_with_id<T: Serialize>(document: &T, buffer: &mut Vec<u8>) -> Result<Bson> {
    let start = buffer.len();
    bson::serialize_to_buffer(document, buffer).map_err(not_bson)?;
    let written = RawDocument::from_bytes(buffer.get(start..).unwrap_or_default()).map_err(not_bson)?;
    if let Some(id) = written.get("_id").map_err(not_bson)? {
        return Bson::try_from(id).map_err(not_bson);
    }
    let id = ObjectId::new();
    let length = buffer.len() - start + ID_FIELD;
    let announced = i32::try_from(length).map_err(|_| too_large(length, i32::MAX as usize))?;
    let mut head = [0; 4 + ID_FIELD];
    head[..4].copy_from_slice(&announced.to_le_bytes());
    head[4..9].copy_from_slice(b"\x07_id\0");
    head[9..].copy_from_slice(&id.bytes());
    // The field takes its place between the length and the first field.
    buffer.splice(start..start + 4, head);
    Ok(Bson::ObjectId(id))
}

fn too_large(length: usize, largest: usize) -> Error {
    Error::new(
        ErrorKind::Serialize,
        Stage::Encode,
        format!("a document of {length} bytes is larger than the {largest} bytes that the server accepts (maxBsonObjectSize)"),
    )
    .with_hint("split it, or store large data in GridFS")
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn an_id_is_put_in_front_of_a_document_that_has_none() {
        let mut buffer = vec![1, 2, 3];
        let id = append_with_id(&doc! {"a": 1, "b": "two"}, &mut buffer).unwrap();
        let written = Document::try_from(RawDocument::from_bytes(&buffer[3..]).unwrap()).unwrap();
        assert_eq!(written, doc! {"_id": id, "a": 1, "b": "two"});
        assert_eq!(written.keys().next().map(String::as_str), Some("_id"));
        assert_eq!(buffer[..3], [1, 2, 3]);
    }

    #[test]
    fn an_id_that_is_there_stays() {
        let mut buffer = Vec::new();
        assert_eq!(append_with_id(&doc! {"a": 1, "_id": 7}, &mut buffer).unwrap(), Bson::Int32(7));
        assert_eq!(Document::try_from(RawDocument::from_bytes(&buffer).unwrap()).unwrap(), doc! {"a": 1, "_id": 7});
    }
}
