//! Certificates and keys: from memory, in code; and what is said of those that cannot be used.

use std::fs;
use std::process::Command;

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder};
use mongo_blocking::{Client, Error, WarningKind};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));
const ANN: &str = "CN=ann,O=mongo-blocking users";

/// What the openssl command makes.
fn openssl(folder: &Scratch, arguments: &[&str]) -> Vec<u8> {
    let out = folder.path().join("out");
    let done = Command::new("openssl").args(arguments).arg("-out").arg(&out).output().expect("the openssl command");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    fs::read(out).unwrap()
}

fn refused(options: ClientOptionsBuilder) -> Error {
    Client::with_options(options.host("h").build().settings().unwrap()).unwrap_err()
}

/// Ways in which the line breaks of a PEM text get lost: in a variable of the environment, in YAML, in a form.
fn without_line_breaks(pem: &str) -> Vec<(&'static str, String)> {
    vec![
        ("escaped", pem.replace('\n', "\\n")),
        ("escaped twice", pem.replace('\n', "\\\\n")),
        ("escaped, with carriage returns", pem.replace('\n', "\\r\\n")),
        ("one line", pem.replace('\n', " ")),
        ("no separator at all", pem.replace('\n', "")),
        ("indented", pem.lines().map(|line| format!("    {line}\n")).collect()),
        ("blank lines", pem.replace('\n', "\n\n")),
        ("carriage returns", pem.replace('\n', "\r\n")),
        ("old carriage returns", pem.replace('\n', "\r")),
    ]
}

#[test]
fn pem_with_lost_line_breaks_is_repaired() {
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let (server, own) =
        (authority.issue(CertPurpose::Server, "localhost"), authority.issue(CertPurpose::Client, "ann"));
    let front = FakeServer::builder().tls(&server.certificate, &server.key).start();
    let host = format!("localhost:{}", front.port());
    let both = without_line_breaks(&own.both());
    for ((how, ca), (_, own)) in without_line_breaks(&authority.pem()).into_iter().zip(both) {
        let in_code = ClientOptions::builder().tls_ca_pem(&ca).tls_identity_pem(&own, &own, None);
        let (ca, own) = (folder.file("ca.pem", &ca), folder.file("own.pem", &own));
        let as_files = ClientOptions::builder().tls_ca_file(ca).tls_certificate_key_file(own);
        for options in [in_code, as_files] {
            let client = Client::with_options(options.host(&host).build().settings().unwrap());
            client.and_then(|client| client.ping()).unwrap_or_else(|error| panic!("{how}: {error}"));
        }
    }
}

/// The older form of an encrypted key has lines beside the base64; with them on one line, nothing tells where they end.
#[test]
fn pem_with_unrecoverable_line_breaks_is_an_error() {
    if NATIVE {
        return;
    }
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let own = authority.issue_rsa(CertPurpose::Client, "ann");
    let key = folder.file("key.pem", &own.key);
    let arguments = ["rsa", "-traditional", "-aes256", "-in", &key, "-passout", "pass:pencil"];
    let encrypted = String::from_utf8(openssl(&folder, &arguments)).unwrap();
    assert!(encrypted.contains("DEK-Info"), "{encrypted}");
    for (how, key) in without_line_breaks(&encrypted) {
        let identity = ClientOptions::builder().tls_identity_pem(&own.certificate, &key, Some("pencil".into()));
        let made = Client::with_options(identity.host("h").build().settings().unwrap());
        if how == "one line" || how == "no separator at all" {
            let error = made.map(drop).unwrap_err();
            assert!(error.message().contains("line breaks were lost"), "{how}: {error}");
        } else {
            made.unwrap_or_else(|error| panic!("{how}: {error}"));
        }
    }
}

