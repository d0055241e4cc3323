//! OCSP answers that the server staples to its certificate.

use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras, Issued};
use mongo_blocking_test_server::peers::{CertStatus, OcspResponder, free_port};

use super::{Place, REVOKED, both};
use crate::matrix::listeners::Listener;
use crate::matrix::table::{Expected, Table};

const DOES_NOT_COUNT: Expected = Expected::Refused(&["stapled to it is not valid"]);
const ANOTHER: Expected = Expected::Refused(&["is about another certificate"]);
const PURPOSE: Expected = Expected::Refused(&["missing ocspsigning usage"]);
const OUT_OF_DATE: Expected = Expected::Refused(&["is out of date"]);
const NOT_YET: Expected = Expected::Refused(&["it is valid only from"]);
const NO_STAPLE: Expected = Expected::Refused(&["promises a stapled OCSP answer"]);
const GOOD: &str = "Good(Staple)";

#[test]
fn stapled_answers() {
    let Some(place) = Place::of(Authority::with_rsa_key()) else { return };
    let (authority, book) = (&place.authority, &place.ocsp_responder);
    let good = place.issue(CertStatus::Good, &Extras::default());
    let revoked = place.issue(CertStatus::Revoked, &Extras::default());
    let unknown = authority.issue_with(CertPurpose::Server, "localhost", &Extras::default());
    let delegate = authority.issue_with(CertPurpose::OcspAnswers, "signer", &Extras::default());
    let no_delegate = authority.issue_with(CertPurpose::Client, "signer", &Extras::default());
    let stranger = Authority::new().issued();
    let foreign_delegate = Authority::new().issue_with(CertPurpose::OcspAnswers, "signer", &Extras::default());

    let request = book.request(&good, &[]);
    let signed_by =
        |signer: Option<&Issued>, more: &[&str]| book.answer(&request, signer, &[&["-ndays", "1"], more].concat());
    let mut trailing = book.answer_about(&good);
    trailing.truncate(trailing.len() - 1);
    let cases: Vec<(&str, &Issued, Vec<u8>, Expected, &str)> = vec![
        ("good", &good, book.answer_about(&good), Expected::Channel, GOOD),
        (
            "good, named by SHA-256",
            &good,
            book.answer(&book.request(&good, &["-sha256"]), None, &["-ndays", "1"]),
            Expected::Channel,
            GOOD,
        ),
        ("good, without an end", &good, book.answer(&request, None, &[]), Expected::Channel, GOOD),
        ("good, by a delegate", &good, signed_by(Some(&delegate), &[]), Expected::Channel, GOOD),
        ("revoked", &revoked, book.answer_about(&revoked), REVOKED, ""),
        ("not known to the responder", &unknown, book.answer_about(&unknown), Expected::Channel, "Unknown"),
        ("out of date", &good, book.answer_at(&good, "20240101000000Z", "20240108000000Z"), OUT_OF_DATE, ""),
        ("from tomorrow on", &good, book.answer_at(&good, "20990101000000Z", "20990108000000Z"), NOT_YET, ""),
        (
            "of long ago, and still holding",
            &good,
            book.answer_at(&good, "20240101000000Z", "20990108000000Z"),
            Expected::Channel,
            GOOD,
        ),
        ("times that are none", &good, book.answer_at(&good, "20241301000000Z", "20990108000000Z"), DOES_NOT_COUNT, ""),
        ("about another certificate", &good, book.answer_about(&revoked), ANOTHER, ""),
        ("by a delegate without the purpose", &good, signed_by(Some(&no_delegate), &[]), PURPOSE, ""),
        ("by a stranger", &good, signed_by(Some(&stranger), &[]), DOES_NOT_COUNT, ""),
        ("by a stranger who is not shown", &good, signed_by(Some(&stranger), &["-resp_no_certs"]), DOES_NOT_COUNT, ""),
        ("by a stranger's delegate", &good, signed_by(Some(&foreign_delegate), &[]), DOES_NOT_COUNT, ""),
        ("with a broken signature", &good, signed_by(None, &["-badsig"]), DOES_NOT_COUNT, ""),
        ("tryLater", &good, vec![0x30, 3, 10, 1, 3], Expected::Refused(&["tryLater"]), ""),
        ("malformed", &good, b"hello".to_vec(), Expected::Refused(&["it cannot be read"]), ""),
        ("malformed, cut off", &good, trailing, Expected::Refused(&["it cannot be read"]), ""),
    ];
    let mut table = Table::new("TLS: stapled OCSP answers");
    for (case, issued, answer, expected, word) in &cases {
        let file = place.file("answer.der", answer);
        // s_server staples nothing that it cannot read itself.
        let s_server = match case.starts_with("malformed") {
            true => None,
            false => Listener::s_server_with(issued, &["-status_file", &file]),
        };
        for listener in Listener::stapling_front(issued, answer).into_iter().chain(s_server) {
            table.row_of_revocation(case, &listener, &place.uri(&listener, "tls=true"), *expected, word);
        }
    }
    let old = |issued: &Issued, answer: &[u8]| {
        FakeServer::builder().tls(&issued.certificate, &issued.key).only_tls_1_2().staples(answer).start()
    };
    for (case, issued, answer, expected, word) in
        cases.iter().filter(|case| ["good", "revoked", "malformed"].contains(&case.0))
    {
        let listener = Listener::FakeServer(old(issued, answer));
        table.row_of_revocation(
            &format!("{case}, TLS 1.2"),
            &listener,
            &place.uri(&listener, "tls=true"),
            *expected,
            word,
        );
    }
    let answer = book.answer_about(&revoked);
    let file = place.file("answer.der", &answer);
    let s_server = Listener::s_server_with(&revoked, &["-status_file", &file]);
    for listener in Listener::stapling_front(&revoked, &answer).into_iter().chain(s_server) {
        place.switches(&mut table, "revoked", &listener, "", REVOKED);
    }
    table.finish();
}

