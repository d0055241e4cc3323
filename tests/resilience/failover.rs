//! A primary that is lost in every way a network and a process allow, with threads at work. With retries off each operation ends in
//! time, and the next one that can succeed does; with retries on the program sees no error, nothing is lost and nothing is done twice,
//! and the work goes on soon after the set's own election. A proxy stands before each member.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::Error;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, Monitoring};
use mongo_blocking::{Client, Collection};
use mongo_blocking_test_server::peers::{ReplicaSet, ReplicaSetOptions, report};

/// What is done to the primary.
struct Fault {
    name: &'static str,
    begin: fn(&ReplicaSet, usize),
    end: fn(&ReplicaSet, usize),
    /// How long after an election the work goes on at the latest; `None`: there is none, and an operation's own limits count.
    within: Option<Duration>,
    /// Whether nothing tells a client that waits that there is nothing to wait for.
    is_silent: bool,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "killed",
        begin: |set, n| set.kill(n),
        end: |set, n| set.restart(n),
        within: Some(SOON),
        is_silent: false,
    },
    Fault {
        name: "steps down",
        begin: |set, _| {
            set.step_down();
        },
        end: |_, _| {},
        within: Some(SOON),
        is_silent: false,
    },
    Fault {
        name: "connections reset",
        begin: |set, n| set.proxy(n).reset(),
        end: |_, _| {},
        within: None,
        is_silent: false,
    },
    Fault {
        name: "slow by 5 s",
        begin: |set, n| set.proxy(n).delay(Duration::from_secs(5)),
        end: heal,
        within: None,
        is_silent: false,
    },
    Fault {
        name: "frozen",
        begin: |set, n| set.freeze(n),
        end: |set, n| set.thaw(n),
        within: Some(Duration::from_secs(2)),
        is_silent: true,
    },
    // From the clients and from the other members.
    Fault {
        name: "gone from the network",
        begin: |set, n| set.proxy(n).vanish(),
        end: heal,
        within: Some(SOON),
        is_silent: true,
    },
];

fn heal(set: &ReplicaSet, member: usize) {
    set.proxy(member).heal();
}

/// A client with threads at work.
struct Worker {
    name: &'static str,
    client: Client,
    threads: i32,
    /// What each of them does, again and again.
    operations: &'static [Kind],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Insert,
    /// Of a document of the thread's own: a number is pushed, and another one incremented.
    Update,
    /// Of that document, from the primary.
    Read,
}

impl Worker {
    fn new(set: &ReplicaSet, name: &'static str, monitoring: Monitoring, options: &str) -> Worker {
        let uri = format!("{}&w=majority&serverSelectionTimeoutMS=20000&appName=failover{options}", set.uri());
        // A handler of commands is called by the operation's own thread.
        let count = EventHandler::new(|event: &CommandEvent| {
            if matches!(event, CommandEvent::Failed(_)) {
                FAILURES.set(FAILURES.get() + 1);
            }
        });
        let options = ClientOptions::builder().uri(uri).monitoring(monitoring).command_event_handler(count).build();
        let client = Client::with_options(options).unwrap();
        Worker { name, client, threads: 8, operations: &[Kind::Insert, Kind::Update] }
    }

    fn reads(self) -> Worker {
        Worker { threads: 2, operations: &[Kind::Read], ..self }
    }

    fn documents(&self) -> Collection<Document> {
        self.client.database("failover").collection(self.name)
    }
}

/// One operation of a thread.
struct Attempt {
    number: i64,
    kind: Kind,
    began: Instant,
    took: Duration,
    result: Result<(), Error>,
    /// How many of its commands failed.
    failures: u32,
}

impl Attempt {
    fn end(&self) -> Instant {
        self.began + self.took
    }
}

/// What the threads of one client have done.
struct Work {
    name: &'static str,
    threads: Vec<Vec<Attempt>>,
}

