//! Checks in the background: threads that learn of changes without any operation, streams of answers that are not what they should be,
//! and the end of the threads.

#[cfg(target_os = "linux")]
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc, oid::ObjectId};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::event::sdam::{SdamEvent, ServerType, TopologyDescription, TopologyType};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder, Monitoring};
#[cfg(target_os = "linux")]
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{Mongod, ReplicaSet, ReplicaSetOptions};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire::{self, Forge, Request};

/// On a machine with much other work to do.
const LIMIT: Duration = Duration::from_secs(60);

/// Events of discovery, for a test to wait for.
#[derive(Clone, Default)]
struct Events(Arc<(Mutex<Vec<SdamEvent>>, Condvar)>);

impl Events {
    fn handler(&self) -> EventHandler<SdamEvent> {
        let log = self.clone();
        EventHandler::new(move |event: &SdamEvent| {
            log.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
            log.0.1.notify_all();
        })
    }

    /// Waits until the events so far are as wanted.
    fn wait_until(&self, what: &str, wanted: impl Fn(&[SdamEvent]) -> bool) {
        let events = self.0.0.lock().unwrap();
        let (events, timeout) = self.0.1.wait_timeout_while(events, LIMIT, |events| !wanted(events)).unwrap();
        assert!(!timeout.timed_out(), "{what}: {events:#?}");
    }
}

fn background(uri: &str, events: &Events) -> ClientOptionsBuilder {
    ClientOptions::builder().uri(uri).monitoring(Monitoring::Background).sdam_event_handler(events.handler())
}

/// The primary in the last description that was published.
fn last_primary(events: &[SdamEvent]) -> Option<String> {
    let last = events.iter().rev().find_map(|event| match event {
        SdamEvent::TopologyDescriptionChanged(changed) => Some(&changed.new_description),
        _ => None,
    });
    let is_primary = |topology: &TopologyDescription| {
        let mut servers = topology.servers().into_values();
        servers.find(|server| server.server_type() == ServerType::RsPrimary).map(|server| server.address().to_string())
    };
    last.and_then(is_primary)
}

fn heartbeats(events: &[SdamEvent], awaited: bool) -> usize {
    let answered = |event: &&SdamEvent| matches!(event, SdamEvent::ServerHeartbeatSucceeded(e) if e.awaited == awaited);
    events.iter().filter(answered).count()
}

#[test]
fn a_set_is_found_and_followed_without_any_operation() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    for mode in ["stream", "poll"] {
        let events = Events::default();
        let uri = format!("{}&serverMonitoringMode={mode}&heartbeatFrequencyMS=1000", set.uri_by(0));
        let client = Client::with_options(background(&uri, &events).build()).unwrap();
        events.wait_until("the set is found", |events| last_primary(events).is_some());
        let streams = mode == "stream";
        events.wait_until("the checks go on", |events| heartbeats(events, streams) >= 5);
        assert!(streams || heartbeats(&events.0.0.lock().unwrap(), true) == 0, "{mode}");
        let old = set.step_down();
        let old = set.address(old);
        events.wait_until("the new primary is found", |events| {
            last_primary(events).is_some_and(|primary| primary != old)
        });
        assert_eq!(client.topology().topology_type(), TopologyType::ReplicaSetWithPrimary);
        client.database("background").collection::<Document>("c").insert_one(doc! {"mode": mode}).run().unwrap();
        client.close();
        let closed = |events: &[SdamEvent]| matches!(events.last(), Some(SdamEvent::TopologyClosed(_)));
        events.wait_until("the topology is closed", closed);
        set.wait_until_complete();
    }
}

#[test]
fn the_checks_of_a_server_share_a_connection() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    for mode in ["stream", "poll"] {
        let events = Events::default();
        let uri = format!("{}?serverMonitoringMode={mode}&heartbeatFrequencyMS=500", mongod.uri());
        let client = Client::with_options(background(&uri, &events).build()).unwrap();
        let connections = |events: &[SdamEvent]| -> Vec<Option<i64>> {
            let answered = events.iter().filter_map(|event| match event {
                SdamEvent::ServerHeartbeatSucceeded(event) => Some(event.server_connection_id),
                _ => None,
            });
            answered.collect()
        };
        events.wait_until("the checks go on", |events| connections(events).len() >= 5);
        let used = connections(&events.0.0.lock().unwrap());
        assert!(used[0].is_some() && used.iter().all(|connection| *connection == used[0]), "{mode}: {used:?}");
        client.close();
    }
}

