//! `insert_one` and `insert_many`.

use mongo_blocking::Collection;
use mongo_blocking::bson::oid::ObjectId;
use mongo_blocking::bson::{Bson, Document, RawDocumentBuf, doc};
use mongo_blocking::error::ErrorKind;
use serde::{Deserialize, Serialize};

use super::{DUPLICATE_KEY, FAILED_VALIDATION, all, ids, is_argument_error, numbered, place, places};

const MIB: usize = 1024 * 1024;

#[test]
fn a_document_without_an_id_gets_one_in_front() {
    let Some(place) = place("insert_id") else { return };
    let inserted = place.collection("c").insert_one(doc! {"a": 1}).run().unwrap();
    let Bson::ObjectId(id) = inserted.inserted_id else { panic!("{inserted:?}") };
    let sent = place.sent_one();
    let [Bson::Document(document)] = sent.get_array("documents").unwrap().as_slice() else { panic!("{sent}") };
    assert_eq!(document.keys().collect::<Vec<_>>(), ["_id", "a"]);
    assert_eq!(all(&place.collection("c")), [doc! {"_id": id, "a": 1}]);
}

#[test]
fn an_id_stays_where_and_what_it_is() {
    let Some(place) = place("insert_own_id") else { return };
    let collection = place.collection("c");
    let inserted = collection.insert_one(doc! {"a": 1, "_id": {"x": 2}}).run().unwrap();
    assert_eq!(inserted.inserted_id, Bson::Document(doc! {"x": 2}));
    let many = collection.insert_many([doc! {"_id": "s"}, doc! {"b": 1}]).run().unwrap();
    assert_eq!(many.inserted_ids[&0], Bson::from("s"));
    assert!(matches!(many.inserted_ids[&1], Bson::ObjectId(_)));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bird {
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<ObjectId>,
    name: String,
    grams: f64,
    seen: Vec<u32>,
}

#[test]
fn structs_go_in_and_come_out() {
    let Some(place) = place("insert_struct") else { return };
    let birds: Collection<Bird> = place.database.collection("birds");
    let wren = Bird { id: None, name: "wren".into(), grams: 9.5, seen: vec![1, 2] };
    let inserted = birds.insert_one(&wren).run().unwrap();
    let found = birds.find_one(doc! {"name": "wren"}).run().unwrap().unwrap();
    assert_eq!(Bson::ObjectId(found.id.unwrap()), inserted.inserted_id);
    assert_eq!(Bird { id: None, ..found }, wren);
    // Borrowed and owned, both.
    birds.insert_many(&[wren.clone(), wren.clone()]).run().unwrap();
    birds.insert_many(vec![wren]).run().unwrap();
    assert_eq!(birds.count_documents(doc! {}).run().unwrap(), 4);
}

#[test]
fn raw_documents_go_in_and_come_out() {
    let Some(place) = place("insert_raw") else { return };
    let raw: Collection<RawDocumentBuf> = place.database.collection("c");
    let document = RawDocumentBuf::try_from(&doc! {"_id": 1, "a": [1, {"b": null}]}).unwrap();
    raw.insert_one(&document).run().unwrap();
    assert_eq!(raw.find_one(doc! {}).run().unwrap(), Some(document));
}

#[test]
fn a_value_that_is_no_document_is_refused() {
    let Some(place) = place("insert_no_document") else { return };
    let numbers: Collection<i32> = place.database.collection("c");
    let error = numbers.insert_one(7).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)), "{error:?}");
    assert!(place.sent().is_empty());
}

#[test]
fn nothing_to_insert_is_an_error() {
    let Some(place) = place("insert_nothing") else { return };
    is_argument_error(place.collection("c").insert_many(Vec::<Document>::new()).run(), "no documents");
    assert!(place.sent().is_empty());
}

/// A document of this many bytes.
fn of_size(size: usize) -> Document {
    let beside = RawDocumentBuf::try_from(&doc! {"_id": 1, "t": ""}).unwrap().as_bytes().len();
    doc! {"_id": 1, "t": "x".repeat(size - beside)}
}

#[test]
fn the_largest_document_is_taken_and_a_larger_one_is_not_sent() {
    let Some(place) = place("insert_largest") else { return };
    let collection = place.collection("c");
    collection.insert_one(of_size(16 * MIB)).run().unwrap();
    place.sent();
    let error = collection.insert_one(of_size(16 * MIB + 1)).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("16777217") && text.contains("16777216") && text.contains("maxBsonObjectSize"), "{text}");
    assert!(place.sent().is_empty());
}

#[test]
fn ordered_stops_at_the_first_error() {
    let Some(place) = place("insert_ordered") else { return };
    let error = place.collection("c").insert_many(numbered([0, 1, 0, 2])).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(places(failed.write_errors()), [(2, DUPLICATE_KEY)]);
    let mut inserted: Vec<_> = failed.inserted_ids().keys().copied().collect();
    inserted.sort_unstable();
    assert_eq!(inserted, [0, 1]);
    assert_eq!(ids(&all(&place.collection("c"))), [0, 1]);
    assert!(error.to_string().contains("E11000"), "{error}");
}

#[test]
fn unordered_goes_on() {
    let Some(place) = place("insert_unordered") else { return };
    let error = place.collection("c").insert_many(numbered([0, 0, 1, 1, 2])).ordered(false).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(places(failed.write_errors()), [(1, DUPLICATE_KEY), (3, DUPLICATE_KEY)]);
    assert_eq!(ids(&all(&place.collection("c"))), [0, 1, 2]);
}

#[test]
fn validation_can_be_bypassed_and_its_error_tells_why() {
    let Some(place) = place("insert_validation") else { return };
    let schema = doc! {"$jsonSchema": {"required": ["name"]}};
    place.database.create_collection("c").validator(schema).run().unwrap();
    let collection = place.collection("c");
    let error = collection.insert_one(doc! {"_id": 0}).run().unwrap_err();
    let refused = super::write_error(&error);
    assert_eq!(refused.code, FAILED_VALIDATION);
    assert!(refused.details.as_ref().unwrap().get_document("details").is_ok(), "{refused:?}");
    assert!(error.server_response().is_some());
    collection.insert_one(doc! {"_id": 1}).bypass_document_validation(true).run().unwrap();
    collection.insert_many(numbered([2])).bypass_document_validation(true).run().unwrap();
    assert_eq!(ids(&all(&collection)), [1, 2]);
}

#[test]
fn only_what_was_asked_for_is_sent() {
    let Some(place) = place("insert_sent") else { return };
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0}).run().unwrap();
    let plain = doc! {"insert": "c", "ordered": true, "$db": "insert_sent", "documents": [{"_id": 0}]};
    assert_eq!(place.sent_one(), plain);
    collection.insert_one(doc! {"_id": 1}).comment("why").bypass_document_validation(false).run().unwrap();
    let sent = place.sent_one();
    assert_eq!(sent.get_str("comment").unwrap(), "why");
    assert!(!sent.get_bool("bypassDocumentValidation").unwrap());
    collection.insert_many(numbered([2])).ordered(false).comment(doc! {"a": 1}).run().unwrap();
    let sent = place.sent_one();
    assert!(!sent.get_bool("ordered").unwrap());
    assert_eq!(sent.get_document("comment").unwrap(), &doc! {"a": 1});
}
