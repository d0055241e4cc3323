//! A connection against peers whose every byte is decided here.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bson::{doc, rawdoc};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire::{self, Forge, Request};

use super::*;
use crate::error::ErrorKind;
use crate::options::ServerAddress;
use crate::transport::{Route, ShutdownReason};
use crate::wire::Sequence;

/// A connection as it is after its handshake.
fn connect(peer: &Script) -> Connection {
    let address = ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(peer.port()) };
    let transport = Transport::connect(&address, &Route::default(), None, Deadline::NEVER, None).unwrap();
    let mut connection = Connection::new(transport, &address);
    connection.max_reply_bytes = MAX_MESSAGE_BYTES;
    connection
}

/// A peer that answers each request as the closure wants.
fn answering(answer: impl Fn(&mut TcpStream, &Request) + Send + Sync + 'static) -> Script {
    Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            if request.wants_reply() {
                answer(&mut stream, &request);
            }
        }
    })
}

fn honest() -> Script {
    answering(|stream, request| {
        let size = usize::try_from(request.body.get_i32("size").unwrap_or(0)).unwrap();
        let _ = wire::write_reply(stream, request, &doc! { "ok": 1, "text": "x".repeat(size) });
    })
}

fn ping(connection: &mut Connection, deadline: Deadline) -> Result<Reply> {
    ask(connection, 0, deadline)
}

fn ask(connection: &mut Connection, size: i32, deadline: Deadline) -> Result<Reply> {
    let body = rawdoc! { "ping": 1, "size": size };
    connection.run(
        &Message { database: "admin", body: &body, sequence: None, more_to_come: false },
        deadline,
        Instant::now(),
    )
}

fn second(count: u64) -> Deadline {
    Deadline::after(Duration::from_secs(count)).named("socketTimeoutMS")
}

#[test]
fn a_ping_takes_two_system_calls() {
    let peer = honest();
    let mut connection = connect(&peer);
    for _ in 0..50 {
        ping(&mut connection, Deadline::NEVER).unwrap();
    }
    // On Windows the first wait in each direction gets a limit.
    let limits = if cfg!(windows) { 2 } else { 0 };
    assert_eq!(connection.transport.socket_mut().calls, 100 + limits);
}

#[test]
fn an_insert_takes_two_system_calls_and_is_not_copied_when_long() {
    let peer = honest();
    let mut connection = connect(&peer);
    let document = rawdoc! { "_id": 1, "text": "x".repeat(100_000) };
    let body = rawdoc! { "insert": "things" };
    let sequence = Sequence { identifier: "documents", documents: document.as_bytes(), count: 1 };
    connection
        .run(
            &Message { database: "db", body: &body, sequence: Some(sequence), more_to_come: false },
            Deadline::NEVER,
            Instant::now(),
        )
        .unwrap();
    assert!(connection.transport.socket_mut().calls <= 4, "{}", connection.transport.socket_mut().calls);
    assert!(connection.buffers.outgoing.capacity() < 10_000);
}

#[test]
fn replies_of_every_size() {
    let peer = honest();
    let mut connection = connect(&peer);
    let edge = buffers::INCOMING as i32;
    for size in [0, 1, edge - 100, edge - 60, edge - 50, edge - 40, edge, 100_000, 3_000_000, 15_000_000] {
        let reply = ask(&mut connection, size, second(20)).unwrap();
        assert_eq!(reply.document().get_str("text").unwrap().len(), size as usize);
        assert!(!connection.is_broken());
        connection.recycle(reply.into_buffer());
    }
    assert!(connection.buffers.spare.capacity() > 15_000_000);
    connection.buffers.shrink();
    assert_eq!(connection.buffers.spare.capacity(), 0);
}