#[test]
fn a_server_that_changes_often_is_asked_once() {
    let server = FakeServer::builder().streams_hello().start();
    let events = Events::default();
    let client = Client::with_options(background(&server.uri(), &events).build()).unwrap();
    for round in 1..=20 {
        server.change_hello(doc! {"round": round});
        let counted = |events: &[SdamEvent]| heartbeats(events, true) >= usize::try_from(round).unwrap();
        events.wait_until("the change is told", counted);
    }
    let asked =
        server.commands_named("hello").iter().filter(|hello| hello.body.contains_key("topologyVersion")).count();
    // The other connection is that on which round trip times are measured.
    assert!(asked == 1 && server.connections() <= 2, "{asked} times on {} connections", server.connections());
    client.close();
}

#[test]
fn a_server_that_comes_later_is_found_and_min_pool_size_is_filled() {
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let client = ClientOptions::builder().uri(format!("{}?minPoolSize=3", mongod.uri()));
    let client = Client::with_options(client.monitoring(Monitoring::Background).build()).unwrap();
    let began = Instant::now();
    // Three of the pool, one of the monitor, one that measures round trip times, and the one that asks.
    let current = || {
        let status = mongod.run("admin", doc! {"serverStatus": 1});
        status.get_document("connections").unwrap().get_i32("current").unwrap()
    };
    while current() < 6 {
        assert!(began.elapsed() < LIMIT, "{}", current());
        thread::sleep(Duration::from_millis(20));
    }
    client.ping().unwrap();
    let once = background(&format!("{}?serverSelectionTryOnce=true", mongod.uri()), &Events::default()).build();
    assert!(matches!(Client::with_options(once).err().unwrap().kind(), ErrorKind::InvalidArgument { .. }));
}

/// Server Discovery and Monitoring, prose test "Connection Pool Management".
#[test]
fn a_pool_is_ready_after_a_check_and_cleared_after_a_failed_one() {
    const NAME: &str = "SDAMPoolManagementTest";
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let events = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    let (of_sdam, of_cmap) = (events.clone(), events.clone());
    let note = |events: &(Mutex<Vec<&'static str>>, Condvar), name| {
        events.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        events.1.notify_all();
    };
    // By polling, so that no hello of the thread that measures round trip times uses up the fail point.
    let query = format!("directConnection=true&appname={NAME}&heartbeatFrequencyMS=500&serverMonitoringMode=poll");
    let options = ClientOptions::builder().uri(format!("{}?{query}", mongod.uri())).monitoring(Monitoring::Background);
    let options = options.sdam_event_handler(EventHandler::new(move |event: &SdamEvent| match event {
        SdamEvent::ServerHeartbeatSucceeded(_) => note(&of_sdam, "succeeded"),
        SdamEvent::ServerHeartbeatFailed(_) => note(&of_sdam, "failed"),
        _ => {}
    }));
    let options = options.cmap_event_handler(EventHandler::new(move |event: &CmapEvent| match event {
        CmapEvent::PoolReady(_) => note(&of_cmap, "ready"),
        CmapEvent::PoolCleared(_) => note(&of_cmap, "cleared"),
        _ => {}
    }));
    let wait_for = |what: &str, from: usize, wanted: &[&str]| {
        let holds = |events: &[&'static str]| {
            let mut later = events.iter().skip(from);
            wanted.iter().all(|name| later.any(|event| event == name))
        };
        let log = events.0.lock().unwrap();
        let (log, timeout) = events.1.wait_timeout_while(log, LIMIT, |log| !holds(log)).unwrap();
        assert!(!timeout.timed_out(), "{what}: {log:?}");
        log.len()
    };
    let _client = Client::with_options(options.build()).unwrap();
    let first = wait_for("the first check", 0, &["succeeded", "ready"]);
    assert_eq!(events.0.lock().unwrap()[0], "succeeded");
    mongod.run(
        "admin",
        doc! {
            "configureFailPoint": "failCommand", "mode": {"times": 2},
            "data": {"failCommands": ["isMaster", "hello"], "errorCode": 1234, "appName": NAME},
        },
    );
    wait_for("a failed check", first, &["failed", "cleared", "succeeded", "ready"]);
}

