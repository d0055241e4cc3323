//! A document as a value, and what is wrong where it does not fit.

use bson::error::ErrorKind as BsonErrorKind;
use bson::{Bson, Document, RawBsonRef, RawDeserializer, RawDocument};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::nesting::{Extent, NestingLimits, extent, malformed, too_deep, too_many};
use super::path::{Segment, first_invalid, join, within};
use super::probe;
use super::same_type::{is_document, same};
use super::tracked::{Exceeded, Fault, Track, Tracked};
use crate::error::{Error, FaultKind, Result, Stage, harmless_id};

/// The document as a value that borrows nothing.
///
/// A [`Document`] is taken over as it is. Through serde, `{ "$oid": ".." }` and its like would come out as what they mean in
/// Extended JSON, though the server stores them as documents.
pub(crate) fn decode_owned<T: DeserializeOwned>(document: &RawDocument, limits: NestingLimits) -> Result<T> {
    if is_document::<T>() {
        return same(decode_tree(document, limits)?).or_else(|_| decode(document, limits));
    }
    let failed = match decode_or_fault(document, limits) {
        Ok(value) => return Ok(value),
        Err(failed) => failed,
    };
    Err(failed.into_error(document, limits, |fault| {
        let words = fault.words.as_deref()?;
        probe::find(document, within(document, &fault.path), words, |changed| words_about::<T>(changed, limits))
    }))
}

/// The document as a tree.
pub(crate) fn decode_tree(document: &RawDocument, limits: NestingLimits) -> Result<Document> {
    check_nesting(document, limits)?;
    Document::try_from(document).map_err(|source| not_a_tree(document, source, limits))
}

/// Refuses a document that is nested too deep, or has too many elements, to be turned into a tree.
pub(crate) fn check_nesting(document: &RawDocument, limits: NestingLimits) -> Result<()> {
    match extent(document, limits.tree) {
        Extent::Within => Ok(()),
        Extent::TooDeep => Err(too_deep(limits.tree)),
        Extent::TooMany => Err(too_many()),
        // A name or a regular expression that is not UTF-8: as in a document that is too short to be walked.
        Extent::Malformed(source) if matches!(source.kind, BsonErrorKind::Utf8Encoding { .. }) => {
            Err(not_a_tree(document, source, limits))
        }
        Extent::Malformed(source) => Err(malformed(source)),
    }
}

/// A value within a document as a tree. The document has been checked.
pub(crate) fn decode_value(value: RawBsonRef<'_>, document: &RawDocument, limits: NestingLimits) -> Result<Bson> {
    Bson::try_from(value).map_err(|source| not_a_tree(document, source, limits))
}

/// The document as a value. How deep it is does not matter where the type does not go as deep.
///
/// Where serde reads a part of it from a copy of its own, the path in an error ends there: [`decode_owned`] looks further.
pub(crate) fn decode<'a, T: Deserialize<'a>>(document: &'a RawDocument, limits: NestingLimits) -> Result<T> {
    decode_or_fault(document, limits).map_err(|failed| failed.into_error(document, limits, |_| None))
}

/// Why a document was not decoded.
enum Failed {
    /// A bound was reached.
    Refused(Box<Error>),
    /// It does not fit.
    Misfit(Box<bson::error::Error>, Option<Fault>),
}

impl Failed {
    /// The error. `look_closer` may find a path that leads further than the one of the fault.
    fn into_error(
        self,
        document: &RawDocument,
        limits: NestingLimits,
        look_closer: impl FnOnce(&Fault) -> Option<Vec<Segment>>,
    ) -> Error {
        match self {
            Failed::Refused(error) => *error,
            Failed::Misfit(source, fault) => {
                let fault = fault.map(|fault| match look_closer(&fault).filter(|_| fault.missing.is_none()) {
                    Some(path) => Fault { path, ..fault },
                    None => fault,
                });
                explain(document, *source, fault, limits)
            }
        }
    }
}

fn decode_or_fault<'a, T: Deserialize<'a>>(document: &'a RawDocument, limits: NestingLimits) -> Result<T, Failed> {
    if let Extent::Within = extent(document, limits.typed) {
        let decoded = bson::deserialize_from_slice(document.as_bytes());
        return decoded.map_err(|source| Failed::Misfit(Box::new(source), fault::<T>(document, limits)));
    }
    let track = Track::new(limits.typed / TRACKED_SHARE, MOST_TRACKED_ELEMENTS);
    let decoded = RawDeserializer::new(document.as_bytes())
        .map_err(|source| Failed::Refused(Box::new(malformed(source))))
        .map(|inner| T::deserialize(Tracked { inner, track: &track }).inspect_err(|failure| track.note(failure)))?;
    decoded.map_err(|failure| match track.exceeded() {
        Some(Exceeded::Levels) => refused(document, too_deep(limits.typed / TRACKED_SHARE)),
        Some(Exceeded::Elements) => refused(document, too_many()),
        None => Failed::Misfit(Box::new(failure.inner), track.into_fault()),
    })
}

