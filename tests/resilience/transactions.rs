//! Transactions: the prose tests of Transactions and of its Convenient API, on a replica set and on routers before one, and what no
//! fixture says.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use mongo_blocking::bson::oid::ObjectId;
use mongo_blocking::bson::{Document, Timestamp, doc};
use mongo_blocking::error::{ErrorKind, TRANSIENT_TRANSACTION_ERROR};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, CollectionOptions, WriteConcern};
use mongo_blocking::{Client, ClientSession, Collection, Error, TransactionState};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{Mongod, ReplicaSet, ReplicaSetOptions};

/// A client, and each command that it sent with the server that it was sent to.
struct Watched {
    client: Client,
    sent: Arc<Mutex<Vec<(String, Document)>>>,
}

impl Watched {
    fn new(uri: &str) -> Watched {
        let sent: Arc<Mutex<Vec<(String, Document)>>> = Arc::default();
        let noted = sent.clone();
        let handler = EventHandler::new(move |event: &CommandEvent| {
            if let CommandEvent::Started(event) = event {
                noted.lock().unwrap().push((event.connection.address.to_string(), event.command.clone()));
            }
        });
        let options = ClientOptions::builder().uri(uri).command_event_handler(handler).build();
        Watched { client: Client::with_options(options).unwrap(), sent }
    }

    /// An empty collection of this name.
    fn collection(&self, name: &str) -> Collection<Document> {
        let collection = self.client.database("transactions").collection(name);
        collection.drop().run().unwrap();
        self.client.database("transactions").create_collection(name).run().unwrap();
        collection
    }

    /// The commands of this name that were sent since the last call of this function.
    fn sent(&self, name: &str) -> Vec<(String, Document)> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.into_iter().filter(|(_, command)| command.keys().next().is_some_and(|own| own == name)).collect()
    }
}

/// Two routers before a set, and a client of both that takes one as well as the other.
fn routed() -> Option<([FakeServer; 2], Watched)> {
    let set = ReplicaSet::shared("6.0")?;
    let routers = FakeServer::two_routers(&set.addresses());
    let [one, other] = routers.each_ref().map(FakeServer::address);
    let watched = Watched::new(&format!("mongodb://{one},{other}/?localThresholdMS=1000"));
    while watched.client.topology().servers().values().filter(|server| server.error().is_none()).count() < 2 {
        watched.client.ping().unwrap();
    }
    Some((routers, watched))
}

/// Mongos pinning 1
#[test]
fn another_transaction_may_go_to_another_router() {
    let Some((_routers, watched)) = routed() else { return };
    let things = watched.collection("unpinned");
    things.insert_one(doc! {}).run().unwrap();
    let mut session = watched.client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    things.insert_one(doc! {}).session(&mut session).run().unwrap();
    assert!(session.pinned_server().is_some());
    session.commit_transaction().run().unwrap();
    let mut routers = BTreeSet::new();
    for _ in 0..50 {
        watched.sent("");
        session.start_transaction().run().unwrap();
        for _ in 0..3 {
            things.find_one(doc! {}).session(&mut session).run().unwrap().unwrap();
        }
        session.commit_transaction().run().unwrap();
        let of_one: BTreeSet<String> = watched.sent("find").into_iter().map(|(address, _)| address).collect();
        assert_eq!(of_one.len(), 1);
        routers.extend(of_one);
    }
    assert_eq!(routers.len(), 2);
}

/// Mongos pinning 2
#[test]
fn operations_after_a_transaction_may_go_to_another_router() {
    let Some((_routers, watched)) = routed() else { return };
    let things = watched.collection("unpinned_operations");
    things.insert_one(doc! {}).run().unwrap();
    let mut session = watched.client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    things.insert_one(doc! {}).session(&mut session).run().unwrap();
    session.commit_transaction().run().unwrap();
    watched.sent("");
    for _ in 0..50 {
        things.find_one(doc! {}).session(&mut session).run().unwrap().unwrap();
    }
    let routers: BTreeSet<String> = watched.sent("find").into_iter().map(|(address, _)| address).collect();
    assert_eq!(routers.len(), 2);
    assert_eq!((session.transaction_state(), session.pinned_server()), (TransactionState::None, None));
}

