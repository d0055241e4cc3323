//! The path of a field within a document: `parts[1].at`.

use bson::{RawBsonRef, RawDocument};

use crate::error::cut;

/// A step on the way to a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// The path as errors show it.
pub(super) fn join(path: &[Segment]) -> String {
    let mut joined = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if joined.is_empty() => joined = cut(key),
            Segment::Key(key) => joined = joined + "." + &cut(key),
            Segment::Index(index) => joined += &format!("[{index}]"),
        }
    }
    joined
}

/// As much of the path as the document has: serde also walks through what bson makes of its own types (`$oid`, `$date`).
pub(super) fn within<'a>(document: &RawDocument, path: &'a [Segment]) -> &'a [Segment] {
    let mut current = Some(RawBsonRef::Document(document));
    for (length, segment) in path.iter().enumerate() {
        let (container, key) = match (current, segment) {
            (Some(RawBsonRef::Document(inner)), Segment::Key(key)) => (Some(inner), key.clone()),
            // An array is a document with numbers for keys.
            (Some(RawBsonRef::Array(inner)), Segment::Index(index)) => {
                (RawDocument::from_bytes(inner.as_bytes()).ok(), index.to_string())
            }
            _ => return &path[..length],
        };
        let mut elements = container.into_iter().flat_map(RawDocument::iter_elements).map_while(Result::ok);
        let Some(element) = elements.find(|element| element.key().as_str() == key) else { return &path[..length] };
        current = element.value().ok();
    }
    path
}

/// A field that is not what its type says.
pub(super) struct Invalid {
    pub(super) path: Vec<Segment>,
    /// Whether it can be read with replacement characters, as strings can: field names and regular expressions cannot.
    pub(super) has_lossy_form: bool,
}

/// The first field whose value is not what its type says, as a path: a string that is not UTF-8, most likely.
pub(super) fn first_invalid(document: &RawDocument, levels_left: usize) -> Option<Invalid> {
    find_invalid(document, false, levels_left)
}

fn find_invalid(document: &RawDocument, is_array: bool, levels_left: usize) -> Option<Invalid> {
    let here = |has_lossy_form| Some(Invalid { path: Vec::new(), has_lossy_form });
    for (index, element) in document.iter_elements().enumerate() {
        let Ok(element) = element else { return here(false) };
        let deeper = match element.value() {
            Err(_) => here(true),
            Ok(_) if levels_left == 0 => None,
            Ok(RawBsonRef::Document(inner)) => find_invalid(inner, false, levels_left - 1),
            Ok(RawBsonRef::Array(inner)) => {
                let inner = RawDocument::from_bytes(inner.as_bytes());
                inner.map_or(here(true), |inner| find_invalid(inner, true, levels_left - 1))
            }
            Ok(RawBsonRef::JavaScriptCodeWithScope(code)) => find_invalid(code.scope, false, levels_left - 1),
            Ok(_) => None,
        };
        if let Some(mut invalid) = deeper {
            let own = if is_array { Segment::Index(index) } else { Segment::Key(element.key().as_str().to_owned()) };
            invalid.path.insert(0, own);
            return Some(invalid);
        }
    }
    None
}
