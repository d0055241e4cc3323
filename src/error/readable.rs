//! Documents as errors show them: on one line, in the notation of MongoDB's own messages, everything in bounds.

use std::fmt::{self, Write as _};

use bson::raw::RawElement;
use bson::spec::ElementType;
use bson::{RawBson, RawBsonRef, RawDocument};

/// A document that is shown by `Display` and `Debug` on one line. Long values are cut, and so is the whole.
pub(crate) struct Readable<'a>(pub(crate) &'a RawDocument);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        write_document(&mut line, self.0, false, MAX_LEVELS);
        f.write_str(&line)
    }
}

impl fmt::Debug for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value of a document: the first characters of a string that is longer, and no control characters.
pub(crate) fn cut(text: &str) -> String {
    let mut characters = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    let mut shown: String = characters.by_ref().take(MAX_VALUE).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// An `_id` that may be shown: an ObjectId or a number. Others may be a session's secret or a person's address.
pub(crate) fn harmless_id(id: RawBsonRef<'_>) -> Option<String> {
    Some(match id {
        RawBsonRef::ObjectId(id) => format!("ObjectId(\"{id}\")"),
        RawBsonRef::Int32(id) => id.to_string(),
        RawBsonRef::Int64(id) => id.to_string(),
        RawBsonRef::Double(id) => id.to_string(),
        RawBsonRef::Decimal128(id) => id.to_string(),
        _ => return None,
    })
}

fn write_document(line: &mut String, document: &RawDocument, is_array: bool, levels_left: usize) {
    let (open, close) = if is_array { ("[", "]") } else { ("{", "}") };
    line.push_str(open);
    let mut separator = " ";
    for element in document.iter_elements() {
        line.push_str(separator);
        separator = ", ";
        let Ok(element) = element else {
            line.push_str("(invalid BSON)");
            break;
        };
        if line.len() > MAX_LINE || levels_left == 0 {
            line.push('…');
            break;
        }
        if !is_array {
            let _ = write!(line, "{}: ", cut(element.key().as_str()));
        }
        write_value(line, &element, levels_left - 1);
    }
    if separator != " " {
        line.push(' ');
    }
    line.push_str(close);
}

fn write_value(line: &mut String, element: &RawElement<'_>, levels_left: usize) {
    let kind = element.element_type();
    let text = matches!(kind, ElementType::String | ElementType::Symbol | ElementType::JavaScriptCode);
    if text {
        // The server itself cuts texts in the middle of a character.
        let shown = match element.value_utf8_lossy() {
            Ok(RawBson::String(text) | RawBson::Symbol(text) | RawBson::JavaScriptCode(text)) => text,
            _ => String::new(),
        };
        if element.key().as_str() == FAILING_ID {
            line.push_str("(not shown)");
        } else {
            let _ = write!(line, "\"{}\"", cut(&shown));
        }
        return;
    }
    let _ = match element.value() {
        Ok(RawBsonRef::Document(inner)) => {
            write_document(line, inner, false, levels_left);
            Ok(())
        }
        Ok(RawBsonRef::Array(inner)) => {
            match RawDocument::from_bytes(inner.as_bytes()) {
                Ok(inner) => write_document(line, inner, true, levels_left),
                Err(_) => line.push_str("(invalid BSON)"),
            }
            Ok(())
        }
        Ok(RawBsonRef::Boolean(value)) => write!(line, "{value}"),
        Ok(RawBsonRef::Null) => write!(line, "null"),
        Ok(RawBsonRef::DateTime(value)) => write!(line, "Date({value})"),
        Ok(RawBsonRef::Timestamp(value)) => write!(line, "Timestamp({}, {})", value.time, value.increment),
        Ok(RawBsonRef::Binary(value)) => write!(line, "Binary({} bytes)", value.bytes.len()),
        Ok(value) => match harmless_id(value) {
            Some(shown) => write!(line, "{shown}"),
            None => write!(line, "{kind:?}"),
        },
        Err(_) => write!(line, "({kind:?}, invalid)"),
    };
}

/// The field of a failed validation that repeats the `_id`.
const FAILING_ID: &str = "failingDocumentId";
/// How many characters of a string or a key are shown: enough to recognise it.
const MAX_VALUE: usize = 100;
/// After how many bytes a line takes no further fields; the explanations of failed validations are about as long.
const MAX_LINE: usize = 2_000;
/// How deep it goes: explanations of failed validations nest about ten levels for each level of the document.
const MAX_LEVELS: usize = 40;

#[cfg(test)]
mod tests {
    use bson::{Binary, DateTime, oid::ObjectId, rawdoc, spec::BinarySubtype};

    use super::*;

    #[test]
    fn a_document_is_one_line_that_people_can_read() {
        let id = ObjectId::from_bytes([1; 12]);
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 300] };
        let document = rawdoc! {
            "s": "a\nb", "n": 1, "l": 2_i64, "d": 0.5, "id": id, "b": true, "z": null, "list": [1, { "x": "y" }],
            "bytes": bytes, "at": DateTime::from_millis(0), "empty": {},
        };
        assert_eq!(
            Readable(&document).to_string(),
            "{ s: \"a b\", n: 1, l: 2, d: 0.5, id: ObjectId(\"010101010101010101010101\"), b: true, z: null, \
             list: [ 1, { x: \"y\" } ], bytes: Binary(300 bytes), at: Date(1970-01-01 0:00:00.0 +00:00:00), empty: {} }"
        );
    }

    #[test]
    fn nothing_is_longer_than_its_bound() {
        let long = Readable(&rawdoc! { "s": "é".repeat(101) }).to_string();
        assert_eq!(long, format!("{{ s: \"{}…\" }}", "é".repeat(100)));
        let mut many = bson::RawDocumentBuf::new();
        for n in 0..10_000 {
            many.append(bson::raw::cstr!("k"), n);
        }
        let many = Readable(&many).to_string();
        assert!(many.len() < MAX_LINE + 500 && many.ends_with("… }"), "{}", many.len());
        let mut deep = rawdoc! { "end": 1 };
        for _ in 0..200 {
            deep = rawdoc! { "d": deep };
        }
        assert!(Readable(&deep).to_string().contains("d: { … }"), "{}", Readable(&deep));
    }

    #[test]
    fn the_id_of_a_failed_validation_is_shown_where_it_is_a_number() {
        assert_eq!(Readable(&rawdoc! { "failingDocumentId": 7 }).to_string(), "{ failingDocumentId: 7 }");
        let session = rawdoc! { "failingDocumentId": "session" };
        assert_eq!(Readable(&session).to_string(), "{ failingDocumentId: (not shown) }");
    }
}
