//! Replies that are legal to send and meant to exhaust: counters that overflow, batches without end, numbers that change,
//! arrays of nothing.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, RawDocumentBuf, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, CursorType};
use mongo_blocking::{Client, Collection, Cursor, WriteModel};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire::{self, Forge, Request};

/// A peer whose replies to all but `hello` the test decides.
fn peer(reply: impl Fn(&Request) -> RawDocumentBuf + Send + Sync + 'static) -> Script {
    Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let hello = doc! {"ok": 1, "ismaster": true, "minWireVersion": 0, "maxWireVersion": 17};
            let is_hello = request.name().eq_ignore_ascii_case("isMaster") || request.name() == "hello";
            let answer = if is_hello { wire::raw(&hello).unwrap() } else { reply(&request) };
            if std::io::Write::write_all(&mut stream, &wire::reply_bytes(&request, &answer, &Forge::default())).is_err()
            {
                return;
            }
        }
    })
}

fn saying(reply: &Document) -> Script {
    let reply = wire::raw(reply).unwrap();
    peer(move |_| reply.clone())
}

fn collection(peer: &Script, options: &str) -> Collection<Document> {
    Client::with_uri_str(format!("{}?{options}", peer.uri())).unwrap().database("d").collection("c")
}

#[test]
fn counts_that_overflow_are_refused() {
    let many = i64::MAX;
    let peer = saying(&doc! {"ok": 1, "n": many, "nModified": many});
    // One kind of write after the other, so that each is a command of its own and the counts add up.
    let models = |kind: fn(i32) -> WriteModel<Document>| {
        (0..3).flat_map(move |n| [kind(n), WriteModel::insert_one(doc! {"_id": n})]).collect::<Vec<_>>()
    };
    let update = models(|_| WriteModel::update_many(doc! {}, doc! {"$set": {"a": 1}}));
    let delete = models(|_| WriteModel::delete_many(doc! {}));
    for models in [update, delete] {
        let error = collection(&peer, "").bulk_write(models).run().unwrap_err();
        assert!(format!("{error:#}").contains("counts"), "{error}");
    }
}

/// A peer whose cursors never end: each `getMore` is answered with an empty batch.
fn empty_batches() -> (Script, Arc<Mutex<Vec<String>>>) {
    let names: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = names.clone();
    let script = peer(move |request| {
        log.lock().unwrap().push(request.name().to_owned());
        let batch = if request.name() == "getMore" { "nextBatch" } else { "firstBatch" };
        wire::raw(&doc! {"ok": 1, "cursor": {"id": 5_i64, "ns": "d.c", batch: []}}).unwrap()
    });
    (script, names)
}

#[test]
fn empty_batches_without_end_end() {
    for options in ["", "socketTimeoutMS=20000", "timeoutMS=0"] {
        let (peer, names) = empty_batches();
        let collection = collection(&peer, options);
        let mut cursor = collection.find(doc! {}).run().unwrap();
        let error = cursor.next().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
        assert!(error.message().contains("1000 empty batches"), "{error}");
        assert!(cursor.next().is_none());
        drop(cursor);
        let names = names.lock().unwrap();
        assert_eq!(names.iter().filter(|name| *name == "getMore").count(), 1000);
        assert_eq!(names.last().unwrap(), "killCursors");
    }
    let (peer, _) = empty_batches();
    let error = collection(&peer, "timeoutMS=200").find(doc! {}).run().unwrap().next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    let (peer, _) = empty_batches();
    let mut tail = collection(&peer, "").find(doc! {}).cursor_type(CursorType::Tailable).run().unwrap();
    assert!((0..2000).all(|_| tail.next().is_none()) && tail.is_alive());
}

/// Of a server that answers at once and has never anything: the iteration of an awaiting cursor ends by `timeoutMS`, or when the client is
/// closed. In between it asks after pauses of 1, 2, 4 and so on up to 100 ms.
#[test]
fn a_wait_without_end_ends() {
    let asked = |names: &Mutex<Vec<String>>| names.lock().unwrap().iter().filter(|name| *name == "getMore").count();
    let awaiting = |collection: &Collection<Document>| {
        collection.find(doc! {}).cursor_type(CursorType::TailableAwait).run().unwrap()
    };
    let (peer, names) = empty_batches();
    let mut tail = awaiting(&collection(&peer, "timeoutMS=200"));
    let error = tail.next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert!(tail.next().is_none());
    assert!(asked(&names) <= 9, "{}", asked(&names));
    // A program that asks itself does not ask more often.
    let (peer, names) = empty_batches();
    let mut tail = awaiting(&collection(&peer, ""));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        assert!(tail.next_if_any().unwrap().is_none() && tail.is_alive());
    }
    assert!(asked(&names) <= 9, "{}", asked(&names));
    let (peer, names) = empty_batches();
    let client = Client::with_uri_str(peer.uri()).unwrap();
    let mut tail = awaiting(&client.database("d").collection("c"));
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || tail.next().unwrap().unwrap_err());
        crate::eventually("several empty batches", || asked(&names) > 8);
        client.close();
        let error = reader.join().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error:?}");
    });
}

