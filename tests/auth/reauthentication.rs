//! A server may end a login on a connection that is in use (code 391): it gets another, on the same connection, and the command
//! is run once more. Whoever called does not notice.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongo_blocking::bson;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::fake_server::{Behaviour, FakeServer, Mechanism};
use mongo_blocking_test_server::peers::{Mongod, ROOT};
use mongo_blocking_test_server::wire::Request;

const REAUTHENTICATE: i32 = 391;

/// A fake server with a user for SCRAM, a client that is logged in there, and the names of the commands that failed or succeeded.
struct Place {
    fake_server: FakeServer,
    client: Client,
    seen: Arc<Mutex<Vec<String>>>,
}

fn place(options: &str, mechanisms: &[Mechanism]) -> Place {
    let fake_server = FakeServer::builder().user("ann", "pencil", mechanisms, "admin").start();
    let join = if fake_server.uri().contains('?') { '&' } else { '?' };
    let client = watched(&format!("{}{join}{options}", fake_server.uri()));
    client.0.ping().unwrap();
    lock(&client.1).clear();
    fake_server.forget_commands();
    Place { fake_server, client: client.0, seen: client.1 }
}

fn watched(uri: &str) -> (Client, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = seen.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        let how = match event {
            CommandEvent::Started(_) => return,
            CommandEvent::Succeeded(_) => "ok",
            CommandEvent::Failed(_) => "failed",
            _ => "?",
        };
        lock(&own).push(format!("{} {how}", event.command_name()));
    });
    let options = ClientOptions::builder().uri(uri).command_event_handler(handler).build().settings().unwrap();
    (Client::with_options(options).unwrap(), seen)
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Place {
    fn things(&self) -> Collection<Document> {
        self.client.database("test").collection("things")
    }

    /// The next command of this name is refused, `times` times.
    fn expire(&self, command: &str, times: i32) {
        let data = doc! {"failCommands": [command], "errorCode": REAUTHENTICATE};
        self.fake_server
            .fail_command(&doc! {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data});
    }

    /// What the server got since, by connection and name.
    fn got(&self) -> Vec<String> {
        self.fake_server.commands().into_iter().map(|command| command.name).collect()
    }
}

const BOTH: &[Mechanism] = &[Mechanism::ScramSha1, Mechanism::ScramSha256];

#[test]
fn a_command_is_run_once_more_on_the_same_connection() {
    for (options, mechanisms, name) in [
        ("", BOTH, "SCRAM-SHA-256"),
        ("", &[Mechanism::ScramSha1][..], "SCRAM-SHA-1"),
        ("authMechanism=SCRAM-SHA-1", BOTH, "SCRAM-SHA-1"),
    ] {
        let place = place(options, mechanisms);
        place.expire("insert", 1);
        place.things().insert_one(doc! {"_id": 1}).run().unwrap();
        // No hello, no speculation; the mechanism is that of the first login.
        let got = place.got();
        assert_eq!((&got[..2], got.last().unwrap().as_str()), (&["insert".into(), "saslStart".into()][..], "insert"));
        assert!(got[2..got.len() - 1].iter().all(|name| name == "saslContinue"), "{got:?}");
        assert_eq!(place.fake_server.commands_named("saslStart")[0].body.get_str("mechanism").unwrap(), name);
        assert_eq!(place.fake_server.connections(), 1);
        assert_eq!(*lock(&place.seen), ["insert failed", "insert ok"]);
        assert_eq!(place.things().find(doc! {}).run().unwrap().count(), 1);
    }
}

#[test]
fn cursors_and_bulk_writes_continue() {
    let place = place("", BOTH);
    place.things().insert_many((0..10).map(|n| doc! {"_id": n})).run().unwrap();
    let mut cursor = place.things().find(doc! {}).batch_size(3).run().unwrap();
    place.expire("getMore", 1);
    assert_eq!(
        cursor.by_ref().map(|found| found.unwrap().get_i32("_id").unwrap()).collect::<Vec<_>>(),
        Vec::from_iter(0..10)
    );
    assert_eq!(place.fake_server.commands_named("saslStart").len(), 1);

    let mut cursor = place.things().find(doc! {}).batch_size(3).run().unwrap();
    cursor.next().unwrap().unwrap();
    place.expire("killCursors", 1);
    place.fake_server.forget_commands();
    drop(cursor);
    assert_eq!(place.got().iter().filter(|name| *name == "killCursors").count(), 2);

    // In the middle of a bulk: the first piece is through, the second is refused.
    let models = [10, 11].map(|n| mongo_blocking::WriteModel::insert_one(doc! {"_id": n}));
    let updates = mongo_blocking::WriteModel::update_many(doc! {}, doc! {"$set": {"seen": true}});
    place.expire("update", 1);
    let [first, second] = models;
    let done = place.things().bulk_write([first, updates, second]).run().unwrap();
    assert_eq!((done.inserted_count, done.matched_count), (2, 11));
    assert_eq!(place.fake_server.connections(), 1);
}

