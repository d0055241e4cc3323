//! The events, log messages and traces that a case expects.

use bson::Document;

use super::entity::{LOG_COMPONENTS, LOG_LEVELS};
use super::reader::{Object, Result, Rule, Value};

/// The events of one kind that a client is expected to have sent.
#[derive(Clone, Debug)]
pub struct ExpectedEvents {
    pub client: String,
    pub kind: EventKind,
    pub events: Vec<ExpectedEvent>,
    pub ignores_extra: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Command,
    /// Of the connection pool.
    Cmap,
    /// Of discovery and monitoring.
    Sdam,
}

/// One event: its name and what must be true of it.
#[derive(Clone, Debug)]
pub struct ExpectedEvent {
    pub kind: EventKind,
    pub name: String,
    pub facts: EventFacts,
}

/// What must be true of an event; what is `None` is not judged.
#[derive(Clone, Debug, Default)]
pub struct EventFacts {
    pub command: Option<Document>,
    pub reply: Option<Document>,
    pub command_name: Option<String>,
    pub database_name: Option<String>,
    pub has_service_id: Option<bool>,
    pub has_server_connection_id: Option<bool>,
    /// Why a connection was closed or not given.
    pub reason: Option<String>,
    pub interrupts_in_use_connections: Option<bool>,
    /// Of a heartbeat.
    pub awaited: Option<bool>,
    /// Types of a server or of a topology, before and after a change.
    pub previous_type: Option<&'static str>,
    pub new_type: Option<&'static str>,
}

pub fn read_events(value: Value<'_>) -> Result<ExpectedEvents> {
    let mut object = value.object()?;
    let client = object.required("client")?.string()?;
    let kind = match object.optional("eventType").map(|v| v.one_of(&["command", "cmap", "sdam"])).transpose()? {
        None | Some("command") => EventKind::Command,
        Some("cmap") => EventKind::Cmap,
        Some(_) => EventKind::Sdam,
    };
    let events = object.required("events")?.each(|event| {
        let read = read_event(&event)?;
        if read.kind == kind { Ok(read) } else { event.fault(Rule::Conflict("eventType")) }
    })?;
    let ignores_extra = object.optional("ignoreExtraEvents").map_or(Ok(false), |v| v.boolean())?;
    object.end()?;
    Ok(ExpectedEvents { client, kind, events, ignores_extra })
}

/// An event as it stands in `events` and in the argument `event` of `waitForEvent`.
pub fn read_event(value: &Value<'_>) -> Result<ExpectedEvent> {
    let (name, description) = value.single()?;
    if !super::entity::EVENTS.contains(&name) {
        return description.fault(Rule::Unknown);
    }
    let mut object = description.object()?;
    let mut facts = EventFacts::default();
    match name {
        "commandStartedEvent" | "commandSucceededEvent" | "commandFailedEvent" => {
            facts = command_facts(name, &mut object)?;
        }
        "poolClearedEvent" => {
            facts.has_service_id = object.optional("hasServiceId").map(|v| v.boolean()).transpose()?;
            let interrupts = object.optional("interruptInUseConnections");
            facts.interrupts_in_use_connections = interrupts.map(|v| v.boolean()).transpose()?;
        }
        "poolBackoffEvent" => {
            object.optional("attempt").map(|v| v.integer()).transpose()?;
        }
        "connectionClosedEvent" | "connectionCheckOutFailedEvent" | "connectionPendingResponseFailed" => {
            facts.reason = object.optional("reason").map(|v| v.string()).transpose()?;
        }
        "serverHeartbeatStartedEvent" | "serverHeartbeatSucceededEvent" | "serverHeartbeatFailedEvent" => {
            facts.awaited = object.optional("awaited").map(|v| v.boolean()).transpose()?;
        }
        "serverDescriptionChangedEvent" => change(&mut object, SERVER_TYPES, &mut facts)?,
        "topologyDescriptionChangedEvent" => change(&mut object, TOPOLOGY_TYPES, &mut facts)?,
        _ => {}
    }
    object.end()?;
    Ok(ExpectedEvent { kind: kind_of(name), name: name.to_owned(), facts })
}

