//! `bulk_write` on a collection.

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{
    BulkWriteOptions, Collation, CollationStrength, DeleteOptions, Hint, ReplaceOptions, UpdateOptions,
};
use mongo_blocking::{Error, WriteModel};

use super::{DUPLICATE_KEY, all, ids, is_argument_error, numbered, place, places};

type Model = WriteModel<Document>;

fn insert(id: i32) -> Model {
    WriteModel::insert_one(doc! {"_id": id})
}

fn touch(id: i32) -> Model {
    WriteModel::update_one(doc! {"_id": id}, doc! {"$inc": {"n": 1}})
}

fn delete(id: i32) -> Model {
    WriteModel::delete_one(doc! {"_id": id})
}

#[test]
fn all_kinds_are_counted() {
    let Some(place) = place("bulk_kinds") else { return };
    let collection = place.collection("c");
    let done = collection
        .bulk_write([
            insert(0),
            insert(1),
            WriteModel::insert_one(doc! {"no": "id"}),
            touch(0),
            WriteModel::update_many(doc! {"_id": {"$lt": 5}}, vec![doc! {"$set": {"p": 1}}]),
            WriteModel::replace_one(doc! {"_id": 1}, doc! {"r": 1}),
            WriteModel::UpdateOne {
                filter: doc! {"_id": 7},
                update: doc! {"$set": {"u": 1}}.into(),
                options: UpdateOptions::default().upsert(true),
            },
            WriteModel::ReplaceOne {
                filter: doc! {"_id": 8},
                replacement: doc! {},
                options: ReplaceOptions::default().upsert(true),
            },
            delete(0),
            WriteModel::delete_many(doc! {"_id": {"$gte": 7, "$lt": 9}}),
        ])
        .run()
        .unwrap();
    assert_eq!((done.inserted_count, done.matched_count, done.modified_count), (3, 4, 4));
    assert_eq!((done.deleted_count, done.upserted_count), (3, 2));
    assert_eq!(done.inserted_ids.len(), 3);
    assert!(matches!(done.inserted_ids[&2], Bson::ObjectId(_)));
    assert_eq!((&done.upserted_ids[&6], &done.upserted_ids[&7]), (&Bson::Int32(7), &Bson::Int32(8)));
    assert_eq!(place.sent_names(), ["insert", "update", "delete"]);
}

#[test]
fn ordered_writes_keep_their_order_in_few_commands() {
    let Some(place) = place("bulk_ordered") else { return };
    let collection = place.collection("c");
    collection.bulk_write([insert(0), insert(1), touch(0), touch(1), delete(0), insert(0)]).run().unwrap();
    assert_eq!(place.sent_names(), ["insert", "update", "delete", "insert"]);
    assert_eq!(all(&collection), [doc! {"_id": 0}, doc! {"_id": 1, "n": 1}]);
}

#[test]
fn unordered_writes_travel_by_kind_and_keep_their_places() {
    let Some(place) = place("bulk_unordered") else { return };
    let collection = place.collection("c");
    collection.insert_many(numbered([0, 1])).run().unwrap();
    place.sent();
    let models = [touch(0), insert(0), delete(1), insert(2), touch(0), insert(2), insert(3)];
    let error = collection.bulk_write(models).ordered(false).run().unwrap_err();
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(places(&failed.write_errors), [(1, DUPLICATE_KEY), (5, DUPLICATE_KEY)]);
    let done = &failed.partial_result;
    assert_eq!((done.inserted_count, done.modified_count, done.deleted_count), (2, 2, 1));
    let mut inserted: Vec<usize> = done.inserted_ids.keys().copied().collect();
    inserted.sort_unstable();
    assert_eq!(inserted, [3, 6]);
    assert_eq!(place.sent_names(), ["insert", "update", "delete"]);
}