/// Lists and OCSP are not weighed against each other: what one of them calls revoked is refused, and the signer of an answer is
/// looked up in the lists, too.
#[test]
fn stapled_answers_beside_lists() {
    let Some(place) = Place::new() else { return };
    let good = place.issue(CertStatus::Good, &Extras::default());
    let (signer, withdrawn) = (
        place.authority.issue_with(CertPurpose::OcspAnswers, "signer", &Extras::default()),
        place.authority.issue_with(CertPurpose::OcspAnswers, "old signer", &Extras::default()),
    );
    let request = place.ocsp_responder.request(&good, &[]);
    let signed_by = |signer| place.ocsp_responder.answer(&request, signer, &["-ndays", "1"]);
    let answers = [signed_by(None), signed_by(Some(&signer)), signed_by(Some(&withdrawn))];
    place.ocsp_responder.enter(&withdrawn, CertStatus::Revoked);
    let list = place.file("list.pem", place.ocsp_responder.list(false));
    // The book's last word on it.
    let Some(book) = OcspResponder::new(&place.authority) else { return };
    book.enter(&good, CertStatus::Revoked);
    let against = place.file("against.pem", book.list(false));
    let mut table = Table::new("TLS: stapled OCSP answers beside lists");
    for (case, answer, list, expected) in [
        ("both say good", &answers[0], &list, Expected::Channel),
        ("both say good, by a delegate", &answers[1], &list, Expected::Channel),
        ("the delegate is revoked in the list", &answers[2], &list, DOES_NOT_COUNT),
        ("stapled good, revoked in the list", &answers[0], &against, REVOKED),
    ] {
        let file = place.file("answer.der", answer);
        let s_server = Listener::s_server_with(&good, &["-status_file", &file]);
        for listener in Listener::stapling_front(&good, answer).into_iter().chain(s_server) {
            let uri = place.uri(&listener, &format!("tlsCRLFile={list}"));
            table.row_of_revocation(case, &listener, &uri, expected, GOOD);
        }
    }
    table.finish();
}

#[test]
fn must_staple() {
    let Some(place) = Place::new() else { return };
    let promise = Extras { must_staple: true, ..Extras::default() };
    let good = place.issue(CertStatus::Good, &promise);
    let unknown = place.authority.issue_with(CertPurpose::Server, "localhost", &promise);
    let mut table = Table::new("TLS: certificates that promise a stapled answer (must-staple)");
    for (case, issued, expected) in
        [("with a staple", &good, Expected::Channel), ("a staple that knows nothing", &unknown, NO_STAPLE)]
    {
        let answer = place.ocsp_responder.answer_about(issued);
        let file = place.file("answer.der", &answer);
        let s_server = Listener::s_server_with(issued, &["-status_file", &file]);
        for listener in Listener::stapling_front(issued, &answer).into_iter().chain(s_server) {
            table.row_of_revocation(case, &listener, &place.uri(&listener, "tls=true"), expected, GOOD);
        }
    }
    for listener in both(&good) {
        place.switches(&mut table, "without a staple", &listener, "", NO_STAPLE);
    }
    let down = vec![format!("http://127.0.0.1:{}/", free_port())];
    for listener in both(&place.issue(CertStatus::Good, &Extras { responders: down, ..promise })) {
        let uri = place.uri(&listener, "tls=true");
        table.row_of_revocation("without a staple, the responder is down", &listener, &uri, NO_STAPLE, "");
    }
    let list = place.file("list.pem", place.ocsp_responder.list(false));
    for listener in both(&good) {
        let uri = place.uri(&listener, &format!("tlsCRLFile={list}"));
        table.row_of_revocation("without a staple, with a list", &listener, &uri, NO_STAPLE, "");
    }
    table.finish();
}
