//! The errors that a reply to a write may carry although it has `ok: 1`.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::bson_ext;
use crate::error::{Error, ErrorKind, Result, Stage, WriteConcernError, WriteError, error_labels, shown};

/// The value of a reply's `writeConcernError`.
pub(crate) fn write_concern_error(value: RawBsonRef<'_>) -> Result<WriteConcernError> {
    let RawBsonRef::Document(error) = value else {
        return Err(Error::invalid_reply(Stage::Decode, "the reply's writeConcernError is not a document"));
    };
    Ok(WriteConcernError {
        code: bson_ext::error_code(error.get("code").map_err(malformed)?),
        code_name: text(error, "codeName")?.unwrap_or_default(),
        message: text(error, "errmsg")?.unwrap_or_default(),
        details: details(error)?,
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
            let message = describe_concern_error(&error);
            let failure = Error::new(ErrorKind::WriteConcern(error), Stage::Command, message);
            Err(error_labels(reply).fold(failure, Error::with_label))
        }
    }
}

/// A write concern error as a message.
pub(crate) fn describe_concern_error(error: &WriteConcernError) -> String {
    format!("write concern error {} {}: {}", error.code, shown(&error.code_name), shown(&error.message))
}

/// The value of a reply's `writeErrors`.
pub(crate) fn write_errors(value: RawBsonRef<'_>) -> Result<Vec<WriteError>> {
    let RawBsonRef::Array(array) = value else {
        return Err(Error::invalid_reply(Stage::Decode, "the reply's writeErrors is not an array"));
    };
    let mut errors = Vec::new();
    for element in array {
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
            code_name: text(error, "codeName")?,
            message: text(error, "errmsg")?.unwrap_or_default(),
            details: details(error)?,
            response: None,
        });
    }
    Ok(errors)
}

/// The reply is not valid BSON.
pub(crate) fn malformed(source: bson::error::Error) -> Error {
    Error::invalid_reply(Stage::Decode, "the reply is not valid BSON").with_source(source)
}

fn text(document: &RawDocument, key: &str) -> Result<Option<String>> {
    Ok(match document.get(key).map_err(malformed)? {
        Some(RawBsonRef::String(text)) => Some(text.to_owned()),
        _ => None,
    })
}

fn details(document: &RawDocument) -> Result<Option<RawDocumentBuf>> {
    Ok(match document.get("errInfo").map_err(malformed)? {
        Some(RawBsonRef::Document(details)) => Some(details.to_owned()),
        _ => None,
    })
}