#[test]
fn ordered_stops_at_the_first_error() {
    let Some(place) = place("bulk_stops") else { return };
    let collection = place.collection("c");
    let error = collection.bulk_write([insert(0), touch(0), insert(0), insert(1), delete(0)]).run().unwrap_err();
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(places(&failed.write_errors), [(2, DUPLICATE_KEY)]);
    assert_eq!((failed.partial_result.inserted_count, failed.partial_result.modified_count), (1, 1));
    assert_eq!(place.sent_names(), ["insert", "update", "insert"]);
    assert_eq!(all(&collection), [doc! {"_id": 0, "n": 1}]);
}

#[test]
fn statements_are_split_by_size() {
    let Some(place) = place("bulk_split") else { return };
    let text = "x".repeat(15 * 1024 * 1024);
    let models = (0..4).map(|n| WriteModel::ReplaceOne {
        filter: doc! {"_id": n},
        replacement: doc! {"t": text.as_str()},
        options: ReplaceOptions::default().upsert(true),
    });
    let done = place.collection("c").bulk_write(models).run().unwrap();
    assert_eq!((done.upserted_count, done.matched_count), (4, 0));
    assert_eq!(done.upserted_ids[&3], Bson::Int32(3));
    assert_eq!(place.sent_names(), ["update", "update"]);
}

#[test]
fn each_write_has_its_own_options() {
    let Some(place) = place("bulk_options") else { return };
    let collection = place.collection("c");
    collection.insert_many([doc! {"_id": 0, "s": "A", "l": [1, 9]}, doc! {"_id": 1, "s": "b"}]).run().unwrap();
    let mut blind = Collation::new("en");
    blind.strength = Some(CollationStrength::Primary);
    let done = collection
        .bulk_write([
            WriteModel::UpdateMany {
                filter: doc! {"s": "a"},
                update: doc! {"$set": {"l.$[big]": 0}}.into(),
                options: UpdateOptions::default()
                    .collation(blind.clone())
                    .array_filters(vec![doc! {"big": {"$gt": 5}}])
                    .hint("_id_"),
            },
            WriteModel::ReplaceOne {
                filter: doc! {"s": "B"},
                replacement: doc! {"s": "c"},
                options: ReplaceOptions::default().collation(blind.clone()).hint(doc! {"_id": 1}),
            },
            WriteModel::DeleteMany {
                filter: doc! {"s": "C"},
                options: DeleteOptions::default().collation(blind).hint("_id_"),
            },
        ])
        .run()
        .unwrap();
    assert_eq!((done.matched_count, done.deleted_count), (2, 1));
    assert_eq!(all(&collection), [doc! {"_id": 0, "s": "A", "l": [1, 0]}]);
    let bad = WriteModel::<Document>::DeleteOne {
        filter: doc! {},
        options: DeleteOptions::default().hint(Hint::Name("none".into())),
    };
    assert!(collection.bulk_write([bad]).run().is_err());
}

#[test]
fn options_of_the_whole_are_sent_with_each_command() {
    let Some(place) = place("bulk_whole") else { return };
    let options = BulkWriteOptions::default().comment("why").bypass_document_validation(true).let_vars(doc! {"x": 1});
    let by_variable = WriteModel::delete_many(doc! {"$expr": {"$eq": ["$_id", "$$x"]}});
    let done = place.collection("c").bulk_write([insert(1), by_variable]).with_options(options).run().unwrap();
    assert_eq!(done.deleted_count, 1);
    let [insert, delete] = &place.sent()[..] else { panic!("two commands") };
    assert_eq!((insert.get_str("comment").unwrap(), delete.get_str("comment").unwrap()), ("why", "why"));
    assert!(insert.get_bool("bypassDocumentValidation").unwrap() && !insert.contains_key("let"));
    assert!(!delete.contains_key("bypassDocumentValidation") && delete.contains_key("let"));
}

