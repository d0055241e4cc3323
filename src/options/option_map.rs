//! The values of the options that were given.

use std::collections::BTreeMap;
use std::time::Duration;

use super::setting_value::SettingValue;
use super::spec::{DefaultValue, OptionId};
use super::value::Value;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The options that were given, and nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionMap(BTreeMap<OptionId, Value>);

impl OptionMap {
    pub(crate) fn get(&self, option: OptionId) -> Option<&Value> {
        self.0.get(&option)
    }

    pub(crate) fn has(&self, option: OptionId) -> bool {
        self.0.contains_key(&option)
    }

    pub(super) fn remove(&mut self, option: OptionId) -> Option<Value> {
        self.0.remove(&option)
    }

    /// Takes a value out where it fits the type of its field.
    pub(super) fn take<T: SettingValue>(&mut self, option: OptionId) -> Option<T> {
        let value = T::from_value(self.get(option)?)?;
        self.remove(option);
        Some(value)
    }

    /// Puts the value of a field in, if it has one. It must be one that the option allows.
    pub(super) fn put<T: SettingValue>(&mut self, option: OptionId, field: Option<&T>) -> Result<()> {
        let Some(field) = field else { return Ok(()) };
        let (spec, value) = (option.spec(), field.to_value()?);
        spec.kind.check(&value).map_err(|expected| {
            Error::invalid_argument(format!("{} (in code, {}) must be {expected}", spec.name, spec.setter))
        })?;
        self.set(option, value);
        Ok(())
    }

    /// Whether both hold the same.
    pub(super) fn same_as(&self, other: &OptionMap) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|((option, value), other)| option == other.0 && value.same_as(other.1))
    }

    pub(crate) fn set(&mut self, option: OptionId, value: Value) {
        self.0.insert(option, value);
    }

    /// Adds tag sets or properties to those given before; anything else replaces what was there.
    pub(crate) fn add(&mut self, option: OptionId, value: Value) {
        match (self.0.get_mut(&option), value) {
            (Some(Value::TagSets(sets)), Value::TagSets(more)) => sets.extend(more),
            (Some(Value::Properties(pairs)), Value::Properties(more)) => pairs.extend(more),
            (_, value) => self.set(option, value),
        }
    }

    /// Takes everything that `other` has, over what is here.
    pub(crate) fn overlay(&mut self, other: OptionMap) {
        self.0.extend(other.0);
    }

    pub(crate) fn given(&self) -> impl Iterator<Item = (OptionId, &Value)> {
        self.0.iter().map(|(option, value)| (*option, value))
    }

    pub(crate) fn bool(&self, option: OptionId) -> Option<bool> {
        match (self.get(option), option.spec().default) {
            (Some(Value::Bool(value)), _) => Some(*value),
            (_, DefaultValue::Bool(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn number(&self, option: OptionId) -> Option<i64> {
        match (self.get(option), option.spec().default) {
            (Some(Value::Number(value)), _) => Some(*value),
            (_, DefaultValue::Number(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, option: OptionId) -> Option<Duration> {
        self.number(option).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
    }

    pub(crate) fn text(&self, option: OptionId) -> Option<&str> {
        match (self.get(option), option.spec().default) {
            (Some(Value::Text(value)), _) => Some(value),
            (_, DefaultValue::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn secret(&self, option: OptionId) -> Option<&Secret> {
        match self.get(option) {
            Some(Value::Secret(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn list(&self, option: OptionId) -> &[String] {
        match self.get(option) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    pub(crate) fn tag_sets(&self, option: OptionId) -> &[BTreeMap<String, String>] {
        match self.get(option) {
            Some(Value::TagSets(sets)) => sets,
            _ => &[],
        }
    }

    pub(crate) fn properties(&self, option: OptionId) -> &[(String, Secret)] {
        match self.get(option) {
            Some(Value::Properties(pairs)) => pairs,
            _ => &[],
        }
    }
}

/// What a getter returns: what was given, or the default.
pub(super) trait Seen<'a> {
    fn seen(settings: &'a OptionMap, option: OptionId) -> Self;
}

impl Seen<'_> for Option<bool> {
    fn seen(settings: &OptionMap, option: OptionId) -> Self {
        settings.bool(option)
    }
}

impl Seen<'_> for bool {
    fn seen(settings: &OptionMap, option: OptionId) -> Self {
        settings.bool(option).unwrap_or_default()
    }
}

macro_rules! numbers_seen {
    ($($type:ty)*) => {
        $(impl Seen<'_> for $type {
            fn seen(settings: &OptionMap, option: OptionId) -> Self {
                settings.number(option).and_then(|number| number.try_into().ok()).unwrap_or_default()
            }
        })*
    };
}

numbers_seen!(u16 u32 i32);

impl Seen<'_> for Duration {
    fn seen(settings: &OptionMap, option: OptionId) -> Self {
        settings.duration(option).unwrap_or_default()
    }
}

/// A limit for which 0 means none.
impl Seen<'_> for Option<Duration> {
    fn seen(settings: &OptionMap, option: OptionId) -> Self {
        settings.duration(option).filter(|limit| !limit.is_zero())
    }
}

impl<'a> Seen<'a> for Option<&'a str> {
    fn seen(settings: &'a OptionMap, option: OptionId) -> Self {
        settings.text(option)
    }
}

impl<'a> Seen<'a> for &'a str {
    fn seen(settings: &'a OptionMap, option: OptionId) -> Self {
        settings.text(option).unwrap_or_default()
    }
}

impl<'a> Seen<'a> for Option<&'a Secret> {
    fn seen(settings: &'a OptionMap, option: OptionId) -> Self {
        settings.secret(option)
    }
}

impl<'a> Seen<'a> for &'a [String] {
    fn seen(settings: &'a OptionMap, option: OptionId) -> Self {
        settings.list(option)
    }
}
