//! The tiny store: documents in memory, found by equality. It is there so that tests and the quickstart work with nothing
//! installed, and it stays tiny: what it can't do it says, and a real server behind the fake server is for the rest.

mod cursors;
mod equality;
mod write;

use std::collections::{BTreeMap, HashSet};

use bson::{Bson, Document, doc};

use crate::answers::{error, integer, truth};
use cursors::Cursors;

/// All databases.
#[derive(Debug, Default)]
pub(crate) struct Store {
    databases: BTreeMap<String, BTreeMap<String, Collection>>,
    cursors: Cursors,
}

/// One collection: documents in the order they came, and their ids.
#[derive(Debug, Default)]
struct Collection {
    documents: Vec<Document>,
    ids: HashSet<Vec<u8>>,
}

impl Store {
    /// True if `run` would run a command of this name.
    pub(crate) fn knows(name: &str) -> bool {
        COMMANDS.contains(&name)
    }

    /// Runs a command; `None` if it is none of the few it knows.
    pub(crate) fn run(&mut self, database: &str, command: &Document) -> Option<Document> {
        let answer = match command.keys().next()?.as_str() {
            "insert" => self.insert(database, command),
            "update" => self.update(database, command),
            "delete" => self.delete(database, command),
            "find" => self.find(database, command),
            "aggregate" => self.aggregate(database, command),
            "count" => self.count(database, command),
            "getMore" => self.cursors.get_more(database, command),
            "killCursors" => self.cursors.kill(command),
            "drop" => self.drop_collection(database, command),
            "listDatabases" => self.list_databases(command),
            "listCollections" => self.list_collections(database, command),
            "endSessions" => Ok(doc! {"ok": 1.0}),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|refused| refused))
    }

    fn find(&mut self, database: &str, command: &Document) -> Answer {
        let name = name_of(command)?;
        refuse(command, &["sort", "projection", "min", "max", "collation", "tailable"])?;
        let filter = document_or_empty(command, "filter")?;
        let skip = whole(command, "skip")?;
        let limit = whole(command, "limit")?;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let found = self.matching(database, name, &filter)?.skip(skip).take(limit).cloned().collect();
        self.cursors.open(&format!("{database}.{name}"), found, command)
    }

    /// Only what counting documents sends: `$match` by equality, `$skip`, `$limit`, then `$group` that sums ones.
    fn aggregate(&mut self, database: &str, command: &Document) -> Answer {
        let name = name_of(command)?;
        let pipeline = command.get_array("pipeline").map_err(|_| error(14, "pipeline must be an array"))?;
        let mut filter = Document::new();
        let (mut skip, mut limit, mut grouped) = (0, usize::MAX, None);
        for stage in pipeline {
            let stage = stage.as_document().ok_or_else(|| error(14, "a stage must be a document"))?;
            match (stage.keys().next().map(String::as_str), grouped.is_some()) {
                (Some("$match"), false) => filter = document_or_empty(stage, "$match")?,
                (Some("$skip"), false) => skip = whole(stage, "$skip")?,
                (Some("$limit"), false) => limit = whole(stage, "$limit")?,
                (Some("$group"), false) => grouped = Some(count_group(stage)?),
                _ => return Err(error(NOT_IMPLEMENTED, "the tiny store aggregates only to count documents")),
            }
        }
        let (id, field) =
            grouped.ok_or_else(|| error(NOT_IMPLEMENTED, "the tiny store aggregates only to count documents"))?;
        let n = self.matching(database, name, &filter)?.skip(skip).take(limit).count();
        let groups = if n == 0 { Vec::new() } else { vec![doc! {"_id": id, field: number(n)}] };
        let cursor = document_or_empty(command, "cursor")?;
        self.cursors.open(&format!("{database}.{name}"), groups, &cursor)
    }

    fn count(&mut self, database: &str, command: &Document) -> Answer {
        let filter = document_or_empty(command, "query")?;
        let skip = whole(command, "skip")?;
        let limit = whole(command, "limit")?;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let n = self.matching(database, name_of(command)?, &filter)?.skip(skip).take(limit).count();
        Ok(doc! {"n": number(n), "ok": 1.0})
    }

    fn drop_collection(&mut self, database: &str, command: &Document) -> Answer {
        let name = name_of(command)?;
        let collections = self.databases.get_mut(database).ok_or_else(|| error(26, "ns not found"))?;
        collections.remove(name).ok_or_else(|| error(26, "ns not found"))?;
        if collections.is_empty() {
            self.databases.remove(database);
        }
        Ok(doc! {"nIndexesWas": 1, "ns": format!("{database}.{name}"), "ok": 1.0})
    }

    fn list_databases(&mut self, command: &Document) -> Answer {
        let filter = document_or_empty(command, "filter")?;
        let names_only = truth(command.get("nameOnly"));
        let mut databases = Vec::new();
        let mut total = 0;
        for (name, collections) in &self.databases {
            let documents = collections.values().flat_map(|c| &c.documents);
            let size: i64 = documents.map(|d| d.to_vec().map_or(0, |bytes| bytes.len() as i64)).sum();
            let entry = doc! {"name": name, "sizeOnDisk": size, "empty": false};
            if equality::matches(&entry, &filter)? {
                total += size;
                databases.push(Bson::Document(if names_only {
                    doc! {"name": name}
                } else {
                    entry
                }));
            }
        }
        if names_only {
            return Ok(doc! {"databases": databases, "ok": 1.0});
        }
        Ok(doc! {"databases": databases, "totalSize": total, "totalSizeMb": total / 1_048_576, "ok": 1.0})
    }

    fn list_collections(&mut self, database: &str, command: &Document) -> Answer {
        let filter = document_or_empty(command, "filter")?;
        let mut found = Vec::new();
        for name in self.databases.get(database).into_iter().flat_map(|c| c.keys()) {
            let entry = doc! {
                "name": name, "type": "collection", "options": {}, "info": {"readOnly": false},
                "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"},
            };
            if equality::matches(&entry, &filter)? {
                found.push(if truth(command.get("nameOnly")) {
                    doc! {"name": name, "type": "collection"}
                } else {
                    entry
                });
            }
        }
        let cursor = document_or_empty(command, "cursor")?;
        self.cursors.open(&format!("{database}.$cmd.listCollections"), found, &cursor)
    }

    fn collection(&mut self, database: &str, name: &str) -> &mut Collection {
        self.databases.entry(database.to_owned()).or_default().entry(name.to_owned()).or_default()
    }

    /// The documents of a collection that match. The filter is checked before, even if nothing is there.
    fn matching<'a>(
        &'a self,
        database: &str,
        name: &str,
        filter: &'a Document,
    ) -> Result<impl Iterator<Item = &'a Document>, Document> {
        equality::matches(&Document::new(), filter)?;
        let collection = self.databases.get(database).and_then(|c| c.get(name));
        let documents = collection.map(|c| c.documents.as_slice()).unwrap_or_default();
        Ok(documents.iter().filter(|d| equality::matches(d, filter) == Ok(true)))
    }
}

