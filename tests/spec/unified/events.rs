//! The events of one client, and whether they are the expected ones.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bson::{Bson, Document, doc};
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::event::sdam::{SdamEvent, TopologyDescription};
use mongo_blocking::event::{CommandEvent, ConnectionInfo, EventHandler};

use super::file::{ClientEntity, EventFacts, EventKind, ExpectedEvent, ExpectedEvents, StoredEvents};
use super::matching::{Lookup, match_root};

/// What a client's handlers keep.
pub struct EventLog {
    observed: Vec<&'static str>,
    ignored_commands: Vec<String>,
    observes_sensitive_commands: bool,
    stored: Vec<StoredEvents>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// Those that the file wants to see.
    events: Vec<Event>,
    /// The documents of each list that `storeEventsAsEntities` asked for, in the order of the lists.
    stored: Vec<Vec<Bson>>,
    connections_checked_out: i64,
    connections_ready: u64,
    topology: Option<TopologyDescription>,
}

/// An event of any kind.
#[derive(Clone)]
pub enum Event {
    Command(CommandEvent),
    Pool(CmapEvent),
    Topology(SdamEvent),
}

impl EventLog {
    pub fn new(client: &ClientEntity) -> Arc<EventLog> {
        let stored = client.stored_events.clone();
        let seen = Seen { stored: vec![Vec::new(); stored.len()], ..Seen::default() };
        Arc::new(EventLog {
            observed: client.observed_events.clone(),
            ignored_commands: client.ignored_commands.clone(),
            observes_sensitive_commands: client.observes_sensitive_commands,
            stored,
            seen: Mutex::new(seen),
            changed: Condvar::new(),
        })
    }

    pub fn command_handler(self: &Arc<Self>) -> EventHandler<CommandEvent> {
        let log = self.clone();
        EventHandler::new(move |event: &CommandEvent| log.keep(Event::Command(event.clone())))
    }

    pub fn pool_handler(self: &Arc<Self>) -> EventHandler<CmapEvent> {
        let log = self.clone();
        EventHandler::new(move |event: &CmapEvent| log.keep(Event::Pool(event.clone())))
    }

    pub fn topology_handler(self: &Arc<Self>) -> EventHandler<SdamEvent> {
        let log = self.clone();
        EventHandler::new(move |event: &SdamEvent| log.keep(Event::Topology(event.clone())))
    }

    /// Waits until the events so far are as `holds` wants them; the last complaint where they are not in time. (Events of pools and
    /// topologies may be delivered by another thread, a moment later.)
    pub fn wait(&self, limit: Duration, holds: impl Fn(&[Event]) -> Result<(), String>) -> Result<(), String> {
        self.wait_for(limit, |seen| holds(&seen.events))
    }

    /// Waits until so many of the pools' connections are in use.
    pub fn wait_for_checked_out(&self, limit: Duration, wanted: i64) -> Result<(), String> {
        self.wait_for(limit, |seen| match seen.connections_checked_out {
            own if own == wanted => Ok(()),
            own => Err(format!("{own} connections are checked out where {wanted} are expected")),
        })
    }

    /// Waits until the pools have made so many connections.
    pub fn wait_for_ready_connections(&self, limit: Duration, wanted: u64) -> Result<(), String> {
        self.wait_for(limit, |seen| match seen.connections_ready {
            own if own >= wanted => Ok(()),
            own => Err(format!("{own} connections are ready where {wanted} are expected")),
        })
    }

    /// Waits until what the client knows of its deployment is as `holds` wants it.
    pub fn wait_for_topology(
        &self,
        limit: Duration,
        holds: impl Fn(&TopologyDescription) -> bool,
    ) -> Result<TopologyDescription, String> {
        let fits = |seen: &Seen| seen.topology.as_ref().is_some_and(&holds);
        self.wait_for(limit, |seen| match fits(seen) {
            true => Ok(()),
            false => Err(format!("the topology was not as expected in time: {:?}", seen.topology)),
        })?;
        self.lock().topology.clone().ok_or_else(|| "there is no topology".to_owned())
    }

    /// The documents of a list that `storeEventsAsEntities` asked for.
    pub fn stored(&self, id: &str) -> Option<Bson> {
        let at = self.stored.iter().position(|stored| stored.id == id)?;
        Some(Bson::Array(self.lock().stored.get(at)?.clone()))
    }