#[test]
fn a_lost_primary_is_replaced_and_nothing_is_lost() {
    let options = ReplicaSetOptions { proxied: true, ..ReplicaSetOptions::default() };
    let Some(set) = ReplicaSet::start("6.0", options) else { return };
    let mut table = "The primary is lost (8 threads for each client, retries off), in ms. From the fault on, for each client: the longest time \
                     without a success; the longest operation, and the longest one that failed"
        .to_owned();
    for fault in FAULTS {
        let options = "&retryWrites=false&retryReads=false&connectTimeoutMS=3000&heartbeatFrequencyMS=1000";
        let workers = [
            Worker::new(&set, "inline", Monitoring::Inline, options),
            Worker::new(&set, "background", Monitoring::Background, options),
        ];
        let (work, begun) = work_during(&set, &workers, |set| come_and_go(set, fault));
        for work in &work {
            let mut longest_failure = Duration::ZERO;
            for attempt in work.threads.iter().flatten() {
                let failed = attempt.result.is_err();
                // What waits for a silent primary ends without any limit of its own.
                let limit = if failed && fault.is_silent { SILENCE } else { LONGEST };
                let shown = (fault.name, work.name, attempt.took, &attempt.result);
                assert!(attempt.took <= limit, "{shown:?}");
                longest_failure = longest_failure.max(if failed { attempt.took } else { Duration::ZERO });
            }
            work.ended_well(fault.name);
            work.lost_nothing(&set, fault.name);
            let (gap, _) = work.longest_gap(begun);
            let times = [gap, work.longest(), longest_failure].map(|time| time.as_millis());
            table +=
                &format!("\n  {:<24} {:<10} {:>6} {:>6} {:>6}", fault.name, work.name, times[0], times[1], times[2]);
        }
    }
    report(&table);
}

/// Three clients at once: with two connections most threads wait in the queue of the pool. All limits have their defaults, so that a
/// check of a server that does not answer fails after ten seconds.
#[test]
fn a_lost_primary_shows_no_error_with_retries() {
    // A secondary that reads from a primary which falls silent turns to another member one second later, not five.
    let arguments = ["--setParameter", "oplogNetworkTimeoutBufferSeconds=1"].map(str::to_owned).to_vec();
    let options = ReplicaSetOptions { proxied: true, arguments, ..ReplicaSetOptions::default() };
    let Some(set) = ReplicaSet::start("6.0", options) else { return };
    give_up_waiting_for_lost_members(&set);
    let mut table = "The primary is lost (8 threads for each client, retries on), in ms. Since the fault: when the new primary began to take \
                     writes, by the set's logs, and when it could acknowledge them by a majority. For each client: the longest time without \
                     a success; how long after that it ended (for reads: after the election); the longest operation"
        .to_owned();
    let mut late = Vec::new();
    for fault in FAULTS {
        let workers = [
            Worker::new(&set, "inline", Monitoring::Inline, ""),
            Worker::new(&set, "background", Monitoring::Background, ""),
            Worker::new(&set, "two connections", Monitoring::Inline, "&maxPoolSize=2"),
            Worker::new(&set, "inline reads", Monitoring::Inline, "").reads(),
            Worker::new(&set, "background reads", Monitoring::Background, "").reads(),
        ];
        let mut since = SystemTime::now();
        let (work, begun) = work_during(&set, &workers, |set| {
            since = SystemTime::now();
            come_and_go(set, fault);
        });
        let elections = set.elections_since(since);
        let after_fault = |time: SystemTime| time.duration_since(since).unwrap_or_default();
        let majority = set.majority_since().map(after_fault).unwrap_or_default();
        let ms = |time: Duration| time.as_millis().to_string();
        let elected: Vec<String> = elections.iter().map(|time| ms(after_fault(*time))).collect();
        table += &format!("\n  {}: elected [{}], majority {}", fault.name, elected.join(", "), ms(majority));
        for work in &work {
            for attempt in work.threads.iter().flatten() {
                let shown = attempt.result.as_ref().err();
                assert!(shown.is_none(), "{}, {}: {shown:?}", fault.name, work.name);
            }
            work.ended_well(fault.name);
            work.lost_nothing(&set, fault.name);
            let (gap, end) = work.longest_gap(begun);
            let end = end.saturating_duration_since(begun);
            let election = elections.iter().map(|time| after_fault(*time)).filter(|time| *time <= end).max();
            // No client gets a write acknowledged before the set itself can do that.
            let reads = work.name.ends_with("reads");
            let possible = election.map(|election| if reads { election } else { election.max(majority) });
            let above = possible.map_or(Duration::ZERO, |possible| end.saturating_sub(possible));
            let longest = work.longest();
            table += &format!("\n    {:<16} {:>6} {:>6} {:>6}", work.name, ms(gap), ms(above), ms(longest));
            match fault.within {
                Some(within) if election.is_none() || above > within => {
                    late.push(format!("{}, {}", fault.name, work.name))
                }
                None if longest > LONGEST => late.push(format!("{}, {}", fault.name, work.name)),
                _ => {}
            }
        }
    }
    report(&table);
    assert!(late.is_empty(), "{late:?}\n{table}");
}

