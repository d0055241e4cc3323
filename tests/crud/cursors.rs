//! Cursors: on the server, and as they are read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};
use mongo_blocking::options::CursorType;
use mongo_blocking::{Client, Cursor};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Mongod;
use serde::{Deserialize, Serialize};

use super::{Watched, fail, numbered, own_mongod, place_with};

#[test]
fn a_cursor_is_ended_on_the_server_when_it_is_dropped_and_when_the_client_closes() {
    let Some(mongod) = own_mongod() else { return };
    let watched = Watched::new(&mongod, "");
    let figures = Client::with_uri_str(mongod.root_uri()).unwrap();
    let numbers = watched.collection("open");
    numbers.insert_many((0..10).map(|n| doc! {"_id": n}).collect::<Vec<_>>()).run().unwrap();
    let open = || numbers.find(doc! {}).batch_size(2).run().unwrap();

    let cursor = open();
    assert_eq!(open_cursors(&figures), 1);
    drop(cursor);
    assert_eq!(open_cursors(&figures), 0);

    let read_out = open().count();
    assert_eq!((read_out, open_cursors(&figures)), (10, 0));
    assert_eq!(watched.sent("killCursors").len(), 1);

    let (_one, mut two) = (open(), open());
    assert_eq!(open_cursors(&figures), 2);
    watched.client.clone().close();
    assert_eq!(open_cursors(&figures), 0);
    // What is there can be read; what is not, cannot.
    assert!(two.next().unwrap().is_ok() && two.next().unwrap().is_ok());
    assert!(two.next().unwrap().is_err());
    assert!(two.next().is_none());
}

/// Both servers count their cursors from 1.
#[test]
fn cursors_of_two_servers_may_have_the_same_id() {
    let server = || {
        let count = AtomicI64::new(0);
        let builder = FakeServer::builder().mongos().on_command(move |request, _| {
            let batch = |id: i64, key: &str| {
                Answer::Reply(doc! {"cursor": {"id": id, "ns": "crud.same", key: [{"of": id}]}, "ok": 1})
            };
            match request.name() {
                "find" => Some(batch(count.fetch_add(1, Ordering::SeqCst) + 1, "firstBatch")),
                "getMore" => Some(batch(request.body.get_i64("getMore").unwrap(), "nextBatch")),
                "killCursors" => Some(Answer::Reply(doc! {"ok": 1})),
                _ => None,
            }
        });
        builder.start()
    };
    let servers = [server(), server()];
    let [one, other] = servers.each_ref().map(FakeServer::address);
    let client = Client::with_uri_str(format!("mongodb://{one},{other}/?localThresholdMS=60000")).unwrap();
    let collection = client.database("crud").collection::<Document>("same");
    let opened = |server: &FakeServer| server.commands_named("find").len();
    let mut cursors = Vec::new();
    while servers.iter().any(|server| opened(server) < 2) {
        assert!(cursors.len() < 200, "only one of the servers is used");
        cursors.push(collection.find(doc! {}).run().unwrap());
    }
    for cursor in &mut cursors {
        let [first, second] = [(); 2].map(|()| cursor.next().unwrap().unwrap());
        assert_eq!(first, second);
    }
    client.close();
    for server in &servers {
        assert_eq!(server.commands_named("getMore").len(), opened(server));
        let mut killed: Vec<i64> = Vec::new();
        for command in server.commands_named("killCursors") {
            killed.extend(command.body.get_array("cursors").unwrap().iter().filter_map(Bson::as_i64));
        }
        killed.sort_unstable();
        let all: Vec<i64> = (1..=i64::try_from(opened(server)).unwrap()).collect();
        assert_eq!(killed, all);
    }
}

fn open_cursors(client: &Client) -> i64 {
    let status = client.database("admin").run_command(doc! {"serverStatus": 1}).run().unwrap();
    let open = status.get_document("metrics").and_then(|m| m.get_document("cursor")).unwrap();
    open.get_document("open").unwrap().get_i64("total").unwrap()
}

#[test]
fn a_cursor_has_ended_after_an_error() {
    let Some(mongod) = own_mongod() else { return };
    let watched = Watched::new(&mongod, "");
    let numbers = watched.collection("failing");
    numbers.insert_many((0..4).map(|n| doc! {"_id": n}).collect::<Vec<_>>()).run().unwrap();
    let mut cursor = numbers.find(doc! {}).batch_size(2).run().unwrap();
    fail(&watched.client, 1, doc! {"failCommands": ["getMore"], "errorCode": 43});
    assert!(cursor.next().unwrap().is_ok() && cursor.next().unwrap().is_ok());
    assert_eq!(cursor.next().unwrap().unwrap_err().code(), Some(43));
    assert!(cursor.next().is_none() && !cursor.is_alive());
}

