//! Peers that break the rules below the commands: bytes that are no messages, messages that nobody asked for, replies
//! that are cut, stretched or piled up, TLS that is none.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, doc, rawdoc};
use mongo_blocking::bson;
use mongo_blocking::error::{ErrorKind, RETRYABLE_ERROR, SYSTEM_OVERLOADED_ERROR, Stage};
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::fake_server::{Answer, Behaviour, FakeServer, Forge};
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::tls_flood::{self, Flood};
use mongo_blocking_test_server::wire::{self, Request};

use super::{MUCH, PROMPT, once, refused, stage_name, virtual_peak};

/// A server without users whose reply of this number (1: hello, 2: ping) is forged.
fn forged(reply: usize, forge: Forge) -> Error {
    refused(&FakeServer::builder().behaviour(Behaviour::ForgeReply(reply, forge)).start())
}

/// A server that answers the command `ping` with bytes of ours.
fn answering_ping(bytes: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> FakeServer {
    FakeServer::builder()
        .on_command(move |request, _| (request.name() == "ping").then(|| Answer::Bytes(bytes(request))))
        .start()
}

/// The error of a client that pings a peer which is no fake server. It may take neither long nor much memory.
fn refused_by(peer: &Script, options: &str) -> Error {
    let before = virtual_peak();
    let began = Instant::now();
    let error = Client::with_uri_str(format!("{}?serverSelectionTryOnce=true&{options}", peer.uri()))
        .unwrap()
        .ping()
        .unwrap_err();
    assert!(began.elapsed() < PROMPT, "it took {:?}: {error}", began.elapsed());
    assert!(virtual_peak() - before < MUCH, "it asked for much memory: {error}");
    assert_eq!(error.address(), Some(&*peer.address()), "{error}");
    assert!(error.elapsed().is_some(), "{error}");
    error
}

fn honest_reply(request: &Request) -> Vec<u8> {
    wire::reply_bytes(request, &rawdoc! { "ok": 1 }, &Forge::default())
}

#[test]
fn a_reply_that_is_shorter_than_it_says_is_waited_for_no_longer_than_allowed() {
    for length in [100, 20_000, 47_999_999] {
        let fake_server = answering_ping(move |request| {
            let forge = Forge { length: Some(length), ..Forge::default() };
            wire::reply_bytes(request, &rawdoc! { "ok": 1 }, &forge)
        });
        let client =
            Client::with_uri_str(format!("{}?serverSelectionTryOnce=true&socketTimeoutMS=200", fake_server.uri()))
                .unwrap();
        let before = virtual_peak();
        let began = Instant::now();
        let error = client.ping().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Io(_)) && error.is_network_timeout() && error.stage() == Stage::Command,
            "{error:?}"
        );
        assert!(error.message().contains("socketTimeoutMS"), "{error}");
        assert!((200..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert!(virtual_peak() - before < MUCH, "{error}");
        // The connection was given up, and the next operation has one of its own.
        let opened = fake_server.connections();
        client.ping().unwrap_err();
        assert_eq!(fake_server.connections(), opened + 1);
    }
}

/// Before the login a server has proved nothing, so it gets no more room than an honest one needs.
#[test]
fn a_hello_that_announces_megabytes_is_not_read() {
    for length in [2_000_000, 47_999_999] {
        let error = forged(1, Forge { length: Some(length), ..Forge::default() });
        assert!(
            matches!(error.kind(), ErrorKind::InvalidResponse { .. }) && error.stage() == Stage::Hello,
            "{error:?}"
        );
        assert!(error.message().contains("before the login; 1048576 are allowed"), "{error}");
    }
}

#[test]
fn a_reply_that_is_longer_than_it_says() {
    let fake_server = answering_ping(|request| [honest_reply(request), vec![0; 10]].concat());
    let error = refused(&fake_server);
    assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
    assert!(error.message().contains("10 bytes after its reply"), "{error}");
}

#[test]
fn two_replies_to_one_command() {
    let fake_server = answering_ping(|request| honest_reply(request).repeat(2));
    assert!(refused(&fake_server).message().contains("bytes after its reply"));
}

/// The second reply comes when nobody waits for one: the next command takes it for its own and sees that it is not.
#[test]
fn a_late_reply_is_not_read_as_the_next_one() {
    let (read, is_read) = mpsc::channel();
    let (written, is_written) = mpsc::channel();
    let ends = Mutex::new((is_read, written));
    let late = Script::start(move |mut stream, _| {
        let (is_read, written) = &*ends.lock().unwrap();
        let Ok(Some(hello)) = wire::read_request(&mut stream) else { return };
        let _ = wire::write_reply(&mut stream, &hello, &hello_document());
        let Ok(Some(first)) = wire::read_request(&mut stream) else { return };
        let _ = stream.write_all(&honest_reply(&first));
        is_read.recv_timeout(PROMPT).unwrap();
        let _ = stream.write_all(&honest_reply(&first));
        written.send(()).unwrap();
        let _ = stream.read(&mut [0; 1000]);
    });
    let client = Client::with_uri_str(once(&late.uri())).unwrap();
    client.ping().unwrap();
    read.send(()).unwrap();
    is_written.recv_timeout(PROMPT).unwrap();
    let error = client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
    assert!(error.message().contains("answers message"), "{error}");
}

#[test]
fn a_reply_that_announces_more() {
    let error = forged(2, Forge { flags: Some(2), ..Forge::default() });
    assert!(error.message().contains("more replies, which we did not ask for"), "{error}");
}

#[test]
fn sections_that_no_reply_has() {
    let body = rawdoc! { "ok": 1 }.into_bytes();
    let section = |kind: u8| [&[kind][..], &body].concat();
    let mut longer = section(0);
    longer[1] += 1;
    let mut shorter = section(0);
    shorter[1] -= 1;
    for (sections, words) in [
        (Vec::new(), "no section"),
        (section(1), "document sequence"),
        (section(2), "unknown kind 2"),
        (section(0).repeat(2), "two body sections"),
        ([section(0), section(1)].concat(), "document sequence"),
        ([section(0), vec![7]].concat(), "1 bytes after its document"),
        (longer, "announces"),
        (shorter, "after its document"),
    ] {
        let error = forged(2, Forge { sections: Some(sections), ..Forge::default() });
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
        assert!(error.message().contains(words), "{error} does not say: {words}");
    }
}

#[test]
fn every_other_flag_and_a_checksum_are_fine() {
    let fake_server = answering_ping(|request| {
        let body = rawdoc! { "ok": 1 };
        let sections = [&[0][..], body.as_bytes(), &[1, 2, 3, 4]].concat();
        wire::reply_bytes(
            request,
            &body,
            &Forge { flags: Some(0xffff_0001), sections: Some(sections), ..Forge::default() },
        )
    });
    Client::with_uri_str(once(&fake_server.uri())).unwrap().ping().unwrap();
}

#[test]
fn a_document_nested_without_end() {
    for (levels, kind) in [(300, 3), (300, 4), (1_000_000, 3), (1_000_000, 4)] {
        let fake_server =
            answering_ping(move |request| wire::reply_bytes(request, &nested(levels, kind), &Forge::default()));
        let client = Client::with_uri_str(once(&fake_server.uri())).unwrap();
        let error = client.database("admin").run_command(doc! { "ping": 1 }).run().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)), "{error:?}");
        assert!(error.message().contains("levels deep"), "{error}");
    }
}

