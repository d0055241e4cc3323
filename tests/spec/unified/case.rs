//! Runs one case: data, entities, operations, then events and what the collections hold.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use mongo_blocking::options::{ReadPreference, ReadPreferenceMode};
use mongo_blocking::{Client, Error};

use super::deployment::Deployment;
use super::entities::{Entities, Entity};
use super::errors;
use super::events;
use super::file::{CollectionData, Entity as EntityDescription, Operation, Test, TestFile};
use super::matching::{Lookup, match_documents, match_root, same_but_for_order};
use super::mode::Mode;
use super::operations::{self, Outcome, Trouble};

/// What a running case has.
pub struct Case {
    pub deployment: Arc<Deployment>,
    pub mode: Mode,
    pub entities: Entities,
    /// The fail points that are to be turned off afterwards.
    fail_points: Mutex<Vec<String>>,
}

/// Runs a test of a file on a deployment that suits it.
pub fn run(file: &TestFile, test: &Test, deployment: &Arc<Deployment>, mode: Mode) -> Result<(), String> {
    let _turn = deployment.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let case = Arc::new(Case {
        deployment: deployment.clone(),
        mode,
        entities: Entities::default(),
        fail_points: Mutex::default(),
    });
    let result = case.run(file, test);
    drop(case);
    if result.is_err() || test.operations.iter().any(|operation| operation.name.ends_with("Transaction")) {
        end_sessions(deployment);
    }
    result
}

impl Case {
    fn run(self: &Arc<Self>, file: &TestFile, test: &Test) -> Result<(), String> {
        let internal = &self.deployment.internal;
        for data in &file.initial_data {
            fill(internal, data).map_err(|e| format!("initial data: {e}"))?;
        }
        let ran = self.run_operations(file, test);
        let turned_off = self.turn_off_fail_points();
        ran.and(turned_off)?;
        for expected in &test.events {
            let log = &self.entities.client_handle(&expected.client)?.log;
            events::check(expected, log, &self.entities).map_err(|why| format!("client {}: {why}", expected.client))?;
        }
        test.outcome.iter().try_for_each(|data| check_outcome(internal, data))
    }

    fn run_operations(self: &Arc<Self>, file: &TestFile, test: &Test) -> Result<(), String> {
        file.entities.iter().try_for_each(|entity| self.create(entity))?;
        test.operations.iter().enumerate().try_for_each(|(at, operation)| {
            self.operation(operation).map_err(|why| format!("operation {at}, {}: {why}", operation.name))
        })
    }

    /// Makes an entity as the file describes it.
    pub fn create(&self, described: &EntityDescription) -> Result<(), String> {
        self.entities.create(described, &self.deployment, self.mode)
    }

    /// Runs an operation and judges what came of it.
    pub fn operation(self: &Arc<Self>, operation: &Operation) -> Result<(), String> {
        self.operation_and_error(operation).map(drop)
    }

    /// The same, with the driver's error where there was one as expected.
    pub fn operation_and_error(self: &Arc<Self>, operation: &Operation) -> Result<Option<Error>, String> {
        let ran = operations::run(self, operation);
        if let Err(Trouble::OfRunner(why)) = ran {
            return Err(why);
        }
        if operation.ignores_result_and_error {
            return Ok(match ran {
                Err(Trouble::OfDriver(error)) => Some(error),
                _ => None,
            });
        }
        match (ran, &operation.expected_error) {
            (Err(Trouble::OfDriver(error)), Some(expected)) => {
                errors::check(expected, &error, &self.entities).map(|()| Some(error))
            }
            (Err(Trouble::OfDriver(error)), None) => Err(format!("{error:?}")),
            (Err(Trouble::OfRunner(why)), _) => Err(why),
            (Ok(_), Some(expected)) => Err(format!("succeeded where an error is expected: {expected:?}")),
            (Ok(outcome), None) => self.judge(operation, outcome).map(|()| None),
        }
    }

    fn judge(&self, operation: &Operation, outcome: Outcome) -> Result<(), String> {
        if let Some(expected) = &operation.expected_result {
            match &outcome {
                Outcome::Nothing => match_root(expected, None, &self.entities)?,
                Outcome::Value(value) => match_root(expected, Some(value), &self.entities)?,
                Outcome::Documents(documents) => match_documents(expected, documents, &self.entities)?,
                Outcome::Cursor(_) => return Err("a cursor can't be compared with a result".to_owned()),
                Outcome::Collection(_) => return Err("a collection can't be compared with a result".to_owned()),
            }
        }
        let Some(name) = &operation.save_as else { return Ok(()) };
        let entity = match outcome {
            Outcome::Nothing => return Err("there is no result to save".to_owned()),
            Outcome::Value(value) => Entity::Value(value),
            Outcome::Documents(documents) => Entity::Value(documents.into_iter().map(Bson::Document).collect()),
            Outcome::Collection(collection) => Entity::Collection(*collection),
            Outcome::Cursor(cursor) => Entity::Cursor(Arc::new(Mutex::new(Some(*cursor)))),
        };
        self.entities.store(name, entity)
    }

