//! What a server can answer instead of success.

use bson::{Bson, RawDocumentBuf};

use crate::results::{BulkWriteResult, InsertManyResult};

/// A command that the server answered with `ok: 0`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandError {
    /// The error code; 0 where the server sent none.
    pub code: i32,
    /// The code's name; empty where the server sent none.
    pub code_name: String,
    /// The server's own words.
    pub message: String,
    /// The server's whole reply.
    pub response: RawDocumentBuf,
}

/// One write that the server refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriteError {
    /// The place of the write among those that were asked for, from 0.
    pub index: usize,
    /// The error code (11000: a duplicate key).
    pub code: i32,
    /// The code's name, where the server sent one.
    pub code_name: Option<String>,
    /// The server's own words.
    pub message: String,
    /// More about it, as the server sent it (`errInfo`): for one, why a document failed validation.
    pub details: Option<RawDocumentBuf>,
    /// The server's whole reply, where this error stands alone.
    pub response: Option<RawDocumentBuf>,
}

/// A write concern that the server could not satisfy. The write itself may have happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriteConcernError {
    /// The error code.
    pub code: i32,
    /// The code's name; empty where the server sent none.
    pub code_name: String,
    /// The server's own words.
    pub message: String,
    /// More about it, as the server sent it (`errInfo`).
    pub details: Option<RawDocumentBuf>,
    /// The server's whole reply, where this error stands alone.
    pub response: Option<RawDocumentBuf>,
}

/// An `insert_many` of which a part failed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InsertManyError {
    /// Which documents failed, and why.
    pub write_errors: Vec<WriteError>,
    /// The write concern error, if there was one: of several batches, the last.
    pub write_concern_error: Option<WriteConcernError>,
    /// What was inserted all the same.
    pub partial_result: InsertManyResult,
}

/// A bulk write of which a part failed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BulkWriteError {
    /// Which writes failed, and why.
    pub write_errors: Vec<WriteError>,
    /// The write concern errors, one for each command that met one.
    pub write_concern_errors: Vec<WriteConcernError>,
    /// What was done all the same.
    pub partial_result: BulkWriteResult,
}

impl InsertManyError {
    /// The `_id` values of the documents that were inserted all the same, by their place in the call.
    pub fn inserted_ids(&self) -> &std::collections::HashMap<usize, Bson> {
        &self.partial_result.inserted_ids
    }
}

/// The code of the first write error, else of the first write concern error.
pub(super) fn first_code<'a>(
    write_errors: &[WriteError],
    mut concern: impl Iterator<Item = &'a WriteConcernError>,
) -> Option<i32> {
    write_errors.first().map(|error| error.code).or_else(|| concern.next().map(|error| error.code))
}
