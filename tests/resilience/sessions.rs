//! Sessions on a standalone server and on a replica set: the prose tests of Driver Sessions, Snapshot Reads and Causal Consistency, and how
//! many sessions and packets it takes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, Timestamp, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{
    ClientOptions, IndexModel, ReadConcern, ReadPreference, ReadPreferenceMode, SelectionCriteria, SessionOptions,
    WriteConcern,
};
use mongo_blocking::{Client, ClientSession, Collection, Result, WriteModel};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{Mongod, ReplicaSet};

/// A client and what its handler has seen: each command with the reply to it.
struct Watched {
    client: Client,
    started: Arc<Mutex<Vec<Document>>>,
    replies: Arc<Mutex<Vec<Document>>>,
}

impl Watched {
    fn new(uri: &str, options: &str) -> Watched {
        let uri = if uri.contains('?') { format!("{uri}&{options}") } else { format!("{uri}?{options}") };
        let started: Arc<Mutex<Vec<Document>>> = Arc::default();
        let replies: Arc<Mutex<Vec<Document>>> = Arc::default();
        let (commands, answers) = (started.clone(), replies.clone());
        let handler = EventHandler::new(move |event: &CommandEvent| match event {
            CommandEvent::Started(event) => commands.lock().unwrap().push(event.command.clone()),
            CommandEvent::Succeeded(event) => answers.lock().unwrap().push(event.reply.clone()),
            _ => {}
        });
        let options = ClientOptions::builder().uri(uri).command_event_handler(handler).build();
        Watched { client: Client::with_options(options).unwrap(), started, replies }
    }

    fn things(&self, database: &str) -> Collection<Document> {
        self.client.database(database).collection("things")
    }

    /// The commands since the last call.
    fn sent(&self) -> Vec<Document> {
        std::mem::take(&mut *self.started.lock().unwrap())
    }

    /// The last command.
    fn last(&self) -> Document {
        self.sent().pop().expect("a command was sent")
    }

    fn last_reply(&self) -> Document {
        self.replies.lock().unwrap().last().cloned().expect("a reply came")
    }
}

fn lsid(command: &Document) -> Option<&Document> {
    command.get_document("lsid").ok()
}

fn after_cluster_time(command: &Document) -> Option<Timestamp> {
    command.get_document("readConcern").ok()?.get_timestamp("afterClusterTime").ok()
}

/// Calls an action, in the session if there is one. (What it returns depends on that, so a function would not do.)
macro_rules! in_session {
    ($session:ident, $action:expr) => {
        match $session.as_deref_mut() {
            Some(session) => $action.session(session).run().map(drop),
            None => $action.run().map(drop),
        }
    };
}

