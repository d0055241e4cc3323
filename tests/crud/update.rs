//! `update_one`, `update_many`, `replace_one`, `delete_one`, `delete_many`.

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::options::{Collation, CollationStrength, Hint, UpdateModifications, UpdateOptions};

use super::{DUPLICATE_KEY, FAILED_VALIDATION, all, ids, is_argument_error, numbered, place, write_error};

fn case_blind() -> Collation {
    let mut collation = Collation::new("en");
    collation.strength = Some(CollationStrength::Secondary);
    collation
}

#[test]
fn one_and_many() {
    let Some(place) = place("update_basic") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered(0..4)).run().unwrap();
    let one = collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
    assert_eq!((one.matched_count, one.modified_count, one.upserted_id), (1, 1, None));
    let many = collection.update_many(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
    assert_eq!((many.matched_count, many.modified_count), (4, 3));
    let none = collection.update_one(doc! {"_id": 9}, doc! {"$set": {"a": 1}}).run().unwrap();
    assert_eq!((none.matched_count, none.modified_count), (0, 0));
    let replaced = collection.replace_one(doc! {"_id": 3}, doc! {"b": 1}).run().unwrap();
    assert_eq!((replaced.matched_count, replaced.modified_count), (1, 1));
    assert_eq!(all(&collection)[3], doc! {"_id": 3, "b": 1});
    assert_eq!(collection.delete_one(doc! {}).run().unwrap().deleted_count, 1);
    assert_eq!(collection.delete_many(doc! {}).run().unwrap().deleted_count, 3);
    assert_eq!(collection.delete_many(doc! {}).run().unwrap().deleted_count, 0);
}

#[test]
fn upserts_tell_the_id() {
    let Some(place) = place("update_upsert") else { return };
    let collection = place.collection("c");
    let done = collection.update_one(doc! {"_id": 1}, doc! {"$set": {"a": 1}}).upsert(true).run().unwrap();
    assert_eq!((done.matched_count, done.modified_count, done.upserted_id), (0, 0, Some(Bson::Int32(1))));
    let done = collection.update_many(doc! {"a": 2}, doc! {"$set": {"b": 1}}).upsert(true).run().unwrap();
    assert!(matches!(done.upserted_id, Some(Bson::ObjectId(_))));
    let done = collection.replace_one(doc! {"_id": 3}, doc! {"c": 1}).upsert(true).run().unwrap();
    assert_eq!((done.matched_count, done.upserted_id), (0, Some(Bson::Int32(3))));
    let done = collection.replace_one(doc! {"_id": 3}, doc! {"c": 2}).upsert(true).run().unwrap();
    assert_eq!((done.matched_count, done.modified_count, done.upserted_id), (1, 1, None));
}

#[test]
fn pipelines_array_filters_and_variables() {
    let Some(place) = place("update_forms") else { return };
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0, "n": 3, "list": [1, 5, 9]}).run().unwrap();
    collection.update_one(doc! {}, vec![doc! {"$set": {"double": {"$add": ["$n", "$n"]}}}]).run().unwrap();
    collection
        .update_one(doc! {}, doc! {"$set": {"list.$[big]": 0}})
        .array_filters(vec![doc! {"big": {"$gt": 4}}])
        .run()
        .unwrap();
    collection
        .update_many(doc! {"$expr": {"$eq": ["$n", "$$three"]}}, vec![doc! {"$set": {"three": "$$three"}}])
        .let_vars(doc! {"three": 3})
        .run()
        .unwrap();
    let expected = doc! {"_id": 0, "n": 3, "list": [1, 0, 0], "double": 6, "three": 3};
    assert_eq!(all(&collection), [expected]);
    collection.replace_one(doc! {"$expr": {"$eq": ["$n", "$$x"]}}, doc! {}).let_vars(doc! {"x": 3}).run().unwrap();
    assert_eq!(all(&collection), [doc! {"_id": 0}]);
    let deleted = collection.delete_one(doc! {"$expr": {"$eq": ["$_id", "$$x"]}}).let_vars(doc! {"x": 0}).run();
    assert_eq!(deleted.unwrap().deleted_count, 1);
}

