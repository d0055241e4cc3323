//! The body of a command, and putting options into it: what is unset is left out.

use std::ops::Deref;
use std::time::Duration;

use bson::raw::{BindRawBsonRef, CStr, cstr};
use bson::spec::ElementType;
use bson::{Bson, Document, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use serde::Serialize;

use crate::error::{Error, FaultKind, Result, Stage};
use crate::options::{Collation, Hint, ReadConcern, WriteConcern};
use crate::serde_util::{whole_millis, whole_seconds};

/// Room for most bodies, so that they are not moved while they grow.
const ROOM: usize = 256;
/// A document without fields.
const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

/// A document that is written field by field: the body of a command, or a document within one. It is whole after each field.
///
/// `RawDocumentBuf` can be written so, too, but takes three times as long, and every command has several fields.
pub(crate) struct Body(Vec<u8>);

impl Body {
    /// A body whose first key is the command's name.
    pub(crate) fn new(name: &CStr, value: impl BindRawBsonRef) -> Self {
        let mut body = Body::empty();
        body.append(name, value);
        body
    }

    /// Without any field.
    pub(crate) fn empty() -> Self {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.extend_from_slice(&EMPTY);
        Body(bytes)
    }

    /// Adds a field.
    pub(crate) fn append(&mut self, key: &CStr, value: impl BindRawBsonRef) {
        value.bind(|value| match value {
            RawBsonRef::Int32(number) => self.field(ElementType::Int32, key, [&number.to_le_bytes(), &[], &[]]),
            RawBsonRef::Int64(number) => self.field(ElementType::Int64, key, [&number.to_le_bytes(), &[], &[]]),
            RawBsonRef::Boolean(truth) => self.field(ElementType::Boolean, key, [&[u8::from(truth)], &[], &[]]),
            RawBsonRef::Document(inner) => self.field(ElementType::EmbeddedDocument, key, [inner.as_bytes(), &[], &[]]),
            RawBsonRef::Array(inner) => self.field(ElementType::Array, key, [inner.as_bytes(), &[], &[]]),
            RawBsonRef::String(text) => {
                // Its length counts the byte at its end. One that does not fit is longer than any message.
                let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
                self.field(ElementType::String, key, [&length.to_le_bytes(), text.as_bytes(), &[0]]);
            }
            other => {
                let mut alone = RawDocumentBuf::new();
                alone.append(key, other);
                let bytes = alone.as_bytes();
                self.append_fields(bytes.get(4..bytes.len() - 1).unwrap_or_default());
            }
        });
    }

    /// Adds fields that are BSON already: type, key and value of each.
    #[inline]
    pub(crate) fn append_fields(&mut self, fields: &[u8]) {
        self.0.pop();
        self.0.extend_from_slice(fields);
        self.end();
    }

    /// Takes out a field, if it is there.
    pub(crate) fn remove(&mut self, key: &str) -> Result<()> {
        if matches!(self.get(key), Ok(None)) {
            return Ok(());
        }
        let mut kept = Body::empty();
        for field in self.iter() {
            let (name, value) = field.map_err(not_bson)?;
            if name.as_str() != key {
                kept.append(name, value);
            }
        }
        *self = kept;
        Ok(())
    }

    /// Takes out the limits that `timeoutMS` overrides: `maxTimeMS`, and the one of the write concern.
    pub(crate) fn remove_overridden_limits(&mut self) -> Result<()> {
        self.remove("maxTimeMS")?;
        let Ok(concern) = self.get_document("writeConcern") else { return Ok(()) };
        if matches!(concern.get("wtimeout"), Ok(None)) {
            return Ok(());
        }
        let mut concern = Body::from(concern);
        concern.remove("wtimeout")?;
        self.remove("writeConcern")?;
        if !concern.is_empty() {
            self.append(cstr!("writeConcern"), &*concern);
        }
        Ok(())
    }

    /// Adds a field whose value has these bytes.
    fn field(&mut self, element_type: ElementType, key: &CStr, value: [&[u8]; 3]) {
        self.0.pop();
        self.0.push(element_type as u8);
        self.0.extend_from_slice(key.as_str().as_bytes());
        self.0.push(0);
        value.iter().for_each(|part| self.0.extend_from_slice(part));
        self.end();
    }

    /// Ends the document after its last field.
    #[inline]
    fn end(&mut self) {
        self.0.push(0);
        let length = i32::try_from(self.0.len()).unwrap_or(i32::MAX);
        if let Some(announced) = self.0.first_chunk_mut::<4>() {
            *announced = length.to_le_bytes();
        }
    }

    pub(crate) fn flag(&mut self, key: &CStr, value: Option<bool>) {
        if let Some(value) = value {
            self.append(key, value);
        }
    }

    /// A small number: servers want 32 bits. What does not fit becomes the greatest, which they refuse.
    pub(crate) fn uint(&mut self, key: &CStr, value: Option<u32>) {
        if let Some(value) = value {
            self.append(key, i32::try_from(value).unwrap_or(i32::MAX));
        }
    }

    pub(crate) fn long(&mut self, key: &CStr, value: Option<u64>) {
        if let Some(value) = value {
            self.append(key, i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn text(&mut self, key: &CStr, value: Option<&String>) {
        if let Some(value) = value {
            self.append(key, value.as_str());
        }
    }

    pub(crate) fn document(&mut self, key: &CStr, value: Option<&Document>) -> Result<()> {
        if let Some(value) = value {
            self.append(key, raw(value)?);
        }
        Ok(())
    }

    /// A value whose form on the wire is that of its serialization.
    pub(crate) fn serialized(&mut self, key: &CStr, value: Option<&impl Serialize>) -> Result<()> {
        if let Some(value) = value {
            self.append(key, bson::serialize_to_raw_document_buf(value).map_err(not_bson)?);
        }
        Ok(())
    }

    pub(crate) fn documents(&mut self, key: &CStr, value: Option<&Vec<Document>>) -> Result<()> {
        if let Some(value) = value {
            self.append(key, raw_array(value)?);
        }
        Ok(())
    }

    pub(crate) fn any(&mut self, key: &CStr, value: Option<&Bson>) -> Result<()> {
        if let Some(value) = value {
            self.append(key, RawBson::try_from(value.clone()).map_err(not_bson)?);
        }
        Ok(())
    }

    pub(crate) fn hint(&mut self, value: Option<&Hint>) -> Result<()> {
        match value {
            None => Ok(()),
            Some(Hint::Keys(keys)) => self.document(cstr!("hint"), Some(keys)),
            Some(Hint::Name(name)) => {
                self.append(cstr!("hint"), name.as_str());
                Ok(())
            }
        }
    }

    pub(crate) fn collation(&mut self, value: Option<&Collation>) {
        if let Some(value) = value {
            self.append(cstr!("collation"), value.to_document());
        }
    }

    pub(crate) fn max_time(&mut self, value: Option<Duration>) {
        if let Some(value) = value {
            self.append(cstr!("maxTimeMS"), whole_millis(value));
        }
    }

    pub(crate) fn seconds(&mut self, key: &CStr, value: Option<Duration>) {
        if let Some(value) = value {
            self.append(key, whole_seconds(value));
        }
    }

    pub(crate) fn read_concern(&mut self, value: Option<&ReadConcern>) {
        if let Some(value) = value.filter(|concern| !concern.level.as_str().is_empty()) {
            self.append(cstr!("readConcern"), value.to_document());
        }
    }

    /// One that contradicts itself is refused here: unacknowledged, the server could not report it.
    pub(crate) fn write_concern(&mut self, value: Option<&WriteConcern>) -> Result<()> {
        if let Some(value) = value.filter(|concern| **concern != WriteConcern::default()) {
            value.check()?;
            self.append(cstr!("writeConcern"), value.to_document());
        }
        Ok(())
    }

    /// What has been written, as a document of its own.
    pub(crate) fn finish(self) -> RawDocumentBuf {
        RawDocumentBuf::from_bytes(self.0).expect("it is whole after each field")
    }
}

impl Deref for Body {
    type Target = RawDocument;

    fn deref(&self) -> &RawDocument {
        RawDocument::from_bytes(&self.0).expect("it is whole after each field")
    }
}

impl From<RawDocumentBuf> for Body {
    fn from(document: RawDocumentBuf) -> Self {
        Body(document.into_bytes())
    }
}

impl From<&RawDocument> for Body {
    fn from(document: &RawDocument) -> Self {
        let bytes = document.as_bytes();
        // With room for what is added when it is sent.
        let mut body = Vec::with_capacity(bytes.len() + ROOM);
        body.extend_from_slice(bytes);
        Body(body)
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
