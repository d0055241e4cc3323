//! `find_one_and_update`, `find_one_and_replace`, `find_one_and_delete`.

use std::time::Duration;

use mongo_blocking::bson::{Bson, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{Collation, CollationStrength, ReturnDocument};

use super::{FAILED_VALIDATION, all, place};

#[test]
fn before_after_and_nothing() {
    let Some(place) = place("fam_basic") else { return };
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0, "n": 1}).run().unwrap();
    let inc = || doc! {"$inc": {"n": 1}};
    assert_eq!(collection.find_one_and_update(doc! {}, inc()).run().unwrap(), Some(doc! {"_id": 0, "n": 1}));
    let after = collection.find_one_and_update(doc! {}, inc()).return_document(ReturnDocument::After).run().unwrap();
    assert_eq!(after, Some(doc! {"_id": 0, "n": 3}));
    assert_eq!(collection.find_one_and_update(doc! {"_id": 9}, inc()).run().unwrap(), None);
    let replaced = collection.find_one_and_replace(doc! {}, doc! {"m": 1}).run().unwrap();
    assert_eq!(replaced, Some(doc! {"_id": 0, "n": 3}));
    assert_eq!(collection.find_one_and_replace(doc! {"_id": 9}, doc! {}).run().unwrap(), None);
    assert_eq!(collection.find_one_and_delete(doc! {}).run().unwrap(), Some(doc! {"_id": 0, "m": 1}));
    assert_eq!(collection.find_one_and_delete(doc! {}).run().unwrap(), None);
}

#[test]
fn upserts() {
    let Some(place) = place("fam_upsert") else { return };
    let collection = place.collection("c");
    let set = || doc! {"$set": {"a": 1}};
    assert_eq!(collection.find_one_and_update(doc! {"_id": 0}, set()).upsert(true).run().unwrap(), None);
    let made = collection
        .find_one_and_replace(doc! {"_id": 1}, doc! {"b": 1})
        .upsert(true)
        .return_document(ReturnDocument::After)
        .run();
    assert_eq!(made.unwrap(), Some(doc! {"_id": 1, "b": 1}));
    assert_eq!(all(&collection), [doc! {"_id": 0, "a": 1}, doc! {"_id": 1, "b": 1}]);
}

#[test]
fn sort_projection_collation_and_array_filters() {
    let Some(place) = place("fam_options") else { return };
    let collection = place.collection("c");
    collection
        .insert_many([doc! {"_id": 0, "s": "a", "l": [1, 9]}, doc! {"_id": 1, "s": "A"}, doc! {"_id": 2, "s": "b"}])
        .run()
        .unwrap();
    let mut blind = Collation::new("en");
    blind.strength = Some(CollationStrength::Secondary);
    let last = collection
        .find_one_and_update(doc! {"s": "a"}, doc! {"$set": {"hit": true}})
        .sort(doc! {"_id": -1})
        .projection(doc! {"_id": 1})
        .collation(blind.clone())
        .run();
    assert_eq!(last.unwrap(), Some(doc! {"_id": 1}));
    let filtered = collection
        .find_one_and_update(doc! {"_id": 0}, doc! {"$set": {"l.$[big]": 0}})
        .array_filters(vec![doc! {"big": {"$gt": 5}}])
        .return_document(ReturnDocument::After)
        .projection(doc! {"l": 1, "_id": 0})
        .run();
    assert_eq!(filtered.unwrap(), Some(doc! {"l": [1, 0]}));
    let piped = collection
        .find_one_and_update(doc! {"_id": 0}, vec![doc! {"$set": {"t": "$$v"}}])
        .let_vars(doc! {"v": "var"})
        .return_document(ReturnDocument::After)
        .run();
    assert_eq!(piped.unwrap().unwrap().get_str("t").unwrap(), "var");
    let replaced = collection.find_one_and_replace(doc! {}, doc! {}).sort(doc! {"_id": -1}).run();
    assert_eq!(replaced.unwrap(), Some(doc! {"_id": 2, "s": "b"}));
    let deleted = collection
        .find_one_and_delete(doc! {"s": "A"})
        .sort(doc! {"_id": 1})
        .collation(blind)
        .projection(doc! {"s": 1});
    assert_eq!(deleted.run().unwrap(), Some(doc! {"_id": 0, "s": "a"}));
}

#[test]
fn hints_and_limits_arrive() {
    let Some(place) = place("fam_hint") else { return };
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0}).run().unwrap();
    let set = || doc! {"$set": {"a": 1}};
    assert!(collection.find_one_and_update(doc! {}, set()).hint("none").run().is_err());
    assert!(collection.find_one_and_replace(doc! {}, doc! {}).hint("none").run().is_err());
    assert!(collection.find_one_and_delete(doc! {}).hint("none").run().is_err());
    place.sent();
    let second = Duration::from_secs(1);
    collection.find_one_and_update(doc! {}, set()).hint("_id_").max_time(second).comment("c").run().unwrap();
    let sent = place.sent_one();
    assert_eq!(sent.get_str("hint").unwrap(), "_id_");
    assert_eq!(sent.get("maxTimeMS"), Some(&Bson::Int64(1000)));
    assert_eq!(sent.get_str("comment").unwrap(), "c");
    collection
        .find_one_and_replace(doc! {}, doc! {})
        .hint(doc! {"_id": 1})
        .max_time(second)
        .comment("d")
        .run()
        .unwrap();
    let sent = place.sent_one();
    assert_eq!((sent.get_str("comment").unwrap(), sent.get_i64("maxTimeMS").unwrap()), ("d", 1000));
    collection.find_one_and_delete(doc! {}).hint("_id_").max_time(second).comment("e").run().unwrap();
    let sent = place.sent_one();
    assert_eq!((sent.get_str("comment").unwrap(), sent.get_bool("remove").unwrap()), ("e", true));
}

#[test]
fn validation() {
    let Some(place) = place("fam_validation") else { return };
    place.database.create_collection("c").validator(doc! {"n": 1}).run().unwrap();
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0, "n": 1}).run().unwrap();
    let error = collection.find_one_and_update(doc! {}, doc! {"$set": {"n": 2}}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Command(_)), "{error:?}");
    assert_eq!(error.code(), Some(FAILED_VALIDATION));
    let bypassed = collection.find_one_and_update(doc! {}, doc! {"$set": {"n": 2}}).bypass_document_validation(true);
    assert_eq!(bypassed.run().unwrap(), Some(doc! {"_id": 0, "n": 1}));
    let bypassed = collection.find_one_and_replace(doc! {}, doc! {"n": 3}).bypass_document_validation(true);
    assert_eq!(bypassed.run().unwrap(), Some(doc! {"_id": 0, "n": 2}));
}
