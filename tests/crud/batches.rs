//! Cursors batch by batch: raw access, the end of them, tailable ones, and those of commands in the caller's own words.

use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, RawDocumentBuf, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::CursorType;
use mongo_blocking::{Client, Collection, Cursor};
use serde::Deserialize;

use super::{Place, eventually, numbered, place, place_with};

/// A collection with a hundred documents.
fn hundred(name: &str) -> Option<Place> {
    let place = place(name)?;
    place.collection("c").insert_many(numbered(0..100)).run().unwrap();
    place.sent();
    Some(place)
}

/// How many cursors the server holds open for this database's collections.
fn open_on_server(client: &Client, database: &str) -> usize {
    let pipeline = [
        doc! {"$currentOp": {"allUsers": true, "idleCursors": true}},
        doc! {"$match": {"type": "idleCursor", "ns": {"$regex": format!("^{database}\\.")}}},
    ];
    client.database("admin").aggregate(pipeline).run().unwrap().count()
}

#[test]
fn documents_can_be_read_without_decoding() {
    let Some(place) = hundred("cursor_raw") else { return };
    let mut cursor = place.collection("c").find(doc! {}).sort(doc! {"_id": 1}).batch_size(30).run().unwrap();
    let mut seen = 0;
    while cursor.advance().unwrap() {
        assert_eq!(cursor.current().get_i32("_id").unwrap(), seen);
        seen += 1;
    }
    assert_eq!(seen, 100);
    assert!(!cursor.is_alive());
    assert!(!cursor.advance().unwrap());
    let raw: Cursor<RawDocumentBuf> = place.collection("c").find(doc! {}).run().unwrap().with_type();
    assert_eq!(raw.map(|document| document.unwrap().as_bytes().len()).sum::<usize>(), 100 * 14);
}

#[derive(Deserialize)]
struct Borrowed<'a> {
    #[serde(rename = "_id")]
    name: &'a str,
}

#[test]
fn a_value_may_borrow_from_the_batch() {
    let Some(place) = place("cursor_borrow") else { return };
    place.collection("c").insert_many([doc! {"_id": "a"}, doc! {"_id": "b"}]).run().unwrap();
    let mut cursor: Cursor<Borrowed> = place.collection("c").find(doc! {}).run().unwrap().with_type();
    let mut names = String::new();
    while cursor.advance().unwrap() {
        names.push_str(cursor.deserialize_current().unwrap().name);
    }
    assert_eq!(names, "ab");
}

#[test]
fn a_dropped_cursor_ends_on_the_server() {
    let Some(place) = hundred("cursor_drop") else { return };
    let mut cursor = place.collection("c").find(doc! {}).batch_size(2).run().unwrap();
    assert!(cursor.next().unwrap().is_ok());
    assert!(cursor.is_alive() && cursor.has_next());
    assert_eq!(open_on_server(&place.client, "cursor_drop"), 1);
    // Another type is still the same cursor.
    let cursor: Cursor<RawDocumentBuf> = cursor.with_type();
    assert_eq!(open_on_server(&place.client, "cursor_drop"), 1);
    place.sent();
    drop(cursor);
    assert_eq!(place.sent_names(), ["killCursors"]);
    assert_eq!(open_on_server(&place.client, "cursor_drop"), 0);
    // A cursor that was read to its end needs no command.
    assert_eq!(place.collection("c").find(doc! {}).run().unwrap().count(), 100);
    assert_eq!(place.sent_names(), ["aggregate", "find"]);
}

#[test]
fn a_cursor_that_the_server_lost_says_so_once() {
    let Some(place) = hundred("cursor_lost") else { return };
    let mut cursor = place.collection("c").find(doc! {}).batch_size(2).run().unwrap();
    let pipeline =
        [doc! {"$currentOp": {"idleCursors": true}}, doc! {"$match": {"type": "idleCursor", "ns": "cursor_lost.c"}}];
    let idle = place.client.database("admin").aggregate(pipeline).run().unwrap().next().unwrap().unwrap();
    let id = idle.get_document("cursor").unwrap().get_i64("cursorId").unwrap();
    place.database.run_command(doc! {"killCursors": "c", "cursors": [id]}).run().unwrap();
    assert!(cursor.next().unwrap().is_ok() && cursor.next().unwrap().is_ok());
    let error = cursor.next().unwrap().unwrap_err();
    assert_eq!(error.code_name(), Some("CursorNotFound"), "{error:?}");
    assert!(cursor.next().is_none());
    assert!(!cursor.is_alive());
    place.sent();
    drop(cursor);
    assert!(place.sent().is_empty());
}

