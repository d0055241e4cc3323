//! Documents that do not fit their type, in either direction: the error names field, document, collection and server.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mongo_blocking::bson::{Bson, Document, RawDocument, RawDocumentBuf, Utf8Lossy, doc, oid::ObjectId};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection, Error, WriteModel};
use mongo_blocking_test_server::wire;
use serde::{Deserialize, Serialize};

use super::{Place, all, place};

#[derive(Debug, Deserialize, Serialize)]
struct Car {
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Part {
    at: i32,
}

/// A collection with one document, read as `T`.
fn holding<T: Send + Sync>(place: &Place, name: &str, document: Document) -> Collection<T> {
    let collection = place.collection(name);
    collection.insert_one(document).run().unwrap();
    collection.clone_with_type()
}

fn is_misfit(error: &Error, path: &str) {
    assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
    assert_eq!(error.stage(), Stage::Decode);
    assert_eq!(error.path(), Some(path).filter(|path| !path.is_empty()), "{error}");
    assert!(error.message().starts_with(path), "{error}");
    assert!(error.address().is_some() && error.namespace().is_some(), "{error:?}");
}

#[test]
fn every_way_to_read_names_field_document_and_collection() {
    let Some(place) = place("decoding_ways") else { return };
    let bad = doc! {"_id": 7, "parts": [{"at": 1}, {"at": "secret"}]};
    let cars: Collection<Car> = holding(&place, "cars", bad.clone());
    let mut cursor = cars.find(doc! {}).run().unwrap();
    assert!(cursor.advance().unwrap());
    let errors = [
        cursor.deserialize_current().map(drop).unwrap_err(),
        cars.find(doc! {}).run().unwrap().next().unwrap().unwrap_err(),
        cars.find_one(doc! {}).run().unwrap_err(),
        cars.aggregate([]).with_type::<Car>().run().unwrap().next().unwrap().unwrap_err(),
        cars.find(doc! {}).run().unwrap().with_type::<Car>().next().unwrap().unwrap_err(),
        cars.find_one_and_update(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap_err(),
        cars.find_one_and_replace(doc! {}, Car { parts: Vec::new() }).run().unwrap_err(),
    ];
    for error in errors {
        is_misfit(&error, "parts[1].at");
        assert_eq!(error.namespace(), Some("decoding_ways.cars"));
        assert_eq!(error.document_id().and_then(|id| id.as_i32()), Some(7), "{error}");
        let text = error.to_string();
        assert!(text.contains("parts[1].at of the document with _id 7"), "{text}");
        assert!(text.contains("decoding_ways.cars") && text.contains("expected i32"), "{text}");
        assert!(!text.contains("secret") && !format!("{error:?}").contains("secret"), "{text}");
        assert!(error.source().is_none());
    }
    place.collection("cars").replace_one(doc! {}, bad).run().unwrap();
    is_misfit(&cars.find_one_and_delete(doc! {}).run().unwrap_err(), "parts[1].at");
}

#[test]
fn the_id_is_shown_only_where_it_is_no_secret() {
    let Some(place) = place("decoding_ids") else { return };
    let oid = ObjectId::new();
    let ids: [(Bson, Option<String>); 5] = [
        (oid.into(), Some(format!("ObjectId(\"{oid}\")"))),
        (Bson::Int64(1 << 40), Some("1099511627776".to_owned())),
        (Bson::Double(0.5), Some("0.5".to_owned())),
        (Bson::String("session-4711".to_owned()), None),
        (Bson::Document(doc! {"mail": "ann@example.com"}), None),
    ];
    for (id, shown) in ids {
        let cars: Collection<Car> = holding(&place, "cars", doc! {"_id": id.clone(), "parts": 1});
        let error = cars.find_one(doc! {"_id": id.clone()}).run().unwrap_err();
        is_misfit(&error, "parts");
        assert_eq!(Bson::try_from(error.document_id().unwrap()).unwrap(), id);
        let text = format!("{error} {error:?}");
        assert!(!text.contains("4711") && !text.contains("ann@example.com"), "{text}");
        match shown {
            Some(shown) => assert!(text.contains(&shown), "{text}"),
            None => assert!(text.contains("parts of a document"), "{text}"),
        }
    }
    // An `_id` that itself does not fit.
    #[derive(Debug, Deserialize)]
    struct Numbered {
        #[serde(rename = "_id")]
        _id: i32,
    }
    let numbered: Collection<Numbered> = holding(&place, "numbered", doc! {"_id": "session-4712"});
    let error = numbered.find_one(doc! {}).run().unwrap_err();
    is_misfit(&error, "_id");
    assert!(!format!("{error:#} {error:?}").contains("4712"), "{error:?}");
}

/// The path of a field of `T` that does not fit the value.
fn path_in<T: for<'a> Deserialize<'a> + std::fmt::Debug + 'static>(
    place: &Place,
    name: &str,
    value: impl Into<Bson>,
) -> String {
    #[derive(Debug, Deserialize)]
    struct With<T> {
        #[serde(rename = "v")]
        _v: T,
    }
    let with: Collection<With<T>> = place.collection(name).clone_with_type();
    place.collection(name).insert_one(doc! {"_id": 1, "v": value.into()}).run().unwrap();
    let error = with.find_one(doc! {}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
    error.path().unwrap_or_default().to_owned()
}

#[test]
fn the_path_leads_through_every_shape() {
    #[derive(Debug, Deserialize)]
    enum Kind {
        #[expect(dead_code, reason = "what is in it does not fit")]
        New(Part),
        #[expect(dead_code, reason = "what is in it does not fit")]
        Whole {
            parts: Vec<Part>,
        },
        #[expect(dead_code, reason = "what is in it does not fit")]
        Pair(i32, i32),
        Unit,
    }
    #[derive(Debug, Deserialize)]
    struct Wrapper(#[expect(dead_code, reason = "what is in it does not fit")] Option<Part>);
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {}

    let Some(place) = place("decoding_shapes") else { return };
    assert!(matches!(Kind::Unit, Kind::Unit));
    assert_eq!(path_in::<BTreeMap<String, Part>>(&place, "a", doc! {"x": {"at": 1}, "y.z": {"at": true}}), "v.y.z.at");
    assert_eq!(path_in::<Option<Vec<Option<Part>>>>(&place, "b", vec![Bson::Null, doc! {"at": 1.5}.into()]), "v[1].at");
    assert_eq!(path_in::<Wrapper>(&place, "c", doc! {"at": "x"}), "v.at");
    assert_eq!(path_in::<Kind>(&place, "d", doc! {"New": {"at": "x"}}), "v.New.at");
    assert_eq!(path_in::<Kind>(&place, "e", doc! {"Whole": {"parts": [{"at": 1}, {}]}}), "v.Whole.parts[1].at");
    assert_eq!(path_in::<Kind>(&place, "f", doc! {"Pair": [1, "x"]}), "v.Pair[1]");
    assert_eq!(path_in::<Kind>(&place, "g", "Unknown"), "v");
    assert_eq!(path_in::<Strict>(&place, "h", doc! {"more": 1}), "v.more");
    assert_eq!(path_in::<ObjectId>(&place, "i", "x"), "v");
    assert_eq!(path_in::<String>(&place, "j", ObjectId::new()), "v");
    assert_eq!(path_in::<(i32, i32)>(&place, "k", vec![1]), "v");
    assert_eq!(path_in::<u8>(&place, "l", 300), "v");
    assert_eq!(path_in::<Part>(&place, "m", doc! {}), "v.at");
    assert_eq!(
        path_in::<Vec<chrono_like::Date>>(
            &place,
            "n",
            vec![Bson::DateTime(mongo_blocking::bson::DateTime::now()), 1.into()]
        ),
        "v[1]"
    );
}

/// A type that reads bson's own dates.
mod chrono_like {
    pub type Date = mongo_blocking::bson::DateTime;
}

/// A value that borrows from the batch, and one whose failure is forgiven before another one counts.
#[test]
fn borrowed_values_and_forgiven_failures() {
    #[derive(Debug, Deserialize)]
    struct Borrowed<'a> {
        #[serde(borrow)]
        _names: Vec<&'a str>,
    }
    fn or_zero<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        Ok(i32::deserialize(deserializer).unwrap_or(0))
    }
    #[derive(Debug, Deserialize)]
    struct Lenient {
        #[serde(deserialize_with = "or_zero")]
        _first: i32,
        _second: i32,
    }
    let Some(place) = place("decoding_borrowed") else { return };
    let borrowed: Collection<Borrowed<'static>> = holding(&place, "c", doc! {"_id": 1, "_names": ["a", 2]});
    let mut cursor = borrowed.find(doc! {}).run().unwrap();
    assert!(cursor.advance().unwrap());
    is_misfit(&cursor.deserialize_current().unwrap_err(), "_names[1]");
    let lenient: Collection<Lenient> = holding(&place, "d", doc! {"_id": 1, "_first": "x", "_second": "y"});
    is_misfit(&lenient.find_one(doc! {}).run().unwrap_err(), "_second");
}

#[test]
fn what_cannot_be_inserted_names_document_and_field() {
    #[derive(Serialize)]
    struct Counted {
        counts: Vec<u64>,
    }
    let Some(place) = place("decoding_insert") else { return };
    let counted: Collection<Counted> = place.collection("c").clone_with_type();
    let many = |good: usize| {
        let good = (0..good).map(|_| Counted { counts: vec![1] });
        good.chain([Counted { counts: vec![1, u64::MAX] }, Counted { counts: vec![1] }]).collect::<Vec<_>>()
    };
    let error = counted.insert_one(&many(0)[0]).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)), "{error:?}");
    assert_eq!((error.path(), error.stage()), (Some("counts[1]"), Stage::Encode));
    let error = counted.insert_many(many(0)).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)), "{error:?}");
    assert_eq!((error.path(), error.document_index()), (Some("counts[1]"), Some(0)));
    assert!(
        error.message().contains("number 0 (from 0): counts[1] of a document")
            && error.message().contains("0 were sent before"),
        "{error}"
    );
    assert_eq!(all(&place.collection("c")).len(), 0);
    let error = counted.insert_many(many(2)).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(failed.inserted_ids().len(), 2);
    assert_eq!((error.path(), error.document_index()), (Some("counts[1]"), Some(2)));
    assert!(
        format!("{error:#}").contains("number 2 (from 0): counts[1]")
            && error.to_string().contains("the rest was not: number 2 (from 0) cannot be sent"),
        "{error}"
    );
    let replaced = counted.replace_one(doc! {}, &many(0)[0]).run().unwrap_err();
    assert_eq!(replaced.path(), Some("counts[1]"), "{replaced}");
    let bulk = counted.bulk_write([WriteModel::insert_one(many(0).remove(0))]).run().unwrap_err();
    assert_eq!((bulk.path(), bulk.document_index()), (Some("counts[1]"), Some(0)), "{bulk}");
}

