//! `tlsCRLFile`.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use mongo_blocking::Client;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras, Issued};
use mongo_blocking_test_server::peers::{CertStatus, OcspResponder, report};

use super::{Place, REVOKED, both};
use crate::matrix::listeners::Listener;
use crate::matrix::table::{Expected, Table};

const NO_LIST: Expected = Expected::Refused(&["unable to get certificate CRL"]);

#[test]
fn lists_of_revoked_certificates() {
    let Some(place) = Place::new() else { return };
    let good = place.issue(CertStatus::Good, &Extras::default());
    let revoked = place.issue(CertStatus::Revoked, &Extras::default());
    let list = place.file("list.pem", place.ocsp_responder.list(false));
    let elsewhere = place.authority.intermediate();
    let Some(book) = OcspResponder::new(&elsewhere) else { return };
    let of_another = place.file("another.pem", book.list(false));
    let namesake = Authority::new();
    let Some(book) = OcspResponder::new(&namesake) else { return };
    let of_namesake = place.file("namesake.pem", book.list(false));
    let old = place.file("old.pem", place.ocsp_responder.list(true));

    let mut table = Table::new("TLS: lists of revoked certificates");
    let mut rows = |case: &str, issued: &Issued, file: &str, expected, word: &str| {
        let mongod = Listener::mongod(&place.scratch, issued, &place.ca);
        for listener in both(issued).chain(mongod) {
            let uri = place.uri(&listener, &format!("tlsCRLFile={file}"));
            table.row_of_revocation(case, &listener, &uri, expected, word);
        }
    };
    rows("not in the list", &good, &list, Expected::Channel, "Good(Crl)");
    rows("in the list", &revoked, &list, REVOKED, "");
    rows("the list of another authority", &good, &of_another, NO_LIST, "");
    rows("the list of a namesake", &good, &of_namesake, Expected::Refused(&["CRL signature failure"]), "");
    rows("a list out of date", &good, &old, Expected::Refused(&["CRL has expired"]), "");
    for listener in both(&revoked) {
        place.switches(&mut table, "in the list", &listener, &format!("&tlsCRLFile={list}"), REVOKED);
        let older = place.uri(&listener, &format!("ssl_crlfile={list}"));
        table.row_of_revocation("in the list, older name", &listener, &older, REVOKED, "");
        let none = place.uri(&listener, "tls=true");
        table.row_of_revocation("revoked, no list", &listener, &none, Expected::Channel, "names no OCSP responder");
    }
    table.finish();
}

/// Every certificate of the chain is looked up, so every authority's list must be there.
#[test]
fn lists_along_a_chain() {
    let Some(place) = Place::new() else { return };
    let middle = place.authority.intermediate();
    let Some(book) = OcspResponder::new(&middle) else { return };
    let leaf = middle.issue_with(CertPurpose::Server, "localhost", &Extras::default());
    let chain = Issued { certificate: format!("{}{}", leaf.certificate, middle.pem()), key: leaf.key };
    let (of_root, of_middle) = (place.ocsp_responder.list(false), book.list(false));
    let one = place.file("one.pem", &of_middle);
    let two = place.file("two.pem", format!("{of_root}\n{of_middle}"));
    let turned = place.file("turned.pem", format!("a comment\n{of_middle}{}{of_root}", place.authority.pem()));
    place.ocsp_responder.enter(&middle.issued(), CertStatus::Revoked);
    let withdrawn = place.file("withdrawn.pem", format!("{}{of_middle}", place.ocsp_responder.list(false)));

    let mut table = Table::new("TLS: lists of revoked certificates, along a chain");
    for listener in both(&chain) {
        for (case, file, expected) in [
            ("the list of the intermediate only", &one, NO_LIST),
            ("both lists in one file", &two, Expected::Channel),
            ("both lists, the other way round", &turned, Expected::Channel),
            ("the intermediate is revoked", &withdrawn, REVOKED),
        ] {
            let uri = place.uri(&listener, &format!("tlsCRLFile={file}"));
            table.row_of_revocation(case, &listener, &uri, expected, "Good(Crl)");
        }
    }
    table.finish();
}

/// The next connection looks into the new list, also where there is a session of an earlier one.
#[test]
fn a_list_that_is_replaced() {
    let Some(place) = Place::new() else { return };
    let issued = place.issue(CertStatus::Good, &Extras::default());
    let list = place.file("list.pem", place.ocsp_responder.list(false));
    let Some(listener) = Listener::fake_server(&issued) else { return };
    let uri = place.uri(&listener, &format!("tlsCRLFile={list}&maxIdleTimeMS=1"));
    let client = Client::with_uri_str(uri).unwrap();
    let ping = || {
        std::thread::sleep(Duration::from_millis(5));
        client.ping()
    };
    ping().unwrap();
    ping().unwrap();
    let Some(book) = OcspResponder::new(&place.authority) else { return };
    book.enter(&issued, CertStatus::Revoked);
    place.file("list.pem", book.list(false));
    let error = ping().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Tls { .. }) && error.message().contains("certificate revoked"),
        "{error}"
    );
    place.file("list.pem", place.ocsp_responder.list(false));
    ping().unwrap();
}

/// Judged when the client is made.
#[test]
fn files_without_a_revocation_list_are_refused() {
    let Some(place) = Place::new() else { return };
    let list = place.ocsp_responder.list(false);
    let der = openssl::x509::X509Crl::from_pem(list.as_bytes()).unwrap().to_der().unwrap();
    let cut = list.get(..list.len() / 2).unwrap();
    let garbled = list.replacen("\nM", "\n*", 1);
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("empty", b" \n".to_vec(), "is empty"),
        ("text", b"hello".to_vec(), "holds no list"),
        ("certificate", place.authority.pem().into_bytes(), "holds a certificate and no list"),
        ("DER", der, "holds no PEM text"),
        ("cut off", cut.as_bytes().to_vec(), "announces 1 lists, of which 0 could be read"),
        ("garbled", garbled.clone().into_bytes(), "cannot be read"),
        ("one good, one garbled", format!("{list}{garbled}").into_bytes(), "number 2, that cannot be read"),
        ("not UTF-8", vec![0xff; 100], "holds no list"),
    ];
    let mut rows = String::new();
    let mut judge = |case: &str, path: &str, words: &str| {
        let (uri, (done, refused)) = (format!("mongodb://localhost/?tlsCRLFile={path}"), mpsc::channel());
        std::thread::spawn(move || done.send(Client::with_uri_str(uri)));
        let error =
            refused.recv_timeout(Duration::from_secs(20)).expect("an answer, whatever the file is").unwrap_err();
        rows += &format!("{case} | {}\n", error.message());
        assert!(
            matches!(error.kind(), ErrorKind::InvalidTlsConfig { .. }) && error.stage() == Stage::Options,
            "{error}"
        );
        assert!(error.message().contains(words) && error.message().contains("tlsCRLFile"), "{case}: {error}");
    };
    for (case, content, words) in cases {
        judge(case, &place.file("list", content), words);
    }
    judge("missing", "/no/such/list.pem", "cannot be read");
    judge("a folder", place.scratch.path().to_str().unwrap(), "cannot be read");
    let pipe = place.scratch.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Nobody is at its other end: opening it would wait for ever.
    judge("a pipe", pipe.to_str().unwrap(), "is not a regular file");
    let large = place.scratch.path().join("large");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    judge("too large", Path::to_str(&large).unwrap(), "has more than 64 MiB");
    report(&format!("TLS: files that are no lists (tlsCRLFile)\ncase | error\n{rows}"));
}
