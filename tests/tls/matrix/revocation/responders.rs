//! OCSP responders that the certificate names. Ours are `openssl ocsp` behind a small HTTP server on this machine, which also
//! misbehaves. MongoDB asks them, too, for the answer that it staples.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongo_blocking::Client;
use mongo_blocking::error::Stage;
use mongo_blocking::event::{CommandEvent, EventHandler, Revocation, RevocationSource};
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::http::{HttpStub, Reply, Seen, SendMode};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras, Issued};
use mongo_blocking_test_server::peers::{CertStatus, Mongod, OcspResponder, free_port};

use super::{Place, REVOKED, both};
use crate::matrix::listeners::Listener;
use crate::matrix::table::{Expected, Table};

const GOOD: &str = "Good(Responder)";
const WARNED: &str = "with a warning";

/// A responder that behaves as the path of its URL says.
fn responder(place: &Arc<Place>) -> HttpStub {
    let authority = &place.authority;
    let delegate = authority.issue_with(CertPurpose::OcspAnswers, "signer", &Extras::default());
    let no_delegate = authority.issue_with(CertPurpose::Client, "signer", &Extras::default());
    let stranger = Authority::new().issued();
    let other = place.ocsp_responder.request(&place.issue(CertStatus::Good, &Extras::default()), &[]);
    let place = place.clone();
    HttpStub::start(move |seen| {
        let answer = |request: &[u8], signer: Option<&Issued>| {
            Reply::ok(place.ocsp_responder.answer(request, signer, &["-ndays", "1"]))
        };
        match seen.path() {
            "/right" => answer(&seen.body, None),
            "/delegate" => answer(&seen.body, Some(&delegate)),
            "/no-delegate" => answer(&seen.body, Some(&no_delegate)),
            "/stranger" => answer(&seen.body, Some(&stranger)),
            "/other" => answer(&other, None),
            "/no-end" => Reply::ok(place.ocsp_responder.answer(&seen.body, None, &[])),
            "/garbage" => Reply::ok("hello"),
            "/nothing" => Reply::ok(""),
            "/try-later" => Reply::ok([0x30, 3, 10, 1, 3]),
            "/huge" => Reply::ok(vec![0x30; 4096]).sent(SendMode::Endless(64 << 20)),
            "/redirect" => Reply::status(302, "").header("Location", "/right"),
            "/error" => Reply::status(500, "out of order"),
            "/silent" => Reply::ok("").sent(SendMode::Silent),
            "/stalled" => answer(&seen.body, None).sent(SendMode::Stalled),
            "/cut-off" => answer(&seen.body, None).sent(SendMode::CutOff),
            "/dripping" => answer(&seen.body, None).sent(SendMode::Dripping(Duration::from_millis(100))),
            path => panic!("{path}"),
        }
    })
}

fn naming(urls: &[String]) -> Extras {
    Extras { responders: urls.to_vec(), ..Extras::default() }
}

#[test]
fn answers_of_responders() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    let mut table = Table::new("TLS: OCSP responders");
    let mut row = |case: &str, standing, expected, word: &str| {
        let issued = place.issue(standing, &naming(&[stub.url(&format!("/{case}"))]));
        for listener in both(&issued) {
            let asked = stub.seen().len();
            table.row_of_revocation(case, &listener, &place.uri(&listener, "tls=true"), expected, word);
            assert_eq!(stub.seen().len(), asked + 1, "{case}");
        }
    };
    row("right", CertStatus::Good, Expected::Channel, GOOD);
    row("right", CertStatus::Revoked, REVOKED, "");
    row("delegate", CertStatus::Good, Expected::Channel, GOOD);
    row("delegate", CertStatus::Revoked, REVOKED, "");
    row("no-end", CertStatus::Good, Expected::Channel, GOOD);
    for case in
        ["no-delegate", "stranger", "other", "garbage", "nothing", "try-later", "huge", "redirect", "error", "cut-off"]
    {
        row(case, CertStatus::Revoked, Expected::Channel, WARNED);
    }
    let seen = stub.seen();
    let asked: &Seen = seen.first().unwrap();
    assert_eq!((asked.method.as_str(), asked.header("content-type")), ("POST", Some("application/ocsp-request")));

    let unknown = place.authority.issue_with(CertPurpose::Server, "localhost", &naming(&[stub.url("/right")]));
    let down = place.issue(CertStatus::Revoked, &naming(&[format!("http://127.0.0.1:{}/", free_port())]));
    let secure = place.issue(CertStatus::Revoked, &naming(&[stub.url("/right").replace("http:", "https:")]));
    let asked = stub.seen().len();
    for (case, issued, word) in [
        ("not known to the responder", &unknown, WARNED),
        ("the responder is down", &down, WARNED),
        ("only over https", &secure, "over plain HTTP"),
    ] {
        for listener in both(issued) {
            table.row_of_revocation(case, &listener, &place.uri(&listener, "tls=true"), Expected::Channel, word);
        }
    }
    assert_eq!(stub.seen().len(), asked + 2);

    let revoked = place.issue(CertStatus::Revoked, &naming(&[stub.url("/right")]));
    for listener in both(&revoked) {
        place.switches(&mut table, "revoked", &listener, "", Expected::Channel);
    }
    let asked = stub.seen().len();
    let list = place.file("list.pem", place.ocsp_responder.list(false));
    let good = place.issue(CertStatus::Good, &naming(&[stub.url("/right")]));
    for listener in both(&good) {
        for option in
            ["tlsDisableOCSPEndpointCheck=true", "tlsDisableCertificateRevocationCheck=true", "tlsInsecure=true"]
        {
            table.row_of_revocation("nobody is asked", &listener, &place.uri(&listener, option), Expected::Channel, "");
        }
        let uri = place.uri(&listener, &format!("tlsCRLFile={list}"));
        table.row_of_revocation("a list settles it", &listener, &uri, Expected::Channel, "Good(Crl)");
    }
    assert_eq!(stub.seen().len(), asked);
    table.finish();
}

