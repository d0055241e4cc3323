//! What a series of write commands has led to: their replies added up, and the result or the error at the end.

use std::collections::HashSet;
use std::mem::take;
use std::sync::Arc;

use bson::{Bson, RawArray, RawBson, RawDocument, RawDocumentBuf};

use super::{Entry, WriteKind};
use crate::bson_ext;
use crate::document::{NestingLimits, check_nesting, decode_value};
use crate::error::{
    BulkWriteError, Error, ErrorKind, InsertManyError, Result, Stage, WriteConcernError, WriteError, WriteFailure,
    error_labels,
};
use crate::operation::Namespace;
use crate::operation::reply::{malformed, write_concern_error, write_errors};
use crate::options::ServerAddress;
use crate::outcome::{BulkWriteResult, InsertManyResult};

/// What the writes have led to.
#[derive(Default)]
pub(crate) struct WriteOutcome<'a> {
    pub(crate) result: BulkWriteResult,
    pub(crate) write_errors: Vec<WriteError>,
    pub(crate) write_concern_errors: Vec<WriteConcernError>,
    /// What ended it early: a command that failed as a whole.
    pub(super) failure: Option<Error>,
    labels: Vec<String>,
    response: Option<RawDocumentBuf>,
    /// How many statements were sent and answered.
    sent: usize,
    namespace: Namespace<'a>,
    /// The server that answered last.
    server: Option<Arc<ServerAddress>>,
    /// Whether the server's time limit is `timeoutMS`.
    limited: bool,
    /// How deep the `_id` of an upsert is decoded.
    limits: NestingLimits,
}

impl<'a> WriteOutcome<'a> {
    /// The outcome of writes to a collection of which none has been sent.
    pub(super) fn new(namespace: Namespace<'a>, limits: NestingLimits) -> Self {
        WriteOutcome { namespace, limits, ..WriteOutcome::default() }
    }

    /// Notes which server has answered, and how many statements.
    pub(super) fn answered(&mut self, server: &Arc<ServerAddress>, statements: usize) {
        self.server = Some(server.clone());
        self.sent += statements;
    }

    /// Says whether the server's time limit was what `timeoutMS` left.
    pub(crate) fn limited_by_timeout(mut self, limited: bool) -> Self {
        self.limited = limited;
        self
    }

    /// Adds the reply to one command.
    pub(super) fn read(&mut self, kind: WriteKind, reply: &RawDocument, sent: &[Entry], ordered: bool) -> Result<()> {
        // The whole reply is checked before any of it counts.
        let mut answer = WriteReply::read(kind, reply, sent.len())?;
        let failed: HashSet<usize> = answer.errors.iter().map(|error| error.index).collect();
        for error in &mut answer.errors {
            error.index = callers_index(sent, error.index)?;
        }
        let upserted = upserted(answer.upserted, sent, self.limits)?;
        let result = &mut self.result;
        match kind {
            WriteKind::Insert => {
                result.inserted_count = sum(result.inserted_count, answer.n)?;
                self.inserted(sent, &failed, ordered);
            }
            WriteKind::Delete => result.deleted_count = sum(result.deleted_count, answer.n)?,
            WriteKind::Update => {
                let count = upserted.len() as u64;
                let matched = sum(result.matched_count, answer.n.saturating_sub(count))?;
                let modified = sum(result.modified_count, answer.modified)?;
                (result.matched_count, result.modified_count) = (matched, modified);
                result.upserted_count += count;
                result.upserted_ids.extend(upserted);
            }
        }
        self.write_errors.append(&mut answer.errors);
        self.write_concern_errors.extend(answer.concern_error);
        if !self.write_errors.is_empty() || !self.write_concern_errors.is_empty() {
            self.labels.extend(error_labels(reply));
            self.response = Some(reply.to_owned());
        }
        Ok(())
    }

    /// Notes the `_id` of each document that was inserted.
    pub(super) fn inserted(&mut self, sent: &[Entry], failed: &HashSet<usize>, ordered: bool) {
        // In order, nothing after the first failure was tried.
        let tried = failed.iter().min().copied().filter(|_| ordered).unwrap_or(sent.len());
        for (number, entry) in sent.iter().enumerate().take(tried) {
            if let Some(id) = &entry.id
                && !failed.contains(&number)
            {
                self.result.inserted_ids.insert(entry.index, id.clone());
            }
        }
    }

