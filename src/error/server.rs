//! What a server can answer instead of success.

use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::{Error, ErrorKind, Stage};
use crate::bson_ext::error_code;
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

/// Judges the `ok` of a reply: nothing where it is 1, the command error where it is 0, and a broken rule otherwise.
pub(crate) fn command_error(reply: &RawDocument, stage: Stage) -> Option<Error> {
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
    let code_name = reply.get_str("codeName").unwrap_or_default().to_owned();
    let message = reply.get_str("errmsg").unwrap_or_default().to_owned();
    let words = match (shown(&message).as_str(), code, shown(&code_name).as_str()) {
        ("", 0, "") => "the server refused without a reason".to_owned(),
        (words, 0, "") => words.to_owned(),
        (words, code, "") => format!("{words} (code {code})"),
        (words, code, name) => format!("{words} (code {code} {name})"),
    };
    let error = CommandError { code, code_name, message, response: reply.to_owned() };
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
            assert!(matches!(error.kind(), ErrorKind::InvalidReply), "{error}");
        }
    }
}