/// Server Discovery and Monitoring, prose tests "Streaming protocol tests" and "RTT Tests".
#[test]
fn checks_are_as_frequent_as_asked_for_and_round_trip_times_follow_the_server() {
    const NAME: &str = "streamingRttTest";
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let events = Events::default();
    let uri = format!("{}?directConnection=true&heartbeatFrequencyMS=500&appName={NAME}", mongod.uri());
    let client = Client::with_options(background(&uri, &events).build()).unwrap();
    client.database("test").collection::<Document>("c").find_one(doc! {}).run().unwrap();
    let began = Instant::now();
    let before = heartbeats(&events.0.0.lock().unwrap(), true);
    events.wait_until("a check every half second", |events| heartbeats(events, true) >= before + 5);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let round_trip_time =
        || client.topology().servers().values().next().unwrap().average_round_trip_time().unwrap_or_default();
    assert!(round_trip_time() > Duration::ZERO && round_trip_time() < Duration::from_millis(250));
    mongod.run(
        "admin",
        doc! {
            "configureFailPoint": "failCommand", "mode": {"times": 1000},
            "data": {
                "failCommands": ["isMaster", "hello"], "blockConnection": true, "blockTimeMS": 500, "appName": NAME,
            },
        },
    );
    let began = Instant::now();
    while round_trip_time() <= Duration::from_millis(250) {
        assert!(began.elapsed() < LIMIT, "{:?}", round_trip_time());
        thread::sleep(Duration::from_millis(20));
    }
    mongod.run("admin", doc! {"configureFailPoint": "failCommand", "mode": "off"});
}

/// What a server answers of a check, and the version of its view.
fn hello(counter: i64) -> Document {
    doc! {
        "isWritablePrimary": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 17,
        "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "ok": 1.0,
        "topologyVersion": {"processId": ObjectId::from_bytes([1; 12]), "counter": counter},
    }
}

const MORE_TO_COME: u32 = 2;

/// One answer of a stream, which answers the message with this id.
fn streamed(request: &Request, answers: i32, counter: i64, more: bool) -> Vec<u8> {
    let forge =
        Forge { response_to: Some(answers), flags: Some(if more { MORE_TO_COME } else { 0 }), ..Forge::default() };
    wire::reply_bytes(request, &wire::raw(&hello(counter)).unwrap(), &forge)
}

/// A server that answers checks, and to a check that may be answered later, what this function writes.
fn streaming(answer: impl Fn(&mut TcpStream, &Request) + Send + Sync + 'static) -> Script {
    Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            if request.body.contains_key("topologyVersion") {
                answer(&mut stream, &request);
            } else if wire::write_reply(&mut stream, &request, &hello(1)).is_err() {
                return;
            }
        }
    })
}

fn direct(peer: &Script, events: &Events) -> Client {
    let uri =
        format!("mongodb://{}/?directConnection=true&heartbeatFrequencyMS=500&connectTimeoutMS=1000", peer.address());
    Client::with_options(background(&uri, events).build()).unwrap()
}

#[test]
fn two_answers_in_one_segment_are_two_answers() {
    let peer = streaming(|stream, request| {
        let first = streamed(request, request.request_id, 2, true);
        let second = streamed(request, wire::request_id(&first).unwrap(), 3, false);
        let _ = stream.write_all(&[first, second].concat());
        // The next check is not answered.
        let _ = stream.read(&mut [0; 1000]);
    });
    let events = Events::default();
    let client = direct(&peer, &events);
    events.wait_until("both arrive", |events| heartbeats(events, true) >= 2);
    client.ping().unwrap();
}

