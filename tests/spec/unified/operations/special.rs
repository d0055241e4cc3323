//! Operations of the runner itself: fail points, assertions, waiting, loops, threads.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bson::{Bson, Document, doc};
use mongo_blocking::event::CommandEvent;
use mongo_blocking::event::sdam::{ServerType, TopologyDescription};
use mongo_blocking::{Client, TransactionState};

use super::{Outcome, Ran, Trouble, read_operations, unknown};
use crate::unified::arguments::Arguments;
use crate::unified::case::{Case, NAMESPACE_NOT_FOUND};
use crate::unified::entities::Entity;
use crate::unified::events::{self, Event};
use crate::unified::file::reader::Value;
use crate::unified::file::{self, EventKind, ExpectedEvent};

pub fn run(case: &Arc<Case>, name: &str, arguments: &mut Arguments) -> Ran {
    match name {
        "failPoint" => fail_point(case, arguments),
        "createEntities" => create_entities(case, arguments),
        "assertCollectionExists" => assert_collection(case, arguments, true),
        "assertCollectionNotExists" => assert_collection(case, arguments, false),
        "assertIndexExists" => assert_index(case, arguments, true),
        "assertIndexNotExists" => assert_index(case, arguments, false),
        "assertNumberConnectionsCheckedOut" => assert_connections(case, arguments),
        "assertEventCount" => assert_event_count(case, arguments),
        "assertSessionDirty" => assert_dirty(case, arguments, true),
        "assertSessionNotDirty" => assert_dirty(case, arguments, false),
        "assertSessionPinned" => assert_pinned(case, arguments, true),
        "assertSessionUnpinned" => assert_pinned(case, arguments, false),
        "assertSessionTransactionState" => assert_transaction_state(case, arguments),
        "targetedFailPoint" => targeted_fail_point(case, arguments),
        "assertSameLsidOnLastTwoCommands" => assert_last_two_sessions(case, arguments, true),
        "assertDifferentLsidOnLastTwoCommands" => assert_last_two_sessions(case, arguments, false),
        "assertTopologyType" => assert_topology_type(case, arguments),
        "recordTopologyDescription" => record_topology(case, arguments),
        "waitForPrimaryChange" => wait_for_primary_change(case, arguments),
        "waitForEvent" => wait_for_event(case, arguments),
        "wait" => wait(arguments),
        "loop" => repeat(case, arguments),
        "runOnThread" => run_on_thread(case, arguments),
        "waitForThread" => wait_for_thread(case, arguments),
        _ => unknown("runner of tests", name),
    }
}

fn fail_point(case: &Case, arguments: &mut Arguments) -> Ran {
    let client = arguments.need("client", Arguments::string)?;
    let command = arguments.need("failPoint", Arguments::document)?;
    arguments.end()?;
    let client = case.entities.client_handle(&client).and_then(|handle| handle.client()).map_err(Trouble::OfRunner)?;
    let name = command.get_str("configureFailPoint").map_err(|e| Trouble::of_runner(e.to_string()))?;
    case.note_fail_point(name);
    let configured = client.database("admin").run_command(command.clone()).run();
    configured
        .map(|_| Outcome::Nothing)
        .map_err(|e| Trouble::of_runner(format!("the fail point could not be set: {e}")))
}

/// On the router that the session is pinned to. Those of a case's own set are turned off on all of them afterwards.
fn targeted_fail_point(case: &Case, arguments: &mut Arguments) -> Ran {
    let session = arguments.need("session", Arguments::string)?;
    let command = arguments.need("failPoint", Arguments::document)?;
    arguments.end()?;
    let session = case.entities.session(&session).map_err(Trouble::OfRunner)?;
    let pinned = session.with(|session| session.pinned_server()).map_err(Trouble::OfRunner)?;
    let address = pinned.ok_or_else(|| Trouble::of_runner("the session is not pinned"))?;
    let name = command.get_str("configureFailPoint").map_err(|e| Trouble::of_runner(e.to_string()))?;
    case.note_fail_point(name);
    let router = Client::with_uri_str(format!("mongodb://{address}/?directConnection=true"));
    let configured = router.and_then(|router| router.database("admin").run_command(command.clone()).run());
    configured
        .map(|_| Outcome::Nothing)
        .map_err(|e| Trouble::of_runner(format!("the fail point could not be set: {e}")))
}