#[test]
fn a_tailable_cursor_waits_for_news() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let log = watched.collection("log");
    let create = doc! {"create": "log", "capped": true, "size": 100_000};
    watched.client.database("crud").run_command(create).run().unwrap();
    log.insert_one(doc! {"_id": 1}).run().unwrap();
    let wait = Duration::from_millis(300);
    let mut tail = log.find(doc! {}).cursor_type(CursorType::TailableAwait).max_await_time(wait).run().unwrap();
    assert_eq!(tail.next().unwrap().unwrap(), doc! {"_id": 1});
    let began = Instant::now();
    assert!(tail.next_if_any().unwrap().is_none());
    assert!(began.elapsed() >= wait - Duration::from_millis(50) && tail.is_alive(), "{:?}", began.elapsed());
    log.insert_one(doc! {"_id": 2}).run().unwrap();
    assert_eq!(tail.next().unwrap().unwrap(), doc! {"_id": 2});
    assert!(watched.sent("getMore").iter().all(|more| more.get_i64("maxTimeMS").unwrap() == 300));
}

#[test]
fn limit_and_batch_size() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let numbers = watched.collection("limits");
    numbers.insert_many((0..10).map(|n| doc! {"_id": n}).collect::<Vec<_>>()).run().unwrap();
    for (limit, batch_size, found, more) in [(5, 2, 5, 2), (4, 4, 4, 0), (-3, 2, 2, 0), (-3, 5, 3, 0), (0, 3, 10, 3)] {
        watched.started.lock().unwrap().clear();
        let cursor = numbers.find(doc! {}).limit(limit).batch_size(batch_size).run().unwrap();
        assert_eq!(cursor.count(), found, "limit {limit}, batch size {batch_size}");
        assert_eq!(watched.sent("getMore").len(), more, "limit {limit}, batch size {batch_size}");
        assert!(watched.sent("killCursors").is_empty());
    }
    // Batch size 0 opens a cursor without fetching; $out has nothing to fetch and must run all the same.
    assert_eq!(numbers.find(doc! {}).batch_size(0).run().unwrap().count(), 10);
    assert_eq!(numbers.aggregate([doc! {"$out": "limits_out"}]).batch_size(0).run().unwrap().count(), 0);
    let out = watched.client.database("crud").collection::<Document>("limits_out");
    assert_eq!(out.count_documents(doc! {}).run().unwrap(), 10);
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Bird {
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<ObjectId>,
    name: String,
}

#[derive(Deserialize)]
struct Borrowed<'a> {
    name: &'a str,
}

#[test]
fn documents_as_structs_and_raw() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let watched = Watched::new(mongod, "");
    let birds = watched.collection("typed").clone_with_type::<Bird>();
    let wren = Bird { id: None, name: "wren".to_owned() };
    let id = birds.insert_one(&wren).run().unwrap().inserted_id.as_object_id().unwrap();
    let insert = watched.sent("insert").pop().unwrap();
    let sent = insert.get_array("documents").unwrap()[0].as_document().unwrap().clone();
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["_id", "name"]);
    let own = Bird { id: Some(ObjectId::new()), name: "owl".to_owned() };
    assert_eq!(birds.insert_one(&own).run().unwrap().inserted_id.as_object_id(), own.id);
    let found = birds.find_one(doc! {"_id": id}).run().unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str()), (Some(id), "wren"));

    let raw = birds.clone_with_type::<RawDocumentBuf>();
    let names: Vec<String> = raw
        .find(doc! {})
        .sort(doc! {"name": 1})
        .run()
        .unwrap()
        .map(|bird| bird.unwrap().get_str("name").unwrap().to_owned())
        .collect();
    assert_eq!(names, ["owl", "wren"]);
    let mut lent: Cursor<Borrowed> = raw.find(doc! {"name": "owl"}).run().unwrap().with_type();
    assert!(lent.advance().unwrap());
    assert_eq!(lent.current().get_str("name").unwrap(), "owl");
    assert_eq!(lent.deserialize_current().unwrap().name, "owl");
    assert!(!lent.advance().unwrap());
}

/// What looks like Extended JSON is stored as a document, and comes back as one.
#[test]
fn keys_of_extended_json_stay_keys() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let client = Client::with_uri_str(mongod.uri()).unwrap();
    let collection = client.database("crud").collection::<Document>("extended_json");
    collection.drop().run().unwrap();
    let stored = doc! {"_id": 1, "a": {"$numberInt": "5"}, "b": {"$oid": "6b03a8ddadcb6993309e9f49"}};
    collection.insert_one(&stored).run().unwrap();
    assert_eq!(collection.find_one(doc! {}).run().unwrap(), Some(stored.clone()));
    assert_eq!(collection.find_one_and_delete(doc! {}).run().unwrap(), Some(stored));
}

/// Client Backpressure: a server that has refused a getMore unread still has the cursor.
#[test]
fn a_cursor_is_closed_on_a_server_that_was_overloaded() {
    let Some(place) = place_with("cursors_overload", "maxAdaptiveRetries=0") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..3)).run().unwrap();
    for (labels, killed) in [(vec!["SystemOverloadedError", "RetryableError"], true), (vec![], false)] {
        let data = doc! {"failCommands": ["getMore"], "errorCode": 462, "errorLabels": labels};
        let fail = place.fail(doc! {"times": 1}, data);
        let mut cursor = collection.find(doc! {}).batch_size(2).run().unwrap();
        assert_eq!(cursor.by_ref().filter_map(Result::err).count(), 1);
        place.sent();
        drop(cursor);
        let names: &[&str] = if killed { &["killCursors"] } else { &[] };
        assert_eq!(place.sent_names(), names);
        drop(fail);
    }
}