/// Options inside a transaction 1.0
#[test]
fn the_write_concern_of_the_collection_does_not_apply() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&set.uri());
    let things = watched.collection("unacknowledged");
    let options = CollectionOptions::builder().write_concern(WriteConcern::unacknowledged()).build();
    let unacknowledged =
        watched.client.database("transactions").collection_with_options::<Document>("unacknowledged", options);
    let mut session = watched.client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    unacknowledged.insert_one(doc! { "n": 1 }).session(&mut session).run().unwrap();
    session.commit_transaction().run().unwrap();
    assert_eq!(things.count_documents(doc! { "n": 1 }).run().unwrap(), 1);
}

/// Convenient API: a custom error, and a value
#[test]
fn what_the_callback_returns_is_returned() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&set.uri());
    let things = watched.collection("returned");
    let mut session = watched.client.start_session().run().unwrap();
    let mut calls = 0;
    let ended = session.start_transaction().and_run(|session| {
        calls += 1;
        things.insert_one(doc! { "_id": 1 }).session(session).run()?;
        Err::<(), _>(Error::custom("out of stock".to_owned()))
    });
    let error = ended.unwrap_err();
    assert_eq!((error.get_custom::<String>().map(String::as_str), calls), (Some("out of stock"), 1));
    assert_eq!(
        (session.transaction_state(), things.count_documents(doc! {}).run().unwrap()),
        (TransactionState::Aborted, 0)
    );

    let count = session.start_transaction().and_run(|session| {
        things.insert_one(doc! { "_id": 2 }).session(&mut *session).run()?;
        things.count_documents(doc! {}).session(session).run()
    });
    assert_eq!((count.unwrap(), session.transaction_state()), (1, TransactionState::Committed));
}

/// What two transactions change at the same time is changed by both, one after the other.
#[test]
fn transactions_in_conflict_are_begun_anew() {
    const THREADS: usize = 4;
    const EACH: i32 = 10;
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&set.uri());
    let things = watched.collection("conflicts");
    things.insert_one(doc! { "_id": 1, "count": 0 }).run().unwrap();
    let calls = AtomicUsize::new(0);
    // Of the first transactions all have read before one writes.
    let all_have_read = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut session = watched.client.start_session().run().unwrap();
                let mut is_first = true;
                for _ in 0..EACH {
                    let counted = session.start_transaction().and_run(|session| {
                        calls.fetch_add(1, Ordering::SeqCst);
                        let found = things.find_one(doc! { "_id": 1 }).session(&mut *session).run()?.unwrap();
                        if std::mem::take(&mut is_first) {
                            all_have_read.wait();
                        }
                        let next = doc! { "$set": { "count": found.get_i32("count").unwrap() + 1 } };
                        things.update_one(doc! { "_id": 1 }, next).session(session).run()
                    });
                    counted.unwrap();
                }
            });
        }
    });
    let count = things.find_one(doc! {}).run().unwrap().unwrap().get_i32("count").unwrap();
    assert_eq!(count, THREADS as i32 * EACH);
    assert!(calls.into_inner() > THREADS * EACH as usize);
}

#[test]
fn a_standalone_has_no_transactions() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let watched = Watched::new(&mongod.uri());
    let things = watched.client.database("transactions").collection::<Document>("standalone");
    let mut session = watched.client.start_session().run().unwrap();
    // Not known yet.
    session.start_transaction().run().unwrap();
    let first = things.insert_one(doc! {}).session(&mut session).run().unwrap_err();
    assert_eq!(session.transaction_state(), TransactionState::Starting);
    session.abort_transaction().run().unwrap();
    let second = session.start_transaction().run().unwrap_err();
    for error in [first, second] {
        assert!(matches!(error.kind(), ErrorKind::Transaction { .. }), "{error:?}");
        assert_eq!(error.message(), "Transactions are not supported by this deployment");
    }
    assert!(watched.sent("insert").is_empty());
}

