//! The prose tests of Retryable Reads, Retryable Writes and Client Backpressure, on a real replica set and on two routers before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, SYSTEM_OVERLOADED_ERROR};
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection, Error};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::ReplicaSet;
use mongo_blocking_test_server::wire::Request;

/// Fail points concern a whole server: one test at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shared set, its fail points off when this is dropped.
struct Points {
    set: &'static ReplicaSet,
    _turn: MutexGuard<'static, ()>,
}

impl Points {
    fn on_set() -> Option<Points> {
        let set = ReplicaSet::shared("6.0")?;
        let turn = turn();
        set.wait_until_complete();
        Some(Points { set, _turn: turn })
    }

    /// Sets the primary's fail point, for clients of these tests only.
    fn fail(&self, mode: impl Into<mongo_blocking::bson::Bson>, data: Document) {
        fail_on(self.set, mode.into(), data);
    }
}

impl Drop for Points {
    fn drop(&mut self) {
        let off = doc! {"configureFailPoint": "failCommand", "mode": "off"};
        (0..self.set.addresses().len()).for_each(|member| drop(self.set.run(member, "admin", off.clone())));
    }
}

fn fail_on(set: &ReplicaSet, mode: mongo_blocking::bson::Bson, mut data: Document) {
    data.insert("appName", APP_NAME);
    set.run(set.primary(), "admin", doc! {"configureFailPoint": "failCommand", "mode": mode, "data": data});
}

fn once() -> Document {
    doc! {"times": 1}
}

/// What a client's handlers were told.
#[derive(Clone, Default)]
struct Seen {
    /// "started find", and so on, with the server.
    commands: Arc<Mutex<Vec<(String, String)>>>,
    pool: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    fn commands(&self, what: &str) -> Vec<String> {
        let commands = self.commands.lock().unwrap();
        commands.iter().filter(|(seen, _)| seen == what).map(|(_, address)| address.clone()).collect()
    }
}

/// A client whose events are kept; `and_then` is called with each event of a command.
fn watched(uri: &str, and_then: impl Fn(&CommandEvent) + Send + Sync + 'static) -> (Collection<Document>, Seen) {
    let seen = Seen::default();
    let (commands, pool) = (seen.commands.clone(), seen.pool.clone());
    let on_command = EventHandler::new(move |event: &CommandEvent| {
        let (what, name, connection) = match event {
            CommandEvent::Started(event) => ("started", &event.command_name, &event.connection),
            CommandEvent::Succeeded(event) => ("succeeded", &event.command_name, &event.connection),
            CommandEvent::Failed(event) => ("failed", &event.command_name, &event.connection),
            _ => return,
        };
        commands.lock().unwrap().push((format!("{what} {name}"), connection.address.to_string()));
        and_then(event);
    });
    let on_pool = EventHandler::new(move |event: &CmapEvent| {
        let text = format!("{event:?}");
        pool.lock().unwrap().push(text.split('(').next().unwrap_or_default().to_owned());
    });
    let options = ClientOptions::builder().uri(uri).app_name(APP_NAME);
    let options = options.command_event_handler(on_command).cmap_event_handler(on_pool).build();
    let client = Client::with_options(options).unwrap();
    let collection = client.database("retries").collection::<Document>("documents");
    collection.client().ping().unwrap();
    (collection, seen)
}

fn with(uri: &str, options: &str) -> String {
    format!("{uri}{}{options}", if uri.contains('?') { "&" } else { "?" })
}

/// Sets another fail point when a command has failed with this code for the first time.
fn after_first_failure(
    set: &'static ReplicaSet,
    code: i32,
    data: Document,
) -> impl Fn(&CommandEvent) + Send + Sync + 'static {
    let done = Mutex::new(false);
    move |event| {
        let CommandEvent::Failed(event) = event else { return };
        let mut done = done.lock().unwrap();
        if event.failure.code() == Some(code) && !std::mem::replace(&mut *done, true) {
            fail_on(set, "alwaysOn".into(), data.clone());
        }
    }
}

