//! Whether the server's certificate is revoked: the lists of `tlsCRLFile`, stapled OCSP answers, and OCSP responders. The other
//! sides are `openssl ca`, `openssl ocsp`, `openssl s_server` and MongoDB, beside our own fake server.

mod lists;
mod responders;
mod stapled;

use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras, Issued};
use mongo_blocking_test_server::peers::{CertStatus, OcspResponder, Scratch};

use crate::matrix::listeners::Listener;
use crate::matrix::table::{Expected, Table};

const REVOKED: Expected = Expected::Refused(&["revoked"]);

/// An authority, its book, and a folder.
struct Place {
    scratch: Scratch,
    authority: Authority,
    ocsp_responder: OcspResponder,
    ca: String,
}

impl Place {
    fn new() -> Option<Place> {
        Place::of(Authority::new())
    }

    fn of(authority: Authority) -> Option<Place> {
        let scratch = Scratch::new("revocation");
        let ocsp_responder = OcspResponder::new(&authority)?;
        let mut place = Place { scratch, ocsp_responder, authority, ca: String::new() };
        place.ca = place.file("ca.pem", place.authority.pem());
        Some(place)
    }

    /// A server's certificate in the book.
    fn issue(&self, standing: CertStatus, extras: &Extras) -> Issued {
        let issued = self.authority.issue_with(CertPurpose::Server, "localhost", extras);
        self.ocsp_responder.enter(&issued, standing);
        issued
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.scratch.file(name, content)
    }

    fn uri(&self, listener: &Listener, options: &str) -> String {
        format!(
            "mongodb://localhost:{}/?serverSelectionTryOnce=true&appName=a%0Ab&tlsCAFile={}&{options}",
            listener.port(),
            self.ca
        )
    }

    /// The switches, over a case in which everything that is checked refuses, unless only a responder would: then
    /// `without_responders` is what comes of asking none.
    fn switches(&self, table: &mut Table, case: &str, listener: &Listener, rest: &str, without_responders: Expected) {
        let mut row = |options: &str, expected, word: &str| {
            table.row_of_revocation(case, listener, &self.uri(listener, &format!("{options}{rest}")), expected, word);
        };
        row("tls=true", REFUSED, "");
        row("tlsDisableOCSPEndpointCheck=false", REFUSED, "");
        row("tlsDisableOCSPEndpointCheck=true", without_responders, "tlsDisableOCSPEndpointCheck is on");
        row("tlsDisableCertificateRevocationCheck=false", REFUSED, "");
        row("tlsDisableCertificateRevocationCheck=true", Expected::Channel, "NotChecked");
        row("tlsAllowInvalidHostnames=true", REFUSED, "");
        row("tlsAllowInvalidCertificates=true", Expected::Channel, "NotChecked");
        row("tlsAllowInvalidCertificates=false", REFUSED, "");
        row("tlsInsecure=true", Expected::Channel, "NotChecked");
        row("tlsInsecure=false", REFUSED, "");
    }
}

const REFUSED: Expected = Expected::Refused(&["the server's certificate was refused"]);

/// Both listeners that can serve any certificate.
fn both(issued: &Issued) -> impl Iterator<Item = Listener> {
    [Listener::fake_server(issued), Listener::s_server(issued)].into_iter().flatten()
}