fn refused(document: &RawDocument, error: Error) -> Failed {
    Failed::Refused(Box::new(about(document, error)))
}

/// Decodes once more, to find out which field it is.
fn fault<'a, T: Deserialize<'a>>(document: &'a RawDocument, limits: NestingLimits) -> Option<Fault> {
    let track = Track::new(limits.typed / TRACKED_SHARE, MOST_TRACKED_ELEMENTS);
    let again = RawDeserializer::new(document.as_bytes())
        .map(|inner| T::deserialize(Tracked { inner, track: &track }).inspect_err(|failure| track.note(failure)));
    let found = matches!(again, Ok(Err(_))) && track.exceeded().is_none();
    drop(again);
    if found { track.into_fault() } else { None }
}

/// What is wrong with a document, in words; `None` if it fits.
fn words_about<T: DeserializeOwned>(document: &RawDocument, limits: NestingLimits) -> Option<String> {
    match decode_or_fault::<T>(document, limits) {
        Ok(_) => None,
        Err(Failed::Misfit(_, Some(fault))) => Some(fault.words.unwrap_or_default()),
        Err(_) => Some(String::new()),
    }
}

/// The error for a document that could not be turned into a tree because of `source`.
pub(crate) fn not_a_tree(document: &RawDocument, source: bson::error::Error, limits: NestingLimits) -> Error {
    explain(document, source, None, limits)
}

/// The error for a document that could not be decoded because of `source`.
fn explain(
    document: &RawDocument,
    mut source: bson::error::Error,
    fault: Option<Fault>,
    limits: NestingLimits,
) -> Error {
    let what = named(document);
    let error = match source.kind {
        BsonErrorKind::Utf8Encoding { .. } => {
            let invalid = first_invalid(document, limits.tree);
            let has_lossy_form = invalid.as_ref().is_none_or(|invalid| invalid.has_lossy_form);
            let path = invalid.map(|invalid| join(&invalid.path)).unwrap_or_default();
            let hint = if has_lossy_form {
                "bson::Utf8Lossy<T> as the type reads such strings with replacement characters; RawDocumentBuf leaves them as they are"
            } else {
                "a field's name or a regular expression in it is not UTF-8: RawDocumentBuf leaves them as they are"
            };
            let message = format!("{} is not valid UTF-8", field_of(&path, &what));
            with_path(Error::new(FaultKind::BsonDeserialization, Stage::Decode, message), path).with_hint(hint)
        }
        BsonErrorKind::MalformedBytes { .. } | BsonErrorKind::EndOfStream { .. } if is_malformed(document, limits) => {
            malformed(source.clone())
        }
        _ => {
            let path = fault.as_ref().map(|fault| path_of(document, fault)).unwrap_or_default();
            if let Some(words) = fault.and_then(|fault| fault.words) {
                source.message = Some(words);
            }
            let message = format!("{} does not fit the type that was asked for", field_of(&path, &what));
            with_path(Error::new(FaultKind::BsonDeserialization, Stage::Decode, message), path)
        }
    };
    about(document, error.with_source(source))
}

fn path_of(document: &RawDocument, fault: &Fault) -> String {
    let mut path = within(document, &fault.path).to_vec();
    if path.len() == fault.path.len() {
        path.extend(fault.missing.map(|field| Segment::Key(field.to_owned())));
    }
    join(&path)
}

fn with_path(error: Error, path: String) -> Error {
    if path.is_empty() { error } else { error.with_path(path) }
}

fn field_of(path: &str, what: &str) -> String {
    if path.is_empty() { what.to_owned() } else { format!("{path} of {what}") }
}

/// The document, as a message calls it.
fn named(document: &RawDocument) -> String {
    let id = document.get("_id").ok().flatten().and_then(harmless_id);
    id.map_or_else(|| "a document".to_owned(), |id| format!("the document with _id {id}"))
}

/// The error with the document's `_id`.
fn about(document: &RawDocument, error: Error) -> Error {
    match document.get("_id") {
        Ok(Some(id)) => error.with_document_id(id.into()),
        _ => error,
    }
}

/// Whether the bytes are at fault, not the type.
fn is_malformed(document: &RawDocument, limits: NestingLimits) -> bool {
    first_invalid(document, limits.tree).is_some()
}

/// Following a deserializer takes up to twice the stack for each level, so it goes down half as far.
const TRACKED_SHARE: usize = 2;
/// As many elements as the largest document has that a server sends; more are not decoded into a type.
const MOST_TRACKED_ELEMENTS: usize = super::nesting::MAX_ELEMENTS;
