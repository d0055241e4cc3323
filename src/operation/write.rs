//! `insert`, `update`, `delete`: writes, gathered into as few commands as the server's limits allow.
//!
//! A [`WriteBatcher`] collects statements. Each time it is executed, it makes one command of those at the front: as many as are
//! of one kind and fit within the limits of the server at hand. One buffer serves all commands, and each statement is turned into
//! BSON once.

mod outcome;

use std::collections::HashSet;
use std::sync::Arc;

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Bson, RawBson, RawDocument, RawDocumentBuf};
use serde::Serialize;

use super::body::{Body, not_bson};
use super::{Access, Command, Namespace, Operation, Retry, Target};
use crate::bson_ext::find_field;
use crate::description::{ServerDescription, WireVersion};
use crate::document::{NestingLimits, cannot_encode, is_within};
use crate::error::{Error, FaultKind, Result, Stage};
use crate::options::{BulkWriteOptions, ServerAddress, WriteConcern};
use crate::wire::{Reply, Sequence};

pub(crate) use outcome::WriteOutcome;

/// By how much an update or a delete may exceed the limit on documents: its operators and options.
const STATEMENT_ALLOWANCE: usize = 16 * 1024;
/// Room in a message beside body and statements: headers, flags, lengths, names, and what is added when it is sent.
const MESSAGE_ALLOWANCE: usize = 16 * 1024;
/// Room for the statements to begin with, so that a document of usual size is written without moving it several times.
const FIRST_ROOM: usize = 2048;
/// Type, key and value of an `_id` that is an ObjectId.
const ID_FIELD: usize = 1 + 4 + 12;
/// What servers of all supported releases accept: the limits until the first server has been selected.
const USUAL_LIMITS: Limits = Limits {
    document: 16 * 1024 * 1024,
    message: 48_000_000,
    statements: 100_000,
    wire_version: WireVersion::OLDEST_SUPPORTED,
};

/// The three commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WriteKind {
    Insert,
    Update,
    Delete,
}

/// An update or a delete as an entry of its command.
pub(crate) struct Statement {
    pub(crate) kind: WriteKind,
    /// Whether it may change several documents.
    pub(crate) multi: bool,
    pub(crate) document: RawDocumentBuf,
}

/// Writes that are sent command by command.
pub(crate) struct WriteBatcher<'a> {
    namespace: Namespace<'a>,
    options: &'a BulkWriteOptions,
    /// The bytes of those options that every command carries.
    options_length: usize,
    limits: Limits,
    /// How deep the `_id` of a document may be: each becomes a value of the result.
    nesting: NestingLimits,
    /// The statements, one BSON document behind the other; the first `sent_bytes` of it have been sent.
    statements: Vec<u8>,
    sent_bytes: usize,
    /// What is known of each statement; the first `sent` of them have been sent.
    entries: Vec<Entry>,
    sent: usize,
    /// How many of the others are in the command that was built last.
    in_command: usize,
    outcome: WriteOutcome<'a>,
}

/// A statement in the buffer.
struct Entry {
    kind: WriteKind,
    /// The index in the caller's list.
    index: usize,
    /// The `_id` of a document to insert.
    id: Option<Bson>,
    length: usize,
    has_hint: bool,
    multi: bool,
}

/// What a server accepts.
#[derive(Clone, Copy)]
struct Limits {
    document: usize,
    message: usize,
    statements: usize,
    wire_version: WireVersion,
}

impl<'a> WriteBatcher<'a> {
    pub(crate) fn new(namespace: Namespace<'a>, options: &'a BulkWriteOptions, nesting: NestingLimits) -> Result<Self> {
        options.write_concern.as_ref().map_or(Ok(()), WriteConcern::check)?;
        let mut options_length = 0;
        if options.let_vars.is_some() || options.comment.is_some() {
            let mut repeated = Body::empty();
            repeated.document(cstr!("let"), options.let_vars.as_ref())?;
            repeated.any(cstr!("comment"), options.comment.as_ref())?;
            options_length = repeated.finish().as_bytes().len();
        }
        Ok(WriteBatcher {
            namespace,
            options,
            options_length,
            limits: USUAL_LIMITS,
            nesting,
            statements: Vec::with_capacity(FIRST_ROOM),
            sent_bytes: 0,
            entries: Vec::new(),
            sent: 0,
            in_command: 0,
            outcome: WriteOutcome::new(namespace, nesting),
        })
    }