#[test]
fn one_byte_at_a_time_is_slow_and_right() {
    let fake_server = FakeServer::builder().behaviour(Behaviour::Drip).start();
    let client = Client::with_uri_str(once(&fake_server.uri())).unwrap();
    for _ in 0..3 {
        client.ping().unwrap();
    }
    assert_eq!(fake_server.connections(), 1);
}

#[test]
fn something_else_listens_there() {
    for (greeting, options, words) in [
        (&b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..], "", "more than the 48000000"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "", "more than the 48000000"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "tls=true", "no common TLS"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "", "is not"),
    ] {
        let peer = Script::start(move |mut stream, _| {
            let _ = stream.read(&mut [0; 2000]);
            let _ = stream.write_all(greeting);
            let _ = stream.read(&mut [0; 2000]);
        });
        let error = refused_by(&peer, &format!("{options}&socketTimeoutMS=500"));
        let seven_bytes_only = greeting.len() < 16;
        assert!(seven_bytes_only || error.message().contains(words), "{error} does not say: {words}");
        assert!(matches!(error.stage(), Stage::Hello | Stage::Tls), "{error}");
        assert!(seven_bytes_only || error.hint().is_some(), "{error}");
    }
}

#[test]
fn a_server_that_wants_tls_closes_a_plain_connection() {
    let rude = Script::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 2000]);
    });
    let error = refused_by(&rude, "socketTimeoutMS=5000");
    assert_eq!(error.stage(), Stage::Hello);
    assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error:?}");
    assert!(error.hint().unwrap().contains("tls=true"), "{error}");
    assert!(error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR), "{error:?}");
}

#[test]
fn tls_that_is_cut_at_every_byte() {
    let (folder, authority) = (Scratch::new("hostile-tls"), Authority::with_rsa_key());
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let issued = authority.issue_rsa(CertPurpose::Server, "localhost");
    let fake_server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let whole = cut_after(&fake_server, usize::MAX, &ca_file).unwrap();
    assert_eq!(whole, 0);
    let mut seen = Vec::new();
    // With RSA the handshake has some 1,500 bytes; a step that shares no factor with its parts meets all kinds of places.
    for bytes in (0..2000).step_by(37) {
        if let Err(error) = cut_after(&fake_server, bytes, &ca_file) {
            assert!(matches!(error.kind(), ErrorKind::Io(_)), "after {bytes} bytes: {error:?}");
            assert!(error.contains_label(RETRYABLE_ERROR), "after {bytes} bytes: {error:?}");
            seen.push(error.stage());
        }
    }
    seen.dedup();
    assert_eq!(seen, [Stage::Tls, Stage::Hello]);
}

