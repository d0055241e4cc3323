//! How far a command travels: the functions between a program's call and the one that writes to the socket. And the pauses of
//! retries and of transactions, whose random factor and limit only tests of this crate can set.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{Mongod, ReplicaSet};

use super::Client;
use crate::call_stack;
use crate::error::{
    Error, ErrorKind, Result, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};
use crate::locks::lock;
use crate::options::TransactionOptions;

/// The README and the crate's documentation name these functions. A closure, or a function that a macro makes and that holds
/// code of ours, would be listed too.
#[test]
fn a_command_passes_through_five_functions_on_its_way_to_the_socket() {
    let server = FakeServer::builder().start();
    let client = Client::with_uri_str(server.uri()).unwrap();
    client.ping().unwrap();
    let admin = client.database("admin");
    let functions = call_stack::between("RunCommand::run", "write", || {
        admin.run_command(doc! { "ping": 1 }).run().unwrap();
    });
    println!("{}", functions.join("\n"));
    let names = call_stack::short_names(&functions);
    let expected =
        ["RunCommand::run", "ClientInner::execute", "ClientInner::attempt", "Connection::run", "Transport::write_all"];
    assert_eq!(names, expected);
    call_stack::are_documented(&names);
}

/// As on a single server: what watches over long waits, and selection itself, cost a ping nothing.
#[test]
fn a_ping_on_a_set_takes_two_system_calls() {
    const PINGS: usize = 100;
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let client = Client::with_uri_str(set.uri()).unwrap();
    client.ping().unwrap();
    // The only connection of the primary's pool.
    let calls = || client.inner().topology().borrow_idle_connection().unwrap().system_calls();
    let before = calls();
    for _ in 0..PINGS {
        client.ping().unwrap();
    }
    assert_eq!(calls() - before, 2 * PINGS);
}

/// A client whose pauses have this random factor.
fn with_jitter(uri: &str, jitter: f64) -> Client {
    let client = Client::with_uri_str(uri).unwrap();
    *lock(&client.inner().jitter.fixed) = Some(jitter);
    client.ping().unwrap();
    client
}

/// How long an insert takes to fail, and how often it is sent.
fn failing_insert(uri: &str, jitter: f64) -> Duration {
    let client = with_jitter(uri, jitter);
    let began = Instant::now();
    client.database("backpressure").collection("c").insert_one(doc! { "a": 1 }).run().unwrap_err();
    began.elapsed()
}

/// Client Backpressure 1
#[test]
fn pauses_double_and_follow_the_random_number() {
    let Some(mongod) = Mongod::start("6.0", &["--setParameter", "enableTestCommands=1"]) else { return };
    let data =
        doc! { "failCommands": ["insert"], "errorCode": 2, "errorLabels": ["SystemOverloadedError", "RetryableError"] };
    mongod.run("admin", doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data });
    let (without, with) = (failing_insert(&mongod.uri(), 0.0), failing_insert(&mongod.uri(), 1.0));
    assert!(with >= Duration::from_millis(600), "{with:?}");
    assert!(with < without + Duration::from_millis(1200), "{without:?} {with:?}");
}

/// Client Backpressure 5: MongoDB 9.0 sends `baseBackoffMS`, and our own server does in its place.
#[test]
fn the_server_may_shorten_the_pauses() {
    let overloaded = |base: Option<i32>| {
        let server = FakeServer::builder().on_command(move |request, _| {
            let mut reply = doc! { "ok": 0, "code": 462, "errmsg": "Rate limiter", "errorLabels": ["SystemOverloadedError", "RetryableError"] };
            reply.extend(base.map(|base| ("baseBackoffMS".to_owned(), base.into())));
            (request.name() == "insert").then_some(Answer::Reply(reply))
        });
        let server = server.start();
        let took = failing_insert(&server.uri(), 1.0);
        assert_eq!(server.commands_named("insert").len(), 3);
        took
    };
    assert!(overloaded(None) >= Duration::from_millis(600));
    let shorter = overloaded(Some(50));
    assert!(shorter >= Duration::from_millis(300) && shorter < Duration::from_millis(600), "{shorter:?}");
}

/// Retryable Reads 5; Retryable Writes 6, case 5
#[test]
fn there_is_no_pause_after_other_errors_than_overload() {
    for command in ["find", "insert"] {
        let (sent, labels) = (AtomicUsize::new(0), ["RetryableError", "RetryableWriteError"]);
        let server = FakeServer::builder().replica_set("rs").on_command(move |request, _| {
            if request.name() != command {
                return None;
            }
            let mut reply = doc! { "ok": 0, "code": 112, "errmsg": "x", "errorLabels": labels.to_vec() };
            if request.name() == "find" {
                // A read is tried again by its code. This one does not change what is known about the server.
                reply.insert("code", 6);
            }
            if sent.fetch_add(1, Ordering::SeqCst) == 0 {
                reply.insert("errorLabels", vec!["RetryableError", "SystemOverloadedError"]);
            }
            Some(Answer::Reply(reply))
        });
        let server = server.start();
        let client = with_jitter(&server.uri(), 1.0);
        let collection = client.database("d").collection::<Document>("c");
        let began = Instant::now();
        let error = match command {
            "find" => collection.find_one(doc! {}).run().map(drop).unwrap_err(),
            _ => collection.insert_one(doc! {}).run().map(drop).unwrap_err(),
        };
        let took = began.elapsed();
        assert_eq!(server.commands_named(command).len(), 3, "{error}");
        // The first pause is 200 ms, and the second would be 400.
        assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(600), "{command}: {took:?}");
    }
}