#[test]
fn next_if_any_asks_once() {
    for kind in [CursorType::NonTailable, CursorType::Tailable, CursorType::TailableAwait] {
        let (peer, names) = empty_batches();
        let mut cursor = collection(&peer, "").find(doc! {}).cursor_type(kind).run().unwrap();
        for asked in 1..4 {
            assert!(cursor.next_if_any().unwrap().is_none() && cursor.is_alive());
            let names = names.lock().unwrap();
            assert_eq!(names.iter().filter(|name| *name == "getMore").count(), asked, "{kind:?}");
        }
    }
}

/// The server says so before this side has closed the connection that waits.
#[test]
fn what_a_server_says_of_a_cursor_that_close_has_ended_is_not_its_verdict() {
    for code in [43, 237, 11601] {
        let (to_wait, waiting) = mpsc::channel();
        let (to_kill, killed) = mpsc::channel();
        let (to_close, read) = mpsc::channel::<()>();
        let (killed, read) = (Mutex::new(killed), Mutex::new(read));
        let peer = peer(move |request| {
            let reply = match request.name() {
                "find" => doc! {"ok": 1, "cursor": {"id": 5_i64, "ns": "d.c", "firstBatch": []}},
                "getMore" => {
                    let _ = to_wait.send(());
                    let _ = killed.lock().unwrap().recv();
                    doc! {"ok": 0, "code": code, "errmsg": "the cursor was killed"}
                }
                "killCursors" => {
                    let _ = to_kill.send(());
                    let _ = read.lock().unwrap().recv();
                    doc! {"ok": 1}
                }
                _ => doc! {"ok": 1},
            };
            wire::raw(&reply).unwrap()
        });
        let client = Client::with_uri_str(peer.uri()).unwrap();
        let mut tail = client.database("d").collection::<Document>("c").find(doc! {}).run().unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || (tail.next().unwrap().unwrap_err(), tail.next().is_none()));
            waiting.recv().unwrap();
            scope.spawn(|| client.close());
            let (error, ended) = reader.join().unwrap();
            drop(to_close);
            assert!(matches!(error.kind(), ErrorKind::Shutdown) && ended, "{error:?}");
        });
    }
}

/// A cursor's batch whose array has a zero byte before its end. No document comes after it.
fn zero_within(key: &str) -> RawDocumentBuf {
    let mut inner = b"\0\0\0\0\x12id\0\x05\0\0\0\0\0\0\0\x02ns\0\x04\0\0\0d.c\0\x04".to_vec();
    inner.extend_from_slice(key.as_bytes());
    inner.extend_from_slice(b"\0\x06\0\0\0\0\0\0");
    let length = i32::try_from(inner.len()).unwrap().to_le_bytes();
    inner[..4].copy_from_slice(&length);
    let mut reply = wire::raw(&doc! {"ok": 1}).unwrap();
    reply.append(mongo_blocking::bson::raw::cstr!("cursor"), RawDocumentBuf::from_bytes(inner).unwrap());
    reply
}

#[test]
fn a_batch_that_ends_before_its_array_is_refused() {
    let kinds = [CursorType::TailableAwait, CursorType::Tailable, CursorType::NonTailable];
    for (kind, in_first) in kinds.into_iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let asked = Arc::new(Mutex::new(0));
        let count = asked.clone();
        let peer = peer(move |request| match request.name() {
            "getMore" => {
                *count.lock().unwrap() += 1;
                zero_within("nextBatch")
            }
            "find" if in_first => zero_within("firstBatch"),
            _ => wire::raw(&doc! {"ok": 1, "cursor": {"id": 5_i64, "ns": "d.c", "firstBatch": []}}).unwrap(),
        });
        let mut cursor = collection(&peer, "timeoutMS=5000").find(doc! {}).cursor_type(kind).run().unwrap();
        let error = cursor.next().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
        assert!(cursor.next().is_none() && !cursor.has_next() && !cursor.is_alive());
        assert_eq!(*asked.lock().unwrap(), i32::from(!in_first), "{kind:?}");
    }
}

