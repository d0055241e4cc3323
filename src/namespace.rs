//! The full name of a collection.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The full name of a collection: its database and its own name. Written as `database.collection`.
///
/// ```
/// use mongo_blocking::Namespace;
///
/// let namespace: Namespace = "zoo.animals.old".parse()?;
/// assert_eq!((namespace.db.as_str(), namespace.coll.as_str()), ("zoo", "animals.old"));
/// assert_eq!(Namespace::new("zoo", "animals").to_string(), "zoo.animals");
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    /// The name of the database.
    pub db: String,
    /// The name of the collection within it.
    pub coll: String,
}

impl Namespace {
    /// The namespace of these names.
    pub fn new(db: impl Into<String>, coll: impl Into<String>) -> Self {
        Namespace { db: db.into(), coll: coll.into() }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.db, self.coll)
    }
}

/// The database ends at the first dot. Fails with [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) where a
/// name is missing.
impl FromStr for Namespace {
    type Err = Error;

    fn from_str(written: &str) -> Result<Self, Error> {
        match written.split_once('.') {
            Some((db, coll)) if !db.is_empty() && !coll.is_empty() => Ok(Namespace::new(db, coll)),
            _ => Err(Error::invalid_argument(format!("{written:?} is not a namespace: expected database.collection"))),
        }
    }
}

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From `"database.collection"`, or from `{ "db": .., "coll": .. }` as change streams have it.
impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Parts { db: String, coll: String },
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => text.parse().map_err(D::Error::custom),
            Written::Parts { db, coll } => Ok(Namespace { db, coll }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_namespace_without_both_names_is_refused() {
        for written in ["", ".", "zoo", "zoo.", ".animals"] {
            let error = written.parse::<Namespace>().unwrap_err();
            assert!(error.message().contains("expected database.collection"), "{error}");
        }
    }

    #[test]
    fn a_namespace_is_read_from_both_of_its_forms() {
        #[derive(Serialize, Deserialize)]
        struct Holder {
            ns: Namespace,
        }
        for written in [doc! { "ns": "zoo.a.b" }, doc! { "ns": { "db": "zoo", "coll": "a.b" } }] {
            let read: Holder = bson::deserialize_from_document(written).unwrap();
            assert_eq!(read.ns, Namespace::new("zoo", "a.b"));
            assert_eq!(bson::serialize_to_document(&read).unwrap(), doc! { "ns": "zoo.a.b" });
        }
    }
}
