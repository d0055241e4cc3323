//! How deep documents may lie within each other before code recurses into them.

use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument};

use crate::error::Result;
use crate::wire::header::broken;

/// Refuses a document that is nested too deep to be turned into a tree (`Document::try_from`), which recurses.
///
/// A short document can't be that deep and passes without a walk.
pub(crate) fn check_nesting(document: &RawDocument) -> Result<()> {
    check(document, MAX_NESTING)
}

/// Refuses a document that is nested too deep to be decoded into a type by serde, which takes far more stack a level.
///
/// A short document can't be that deep and passes without a walk.
pub(crate) fn check_typed_nesting(document: &RawDocument) -> Result<()> {
    check(document, MAX_TYPED_NESTING)
}

fn check(document: &RawDocument, limit: usize) -> Result<()> {
    if document.as_bytes().len() <= limit * MIN_LEVEL_BYTES {
        return Ok(());
    }
    walk(document, limit, limit)
}

fn walk(document: &RawDocument, limit: usize, levels_left: usize) -> Result<()> {
    let Some(levels_left) = levels_left.checked_sub(1) else {
        return Err(broken(format!("a document from the server is nested more than {limit} levels deep")));
    };
    for element in document.iter_elements() {
        let element = element.map_err(invalid)?;
        match element.element_type() {
            ElementType::EmbeddedDocument | ElementType::Array | ElementType::JavaScriptCodeWithScope => {}
            _ => continue,
        }
        match element.value().map_err(invalid)? {
            RawBsonRef::Document(inner) => walk(inner, limit, levels_left)?,
            RawBsonRef::Array(inner) => walk(array_document(inner)?, limit, levels_left)?,
            RawBsonRef::JavaScriptCodeWithScope(inner) => walk(inner.scope, limit, levels_left)?,
            _ => {}
        }
    }
    Ok(())
}

/// An array's bytes are a document's.
fn array_document(array: &bson::RawArray) -> Result<&RawDocument> {
    RawDocument::from_bytes(array.as_bytes()).map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> crate::error::Error {
    broken(format!("a document from the server is not valid BSON: {error}"))
}

/// Servers store documents of up to 200 levels, and wrap them in a few more in a reply.
const MAX_NESTING: usize = 256;
/// As [`MAX_NESTING`]; but without optimisation `bson` takes 28 KiB of stack a level here, and a thread has 2 MiB.
const MAX_TYPED_NESTING: usize = if cfg!(debug_assertions) { 64 } else { MAX_NESTING };
/// Type, the end of an empty key, length, end.
const MIN_LEVEL_BYTES: usize = 7;

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf};

    use super::*;

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
            check_nesting(&document).unwrap();
            Document::try_from(&*document).unwrap();
            let document = nested(MAX_TYPED_NESTING, kind);
            check_typed_nesting(&document).unwrap();
            bson::deserialize_from_slice::<Document>(document.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_deeper_one_is_refused() {
        for levels in [MAX_NESTING + 1, 5000] {
            let error = check_nesting(&nested(levels, 3)).unwrap_err();
            assert!(error.message().contains("more than 256 levels"), "{error}");
            assert!(check_typed_nesting(&nested(levels, 4)).is_err());
        }
    }

    #[test]
    fn none_that_passes_unwalked_is_too_deep() {
        let document = nested(MAX_NESTING + 1, 3);
        assert!(document.as_bytes().len() > MAX_NESTING * MIN_LEVEL_BYTES);
    }
}
