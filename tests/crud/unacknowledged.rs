//! Writes with w: 0: nothing comes back, and the connection stays in step.

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::options::{IndexModel, WriteConcern};
use mongo_blocking::{Collection, CollectionOptions, WriteModel};

use super::{Place, all, eventually, numbered, place_with};

/// A collection whose writes are not acknowledged, on a client with one connection, and the same collection as usual.
fn silent(name: &str) -> Option<(Place, Collection<Document>, Collection<Document>)> {
    let place = place_with(name, "maxPoolSize=1")?;
    let options = CollectionOptions::default().write_concern(WriteConcern::unacknowledged());
    let silent = place.database.collection_with_options("c", options);
    let usual = place.collection("c");
    Some((place, silent, usual))
}

#[test]
fn every_write_works_and_answers_nothing() {
    let Some((place, silent, usual)) = silent("w0_writes") else { return };
    let inserted = silent.insert_one(doc! {"_id": 0}).run().unwrap();
    assert_eq!(inserted.inserted_id, Bson::Int32(0));
    let sent = place.sent_one();
    assert_eq!(sent.get_document("writeConcern").unwrap(), &doc! {"w": 0});
    assert_eq!(silent.insert_many(numbered(1..6)).run().unwrap().inserted_ids.len(), 5);
    // The server works on a connection's messages one after the other, so the next read sees them all.
    assert_eq!(usual.count_documents(doc! {}).run().unwrap(), 6);

    let updated = silent.update_many(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
    assert_eq!((updated.matched_count, updated.modified_count, updated.upserted_id), (0, 0, None));
    silent.replace_one(doc! {"_id": 5}, doc! {"b": 1}).run().unwrap();
    assert_eq!(silent.delete_one(doc! {"_id": 0}).run().unwrap().deleted_count, 0);
    assert_eq!(silent.find_one_and_update(doc! {"_id": 1}, doc! {"$set": {"a": 2}}).run().unwrap(), None);
    assert_eq!(silent.find_one_and_replace(doc! {"_id": 2}, doc! {"c": 1}).run().unwrap(), None);
    assert_eq!(silent.find_one_and_delete(doc! {"_id": 3}).run().unwrap(), None);
    let expected = [doc! {"_id": 1, "a": 2}, doc! {"_id": 2, "c": 1}, doc! {"_id": 4, "a": 1}, doc! {"_id": 5, "b": 1}];
    assert_eq!(all(&usual), expected);

    let done = silent
        .bulk_write([
            WriteModel::insert_one(doc! {"_id": 9}),
            WriteModel::update_one(doc! {"_id": 9}, doc! {"$set": {"z": 1}}),
            WriteModel::delete_many(doc! {"_id": {"$lt": 9}}),
        ])
        .run()
        .unwrap();
    assert_eq!((done.inserted_count, done.modified_count, done.deleted_count), (0, 0, 0));
    assert_eq!(all(&usual), [doc! {"_id": 9, "z": 1}]);
}

#[test]
fn errors_are_not_noticed_and_disturb_nothing() {
    let Some((place, silent, usual)) = silent("w0_errors") else { return };
    silent.insert_many(numbered([0, 0, 1])).run().unwrap();
    assert_eq!(usual.count_documents(doc! {}).run().unwrap(), 1);
    silent.insert_many(numbered([0, 0, 1])).ordered(false).run().unwrap();
    assert_eq!(usual.count_documents(doc! {}).run().unwrap(), 2);
    silent.update_one(doc! {}, doc! {"$nonsense": 1}).run().unwrap();
    place.client.ping().unwrap();
}

#[test]
fn many_batches_go_out() {
    let Some((place, silent, usual)) = silent("w0_batches") else { return };
    silent.insert_many(numbered(0..100_001)).run().unwrap();
    assert_eq!(place.sent_names(), ["insert", "insert"]);
    eventually("all of them", || usual.estimated_document_count().run().unwrap() == 100_001);
}

/// Commands that make and drop are answered all the same, so that their errors are seen.
#[test]
fn what_makes_and_drops_is_answered() {
    let Some((place, silent, usual)) = silent("w0_admin") else { return };
    let names = silent.create_index(IndexModel::new(doc! {"a": 1})).run();
    assert!(names.is_ok(), "{names:?}");
    assert!(silent.drop_index("none").run().is_err());
    silent.insert_one(doc! {"_id": 0}).run().unwrap();
    assert_eq!(silent.aggregate([doc! {"$out": "o"}]).run().unwrap().count(), 0);
    assert_eq!(all(&place.collection("o")), numbered([0]));
    silent.drop().run().unwrap();
    assert_eq!(all(&usual), []);
}

#[test]
fn hints_are_sent_to_a_server_that_knows_them() {
    let Some((_place, silent, usual)) = silent("w0_hint") else { return };
    silent.insert_one(doc! {"_id": 0}).run().unwrap();
    silent.update_one(doc! {}, doc! {"$set": {"a": 1}}).hint("_id_").run().unwrap();
    assert_eq!(all(&usual), [doc! {"_id": 0, "a": 1}]);
    silent.delete_one(doc! {}).hint("none").run().unwrap();
    assert_eq!(all(&usual).len(), 1);
    silent.delete_one(doc! {}).hint("_id_").run().unwrap();
    assert_eq!(all(&usual), []);
}
