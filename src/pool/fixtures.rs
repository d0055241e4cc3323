//! The fixtures of the pool (cmap-format), those of style `unit` with a server of the tests' own as the other side, those of style
//! `integration` with a mongod whose fail points are set.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Mongod;
use mongo_blocking_test_server::report::{Report, Skip};

use super::tests::{Watched, watched};
use super::{Pool, PooledConnection};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::event::cmap::CmapEvent;
use crate::locks::{lock, unpoisoned};

const FOLDER: &str = "connection-monitoring-and-pooling/tests/cmap-format";

/// The server that the cases of style `integration` run on.
const SERVER: &str = "6.0";

/// How long a fixture waits for an event or a thread that names no limit of its own.
const LIMIT: Duration = Duration::from_secs(10);

type Verdict = std::result::Result<(), String>;

#[test]
fn pools() {
    let Some(mut report) = Report::on(FOLDER, 28) else { return };
    for fixture in report.fixtures() {
        let case: Document =
            serde_json::from_str(&fixture.text).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        match run(&case) {
            Ok(verdict) => report.judged(&fixture.name, verdict),
            Err(skip) => report.skipped(&skip),
        }
    }
    report.finish();
}

/// The runner notices what is wrong in a fixture.
#[test]
fn one_wrong_expectation_fails() {
    let faults = [
        (r#""connectionId": 1, "reason""#, r#""connectionId": 2, "reason""#, "connectionId is 1"),
        (r#""reason": "stale""#, r#""reason": "idle""#, "reason is \"stale\""),
        (r#""ignore": []"#, r#""ignore": ["ConnectionReady"]"#, "event 4 is ConnectionCheckedOut"),
        (r#""ignore": []"#, r#""ignore": [], "surprise": 1"#, "does not know the key 'surprise'"),
        (r#"{"name": "clear"}"#, r#"{"name": "jump"}"#, "does not know the operation 'jump'"),
        (r#"{"name": "clear"}"#, r#"{"name": "close"}"#, "event 6 is ConnectionPoolClosed"),
        (
            r#""ignore": []"#,
            r#""ignore": [], "error": {"type": "PoolClosedError"}"#,
            "an error of type PoolClosedError",
        ),
        (r#"{"name": "clear"}"#, r#"{"name": "close"}, {"name": "checkOut"}"#, "failed unexpectedly"),
        (r#""address": 42, "duration": 42"#, r#""address": 42, "options": 42"#, "options is missing"),
        (r#""label": "conn""#, r#""label": "other""#, "no connection is labelled 'conn'"),
        (
            r#"{"name": "ready"}"#,
            r#"{"name": "ready"}, {"name": "waitForEvent", "event": "ConnectionClosed", "count": 1, "timeout": 1}"#,
            "ConnectionClosed did not occur 1 times",
        ),
    ];
    let case = |text: &str| run(&serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))).unwrap();
    assert_eq!(case(FIXTURE), Ok(()));
    for (right, wrong, said) in faults {
        assert!(FIXTURE.contains(right), "{right} is in the fixture");
        let why = case(&FIXTURE.replacen(right, wrong, 1)).expect_err(wrong);
        assert!(why.contains(said), "with {wrong}, it failed for another reason: {why}");
    }
}

const FIXTURE: &str = r#"{"version": 1, "style": "unit", "description": "x", "poolOptions": {"maxPoolSize": 2},
    "operations": [{"name": "ready"}, {"name": "checkOut", "label": "conn"}, {"name": "clear"},
        {"name": "checkIn", "connection": "conn"}],
    "events": [{"type": "ConnectionPoolCreated", "options": {"maxPoolSize": 2}}, {"type": "ConnectionPoolReady"},
        {"type": "ConnectionCheckOutStarted", "address": 42}, {"type": "ConnectionCreated", "connectionId": 1},
        {"type": "ConnectionReady", "address": 42, "duration": 42}, {"type": "ConnectionCheckedOut"},
        {"type": "ConnectionPoolCleared"}, {"type": "ConnectionCheckedIn"},
        {"type": "ConnectionClosed", "connectionId": 1, "reason": "stale"}],
    "ignore": []}"#;

/// Runs one case, or tells why it is not run.
fn run(case: &Document) -> Result<Verdict, Skip> {
    let known = [
        "version",
        "style",
        "description",
        "poolOptions",
        "operations",
        "error",
        "events",
        "ignore",
        "runOn",
        "failPoint",
    ];
    if let Err(why) = check_keys(case, &known) {
        return Ok(Err(why));
    }
    match (case.get_i32("version"), case.get_str("style")) {
        (Ok(1), Ok("unit")) => {
            let server = FakeServer::builder().start();
            Ok(run_on(&format!("mongodb://{}/", server.address()), case))
        }
        (Ok(1), Ok("integration")) => {
            let Some(mongod) = Mongod::shared(SERVER) else {
                return Err(Skip::Needs(format!("a mongod {SERVER}")));
            };
            if let Some(why) = runs_not_on(case, mongod) {
                return Err(why);
            }
            Ok(with_fail_point(case, mongod, || run_on(&mongod.uri(), case)))
        }
        other => Ok(Err(format!("the runner does not know version and style {other:?}"))),
    }
}

fn check_keys(document: &Document, known: &[&str]) -> Verdict {
    match document.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("the runner does not know the key '{key}'")),
        None => Ok(()),
    }
}

/// `runOn`: one of its requirements must hold.
fn runs_not_on(case: &Document, mongod: &Mongod) -> Option<Skip> {
    let wanted = documents(case, "runOn");
    let info = mongod.run("admin", doc! {"buildInfo": 1});
    let version = numbers(info.get_str("version").unwrap_or_default());
    let holds = |requirement: &&Document| {
        let bound = |key| requirement.get_str(key).ok().map(numbers);
        bound("minServerVersion").is_none_or(|least| version >= least)
            && bound("maxServerVersion").is_none_or(|most| version <= most)
    };
    (!wanted.is_empty() && !wanted.iter().any(holds)).then(|| Skip::Needs(format!("another server than {SERVER}")))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

fn with_fail_point(case: &Document, mongod: &Mongod, run: impl FnOnce() -> Verdict) -> Verdict {
    let Ok(command) = case.get_document("failPoint") else { return run() };
    let ok = |answer: Document| match answer.get("ok").and_then(Bson::as_f64) {
        Some(1.0) => Ok(()),
        _ => Err(format!("the fail point could not be set: {answer}")),
    };
    ok(mongod.run("admin", command.clone()))?;
    let verdict = run();
    let name = command.get_str("configureFailPoint").map_err(|error| error.to_string())?;
    ok(mongod.run("admin", doc! {"configureFailPoint": name, "mode": "off"}))?;
    verdict
}

/// Runs the operations with a pool for this server, and judges its events and the error.
fn run_on(uri: &str, case: &Document) -> Verdict {
    let options = case.get_document("poolOptions").cloned().unwrap_or_default();
    let known = [
        "maxPoolSize",
        "minPoolSize",
        "maxIdleTimeMS",
        "maxConnecting",
        "waitQueueTimeoutMS",
        "appName",
        "backgroundThreadIntervalMS",
    ];
    check_keys(&options, &known)?;
    // There is no thread that works at intervals. Each option else is one of a connection string.
    let query: Vec<String> = options
        .iter()
        .filter(|(key, _)| *key != "backgroundThreadIntervalMS")
        .map(|(key, value)| format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let runner = Arc::new(Runner {
        watched: watched(&format!("{uri}?{}", query.join("&"))),
        queue_limit: options.get("waitQueueTimeoutMS").and_then(millis),
        labelled: Mutex::default(),
        unlabelled: Mutex::default(),
        came: Condvar::new(),
    });
    let outcome = runner.run_all(&documents(case, "operations"));
    // Another thread may be delivering what this one has caused.
    runner.watched.queue.wait_until_delivered(LIMIT);
    judge_error(case.get_document("error").ok(), outcome)?;
    judge_events(case, &lock(&runner.watched.events))
}

/// Why the main thread stopped: the driver's error, or a fault of the fixture.
enum Stopped {
    Error(Error),
    Fixture(String),
}

struct Runner {
    watched: Watched,
    queue_limit: Option<Duration>,
    labelled: Mutex<HashMap<String, PooledConnection>>,
    /// They stay checked out until the end.
    unlabelled: Mutex<Vec<PooledConnection>>,
    came: Condvar,
}

/// A thread of the fixture, which runs the operations that it is given.
struct Worker {
    work: Sender<Document>,
    ended: Receiver<Result<(), Stopped>>,
}

impl Runner {
    fn run_all(self: &Arc<Self>, operations: &[&Document]) -> Result<(), Stopped> {
        let mut workers = HashMap::new();
        for operation in operations {
            let fixture = |why: String| Stopped::Fixture(format!("{operation}: {why}"));
            let text = |key| operation.get_str(key).map_err(|error| fixture(error.to_string()));
            match text("name")? {
                "start" => {
                    workers.insert(text("target")?.to_owned(), self.start_worker());
                }
                "waitForThread" => {
                    let target = text("target")?;
                    let Worker { work, ended } =
                        workers.remove(target).ok_or_else(|| fixture(format!("there is no thread '{target}'")))?;
                    drop(work);
                    ended.recv_timeout(LIMIT).map_err(|_| fixture(format!("'{target}' does not end")))??;
                }
                _ => match operation.get_str("thread") {
                    Ok(name) => {
                        let worker =
                            workers.get(name).ok_or_else(|| fixture(format!("there is no thread '{name}'")))?;
                        let _ = worker.work.send((*operation).clone()); // It may have ended with an error.
                    }
                    Err(_) => self.run_one(operation)?,
                },
            }
        }
        Ok(())
    }

    fn start_worker(self: &Arc<Self>) -> Worker {
        let (work, operations) = mpsc::channel::<Document>();
        let (sender, ended) = mpsc::channel();
        let runner = self.clone();
        thread::spawn(move || {
            let outcome = operations.iter().try_for_each(|operation| runner.run_one(&operation));
            let _ = sender.send(outcome); // The fixture need not wait for the thread.
        });
        Worker { work, ended }
    }

    fn run_one(&self, operation: &Document) -> Result<(), Stopped> {
        let fixture = |why: String| Stopped::Fixture(format!("{operation}: {why}"));
        let known = [
            "name",
            "thread",
            "target",
            "ms",
            "event",
            "count",
            "timeout",
            "label",
            "connection",
            "interruptInUseConnections",
        ];
        check_keys(operation, &known).map_err(fixture)?;
        let pool = &self.watched.pool;
        match operation.get_str("name") {
            Ok("wait") => {
                let time = operation.get("ms").and_then(millis).ok_or_else(|| fixture("ms is missing".to_owned()))?;
                thread::sleep(time);
            }
            Ok("waitForEvent") => {
                let event = operation.get_str("event").map_err(|error| fixture(error.to_string()))?;
                let count = operation.get_i32("count").map_err(|error| fixture(error.to_string()))?;
                let limit = operation.get("timeout").and_then(millis).unwrap_or(LIMIT);
                if !self
                    .watched
                    .wait_until(limit, |events| events.iter().filter(|e| name(e) == event).count() >= count as usize)
                {
                    return Err(fixture(format!("{event} did not occur {count} times")));
                }
            }
            Ok("checkOut") => {
                let queue = Deadline::after_option(self.queue_limit).named("waitQueueTimeoutMS");
                let checked_out = pool.check_out(queue, Deadline::NEVER, None, Instant::now());
                let connection = checked_out.map_err(|failure| Stopped::Error(failure.error))?;
                match operation.get_str("label") {
                    Ok(label) => {
                        lock(&self.labelled).insert(label.to_owned(), connection);
                        self.came.notify_all();
                    }
                    Err(_) => lock(&self.unlabelled).push(connection),
                }
            }
            Ok("checkIn") => {
                let label = operation.get_str("connection").map_err(|error| fixture(error.to_string()))?;
                drop(self.take(label).ok_or_else(|| fixture(format!("no connection is labelled '{label}'")))?);
            }
            Ok("ready") => self.change(|pool| pool.ready().run()),
            Ok("clear") => {
                let interrupt = operation.get_bool("interruptInUseConnections").unwrap_or(false);
                self.change(|pool| pool.clear(interrupt, None).run());
            }
            Ok("close") => self.change(|pool| pool.close(true).run()),
            Ok(other) => return Err(fixture(format!("the runner does not know the operation '{other}'"))),
            Err(error) => return Err(fixture(error.to_string())),
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&Pool)) {
        change(&self.watched.pool);
        self.watched.queue.deliver();
    }

    /// The connection of a label. A thread may be about to set it.
    fn take(&self, label: &str) -> Option<PooledConnection> {
        let ends = Instant::now() + LABEL_LIMIT;
        let mut labelled = lock(&self.labelled);
        loop {
            if let Some(connection) = labelled.remove(label) {
                return Some(connection);
            }
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            labelled = unpoisoned(self.came.wait_timeout(labelled, left)).0;
        }
    }
}

/// How long a label may take to be set after its check-out was seen to have ended.
const LABEL_LIMIT: Duration = Duration::from_secs(1);

fn judge_error(expected: Option<&Document>, outcome: Result<(), Stopped>) -> Verdict {
    let error = match (expected, outcome) {
        (_, Err(Stopped::Fixture(why))) => return Err(why),
        (None, Ok(())) => return Ok(()),
        (None, Err(Stopped::Error(error))) => return Err(format!("failed unexpectedly: {error}")),
        (Some(expected), Ok(())) => {
            let kind = expected.get_str("type").unwrap_or_default();
            return Err(format!("an error of type {kind} is expected, and there was none"));
        }
        (Some(_), Err(Stopped::Error(error))) => error,
    };
    let expected = expected.cloned().unwrap_or_default();
    check_keys(&expected, &["type", "message", "address"])?;
    let kind = match error.kind() {
        ErrorKind::Shutdown => "PoolClosedError",
        ErrorKind::Pool { .. } => "WaitQueueTimeoutError",
        ErrorKind::ConnectionPoolCleared { .. } => "PoolClearedError",
        _ => "another error",
    };
    let actual = doc! {"type": kind, "address": error.address()};
    for (key, value) in &expected {
        match (key.as_str(), value.as_str()) {
            // The message goes on with what the driver knows beside the prescribed words.
            ("message", Some(words)) if words != "42" => {
                if !error.message().starts_with(words) {
                    return Err(format!("the message is {:?} and should be {words:?}", error.message()));
                }
            }
            ("message", _) => {}
            _ => matches(key, Some(value), actual.get(key))?,
        }
    }
    Ok(())
}

fn judge_events(case: &Document, events: &[CmapEvent]) -> Verdict {
    let ignored: Vec<&str> = case.get_array("ignore").into_iter().flatten().filter_map(Bson::as_str).collect();
    let actual: Vec<Document> =
        events.iter().filter(|event| !ignored.contains(&name(event))).map(to_document).collect();
    for (index, expected) in documents(case, "events").into_iter().enumerate() {
        let found = actual.get(index).ok_or_else(|| format!("event {index} is missing: {expected}"))?;
        let kind = found.get_str("type").unwrap_or_default();
        for (key, value) in expected {
            let what = format!("event {index} is {kind}, and its {key}");
            matches(&what, Some(value), found.get(key))
                .map_err(|why| format!("{why}\n    expected {expected}\n    all events: {actual:?}"))?;
        }
    }
    Ok(())
}

/// The MATCHES of the format: what is expected is a part of what is there, and 42 stands for any value.
fn matches(what: &str, expected: Option<&Bson>, actual: Option<&Bson>) -> Verdict {
    let Some(expected) = expected else { return Ok(()) };
    let Some(actual) = actual.filter(|actual| **actual != Bson::Null) else {
        return Err(format!("{what} is missing"));
    };
    let any = matches!(expected, Bson::Int32(42) | Bson::Int64(42)) || expected.as_str() == Some("42");
    match (expected, actual) {
        _ if any => Ok(()),
        (Bson::Document(expected), Bson::Document(actual)) => {
            expected.iter().try_for_each(|(key, value)| matches(&format!("{what}.{key}"), Some(value), actual.get(key)))
        }
        (Bson::Array(expected), Bson::Array(actual)) => expected
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| matches(&format!("{what}[{index}]"), Some(value), actual.get(index))),
        _ if number(expected).is_some() && number(expected) == number(actual) => Ok(()),
        _ if expected == actual => Ok(()),
        _ => Err(format!("{what} is {actual} and should be {expected}")),
    }
}

/// The name of an event in the format.
fn name(event: &CmapEvent) -> &'static str {
    match event {
        CmapEvent::PoolCreated(_) => "ConnectionPoolCreated",
        CmapEvent::PoolReady(_) => "ConnectionPoolReady",
        CmapEvent::PoolCleared(_) => "ConnectionPoolCleared",
        CmapEvent::PoolClosed(_) => "ConnectionPoolClosed",
        CmapEvent::ConnectionCreated(_) => "ConnectionCreated",
        CmapEvent::ConnectionReady(_) => "ConnectionReady",
        CmapEvent::ConnectionClosed(_) => "ConnectionClosed",
        CmapEvent::ConnectionCheckoutStarted(_) => "ConnectionCheckOutStarted",
        CmapEvent::ConnectionCheckoutFailed(_) => "ConnectionCheckOutFailed",
        CmapEvent::ConnectionCheckedOut(_) => "ConnectionCheckedOut",
        CmapEvent::ConnectionCheckedIn(_) => "ConnectionCheckedIn",
    }
}

/// An event in the words of the format.
fn to_document(event: &CmapEvent) -> Document {
    let id = |id: u32| Bson::Int64(id.into());
    let time = |duration: Duration| Bson::Int64(duration.as_micros() as i64);
    let mut document = doc! {"type": name(event)};
    let fields = match event {
        CmapEvent::PoolCreated(event) => {
            let given = event.options.clone().unwrap_or_default();
            let mut options = Document::new();
            let idle = given.max_idle_time.map(|time| Bson::Int64(time.as_millis() as i64));
            let count = |count: Option<u32>| count.map(|count| Bson::Int64(count.into()));
            for (key, value) in [
                ("maxIdleTimeMS", idle),
                ("maxPoolSize", count(given.max_pool_size)),
                ("minPoolSize", count(given.min_pool_size)),
                ("maxConnecting", count(given.max_connecting)),
            ] {
                options.extend(value.map(|value| (key.to_owned(), value)));
            }
            doc! {"address": event.address.to_string(), "options": options}
        }
        CmapEvent::PoolReady(event) => doc! {"address": event.address.to_string()},
        CmapEvent::PoolCleared(event) => doc! {
            "address": event.address.to_string(),
            "serviceId": event.service_id,
            "interruptInUseConnections": event.interrupt_in_use_connections,
        },
        CmapEvent::PoolClosed(event) => doc! {"address": event.address.to_string()},
        CmapEvent::ConnectionCreated(event) => {
            doc! {"address": event.address.to_string(), "connectionId": id(event.connection_id)}
        }
        CmapEvent::ConnectionReady(event) => doc! {
            "address": event.address.to_string(),
            "connectionId": id(event.connection_id),
            "duration": time(event.duration),
        },
        CmapEvent::ConnectionClosed(event) => doc! {
            "address": event.address.to_string(),
            "connectionId": id(event.connection_id),
            "reason": event.reason.to_string(),
        },
        CmapEvent::ConnectionCheckoutStarted(event) => doc! {"address": event.address.to_string()},
        CmapEvent::ConnectionCheckoutFailed(event) => doc! {
            "address": event.address.to_string(),
            "reason": event.reason.to_string(),
            "duration": time(event.duration),
        },
        CmapEvent::ConnectionCheckedOut(event) => doc! {
            "address": event.address.to_string(),
            "connectionId": id(event.connection_id),
            "duration": time(event.duration),
        },
        CmapEvent::ConnectionCheckedIn(event) => {
            doc! {"address": event.address.to_string(), "connectionId": id(event.connection_id)}
        }
    };
    document.extend(fields);
    document
}

fn documents<'a>(parent: &'a Document, key: &str) -> Vec<&'a Document> {
    parent.get_array(key).map(|list| list.iter().filter_map(Bson::as_document).collect()).unwrap_or_default()
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(value) => Some(f64::from(*value)),
        Bson::Int64(value) => Some(*value as f64),
        Bson::Double(value) => Some(*value),
        _ => None,
    }
}

fn millis(value: &Bson) -> Option<Duration> {
    number(value).filter(|millis| *millis >= 0.0).map(|millis| Duration::from_secs_f64(millis / 1000.0))
}
