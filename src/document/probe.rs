//! Which field does not fit where no deserializer sees it: serde reads a type with `#[serde(flatten)]` or `#[serde(tag)]` from a copy
//! of its own, so that a failure there seems to be the container's.
//!
//! The document is decoded again with one value after the other replaced. The value is to blame whose replacement makes the document
//! fit, or is refused in its stead.

use bson::{RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::path::Segment;

/// How many bytes are decoded again at most: a failure may come with each document of a large result.
const MAX_DECODED_AGAIN: usize = 1 << 20;
/// How deep values are looked for.
const MAX_LEVELS: usize = 16;

/// The path of the value to blame, below `container`. `words` say what is wrong with it; `outcome` is what is wrong with another
/// document, or `None` if it fits.
pub(super) fn find(
    document: &RawDocument,
    container: &[Segment],
    words: &str,
    outcome: impl Fn(&RawDocument) -> Option<String>,
) -> Option<Vec<Segment>> {
    let (found, expected) = words.rsplit_once(EXPECTED)?;
    let mut left = MAX_DECODED_AGAIN / document.as_bytes().len();
    let mut search = Search { container, found, path: Vec::new(), candidates: Vec::new() };
    search.within(document);
    search.candidates.into_iter().find(|path| {
        let is_tried = left > 0;
        left = left.saturating_sub(1);
        let Some(changed) = replaced(document, path).filter(|_| is_tried) else { return false };
        match outcome(&changed) {
            None => true,
            Some(now) => now != words && now.rsplit_once(EXPECTED).is_some_and(|(_, instead)| instead == expected),
        }
    })
}

/// Collects the values that may be the one.
struct Search<'a> {
    container: &'a [Segment],
    /// What was found there, in serde's words.
    found: &'a str,
    path: Vec<Segment>,
    candidates: Vec<Vec<Segment>>,
}

impl Search<'_> {
    fn within(&mut self, document: &RawDocument) {
        for (key, value) in document.iter().map_while(Result::ok) {
            self.value(Segment::Key(key.as_str().to_owned()), value);
        }
    }

    fn value(&mut self, segment: Segment, value: RawBsonRef<'_>) {
        let is_on_the_way = self.container.get(self.path.len()).is_none_or(|wanted| *wanted == segment);
        if !is_on_the_way || self.path.len() >= MAX_LEVELS {
            return;
        }
        self.path.push(segment);
        if self.path.len() > self.container.len() && fits_words(value, self.found) {
            self.candidates.push(self.path.clone());
        }
        match value {
            RawBsonRef::Document(inner) => self.within(inner),
            RawBsonRef::Array(inner) => {
                for (index, value) in inner.into_iter().map_while(Result::ok).enumerate() {
                    self.value(Segment::Index(index), value);
                }
            }
            _ => {}
        }
        self.path.pop();
    }
}

/// Whether serde may call this value so.
fn fits_words(value: RawBsonRef<'_>, found: &str) -> bool {
    let names = |kind: &str| found.contains(kind);
    match value {
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => names("a string") || names("unknown variant"),
        RawBsonRef::Int32(_) | RawBsonRef::Int64(_) => names("integer"),
        RawBsonRef::Double(_) => names("floating point"),
        RawBsonRef::Boolean(_) => names("boolean"),
        RawBsonRef::Array(_) => names("sequence"),
        RawBsonRef::Null | RawBsonRef::Undefined => names("unit") || names("null") || names("Option"),
        // Other types are maps, bytes or strings to serde.
        _ => !(names("integer") || names("floating point") || names("boolean") || names("sequence")),
    }
}

/// The document with another value at this path.
fn replaced(document: &RawDocument, path: &[Segment]) -> Option<RawDocumentBuf> {
    let (Segment::Key(wanted), rest) = path.split_first()? else { return None };
    let mut changed = RawDocumentBuf::new();
    for field in document {
        let (key, value) = field.ok()?;
        let value = if key.as_str() == wanted { replaced_value(value, rest)? } else { RawBson::from(value) };
        changed.append(key, value);
    }
    Some(changed)
}

fn replaced_value(value: RawBsonRef<'_>, path: &[Segment]) -> Option<RawBson> {
    Some(match (value, path.first()) {
        (RawBsonRef::Null, None) => RawBson::Boolean(true),
        (_, None) => RawBson::Null,
        (RawBsonRef::Document(inner), Some(_)) => RawBson::Document(replaced(inner, path)?),
        (RawBsonRef::Array(inner), Some(Segment::Index(wanted))) => {
            let mut changed = RawArrayBuf::new();
            for (index, value) in inner.into_iter().enumerate() {
                let (value, rest) = (value.ok()?, path.get(1..).unwrap_or_default());
                changed.push(if index == *wanted { replaced_value(value, rest)? } else { RawBson::from(value) });
            }
            RawBson::Array(changed)
        }
        _ => return None,
    })
}

const EXPECTED: &str = ", expected ";
