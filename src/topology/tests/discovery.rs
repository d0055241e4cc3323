//! The fixtures of Server Discovery and Monitoring: replies and errors go in, descriptions, events and generations of pools
//! come out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf};

use super::{Verdict, check_keys, documents, equal, number, optional, run_folder};
use crate::address::ServerAddress;
use crate::description::ServerDescription;
use crate::error::{Error, FaultKind, Stage, command_error};
use crate::event::sdam::{SdamEvent, ServerInfo, TopologyDescription as PublicDescription};
use crate::handshake;
use crate::options::ClientSettings;
use crate::topology::description::{TopologyChange, TopologyDescription};
use crate::topology::transition::{self, InitialTopology, OperationFailure, Outcome, PoolAction, Update};

#[test]
fn replica_sets() {
    run_folder("server-discovery-and-monitoring/tests/rs", 55, run);
}

#[test]
fn single_servers() {
    run_folder("server-discovery-and-monitoring/tests/single", 14, run);
}

#[test]
fn sharded_clusters() {
    run_folder("server-discovery-and-monitoring/tests/sharded", 6, run);
}

#[test]
fn errors() {
    run_folder("server-discovery-and-monitoring/tests/errors", 53, run);
}

#[test]
fn load_balancers() {
    run_folder("server-discovery-and-monitoring/tests/load-balanced", 1, run);
}

#[test]
fn events() {
    run_folder("server-discovery-and-monitoring/tests/monitoring", 7, run);
}

/// A client without sockets: what it knows, the generations of its pools, and what it has published.
struct Client {
    description: Arc<TopologyDescription>,
    generations: BTreeMap<ServerAddress, u64>,
    changes: Vec<TopologyChange>,
    clock: Instant,
}

pub(super) fn run(fixture: &Document) -> Verdict {
    check_keys(fixture, &["description", "uri", "phases"])?;
    let uri = fixture.get_str("uri").map_err(|error| error.to_string())?;
    let options = ClientSettings::parse(uri).map_err(|error| error.to_string())?;
    let mut client = Client {
        description: Arc::new(TopologyDescription::empty(ObjectId::new())),
        generations: BTreeMap::new(),
        changes: Vec::new(),
        clock: Instant::now(),
    };
    client.take(transition::open(InitialTopology::of(&options, ObjectId::new())));
    for (number, phase) in documents(fixture, "phases").into_iter().enumerate() {
        client.run_phase(phase).map_err(|why| format!("phase {number}: {why}"))?;
    }
    Ok(())
}

impl Client {
    fn take(&mut self, update: Update) {
        self.description = update.description;
        self.changes.extend(update.changes);
        for action in update.pools {
            match action {
                PoolAction::Ready(address) => {
                    self.generations.entry(address).or_default();
                }
                PoolAction::Clear { address, .. } => {
                    if let Some(generation) = self.generations.get_mut(&address) {
                        *generation += 1;
                    }
                }
                PoolAction::Close(address) => {
                    self.generations.remove(&address);
                }
            }
        }
    }

    fn run_phase(&mut self, phase: &Document) -> Verdict {
        check_keys(phase, &["description", "responses", "applicationErrors", "outcome"])?;
        for response in phase.get_array("responses").unwrap_or(&Vec::new()) {
            match response.as_array().map(Vec::as_slice) {
                Some([Bson::String(address), Bson::Document(reply)]) => self.answer(address, reply)?,
                _ => return Err(format!("{response} is no pair of address and reply")),
            }
        }
        for error in documents(phase, "applicationErrors") {
            self.fail_operation(error)?;
        }
        self.check(phase.get_document("outcome").map_err(|error| error.to_string())?)
    }

    /// A check of this server ends with this reply; an empty one stands for a network error.
    fn answer(&mut self, address: &str, reply: &Document) -> Verdict {
        let address = parse(address)?;
        self.clock += Duration::from_millis(500);
        let at = self.clock;
        let hello = if reply.is_empty() {
            Err(Error::new(FaultKind::Io, Stage::Hello, "the server reset the connection"))
        } else {
            ServerDescription::read(&raw(reply)?)
        };
        let outcome = match hello {
            Ok(hello) => Outcome::Answered {
                address: &address,
                hello: Arc::new(hello),
                round_trip_time: Some(Duration::from_millis(1)),
                at,
            },
            Err(error) => {
                Outcome::CheckFailed { address: &address, error: Arc::new(error), overload_is_no_verdict: false, at }
            }
        };
        self.take(transition::apply(&self.description, outcome));
        Ok(())
    }