/// Calls every method that takes a session, each with what it came to.
fn every_method(
    client: &Client,
    database: &str,
    mut session: Option<&mut ClientSession>,
) -> Vec<(&'static str, Result<()>)> {
    let database = client.database(database);
    let things = database.collection::<Document>("things");
    let set = || doc! { "$set": { "a": 1 } };
    vec![
        ("insert_one", in_session!(session, things.insert_one(doc! {}))),
        ("insert_many", in_session!(session, things.insert_many([doc! {}, doc! {}]))),
        ("update_one", in_session!(session, things.update_one(doc! {}, set()))),
        ("update_many", in_session!(session, things.update_many(doc! {}, set()))),
        ("replace_one", in_session!(session, things.replace_one(doc! {}, doc! {}))),
        ("delete_one", in_session!(session, things.delete_one(doc! { "b": 1 }))),
        ("delete_many", in_session!(session, things.delete_many(doc! { "b": 1 }))),
        ("bulk_write", in_session!(session, things.bulk_write([WriteModel::delete_one(doc! { "b": 1 })]))),
        ("find_one_and_delete", in_session!(session, things.find_one_and_delete(doc! { "b": 1 }))),
        ("find_one_and_replace", in_session!(session, things.find_one_and_replace(doc! { "b": 1 }, doc! {}))),
        ("find_one_and_update", in_session!(session, things.find_one_and_update(doc! { "b": 1 }, set()))),
        ("find", in_session!(session, things.find(doc! {}))),
        ("find_one", in_session!(session, things.find_one(doc! {}))),
        ("aggregate", in_session!(session, things.aggregate([doc! { "$match": {} }]))),
        ("count_documents", in_session!(session, things.count_documents(doc! {}))),
        ("distinct", in_session!(session, things.distinct("a", doc! {}))),
        ("create_index", in_session!(session, things.create_index(IndexModel::new(doc! { "a": 1 })))),
        ("create_indexes", in_session!(session, things.create_indexes([IndexModel::new(doc! { "b": 1 })]))),
        ("list_indexes", in_session!(session, things.list_indexes())),
        ("list_index_names", in_session!(session, things.list_index_names())),
        ("drop_index", in_session!(session, things.drop_index("a_1"))),
        ("drop_indexes", in_session!(session, things.drop_indexes())),
        ("list_collections", in_session!(session, database.list_collections())),
        ("list_collection_names", in_session!(session, database.list_collection_names())),
        ("list_databases", in_session!(session, client.list_databases())),
        ("list_database_names", in_session!(session, client.list_database_names())),
        ("run_command", in_session!(session, database.run_command(doc! { "ping": 1 }))),
        ("run_cursor_command", in_session!(session, database.run_cursor_command(doc! { "find": "things" }))),
        ("create_collection", in_session!(session, database.create_collection("other"))),
        ("drop_collection", in_session!(session, things.drop())),
        ("drop_database", in_session!(session, database.drop())),
    ]
}

/// Commands that read or write what causal consistency is about. Those that the test composed itself are left alone.
fn is_causal(command: &Document) -> bool {
    let name = command.keys().next().map(String::as_str).unwrap_or_default();
    let composed_here = name == "find" && !command.contains_key("filter");
    !["listIndexes", "listCollections", "listDatabases", "ping"].contains(&name) && !composed_here
}

#[test]
fn p2_the_pool_is_last_in_first_out() {
    let client = Client::with_uri_str("mongodb://localhost/").unwrap();
    let (a, b) = (client.start_session().run().unwrap(), client.start_session().run().unwrap());
    let (first, second) = (a.id().clone(), b.id().clone());
    drop(a);
    drop(b);
    let sessions = [(); 2].map(|()| client.start_session().run().unwrap());
    assert_eq!([sessions[0].id(), sessions[1].id()], [&second, &first]);
}

#[test]
fn p1_and_p21_options_that_exclude_each_other() {
    let client = Client::with_uri_str("mongodb://localhost/").unwrap();
    let both = SessionOptions::builder().snapshot(true).causal_consistency(true).build();
    let time = SessionOptions::builder().snapshot(false).snapshot_time(Timestamp { time: 1, increment: 0 }).build();
    for options in [both, time] {
        let error = client.start_session().with_options(options).run().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
    }
}

#[test]
fn p22_and_p23_another_session_has_no_snapshot_time() {
    let client = Client::with_uri_str("mongodb://localhost/").unwrap();
    assert_eq!(client.start_session().snapshot(false).run().unwrap().snapshot_time(), None);
}

#[test]
fn p3_the_cluster_time_of_the_last_reply_is_sent() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&set.direct_uri(set.primary()), "");
    let things = watched.things("sessions_p3");
    let database = watched.client.database("sessions_p3");
    things.insert_one(doc! {}).run().unwrap();
    let calls: [&dyn Fn(); 4] = [
        &|| drop(database.run_command(doc! { "ping": 1 }).run().unwrap()),
        &|| drop(things.aggregate([doc! { "$match": {} }]).run().unwrap()),
        &|| drop(things.find(doc! {}).run().unwrap()),
        &|| drop(things.insert_one(doc! {}).run().unwrap()),
    ];
    for call in calls {
        call();
        assert!(watched.last().contains_key("$clusterTime"));
        let told = watched.last_reply().get_document("$clusterTime").unwrap().clone();
        call();
        assert_eq!(watched.last().get_document("$clusterTime").unwrap(), &told);
    }
}

