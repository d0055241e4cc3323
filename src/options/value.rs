//! The values of options: how they are read from a string, and how they are written back.

use std::collections::BTreeMap;

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

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueKind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Number { unit: Unit, min: i64, max: i64 },
    /// -1 for none, or seconds from 90.
    Staleness,
    /// A string of one byte to that many.
    Text { max: usize },
    /// A path; not empty.
    Path,
    /// A non-empty string that is not shown.
    Secret,
    /// A user's password: a string that is not shown, perhaps empty.
    Password,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A comma-separated list of these.
    List(&'static [&'static str]),
    /// Comma-separated `key:value` pairs; each time the option is given it adds one set.
    TagSets,
    /// Comma-separated `NAME:value` pairs.
    Properties,
    /// A number of members, `majority`, or the name of a rule.
    W,
    /// A DNS service name.
    ServiceName,
    /// The name of a database.
    Database,
    /// A Rust value that only code can give; the description of its type.
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
    /// Reads a decoded string from a URI. The error says what was expected; it never shows the string.
    pub(crate) fn read(self, text: &str) -> Result<Understood, String> {
        let (value, remark) = match self {
            ValueKind::Bool => {
                let (value, usual) = read_bool(text).ok_or_else(|| self.expected())?;
                (
                    Value::Bool(value),
                    (!usual).then_some("write true or false; other ways to write a boolean are deprecated"),
                )
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

    /// Checks a value, wherever it comes from.
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

    /// What a value must be, as text for messages and the documentation.
    pub(crate) fn expected(self) -> String {
        match self {
            ValueKind::Bool => "true or false".to_owned(),
            ValueKind::Number { unit: Unit::Millis, min, .. } => {
                format!("a whole number of milliseconds, at least {min}")
            }
            ValueKind::Number { min, max: MAX_INT, .. } => format!("a whole number, at least {min}"),
            ValueKind::Number { min, max, .. } => format!("a whole number from {min} to {max}"),
            ValueKind::Staleness => "-1, or a whole number of seconds, at least 90".to_owned(),
            ValueKind::Text { max: usize::MAX } => "a non-empty string".to_owned(),
            ValueKind::Text { max } => format!("a string of 1 to {max} bytes"),
            ValueKind::Path => "a non-empty path".to_owned(),
            ValueKind::Secret => "a non-empty string".to_owned(),
            ValueKind::Password => "a string".to_owned(),
            ValueKind::Choice(names) => format!("one of {}", names.join(", ")),
            ValueKind::List(names) => format!("a comma-separated list of {}", names.join(", ")),
            ValueKind::TagSets => "comma-separated key:value pairs".to_owned(),
            ValueKind::Properties => "comma-separated NAME:value pairs".to_owned(),
            ValueKind::W => "a whole number, at least 0, or a name".to_owned(),
            ValueKind::ServiceName => {
                "1 to 62 letters, digits and single '-' between them, with at least one letter".to_owned()
            }
            ValueKind::Database => "a non-empty name without '/', '\\', ' ', '\"', '$' and NUL".to_owned(),
            ValueKind::Code(what) => what.to_owned(),
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

    /// As a URI holds it, percent-encoded; each tag set on its own. What a URI cannot hold (a comma in a tag or in most
    /// mechanism properties) is left out.
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

/// Names and values of mechanism properties. Blanks and line breaks around names and values do not count, except around a session
/// token of AWS: it is refused with them when it is used, as it is when it comes from elsewhere.
pub(crate) fn read_properties(text: &str) -> Result<Understood, String> {
    let mut pairs: Vec<(String, Secret)> = Vec::new();
    let mut remark = None;
    for item in text.split(',') {
        match (item.split_once(':'), pairs.pop()) {
            (Some((name, value)), before) => {
                pairs.extend(before);
                let name = name.trim();
                let value = if name.eq_ignore_ascii_case("AWS_SESSION_TOKEN") { value } else { value.trim() };
                pairs.push((name.to_owned(), Secret::from(value)));
            }
            (None, Some((name, value))) if name.eq_ignore_ascii_case("TOKEN_RESOURCE") => {
                remark = Some(
                    "TOKEN_RESOURCE has a comma, which a connection string does not allow; it was read as one value",
                );
                pairs.push((name, Secret::from(format!("{},{}", value.expose(), item.trim()))));
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
            remark = Some("the list has an unknown name; it was left out");
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
