//! What a server can answer instead of success.

use std::fmt;
use std::time::Duration;

use bson::{Bson, RawDocument, RawDocumentBuf};
use serde::{Deserialize, Serialize, Serializer};

use super::readable::Readable;
use crate::outcome::{BulkWriteResult, InsertManyResult};
use crate::serde_util::optional_millis;

/// A command that the server answered with `ok: 0`.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandError {
    /// The error code; 0 where the server sent none.
    pub code: i32,
    /// The code's name; empty where the server sent none.
    #[serde(rename = "codeName", default)]
    pub code_name: String,
    /// The server's own words.
    #[serde(rename = "errmsg", default)]
    pub message: String,
    /// How long an overloaded server asks to be left alone before the operation is tried again (since MongoDB 9.0).
    #[serde(rename = "baseBackoffMS", default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub base_backoff: Option<Duration>,
    /// The server's whole reply.
    #[serde(skip)]
    pub response: RawDocumentBuf,
}

/// One write that the server refused.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WriteError {
    /// The place of the write among those that were asked for, from 0.
    #[serde(default)]
    pub index: usize,
    /// The error code (11000: a duplicate key).
    pub code: i32,
    /// The code's name, where the server sent one.
    pub code_name: Option<String>,
    /// The server's own words.
    #[serde(rename = "errmsg", default)]
    pub message: String,
    /// More about it, as the server sent it (`errInfo`): for one, why a document failed validation.
    #[serde(rename = "errInfo")]
    pub details: Option<RawDocumentBuf>,
    /// Of a duplicate key, the fields of the unique index and their directions (`keyPattern`, since MongoDB 4.2).
    pub key_pattern: Option<RawDocumentBuf>,
    /// Of a duplicate key, the values that are there already (`keyValue`, since MongoDB 4.2), whole.
    pub key_value: Option<RawDocumentBuf>,
    /// The server's whole reply, where this error stands alone.
    #[serde(skip)]
    pub response: Option<RawDocumentBuf>,
}

/// One of several writes that the server refused. Its field `index` is the place of the write.
pub type IndexedWriteError = WriteError;

/// A write concern that the server could not satisfy. The write itself may have happened.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WriteConcernError {
    /// The error code.
    pub code: i32,
    /// The code's name; empty where the server sent none.
    #[serde(rename = "codeName", default)]
    pub code_name: String,
    /// The server's own words.
    #[serde(alias = "errmsg", default)]
    pub message: String,
    /// More about it, as the server sent it (`errInfo`).
    #[serde(rename = "errInfo")]
    pub details: Option<RawDocumentBuf>,
    /// The server's whole reply, where this error stands alone.
    #[serde(skip)]
    pub response: Option<RawDocumentBuf>,
}

/// An `insert_many` of which a part failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InsertManyError {
    /// Which documents failed, and why; absent where none did.
    pub write_errors: Option<Vec<IndexedWriteError>>,
    /// The write concern error, if there was one: of several batches, the last.
    pub write_concern_error: Option<WriteConcernError>,
    /// What was inserted all the same.
    #[serde(skip)]
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

/// As the server writes it. The index is left out where the error stands alone.
impl Serialize for WriteError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            index: Option<usize>,
            code: i32,
            code_name: Option<&'a str>,
            errmsg: &'a str,
            err_info: Option<&'a RawDocumentBuf>,
            #[serde(skip_serializing_if = "Option::is_none")]
            key_pattern: Option<&'a RawDocumentBuf>,
            #[serde(skip_serializing_if = "Option::is_none")]
            key_value: Option<&'a RawDocumentBuf>,
        }
        let WriteError { index, code, code_name, message, details, key_pattern, key_value, response } = self;
        let written = Written {
            index: response.is_none().then_some(*index),
            code: *code,
            code_name: code_name.as_deref(),
            errmsg: message,
            err_info: details.as_ref(),
            key_pattern: key_pattern.as_ref(),
            key_value: key_value.as_ref(),
        };
        written.serialize(serializer)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {} {})", shown(&self.message), self.code, shown(&self.code_name))
    }
}

impl CommandError {
    /// More about it, as the server sent it (`errInfo`): for one, why `find_one_and_update` would make a document that fails
    /// validation.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) {
    /// use mongo_blocking::bson::doc;
    /// use mongo_blocking::error::ErrorKind;
    ///
    /// if let Err(error) = animals.find_one_and_update(doc! {}, doc! { "$set": { "legs": "four" } }).run()
    ///     && let ErrorKind::Command(refused) = error.kind()
    /// {
    ///     println!("{:?}", refused.details());
    /// }
    /// # }
    /// ```
    pub fn details(&self) -> Option<&RawDocument> {
        self.response.get_document("errInfo").ok()
    }