#[test]
fn p4_every_method_runs_in_its_session_or_in_one_of_its_own() {
    for (name, uri) in deployments() {
        let watched = Watched::new(&uri, "");
        let mut session = watched.client.start_session().run().unwrap();
        let id = session.id().clone();
        for (method, done) in every_method(&watched.client, "sessions_p4", Some(&mut session)) {
            done.unwrap_or_else(|error| panic!("{name}: {method}: {error}"));
        }
        let sent = watched.sent();
        assert!(sent.len() >= 31, "{name}: {}", sent.len());
        sent.iter().for_each(|command| assert_eq!(lsid(command), Some(&id), "{name}: {command}"));
        for (method, done) in every_method(&watched.client, "sessions_p4", None) {
            done.unwrap_or_else(|error| panic!("{name}: {method}: {error}"));
        }
        for command in watched.sent() {
            assert!(lsid(&command).is_some_and(|own| *own != id), "{name}: {command}");
        }
    }
}

/// The deployments at hand.
fn deployments() -> Vec<(&'static str, String)> {
    let standalone = Mongod::shared("6.0").map(|mongod| ("standalone", mongod.uri()));
    let set = ReplicaSet::shared("6.0").map(|set| ("replica set", set.uri()));
    standalone.into_iter().chain(set).collect()
}

#[test]
fn p5_a_session_of_another_client_is_an_error() {
    // Nothing is sent, so there need be no server.
    let [client, other] = [(); 2].map(|()| Client::with_uri_str("mongodb://localhost:1/").unwrap());
    let mut session = other.start_session().run().unwrap();
    for (method, done) in every_method(&client, "sessions_p5", Some(&mut session)) {
        let error = done.expect_err(method);
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{method}: {error}");
        assert!(error.message().contains("another client"), "{method}: {error}");
    }
}

#[test]
fn p8_p9_and_p11_a_cursor_keeps_its_session_until_the_last_batch() {
    for (name, uri) in deployments() {
        for mode in [ReadPreferenceMode::Primary, ReadPreferenceMode::Nearest, ReadPreferenceMode::SecondaryPreferred] {
            let watched = Watched::new(&uri, "");
            let writer = watched.things("sessions_p8");
            writer.drop().run().unwrap();
            let all = WriteConcern::nodes(if name == "standalone" { 1 } else { 3 });
            writer.insert_many((0..5).map(|n| doc! { "_id": n })).write_concern(all).run().unwrap();
            let preference = SelectionCriteria::ReadPreference(ReadPreference::with_mode(mode, None));
            let ping = || watched.client.ping().unwrap();
            ping();
            watched.sent();

            // The first batch is the last.
            let mut cursor = writer.find(doc! {}).selection_criteria(preference.clone()).run().unwrap();
            assert!(cursor.advance().unwrap());
            ping();
            let sent = watched.sent();
            assert_eq!(lsid(&sent[0]), lsid(&sent[1]), "{name} {mode:?}");

            // While there is more, the session is the cursor's.
            let mut cursor = writer.find(doc! {}).batch_size(3).selection_criteria(preference).run().unwrap();
            assert!(cursor.advance().unwrap());
            ping();
            (0..3).for_each(|_| assert!(cursor.advance().unwrap()));
            ping();
            let sent = watched.sent();
            let names: Vec<_> = sent.iter().map(|command| command.keys().next().unwrap().as_str()).collect();
            assert_eq!(names, ["find", "ping", "getMore", "ping"]);
            assert!(lsid(&sent[0]).is_some() && lsid(&sent[0]) == lsid(&sent[2]), "{name} {mode:?}");
            assert_ne!(lsid(&sent[0]), lsid(&sent[1]), "{name} {mode:?}");
            assert_eq!(lsid(&sent[0]), lsid(&sent[3]), "{name} {mode:?}");
        }
    }
}

