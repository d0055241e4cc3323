//! Channels to the test server's front, whose side of TLS is OpenSSL's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use bson::doc;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire;

use super::target::{PeerName, peer_name};
use super::*;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Stage};
use crate::options::TlsSettings;
use crate::system::RealSystem;
use crate::warning::WarningSink;

pub(super) fn front(authority: &Authority, name: &str) -> FakeServer {
    let issued = authority.issue(CertPurpose::Server, name);
    FakeServer::builder().tls(&issued.certificate, &issued.key).start()
}

pub(super) fn file(folder: &Scratch, name: &str, content: impl AsRef<[u8]>) -> TlsSettings {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    TlsSettings { ca_file: Some(path), ..TlsSettings::default() }
}

fn connect(options: &TlsSettings, host: &str, port: u16) -> Result<TlsStream<TcpStream>, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let target = Target { host, port, deadline: Deadline::after(Duration::from_secs(30)) };
    Connector::new(options, &RealSystem::shared(), &WarningSink::default()).unwrap().connect(&target, stream)
}

fn refusal(options: &TlsSettings, host: &str, port: u16) -> Error {
    match connect(options, host, port) {
        Err(Failure::Tls(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// One command there and its reply back.
pub(super) fn round_trip(stream: &mut TlsStream<TcpStream>) {
    let command = wire::command_bytes(1, &doc! { "hello": 1, "$db": "admin" }).unwrap();
    stream.write_all(&command).unwrap();
    let reply = wire::read_message(stream).unwrap().unwrap();
    assert!(reply.len() > 50);
}

#[test]
fn a_server_of_a_known_authority_by_each_of_its_names() {
    let (folder, authority) = (Scratch::new("tls"), Authority::new());
    let front = front(&authority, "localhost");
    let options = file(&folder, "ca.pem", authority.pem());
    for host in ["localhost", "localhost.", "127.0.0.1", "::1", "::1%lo"] {
        round_trip(&mut connect(&options, host, front.port()).unwrap());
    }
}

#[test]
fn every_certificate_of_a_bundle_counts() {
    let folder = Scratch::new("tls");
    let authorities = [Authority::new(), Authority::new(), Authority::new()];
    let bundle: String = authorities.iter().map(|authority| format!("# one\n{}", authority.pem())).collect();
    let options = file(&folder, "ca.pem", bundle);
    for authority in &authorities {
        round_trip(&mut connect(&options, "localhost", front(authority, "localhost").port()).unwrap());
    }
}

#[test]
fn a_private_authority_is_not_trusted_unasked() {
    let (folder, authority) = (Scratch::new("tls"), Authority::new());
    let front = front(&authority, "localhost");
    let other = file(&folder, "ca.pem", Authority::new().pem());
    for options in [TlsSettings::default(), other] {
        let error = refusal(&options, "localhost", front.port());
        assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error}");
        assert!(error.message().contains("certificate was refused"), "{error}");
        assert!(error.hint().unwrap().contains("tlsCAFile"), "{error}");
        assert_eq!(error.labels().len(), 0);
    }
}

#[test]
fn the_certificate_must_bear_the_name() {
    let (folder, authority) = (Scratch::new("tls"), Authority::new());
    let front = front(&authority, "other.example");
    let options = file(&folder, "ca.pem", authority.pem());
    for host in ["localhost", "127.0.0.1", "example", "x.other.example"] {
        let error = refusal(&options, host, front.port());
        assert!(error.to_string().to_lowercase().contains("mismatch"), "{error}");
        assert!(error.message().contains(host), "{error}");
        assert!(error.hint().unwrap().contains("names in the certificate"), "{error}");
    }
    round_trip(&mut connect(&options, "other.example", front.port()).unwrap());
}

#[test]
fn a_server_that_speaks_no_tls() {
    let plain = Script::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 600]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 600]);
    });
    let error = refusal(&TlsSettings::default(), "localhost", plain.port());
    assert!(error.hint().unwrap().contains("does not seem to speak TLS"), "{error}");
}

/// A name goes to the server as it stands in the connection string, whatever is verified; an address does not (RFC
/// 6066).
#[test]
fn the_server_is_told_which_name_is_meant() {
    let (folder, authority) = (Scratch::new("tls"), Authority::new());
    let front = front(&authority, "localhost");
    let any_name = |options| TlsSettings { danger_allow_invalid_hostnames: Some(true), ..options };
    let anybody = |options| TlsSettings { danger_insecure: Some(true), ..options };
    let options = || file(&folder, "ca.pem", authority.pem());
    round_trip(&mut connect(&options(), "localhost", front.port()).unwrap());
    round_trip(&mut connect(&any_name(options()), "db.other.example", front.port()).unwrap());
    round_trip(&mut connect(&anybody(options()), "db.other.example.", front.port()).unwrap());
    round_trip(&mut connect(&options(), "127.0.0.1", front.port()).unwrap());
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(front.server_names(), [name("localhost"), name("db.other.example"), name("db.other.example"), None]);
}

