//! A client's first operations on a set: how many connections they make, how long they take where hosts are dead, and what a caller with
//! little time left does to what is known of the servers. The servers' own logs tell what was asked of them.

#![cfg(target_os = "linux")]

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, ServerType, TopologyType};
use mongo_blocking_test_server::fault_proxy::FaultProxy;
use mongo_blocking_test_server::peers::{LoggedConnections, ReplicaSet, ReplicaSetOptions, report};

const THREADS: usize = 64;

/// Inserts once on each of many threads that begin together.
fn insert_together(client: &Client) {
    let documents = client.database("starts").collection::<Document>("c");
    let begin = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                begin.wait();
                documents.insert_one(doc! {}).run().unwrap();
            });
        }
    });
}

/// With access control a connection that was made for a check is the only one that never logs in.
#[test]
fn threads_that_start_together_check_each_member_once() {
    let Some(set) = ReplicaSet::shared_with_auth("6.0") else { return };
    let primary = set.primary();
    for (name, uri) in [("three-seeds", set.uri()), ("one-seed", set.uri_by(primary))] {
        let client = Client::with_uri_str(format!("{uri}&appName={name}")).unwrap();
        insert_together(&client);
        let mut lines = Vec::new();
        for member in 0..set.addresses().len() {
            let LoggedConnections { made, logged_in } = set.connections_of(member, name);
            let checks = made - logged_in;
            lines.push(format!("{logged_in} for operations and {checks} for checks"));
            match (name, member == primary) {
                (_, true) => assert!(checks <= 1 && logged_in > 0, "{name}: {lines:?}"),
                ("one-seed", false) => assert_eq!(made, 0, "{name}: {lines:?}"),
                (_, false) => assert!(checks <= 1 && logged_in == 0, "{name}: {lines:?}"),
            }
        }
        report(&format!("{THREADS} threads start at once, {name}: connections of the members: {}", lines.join("; ")));
        client.close();
    }
}

/// Changes that a failed check or operation makes: descriptions of servers that are unknown for an error.
fn lost(events: &[SdamEvent]) -> Vec<String> {
    let lost = events.iter().filter_map(|event| match event {
        SdamEvent::ServerDescriptionChanged(change) => change.new_description.error().map(ToString::to_string),
        _ => None,
    });
    lost.collect()
}

#[test]
fn a_caller_with_little_time_left_fails_in_time_and_marks_no_server() {
    const LIMIT: Duration = Duration::from_millis(20);
    const ANSWER: Duration = Duration::from_millis(200);
    let options = ReplicaSetOptions { proxied: true, ..ReplicaSetOptions::default() };
    let Some(set) = ReplicaSet::start("6.0", options) else { return };
    for member in 0..set.addresses().len() {
        set.proxy(member).delay(ANSWER);
    }
    let primary = set.primary();
    for uri in [set.uri(), set.uri_by(primary)] {
        for limit in ["serverSelectionTimeoutMS", "timeoutMS"] {
            let events: Arc<Mutex<Vec<SdamEvent>>> = Arc::default();
            let seen = events.clone();
            let handler = EventHandler::new(move |event: &SdamEvent| seen.lock().unwrap().push(event.clone()));
            let uri = format!("{uri}&retryReads=false&{limit}={}", LIMIT.as_millis());
            let client =
                Client::with_options(ClientOptions::builder().uri(&uri).sdam_event_handler(handler).build()).unwrap();
            let began = Instant::now();
            let error = client.ping().unwrap_err();
            let took = began.elapsed();
            assert!(took < ANSWER, "{uri}: {took:?}, and no answer comes before {ANSWER:?}: {error}");
            let in_time = matches!(error.kind(), ErrorKind::Timeout { .. } | ErrorKind::ServerSelection { .. });
            assert!(in_time, "{uri}: {error}");
            // With several seeds the checks that it has begun go on, and find the set without it.
            let one_seed = client.topology().servers().len() == 1;
            let found = || client.topology().topology_type() == TopologyType::ReplicaSetWithPrimary;
            while !one_seed && !found() {
                assert!(began.elapsed() < Duration::from_secs(30), "{uri}: {:?}", client.topology());
                thread::sleep(Duration::from_millis(10));
            }
            // A command whose time is up on a known server says nothing about it either.
            if !one_seed && limit == "timeoutMS" {
                let error = client.ping().unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{uri}: {error}");
            }
            let lost = lost(&events.lock().unwrap());
            assert!(lost.is_empty(), "{uri}: {lost:?}");
            let topology = client.topology();
            assert!(topology.servers().values().all(|server| server.error().is_none()), "{uri}: {topology:?}");
        }
    }
}

/// All orders of these seeds in which those that are alike keep their order.
fn orders(alive: &[String], dead: &[String]) -> Vec<Vec<String>> {
    match (alive, dead) {
        ([], rest) | (rest, []) => vec![rest.to_vec()],
        ([first, others @ ..], [dead_first, dead_others @ ..]) => {
            let begun = |with: &String, rest: Vec<Vec<String>>| {
                rest.into_iter().map(|rest| [vec![with.clone()], rest].concat()).collect::<Vec<_>>()
            };
            [begun(first, orders(others, dead)), begun(dead_first, orders(alive, dead_others))].concat()
        }
    }
}

#[test]
fn seeds_that_answer_nothing_cost_the_first_write_nothing() {
    const DEAD: usize = 3;
    const REPETITIONS: usize = 5;
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let dead: Vec<FaultProxy> = (0..DEAD).map(|_| FaultProxy::start("127.0.0.1:1")).collect();
    dead.iter().for_each(FaultProxy::vanish);
    let dead: Vec<String> = dead.iter().map(FaultProxy::address).collect();
    let primary = set.primary();
    let alive = [set.address(primary), set.address(set.secondaries()[0])];
    let backwards = [alive[1].clone(), alive[0].clone()];
    let first_write = |seeds: &[String]| {
        let client = Client::with_uri_str(format!("mongodb://{}/?replicaSet={}", seeds.join(","), set.name())).unwrap();
        let began = Instant::now();
        client.database("starts").collection::<Document>("c").insert_one(doc! {}).run().unwrap();
        let took = began.elapsed();
        let known = client.topology();
        let is_primary = |server: &&mongo_blocking::ServerInfo| server.server_type() == ServerType::RsPrimary;
        assert_eq!(known.servers().values().filter(is_primary).count(), 1, "{known:?}");
        took
    };
    let median = |orders: &[Vec<String>]| {
        let repeated = (0..REPETITIONS).flat_map(|_| orders.iter().map(|seeds| first_write(seeds)));
        let mut times: Vec<Duration> = repeated.collect();
        times.sort();
        (times[times.len() / 2], *times.last().unwrap())
    };
    let (two, longest_of_two) = median(&[alive.to_vec(), backwards.to_vec()]);
    let all = [orders(&alive, &dead), orders(&backwards, &dead)].concat();
    assert_eq!(all.len(), 20);
    let (five, longest_of_five) = median(&all);
    report(&format!(
        "The first write: by two seeds {two:?} (longest {longest_of_two:?}), with three more seeds that answer nothing, in {} orders, \
         {five:?} (longest {longest_of_five:?})",
        all.len()
    ));
    // The first attempt to connect would be repeated after a second, and given up after ten.
    assert!(five < 3 * two + Duration::from_millis(20), "{five:?} with dead seeds, {two:?} without");
    assert!(longest_of_five < Duration::from_secs(1), "{longest_of_five:?}");
}
