//! How deep and how large a document may be before code that recurses and allocates turns it into a value.

use bson::spec::ElementType;
use bson::{Bson, RawBsonRef, RawDocument};

use crate::error::{Error, FaultKind, Result, Stage};

/// How many levels are decoded: into a tree (`Document`, `Bson`), and into a type by serde, which takes more stack a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NestingLimits {
    pub(super) tree: usize,
    pub(super) typed: usize,
}

impl NestingLimits {
    /// What threads with 2 MiB of stack have room for.
    pub(crate) const DEFAULT: NestingLimits = NestingLimits { tree: MAX_NESTING, typed: MAX_TYPED_NESTING };

    /// No more levels than that, in neither.
    pub(crate) fn lowered(levels: u32) -> Self {
        let levels = usize::try_from(levels).unwrap_or(usize::MAX);
        NestingLimits { tree: MAX_NESTING.min(levels), typed: MAX_TYPED_NESTING.min(levels) }
    }
}

impl Default for NestingLimits {
    fn default() -> Self {
        NestingLimits::DEFAULT
    }
}

/// What a look at all levels of a document finds.
#[derive(Debug)]
pub(super) enum Extent {
    Within,
    /// It has more levels than that.
    TooDeep,
    /// It has so many elements that a tree of them would be too large.
    TooMany,
    Malformed(bson::error::Error),
}

/// Whether a value has no more levels than a tree may have. One that is not valid is found when it is decoded.
pub(crate) fn is_within(value: RawBsonRef<'_>, limits: NestingLimits) -> bool {
    let inner = match value {
        RawBsonRef::Document(inner) => Ok(inner),
        RawBsonRef::Array(inner) => RawDocument::from_bytes(inner.as_bytes()),
        RawBsonRef::JavaScriptCodeWithScope(code) => Ok(code.scope),
        _ => return true,
    };
    inner.map_or(true, |inner| !matches!(extent(inner, limits.tree), Extent::TooDeep | Extent::TooMany))
}

/// A short document can't have many levels, and one that a server can legally send can't have too many elements: neither is
/// walked.
pub(super) fn extent(document: &RawDocument, levels: usize) -> Extent {
    let length = document.as_bytes().len();
    let counted = length > LARGEST_DOCUMENT;
    if length <= levels.saturating_mul(MIN_LEVEL_BYTES) && !counted {
        return Extent::Within;
    }
    let mut elements_left = if counted { MAX_ELEMENTS } else { usize::MAX };
    walk(document, levels, &mut elements_left).err().unwrap_or(Extent::Within)
}

