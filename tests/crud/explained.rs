//! What the server explains, what ran out, and which `_id` the driver made: all of it is in the error.

use std::error::Error as _;

use mongo_blocking::bson::{Document, RawDocument, doc};
use mongo_blocking::error::{ErrorKind, WriteFailure};
use mongo_blocking::options::IndexModel;
use mongo_blocking::{Client, Error, Result, WriteModel};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::fake_server::FakeServer;

use super::{DUPLICATE_KEY, FAILED_VALIDATION, numbered, place, place_with, write_error};

#[test]
fn a_failed_validation_is_explained_in_every_kind_of_write() {
    let Some(place) = place("explained_validation") else { return };
    let validator =
        doc! {"$jsonSchema": {"required": ["age"], "properties": {"age": {"bsonType": "int", "minimum": 18}}}};
    place.database.create_collection("people").validator(validator).run().unwrap();
    let people = place.collection("people");
    people.insert_one(doc! {"_id": 1, "age": 20}).run().unwrap();
    let (young, set) = (doc! {"age": 7, "long": "x".repeat(5000)}, doc! {"$set": {"age": 7}});
    let errors = [
        people.insert_one(&young).run().map(drop).unwrap_err(),
        people.insert_many([&young]).run().map(drop).unwrap_err(),
        people.update_one(doc! {}, set.clone()).run().map(drop).unwrap_err(),
        people.replace_one(doc! {}, &young).run().map(drop).unwrap_err(),
        people.bulk_write([WriteModel::insert_one(young.clone())]).run().map(drop).unwrap_err(),
        people.find_one_and_update(doc! {}, set).run().map(drop).unwrap_err(),
        people.find_one_and_replace(doc! {}, &young).run().map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), Some(FAILED_VALIDATION), "{error:?}");
        let details: &RawDocument = match error.kind() {
            ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.details.as_deref(),
            ErrorKind::InsertMany(failed) => failed.write_errors()[0].details.as_deref(),
            ErrorKind::BulkWrite(failed) => failed.write_errors[0].details.as_deref(),
            ErrorKind::Command(refused) => refused.details(),
            other => panic!("{other:?}"),
        }
        .unwrap();
        assert!(details.get("details").unwrap().is_some());
        let text = error.to_string();
        assert!(text.contains("specifiedAs: { minimum: 18 }") && text.contains("consideredValue: 7"), "{text}");
        assert!(text.lines().count() == 1 && text.len() < 4000, "{}: {text}", text.len());
        assert!(text.contains("explained_validation.people") && error.address().is_some(), "{text}");
    }
}

