//! Whether what happened is what the file expects.

use bson::{Binary, Bson, Document};

use super::file::reader::parse_extended_json;

/// Where `$$matchesEntity` and `$$sessionLsid` find what they name.
pub trait Lookup {
    /// The BSON entity of that name.
    fn value(&self, name: &str) -> Result<Bson, String>;
    /// The logical session id of the session of that name.
    fn session_id(&self, name: &str) -> Result<Document, String>;
}

/// Matches a value; at its root, a document may have more keys than expected. `actual` is `None` where there is nothing.
pub fn match_root(expected: &Bson, actual: Option<&Bson>, lookup: &dyn Lookup) -> Result<(), String> {
    Matcher { lookup }.value(expected, actual, true, &mut Vec::new())
}

/// Matches a value, of which no document may have more keys than expected.
pub fn match_nested(expected: &Bson, actual: Option<&Bson>, lookup: &dyn Lookup) -> Result<(), String> {
    Matcher { lookup }.value(expected, actual, false, &mut Vec::new())
}

/// Matches documents one by one, each as a root: what a cursor gave.
pub fn match_documents(expected: &Bson, actual: &[Document], lookup: &dyn Lookup) -> Result<(), String> {
    let as_array = Bson::Array(actual.iter().cloned().map(Bson::Document).collect());
    let Bson::Array(expected) = expected else { return match_root(expected, Some(&as_array), lookup) };
    if expected.len() != actual.len() {
        return Err(format!("{} documents where {} are expected: {as_array}", actual.len(), expected.len()));
    }
    let pairs = expected.iter().zip(actual);
    pairs.enumerate().try_for_each(|(at, (expected, actual))| {
        let actual = Bson::Document(actual.clone());
        Matcher { lookup }.value(expected, Some(&actual), true, &mut vec![format!("[{at}]")])
    })
}

/// Whether two documents are the same but for the order of their keys; no operators, no lenience with numbers.
pub fn same_but_for_order(expected: &Bson, actual: &Bson) -> bool {
    match (expected, actual) {
        (Bson::Document(expected), Bson::Document(actual)) => {
            expected.len() == actual.len()
                && expected.iter().all(|(key, value)| actual.get(key).is_some_and(|own| same_but_for_order(value, own)))
        }
        (Bson::Array(expected), Bson::Array(actual)) => {
            expected.len() == actual.len() && expected.iter().zip(actual).all(|(a, b)| same_but_for_order(a, b))
        }
        _ => expected == actual,
    }
}

struct Matcher<'a> {
    lookup: &'a dyn Lookup,
}

type Matched = Result<(), String>;

impl Matcher<'_> {
    fn value(&self, expected: &Bson, actual: Option<&Bson>, root: bool, path: &mut Vec<String>) -> Matched {
        if let Some((operator, operand)) = operator(expected) {
            return self.operator(operator, operand, actual, root, path);
        }
        let Some(actual) = actual else {
            return if *expected == Bson::Null {
                Ok(())
            } else {
                fail(path, &format!("nothing where {expected} is expected"))
            };
        };
        match (expected, actual) {
            (Bson::Document(expected), Bson::Document(actual)) => self.document(expected, actual, root, path),
            (Bson::Array(expected), Bson::Array(actual)) => self.array(expected, actual, path),
            _ if same_number(expected, actual).unwrap_or_else(|| same_but_for_order(expected, actual)) => Ok(()),
            _ => fail(path, &format!("{actual} where {expected} is expected")),
        }
    }

    fn document(&self, expected: &Document, actual: &Document, root: bool, path: &mut Vec<String>) -> Matched {
        for (key, value) in expected {
            path.push(format!(".{key}"));
            let own = actual.get(key);
            if own.is_none() && operator(value).is_none() {
                return fail(path, &format!("missing; {value} is expected"));
            }
            self.value(value, own, false, path)?;
            path.pop();
        }
        match actual.keys().find(|key| !expected.contains_key(key)) {
            Some(extra) if !root => fail(path, &format!("the key {extra} is not expected in {actual}")),
            _ => Ok(()),
        }
    }

    fn array(&self, expected: &[Bson], actual: &[Bson], path: &mut Vec<String>) -> Matched {
        if expected.len() != actual.len() {
            return fail(path, &format!("{} elements where {} are expected", actual.len(), expected.len()));
        }
        for (at, (expected, actual)) in expected.iter().zip(actual).enumerate() {
            path.push(format!("[{at}]"));
            self.value(expected, Some(actual), false, path)?;
            path.pop();
        }
        Ok(())
    }

    fn operator(
        &self,
        name: &str,
        operand: &Bson,
        actual: Option<&Bson>,
        root: bool,
        path: &mut Vec<String>,
    ) -> Matched {
        match (name, operand) {
            ("$$unsetOrMatches", _) if actual.is_none() => Ok(()),
            ("$$unsetOrMatches", _) => self.value(operand, actual, root, path),
            ("$$exists", Bson::Boolean(wanted)) if *wanted == actual.is_some() => Ok(()),
            ("$$exists", Bson::Boolean(true)) => fail(path, "missing"),
            ("$$exists", Bson::Boolean(false)) => fail(path, &format!("there ({actual:?}), and must not be")),
            ("$$type", _) => type_fits(operand, actual, path),
            ("$$matchesEntity", Bson::String(name)) => self.value(&self.lookup.value(name)?, actual, root, path),
            ("$$sessionLsid", Bson::String(name)) => {
                self.value(&Bson::Document(self.lookup.session_id(name)?), actual, root, path)
            }
            ("$$matchesHexBytes", Bson::String(hex)) => same_bytes(hex, actual, path),
            ("$$lte", limit) => at_most(limit, actual, path),
            ("$$matchAsRoot", _) if matches!(actual, Some(Bson::Document(_))) => {
                self.value(operand, actual, true, path)
            }
            ("$$matchAsRoot", _) => fail(path, &format!("{actual:?} is no document")),
            ("$$matchAsDocument", _) => match actual {
                Some(Bson::String(json)) => match parse_extended_json(json) {
                    Ok(parsed @ Bson::Document(_)) => self.value(operand, Some(&parsed), false, path),
                    Ok(other) => fail(path, &format!("the JSON text holds {other}, no document")),
                    Err(fault) => fail(path, &format!("no extended JSON: {fault}")),
                },
                _ => fail(path, &format!("{actual:?} is no text with JSON")),
            },
            _ => fail(path, &format!("the runner knows no operator {name} of {operand}")),
        }
    }
}

