//! A primary that is lost in every way a network and a process allow, with eight threads at work. With retries off each operation ends
//! in time, and the next one that can succeed does; with retries on the program sees no error. A proxy stands before each member.

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
        "The primary is lost (8 threads, retries off, inline checks): longest time without a success, longest operation"
            .to_owned();
    for fault in FAULTS {
        let (gap, longest) = survive(&set, fault, RETRIES_OFF);
        table += &format!("\n  {:<24} {:>6} ms {:>6} ms", fault.name, gap.as_millis(), longest.as_millis());
    }
    report(&table);
}

#[test]
fn a_lost_primary_shows_no_error_with_retries_inline() {
    let options = ReplicaSetOptions { proxied: true, ..ReplicaSetOptions::default() };
    let Some(set) = ReplicaSet::start("6.0", options) else { return };
    let mut table =
        "The primary is lost (8 threads, retries on, inline checks): longest time without a success, longest operation"
            .to_owned();
    for fault in FAULTS {
        let (gap, longest) = survive(&set, fault, RETRIES_ON);
        table += &format!("\n  {:<24} {:>6} ms {:>6} ms", fault.name, gap.as_millis(), longest.as_millis());
    }
    report(&table);
}

/// A frozen primary answers nothing, and its connections stay open. With connectTimeoutMS=10000 a failed check would end the waits
/// after eleven seconds; that there is a newer primary ends them soon after its election. With two connections most threads wait
/// in the queue of the pool.
#[test]
fn waits_on_a_frozen_primary_end_when_there_is_another_one() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    // A member that wins an election takes no writes before it has heard of every other one, or has given up waiting for it.
    let mut reply = set.run(set.primary(), "admin", doc! {"replSetGetConfig": 1});
    let config = reply.get_document_mut("config").unwrap();
    let version = config.get_i32("version").unwrap();
    config.insert("version", version + 1);
    config.get_document_mut("settings").unwrap().extend(doc! {"heartbeatTimeoutSecs": 1, "catchUpTimeoutMillis": 500});
    let config = config.clone();
    set.run(set.primary(), "admin", doc! {"replSetReconfig": config});
    let frozen = Fault { name: "frozen, 2 connections", begin: |set, n| set.freeze(n), end: |set, n| set.thaw(n) };
    for size in [2, 100] {
        let (gap, longest) = survive(&set, &frozen, &format!("&connectTimeoutMS=10000&maxPoolSize={size}"));
        let (gap, longest) = (gap.as_millis(), longest.as_millis());
        report(&format!(
            "A primary freezes (maxPoolSize={size}): no success for {gap} ms, longest operation {longest} ms"
        ));
        assert!(gap < 9_000, "{gap} ms");
    }
}

/// Two step-downs with ten seconds between them, and then each member killed and started again: nothing is lost and nothing done
/// twice. An operation may meet both an old and a new primary that is lost, so that its one retry fails too: that is reported.
#[test]
fn step_downs_and_restarts_one_after_the_other_lose_nothing() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    let began = Instant::now();
    let (attempts, _) = work_during(&set, RETRIES_ON, |set| {
        set.step_down();
        set.wait_until_complete();
        thread::sleep(Duration::from_secs(10).saturating_sub(began.elapsed()));
        set.step_down();
        for member in 0..set.addresses().len() {
            set.wait_until_complete();
            set.kill(member);
            set.restart(member);
        }
    });
    let mut shown = Vec::new();
    for (n, attempts) in attempts.iter().enumerate() {
        nothing_is_lost(&set, "step-downs and restarts", n, attempts);
        shown.extend(attempts.iter().filter_map(|attempt| Some(format!("\n  {}", attempt.result.as_ref().err()?))));
    }
    let count: usize = attempts.iter().map(Vec::len).sum();
    report(&format!("Step-downs and restarts: {count} operations, {} errors{}", shown.len(), shown.concat()));
}

/// Works with eight threads while the fault comes and goes. The longest time without a success from its beginning on, and how long
/// the longest operation took.
fn survive(set: &ReplicaSet, fault: &Fault, retries: &str) -> (Duration, Duration) {
    let (attempts, begun) = work_during(set, retries, |set| {
        let primary = set.primary();
        (fault.begin)(set, primary);
        thread::sleep(DURING);
        (fault.end)(set, primary);
    });
    let limit = if retries == RETRIES_OFF { LONGEST } else { 2 * LONGEST };
    for attempt in attempts.iter().flatten() {
        assert!(attempt.took <= limit, "{}: {:?} for {:?}", fault.name, attempt.took, attempt.result);
        assert!(retries == RETRIES_OFF || attempt.result.is_ok(), "{}: {:?}", fault.name, attempt.result);
    }
    for attempts in &attempts {
        let last = attempts.last().expect("each thread worked");
        assert!(last.result.is_ok(), "{}: the last operation of a thread failed: {:?}", fault.name, last.result);
    }
    for (n, attempts) in attempts.iter().enumerate() {
        nothing_is_lost(set, fault.name, n, attempts);
    }
    let successes = attempts.iter().flatten().filter(|attempt| attempt.result.is_ok());
    let ends = successes.map(|attempt| attempt.began + attempt.took).filter(|end| *end >= begun);
    let mut ends: Vec<Instant> = ends.chain([begun]).collect();
    ends.sort();
    let gap = ends.windows(2).map(|pair| pair[1] - pair[0]).max().expect("operations succeeded");
    let longest = attempts.iter().flatten().map(|attempt| attempt.took).max().unwrap_or_default();
    (gap, longest)
}

/// What eight threads have done while `trouble` came and went, each of them, and when that began.
fn work_during(set: &ReplicaSet, retries: &str, trouble: impl FnOnce(&ReplicaSet)) -> (Vec<Vec<Attempt>>, Instant) {
    set.wait_until_complete();
    let client = Client::with_uri_str(format!("{}&{OPTIONS}{retries}", set.uri())).unwrap();
    let documents = client.database("failover").collection::<Document>("documents");
    documents.drop().run().unwrap();
    documents.insert_many((0..THREADS).map(|n| doc! {"_id": n, "numbers": [], "count": 0})).run().unwrap();

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let work = |n: i32| {
            scope.spawn({
                let (documents, stop) = (&documents, &stop);
                move || work(documents, n, stop)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(work).collect();
        // Some work before it.
        thread::sleep(BEFORE);
        let begun = Instant::now();
        trouble(set);
        set.wait_until_complete();
        thread::sleep(AFTER);
        stop.store(true, Ordering::SeqCst);
        (threads.into_iter().map(|thread| thread.join().unwrap()).collect(), begun)
    })
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
const OPTIONS: &str = "w=majority&serverSelectionTimeoutMS=20000&heartbeatFrequencyMS=1000";
const RETRIES_ON: &str = "&connectTimeoutMS=3000";
const RETRIES_OFF: &str = "&connectTimeoutMS=3000&retryWrites=false&retryReads=false";
/// The limit of server selection, and 5 s. A call that waits for a frozen server ends, at the latest, when the fault does.
const LONGEST: Duration = Duration::from_secs(20 + 5);
const BEFORE: Duration = Duration::from_millis(500);
const DURING: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
