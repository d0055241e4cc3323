//! Who is let in: chain, name, validity, and the switches that look away.

use std::fs;

use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};
use mongo_blocking_test_server::peers::{self, Scratch};

use super::listeners::Listener;
use super::table::{Expected, Table};

/// A certificate, and what a client should make of it.
struct Presented {
    case: &'static str,
    issued: Issued,
    /// The authority that the client trusts.
    trusted: String,
    /// The name that the client asks for.
    host: &'static str,
    expected: Expected,
    /// What the switches make of it: `tlsAllowInvalidHostnames`, then `tlsAllowInvalidCertificates`.
    without_name: Expected,
    /// mongod does not start with a certificate that is not valid now.
    mongod_can: bool,
}

const UNKNOWN: Expected = Expected::Refused(&[
    "unable to get local issuer",
    "self-signed",
    "self signed",
    "verify failed",
    "authority that is trusted",
]);
const WRONG_HOST: Expected = Expected::Refused(&["mismatch", "not valid for"]);
const EXPIRED: Expected = Expected::Refused(&["expired"]);
const NOT_YET: Expected = Expected::Refused(&["not yet valid"]);

#[test]
fn certificates_are_verified_as_the_options_ask() {
    let scratch = Scratch::new("tls-matrix");
    let mut table = Table::new("TLS: verification and its switches");
    for presented in all() {
        let ca = scratch.path().join(format!("ca-{}.pem", presented.case.replace(' ', "-")));
        fs::write(&ca, &presented.trusted).unwrap();
        let ca = ca.to_str().unwrap();
        let mut listeners = vec![Listener::fake_server(&presented.issued), Listener::s_server(&presented.issued)];
        if presented.mongod_can {
            listeners.push(Listener::mongod(&scratch, &presented.issued, ca));
        }
        for listener in listeners {
            let Some(listener) = listener else { return };
            let mut row = |options: &str, expected| {
                let (host, port) = (presented.host, listener.port());
                let uri = format!(
                    "mongodb://{host}:{port}/?serverSelectionTryOnce=true&appName=a%0Ab&tlsCAFile={ca}&{options}"
                );
                table.row(presented.case, listener.name(), &uri, expected);
            };
            row("tls=true", presented.expected);
            row("tlsAllowInvalidHostnames=false", presented.expected);
            row("tlsAllowInvalidHostnames=true", presented.without_name);
            row("tlsAllowInvalidCertificates=true", Expected::Channel);
            row("tlsInsecure=true", Expected::Channel);
            row("tlsInsecure=false", presented.expected);
        }
    }
    table.finish();
}

/// The options in code do what their names in a connection string do.
#[test]
fn the_same_in_code() {
    let (scratch, authority) = (Scratch::new("tls-matrix-code"), Authority::new());
    let ca = scratch.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let ca = ca.to_str().unwrap();
    let mut table = Table::new("TLS: the same in code");
    let [good, elsewhere] = ["localhost", "elsewhere.example"].map(|name| authority.issue(CertPurpose::Server, name));
    for (case, issued, plain) in [("valid", good, Expected::Channel), ("wrong host", elsewhere, WRONG_HOST)] {
        let Some(listener) = Listener::fake_server(&issued) else { return };
        let options = || ClientOptions::builder().host(format!("localhost:{}", listener.port()));
        let own = || options().tls_ca_file(ca);
        for (what, builder, expected) in [
            ("tls", options().tls(true), UNKNOWN),
            ("tls_ca_file", own(), plain),
            ("danger_tls_allow_invalid_hostnames", own().danger_tls_allow_invalid_hostnames(true), Expected::Channel),
            ("the same, without the file", options().danger_tls_allow_invalid_hostnames(true), UNKNOWN),
            (
                "danger_tls_allow_invalid_certificates",
                options().danger_tls_allow_invalid_certificates(true),
                Expected::Channel,
            ),
            ("danger_tls_insecure", options().danger_tls_insecure(true), Expected::Channel),
            ("danger_tls_insecure, false", own().danger_tls_insecure(false), plain),
        ] {
            table.row_in_code(case, listener.name(), what, builder.build().settings(), expected);
        }
    }
    table.finish();
}

/// The certificates of the table.
fn all() -> Vec<Presented> {
    let authority = Authority::new();
    let middle = authority.intermediate();
    let good = authority.issue(CertPurpose::Server, "localhost");
    let below = middle.issue(CertPurpose::Server, "localhost");
    let chain = Issued { certificate: format!("{}{}", below.certificate, middle.pem()), key: below.key.clone() };
    let own = Authority::self_signed("localhost");
    let presented = |case, issued: &Issued, expected| Presented {
        case,
        issued: issued.clone(),
        trusted: authority.pem(),
        host: "localhost",
        expected,
        without_name: expected,
        mongod_can: true,
    };
    let by_address = |case, issued: &Issued, expected| Presented {
        host: "127.0.0.1",
        without_name: Expected::Channel,
        ..presented(case, issued, expected)
    };
    let mut all = vec![
        presented("valid", &good, Expected::Channel),
        Presented {
            trusted: Authority::new().pem(),
            mongod_can: false,
            ..presented("unknown authority", &good, UNKNOWN)
        },
        Presented {
            without_name: Expected::Channel,
            ..presented("wrong host", &authority.issue(CertPurpose::Server, "elsewhere.example"), WRONG_HOST)
        },
        Presented {
            without_name: Expected::Channel,
            ..presented(
                "a wildcard for another level",
                &authority.issue(CertPurpose::Server, "*.localhost"),
                WRONG_HOST,
            )
        },
        by_address("IP address in the certificate", &good, Expected::Channel),
        by_address(
            "IP address, only a name in it",
            &authority.issue(CertPurpose::Server, "elsewhere.example"),
            WRONG_HOST,
        ),
        by_address("IP address written as a name", &authority.issue(CertPurpose::Server, "127.0.0.1"), WRONG_HOST),
        Presented {
            mongod_can: false,
            ..presented("expired", &authority.issue_expired(CertPurpose::Server, "localhost"), EXPIRED)
        },
        Presented {
            mongod_can: false,
            ..presented("not yet valid", &authority.issue_for_later(CertPurpose::Server, "localhost"), NOT_YET)
        },
        Presented { mongod_can: false, ..presented("self-signed, not trusted", &own, UNKNOWN) },
        Presented {
            trusted: own.certificate.clone(),
            ..presented("self-signed, trusted itself", &own, Expected::Channel)
        },
        presented("under an intermediate, sent along", &chain, Expected::Channel),
        Presented { mongod_can: false, ..presented("under an intermediate, left out", &below, UNKNOWN) },
    ];
    // Wine 8 compares only DNS names with a certificate.
    all.retain(|presented| presented.host == "localhost" || !peers::under_wine());
    all
}