#[test]
fn a_comment_goes_with_each_batch() {
    let Some(place) = hundred("cursor_comment") else { return };
    let cursor = place.collection("c").find(doc! {}).batch_size(60).comment("why").run().unwrap();
    assert_eq!(cursor.count(), 100);
    let sent = place.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|command| command.get_str("comment").unwrap() == "why"), "{sent:?}");
}

#[test]
fn a_tailable_cursor_goes_on_when_there_is_more() {
    let Some(place) = place("cursor_tailable") else { return };
    place.database.create_collection("c").capped(true).size(100_000).run().unwrap();
    let collection = place.collection("c");
    collection.insert_many(numbered(0..3)).run().unwrap();
    let mut cursor = collection.find(doc! {}).cursor_type(CursorType::Tailable).run().unwrap();
    assert_eq!(cursor.by_ref().count(), 3);
    assert!(cursor.is_alive());
    assert!(cursor.next().is_none());
    assert!(!cursor.advance().unwrap());
    collection.insert_many(numbered(3..5)).run().unwrap();
    let more: Vec<Document> = cursor.by_ref().map(Result::unwrap).collect();
    assert_eq!(super::ids(&more), [3, 4]);
    collection.drop().run().unwrap();
    let error = cursor.next().unwrap().unwrap_err();
    assert!(error.code().is_some(), "{error:?}");
    assert!(!cursor.is_alive());
}

#[test]
fn an_awaiting_cursor_waits_on_the_server() {
    let Some(place) = place("cursor_await") else { return };
    place.database.create_collection("c").capped(true).size(100_000).run().unwrap();
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0}).run().unwrap();
    let action = collection.find(doc! {}).cursor_type(CursorType::TailableAwait);
    let mut cursor = action.max_await_time(Duration::from_millis(150)).run().unwrap();
    assert!(cursor.next().unwrap().is_ok());
    place.sent();
    let began = Instant::now();
    assert!(cursor.next_if_any().unwrap().is_none() && cursor.is_alive());
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    let sent = place.sent_one();
    assert_eq!(sent.get("maxTimeMS"), Some(&Bson::Int64(150)));
    // What comes while the server waits ends the wait.
    let place = &place;
    std::thread::scope(|scope| {
        scope.spawn(|| place.collection("c").insert_one(doc! {"_id": 1}).run().unwrap());
        assert_eq!(cursor.next().unwrap().unwrap(), doc! {"_id": 1});
    });
}

/// A capped collection with one document.
fn log(place: &Place) -> Collection<Document> {
    place.database.create_collection("c").capped(true).size(100_000).run().unwrap();
    let collection = place.collection("c");
    collection.insert_one(doc! {"_id": 0}).run().unwrap();
    place.sent();
    collection
}

/// Opens a cursor on it whose empty batches come every 20 ms.
fn tail(collection: &Collection<Document>) -> Cursor<Document> {
    let action = collection.find(doc! {}).cursor_type(CursorType::TailableAwait);
    action.max_await_time(Duration::from_millis(20)).run().unwrap()
}

/// Waits until the server has been asked for more several times, so that some batches were empty.
fn several_empty_batches(place: &Place) {
    let mut asked = 0;
    eventually("empty batches", || {
        asked += place.sent_names().iter().filter(|name| *name == "getMore").count();
        asked > 3
    });
}

#[test]
fn an_iteration_waits_for_what_another_thread_inserts() {
    let Some(place) = place("cursor_await_iteration") else { return };
    let collection = log(&place);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| tail(&collection).take(3).map(Result::unwrap).collect::<Vec<Document>>());
        for id in 1..3 {
            several_empty_batches(&place);
            collection.insert_one(doc! {"_id": id}).run().unwrap();
        }
        assert_eq!(super::ids(&reader.join().unwrap()), [0, 1, 2]);
    });
    // Without decoding it is the same.
    let mut cursor = tail(&collection);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            several_empty_batches(&place);
            collection.insert_one(doc! {"_id": 3}).run().unwrap();
        });
        assert!((0..4).all(|_| cursor.advance().unwrap()));
    });
    assert_eq!(cursor.current().get_i32("_id").unwrap(), 3);
}

#[test]
fn a_waiting_iteration_ends_when_the_client_is_closed() {
    let Some(place) = place("cursor_await_close") else { return };
    let collection = log(&place);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut cursor = tail(&collection);
            let last = cursor.nth(1).unwrap().unwrap_err();
            (last, cursor.next().is_none(), cursor.is_alive())
        });
        several_empty_batches(&place);
        place.client.close();
        let (error, ended, is_alive) = reader.join().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error:?}");
        assert!(ended && !is_alive);
    });
}