    /// Adds a document to insert.
    pub(crate) fn insert<T: Serialize>(&mut self, index: usize, document: &T) -> Result<()> {
        self.forget_sent();
        let start = self.statements.len();
        match append_with_id(document, &mut self.statements, self.nesting) {
            Ok(id) => {
                let length = self.statements.len() - start;
                let kind = WriteKind::Insert;
                self.entries.push(Entry { kind, index, id: Some(id), length, has_hint: false, multi: false });
                Ok(())
            }
            Err(error) => {
                self.statements.truncate(start);
                Err(error.with_document_index(index))
            }
        }
    }

    /// Adds an update or a delete.
    pub(crate) fn add(&mut self, index: usize, statement: &Statement) {
        self.forget_sent();
        let bytes = statement.document.as_bytes();
        self.statements.extend_from_slice(bytes);
        self.entries.push(Entry {
            kind: statement.kind,
            index,
            id: None,
            length: bytes.len(),
            has_hint: matches!(statement.document.get("hint"), Ok(Some(_))),
            multi: statement.multi,
        });
    }

    /// Whether there are more statements than one command can hold, so that one should be sent before more are added.
    pub(crate) fn is_full(&self) -> bool {
        let waiting = self.waiting();
        let mixed = waiting.first().map(|entry| entry.kind) != waiting.last().map(|entry| entry.kind);
        mixed || waiting.len() > self.limits.statements || self.statements.len() - self.sent_bytes > self.room()
    }

    /// The `_id` of the first document to insert.
    pub(crate) fn first_id(&self) -> Option<&Bson> {
        self.waiting().first()?.id.as_ref()
    }

    /// Whether there are statements to send.
    pub(crate) fn has_statements(&self) -> bool {
        !self.waiting().is_empty()
    }

    /// Whether the rest is not to be sent, because of a failure before it.
    pub(crate) fn has_stopped(&self) -> bool {
        self.outcome.failure.is_some() || (self.is_ordered() && !self.outcome.write_errors.is_empty())
    }

    /// Whether the first failure ends all.
    pub(crate) fn is_ordered(&self) -> bool {
        self.options.ordered.unwrap_or(true)
    }

    /// Ends all because of a command that failed as a whole, or a statement that cannot be sent. The first of them counts.
    pub(crate) fn fail(&mut self, error: Error) {
        self.outcome.fail(error);
    }

