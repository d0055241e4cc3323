//! Reading values of replies, whichever of BSON's number types the server chose.

use bson::spec::ElementType;
use bson::{RawBson, RawBsonRef, RawDocument};

pub(crate) use crate::bson::whole_number;

/// A string that a server wrote for people, under this key. MongoDB cuts long ones in the middle of a character, so what is not
/// UTF-8 is replaced; `None` where there is no string.
pub(crate) fn text_lossy(document: &RawDocument, key: &str) -> Option<String> {
    let element = document.iter_elements().map_while(Result::ok).find(|element| element.key().as_str() == key)?;
    match element.element_type() {
        ElementType::String => match element.value_utf8_lossy() {
            Ok(RawBson::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The type and the bytes of the field with this key, at the top level of a document; `None` where there is no such field.
///
/// It is faster than `RawDocument::get`, which validates every name and every value on its way. Each document that is inserted
/// is searched so for its `_id`.
///
/// # Errors
/// Where the document, up to that field, is not valid BSON. `RawDocument::get` then returns an error that names the reason.
pub(crate) fn find_field<'a>(document: &'a RawDocument, key: &str) -> Result<Option<(u8, &'a [u8])>, Malformed> {
    let mut rest = fields(document)?;
    while !rest.is_empty() {
        let (element_type, name, value) = next_field(&mut rest)?;
        if name == key.as_bytes() {
            return Ok(Some((element_type, value)));
        }
    }
    Ok(None)
}

/// Type, name and value of each field at the top level of a document, up to where it is not valid BSON.
pub(crate) fn plain_fields(document: &RawDocument) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    let mut rest = fields(document).unwrap_or_default();
    std::iter::from_fn(move || next_field(&mut rest).ok())
}

/// Whether a document is valid BSON at its top level, as far as it has fields of the types that nearly all replies have. `false`
/// leaves it open; going through `RawDocument::iter_elements` tells. `each` gets type, name and value of the fields.
pub(crate) fn is_plainly_valid(document: &RawDocument, mut each: impl FnMut(u8, &[u8], &[u8])) -> bool {
    let Ok(mut rest) = fields(document) else { return false };
    while !rest.is_empty() {
        let Ok((element_type, name, value)) = next_field(&mut rest) else { return false };
        let is_ended = || value.last() == Some(&0);
        let valid = match element_type {
            // Double, boolean, time, null, timestamp, whole numbers, object id.
            0x01 | 0x08 | 0x09 | 0x0a | 0x11 | 0x10 | 0x12 | 0x07 => true,
            // String: its length counts the byte at its end.
            0x02 => value.len() > 4 && is_ended(),
            // Document, array.
            0x03 | 0x04 => value.len() > 4 && is_ended(),
            _ => false,
        };
        if !valid || !name.is_ascii() {
            return false;
        }
        each(element_type, name, value);
    }
    true
}

/// The fields of a document, as bytes.
fn fields(document: &RawDocument) -> Result<&[u8], Malformed> {
    let bytes = document.as_bytes();
    bytes.get(4..bytes.len().saturating_sub(1)).ok_or(Malformed)
}

/// Type, name and value of the first field, which is taken off.
#[inline]
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8], &'a [u8]), Malformed> {
    let (element_type, named) = rest.split_first().ok_or(Malformed)?;
    let end = named.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
    let (name, value) = named.split_at(end);
    let value = value.get(1..).ok_or(Malformed)?;
    let length = value_length(*element_type, value).ok_or(Malformed)?;
    let (value, after) = value.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok((*element_type, name, value))
}

