//! `aggregate`, `count_documents`, `estimated_document_count`, `distinct`.

use std::time::Duration;

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{Collation, CollationStrength, ReadConcern, WriteConcern};
use serde::Deserialize;

use super::{all, is_argument_error, numbered, place};

fn case_blind() -> Collation {
    let mut collation = Collation::new("en");
    collation.strength = Some(CollationStrength::Secondary);
    collation
}

#[derive(Debug, Deserialize, PartialEq)]
struct Group {
    #[serde(rename = "_id")]
    key: i32,
    n: i64,
}

#[test]
fn a_pipeline_runs_and_its_results_have_the_type_that_is_asked_for() {
    let Some(place) = place("read_aggregate") else { return };
    let collection = place.collection("c");
    collection.insert_many((0..9_i32).map(|n| doc! {"_id": n, "k": n % 2})).run().unwrap();
    let pipeline = [doc! {"$group": {"_id": "$k", "n": {"$sum": 1_i64}}}, doc! {"$sort": {"_id": 1}}];
    let groups: Vec<Group> =
        collection.aggregate(pipeline).with_type::<Group>().run().unwrap().map(Result::unwrap).collect();
    assert_eq!(groups, [Group { key: 0, n: 5 }, Group { key: 1, n: 4 }]);
    let all = collection.aggregate([]).batch_size(2).run().unwrap();
    place.sent();
    assert_eq!(all.count(), 9);
    assert_eq!(place.sent_names(), ["getMore"; 4]);
    let error = collection.aggregate([doc! {"$nonsense": 1}]).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Command(_)), "{error:?}");
}

#[test]
fn options_of_a_pipeline() {
    let Some(place) = place("read_aggregate_options") else { return };
    let collection = place.collection("c");
    collection.insert_many([doc! {"_id": 0, "s": "A"}, doc! {"_id": 1, "s": "a"}]).run().unwrap();
    place.sent();
    let cursor = collection
        .aggregate([doc! {"$match": {"s": "a", "$expr": {"$lt": ["$_id", "$$two"]}}}])
        .allow_disk_use(true)
        .collation(case_blind())
        .comment("why")
        .hint("_id_")
        .let_vars(doc! {"two": 2})
        .max_time(Duration::from_secs(3))
        .read_concern(ReadConcern::local())
        .write_concern(WriteConcern::majority())
        .run();
    assert_eq!(cursor.unwrap().count(), 2);
    let expected = doc! {
        "aggregate": "c", "pipeline": [{"$match": {"s": "a", "$expr": {"$lt": ["$_id", "$$two"]}}}], "cursor": {},
        "allowDiskUse": true, "collation": {"locale": "en", "strength": 2}, "comment": "why", "hint": "_id_",
        "let": {"two": 2}, "maxTimeMS": 3000_i64, "readConcern": {"level": "local"}, "$db": "read_aggregate_options",
    };
    // A pipeline that only reads has no write concern.
    assert_eq!(place.sent_one(), expected);
}

#[test]
fn pipelines_that_write() {
    let Some(place) = place("read_out") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..3)).run().unwrap();
    place.sent();
    let majority = WriteConcern::majority();
    let out = collection.aggregate([doc! {"$out": "copy"}]).batch_size(0).write_concern(majority.clone()).run();
    assert_eq!(out.unwrap().count(), 0);
    let sent = place.sent_one();
    assert_eq!(sent.get_document("cursor").unwrap(), &doc! {});
    assert_eq!(sent.get_document("writeConcern").unwrap(), &doc! {"w": "majority"});
    assert_eq!(all(&place.collection("copy")).len(), 3);
    place.database.create_collection("strict").validator(doc! {"x": 1}).run().unwrap();
    let merge = || collection.aggregate([doc! {"$merge": {"into": "strict"}}]);
    assert!(merge().run().is_err());
    assert_eq!(merge().bypass_document_validation(true).run().unwrap().count(), 0);
    assert_eq!(all(&place.collection("strict")).len(), 3);
}

