//! Reads JSON strictly: each key is asked for by name, and what nobody asked for is a fault that names its place and the
//! broken rule.

use std::fmt;

use bson::{Bson, Document};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A rule of the format that a file breaks, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// `tests[0].operations[1].name`
    pub path: String,
    pub rule: Rule,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Not JSON, or not extended JSON.
    Json(String),
    /// Another type is wanted.
    Type(&'static str),
    /// The key is missing.
    Required,
    /// No such key.
    Unknown,
    /// An array with fewer elements than this.
    MinItems,
    /// An object without keys.
    MinProperties,
    /// An object with more than one key.
    MaxProperties,
    /// None of the words that may stand here.
    Enum,
    /// Not of the form that is wanted here.
    Pattern(&'static str),
    /// Stands beside a key that excludes it.
    Conflict(&'static str),
    /// A version of the format that the runner does not know.
    Version(String),
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// A place in the file.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    path: String,
    bson: &'a Bson,
}

/// An object whose keys are taken one by one.
pub struct Object<'a> {
    path: String,
    document: &'a Document,
    taken: Vec<&'static str>,
}

/// Relaxed or canonical extended JSON; the order of keys is kept.
pub fn parse_extended_json(text: &str) -> Result<Bson> {
    let parsed: Result<Extended, _> = serde_json::from_str(text);
    parsed.map(|value| value.0).map_err(|e| Fault { path: String::new(), rule: Rule::Json(e.to_string()) })
}

impl<'a> Value<'a> {
    pub fn root(bson: &'a Bson) -> Self {
        Value { path: String::new(), bson }
    }

    pub fn fault<T>(&self, rule: Rule) -> Result<T> {
        Err(Fault { path: self.path.clone(), rule })
    }

    pub fn bson(&self) -> Bson {
        self.bson.clone()
    }

    pub fn is_object(&self) -> bool {
        matches!(self.bson, Bson::Document(_))
    }

    pub fn string(&self) -> Result<String> {
        match self.bson {
            Bson::String(text) => Ok(text.clone()),
            _ => self.fault(Rule::Type("string")),
        }
    }

    pub fn boolean(&self) -> Result<bool> {
        match self.bson {
            Bson::Boolean(value) => Ok(*value),
            _ => self.fault(Rule::Type("boolean")),
        }
    }

    pub fn integer(&self) -> Result<i64> {
        match self.bson {
            Bson::Int32(value) => Ok(i64::from(*value)),
            Bson::Int64(value) => Ok(*value),
            _ => self.fault(Rule::Type("integer")),
        }
    }

    pub fn document(&self) -> Result<Document> {
        match self.bson {
            Bson::Document(document) => Ok(document.clone()),
            _ => self.fault(Rule::Type("object")),
        }
    }

    pub fn object(&self) -> Result<Object<'a>> {
        match self.bson {
            Bson::Document(document) => Ok(Object { path: self.path.clone(), document, taken: Vec::new() }),
            _ => self.fault(Rule::Type("object")),
        }
    }

    /// An object with at least one key.
    pub fn filled_object(&self) -> Result<Object<'a>> {
        let object = self.object()?;
        if object.document.is_empty() { self.fault(Rule::MinProperties) } else { Ok(object) }
    }

    /// An object with exactly one key.
    pub fn single(&self) -> Result<(&'a str, Value<'a>)> {
        let object = self.filled_object()?;
        let mut keys = object.document.iter();
        match (keys.next(), keys.next()) {
            (Some((key, bson)), None) => Ok((key, Value { path: join(&self.path, key), bson })),
            _ => self.fault(Rule::MaxProperties),
        }
    }

    /// Each element of an array.
    pub fn each<T>(&self, read: impl Fn(Value<'a>) -> Result<T>) -> Result<Vec<T>> {
        match self.bson {
            Bson::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, bson)| read(Value { path: format!("{}[{at}]", self.path), bson }))
                .collect(),
            _ => self.fault(Rule::Type("array")),
        }
    }

    /// Each element of an array that may not be empty.
    pub fn each_of_some<T>(&self, read: impl Fn(Value<'a>) -> Result<T>) -> Result<Vec<T>> {
        let items = self.each(read)?;
        if items.is_empty() { self.fault(Rule::MinItems) } else { Ok(items) }
    }

    pub fn one_of(&self, words: &[&'static str]) -> Result<&'static str> {
        let word = self.string()?;
        match words.iter().find(|known| **known == word) {
            Some(known) => Ok(known),
            None => self.fault(Rule::Enum),
        }
    }
}

impl<'a> Object<'a> {
    pub fn optional(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.taken.push(key);
        Some(Value { path: join(&self.path, key), bson: self.document.get(key)? })
    }

    pub fn required(&mut self, key: &'static str) -> Result<Value<'a>> {
        self.optional(key).ok_or_else(|| Fault { path: join(&self.path, key), rule: Rule::Required })
    }

    pub fn has(&self, key: &str) -> bool {
        self.document.contains_key(key)
    }

    pub fn fault<T>(&self, key: &str, rule: Rule) -> Result<T> {
        Err(Fault { path: join(&self.path, key), rule })
    }

    /// The pairs, whatever their keys.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.document.iter().map(|(key, bson)| (key.as_str(), Value { path: join(&self.path, key), bson }))
    }

    /// Every key must have been taken.
    pub fn end(self) -> Result<()> {
        match self.document.keys().find(|key| !self.taken.contains(&key.as_str())) {
            Some(key) => self.fault(key, Rule::Unknown),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.rule)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Like bson's own reading of extended JSON, but that small negative numbers become 32-bit too.
struct Extended(Bson);

impl<'de> Deserialize<'de> for Extended {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtendedVisitor).map(Extended)
    }
}

struct ExtendedVisitor;

impl<'de> Visitor<'de> for ExtendedVisitor {
    type Value = Bson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("extended JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bson, E> {
        Ok(i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Bson, E> {
        self.visit_i64(i64::try_from(value).map_err(E::custom)?)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bson, E> {
        Ok(Bson::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bson, E> {
        Ok(Bson::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bson, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element::<Extended>()? {
            array.push(item.0);
        }
        Ok(Bson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Bson, A::Error> {
        let mut document = Document::new();
        while let Some((key, value)) = pairs.next_entry::<String, Extended>()? {
            document.insert(key, value.0);
        }
        // `{"$oid": …}` and its kin; `{"$$exists": …}` is an operator of the tests.
        if document.keys().next().is_some_and(|key| key.starts_with('$') && !key.starts_with("$$")) {
            return bson::deserialize_from_bson(Bson::Document(document)).map_err(serde::de::Error::custom);
        }
        Ok(Bson::Document(document))
    }
}

#[cfg(test)]
mod tests {
    use bson::{bson, oid::ObjectId};

    use super::*;

    #[test]
    fn extended_json_keeps_types_and_order() {
        let text = r#"{"b": -1, "a": {"$numberLong": "1"}, "c": {"$oid": "507f1f77bcf86cd799439011"}, "d": {"$set": {"x": 1.5}}}"#;
        let id = ObjectId::parse_str("507f1f77bcf86cd799439011").unwrap();
        let parsed = parse_extended_json(text).unwrap();
        assert_eq!(parsed, bson!({"b": -1, "a": 1_i64, "c": id, "d": {"$set": {"x": 1.5}}}));
        assert!(parse_extended_json(r#"{"$oid": "short"}"#).is_err());
    }
}