/// A document that is not valid BSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How long a value of this type is, whose bytes begin here; `None` where the type is unknown or the bytes are too few to tell.
#[inline]
fn value_length(element_type: u8, bytes: &[u8]) -> Option<usize> {
    let announced = || usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok();
    match element_type {
        // Undefined, null, the least and the greatest key.
        0x06 | 0x0a | 0xff | 0x7f => Some(0),
        // Boolean.
        0x08 => Some(1),
        // A whole number of 32 bits.
        0x10 => Some(4),
        // Double, time, timestamp, a whole number of 64 bits.
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        // Object id.
        0x07 => Some(12),
        // Decimal.
        0x13 => Some(16),
        // String, code, symbol.
        0x02 | 0x0d | 0x0e => announced()?.checked_add(4),
        // Binary.
        0x05 => announced()?.checked_add(5),
        // A reference to a document.
        0x0c => announced()?.checked_add(4 + 12),
        // Document, array, code with scope: their length counts itself.
        0x03 | 0x04 | 0x0f => announced(),
        // Regular expression: pattern and options.
        0x0b => {
            let pattern = bytes.iter().position(|byte| *byte == 0)? + 1;
            let options = bytes.get(pattern..)?.iter().position(|byte| *byte == 0)? + 1;
            Some(pattern + options)
        }
        _ => None,
    }
}

/// A value of one of the number types that replies have, from its bytes. `None`: it is of another type.
pub(crate) fn plain_number(element_type: u8, bytes: &[u8]) -> Option<RawBsonRef<'static>> {
    match (element_type, bytes.len()) {
        (0x01, 8) => Some(RawBsonRef::Double(f64::from_le_bytes(*bytes.first_chunk()?))),
        (0x10, 4) => Some(RawBsonRef::Int32(i32::from_le_bytes(*bytes.first_chunk()?))),
        (0x12, 8) => Some(RawBsonRef::Int64(i64::from_le_bytes(*bytes.first_chunk()?))),
        _ => None,
    }
}

/// A count or a size: a whole number that is not negative.
pub(crate) fn count(value: RawBsonRef<'_>) -> Option<u64> {
    whole_number(value).and_then(|number| u64::try_from(number).ok())
}

