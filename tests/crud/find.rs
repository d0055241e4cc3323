//! `find` and `find_one`, option by option.

use std::time::Duration;

use mongo_blocking::Collection;
use mongo_blocking::bson::{Document, RawDocumentBuf, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{Collation, CollationStrength, CursorType, FindOptions, ReadConcern, ReadPreference};
use serde::Deserialize;

use super::{Place, ids, is_argument_error, place};

/// Ten documents, 0 to 9.
fn ten(name: &str) -> Option<(Place, Collection<Document>)> {
    let place = place(name)?;
    let collection = place.collection("c");
    collection.insert_many((0..10).map(|n| doc! {"_id": n, "half": n / 2})).run().unwrap();
    place.sent();
    Some((place, collection))
}

fn found(cursor: mongo_blocking::Result<mongo_blocking::Cursor<Document>>) -> Vec<Document> {
    cursor.unwrap().map(Result::unwrap).collect()
}

#[test]
fn filter_sort_skip_limit_projection() {
    let Some((place, collection)) = ten("find_basic") else { return };
    let some = collection.find(doc! {"_id": {"$gt": 2}}).sort(doc! {"_id": -1}).skip(1).limit(3).run();
    assert_eq!(ids(&found(some)), [8, 7, 6]);
    let projected = collection.find(doc! {"_id": 4}).projection(doc! {"_id": 0, "half": 1}).run();
    assert_eq!(found(projected), [doc! {"half": 2}]);
    assert_eq!(found(collection.find(doc! {"_id": 77}).run()), [] as [Document; 0]);
    assert_eq!(found(collection.find(doc! {}).limit(0).run()).len(), 10);
    assert_eq!(found(place.collection("never_made").find(doc! {}).run()), [] as [Document; 0]);
}

#[test]
fn documents_of_another_type() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Half {
        half: i32,
    }
    let Some((_place, collection)) = ten("find_with_type") else { return };
    let halves = collection.find(doc! {"_id": {"$gt": 7}}).with_type::<Half>().projection(doc! {"half": 1}).run();
    assert_eq!(halves.unwrap().map(Result::unwrap).collect::<Vec<_>>(), [Half { half: 4 }, Half { half: 4 }]);
    let one = collection.find_one(doc! {"_id": 2}).with_type::<Half>().run().unwrap();
    assert_eq!(one, Some(Half { half: 1 }));
}

#[test]
fn batches() {
    let Some((place, collection)) = ten("find_batches") else { return };
    let cursor = collection.find(doc! {}).sort(doc! {"_id": 1}).batch_size(4).run();
    assert_eq!(ids(&found(cursor)), (0..10).collect::<Vec<_>>());
    let sent = place.sent();
    let names: Vec<_> = sent.iter().map(|command| command.keys().next().unwrap().as_str()).collect();
    assert_eq!(names, ["find", "getMore", "getMore"]);
    assert!(sent.iter().all(|command| command.get_i64("batchSize").unwrap() == 4), "{sent:?}");
    // A limit that a batch can hold closes the cursor with it.
    assert_eq!(found(collection.find(doc! {}).limit(4).batch_size(4).run()).len(), 4);
    assert_eq!(place.sent_names(), ["find"]);
    // Limit and batches together.
    assert_eq!(found(collection.find(doc! {}).limit(7).batch_size(3).run()).len(), 7);
    assert_eq!(place.sent_names(), ["find", "getMore", "getMore"]);
    // An empty first batch.
    assert_eq!(found(collection.find(doc! {}).batch_size(0).run()).len(), 10);
    assert_eq!(place.sent_names(), ["find", "getMore"]);
}

#[test]
fn a_negative_limit_is_one_batch() {
    let Some((place, collection)) = ten("find_negative") else { return };
    assert_eq!(found(collection.find(doc! {}).limit(-3).run()).len(), 3);
    let sent = place.sent_one();
    assert_eq!((sent.get_i64("limit").unwrap(), sent.get_bool("singleBatch").unwrap()), (3, true));
    assert_eq!(found(collection.find(doc! {}).limit(-5).batch_size(2).run()).len(), 2);
    assert_eq!(place.sent_names(), ["find"]);
    let extreme = collection.find(doc! {}).limit(i64::MIN).run();
    assert_eq!(found(extreme).len(), 10);
}