    /// Ends all because of a command that failed as a whole, or a statement that cannot be sent. The first of them counts.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// The result of a single write, whose errors stand alone.
    pub(crate) fn single(mut self) -> Result<BulkWriteResult> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.with_namespace(self.namespace));
        }
        let id = self.result.inserted_ids.values().chain(self.result.upserted_ids.values()).next();
        let id = id.and_then(|id| RawBson::try_from(id.clone()).ok());
        let error = if let Some(mut error) = self.write_errors.pop() {
            error.response = self.response.take();
            let message = format!("write error {}", error.describe());
            Error::new(ErrorKind::Write(WriteFailure::WriteError(error)), Stage::Command, message)
        } else if let Some(mut error) = self.write_concern_errors.pop() {
            error.response = self.response.take();
            let message = error.describe();
            Error::new(ErrorKind::Write(WriteFailure::WriteConcernError(error)), Stage::Command, message)
        } else {
            return Ok(self.result);
        };
        let error = take(&mut self.labels).into_iter().fold(error, Error::with_label);
        let error = match id {
            Some(id) => error.with_document_id(id),
            None => error,
        };
        Err(self.located(error))
    }

    /// The failure of one statement among many, with its place and how much was sent before.
    fn counted(&self, failure: Error) -> Error {
        let Some(index) = failure.document_index() else { return failure };
        let message = format!("number {index} (from 0): {}; {} were sent before", failure.message(), self.sent);
        failure.with_message(message)
    }

    /// The error with server and collection. Where the server's time limit is `timeoutMS`, that is what ran out.
    fn located(&self, error: Error) -> Error {
        let error = error.with_namespace(self.namespace);
        let error = match &self.server {
            Some(server) => error.with_address(server),
            None => error,
        };
        if self.limited { error.into_timeout() } else { error }
    }

    /// The result of an `insert_many`.
    pub(crate) fn insert_many(self) -> Result<InsertManyResult> {
        if self.is_clean() {
            return Ok(InsertManyResult { inserted_ids: self.result.inserted_ids });
        }
        self.into_error(|write_errors, mut write_concern_errors, result| {
            ErrorKind::InsertMany(InsertManyError {
                write_errors: (!write_errors.is_empty()).then_some(write_errors),
                write_concern_error: write_concern_errors.pop(),
                partial_result: InsertManyResult { inserted_ids: result.inserted_ids },
            })
        })
    }

    /// The result of a bulk write.
    pub(crate) fn bulk_write(self) -> Result<BulkWriteResult> {
        if self.is_clean() {
            return Ok(self.result);
        }
        self.into_error(|write_errors, write_concern_errors, partial_result| {
            ErrorKind::BulkWrite(BulkWriteError { write_errors, write_concern_errors, partial_result })
        })
    }

    fn is_clean(&self) -> bool {
        self.failure.is_none() && self.write_errors.is_empty() && self.write_concern_errors.is_empty()
    }

    fn into_error<T>(
        mut self,
        kind: impl FnOnce(Vec<WriteError>, Vec<WriteConcernError>, BulkWriteResult) -> ErrorKind,
    ) -> Result<T> {
        self.write_errors.sort_by_key(|error| error.index);
        let nothing_happened = self.result == BulkWriteResult::default()
            && self.write_errors.is_empty()
            && self.write_concern_errors.is_empty();
        let message = match (self.write_errors.first(), self.write_concern_errors.first(), &self.failure) {
            (Some(error), _, _) => format!(
                "{} of the writes failed; the first, number {} (from 0), with {}",
                self.write_errors.len(),
                error.index,
                error.describe()
            ),
            (None, Some(error), _) => error.describe(),
            (None, None, failure) => {
                let why = failure.as_ref().map(why_not_the_rest).unwrap_or_default();
                format!("{} writes were sent and answered, the rest was not{why}", self.sent)
            }
        };
        let failure = self.failure.take().map(|failure| self.counted(failure.with_namespace(self.namespace)));
        let failure = match failure {
            Some(failure) if nothing_happened => return Err(failure),
            failure => failure,
        };
        let lists = (take(&mut self.write_errors), take(&mut self.write_concern_errors), take(&mut self.result));
        let error = Error::new(kind(lists.0, lists.1, lists.2), Stage::Command, message);
        let mut error = take(&mut self.labels).into_iter().fold(error, Error::with_label);
        if let Some(failure) = failure {
            for label in failure.labels().clone() {
                error = error.with_label(label);
            }
            error = error.with_source(failure);
        }
        Err(self.located(error))
    }
}