fn kind_of(name: &str) -> EventKind {
    match name {
        name if name.starts_with("command") => EventKind::Command,
        name if name.starts_with("pool") || name.starts_with("connection") => EventKind::Cmap,
        _ => EventKind::Sdam,
    }
}

fn command_facts(name: &str, object: &mut Object<'_>) -> Result<EventFacts> {
    let mut facts = EventFacts {
        command_name: object.optional("commandName").map(|v| v.string()).transpose()?,
        database_name: object.optional("databaseName").map(|v| v.string()).transpose()?,
        has_service_id: object.optional("hasServiceId").map(|v| v.boolean()).transpose()?,
        has_server_connection_id: object.optional("hasServerConnectionId").map(|v| v.boolean()).transpose()?,
        ..EventFacts::default()
    };
    if name == "commandStartedEvent" {
        facts.command = object.optional("command").map(|v| v.document()).transpose()?;
    }
    if name == "commandSucceededEvent" {
        facts.reply = object.optional("reply").map(|v| v.document()).transpose()?;
    }
    Ok(facts)
}

fn change(object: &mut Object<'_>, types: &[&'static str], facts: &mut EventFacts) -> Result<()> {
    let read = |value: Option<Value<'_>>| value.map_or(Ok(None), |v| described(v, types));
    facts.previous_type = read(object.optional("previousDescription"))?;
    facts.new_type = read(object.optional("newDescription"))?;
    Ok(())
}

fn described(value: Value<'_>, types: &[&'static str]) -> Result<Option<&'static str>> {
    let mut object = value.object()?;
    let read = object.optional("type").map(|v| v.one_of(types)).transpose()?;
    object.end()?;
    Ok(read)
}

/// Reads an `expectLogMessages` entry; only its form is judged.
pub fn check_logs(value: Value<'_>) -> Result<()> {
    let mut object = value.object()?;
    object.required("client")?.string()?;
    object.required("messages")?.each(log_message)?;
    object.optional("ignoreMessages").map(|v| v.each(log_message)).transpose()?;
    object.optional("ignoreExtraMessages").map(|v| v.boolean()).transpose()?;
    object.end()
}

fn log_message(value: Value<'_>) -> Result<()> {
    let mut object = value.object()?;
    object.required("level")?.one_of(LOG_LEVELS)?;
    object.required("component")?.one_of(LOG_COMPONENTS)?;
    object.required("data")?.document()?;
    object.optional("failureIsRedacted").map(|v| v.boolean()).transpose()?;
    object.end()
}

/// Reads `expectTracingMessages`, of which only the form is judged. It is an array; the files that show what an entry must not
/// be give the entry alone, and are to be refused for what they show.
pub fn check_traces(test: &mut Object<'_>) -> Result<bool> {
    let Some(value) = test.optional("expectTracingMessages") else { return Ok(false) };
    if value.is_object() {
        traces(value.clone())?;
        return value.fault(Rule::Type("array"));
    }
    value.each_of_some(traces)?;
    Ok(true)
}

fn traces(value: Value<'_>) -> Result<()> {
    let mut object = value.object()?;
    object.required("client")?.string()?;
    object.optional("ignoreExtraSpans").map(|v| v.boolean()).transpose()?;
    object.required("spans")?.each_of_some(span)?;
    object.end()
}

fn span(value: Value<'_>) -> Result<()> {
    let mut object = value.object()?;
    object.required("name")?.string()?;
    object.required("attributes")?.document()?;
    object.optional("nested").map(|v| v.each_of_some(span)).transpose()?;
    object.end()
}

const SERVER_TYPES: &[&str] = &[
    "Standalone",
    "Mongos",
    "PossiblePrimary",
    "RSPrimary",
    "RSSecondary",
    "RSOther",
    "RSArbiter",
    "RSGhost",
    "LoadBalancer",
    "Unknown",
];
const TOPOLOGY_TYPES: &[&str] =
    &["Single", "Unknown", "ReplicaSetNoPrimary", "ReplicaSetWithPrimary", "Sharded", "LoadBalanced"];
