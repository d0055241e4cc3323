//! How durations, numbers and flags are written in documents and read from them.

use std::time::Duration;

use bson::RawBsonRef;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bson_ext::whole_number;

/// A time limit as a command carries it: begun milliseconds count in full, for 0 would mean no limit.
pub(crate) fn whole_millis(limit: Duration) -> i64 {
    i64::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// A time in seconds as a command carries it: begun seconds count in full.
pub(crate) fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(i64::MAX)
}

/// A whole number in the smallest type of BSON that holds it.
#[derive(Serialize)]
#[serde(untagged)]
enum Whole {
    Int32(i32),
    Int64(i64),
}

impl From<i64> for Whole {
    fn from(number: i64) -> Self {
        i32::try_from(number).map_or(Whole::Int64(number), Whole::Int32)
    }
}

/// An optional duration as whole milliseconds. It is also read as serde writes a `Duration`.
pub(crate) mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Whole, whole_millis};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|limit| Whole::from(whole_millis(limit))).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Millis(u64),
            Duration(Duration),
        }
        Ok(Option::<Written>::deserialize(deserializer)?.map(|written| match written {
            Written::Millis(millis) => Duration::from_millis(millis),
            Written::Duration(limit) => limit,
        }))
    }
}

/// An optional number that commands take as an `int`.
pub(crate) mod optional_i32 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Whole;

    pub(crate) fn serialize<S: Serializer>(value: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|number| Whole::from(i64::from(number))).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// An optional limit without its sign, as commands take it.
pub(crate) fn magnitude<S: Serializer>(value: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(i64::saturating_abs).serialize(serializer)
}

/// A batch size as `aggregate` and `listCollections` take it: `cursor: { batchSize: 2 }`.
pub(crate) fn cursor_of_batch_size<S: Serializer>(value: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Cursor {
        batch_size: Whole,
    }
    value.map(|size| Cursor { batch_size: i64::from(size).into() }).serialize(serializer)
}

/// An optional duration as whole seconds.
pub(crate) mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Whole;

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|limit| Whole::from(i64::try_from(limit.as_secs()).unwrap_or(i64::MAX))).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

/// What the server uses for numbers and flags: commands accept every number type for both, and listings return what was given.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrFlag {
    Flag(bool),
    Whole(i64),
    Double(f64),
}

impl NumberOrFlag {
    /// The whole number, where it is one.
    fn whole(self) -> Option<i64> {
        match self {
            NumberOrFlag::Flag(flag) => Some(flag.into()),
            NumberOrFlag::Whole(number) => Some(number),
            NumberOrFlag::Double(number) => whole_number(RawBsonRef::Double(number)),
        }
    }
}

/// An optional flag, which may be a number.
pub(crate) fn optional_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(Option::<NumberOrFlag>::deserialize(deserializer)?.map(|value| match value {
        NumberOrFlag::Flag(flag) => flag,
        NumberOrFlag::Whole(number) => number != 0,
        NumberOrFlag::Double(number) => number != 0.0,
    }))
}

/// An optional number of bytes, documents or bits, of any number type. What does not fit `T` is an error.
pub(crate) fn optional_count<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let Some(value) = Option::<NumberOrFlag>::deserialize(deserializer)? else { return Ok(None) };
    let fitting = value.whole().and_then(|number| T::try_from(number).ok());
    fitting.map(Some).ok_or_else(|| D::Error::custom("expected a whole number that is not negative"))
}

/// A number of bytes, documents or bits, of any number type.
pub(crate) fn count<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    optional_count(deserializer)?.ok_or_else(|| D::Error::custom("expected a number"))
}

/// After how many seconds documents expire, of any number type. Collections may hold an index whose value makes no sense (NaN, or
/// less than zero); it is left out, since one such index must not make all of them unreadable.
pub(crate) mod expiry {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(crate) use super::optional_seconds::serialize;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let value = Option::<super::NumberOrFlag>::deserialize(deserializer)?;
        let seconds = value.and_then(super::NumberOrFlag::whole).and_then(|seconds| u64::try_from(seconds).ok());
        Ok(seconds.map(Duration::from_secs))
    }
}
