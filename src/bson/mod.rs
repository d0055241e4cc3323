//! The crate `bson` 3, and the names of `bson` 2 that its users write.
//!
//! Everything of [bson 3](https://docs.rs/bson/3) is here under its own name. The names that only bson 2 has are deprecated aliases, and
//! the note of each says what bson 3 calls it. They let a program that was written for the official driver compile without changes, if it
//! reaches bson through `mongodb::bson`.
//!
//! Some inherent methods of bson 2 no longer exist, and an alias cannot bring them back: [`RawDocumentBuf::append`] takes a C string (the
//! macro [`cstr!`](crate::bson::raw::cstr) makes one), `DateTime::to_rfc3339_string` is
//! [`try_to_rfc3339_string`](DateTime::try_to_rfc3339_string), and the conversions to extended JSON need the feature `serde_json-1`.
//!
//! ```
//! use mongo_blocking::bson::{doc, serialize_to_document};
//!
//! #[derive(serde::Serialize)]
//! struct Book { title: &'static str }
//!
//! let document = serialize_to_document(&Book { title: "Emma" })?;
//! assert_eq!(document, doc! { "title": "Emma" });
//! # Ok::<(), mongo_blocking::bson::error::Error>(())
//! ```

use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use ::bson::*;

mod numbers;
pub mod serde_helpers;

pub use numbers::Numbers;
pub(crate) use numbers::whole_number;

/// A function of bson 2 that has another name in bson 3.
macro_rules! renamed {
    ($($note:literal $old:ident = $new:ident [$($generics:tt)*] ($argument:ident: $type:ty) -> $output:ty;)*) => {$(
        #[doc = concat!("The name in bson 2 of [`", stringify!($new), "`](::bson::", stringify!($new), ").")]
        ///
        /// # Errors
        ///
        /// As the function of bson 3.
        #[deprecated(note = $note)]
        pub fn $old<$($generics)*>($argument: $type) -> $output {
            ::bson::$new($argument)
        }
    )*};
}

