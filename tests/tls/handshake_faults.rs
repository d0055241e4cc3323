//! What goes wrong in a TLS handshake: a peer that stalls or breaks off after each record, that sends something else than TLS, or
//! that is on the wrong port. Each ends in a typed error of its stage, within connectTimeoutMS; who takes one port for another is told so.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, SServer, Scratch};
use mongo_blocking_test_server::script::Script;

/// What a relay does once it has passed its number of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    HangsUp,
    Stalls,
}

/// Passes everything the client sends, and this many TLS records of the server's.
fn relay(client: TcpStream, server: &str, records: usize, then: Then) {
    let Ok(mut server) = TcpStream::connect(server) else { return };
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let mut to_client = client.try_clone().unwrap();
    for _ in 0..records {
        let Some(record) = read_record(&mut server) else { break };
        let _ = to_client.write_all(&record);
    }
    if then == Then::HangsUp {
        let _ = client.shutdown(Shutdown::Both);
    }
    let _ = up.join();
}

/// A record has a head of five bytes, the last two of which tell how many follow.
fn read_record(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut record = vec![0; 5];
    stream.read_exact(&mut record).ok()?;
    let length = usize::from(record[3]) << 8 | usize::from(record[4]);
    record.resize(5 + length, 0);
    stream.read_exact(&mut record[5..]).ok()?;
    Some(record)
}

fn through_relay(fake_server: &FakeServer, ca: &str, records: usize, then: Then, limit: u32) -> Result<(), Error> {
    let server = fake_server.address();
    let peer = Script::start(move |client, _| relay(client, &server, records, then));
    let port = peer.port();
    let uri = format!(
        "mongodb://localhost:{port}/?serverSelectionTryOnce=true&tlsCAFile={ca}&connectTimeoutMS={limit}&socketTimeoutMS={limit}"
    );
    Client::with_uri_str(uri).unwrap().ping()
}

#[test]
fn after_each_record() {
    let (folder, authority) = (Scratch::new("handshake-faults"), Authority::new());
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let ca = ca.to_str().unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let builder = || FakeServer::builder().tls(&issued.certificate, &issued.key);
    for (version, fake_server) in [("TLS 1.3", builder().start()), ("TLS 1.2", builder().only_tls_1_2().start())] {
        for (then, limit) in [(Then::HangsUp, 10_000), (Then::Stalls, 150)] {
            let mut stages = Vec::new();
            for records in 0..MANY {
                let began = Instant::now();
                let Err(error) = through_relay(&fake_server, ca, records, then, limit) else { break };
                let what = format!("{version}, {then:?} after {records} records: {error:?}");
                assert!(began.elapsed() < PROMPT, "{what}");
                assert!(matches!(error.kind(), ErrorKind::Io(_)), "{what}");
                assert_eq!(error.is_network_timeout(), matches!(then, Then::Stalls), "{what}");
                stages.push(error.stage());
            }
            assert!(stages.len() < MANY, "it never came through");
            let handshake = stages.iter().filter(|stage| **stage == Stage::Tls).count();
            assert!(handshake >= 4, "{version}: the handshake has more records than {handshake}");
            stages.dedup();
            assert!(stages.starts_with(&[Stage::Tls]), "{stages:?}");
            assert!(
                stages.iter().all(|stage| matches!(stage, Stage::Tls | Stage::Hello | Stage::Command)),
                "{stages:?}"
            );
        }
    }
}