/// A document with one key that begins with `$$`.
fn operator(expected: &Bson) -> Option<(&str, &Bson)> {
    let Bson::Document(document) = expected else { return None };
    let (key, operand) = document.iter().next().filter(|_| document.len() == 1)?;
    key.starts_with("$$").then_some((key.as_str(), operand))
}

fn fail(path: &[String], why: &str) -> Matched {
    Err(format!("at {}: {why}", path.concat()))
}

/// `None` where the expected value is no number.
fn same_number(expected: &Bson, actual: &Bson) -> Option<bool> {
    let expected = number(expected)?;
    Some(number(actual).is_some_and(|actual| actual == expected))
}

#[derive(PartialEq, PartialOrd)]
enum Number {
    Whole(i64),
    Broken(f64),
}

/// The value of a number of any type but decimal: one that is whole, as a whole number.
fn number(value: &Bson) -> Option<Number> {
    match value {
        Bson::Int32(n) => Some(Number::Whole(i64::from(*n))),
        Bson::Int64(n) => Some(Number::Whole(*n)),
        // Exact below 2^53; a double beyond is compared as a double.
        Bson::Double(n) if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 => Some(Number::Whole(*n as i64)),
        Bson::Double(n) => Some(Number::Broken(*n)),
        _ => None,
    }
}

fn at_most(limit: &Bson, actual: Option<&Bson>, path: &[String]) -> Matched {
    let as_double = |value: &Bson| match number(value)? {
        Number::Whole(n) => Some(n as f64),
        Number::Broken(n) => Some(n),
    };
    match (as_double(limit), actual.and_then(as_double)) {
        (Some(limit), Some(own)) if own <= limit => Ok(()),
        _ => fail(path, &format!("{actual:?} is not at most {limit}")),
    }
}

fn same_bytes(hex: &str, actual: Option<&Bson>, path: &[String]) -> Matched {
    let digits: Option<Vec<u8>> =
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    let Some(expected) = digits.filter(|_| hex.len().is_multiple_of(2)) else {
        return fail(path, &format!("{hex} are no hexadecimal bytes"));
    };
    match actual {
        Some(Bson::Binary(Binary { bytes, .. })) if *bytes == expected => Ok(()),
        _ => fail(path, &format!("{actual:?} where the bytes {hex} are expected")),
    }
}

fn type_fits(names: &Bson, actual: Option<&Bson>, path: &[String]) -> Matched {
    let Some(actual) = actual else { return fail(path, "missing; a value of some type is expected") };
    let names = match names {
        Bson::Array(names) => names.as_slice(),
        one => std::slice::from_ref(one),
    };
    let own = type_name(actual);
    for name in names {
        match name.as_str() {
            Some("number") if ["int", "long", "double", "decimal"].contains(&own) => return Ok(()),
            Some(name) if name == own => return Ok(()),
            Some(_) => {}
            None => return fail(path, &format!("{name} is no type's name")),
        }
    }
    fail(path, &format!("{actual} is of the type {own}, not {names:?}"))
}

