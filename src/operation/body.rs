//! Putting options into the body of a command: what is unset is left out.

use std::time::Duration;

use bson::raw::{CStr, cstr};
use bson::{Bson, Document, RawArrayBuf, RawBson, RawDocumentBuf};
use serde::Serialize;

use crate::deadline::{whole_millis, whole_seconds};
use crate::error::{Error, FaultKind, Result, Stage};
use crate::options::{Collation, Hint, ReadConcern, WriteConcern};

/// Room for most bodies, so that they are not moved while they grow.
const ROOM: usize = 256;
/// A document without fields.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// The body of a command, while it is written.
pub(crate) struct Body(RawDocumentBuf);

impl Body {
    /// A body whose first key is the command's name.
    pub(crate) fn new(name: &CStr, value: impl Into<RawBson>) -> Self {
        let mut body = Body::empty();
        body.0.append(name, value.into());
        body
    }

    /// A document within a body.
    pub(crate) fn empty() -> Self {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.extend_from_slice(&EMPTY);
        Body(RawDocumentBuf::from_bytes(bytes).unwrap_or_default())
    }

    pub(crate) fn put(&mut self, key: &CStr, value: impl Into<RawBson>) {
        self.0.append(key, value.into());
    }

    pub(crate) fn flag(&mut self, key: &CStr, value: Option<bool>) {
        if let Some(value) = value {
            self.0.append(key, value);
        }
    }

    /// A small number: servers want 32 bits. What does not fit becomes the greatest, which they refuse.
    pub(crate) fn uint(&mut self, key: &CStr, value: Option<u32>) {
        if let Some(value) = value {
            self.0.append(key, i32::try_from(value).unwrap_or(i32::MAX));
        }
    }

    pub(crate) fn long(&mut self, key: &CStr, value: Option<u64>) {
        if let Some(value) = value {
            self.0.append(key, i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn text(&mut self, key: &CStr, value: Option<&String>) {
        if let Some(value) = value {
            self.0.append(key, value.as_str());
        }
    }

    pub(crate) fn document(&mut self, key: &CStr, value: Option<&Document>) -> Result<()> {
        if let Some(value) = value {
            self.0.append(key, raw(value)?);
        }
        Ok(())
    }

    /// A value whose form on the wire is that of its serialization.
    pub(crate) fn serialized(&mut self, key: &CStr, value: Option<&impl Serialize>) -> Result<()> {
        if let Some(value) = value {
            self.0.append(key, bson::serialize_to_raw_document_buf(value).map_err(not_bson)?);
        }
        Ok(())
    }

    pub(crate) fn documents(&mut self, key: &CStr, value: Option<&Vec<Document>>) -> Result<()> {
        if let Some(value) = value {
            self.0.append(key, raw_array(value)?);
        }
        Ok(())
    }

    pub(crate) fn any(&mut self, key: &CStr, value: Option<&Bson>) -> Result<()> {
        if let Some(value) = value {
            self.0.append(key, RawBson::try_from(value.clone()).map_err(not_bson)?);
        }
        Ok(())
    }

    pub(crate) fn hint(&mut self, value: Option<&Hint>) -> Result<()> {
        match value {
            None => Ok(()),
            Some(Hint::Keys(keys)) => self.document(cstr!("hint"), Some(keys)),
            Some(Hint::Name(name)) => {
                self.0.append(cstr!("hint"), name.as_str());
                Ok(())
            }
        }
    }

    pub(crate) fn collation(&mut self, value: Option<&Collation>) {
        if let Some(value) = value {
            self.0.append(cstr!("collation"), value.to_document());
        }
    }

    pub(crate) fn max_time(&mut self, value: Option<Duration>) {
        if let Some(value) = value {
            self.0.append(cstr!("maxTimeMS"), whole_millis(value));
        }
    }

    pub(crate) fn seconds(&mut self, key: &CStr, value: Option<Duration>) {
        if let Some(value) = value {
            self.0.append(key, whole_seconds(value));
        }
    }

    pub(crate) fn read_concern(&mut self, value: Option<&ReadConcern>) {
        if let Some(value) = value.filter(|concern| !concern.level.as_str().is_empty()) {
            self.0.append(cstr!("readConcern"), value.to_document());
        }
    }

    /// One that contradicts itself is refused here: unacknowledged, the server could not report it.
    pub(crate) fn write_concern(&mut self, value: Option<&WriteConcern>) -> Result<()> {
        if let Some(value) = value.filter(|concern| **concern != WriteConcern::default()) {
            value.check()?;
            self.0.append(cstr!("writeConcern"), value.to_document());
        }
        Ok(())
    }

    /// What has been written.
    pub(crate) fn finish(self) -> RawDocumentBuf {
        self.0
    }
}

/// The document as BSON.
pub(crate) fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(not_bson)
}

/// The documents as an array of BSON.
pub(crate) fn raw_array(documents: &[Document]) -> Result<RawArrayBuf> {
    let mut array = RawArrayBuf::new();
    for document in documents {
        array.push(raw(document)?);
    }
    Ok(array)
}

/// A value of the caller's that has no form in BSON.
pub(crate) fn not_bson(source: bson::error::Error) -> Error {
    Error::new(FaultKind::BsonSerialization, Stage::Encode, "a value cannot be turned into BSON").with_source(source)
}
