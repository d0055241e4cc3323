//! The values of options: what a text must look like to be one, and how it is written back.

use std::collections::BTreeMap;

use super::table::{DefaultValue, OptionId};
use crate::secret::Secret;
use crate::uri;

/// What an option holds once it has been read.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Number(i64),
    Text(String),
    Secret(Secret),
    List(Vec<String>),
    TagSets(Vec<BTreeMap<String, String>>),
    /// Names as they were written, values that may be secret.
    Properties(Vec<(String, Secret)>),
}

/// What a text must be to be a value of an option.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueKind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Number { unit: Unit, min: i64, max: i64 },
    /// -1 for none, or seconds from 90.
    Staleness,
    /// Any text up to that many bytes, not empty.
    Text { max: usize },
    /// A path; not empty.
    Path,
    /// A text not to be shown.
    Secret,
    /// A user's password: not to be shown, and perhaps empty.
    Password,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A list of these, with commas between.
    List(&'static [&'static str]),
    /// `key:value` pairs with commas between; each time the option is given is one set.
    TagSets,
    /// `NAME:value` pairs with commas between.
    Properties,
    /// A number of members, `majority`, or the name of a rule.
    W,
    /// A DNS service name.
    ServiceName,
    /// The name of a database.
    Database,
    /// A Rust value that only code can give; its type in words.
    Code(&'static str),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Plain,
    Millis,
}

/// A value that was understood, and what is not quite right about its spelling.
pub(crate) struct Understood {
    pub(crate) value: Value,
    pub(crate) remark: Option<&'static str>,
}

impl ValueKind {
    /// Reads a text as it stands in a URI, decoded. The error says what was expected; it never shows the text.
    pub(crate) fn read(self, text: &str) -> Result<Understood, String> {
        let (value, remark) = match self {
            ValueKind::Bool => {
                let (value, usual) = read_bool(text).ok_or_else(|| self.expected())?;
                (Value::Bool(value), (!usual).then_some("a deprecated way to write a boolean; write true or false"))
            }
            ValueKind::Number { .. } | ValueKind::Staleness => {
                (Value::Number(read_number(text).ok_or_else(|| self.expected())?), None)
            }
            ValueKind::W => match read_number(text) {
                Some(number) => (Value::Number(number), None),
                None => (Value::Text(text.to_owned()), None),
            },
            ValueKind::Secret | ValueKind::Password => (Value::Secret(Secret::from(text)), None),
            ValueKind::List(names) => read_list(text, names),
            ValueKind::TagSets => (Value::TagSets(vec![read_tags(text).ok_or_else(|| self.expected())?]), None),
            ValueKind::Properties => return read_properties(text),
            ValueKind::Text { .. }
            | ValueKind::Path
            | ValueKind::Choice(_)
            | ValueKind::ServiceName
            | ValueKind::Database
            | ValueKind::Code(_) => (Value::Text(text.to_owned()), None),
        };
        self.check(&value)?;
        Ok(Understood { value, remark })
    }

    pub(crate) fn is_bool(self) -> bool {
        matches!(self, ValueKind::Bool)
    }

    /// Judges a value, wherever it comes from.
    pub(crate) fn check(self, value: &Value) -> Result<(), String> {
        let fine = match (self, value) {
            (ValueKind::Bool, Value::Bool(_)) | (ValueKind::TagSets, Value::TagSets(_)) => true,
            (ValueKind::Password, Value::Secret(_)) => true,
            (ValueKind::Number { min, max, .. }, Value::Number(number)) => (min..=max).contains(number),
            (ValueKind::Staleness, Value::Number(number)) => *number == -1 || (90..=MAX_INT).contains(number),
            (ValueKind::W, Value::Number(number)) => (0..=MAX_INT).contains(number),
            (ValueKind::W, Value::Text(text)) => !text.is_empty(),
            (ValueKind::Text { max }, Value::Text(text)) => (1..=max).contains(&text.len()),
            (ValueKind::Path, Value::Text(text)) => !text.is_empty() && !text.contains('\0'),
            (ValueKind::Secret, Value::Secret(secret)) => !secret.is_empty(),
            (ValueKind::Choice(names), Value::Text(text)) => names.contains(&text.as_str()),
            (ValueKind::List(names), Value::List(items)) => items.iter().all(|item| names.contains(&item.as_str())),
            (ValueKind::ServiceName, Value::Text(text)) => is_service_name(text),
            (ValueKind::Database, Value::Text(text)) => !text.is_empty() && !text.contains(uri::forbidden_in_database),
            (ValueKind::Properties, Value::Properties(_)) => true,
            _ => false,
        };
        if fine { Ok(()) } else { Err(self.expected()) }
    }

