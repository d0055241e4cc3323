//! Which cases use a part of the driver that is not built yet. Each rule looks at what the case says, never at how it went;
//! when a part lands, its rules here go.

use bson::{Bson, Document, doc};

use super::file::{Entity, Operation, Test, TestFile};
use super::known_operations::{Status, status};
use mongo_blocking_test_server::report::Part;

/// The part that a case needs and the driver lacks.
pub fn missing_part(file: &TestFile, test: &Test) -> Option<Part> {
    let operations = flatten(&test.operations);
    let entities = all_entities(file, &operations);
    operations
        .iter()
        .find_map(|operation| part_of_operation(&entities, operation))
        .or_else(|| part_of_entities(&entities, test, &operations))
        .or_else(|| test.expects_logs.then_some(Part::LogMessages))
        .or_else(|| test.expects_traces.then_some(Part::Tracing))
}

/// The entities of the file, and those that the test makes while it runs.
fn all_entities(file: &TestFile, operations: &[Document]) -> Vec<Entity> {
    let created = operations.iter().filter(|operation| is_named(operation, "createEntities"));
    let described = created.filter_map(|operation| operation.get_document("arguments").ok()?.get("entities"));
    let created = described.filter_map(|described| super::file::read_entities(described).ok()).flatten();
    file.entities.iter().cloned().chain(created).collect()
}

/// The operations of a test with the kind of object each is called on, where that is known before the test runs.
pub fn operations_of(file: &TestFile, test: &Test) -> Vec<(&'static str, String)> {
    let operations = flatten(&test.operations);
    let entities = all_entities(file, &operations);
    let of_kind = operations.iter().filter_map(|operation| {
        let kind = kind_of(&entities, operation.get_str("object").ok()?)?;
        Some((kind, operation.get_str("name").ok()?.to_owned()))
    });
    of_kind.collect()
}

fn is_named(operation: &Document, name: &str) -> bool {
    operation.get_str("name").is_ok_and(|own| own == name)
}

fn part_of_operation(entities: &[Entity], operation: &Document) -> Option<Part> {
    let arguments = operation.get_document("arguments").ok();
    let has = |key: &str| arguments.is_some_and(|arguments| arguments.contains_key(key));
    let name = operation.get_str("name").unwrap_or_default();
    let kind = kind_of(entities, operation.get_str("object").unwrap_or_default())?;
    match (status(kind, name), name) {
        (Status::NotBuilt(part), _) => Some(part),
        (Status::Runs, _) if has("rawData") => Some(Part::RawData),
        (Status::Runs, _) if has("encryptedFields") => Some(Part::Encryption),
        (Status::Runs, _) if has("timeoutMS") || has("timeoutMode") => Some(Part::OperationTimeouts),
        _ => None,
    }
}

/// The kind of object that an operation is called on; `None` for what an earlier operation saved.
fn kind_of(entities: &[Entity], object: &str) -> Option<&'static str> {
    match object {
        "testRunner" => Some("testRunner"),
        _ => entities.iter().find(|entity| entity.id() == object).map(Entity::kind),
    }
}

/// Entities of a kind that is not built are declared all the same: only a case that names one, or one that hangs on it, needs
/// the part.
fn part_of_entities(entities: &[Entity], test: &Test, operations: &[Document]) -> Option<Part> {
    let known = |id: &str| entities.iter().any(|entity| entity.id() == id);
    let mut unbuilt: Vec<(&str, Part)> = Vec::new();
    for entity in entities {
        let of_parent = unbuilt.iter().find(|(id, _)| entity.parent() == Some(id)).map(|(_, part)| *part);
        if let Some(part) = part_of_entity(entity, &known).or(of_parent) {
            unbuilt.push((entity.id(), part));
        }
    }
    unbuilt.into_iter().find(|(id, _)| names(test, operations, id)).map(|(_, part)| part)
}

/// What an entity needs. One that refers to an entity which isn't there needs nothing: making it is an error.
pub fn part_of_entity(entity: &Entity, known: &dyn Fn(&str) -> bool) -> Option<Part> {
    match entity {
        Entity::Client(client) if client.encrypts => Some(Part::Encryption),
        Entity::Bucket { database, .. } if known(database) => Some(Part::GridFs),
        Entity::ClientEncryption { client, .. } if known(client) => Some(Part::Encryption),
        Entity::Database { client, options, .. } if known(client) && options.has_timeout => {
            Some(Part::OperationTimeouts)
        }
        Entity::Collection { database, options, .. } if known(database) && options.has_timeout => {
            Some(Part::OperationTimeouts)
        }
        _ => None,
    }
}

/// Whether the test speaks of this entity anywhere.
fn names(test: &Test, operations: &[Document], id: &str) -> bool {
    let events = test.events.iter().flat_map(|expected| &expected.events);
    let operations = operations.iter().filter(|operation| !is_named(operation, "createEntities"));
    let mut commands = operations.chain(events.filter_map(|event| event.facts.command.as_ref()));
    commands.any(|command| mentions(&Bson::Document(command.clone()), id))
}

fn mentions(value: &Bson, id: &str) -> bool {
    match value {
        Bson::String(text) => text == id,
        Bson::Array(items) => items.iter().any(|item| mentions(item, id)),
        Bson::Document(document) => document.values().any(|item| mentions(item, id)),
        _ => false,
    }
}

/// The operations as documents, those that stand in the arguments of others included.
fn flatten(operations: &[Operation]) -> Vec<Document> {
    let mut found = Vec::new();
    for operation in operations {
        let arguments = Bson::Document(operation.arguments.clone());
        found.push(doc! {"name": &operation.name, "object": &operation.object, "arguments": arguments.clone()});
        collect_nested(&arguments, &mut found);
    }
    found
}

fn collect_nested(value: &Bson, found: &mut Vec<Document>) {
    match value {
        Bson::Array(items) => items.iter().for_each(|item| collect_nested(item, found)),
        Bson::Document(document) => {
            if document.contains_key("name") && document.contains_key("object") {
                found.push(document.clone());
            }
            document.values().for_each(|item| collect_nested(item, found));
        }
        _ => {}
    }
}