#[test]
fn from_memory() {
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let server = authority.issue(CertPurpose::Server, "localhost");
    let (ca, own) = (folder.file("ca.pem", authority.pem()), folder.file("server.pem", server.both()));
    let mechanisms = ["--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
    let Some(mongod) = Mongod::start_with_tls("6.0", &own, &ca, &mechanisms) else { return };
    let ann = authority.issue(CertPurpose::Client, "ann");
    let trusting = || ClientOptions::builder().host(format!("localhost:{}", mongod.port())).tls_ca_pem(authority.pem());
    let admin = trusting().tls_identity_pem(&ann.certificate, &ann.key, None).build().settings().unwrap();
    let create = doc! { "createUser": ANN, "roles": [] };
    Client::with_options(admin).unwrap().database("$external").run_command(create).run().unwrap();

    let key = folder.file("key.pem", &ann.key);
    let encrypted = openssl(&folder, &["pkcs8", "-topk8", "-in", &key, "-passout", "pass:pen&cil"]);
    let middle = authority.intermediate();
    let below = middle.issue(CertPurpose::Client, "ann");
    let chain = format!("{}{}{}", middle.pem(), below.key, below.certificate);
    let bundle = Authority::bundle(&ann, "pen&cil");
    let cases = [
        ("one text for both", trusting().tls_identity_pem(ann.both(), ann.both(), None)),
        ("below an intermediate", trusting().tls_identity_pem(&chain, &chain, None)),
        ("an encrypted key", trusting().tls_identity_pem(&ann.certificate, encrypted, Some("pen&cil".into()))),
        ("PKCS#12", trusting().tls_identity_pkcs12(&bundle, "pen&cil")),
        ("PKCS#12 after all", trusting().tls_identity_pem("x", "y", None).tls_identity_pkcs12(&bundle, "pen&cil")),
    ];
    for (name, options) in cases {
        let options = options.auth_mechanism("MONGODB-X509").build().settings().unwrap();
        let shown = format!("{options:?}");
        assert!(!shown.contains("pen&cil") && !shown.contains("PRIVATE KEY"), "{shown}");
        // As a builder again they still hold it all.
        let client = Client::with_options(options.into_builder().app_name("again").build().settings().unwrap());
        if NATIVE && name == "an encrypted key" {
            assert!(matches!(client.unwrap_err().kind(), ErrorKind::NotSupported { .. }));
            continue;
        }
        let status = client.unwrap().database("admin").run_command(doc! { "connectionStatus": 1 }).run();
        let status = status.unwrap_or_else(|error| panic!("{name}: {error}"));
        let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
        assert_eq!(users[0].as_document().unwrap().get_str("user").unwrap(), ANN, "{name}");
    }
}

#[test]
fn memory_and_files_exclude_one_another() {
    let pem = || ClientOptions::builder().tls_identity_pem("x", "y", None);
    let cases = [
        (ClientOptions::builder().tls_ca_pem("x").tls_ca_file("ca.pem"), ["tls_ca_pem", "tlsCAFile"]),
        (ClientOptions::builder().tls_ca_pem("x").uri("mongodb://h/?tlsCAFile=a"), ["tls_ca_pem", "tlsCAFile"]),
        (pem().tls_certificate_key_file("a"), ["tls_identity_pem", "tlsCertificateKeyFile"]),
        (pem().tls_key_file("a"), ["tls_identity_pem", "ssl_keyfile"]),
        (pem().tls_certificate_key_file_password("a"), ["tls_identity_pem", "tlsCertificateKeyFilePassword"]),
        (pem().tls_identity_pkcs12("x", "").tls_key_file("a"), ["tls_identity_pkcs12", "ssl_keyfile"]),
        (pem().tls(false), ["tls is false", "client certificate"]),
        (ClientOptions::builder().tls_ca_pem("x").uri("mongodb://h/?tls=false"), ["tls is false", "CA certificates"]),
    ];
    for (options, words) in cases {
        let error = options.build().settings().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error:?}");
        assert!(words.iter().all(|word| error.message().contains(word)), "{words:?}: {error}");
    }
    assert!(pem().build().settings().unwrap().tls().is_some(), "TLS is on where material is given");
}

#[test]
fn unusable_bundles_are_refused() {
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let own = authority.issue(CertPurpose::Client, "ann");
    let (certificate, key) = (folder.file("c.pem", &own.certificate), folder.file("k.pem", &own.key));
    let export = ["pkcs12", "-export", "-passout", "pass:pencil", "-in", certificate.as_str()];
    let old = openssl(&folder, &[&export[..], &["-inkey", &key, "-legacy"]].concat());
    let no_key = openssl(&folder, &[&export[..], &["-nokeys"]].concat());
    let good = Authority::bundle(&own, "pencil");
    let der = openssl(&folder, &["x509", "-in", &certificate, "-outform", "der"]);
    let old_hint = "-legacy -in OLD.p12";
    let cases: [(&[u8], &str, &str, &str); 9] = [
        (&good, "pen\0cil", "password with a NUL in it", "no bundle"),
        (&good, "inkwell", "password does not open", "check the password"),
        (&good, "", "password does not open", "check the password"),
        (&old, "pencil", "is not available", old_hint),
        (&no_key, "pencil", if NATIVE { "password does not open" } else { "without a private key" }, ""),
        (own.both().as_bytes().to_vec().leak(), "", "holds PEM text", "tls_identity_pem"),
        (&der, "", "looks like a certificate in DER", "openssl x509"),
        (b"", "", "is empty", ".p12"),
        (b"hello", "", "holds no PKCS#12", ".p12"),
    ];
    for (bundle, password, words, hint) in cases {
        if cfg!(windows) && hint == old_hint {
            // SChannel opens bundles with the older algorithms.
            continue;
        }
        let error = refused(ClientOptions::builder().tls_identity_pkcs12(bundle, password));
        assert!(
            matches!(error.kind(), ErrorKind::InvalidTlsConfig { .. }) && error.stage() == Stage::Options,
            "{error:?}"
        );
        assert!(error.message().contains("tls_identity_pkcs12 (in code)"), "{error}");
        assert!(error.message().contains(words) && error.hint().unwrap().contains(hint), "{words}: {error}");
        assert!(!format!("{error:?}").contains("inkwell"), "{error:?}");
    }
}

