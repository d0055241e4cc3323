//! A server's name is one of those in subjectAltName. A Common Name may be that of a user, for whom the same authority issues
//! certificates (MONGODB-X509), and does not count (RFC 9525).

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Error, WarningKind};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras, Issued};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));

fn ping(authority: &Authority, issued: &Issued, common_names: Option<bool>) -> Result<Client, Error> {
    let server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let options = ClientOptions::builder().host(format!("localhost:{}", server.port())).tls_ca_pem(authority.pem());
    let options = match common_names {
        Some(allow) => options.danger_tls_allow_common_names(allow),
        None => options,
    };
    let client = Client::with_options(options.build())?;
    client.ping()?;
    Ok(client)
}

#[test]
fn a_common_name_is_no_name_of_a_server() {
    let authority = Authority::new();
    let old = Extras { common_name_only: true, ..Extras::default() };
    let email = Extras { common_name_only: true, email: Some("localhost@example.com".to_owned()), ..Extras::default() };
    for extras in [&old, &email] {
        let issued = authority.issue_with(CertPurpose::Server, "localhost", extras);
        for switch in [None, Some(false)] {
            let error = ping(&authority, &issued, switch).map(drop).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error:?}");
            assert!(error.message().contains("mismatch"), "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.contains("no DNS name in subjectAltName") && hint.contains("DNS:localhost"), "{error}");
            assert!(!format!("{error:#}").contains("danger"), "{error}");
        }
        let client = ping(&authority, &issued, Some(true)).unwrap();
        assert!(client.warnings().iter().any(|warning| warning.kind() == WarningKind::Insecure
            && warning.message().starts_with("danger_tls_allow_common_names is on")));
    }
}

/// With a DNS name in it, the Common Name does not count even where that is allowed.
#[test]
fn a_dns_name_wins_over_the_common_name() {
    let authority = Authority::new();
    let issued = authority.issue(CertPurpose::Server, "other.example");
    for switch in [None, Some(true)] {
        let error = ping(&authority, &issued, switch).map(drop).unwrap_err();
        assert!(error.hint().unwrap().contains("names in the certificate") || NATIVE, "{error}");
    }
    ping(&authority, &authority.issue(CertPurpose::Server, "localhost"), None).unwrap();
}

/// A user of MONGODB-X509 whose name is that of a host, of an authority that issues certificates without extendedKeyUsage.
#[test]
fn a_user_named_like_the_server_cannot_pose_as_it() {
    let authority = Authority::new();
    let old = Extras { common_name_only: true, ..Extras::default() };
    let user = authority.issue_with(CertPurpose::Client, "localhost", &old);
    assert!(ping(&authority, &user, None).is_err());
}
