//! What many writes have led to: replies read and added up, and the result or the error that comes of them.

use std::collections::HashSet;

use bson::{Bson, RawArray, RawDocument, RawDocumentBuf};

use super::WriteKind;
use crate::error::{
    BulkWriteError, Error, ErrorKind, InsertManyError, Result, Stage, WriteConcernError, WriteError, error_labels,
    shown,
};
use crate::operation::count::number;
use crate::operation::reply::{concern_words, malformed};
use crate::operation::{write_concern_error, write_errors};
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
    pub(super) fn read(
        &mut self,
        kind: WriteKind,
        reply: &RawDocument,
        places: &[(usize, Option<Bson>)],
        ordered: bool,
    ) -> Result<()> {
        // All of it is judged before any of it counts.
        let mut answer = WriteReply::read(kind, reply)?;
        let failed: HashSet<usize> = answer.errors.iter().map(|error| error.index).collect();
        for error in &mut answer.errors {
            error.index = place(places, error.index)?;
        }
        let upserted = upserted(answer.upserted, places)?;
        match kind {
            WriteKind::Insert => {
                self.result.inserted_count += answer.n;
                self.inserted(places, &failed, ordered);
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

    /// Books the `_id` of each document that was inserted.
    pub(super) fn inserted(&mut self, places: &[(usize, Option<Bson>)], failed: &HashSet<usize>, ordered: bool) {
        // In order, nothing behind the first failure was tried.
        let tried = failed.iter().min().copied().filter(|_| ordered).unwrap_or(places.len());
        for (number, (place, id)) in places.iter().enumerate().take(tried) {
            if let Some(id) = id
                && !failed.contains(&number)
            {
                self.result.inserted_ids.insert(*place, id.clone());
            }
        }
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
            let message = concern_words(&error);
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
        self.fail(|write_errors, mut write_concern_errors, result| {
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
        self.fail(|write_errors, write_concern_errors, partial_result| {
            ErrorKind::BulkWrite(BulkWriteError { write_errors, write_concern_errors, partial_result })
        })
    }

    fn is_clean(&self) -> bool {
        self.failure.is_none() && self.write_errors.is_empty() && self.write_concern_errors.is_empty()
    }

    fn fail<T>(
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
            (None, Some(error), _) => concern_words(error),
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

/// What a reply says of the writes.
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
                "n" => n = number(Some(value)),
                "nModified" => modified = number(Some(value)),
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

/// The place and the `_id` of each document that an upsert inserted.
fn upserted(list: Option<&RawArray>, places: &[(usize, Option<Bson>)]) -> Result<Vec<(usize, Bson)>> {
    let wrong = || Error::invalid_reply(Stage::Decode, "an entry of the reply's 'upserted' lacks index or _id");
    let mut upserted = Vec::new();
    for entry in list.into_iter().flatten() {
        let entry = entry.map_err(malformed)?.as_document().ok_or_else(wrong)?;
        let index = number(entry.get("index").map_err(malformed)?).ok_or_else(wrong)?;
        let id = entry.get("_id").map_err(malformed)?.ok_or_else(wrong)?;
        check_nesting(entry)?;
        let place = place(places, usize::try_from(index).map_err(|_| wrong())?)?;
        upserted.push((place, Bson::try_from(id).map_err(malformed)?));
    }
    Ok(upserted)
}

/// Where the caller put the statement that the server calls number `index` of its command.
fn place(places: &[(usize, Option<Bson>)], index: usize) -> Result<usize> {
    match places.get(index) {
        Some((place, _)) => Ok(*place),
        None => Err(Error::invalid_reply(Stage::Decode, "the reply speaks of a statement that was not sent")),
    }
}