/// A silent one costs five seconds, or half of what is left of a shorter limit, and never the connection.
#[test]
fn slow_responders() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    let mut table = Table::new("TLS: slow OCSP responders");
    for (case, options, least, most) in [
        ("silent", "tls=true", 4900, 8000),
        ("silent", "connectTimeoutMS=2000", 900, 1900),
        ("stalled", "connectTimeoutMS=2000", 900, 1900),
        ("dripping", "connectTimeoutMS=2000", 900, 1900),
        ("silent", "timeoutMS=2000", 900, 1900),
    ] {
        let issued = place.issue(CertStatus::Revoked, &naming(&[stub.url(&format!("/{case}"))]));
        let Some(listener) = Listener::fake_server(&issued) else { return };
        let uri = place.uri(&listener, options);
        let took = table.row_of_revocation(case, &listener, &uri, Expected::Channel, WARNED);
        assert!((least..most).contains(&took.as_millis()), "{case}, {options}: {took:?}");
    }
    table.finish();
}

/// All are asked at once, and the first answer that counts is taken.
#[test]
fn several_responders() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    let down = format!("http://127.0.0.1:{}/", free_port());
    let mut table = Table::new("TLS: several OCSP responders");
    let url = |path: &str| stub.url(path);
    for (case, urls, standing, expected, word) in [
        ("silent and right", vec![url("/silent"), url("/right")], CertStatus::Revoked, REVOKED, ""),
        ("silent and right", vec![url("/silent"), url("/right")], CertStatus::Good, Expected::Channel, GOOD),
        ("garbage, right, down", vec![url("/garbage"), url("/right"), down.clone()], CertStatus::Revoked, REVOKED, ""),
        ("stranger, down", vec![url("/stranger"), down], CertStatus::Revoked, Expected::Channel, WARNED),
        (
            "https and right",
            vec![url("/x").replace("http:", "https:"), url("/right")],
            CertStatus::Revoked,
            REVOKED,
            "",
        ),
        ("more than four", vec![url("/garbage"); 9], CertStatus::Revoked, Expected::Channel, WARNED),
    ] {
        let issued = place.issue(standing, &naming(&urls));
        for listener in both(&issued) {
            let asked = stub.seen().len();
            let took = table.row_of_revocation(case, &listener, &place.uri(&listener, "tls=true"), expected, word);
            assert!(took < Duration::from_secs(4), "{case}: {took:?}");
            assert!(stub.seen().len() <= asked + 4, "{case}");
        }
    }
    table.finish();
}

/// Kept for the client's later connections, until the answer's end; and not where it has none. `s_server` hands out no sessions
/// here, so that each connection has a full handshake.
#[test]
fn answers_are_kept() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    for (path, standing, requests) in [
        ("/right", CertStatus::Good, 1),
        ("/right", CertStatus::Revoked, 1),
        ("/no-end", CertStatus::Good, 3),
        ("/garbage", CertStatus::Good, 3),
    ] {
        let issued = place.issue(standing, &naming(&[stub.url(path)]));
        let no_sessions = ["-num_tickets", "0", "-no_cache", "-no_ticket"];
        let Some(listener) = Listener::s_server_with(&issued, &no_sessions) else { return };
        let asked = stub.seen().len();
        let client = Client::with_uri_str(place.uri(&listener, "tls=true")).unwrap();
        for _ in 0..3 {
            client.ping().unwrap_err();
        }
        assert_eq!(stub.seen().len() - asked, requests, "{path}, {standing:?}");
        // Another client has no part in it.
        Client::with_uri_str(place.uri(&listener, "tls=true")).unwrap().ping().unwrap_err();
        assert_eq!(stub.seen().len() - asked, requests + 1, "{path}, {standing:?}");
    }
}