#[test]
fn an_error_before_anything_was_sent_leaves_the_transaction_as_it_is() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&set.uri());
    let things = watched.collection("client_errors");
    let mut session = watched.client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    let too_large = || doc! { "x": "x".repeat(17 * 1024 * 1024) };
    for state in [TransactionState::Starting, TransactionState::InProgress] {
        things.insert_one(too_large()).session(&mut session).run().unwrap_err();
        let concern = WriteConcern::majority();
        things.insert_one(doc! {}).write_concern(concern).session(&mut session).run().unwrap_err();
        assert_eq!(session.transaction_state(), state);
        watched.sent("");
        things.insert_one(doc! {}).session(&mut session).run().unwrap();
        let (_, sent) = watched.sent("insert").pop().unwrap();
        assert_eq!(sent.contains_key("startTransaction"), state == TransactionState::Starting, "{sent}");
    }
    session.commit_transaction().run().unwrap();
    assert_eq!(things.count_documents(doc! {}).run().unwrap(), 2);
}

#[test]
fn a_session_that_is_dropped_aborts_its_transaction() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let Some((_routers, routed)) = routed() else { return };
    for (name, watched) in [("replica set", Watched::new(&set.uri())), ("routers", routed)] {
        let things = watched.collection("dropped");
        things.insert_one(doc! { "_id": 1 }).run().unwrap();
        let mut session = watched.client.start_session().run().unwrap();
        session.start_transaction().run().unwrap();
        let set_a = doc! { "$set": { "a": 1 } };
        things.update_one(doc! { "_id": 1 }, set_a.clone()).session(&mut session).run().unwrap();
        watched.sent("");
        drop(session);
        assert_eq!(watched.sent("abortTransaction").len(), 1, "{name}");
        // Nobody waits for it.
        let other = things.find_one_and_update(doc! { "_id": 1, "a": { "$exists": false } }, set_a).run().unwrap();
        assert!(other.is_some(), "{name}");

        // What has ended, and what was never sent, is left alone.
        let mut session = watched.client.start_session().run().unwrap();
        session.start_transaction().run().unwrap();
        things.find_one(doc! {}).session(&mut session).run().unwrap();
        session.commit_transaction().run().unwrap();
        drop(session);
        let mut session = watched.client.start_session().run().unwrap();
        session.start_transaction().run().unwrap();
        drop(session);
        assert!(watched.sent("abortTransaction").is_empty(), "{name}");
    }
}

/// A server of our own that accepts every command of a transaction, and does not answer `stall`.
fn agreeable() -> FakeServer {
    let server = FakeServer::builder().replica_set("rs").on_command(|request, _| match request.name() {
        "abortTransaction" | "commitTransaction" => Some(Answer::Reply(doc! { "ok": 1 })),
        "stall" => Some(Answer::Stall),
        _ => None,
    });
    server.start()
}

#[test]
fn a_session_that_is_dropped_neither_connects_nor_calls_handlers_in_a_panic() {
    let server = agreeable();
    let watched = Watched::new(&server.uri());
    let things = watched.client.database("d").collection::<Document>("c");
    let begin = || {
        let mut session = watched.client.start_session().run().unwrap();
        session.start_transaction().run().unwrap();
        things.insert_one(doc! {}).session(&mut session).run().unwrap();
        session
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _session = begin();
        panic!("as the test wants it");
    }));
    assert!(panicked.is_err());
    assert!(server.commands_named("abortTransaction").is_empty());

    drop(begin());
    assert_eq!(server.commands_named("abortTransaction").len(), 1);

    // The only connection is in use; and in the end the client is closed.
    let (session, late) = (begin(), begin());
    std::thread::scope(|scope| {
        scope.spawn(|| watched.client.database("d").run_command(doc! { "stall": 1 }).run().unwrap_err());
        assert!(server.wait_until(Duration::from_secs(10), |server| !server.commands_named("stall").is_empty()));
        let connections = server.connections();
        drop(session);
        assert_eq!((server.connections(), server.commands_named("abortTransaction").len()), (connections, 1));
        watched.client.clone().close();
    });
    drop(late);
    assert_eq!(server.commands_named("abortTransaction").len(), 1);
}

