//! Between the typed fields of the options and the values that are judged.

use std::path::PathBuf;
use std::time::Duration;

use super::ServerMonitoringMode;
use super::value::Value;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The type of a field that one option fills.
pub(super) trait SettingValue: Sized {
    /// `None` where the value does not fit the type.
    fn from_value(value: &Value) -> Option<Self>;

    /// An error where the type holds what no option can.
    fn to_value(&self) -> Result<Value>;
}

impl SettingValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(Value::Bool(*self))
    }
}

/// Numbers of options are at most those of an `i64`.
macro_rules! numbers {
    ($($type:ty)*) => {
        $(impl SettingValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Number(value) => <$type>::try_from(*value).ok(),
                    _ => None,
                }
            }

            fn to_value(&self) -> Result<Value> {
                Ok(Value::Number(i64::from(*self)))
            }
        })*
    };
}

numbers!(u16 u32 i32);

impl SettingValue for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(millis) => u64::try_from(*millis).ok().map(Duration::from_millis),
            _ => None,
        }
    }

    /// Rounds up to whole milliseconds, because a limit of 0 would mean no limit.
    fn to_value(&self) -> Result<Value> {
        Ok(Value::Number(i64::try_from(self.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)))
    }
}

impl SettingValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(Value::Text(self.clone()))
    }
}

impl SettingValue for PathBuf {
    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value).map(PathBuf::from)
    }

    fn to_value(&self) -> Result<Value> {
        let text = self.to_str().ok_or_else(|| Error::invalid_argument("a path of the options is not UTF-8"))?;
        Ok(Value::Text(text.to_owned()))
    }
}

impl SettingValue for Secret {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Secret(secret) => Some(secret.clone()),
            _ => None,
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(Value::Secret(self.clone()))
    }
}

impl SettingValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::List(items) => Some(items.clone()),
            _ => None,
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(Value::List(self.clone()))
    }
}

impl SettingValue for ServerMonitoringMode {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => ServerMonitoringMode::ALL.into_iter().find(|mode| mode.as_str() == text),
            _ => None,
        }
    }

    fn to_value(&self) -> Result<Value> {
        Ok(Value::Text(self.as_str().to_owned()))
    }
}