/// Retryable Reads 1 and Retryable Writes 2.
fn two_threads_and_one_connection(
    command: &str,
    data: Document,
    run: impl Fn(&Collection<Document>) -> Result<(), Error> + Sync,
) {
    let Some(points) = Points::on_set() else { return };
    let (collection, seen) = watched(&with(&points.set.uri(), "maxPoolSize=1"), |_| {});
    points.fail(once(), data);
    seen.pool.lock().unwrap().clear();
    thread::scope(|scope| {
        let threads = [(), ()].map(|()| scope.spawn(|| run(&collection)));
        threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
    assert_eq!(seen.commands(&format!("started {command}")).len(), 3);
    let pool = seen.pool.lock().unwrap();
    let place = |what: &str| pool.iter().position(|seen| seen == what).unwrap_or_else(|| panic!("{what}: {pool:?}"));
    assert!(place("ConnectionCheckedOut") < place("PoolCleared"), "{pool:?}");
    assert!(place("PoolCleared") < place("ConnectionCheckoutFailed"), "{pool:?}");
}

#[test]
fn a_read_is_retried_after_the_pool_was_cleared() {
    let data = doc! {"failCommands": ["find"], "errorCode": 91, "blockConnection": true, "blockTimeMS": 1000};
    two_threads_and_one_connection("find", data, |collection| collection.find_one(doc! {}).run().map(drop));
}

#[test]
fn a_write_is_retried_after_the_pool_was_cleared() {
    let data = doc! {"failCommands": ["insert"], "errorCode": 91, "blockConnection": true, "blockTimeMS": 1000, "errorLabels": [RETRYABLE_WRITE_ERROR]};
    two_threads_and_one_connection("insert", data, |collection| collection.insert_one(doc! {}).run().map(drop));
}

/// Retryable Reads 2.1 and Retryable Writes 4.
fn another_router(command: &str, data: &Document, run: impl Fn(&Collection<Document>) -> Result<(), Error>) {
    let Some(points) = Points::on_set() else { return };
    let routers = FakeServer::two_routers(&points.set.addresses());
    for router in &routers {
        router.fail_command(&doc! {"mode": once(), "data": data});
    }
    let (collection, seen) = watched(&format!("mongodb://{},{}/", routers[0].address(), routers[1].address()), |_| {});
    run(&collection).unwrap_err();
    let mut failed = seen.commands(&format!("failed {command}"));
    failed.sort();
    let mut both: Vec<String> = routers.iter().map(FakeServer::address).collect();
    both.sort();
    assert_eq!(failed, both);
}

/// Retryable Reads 2.2 and Retryable Writes 5.
fn the_same_router(command: &str, data: &Document, run: impl Fn(&Collection<Document>) -> Result<(), Error>) {
    let Some(points) = Points::on_set() else { return };
    let [router, _] = FakeServer::two_routers(&points.set.addresses());
    router.fail_command(&doc! {"mode": once(), "data": data});
    let (collection, seen) = watched(&format!("mongodb://{}/?directConnection=false", router.address()), |_| {});
    run(&collection).unwrap();
    assert_eq!(seen.commands(&format!("failed {command}")), [router.address()]);
    assert_eq!(seen.commands(&format!("succeeded {command}")), [router.address()]);
}

#[test]
fn a_read_is_retried_on_another_router() {
    let data = doc! {"failCommands": ["find"], "errorCode": 6};
    another_router("find", &data, |collection| collection.find_one(doc! {}).run().map(drop));
}

#[test]
fn a_read_is_retried_on_the_only_router() {
    let data = doc! {"failCommands": ["find"], "errorCode": 6};
    the_same_router("find", &data, |collection| collection.find_one(doc! {}).run().map(drop));
}

#[test]
fn a_write_is_retried_on_another_router() {
    let data = doc! {"failCommands": ["insert"], "errorCode": 6, "errorLabels": [RETRYABLE_WRITE_ERROR]};
    another_router("insert", &data, |collection| collection.insert_one(doc! {}).run().map(drop));
}

#[test]
fn a_write_is_retried_on_the_only_router() {
    let data = doc! {"failCommands": ["insert"], "errorCode": 6, "errorLabels": [RETRYABLE_WRITE_ERROR], "closeConnection": true};
    the_same_router("insert", &data, |collection| collection.insert_one(doc! {}).run().map(drop));
}

/// Retryable Reads 3.1, 3.2 and 3.3
#[test]
fn a_read_goes_to_another_member_only_after_overload_and_only_if_asked_for() {
    let Some(points) = Points::on_set() else { return };
    for (options, labels, another) in
        [("&enableOverloadRetargeting=true", OVERLOAD, true), ("", &[RETRYABLE_ERROR], false), ("", OVERLOAD, false)]
    {
        let uri = with(&points.set.uri(), &format!("readPreference=primaryPreferred{options}"));
        let (collection, seen) = watched(&uri, |_| {});
        points.fail(once(), doc! {"failCommands": ["find"], "errorLabels": labels.to_vec(), "errorCode": 6});
        collection.find_one(doc! {}).run().unwrap();
        let (failed, succeeded) = (seen.commands("failed find"), seen.commands("succeeded find"));
        assert_eq!((failed.len(), succeeded.len()), (1, 1));
        assert_eq!(failed != succeeded, another, "{options} {labels:?}");
    }
}

/// Retryable Reads 4, Retryable Writes 6, case 4. (That there is a pause after the first error only, 5 and case 5, is shown in
/// `src/client/tests.rs`.)
#[test]
fn one_overload_sets_the_number_of_all_retries() {
    let Some(points) = Points::on_set() else { return };
    type Run = fn(&Collection<Document>) -> Result<(), Error>;
    let find: Run = |collection| collection.find_one(doc! {}).run().map(drop);
    let insert: Run = |collection| collection.insert_one(doc! {}).run().map(drop);
    for (command, labels, run) in
        [("find", vec![RETRYABLE_ERROR], find), ("insert", vec![RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR], insert)]
    {
        let later = doc! {"failCommands": [command], "errorLabels": labels, "errorCode": 91};
        let (collection, seen) = watched(&points.set.uri(), after_first_failure(points.set, 91, later));
        points.fail(once(), doc! {"failCommands": [command], "errorLabels": OVERLOAD.to_vec(), "errorCode": 91});
        let error = run(&collection).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Command(_)), "{error:?}");
        assert_eq!(seen.commands(&format!("started {command}")).len(), 1 + 2);
    }
}