#[test]
fn a_recycled_buffer_serves_the_next_long_reply() {
    let peer = honest();
    let mut connection = connect(&peer);
    let buffer = ask(&mut connection, 5_000_000, second(20)).unwrap().into_buffer();
    let place = buffer.as_ptr();
    connection.recycle(buffer);
    let reply = ask(&mut connection, 4_000_000, second(20)).unwrap();
    assert_eq!(reply.document().get_str("text").unwrap().len(), 4_000_000);
    let again = reply.into_buffer();
    assert_eq!(again.as_ptr(), place);
}

#[test]
fn one_byte_at_a_time() {
    let peer = answering(|stream, request| {
        for byte in wire::reply_bytes(request, &rawdoc! { "ok": 1 }, &Forge::default()) {
            let _ = stream.write_all(&[byte]);
            thread::sleep(Duration::from_millis(1));
        }
    });
    let mut connection = connect(&peer);
    for _ in 0..3 {
        assert_eq!(ping(&mut connection, second(20)).unwrap().document().get_i32("ok").unwrap(), 1);
    }
}

#[test]
fn one_byte_at_a_time_does_not_stretch_the_deadline() {
    let peer = answering(|stream, request| {
        for byte in wire::reply_bytes(request, &rawdoc! { "ok": 1 }, &Forge::default()) {
            let _ = stream.write_all(&[byte]);
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut connection = connect(&peer);
    let began = Instant::now();
    let limit = Deadline::after(Duration::from_millis(200)).named("timeoutMS");
    let error = ping(&mut connection, limit).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }) && error.message().starts_with("timeoutMS"), "{error}");
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(connection.is_broken());
}

#[test]
fn a_reply_cut_at_every_byte() {
    let whole = wire::reply_bytes(&request(), &rawdoc! { "ok": 1 }, &Forge::default()).len();
    for cut in 0..whole {
        let peer = Script::start(move |mut stream, _| {
            let Ok(Some(request)) = wire::read_request(&mut stream) else { return };
            let bytes = wire::reply_bytes(&request, &rawdoc! { "ok": 1 }, &Forge::default());
            let _ = stream.write_all(&bytes[..cut]);
        });
        let mut connection = connect(&peer);
        let error = ping(&mut connection, second(20)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_network_error(), "{cut}: {error}");
        assert!(error.message().contains("closed the connection"), "{cut}: {error}");
        assert!(cut == 0 || error.message().contains(&format!("after {cut} bytes")), "{cut}: {error}");
        assert!(connection.is_broken() && !connection.is_alive());
        let again = ping(&mut connection, second(20)).unwrap_err();
        assert!(again.message().contains("failed before"), "{again}");
    }
}

#[test]
fn an_announcement_alone_costs_little_room() {
    let peer = answering(|stream, request| {
        let forge = Forge { length: Some(47_999_999), ..Forge::default() };
        let _ = wire::write_forged(stream, request, &doc! { "ok": 1 }, &forge);
    });
    let mut connection = connect(&peer);
    let limit = Deadline::after(Duration::from_millis(100)).named("socketTimeoutMS");
    let error = ping(&mut connection, limit).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{error}");
    assert_eq!(connection.buffers.spare.capacity(), FIRST_ROOM);
}

