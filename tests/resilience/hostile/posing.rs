//! Servers that pretend to be something that asks less of them, or that answer without ever coming to an end.

use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, Stage, WriteFailure};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire::{self, Request};

/// A peer that greets with these fields and answers everything else by the closure.
fn peer(more: Document, answer: impl Fn(&Request) -> Document + Send + Sync + 'static) -> Script {
    Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let reply = match request.name() {
                "isMaster" | "hello" => {
                    let mut hello = doc! { "ok": 1, "maxWireVersion": 17 };
                    hello.extend(more.clone());
                    hello
                }
                _ => answer(&request),
            };
            let _ = wire::write_reply(&mut stream, &request, &reply);
        }
    })
}

#[test]
fn a_server_that_claims_to_be_an_arbiter_gets_no_data() {
    let arbiter = doc! { "setName": "rs", "arbiterOnly": true };
    let peer = peer(arbiter, |_| doc! { "ok": 1, "n": 1 });
    let uri = format!("mongodb://ann:pencil@{}/?directConnection=true", peer.address());
    let collection = Client::with_uri_str(uri).unwrap().database("db").collection::<Document>("c");
    let error = collection.insert_one(doc! { "card": "4111" }).run().expect_err("nobody has logged in");
    assert_eq!(error.stage(), Stage::ServerSelection, "{error}");
    assert!(error.message().contains("arbiter"), "{error}");

    // Without a credential there was nothing to prove.
    let uri = format!("mongodb://{}/?directConnection=true", peer.address());
    Client::with_uri_str(uri).unwrap().ping().unwrap();
}

#[test]
fn control_characters_in_a_name_are_escaped() {
    let peer = peer(doc! { "setName": "\u{1b}[2Jrs" }, |_| doc! { "ok": 1 });
    let error = Client::with_uri_str(format!(
        "mongodb://{}/?replicaSet=rs&directConnection=true&serverSelectionTryOnce=true",
        peer.address()
    ))
    .unwrap()
    .ping()
    .unwrap_err();
    assert!(error.message().contains("[2Jrs"), "{error}");
    assert!(!format!("{error:#}").chars().any(char::is_control), "{:?}", format!("{error:#}"));
}

#[test]
fn control_characters_in_a_write_error_are_escaped() {
    let refusal = doc! { "ok": 1, "n": 0, "writeErrors": [{ "index": 0, "code": 1, "errmsg": "\u{1b}[2Jno" }] };
    let peer = peer(doc! {}, move |_| refusal.clone());
    let client = Client::with_uri_str(format!("mongodb://{}/", peer.address())).unwrap();
    let error = client.database("db").collection::<Document>("c").insert_one(doc! {}).run().unwrap_err();
    assert!(!format!("{error:#}").chars().any(char::is_control), "{:?}", format!("{error:#}"));
    assert!(
        matches!(error.kind(), ErrorKind::Write(WriteFailure::WriteError(kept)) if kept.message == "\u{1b}[2Jno"),
        "{error:?}"
    );
}

#[test]
fn empty_batches_without_end_do_not_outlast_the_time_limit() {
    let began = Instant::now();
    let peer = peer(doc! {}, move |request| {
        thread::sleep(Duration::from_millis(20));
        let key = if request.name() == "find" { "firstBatch" } else { "nextBatch" };
        // The test is to fail, not to hang.
        let id = if began.elapsed() < Duration::from_secs(4) { 7_i64 } else { 0 };
        doc! { "ok": 1, "cursor": { "id": id, "ns": "db.c", key: [] } }
    });
    let client = Client::with_uri_str(format!("mongodb://{}/?timeoutMS=400", peer.address())).unwrap();
    let mut cursor = client.database("db").collection::<Document>("c").find(doc! {}).run().unwrap();
    let error = cursor.next().expect("a time limit").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