/// The server session of an abort whose reply does not come may be in use on the server still; the time of one that comes counts.
#[test]
fn the_abort_of_a_dropped_session_counts_for_its_server_session_and_for_the_cluster_time() {
    let time = doc! { "clusterTime": Timestamp { time: 77, increment: 1 } };
    let (aborts, reported) = (AtomicUsize::new(0), time.clone());
    let server = FakeServer::builder().replica_set("rs").on_command(move |request, _| match request.name() {
        "abortTransaction" if aborts.fetch_add(1, Ordering::SeqCst) == 0 => Some(Answer::Close),
        "abortTransaction" => Some(Answer::Reply(doc! { "ok": 1, "$clusterTime": reported.clone() })),
        _ => None,
    });
    let server = server.start();
    let client = Client::with_uri_str(server.uri()).unwrap();
    let things = client.database("d").collection::<Document>("c");
    for is_reused in [false, true] {
        let mut session = client.start_session().run().unwrap();
        session.start_transaction().run().unwrap();
        things.insert_one(doc! {}).session(&mut session).run().unwrap();
        drop(session);
        let aborted = server.commands_named("abortTransaction").pop().unwrap();
        let mut session = client.start_session().run().unwrap();
        things.insert_one(doc! {}).session(&mut session).run().unwrap();
        let next = server.commands_named("insert").pop().unwrap();
        assert_eq!(next.body.get("lsid") == aborted.body.get("lsid"), is_reused);
        assert_eq!(next.body.get("$clusterTime") == Some(&time.clone().into()), is_reused, "{}", next.body);
    }
}

/// A pool that was cleared ends a transaction that may be begun anew.
#[test]
fn a_cleared_pool_is_a_transient_error() {
    let Some(mongod) = ReplicaSet::shared("6.0") else { return };
    // The set is there for other tests too.
    let watched = Watched::new(&format!("{}&maxPoolSize=1&appName=cleared", mongod.uri()));
    let things = watched.collection("cleared");
    let fail_point = doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": {
            "failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 3000, "errorCode": 91, "appName": "cleared",
        },
    };
    watched.client.database("admin").run_command(fail_point).run().unwrap();
    let errors: Vec<Error> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut session = watched.client.start_session().run().unwrap();
                    session.start_transaction().run().unwrap();
                    things.insert_one(doc! {}).session(&mut session).run().err()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    let cleared = |error: &&Error| matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. });
    let cleared: Vec<&Error> = errors.iter().filter(cleared).collect();
    assert_eq!(cleared.len(), 1, "{errors:?}");
    assert!(cleared[0].contains_label(TRANSIENT_TRANSACTION_ERROR), "{:?}", cleared[0]);
}

/// The router behind the load balancer refuses what comes on another connection than the transaction or the cursor began on.
#[test]
fn behind_a_load_balancer_a_transaction_shares_its_connection_with_its_cursors() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let front = FakeServer::builder().load_balancer(ObjectId::new()).routes_to(&set.addresses(), None).start();
    let watched =
        Watched::new(&format!("mongodb://{}/?loadBalanced=true&maxPoolSize=1&waitQueueTimeoutMS=100", front.address()));
    let things = watched.collection("balanced");
    things.insert_many((0..5).map(|n| doc! { "_id": n })).run().unwrap();
    let used_by = |words: &str| {
        let error = watched.client.ping().unwrap_err();
        assert!(error.message().contains(&format!("connections in use by {words}")), "{error}");
    };
    let mut session = watched.client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    let open = |session: &mut ClientSession| things.find(doc! {}).batch_size(2).session(session).run().unwrap();
    let dropped = open(&mut session);
    used_by("transactions: 1");
    watched.sent("");
    drop(dropped);
    assert_eq!(watched.sent("killCursors").len(), 1);
    used_by("transactions: 1");
    // Read to its end, a cursor leaves the connection to the transaction, too.
    assert_eq!(open(&mut session).iter(&mut session).count(), 5);
    things.insert_one(doc! { "_id": 5 }).session(&mut session).run().unwrap();
    let left = open(&mut session);
    session.commit_transaction().run().unwrap();
    used_by("transactions: 1");

    // Another operation ends that. The cursor still needs the connection, until it is dropped.
    session.start_transaction().run().unwrap();
    used_by("cursors: 1");
    drop(left);
    watched.client.ping().unwrap();
    assert_eq!(things.count_documents(doc! {}).session(&mut session).run().unwrap(), 6);
    used_by("transactions: 1");
    drop(session);
    assert_eq!(watched.sent("abortTransaction").len(), 1);
    watched.client.ping().unwrap();
}

