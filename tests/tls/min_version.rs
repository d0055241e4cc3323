//! The oldest version of TLS that is spoken. A peer that speaks TLS 1.1 and nothing newer is refused by us: the peer speaks it, and
//! so would this machine's OpenSSL, as the very same connection shows once the minimum is lowered.

use std::env;
use std::fs;

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::{ClientOptions, TlsVersion};
use mongo_blocking::{Client, Error, WarningKind};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, SServer, Scratch};

fn ping(port: &str, ca: &str, oldest: Option<TlsVersion>) -> Result<Vec<WarningKind>, Error> {
    let builder = ClientOptions::builder().host(format!("localhost:{port}")).tls_ca_file(ca);
    // `openssl s_server` answers once a line has ended.
    let builder = builder.app_name("a\nb").server_selection_try_once(true);
    let options = match oldest {
        Some(version) => builder.min_tls_version(version),
        None => builder,
    };
    let client = Client::with_options(options.build().settings().unwrap())?;
    client.ping()?;
    Ok(client.warnings().iter().map(|warning| warning.kind()).collect())
}

/// MongoDB just closes the connection where it finds no common version; others say so.
fn refused(port: &str, ca: &str, oldest: Option<TlsVersion>) {
    let error = ping(port, ca, oldest).unwrap_err();
    assert_eq!(error.stage(), Stage::Tls, "{error:?}");
    match error.kind() {
        ErrorKind::Io(_) => assert!(error.hint().unwrap().contains("TLS 1.2 or later"), "{error}"),
        _ => assert!(
            matches!(error.kind(), ErrorKind::Tls { .. }) && error.message().contains("no common TLS"),
            "{error:?}"
        ),
    }
}

/// The client runs in a process of its own, whose OpenSSL is told by its configuration to do what it can (security level 0).
#[test]
fn tls_1_1_is_refused_and_spoken_when_asked_for() {
    if let (Ok(ca), Ok(mongod), Ok(s_server)) = (env::var(CA), env::var(MONGOD), env::var(S_SERVER)) {
        for port in [&mongod, &s_server] {
            refused(port, &ca, None);
            refused(port, &ca, Some(TlsVersion::V1_2));
        }
        for oldest in [TlsVersion::V1_0, TlsVersion::V1_1] {
            assert_eq!(ping(&mongod, &ca, Some(oldest)).unwrap(), [WarningKind::Insecure]);
            // It speaks no MongoDB, so the hello fails: there is a channel.
            assert_eq!(ping(&s_server, &ca, Some(oldest)).unwrap_err().stage(), Stage::Hello);
        }
        return;
    }
    let (folder, authority) = (Scratch::new("tls-version"), Authority::new());
    let (ca, issued) = (folder.file("ca.pem", authority.pem()), authority.issue(CertPurpose::Server, "localhost"));
    let own = folder.file("server.pem", issued.both());
    let old = ["--tlsAllowConnectionsWithoutCertificates", "--tlsDisabledProtocols", "TLS1_0,TLS1_2,TLS1_3"];
    let Some(mongod) = Mongod::start_with_tls("4.2", &own, &ca, &old) else { return };
    let s_server = SServer::start(&issued.both(), &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    let Some(s_server) = s_server else { return };
    child::run(
        child::command(module_path!(), "tls_1_1_is_refused_and_spoken_when_asked_for")
            .env("OPENSSL_CONF", folder.file("openssl.cnf", LEVEL_0))
            .env(CA, &ca)
            .env(MONGOD, mongod.port().to_string())
            .env(S_SERVER, s_server.port().to_string()),
    );
}

#[test]
fn tls_1_3_and_nothing_older() {
    let (folder, authority) = (Scratch::new("tls-version"), Authority::new());
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let ca = ca.to_str().unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let fake_server = || FakeServer::builder().tls(&issued.certificate, &issued.key);
    let (newer, older) = (fake_server().start(), fake_server().only_tls_1_2().start());
    assert_eq!(ping(&newer.port().to_string(), ca, Some(TlsVersion::V1_3)).unwrap(), []);
    assert_eq!(ping(&older.port().to_string(), ca, None).unwrap(), []);
    refused(&older.port().to_string(), ca, Some(TlsVersion::V1_3));
}

#[test]
fn it_asks_for_tls() {
    let builder = || ClientOptions::builder().host("localhost").min_tls_version(TlsVersion::V1_3);
    assert_eq!(builder().build().settings().unwrap().tls().unwrap().min_version, Some(TlsVersion::V1_3));
    let error = builder().tls(false).build().settings().unwrap_err();
    assert!(error.message().contains("tls is false"), "{error}");
}

const CA: &str = "MONGO_BLOCKING_TEST_CA";
const MONGOD: &str = "MONGO_BLOCKING_TEST_MONGOD";
const S_SERVER: &str = "MONGO_BLOCKING_TEST_S_SERVER";
/// A configuration of OpenSSL that rules nothing out.
const LEVEL_0: &str = "openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = everything
[everything]
CipherString = DEFAULT@SECLEVEL=0
";