fn walk(document: &RawDocument, levels_left: usize, elements_left: &mut usize) -> Result<(), Extent> {
    let levels_left = levels_left.checked_sub(1).ok_or(Extent::TooDeep)?;
    for element in document.iter_elements() {
        let element = element.map_err(Extent::Malformed)?;
        *elements_left = elements_left.checked_sub(1).ok_or(Extent::TooMany)?;
        match element.element_type() {
            ElementType::EmbeddedDocument | ElementType::Array | ElementType::JavaScriptCodeWithScope => {}
            _ => continue,
        }
        match element.value().map_err(Extent::Malformed)? {
            RawBsonRef::Document(inner) => walk(inner, levels_left, elements_left)?,
            RawBsonRef::Array(inner) => {
                let inner = RawDocument::from_bytes(inner.as_bytes()).map_err(Extent::Malformed)?;
                walk(inner, levels_left, elements_left)?;
            }
            RawBsonRef::JavaScriptCodeWithScope(inner) => walk(inner.scope, levels_left, elements_left)?,
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn too_deep(levels: usize) -> Error {
    let message = format!("a document from the server is nested more than {levels} levels deep, which is not decoded");
    Error::new(FaultKind::BsonDeserialization, Stage::Decode, message).with_hint(
        "read it as RawDocumentBuf; max_document_nesting and the profile of the build set how many levels are decoded",
    )
}

pub(super) fn too_many() -> Error {
    let message = format!(
        "a document from the server has more than {MAX_ELEMENTS} values, more than fit into the largest that a server stores"
    );
    Error::invalid_reply(Stage::Decode, message)
}

pub(super) fn malformed(source: bson::error::Error) -> Error {
    Error::invalid_reply(Stage::Decode, "a document from the server is not valid BSON").with_source(source)
}

/// Servers store documents of up to 180 levels or so, and wrap them in a few more in a reply.
const MAX_NESTING: usize = 256;
/// As [`MAX_NESTING`]; but without optimisation `bson` takes 25 KiB of stack a level here, 29 KiB where a [`Track`] is followed, and a
/// thread has 2 MiB.
///
/// [`Track`]: super::tracked::Track
const MAX_TYPED_NESTING: usize = if cfg!(debug_assertions) { 64 } else { MAX_NESTING };
/// Type, the end of an empty key, length, end.
const MIN_LEVEL_BYTES: usize = 7;
/// The largest document that a server makes, a reply included: 16 MiB, and 16 KiB for what it wraps around a stored one.
const LARGEST_DOCUMENT: usize = 16 * 1024 * 1024 + 16 * 1024;
/// Type and the end of an empty key, of a value that has no bytes.
const MIN_ELEMENT_BYTES: usize = 2;
/// As many values as the largest document can have.
pub(super) const MAX_ELEMENTS: usize = LARGEST_DOCUMENT / MIN_ELEMENT_BYTES;
/// What a tree of that many values takes. The wire allows messages three times as large, which would take three times as much.
const MAX_TREE_BYTES: usize = MAX_ELEMENTS * size_of::<Bson>();
const _: () = assert!(MAX_TREE_BYTES < 1 << 30, "a reply becomes no more than a gibibyte");

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf};

    use super::*;
    use crate::document::check_nesting;
    use crate::error::ErrorKind;

    /// The smallest document of that many levels.
    fn nested(levels: usize, kind: u8) -> RawDocumentBuf {
        let mut bytes = vec![5, 0, 0, 0, 0];
        for _ in 1..levels {
            let mut outer = (bytes.len() as i32 + 7).to_le_bytes().to_vec();
            outer.extend_from_slice(&[kind, 0]);
            outer.extend_from_slice(&bytes);
            outer.push(0);
            bytes = outer;
        }
        RawDocumentBuf::from_bytes(bytes).unwrap()
    }

    #[test]
    fn a_document_within_the_bound_is_decoded_on_a_small_stack() {
        for kind in [3, 4] {
            let document = nested(MAX_NESTING, kind);
            check_nesting(&document, NestingLimits::DEFAULT).unwrap();
            Document::try_from(&*document).unwrap();
            let document = nested(MAX_TYPED_NESTING, kind);
            assert!(matches!(extent(&document, MAX_TYPED_NESTING), Extent::Within));
            bson::deserialize_from_slice::<Document>(document.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_deeper_one_is_refused() {
        for levels in [MAX_NESTING + 1, 5000] {
            let error = check_nesting(&nested(levels, 3), NestingLimits::DEFAULT).unwrap_err();
            assert!(error.message().contains("more than 256 levels"), "{error}");
            assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
        }
        let lowered = NestingLimits::lowered(7);
        check_nesting(&nested(7, 3), lowered).unwrap();
        assert!(check_nesting(&nested(8, 4), lowered).unwrap_err().message().contains("more than 7 levels"));
        assert_eq!(NestingLimits::lowered(100_000), NestingLimits::DEFAULT);
    }

    #[test]
    fn none_that_passes_unwalked_is_too_deep() {
        let document = nested(MAX_NESTING + 1, 3);
        assert!(document.as_bytes().len() > MAX_NESTING * MIN_LEVEL_BYTES);
    }

    /// A document of that many nulls with empty keys.
    fn nulls(many: usize) -> RawDocumentBuf {
        let mut bytes = (many as i32 * 2 + 5).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0x0a, 0].repeat(many));
        bytes.push(0);
        RawDocumentBuf::from_bytes(bytes).unwrap()
    }

    #[test]
    fn the_largest_document_has_room_and_more_is_refused() {
        let largest = nulls((LARGEST_DOCUMENT - 5) / 2);
        check_nesting(&largest, NestingLimits::DEFAULT).unwrap();
        let error = check_nesting(&nulls(MAX_ELEMENTS + 1), NestingLimits::DEFAULT).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
    }
}