#[test]
fn garbage_instead_of_a_server_hello() {
    let long_record = [&[0x16, 3, 3, 0xff, 0xff][..], &[0; 70_000]].concat();
    let zeros = vec![0; 2000];
    for (what, bytes) in [
        ("noise", &b"\x8f\x1c\xe2\x07\xaa\x51\x99\x02\x44\x6d\x10\xfe\xc3\x5b"[..]),
        ("zeros", &zeros),
        ("a record of the wrong kind", b"\x17\x03\x03\x00\x05hello"),
        ("a message of the wrong kind", b"\x16\x03\x03\x00\x08\x0b\x00\x00\x04\x00\x00\x00\x00"),
        ("a ServerHello cut short", b"\x16\x03\x03\x00\x06\x02\x00\x00\x02\x03\x03"),
        ("a ServerHello of nothing but its length", b"\x16\x03\x03\x00\x04\x02\xff\xff\xff"),
        ("an empty record", b"\x16\x03\x03\x00\x00"),
        ("a record that is too long", &long_record),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x28"),
        ("an alert that is none", b"\x15\x03\x03\x00\x02\x63\x63"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
        ("SMTP", b"220 mail.example ESMTP\r\n"),
    ] {
        let bytes = bytes.to_vec();
        let peer = Script::start(move |mut stream, _| {
            let _ = stream.read(&mut [0; 2000]);
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        let began = Instant::now();
        let uri =
            format!("mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true&connectTimeoutMS=5000", peer.port());
        let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
        assert!(began.elapsed() < PROMPT, "{what}: {error:?}");
        assert_eq!(error.stage(), Stage::Tls, "{what}: {error:?}");
        assert!(matches!(error.kind(), ErrorKind::Tls { .. } | ErrorKind::Io(_)), "{what}: {error:?}");
        assert!(error.hint().is_some(), "{what}: {error:?}");
    }
}

/// A MongoDB and our own fake server, neither of which speaks TLS there; and something that answers in plain words.
#[test]
fn plain_mongodb_where_tls_is_expected() {
    let fake_server = FakeServer::builder().start();
    let talkative = Script::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 2000]);
        let _ = stream
            .write_all(b"It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n");
    });
    let mongod = Mongod::shared("6.0");
    let ports = [Some(fake_server.port()), Some(talkative.port()), mongod.map(|mongod| mongod.port())];
    for port in ports.into_iter().flatten() {
        let uri = format!("mongodb://localhost:{port}/?serverSelectionTryOnce=true&tls=true&connectTimeoutMS=5000");
        let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
        assert_eq!(error.stage(), Stage::Tls, "{error:?}");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("speak TLS on this port") && hint.contains("tls=true"), "{error}");
    }
}

/// A MongoDB, our own fake server, and `openssl s_server`, none of which speaks anything else than TLS there.
#[test]
fn tls_where_plain_mongodb_is_expected() {
    let (folder, authority) = (Scratch::new("handshake-faults"), Authority::new());
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let (own, ca) = (folder.file("server.pem", issued.both()), folder.file("ca.pem", authority.pem()));
    let fake_server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let s_server = SServer::start(&issued.both(), &[]);
    let mongod = Mongod::start_with_tls("6.0", &own, &ca, &[]);
    let ports = [Some(fake_server.port()), s_server.as_ref().map(SServer::port), mongod.as_ref().map(Mongod::port)];
    for port in ports.into_iter().flatten() {
        let uri = format!("mongodb://localhost:{port}/?serverSelectionTryOnce=true&connectTimeoutMS=5000");
        let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
        assert_eq!(error.stage(), Stage::Hello, "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("tls=true")), "{error:?}");
    }
}

/// Of two limits on connecting, the error names the one that ran out: on a listener that takes connections and never answers.
#[test]
fn the_limit_that_ran_out_is_named() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for (limits, name) in [
        ("serverSelectionTimeoutMS=300&connectTimeoutMS=60000", "serverSelectionTimeoutMS"),
        ("serverSelectionTimeoutMS=300&connectTimeoutMS=0", "serverSelectionTimeoutMS"),
        ("serverSelectionTimeoutMS=60000&connectTimeoutMS=300", "connectTimeoutMS"),
        ("serverSelectionTimeoutMS=60000&timeoutMS=300", "timeoutMS"),
        ("serverSelectionTimeoutMS=60000&connectTimeoutMS=60000&socketTimeoutMS=300", "socketTimeoutMS"),
    ] {
        for tls in [false, true] {
            if tls && name == "socketTimeoutMS" {
                continue; // that one begins when TLS is there
            }
            let uri = format!("mongodb://127.0.0.1:{port}/?serverSelectionTryOnce=true&{limits}&tls={tls}");
            let error = Client::with_uri_str(&uri).unwrap().ping().unwrap_err();
            // When the choice of a server ends, the error tells about each server.
            let is_selection = name == "serverSelectionTimeoutMS";
            assert_eq!(matches!(error.kind(), ErrorKind::ServerSelection { .. }), is_selection, "{uri}: {error:?}");
            assert_eq!(error.is_network_timeout(), !is_selection, "{uri}: {error:?}");
            assert_eq!(matches!(error.kind(), ErrorKind::Timeout { .. }), name == "timeoutMS", "{uri}: {error:?}");
            assert!(error.message().contains(&format!("{name} ran out")), "{uri}: {error}");
        }
    }
}

/// More records than a handshake, a hello and a ping have.
const MANY: usize = 30;
/// Well below any other limit, and above the ones set here.
const PROMPT: Duration = Duration::from_secs(5);