#[test]
fn closing_the_client_ends_a_pause() {
    let reply = doc! { "ok": 0, "code": 462, "errmsg": "x", "baseBackoffMS": 60_000, "errorLabels": ["SystemOverloadedError", "RetryableError"] };
    let server = FakeServer::builder()
        .on_command(move |request, _| (request.name() == "find").then(|| Answer::Reply(reply.clone())));
    let server = server.start();
    let client = with_jitter(&server.uri(), 1.0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let client = &client;
        let find = scope.spawn(move || client.database("d").collection::<Document>("c").find_one(doc! {}).run());
        assert!(server.wait_until(Duration::from_secs(10), |server| !server.commands_named("find").is_empty()));
        client.clone().close();
        find.join().unwrap().unwrap_err();
    });
    assert!(began.elapsed() < Duration::from_secs(9), "the pause is 10 s long");
}

/// A set whose commits fail with `error`, and what becomes of a transaction that may be begun anew for this long.
fn failing_transaction(error: Error, commit: Option<Document>, limit: Duration) -> Result<()> {
    let server = FakeServer::builder().replica_set("rs").on_command(move |request, _| match request.name() {
        "commitTransaction" => commit.clone().map(Answer::Reply),
        "abortTransaction" => Some(Answer::Reply(doc! { "ok": 1 })),
        _ => None,
    });
    let server = server.start();
    let client = with_jitter(&server.uri(), 1.0);
    let things = client.database("d").collection::<Document>("c");
    let fails_in_callback = error.labels().contains(TRANSIENT_TRANSACTION_ERROR);
    let mut session = client.start_session().run().unwrap();
    session.run_transaction(&TransactionOptions::default(), limit, |session| {
        things.insert_one(doc! {}).session(session).run()?;
        if fails_in_callback { Err(error.clone()) } else { Ok(()) }
    })
}

/// Convenient API: the retry timeout is enforced
#[test]
fn a_transaction_is_not_begun_anew_when_its_time_is_up() {
    let limit = Duration::from_millis(100);
    let refusal = |label: &str| Some(doc! { "ok": 0, "code": 251, "errmsg": "x", "errorLabels": [label] });
    let of_callback =
        Error::custom("conflict".to_owned()).with_label(TRANSIENT_TRANSACTION_ERROR).with_label("another");
    let plain = || Error::custom(());
    let ended = [
        (failing_transaction(of_callback, None, limit), TRANSIENT_TRANSACTION_ERROR),
        (failing_transaction(plain(), refusal(TRANSIENT_TRANSACTION_ERROR), limit), TRANSIENT_TRANSACTION_ERROR),
        (
            failing_transaction(plain(), refusal(UNKNOWN_TRANSACTION_COMMIT_RESULT), limit),
            UNKNOWN_TRANSACTION_COMMIT_RESULT,
        ),
    ];
    for (outcome, label) in ended {
        let error = outcome.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
        let before = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>()).unwrap();
        assert!(error.contains_label(label) && error.labels() == before.labels(), "{error:?}");
        assert!(!matches!(before.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    }
}

/// What is a time limit already is not wrapped; that of the server's on a commit ends all.
#[test]
fn a_commit_that_the_servers_time_limit_has_ended_is_not_repeated() {
    let limit = Duration::from_secs(120);
    let expired = doc! { "code": 50, "codeName": "MaxTimeMSExpired", "errmsg": "x" };
    let mut refusal = doc! { "ok": 0 };
    refusal.extend(expired.clone());
    let error = failing_transaction(Error::custom(()), Some(refusal), limit).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Command(_)) && error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT));
    let reply = doc! { "ok": 1, "writeConcernError": expired };
    let error = failing_transaction(Error::custom(()), Some(reply), limit).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Write(WriteFailure::WriteConcernError(_))), "{error:?}");
}

/// Convenient API: the pauses between attempts
#[test]
fn a_transaction_is_begun_anew_after_pauses_that_grow() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let committed = |jitter| {
        let client = with_jitter(&set.uri(), jitter);
        let things = client.database("backoff").collection::<Document>("c");
        things.insert_one(doc! {}).run().unwrap();
        let data = doc! { "failCommands": ["commitTransaction"], "errorCode": 251 };
        let fail_point = doc! { "configureFailPoint": "failCommand", "mode": { "times": 13 }, "data": data };
        client.database("admin").run_command(fail_point).run().unwrap();
        let mut session = client.start_session().run().unwrap();
        let mut calls = 0;
        let began = Instant::now();
        let inserted = session.start_transaction().and_run(|session| {
            calls += 1;
            things.insert_one(doc! {}).session(session).run()
        });
        inserted.unwrap();
        assert_eq!(calls, 14);
        began.elapsed()
    };
    // On a busy machine a run without pauses may itself take longer or shorter by that much, so that it has more than one chance.
    let differences: Vec<Duration> = (0..5)
        .map(|_| {
            let (without, with) = (committed(0.0), committed(1.0));
            assert!(
                with >= Duration::from_millis(2282),
                "5 ms times 1.5 to the power of 1 to 13, at most 500: {with:?}"
            );
            with.abs_diff(without + PAUSES)
        })
        .take_while(|difference| *difference >= Duration::from_millis(500))
        .collect();
    assert!(differences.len() < 5, "{differences:?}");
}

/// About the sum of the pauses where each is as long as it can be, as the specification has it.
const PAUSES: Duration = Duration::from_millis(2300);

#[test]
#[should_panic(expected = "a session was not given back")]
fn a_session_that_is_not_given_back_is_noticed() {
    let client = Client::with_uri_str("mongodb://localhost/").unwrap();
    let _kept = client.inner().sessions().take(None, Instant::now()).unwrap();
    drop(client);
}