/// Retryable Writes 1
#[test]
fn a_storage_engine_without_numbered_writes_is_named() {
    let refused = doc! {"ok": 0, "code": 20, "codeName": "IllegalOperation", "errmsg": "Transaction numbers are only allowed on storage engines that support document-level locking"};
    let answer = move |request: &Request, _| (request.name() == "insert").then(|| Answer::Reply(refused.clone()));
    let server = FakeServer::builder().replica_set("old").on_command(answer).start();
    let client = Client::with_uri_str(server.uri()).unwrap();
    let error = client.database("d").collection("c").insert_one(doc! {}).run().unwrap_err();
    assert_eq!(error.code(), Some(20), "{error:?}");
    assert_eq!(
        error.message(),
        "This MongoDB deployment does not support retryable writes. Please add retryWrites=false to your connection string."
    );
    assert_eq!(server.commands_named("insert").len(), 1);
}

/// Retryable Writes 3
#[test]
fn a_write_concern_error_before_one_without_writes_is_returned() {
    let Some(points) = Points::on_set() else { return };
    let set = points.set;
    let done = Mutex::new(false);
    let (collection, _) = watched(&set.uri(), move |event| {
        if let CommandEvent::Succeeded(event) = event
            && event.command_name == "insert"
            && !std::mem::replace(&mut *done.lock().unwrap(), true)
        {
            let labels = [RETRYABLE_WRITE_ERROR, NO_WRITES_PERFORMED];
            let data = doc! {"failCommands": ["insert"], "errorCode": 10107, "errorLabels": labels.to_vec()};
            fail_on(set, once().into(), data);
        }
    });
    let data =
        doc! {"failCommands": ["insert"], "errorLabels": [RETRYABLE_WRITE_ERROR], "writeConcernError": {"code": 91}};
    points.fail(once(), data);
    let error = collection.insert_one(doc! {}).run().unwrap_err();
    assert_eq!(error.code(), Some(91), "{error:?}");
    assert!(matches!(error.kind(), ErrorKind::Write(_)), "{error:?}");
}