#[test]
fn a_stream_without_end_neither_fills_memory_nor_holds_up_the_client() {
    let peer = streaming(|stream, request| {
        let mut answers = request.request_id;
        for counter in 2.. {
            let next = streamed(request, answers, counter, true);
            answers = wire::request_id(&next).unwrap();
            if stream.write_all(&next).is_err() {
                return;
            }
        }
    });
    let events = Events::default();
    let client = direct(&peer, &events);
    events.wait_until("many arrive", |events| heartbeats(events, true) >= 1000);
    client.ping().unwrap();
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_stream_that_breaks_off_makes_the_server_unknown_and_is_begun_anew() {
    let peer = streaming(|stream, request| {
        let whole = streamed(request, request.request_id, 2, true);
        let _ = stream.write_all(&whole[..whole.len() / 2]);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let events = Events::default();
    let client = direct(&peer, &events);
    let failed = |event: &&SdamEvent| matches!(event, SdamEvent::ServerHeartbeatFailed(e) if e.awaited);
    events.wait_until("it breaks off twice", |events| events.iter().filter(failed).count() >= 2);
    // The pool is cleared each time, and an operation that is under way then fails.
    let began = Instant::now();
    while let Err(error) = client.ping() {
        assert!(began.elapsed() < LIMIT, "{error}");
    }
}

/// The threads of this process that the driver has started.
#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("mongo-")).collect()
}

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(target_os = "linux")]
fn eventually_none() {
    let began = Instant::now();
    while !threads().is_empty() {
        assert!(began.elapsed() < LIMIT, "{:?}", threads());
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn threads_and_descriptors_end_with_their_client() {
    if !child::alone(module_path!(), "threads_and_descriptors_end_with_their_client") {
        return;
    }
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let made = |monitoring| {
        let options = ClientOptions::builder().uri(mongod.uri()).monitoring(monitoring).build();
        let client = Client::with_options(options).unwrap();
        client.ping().unwrap();
        client
    };
    drop(made(Monitoring::Background));
    eventually_none();
    let before = descriptors();
    for (monitoring, count) in [(Monitoring::Inline, 1000), (Monitoring::Background, 50)] {
        for number in 0..count {
            let client = made(monitoring);
            match number % 2 {
                0 => client.close(),
                _ => drop(client),
            }
        }
        eventually_none();
        assert_eq!(descriptors(), before, "{monitoring:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_handler_may_drop_the_last_handle() {
    if !child::alone(module_path!(), "a_handler_may_drop_the_last_handle") {
        return;
    }
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        let last: Arc<Mutex<Option<Client>>> = Arc::default();
        let dropped = Arc::new((OnceLock::new(), Mutex::new(false), Condvar::new()));
        let (kept, ended) = (last.clone(), dropped.clone());
        let handler = EventHandler::new(move |event: &SdamEvent| {
            if matches!(event, SdamEvent::ServerHeartbeatSucceeded(_))
                && let Some(client) = kept.lock().unwrap().take()
            {
                let began = Instant::now();
                drop(client);
                let _ = ended.0.set(began.elapsed());
                *ended.1.lock().unwrap() = true;
                ended.2.notify_all();
            }
        });
        let uri = format!("{}?heartbeatFrequencyMS=500", mongod.uri());
        let options = ClientOptions::builder().uri(uri).monitoring(monitoring).sdam_event_handler(handler);
        let client = Client::with_options(options.build()).unwrap();
        *last.lock().unwrap() = Some(client.clone());
        if monitoring == Monitoring::Inline {
            // The handler is called within the operation, which holds the client, too.
            client.ping().unwrap();
        }
        drop(client);
        let is_dropped = dropped.1.lock().unwrap();
        let (is_dropped, timeout) = dropped.2.wait_timeout_while(is_dropped, LIMIT, |is_dropped| !*is_dropped).unwrap();
        drop(is_dropped);
        assert!(!timeout.timed_out(), "{monitoring:?}");
        assert!(*dropped.0.get().unwrap() < Duration::from_millis(900), "it waited for its own thread: {dropped:?}");
        eventually_none();
    }
}