/// 11, on two routers.
#[test]
fn p11_a_cursor_on_routers_keeps_its_session() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let routers = FakeServer::two_routers(&set.addresses());
    let uri = format!("mongodb://{},{}/", routers[0].address(), routers[1].address());
    for mode in [ReadPreferenceMode::Primary, ReadPreferenceMode::Nearest, ReadPreferenceMode::SecondaryPreferred] {
        let watched = Watched::new(&uri, "");
        let things = watched.things("sessions_p11");
        things.drop().run().unwrap();
        things.insert_many((0..3).map(|n| doc! { "_id": n })).write_concern(WriteConcern::nodes(3)).run().unwrap();
        watched.sent();
        let preference = SelectionCriteria::ReadPreference(ReadPreference::with_mode(mode, None));
        let found = things.find(doc! {}).batch_size(2).selection_criteria(preference).run().unwrap();
        assert_eq!(found.map(Result::unwrap).count(), 3, "{mode:?}");
        let sent = watched.sent();
        assert_eq!(sent.len(), 2, "{mode:?}");
        assert!(lsid(&sent[0]).is_some() && lsid(&sent[0]) == lsid(&sent[1]), "{mode:?}: {sent:?}");
    }
}

#[test]
fn a_cursor_in_a_session_is_read_in_that_session() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let watched = Watched::new(&mongod.uri(), "");
    let things = watched.things("sessions_cursor");
    things.drop().run().unwrap();
    things.insert_many((0..5).map(|n| doc! { "_id": n })).run().unwrap();
    let [mut session, mut other] = [(); 2].map(|()| watched.client.start_session().run().unwrap());
    watched.sent();
    let mut cursor = things.find(doc! {}).batch_size(2).session(&mut session).run().unwrap();
    let error = cursor.advance(&mut other).unwrap_err();
    assert!(error.message().contains("another session"), "{error}");
    assert_eq!(cursor.iter(&mut other).count(), 1);
    assert!(cursor.advance(&mut session).unwrap());
    assert_eq!(cursor.current().get_i32("_id").unwrap(), 0);
    assert_eq!(cursor.next(&mut session).unwrap().unwrap(), doc! { "_id": 1 });
    assert!(cursor.is_alive());
    let rest: Vec<_> = cursor.iter(&mut session).map(|document| document.unwrap()).collect();
    assert_eq!(rest, [doc! { "_id": 2 }, doc! { "_id": 3 }, doc! { "_id": 4 }]);
    assert!(!cursor.is_alive());
    let sent = watched.sent();
    assert_eq!(sent.len(), 3);
    sent.iter().for_each(|command| assert_eq!(lsid(command), Some(session.id())));
    // Dropped while it is open, it is ended.
    drop(things.find(doc! {}).batch_size(2).session(&mut session).run().unwrap());
    assert!(watched.last().contains_key("killCursors"));
}

/// With one connection, eight operations at once need no eight sessions.
#[test]
fn p14_a_session_is_taken_when_a_connection_is_there() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let set = || doc! { "$set": { "a": 1 } };
    let mut counts = Vec::new();
    // A thread gives its session back after its connection, and the next one may have taken another by then: it takes some
    // rounds until none of them is that quick.
    while counts.len() < 5 || (!counts.contains(&1) && counts.len() < 2_000) {
        let watched = Watched::new(&mongod.uri(), "maxPoolSize=1&retryWrites=true");
        let things = watched.things("sessions_p14");
        watched.client.ping().unwrap();
        watched.sent();
        let operations: [&(dyn Fn() + Sync); 8] = [
            &|| drop(things.insert_one(doc! {}).run().unwrap()),
            &|| assert!(things.delete_one(doc! {}).run().is_ok()),
            &|| drop(things.update_one(doc! {}, set()).run().unwrap()),
            &|| drop(things.bulk_write([WriteModel::update_one(doc! {}, set())]).run().unwrap()),
            &|| drop(things.find_one_and_delete(doc! {}).run().unwrap()),
            &|| drop(things.find_one_and_update(doc! {}, set()).run().unwrap()),
            &|| drop(things.find_one_and_replace(doc! {}, doc! { "a": 1 }).run().unwrap()),
            &|| things.find(doc! {}).run().unwrap().for_each(|document| drop(document.unwrap())),
        ];
        thread::scope(|scope| operations.iter().for_each(|operation| drop(scope.spawn(*operation))));
        counts.push(sessions_of(&watched.sent()));
    }
    assert!(counts.iter().all(|count| *count < 8), "{counts:?}");
    assert!(counts.contains(&1), "{counts:?}");
}

