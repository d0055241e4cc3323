//! On a backend whose revocation is the system's business, the options for it are refused when the client is made.

use mongo_blocking::Client;
use mongo_blocking::error::ErrorKind;
use mongo_blocking_test_server::peers::report;

#[test]
fn options_that_this_platform_cannot_honour() {
    let mut rows = String::new();
    for option in [
        "tlsCRLFile=/any/list.pem",
        "ssl_crlfile=/any/list.pem",
        "tlsDisableOCSPEndpointCheck=true",
        "tlsDisableCertificateRevocationCheck=true",
    ] {
        let error = Client::with_uri_str(format!("mongodb://localhost/?{option}")).unwrap_err();
        rows += &format!("{option} | refused | {}\n", error.message());
        assert!(matches!(error.kind(), ErrorKind::NotSupported { .. }), "{option}: {error}");
        assert!(error.message().contains("this platform's TLS"), "{option}: {error}");
    }
    for option in ["tlsDisableOCSPEndpointCheck=false", "tlsDisableCertificateRevocationCheck=false"] {
        Client::with_uri_str(format!("mongodb://localhost/?{option}")).unwrap();
        rows += &format!("{option} | a client | a client\n");
    }
    report(&format!("TLS: options for revocation (native-tls)\noption | expected | seen\n{rows}"));
}