    /// Of a duplicate key, the fields of the unique index and their directions (`keyPattern`, since MongoDB 4.2).
    ///
    /// ```no_run
    /// # fn f(error: mongo_blocking::error::CommandError) {
    /// if let Some(fields) = error.key_pattern() {
    ///     println!("the index on {fields:?} is unique");
    /// }
    /// # }
    /// ```
    pub fn key_pattern(&self) -> Option<&RawDocument> {
        self.response.get_document("keyPattern").ok()
    }

    /// Of a duplicate key, the values that are there already (`keyValue`, since MongoDB 4.2), whole.
    ///
    /// ```no_run
    /// # fn f(error: mongo_blocking::error::CommandError) {
    /// if let Some(name) = error.key_value().and_then(|value| value.get_str("name").ok()) {
    ///     println!("there is a {name} already");
    /// }
    /// # }
    /// ```
    pub fn key_value(&self) -> Option<&RawDocument> {
        self.response.get_document("keyValue").ok()
    }
}

impl WriteError {
    /// What the server explained beside its message, on one line; empty where it explained nothing.
    pub(crate) fn explanation(&self) -> String {
        explanation(self.details.as_deref(), self.key_pattern.as_deref(), self.key_value.as_deref())
    }

    /// As part of a message: code, name, the server's words and what it explained.
    pub(crate) fn describe(&self) -> String {
        let name = self.code_name.as_deref().unwrap_or_default();
        format!("{}{}{}", numbered(self.code, name), shown(&self.message), self.explanation())
    }
}

impl WriteConcernError {
    /// As a message.
    pub(crate) fn describe(&self) -> String {
        let explanation = explanation(self.details.as_deref(), None, None);
        format!("write concern error {}{}{explanation}", numbered(self.code, &self.code_name), shown(&self.message))
    }
}

/// The code with its name, and what sets them apart from the words that follow.
fn numbered(code: i32, name: &str) -> String {
    match name {
        "" => format!("{code}: "),
        name => format!("{code} {}: ", shown(name)),
    }
}

pub(super) fn explanation(
    details: Option<&RawDocument>,
    pattern: Option<&RawDocument>,
    value: Option<&RawDocument>,
) -> String {
    let parts = [("details", details), ("keyPattern", pattern), ("keyValue", value)];
    let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("{name} {}", Readable(part?))));
    match parts.collect::<Vec<_>>().join(", ").as_str() {
        "" => String::new(),
        explained => format!(" ({explained})"),
    }
}

impl fmt::Debug for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandError")
            .field("code", &self.code)
            .field("code_name", &self.code_name)
            .field("message", &self.message)
            .field("response", &Readable(&self.response))
            .finish()
    }
}

impl fmt::Debug for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteError")
            .field("index", &self.index)
            .field("code", &self.code)
            .field("code_name", &self.code_name)
            .field("message", &self.message)
            .field("details", &self.details.as_deref().map(Readable))
            .field("key_pattern", &self.key_pattern.as_deref().map(Readable))
            .field("key_value", &self.key_value.as_deref().map(Readable))
            .field("response", &self.response.as_deref().map(Readable))
            .finish()
    }
}

impl fmt::Debug for WriteConcernError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteConcernError")
            .field("code", &self.code)
            .field("code_name", &self.code_name)
            .field("message", &self.message)
            .field("details", &self.details.as_deref().map(Readable))
            .field("response", &self.response.as_deref().map(Readable))
            .finish()
    }
}

impl InsertManyError {
    /// Which documents failed, and why; empty where none did.
    pub fn write_errors(&self) -> &[IndexedWriteError] {
        self.write_errors.as_deref().unwrap_or_default()
    }

    /// The `_id` values of the documents that were inserted all the same, by their place in the call.
    pub fn inserted_ids(&self) -> &std::collections::HashMap<usize, Bson> {
        &self.partial_result.inserted_ids
    }
}

/// A stranger's words as an error shows them, bounded. What the error holds keeps them as they came.
pub(crate) fn shown(words: &str) -> String {
    words.chars().take(MAX_SHOWN).collect()
}

/// How much of the server's words an error shows; the longest that servers send are explanations of failed plans.
pub(super) const MAX_SHOWN: usize = 4000;

/// The code of the first write error, else of the first write concern error.
pub(super) fn first_code<'a>(
    write_errors: &[WriteError],
    mut concern: impl Iterator<Item = &'a WriteConcernError>,
) -> Option<i32> {
    write_errors.first().map(|error| error.code).or_else(|| concern.next().map(|error| error.code))
}