    /// What a value must be, in words, for messages and the documentation.
    pub(crate) fn expected(self) -> String {
        match self {
            ValueKind::Bool => "true or false".to_owned(),
            ValueKind::Number { unit: Unit::Millis, min, .. } => {
                format!("a whole number of milliseconds, at least {min}")
            }
            ValueKind::Number { min, max: MAX_INT, .. } => format!("a whole number, at least {min}"),
            ValueKind::Number { min, max, .. } => format!("a whole number from {min} to {max}"),
            ValueKind::Staleness => "-1, or a whole number of seconds, at least 90".to_owned(),
            ValueKind::Text { max: usize::MAX } => "a text that is not empty".to_owned(),
            ValueKind::Text { max } => format!("a text of 1 to {max} bytes"),
            ValueKind::Path => "a path".to_owned(),
            ValueKind::Secret => "a text that is not empty".to_owned(),
            ValueKind::Password => "a text".to_owned(),
            ValueKind::Choice(names) => names.join(", "),
            ValueKind::List(names) => format!("of {}, with commas between", names.join(", ")),
            ValueKind::TagSets => "key:value pairs with commas between".to_owned(),
            ValueKind::Properties => "NAME:value pairs with commas between".to_owned(),
            ValueKind::W => "a whole number, at least 0, or a name".to_owned(),
            ValueKind::ServiceName => {
                "letters, digits and single '-' between them, at most 62, at least one letter".to_owned()
            }
            ValueKind::Database => "a name without '/', '\\', ' ', '\"', '$'".to_owned(),
            ValueKind::Code(what) => what.to_owned(),
        }
    }
}

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

impl Value {
    /// Whether both are the same setting.
    pub(crate) fn same_as(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Secret(one), Value::Secret(other)) => one.expose() == other.expose(),
            _ => self.written() == other.written(),
        }
    }

    /// As it stands in a URI, percent-encoded; tag sets each on their own. What the form of a URI cannot hold (a comma in a
    /// tag or in most mechanism properties) is left out.
    pub(crate) fn written(&self) -> Vec<String> {
        match self {
            Value::Bool(value) => vec![value.to_string()],
            Value::Number(value) => vec![value.to_string()],
            Value::Text(text) => vec![encode(text)],
            Value::Secret(secret) => vec![encode(secret.expose())],
            Value::List(items) => vec![join(items.iter().map(|item| encode(item)))],
            Value::TagSets(sets) => sets.iter().filter(|set| set_fits(set)).map(write_set).collect(),
            Value::Properties(pairs) => {
                let fitting = pairs.iter().filter(|(name, value)| property_fits(name, value));
                let written = join(fitting.map(|(name, value)| pair(name, value.expose())));
                if written.is_empty() { Vec::new() } else { vec![written] }
            }
        }
    }
}

/// Names and values of mechanism properties; blanks and line breaks around commas and colons' names do not count.
pub(crate) fn read_properties(text: &str) -> Result<Understood, String> {
    let mut pairs: Vec<(String, Secret)> = Vec::new();
    let mut remark = None;
    for item in text.split(',').map(str::trim) {
        match (item.split_once(':'), pairs.pop()) {
            (Some((name, value)), before) => {
                pairs.extend(before);
                pairs.push((name.trim().to_owned(), Secret::from(value.trim())));
            }
            (None, Some((name, value))) if name.eq_ignore_ascii_case("TOKEN_RESOURCE") => {
                remark = Some("a value with a comma has no place in a connection string; it was taken as one value");
                pairs.push((name, Secret::from(format!("{},{item}", value.expose()))));
            }
            (None, _) => return Err(ValueKind::Properties.expected()),
        }
    }
    Ok(Understood { value: Value::Properties(pairs), remark })
}

fn read_bool(text: &str) -> Option<(bool, bool)> {
    Some(match text {
        "true" => (true, true),
        "false" => (false, true),
        _ => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "y" | "t" => (true, false),
            "false" | "0" | "-1" | "no" | "n" | "f" => (false, false),
            _ => return None,
        },
    })
}

fn read_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn read_list(text: &str, names: &[&str]) -> (Value, Option<&'static str>) {
    let mut items = Vec::new();
    let mut remark = None;
    for item in text.split(',').map(str::trim) {
        if names.contains(&item) {
            items.push(item.to_owned());
        } else {
            remark = Some("a name in the list is not known; it was left out");
        }
    }
    items.dedup();
    (Value::List(items), remark)
}

fn read_tags(text: &str) -> Option<BTreeMap<String, String>> {
    if text.is_empty() {
        return Some(BTreeMap::new());
    }
    text.split(',').map(|tag| tag.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

/// RFC 6335, but up to 62 characters, as the seed list specification asks.
fn is_service_name(text: &str) -> bool {
    (1..=62).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

fn set_fits(set: &BTreeMap<String, String>) -> bool {
    set.iter().all(|(key, value)| !key.contains([':', ',']) && !value.contains(','))
}

fn write_set(set: &BTreeMap<String, String>) -> String {
    join(set.iter().map(|(key, value)| pair(key, value)))
}

/// Whether the pair, written and read, is itself again.
fn property_fits(name: &str, value: &Secret) -> bool {
    let read = read_properties(&format!("{name}:{}", value.expose()));
    match read.map(|understood| understood.value) {
        Ok(Value::Properties(pairs)) => match pairs.as_slice() {
            [(again, secret)] => again == name && secret.expose() == value.expose(),
            _ => false,
        },
        _ => false,
    }
}

fn encode(text: &str) -> String {
    uri::encode_but(text, "/$")
}

fn pair(name: &str, value: &str) -> String {
    format!("{}:{}", encode(name), encode(value))
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

/// All whole numbers of the specification but `wTimeoutMS` have 32 bits.
pub(crate) const MAX_INT: i64 = i32::MAX as i64;