/// A resumed channel counts on what the full handshake before it found out, and nobody is asked again.
#[test]
fn a_resumed_channel() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    let issued = place.issue(CertStatus::Good, &naming(&[stub.url("/right")]));
    let Some(listener) = Listener::fake_server(&issued) else { return };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_handler = seen.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Succeeded(event) = event {
            let facts = event.connection.tls.as_deref().unwrap();
            of_handler.lock().unwrap().push((facts.resumed, facts.revocation.clone()));
        }
    });
    let options = ClientOptions::builder()
        .uri(place.uri(&listener, "tls=true"))
        .max_idle_time(Duration::from_millis(1))
        .command_event_handler(handler);
    let client = Client::with_options(options.build().settings().unwrap()).unwrap();
    for _ in 0..3 {
        client.ping().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let good = Revocation::Good(RevocationSource::Responder);
    let expected = [(Some(false), good.clone()), (Some(true), good.clone()), (Some(true), good)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(stub.seen().len(), 1);
}

/// A server that staples once and then only that nothing is known: what it stapled first still holds, and nobody is asked.
#[test]
fn stapled_answers_are_cached() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    let issued = place.issue(CertStatus::Good, &naming(&[stub.url("/right")]));
    let Some(empty) = OcspResponder::new(&place.authority) else { return };
    let file = place.file("answer.der", place.ocsp_responder.answer_about(&issued));
    let arguments = ["-num_tickets", "0", "-no_cache", "-no_ticket", "-status_file", &file];
    let Some(listener) = Listener::s_server_with(&issued, &arguments) else { return };
    let uri = place.uri(&listener, "tls=true");
    let ping = |client: &Client| {
        let error = client.ping().unwrap_err();
        assert_eq!(error.stage(), Stage::Hello, "{error}");
    };
    let client = Client::with_uri_str(&uri).unwrap();
    ping(&client);
    fs::write(&file, empty.answer_about(&issued)).unwrap();
    ping(&client);
    assert_eq!(stub.seen().len(), 0);
    ping(&Client::with_uri_str(&uri).unwrap());
    assert_eq!(stub.seen().len(), 1);
}

/// MongoDB asks the responder itself and staples what it says.
#[test]
fn what_mongodb_staples() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let stub = responder(&place);
    let mut table = Table::new("TLS: MongoDB's own staples");
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for (case, standing, promise, arguments, expected, word) in [
        ("it staples", CertStatus::Good, false, &[][..], Expected::Channel, "Good(Staple)"),
        ("it staples, must-staple", CertStatus::Good, true, &[], Expected::Channel, "Good(Staple)"),
        ("it staples nothing", CertStatus::Good, false, &NO_OCSP, Expected::Channel, GOOD),
        ("it staples nothing, must-staple", CertStatus::Good, true, &NO_OCSP, MUST_STAPLE, ""),
        ("revoked, it staples nothing", CertStatus::Revoked, false, &NO_OCSP, REVOKED, ""),
    ] {
        let issued = place.issue(standing, &Extras { must_staple: promise, ..naming(&[stub.url("/right")]) });
        let key = place.file(&format!("mongod-{}.pem", NEXT.fetch_add(1, Ordering::Relaxed)), issued.both());
        let arguments = [&["--tlsAllowConnectionsWithoutCertificates"], arguments].concat();
        let Some(mongod) = Mongod::start_with_tls("6.0", &key, &place.ca, &arguments) else { return };
        let listener = Listener::Mongod(mongod);
        table.row_of_revocation(case, &listener, &place.uri(&listener, "tls=true"), expected, word);
    }
    table.finish();
}

const NO_OCSP: [&str; 2] = ["--setParameter", "ocspEnabled=false"];
const MUST_STAPLE: Expected = Expected::Refused(&["promises a stapled OCSP answer"]);

/// The responder speaks for the authority that issued the certificate, not for the root.
#[test]
fn under_an_intermediate() {
    let Some(place) = Place::new().map(Arc::new) else { return };
    let middle = place.authority.intermediate();
    let Some(book) = OcspResponder::new(&middle) else { return };
    let book = Arc::new(book);
    let of_stub = book.clone();
    let stub = HttpStub::start(move |seen| Reply::ok(of_stub.answer(&seen.body, None, &["-ndays", "1"])));
    let mut table = Table::new("TLS: an OCSP responder of an intermediate authority");
    for (standing, expected) in [(CertStatus::Good, Expected::Channel), (CertStatus::Revoked, REVOKED)] {
        let leaf = middle.issue_with(CertPurpose::Server, "localhost", &naming(&[stub.url("/")]));
        book.enter(&leaf, standing);
        let chain = Issued { certificate: format!("{}{}", leaf.certificate, middle.pem()), key: leaf.key };
        for listener in both(&chain) {
            table.row_of_revocation(
                "under an intermediate",
                &listener,
                &place.uri(&listener, "tls=true"),
                expected,
                GOOD,
            );
        }
    }
    table.finish();
}
