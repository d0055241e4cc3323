//! Read and write concerns and the read preference: what a client, a database, a collection and an action say.

use std::time::Duration;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::options::{IndexModel, ReadConcern, ReadPreference, ReadPreferenceMode, WriteConcern};
use mongo_blocking::{CollectionOptions, DatabaseOptions};

use super::{is_argument_error, place, place_with};

fn level(sent: &Document) -> Option<&str> {
    sent.get_document("readConcern").ok()?.get_str("level").ok()
}

fn journal(sent: &Document) -> Option<bool> {
    sent.get_document("writeConcern").ok()?.get_bool("j").ok()
}

#[test]
fn nothing_is_sent_unless_asked_for() {
    let Some(place) = place("concerns_none") else { return };
    let collection = place.collection("c");
    collection.insert_one(doc! {}).run().unwrap();
    collection.find_one(doc! {}).run().unwrap();
    collection.insert_one(doc! {}).write_concern(WriteConcern::default()).run().unwrap();
    for sent in place.sent() {
        assert!(!sent.contains_key("writeConcern") && !sent.contains_key("readConcern"), "{sent}");
        assert!(!sent.contains_key("$readPreference"), "{sent}");
    }
}

/// The nearer word counts: action, collection, database, client.
#[test]
fn the_nearer_word_counts() {
    let Some(place) = place_with("concerns_chain", "readConcernLevel=local&journal=true") else { return };
    let of_client = place.client.database("concerns_chain").collection::<Document>("c");
    of_client.insert_one(doc! {}).run().unwrap();
    assert_eq!(journal(&place.sent_one()), Some(true));
    of_client.find_one(doc! {}).run().unwrap();
    assert_eq!(level(&place.sent_one()), Some("local"));

    let words = DatabaseOptions::default()
        .read_concern(ReadConcern::available())
        .write_concern(WriteConcern::nodes(1).with_journal(false));
    let database = place.client.database_with_options("concerns_chain", words);
    let of_database = database.collection::<Document>("c");
    of_database.insert_one(doc! {}).run().unwrap();
    assert_eq!(journal(&place.sent_one()), Some(false));
    of_database.find_one(doc! {}).run().unwrap();
    assert_eq!(level(&place.sent_one()), Some("available"));

    let words = CollectionOptions::default()
        .read_concern(ReadConcern::majority())
        .write_concern(WriteConcern::nodes(1).with_journal(true));
    let of_collection = database.collection_with_options::<Document>("c", words);
    of_collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
    assert_eq!(journal(&place.sent_one()), Some(true));
    of_collection.count_documents(doc! {}).run().unwrap();
    assert_eq!(level(&place.sent_one()), Some("majority"));

    of_collection.delete_one(doc! {}).write_concern(WriteConcern::nodes(1).with_journal(false)).run().unwrap();
    assert_eq!(journal(&place.sent_one()), Some(false));
    of_collection.distinct("a", doc! {}).read_concern(ReadConcern::local()).run().unwrap();
    assert_eq!(level(&place.sent_one()), Some("local"));
}