/// The connection on which a first command was refused is not kept: the second attempt needs it, and the cursor stays on the one of
/// the transaction.
#[test]
fn behind_a_load_balancer_a_first_query_that_is_sent_again_finds_its_connection_free() {
    let overload = doc! {
        "ok": 0, "code": 462, "errmsg": "busy", "errorLabels": ["SystemOverloadedError", "RetryableError"],
        "baseBackoffMS": 1,
    };
    let finds = AtomicUsize::new(0);
    let server = FakeServer::builder().load_balancer(ObjectId::new()).on_command(move |request, _| {
        let (batch, id) = match request.name() {
            "find" if finds.fetch_add(1, Ordering::SeqCst) == 0 => return Some(Answer::Reply(overload.clone())),
            "find" => ("firstBatch", 7_i64),
            "getMore" => ("nextBatch", 0),
            "commitTransaction" => return Some(Answer::Reply(doc! { "ok": 1 })),
            _ => return None,
        };
        Some(Answer::Reply(doc! { "ok": 1, "cursor": { batch: [{ "x": 1 }], "id": id, "ns": "d.c" } }))
    });
    let server = server.start();
    let uri = format!("mongodb://{}/?loadBalanced=true&maxPoolSize=1&waitQueueTimeoutMS=4000", server.address());
    let client = Client::with_uri_str(uri).unwrap();
    let things = client.database("d").collection::<Document>("c");
    let mut session = client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    let mut cursor = things.find(doc! {}).session(&mut session).run().unwrap();
    assert_eq!(cursor.iter(&mut session).count(), 2);
    session.commit_transaction().run().unwrap();
    assert_eq!(server.commands_named("find").len(), 2);
    let of_transaction = ["find", "getMore", "commitTransaction"].map(|name| server.commands_named(name));
    assert!(of_transaction.iter().flatten().all(|command| command.connection == of_transaction[0][0].connection));
    assert!(of_transaction[0].iter().all(|find| find.body.contains_key("startTransaction")));
}

/// A primary that is frozen in the midst of a transaction, and another one that is frozen before the commit: both calls end as soon as
/// there is a newer primary, and the transaction is begun anew there. A failed check would end them later, with other words.
#[test]
fn calls_that_wait_for_a_frozen_primary_end_and_the_transaction_is_begun_anew() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    let watched = Watched::new(&format!("{}&connectTimeoutMS=10000", set.uri()));
    let things = watched.collection("frozen");
    for before_commit in [false, true] {
        let primary = set.primary();
        let (mut calls, mut ended) = (0, None);
        let mut session = watched.client.start_session().run().unwrap();
        let write_concern = WriteConcern::majority();
        let done = session.start_transaction().write_concern(write_concern).and_run(|session| {
            calls += 1;
            things.insert_one(doc! { "frozen": before_commit }).session(&mut *session).run()?;
            if calls == 1 {
                set.freeze(primary);
                if !before_commit {
                    let waited = things.insert_one(doc! {}).session(session).run();
                    ended = waited.as_ref().err().map(|error| (error.to_string(), error.labels().clone()));
                    waited?;
                }
            }
            Ok(())
        });
        done.unwrap();
        assert_eq!(calls, 2);
        if !before_commit {
            let (words, labels) = ended.expect("the call has failed");
            assert!(words.contains("is primary now") && labels.contains(TRANSIENT_TRANSACTION_ERROR), "{words}");
        }
        set.thaw(primary);
        set.wait_until_complete();
        assert_eq!(things.count_documents(doc! { "frozen": before_commit }).run().unwrap(), 1);
    }
}

