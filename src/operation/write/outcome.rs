//! What a series of write commands has led to: their replies added up, and the result or the error at the end.

use std::collections::HashSet;

use bson::{Bson, RawArray, RawDocument, RawDocumentBuf};

use super::{Entry, WriteKind};
use crate::bson_ext;
use crate::error::{
    BulkWriteError, Error, ErrorKind, InsertManyError, Result, Stage, WriteConcernError, WriteError, error_labels,
    shown,
};
use crate::operation::reply::{describe_concern_error, malformed, write_concern_error, write_errors};
use crate::results::{BulkWriteResult, InsertManyResult};
use crate::wire::check_nesting;

/// What the writes have led to.
#[derive(Default)]
pub(crate) struct WriteOutcome {
    pub(crate) result: BulkWriteResult,
    pub(crate) write_errors: Vec<WriteError>,
    pub(crate) write_concern_errors: Vec<WriteConcernError>,
    /// What ended it early: a command that failed as a whole.
    pub(super) failure: Option<Error>,
    labels: Vec<String>,
    response: Option<RawDocumentBuf>,
}

impl WriteOutcome {
    /// Adds the reply to one command.
    pub(super) fn read(&mut self, kind: WriteKind, reply: &RawDocument, sent: &[Entry], ordered: bool) -> Result<()> {
        // The whole reply is checked before any of it counts.
        let mut answer = WriteReply::read(kind, reply)?;
        let failed: HashSet<usize> = answer.errors.iter().map(|error| error.index).collect();
        for error in &mut answer.errors {
            error.index = callers_index(sent, error.index)?;
        }
        let upserted = upserted(answer.upserted, sent)?;
        match kind {
            WriteKind::Insert => {
                self.result.inserted_count += answer.n;
                self.inserted(sent, &failed, ordered);
            }
            WriteKind::Delete => self.result.deleted_count += answer.n,
            WriteKind::Update => {
                let count = upserted.len() as u64;
                self.result.upserted_count += count;
                self.result.matched_count += answer.n.saturating_sub(count);
                self.result.modified_count += answer.modified;
                self.result.upserted_ids.extend(upserted);
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
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let kind = if let Some(mut error) = self.write_errors.pop() {
            error.response = self.response;
            let message = format!("write error {}: {}", error.code, shown(&error.message));
            Error::new(ErrorKind::Write(error), Stage::Command, message)
        } else if let Some(mut error) = self.write_concern_errors.pop() {
            error.response = self.response;
            let message = describe_concern_error(&error);
            Error::new(ErrorKind::WriteConcern(error), Stage::Command, message)
        } else {
            return Ok(self.result);
        };
        Err(self.labels.into_iter().fold(kind, Error::with_label))
    }

    /// The result of an `insert_many`.
    pub(crate) fn insert_many(self) -> Result<InsertManyResult> {
        if self.is_clean() {
            return Ok(InsertManyResult { inserted_ids: self.result.inserted_ids });
        }
        self.into_error(|write_errors, mut write_concern_errors, result| {
            ErrorKind::InsertMany(InsertManyError {
                write_errors,
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
                "{} of the writes failed; the first, number {} (from 0), with {}: {}",
                self.write_errors.len(),
                error.index,
                error.code,
                shown(&error.message)
            ),
            (None, Some(error), _) => describe_concern_error(error),
            (None, None, _) => "a part of the writes was not done".to_owned(),
        };
        let failure = match self.failure {
            Some(failure) if nothing_happened => return Err(failure),
            failure => failure,
        };
        let error =
            Error::new(kind(self.write_errors, self.write_concern_errors, self.result), Stage::Command, message);
        let mut error = self.labels.into_iter().fold(error, Error::with_label);
        if let Some(failure) = failure {
            for label in failure.labels().map(str::to_owned).collect::<Vec<_>>() {
                error = error.with_label(label);
            }
            error = error.with_source(failure);
        }
        Err(error)
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
    fn read(kind: WriteKind, reply: &'a RawDocument) -> Result<Self> {
        let mut answer = WriteReply::default();
        let (mut n, mut modified) = (None, None);
        for field in reply.iter() {
            let (key, value) = field.map_err(malformed)?;
            match key.as_str() {
                "n" => n = bson_ext::count(value),
                "nModified" => modified = bson_ext::count(value),
                "upserted" => answer.upserted = value.as_array(),
                "writeErrors" => answer.errors = write_errors(value)?,
                "writeConcernError" => answer.concern_error = Some(write_concern_error(value)?),
                _ => {}
            }
        }
        let missing =
            |what| Error::invalid_reply(Stage::Decode, format!("the reply to a write has no number '{what}'"));
        answer.n = n.ok_or_else(|| missing("n"))?;
        if kind == WriteKind::Update {
            answer.modified = modified.ok_or_else(|| missing("nModified"))?;
        }
        Ok(answer)
    }
}

/// The index in the caller's list and the `_id` of each document that an upsert inserted.
fn upserted(list: Option<&RawArray>, sent: &[Entry]) -> Result<Vec<(usize, Bson)>> {
    let wrong = || Error::invalid_reply(Stage::Decode, "an entry of the reply's 'upserted' lacks index or _id");
    let mut upserted = Vec::new();
    for entry in list.into_iter().flatten() {
        let entry = entry.map_err(malformed)?.as_document().ok_or_else(wrong)?;
        let index = entry.get("index").map_err(malformed)?.and_then(bson_ext::count).ok_or_else(wrong)?;
        let id = entry.get("_id").map_err(malformed)?.ok_or_else(wrong)?;
        check_nesting(entry)?;
        let index = callers_index(sent, usize::try_from(index).map_err(|_| wrong())?)?;
        upserted.push((index, Bson::try_from(id).map_err(malformed)?));
    }
    Ok(upserted)
}

/// The index in the caller's list of the statement with this index in its command.
fn callers_index(sent: &[Entry], index: usize) -> Result<usize> {
    let entry = sent.get(index);
    let unknown = || Error::invalid_reply(Stage::Decode, "the reply mentions a statement that was not sent");
    entry.map(|entry| entry.index).ok_or_else(unknown)
}
