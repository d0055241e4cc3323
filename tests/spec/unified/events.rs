//! The events of one client, and whether they are the expected ones.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bson::{Bson, Document, RawDocument, doc};
use mongo_blocking::event::{CommandEvent, ConnectionInfo, EventHandler};

use super::file::{ClientEntity, EventFacts, ExpectedEvent, ExpectedEvents, StoredEvents};
use super::matching::{Lookup, match_root};

/// What a client's handler keeps.
pub struct EventLog {
    observed: Vec<&'static str>,
    ignored_commands: Vec<String>,
    observes_sensitive_commands: bool,
    events: Mutex<Vec<CommandEvent>>,
    stored: Vec<(StoredEvents, Mutex<Vec<Bson>>)>,
}

impl EventLog {
    pub fn new(client: &ClientEntity) -> Arc<EventLog> {
        Arc::new(EventLog {
            observed: client.observed_events.clone(),
            ignored_commands: client.ignored_commands.clone(),
            observes_sensitive_commands: client.observes_sensitive_commands,
            events: Mutex::default(),
            stored: client.stored_events.iter().map(|stored| (stored.clone(), Mutex::default())).collect(),
        })
    }

    pub fn handler(self: &Arc<Self>) -> EventHandler<CommandEvent> {
        let log = self.clone();
        EventHandler::new(move |event| log.keep(event))
    }

    /// The events so far that the file wants to see.
    pub fn events(&self) -> Vec<CommandEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The documents of a list that `storeEventsAsEntities` asked for.
    pub fn stored(&self, id: &str) -> Option<Bson> {
        let (_, events) = self.stored.iter().find(|(stored, _)| stored.id == id)?;
        Some(Bson::Array(events.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn keep(&self, event: &CommandEvent) {
        for (stored, list) in &self.stored {
            if stored.events.iter().any(|name| name.eq_ignore_ascii_case(name_of(event))) {
                list.lock().unwrap_or_else(PoisonError::into_inner).push(Bson::Document(described(event)));
            }
        }
        let command = event.command_name();
        let sensitive = SENSITIVE.contains(&command) || (HELLO.contains(&command) && is_redacted(event));
        let ignored = command == "configureFailPoint" || self.ignored_commands.iter().any(|ignored| ignored == command);
        if self.observed.contains(&name_of(event)) && !ignored && (self.observes_sensitive_commands || !sensitive) {
            self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        }
    }
}

/// Whether the client sent these events, in this order, and (unless the file ignores extra ones) no others.
pub fn check(expected: &ExpectedEvents, log: &EventLog, lookup: &dyn Lookup) -> Result<(), String> {
    let events = log.events();
    let seen = || events.iter().map(|event| format!("{} {}", name_of(event), event.command_name())).collect::<Vec<_>>();
    for (at, expected) in expected.events.iter().enumerate() {
        let Some(event) = events.get(at) else {
            return Err(format!("event {at}, a {}, did not come; there were {:?}", expected.name, seen()));
        };
        fits(expected, event, lookup).map_err(|why| format!("event {at}: {why}; there were {:?}", seen()))?;
    }
    if events.len() > expected.events.len() && !expected.ignores_extra {
        return Err(format!("more events than expected: {:?}", seen()));
    }
    Ok(())
}

/// Whether one event is what is expected.
pub fn fits(expected: &ExpectedEvent, event: &CommandEvent, lookup: &dyn Lookup) -> Result<(), String> {
    if expected.name != name_of(event) {
        return Err(format!("a {} where a {} is expected", name_of(event), expected.name));
    }
    let facts = &expected.facts;
    match event {
        CommandEvent::Started(started) => {
            document_fits("command", facts.command.as_ref(), &started.command, lookup)?;
            common_facts_fit(facts, &started.command_name, &started.database, &started.connection)
        }
        CommandEvent::Succeeded(succeeded) => {
            document_fits("reply", facts.reply.as_ref(), &succeeded.reply, lookup)?;
            common_facts_fit(facts, &succeeded.command_name, &succeeded.database, &succeeded.connection)
        }
        CommandEvent::Failed(failed) => {
            common_facts_fit(facts, &failed.command_name, &failed.database, &failed.connection)
        }
        other => Err(format!("the runner does not know {other:?}")),
    }
}

fn document_fits(
    what: &str,
    expected: Option<&Document>,
    actual: &RawDocument,
    lookup: &dyn Lookup,
) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let actual = Bson::Document(Document::try_from(actual).map_err(|e| format!("the {what} is no BSON: {e}"))?);
    match_root(&Bson::Document(expected.clone()), Some(&actual), lookup)
        .map_err(|why| format!("the {what} {actual}: {why}"))
}

fn common_facts_fit(facts: &EventFacts, name: &str, database: &str, at: &ConnectionInfo) -> Result<(), String> {
    if let Some(expected) = facts.command_name.as_ref().filter(|expected| *expected != name) {
        return Err(format!("commandName {name} where {expected} is expected"));
    }
    if let Some(expected) = facts.database_name.as_ref().filter(|expected| *expected != database) {
        return Err(format!("databaseName {database} where {expected} is expected"));
    }
    let has_service = at.service_id.is_some_and(|id| id.bytes() != [0; 12]);
    if facts.has_service_id.is_some_and(|expected| expected != has_service) {
        return Err(format!("serviceId is {:?}", at.service_id));
    }
    let has_connection = at.server_connection_id.is_some_and(|id| id > 0);
    if facts.has_server_connection_id.is_some_and(|expected| expected != has_connection) {
        return Err(format!("serverConnectionId is {:?}", at.server_connection_id));
    }
    Ok(())
}

fn name_of(event: &CommandEvent) -> &'static str {
    match event {
        CommandEvent::Started(_) => "commandStartedEvent",
        CommandEvent::Succeeded(_) => "commandSucceededEvent",
        CommandEvent::Failed(_) => "commandFailedEvent",
        _ => "an event of a kind that the runner does not know",
    }
}

/// Commands with credentials are shown empty by the driver.
fn is_redacted(event: &CommandEvent) -> bool {
    match event {
        CommandEvent::Started(started) => started.command.is_empty(),
        CommandEvent::Succeeded(succeeded) => succeeded.reply.is_empty(),
        _ => false,
    }
}

/// An event as `storeEventsAsEntities` keeps it.
fn described(event: &CommandEvent) -> Document {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut document = doc! {"name": name_of(event).replacen('c', "C", 1), "observedAt": now};
    document.insert("commandName", event.command_name());
    document.insert("requestId", event.request_id());
    match event {
        CommandEvent::Started(started) => {
            document.insert("databaseName", &started.database);
            document.insert("connectionId", &started.connection.address);
        }
        CommandEvent::Succeeded(succeeded) => {
            document.insert("duration", succeeded.duration.as_secs_f64());
            document.insert("connectionId", &succeeded.connection.address);
        }
        CommandEvent::Failed(failed) => {
            document.insert("duration", failed.duration.as_secs_f64());
            document.insert("connectionId", &failed.connection.address);
            document.insert("failure", failed.failure.to_string());
        }
        _ => {}
    }
    document
}

const HELLO: &[&str] = &["hello", "isMaster", "ismaster"];
const SENSITIVE: &[&str] = &[
    "authenticate",
    "saslStart",
    "saslContinue",
    "getnonce",
    "createUser",
    "updateUser",
    "copydbgetnonce",
    "copydbsaslstart",
    "copydb",
];