/// What a server may write into `recoveryToken` is sent on only if it is a document of sensible size.
#[test]
fn a_recovery_token_that_is_none_is_not_sent_on() {
    for (token, is_sent) in [
        (doc! { "recoveryToken": { "shard": "a" } }, true),
        (doc! { "recoveryToken": { "shard": "a".repeat(1 << 20) } }, false),
        (doc! { "recoveryToken": "a" }, false),
        (doc! { "recoveryToken": [1] }, false),
    ] {
        let (replies, ends) = (token.clone(), doc! { "ok": 1 });
        let server = FakeServer::builder().mongos().on_command(move |request, _| match request.name() {
            "insert" => {
                let mut reply = doc! { "n": 1, "ok": 1 };
                reply.extend(replies.clone());
                Some(Answer::Reply(reply))
            }
            "commitTransaction" => Some(Answer::Reply(ends.clone())),
            _ => None,
        });
        let server = server.start();
        let client = Client::with_uri_str(server.uri()).unwrap();
        let mut session = client.start_session().run().unwrap();
        session.start_transaction().run().unwrap();
        client.database("d").collection::<Document>("c").insert_one(doc! {}).session(&mut session).run().unwrap();
        session.commit_transaction().run().unwrap();
        let commit = server.commands_named("commitTransaction").pop().unwrap();
        assert_eq!(commit.body.contains_key("recoveryToken"), is_sent);
    }
}

/// A server whose every commit fails, as if it might help to repeat it, keeps nobody for longer than the time limit.
#[test]
fn a_commit_that_never_succeeds_ends_with_the_time_limit() {
    for label in ["TransientTransactionError", "UnknownTransactionCommitResult"] {
        let server = FakeServer::builder().replica_set("rs").on_command(move |request, _| {
            let refusal = doc! { "ok": 0, "code": 251, "errmsg": "no", "errorLabels": [label] };
            match request.name() {
                "commitTransaction" => Some(Answer::Reply(refusal)),
                "abortTransaction" => Some(Answer::Reply(doc! { "ok": 1 })),
                _ => None,
            }
        });
        let server = server.start();
        let client = Client::with_uri_str(format!("{}&timeoutMS=4000", with_question_mark(&server.uri()))).unwrap();
        let things = client.database("d").collection::<Document>("c");
        let mut session = client.start_session().run().unwrap();
        let ended = session.start_transaction().and_run(|session| things.insert_one(doc! {}).session(session).run());
        let error = ended.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
        assert!(error.contains_label(label), "{error:?}");
        assert!(server.commands_named("commitTransaction").len() > 1);
    }
}

/// Client Side Operations Timeout: `timeoutMS` overrides the limits that the options of a transaction name.
#[test]
fn timeout_ms_is_the_only_limit_of_a_commit_and_of_an_abort() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&format!("{}&timeoutMS=60000", set.uri()));
    let things = watched.collection("limited");
    let begin = || {
        let mut session = watched.client.start_session().run().unwrap();
        let concern = WriteConcern::nodes(1).with_w_timeout(Duration::from_secs(5));
        let start = session.start_transaction().write_concern(concern);
        start.max_commit_time(Duration::from_secs(7000)).run().unwrap();
        things.insert_one(doc! {}).session(&mut session).run().unwrap();
        session
    };
    let mut session = begin();
    session.commit_transaction().run().unwrap();
    session.commit_transaction().run().unwrap();
    begin().abort_transaction().run().unwrap();
    drop(begin());
    let sent: Vec<Document> =
        std::mem::take(&mut *watched.sent.lock().unwrap()).into_iter().map(|(_, sent)| sent).collect();
    let ends: Vec<&Document> =
        sent.iter().filter(|sent| sent.contains_key("autocommit") && !sent.contains_key("insert")).collect();
    let concerns: Vec<&Document> = ends.iter().map(|end| end.get_document("writeConcern").unwrap()).collect();
    assert_eq!(concerns, [&doc! { "w": 1 }, &doc! { "w": "majority" }, &doc! { "w": 1 }, &doc! { "w": 1 }]);
    // The abort of a session that is dropped has a limit of its own.
    for end in ends.iter().take(3) {
        assert!(end.get_i64("maxTimeMS").is_ok_and(|left| (1..=60_000).contains(&left)), "{end}");
    }
}

fn with_question_mark(uri: &str) -> String {
    if uri.contains('?') { uri.to_owned() } else { format!("{uri}?") }
}
