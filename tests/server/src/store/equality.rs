//! Equality, the store's whole query language.

use bson::{Bson, Document};

use crate::answers::error;

/// True if every field of `filter` is there with an equal value (null also where there is none).
///
/// # Errors
/// An answer that refuses operators.
pub(super) fn matches(document: &Document, filter: &Document) -> Result<bool, Document> {
    let mut all = true;
    for (key, wanted) in filter {
        let operator = match wanted {
            Bson::Document(d) => d.keys().next().filter(|k| k.starts_with('$')),
            Bson::RegularExpression(_) => Some(key),
            _ => Some(key).filter(|k| k.starts_with('$')),
        };
        if let Some(operator) = operator {
            return Err(error(2, &format!("the tiny store matches by equality only, not by {operator}")));
        }
        all &= match document.get(key) {
            Some(found) => equal(found, wanted),
            None => *wanted == Bson::Null,
        };
    }
    Ok(all)
}

/// A value's bytes, the same for equal values; numbers are equal whatever their type.
pub(super) fn identity(value: &Bson) -> Vec<u8> {
    let whole = match value {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) if n.fract() == 0.0 && n.abs() < 9.0e15 => Some(*n as i64),
        _ => None,
    };
    let value = whole.map_or_else(|| value.clone(), Bson::Int64);
    let mut document = Document::new();
    document.insert("", value);
    document.to_vec().unwrap_or_default()
}

fn equal(one: &Bson, other: &Bson) -> bool {
    one == other || identity(one) == identity(other)
}