renamed! {
    "bson 3 calls it `bson::serialize_to_bson`"
    to_bson = serialize_to_bson [T: Serialize + ?Sized] (value: &T) -> error::Result<Bson>;
    "bson 3 calls it `bson::serialize_to_document`"
    to_document = serialize_to_document [T: Serialize + ?Sized] (value: &T) -> error::Result<Document>;
    "bson 3 calls it `bson::serialize_to_vec`"
    to_vec = serialize_to_vec [T: Serialize] (value: &T) -> error::Result<Vec<u8>>;
    "bson 3 calls it `bson::serialize_to_raw_document_buf`"
    to_raw_document_buf = serialize_to_raw_document_buf [T: Serialize] (value: &T) -> error::Result<RawDocumentBuf>;
    "bson 3 calls it `bson::deserialize_from_bson`"
    from_bson = deserialize_from_bson [T: DeserializeOwned] (value: Bson) -> error::Result<T>;
    "bson 3 calls it `bson::deserialize_from_document`"
    from_document = deserialize_from_document [T: DeserializeOwned] (document: Document) -> error::Result<T>;
    "bson 3 calls it `bson::deserialize_from_reader`"
    from_reader = deserialize_from_reader [R: Read, T: DeserializeOwned] (reader: R) -> error::Result<T>;
    "bson 3 calls it `bson::deserialize_from_slice`"
    from_slice = deserialize_from_slice ['de, T: serde::Deserialize<'de>] (bytes: &'de [u8]) -> error::Result<T>;
}

/// The name in bson 2 of `bson::deserialize_from_slice` with [`Utf8Lossy`].
///
/// # Errors
///
/// As the function of bson 3.
#[deprecated(note = "bson 3 has `bson::deserialize_from_slice::<bson::Utf8Lossy<T>>`")]
pub fn from_slice_utf8_lossy<T: DeserializeOwned>(bytes: &[u8]) -> error::Result<T>
where
    Utf8Lossy<T>: DeserializeOwned,
{
    ::bson::deserialize_from_slice::<Utf8Lossy<T>>(bytes).map(|lossy| lossy.0)
}

/// The types that bson 2 has for errors, all of which are one type in bson 3.
macro_rules! one_error {
    () => {
        /// The one error type of bson 3.
        #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
        pub type Error = ::bson::error::Error;
        /// A result with the one error type of bson 3.
        #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
        pub type Result<T> = ::bson::error::Result<T>;
    };
}

/// Deserializing, with the names of bson 2 besides those of bson 3.
pub mod de {
    #[allow(deprecated, reason = "the old paths name the old functions")]
    pub use super::{from_bson, from_document, from_reader, from_slice, from_slice_utf8_lossy};
    pub use ::bson::de::*;

    one_error!();
}

/// Serializing, with the names of bson 2 besides those of bson 3.
pub mod ser {
    #[allow(deprecated, reason = "the old paths name the old functions")]
    pub use super::{to_bson, to_document, to_raw_document_buf, to_vec};
    pub use ::bson::ser::*;

    one_error!();
}

/// Documents, with the names of bson 2 besides those of bson 3.
pub mod document {
    pub use ::bson::document::*;

    /// The one error type of bson 3.
    #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
    pub type ValueAccessError = ::bson::error::Error;
    /// A result with the one error type of bson 3.
    #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
    pub type ValueAccessResult<T> = ::bson::error::Result<T>;
}

/// Raw documents, with the names of bson 2 besides those of bson 3.
pub mod raw {
    pub use ::bson::raw::*;

    one_error!();
    /// What a bson error is about.
    #[deprecated(note = "bson 3 calls it `bson::error::ErrorKind`")]
    pub type ErrorKind = ::bson::error::ErrorKind;
    /// The one error type of bson 3.
    #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
    pub type ValueAccessError = ::bson::error::Error;
    /// What is wrong with a value that was asked for.
    #[deprecated(note = "bson 3 calls it `bson::error::ValueAccessErrorKind`")]
    pub type ValueAccessErrorKind = ::bson::error::ValueAccessErrorKind;
    /// A result with the one error type of bson 3.
    #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
    pub type ValueAccessResult<T> = ::bson::error::Result<T>;
}

/// Object ids, with the names of bson 2 besides those of bson 3.
pub mod oid {
    pub use ::bson::oid::*;

    one_error!();
}

/// UUIDs, with the names of bson 2 besides those of bson 3.
pub mod uuid {
    pub use ::bson::uuid::*;

    one_error!();
}

/// Points in time, with the names of bson 2 besides those of bson 3.
pub mod datetime {
    pub use ::bson::datetime::*;

    one_error!();
}

/// Binary values, with the names of bson 2 besides those of bson 3.
pub mod binary {
    pub use ::bson::binary::*;

    one_error!();
}

/// Decimal numbers, with the names of bson 2 besides those of bson 3.
pub mod decimal128 {
    pub use ::bson::decimal128::*;

    /// The one error type of bson 3.
    #[deprecated(note = "bson 3 has one error type, `bson::error::Error`")]
    pub type ParseError = ::bson::error::Error;
}

/// Extended JSON. (The conversions themselves are methods and `TryFrom` of [`Bson`], with the feature `serde_json-1`.)
pub mod extjson {
    /// Reading extended JSON.
    pub mod de {
        one_error!();
    }
}

#[cfg(test)]
mod tests {
    #![allow(deprecated, reason = "the old names are what is tested")]

    use serde::{Deserialize, Serialize};

    use crate::bson::{self, Bson, DateTime, Timestamp, doc, oid::ObjectId};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        #[serde(with = "bson::serde_helpers::hex_string_as_object_id")]
        id: String,
        #[serde(with = "bson::serde_helpers::i64_as_bson_datetime")]
        millis: i64,
        #[serde(with = "bson::serde_helpers::bson_datetime_as_rfc3339_string")]
        written: DateTime,
        #[serde(with = "bson::serde_helpers::u32_as_timestamp")]
        seconds: u32,
        #[serde(serialize_with = "bson::serde_helpers::serialize_object_id_as_hex_string")]
        shown: ObjectId,
        #[serde(serialize_with = "bson::serde_helpers::serialize_u64_as_i32")]
        small: u64,
    }

    fn everything() -> Everything {
        Everything {
            id: "0123456789abcdef01234567".to_owned(),
            millis: 1_000,
            written: DateTime::from_millis(0),
            seconds: 7,
            shown: ObjectId::from_bytes([1; 12]),
            small: 3,
        }
    }

    #[test]
    fn the_old_functions_and_helpers_write_what_bson_2_wrote() {
        let document = bson::to_document(&everything()).unwrap();
        assert_eq!(
            document,
            doc! {
                "id": ObjectId::parse_str("0123456789abcdef01234567").unwrap(),
                "millis": DateTime::from_millis(1_000),
                "written": "1970-01-01T00:00:00Z",
                "seconds": Timestamp { time: 7, increment: 0 },
                "shown": "010101010101010101010101",
                "small": 3_i32,
            }
        );
        assert_eq!(bson::ser::to_bson(&everything()).unwrap(), Bson::Document(document.clone()));
        assert_eq!(bson::to_vec(&everything()).unwrap(), document.to_vec().unwrap());
        assert_eq!(bson::to_raw_document_buf(&everything()).unwrap().as_bytes(), document.to_vec().unwrap());
    }

    #[test]
    fn the_old_functions_read_what_they_wrote() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Book<'a> {
            title: &'a str,
        }
        let bytes = bson::to_vec(&Book { title: "Emma" }).unwrap();
        assert_eq!(bson::from_slice::<Book<'_>>(&bytes).unwrap(), Book { title: "Emma" });
        let book = doc! { "title": "Emma" };
        assert_eq!(bson::de::from_document::<bson::Document>(book.clone()).unwrap(), book);
        assert_eq!(bson::from_bson::<bson::Document>(Bson::Document(book.clone())).unwrap(), book);
        assert_eq!(bson::from_reader::<_, bson::Document>(bytes.as_slice()).unwrap(), book);
        assert_eq!(bson::from_slice_utf8_lossy::<bson::Document>(&bytes).unwrap(), book);
    }

    #[test]
    fn the_old_error_types_are_the_one_of_bson_3() {
        fn refused(text: &str) -> Result<ObjectId, bson::oid::Error> {
            ObjectId::parse_str(text)
        }
        let error: bson::de::Error = refused("short").unwrap_err();
        let _: bson::extjson::de::Error = error;
        let missing: bson::document::ValueAccessResult<&str> = Err(doc! {}.get_str("title").unwrap_err());
        assert!(missing.is_err());
    }
}