fn sessions_of(commands: &[Document]) -> usize {
    commands
        .iter()
        .map(|command| lsid(command).expect("every command has a session").to_string())
        .collect::<BTreeSet<_>>()
        .len()
}

/// One session for each connection, and as many again on their way back to the pool.
#[test]
fn a_hundred_threads_share_four_connections_and_eight_sessions() {
    const THREADS: usize = 100;
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let watched = Watched::new(&mongod.uri(), "maxPoolSize=4");
    let things = watched.things("sessions_threads");
    things.drop().run().unwrap();
    watched.sent();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let things = things.clone();
            scope.spawn(move || {
                let number = i64::try_from(number).unwrap();
                for round in 0..10 {
                    things.insert_one(doc! { "thread": number, "round": round }).run().unwrap();
                    assert!(things.find_one(doc! { "thread": number, "round": round }).run().unwrap().is_some());
                }
            });
        }
    });
    let sent = watched.sent();
    assert_eq!(sent.len(), THREADS * 20);
    let sessions = sessions_of(&sent);
    assert!(sessions <= 8, "{sessions} sessions");
}

#[test]
fn p18_and_p19_a_server_without_sessions() {
    let server = FakeServer::builder().hello_without("logicalSessionTimeoutMinutes").start();
    let watched = Watched::new(&server.uri(), "");
    let things = watched.things("sessions_p18");
    let _ = things.find_one(doc! {}).run();
    let _ = things.insert_one(doc! {}).run();
    let sent = watched.sent();
    assert_eq!(sent.len(), 2);
    sent.iter().for_each(|command| assert_eq!(lsid(command), None));

    let mut session = watched.client.start_session().run().unwrap();
    let read = things.find_one(doc! {}).session(&mut session).run().unwrap_err();
    let write = things.insert_one(doc! {}).session(&mut session).run().unwrap_err();
    for error in [read, write] {
        assert!(matches!(error.kind(), ErrorKind::SessionsNotSupported), "{error}");
        assert!(error.message().contains("does not support sessions"), "{error}");
    }
    assert!(watched.sent().is_empty());
}

/// Writes that are not acknowledged have no session.
#[test]
fn an_unacknowledged_write_has_no_session() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let watched = Watched::new(&mongod.uri(), "");
    let things = watched.things("sessions_w0");
    let unacknowledged = WriteConcern::nodes(0);
    things.insert_one(doc! {}).write_concern(unacknowledged.clone()).run().unwrap();
    assert_eq!(lsid(&watched.last()), None);
    let mut session = watched.client.start_session().run().unwrap();
    let error = things.insert_one(doc! {}).write_concern(unacknowledged).session(&mut session).run().unwrap_err();
    assert!(error.message().contains("w: 0"), "{error}");
    assert_eq!(session.operation_time(), None);
    assert!(watched.sent().is_empty());
}

#[test]
fn p20_checks_do_not_spread_the_cluster_time() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let heartbeats = Arc::new(Mutex::new(0));
    let (counted, started) = (heartbeats.clone(), Arc::new(Mutex::new(Vec::<Document>::new())));
    let commands = started.clone();
    let of_commands = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Started(event) = event {
            commands.lock().unwrap().push(event.command.clone());
        }
    });
    let of_topology = EventHandler::new(move |event: &SdamEvent| {
        if let SdamEvent::ServerHeartbeatSucceeded(_) = event {
            *counted.lock().unwrap() += 1;
        }
    });
    let uri = format!("{}&heartbeatFrequencyMS=500", set.direct_uri(set.primary()));
    let options = ClientOptions::builder().uri(uri).command_event_handler(of_commands).sdam_event_handler(of_topology);
    let client = Client::with_options(options.build()).unwrap();
    let ping = || client.database("admin").run_command(doc! { "ping": 1 }).run().unwrap();
    let told = ping().get_document("$clusterTime").unwrap().clone();
    let other = Client::with_uri_str(set.uri()).unwrap();
    other.database("sessions_p20").collection("things").insert_one(doc! { "advance": "$clusterTime" }).run().unwrap();
    let before = *heartbeats.lock().unwrap();
    // The check that is due precedes this ping, which therefore tells what the client knew after it.
    thread::sleep(Duration::from_millis(600));
    ping();
    assert!(*heartbeats.lock().unwrap() > before, "no check has preceded the second ping");
    let sent = started.lock().unwrap();
    assert_eq!(sent.last().unwrap().get_document("$clusterTime").unwrap(), &told);
}