#[test]
fn atlas_turns_strangers_away() {
    let internal_error = Script::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 600]);
        let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x50");
        let _ = stream.read(&mut [0; 600]);
    });
    for (host, atlas) in [
        ("cluster0-shard-00-00.ab1cd.mongodb.net", true),
        ("CLUSTER0-shard-00-00.ab1cd.MongoDB.net.", true),
        ("cluster0-shard-00-00.ab1cd.mongodbgov.net", true),
        ("notmongodb.net", false),
        ("mongodb.net.example", false),
    ] {
        let error = refusal(&TlsSettings::default(), host, internal_error.port());
        assert_eq!(error.hint().unwrap().contains("IP access list"), atlas, "{host}: {error}");
    }
}

#[test]
fn a_channel_tells_whether_it_is_idle() {
    let (folder, authority) = (Scratch::new("tls"), Authority::new());
    let front = front(&authority, "localhost");
    let mut stream = connect(&file(&folder, "ca.pem", authority.pem()), "localhost", front.port()).unwrap();
    round_trip(&mut stream);
    stream.get_ref().set_nonblocking(true).unwrap();
    assert!(stream.is_idle() && stream.is_idle());
    stream.get_ref().set_nonblocking(false).unwrap();
    front.hang_up();
    let mut byte = [0];
    // Waits for the end, whichever form it takes.
    assert!(!matches!(stream.read(&mut byte), Ok(1..)));
    stream.get_ref().set_nonblocking(true).unwrap();
    assert!(!stream.is_idle());
}

#[test]
fn files_that_are_no_authorities() {
    let (folder, authority) = (Scratch::new("tls"), Authority::new());
    let key = authority.issue(CertPurpose::Server, "localhost").key;
    let cut = authority.pem().replace("-----END CERTIFICATE-----", "");
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let half_garbled = format!("{}{garbled}", authority.pem());
    for (name, content, words) in [
        ("empty", " \n".to_owned(), "is empty"),
        ("key", key, "holds no certificate, only: PRIVATE KEY"),
        ("text", "hello".to_owned(), "holds no PEM text"),
        ("der", "0\u{1}0".to_owned(), "looks like a certificate in DER"),
        ("cut", cut, "is cut short"),
        ("garbled", garbled, "cannot be read"),
        ("half", half_garbled, "cannot be read: number 2 of 2"),
    ] {
        let error =
            Connector::new(&file(&folder, name, content), &RealSystem::shared(), &WarningSink::default()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidTlsConfig { .. }) && error.stage() == Stage::Options,
            "{error}"
        );
        assert!(error.message().contains(words) && error.message().contains("tlsCAFile"), "{name}: {error}");
    }
    let missing = TlsSettings { ca_file: Some(PathBuf::from("/no/such/ca.pem")), ..TlsSettings::default() };
    let error = Connector::new(&missing, &RealSystem::shared(), &WarningSink::default()).unwrap_err();
    assert!(error.message().contains("tlsCAFile /no/such/ca.pem cannot be read"), "{error}");
}

#[test]
fn hosts_as_they_stand_in_a_connection_string() {
    let ip = |text: &str| PeerName::Ip(text.parse().unwrap());
    assert_eq!(peer_name("fe80::1%eth0"), ip("fe80::1"));
    assert_eq!(peer_name("10.0.0.1"), ip("10.0.0.1"));
    assert_eq!(peer_name("db.example."), PeerName::Dns("db.example"));
}

/// Files are read again when one of them changes, and a pipe to which nobody writes would keep whoever opens it for
/// ever.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_file() {
    let folder = Scratch::new("tls");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let named = |set: fn(&mut TlsSettings, std::path::PathBuf)| {
        let mut options = file(&folder, "ca.pem", Authority::new().pem());
        set(&mut options, pipe.clone());
        Connector::new(&options, &RealSystem::shared(), &WarningSink::default()).unwrap_err()
    };
    for (option, error) in [
        ("tlsCAFile", named(|options, path| options.ca_file = Some(path))),
        ("tlsCertificateKeyFile", named(|options, path| options.certificate_key_file = Some(path))),
        (
            "ssl_keyfile",
            named(|options, path| {
                (options.certificate_key_file, options.key_file) = (options.ca_file.clone(), Some(path));
            }),
        ),
    ] {
        let message = error.message();
        assert!(message.starts_with(option) && message.contains("is not a regular file"), "{option}: {error}");
    }
}
