//! Replies to writes that no honest server sends.

use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::{ErrorKind, WriteFailure};
use mongo_blocking::{Client, Collection, Error, WriteModel};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire;

/// A peer that greets, and gives every other command this reply.
fn answering(reply: Document) -> Script {
    Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let greeting = doc! {"ok": 1, "ismaster": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 17,
            "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000};
            let is_hello = request.name().eq_ignore_ascii_case("isMaster") || request.name() == "hello";
            let answer = if is_hello { &greeting } else { &reply };
            let _ = wire::write_reply(&mut stream, &request, answer);
        }
    })
}

fn collection(peer: &Script) -> Collection<Document> {
    Client::with_uri_str(peer.uri()).unwrap().database("d").collection("c")
}

/// What each kind of write makes of the reply.
fn errors_of(reply: Document) -> Vec<Error> {
    let peer = answering(reply);
    let collection = collection(&peer);
    let set = doc! {"$set": {"a": 1}};
    vec![
        collection.insert_one(doc! {}).run().unwrap_err(),
        collection.insert_many([doc! {}, doc! {}]).run().unwrap_err(),
        collection.update_one(doc! {}, set.clone()).run().unwrap_err(),
        collection.delete_one(doc! {}).run().unwrap_err(),
        collection.bulk_write([WriteModel::update_one(doc! {}, set)]).run().unwrap_err(),
    ]
}

/// A document must not be blamed at random, nor a write be counted as none.
#[test]
fn what_is_missing_is_not_made_up() {
    for (reply, words) in [
        (doc! {"ok": 1}, "number 'n'"),
        (doc! {"ok": 1, "n": "1"}, "number 'n'"),
        (doc! {"ok": 1, "n": -1}, "number 'n'"),
        (doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [{"code": 1, "errmsg": "x"}]}, "without an index"),
        (doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [{"index": "0", "code": 1}]}, "without an index"),
        (doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [{"index": -1, "code": 1}]}, "without an index"),
        (doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [{"index": 9, "code": 1}]}, "was not sent"),
        (doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [7]}, "is not a document"),
        (doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": 7}, "is not an array"),
        (doc! {"ok": 1, "n": 1, "nModified": 0, "writeConcernError": 7}, "is not a document"),
    ] {
        for error in errors_of(reply.clone()) {
            assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{reply}: {error:?}");
            assert!(error.to_string().contains(words), "{reply}: {error}");
        }
    }
}

/// Numbers are numbers, in whatever type.
#[test]
fn counts_of_every_numeric_type() {
    for n in [Bson::Int32(1), Bson::Int64(1), Bson::Double(1.0)] {
        let peer = answering(doc! {"ok": 1, "n": &n, "nModified": &n});
        let done = collection(&peer).update_one(doc! {}, doc! {"$set": {"a": 1}}).run().unwrap();
        assert_eq!((done.matched_count, done.modified_count), (1, 1));
        assert_eq!(collection(&peer).delete_one(doc! {}).run().unwrap().deleted_count, 1);
    }
}

/// The words of a server, and the data in them, reach no terminal as they came; the error keeps them.
#[test]
fn words_are_shown_without_control_characters_and_in_bounds() {
    let words = format!("a\u{1b}[2J\n{}", "x".repeat(100_000));
    for reply in [
        doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [{"index": 0, "code": 1, "errmsg": &words}]},
        doc! {"ok": 1, "n": 1, "nModified": 1, "writeConcernError": {"code": 1, "codeName": "\u{1b}c", "errmsg": &words}},
    ] {
        for error in errors_of(reply) {
            let text = error.to_string();
            assert!(text.len() < 10_000 && !text.contains(['\u{1b}', '\n']), "{} {text:.100}", text.len());
            let kept = match error.kind() {
                ErrorKind::Write(WriteFailure::WriteError(refused)) => &refused.message,
                ErrorKind::Write(WriteFailure::WriteConcernError(failed)) => &failed.message,
                ErrorKind::InsertMany(failed) => match &failed.write_concern_error {
                    Some(failed) => &failed.message,
                    None => &failed.write_errors()[0].message,
                },
                ErrorKind::BulkWrite(failed) => match failed.write_concern_errors.first() {
                    Some(failed) => &failed.message,
                    None => &failed.write_errors[0].message,
                },
                other => panic!("{other:?}"),
            };
            assert_eq!(*kept, words);
        }
    }
    let reply = doc! {"ok": 1, "value": null, "writeConcernError": {"code": 1, "errmsg": &words}};
    let error = collection(&answering(reply)).find_one_and_delete(doc! {}).run().unwrap_err();
    assert!(format!("{error:#}").len() < 10_000 && !format!("{error:#}").contains('\u{1b}'));
}

/// Booking takes ten times as long for ten times as many, not a hundred times. (A real server's reply would be too long for it.)
#[test]
fn a_hundred_thousand_refusals() {
    let refused = |many: i32| {
        let errors: Vec<Bson> = (0..many).map(|n| Bson::Document(doc! {"index": n, "code": 1})).collect();
        let peer = answering(doc! {"ok": 1, "n": 0, "writeErrors": errors});
        let began = Instant::now();
        let error = collection(&peer).insert_many((0..many).map(|n| doc! {"_id": n})).ordered(false).run().unwrap_err();
        let took = began.elapsed();
        let ErrorKind::InsertMany(failed) = error.kind() else { panic!("{error:?}") };
        assert_eq!(failed.write_errors().len(), many as usize);
        assert!(failed.inserted_ids().is_empty());
        took
    };
    let (some, many) = (refused(10_000), refused(100_000));
    assert!(many < some * 40, "{some:?} for ten thousand, {many:?} for a hundred thousand");
}

#[test]
fn labels_are_bounded() {
    let labels: Vec<Bson> = (0..200_000).map(|n| Bson::String(format!("label {n}"))).collect();
    for reply in [
        doc! {"ok": 1, "n": 0, "errorLabels": &labels, "writeErrors": [{"index": 0, "code": 1, "errmsg": "x"}]},
        doc! {"ok": 1, "value": null, "errorLabels": &labels, "writeConcernError": {"code": 1, "errmsg": "x"}},
    ] {
        let peer = answering(reply.clone());
        let collection = collection(&peer);
        let began = Instant::now();
        let error = match reply.contains_key("n") {
            true => collection.insert_one(doc! {}).run().unwrap_err(),
            false => collection.find_one_and_delete(doc! {}).run().unwrap_err(),
        };
        assert!(error.labels().len() <= 64, "{}", error.labels().len());
        assert!(error.contains_label("label 0"));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}