/// The replies to a login tell the time, those to checks do not.
#[test]
fn the_first_command_has_the_cluster_time_of_the_login() {
    let sets = (ReplicaSet::shared_with_auth("6.0"), ReplicaSet::shared("6.0"));
    let (Some(with_login), Some(without)) = sets else { return };
    for (set, known) in [(with_login, true), (without, false)] {
        set.wait_for_cluster_time();
        let watched = Watched::new(&set.uri(), "");
        watched.client.ping().unwrap();
        assert_eq!(watched.last().contains_key("$clusterTime"), known);
        watched.client.ping().unwrap();
        assert!(watched.last().contains_key("$clusterTime"));
    }
}

#[test]
fn causal_consistency_on_a_set() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    causal_consistency(&set.uri(), "sessions_causal");
}

#[test]
fn causal_consistency_on_routers() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let routers = FakeServer::two_routers(&set.addresses());
    let uri = format!("mongodb://{},{}/", routers[0].address(), routers[1].address());
    causal_consistency(&uri, "sessions_causal_routers");
}

fn causal_consistency(uri: &str, database: &str) {
    let watched = Watched::new(uri, "");
    let things = watched.things(database);
    // 1: no time at first; 2: hence none with the first read; 3: then that of the reply, of an error too.
    let mut session = watched.client.start_session().causal_consistency(true).run().unwrap();
    assert_eq!((session.operation_time(), session.cluster_time()), (None, None));
    things.find_one(doc! {}).session(&mut session).run().unwrap();
    assert_eq!(after_cluster_time(&watched.last()), None);
    let reply = watched.last_reply();
    assert_eq!(session.operation_time(), Some(reply.get_timestamp("operationTime").unwrap()));
    assert!(session.cluster_time().is_some());
    let before = session.operation_time();
    let other = Client::with_uri_str(uri).unwrap();
    other.database(database).collection("elsewhere").insert_one(doc! {}).run().unwrap();
    things.find(doc! { "$nonsense": 1 }).session(&mut session).run().unwrap_err();
    assert!(session.operation_time() > before);

    // 4 and 5: from then on with every read and write.
    watched.sent();
    let mut known = session.operation_time();
    for (method, done) in every_method(&watched.client, database, Some(&mut session)) {
        done.unwrap_or_else(|error| panic!("{method}: {error}"));
    }
    for command in watched.sent() {
        let time = after_cluster_time(&command);
        assert_eq!(time.is_some(), is_causal(&command), "{command}");
        assert!(time.is_none() || time >= known, "{command}");
        known = known.max(time);
    }
    things.find_one(doc! {}).session(&mut session).run().unwrap();
    let known = session.operation_time();
    assert!(after_cluster_time(&watched.last()) <= known);

    // 8 and 9: without a level of its own, and with one.
    things.find_one(doc! {}).session(&mut session).run().unwrap();
    assert!(!watched.last().get_document("readConcern").unwrap().contains_key("level"));
    let known = session.operation_time();
    things.find_one(doc! {}).read_concern(ReadConcern::majority()).session(&mut session).run().unwrap();
    let sent = watched.last();
    assert_eq!(sent.get_document("readConcern").unwrap().get_str("level").unwrap(), "majority");
    assert_eq!(after_cluster_time(&sent), known);

    // 6: not in a session that is not causally consistent.
    let mut session = watched.client.start_session().causal_consistency(false).run().unwrap();
    (0..2).for_each(|_| drop(things.find_one(doc! {}).session(&mut session).run().unwrap()));
    assert!(session.operation_time().is_some());
    assert_eq!(after_cluster_time(&watched.last()), None);
    // 12: with every command the time of the cluster.
    things.find_one(doc! {}).run().unwrap();
    assert!(watched.last().contains_key("$clusterTime"));
}

