//! The helpers of bson 2 under their old names, besides those of bson 3.

use bson::oid::ObjectId;
use serde::{Deserializer, Serialize, Serializer, ser};

pub use bson::serde_helpers::*;

/// Modules of bson 2 that are types in bson 3. `#[serde(with = "...")]` takes either.
macro_rules! renamed {
    ($($note:literal $(#[$feature:meta])? $old:ident = $new:ident :: $converter:ident;)*) => {$(
        $(#[$feature])?
        #[doc = concat!("The name in bson 2 of `bson::serde_helpers::", stringify!($new), "::", stringify!($converter), "`.")]
        #[deprecated(note = $note)]
        #[allow(non_camel_case_types, reason = "it was a module")]
        pub type $old = bson::serde_helpers::$new::$converter;
    )*};
}

renamed! {
    "bson 3 calls it `bson::serde_helpers::datetime::AsRfc3339String`"
    bson_datetime_as_rfc3339_string = datetime::AsRfc3339String;
    "bson 3 calls it `bson::serde_helpers::datetime::FromRfc3339String`"
    rfc3339_string_as_bson_datetime = datetime::FromRfc3339String;
    "bson 3 calls it `bson::serde_helpers::datetime::FromI64`"
    i64_as_bson_datetime = datetime::FromI64;
    "bson 3 calls it `bson::serde_helpers::datetime::FromChrono04DateTime`"
    #[cfg(feature = "chrono-0_4")] chrono_datetime_as_bson_datetime = datetime::FromChrono04DateTime;
    "bson 3 calls it `bson::serde_helpers::datetime::FromTime03OffsetDateTime`"
    #[cfg(feature = "time-0_3")] time_0_3_offsetdatetime_as_bson_datetime = datetime::FromTime03OffsetDateTime;
    "bson 3 calls it `bson::serde_helpers::object_id::FromHexString`"
    hex_string_as_object_id = object_id::FromHexString;
    "bson 3 calls it `bson::serde_helpers::timestamp::AsU32`"
    timestamp_as_u32 = timestamp::AsU32;
    "bson 3 calls it `bson::serde_helpers::timestamp::FromU32`"
    u32_as_timestamp = timestamp::FromU32;
    "bson 3 calls it `bson::serde_helpers::u32::AsF64`"
    u32_as_f64 = u32::AsF64;
    "bson 3 calls it `bson::serde_helpers::u64::AsF64`"
    u64_as_f64 = u64::AsF64;
    "bson 3 calls it `bson::serde_helpers::uuid_1::AsBinary`"
    #[cfg(feature = "uuid-1")] uuid_1_as_binary = uuid_1::AsBinary;
    "bson 3 calls it `bson::serde_helpers::uuid_1::AsCSharpLegacyBinary`"
    #[cfg(feature = "uuid-1")] uuid_1_as_c_sharp_legacy_binary = uuid_1::AsCSharpLegacyBinary;
    "bson 3 calls it `bson::serde_helpers::uuid_1::AsJavaLegacyBinary`"
    #[cfg(feature = "uuid-1")] uuid_1_as_java_legacy_binary = uuid_1::AsJavaLegacyBinary;
    "bson 3 calls it `bson::serde_helpers::uuid_1::AsPythonLegacyBinary`"
    #[cfg(feature = "uuid-1")] uuid_1_as_python_legacy_binary = uuid_1::AsPythonLegacyBinary;
}

/// Functions of bson 2, for `#[serde(serialize_with = "...")]` and `#[serde(deserialize_with = "...")]`.
macro_rules! pair {
    ($($note:literal $serialize:ident, $deserialize:ident: $type:ty = $new:ident :: $converter:ident;)*) => {$(
        #[doc = concat!("`serialize` of `bson::serde_helpers::", stringify!($new), "::", stringify!($converter), "`.")]
        ///
        /// # Errors
        ///
        /// If the value cannot be converted, or the serializer fails.
        #[deprecated(note = $note)]
        pub fn $serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
            bson::serde_helpers::$new::$converter::serialize(value, serializer)
        }

        #[doc = concat!("`deserialize` of `bson::serde_helpers::", stringify!($new), "::", stringify!($converter), "`.")]
        ///
        /// # Errors
        ///
        /// If the value cannot be converted, or the deserializer fails.
        #[deprecated(note = $note)]
        pub fn $deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
            bson::serde_helpers::$new::$converter::deserialize(deserializer)
        }
    )*};
}

