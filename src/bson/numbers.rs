//! Numbers of documents, whatever type the server chose for them.

use super::{Bson, Document, RawBsonRef, RawDocument};

/// Reads numbers of a document whatever their type is: the server counts as `int`, `long` or `double`, as it likes.
///
/// ```
/// use mongo_blocking::bson::{Numbers, doc};
///
/// let stats = doc! { "objects": 3.0, "dataSize": 120_i64, "avgObjSize": 40 };
/// assert_eq!(stats.whole_number("objects"), Some(3));
/// assert_eq!(stats.number("avgObjSize"), Some(40.0));
/// assert_eq!(stats.number("name"), None);
/// ```
pub trait Numbers {
    /// A whole number. `None` where the field is missing, no number, not whole, or beyond the range of the type.
    fn whole_number(&self, key: &str) -> Option<i64>;

    /// A number. `None` where the field is missing or no number. A `long` beyond 2⁵³ is rounded.
    fn number(&self, key: &str) -> Option<f64>;
}

impl Numbers for Document {
    fn whole_number(&self, key: &str) -> Option<i64> {
        whole_number(numeric(self, key)?)
    }

    fn number(&self, key: &str) -> Option<f64> {
        as_f64(numeric(self, key)?)
    }
}

impl Numbers for RawDocument {
    fn whole_number(&self, key: &str) -> Option<i64> {
        whole_number(self.get(key).ok()??)
    }

    fn number(&self, key: &str) -> Option<f64> {
        as_f64(self.get(key).ok()??)
    }
}

fn numeric(document: &Document, key: &str) -> Option<RawBsonRef<'static>> {
    Some(match document.get(key)? {
        Bson::Int32(number) => RawBsonRef::Int32(*number),
        Bson::Int64(number) => RawBsonRef::Int64(*number),
        Bson::Double(number) => RawBsonRef::Double(*number),
        _ => return None,
    })
}

fn as_f64(value: RawBsonRef<'_>) -> Option<f64> {
    Some(match value {
        RawBsonRef::Int32(number) => number.into(),
        RawBsonRef::Int64(number) => number as f64,
        RawBsonRef::Double(number) => number,
        _ => return None,
    })
}

/// A whole number of any type: a double counts if it has no fraction and is small enough to be exact.
pub(crate) fn whole_number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(number as i64),
        _ => None,
    }
}

/// Doubles below this hold every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;