#[test]
fn a_second_refusal_is_returned_to_the_caller() {
    let place = place("", BOTH);
    place.expire("ping", 2);
    let error = place.client.ping().unwrap_err();
    assert_eq!((error.code(), error.stage()), (Some(REAUTHENTICATE), Stage::Command));
    assert_eq!(place.fake_server.commands_named("saslStart").len(), 1);
    assert_eq!(*lock(&place.seen), ["ping failed", "ping failed"]);
    place.client.ping().unwrap();
}

#[test]
fn a_login_that_fails_is_the_error_and_the_connection_is_given_up() {
    let place = place("", BOTH);
    place.expire("ping", 1);
    let wrong = doc! {"ok": 0, "code": 18, "errmsg": "Authentication failed."};
    place.fake_server.set_behaviours(vec![Behaviour::Answer("saslStart".to_owned(), wrong)]);
    let error = place.client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error:?}");
    assert!(error.message().contains("\"ann\"") && error.address().is_some() && error.elapsed().is_some(), "{error}");
    place.fake_server.set_behaviours(vec![]);
    place.client.ping().unwrap();
    assert_eq!(place.fake_server.connections(), 2);
}

#[test]
fn reauthentication_without_a_credential_is_an_error() {
    let fake_server = FakeServer::builder().start();
    let data = doc! {"failCommands": ["ping"], "errorCode": REAUTHENTICATE};
    fake_server.fail_command(&doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data});
    let client = Client::with_uri_str(fake_server.uri()).unwrap();
    let error = client.ping().unwrap_err();
    assert!(error.message().contains("this client has no credential"), "{error}");
}

/// The second try has what time is left.
#[test]
fn the_time_limit_counts_on() {
    let place = place("timeoutMS=5000", BOTH);
    place.expire("find", 1);
    place.fake_server.set_behaviours(vec![Behaviour::Delay(Duration::from_millis(20))]);
    place.things().find(doc! {}).run().unwrap().count();
    let limits: Vec<i64> =
        place.fake_server.commands_named("find").iter().map(|find| find.body.get_i64("maxTimeMS").unwrap()).collect();
    assert!(limits.len() == 2 && limits[0] <= 5000 && limits[1] < limits[0], "{limits:?}");
    assert!(
        place.fake_server.commands_named("find").iter().all(|find| find
            .body
            .keys()
            .filter(|key| *key == "maxTimeMS")
            .count()
            == 1)
    );
}

/// A server that asks for another login and does not answer it holds the operation no longer than its limit says, however long
/// connecting may take.
#[test]
fn a_login_that_is_not_answered_ends_with_the_time_limit() {
    let stalls = |request: &Request, _| (request.name() == "saslStart").then_some(Answer::Stall);
    let fake_server = FakeServer::builder().user("ann", "pencil", BOTH, "admin").on_command(stalls).start();
    let join = if fake_server.uri().contains('?') { '&' } else { '?' };
    let options = "timeoutMS=1000&connectTimeoutMS=60000";
    let client = Client::with_uri_str(format!("{}{join}{options}", fake_server.uri())).unwrap();
    client.ping().unwrap();
    let data = doc! {"failCommands": ["ping"], "errorCode": REAUTHENTICATE};
    fake_server.fail_command(&doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data});
    let began = Instant::now();
    let error = client.ping().unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert!(error.message().contains("timeoutMS"), "{error}");
    assert_eq!(fake_server.commands_named("saslStart").len(), 1);
    client.ping().unwrap();
    assert_eq!(fake_server.connections(), 2);
}

/// The same with a real server: it takes a second SCRAM on a connection, and the command.
#[test]
fn mongod_takes_a_second_login() {
    for version in ["6.0", "4.4"] {
        let Some(mongod) = Mongod::shared_with_auth(version) else { return };
        let (user, password) = ROOT;
        let (client, seen) = watched(&format!("mongodb://{user}:{password}@{}/", mongod.address()));
        let things = client.database("reauthentication").collection::<Document>("things");
        things.drop().run().unwrap();
        things.insert_many((0..10).map(|n| doc! {"_id": n})).run().unwrap();
        let app = doc! {"failCommands": ["getMore"], "errorCode": REAUTHENTICATE};
        let fail = doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": app};
        client.database("admin").run_command(fail).run().unwrap();
        lock(&seen).clear();
        assert_eq!(things.find(doc! {}).batch_size(6).run().unwrap().map(Result::unwrap).count(), 10);
        assert_eq!(*lock(&seen), ["find ok", "getMore failed", "getMore ok"]);
    }
}