#[test]
fn an_idle_tls_connection_that_is_flooded_with_new_keys_is_given_up_at_once() {
    is_given_up_at_once(Flood::KeyUpdates);
}

#[test]
fn an_idle_tls_connection_that_is_flooded_with_session_tickets_is_given_up_at_once() {
    is_given_up_at_once(Flood::SessionTickets);
}

/// The look at an idle connection must neither take long nor hold up other threads, whatever the server sends meanwhile.
fn is_given_up_at_once(flood: Flood) {
    let (folder, authority) = (Scratch::new("tls-flood"), Authority::new());
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let server = tls_flood::start(flood, &issued.certificate, &issued.key, 2);
    let options = format!("tls=true&tlsCAFile={}&timeoutMS=3000", ca_file.display());
    let client =
        Client::with_uri_str(format!("mongodb://localhost:{}/?serverSelectionTryOnce=true&{options}", server.port()))
            .unwrap();
    client.ping().unwrap();
    // Connections are looked at once they have been idle for a second.
    thread::sleep(Duration::from_millis(1100));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.ping().unwrap());
        }
    });
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    assert!(server.connections() > 1);
    client.close();
}

/// Pings through a relay that passes this many bytes of the server's and hangs up.
fn cut_after(fake_server: &FakeServer, bytes: usize, ca_file: &std::path::Path) -> Result<usize, Error> {
    let server = fake_server.address();
    let relay = Script::start(move |client, _| relay(client, &server, bytes));
    let uri = format!(
        "mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={}",
        relay.port(),
        ca_file.display()
    );
    Client::with_uri_str(uri).unwrap().ping().map(|()| 0)
}

fn relay(client: TcpStream, server: &str, bytes: usize) {
    let Ok(server) = TcpStream::connect(server) else { return };
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Both);
    });
    let mut to_client = client.try_clone().unwrap();
    let _ = std::io::copy(&mut server.take(bytes as u64), &mut to_client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = up.join();
}

#[test]
fn an_unverifiable_certificate_is_not_reported_as_overload() {
    let issued = Authority::new().issue(CertPurpose::Server, "localhost");
    let fake_server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let error = Client::with_uri_str(format!(
        "mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true",
        fake_server.port()
    ))
    .unwrap()
    .ping()
    .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{error:?}");
    assert_eq!((error.stage(), error.labels().len()), (Stage::Tls, 0), "{error:?}");
    assert_eq!(fake_server.command_count(), 0);
}

#[test]
fn a_connection_that_died_while_idle_costs_no_operation() {
    let fake_server = FakeServer::builder().start();
    let client = Client::with_uri_str(once(&fake_server.uri())).unwrap();
    client.ping().unwrap();
    fake_server.hang_up();
    // A connection is looked at once it lay idle for a second.
    thread::sleep(Duration::from_millis(1200));
    client.ping().unwrap();
    assert_eq!(fake_server.connections(), 2);
}

#[test]
fn closing_the_client_ends_an_unanswered_command() {
    let fake_server = FakeServer::builder().behaviour(Behaviour::StallAtReply(2)).start();
    let client = Client::with_uri_str(once(&fake_server.uri())).unwrap();
    let stuck = {
        let client = client.clone();
        thread::spawn(move || client.ping().unwrap_err())
    };
    assert!(fake_server.wait_until(PROMPT, |fake_server| fake_server.command_count() >= 2));
    let began = Instant::now();
    client.close();
    let error = stuck.join().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error:?}");
    assert_eq!(stage_name(&error), "command");
    assert!(began.elapsed() < PROMPT);
}

fn hello_document() -> bson::Document {
    doc! {
        "ismaster": true, "maxWireVersion": 17, "minWireVersion": 0, "maxBsonObjectSize": 16_777_216,
        "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "ok": 1,
    }
}

/// A good reply but for a document (kind 3) or array (kind 4) of that many levels in it.
fn nested(levels: usize, kind: u8) -> RawDocumentBuf {
    // From the inside out, back to fake server, so that each level is a push.
    let mut inner = vec![5, 0, 0, 0, 0];
    let mut length = 5_i32;
    let mut heads = Vec::with_capacity(levels);
    for _ in 1..levels {
        length += 8;
        heads.push(length);
    }
    let mut bytes = Vec::with_capacity(length as usize);
    for head in heads.iter().rev() {
        bytes.extend_from_slice(&head.to_le_bytes());
        bytes.extend_from_slice(&[kind, b'0', 0]);
    }
    bytes.append(&mut inner);
    bytes.resize(length as usize, 0);
    let mut reply = rawdoc! { "ok": 1 };
    reply.append(bson::raw::cstr!("deep"), RawDocumentBuf::from_bytes(bytes).unwrap());
    reply
}
