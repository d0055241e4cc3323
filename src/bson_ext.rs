//! Reading values of replies, whichever of BSON's number types the server chose.

use bson::spec::ElementType;
use bson::{RawBson, RawBsonRef, RawDocument};

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

/// Doubles below this hold every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number of any type: a double counts if it has no fraction and is small enough to be exact.
pub(crate) fn whole_number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(number as i64),
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
    use super::*;

    #[test]
    fn whole_numbers_come_as_any_number_type() {
        for seven in [RawBsonRef::Int32(7), RawBsonRef::Int64(7), RawBsonRef::Double(7.0)] {
            assert_eq!((whole_number(seven), count(seven), error_code(Some(seven))), (Some(7), Some(7), 7));
        }
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
        for value in [0.5, f64::NAN, f64::INFINITY, EXACT, -EXACT] {
            assert_eq!(whole_number(RawBsonRef::Double(value)), None, "{value}");
        }
        assert_eq!(whole_number(RawBsonRef::String("7")), None);
        assert_eq!(count(RawBsonRef::Int32(-1)), None);
        assert_eq!((error_code(None), error_code(Some(RawBsonRef::Int64(1 << 40)))), (0, 0));
    }
}
