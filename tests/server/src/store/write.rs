//! Inserts, updates and deletes of the tiny store.

use bson::{Bson, Document, doc, oid::ObjectId};

use super::equality::{identity, matches};
use super::{Answer, Collection, NOT_IMPLEMENTED, Store, document_or_empty, name_of, number, refuse};
use crate::answers::{error, integer, truth};

impl Store {
    pub(super) fn insert(&mut self, database: &str, command: &Document) -> Answer {
        let name = name_of(command)?;
        let documents = batch(command, "documents")?;
        let namespace = format!("{database}.{name}");
        let collection = self.collection(database, name);
        let mut n = 0;
        let errors = each(command, &documents, |document| {
            collection.add(document.clone(), &namespace)?;
            n += 1;
            Ok(())
        });
        Ok(finish(doc! {"n": number(n)}, errors))
    }

    pub(super) fn update(&mut self, database: &str, command: &Document) -> Answer {
        let name = name_of(command)?;
        let updates = batch(command, "updates")?;
        let namespace = format!("{database}.{name}");
        let collection = self.collection(database, name);
        let (mut n, mut modified, mut next) = (0, 0, 0);
        let mut upserted = Vec::new();
        let errors = each(command, &updates, |update| {
            let index = next;
            next += 1;
            let (matched, changed, id) = collection.update(update, &namespace)?;
            n += matched;
            modified += changed;
            if let Some(id) = id {
                n += 1;
                upserted.push(Bson::Document(doc! {"index": index, "_id": id}));
            }
            Ok(())
        });
        let mut answer = doc! {"n": number(n)};
        if !upserted.is_empty() {
            answer.insert("upserted", upserted);
        }
        answer.insert("nModified", number(modified));
        Ok(finish(answer, errors))
    }

    pub(super) fn delete(&mut self, database: &str, command: &Document) -> Answer {
        let name = name_of(command)?;
        let deletes = batch(command, "deletes")?;
        let collection = self.collection(database, name);
        let mut n = 0;
        let errors = each(command, &deletes, |delete| {
            refuse(delete, &["collation"])?;
            let limit = if integer(delete.get("limit")) == Some(1) { 1 } else { usize::MAX };
            n += collection.delete(&document_or_empty(delete, "q")?, limit)?;
            Ok(())
        });
        Ok(finish(doc! {"n": number(n)}, errors))
    }
}

impl Collection {
    fn add(&mut self, mut document: Document, namespace: &str) -> Result<(), Document> {
        if !document.contains_key("_id") {
            let mut with_id = doc! {"_id": ObjectId::new()};
            with_id.extend(document);
            document = with_id;
        }
        let id = document.get("_id").cloned().unwrap_or_default();
        if !self.ids.insert(identity(&id)) {
            let message =
                format!("E11000 duplicate key error collection: {namespace} index: _id_ dup key: {{ _id: {id} }}");
            return Err(doc! {
                "code": 11000, "errmsg": message, "keyPattern": {"_id": 1}, "keyValue": {"_id": id},
            });
        }
        self.documents.push(document);
        Ok(())
    }

    /// Matched, changed, and the id of an upserted document.
    fn update(&mut self, update: &Document, namespace: &str) -> Result<(usize, usize, Option<Bson>), Document> {
        refuse(update, &["arrayFilters", "collation"])?;
        let filter = document_or_empty(update, "q")?;
        let change = Change::read(update.get("u"))?;
        let multi = truth(update.get("multi"));
        if multi && matches!(change, Change::Replace(_)) {
            return Err(error(9, "multi update is not supported for replacement-style update"));
        }
        let (mut matched, mut changed) = (0, 0);
        for document in &mut self.documents {
            if !matches(document, &filter)? {
                continue;
            }
            matched += 1;
            let after = change.apply(document)?;
            if *document != after {
                changed += 1;
                *document = after;
            }
            if !multi {
                break;
            }
        }
        if matched > 0 || !truth(update.get("upsert")) {
            return Ok((matched, changed, None));
        }
        let id = filter.get("_id").cloned().or_else(|| change.id());
        let mut seed = doc! {"_id": id.unwrap_or_else(|| ObjectId::new().into())};
        seed.extend(filter);
        let document = change.apply(&seed)?;
        let id = document.get("_id").cloned();
        self.add(document, namespace)?;
        Ok((0, 0, id))
    }