#[test]
fn forged_replies_break_the_connection() {
    let forge = |forge: fn() -> Forge, words: &str| {
        let peer = answering(move |stream, request| {
            let _ = wire::write_forged(stream, request, &doc! { "ok": 1 }, &forge());
        });
        let mut connection = connect(&peer);
        let error = ping(&mut connection, second(20)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(connection.is_broken());
    };
    forge(|| Forge { length: Some(-1), ..Forge::default() }, "negative length");
    forge(|| Forge { length: Some(0), ..Forge::default() }, "announces 0 bytes");
    forge(|| Forge { length: Some(i32::MAX), ..Forge::default() }, "more than the 48000000");
    forge(|| Forge { length: Some(20), ..Forge::default() }, "after its reply");
    forge(|| Forge { response_to: Some(-7), ..Forge::default() }, "answers message -7");
    forge(|| Forge { op_code: Some(1), ..Forge::default() }, "op code 1");
    forge(|| Forge { op_code: Some(2012), ..Forge::default() }, "op code 2012");
    forge(|| Forge { flags: Some(4), ..Forge::default() }, "flag bits");
    forge(|| Forge { sections: Some(vec![0, 5, 0, 0, 0, 1]), ..Forge::default() }, "not valid BSON");
}

#[test]
fn what_goes_unanswered_leaves_the_connection_usable() {
    let peer = honest();
    let mut connection = connect(&peer);
    let body = rawdoc! { "insert": "things" };
    for _ in 0..3 {
        let message = Message { database: "db", body: &body, sequence: None, more_to_come: true };
        connection.send(&message, Deadline::NEVER, Instant::now()).unwrap();
    }
    assert!(!connection.is_broken() && connection.is_alive());
    ping(&mut connection, second(20)).unwrap();
}

#[test]
fn a_message_that_is_too_long_is_never_sent() {
    let peer = honest();
    let mut connection = connect(&peer);
    Arc::get_mut(&mut connection.description).unwrap().max_message_size_bytes = 1000;
    let body = rawdoc! { "text": "x".repeat(1000) };
    let message = Message { database: "db", body: &body, sequence: None, more_to_come: false };
    let error = connection.run(&message, Deadline::NEVER, Instant::now()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
    assert!(!connection.is_broken());
    ping(&mut connection, second(20)).unwrap();
}

#[test]
fn a_deadline_that_has_passed_sends_nothing() {
    let peer = honest();
    let mut connection = connect(&peer);
    let spent = Deadline::after(Duration::from_nanos(1)).named("timeoutMS");
    while !spent.expired() {}
    let error = ping(&mut connection, spent).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }) && error.message().contains("timeoutMS"), "{error}");
    assert!(!connection.is_broken());
    ping(&mut connection, second(20)).unwrap();
}

#[test]
fn a_shutdown_handle_ends_a_command_promptly() {
    let (arrived, has_arrived) = mpsc::channel();
    let peer = answering(move |_, _| arrived.send(()).unwrap());
    let mut connection = connect(&peer);
    let closer = connection.shutdown_handle();
    let began = Instant::now();
    let command = thread::spawn(move || (ping(&mut connection, second(20)).unwrap_err(), connection.is_broken()));
    has_arrived.recv_timeout(Duration::from_secs(20)).unwrap();
    closer.close(ShutdownReason::Client);
    let (error, broken) = command.join().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Shutdown) && broken, "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn message_numbers_differ_and_are_known_before() {
    let peer = honest();
    let (mut one, mut two) = (connect(&peer), connect(&peer));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10 {
        for connection in [&mut one, &mut two] {
            assert!(seen.insert(connection.next_request_id()));
            ping(connection, second(20)).unwrap();
        }
    }
}

fn request() -> Request {
    wire::parse(wire::command_bytes(1, &doc! { "ping": 1, "$db": "admin" }).unwrap()).unwrap()
}

/// The bytes of a reply that answers a message by its number, and the reply's own number.
fn streamed(request: &Request, answers: i32, counter: i64, more_to_come: bool) -> (Vec<u8>, i32) {
    let flags = Some(if more_to_come { 2 } else { 0 });
    let forge = Forge { response_to: Some(answers), flags, ..Forge::default() };
    let process = bson::oid::ObjectId::from_bytes([1; 12]);
    let body =
        rawdoc! { "ok": 1, "maxWireVersion": 17, "topologyVersion": { "processId": process, "counter": counter } };
    let bytes = wire::reply_bytes(request, &body, &forge);
    let own = i32::from_le_bytes(bytes[4..8].try_into().unwrap());
    (bytes, own)
}

fn stream(connection: &mut Connection) -> Result<StreamedCheck> {
    connection.start_stream(&rawdoc! { "hello": 1 }, second(20))
}