/// An error code: 0 where there is none, or none that fits.
pub(crate) fn error_code(value: Option<RawBsonRef<'_>>) -> i32 {
    value.and_then(whole_number).and_then(|code| i32::try_from(code).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};

    use super::*;

    /// A value of each type, each between two others.
    fn of_every_type() -> Document {
        let regex = bson::Regex { pattern: bson::raw::cstr!("a.b").into(), options: bson::raw::cstr!("im").into() };
        let binary = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 7] };
        let scoped = bson::JavaScriptCodeWithScope { code: "x".to_owned(), scope: doc! { "x": 1 } };
        doc! {
            "double": 1.5, "string": "text", "document": { "inner": 1 }, "array": [1, 2], "binary": binary,
            "undefined": Bson::Undefined, "id": ObjectId::from_bytes([1; 12]), "bool": true,
            "time": bson::DateTime::from_millis(7), "null": Bson::Null, "regex": regex,
            "code": Bson::JavaScriptCode("y".to_owned()), "symbol": Bson::Symbol("z".to_owned()), "scoped": scoped,
            "int": 3, "timestamp": bson::Timestamp { time: 1, increment: 2 }, "long": 4_i64,
            "decimal": bson::Decimal128::from_bytes([2; 16]), "least": Bson::MinKey, "greatest": Bson::MaxKey, "": "empty",
        }
    }

    #[test]
    fn a_field_of_any_type_is_found_behind_values_of_all_types() {
        let raw = RawDocumentBuf::try_from(&of_every_type()).unwrap();
        for element in raw.iter_elements() {
            let element = element.unwrap();
            let (element_type, value) = find_field(&raw, element.key().as_str()).unwrap().unwrap();
            assert_eq!(
                (element_type, value.len()),
                (element.element_type() as u8, element.size()),
                "{}",
                element.key()
            );
        }
        assert_eq!(find_field(&raw, "inner"), Ok(None));
        assert_eq!(find_field(&raw, "lon"), Ok(None));
        assert_eq!(find_field(&raw, "longer"), Ok(None));
    }

    /// Each byte of a reply changed in turn.
    #[test]
    fn what_is_plainly_valid_is_valid() {
        let reply = rawdoc! {
            "cursor": { "firstBatch": [{ "a": 1 }], "id": 0_i64, "ns": "a.b" }, "n": 1, "list": ["x"], "text": "two",
            "at": bson::DateTime::from_millis(7), "id": ObjectId::from_bytes([1; 12]), "nothing": bson::RawBson::Null, "ok": 1.0,
        };
        let valid = |document: &RawDocument| is_plainly_valid(document, |_, _, _| {});
        assert!(valid(&reply));
        assert!(!valid(&RawDocumentBuf::try_from(&of_every_type()).unwrap()));
        for place in 4..reply.as_bytes().len() - 1 {
            for byte in 0..=255 {
                let mut bytes = reply.clone().into_bytes();
                bytes[place] = byte;
                let changed = RawDocumentBuf::from_bytes(bytes).unwrap();
                if valid(&changed) {
                    assert!(changed.iter_elements().all(|element| element.is_ok()), "{place}: {byte}");
                }
            }
        }
    }

    #[test]
    fn a_document_that_is_cut_off_within_a_value_is_malformed() {
        let whole = RawDocumentBuf::try_from(&of_every_type()).unwrap().into_bytes();
        for length in 6..whole.len() {
            let mut bytes = whole[..length].to_vec();
            bytes[..4].copy_from_slice(&(length as i32).to_le_bytes());
            bytes[length - 1] = 0;
            let document = RawDocumentBuf::from_bytes(bytes).unwrap();
            let valid = document.iter_elements().all(|element| element.is_ok());
            let found = find_field(&document, "missing");
            assert!(found.is_err() || valid, "{length}: {found:?}");
            assert!(!is_plainly_valid(&document, |_, _, _| {}) || valid, "{length}");
        }
        let unknown = RawDocumentBuf::from_bytes(vec![8, 0, 0, 0, 0x55, b'a', 0, 0]).unwrap();
        assert_eq!(find_field(&unknown, "b"), Err(Malformed));
        let mut negative = rawdoc! { "a": "b", "c": 1 }.into_bytes();
        negative[7..11].copy_from_slice(&(-1_i32).to_le_bytes());
        assert_eq!(find_field(&RawDocumentBuf::from_bytes(negative).unwrap(), "c"), Err(Malformed));
    }

    #[test]
    fn whole_numbers_come_as_any_number_type() {
        for seven in [RawBsonRef::Int32(7), RawBsonRef::Int64(7), RawBsonRef::Double(7.0)] {
            assert_eq!((whole_number(seven), count(seven), error_code(Some(seven))), (Some(7), Some(7), 7));
        }
    }

    #[test]
    fn a_number_is_read_from_its_bytes() {
        for value in [Bson::Double(1.5), Bson::Int32(-7), Bson::Int64(1 << 40)] {
            let raw = RawDocumentBuf::try_from(&doc! { "a": value.clone() }).unwrap();
            let (element_type, bytes) = find_field(&raw, "a").unwrap().unwrap();
            assert_eq!(plain_number(element_type, bytes), raw.get("a").unwrap());
        }
        assert_eq!(plain_number(0x08, &[1]), None);
        assert_eq!(plain_number(0x10, &[1, 0, 0]), None);
    }

    #[test]
    fn a_text_that_was_cut_is_read_with_what_is_left_of_it() {
        let mut bytes = bson::rawdoc! { "before": "b", "errmsg": "aXY", "code": 7 }.into_bytes();
        let at = bytes.windows(3).position(|part| part == b"aXY").unwrap();
        bytes[at + 2] = 0xc3;
        let document = bson::RawDocumentBuf::from_bytes(bytes).unwrap();
        assert_eq!(text_lossy(&document, "errmsg").as_deref(), Some("aX\u{fffd}"));
        assert_eq!(text_lossy(&document, "before").as_deref(), Some("b"));
        assert_eq!((text_lossy(&document, "code"), text_lossy(&document, "none")), (None, None));
    }

    #[test]
    fn what_is_not_a_whole_number_is_not_rounded() {
        for value in [0.5, f64::NAN, f64::INFINITY, 9_007_199_254_740_992.0, -9_007_199_254_740_992.0] {
            assert_eq!(whole_number(RawBsonRef::Double(value)), None, "{value}");
        }
        assert_eq!(whole_number(RawBsonRef::String("7")), None);
        assert_eq!(count(RawBsonRef::Int32(-1)), None);
        assert_eq!((error_code(None), error_code(Some(RawBsonRef::Int64(1 << 40)))), (0, 0));
    }
}