fn assert_pinned(case: &Case, arguments: &mut Arguments, wanted: bool) -> Ran {
    let session = arguments.need("session", Arguments::string)?;
    arguments.end()?;
    let pinned = case.entities.session(&session).and_then(|session| session.with(|session| session.pinned_server()));
    done(pinned.and_then(|pinned| match pinned.is_some() == wanted {
        true => Ok(()),
        false => Err(format!("{session} is pinned to {pinned:?}")),
    }))
}

fn assert_transaction_state(case: &Case, arguments: &mut Arguments) -> Ran {
    let session = arguments.need("session", Arguments::string)?;
    let wanted = arguments.need("state", Arguments::string)?;
    arguments.end()?;
    let state = case.entities.session(&session).and_then(|session| session.with(|session| session.transaction_state()));
    let state = state.map_err(Trouble::OfRunner)?;
    let name = match state {
        TransactionState::None => "none",
        TransactionState::Starting => "starting",
        TransactionState::InProgress => "in_progress",
        TransactionState::Committed => "committed",
        TransactionState::Aborted => "aborted",
        _ => "a state that the format does not have",
    };
    done(if name == wanted { Ok(()) } else { Err(format!("the transaction is {name} where {wanted} is expected")) })
}

fn create_entities(case: &Case, arguments: &mut Arguments) -> Ran {
    let described = arguments.need("entities", Arguments::any)?;
    arguments.end()?;
    let entities = file::read_entities(&described).map_err(|fault| Trouble::of_runner(fault.to_string()))?;
    let created = entities.iter().try_for_each(|entity| case.create(entity));
    done(created)
}

fn assert_collection(case: &Case, arguments: &mut Arguments, wanted: bool) -> Ran {
    let database = arguments.need("databaseName", Arguments::string)?;
    let collection = arguments.need("collectionName", Arguments::string)?;
    arguments.end()?;
    let command = doc! {"listCollections": 1, "filter": {"name": &collection}, "nameOnly": true};
    let reply = case.deployment.internal.database(&database).run_command(command).run();
    let exists = !first_batch(&reply.map_err(|e| Trouble::of_runner(e.to_string()))?)?.is_empty();
    done(if exists == wanted { Ok(()) } else { Err(format!("{database}.{collection}: exists is {exists}")) })
}

fn assert_index(case: &Case, arguments: &mut Arguments, wanted: bool) -> Ran {
    let database = arguments.need("databaseName", Arguments::string)?;
    let collection = arguments.need("collectionName", Arguments::string)?;
    let index = arguments.need("indexName", Arguments::string)?;
    arguments.end()?;
    let command = doc! {"listIndexes": &collection, "cursor": {"batchSize": 1000}};
    let exists = match case.deployment.internal.database(&database).run_command(command).run() {
        Ok(reply) => first_batch(&reply)?.iter().any(|found| {
            found.as_document().is_some_and(|found| found.get_str("name").is_ok_and(|name| name == index))
        }),
        Err(error) if error.code() == Some(NAMESPACE_NOT_FOUND) => false,
        Err(error) => return Err(Trouble::of_runner(format!("{error:#}"))),
    };
    done(if exists == wanted { Ok(()) } else { Err(format!("{database}.{collection} {index}: exists is {exists}")) })
}

fn first_batch(reply: &Document) -> Result<&[Bson], Trouble> {
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    batch.map(Vec::as_slice).map_err(|e| Trouble::of_runner(e.to_string()))
}

fn assert_connections(case: &Case, arguments: &mut Arguments) -> Ran {
    let client = arguments.need("client", Arguments::string)?;
    let wanted = arguments.need("connections", Arguments::u64)?;
    arguments.end()?;
    let wanted = i64::try_from(wanted).map_err(|e| Trouble::of_runner(e.to_string()))?;
    let handle = case.entities.client_handle(&client).map_err(Trouble::OfRunner)?;
    done(handle.log.wait_for_checked_out(DELIVERY_LIMIT, wanted))
}

fn assert_dirty(case: &Case, arguments: &mut Arguments, wanted: bool) -> Ran {
    let session = arguments.need("session", Arguments::string)?;
    arguments.end()?;
    let dirty = case.entities.session(&session).and_then(|session| session.with(|session| session.is_dirty()));
    done(dirty.and_then(|dirty| if dirty == wanted { Ok(()) } else { Err(format!("{session}: dirty is {dirty}")) }))
}