#[test]
fn what_cannot_be_right_is_refused_before_anything_is_sent() {
    let Some(place) = place("bulk_refused") else { return };
    let collection = place.collection("c");
    is_argument_error(collection.bulk_write(Vec::<Model>::new()).run(), "no writes");
    let bad = WriteModel::update_one(doc! {}, doc! {"a": 1});
    is_argument_error(collection.bulk_write([insert(0), bad]).run(), "must begin with an operator");
    let bad = WriteModel::replace_one(doc! {}, doc! {"$set": {}});
    is_argument_error(collection.bulk_write([insert(0), bad]).run(), "must not begin with an operator");
    let bad = WriteModel::DeleteOne { filter: doc! {}, options: DeleteOptions::default().comment("mine") };
    is_argument_error(collection.bulk_write([bad]).run(), "of the whole bulk write");
    let options = UpdateOptions::default().sort(doc! {"a": 1});
    let bad = WriteModel::UpdateMany { filter: doc! {}, update: doc! {"$set": {"a": 1}}.into(), options };
    is_argument_error(collection.bulk_write([bad]).run(), "sort is for UpdateOne");
    assert!(place.sent().is_empty());
}

/// The first command has happened when the second breaks off, and the error tells of both.
#[test]
fn what_was_done_before_the_network_failed_is_told() {
    let Some(place) = place("bulk_network") else { return };
    let collection = place.collection("c");
    let fail = place.fail(doc! {"times": 1}, doc! {"failCommands": ["update"], "closeConnection": true});
    let error = collection.bulk_write([insert(0), insert(1), touch(0), delete(1)]).run().unwrap_err();
    drop(fail);
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(failed.partial_result.inserted_count, 2);
    assert!(failed.write_errors.is_empty() && failed.write_concern_errors.is_empty());
    let cause = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert!(cause.is_network_error(), "{cause:?}");
    assert_eq!(ids(&all(&collection)), [0, 1]);
}

#[test]
fn options_of_one_write_are_chained() {
    let Some(place) = place("bulk_chained") else { return };
    let collection = place.collection("c");
    let unique = mongo_blocking::IndexModel::new(doc! {"name": 1})
        .options(mongo_blocking::options::IndexOptions::default().unique(true));
    collection.create_index(unique).run().unwrap();
    let named = [(1, "a"), (2, "b"), (3, "a"), (4, "c")];
    let upserts = named.map(|(id, name)| WriteModel::replace_one(doc! {"_id": id}, doc! {"name": name}).upsert(true));
    let error = collection.bulk_write(upserts).ordered(false).run().unwrap_err();
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    let refused: Vec<(usize, i32)> = failed.write_errors.iter().map(|error| (error.index, error.code)).collect();
    assert_eq!((refused, failed.partial_result.upserted_count), (vec![(2, DUPLICATE_KEY)], 3));

    let insensitive = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
    let done = collection
        .bulk_write([
            WriteModel::update_many(doc! {"name": "A"}, [doc! {"$set": {"list": [1, 5]}}])
                .collation(insensitive)
                .hint("_id_"),
            WriteModel::update_one(doc! {"_id": 1}, doc! {"$set": {"list.$[big]": 0}})
                .array_filters(vec![doc! {"big": {"$gt": 2}}]),
        ])
        .run()
        .unwrap();
    assert_eq!((done.matched_count, done.modified_count), (2, 2));
    let changed = collection.find_one(doc! {"_id": 1}).run().unwrap().unwrap();
    assert_eq!(changed, doc! {"_id": 1, "name": "a", "list": [1, 0]});
}

#[test]
fn an_option_that_a_write_does_not_have_is_refused() {
    let Some(place) = place("bulk_refused_options") else { return };
    let collection = place.collection("c");
    for (model, words) in [
        (insert(1).upsert(true), "an insert has no option upsert"),
        (delete(1).sort(doc! {"a": 1}).upsert(true), "a delete has no option sort"),
        (
            WriteModel::replace_one(doc! {}, doc! {}).array_filters(Vec::new()),
            "a replacement has no option array_filters",
        ),
    ] {
        is_argument_error(collection.bulk_write([insert(2), model]).run(), words);
    }
    assert_eq!(collection.count_documents(doc! {}).run().unwrap(), 0);
}
