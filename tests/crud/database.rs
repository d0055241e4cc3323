//! Databases: commands, collections and views, lists, names.

use std::time::Duration;

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{
    ChangeStreamPreAndPostImages, ClusteredIndex, Collation, IndexOptionDefaults, TimeseriesGranularity,
    TimeseriesOptions, ValidationAction, ValidationLevel,
};
use mongo_blocking::results::CollectionType;

use super::{all, is_argument_error, numbered, place, place_with};

#[test]
fn commands_in_the_callers_words() {
    let Some(place) = place("database_command") else { return };
    let reply = place.database.run_command(doc! {"ping": 1}).run().unwrap();
    assert_eq!(reply.get_f64("ok").unwrap(), 1.0);
    let raw = place.database.run_command(doc! {"ping": 1}).run_raw().unwrap();
    assert_eq!(raw.get_f64("ok").unwrap(), 1.0);
    let error = place.database.run_command(doc! {"nonsense": 1}).run().unwrap_err();
    assert_eq!(error.code_name(), Some("CommandNotFound"));
    is_argument_error(place.database.run_command(doc! {}).run(), "the command is empty");
    place.client.ping().unwrap();
}

#[test]
fn collections_with_options() {
    let Some(place) = place("database_create") else { return };
    let database = &place.database;
    database.create_collection("capped").capped(true).size(4096).max(10).run().unwrap();
    database
        .create_collection("strict")
        .validator(doc! {"a": {"$exists": true}})
        .validation_level(ValidationLevel::Moderate)
        .validation_action(ValidationAction::Warn)
        .collation(Collation::new("de"))
        .storage_engine(doc! {"wiredTiger": {}})
        .index_option_defaults(IndexOptionDefaults::builder().storage_engine(doc! {"wiredTiger": {}}).build())
        .comment("why")
        .run()
        .unwrap();
    let minutes = TimeseriesOptions::builder()
        .time_field("at")
        .meta_field("m".to_owned())
        .granularity(TimeseriesGranularity::Minutes)
        .build();
    database
        .create_collection("times")
        .timeseries(minutes)
        .expire_after_seconds(Duration::from_secs(3600))
        .run()
        .unwrap();
    database.create_collection("clustered").clustered_index(ClusteredIndex::default()).run().unwrap();
    let clustered = place.collection("clustered").list_indexes().run().unwrap().next().unwrap().unwrap();
    assert_eq!(clustered.options.unwrap().clustered(), Some(true));
    database
        .create_collection("images")
        .change_stream_pre_and_post_images(ChangeStreamPreAndPostImages::builder().enabled(true).build())
        .run()
        .unwrap();
    database.create_collection("view").view_on("strict").pipeline(vec![doc! {"$match": {"a": 1}}]).run().unwrap();
    let sent = place.sent();
    assert_eq!(sent[1].get_str("comment").unwrap(), "why");

    let options_of = |name: &str| {
        let mut found = database.list_collections().filter(doc! {"name": name}).run().unwrap().with_type::<Document>();
        found.next().unwrap().unwrap().get_document("options").unwrap().clone()
    };
    assert_eq!(options_of("capped"), doc! {"capped": true, "size": 4096, "max": 10});
    let strict = options_of("strict");
    assert_eq!(strict.get_document("validator").unwrap(), &doc! {"a": {"$exists": true}});
    assert_eq!(strict.get_str("validationLevel").unwrap(), "moderate");
    assert_eq!(strict.get_str("validationAction").unwrap(), "warn");
    assert_eq!(strict.get_document("collation").unwrap().get_str("locale").unwrap(), "de");
    let times = options_of("times");
    assert_eq!(times.get_document("timeseries").unwrap().get_str("granularity").unwrap(), "minutes");
    assert_eq!(times.get("expireAfterSeconds"), Some(&Bson::Int64(3600)));
    assert!(options_of("clustered").contains_key("clusteredIndex"));
    assert!(options_of("images").contains_key("changeStreamPreAndPostImages"));
    assert_eq!(options_of("view").get_str("viewOn").unwrap(), "strict");
    let mut typed: Vec<_> = database.list_collections().run().unwrap().map(Result::unwrap).collect();
    typed.retain(|collection| !collection.name.starts_with("system."));
    typed.sort_by(|a, b| a.name.cmp(&b.name));
    let kinds: Vec<_> = typed.iter().map(|collection| (collection.name.as_str(), collection.collection_type)).collect();
    let plain = CollectionType::Collection;
    let expected = [
        ("capped", plain),
        ("clustered", plain),
        ("images", plain),
        ("strict", plain),
        ("times", CollectionType::Timeseries),
        ("view", CollectionType::View),
    ];
    assert_eq!(kinds, expected);
    assert_eq!((typed[0].options.capped, typed[0].options.max), (Some(true), Some(10)));
    assert_eq!(typed[3].options.validation_action, Some(ValidationAction::Warn));
    assert!(typed[5].info.read_only && typed[3].info.uuid.is_some());
    place.collection("strict").insert_many([doc! {"_id": 0, "a": 1}, doc! {"_id": 1, "a": 2}]).run().unwrap();
    assert_eq!(all(&place.collection("view")), [doc! {"_id": 0, "a": 1}]);

    let error = database.create_collection("capped").run().unwrap_err();
    assert_eq!(error.code_name(), Some("NamespaceExists"));
    is_argument_error(database.create_collection("").run(), "collection's name");
    is_argument_error(database.create_collection("a\0").run(), "collection's name");
}