#[test]
fn replies_in_a_stream_two_of_them_in_one_segment() {
    let peer = answering(|stream, request| {
        if request.name() != "hello" {
            let _ = wire::write_reply(stream, request, &doc! { "ok": 1 });
            return;
        }
        assert_eq!(request.flags, 1 << 16);
        let (first, id) = streamed(request, request.request_id, 1, true);
        let (second, id) = streamed(request, id, 2, true);
        let (third, id) = streamed(request, id, 3, true);
        let (last, _) = streamed(request, id, 4, false);
        // The third arrives in two parts, one of them with the two before it.
        let (head, tail) = third.split_at(20);
        let _ = stream.write_all(&[&first[..], &second, head].concat());
        thread::sleep(Duration::from_millis(30));
        let _ = stream.write_all(&[tail, &last].concat());
    });
    let mut connection = connect(&peer);
    let mut check = stream(&mut connection).unwrap();
    for counter in 1..=4 {
        let version = check.reply.get_document("topologyVersion").unwrap();
        assert_eq!((version.get_i64("counter").unwrap(), check.more_to_come), (counter, counter < 4));
        assert_eq!((connection.is_broken(), connection.has_more_to_come()), (counter < 4, counter < 4));
        if counter < 4 {
            check = connection.next_in_stream(second(20)).unwrap();
        }
    }
    ping(&mut connection, second(20)).unwrap();
    assert!(connection.next_in_stream(second(20)).unwrap_err().message().contains("no further reply"));
}

#[test]
fn a_stream_that_breaks_the_rules_breaks_the_connection() {
    let fails = |after: fn(&Request, i32) -> Vec<u8>, words: &str| {
        let peer = Script::start(move |mut stream, _| {
            let Ok(Some(request)) = wire::read_request(&mut stream) else { return };
            let (first, id) = streamed(&request, request.request_id, 1, true);
            let _ = stream.write_all(&[first, after(&request, id)].concat());
        });
        let mut connection = connect(&peer);
        stream(&mut connection).unwrap();
        let error = connection.next_in_stream(second(20)).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(connection.is_broken() && connection.next_in_stream(second(20)).is_err());
    };
    fails(|_, _| Vec::new(), "closed the connection");
    fails(|request, id| streamed(request, id, 2, true).0[..40].to_vec(), "after 40 bytes");
    fails(|request, _| streamed(request, request.request_id, 2, true).0, "answers message");
    fails(|request, id| [streamed(request, id, 2, false).0, vec![0]].concat(), "1 bytes after its last reply");
    fails(|_, _| vec![0xff; 16], "negative length");
}

#[test]
fn a_stream_that_falls_silent_ends_with_its_time_limit() {
    let peer = answering(|stream, request| {
        let _ = stream.write_all(&streamed(request, request.request_id, 1, true).0);
    });
    let mut connection = connect(&peer);
    stream(&mut connection).unwrap();
    let limit = Deadline::after(Duration::from_millis(50)).named("connectTimeoutMS");
    let error = connection.next_in_stream(limit).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Io(_))
            && error.is_timeout()
            && error.message().starts_with("connectTimeoutMS"),
        "{error}"
    );
}

#[test]
fn what_the_server_says_of_a_connection_that_was_closed_here_is_not_its_verdict() {
    for (reason, code) in [(ShutdownReason::Interrupted, 279), (ShutdownReason::Client, 237)] {
        let handle = Arc::new(OnceLock::<ShutdownHandle>::new());
        let of_peer = Arc::clone(&handle);
        let peer = answering(move |stream, request| {
            // Closed, but the thread that reads does not know it yet.
            of_peer.wait().set_reason(reason);
            let _ = wire::write_reply(stream, request, &doc! { "ok": 0, "code": code });
        });
        let mut connection = connect(&peer);
        let _ = handle.set(connection.shutdown_handle());
        let error = ping(&mut connection, second(10)).unwrap_err();
        match reason {
            ShutdownReason::Client => assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error}"),
            _ => assert!(matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. }), "{error}"),
        }
        assert!(connection.is_broken());
        // What the peer reads ends.
        connection.shutdown_handle().close(reason);
    }
}