fn assert_last_two_sessions(case: &Case, arguments: &mut Arguments, same: bool) -> Ran {
    let client = arguments.need("client", Arguments::string)?;
    arguments.end()?;
    let handle = case.entities.client_handle(&client).map_err(Trouble::OfRunner)?;
    done(handle.log.wait(Duration::ZERO, |seen| {
        let started = seen.iter().rev().filter_map(|event| match event {
            Event::Command(CommandEvent::Started(started)) => Some(started.command.get_document("lsid").ok()),
            _ => None,
        });
        match started.take(2).collect::<Vec<_>>().as_slice() {
            [Some(last), Some(before)] if (last == before) == same => Ok(()),
            other => Err(format!("the sessions of the last two commands are {other:?}")),
        }
    }))
}

fn record_topology(case: &Case, arguments: &mut Arguments) -> Ran {
    let client = arguments.need("client", Arguments::string)?;
    let name = arguments.need("id", Arguments::string)?;
    arguments.end()?;
    let handle = case.entities.client_handle(&client).map_err(Trouble::OfRunner)?;
    let topology = handle.log.wait_for_topology(DELIVERY_LIMIT, |_| true);
    done(topology.and_then(|topology| case.entities.store(&name, Entity::Topology(Box::new(topology)))))
}

fn assert_topology_type(case: &Case, arguments: &mut Arguments) -> Ran {
    let topology = arguments.need("topologyDescription", Arguments::string)?;
    let wanted = arguments.need("topologyType", Arguments::string)?;
    arguments.end()?;
    let own = case.entities.topology(&topology).map_err(Trouble::OfRunner)?.topology_type().to_string();
    done(if own == wanted { Ok(()) } else { Err(format!("the topology is {own} where {wanted} is expected")) })
}

/// Waits until the client knows of another primary than the one in an earlier description, or of any if that had none.
fn wait_for_primary_change(case: &Case, arguments: &mut Arguments) -> Ran {
    let client = arguments.need("client", Arguments::string)?;
    let prior = arguments.need("priorTopologyDescription", Arguments::string)?;
    let limit = arguments.milliseconds("timeoutMS")?.unwrap_or(WAIT_LIMIT);
    arguments.end()?;
    let handle = case.entities.client_handle(&client).map_err(Trouble::OfRunner)?;
    let before = primary_of(&case.entities.topology(&prior).map_err(Trouble::OfRunner)?);
    let is_another = |topology: &TopologyDescription| {
        let now = primary_of(topology);
        now.is_some() && now != before
    };
    done(handle.log.wait_for_topology(limit, is_another).map(drop))
}

fn primary_of(topology: &TopologyDescription) -> Option<String> {
    let primary = topology.servers().into_values().find(|server| server.server_type() == ServerType::RsPrimary);
    primary.map(|primary| primary.address().to_string())
}

/// An event of a pool or a topology may be on its way still: it counts as soon as it is there, and until then is waited for.
fn assert_event_count(case: &Case, arguments: &mut Arguments) -> Ran {
    let (client, event, wanted) = event_arguments(arguments)?;
    let limit = if event.kind == EventKind::Command { Duration::ZERO } else { DELIVERY_LIMIT };
    let handle = case.entities.client_handle(&client).map_err(Trouble::OfRunner)?;
    done(handle.log.wait(limit, |seen| match count(case, &event, seen) {
        own if own == wanted => Ok(()),
        own => Err(format!("{own} such events where {wanted} are expected")),
    }))
}

fn wait_for_event(case: &Case, arguments: &mut Arguments) -> Ran {
    let (client, event, wanted) = event_arguments(arguments)?;
    let handle = case.entities.client_handle(&client).map_err(Trouble::OfRunner)?;
    done(handle.log.wait(WAIT_LIMIT, |seen| match count(case, &event, seen) {
        own if own >= wanted => Ok(()),
        own => Err(format!("{} came {own} times in time, and should come {wanted} times", event.name)),
    }))
}

fn count(case: &Case, event: &ExpectedEvent, seen: &[Event]) -> u64 {
    seen.iter().filter(|own| events::fits(event, own, &case.entities).is_ok()).count() as u64
}