/// The server keeps the cursor open, since the collection may get more documents.
#[test]
fn an_awaiting_cursor_ends_with_its_limit() {
    let Some(place) = place("cursor_await_limit") else { return };
    let collection = log(&place);
    collection.insert_many(numbered(1..5)).run().unwrap();
    for batch_size in [2, 3, 100] {
        place.sent();
        let action = collection.find(doc! {}).cursor_type(CursorType::TailableAwait).limit(3).batch_size(batch_size);
        let mut cursor = action.max_await_time(Duration::from_millis(20)).run().unwrap();
        assert!(cursor.advance().unwrap() && cursor.is_alive());
        let rest: Vec<Document> = cursor.by_ref().map(Result::unwrap).collect();
        assert_eq!(super::ids(&rest), [1, 2], "batch size {batch_size}");
        assert!(!cursor.is_alive());
        assert_eq!(cursor.next_if_any().unwrap(), None);
        drop(cursor);
        assert_eq!(place.sent_names().iter().filter(|name| *name == "killCursors").count(), 1);
        assert_eq!(open_on_server(&place.client, "cursor_await_limit"), 0);
    }
}

#[test]
fn a_tailable_cursor_on_an_empty_collection_ends_at_once() {
    let Some(place) = place("cursor_tail_empty") else { return };
    place.database.create_collection("c").capped(true).size(100_000).run().unwrap();
    for kind in [CursorType::Tailable, CursorType::TailableAwait] {
        let mut cursor = place.collection("c").find(doc! {}).cursor_type(kind).run().unwrap();
        assert!(cursor.next().is_none() && !cursor.is_alive());
    }
}

/// Without `max_await_time` a server holds the request for a second.
#[test]
fn the_default_await_time_is_a_second() {
    let awaiting = |place: &Place| log(place).find(doc! {}).cursor_type(CursorType::TailableAwait).run().unwrap();
    let Some(place) = place_with("cursor_await_socket", "socketTimeoutMS=500") else { return };
    let mut cursor = awaiting(&place);
    assert!(cursor.next().unwrap().is_ok());
    assert!(cursor.next_if_any().unwrap().is_none() && cursor.is_alive());
    assert!(!place.sent().iter().any(|command| command.contains_key("maxTimeMS")));
    let Some(place) = place_with("cursor_await_short", "timeoutMS=500") else { return };
    let mut cursor = awaiting(&place);
    assert!(cursor.next().unwrap().is_ok());
    let error = cursor.next_if_any().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("max_await_time"), "{error}");
    let more = place.sent().into_iter().find(|command| command.contains_key("getMore")).unwrap();
    assert!(!more.contains_key("maxTimeMS"), "{more}");
}

#[test]
fn an_await_time_of_zero_is_refused() {
    let Some(place) = place("cursor_await_zero") else { return };
    let collection = log(&place);
    let find = collection.find(doc! {}).cursor_type(CursorType::TailableAwait);
    let find = find.max_await_time(Duration::ZERO).run().unwrap_err();
    let aggregate = collection.aggregate([]).max_await_time(Duration::ZERO).run().unwrap_err();
    let command = doc! {"find": "c", "tailable": true, "awaitData": true};
    let action = place.database.run_cursor_command(command).cursor_type(CursorType::TailableAwait);
    let command = action.max_time(Duration::ZERO).run().unwrap_err();
    for (option, error) in [("max_await_time", find), ("max_await_time", aggregate), ("max_time", command)] {
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error:?}");
        assert_eq!(error.message(), format!("{option} must be more than zero"));
    }
    assert!(place.sent().is_empty());
}

#[test]
fn a_waiting_iteration_ends_with_its_cursor() {
    let Some(place) = place("cursor_await_dead") else { return };
    let collection = log(&place);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| tail(&collection).nth(1).unwrap().unwrap_err());
        several_empty_batches(&place);
        collection.drop().run().unwrap();
        let error = reader.join().unwrap();
        assert!(error.code().is_some(), "{error:?}");
    });
}

