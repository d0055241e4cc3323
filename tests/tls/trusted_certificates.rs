//! TRUSTED CERTIFICATE blocks, as `openssl x509 -trustout` and the bundles of some systems write them: read, and their trust
//! settings honoured.

use std::fs;
use std::process::Command;

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));

/// The certificate as `openssl x509 -trustout` writes it.
fn trusted(pem: &str, arguments: &[&str]) -> String {
    let folder = Scratch::new("trusted");
    let path = folder.path().join("plain.pem");
    fs::write(&path, pem).unwrap();
    let done =
        Command::new("openssl").args(["x509", "-trustout"]).args(arguments).arg("-in").arg(&path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let block = String::from_utf8(done.stdout).unwrap();
    assert!(block.starts_with("-----BEGIN TRUSTED CERTIFICATE-----"), "{block}");
    block
}

fn ping(issued: &Issued, ca: &str) -> Result<(), Error> {
    let server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let host = format!("localhost:{}", server.port());
    let in_code = Client::with_options(ClientOptions::builder().host(&host).tls_ca_pem(ca).build().settings()?)?.ping();
    let folder = Scratch::new("trusted");
    let path = folder.path().join("ca.pem");
    fs::write(&path, ca).unwrap();
    let as_file = Client::with_options(ClientOptions::builder().host(&host).tls_ca_file(&path).build())?.ping();
    assert_eq!(in_code.is_ok(), as_file.is_ok(), "{in_code:?}, {as_file:?}");
    as_file
}

#[test]
fn trust_settings_are_honoured() {
    let root = Authority::new();
    let issued = root.issue(CertPurpose::Server, "localhost");
    if NATIVE {
        let error = ping(&issued, &trusted(&root.pem(), &[])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotSupported { .. }), "{error:?}");
        assert!(error.message().contains("TRUSTED CERTIFICATE"), "{error}");
        return;
    }
    for accepted in [
        &[][..],
        &["-setalias", "ours"],
        &["-addtrust", "serverAuth"],
        &["-addtrust", "anyExtendedKeyUsage"],
        &["-addtrust", "emailProtection", "-addtrust", "serverAuth"],
        &["-addreject", "emailProtection"],
    ] {
        ping(&issued, &trusted(&root.pem(), accepted)).unwrap_or_else(|error| panic!("{accepted:?}: {error}"));
    }
    for rejected in [
        &["-addreject", "serverAuth"][..],
        &["-addreject", "anyExtendedKeyUsage"],
        &["-addtrust", "emailProtection"],
        &["-addtrust", "serverAuth", "-addreject", "serverAuth"],
    ] {
        let block = trusted(&root.pem(), rejected);
        // The same certificate without settings does not take the rejection back.
        for ca in [block.clone(), format!("{block}{}", root.pem()), format!("{}{block}", root.pem())] {
            let error = ping(&issued, &ca).map_or_else(|error| error, |()| panic!("{rejected:?} was accepted"));
            assert!(matches!(error.kind(), ErrorKind::Tls { .. }) && error.stage() == Stage::Tls, "{error:?}");
            assert!(error.message().contains("rejected by its trust settings"), "{rejected:?}: {error}");
            assert!(error.hint().unwrap().contains("reject it for servers"), "{error}");
        }
    }
}

/// A rejected intermediate spoils every chain that it is part of, though its root is trusted and the server sends it itself.
#[test]
fn a_rejected_intermediate_is_refused_below_a_trusted_root() {
    if NATIVE {
        return;
    }
    let root = Authority::new();
    let middle = root.intermediate();
    let mut issued = middle.issue(CertPurpose::Server, "localhost");
    issued.certificate.push_str(&middle.pem());
    ping(&issued, &root.pem()).unwrap();
    let rejected = trusted(&middle.pem(), &["-addreject", "serverAuth"]);
    let error = ping(&issued, &format!("{}{rejected}", root.pem())).unwrap_err();
    assert!(error.message().contains("rejected by its trust settings"), "{error}");
}

/// One that is trusted explicitly needs no root above it, as for OpenSSL; one without a setting does.
#[test]
fn an_explicitly_trusted_intermediate_is_an_anchor() {
    if NATIVE {
        return;
    }
    let middle = Authority::new().intermediate();
    let issued = middle.issue(CertPurpose::Server, "localhost");
    ping(&issued, &trusted(&middle.pem(), &["-addtrust", "serverAuth"])).unwrap();
    for untrusted in [middle.pem(), trusted(&middle.pem(), &[]), trusted(&middle.pem(), &["-addtrust", "clientAuth"])] {
        ping(&issued, &untrusted).unwrap_err();
    }
    // Nothing else is accepted for its sake.
    let stranger = Authority::new().intermediate().issue(CertPurpose::Server, "localhost");
    ping(&stranger, &trusted(&middle.pem(), &["-addtrust", "serverAuth"])).unwrap_err();
    let expired = middle.issue_expired(CertPurpose::Server, "localhost");
    ping(&expired, &trusted(&middle.pem(), &["-addtrust", "serverAuth"])).unwrap_err();
    let misnamed = middle.issue(CertPurpose::Server, "other.example");
    ping(&misnamed, &trusted(&middle.pem(), &["-addtrust", "serverAuth"])).unwrap_err();
}

#[test]
fn damaged_settings_are_an_error() {
    let block = trusted(&Authority::new().pem(), &["-addreject", "serverAuth"]);
    // The last three bytes are of the settings.
    let content: String = block.lines().filter(|line| !line.starts_with('-')).collect();
    let pem = format!(
        "-----BEGIN TRUSTED CERTIFICATE-----\n{}\n-----END TRUSTED CERTIFICATE-----\n",
        &content[..content.len() - 4]
    );
    let options = ClientOptions::builder().host("localhost").tls_ca_pem(pem).build().settings().unwrap();
    let error = Client::with_options(options).map(drop).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(NATIVE || cause.contains("trust settings"), "{error}: {cause}");
}

/// A client's own certificate may be such a block too.
#[test]
fn a_client_certificate_with_trust_settings() {
    let root = Authority::new();
    let own = root.issue(CertPurpose::Client, "ann");
    let both = format!("{}{}", trusted(&own.certificate, &["-addtrust", "clientAuth"]), own.key);
    let options =
        ClientOptions::builder().host("localhost").tls_identity_pem(&both, &both, None).build().settings().unwrap();
    let made = Client::with_options(options);
    assert_eq!(made.is_ok(), !NATIVE, "{:?}", made.err());
}
