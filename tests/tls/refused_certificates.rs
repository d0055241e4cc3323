//! What an error tells of a server's certificate that was refused: what was expected, what came, what to do; and that it comes at
//! once. The switches that look away are never the advice.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));

fn fake_server(issued: &Issued) -> FakeServer {
    FakeServer::builder().tls(&issued.certificate, &issued.key).start()
}

/// The error of a ping, which is about the certificate.
fn refusal(uri: &str) -> Error {
    let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error:?}");
    let told = error.to_string();
    for switch in ["tlsInsecure", "tlsAllowInvalid", "danger", "CERT_NONE"] {
        assert!(!told.contains(switch), "{told}");
    }
    error
}

fn tells(error: &Error, words: &[&str]) {
    for word in words {
        assert!(error.message().contains(word), "{word}: {error}");
    }
}

/// By the openssl command.
fn fingerprint(folder: &Scratch, issued: &Issued) -> String {
    let file = folder.file("presented.pem", &issued.certificate);
    let done =
        Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in", &file]).output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    told.trim().split_once('=').expect("a fingerprint").1.to_owned()
}

#[test]
fn what_was_expected_and_what_came() {
    let (folder, authority) = (Scratch::new("refused"), Authority::new());
    let ca = folder.file("ca.pem", authority.pem());
    let issued = authority.issue(CertPurpose::Server, "other.example");
    let fake_server = fake_server(&issued);
    let error = refusal(&format!("mongodb://localhost:{}/?tlsCAFile={ca}", fake_server.port()));
    tells(&error, &["mismatch", "Expected: a certificate for localhost"]);
    assert!(error.hint().unwrap().contains("names in the certificate"), "{error}");
    if NATIVE {
        return tells(&error, &["does not show the one that was presented"]);
    }
    tells(
        &error,
        &[
            &format!("from an authority in tlsCAFile {ca}"),
            "DNS:other.example",
            "subject CN=other.example,O=mongo-blocking tests",
            "issuer CN=mongo-blocking test authority,O=mongo-blocking tests",
            "valid from ",
            " GMT until ",
            &format!("SHA-256 fingerprint {}", fingerprint(&folder, &issued)),
        ],
    );

    let error = refusal(&format!("mongodb://127.0.0.1:{}/?tlsCAFile={ca}", fake_server.port()));
    tells(&error, &["IP address mismatch", "a certificate for 127.0.0.1"]);
}

#[test]
fn a_refusal_names_the_faulty_certificate() {
    let (folder, authority) = (Scratch::new("refused"), Authority::new());
    let ca = folder.file("ca.pem", authority.pem());
    let expired = fake_server(&authority.issue_expired(CertPurpose::Server, "localhost"));
    let error = refusal(&format!("mongodb://localhost:{}/?tlsCAFile={ca}", expired.port()));
    tells(&error, &["expired"]);
    assert!(error.hint().unwrap().contains("clock"), "{error}");

    // Authorities of these tests have the same names, and keys of their own.
    let stranger = Authority::new();
    let above = stranger.intermediate();
    let mut issued = above.issue(CertPurpose::Server, "localhost");
    issued.certificate.push_str(&above.pem());
    let fake_server = fake_server(&issued);
    let error = refusal(&format!("mongodb://localhost:{}/?tlsCAFile={ca}", fake_server.port()));
    if !NATIVE {
        assert!(error.hint().unwrap().contains("with another key: does tlsCAFile"), "{error}");
        tells(
            &error,
            &["signature failure", "DNS:localhost, IP:127.0.0.1, IP:::1", "the fault is further up its chain"],
        );
        tells(&error, &["with subject CN=mongo-blocking intermediate"]);
    }
}

/// `serverSelectionTryOnce=false` goes on trying for 30 seconds where a network failed. A certificate does not get better.
#[test]
fn a_refused_certificate_is_reported_at_once() {
    let authority = Authority::new();
    let expired = fake_server(&authority.issue_expired(CertPurpose::Server, "localhost"));
    let wrong = fake_server(&authority.issue(CertPurpose::Server, "other.example"));
    let folder = Scratch::new("refused");
    let ca = folder.file("ca.pem", authority.pem());
    for fake_server in [expired, wrong] {
        let began = Instant::now();
        refusal(&format!("mongodb://localhost:{}/?tlsCAFile={ca}&serverSelectionTryOnce=false", fake_server.port()));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(fake_server.connections(), 1);
    }
}

/// In a process of its own, since it is about the environment.
#[test]
fn a_system_without_authorities() {
    if let Ok(port) = env::var(PORT) {
        let error = refusal(&format!("mongodb://localhost:{port}/?tls=true"));
        let hint = error.hint().unwrap();
        assert!(hint.contains("tlsCAFile"), "{error}");
        if !NATIVE {
            tells(&error, &["from an authority that this system trusts", "no trusted authorities", "/no/such/file"]);
            assert!(hint.contains("ca-certificates") && hint.contains("SSL_CERT_FILE"), "{error}");
        }
        return;
    }
    let fake_server = fake_server(&Authority::new().issue(CertPurpose::Server, "localhost"));
    child::run(
        child::command(module_path!(), "a_system_without_authorities")
            .env(PORT, fake_server.port().to_string())
            .env("SSL_CERT_FILE", "/no/such/file")
            .env("SSL_CERT_DIR", "/no/such/folder"),
    );
}

/// `tlsCAFile` takes the place of the system's authorities: who is trusted by the system alone is refused. In a process of its own,
/// whose system trusts the server.
#[test]
fn a_file_takes_the_place_of_the_system() {
    if let (Ok(port), Ok(strange)) = (env::var(PORT), env::var(STRANGE)) {
        Client::with_uri_str(format!("mongodb://localhost:{port}/?tls=true")).unwrap().ping().unwrap();
        refusal(&format!("mongodb://localhost:{port}/?tlsCAFile={strange}"));
        return;
    }
    let (folder, authority) = (Scratch::new("refused"), Authority::new());
    let fake_server = fake_server(&authority.issue(CertPurpose::Server, "localhost"));
    child::run(
        child::command(module_path!(), "a_file_takes_the_place_of_the_system")
            .env(PORT, fake_server.port().to_string())
            .env(STRANGE, folder.file("strange.pem", Authority::new().pem()))
            .env("SSL_CERT_FILE", folder.file("ca.pem", authority.pem()))
            .env("SSL_CERT_DIR", "/no/such/folder"),
    );
}

/// Tells the child of a file with an authority that did not issue the server's certificate.
const STRANGE: &str = "MONGO_BLOCKING_TEST_STRANGE";
/// Tells the child where the server is.
const PORT: &str = "MONGO_BLOCKING_TEST_PORT";
