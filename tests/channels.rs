//! The ways to a real server: TLS, a Unix socket, a name, several hosts; and what a server says to the wrong one.

use std::fs;
use std::time::Duration;

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::peers::certs::{Authority, For};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

/// A server that takes TLS only, and the file with its authority.
fn tls_server(folder: &Scratch, version: &str, more: &[&str]) -> Option<(Mongod, String)> {
    let authority = Authority::new();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca_file = write("ca.pem", authority.pem());
    let key_file = write("server.pem", authority.issue(For::Server, "localhost").both());
    let args = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", &key_file, "--tlsCAFile", &ca_file];
    Some((Mongod::start(version, &[&args[..], more].concat())?, ca_file))
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
            let uri = format!("mongodb://{host}:{port}/?tls=true&tlsCAFile={ca_file}");
            let client = Client::with_uri_str(uri).unwrap();
            client.ping().unwrap();
            let text = "x".repeat(200_000);
            let reply = client.database("admin").run_command(doc! { "echo": text.as_str() }).run().unwrap();
            assert_eq!(reply.get_document("echo").unwrap().get_str("echo").unwrap(), text);
        }

        let error = ping(format!("mongodb://localhost:{port}/?tls=true")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls) && error.stage() == Stage::Tls, "{error:?}");
        assert!(error.hint().unwrap().contains("tlsCAFile"), "{error}");

        let error = ping(format!("mongodb://localhost:{port}/")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io) && error.stage() == Stage::Hello, "{error:?}");
        assert!(error.hint().unwrap().contains("tls=true"), "{error}");
    }
}

#[test]
fn a_server_that_wants_a_client_certificate() {
    let folder = Scratch::new("channels-mutual");
    let Some((mongod, ca_file)) = tls_server(&folder, "6.0", &[]) else { return };
    let error = ping(format!("mongodb://localhost:{}/?tls=true&tlsCAFile={ca_file}", mongod.port())).unwrap_err();
    assert!(matches!(error.stage(), Stage::Hello | Stage::Tls), "{error}");
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Io), "{error:?}");
    assert!(error.hint().unwrap().contains("client certificate"), "{error}");
}

#[test]
fn a_server_without_tls() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let error = ping(format!("mongodb://localhost:{}/?tls=true", mongod.port())).unwrap_err();
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