    /// What the writes have led to.
    pub(crate) fn into_outcome(self) -> WriteOutcome<'a> {
        self.outcome
    }

    fn waiting(&self) -> &[Entry] {
        self.entries.get(self.sent..).unwrap_or_default()
    }

    fn is_acknowledged(&self) -> bool {
        self.options.write_concern.as_ref().is_none_or(WriteConcern::is_acknowledged)
    }

    /// How many bytes of statements a message has room for.
    fn room(&self) -> usize {
        self.limits.message.saturating_sub(MESSAGE_ALLOWANCE + self.options_length)
    }

    /// Makes room where statements that have been sent were. Done before more are added, not after each command: what follows
    /// is moved to the front only once.
    fn forget_sent(&mut self) {
        if self.sent > 0 {
            self.entries.drain(..self.sent);
            self.statements.drain(..self.sent_bytes);
            (self.sent, self.sent_bytes) = (0, 0);
        }
    }

    /// How many of the waiting statements go into one command, and how many bytes they have. Fails if not even the first can
    /// be sent.
    fn next_command(&self) -> Result<(usize, usize)> {
        let waiting = self.waiting();
        let room = self.room();
        let mut bytes = 0;
        for (count, entry) in waiting.iter().enumerate() {
            let fits = count < self.limits.statements
                && bytes + entry.length <= room
                && waiting.first().is_some_and(|first| first.kind == entry.kind);
            let checked = self.check(entry);
            if count > 0 && (!fits || checked.is_err()) {
                return Ok((count, bytes));
            }
            checked?;
            bytes += entry.length;
        }
        Ok((waiting.len(), bytes))
    }

    /// The command with this many statements once more, for another server. Fails if that one takes fewer.
    fn same_command(&self, count: usize) -> Result<(usize, usize)> {
        let statements = self.waiting().get(..count).unwrap_or_default();
        statements.iter().try_for_each(|entry| self.check(entry))?;
        let bytes = statements.iter().map(|entry| entry.length).sum();
        if count > self.limits.statements || bytes > self.room() {
            return Err(Error::incompatible_server(
                "the server that was chosen for the retry takes fewer statements in a command",
            ));
        }
        Ok((count, bytes))
    }

    /// Whether a server recognises the command of the first `count` statements if it comes again.
    fn is_retryable(&self, count: usize) -> bool {
        self.is_acknowledged() && self.waiting().iter().take(count).all(|entry| !entry.multi)
    }

    /// Whether this server accepts the statement.
    fn check(&self, entry: &Entry) -> Result<()> {
        let (allowance, hint_since) = match entry.kind {
            WriteKind::Insert => (0, WireVersion::OLDEST_SUPPORTED),
            WriteKind::Update => (STATEMENT_ALLOWANCE, WireVersion::MONGODB_4_2),
            WriteKind::Delete => (STATEMENT_ALLOWANCE, WireVersion::MONGODB_4_4),
        };
        if entry.has_hint {
            check_hint(self.is_acknowledged(), self.limits.wire_version, hint_since)?;
        }
        let largest = self.limits.document + allowance;
        if entry.length <= largest {
            return Ok(());
        }
        let error = too_large(entry.length, largest).with_document_index(entry.index).with_namespace(self.namespace);
        Err(match entry.id.as_ref().and_then(|id| RawBson::try_from(id.clone()).ok()) {
            Some(id) => error.with_document_id(id),
            None => error,
        })
    }
}

impl Operation for WriteBatcher<'_> {
    type Output = ();

    fn target(&self) -> Target<'_> {
        Target::Writable
    }

    fn namespace(&self) -> Option<Namespace<'_>> {
        Some(self.namespace)
    }

    /// A command with a statement that may change several documents is not recognised when it comes a second time. (The server
    /// that is chosen may take fewer statements in a command; `build` decides.)
    fn retry(&self) -> Retry {
        let (count, _) = self.next_command().unwrap_or_default();
        if self.is_retryable(count) { Retry::Write } else { Retry::Never }
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        self.limits = Limits {
            document: server.max_bson_object_size,
            message: server.max_message_size_bytes,
            statements: server.max_write_batch_size,
            wire_version: server.max_wire_version,
        };
        let (count, bytes) = match self.in_command {
            0 => self.next_command()?,
            // The replies to all attempts are to mean the same statements.
            count => self.same_command(count)?,
        };
        self.in_command = count;
        let kind = self.waiting().first().map_or(WriteKind::Insert, |entry| entry.kind);
        let (name, key, identifier) = match kind {
            WriteKind::Insert => ("insert", cstr!("insert"), "documents"),
            WriteKind::Update => ("update", cstr!("update"), "updates"),
            WriteKind::Delete => ("delete", cstr!("delete"), "deletes"),
        };
        let options = self.options;
        let mut body = Body::new(key, self.namespace.collection);
        body.append(cstr!("ordered"), self.is_ordered());
        if kind != WriteKind::Delete {
            body.flag(cstr!("bypassDocumentValidation"), options.bypass_document_validation);
        }
        if kind != WriteKind::Insert {
            body.document(cstr!("let"), options.let_vars.as_ref())?;
        }
        body.any(cstr!("comment"), options.comment.as_ref())?;
        body.write_concern(options.write_concern.as_ref())?;
        let documents = self.statements.get(self.sent_bytes..self.sent_bytes + bytes).unwrap_or_default();
        let mut command = Command::new(name, self.namespace.database, body);
        command.sequence = Some(Sequence { identifier, documents, count });
        command.acknowledged = self.is_acknowledged();
        command.is_retryable_write = self.is_retryable(count);
        Ok(command)
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<()> {
        let (acknowledged, ordered) = (self.is_acknowledged(), self.is_ordered());
        let end = self.sent + self.in_command;
        let sent = self.entries.get(self.sent..end).unwrap_or_default();
        self.outcome.answered(server, sent.len());
        let read = match sent.first() {
            Some(first) if acknowledged => self.outcome.read(first.kind, reply.document(), sent, ordered),
            _ => {
                self.outcome.inserted(sent, &HashSet::new(), ordered);
                Ok(())
            }
        };
        self.sent_bytes += sent.iter().map(|entry| entry.length).sum::<usize>();
        self.sent = end;
        self.in_command = 0;
        read
    }
}