#[test]
fn listing_collections() {
    let Some(place) = place("database_list") else { return };
    let database = &place.database;
    for name in ["a", "b", "c"] {
        database.create_collection(name).run().unwrap();
    }
    place.sent();
    let mut names = database.list_collection_names().run().unwrap();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(place.sent_one().get_bool("nameOnly").unwrap());
    let cursor = database.list_collections().batch_size(2).authorized_collections(true).comment("why").run().unwrap();
    assert_eq!(cursor.count(), 3);
    let sent = place.sent();
    assert_eq!(sent.len(), 2);
    assert!(!sent[0].contains_key("nameOnly"));
    assert_eq!(
        (sent[0].get_str("comment").unwrap(), sent[0].get_bool("authorizedCollections").unwrap()),
        ("why", true)
    );
    assert_eq!(database.list_collection_names().filter(doc! {"name": "b"}).run().unwrap(), ["b"]);
    assert!(place.sent_one().get_bool("nameOnly").unwrap());
    // A filter on more than the name is not for the list of names only.
    assert_eq!(database.list_collection_names().filter(doc! {"options.capped": true}).run().unwrap(), [""; 0]);
    assert!(!place.sent_one().contains_key("nameOnly"));
}

#[test]
fn listing_databases() {
    let Some(place) = place("database_of_client") else { return };
    place.collection("c").insert_one(doc! {}).run().unwrap();
    place.sent();
    assert!(place.client.list_database_names().run().unwrap().iter().any(|name| name == "database_of_client"));
    assert!(place.sent_one().get_bool("nameOnly").unwrap());
    let filter = doc! {"name": "database_of_client"};
    let found = place.client.list_databases().filter(filter).authorized_databases(true).comment("why").run().unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].name == "database_of_client" && found[0].size_on_disk > 0 && !found[0].empty, "{found:?}");
    let sent = place.sent_one();
    assert_eq!((sent.get_str("$db").unwrap(), sent.get_str("comment").unwrap()), ("admin", "why"));
}

#[test]
fn dropping() {
    let Some(place) = place("database_drop") else { return };
    place.collection("c").insert_many(numbered(0..2)).run().unwrap();
    place.collection("never_made").drop().run().unwrap();
    place.collection("c").drop().comment("why").run().unwrap();
    assert_eq!(place.sent().last().unwrap().get_str("comment").unwrap(), "why");
    assert_eq!(place.database.list_collections().run().unwrap().count(), 0);
    place.database.drop().comment("all").run().unwrap();
    assert_eq!(place.sent().last().unwrap().get_str("comment").unwrap(), "all");
    place.database.drop().run().unwrap();
}

#[test]
fn names_that_cannot_be_are_refused() {
    let Some(place) = place("database_names") else { return };
    for name in ["", "a.b", "a$b", "a b", "a/b", "a\\b", "a\"b", "a\0b"] {
        let database = place.client.database(name);
        is_argument_error(database.run_command(doc! {"ping": 1}).run(), "cannot be the name of a database");
        is_argument_error(database.collection::<Document>("c").find(doc! {}).run(), "cannot be the name");
        is_argument_error(database.collection::<Document>("c").insert_one(doc! {}).run(), "cannot be the name");
        is_argument_error(database.aggregate([]).run(), "cannot be the name");
        is_argument_error(database.drop().run(), "cannot be the name");
        is_argument_error(database.list_collections().run(), "cannot be the name");
    }
    for name in ["", "a\0b"] {
        is_argument_error(place.collection(name).find(doc! {}).run(), "collection's name");
        is_argument_error(place.collection(name).insert_one(doc! {}).run(), "collection's name");
        is_argument_error(place.collection(name).drop().run(), "collection's name");
    }
    assert!(place.sent().is_empty());
}

#[test]
fn the_database_of_the_connection_string() {
    let Some(place) = place_with("database_default", "") else { return };
    assert!(place.client.default_database().is_none());
    let client = mongo_blocking::Client::with_uri_str("mongodb://localhost/zoo").unwrap();
    assert_eq!(client.default_database().unwrap().name(), "zoo");
}

#[test]
fn a_closed_client_says_so() {
    let Some(place) = place("database_closed") else { return };
    place.client.clone().close();
    let error = place.collection("c").find(doc! {}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error:?}");
    let error = place.collection("c").insert_one(doc! {}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error:?}");
}