/// The names of the query operator `$type`.
fn type_name(value: &Bson) -> &'static str {
    match value {
        Bson::Double(_) => "double",
        Bson::String(_) => "string",
        Bson::Document(_) => "object",
        Bson::Array(_) => "array",
        Bson::Binary(_) => "binData",
        Bson::Undefined => "undefined",
        Bson::ObjectId(_) => "objectId",
        Bson::Boolean(_) => "bool",
        Bson::DateTime(_) => "date",
        Bson::Null => "null",
        Bson::RegularExpression(_) => "regex",
        Bson::DbPointer(_) => "dbPointer",
        Bson::JavaScriptCode(_) => "javascript",
        Bson::Symbol(_) => "symbol",
        Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        Bson::Int32(_) => "int",
        Bson::Timestamp(_) => "timestamp",
        Bson::Int64(_) => "long",
        Bson::Decimal128(_) => "decimal",
        Bson::MinKey => "minKey",
        Bson::MaxKey => "maxKey",
    }
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    struct NoEntities;

    impl Lookup for NoEntities {
        fn value(&self, name: &str) -> Result<Bson, String> {
            if name == "known" { Ok(bson!({"a": 1})) } else { Err("unknown".to_owned()) }
        }
        fn session_id(&self, _: &str) -> Result<Document, String> {
            Err("no sessions".to_owned())
        }
    }

    fn fits(expected: Bson, actual: Bson) -> bool {
        match_root(&expected, Some(&actual), &NoEntities).is_ok()
    }

    #[test]
    fn extra_keys_are_for_the_root_alone() {
        assert!(fits(bson!({"a": 1}), bson!({"b": 2, "a": 1})));
        assert!(!fits(bson!({"a": {"x": 1}}), bson!({"a": {"x": 1, "y": 1}})));
        assert!(fits(bson!({"a": {"$$matchAsRoot": {"x": 1}}}), bson!({"a": {"x": 1, "y": 1}})));
        assert!(!fits(bson!({"a": 1}), bson!({})));
        assert!(match_nested(&bson!({"a": 1}), Some(&bson!({"a": 1, "b": 1})), &NoEntities).is_err());
    }

    #[test]
    fn numbers_compare_by_value_and_nothing_else_does() {
        assert!(fits(bson!({"a": 1}), bson!({"a": 1.0})));
        assert!(fits(bson!({"a": 1_i64}), bson!({"a": 1})));
        assert!(!fits(bson!({"a": 1}), bson!({"a": 1.5})));
        assert!(!fits(bson!({"a": 1}), bson!({"a": true})));
        assert!(!same_but_for_order(&bson!({"a": 1}), &bson!({"a": 1_i64})));
        assert!(same_but_for_order(&bson!({"a": 1, "b": 2}), &bson!({"b": 2, "a": 1})));
    }

    #[test]
    fn operators() {
        assert!(fits(bson!({"a": {"$$exists": true}, "b": {"$$exists": false}}), bson!({"a": null})));
        assert!(!fits(bson!({"a": {"$$exists": false}}), bson!({"a": null})));
        assert!(fits(bson!({"a": {"$$type": ["int", "long"]}}), bson!({"a": 5})));
        assert!(fits(bson!({"a": {"$$type": "number"}}), bson!({"a": 5.5})));
        assert!(!fits(bson!({"a": {"$$type": "string"}}), bson!({"a": 5})));
        assert!(fits(bson!({"a": {"$$unsetOrMatches": {"$$type": "int"}}}), bson!({})));
        assert!(!fits(bson!({"a": {"$$unsetOrMatches": 1}}), bson!({"a": 2})));
        assert!(
            fits(bson!({"a": {"$$lte": 5}}), bson!({"a": 5.0})) && !fits(bson!({"a": {"$$lte": 5}}), bson!({"a": 6}))
        );
        assert!(fits(bson!({"$$matchesEntity": "known"}), bson!({"a": 1})));
        assert!(!fits(bson!({"$$matchesEntity": "other"}), bson!({"a": 1})));
        assert!(fits(bson!({"a": {"$$matchAsDocument": {"x": 1}}}), bson!({"a": "{\"x\": 1}"})));
        assert!(!fits(bson!({"a": {"$$matchAsDocument": {"x": 1}}}), bson!({"a": "{\"x\": 1, \"y\": 2}"})));
        assert!(!fits(bson!({"a": {"$$unheardOf": 1}}), bson!({"a": 1})));
        let bytes = Bson::Binary(Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0x12, 0xab] });
        assert!(
            fits(bson!({"$$matchesHexBytes": "12AB"}), bytes.clone())
                && !fits(bson!({"$$matchesHexBytes": "12"}), bytes)
        );
    }

    #[test]
    fn documents_of_a_cursor_are_roots_each() {
        let found = [bson::doc! {"_id": 1, "x": 11}];
        assert!(match_documents(&bson!([{"_id": 1}]), &found, &NoEntities).is_ok());
        assert!(match_documents(&bson!([]), &found, &NoEntities).is_err());
    }
}
