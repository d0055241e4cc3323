//! The values of the options that were given.

use std::collections::BTreeMap;

use super::spec::{DefaultValue, OptionId};
use super::value::Value;
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
