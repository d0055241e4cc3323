//! Texts of a server that end in the middle of a character, as MongoDB cuts long ones: codes, indexes and partial results survive.

use std::io::Write;
use std::sync::{Arc, Mutex};

use mongo_blocking::bson::{Document, RawDocumentBuf, doc};
use mongo_blocking::error::{ErrorKind, Stage, WriteFailure};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection, WriteModel};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire::{self, Forge};

use super::{DUPLICATE_KEY, ids, place, places, write_error};

/// Stands for the first byte of a character of two bytes, whose second byte was cut off.
const CUT: &str = "@@@";

/// The document as a server sends it, with every `CUT` as half a character.
fn with_cuts(document: &Document) -> RawDocumentBuf {
    let mut bytes = document.to_vec().unwrap();
    for at in 0..bytes.len() - CUT.len() {
        if bytes[at..].starts_with(CUT.as_bytes()) {
            bytes[at + 2] = 0xc3;
        }
    }
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

/// A peer that answers every command with this reply, and `hello` with what `hello` makes of a good reply.
fn answering(reply: Document, hello: impl Fn(Document) -> Document + Send + Sync + 'static) -> Script {
    Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let good = doc! {"ok": 1, "ismaster": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 17,
            "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000};
            let is_hello = request.name().eq_ignore_ascii_case("isMaster") || request.name() == "hello";
            let answer = if is_hello { hello(good) } else { reply.clone() };
            let _ = stream.write_all(&wire::reply_bytes(&request, &with_cuts(&answer), &Forge::default()));
        }
    })
}

fn collection(peer: &Script) -> Collection<Document> {
    Client::with_uri_str(peer.uri()).unwrap().database("d").collection("c")
}

/// The case of the report: the server cuts the key within its message, in the middle of a character.
#[test]
fn a_long_key_twice_is_a_duplicate_key() {
    let Some(place) = place("server_texts_long_key") else { return };
    let long = format!("a{}", "é".repeat(80));
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": &long}).run().unwrap();
    collection.insert_one(doc! {"_id": "other"}).run().unwrap();

    let error = collection.insert_one(doc! {"_id": &long}).run().unwrap_err();
    assert_eq!((write_error(&error).index, error.code()), (0, Some(DUPLICATE_KEY)), "{error}");
    assert!(error.message().contains("éé"), "{error}");

    let documents = [doc! {"_id": 1}, doc! {"_id": &long}, doc! {"_id": 3}];
    let error = collection.insert_many(&documents).ordered(false).run().unwrap_err();
    let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!(places(failed.write_errors()), [(1, DUPLICATE_KEY)]);
    let mut inserted: Vec<usize> = failed.inserted_ids().keys().copied().collect();
    inserted.sort_unstable();
    assert_eq!(inserted, [0, 2]);

    let models = [WriteModel::insert_one(doc! {"_id": 4}), WriteModel::insert_one(doc! {"_id": &long})];
    let error = collection.bulk_write(models).run().unwrap_err();
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!((places(&failed.write_errors), failed.partial_result.inserted_count), (vec![(1, DUPLICATE_KEY)], 1));
    let found = collection.find(doc! {"_id": {"$type": "int"}}).sort(doc! {"_id": 1}).run().unwrap();
    assert_eq!(ids(&found.map(Result::unwrap).collect::<Vec<_>>()), [1, 3, 4]);

    // The same key by way of a unique index.
    let unique = place.collection("unique");
    place
        .database
        .run_command(doc! {"createIndexes": "unique", "indexes": [{"key": {"k": 1}, "name": "k_1", "unique": true}]})
        .run()
        .unwrap();
    unique.insert_many([doc! {"_id": 1, "k": &long}, doc! {"_id": 2}]).run().unwrap();
    let set = doc! {"$set": {"k": &long}};
    let refused = [
        unique.update_one(doc! {"_id": 2}, set.clone()).run().unwrap_err(),
        unique.update_many(doc! {"_id": 2}, set.clone()).run().unwrap_err(),
        unique.replace_one(doc! {"_id": 2}, doc! {"k": &long}).run().unwrap_err(),
        unique.update_one(doc! {"_id": 9}, set.clone()).upsert(true).run().unwrap_err(),
        unique.find_one_and_update(doc! {"_id": 2}, set.clone()).run().unwrap_err(),
        unique.find_one_and_replace(doc! {"_id": 2}, doc! {"k": &long}).run().unwrap_err(),
        place
            .database
            .run_command(doc! {"findAndModify": "unique", "query": {"_id": 2}, "update": set})
            .run()
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code(), Some(DUPLICATE_KEY), "{error:?}");
        assert!(error.message().contains("E11000") && error.message().contains("éé"), "{error}");
    }

    // In the program's own words, a reply with `ok: 1` has the text, too.
    let insert = doc! {"insert": "c", "documents": [{"_id": &long}]};
    let reply = place.database.run_command(insert).run().unwrap();
    let error = reply.get_array("writeErrors").unwrap()[0].as_document().unwrap();
    assert_eq!(error.get_i32("code").unwrap(), DUPLICATE_KEY);
    assert!(error.get_str("errmsg").unwrap().contains("éé"));
}