/// In short, since the failure is the cause and says it whole.
fn why_not_the_rest(failure: &Error) -> String {
    match failure.kind() {
        _ if failure.stage() == Stage::Encode => match failure.document_index() {
            Some(index) => format!(": number {index} (from 0) cannot be sent"),
            None => ": one of them cannot be sent".to_owned(),
        },
        _ if failure.is_timeout() => ": a time limit ran out".to_owned(),
        ErrorKind::Io(_) => ": the connection failed".to_owned(),
        ErrorKind::Command(_) => ": the server refused the next command".to_owned(),
        ErrorKind::InvalidResponse { .. } => ": the server broke the protocol".to_owned(),
        ErrorKind::ServerSelection { .. } => ": no server could be selected".to_owned(),
        ErrorKind::Authentication { .. } => ": the login of a connection failed".to_owned(),
        ErrorKind::ConnectionPoolCleared { .. } => ": a check of the server failed meanwhile".to_owned(),
        ErrorKind::Shutdown => ": the client was closed".to_owned(),
        _ => String::new(),
    }
}

/// What a reply to a write command reports.
#[derive(Default)]
struct WriteReply<'a> {
    n: u64,
    modified: u64,
    upserted: Option<&'a RawArray>,
    errors: Vec<WriteError>,
    concern_error: Option<WriteConcernError>,
}

impl<'a> WriteReply<'a> {
    /// Goes through the reply once.
    fn read(kind: WriteKind, reply: &'a RawDocument, sent: usize) -> Result<Self> {
        let mut answer = WriteReply::default();
        let (mut n, mut modified) = (None, None);
        let get = |key| reply.get(key).map_err(malformed)?.ok_or_else(|| missing(key));
        for (element_type, name, value) in bson_ext::plain_fields(reply) {
            match name {
                b"n" => n = bson_ext::plain_number(element_type, value).and_then(bson_ext::count),
                b"nModified" => modified = bson_ext::plain_number(element_type, value).and_then(bson_ext::count),
                b"upserted" => answer.upserted = get("upserted")?.as_array(),
                b"writeErrors" => answer.errors = write_errors(get("writeErrors")?, sent)?,
                b"writeConcernError" => answer.concern_error = Some(write_concern_error(get("writeConcernError")?)?),
                _ => {}
            }
        }
        answer.n = n.ok_or_else(|| missing("n"))?;
        if kind == WriteKind::Update {
            answer.modified = modified.ok_or_else(|| missing("nModified"))?;
        }
        Ok(answer)
    }
}

fn missing(field: &str) -> Error {
    Error::invalid_reply(Stage::Decode, format!("the reply to a write has no number '{field}'"))
}

/// The sum of what two replies counted.
fn sum(a: u64, b: u64) -> Result<u64> {
    let too_many = || Error::invalid_reply(Stage::Decode, "the replies' counts add up to more than 64 bits hold");
    a.checked_add(b).ok_or_else(too_many)
}

/// The index in the caller's list and the `_id` of each document that an upsert inserted.
fn upserted(list: Option<&RawArray>, sent: &[Entry], limits: NestingLimits) -> Result<Vec<(usize, Bson)>> {
    let wrong = || Error::invalid_reply(Stage::Decode, "an entry of the reply's 'upserted' lacks index or _id");
    let mut upserted = Vec::new();
    for entry in list.into_iter().flatten() {
        if upserted.len() == sent.len() {
            return Err(Error::invalid_reply(Stage::Decode, "the reply has more upserts than statements were sent"));
        }
        let entry = entry.map_err(malformed)?.as_document().ok_or_else(wrong)?;
        let index = entry.get("index").map_err(malformed)?.and_then(bson_ext::count).ok_or_else(wrong)?;
        let id = entry.get("_id").map_err(malformed)?.ok_or_else(wrong)?;
        check_nesting(entry, limits)?;
        let index = callers_index(sent, usize::try_from(index).map_err(|_| wrong())?)?;
        upserted.push((index, decode_value(id, entry, limits)?));
    }
    Ok(upserted)
}

/// The index in the caller's list of the statement with this index in its command.
fn callers_index(sent: &[Entry], index: usize) -> Result<usize> {
    let entry = sent.get(index);
    let unknown = || Error::invalid_reply(Stage::Decode, "the reply mentions a statement that was not sent");
    entry.map(|entry| entry.index).ok_or_else(unknown)
}