#[test]
fn a_duplicate_key_names_index_and_value_in_every_kind_of_write() {
    let Some(place) = place("explained_duplicate") else { return };
    let people = place.collection("people");
    let index = IndexModel::new(doc! {"name": 1, "n": -1});
    let unique = mongo_blocking::options::IndexOptions::default().unique(true);
    people.create_index(index.options(unique)).run().unwrap();
    let long = "z".repeat(300);
    people.insert_many([doc! {"_id": 1, "name": &long, "n": 5}, doc! {"_id": 2}]).run().unwrap();
    let (again, set) = (doc! {"name": &long, "n": 5}, doc! {"$set": {"name": &long, "n": 5}});
    let errors = [
        people.insert_one(&again).run().map(drop).unwrap_err(),
        people.insert_many([&again]).ordered(false).run().map(drop).unwrap_err(),
        people.update_one(doc! {"_id": 2}, set.clone()).run().map(drop).unwrap_err(),
        people.update_one(doc! {"_id": 3}, set.clone()).upsert(true).run().map(drop).unwrap_err(),
        people.replace_one(doc! {"_id": 2}, &again).run().map(drop).unwrap_err(),
        people.bulk_write([WriteModel::update_one(doc! {"_id": 2}, set.clone())]).run().map(drop).unwrap_err(),
        people.find_one_and_update(doc! {"_id": 2}, set).run().map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), Some(DUPLICATE_KEY), "{error:?}");
        let (pattern, value) = match error.kind() {
            ErrorKind::Write(WriteFailure::WriteError(refused)) => {
                (refused.key_pattern.as_deref(), refused.key_value.as_deref())
            }
            ErrorKind::InsertMany(failed) => {
                (failed.write_errors()[0].key_pattern.as_deref(), failed.write_errors()[0].key_value.as_deref())
            }
            ErrorKind::BulkWrite(failed) => {
                (failed.write_errors[0].key_pattern.as_deref(), failed.write_errors[0].key_value.as_deref())
            }
            ErrorKind::Command(refused) => (refused.key_pattern(), refused.key_value()),
            other => panic!("{other:?}"),
        };
        assert_eq!(Document::try_from(pattern.unwrap()).unwrap(), doc! {"name": 1, "n": -1});
        assert_eq!(value.unwrap().get_str("name").unwrap(), long, "the value is whole by the accessor");
        let text = error.to_string();
        assert!(text.contains("keyPattern { name: 1, n: -1 }"), "{text}");
        let cut = format!("keyValue {{ name: \"{}…\", n: 5 }}", "z".repeat(100));
        assert!(text.contains(&cut) && text.contains("explained_duplicate.people"), "{text}");
        let debug = format!("{error:?}");
        assert!(debug.contains("key_pattern: Some({ name: 1") || debug.contains("keyPattern: { name: 1"), "{debug}");
        assert!(!debug.contains("RawDocumentBuf"), "{debug}");
    }
}

fn is_timeout<T: std::fmt::Debug>(result: Result<T>) -> Error {
    let error = result.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert!(error.message().contains("timeoutMS"), "{error}");
    assert_eq!(error.code(), Some(50), "{error:?}");
    let cause = error.source().and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert_eq!(cause.code(), Some(50));
    assert!(!error.is_network_error(), "the connection is as good as before: {error:?}");
    error
}

#[test]
fn the_servers_time_limit_is_timeout_ms_in_all_three_places() {
    let Some(place) = place_with("explained_timeout", "timeoutMS=3000") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..3)).run().unwrap();
    // The whole command is refused.
    let data =
        doc! {"failCommands": ["find", "insert", "findAndModify", "aggregate", "getMore", "update"], "errorCode": 50};
    let fail = place.fail(doc! {"times": 7}, data);
    is_timeout(collection.find(doc! {}).run());
    is_timeout(collection.insert_one(doc! {}).run());
    is_timeout(collection.insert_many([doc! {}]).run());
    is_timeout(collection.find_one_and_delete(doc! {}).run());
    is_timeout(collection.count_documents(doc! {}).run());
    is_timeout(collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run());
    // What the program limited in a command of its own is not timeoutMS.
    let own = place.database.run_command(doc! {"find": "c", "maxTimeMS": 1000}).run().unwrap_err();
    assert!(matches!(own.kind(), ErrorKind::Command(_)), "{own:?}");
    drop(fail);
    // A write concern error.
    let concern = doc! {"code": 50, "codeName": "MaxTimeMSExpired", "errmsg": "waiting for replication timed out"};
    let data = doc! {"failCommands": ["insert", "update", "findAndModify", "create"], "writeConcernError": concern};
    let fail = place.fail(doc! {"times": 5}, data);
    is_timeout(collection.insert_one(doc! {"_id": 10}).run());
    let many = is_timeout(collection.insert_many([doc! {"_id": 11}]).run());
    is_timeout(collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run());
    is_timeout(collection.find_one_and_delete(doc! {}).run());
    is_timeout(place.database.create_collection("d").run());
    drop(fail);
    let cause = many.source().and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert!(matches!(cause.kind(), ErrorKind::InsertMany(failed) if failed.inserted_ids().len() == 1), "{cause:?}");
}