#[test]
fn index_options() {
    let Some((_place, collection)) = ten("find_index") else { return };
    let between = collection.find(doc! {}).hint(doc! {"_id": 1}).min(doc! {"_id": 3}).max(doc! {"_id": 6}).run();
    assert_eq!(ids(&found(between)), [3, 4, 5]);
    let keys = collection.find(doc! {"_id": {"$lt": 2}}).hint("_id_").return_key(true).run();
    assert_eq!(found(keys), [doc! {"_id": 0}, doc! {"_id": 1}]);
    let numbered = collection.find(doc! {"_id": 0}).show_record_id(true).run();
    assert!(found(numbered)[0].contains_key("$recordId"));
    assert!(collection.find(doc! {}).hint("none").run().is_err());
    let one = collection.find_one(doc! {}).hint("_id_").min(doc! {"_id": 7}).max(doc! {"_id": 9}).show_record_id(true);
    let one = one.run().unwrap().unwrap();
    assert_eq!(one.get_i32("_id").unwrap(), 7);
    assert!(one.contains_key("$recordId"));
    let one = collection.find_one(doc! {"_id": 5}).hint("_id_").return_key(true).run().unwrap();
    assert_eq!(one, Some(doc! {"_id": 5}));
}

#[test]
fn collation_and_variables() {
    let Some(place) = place("find_collation") else { return };
    let collection = place.collection("c");
    collection
        .insert_many([doc! {"_id": 0, "s": "Ä"}, doc! {"_id": 1, "s": "a"}, doc! {"_id": 2, "s": "10"}])
        .run()
        .unwrap();
    collection.insert_one(doc! {"_id": 3, "s": "9"}).run().unwrap();
    let mut base = Collation::new("en");
    base.strength = Some(CollationStrength::Primary);
    let alike = collection.find(doc! {"s": "A"}).collation(base.clone()).sort(doc! {"_id": 1}).run();
    assert_eq!(ids(&found(alike)), [0, 1]);
    let last = collection.find_one(doc! {"s": "A"}).collation(base).sort(doc! {"_id": -1}).run().unwrap();
    assert_eq!(last.unwrap().get_i32("_id").unwrap(), 1);
    let mut numeric = Collation::new("en");
    numeric.numeric_ordering = Some(true);
    let sorted = collection.find(doc! {"_id": {"$gte": 2}}).sort(doc! {"s": 1}).collation(numeric).run();
    assert_eq!(ids(&found(sorted)), [3, 2]);
    let by_variable = doc! {"$expr": {"$eq": ["$_id", "$$wanted"]}};
    let one = collection.find(by_variable.clone()).let_vars(doc! {"wanted": 2}).run();
    assert_eq!(ids(&found(one)), [2]);
    let one = collection.find_one(by_variable).let_vars(doc! {"wanted": 3}).run().unwrap();
    assert_eq!(one.unwrap().get_i32("_id").unwrap(), 3);
}

/// All that is sent, by its name on the wire.
#[test]
fn options_have_their_names_on_the_wire() {
    let Some((place, collection)) = ten("find_names") else { return };
    let secondary = ReadPreference::secondary_preferred(None);
    let cursor = collection
        .find(doc! {"_id": 1})
        .allow_disk_use(true)
        .allow_partial_results(true)
        .no_cursor_timeout(true)
        .comment(doc! {"why": 1})
        .max_time(Duration::from_millis(2500))
        .read_concern(ReadConcern::local())
        .read_preference(secondary)
        .run();
    drop(found(cursor));
    let expected = doc! {
        "find": "c", "filter": {"_id": 1}, "comment": {"why": 1}, "maxTimeMS": 2500_i64, "noCursorTimeout": true,
        "allowPartialResults": true, "allowDiskUse": true, "readConcern": {"level": "local"}, "$db": "find_names",
    };
    // A standalone is told nothing of read preferences.
    assert_eq!(place.sent_one(), expected);
    collection
        .find_one(doc! {"_id": 1})
        .allow_disk_use(false)
        .allow_partial_results(false)
        .comment("why")
        .max_time(Duration::from_secs(1))
        .read_concern(ReadConcern::available())
        .skip(0)
        .projection(doc! {"_id": 1})
        .run()
        .unwrap();
    let expected = doc! {
        "find": "c", "filter": {"_id": 1}, "projection": {"_id": 1}, "skip": 0_i64, "limit": 1_i64, "singleBatch": true,
        "comment": "why", "maxTimeMS": 1000_i64, "allowPartialResults": false, "allowDiskUse": false,
        "readConcern": {"level": "available"}, "$db": "find_names",
    };
    assert_eq!(place.sent_one(), expected);
    collection.find(doc! {}).run().unwrap();
    assert_eq!(place.sent_one(), doc! {"find": "c", "filter": {}, "$db": "find_names"});
}

