//! Indexes: make, list, drop.

use std::time::Duration;

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::options::{Collation, IndexModel, IndexOptions, Sphere2DIndexVersion};

use super::{DUPLICATE_KEY, is_argument_error, place};

#[test]
fn make_list_drop() {
    let Some(place) = place("indexes_basic") else { return };
    let collection = place.collection("c");
    // What does not exist has no indexes.
    assert_eq!(collection.list_indexes().run().unwrap().count(), 0);
    let made = collection.create_index(IndexModel::new(doc! {"a": 1, "b.c": -1})).run().unwrap();
    assert_eq!(made.index_name, "a_1_b.c_-1");
    let named = IndexModel::new(doc! {"t": "text"}).options(IndexOptions::default().name("words"));
    let made = collection.create_indexes([IndexModel::new(doc! {"p": "2dsphere"}), named]).run().unwrap();
    assert_eq!(made.index_names, ["p_2dsphere", "words"]);
    let mut names = collection.list_index_names().run().unwrap();
    names.sort();
    assert_eq!(names, ["_id_", "a_1_b.c_-1", "p_2dsphere", "words"]);
    collection.drop_index("words").run().unwrap();
    collection.drop_index_by_keys(doc! {"a": 1, "b.c": -1}).run().unwrap();
    assert_eq!(collection.list_index_names().run().unwrap().len(), 2);
    collection.drop_indexes().run().unwrap();
    assert_eq!(collection.list_index_names().run().unwrap(), ["_id_"]);
    assert_eq!(collection.drop_index("words").run().unwrap_err().code_name(), Some("IndexNotFound"));
    assert_eq!(place.collection("none").drop_indexes().run().unwrap_err().code_name(), Some("NamespaceNotFound"));
}

#[test]
fn what_cannot_be_right_is_refused() {
    let Some(place) = place("indexes_refused") else { return };
    let collection = place.collection("c");
    is_argument_error(collection.create_indexes([]).run(), "no indexes");
    is_argument_error(collection.drop_index("*").run(), "would drop all");
    assert!(place.sent().is_empty());
}

#[test]
fn options_of_indexes() {
    let Some(place) = place("indexes_options") else { return };
    let collection = place.collection("c");
    let mut collation = Collation::new("fr");
    collation.backwards = Some(true);
    let options = IndexOptions::default()
        .name("n")
        .unique(true)
        .sparse(false)
        .expire_after(Duration::from_secs(90))
        .partial_filter_expression(doc! {"a": {"$gt": 1}})
        .collation(collation)
        .hidden(true)
        .version(2)
        .storage_engine(doc! {"wiredTiger": {}});
    collection.create_index(IndexModel::new(doc! {"a": 1}).options(options)).run().unwrap();
    let text = IndexOptions::default()
        .name("t")
        .weights(doc! {"x": 3})
        .default_language("french")
        .language_override("lang")
        .text_index_version(3);
    let sphere = IndexOptions::default().name("s").sphere_2d_index_version(3);
    let flat = IndexOptions::default().name("f").bits(20).min(-10.0).max(10.0);
    let wild = IndexOptions::default().name("w").wildcard_projection(doc! {"secret": 0});
    collection
        .create_indexes([
            IndexModel::new(doc! {"x": "text"}).options(text),
            IndexModel::new(doc! {"p": "2dsphere"}).options(sphere),
            IndexModel::new(doc! {"q": "2d"}).options(flat),
            IndexModel::new(doc! {"$**": 1}).options(wild),
        ])
        .run()
        .unwrap();
    let all: Vec<Document> =
        collection.list_indexes().batch_size(2).run().unwrap().with_type().map(Result::unwrap).collect();
    let named = |name: &str| all.iter().find(|index| index.get_str("name").unwrap() == name).unwrap();
    let n = named("n");
    assert_eq!(n.get_document("key").unwrap(), &doc! {"a": 1});
    assert!(n.get_bool("unique").unwrap() && n.get_bool("hidden").unwrap());
    assert_eq!(n.get("expireAfterSeconds").and_then(number), Some(90));
    assert_eq!(n.get_document("partialFilterExpression").unwrap(), &doc! {"a": {"$gt": 1}});
    assert_eq!(n.get_document("collation").unwrap().get_str("locale").unwrap(), "fr");
    assert_eq!(named("t").get_str("default_language").unwrap(), "french");
    assert_eq!(named("t").get_str("language_override").unwrap(), "lang");
    assert_eq!(named("t").get_document("weights").unwrap(), &doc! {"x": 3});
    assert_eq!(named("s").get("2dsphereIndexVersion").and_then(number), Some(3));
    assert_eq!((named("f").get("bits").and_then(number), named("f").get_f64("min").unwrap()), (Some(20), -10.0));
    assert_eq!(named("w").get_document("wildcardProjection").unwrap(), &doc! {"secret": 0});
    let typed: Vec<IndexModel> = collection.list_indexes().run().unwrap().map(Result::unwrap).collect();
    let of = |name: &str| {
        let index = typed.iter().find(|index| index.options.as_ref().unwrap().name.as_deref() == Some(name));
        index.unwrap().options.clone().unwrap()
    };
    assert_eq!((of("n").unique, of("n").expire_after), (Some(true), Some(Duration::from_secs(90))));
    assert_eq!(of("n").collation.map(|collation| collation.locale), Some("fr".to_owned()));
    assert_eq!(of("s").sphere_2d_index_version, Some(Sphere2DIndexVersion::V3));
    assert_eq!((of("f").bits, of("f").min), (Some(20), Some(-10.0)));
}