/// The primary steps down every ten seconds, and then each member is killed and started again in turn, for as many seconds each as the
/// variable says: nothing is lost and nothing done twice. An operation may meet both an old and a new primary that is lost, so that its
/// one retry fails too: that is reported.
#[test]
fn step_downs_and_restarts_one_after_the_other_lose_nothing() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    let seconds = std::env::var("MONGO_BLOCKING_FAILOVER_SECONDS").map_or(15, |seconds| seconds.parse().unwrap());
    let each = Duration::from_secs(seconds);
    let worker = Worker::new(&set, "inline", Monitoring::Inline, "");
    let (work, _) = work_during(&set, &[worker], |set| {
        let began = Instant::now();
        for number in 1.. {
            set.step_down();
            set.wait_until_complete();
            let next = began + number * Duration::from_secs(10);
            if next > began + each {
                break;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let began = Instant::now();
        for member in (0..set.addresses().len()).cycle() {
            set.kill(member);
            set.restart(member);
            set.wait_until_complete();
            if began.elapsed() > each && member + 1 == set.addresses().len() {
                break;
            }
        }
    });
    let [work] = &work[..] else { panic!("one client") };
    work.lost_nothing(&set, "step-downs and restarts");
    let attempts = || work.threads.iter().flatten();
    let mut text = String::new();
    for attempt in attempts() {
        let Err(error) = &attempt.result else { continue };
        text += &format!("\n  after {} failures: {error}", attempt.failures);
        // One of them may have been on the way to a connection, of which no event of a command tells.
        assert!(attempt.failures >= 2, "{error:?}");
    }
    let shown = attempts().filter(|attempt| attempt.result.is_err()).count();
    report(&format!("Step-downs and restarts: {} operations, {shown} errors{text}", attempts().count()));
}

/// A member that wins an election takes no writes before it has heard of every other one, or has given up waiting for it.
fn give_up_waiting_for_lost_members(set: &ReplicaSet) {
    let mut reply = set.run(set.primary(), "admin", doc! {"replSetGetConfig": 1});
    let config = reply.get_document_mut("config").unwrap();
    let version = config.get_i32("version").unwrap();
    config.insert("version", version + 1);
    config.get_document_mut("settings").unwrap().extend(doc! {"heartbeatTimeoutSecs": 1, "catchUpTimeoutMillis": 500});
    let config = config.clone();
    set.run(set.primary(), "admin", doc! {"replSetReconfig": config});
}

fn come_and_go(set: &ReplicaSet, fault: &Fault) {
    let primary = set.primary();
    (fault.begin)(set, primary);
    thread::sleep(DURING);
    (fault.end)(set, primary);
}

/// What the clients' threads have done while `trouble` came and went, and when that began.
fn work_during(set: &ReplicaSet, workers: &[Worker], trouble: impl FnOnce(&ReplicaSet)) -> (Vec<Work>, Instant) {
    set.wait_until_complete();
    for worker in workers {
        let documents = worker.documents();
        documents.drop().run().unwrap();
        documents.insert_many((0..worker.threads).map(|n| doc! {"_id": n, "numbers": [], "count": 0})).run().unwrap();
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = |worker: &Worker| {
            let start = |n| {
                let (documents, operations, stop) = (worker.documents(), worker.operations, &stop);
                scope.spawn(move || work(&documents, n, operations, stop))
            };
            (worker.name, (0..worker.threads).map(start).collect::<Vec<_>>())
        };
        let working: Vec<_> = workers.iter().map(start).collect();
        // Some work before it.
        thread::sleep(BEFORE);
        let begun = Instant::now();
        trouble(set);
        set.wait_until_complete();
        thread::sleep(AFTER);
        stop.store(true, Ordering::SeqCst);
        let end = |(name, threads): (_, Vec<thread::ScopedJoinHandle<'_, _>>)| Work {
            name,
            threads: threads.into_iter().map(|thread| thread.join().unwrap()).collect(),
        };
        (working.into_iter().map(end).collect(), begun)
    })
}