/// Encryptions that OpenSSL 3 has no more: not the password is at fault, and the error says so.
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
#[test]
fn old_encryption_is_distinguished_from_a_wrong_password() {
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let own = authority.issue_rsa(CertPurpose::Client, "ann");
    let key = folder.file("key.pem", &own.key);
    let old = ["-provider", "legacy", "-provider", "default", "-passout", "pass:pencil", "-in", key.as_str()];
    let rc2 = openssl(&folder, &[&["pkcs8", "-topk8", "-v1", "PBE-SHA1-RC2-40"][..], &old].concat());
    let des = openssl(&folder, &[&["rsa", "-traditional", "-des"][..], &old].concat());
    let aes = openssl(&folder, &["pkcs8", "-topk8", "-passout", "pass:pencil", "-in", &key]);
    for password in ["pencil", "inkwell"] {
        let error = |key: &[u8]| {
            refused(ClientOptions::builder().tls_identity_pem(&own.certificate, key, Some(password.into())))
        };
        for (key, algorithm) in [(&rc2, "RC2-40-CBC"), (&des, "DES-CBC")] {
            let error = error(key);
            assert!(error.message().contains(&format!("cannot open: {algorithm} is not available")), "{error}");
            assert!(error.hint().unwrap().contains("-provider legacy"), "{error}");
        }
    }
    let wrong = Some("inkwell".into());
    let error = refused(ClientOptions::builder().tls_identity_pem(&own.certificate, &aes, wrong));
    assert!(error.message().contains("password does not open"), "{error}");
    // A damaged text is neither.
    let damaged = String::from_utf8(aes).unwrap().replacen("\nM", "\n*", 1);
    let error = refused(ClientOptions::builder().tls_identity_pem(&own.certificate, damaged, Some("pencil".into())));
    assert!(error.message().contains("cannot be read"), "{error}");
}

#[test]
fn unusable_pem_texts_are_refused() {
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let own = authority.issue(CertPurpose::Client, "ann");
    let (certificate, key) = (folder.file("c.pem", &own.certificate), folder.file("k.pem", &own.key));
    let request = openssl(&folder, &["req", "-new", "-key", &key, "-subj", "/CN=ann"]);
    let pkcs7 = openssl(&folder, &["crl2pkcs7", "-nocrl", "-certfile", &certificate]);
    let key_der = openssl(&folder, &["pkey", "-in", &key, "-outform", "der"]);
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(own.certificate.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let half = own.key.get(..own.key.len() / 2).unwrap();
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    let cases: [(&[u8], &[u8], &str, &str); 8] = [
        (&request, own.key.as_bytes(), "holds no certificate, only: CERTIFICATE REQUEST", "sent back"),
        (&pkcs7, own.key.as_bytes(), "only: PKCS7", "openssl pkcs7"),
        (&utf16, own.key.as_bytes(), "UTF-16", "UTF-8"),
        (own.certificate.as_bytes(), &key_der, "looks like a private key in DER", "openssl pkey -inform der"),
        (own.certificate.as_bytes(), half.as_bytes(), "cut short", "copy it again"),
        (own.certificate.as_bytes(), openssh.as_bytes(), "OpenSSH", "ssh-keygen"),
        (own.certificate.as_bytes(), b"", "is empty", ""),
        (b"\xff\xfe", own.key.as_bytes(), "UTF-16", ""),
    ];
    for (certificate, key, words, hint) in cases {
        let (certificate, key) = (folder.file("one", certificate), folder.file("other", key));
        let error = refused(ClientOptions::builder().tls_certificate_key_file(&certificate).tls_key_file(&key));
        assert!(
            matches!(error.kind(), ErrorKind::InvalidTlsConfig { .. }) && error.stage() == Stage::Options,
            "{error:?}"
        );
        assert!(error.message().contains(words), "{words}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{error}");
    }
    let error = refused(ClientOptions::builder().tls_certificate_key_file(folder.path()));
    assert!(error.to_string().contains("cannot be read: it is a folder"), "{error}");
    // The authorities' text is judged likewise.
    let error = refused(ClientOptions::builder().tls_ca_pem(authority.pem() + &own.certificate.replace("\nM", "\n*")));
    assert!(error.message().contains("tls_ca_pem (in code) holds a certificate that cannot be read: number 2 of 2"));
}

#[test]
fn a_password_that_is_not_needed_is_warned_of() {
    let (folder, authority) = (Scratch::new("material"), Authority::new());
    let server = authority.issue(CertPurpose::Server, "localhost");
    let fake_server =
        FakeServer::builder().tls(&server.certificate, &server.key).client_authority(&authority.pem(), true).start();
    let own = folder.file("own.pem", authority.issue(CertPurpose::Client, "ann").both());
    let options = ClientOptions::builder()
        .host(fake_server.address().replace("127.0.0.1", "localhost"))
        .tls_ca_pem(authority.pem())
        .tls_certificate_key_file(own)
        .tls_certificate_key_file_password("pencil");
    let client = Client::with_options(options.build().settings().unwrap()).unwrap();
    client.ping().unwrap();
    assert_eq!(fake_server.client_names(), ["ann"]);
    let warning = client.warnings().iter().find(|warning| warning.kind() == WarningKind::NoEffect).unwrap();
    assert!(warning.message().contains("is not encrypted") && !warning.message().contains("pencil"), "{warning}");
}