pair! {
    "bson 3 has `bson::serde_helpers::datetime::AsRfc3339String`"
    serialize_bson_datetime_as_rfc3339_string, deserialize_bson_datetime_from_rfc3339_string:
        bson::DateTime = datetime::AsRfc3339String;
    "bson 3 has `bson::serde_helpers::datetime::FromRfc3339String`"
    serialize_rfc3339_string_as_bson_datetime, deserialize_rfc3339_string_from_bson_datetime:
        String = datetime::FromRfc3339String;
    "bson 3 has `bson::serde_helpers::datetime::FromI64`"
    serialize_i64_as_bson_datetime, deserialize_i64_from_bson_datetime: i64 = datetime::FromI64;
    "bson 3 has `bson::serde_helpers::object_id::FromHexString`"
    serialize_hex_string_as_object_id, deserialize_hex_string_from_object_id: String = object_id::FromHexString;
    "bson 3 has `bson::serde_helpers::timestamp::AsU32`"
    serialize_timestamp_as_u32, deserialize_timestamp_from_u32: bson::Timestamp = timestamp::AsU32;
    "bson 3 has `bson::serde_helpers::timestamp::FromU32`"
    serialize_u32_as_timestamp, deserialize_u32_from_timestamp: u32 = timestamp::FromU32;
    "bson 3 has `bson::serde_helpers::u32::AsF64`"
    serialize_u32_as_f64, deserialize_u32_from_f64: u32 = u32::AsF64;
    "bson 3 has `bson::serde_helpers::u64::AsF64`"
    serialize_u64_as_f64, deserialize_u64_from_f64: u64 = u64::AsF64;
}

/// Serializes a `u32` as an `i32`.
///
/// # Errors
///
/// If the value does not fit, or the serializer fails.
#[deprecated(note = "bson 3 has `bson::serde_helpers::u32::AsI32`")]
pub fn serialize_u32_as_i32<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    i32::try_from(*value).map_err(ser::Error::custom)?.serialize(serializer)
}

/// Serializes a `u32` as an `i64`.
///
/// # Errors
///
/// If the serializer fails.
#[deprecated(note = "bson 3 has `bson::serde_helpers::u32::AsI64`")]
pub fn serialize_u32_as_i64<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    i64::from(*value).serialize(serializer)
}

/// Serializes a `u64` as an `i32`.
///
/// # Errors
///
/// If the value does not fit, or the serializer fails.
#[deprecated(note = "bson 3 has `bson::serde_helpers::u64::AsI32`")]
pub fn serialize_u64_as_i32<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    i32::try_from(*value).map_err(ser::Error::custom)?.serialize(serializer)
}

/// Serializes a `u64` as an `i64`.
///
/// # Errors
///
/// If the value does not fit, or the serializer fails.
#[deprecated(note = "bson 3 has `bson::serde_helpers::u64::AsI64`")]
pub fn serialize_u64_as_i64<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    i64::try_from(*value).map_err(ser::Error::custom)?.serialize(serializer)
}

/// Serializes an [`ObjectId`] as a string of 24 hexadecimal digits.
///
/// # Errors
///
/// If the serializer fails.
#[deprecated(note = "bson 3 has `bson::serde_helpers::object_id::AsHexString`")]
pub fn serialize_object_id_as_hex_string<S: Serializer>(value: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_hex().serialize(serializer)
}

#[cfg(feature = "chrono-0_4")]
pub use chrono_datetime_as_bson_datetime_optional::{
    deserialize as deserialize_chrono_datetime_from_bson_datetime_optional,
    serialize as serialize_chrono_datetime_as_bson_datetime_optional,
};

/// An `Option<chrono::DateTime<Utc>>` as an optional BSON date.
#[cfg(feature = "chrono-0_4")]
pub mod chrono_datetime_as_bson_datetime_optional {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Serializes a date as a BSON date, and `None` as null.
    ///
    /// # Errors
    ///
    /// If the serializer fails.
    pub fn serialize<S: Serializer>(value: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(bson::DateTime::from_chrono).serialize(serializer)
    }

    /// Deserializes a BSON date, or null as `None`.
    ///
    /// # Errors
    ///
    /// If the value is neither a date nor null, or the deserializer fails.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<bson::DateTime>::deserialize(deserializer)?.map(bson::DateTime::to_chrono))
    }
}