/// 7 and 11: a standalone has no time.
#[test]
fn causal_consistency_on_a_standalone() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let watched = Watched::new(&mongod.uri(), "");
    let things = watched.things("sessions_causal");
    let mut session = watched.client.start_session().run().unwrap();
    for _ in 0..2 {
        things.find_one(doc! {}).session(&mut session).run().unwrap();
        let sent = watched.last();
        assert!(!sent.contains_key("readConcern") && !sent.contains_key("$clusterTime"), "{sent}");
    }
    assert_eq!((session.operation_time(), session.cluster_time()), (None, None));
}

/// A session follows another one: on a secondary too it sees what the other has written.
#[test]
fn a_session_follows_another_one() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let client = Client::with_uri_str(set.uri()).unwrap();
    let things = client.database("sessions_follow").collection::<Document>("things");
    let secondary = ReadPreference::with_mode(ReadPreferenceMode::Secondary, None);
    let [mut writer, mut reader] = [(); 2].map(|()| client.start_session().run().unwrap());
    for number in 0..20 {
        things
            .insert_one(doc! { "number": number })
            .write_concern(WriteConcern::majority())
            .session(&mut writer)
            .run()
            .unwrap();
        reader.advance_cluster_time(writer.cluster_time().unwrap());
        reader.advance_operation_time(writer.operation_time().unwrap());
        let criteria = SelectionCriteria::ReadPreference(secondary.clone());
        let found = things.find_one(doc! { "number": number }).selection_criteria(criteria).session(&mut reader).run();
        assert!(found.unwrap().is_some());
    }
    things.drop().run().unwrap();
}

#[test]
fn a_snapshot_session_reads_the_same_moment_again() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let client = Client::with_uri_str(set.uri()).unwrap();
    let things = client.database("sessions_snapshot").collection::<Document>("things");
    things.drop().run().unwrap();
    things.insert_one(doc! { "_id": 1, "x": 1 }).write_concern(WriteConcern::majority()).run().unwrap();
    let mut session = client.start_session().snapshot(true).run().unwrap();
    assert_eq!(session.snapshot_time(), None);
    let read = |session: &mut ClientSession| {
        things.find_one(doc! { "_id": 1 }).session(session).run().unwrap().unwrap().get_i32("x").unwrap()
    };
    assert_eq!(read(&mut session), 1);
    let moment = session.snapshot_time();
    assert!(moment.is_some());
    things
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "x": 2 } })
        .write_concern(WriteConcern::majority())
        .run()
        .unwrap();
    assert_eq!(read(&mut session), 1);
    assert_eq!(session.snapshot_time(), moment);
    let values = things.distinct("x", doc! {}).session(&mut session).run().unwrap();
    assert_eq!(values, [Bson::Int32(1)]);
    assert_eq!(things.count_documents(doc! { "x": 1 }).session(&mut session).run().unwrap(), 1);
    // Another session of the same moment, and the present.
    let options = SessionOptions::builder().snapshot(true).snapshot_time(moment).build();
    assert_eq!(read(&mut client.start_session().with_options(options).run().unwrap()), 1);
    assert_eq!(read(&mut client.start_session().run().unwrap()), 2);
    // The server refuses a write.
    let error = things.insert_one(doc! {}).session(&mut session).run().unwrap_err();
    assert_eq!(error.code(), Some(72), "{error}");
}

/// An operation that broke off leaves a session behind that is not used again.
#[test]
fn a_session_is_not_used_again_after_a_network_error() {
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let watched = Watched::new(&mongod.uri(), "retryReads=false&retryWrites=false");
    let things = watched.things("sessions_dirty");
    let point = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 },
    "data": { "failCommands": ["find"], "closeConnection": true } };
    watched.client.database("admin").run_command(point).run().unwrap();
    watched.sent();
    things.find_one(doc! {}).run().unwrap_err();
    let broken = watched.last();
    things.find_one(doc! {}).run().unwrap();
    assert_ne!(lsid(&watched.last()), lsid(&broken));
}