/// Every command that writes carries the collection's or database's word; one that reads, its read concern.
#[test]
fn every_command_inherits() {
    let Some(place) = place("concerns_all") else { return };
    let words = DatabaseOptions::default()
        .read_concern(ReadConcern::local())
        .write_concern(WriteConcern::nodes(1).with_w_timeout(Duration::from_millis(1500)));
    let database = place.client.database_with_options("concerns_all", words);
    let collection = database.collection::<Document>("c");
    database.create_collection("d").run().unwrap();
    collection.insert_one(doc! {"_id": 0}).run().unwrap();
    collection.insert_many([doc! {"_id": 1}]).run().unwrap();
    collection.update_many(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
    collection.replace_one(doc! {}, doc! {}).run().unwrap();
    collection.find_one_and_update(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
    collection.find_one_and_replace(doc! {}, doc! {}).run().unwrap();
    collection.find_one_and_delete(doc! {}).run().unwrap();
    collection.bulk_write([mongo_blocking::WriteModel::delete_one(doc! {"_id": 7})]).run().unwrap();
    collection.delete_many(doc! {"_id": 7}).run().unwrap();
    collection.create_index(IndexModel::new(doc! {"a": 1})).run().unwrap();
    collection.drop_index("a_1").run().unwrap();
    collection.aggregate([doc! {"$out": "o"}]).run().unwrap();
    collection.drop().run().unwrap();
    database.drop().run().unwrap();
    for sent in place.sent() {
        assert_eq!(sent.get_document("writeConcern").unwrap(), &doc! {"w": 1, "wtimeout": 1500}, "{sent}");
        assert_eq!(sent.contains_key("readConcern"), sent.contains_key("aggregate"), "{sent}");
    }
    collection.find(doc! {}).run().unwrap();
    collection.find_one(doc! {}).run().unwrap();
    collection.aggregate([]).run().unwrap();
    collection.count_documents(doc! {}).run().unwrap();
    collection.estimated_document_count().run().unwrap();
    collection.distinct("a", doc! {}).run().unwrap();
    for sent in place.sent() {
        assert_eq!(level(&sent), Some("local"), "{sent}");
        assert!(!sent.contains_key("writeConcern"), "{sent}");
    }
    // A command in the caller's words inherits nothing.
    database.run_command(doc! {"count": "c"}).run().unwrap();
    assert_eq!(place.sent_one(), doc! {"count": "c", "$db": "concerns_all"});
}

/// Client Side Operations Timeout: `timeoutMS` overrides `wTimeoutMS` and `maxTimeMS`, also where it is 0, which is no limit.
#[test]
fn timeout_ms_overrides_the_limits_of_the_server() {
    const OWN: Duration = Duration::from_secs(7000);
    for (name, limit) in [("concerns_limited", 60_000), ("concerns_without_limit", 0)] {
        let Some(place) = place_with(name, &format!("timeoutMS={limit}&wTimeoutMS=1500")) else { return };
        let collection = place.collection("c");
        let journaled = || WriteConcern::nodes(1).with_journal(true).with_w_timeout(Duration::from_millis(1500));
        collection.insert_one(doc! {}).run().unwrap();
        collection.insert_many([doc! {}]).write_concern(journaled()).run().unwrap();
        collection.update_many(doc! {}, doc! {"$set": {"a": 1}}).write_concern(journaled()).run().unwrap();
        collection.delete_one(doc! {"a": 2}).write_concern(journaled()).run().unwrap();
        let replaced = collection.find_one_and_replace(doc! {}, doc! {}).max_time(OWN);
        replaced.write_concern(journaled()).run().unwrap();
        collection.create_index(IndexModel::new(doc! {"a": 1})).max_time(OWN).run().unwrap();
        collection.aggregate([doc! {"$out": "o"}]).write_concern(journaled()).max_time(OWN).run().unwrap();
        collection.drop_index("a_1").max_time(OWN).run().unwrap();
        place.database.create_collection("d").write_concern(journaled()).run().unwrap();
        collection.find(doc! {}).max_time(OWN).run().unwrap();
        collection.count_documents(doc! {}).max_time(OWN).run().unwrap();
        collection.estimated_document_count().max_time(OWN).run().unwrap();
        collection.distinct("a", doc! {}).max_time(OWN).run().unwrap();
        collection.list_indexes().max_time(OWN).run().unwrap();
        for sent in place.sent() {
            if let Ok(concern) = sent.get_document("writeConcern") {
                assert_eq!(concern, &doc! {"w": 1, "j": true}, "{sent}");
            }
            match limit {
                0 => assert!(!sent.contains_key("maxTimeMS"), "{sent}"),
                _ => assert!(sent.get_i64("maxTimeMS").is_ok_and(|left| (1..=limit).contains(&left)), "{sent}"),
            }
        }
        // A command in the caller's words keeps them.
        let command = doc! {"delete": "c", "deletes": [], "maxTimeMS": 9, "writeConcern": {"w": 1, "wtimeout": 8}};
        let _ = place.database.run_command(command).run();
        let sent = place.sent_one();
        assert_eq!(sent.get("maxTimeMS"), Some(&9.into()), "{sent}");
        assert_eq!(sent.get_document("writeConcern").unwrap(), &doc! {"w": 1, "wtimeout": 8}, "{sent}");
    }
}

#[test]
fn a_write_concern_that_contradicts_itself_is_refused() {
    let Some(place) = place("concerns_contradiction") else { return };
    let collection = place.collection("c");
    let words = || WriteConcern::unacknowledged().with_journal(true);
    let refused = "contradicts itself";
    is_argument_error(collection.insert_one(doc! {}).write_concern(words()).run(), refused);
    is_argument_error(collection.insert_many([doc! {}]).write_concern(words()).run(), refused);
    is_argument_error(collection.delete_one(doc! {}).write_concern(words()).run(), refused);
    is_argument_error(collection.find_one_and_delete(doc! {}).write_concern(words()).run(), refused);
    is_argument_error(collection.aggregate([doc! {"$out": "o"}]).write_concern(words()).run(), refused);
    is_argument_error(collection.drop().write_concern(words()).run(), refused);
    let of_collection = CollectionOptions::default().write_concern(words());
    let collection = place.database.collection_with_options::<Document>("c", of_collection);
    is_argument_error(collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run(), refused);
    is_argument_error(collection.create_index(IndexModel::new(doc! {"a": 1})).run(), refused);
    assert!(place.sent().is_empty());
}

#[test]
fn handles_tell_what_they_use() {
    let Some(place) = place_with("concerns_told", "w=1&readPreference=nearest") else { return };
    assert_eq!(place.database.write_concern(), Some(&WriteConcern::nodes(1)));
    assert_eq!(place.database.read_preference().mode(), ReadPreferenceMode::Nearest);
    assert_eq!(place.database.read_concern(), None);
    let words = CollectionOptions::default()
        .read_preference(ReadPreference::default())
        .read_concern(ReadConcern::majority())
        .write_concern(WriteConcern::majority());
    let collection = place.database.collection_with_options::<Document>("c", words);
    assert_eq!(collection.write_concern(), Some(&WriteConcern::majority()));
    assert_eq!(collection.read_concern(), Some(&ReadConcern::majority()));
    assert_eq!(collection.read_preference(), &ReadPreference::default());
    assert_eq!(collection.name(), "c");
    assert_eq!(collection.full_name(), "concerns_told.c");
}