/// A text cut at every level of a reply to a write.
#[test]
fn cut_texts_of_writes() {
    let text = format!("a{CUT}");
    let write_error_of = |index: i32| doc! {"index": index, "code": 11000, "codeName": &text, "errmsg": &text, "errInfo": {"why": &text}};
    let concern = doc! {"code": 64, "codeName": &text, "errmsg": &text, "errInfo": {"why": &text}};
    for ordered in [true, false] {
        let peer = answering(
            doc! {"ok": 1, "n": 2, "writeErrors": [write_error_of(1)], "writeConcernError": &concern, "errorLabels": ["Own", &text]},
            |good| good,
        );
        let error = collection(&peer).insert_many([doc! {}, doc! {}, doc! {}]).ordered(ordered).run().unwrap_err();
        let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
        assert_eq!(places(failed.write_errors()), [(1, 11000)]);
        assert!(failed.write_errors()[0].message.starts_with("a@@\u{fffd}"), "{:?}", failed.write_errors()[0].message);
        assert_eq!(failed.write_concern_error.as_ref().unwrap().code, 64);
        assert_eq!(failed.inserted_ids().len(), if ordered { 1 } else { 2 });
        assert!(error.contains_label("Own"), "{error:?}");
    }
    let only_concern =
        answering(doc! {"ok": 1, "n": 1, "nModified": 1, "value": null, "writeConcernError": &concern}, |good| good);
    let collection = collection(&only_concern);
    for error in [
        collection.insert_one(doc! {}).run().unwrap_err(),
        collection.update_one(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap_err(),
        collection.delete_many(doc! {}).run().unwrap_err(),
        collection.find_one_and_delete(doc! {}).run().unwrap_err(),
        collection.drop_index("x").run().unwrap_err(),
        collection.clone().drop().run().unwrap_err(),
    ] {
        let ErrorKind::Write(WriteFailure::WriteConcernError(failed)) = error.kind() else { panic!("{error:?}") };
        assert_eq!(
            (failed.code, failed.message.as_str(), failed.code_name.as_str()),
            (64, "a@@\u{fffd}", "a@@\u{fffd}")
        );
    }
}

#[test]
fn cut_texts_of_refused_commands() {
    let refusal = doc! {"ok": 0, "code": 13, "codeName": format!("U{CUT}"), "errmsg": format!("not allowed: {CUT}")};
    let peer = answering(refusal.clone(), |good| good);
    let collection = collection(&peer);
    let database = collection.client().database("d");
    for error in [
        collection.find(doc! {}).run().map(drop).unwrap_err(),
        collection.aggregate([]).run().map(drop).unwrap_err(),
        collection.distinct("a", doc! {}).run().map(drop).unwrap_err(),
        collection.insert_one(doc! {}).run().map(drop).unwrap_err(),
        collection.find_one_and_delete(doc! {}).run().map(drop).unwrap_err(),
        database.run_command(doc! {"ping": 1}).run().map(drop).unwrap_err(),
        database.run_command(doc! {"ping": 1}).run_raw().map(drop).unwrap_err(),
        database.run_cursor_command(doc! {"find": "c"}).run().map(drop).unwrap_err(),
    ] {
        let ErrorKind::Command(refused) = error.kind() else { panic!("{error:?}") };
        assert_eq!((refused.code, refused.message.as_str()), (13, "not allowed: @@\u{fffd}"));
        assert_eq!(error.code_name(), Some("U@@\u{fffd}"));
    }
    // A reply to `hello`, and a login.
    let peer = answering(refusal.clone(), move |_| refusal.clone());
    let once = format!("{}?serverSelectionTryOnce=true", peer.uri());
    let error = Client::with_uri_str(once).unwrap().ping().unwrap_err();
    assert!(error.to_string().contains("not allowed: @@\u{fffd}") && error.code() == Some(13), "{error}");
    let refusal = doc! {"ok": 0, "code": 18, "errmsg": format!("wrong: {CUT}")};
    let peer = answering(refusal, |good| good);
    let uri = peer.uri().replace("mongodb://", "mongodb://ann:pencil@");
    let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
    assert!(matches!(error.stage(), Stage::Authentication { .. }) && error.code() == Some(18), "{error:?}");
    assert!(error.to_string().contains("wrong: @@\u{fffd}"), "{error}");
}

#[test]
fn a_cut_text_while_a_cursor_is_read() {
    let peer = Script::start(|mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let answer = match request.name() {
                "find" => doc! {"ok": 1, "cursor": {"id": 5_i64, "ns": "d.c", "firstBatch": []}},
                "getMore" => doc! {"ok": 0, "code": 43, "errmsg": format!("gone: {CUT}")},
                _ => doc! {"ok": 1, "ismaster": true, "minWireVersion": 0, "maxWireVersion": 17},
            };
            let _ = stream.write_all(&wire::reply_bytes(&request, &with_cuts(&answer), &Forge::default()));
        }
    });
    let error = collection(&peer).find(doc! {}).run().unwrap().next().unwrap().unwrap_err();
    assert_eq!(error.code(), Some(43), "{error:?}");
    assert!(error.message().contains("gone: @@\u{fffd}"), "{error}");
}

/// An event shows the reply as the program gets it.
#[test]
fn a_cut_text_in_an_event() {
    let error = doc! {"index": 0, "code": 11000, "errmsg": format!("twice: {CUT}")};
    let peer = answering(doc! {"ok": 1, "n": 0, "errmsg": format!("a{CUT}"), "writeErrors": [error]}, |good| good);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let replies = seen.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Succeeded(succeeded) = event {
            replies.lock().unwrap().push(succeeded.reply.clone());
        }
    });
    let options = ClientOptions::builder().uri(peer.uri()).command_event_handler(handler).build().settings().unwrap();
    let client = Client::with_options(options).unwrap();
    let reply = client.database("d").run_command(doc! {"ping": 1}).run().unwrap();
    assert_eq!(reply.get_str("errmsg").unwrap(), "a@@\u{fffd}");
    assert_eq!(*seen.lock().unwrap(), [reply]);
}
