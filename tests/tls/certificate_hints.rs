//! Hints about a refused server certificate name what is at fault: an authority's own certificate, one that is missing in the
//! chain, or the server's.

use std::fs;

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));

/// The error of a ping to a server with this certificate, where `ca` is in tlsCAFile.
fn refusal(issued: &Issued, ca: &str) -> Error {
    let folder = Scratch::new("hints");
    let path = folder.path().join("ca.pem");
    fs::write(&path, ca).unwrap();
    let server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let uri =
        format!("mongodb://localhost:{}/?serverSelectionTryOnce=true&tlsCAFile={}", server.port(), path.display());
    let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error:?}");
    error
}

fn hints(error: &Error, words: &[&str]) {
    let hint = error.hint().unwrap();
    for word in words {
        assert!(NATIVE || hint.contains(word), "{word}: {error}");
    }
}

#[test]
fn an_expired_root_is_not_the_servers_fault() {
    let authority = Authority::new();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let error = refusal(&issued, &authority.expired().pem());
    assert!(NATIVE || error.message().contains("expired"), "{error}");
    hints(&error, &["the authority CN=mongo-blocking test authority", "in tlsCAFile, is out of date"]);
    assert!(NATIVE || !error.hint().unwrap().contains("the server needs"), "{error}");
}

#[test]
fn an_expired_intermediate_is_named() {
    let root = Authority::new();
    let middle = root.intermediate();
    let mut issued = middle.issue(CertPurpose::Server, "localhost");
    issued.certificate.push_str(&middle.expired_below(&root).pem());
    let error = refusal(&issued, &root.pem());
    hints(&error, &["the server sends an intermediate certificate, CN=mongo-blocking intermediate", "out of date"]);
}

/// An intermediate authority and a cross-signed root are in the file, the root above both is not.
#[test]
fn the_missing_issuer_is_named() {
    let (old_root, new_root) = (Authority::named("old root"), Authority::named("new root"));
    let cross = new_root.cross_signed_by(&old_root);
    let middle = new_root.intermediate();
    let mut issued = middle.issue(CertPurpose::Server, "localhost");
    issued.certificate.push_str(&middle.pem());
    let error = refusal(&issued, &format!("{}{}", middle.pem(), cross.pem()));
    hints(&error, &["tlsCAFile holds the certificate CN=new root", "not that of its issuer CN=old root", "add"]);
    let error = refusal(&issued, &middle.pem());
    hints(&error, &["tlsCAFile holds the certificate CN=mongo-blocking intermediate", "issuer CN=new root"]);
}

#[test]
fn a_server_that_sends_only_its_leaf() {
    let root = Authority::new();
    let issued = root.intermediate().issue(CertPurpose::Server, "localhost");
    let error = refusal(&issued, &root.pem());
    hints(
        &error,
        &["sends its own certificate alone", "issuer CN=mongo-blocking intermediate", "must send", "tlsCAFile"],
    );
}

#[test]
fn another_authority() {
    let issued = Authority::new().issue(CertPurpose::Server, "localhost");
    let error = refusal(&issued, &Authority::new().pem());
    hints(&error, &["tlsCAFile", "another key"]);
    let error = refusal(&issued, &Authority::named("another").pem());
    hints(&error, &["CN=mongo-blocking test authority", "tlsCAFile"]);
}
