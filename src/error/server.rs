//! What a server can answer instead of success.

use std::fmt;

use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::readable::Readable;
use super::{Error, ErrorKind, Stage};
use crate::bson_ext::{error_code, find_field, text_lossy};
use crate::outcome::{BulkWriteResult, InsertManyResult};

/// A command that the server answered with `ok: 0`.
#[derive(Clone)]
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
#[derive(Clone)]
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
    /// Of a duplicate key, the fields of the unique index and their directions (`keyPattern`, since MongoDB 4.2).
    pub key_pattern: Option<RawDocumentBuf>,
    /// Of a duplicate key, the values that are there already (`keyValue`, since MongoDB 4.2), whole.
    pub key_value: Option<RawDocumentBuf>,
    /// The server's whole reply, where this error stands alone.
    pub response: Option<RawDocumentBuf>,
}

/// One of several writes that the server refused. Its field `index` is the place of the write.
pub type IndexedWriteError = WriteError;

/// A write concern that the server could not satisfy. The write itself may have happened.
#[derive(Clone)]
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
    /// Which documents failed, and why; absent where none did.
    pub write_errors: Option<Vec<IndexedWriteError>>,
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

fn explanation(details: Option<&RawDocument>, pattern: Option<&RawDocument>, value: Option<&RawDocument>) -> String {
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

/// Judges the `ok` of a reply: nothing where it is 1, the command error where it is 0, and a broken rule otherwise.
pub(crate) fn command_error(reply: &RawDocument, stage: Stage) -> Option<Error> {
    // Nearly every reply has one of these.
    if let Ok(Some((0x01, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]) | (0x10, [1, 0, 0, 0]))) = find_field(reply, "ok") {
        return None;
    }
    let ok = match reply.get("ok") {
        Ok(Some(RawBsonRef::Double(ok))) => Some(ok),
        Ok(Some(RawBsonRef::Int32(ok))) => Some(f64::from(ok)),
        Ok(Some(RawBsonRef::Int64(ok))) => Some(ok as f64),
        Ok(Some(RawBsonRef::Boolean(ok))) => Some(f64::from(u8::from(ok))),
        Ok(Some(_)) => return Some(Error::invalid_reply(stage, "the server's reply has an `ok` that is no number")),
        Ok(None) => return Some(Error::invalid_reply(stage, "the server's reply has no `ok`")),
        Err(error) => {
            return Some(Error::invalid_reply(stage, "the server's reply is not valid BSON").with_source(error));
        }
    };
    match ok {
        Some(1.0) => None,
        Some(0.0) => Some(refusal(reply, stage)),
        _ => Some(Error::invalid_reply(stage, "the server's reply has an `ok` that is neither 0 nor 1")),
    }
}

fn refusal(reply: &RawDocument, stage: Stage) -> Error {
    let code = error_code(reply.get("code").ok().flatten());
    let code_name = text_lossy(reply, "codeName").unwrap_or_default();
    let message = text_lossy(reply, "errmsg").unwrap_or_default();
    let words = match (shown(&message).as_str(), code, shown(&code_name).as_str()) {
        ("", 0, "") => "the server refused without a reason".to_owned(),
        (words, 0, "") => words.to_owned(),
        (words, code, "") => format!("{words} (code {code})"),
        (words, code, name) => format!("{words} (code {code} {name})"),
    };
    let error = CommandError { code, code_name, message, response: reply.to_owned() };
    let words = words + &explanation(error.details(), error.key_pattern(), error.key_value());
    error_labels(reply).fold(Error::new(ErrorKind::Command(error), stage, words), Error::with_label)
}

/// The `errorLabels` of a reply, as many as we keep.
pub(crate) fn error_labels(reply: &RawDocument) -> impl Iterator<Item = String> {
    let labels = reply.get_array("errorLabels").ok();
    labels.into_iter().flatten().take(MAX_LABELS).filter_map(|label| label.ok()?.as_str().map(str::to_owned))
}

/// A stranger's words as an error shows them, bounded. What the error holds keeps them as they came.
pub(crate) fn shown(words: &str) -> String {
    words.chars().take(MAX_SHOWN).collect()
}

/// How much of the server's words an error shows; the longest that servers send are explanations of failed plans.
const MAX_SHOWN: usize = 4000;

/// How many error labels of a reply are kept; servers send fewer than five.
const MAX_LABELS: usize = 64;

/// The code of the first write error, else of the first write concern error.
pub(super) fn first_code<'a>(
    write_errors: &[WriteError],
    mut concern: impl Iterator<Item = &'a WriteConcernError>,
) -> Option<i32> {
    write_errors.first().map(|error| error.code).or_else(|| concern.next().map(|error| error.code))
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn ok_zero_is_the_servers_error_with_code_and_labels() {
        let reply = rawdoc! { "ok": 0.0, "errmsg": "no", "code": 18, "codeName": "AuthenticationFailed", "errorLabels": ["A", "B"] };
        let error = command_error(&reply, Stage::Command).unwrap();
        assert_eq!(error.to_string(), "command: no (code 18 AuthenticationFailed)");
        assert_eq!((error.code(), error.code_name()), (Some(18), Some("AuthenticationFailed")));
        assert!(error.contains_label("A") && error.contains_label("B"));
        assert_eq!(error.server_response(), Some(&*reply));
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        let error = command_error(&rawdoc! { "ok": 0, "errmsg": "a\u{1b}[2J\nb" }, Stage::Command).unwrap();
        assert_eq!(error.message(), "a [2J b");
        assert!(matches!(error.kind(), ErrorKind::Command(kept) if kept.message == "a\u{1b}[2J\nb"));
        let long = command_error(&rawdoc! { "ok": 0, "errmsg": "x".repeat(1 << 20) }, Stage::Command).unwrap();
        assert_eq!(long.message().len(), MAX_SHOWN);
    }

    #[test]
    fn ok_one_of_any_number_type_is_success() {
        for reply in [rawdoc! { "ok": 1 }, rawdoc! { "ok": 1.0 }, rawdoc! { "ok": 1_i64 }, rawdoc! { "ok": true }] {
            assert!(command_error(&reply, Stage::Command).is_none());
        }
    }

    #[test]
    fn a_reply_without_a_usable_ok_breaks_the_rules() {
        for reply in [rawdoc! {}, rawdoc! { "ok": "1" }, rawdoc! { "ok": 2 }, rawdoc! { "ok": f64::NAN }] {
            let error = command_error(&reply, Stage::Hello).unwrap();
            assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error}");
        }
    }
}
