//! How a case's clients find out about servers: by operations alone (inline), or by threads of their own (background).

use std::{env, fmt};

use bson::{Bson, Document};

use super::file::{Entity, Operation, Test, TestFile};

/// How clients check servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Inline,
    /// `Monitoring::Background`.
    Background,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Inline => "inline",
            Mode::Background => "background",
        })
    }
}

/// The modes that a case runs in on one of the deployments that it is run on: background alone where it waits for what no operation
/// causes, else inline, and on one deployment both. That is the set where the case runs on one. Cases that make commands fail run
/// inline only: monitors pause for half a second after each connection that breaks, which adds up to many minutes. [`EVERY_MODE`] runs
/// all of that. Servers behind a load balancer are not checked, so that there is one mode.
pub fn modes_of(file: &TestFile, test: &Test, topology: &str, runs_on_a_set: bool) -> &'static [Mode] {
    let is_chosen = !makes_commands_fail(test) && (!runs_on_a_set || topology == "replicaset");
    if waits_for_a_monitor(file, test) {
        &[Mode::Background]
    } else if topology == "load-balanced" || !(is_chosen || env::var_os(EVERY_MODE).is_some()) {
        &[Mode::Inline]
    } else {
        &[Mode::Inline, Mode::Background]
    }
}

fn makes_commands_fail(test: &Test) -> bool {
    test.operations.iter().any(|operation| matches!(operation.name.as_str(), "failPoint" | "targetedFailPoint"))
}

/// Set in the environment: each case that may run in both modes does, on every deployment.
const EVERY_MODE: &str = "MONGO_BLOCKING_EVERY_MODE";

/// Whether a case waits for something that no operation causes: the first connections of a pool, a heartbeat, or an event before
/// the first operation of its client or after a fail point on hello.
fn waits_for_a_monitor(file: &TestFile, test: &Test) -> bool {
    let waits_for_pool = |entity: &Entity| matches!(entity, Entity::Client(c) if c.awaits_min_pool_size.is_some());
    if file.entities.iter().any(waits_for_pool) || test.operations.iter().any(created_pool_is_awaited) {
        return true;
    }
    let mut expected = test.events.iter().flat_map(|expected| &expected.events);
    if expected.any(|event| event.name.starts_with("serverHeartbeat")) {
        return true;
    }
    let mut breaks_hello = false;
    let mut operations_so_far = false;
    for operation in &test.operations {
        match operation.name.as_str() {
            "waitForPrimaryChange" => return true,
            "waitForEvent" if is_of_monitors(operation) && (breaks_hello || !operations_so_far) => return true,
            "waitForEvent" if awaited_event(operation).is_some_and(|name| name.starts_with("serverHeartbeat")) => {
                return true;
            }
            // The clients have their connections: only monitors say hello from then on.
            "failPoint" if is_of_hello(operation) && operations_so_far => return true,
            "failPoint" => breaks_hello |= is_of_hello(operation),
            _ => operations_so_far |= operation.object != "testRunner" || operation.name == "runOnThread",
        }
    }
    false
}

fn created_pool_is_awaited(operation: &Operation) -> bool {
    operation.name == "createEntities"
        && Bson::Document(operation.arguments.clone()).to_string().contains("awaitMinPoolSizeMS")
}

/// Whether it waits for an event of a pool or a topology.
fn is_of_monitors(operation: &Operation) -> bool {
    awaited_event(operation).is_some_and(|name| !name.starts_with("command"))
}

fn awaited_event(operation: &Operation) -> Option<&str> {
    operation.arguments.get_document("event").ok()?.keys().next().map(String::as_str)
}

fn is_of_hello(operation: &Operation) -> bool {
    let data = |point: &Document| point.get_document("data").ok()?.get_array("failCommands").ok().cloned();
    let commands = operation.arguments.get_document("failPoint").ok().and_then(data).unwrap_or_default();
    commands.iter().any(|name| matches!(name.as_str(), Some("hello" | "isMaster" | "ismaster")))
}