#[test]
fn collation_and_hint() {
    let Some(place) = place("update_collation") else { return };
    let collection = place.collection("c");
    collection.insert_many([doc! {"_id": 0, "s": "A"}, doc! {"_id": 1, "s": "a"}]).run().unwrap();
    let set = || doc! {"$set": {"hit": true}};
    assert_eq!(collection.update_many(doc! {"s": "a"}, set()).run().unwrap().matched_count, 1);
    let blind = collection.update_many(doc! {"s": "a"}, set()).collation(case_blind()).run().unwrap();
    assert_eq!(blind.matched_count, 2);
    let replaced = collection.replace_one(doc! {"s": "a"}, doc! {"s": "b"}).collation(case_blind()).run().unwrap();
    assert_eq!(replaced.matched_count, 1);
    // An index that does not exist shows that the hint arrives.
    let by = || Hint::Name("no_such_index".into());
    assert!(collection.update_one(doc! {"s": "x"}, set()).hint(by()).run().is_err());
    assert!(collection.update_many(doc! {"s": "x"}, set()).hint(by()).run().is_err());
    assert!(collection.replace_one(doc! {"s": "x"}, doc! {}).hint(by()).run().is_err());
    assert!(collection.delete_one(doc! {"s": "x"}).hint(by()).run().is_err());
    assert!(collection.delete_many(doc! {"s": "x"}).hint(by()).run().is_err());
    assert!(collection.update_one(doc! {"s": "x"}, set()).hint(doc! {"_id": 1}).run().is_ok());
    assert!(collection.update_one(doc! {"s": "x"}, set()).hint("_id_").run().is_ok());
    assert_eq!(collection.delete_many(doc! {"s": "B"}).collation(case_blind()).run().unwrap().deleted_count, 1);
}

#[test]
fn what_the_server_would_misread_is_refused() {
    let Some(place) = place("update_refused") else { return };
    let collection = place.collection("c");
    let operator = "must begin with an operator";
    is_argument_error(collection.update_one(doc! {}, doc! {"a": 1}).run(), operator);
    is_argument_error(collection.update_many(doc! {}, doc! {}).run(), operator);
    is_argument_error(collection.find_one_and_update(doc! {}, doc! {"a": 1}).run(), operator);
    is_argument_error(collection.update_one(doc! {}, Vec::<Document>::new()).run(), "at least one stage");
    let none = "must not begin with an operator";
    is_argument_error(collection.replace_one(doc! {}, doc! {"$set": {"a": 1}}).run(), none);
    is_argument_error(collection.find_one_and_replace(doc! {}, doc! {"$set": {"a": 1}}).run(), none);
    let sorted = collection.update_many(doc! {}, doc! {"$set": {"a": 1}}).sort(doc! {"a": 1}).run();
    is_argument_error(sorted, "sort is for update_one");
    assert!(place.sent().is_empty());
}

#[test]
fn refusals_are_write_errors() {
    let Some(place) = place("update_errors") else { return };
    let validator = doc! {"n": {"$lt": 10}};
    place.database.create_collection("c").validator(validator).run().unwrap();
    let collection = place.collection("c");
    collection.insert_many([doc! {"_id": 0, "n": 1}, doc! {"_id": 1, "n": 1}]).run().unwrap();
    let error = collection.update_one(doc! {}, doc! {"$set": {"n": 11}}).run().unwrap_err();
    assert_eq!((write_error(&error).code, error.code()), (FAILED_VALIDATION, Some(FAILED_VALIDATION)));
    let done = collection.update_one(doc! {"_id": 0}, doc! {"$set": {"n": 11}}).bypass_document_validation(true).run();
    assert_eq!(done.unwrap().modified_count, 1);
    let done = collection.replace_one(doc! {"_id": 0}, doc! {"n": 12}).bypass_document_validation(true).run();
    assert_eq!(done.unwrap().modified_count, 1);
    let error = collection.update_one(doc! {"_id": 1, "n": 5}, doc! {"$inc": {"n": 1}}).upsert(true).run().unwrap_err();
    assert_eq!(write_error(&error).code, DUPLICATE_KEY);
}

#[test]
fn options_made_elsewhere_are_taken() {
    let Some(place) = place("update_options") else { return };
    let collection = place.collection("c");
    let options = UpdateOptions::default().upsert(true).comment("why");
    let update: UpdateModifications = doc! {"$set": {"a": 1}}.into();
    collection.update_one(doc! {"_id": 0}, update).with_options(options).run().unwrap();
    let sent = place.sent_one();
    assert_eq!(sent.get_str("comment").unwrap(), "why");
    assert_eq!(ids(&all(&collection)), [0]);
}