    fn wait_for(&self, limit: Duration, holds: impl Fn(&Seen) -> Result<(), String>) -> Result<(), String> {
        let begun = Instant::now();
        let mut seen = self.lock();
        loop {
            let Err(why) = holds(&seen) else { return Ok(()) };
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(why);
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn keep(&self, event: Event) {
        let mut seen = self.lock();
        for (at, stored) in self.stored.iter().enumerate() {
            if stored.events.iter().any(|name| name.eq_ignore_ascii_case(name_of(&event))) {
                seen.stored[at].push(Bson::Document(described(&event)));
            }
        }
        match &event {
            Event::Pool(CmapEvent::ConnectionCheckedOut(_)) => seen.connections_checked_out += 1,
            Event::Pool(CmapEvent::ConnectionCheckedIn(_)) => seen.connections_checked_out -= 1,
            Event::Pool(CmapEvent::ConnectionReady(_)) => seen.connections_ready += 1,
            Event::Topology(SdamEvent::TopologyDescriptionChanged(change)) => {
                seen.topology = Some(change.new_description.clone());
            }
            _ => {}
        }
        if self.observed.contains(&name_of(&event)) && self.is_wanted(&event) {
            seen.events.push(event);
        }
        self.changed.notify_all();
    }

    fn is_wanted(&self, event: &Event) -> bool {
        let Event::Command(event) = event else { return true };
        let command = event.command_name();
        let sensitive = SENSITIVE.contains(&command) || (HELLO.contains(&command) && is_redacted(event));
        let ignored = command == "configureFailPoint" || self.ignored_commands.iter().any(|ignored| ignored == command);
        !ignored && (self.observes_sensitive_commands || !sensitive)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the client sent these events, in this order, and (unless the file ignores extra ones) no others of their kind.
pub fn check(expected: &ExpectedEvents, log: &EventLog, lookup: &dyn Lookup) -> Result<(), String> {
    // Commands' events come on the thread of the operation.
    let limit = if expected.kind == EventKind::Command { Duration::ZERO } else { DELIVERY_LIMIT };
    log.wait(limit, |events| check_now(expected, events, lookup))
}

fn check_now(expected: &ExpectedEvents, events: &[Event], lookup: &dyn Lookup) -> Result<(), String> {
    let events: Vec<&Event> = events.iter().filter(|event| kind_of(event) == expected.kind).collect();
    let seen = || events.iter().map(|event| summary(event)).collect::<Vec<_>>();
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
pub fn fits(expected: &ExpectedEvent, event: &Event, lookup: &dyn Lookup) -> Result<(), String> {
    if expected.name != name_of(event) {
        return Err(format!("a {} where a {} is expected", name_of(event), expected.name));
    }
    match event {
        Event::Command(event) => command_fits(&expected.facts, event, lookup),
        Event::Pool(event) => pool_event_fits(&expected.facts, event),
        Event::Topology(event) => topology_event_fits(&expected.facts, event),
    }
}

fn command_fits(facts: &EventFacts, event: &CommandEvent, lookup: &dyn Lookup) -> Result<(), String> {
    match event {
        CommandEvent::Started(started) => {
            document_fits("command", facts.command.as_ref(), &started.command, lookup)?;
            common_facts_fit(facts, &started.command_name, &started.db, &started.connection)
        }
        CommandEvent::Succeeded(succeeded) => {
            document_fits("reply", facts.reply.as_ref(), &succeeded.reply, lookup)?;
            common_facts_fit(facts, &succeeded.command_name, &succeeded.db, &succeeded.connection)
        }
        CommandEvent::Failed(failed) => common_facts_fit(facts, &failed.command_name, &failed.db, &failed.connection),
        other => Err(format!("the runner does not know {other:?}")),
    }
}

fn pool_event_fits(facts: &EventFacts, event: &CmapEvent) -> Result<(), String> {
    match event {
        CmapEvent::PoolCleared(cleared) => {
            same("hasServiceId", facts.has_service_id, cleared.service_id.is_some())?;
            let interrupts = cleared.interrupt_in_use_connections;
            same("interruptInUseConnections", facts.interrupts_in_use_connections, interrupts)
        }
        CmapEvent::ConnectionClosed(closed) => same("reason", facts.reason.clone(), closed.reason.to_string()),
        CmapEvent::ConnectionCheckoutFailed(failed) => same("reason", facts.reason.clone(), failed.reason.to_string()),
        _ => Ok(()),
    }
}

fn topology_event_fits(facts: &EventFacts, event: &SdamEvent) -> Result<(), String> {
    let types_fit = |previous: String, new: String| {
        same("previousDescription", facts.previous_type.map(str::to_owned), previous)?;
        same("newDescription", facts.new_type.map(str::to_owned), new)
    };
    match event {
        SdamEvent::ServerDescriptionChanged(change) => types_fit(
            change.previous_description.server_type().to_string(),
            change.new_description.server_type().to_string(),
        ),
        SdamEvent::TopologyDescriptionChanged(change) => types_fit(
            change.previous_description.topology_type().to_string(),
            change.new_description.topology_type().to_string(),
        ),
        SdamEvent::ServerHeartbeatStarted(heartbeat) => same("awaited", facts.awaited, heartbeat.awaited),
        SdamEvent::ServerHeartbeatSucceeded(heartbeat) => same("awaited", facts.awaited, heartbeat.awaited),
        SdamEvent::ServerHeartbeatFailed(heartbeat) => same("awaited", facts.awaited, heartbeat.awaited),
        _ => Ok(()),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: Option<T>, actual: T) -> Result<(), String> {
    match expected {
        Some(expected) if expected != actual => Err(format!("{what} is {actual:?} where {expected:?} is expected")),
        _ => Ok(()),
    }
}

fn document_fits(
    what: &str,
    expected: Option<&Document>,
    actual: &Document,
    lookup: &dyn Lookup,
) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let actual = Bson::Document(actual.clone());
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
    let has_connection = at.server_id.is_some_and(|id| id > 0);
    if facts.has_server_connection_id.is_some_and(|expected| expected != has_connection) {
        return Err(format!("serverConnectionId is {:?}", at.server_id));
    }
    Ok(())
}

fn kind_of(event: &Event) -> EventKind {
    match event {
        Event::Command(_) => EventKind::Command,
        Event::Pool(_) => EventKind::Cmap,
        Event::Topology(_) => EventKind::Sdam,
    }
}

/// As `observeEvents` writes it.
fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Command(CommandEvent::Started(_)) => "commandStartedEvent",
        Event::Command(CommandEvent::Succeeded(_)) => "commandSucceededEvent",
        Event::Command(CommandEvent::Failed(_)) => "commandFailedEvent",
        Event::Pool(CmapEvent::PoolCreated(_)) => "poolCreatedEvent",
        Event::Pool(CmapEvent::PoolReady(_)) => "poolReadyEvent",
        Event::Pool(CmapEvent::PoolCleared(_)) => "poolClearedEvent",
        Event::Pool(CmapEvent::PoolClosed(_)) => "poolClosedEvent",
        Event::Pool(CmapEvent::ConnectionCreated(_)) => "connectionCreatedEvent",
        Event::Pool(CmapEvent::ConnectionReady(_)) => "connectionReadyEvent",
        Event::Pool(CmapEvent::ConnectionClosed(_)) => "connectionClosedEvent",
        Event::Pool(CmapEvent::ConnectionCheckoutStarted(_)) => "connectionCheckOutStartedEvent",
        Event::Pool(CmapEvent::ConnectionCheckoutFailed(_)) => "connectionCheckOutFailedEvent",
        Event::Pool(CmapEvent::ConnectionCheckedOut(_)) => "connectionCheckedOutEvent",
        Event::Pool(CmapEvent::ConnectionCheckedIn(_)) => "connectionCheckedInEvent",
        Event::Topology(SdamEvent::ServerDescriptionChanged(_)) => "serverDescriptionChangedEvent",
        Event::Topology(SdamEvent::TopologyDescriptionChanged(_)) => "topologyDescriptionChangedEvent",
        Event::Topology(SdamEvent::TopologyOpening(_)) => "topologyOpeningEvent",
        Event::Topology(SdamEvent::TopologyClosed(_)) => "topologyClosedEvent",
        Event::Topology(SdamEvent::ServerHeartbeatStarted(_)) => "serverHeartbeatStartedEvent",
        Event::Topology(SdamEvent::ServerHeartbeatSucceeded(_)) => "serverHeartbeatSucceededEvent",
        Event::Topology(SdamEvent::ServerHeartbeatFailed(_)) => "serverHeartbeatFailedEvent",
        _ => "an event that files do not name",
    }
}

/// What a complaint shows of an event.
fn summary(event: &Event) -> String {
    match event {
        Event::Command(command) => format!("{} {}", name_of(event), command.command_name()),
        Event::Pool(CmapEvent::ConnectionClosed(closed)) => format!("{} {}", name_of(event), closed.reason),
        Event::Pool(CmapEvent::ConnectionCheckoutFailed(failed)) => format!("{} {}", name_of(event), failed.reason),
        Event::Topology(SdamEvent::ServerDescriptionChanged(change)) => {
            let (before, now) = (&change.previous_description, &change.new_description);
            format!("{} {} to {}", name_of(event), before.server_type(), now.server_type())
        }
        Event::Topology(SdamEvent::TopologyDescriptionChanged(change)) => {
            let (before, now) = (&change.previous_description, &change.new_description);
            format!("{} {} to {}", name_of(event), before.topology_type(), now.topology_type())
        }
        _ => name_of(event).to_owned(),
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
fn described(event: &Event) -> Document {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let name = name_of(event);
    let (first, rest) = name.split_at(1);
    let mut document = doc! {"name": first.to_uppercase() + rest, "observedAt": now};
    match event {
        Event::Command(event) => describe_command(event, &mut document),
        Event::Pool(event) => {
            document.insert("description", format!("{event:?}"));
        }
        Event::Topology(event) => {
            document.insert("description", format!("{event:?}"));
        }
    }
    document
}

fn describe_command(event: &CommandEvent, document: &mut Document) {
    document.insert("commandName", event.command_name());
    document.insert("requestId", event.request_id());
    match event {
        CommandEvent::Started(started) => {
            document.insert("databaseName", &started.db);
            document.insert("connectionId", started.connection.address.to_string());
        }
        CommandEvent::Succeeded(succeeded) => {
            document.insert("duration", succeeded.duration.as_secs_f64());
            document.insert("connectionId", succeeded.connection.address.to_string());
        }
        CommandEvent::Failed(failed) => {
            document.insert("duration", failed.duration.as_secs_f64());
            document.insert("connectionId", failed.connection.address.to_string());
            document.insert("failure", format!("{:#}", failed.failure));
        }
        _ => {}
    }
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
/// How long an event may be on its way from where it happens to its handler.
const DELIVERY_LIMIT: Duration = Duration::from_secs(2);
