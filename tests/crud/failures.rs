//! What goes wrong on the server or on the way: kinds, codes, labels, and what was done all the same.

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, WriteFailure};
use mongo_blocking::options::IndexModel;
use mongo_blocking::{Error, Result, WriteModel};

use super::{Place, all, ids, numbered, place, place_with};

fn concern_failure(commands: &[&str]) -> Document {
    doc! {
        "failCommands": commands.to_vec(), "errorLabels": ["SomeLabel"],
        "writeConcernError": {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "Replication is being shut down", "errInfo": {"x": 1}},
    }
}

fn is_concern_error<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.expect_err("a write concern error");
    let ErrorKind::Write(WriteFailure::WriteConcernError(failed)) = error.kind() else { panic!("{error:?}") };
    assert_eq!((failed.code, failed.code_name.as_str()), (91, "ShutdownInProgress"));
    assert_eq!(failed.message, "Replication is being shut down");
    assert_eq!(failed.details.as_ref().unwrap().get_i32("x").unwrap(), 1);
    assert!(failed.response.is_some());
    assert!(error.contains_label("SomeLabel"), "{error:?}");
    assert_eq!(error.code(), Some(91));
}

#[test]
fn write_concern_errors_of_every_command() {
    let Some(place) = place("failures_concern") else { return };
    let collection = place.collection("c");
    let commands =
        ["insert", "update", "delete", "findAndModify", "aggregate", "create", "createIndexes", "dropIndexes", "drop"];
    let fail = place.fail(doc! {"times": 11}, concern_failure(&commands));
    is_concern_error(collection.insert_one(doc! {"_id": 0}).run());
    is_concern_error(collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run());
    is_concern_error(collection.replace_one(doc! {}, doc! {"b": 1}).run());
    is_concern_error(collection.delete_one(doc! {"_id": 7}).run());
    is_concern_error(collection.find_one_and_update(doc! {}, doc! {"$set": {"a": 1}}).run());
    is_concern_error(collection.find_one_and_delete(doc! {"_id": 7}).run());
    is_concern_error(collection.aggregate([doc! {"$out": "o"}]).run());
    is_concern_error(place.database.create_collection("d").run());
    is_concern_error(collection.create_index(IndexModel::new(doc! {"a": 1})).run());
    is_concern_error(collection.drop_index("a_1").run());
    is_concern_error(collection.clone().drop().run());
    drop(fail);
    // All of it has happened.
    assert_eq!(place.database.list_collections().run().unwrap().count(), 2);
}

#[test]
fn write_concern_errors_of_many_writes_keep_the_result() {
    let Some(place) = place("failures_many") else { return };
    let collection = place.collection("c");
    let fail = place.fail(doc! {"times": 3}, concern_failure(&["insert", "update"]));
    let error = collection.insert_many(numbered(0..3)).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(failed.inserted_ids().len(), 3);
    assert_eq!(failed.write_concern_error.as_ref().unwrap().code, 91);
    assert!(error.contains_label("SomeLabel"), "{error:?}");
    let models =
        [WriteModel::insert_one(doc! {"_id": 3}), WriteModel::update_one(doc! {"_id": 3}, doc! {"$set": {"a": 1}})];
    let error = collection.bulk_write(models).run().unwrap_err();
    drop(fail);
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    // A write concern error stops nothing, not even ordered writes.
    assert_eq!(failed.write_concern_errors.len(), 2);
    assert_eq!((failed.partial_result.inserted_count, failed.partial_result.modified_count), (1, 1));
    assert_eq!(all(&collection).len(), 4);
}

#[test]
fn a_refused_command_has_code_name_labels_and_reply() {
    let Some(place) = place("failures_command") else { return };
    let data = doc! {"failCommands": ["insert", "find"], "errorCode": 13, "errorLabels": ["Mine"]};
    let fail = place.fail(doc! {"times": 2}, data);
    let of_insert = place.collection("c").insert_one(doc! {}).run().unwrap_err();
    let of_find = place.collection("c").find(doc! {}).run().unwrap_err();
    drop(fail);
    for error in [of_insert, of_find] {
        assert!(matches!(error.kind(), ErrorKind::Command(refused) if refused.code == 13), "{error:?}");
        assert_eq!(error.code_name(), Some("Unauthorized"));
        assert!(error.contains_label("Mine"));
        assert_eq!(error.server_response().unwrap().get_i32("code").unwrap(), 13);
        assert!(error.address().is_some());
    }
}

/// The first batch is in, the second breaks off: both are told.
#[test]
fn the_network_fails_between_two_batches() {
    let Some(place) = place("failures_network") else { return };
    let collection = place.collection("c");
    let fail = place.fail(doc! {"skip": 1}, doc! {"failCommands": ["insert"], "closeConnection": true});
    let error = collection.insert_many(numbered(0..100_010)).run().unwrap_err();
    drop(fail);
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(failed.inserted_ids().len(), 100_000);
    assert!(failed.write_errors().is_empty() && failed.write_concern_error.is_none());
    let cause = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert!(cause.is_network_error(), "{cause:?}");
    assert_eq!(collection.count_documents(doc! {}).run().unwrap(), 100_000);
}

#[test]
fn a_command_that_fails_as_a_whole_ends_even_unordered_writes() {
    let Some(place) = place("failures_whole") else { return };
    let collection = place.collection("c");
    let fail = place.fail(doc! {"times": 1}, doc! {"failCommands": ["update"], "errorCode": 8});
    let models = [
        WriteModel::insert_one(doc! {"_id": 0}),
        WriteModel::update_one(doc! {"_id": 0}, doc! {"$set": {"a": 1}}),
        WriteModel::delete_one(doc! {"_id": 0}),
    ];
    let error = collection.bulk_write(models).ordered(false).run().unwrap_err();
    drop(fail);
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!((failed.partial_result.inserted_count, failed.partial_result.deleted_count), (1, 0));
    assert_eq!(ids(&all(&collection)), [0]);
}

/// Nothing was done, so the failure stands alone.
#[test]
fn the_network_fails_at_once() {
    let Some(place) = place_with("failures_at_once", "retryReads=false&retryWrites=false") else { return };
    let network = |place: &Place, attempts: usize, result: Result<()>| {
        let error = result.unwrap_err();
        assert!(error.is_network_error(), "{error:?}");
        assert_eq!(place.sent().len(), attempts);
    };
    let data = doc! {"failCommands": ["insert", "update", "find"], "closeConnection": true};
    let fail = place.fail(doc! {"times": 5}, data);
    let collection = place.collection("c");
    network(&place, 1, collection.insert_one(doc! {}).run().map(drop));
    network(&place, 1, collection.insert_many(numbered(0..2)).run().map(drop));
    network(&place, 1, collection.bulk_write([WriteModel::insert_one(doc! {})]).run().map(drop));
    // Nor is a read sent twice, since retryReads is false.
    network(&place, 1, collection.find(doc! {}).run().map(drop));
    drop(fail);
    // The client goes on with a new connection.
    assert_eq!(all(&collection), []);
}