    fn fail_operation(&mut self, failure: &Document) -> Verdict {
        check_keys(failure, &["address", "generation", "maxWireVersion", "when", "type", "response"])?;
        let text = |key| failure.get_str(key).map_err(|error| format!("{key}: {error}"));
        let address = parse(text("address")?)?;
        let handshake_completed = match text("when")? {
            "beforeHandshakeCompletes" => false,
            "afterHandshakeCompletes" => true,
            other => return Err(format!("unknown when: {other}")),
        };
        let stage = if handshake_completed { Stage::Command } else { Stage::Hello };
        let reply = failure.get_document("response").ok().map(raw).transpose()?;
        let error = match (text("type")?, &reply) {
            ("network", None) => Error::new(FaultKind::Io, stage, "the server reset the connection"),
            ("timeout", None) => Error::new(FaultKind::TimedOut, stage, "socketTimeoutMS ran out"),
            ("command", Some(reply)) => command_error(reply, stage)
                .unwrap_or_else(|| Error::new(FaultKind::InvalidResponse, stage, "an error within a reply with ok: 1")),
            (other, _) => return Err(format!("unknown type: {other}")),
        };
        let error = if handshake_completed { error } else { handshake::overload(error) };
        let pool_generation = self.generations.get(&address).copied().unwrap_or_default();
        let generation = match failure.get("generation") {
            Some(value) => number(value).map(|value| value as u64),
            None => Some(pool_generation),
        };
        self.clock += Duration::from_millis(500);
        let outcome = Outcome::OperationFailed(OperationFailure {
            address: &address,
            error: &error,
            reply: reply.as_deref(),
            handshake_completed,
            generation,
            pool_generation,
            service_id: None,
            at: self.clock,
        });
        self.take(transition::apply(&self.description, outcome));
        Ok(())
    }

    fn check(&mut self, outcome: &Document) -> Verdict {
        if let Ok(expected) = outcome.get_array("events") {
            check_keys(outcome, &["events"])?;
            let id = self.description.id;
            let found: Vec<SdamEvent> = self.changes.drain(..).map(|change| change.to_event(id)).collect();
            equal("the number of events", found.len(), expected.len()).map_err(|why| format!("{why}: {found:?}"))?;
            return found.iter().zip(expected).enumerate().try_for_each(|(place, (found, expected))| {
                let expected = expected.as_document().ok_or("an event is no document")?;
                check_event(found, expected).map_err(|why| format!("event {place}: {why}"))
            });
        }
        let found = self.description.to_public();
        for (key, value) in outcome {
            match key.as_str() {
                "servers" => self.check_servers(&found, value.as_document().ok_or("servers is no document")?)?,
                "topologyType" => equal(key, found.topology_type().to_string().as_str(), text(value)?)?,
                "setName" => equal(key, found.set_name().map(String::as_str), optional_text(value)?)?,
                "logicalSessionTimeoutMinutes" => {
                    equal(key, minutes(found.logical_session_timeout()), optional(value, number)?)?;
                }
                "maxSetVersion" => equal(key, found.max_set_version().map(f64::from), optional(value, number)?)?,
                "maxElectionId" => equal(key, found.max_election_id(), optional(value, Bson::as_object_id)?)?,
                "compatible" => equal(key, Some(found.compatibility_error().is_none()), value.as_bool())?,
                _ => return Err(format!("the runner does not know the key '{key}'")),
            }
        }
        Ok(())
    }

    fn check_servers(&self, found: &PublicDescription, expected: &Document) -> Verdict {
        let mut addresses: Vec<String> = found.servers().keys().map(ToString::to_string).collect();
        addresses.sort_unstable();
        let mut wanted: Vec<String> = expected.keys().cloned().collect();
        wanted.sort_unstable();
        equal("the list of servers", addresses, wanted)?;
        for server in found.servers().values() {
            let expected = expected.get_document(server.address().to_string()).map_err(|error| error.to_string())?;
            self.check_server(server, expected).map_err(|why| format!("{}: {why}", server.address()))?;
        }
        Ok(())
    }

    fn check_server(&self, found: &ServerInfo, expected: &Document) -> Verdict {
        for (key, value) in expected {
            match key.as_str() {
                "pool" => {
                    let pool = value.as_document().ok_or("pool is no document")?;
                    check_keys(pool, &["generation"])?;
                    let generation = self.generations.get(found.address()).copied().unwrap_or_default();
                    equal("the pool's generation", Some(generation as f64), pool.get("generation").and_then(number))?;
                }
                "error" => {
                    let (message, part) = (found.error().map_or("", Error::message), text(value)?);
                    if !message.contains(part) {
                        return Err(format!("the error is '{message}' and should contain '{part}'"));
                    }
                }
                _ => check_server_field(found, key, value)?,
            }
        }
        Ok(())
    }
}