    fn delete(&mut self, filter: &Document, limit: usize) -> Result<usize, Document> {
        let mut n = 0;
        let mut kept = Vec::with_capacity(self.documents.len());
        matches(&Document::new(), filter)?;
        for document in self.documents.drain(..) {
            if n < limit && matches(&document, filter) == Ok(true) {
                n += 1;
                self.ids.remove(&identity(document.get("_id").unwrap_or(&Bson::Null)));
            } else {
                kept.push(document);
            }
        }
        self.documents = kept;
        Ok(n)
    }
}

/// What an update does to a document.
enum Change {
    Set(Document),
    Replace(Document),
}

impl Change {
    fn read(update: Option<&Bson>) -> Result<Change, Document> {
        let Some(Bson::Document(update)) = update else {
            return Err(error(NOT_IMPLEMENTED, "the tiny store updates by a document only"));
        };
        match update.keys().next() {
            Some(key) if key == "$set" && update.len() == 1 => Ok(Change::Set(document_or_empty(update, "$set")?)),
            Some(key) if key.starts_with('$') => {
                Err(error(NOT_IMPLEMENTED, "the tiny store updates by $set and by replacement only"))
            }
            _ => Ok(Change::Replace(update.clone())),
        }
    }

    fn id(&self) -> Option<Bson> {
        let (Change::Set(change) | Change::Replace(change)) = self;
        change.get("_id").cloned()
    }

    /// The document afterwards. Its `_id` stays.
    fn apply(&self, before: &Document) -> Result<Document, Document> {
        let id = before.get("_id").cloned().unwrap_or_default();
        if self.id().is_some_and(|new| identity(&new) != identity(&id)) {
            return Err(error(66, "Performing an update on the path '_id' would modify the immutable field '_id'"));
        }
        let mut after = match self {
            Change::Set(_) => before.clone(),
            Change::Replace(_) => doc! {"_id": id.clone()},
        };
        let (Change::Set(change) | Change::Replace(change)) = self;
        for (key, value) in change {
            if matches!(self, Change::Set(_)) && key.contains('.') {
                return Err(error(NOT_IMPLEMENTED, "the tiny store sets fields of the document itself only"));
            }
            after.insert(key, value.clone());
        }
        after.insert("_id", id);
        Ok(after)
    }
}

/// Runs one step after the other; stops at the first error if the command is ordered, as it is by default.
fn each(command: &Document, steps: &[Document], mut run: impl FnMut(&Document) -> Result<(), Document>) -> Vec<Bson> {
    let ordered = command.get("ordered").is_none_or(|ordered| truth(Some(ordered)));
    let mut errors = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if let Err(mut refused) = run(step) {
            refused.remove("ok");
            let mut entry = doc! {"index": number(index)};
            entry.extend(refused);
            errors.push(Bson::Document(entry));
            if ordered {
                break;
            }
        }
    }
    errors
}

fn batch(command: &Document, key: &str) -> Result<Vec<Document>, Document> {
    let steps = command.get_array(key).map_err(|_| error(14, &format!("{key} must be an array")))?;
    let steps: Vec<Document> = steps.iter().filter_map(|s| s.as_document().cloned()).collect();
    if steps.is_empty() || steps.len() > MAX_BATCH {
        let message = format!("Write batch sizes must be between 1 and {MAX_BATCH}. Got {} operations.", steps.len());
        return Err(error(16, &message));
    }
    Ok(steps)
}

fn finish(mut answer: Document, errors: Vec<Bson>) -> Document {
    if !errors.is_empty() {
        answer.insert("writeErrors", errors);
    }
    answer.insert("ok", 1.0);
    answer
}

/// The most writes in one command, as hello says.
const MAX_BATCH: usize = 100_000;