/// Zero would mean no limit at all.
#[test]
fn a_limit_below_a_millisecond_is_one_millisecond() {
    let Some((place, collection)) = ten("find_tiny_limit") else { return };
    drop(collection.find(doc! {}).max_time(Duration::from_micros(1)).run());
    assert_eq!(place.sent_one().get_i64("maxTimeMS").unwrap(), 1);
    drop(collection.find(doc! {}).max_time(Duration::ZERO).run());
    assert_eq!(place.sent_one().get_i64("maxTimeMS").unwrap(), 0);
}

#[test]
fn the_server_keeps_to_max_time() {
    let Some((_place, collection)) = ten("find_max_time") else { return };
    let slow = doc! {"$where": "sleep(50) || true"};
    let error = collection.find(slow).max_time(Duration::from_millis(20)).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Command(_)), "{error:?}");
    assert_eq!((error.code(), error.code_name()), (Some(50), Some("MaxTimeMSExpired")));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let Some((place, collection)) = ten("find_refused") else { return };
    let second = Duration::from_secs(1);
    is_argument_error(collection.find(doc! {}).max_await_time(second).run(), "TailableAwait only");
    let tailable = collection.find(doc! {}).cursor_type(CursorType::Tailable).max_await_time(second).run();
    is_argument_error(tailable, "TailableAwait only");
    assert!(place.sent().is_empty());
    let error = collection.find(doc! {"$nonsense": 1}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Command(refused) if refused.code == 2), "{error:?}");
    assert!(error.server_response().is_some());
}

#[derive(Debug, Deserialize, PartialEq)]
struct Number {
    #[serde(rename = "_id")]
    id: i32,
    half: i32,
}

#[test]
fn documents_become_what_is_asked_for() {
    let Some((place, collection)) = ten("find_types") else { return };
    let numbers = collection.clone_with_type::<Number>();
    let all: Vec<Number> =
        numbers.find(doc! {"_id": {"$lt": 2}}).sort(doc! {"_id": 1}).run().unwrap().map(Result::unwrap).collect();
    assert_eq!(all, [Number { id: 0, half: 0 }, Number { id: 1, half: 0 }]);
    let raw = collection.clone_with_type::<RawDocumentBuf>().find_one(doc! {"_id": 3}).run().unwrap().unwrap();
    assert_eq!(raw.get_i32("half").unwrap(), 1);
    // One that does not fit is an error, and the cursor goes on with the next.
    collection.insert_many([doc! {"_id": 10, "half": "five"}, doc! {"_id": 11, "half": 5}]).run().unwrap();
    let mut cursor = numbers.find(doc! {"_id": {"$gte": 9}}).sort(doc! {"_id": 1}).run().unwrap();
    assert_eq!(cursor.next().unwrap().unwrap().id, 9);
    let error = cursor.next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
    assert_eq!(cursor.next().unwrap().unwrap().id, 11);
    assert!(cursor.next().is_none());
    let error = numbers.find_one(doc! {"_id": 10}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
    drop(place);
}

#[test]
fn options_made_elsewhere_are_taken() {
    let Some((_place, collection)) = ten("find_options") else { return };
    let options = FindOptions::default().sort(doc! {"_id": -1}).limit(2);
    assert_eq!(ids(&found(collection.find(doc! {}).with_options(options).run())), [9, 8]);
    assert_eq!(found(collection.find(doc! {}).limit(1).with_options(None).run()).len(), 1);
}
