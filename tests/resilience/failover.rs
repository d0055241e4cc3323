//! A primary that is lost in every way a network and a process allow, with eight threads at work and retries off: each operation ends
//! in time, and the next one that can succeed does. A proxy stands before each member.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::Error;
use mongo_blocking::{Client, Collection};
use mongo_blocking_test_server::peers::{ReplicaSet, ReplicaSetOptions, report};

/// What is done to the primary.
struct Fault {
    name: &'static str,
    begin: fn(&ReplicaSet, usize),
    end: fn(&ReplicaSet, usize),
}

const FAULTS: &[Fault] = &[
    Fault { name: "killed", begin: |set, n| set.kill(n), end: |set, n| set.restart(n) },
    Fault {
        name: "steps down",
        begin: |set, _| {
            set.step_down();
        },
        end: |_, _| {},
    },
    Fault { name: "connections reset", begin: |set, n| set.proxy(n).reset(), end: |_, _| {} },
    Fault { name: "slow by 5 s", begin: |set, n| set.proxy(n).delay(Duration::from_secs(5)), end: heal },
    Fault { name: "frozen", begin: |set, n| set.freeze(n), end: |set, n| set.thaw(n) },
    Fault { name: "gone from the network", begin: |set, n| set.proxy(n).vanish(), end: heal },
];

fn heal(set: &ReplicaSet, member: usize) {
    set.proxy(member).heal();
}

/// One operation of a thread.
struct Attempt {
    number: i64,
    began: Instant,
    took: Duration,
    result: Result<(), Error>,
}

#[test]
fn a_lost_primary_is_replaced_and_nothing_is_lost_inline() {
    let options = ReplicaSetOptions { proxied: true, ..ReplicaSetOptions::default() };
    let Some(set) = ReplicaSet::start("6.0", options) else { return };
    let mut table =
        "The primary is lost (8 threads, retries off, inline checks): first success after it, longest operation"
            .to_owned();
    for fault in FAULTS {
        let (first, longest) = survive(&set, fault);
        table += &format!("\n  {:<24} {:>6} ms {:>6} ms", fault.name, first.as_millis(), longest.as_millis());
    }
    report(&table);
}

/// Works with eight threads while the fault comes and goes; how long after its beginning the first operation succeeded that began
/// after it, and how long the longest took.
fn survive(set: &ReplicaSet, fault: &Fault) -> (Duration, Duration) {
    set.wait_until_complete();
    let client = Client::with_uri_str(format!("{}&{OPTIONS}", set.uri())).unwrap();
    let documents = client.database("failover").collection::<Document>("documents");
    documents.drop().run().unwrap();
    documents.insert_many((0..THREADS).map(|n| doc! {"_id": n, "numbers": [], "count": 0})).run().unwrap();

    let stop = AtomicBool::new(false);
    let (attempts, begun) = thread::scope(|scope| {
        let work = |n: i32| {
            scope.spawn({
                let (documents, stop) = (&documents, &stop);
                move || work(documents, n, stop)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(work).collect();
        // Some work before it.
        thread::sleep(BEFORE);
        let primary = set.primary();
        let begun = Instant::now();
        (fault.begin)(set, primary);
        thread::sleep(DURING);
        (fault.end)(set, primary);
        set.wait_until_complete();
        thread::sleep(AFTER);
        stop.store(true, Ordering::SeqCst);
        let attempts: Vec<Vec<Attempt>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        (attempts, begun)
    });

    for attempt in attempts.iter().flatten() {
        assert!(attempt.took <= LONGEST, "{}: {:?} for {:?}", fault.name, attempt.took, attempt.result);
    }
    for attempts in &attempts {
        let last = attempts.last().expect("each thread worked");
        assert!(last.result.is_ok(), "{}: the last operation of a thread failed: {:?}", fault.name, last.result);
    }
    for (n, attempts) in attempts.iter().enumerate() {
        nothing_is_lost(set, fault.name, n, attempts);
    }
    let successes = attempts.iter().flatten().filter(|attempt| attempt.began >= begun && attempt.result.is_ok());
    let first = successes.map(|attempt| attempt.began + attempt.took).min().expect("an operation succeeded");
    let longest = attempts.iter().flatten().map(|attempt| attempt.took).max().unwrap_or_default();
    (first - begun, longest)
}

fn work(documents: &Collection<Document>, n: i32, stop: &AtomicBool) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let began = Instant::now();
        let update = doc! {"$push": {"numbers": number}, "$inc": {"count": 1}};
        let result = documents.update_one(doc! {"_id": n}, update).run().map(drop);
        attempts.push(Attempt { number, began, took: began.elapsed(), result });
        thread::sleep(PAUSE);
    }
    attempts
}

/// What was acknowledged is there, and nothing twice. (What failed may be there or not.)
fn nothing_is_lost(set: &ReplicaSet, fault: &str, n: usize, attempts: &[Attempt]) {
    let find = doc! {"find": "documents", "filter": {"_id": n as i32}, "readConcern": {"level": "majority"}};
    let reply = set.run(set.primary(), "failover", find);
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).unwrap();
    let document = batch[0].as_document().unwrap();
    let found: Vec<i64> = document.get_array("numbers").unwrap().iter().filter_map(Bson::as_i64).collect();
    let mut distinct = found.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), found.len(), "{fault}: a number was pushed twice");
    assert_eq!(document.get_i32("count").unwrap(), i32::try_from(found.len()).unwrap(), "{fault}");
    let acknowledged = attempts.iter().filter(|attempt| attempt.result.is_ok());
    let lost: Vec<i64> = acknowledged.map(|attempt| attempt.number).filter(|n| !distinct.contains(n)).collect();
    assert!(lost.is_empty(), "{fault}: acknowledged and lost: {lost:?}");
}

const THREADS: i32 = 8;
const OPTIONS: &str = "w=majority&retryWrites=false&retryReads=false&connectTimeoutMS=3000&serverSelectionTimeoutMS=20000&heartbeatFrequencyMS=1000";
/// The limit of server selection, and 5 s. A call that waits for a frozen server ends, at the latest, when the fault does.
const LONGEST: Duration = Duration::from_secs(20 + 5);
const BEFORE: Duration = Duration::from_millis(500);
const DURING: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