#[test]
fn closing_a_client_ends_its_sessions() {
    for (name, uri) in deployments() {
        let watched = Watched::new(&uri, "");
        watched.client.ping().unwrap();
        let used = lsid(&watched.last()).unwrap().clone();
        // Of a session that was not used no server knows.
        let [unused, another] = [(); 2].map(|()| watched.client.start_session().run().unwrap());
        drop(unused);
        drop(another);
        let Watched { client, started, replies } = watched;
        client.close();
        let sent = started.lock().unwrap();
        let end = sent.last().unwrap();
        assert_eq!(end.get_array("endSessions").unwrap(), &vec![Bson::Document(used)], "{name}");
        assert_eq!((end.get_str("$db").unwrap(), lsid(end)), ("admin", None), "{name}");
        assert_eq!(end.contains_key("$clusterTime"), name == "replica set", "{name}");
        assert_eq!(replies.lock().unwrap().last().unwrap().get_f64("ok").unwrap(), 1.0);
    }
}

/// None of them can be used without the client.
#[test]
fn closing_a_client_ends_the_sessions_of_its_cursors_and_of_the_program() {
    for (name, uri) in deployments() {
        let watched = Watched::new(&uri, "");
        let things = watched.things("sessions_close");
        things.drop().run().unwrap();
        things.insert_many((0..5).map(|n| doc! { "_id": n })).run().unwrap();
        let cursor = things.find(doc! {}).batch_size(2).run().unwrap();
        let [mut session, _unused] = [(); 2].map(|()| watched.client.start_session().run().unwrap());
        things.find_one(doc! {}).session(&mut session).run().unwrap();
        let in_session = things.find(doc! {}).batch_size(2).session(&mut session).run().unwrap();
        watched.client.ping().unwrap();
        let used: BTreeSet<String> = watched.sent().iter().filter_map(lsid).map(Document::to_string).collect();
        assert_eq!(used.len(), 3, "{name}");
        watched.client.clone().close();
        let sent = watched.sent();
        let end = sent.last().unwrap().get_array("endSessions").unwrap();
        assert_eq!(end.iter().map(Bson::to_string).collect::<BTreeSet<_>>(), used, "{name}");
        drop((cursor, in_session, session));
        assert_eq!(watched.sent(), Vec::<Document>::new(), "{name}");
    }
}

#[test]
fn dropping_the_last_handle_ends_its_sessions_over_an_idle_connection() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let watched = Watched::new(&set.uri(), "");
    let things = watched.things("sessions_drop");
    things.find_one(doc! {}).run().unwrap();
    let Watched { client, started, .. } = watched;
    drop(things);
    let other = client.clone();
    drop(client);
    assert!(!started.lock().unwrap().last().unwrap().contains_key("endSessions"), "a handle was left");
    drop(other);
    let sent = started.lock().unwrap();
    assert_eq!(sent.iter().filter(|command| command.contains_key("endSessions")).count(), 1);
}

#[test]
fn dropping_a_client_waits_half_a_second_for_a_frozen_server() {
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let client = Client::with_uri_str(mongod.uri()).unwrap();
    client.ping().unwrap();
    mongod.freeze();
    let began = Instant::now();
    drop(client);
    let took = began.elapsed();
    mongod.thaw();
    assert!((Duration::from_millis(400)..Duration::from_millis(900)).contains(&took), "{took:?}");
}

#[test]
fn dropping_a_client_without_an_idle_connection_sends_nothing() {
    let server = FakeServer::builder().start();
    let client = Client::with_uri_str(format!("{}?maxIdleTimeMS=1", server.uri())).unwrap();
    client.ping().unwrap();
    thread::sleep(Duration::from_millis(50));
    let (connections, commands) = (server.connections(), server.commands().len());
    drop(client);
    assert_eq!((server.connections(), server.commands().len()), (connections, commands));
    // Nor does a client that was never used.
    let client = Client::with_uri_str(server.uri()).unwrap();
    drop(client.start_session().run().unwrap());
    drop(client);
    assert_eq!(server.connections(), connections);
}
