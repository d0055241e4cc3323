//! The errors that a reply to a write may carry although it has `ok: 1`.

use bson::spec::ElementType;
use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use serde::de::DeserializeOwned;

use crate::bson_ext::{self, text_lossy};
use crate::document::{NestingLimits, decode_owned};
use crate::error::{Error, ErrorKind, Result, Stage, WriteConcernError, WriteError, WriteFailure, error_labels};

/// The value of a reply's `writeConcernError`.
pub(crate) fn write_concern_error(value: RawBsonRef<'_>) -> Result<WriteConcernError> {
    let RawBsonRef::Document(error) = value else {
        return Err(Error::invalid_reply(Stage::Decode, "the reply's writeConcernError is not a document"));
    };
    Ok(WriteConcernError {
        code: bson_ext::error_code(error.get("code").map_err(malformed)?),
        code_name: text_lossy(error, "codeName").unwrap_or_default(),
        message: text_lossy(error, "errmsg").unwrap_or_default(),
        details: document(error, "errInfo")?,
        response: None,
    })
}

/// An error if the reply carries a `writeConcernError`: for commands that report nothing else.
pub(crate) fn check_write_concern(reply: &RawDocument) -> Result<()> {
    match reply.get("writeConcernError").map_err(malformed)? {
        None => Ok(()),
        Some(value) => {
            let mut error = write_concern_error(value)?;
            error.response = Some(reply.to_owned());
            let message = error.describe();
            let failure = Error::new(ErrorKind::Write(WriteFailure::WriteConcernError(error)), Stage::Command, message);
            Err(error_labels(reply).fold(failure, Error::with_label))
        }
    }
}

/// The value of a reply's `writeErrors`, of which there are no more than statements were sent.
pub(crate) fn write_errors(value: RawBsonRef<'_>, sent: usize) -> Result<Vec<WriteError>> {
    let RawBsonRef::Array(array) = value else {
        return Err(Error::invalid_reply(Stage::Decode, "the reply's writeErrors is not an array"));
    };
    let mut errors = Vec::new();
    for element in array {
        if errors.len() == sent {
            return Err(Error::invalid_reply(
                Stage::Decode,
                "the reply has more write errors than statements were sent",
            ));
        }
        let RawBsonRef::Document(error) = element.map_err(malformed)? else {
            return Err(Error::invalid_reply(Stage::Decode, "an entry of the reply's writeErrors is not a document"));
        };
        // Without its index an error cannot be assigned to a write.
        let index = error
            .get("index")
            .map_err(malformed)?
            .and_then(bson_ext::count)
            .and_then(|index| usize::try_from(index).ok())
            .ok_or_else(|| Error::invalid_reply(Stage::Decode, "a write error without an index"))?;
        errors.push(WriteError {
            index,
            code: bson_ext::error_code(error.get("code").map_err(malformed)?),
            code_name: text_lossy(error, "codeName"),
            message: text_lossy(error, "errmsg").unwrap_or_default(),
            details: document(error, "errInfo")?,
            key_pattern: document(error, "keyPattern")?,
            key_value: document(error, "keyValue")?,
            response: None,
        });
    }
    Ok(errors)
}

/// A reply as a value. Texts for people that were cut in the middle of a character are repaired, at the places where servers have
/// them; data that is not UTF-8 is an error.
pub(crate) fn decode_reply<T: DeserializeOwned>(reply: &RawDocument, limits: NestingLimits) -> Result<T> {
    let error = match decode_owned(reply, limits) {
        Ok(value) => return Ok(value),
        Err(error) if matches!(error.kind(), ErrorKind::BsonDeserialization(_)) => error,
        Err(error) => return Err(error),
    };
    match repaired(reply, &TEXTS_OF_REPLIES) {
        Some(repaired) => decode_owned(&repaired, limits),
        None => Err(error),
    }
}

/// A copy with replacement characters in the strings under these keys, and in those of the errors in it.
fn repaired(document: &RawDocument, keys: &[&str]) -> Option<RawDocumentBuf> {
    let mut copy = RawDocumentBuf::new();
    for element in document.iter_elements() {
        let element = element.ok()?;
        let key = element.key();
        let value: RawBson = match (key.as_str(), element.value()) {
            (name, Err(_)) if keys.contains(&name) && element.element_type() == ElementType::String => {
                element.value_utf8_lossy().ok()?
            }
            ("writeConcernError", Ok(RawBsonRef::Document(error))) => repaired(error, &TEXTS_OF_ERRORS)?.into(),
            ("writeErrors" | "writeConcernErrors", Ok(RawBsonRef::Array(errors))) => {
                let mut copies = RawArrayBuf::new();
                for error in errors {
                    match error.ok()? {
                        RawBsonRef::Document(error) => copies.push(repaired(error, &TEXTS_OF_ERRORS)?),
                        other => copies.push(other),
                    }
                }
                copies.into()
            }
            (_, value) => value.ok()?.into(),
        };
        copy.append(key, value);
    }
    Some(copy)
}

/// What a server writes for people: in a reply, and in an error within a reply.
const TEXTS_OF_REPLIES: [&str; 4] = ["errmsg", "codeName", "note", "warning"];
const TEXTS_OF_ERRORS: [&str; 2] = ["errmsg", "codeName"];

/// The reply is not valid BSON.
pub(crate) fn malformed(source: bson::error::Error) -> Error {
    Error::invalid_reply(Stage::Decode, "the reply is not valid BSON").with_source(source)
}

/// An embedded document; what is not one counts as absent.
fn document(outer: &RawDocument, key: &str) -> Result<Option<RawDocumentBuf>> {
    Ok(match outer.get(key).map_err(malformed)? {
        Some(RawBsonRef::Document(inner)) => Some(inner.to_owned()),
        _ => None,
    })
}
