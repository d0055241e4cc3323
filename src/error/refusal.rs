//! A server's reply that is an error.

use std::time::Duration;

use bson::{RawBsonRef, RawDocument};

use super::server::{CommandError, explanation, shown};
use super::{Error, ErrorKind, Stage};
use crate::bson_ext::{count, error_code, text_lossy};

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
    let code_name = text_lossy(reply, "codeName").unwrap_or_default();
    let message = text_lossy(reply, "errmsg").unwrap_or_default();
    let words = match (shown(&message).as_str(), code, shown(&code_name).as_str()) {
        ("", 0, "") => "the server refused without a reason".to_owned(),
        (words, 0, "") => words.to_owned(),
        (words, code, "") => format!("{words} (code {code})"),
        (words, code, name) => format!("{words} (code {code} {name})"),
    };
    let base_backoff = reply.get("baseBackoffMS").ok().flatten().and_then(count).map(Duration::from_millis);
    let error = CommandError { code, code_name, message, base_backoff, response: reply.to_owned() };
    let words = words + &explanation(error.details(), error.key_pattern(), error.key_value());
    error_labels(reply).fold(Error::new(ErrorKind::Command(error), stage, words), Error::with_label)
}

/// The `errorLabels` of a reply, as many as we keep.
pub(crate) fn error_labels(reply: &RawDocument) -> impl Iterator<Item = String> {
    let labels = reply.get_array("errorLabels").ok();
    labels.into_iter().flatten().take(MAX_LABELS).filter_map(|label| label.ok()?.as_str().map(str::to_owned))
}

/// How many error labels of a reply are kept; servers send fewer than five.
const MAX_LABELS: usize = 64;

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::error::server::MAX_SHOWN;

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

    #[test]
    fn the_pause_that_an_overloaded_server_asks_for_is_read_and_written_in_milliseconds() {
        let written = bson::doc! { "code": 462, "codeName": "x", "errmsg": "y", "baseBackoffMS": 250 };
        let error: CommandError = bson::deserialize_from_document(written.clone()).unwrap();
        assert_eq!(error.base_backoff, Some(Duration::from_millis(250)));
        assert_eq!(bson::serialize_to_document(&error).unwrap(), written);
        let error: CommandError = bson::deserialize_from_document(bson::doc! { "code": 1 }).unwrap();
        assert!(!bson::serialize_to_document(&error).unwrap().contains_key("baseBackoffMS"));
    }
}
