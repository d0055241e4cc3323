//! What SChannel and the stores of Windows refuse, told by their codes: each verdict that Wine can give for real.

use std::io::{Read, Write};
use std::{env, fs};

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};
use mongo_blocking_test_server::peers::{Scratch, report};
use mongo_blocking_test_server::script::Script;

/// The error of a ping to a server with this certificate, where these authorities are trusted.
fn refusal(issued: &Issued, authorities: Option<&Authority>) -> Error {
    let server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let options = ClientOptions::builder().host(format!("localhost:{}", server.port())).tls(true);
    let options = match authorities {
        Some(authorities) => options.tls_ca_pem(authorities.pem()),
        None => options,
    };
    Client::with_options(options.build()).unwrap().ping().unwrap_err()
}

fn tells(error: &Error, words: &[&str]) {
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    report(&format!("SChannel under Wine: {}", error.message()));
}

#[test]
fn verdicts_about_certificates() {
    // Wine may take an authority of another test with the same name for the issuer.
    let (authority, stranger) = (Authority::named("an authority of verdicts"), Authority::named("a stranger"));
    let valid = authority.issue(CertPurpose::Server, "localhost");
    tells(
        &refusal(&valid, None),
        &["not from an authority that is trusted (CERT_E_CHAINING, 0x800b010a)", "tlsCAFile"],
    );
    let mut with_root = valid.clone();
    with_root.certificate.push_str(&authority.pem());
    for trusted in [None, Some(&stranger)] {
        let words = ["not from an authority that is trusted (CERT_E_UNTRUSTEDROOT, 0x800b0109)", "tlsCAFile"];
        tells(&refusal(&with_root, trusted), &words);
    }
    let expired = authority.issue_expired(CertPurpose::Server, "localhost");
    tells(
        &refusal(&expired, Some(&authority)),
        &["it has expired, or is not yet valid (CERT_E_EXPIRED, 0x800b0101)", "clock"],
    );
    let other = authority.issue(CertPurpose::Server, "other.example");
    let words = ["hostname mismatch", "(CERT_E_CN_NO_MATCH, 0x800b010f)", "Expected: a certificate for localhost"];
    tells(&refusal(&other, Some(&authority)), &words);
    let of_a_client = authority.issue(CertPurpose::Client, "localhost");
    tells(
        &refusal(&of_a_client, Some(&authority)),
        &["not issued for servers (purpose) (CERT_E_WRONG_USAGE, 0x800b0110)"],
    );
}

/// Wine refuses what it knows no revocation of, whatever the caller says; Windows does not. The equipment of the suite puts that right,
/// unless this variable is set.
#[test]
fn a_verdict_about_revocation() {
    if env::var_os(POLICY).is_some() {
        let authority = Authority::new();
        let valid = authority.issue(CertPurpose::Server, "localhost");
        let words = ["could not find out whether it is revoked (CERT_E_REVOCATION_FAILURE, 0x800b010e)", "certutil"];
        return tells(&refusal(&valid, Some(&authority)), &words);
    }
    child::run(child::command(module_path!(), "a_verdict_about_revocation").env(POLICY, "wine"));
}

/// Read by the equipment of the suite.
const POLICY: &str = "MONGO_BLOCKING_WINE_POLICY";

/// Alerts of a server: one for a handshake that fails, one for its version, one for an error of its own. Wine has one code for all.
#[test]
fn handshakes_without_a_channel() {
    for (alert, words) in [(0x28, "0x80090304"), (0x46, "0x80090304"), (0x50, "0x80090304")] {
        let server = Script::start(move |mut stream, _| {
            let _ = stream.read(&mut [0; 600]);
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, alert]);
            let _ = stream.read(&mut [0; 600]);
        });
        let uri = format!("mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true", server.port());
        let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
        tells(&error, &["no common TLS: an internal error, of the server or of the platform's TLS", words, "log"]);
    }
}

/// Only what was compared is told as a mismatch. Wine does not decode keys in PEM, and its code is told.
#[test]
fn a_key_that_is_refused() {
    let authority = Authority::new();
    let [one, other] = ["ann", "bob"].map(|name| authority.issue(CertPurpose::Client, name));
    let folder = Scratch::new("windows-keys");
    let refused = |certificate: &str, key: &str| {
        let path = folder.path().join("client.pem");
        fs::write(&path, format!("{certificate}{key}")).unwrap();
        let uri = format!("mongodb://localhost/?tls=true&tlsCertificateKeyFile={}", path.display());
        Client::with_uri_str(uri).map(drop).unwrap_err().to_string()
    };
    let mismatch = refused(&one.certificate, &other.key);
    assert!(mismatch.contains("holds a key that does not match the certificate"), "{mismatch}");
    let by_platform = refused(&one.certificate, &one.key);
    for words in ["this platform's TLS (SChannel) refused", "ERROR_FILE_NOT_FOUND, 0x00000002", "store keys"] {
        assert!(by_platform.contains(words), "{words}: {by_platform}");
    }
    assert!(!by_platform.contains("does not match"), "{by_platform}");
    report(&format!("SChannel under Wine: {by_platform}"));
}