/// An answer, or one that refuses.
type Answer = Result<Document, Document>;

/// The collection that the command's first element names.
fn name_of(command: &Document) -> Result<&str, Document> {
    let name = command.iter().next().and_then(|(_, value)| value.as_str()).unwrap_or_default();
    if name.is_empty() || name.contains('\0') {
        return Err(error(73, "Invalid namespace specified"));
    }
    Ok(name)
}

fn document_or_empty(of: &Document, key: &str) -> Result<Document, Document> {
    match of.get(key) {
        None | Some(Bson::Null) => Ok(Document::new()),
        Some(Bson::Document(document)) => Ok(document.clone()),
        Some(_) => Err(error(14, &format!("Expected field {key} to be of type object"))),
    }
}

/// A count that is not below zero; 0 if it is not there.
fn whole(of: &Document, key: &str) -> Result<usize, Document> {
    match of.get(key) {
        None | Some(Bson::Null) => Ok(0),
        value => integer(value)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| error(2, &format!("{key} must be a whole number that is not negative"))),
    }
}

/// Refuses options that would change the outcome.
fn refuse(command: &Document, names: &[&str]) -> Result<(), Document> {
    for name in names {
        let given = match command.get(name) {
            None | Some(Bson::Null | Bson::Boolean(false)) => false,
            Some(Bson::Document(document)) => !document.is_empty(),
            Some(_) => true,
        };
        if given {
            return Err(error(NOT_IMPLEMENTED, &format!("the tiny store has no {name}")));
        }
    }
    Ok(())
}

/// `{$group: {_id: constant, field: {$sum: 1}}}`, taken apart.
fn count_group(stage: &Document) -> Result<(Bson, String), Document> {
    let refused = || error(NOT_IMPLEMENTED, "the tiny store groups only to count documents");
    let group = stage.get_document("$group").map_err(|_| refused())?;
    let mut fields = group.iter();
    match (fields.next(), fields.next(), fields.next()) {
        (Some((key, id)), Some((field, Bson::Document(sum))), None)
            if key == "_id" && id.as_document().is_none() && integer(sum.get("$sum")) == Some(1) =>
        {
            Ok((id.clone(), field.clone()))
        }
        _ => Err(refused()),
    }
}

fn number(n: usize) -> Bson {
    i32::try_from(n).map_or_else(|_| Bson::Int64(n as i64), Bson::Int32)
}

const COMMANDS: [&str; 12] = [
    "insert",
    "update",
    "delete",
    "find",
    "aggregate",
    "count",
    "getMore",
    "killCursors",
    "drop",
    "listDatabases",
    "listCollections",
    "endSessions",
];

const NOT_IMPLEMENTED: i32 = 238;

#[cfg(test)]
mod tests;