fn check_server_field(found: &ServerInfo, key: &str, value: &Bson) -> Verdict {
    let list = |value: &Bson| -> Result<Vec<String>, String> {
        value.as_array().ok_or("no list")?.iter().map(|entry| text(entry).map(str::to_owned)).collect()
    };
    match key {
        "type" => equal(key, found.server_type().to_string().as_str(), text(value)?),
        "address" => equal(key, found.address().to_string().as_str(), text(value)?),
        "setName" => equal(key, found.replica_set_name(), optional_text(value)?),
        "setVersion" => equal(key, found.replica_set_version().map(f64::from), optional(value, number)?),
        "electionId" => equal(key, found.election_id(), optional(value, Bson::as_object_id)?),
        "logicalSessionTimeoutMinutes" => {
            equal(key, minutes(found.logical_session_timeout()), optional(value, number)?)
        }
        "minWireVersion" => equal(key, found.min_wire_version().map(f64::from), optional(value, number)?),
        "maxWireVersion" => equal(key, found.max_wire_version().map(f64::from), optional(value, number)?),
        "topologyVersion" => {
            let read = |value: &Bson| {
                let version = value.as_document()?;
                Some((version.get_object_id("processId").ok()?, number(version.get("counter")?)?))
            };
            let found = found.topology_version().map(|(process, counter)| (process, float(counter)));
            equal(key, found, optional(value, read)?)
        }
        "hosts" => equal(key, found.hosts().to_vec(), list(value)?),
        "passives" => equal(key, found.passives().to_vec(), list(value)?),
        "arbiters" => equal(key, found.arbiters().to_vec(), list(value)?),
        "primary" => equal(key, found.primary(), optional_text(value)?),
        "me" => equal(key, found.me(), optional_text(value)?),
        "tags" => {
            let expected = value.as_document().ok_or("tags is no document")?;
            let found: Document = found
                .tags()
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), Bson::from(value.as_str())))
                .collect();
            equal(key, &found, expected)
        }
        _ => Err(format!("the runner does not know the key '{key}'")),
    }
}

fn check_event(found: &SdamEvent, expected: &Document) -> Verdict {
    let Some((name, Bson::Document(expected))) = expected.iter().next() else {
        return Err(format!("{expected} is no event"));
    };
    let (kind, address) = match found {
        SdamEvent::ServerDescriptionChanged(event) => ("server_description_changed_event", Some(&event.address)),
        SdamEvent::ServerOpening(event) => ("server_opening_event", Some(&event.address)),
        SdamEvent::ServerClosed(event) => ("server_closed_event", Some(&event.address)),
        SdamEvent::TopologyDescriptionChanged(_) => ("topology_description_changed_event", None),
        SdamEvent::TopologyOpening(_) => ("topology_opening_event", None),
        SdamEvent::TopologyClosed(_) => ("topology_closed_event", None),
        other => return Err(format!("{other:?} comes from a check, and there is none")),
    };
    equal("the event", kind, name.as_str())?;
    for (key, value) in expected {
        match (key.as_str(), found) {
            ("topologyId", _) => {}
            ("address", _) => equal(key, address.map(ToString::to_string).as_deref(), Some(text(value)?))?,
            ("previousDescription", SdamEvent::ServerDescriptionChanged(event)) => {
                check_server_info(&event.previous_description, value)?;
            }
            ("newDescription", SdamEvent::ServerDescriptionChanged(event)) => {
                check_server_info(&event.new_description, value)?;
            }
            ("previousDescription", SdamEvent::TopologyDescriptionChanged(event)) => {
                check_topology_info(&event.previous_description, value)?;
            }
            ("newDescription", SdamEvent::TopologyDescriptionChanged(event)) => {
                check_topology_info(&event.new_description, value)?;
            }
            _ => return Err(format!("the runner does not know the key '{key}'")),
        }
    }
    Ok(())
}

fn check_server_info(found: &ServerInfo, expected: &Bson) -> Verdict {
    let expected = expected.as_document().ok_or("a description is no document")?;
    let address = found.address();
    expected
        .iter()
        .try_for_each(|(key, value)| check_server_field(found, key, value).map_err(|why| format!("{address}: {why}")))
}

fn check_topology_info(found: &PublicDescription, expected: &Bson) -> Verdict {
    let expected = expected.as_document().ok_or("a description is no document")?;
    check_keys(expected, &["topologyType", "setName", "servers"])?;
    equal("topologyType", Some(found.topology_type().to_string().as_str()), expected.get_str("topologyType").ok())?;
    equal("setName", found.set_name().map(String::as_str), expected.get_str("setName").ok())?;
    let servers = documents(expected, "servers");
    equal("the number of servers", found.servers().len(), servers.len())?;
    for expected in servers {
        let address = expected.get_str("address").map_err(|error| error.to_string())?;
        let server = found.servers().into_values().find(|server| server.address().to_string() == address);
        let server = server.ok_or_else(|| format!("{address} is missing"))?;
        check_server_info(&server, &Bson::from(expected.clone()))?;
    }
    Ok(())
}

fn parse(address: &str) -> Result<ServerAddress, String> {
    ServerAddress::parse(address).map_err(|error| error.to_string())
}

fn raw(document: &Document) -> Result<RawDocumentBuf, String> {
    RawDocumentBuf::try_from(document).map_err(|error| error.to_string())
}

fn text(value: &Bson) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no string"))
}

fn optional_text(value: &Bson) -> Result<Option<&str>, String> {
    match value {
        Bson::Null => Ok(None),
        value => text(value).map(Some),
    }
}

fn float(value: i64) -> f64 {
    value as f64
}

fn minutes(timeout: Option<Duration>) -> Option<f64> {
    timeout.map(|timeout| timeout.as_secs_f64() / 60.0)
}
