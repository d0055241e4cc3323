//! Documents that do not fit their type, and those that are not what BSON allows.

use std::collections::BTreeMap;

use bson::{Bson, RawDocument, RawDocumentBuf, Utf8Lossy, doc, rawdoc};
use serde::Deserialize;

use super::*;
use crate::error::Error;

/// A document whose regular expression (key `r`) and string (key `s`) are not valid UTF-8.
fn invalid(document: &bson::Document) -> RawDocumentBuf {
    let mut bytes = RawDocumentBuf::try_from(document).unwrap().into_bytes();
    let place = bytes.windows(3).position(|part| part == b"aXb").unwrap();
    bytes[place + 1] = 0xe9;
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

fn regex() -> Bson {
    Bson::RegularExpression(bson::Regex {
        pattern: bson::raw::cstr!("aXb").into(),
        options: bson::raw::cstr!("i").into(),
    })
}

fn refusal<T: serde::de::DeserializeOwned>(document: &RawDocument) -> Error {
    decode_owned::<T>(document, NestingLimits::DEFAULT).map(drop).unwrap_err()
}

#[derive(Debug, Deserialize)]
struct Nested {
    inner: Utf8Lossy<bson::Document>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Either {
    #[expect(dead_code, reason = "it is only read")]
    Lossy(BTreeMap<String, Utf8Lossy<Bson>>),
    #[expect(dead_code, reason = "it is only read")]
    Plain(i32),
}

/// Replacement characters are for strings: bson reads no regular expression that is not UTF-8.
#[test]
fn a_regular_expression_that_is_not_utf8_is_refused_everywhere() {
    let documents = [
        doc! { "inner": { "r": regex() } },
        doc! { "inner": { "list": [1, { "r": regex() }] } },
        doc! { "inner": { "code": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
            code: "x".to_owned(), scope: doc! { "r": regex() },
        }) } },
    ];
    for document in documents {
        let document = invalid(&document);
        for error in [
            refusal::<Nested>(&document),
            refusal::<Utf8Lossy<Nested>>(&document),
            refusal::<Utf8Lossy<bson::Document>>(&document),
            refusal::<BTreeMap<String, Utf8Lossy<Bson>>>(&document),
            refusal::<Either>(&document),
        ] {
            assert!(matches!(error.kind(), crate::error::ErrorKind::BsonDeserialization(_)), "{error:?}");
        }
        let error = refusal::<Nested>(&document);
        assert!(error.message().contains("not valid UTF-8"), "{error}");
    }
}

/// One kind and one hint, whether or not the document is so long that it is walked before it is decoded.
#[test]
fn a_field_name_or_regular_expression_that_is_not_utf8_is_one_kind_however_large() {
    for padding in [0, 2048] {
        let padding = "p".repeat(padding);
        for document in [doc! { "p": &padding, "in": { "aXb": 1 } }, doc! { "p": &padding, "in": { "r": regex() } }] {
            let document = invalid(&document);
            for error in [
                refusal::<bson::Document>(&document),
                refusal::<BTreeMap<String, Bson>>(&document),
                refusal::<Utf8Lossy<bson::Document>>(&document),
                check_nesting(&document, NestingLimits::lowered(3))
                    .err()
                    .unwrap_or_else(|| refusal::<bson::Document>(&document)),
            ] {
                assert!(matches!(error.kind(), crate::error::ErrorKind::BsonDeserialization(_)), "{error:?}");
                assert!(error.message().contains("in of a document is not valid UTF-8"), "{error}");
                let hint = error.hint().unwrap();
                assert!(hint.contains("RawDocumentBuf") && !hint.contains("Utf8Lossy"), "{hint}");
            }
        }
    }
}

#[test]
fn a_string_that_is_not_utf8_within_a_lossy_field() {
    let document = invalid(&doc! { "inner": { "s": "aXb" } });
    let read = decode_owned::<Nested>(&document, NestingLimits::DEFAULT).unwrap();
    assert_eq!(read.inner.0, doc! { "s": "a\u{fffd}b" });
}