#[test]
fn a_document_that_is_too_large_is_named() {
    let Some(place) = place("decoding_large") else { return };
    let collection = place.collection("c");
    let large = || doc! {"_id": 9, "s": "x".repeat(17 << 20)};
    for ordered in [true, false] {
        let documents = [doc! {"_id": 1}, doc! {"_id": 2}, large(), doc! {"_id": 4}];
        let error = collection.insert_many(documents).ordered(ordered).run().unwrap_err();
        let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
        assert_eq!((failed.inserted_ids().len(), error.document_index()), (2, Some(2)));
        assert_eq!(error.document_id().and_then(|id| id.as_i32()), Some(9));
        let text = format!("{error:#}");
        assert!(
            text.contains("number 2 (from 0)")
                && text.contains("2 were sent before")
                && text.contains("maxBsonObjectSize"),
            "{text}"
        );
        assert!(text.contains("decoding_large.c"), "{text}");
        collection.delete_many(doc! {}).run().unwrap();
    }
    let error = collection.insert_one(large()).run().unwrap_err();
    assert_eq!(error.document_id().and_then(|id| id.as_i32()), Some(9), "{error}");
}

/// The bytes of a text that is not UTF-8 are stored by way of a command, since the driver's own types cannot hold them.
fn store_invalid_utf8(place: &Place, name: &str) {
    let peer_document = doc! {"_id": 1, "names": ["good", "b@d"]};
    let mut bytes = peer_document.to_vec().unwrap();
    let at = bytes.windows(3).position(|part| part == b"b@d").unwrap();
    bytes[at + 1] = 0xc3;
    let raw = RawDocumentBuf::from_bytes(bytes).unwrap();
    place.collection(name).clone_with_type::<RawDocumentBuf>().insert_one(raw).run().unwrap();
}