/// The third place is the list of write errors, where no fail point of a server can put it.
#[test]
fn a_time_limit_among_the_write_errors_is_timeout_ms() {
    let server = FakeServer::builder().on_command(|request, _| {
        let failed = doc! {"index": 0, "code": 50, "errmsg": "operation exceeded time limit"};
        let writes = ["insert", "update", "delete"].contains(&request.name());
        writes.then(|| Answer::Reply(doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [failed]}))
    });
    let server = server.start();
    let collection = |options: &str| {
        let client = Client::with_uri_str(format!("{}?{options}", server.uri())).unwrap();
        client.database("crud").collection::<Document>("limited")
    };
    let limited = collection("timeoutMS=3000");
    is_timeout(limited.insert_one(doc! {}).run());
    is_timeout(limited.insert_many([doc! {}]).run());
    is_timeout(limited.update_one(doc! {}, doc! {"$set": {"a": 1}}).run());
    is_timeout(limited.delete_one(doc! {}).run());
    is_timeout(limited.bulk_write([WriteModel::insert_one(doc! {})]).run());
    // Without timeoutMS it is an error of the server's.
    let own = collection("").insert_one(doc! {}).run().unwrap_err();
    assert_eq!(write_error(&own).code, 50);
}

/// A `$where` that takes longer than `timeoutMS` allows, as the server itself stops it.
#[test]
fn a_slow_where_runs_into_timeout_ms() {
    let Some(place) = place_with("explained_where", "timeoutMS=300") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..3)).run().unwrap();
    let slow = doc! {"$where": "sleep(1500) || true"};
    let errors = [
        collection.find(slow.clone()).run().map(drop).unwrap_err(),
        collection.update_many(slow.clone(), doc! {"$set": {"a": 1}}).run().map(drop).unwrap_err(),
        collection.delete_many(slow).run().map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
        assert!(error.to_string().contains("timeoutMS"), "{error}");
    }
}

#[test]
fn the_id_that_was_made_is_known_when_the_write_concern_fails() {
    let Some(place) = place("explained_made_id") else { return };
    let collection = place.collection("c");
    let concern = doc! {"code": 64, "errmsg": "waiting for replication timed out"};
    let fail = place.fail(doc! {"times": 3}, doc! {"failCommands": ["insert", "update"], "writeConcernError": concern});
    let inserted = collection.insert_one(doc! {"a": 1}).run().unwrap_err();
    let many = collection.insert_many([doc! {"a": 2}]).run().unwrap_err();
    let upserted = collection.update_one(doc! {"a": 3}, doc! {"$set": {"b": 1}}).upsert(true).run().unwrap_err();
    drop(fail);
    for (error, a) in [(inserted, 1), (upserted, 3)] {
        assert!(matches!(error.kind(), ErrorKind::Write(WriteFailure::WriteConcernError(_))), "{error:?}");
        let id = error.document_id().and_then(|id| id.as_object_id()).unwrap();
        assert_eq!(collection.find_one(doc! {"_id": id}).run().unwrap().unwrap().get_i32("a").unwrap(), a);
    }
    let ErrorKind::InsertMany(failed) = many.kind() else { panic!("{many:?}") };
    assert!(collection.find_one(doc! {"_id": &failed.inserted_ids()[&0]}).run().unwrap().is_some());
    // Neither a refusal nor a broken connection loses it.
    let fail = place.fail(doc! {"times": 1}, doc! {"failCommands": ["insert"], "closeConnection": true});
    let broken = collection.insert_one(doc! {}).run().unwrap_err();
    drop(fail);
    assert!(broken.is_network_error() && broken.document_id().is_some(), "{broken:?}");
    let twice = collection.insert_one(doc! {"_id": 1}).run().and_then(|_| collection.insert_one(doc! {"_id": 1}).run());
    let twice = twice.unwrap_err();
    assert_eq!((write_error(&twice).code, twice.document_id().and_then(|id| id.as_i32())), (DUPLICATE_KEY, Some(1)));
}

