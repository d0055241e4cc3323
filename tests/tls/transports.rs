//! The ways to a real server: TLS, a Unix socket, a name, several hosts; and what a server says to the wrong one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::{CommandEvent, EventHandler, Revocation, TlsInfo};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));
const NATIVE_BACKEND: &str = if cfg!(windows) { "SChannel" } else { "native-tls" };

/// A server that takes TLS only, and the file with its authority.
fn tls_server(folder: &Scratch, version: &str, more: &[&str]) -> Option<(Mongod, String)> {
    let authority = Authority::new();
    let ca_file = folder.file("ca.pem", authority.pem());
    let key_file = folder.file("server.pem", authority.issue(CertPurpose::Server, "localhost").both());
    Some((Mongod::start_with_tls(version, &key_file, &ca_file, more)?, ca_file))
}

fn ping(uri: String) -> Result<(), Error> {
    Client::with_uri_str(uri)?.ping()
}

#[test]
fn tls_with_a_private_authority() {
    for version in ["6.0", "4.2"] {
        let folder = Scratch::new("channels-tls");
        let more = ["--tlsAllowConnectionsWithoutCertificates"];
        let Some((mongod, ca_file)) = tls_server(&folder, version, &more) else { return };
        let port = mongod.port();
        for host in ["localhost", "127.0.0.1"] {
            let uri = format!("mongodb://{host}:{port}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={ca_file}");
            let client = Client::with_uri_str(uri).unwrap();
            client.ping().unwrap();
            let text = "x".repeat(200_000);
            let reply = client.database("admin").run_command(doc! { "echo": text.as_str() }).run().unwrap();
            assert_eq!(reply.get_document("echo").unwrap().get_str("echo").unwrap(), text);
        }

        let error = ping(format!("mongodb://localhost:{port}/?serverSelectionTryOnce=true&tls=true")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error:?}");
        assert!(error.hint().unwrap().contains("tlsCAFile"), "{error}");

        let error = ping(format!("mongodb://localhost:{port}/?serverSelectionTryOnce=true")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.stage() == Stage::Hello, "{error:?}");
        assert!(error.hint().unwrap().contains("tls=true"), "{error}");
    }
}

/// The facts of the channel that a ping went through.
fn facts(uri: String) -> Option<TlsInfo> {
    let seen = Arc::new(Mutex::new(None));
    let of_handler = seen.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Succeeded(event) = event {
            *of_handler.lock().unwrap() = event.connection.tls.as_deref().cloned();
        }
    });
    let options = ClientOptions::builder().uri(uri).command_event_handler(handler).build().settings().unwrap();
    Client::with_options(options).unwrap().ping().unwrap();
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[test]
fn the_tls_facts_of_a_connection_are_reported() {
    let folder = Scratch::new("channels-facts");
    let more = ["--tlsAllowConnectionsWithoutCertificates"];
    let Some((mongod, ca_file)) = tls_server(&folder, "6.0", &more) else { return };
    let uri = |host: &str| {
        format!("mongodb://{host}:{}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={ca_file}", mongod.port())
    };
    let told = facts(uri("localhost")).unwrap();
    let chain = ["CN=localhost,O=mongo-blocking tests", "CN=mongo-blocking test authority,O=mongo-blocking tests"];
    assert_eq!(told.peer_chain, chain[..if NATIVE { 1 } else { 2 }]);
    let judged = matches!(&told.revocation, Revocation::Unknown(why) if why.contains("names no OCSP responder"));
    assert!(judged != NATIVE && (told.revocation == Revocation::LeftToPlatform) == NATIVE, "{:?}", told.revocation);
    match NATIVE {
        true => assert_eq!((told.backend.as_str(), told.protocol, told.resumed), (NATIVE_BACKEND, None, None)),
        false => {
            assert!(told.backend.starts_with("OpenSSL "), "{}", told.backend);
            assert_eq!((told.protocol.as_deref(), told.resumed), (Some("TLSv1.3"), Some(false)));
            assert!(told.cipher.is_some_and(|cipher| cipher.starts_with("TLS_")));
        }
    }
    let Some(plain) = Mongod::shared("6.0") else { return };
    assert_eq!(facts(format!("mongodb://localhost:{}/", plain.port())), None);
}

#[test]
fn a_server_that_wants_a_client_certificate() {
    let folder = Scratch::new("channels-mutual");
    let Some((mongod, ca_file)) = tls_server(&folder, "6.0", &[]) else { return };
    let error = ping(format!(
        "mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={ca_file}",
        mongod.port()
    ))
    .unwrap_err();
    assert!(matches!(error.stage(), Stage::Hello | Stage::Tls), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Tls { .. } | ErrorKind::Io(_)), "{error:?}");
    assert!(error.hint().unwrap().contains("client certificate"), "{error}");
}

#[test]
fn a_server_without_tls() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let error =
        ping(format!("mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true", mongod.port())).unwrap_err();
    assert_eq!(error.stage(), Stage::Tls, "{error}");
    assert!(error.hint().unwrap().contains("does the server speak TLS"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let path = mongod.unix_socket().to_str().unwrap().replace('/', "%2F");
    let client = Client::with_uri_str(format!("mongodb://{path}/")).unwrap();
    client.ping().unwrap();
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run().unwrap();
    assert_eq!(status.get_f64("ok").unwrap(), 1.0);
}

#[test]
fn a_server_that_is_not_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for host in ["localhost", "127.0.0.1"] {
        let error = ping(format!("mongodb://{host}:{port}/?serverSelectionTimeoutMS=2000")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("connection refused") && text.contains("is the server running"), "{text}");
        assert!(error.elapsed().is_some_and(|took| took < Duration::from_secs(5)), "{error}");
    }
}