#[test]
fn invalid_utf8_in_stored_data_is_one_kind_however_it_is_read() {
    #[derive(Debug, Deserialize)]
    struct Named {
        names: Vec<String>,
    }
    let Some(place) = place("decoding_utf8") else { return };
    store_invalid_utf8(&place, "c");
    let untyped = place.collection("c");
    let typed: Collection<Named> = untyped.clone_with_type();
    let errors = [
        untyped.find_one(doc! {}).run().map(drop).unwrap_err(),
        typed.find_one(doc! {}).run().map(drop).unwrap_err(),
        untyped.find(doc! {}).run().unwrap().next().unwrap().map(drop).unwrap_err(),
        typed.find(doc! {}).run().unwrap().next().unwrap().map(drop).unwrap_err(),
        untyped.aggregate([]).run().unwrap().next().unwrap().map(drop).unwrap_err(),
        untyped.find_one_and_update(doc! {}, doc! {"$set": {"a": 1}}).run().map(drop).unwrap_err(),
        typed.find_one_and_update(doc! {}, doc! {"$set": {"a": 1}}).run().map(drop).unwrap_err(),
        untyped.distinct("names", doc! {}).run().map(drop).unwrap_err(),
        place.database.run_command(doc! {"find": "c"}).run().map(drop).unwrap_err(),
        place.database.run_cursor_command(doc! {"find": "c"}).run().unwrap().next().unwrap().map(drop).unwrap_err(),
    ];
    for (number, error) in errors.iter().enumerate() {
        assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{number}: {error:?}");
        assert!(error.message().contains("not valid UTF-8"), "{number}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("bson::Utf8Lossy")), "{number}: {error}");
        assert!(error.address().is_some(), "{number}: {error}");
    }
    assert!(errors[..7].iter().all(|error| error.path() == Some("names[1]")), "{errors:?}");
    // The way that the hint names.
    let lossy: Collection<Utf8Lossy<Named>> = untyped.clone_with_type();
    assert_eq!(lossy.find_one(doc! {}).run().unwrap().unwrap().names[1], "b\u{fffd}d");
    let raw: Collection<RawDocumentBuf> = untyped.clone_with_type();
    assert!(raw.find_one(doc! {}).run().unwrap().is_some());
}

/// A document of that many levels, `{d: {d: {.. {end: 1}}}}`.
fn nested(levels: usize) -> RawDocumentBuf {
    let mut document = wire::raw(&doc! {"end": 1}).unwrap();
    for _ in 1..levels {
        document = mongo_blocking::bson::rawdoc! {"d": document};
    }
    document
}

/// As deep as the server stores them. Raw access takes it as it is, a type that goes less deep does too; a tree is limited where
/// the program says so, and never ends the process on a small stack.
#[test]
fn a_document_of_180_levels_is_read_raw_and_never_overflows_the_stack() {
    #[derive(Debug, Deserialize)]
    struct Shallow {
        #[serde(rename = "_id")]
        id: i32,
        d: RawDocumentBuf,
    }
    #[derive(Debug, Deserialize)]
    struct Deep {
        #[serde(rename = "d")]
        _d: Option<Box<Deep>>,
    }
    let Some(place) = place("decoding_nesting") else { return };
    let mut stored = RawDocumentBuf::new();
    stored.append(mongo_blocking::bson::raw::cstr!("_id"), 7);
    stored.append(mongo_blocking::bson::raw::cstr!("d"), nested(175));
    let raw: Collection<RawDocumentBuf> = place.collection("c").clone_with_type();
    raw.insert_one(&stored).run().unwrap();
    assert_eq!(raw.find_one(doc! {}).run().unwrap().unwrap(), stored);
    assert_eq!(raw.find_one_and_update(doc! {}, doc! {"$set": {"_id": 7}}).run().unwrap().unwrap(), stored);
    let mut cursor = raw.clone_with_type::<&RawDocument>().find(doc! {}).run().unwrap();
    assert!(cursor.advance().unwrap());
    assert_eq!(cursor.deserialize_current().unwrap(), &*stored);
    let shallow: Collection<Shallow> = raw.clone_with_type();
    let read = shallow.find_one(doc! {}).run().unwrap().unwrap();
    assert_eq!((read.id, read.d), (7, nested(175)));
    // The tree has room on a usual stack.
    assert!(place.collection("c").find_one(doc! {}).run().unwrap().is_some());
    if cfg!(debug_assertions) {
        let error = raw.clone_with_type::<Deep>().find_one(doc! {}).run().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
        assert!(error.message().contains("nested more than") && error.namespace().is_some(), "{error}");
        assert_eq!(error.document_id().and_then(|id| id.as_i32()), Some(7));
    }

    // A host with small stacks lowers the limit.
    let uri = mongo_blocking_test_server::peers::Mongod::shared("6.0").unwrap().uri().to_owned();
    let read_on_a_small_stack = move |handler: Option<EventHandler<CommandEvent>>| {
        let options = ClientOptions::builder().uri(&uri).max_document_nesting(5).command_event_handler(handler);
        let options = options.build().settings().unwrap();
        let client = Client::with_options(options).unwrap();
        let database = client.database("decoding_nesting");
        let trees: Collection<Document> = database.collection("c");
        let errors = [
            trees.find_one(doc! {}).run().map(drop).unwrap_err(),
            trees.clone_with_type::<Deep>().find_one(doc! {}).run().map(drop).unwrap_err(),
            trees.clone_with_type::<Utf8Lossy<Document>>().find_one(doc! {}).run().map(drop).unwrap_err(),
            trees.distinct("d", doc! {}).run().map(drop).unwrap_err(),
            trees.find_one_and_update(doc! {}, doc! {"$set": {"_id": 7}}).run().map(drop).unwrap_err(),
            database.run_command(doc! {"find": "c"}).run().map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
            assert!(error.message().contains("nested more than"), "{error}");
        }
        let raw = trees.clone_with_type::<RawDocumentBuf>().find_one(doc! {}).run().unwrap().unwrap();
        assert_eq!(trees.clone_with_type::<Shallow>().find_one(doc! {}).run().unwrap().unwrap().id, 7);
        // A deep `_id` would be part of the result, and of the events.
        let deep_id = mongo_blocking::bson::rawdoc! {"_id": nested(170)};
        let error = trees.clone_with_type::<RawDocumentBuf>().insert_one(&deep_id).run().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)) && error.path() == Some("_id"), "{error:?}");
        let upserts: Collection<Document> = database.collection("upserts");
        upserts.delete_many(doc! {}).run().unwrap();
        let upsert = upserts.update_one(doc! {"_id": doc_of(12)}, doc! {"$set": {"a": 1}});
        let error = upsert.upsert(true).run().unwrap_err();
        assert!(error.message().contains("nested more than"), "{error}");
        raw.as_bytes().len()
    };
    for shows_events in [false, true] {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        let handler = shows_events.then(|| {
            EventHandler::new(move |event: &CommandEvent| {
                if let CommandEvent::Succeeded(succeeded) = event {
                    // What has more levels than are decoded is shown empty.
                    counter.fetch_add(usize::from(succeeded.reply.is_empty()), Ordering::SeqCst);
                }
            })
        });
        let read = read_on_a_small_stack.clone();
        let small = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || read(handler));
        assert_eq!(small.unwrap().join().unwrap(), stored.as_bytes().len());
        assert_eq!(seen.load(Ordering::SeqCst) > 0, shows_events);
    }
}

/// A document of that many levels.
fn doc_of(levels: usize) -> Document {
    (1..levels).fold(doc! {"end": 1}, |inner, _| doc! {"d": inner})
}
