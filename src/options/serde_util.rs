//! How durations, numbers and flags are written in documents and read from them.

use bson::RawBsonRef;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::bson_ext::whole_number;

/// An optional duration as whole milliseconds.
pub(crate) mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::deadline::whole_millis;

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(whole_millis).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// An optional duration as whole seconds.
pub(crate) mod optional_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX)).serialize(serializer)
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