#[test]
fn a_pipeline_needs_a_collection_with_a_name() {
    let Some(place) = place("read_no_name") else { return };
    is_argument_error(place.collection("").aggregate([]).run(), "collection's name");
    is_argument_error(place.collection("").count_documents(doc! {}).run(), "collection's name");
    is_argument_error(place.collection("a\0b").aggregate([]).run(), "collection's name");
    assert!(place.sent().is_empty());
}

#[test]
fn pipelines_of_a_database() {
    let Some(place) = place("read_database") else { return };
    let made = place.database.aggregate([doc! {"$documents": [{"a": 1}, {"a": 2}]}]).batch_size(1).run().unwrap();
    assert_eq!(made.map(Result::unwrap).collect::<Vec<Document>>(), [doc! {"a": 1}, doc! {"a": 2}]);
    assert_eq!(place.sent()[0].get("aggregate"), Some(&Bson::Int32(1)));
}

#[test]
fn counting() {
    let Some(place) = place("read_count") else { return };
    let collection = place.collection("c");
    assert_eq!(collection.count_documents(doc! {}).run().unwrap(), 0);
    assert_eq!(collection.estimated_document_count().run().unwrap(), 0);
    collection.insert_many((0..10).map(|n| doc! {"_id": n, "s": if n < 4 { "a" } else { "A" }})).run().unwrap();
    assert_eq!(collection.count_documents(doc! {}).run().unwrap(), 10);
    assert_eq!(collection.count_documents(doc! {"s": "a"}).run().unwrap(), 4);
    assert_eq!(collection.count_documents(doc! {"s": "a"}).collation(case_blind()).run().unwrap(), 10);
    assert_eq!(collection.count_documents(doc! {}).skip(3).limit(5).run().unwrap(), 5);
    assert_eq!(collection.count_documents(doc! {}).skip(8).limit(5).run().unwrap(), 2);
    assert_eq!(collection.count_documents(doc! {}).skip(20).run().unwrap(), 0);
    place.sent();
    let counted =
        collection.count_documents(doc! {}).hint("_id_").comment("why").max_time(Duration::from_secs(1)).skip(1).run();
    assert_eq!(counted.unwrap(), 9);
    let expected = doc! {
        "aggregate": "c", "pipeline": [{"$match": {}}, {"$skip": 1_i64}, {"$group": {"_id": 1, "n": {"$sum": 1}}}],
        "cursor": {}, "comment": "why", "hint": "_id_", "maxTimeMS": 1000_i64, "$db": "read_count",
    };
    assert_eq!(place.sent_one(), expected);
    assert!(collection.count_documents(doc! {}).hint("none").run().is_err());
    place.sent();
    let estimated = collection.estimated_document_count().comment("why").max_time(Duration::from_secs(1));
    assert_eq!(estimated.read_concern(ReadConcern::local()).run().unwrap(), 10);
    let expected = doc! {
        "count": "c", "maxTimeMS": 1000_i64, "comment": "why", "readConcern": {"level": "local"}, "$db": "read_count",
    };
    assert_eq!(place.sent_one(), expected);
}

#[test]
fn the_values_of_a_field() {
    let Some(place) = place("read_distinct") else { return };
    let collection = place.collection("c");
    collection
        .insert_many([doc! {"v": 1}, doc! {"v": "a"}, doc! {"v": "A"}, doc! {"v": [1, null]}, doc! {}])
        .run()
        .unwrap();
    let values = collection.distinct("v", doc! {}).run().unwrap();
    assert_eq!(values, [Bson::Null, Bson::Int32(1), Bson::from("A"), Bson::from("a")]);
    let texts = collection.distinct("v", doc! {"v": {"$type": "string"}}).collation(case_blind()).run().unwrap();
    assert_eq!(texts.len(), 1);
    assert_eq!(collection.distinct("none", doc! {}).run().unwrap(), []);
    place.sent();
    collection
        .distinct("v", doc! {"a": 1})
        .comment("why")
        .max_time(Duration::from_secs(1))
        .read_concern(ReadConcern::local())
        .run()
        .unwrap();
    let expected = doc! {
        "distinct": "c", "key": "v", "query": {"a": 1}, "comment": "why", "maxTimeMS": 1000_i64,
        "readConcern": {"level": "local"}, "$db": "read_distinct",
    };
    assert_eq!(place.sent_one(), expected);
}