#[test]
fn a_negative_limit_is_one_batch_of_that_many() {
    let Some(place) = place("explained_limit") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..700)).run().unwrap();
    place.sent();
    assert_eq!(collection.find(doc! {}).limit(-500).run().unwrap().count(), 500);
    assert_eq!(place.sent_names(), ["find"]);
    assert_eq!(collection.find(doc! {}).limit(-5000).run().unwrap().count(), 700);
    assert_eq!(collection.find(doc! {}).limit(-500).batch_size(0).run().unwrap().count(), 500);
    assert_eq!(collection.find(doc! {}).limit(-500).batch_size(200).run().unwrap().count(), 200);
    assert_eq!(collection.find(doc! {}).limit(-1).run().unwrap().count(), 1);
    assert_eq!(collection.find(doc! {}).limit(500).run().unwrap().count(), 500);
}

#[test]
fn hints_for_what_a_server_refuses() {
    let Some(place) = place("explained_hints") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..3)).run().unwrap();
    let near = doc! {"$near": {"$geometry": {"type": "Point", "coordinates": [0, 0]}}};
    for (filter, words) in [
        (doc! {"$where": "true"}, "$expr"),
        (doc! {"at": near.clone()}, "$geoWithin"),
        (doc! {"$and": [{"at": {"$nearSphere": [0, 0]}}]}, "$centerSphere"),
    ] {
        let error = collection.count_documents(filter).run().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Command(_)), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains(words)), "{error}");
    }
    let mut cursor = collection.find(doc! {}).batch_size(1).run().unwrap();
    cursor.next().unwrap().unwrap();
    let fail = place.fail(doc! {"times": 1}, doc! {"failCommands": ["getMore"], "errorCode": 43});
    let error = cursor.next().unwrap().unwrap_err();
    drop(fail);
    assert!(error.hint().is_some_and(|hint| hint.contains("ten minutes")), "{error}");
    assert_eq!(error.namespace(), Some("explained_hints.c"));
}

/// What the program hands in and gets back is shown without the secrets in it.
#[test]
fn debug_shows_no_password() {
    let Some(place) = place("explained_debug") else { return };
    let command = doc! {"createUser": "ann", "pwd": "hunter2", "roles": [], "customData": {"token": "hunter2"}};
    let action = place.database.run_command(command.clone());
    let shown = format!("{action:?}");
    assert!(shown.contains("createUser") && shown.contains("pwd") && !shown.contains("hunter2"), "{shown}");
    let cursor = format!("{:?}", place.database.run_cursor_command(command));
    assert!(cursor.contains("createUser") && !cursor.contains("hunter2"), "{cursor}");
    action.run().unwrap();
    let again = doc! {"createUser": "ann", "pwd": "hunter2", "roles": []};
    let refused = place.database.run_command(again).run().unwrap_err();
    assert!(!format!("{refused:?} {refused}").contains("hunter2"), "{refused:?}");
    place.database.run_command(doc! {"dropUser": "ann"}).run().unwrap();
}

/// Events are shown as people read them, and one of a command with credentials shows nothing of it.
#[test]
fn debug_of_events_is_readable() {
    let Some(mongod) = mongo_blocking_test_server::peers::Mongod::shared("6.0") else { return };
    let shown: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::default();
    let log = shown.clone();
    let handler = mongo_blocking::event::EventHandler::new(move |event: &mongo_blocking::event::CommandEvent| {
        log.lock().unwrap().push(format!("{event:?}"));
    });
    let options = mongo_blocking::options::ClientOptions::builder().uri(mongod.uri()).command_event_handler(handler);
    let client = mongo_blocking::Client::with_options(options.build().settings().unwrap()).unwrap();
    let database = client.database("explained_events");
    database.run_command(doc! {"find": "c", "filter": {"a": 1}}).run().unwrap();
    database.run_command(doc! {"updateUser": "nobody", "pwd": "hunter2"}).run().unwrap_err();
    let shown = shown.lock().unwrap().join("\n");
    assert!(
        shown.contains("command: { find: \"c\", filter: { a: 1 }") && shown.contains("reply: { cursor: {"),
        "{shown}"
    );
    assert!(!shown.contains("RawDocumentBuf") && !shown.contains("hunter2"), "{shown}");
}