fn event_arguments(arguments: &mut Arguments) -> Result<(String, ExpectedEvent, u64), Trouble> {
    let client = arguments.need("client", Arguments::string)?;
    let event = arguments.need("event", Arguments::any)?;
    let event = file::read_event(&Value::root(&event)).map_err(|fault| Trouble::of_runner(fault.to_string()))?;
    let count = arguments.need("count", Arguments::u64)?;
    arguments.end()?;
    Ok((client, event, count))
}

fn wait(arguments: &mut Arguments) -> Ran {
    let time = arguments.need("ms", Arguments::milliseconds)?;
    arguments.end()?;
    std::thread::sleep(time);
    Ok(Outcome::Nothing)
}

/// Runs operations again and again. No file of the folder has a loop that ends by itself other than by a failure, and nothing
/// asks the runner to stop, so that it stops after a number of rounds.
fn repeat(case: &Arc<Case>, arguments: &mut Arguments) -> Ran {
    let operations = read_operations(arguments.need("operations", Arguments::any)?)?;
    let errors = arguments.string("storeErrorsAsEntity")?;
    let failures = arguments.string("storeFailuresAsEntity")?;
    let successes = arguments.string("storeSuccessesAsEntity")?;
    let iterations = arguments.string("storeIterationsAsEntity")?;
    arguments.end()?;
    // The runner does not tell errors from failures: both go where failures go, or else errors.
    let kept = failures.as_ref().or(errors.as_ref());
    for name in errors.iter().chain(&failures) {
        ensure_array(case, name)?;
    }
    let mut succeeded = 0_i64;
    for _ in 0..LOOP_ROUNDS {
        for operation in &operations {
            match (case.operation(operation), kept) {
                (Ok(()), _) => succeeded += 1,
                (Err(why), None) => return Err(Trouble::OfRunner(why)),
                (Err(why), Some(name)) => {
                    append(case, name, why)?;
                    break;
                }
            }
        }
    }
    for (name, count) in [(successes, succeeded), (iterations, LOOP_ROUNDS)] {
        let Some(name) = name else { continue };
        case.entities.store(&name, Entity::Value(Bson::Int64(count))).map_err(Trouble::OfRunner)?;
    }
    Ok(Outcome::Nothing)
}

fn ensure_array(case: &Case, name: &str) -> Result<(), Trouble> {
    match case.entities.get(name) {
        Err(_) => case.entities.store(name, Entity::Value(Bson::Array(Vec::new()))).map_err(Trouble::OfRunner),
        Ok(Entity::Value(Bson::Array(_))) => Ok(()),
        Ok(other) => Err(Trouble::of_runner(format!("the entity {name} is a {}, no array", other.kind()))),
    }
}

fn append(case: &Case, name: &str, why: String) -> Result<(), Trouble> {
    let Ok(Entity::Value(Bson::Array(mut array))) = case.entities.get(name) else {
        return Err(Trouble::of_runner(format!("the entity {name} is no array")));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    array.push(Bson::Document(doc! {"error": why, "time": now}));
    case.entities.replace(name, Bson::Array(array));
    Ok(())
}

fn run_on_thread(case: &Arc<Case>, arguments: &mut Arguments) -> Ran {
    let thread = arguments.need("thread", Arguments::string)?;
    let operation = arguments.need("operation", Arguments::document)?;
    arguments.end()?;
    let mut operations = read_operations(Bson::Array(vec![Bson::Document(operation)]))?;
    let worker = case.entities.thread(&thread).map_err(Trouble::OfRunner)?;
    let case = case.clone();
    worker.run(Box::new(move || operations.drain(..).try_for_each(|operation| case.operation(&operation))));
    Ok(Outcome::Nothing)
}

fn wait_for_thread(case: &Case, arguments: &mut Arguments) -> Ran {
    let thread = arguments.need("thread", Arguments::string)?;
    arguments.end()?;
    done(case.entities.thread(&thread).and_then(|worker| worker.wait()))
}

fn done(result: Result<(), String>) -> Ran {
    result.map(|()| Outcome::Nothing).map_err(Trouble::OfRunner)
}

/// As the format says.
const WAIT_LIMIT: Duration = Duration::from_secs(10);
/// How long an event may be on its way from where it happens to its handler.
const DELIVERY_LIMIT: Duration = Duration::from_secs(2);
const LOOP_ROUNDS: i64 = 10;