/// The limit holds for the whole of each call, not for each request of it.
#[test]
fn timeout_ms_limits_each_wait_of_an_iteration() {
    let Some(place) = place_with("cursor_await_timeout", "timeoutMS=1000") else { return };
    let collection = log(&place);
    let mut cursor = tail(&collection);
    assert!(cursor.next().unwrap().is_ok());
    assert!(cursor.next_if_any().unwrap().is_none(), "one empty batch is within the limit");
    let began = Instant::now();
    let error = cursor.next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    let sent = place.sent();
    let more: Vec<&Document> = sent.iter().filter(|command| command.contains_key("getMore")).collect();
    assert!(more.len() > 3, "{more:?}");
    assert!(more.iter().all(|command| command.get_i64("maxTimeMS").unwrap() == 20), "{more:?}");
    place.sent();
    let find = collection.find(doc! {}).cursor_type(CursorType::TailableAwait);
    let find = find.max_await_time(Duration::from_secs(1)).run().unwrap_err();
    let aggregate = collection.aggregate([]).max_await_time(Duration::from_secs(2)).run().unwrap_err();
    let command = |kind| {
        let command = doc! {"find": "c", "tailable": true, "awaitData": true};
        place.database.run_cursor_command(command).cursor_type(kind).max_time(Duration::from_secs(2))
    };
    let command_error = command(CursorType::TailableAwait).run().unwrap_err();
    for (option, error) in [("max_await_time", find), ("max_await_time", aggregate), ("max_time", command_error)] {
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error:?}");
        assert!(error.message().starts_with(&format!("{option} must be less than timeoutMS")), "{error}");
    }
    assert!(place.sent().is_empty());
    // No server waits for the documents of a cursor that does not await.
    let tailable = command(CursorType::Tailable);
    let list = place.database.run_cursor_command(doc! {"listCollections": 1}).max_time(Duration::from_secs(2));
    for action in [tailable, list] {
        assert!(action.run().unwrap().next().unwrap().is_ok());
    }
}

#[test]
fn a_session_cursor_looks_for_news_once() {
    let Some(place) = place("cursor_await_session") else { return };
    let collection = log(&place);
    let mut session = place.client.start_session().run().unwrap();
    let action = collection.find(doc! {}).cursor_type(CursorType::TailableAwait).session(&mut session);
    let mut cursor = action.max_await_time(Duration::from_millis(20)).run().unwrap();
    assert_eq!(cursor.next_if_any(&mut session).unwrap(), Some(doc! {"_id": 0}));
    place.sent();
    assert_eq!(cursor.next_if_any(&mut session).unwrap(), None);
    assert!(cursor.is_alive());
    assert_eq!(place.sent_names(), ["getMore"]);
    let mut other = place.client.start_session().run().unwrap();
    assert!(cursor.next_if_any(&mut other).is_err());
}

/// The server has closed the cursor when its last batch comes, so `is_alive` alone does not say that all was read.
#[test]
fn the_loop_of_the_documentation_reads_the_last_batch() {
    let Some(place) = hundred("cursor_if_any") else { return };
    for batch_size in [0, 30, 100, 200] {
        let mut cursor = place.collection("c").find(doc! {}).batch_size(batch_size).run().unwrap();
        let mut found = Vec::new();
        loop {
            match cursor.next_if_any().unwrap() {
                Some(document) => found.push(document),
                None if !cursor.is_alive() => break,
                None => {}
            }
        }
        assert_eq!(super::ids(&found), (0..100).collect::<Vec<_>>(), "batch size {batch_size}");
    }
}

#[test]
fn a_command_in_the_callers_words_can_open_a_cursor() {
    let Some(place) = hundred("cursor_command") else { return };
    let cursor = place
        .database
        .run_cursor_command(doc! {"find": "c", "batchSize": 10, "sort": {"_id": 1}})
        .batch_size(50)
        .comment("more")
        .run()
        .unwrap();
    let all: Vec<Document> = cursor.map(Result::unwrap).collect();
    assert_eq!(super::ids(&all), (0..100).collect::<Vec<_>>());
    let sent = place.sent();
    assert_eq!(sent.len(), 3);
    assert!(!sent[0].contains_key("comment"));
    assert_eq!((sent[1].get_i64("batchSize").unwrap(), sent[1].get_str("comment").unwrap()), (50, "more"));
    let error = place.database.run_cursor_command(doc! {"ping": 1}).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
    place.database.create_collection("log").capped(true).size(100_000).run().unwrap();
    place.collection("log").insert_one(doc! {"_id": 0}).run().unwrap();
    let mut tail = place
        .database
        .run_cursor_command(doc! {"find": "log", "tailable": true, "awaitData": true})
        .cursor_type(CursorType::TailableAwait)
        .max_time(Duration::from_millis(20))
        .run()
        .unwrap();
    assert_eq!(tail.next_if_any().unwrap(), Some(doc! {"_id": 0}));
    assert!(tail.next_if_any().unwrap().is_none() && tail.is_alive());
}