#[derive(Debug, Deserialize)]
struct Car {
    #[serde(flatten)]
    #[expect(dead_code, reason = "it is only read")]
    engine: Engine,
    #[expect(dead_code, reason = "it is only read")]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Engine {
    #[expect(dead_code, reason = "it is only read")]
    power: i32,
    #[expect(dead_code, reason = "it is only read")]
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    #[expect(dead_code, reason = "it is only read")]
    at: i32,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Vehicle {
    Bike {
        #[expect(dead_code, reason = "it is only read")]
        gears: i32,
    },
    Truck(#[expect(dead_code, reason = "it is only read")] Engine),
}

/// serde reads such types from a copy of its own, so that no deserializer sees where a failure is.
#[test]
fn the_path_leads_through_flattened_fields_and_tagged_variants() {
    let engine = |power: Bson, at: Bson| doc! { "power": power, "parts": [{ "at": 1 }, { "at": at }], "name": "n" };
    let raw = |document: &bson::Document| RawDocumentBuf::try_from(document).unwrap();
    let path = |error: Error| error.path().unwrap_or_default().to_owned();
    assert_eq!(path(refusal::<Car>(&raw(&engine("x".into(), 1.into())))), "power");
    assert_eq!(path(refusal::<Car>(&raw(&engine(1.into(), "x".into())))), "parts[1].at");
    assert_eq!(path(refusal::<Car>(&raw(&doc! { "name": 1, "power": 1, "parts": [] }))), "name");
    assert_eq!(
        path(refusal::<BTreeMap<String, Car>>(&raw(&doc! { "one": engine(1.into(), "x".into()) }))),
        "one.parts[1].at"
    );
    assert_eq!(path(refusal::<Vehicle>(&raw(&doc! { "kind": "Bike", "gears": "x" }))), "gears");
    let mut truck = engine(1.into(), "x".into());
    truck.insert("kind", "Truck");
    assert_eq!(path(refusal::<Vehicle>(&raw(&truck))), "parts[1].at");
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is only read")]
enum Plain {
    Number(i32),
    Text(String),
}

/// What no single field is to blame for has no path.
#[test]
fn no_field_is_named_by_guess() {
    let error = refusal::<Vehicle>(&rawdoc! { "kind": "Train", "gears": 1 });
    assert_eq!(error.path(), Some("kind"), "{error}");
    let error = refusal::<Plain>(&rawdoc! { "a": 1, "b": { "c": "d" } });
    assert_eq!(error.path(), None, "{error}");
}

/// bson reads with replacement characters on another path than without, which trusts more.
#[test]
fn mutated_documents_never_panic() {
    let code = bson::JavaScriptCodeWithScope { code: "aXb".to_owned(), scope: doc! { "x": regex() } };
    let inner = doc! {
        "r": regex(), "s": "aXb", "code": Bson::JavaScriptCode("aXb".to_owned()), "symbol": Bson::Symbol("aXb".to_owned()),
        "scoped": Bson::JavaScriptCodeWithScope(code), "list": [regex(), "aXb"], "last": regex(),
    };
    let document = RawDocumentBuf::try_from(&doc! { "inner": inner, "s": "aXb" }).unwrap();
    for place in 4..document.as_bytes().len() - 1 {
        for byte in [0, 0x0b, 0xc3, 0xff] {
            for length in [1, 2] {
                let mut bytes = document.clone().into_bytes();
                let end = bytes.len() - 1;
                bytes[place..end.min(place + length)].fill(byte);
                let changed = RawDocumentBuf::from_bytes(bytes).unwrap();
                let _ = decode_owned::<Nested>(&changed, NestingLimits::DEFAULT);
                let _ = decode_owned::<Utf8Lossy<Bson>>(&changed, NestingLimits::DEFAULT);
                let _ = decode_owned::<BTreeMap<String, Utf8Lossy<Bson>>>(&changed, NestingLimits::DEFAULT);
                let _ = decode_owned::<Either>(&changed, NestingLimits::DEFAULT);
                let _ = bson::deserialize_from_slice::<Utf8Lossy<bson::Document>>(changed.as_bytes());
            }
        }
    }
}

/// bson shows these as maps and reads their fields one after the other. A field that is not wanted has to be passed over there, too.
#[test]
fn a_value_of_any_type_whose_fields_are_not_wanted_is_passed_over() {
    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "it is only read")]
        inner: Inner,
        #[expect(dead_code, reason = "it is only read")]
        number: i32,
    }
    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "it is only read")]
        wanted: Option<i32>,
    }
    let code = bson::JavaScriptCodeWithScope { code: "x".to_owned(), scope: doc! { "y": 1 } };
    let values = [
        Bson::Document(doc! { "other": [1, { "deeper": 2 }], "and": "more" }),
        regex(),
        Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }),
        Bson::DateTime(bson::DateTime::from_millis(3)),
        Bson::ObjectId(bson::oid::ObjectId::new()),
        Bson::Decimal128("1.5".parse().unwrap()),
        Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Md5, bytes: vec![1; 16] }),
        Bson::JavaScriptCode("x".to_owned()),
        Bson::JavaScriptCodeWithScope(code),
        Bson::Symbol("x".to_owned()),
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Undefined,
    ];
    for value in values {
        let document = RawDocumentBuf::try_from(&doc! { "inner": &value, "number": "x" }).unwrap();
        assert_eq!(refusal::<Outer>(&document).path(), Some("number"), "{value:?}");
    }
}