    pub fn note_fail_point(&self, name: &str) {
        self.fail_points.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    fn turn_off_fail_points(&self) -> Result<(), String> {
        let names = std::mem::take(&mut *self.fail_points.lock().unwrap_or_else(PoisonError::into_inner));
        names.into_iter().try_for_each(|name| {
            let waited = match name.as_str() {
                "onPrimaryTransactionalWrite" => self.deployment.servers.iter().try_for_each(wait_for_writes),
                _ => Ok(()),
            };
            // On every server: the one that it was set on may be the primary no more.
            let turned_off = self.deployment.servers.iter().try_for_each(|server| {
                let command = doc! {"configureFailPoint": &name, "mode": "off"};
                let turned_off = server.database("admin").run_command(command).run();
                turned_off.map(drop).map_err(|e| format!("the fail point {name} stays on: {e}"))
            });
            turned_off.and(waited)
        })
    }
}

/// Waits until a server is at work on no numbered write.
///
/// A server first closes the connection of a write that this fail point breaks, and fails the write after that. Documents that were to be
/// inserted together are then inserted one by one, each of which meets the fail point again. A client learns of the closed connection
/// in the midst of that, and a document whose turn comes when the fail point is off is inserted.
fn wait_for_writes(server: &Client) -> Result<(), String> {
    let writes = doc! {"aggregate": 1, "cursor": {}, "pipeline": [
        {"$currentOp": {"allUsers": true}}, {"$match": {"active": true, "command.txnNumber": {"$exists": true}}},
    ]};
    let began = Instant::now();
    loop {
        // Every server is asked, and a secondary answers nobody who wants the primary.
        let anyone = ReadPreference::with_mode(ReadPreferenceMode::PrimaryPreferred, None);
        let reply = server.database("admin").run_command(writes.clone()).read_preference(anyone).run();
        let reply = reply.map_err(|e| format!("$currentOp: {e}"))?;
        let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let batch = batch.map_err(|e| format!("$currentOp: {e}"))?;
        if batch.is_empty() {
            return Ok(());
        }
        if began.elapsed() > WRITE_LIMIT {
            return Err(format!("a write goes on although its client is gone: {batch:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// How long a server may be at work on a write whose connection it has closed.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// A case may leave a transaction open, for which the next one would wait.
fn end_sessions(deployment: &Deployment) {
    if deployment.facts.topology != "single" {
        // Its own session is among those that it ends, which it says by an error.
        let _ = deployment.internal.database("admin").run_command(doc! {"killAllSessions": []}).run();
    }
}

/// Prepares a collection, by plain commands: what is under test has no part in it.
fn fill(client: &Client, data: &CollectionData) -> Result<(), String> {
    let majority = doc! {"w": "majority"};
    let run = |command: Document| client.database(&data.database).run_command(command).run();
    match run(doc! {"drop": &data.collection, "writeConcern": majority.clone()}) {
        Err(error) if error.code() != Some(NAMESPACE_NOT_FOUND) => return Err(format!("{error:#}")),
        _ => {}
    }
    if data.create_options.is_some() || data.documents.is_empty() {
        let mut create = doc! {"create": &data.collection, "writeConcern": majority.clone()};
        create.extend(data.create_options.clone().unwrap_or_default());
        run(create).map_err(|e| e.to_string())?;
    }
    if data.documents.is_empty() {
        return Ok(());
    }
    let insert = doc! {"insert": &data.collection, "documents": &data.documents, "writeConcern": majority};
    let inserted = run(insert).map_err(|e| e.to_string())?;
    if inserted.contains_key("writeErrors") { Err(format!("{inserted}")) } else { Ok(()) }
}

/// The collection must hold these documents and no others.
fn check_outcome(client: &Client, data: &CollectionData) -> Result<(), String> {
    let command = doc! {"find": &data.collection, "sort": {"_id": 1}, "batchSize": 10_000, "singleBatch": true};
    let reply = client.database(&data.database).run_command(command).run();
    let found = reply.map_err(|e| format!("the outcome could not be read: {e}"))?;
    let found = found.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let found = found.map_err(|e| format!("the outcome could not be read: {e}"))?;
    let same = found.len() == data.documents.len()
        && data
            .documents
            .iter()
            .zip(found)
            .all(|(expected, found)| same_but_for_order(&Bson::Document(expected.clone()), found));
    if same {
        return Ok(());
    }
    Err(format!("{}.{} holds {found:?} where {:?} is expected", data.database, data.collection, data.documents))
}

pub const NAMESPACE_NOT_FOUND: i32 = 26;

/// A lookup for where there are no entities.
pub struct NoEntities;

impl Lookup for NoEntities {
    fn value(&self, name: &str) -> Result<Bson, String> {
        Err(format!("there is no entity {name} here"))
    }

    fn session_id(&self, name: &str) -> Result<Document, String> {
        Err(format!("there is no session {name} here"))
    }
}