/// Each `getMore` is answered with another cursor id; the last one counts, for `killCursors` and for the list of open cursors.
#[test]
fn a_cursor_whose_id_changes_goes_on() {
    let seen: Arc<Mutex<Vec<Document>>> = Arc::default();
    let log = seen.clone();
    let peer = peer(move |request| {
        let command = request.body.clone();
        let reply = match request.name() {
            "find" => doc! {"ok": 1, "cursor": {"id": 5_i64, "ns": "d.c", "firstBatch": [{"_id": 0}]}},
            "getMore" => {
                let id = command.get_i64("getMore").unwrap() + 1;
                doc! {"ok": 1, "cursor": {"id": id, "ns": "d.c", "nextBatch": [{"_id": id}]}}
            }
            _ => doc! {"ok": 1},
        };
        log.lock().unwrap().push(command);
        wire::raw(&reply).unwrap()
    });
    let collection = collection(&peer, "");
    let read = |cursor: &mut Cursor<Document>| cursor.next().unwrap().unwrap().get("_id").cloned().unwrap();
    let mut cursor = collection.find(doc! {}).run().unwrap();
    assert_eq!(
        [read(&mut cursor), read(&mut cursor), read(&mut cursor)],
        [Bson::Int32(0), Bson::Int64(6), Bson::Int64(7)]
    );
    drop(cursor);
    let killed = |seen: &Mutex<Vec<Document>>| {
        let mut seen = seen.lock().unwrap();
        let kills = seen.iter().filter_map(|command| command.get_array("cursors").ok().cloned()).flatten();
        let kills: Vec<Bson> = kills.collect();
        seen.clear();
        kills
    };
    assert_eq!(killed(&seen), [Bson::Int64(7)]);
    // A client that is closed ends them by the last number, too, and a cursor with another type has it.
    let mut cursor = collection.find(doc! {}).run().unwrap();
    read(&mut cursor);
    read(&mut cursor);
    let mut cursor = cursor.with_type::<RawDocumentBuf>();
    cursor.next().unwrap().unwrap();
    collection.client().clone().close();
    assert_eq!(killed(&seen), [Bson::Int64(7)]);
}

/// An array of that many nulls whose keys are empty: two bytes each.
fn nulls(many: usize) -> Vec<u8> {
    let mut array = (many as i32 * 2 + 5).to_le_bytes().to_vec();
    array.resize(4 + many * 2, 0);
    for at in 0..many {
        array[4 + at * 2] = 0x0a;
    }
    array.push(0);
    array
}

/// A reply with such an array under a key, in an array or a document.
fn of_nulls(key: &str, many: usize) -> RawDocumentBuf {
    let array = nulls(many);
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(b"\x10ok\0\x01\0\0\0");
    bytes.push(4);
    bytes.extend_from_slice(key.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&array);
    bytes.push(0);
    let length = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

/// 47 MB of the smallest values would become gigabytes. The largest reply that a server can legally send is read.
#[test]
fn elements_are_counted_before_a_reply_becomes_a_tree() {
    let reply = of_nulls("values", 23_000_000);
    let hostile = peer(move |_| reply.clone());
    let collection_of = |peer: &Script| collection(peer, "");
    let from_distinct = collection_of(&hostile).distinct("a", doc! {}).run().map(drop).unwrap_err();
    let database = collection_of(&hostile).client().database("d");
    let from_command = database.run_command(doc! {"x": 1}).run().map(drop).unwrap_err();
    for error in [from_distinct, from_command] {
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
        assert!(error.message().contains("values"), "{error}");
    }
    assert!(database.run_command(doc! {"x": 1}).run_raw().unwrap().as_bytes().len() > 46_000_000);
}

#[test]
fn write_errors_cannot_outnumber_the_statements() {
    let error = doc! {"index": 0, "code": 1};
    let peer = saying(&doc! {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [&error, &error, &error]});
    let upserted =
        saying(&doc! {"ok": 1, "n": 3, "nModified": 0, "upserted": [{"index": 0, "_id": 1}, {"index": 0, "_id": 2}]});
    for refused in [
        collection(&peer, "").insert_many([doc! {}, doc! {}]).run().map(drop).unwrap_err(),
        collection(&peer, "").delete_one(doc! {}).run().map(drop).unwrap_err(),
        collection(&upserted, "").update_one(doc! {}, doc! {"$set": {"a": 1}}).run().map(drop).unwrap_err(),
    ] {
        assert!(matches!(refused.kind(), ErrorKind::InvalidResponse { .. }), "{refused:?}");
        assert!(refused.message().contains("more"), "{refused}");
    }
}

/// A handler that panics at `killCursors` would, while another panic unwinds, end the whole process.
#[test]
fn a_cursor_that_is_dropped_while_a_panic_unwinds_calls_nothing() {
    let (peer, names) = empty_batches();
    let handler = EventHandler::new(|event: &CommandEvent| {
        assert!(event.command_name() != "killCursors", "a handler that panics");
    });
    let options = ClientOptions::builder().uri(peer.uri()).command_event_handler(handler).build().settings().unwrap();
    let client = Client::with_options(options).unwrap();
    let collection = client.database("d").collection::<Document>("c");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _cursor = collection.find(doc! {}).run().unwrap();
        panic!("the program's own");
    }));
    assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "the program's own");
    assert!(!names.lock().unwrap().iter().any(|name| name == "killCursors"));
}
