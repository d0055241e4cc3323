//! A server that stops answering while calls without any time limit wait for it, and one that is merely slow. The calls have to notice
//! by themselves: no thread watches the servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{Error, ErrorKind};
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::peers::{Mongod, ReplicaSet, ReplicaSetOptions};

const THREADS: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call may wait for a frozen server: connectTimeoutMS and 2 s, without any limit of its own.
const LONGEST: Duration = Duration::from_secs(2 + 2 + NOTICED_LATE);
/// Wine 8 does not tell a thread that reads of another one's shutdown. The driver looks for it each second.
const NOTICED_LATE: u64 = if cfg!(windows) { 1 } else { 0 };

/// Calls on eight threads until each has failed once, and freezes the server in the midst of it. What each thread's failed call
/// returned, and how long after the freezing.
fn freeze_under(call: impl Fn() -> Result<(), Error> + Sync, freeze: impl Fn()) -> Vec<(Error, Duration)> {
    let at_work = AtomicUsize::new(0);
    let frozen = Mutex::new(None);
    thread::scope(|scope| {
        let until_failure = || {
            call().expect("the server answers at first");
            at_work.fetch_add(1, Ordering::SeqCst);
            loop {
                if let Err(error) = call() {
                    return (error, Instant::now());
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(until_failure)).collect();
        while at_work.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        freeze();
        *frozen.lock().unwrap() = Some(Instant::now());
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let frozen = frozen.lock().unwrap().unwrap();
        ended.into_iter().map(|(error, at)| (error, at.saturating_duration_since(frozen))).collect()
    })
}

/// Each call ended in time: its connection was interrupted, or it was being made, which has a limit.
fn assert_interrupted(ended: &[(Error, Duration)]) {
    let mut interrupted = 0;
    for (error, after) in ended {
        assert!(*after <= LONGEST, "{after:?}: {error}");
        match error.kind() {
            ErrorKind::ConnectionPoolCleared { .. } => {
                let words = "interrupted due to server monitor timeout";
                interrupted += usize::from(error.to_string().contains(words));
            }
            ErrorKind::Io(_) => assert!(error.to_string().contains("connectTimeoutMS"), "{error}"),
            _ => panic!("{after:?}: {error}"),
        }
    }
    assert!(interrupted > 0, "{ended:?}");
}

fn uri(base: &str, more: &str) -> String {
    let separator = if base.contains('?') { '&' } else { '?' };
    let limit = CONNECT_TIMEOUT.as_millis();
    format!("{base}{separator}connectTimeoutMS={limit}&retryReads=false&retryWrites=false{more}")
}

#[test]
fn calls_on_a_frozen_standalone_end_without_any_limit_of_their_own() {
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let client = Client::with_uri_str(uri(&mongod.uri(), "")).unwrap();
    let ended = freeze_under(|| client.ping(), || mongod.freeze());
    assert_interrupted(&ended);
    mongod.thaw();
    client.ping().unwrap();
}

#[test]
fn calls_on_a_frozen_member_end_and_the_next_ones_find_the_new_primary() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    let client = Client::with_uri_str(uri(&set.uri(), "&serverSelectionTimeoutMS=60000")).unwrap();
    let documents = client.database("frozen").collection::<Document>("c");
    let primary = set.primary();
    let insert = || documents.insert_one(doc! {}).run().map(drop);
    let ended = freeze_under(insert, || set.freeze(primary));
    assert_interrupted(&ended);
    documents.insert_one(doc! {}).run().unwrap();
    set.thaw(primary);
    set.wait_until_complete();
}

#[test]
fn a_slow_command_is_left_alone() {
    const SLOW: Duration = Duration::from_secs(6);
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let fail_point = doc! {
        "configureFailPoint": "failCommand",
        "mode": {"times": 1},
        "data": {"failCommands": ["ping"], "blockConnection": true, "blockTimeMS": SLOW.as_millis() as i64},
    };
    mongod.run("admin", fail_point);
    let (heartbeats, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (of_sdam, of_cmap, counted) = (failed.clone(), failed.clone(), heartbeats.clone());
    let options = ClientOptions::builder()
        .uri(uri(&mongod.uri(), "&heartbeatFrequencyMS=1000"))
        .sdam_event_handler(EventHandler::new(move |event| match event {
            SdamEvent::ServerHeartbeatSucceeded(_) => drop(counted.fetch_add(1, Ordering::SeqCst)),
            SdamEvent::ServerHeartbeatFailed(_) => drop(of_sdam.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }))
        .cmap_event_handler(EventHandler::new(move |event| {
            if matches!(event, CmapEvent::PoolCleared(_)) {
                of_cmap.fetch_add(1, Ordering::SeqCst);
            }
        }))
        .build()
        .settings()
        .unwrap();
    let client = Client::with_options(options).unwrap();
    let began = Instant::now();
    client.ping().unwrap();
    assert!(began.elapsed() >= SLOW, "the fail point did not strike");
    assert_eq!(failed.load(Ordering::SeqCst), 0);
    let heartbeats = heartbeats.load(Ordering::SeqCst);
    assert!((3..=7).contains(&heartbeats), "one of the first connection, and one each second: {heartbeats}");
}