fn number(value: &Bson) -> Option<i64> {
    value.as_i64().or(value.as_i32().map(i64::from))
}

#[test]
fn options_of_the_commands() {
    let Some(place) = place("indexes_commands") else { return };
    let collection = place.collection("c");
    let second = Duration::from_secs(1);
    collection.create_index(IndexModel::new(doc! {"a": 1})).comment("one").max_time(second).run().unwrap();
    let sent = place.sent_one();
    assert_eq!((sent.get_str("comment").unwrap(), sent.get_i64("maxTimeMS").unwrap()), ("one", 1000));
    assert_eq!(sent.get_array("indexes").unwrap(), &[Bson::Document(doc! {"key": {"a": 1}, "name": "a_1"})]);
    collection.list_indexes().comment("two").batch_size(1).max_time(second).run().unwrap().for_each(drop);
    let sent = place.sent();
    assert_eq!(sent[0].get_str("comment").unwrap(), "two");
    assert_eq!(sent[1].get_str("comment").unwrap(), "two");
    collection.drop_index("a_1").comment("three").max_time(second).run().unwrap();
    let sent = place.sent_one();
    assert_eq!((sent.get_str("index").unwrap(), sent.get_str("comment").unwrap()), ("a_1", "three"));
    // A standalone has no members that could agree.
    let quorum = collection.create_index(IndexModel::new(doc! {"q": 1})).commit_quorum("majority").run().unwrap_err();
    assert!(quorum.to_string().contains("commitQuorum"), "{quorum}");
    assert_eq!(place.sent_one().get_str("commitQuorum").unwrap(), "majority");
}

#[test]
fn a_unique_index_is_unique() {
    let Some(place) = place("indexes_unique") else { return };
    let collection = place.collection("c");
    collection.insert_many([doc! {"a": 1}, doc! {"a": 1}]).run().unwrap();
    let unique = || IndexModel::new(doc! {"a": 1}).options(IndexOptions::default().unique(true));
    assert_eq!(collection.create_index(unique()).run().unwrap_err().code(), Some(DUPLICATE_KEY));
    collection.delete_one(doc! {}).run().unwrap();
    collection.create_index(unique()).run().unwrap();
    assert_eq!(collection.insert_one(doc! {"a": 1}).run().unwrap_err().code(), Some(DUPLICATE_KEY));
}