/// Retryable Writes 6, cases 1 to 3
#[test]
fn of_several_errors_the_one_that_tells_of_writes_is_returned() {
    let Some(points) = Points::on_set() else { return };
    let with_no_writes = [OVERLOAD, &[NO_WRITES_PERFORMED]].concat();
    for (first, second, second_code, returned) in [
        (OVERLOAD.to_vec(), OVERLOAD.to_vec(), 10107, 10107),
        (with_no_writes.clone(), with_no_writes.clone(), 10107, 91),
        (OVERLOAD.to_vec(), with_no_writes, 91, 91),
    ] {
        let both = first.contains(&NO_WRITES_PERFORMED) && second.contains(&NO_WRITES_PERFORMED);
        let later = doc! {"failCommands": ["insert"], "errorCode": second_code, "errorLabels": second};
        let (collection, _) = watched(&points.set.uri(), after_first_failure(points.set, 91, later));
        points.fail(once(), doc! {"failCommands": ["insert"], "errorLabels": first, "errorCode": 91});
        let error = collection.insert_one(doc! {}).run().unwrap_err();
        assert_eq!(error.code(), Some(returned), "{error:?}");
        assert_eq!(error.contains_label(NO_WRITES_PERFORMED), both);
    }
}

/// Client Backpressure 3 and 4
#[test]
fn an_overloaded_server_is_asked_again_as_often_as_the_option_says() {
    let Some(points) = Points::on_set() else { return };
    for (options, attempts) in [("", 3), ("maxAdaptiveRetries=1", 2), ("maxAdaptiveRetries=0", 1)] {
        let (collection, seen) = watched(&with(&points.set.uri(), options), |_| {});
        points.fail("alwaysOn", doc! {"failCommands": ["find"], "errorCode": 462, "errorLabels": OVERLOAD.to_vec()});
        let error = collection.find_one(doc! {}).run().unwrap_err();
        assert!(error.contains_label(RETRYABLE_ERROR) && error.contains_label(SYSTEM_OVERLOADED_ERROR));
        assert_eq!(seen.commands("started find").len(), attempts, "{options}");
    }
}

/// The server recognises the second attempt by its number.
#[test]
fn all_attempts_at_a_write_have_one_number_and_one_session() {
    let server = FakeServer::builder().replica_set("rs").start();
    let client = Client::with_uri_str(server.uri()).unwrap();
    let collection = client.database("d").collection::<Document>("c");
    server.fail_command(&doc! {"mode": once(), "data": {"failCommands": ["insert"], "closeConnection": true}});
    collection.insert_one(doc! {}).run().unwrap();
    collection.insert_one(doc! {}).run().unwrap();
    collection.delete_many(doc! {}).run().unwrap();
    let inserts = server.commands_named("insert");
    let id = |n: usize| {
        let command: &Document = &inserts[n].body;
        (command.get_document("lsid").unwrap().clone(), command.get_i64("txnNumber").unwrap())
    };
    assert_eq!(inserts.len(), 3);
    assert_eq!(id(0), id(1));
    // The session of a connection that broke is not used again, so its numbers begin anew.
    assert_ne!(id(1), id(2));
    assert!(!server.commands_named("delete")[0].body.contains_key("txnNumber"));
}

const APP_NAME: &str = "retries";
const OVERLOAD: &[&str] = &[SYSTEM_OVERLOADED_ERROR, RETRYABLE_ERROR];
const NO_WRITES_PERFORMED: &str = "NoWritesPerformed";