fn work(documents: &Collection<Document>, n: i32, operations: &[Kind], stop: &AtomicBool) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (number, kind) in (0..).zip(operations.iter().copied().cycle()) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        FAILURES.set(0);
        let began = Instant::now();
        let result = match kind {
            Kind::Insert => documents.insert_one(doc! {"thread": n, "number": number}).run().map(drop),
            Kind::Read => documents.find_one(doc! {"_id": n}).run().map(drop),
            Kind::Update => {
                let update = doc! {"$push": {"numbers": number}, "$inc": {"count": 1}};
                documents.update_one(doc! {"_id": n}, update).run().map(drop)
            }
        };
        attempts.push(Attempt { number, kind, began, took: began.elapsed(), result, failures: FAILURES.get() });
        thread::sleep(PAUSE);
    }
    attempts
}

impl Work {
    fn ended_well(&self, fault: &str) {
        for attempts in &self.threads {
            let last = attempts.last().expect("each thread worked");
            assert!(last.result.is_ok(), "{fault}, {}: the last operation failed: {:?}", self.name, last.result);
        }
    }

    fn longest(&self) -> Duration {
        self.threads.iter().flatten().map(|attempt| attempt.took).max().unwrap_or_default()
    }

    /// The longest time without a success from this moment on, and when it ended.
    fn longest_gap(&self, begun: Instant) -> (Duration, Instant) {
        let successes = self.threads.iter().flatten().filter(|attempt| attempt.result.is_ok());
        let ends = successes.map(Attempt::end).filter(|end| *end >= begun);
        let mut ends: Vec<Instant> = ends.chain([begun]).collect();
        ends.sort();
        ends.windows(2).map(|pair| (pair[1] - pair[0], pair[1])).max().expect("operations succeeded")
    }

    /// What was acknowledged is there, and nothing twice. (What failed may be there or not.)
    fn lost_nothing(&self, set: &ReplicaSet, fault: &str) {
        let found = |command: Document| -> Vec<Document> {
            let command =
                [doc! {"find": self.name, "batchSize": 1_000_000, "readConcern": {"level": "majority"}}, command];
            let command: Document = command.into_iter().flatten().collect();
            let reply = set.run(set.primary(), "failover", command);
            let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).unwrap();
            batch.iter().map(|document| document.as_document().unwrap().clone()).collect()
        };
        for (n, attempts) in self.threads.iter().enumerate() {
            let n = i32::try_from(n).unwrap();
            let inserted = found(doc! {"filter": {"thread": n}, "projection": {"number": 1}});
            let inserted: Vec<i64> = inserted.iter().map(|document| document.get_i64("number").unwrap()).collect();
            let updated = &found(doc! {"filter": {"_id": n}})[0];
            let pushed: Vec<i64> = updated.get_array("numbers").unwrap().iter().filter_map(Bson::as_i64).collect();
            assert_eq!(
                updated.get_i32("count").unwrap(),
                i32::try_from(pushed.len()).unwrap(),
                "{fault}, {}",
                self.name
            );
            for (there, kind) in [(inserted, Kind::Insert), (pushed, Kind::Update)] {
                let mut distinct = there.clone();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), there.len(), "{fault}, {}: a number is there twice", self.name);
                let acknowledged = attempts.iter().filter(|attempt| attempt.kind == kind && attempt.result.is_ok());
                let lost: Vec<i64> =
                    acknowledged.map(|attempt| attempt.number).filter(|n| !distinct.contains(n)).collect();
                assert!(lost.is_empty(), "{fault}, {}: acknowledged and lost: {lost:?}", self.name);
            }
        }
    }
}

thread_local! {
    /// How many commands of the operation that runs on this thread have failed.
    static FAILURES: Cell<u32> = const { Cell::new(0) };
}

/// How long an operation may wait for a silent primary: connectTimeoutMS and 2 s.
const SILENCE: Duration = Duration::from_secs(3 + 2);
/// The limit of server selection, and 5 s. A call that waits for a frozen server ends, at the latest, when the fault does.
const LONGEST: Duration = Duration::from_secs(20 + 5);
const SOON: Duration = Duration::from_secs(1);
const BEFORE: Duration = Duration::from_millis(500);
const DURING: Duration = Duration::from_secs(8);
const AFTER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