/// Refuses `hint` for a server that ignores it and, because the write is not acknowledged, cannot report that.
pub(crate) fn check_hint(acknowledged: bool, server: WireVersion, since: WireVersion) -> Result<()> {
    if acknowledged || server >= since {
        return Ok(());
    }
    Err(Error::incompatible_server(
        "this server does not know hint for this command, and unacknowledged it could not report that",
    ))
}

/// Appends the document to the buffer, with an `_id` in front if it has none, and returns its `_id`.
fn append_with_id<T: Serialize>(document: &T, buffer: &mut Vec<u8>, nesting: NestingLimits) -> Result<Bson> {
    let start = buffer.len();
    bson::serialize_to_buffer(document, buffer).map_err(|error| cannot_encode(document, error))?;
    let written = RawDocument::from_bytes(buffer.get(start..).unwrap_or_default()).map_err(not_bson)?;
    if find_field(written, "_id") != Ok(None)
        && let Some(id) = written.get("_id").map_err(not_bson)?
    {
        return if is_within(id, nesting) { Bson::try_from(id).map_err(not_bson) } else { Err(id_too_deep()) };
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

fn id_too_deep() -> Error {
    let message = "the _id of a document is nested deeper than the driver decodes, and the result of an insert has it";
    Error::new(FaultKind::BsonSerialization, Stage::Encode, message.to_owned())
        .with_path("_id".to_owned())
        .with_hint("max_document_nesting sets how many levels are decoded")
}

fn too_large(length: usize, largest: usize) -> Error {
    Error::new(
        FaultKind::BsonSerialization,
        Stage::Encode,
        format!("a document of {length} bytes is larger than the {largest} bytes that the server accepts (maxBsonObjectSize)"),
    )
    .with_hint("split it, or store large data in GridFS")
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn an_id_is_put_in_front_of_a_document_that_has_none() {
        let mut buffer = vec![1, 2, 3];
        let id = append_with_id(&doc! {"a": 1, "b": "two"}, &mut buffer, NestingLimits::DEFAULT).unwrap();
        let written = Document::try_from(RawDocument::from_bytes(&buffer[3..]).unwrap()).unwrap();
        assert_eq!(written, doc! {"_id": id, "a": 1, "b": "two"});
        assert_eq!(written.keys().next().map(String::as_str), Some("_id"));
        assert_eq!(buffer[..3], [1, 2, 3]);
    }

    #[test]
    fn an_id_that_is_there_stays() {
        let mut buffer = Vec::new();
        let id = append_with_id(&doc! {"a": 1, "_id": 7}, &mut buffer, NestingLimits::DEFAULT);
        assert_eq!(id.unwrap(), Bson::Int32(7));
        assert_eq!(Document::try_from(RawDocument::from_bytes(&buffer).unwrap()).unwrap(), doc! {"a": 1, "_id": 7});
    }
    #[test]
    fn an_id_is_decoded_no_deeper_than_the_limit_says() {
        let limits = NestingLimits::lowered(2);
        for (id, fits) in [
            (doc! {"a": 1}, true),
            (doc! {"a": {"b": "some twenty bytes more"}}, true),
            (doc! {"a": {"b": {"c": 1}}}, false),
            (doc! {"a": [[1]]}, false),
        ] {
            let appended = append_with_id(&doc! {"_id": id.clone()}, &mut Vec::new(), limits);
            if fits {
                assert_eq!(appended.unwrap(), Bson::Document(id))
            } else {
                assert_eq!(appended.unwrap_err().path(), Some("_id"))
            }
        }
        // What lies beside it is not decoded.
        append_with_id(&doc! {"_id": 1, "deep": {"a": {"b": {"c": {"d": 1}}}}}, &mut Vec::new(), limits).unwrap();
    }
}
