//! Client certificates, MONGODB-X509 and the dangerous switches, on a real MongoDB that takes TLS only.

use std::fs;
use std::process::Command;

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::{ClientOptions, percent_encode};

use mongo_blocking::{Client, Error, WarningKind};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));
const ANN: &str = "CN=ann,O=mongo-blocking users";

struct Place {
    folder: Scratch,
    authority: Authority,
    ca: String,
    mongod: Mongod,
}

/// A server that demands a certificate of its authority, and knows [`ANN`].
fn place(version: &str, server: &str) -> Option<Place> {
    let (folder, authority) = (Scratch::new("tls-x509"), Authority::new());
    let ca = folder.file("ca.pem", authority.pem());
    let own = folder.file("server.pem", authority.issue(CertPurpose::Server, server).both());
    let mechanisms = ["--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
    let mongod = Mongod::start_with_tls(version, &own, &ca, &mechanisms)?;
    let made = Place { folder, authority, ca, mongod };
    let ann = made.client_file("ann");
    if server == "localhost" {
        let client = Client::with_uri_str(made.uri(&format!("tlsCertificateKeyFile={ann}"))).unwrap();
        let roles = [doc! { "role": "readWriteAnyDatabase", "db": "admin" }];
        client.database("$external").run_command(doc! { "createUser": ANN, "roles": &roles[..] }).run().unwrap();
    }
    Some(made)
}

impl Place {
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        self.folder.file(name, text)
    }

    fn client_file(&self, name: &str) -> String {
        self.file(&format!("{name}.pem"), self.authority.issue(CertPurpose::Client, name).both())
    }

    fn uri(&self, options: &str) -> String {
        format!(
            "mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={}&{options}",
            self.mongod.port(),
            self.ca
        )
    }

    fn x509(&self, options: &str) -> Result<String, Error> {
        who(&self.uri(&format!("authMechanism=MONGODB-X509&{options}")))
    }
}

fn who(uri: &str) -> Result<String, Error> {
    let client = Client::with_uri_str(uri)?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
    Ok(users.first().expect("somebody is logged in").as_document().unwrap().get_str("user").unwrap().to_owned())
}

fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().expect("the openssl command");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn logins_by_certificate() {
    for version in ["6.0", "4.2"] {
        let Some(place) = place(version, "localhost") else { return };
        let ann = place.client_file("ann");
        let file = format!("tlsCertificateKeyFile={ann}");
        assert_eq!(place.x509(&file).unwrap(), ANN);

        // Guide row 8: the older spelling, with the subject as user name.
        let (port, ca, user) = (place.mongod.port(), &place.ca, percent_encode(ANN));
        let older = |user: &str| {
            format!(
                "mongodb://{user}@localhost:{port}/?serverSelectionTryOnce=true&authMechanism=MONGODB-X509&ssl=true&ssl_certfile={ann}\
                 &ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}"
            )
        };
        assert_eq!(who(&older(&user)).unwrap(), ANN);
        let error = who(&older("CN%3Dbob")).unwrap_err();
        assert!(error.code().is_some() && error.message().contains("CN=bob"), "{error}");
        assert!(NATIVE || error.message().contains(ANN), "{error}");

        let code = ClientOptions::builder()
            .host(format!("localhost:{port}"))
            .tls_ca_file(ca)
            .tls_certificate_key_file(&ann)
            .auth_mechanism("MONGODB-X509")
            .build()
            .settings()
            .unwrap();
        Client::with_options(code).unwrap().ping().unwrap();

        let bob = place.client_file("bob, the \\\"stranger");
        let error = place.x509(&format!("tlsCertificateKeyFile={}", percent_encode(&bob))).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Authentication { .. }) && error.hint().unwrap().contains("$external")
        );
        assert!(NATIVE || (error.message().contains("CN=bob") && error.message().contains("valid until")), "{error}");

        let other = place.file("other.pem", Authority::new().issue(CertPurpose::Client, "ann").both());
        let expired = place.file("expired.pem", place.authority.issue_expired(CertPurpose::Client, "ann").both());
        for refused in [other, expired] {
            let error = place.x509(&format!("tlsCertificateKeyFile={refused}")).unwrap_err();
            assert!(matches!(error.stage(), Stage::Tls | Stage::Hello), "{error:?}");
        }

        let middle = place.authority.intermediate();
        let below = middle.issue(CertPurpose::Client, "ann");
        let scrambled = format!("{}{}{}", middle.pem(), below.key, below.certificate);
        let chain = place.file("chain.pem", scrambled);
        assert_eq!(place.x509(&format!("tlsCertificateKeyFile={chain}")).unwrap(), ANN);
    }
}

/// The hint looks at what was presented, and does not ask for a certificate where there is one.
#[test]
fn a_refused_client_certificate_is_named_with_its_fault() {
    let Some(place) = place("6.0", "localhost") else { return };
    let middle = place.authority.intermediate();
    for (name, issued, words) in [
        ("expired", place.authority.issue_expired(CertPurpose::Client, "ann"), "expired on"),
        ("purpose", place.authority.issue(CertPurpose::Server, "ann"), "lacks clientAuth"),
        ("middle", middle.issue(CertPurpose::Client, "ann"), "without its issuer CN=mongo-blocking intermediate"),
        ("stranger", Authority::named("stranger").issue(CertPurpose::Client, "ann"), "CN=stranger"),
    ] {
        let file = place.file(&format!("{name}.pem"), issued.both());
        let error = place.x509(&format!("tlsCertificateKeyFile={file}")).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.contains("the client certificate CN=ann") && hint.contains(words), "{name}: {error}");
        assert!(!hint.contains("want a client certificate"), "{name}: {error}");
    }
    let error = who(&place.uri("")).unwrap_err();
    assert!(error.hint().unwrap().contains("want a client certificate"), "{error}");
}

#[test]
fn without_a_certificate_nothing_is_connected() {
    for (options, words) in [("tls=true", "none is given"), ("", "TLS is off")] {
        let error = who(&format!("mongodb://h/?authMechanism=MONGODB-X509&{options}")).unwrap_err();
        assert_eq!(error.stage(), Stage::Options);
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn every_encoding_of_a_key() {
    let Some(place) = place("6.0", "localhost") else { return };
    let (rsa, ec) =
        (place.authority.issue_rsa(CertPurpose::Client, "ann"), place.authority.issue(CertPurpose::Client, "ann"));
    let (rsa_key, ec_key) = (place.file("rsa", &rsa.key), place.file("ec", &ec.key));
    let out = place.file("out", "");
    let pass = ["-passout", "pass:pen&cil"];
    let cases: [(&str, &str, Vec<&str>, bool); 8] = [
        ("PKCS#8", &rsa_key, vec!["pkey"], false),
        ("PKCS#8, EC", &ec_key, vec!["pkey"], false),
        ("PKCS#1", &rsa_key, vec!["rsa", "-traditional"], false),
        ("SEC1", &ec_key, vec!["ec"], false),
        ("PBES2", &rsa_key, [&["pkcs8", "-topk8", "-v2", "aes-256-cbc"][..], &pass].concat(), true),
        ("scrypt", &rsa_key, [&["pkcs8", "-topk8", "-scrypt"][..], &pass].concat(), true),
        ("legacy", &rsa_key, [&["rsa", "-traditional", "-aes256"][..], &pass].concat(), true),
        ("legacy EC", &ec_key, [&["ec", "-aes128"][..], &pass].concat(), true),
    ];
    for (name, input, arguments, encrypted) in cases {
        openssl(&[&arguments[..], &["-in", input, "-out", &out]].concat());
        let key = fs::read_to_string(&out).unwrap();
        let certificate = if input == rsa_key { &rsa.certificate } else { &ec.certificate };
        let file = place.file("both.pem", format!("{key}{certificate}"));
        let login = |password: &str| place.x509(&format!("tlsCertificateKeyFile={file}{password}"));
        let right = if encrypted { "&tlsCertificateKeyFilePassword=pen%26cil" } else { "" };
        if NATIVE && !name.starts_with("PKCS#8") {
            assert!(matches!(login(right).unwrap_err().kind(), ErrorKind::NotSupported { .. }), "{name}");
            continue;
        }
        assert_eq!(login(right).unwrap_or_else(|error| panic!("{name}: {error}")), ANN);
        if encrypted {
            let error = login("&tlsCertificateKeyFilePassword=inkwell").unwrap_err();
            assert!(error.message().contains("password does not open"), "{name}: {error}");
            assert!(!format!("{error:?}").contains("inkwell"));
            assert!(login("").unwrap_err().message().contains("no password is given"), "{name}");
        }
        // Guide row 22: a key in a file of its own.
        let alone = place.file("certificate.pem", certificate);
        let options = format!(
            "ssl_certfile={alone}&ssl_keyfile={out}{}",
            right.replace("tlsCertificateKeyFilePassword", "ssl_pem_passphrase")
        );
        assert_eq!(place.x509(&options).unwrap(), ANN);
    }
}

#[test]
fn unusable_certificate_files_are_refused() {
    let (folder, authority) = (Scratch::new("tls-files"), Authority::new());
    let own = authority.issue(CertPurpose::Client, "ann");
    let stranger = authority.issue(CertPurpose::Client, "bob");
    let der = [0x30, 0x82, 1, 2, 0x30, 0x82];
    let p12 = [0x30, 0x82, 1, 2, 2, 1, 3];
    let cases: [(&[u8], &str); 9] = [
        (b" \n", "is empty"),
        (own.key.as_bytes(), "no certificate"),
        (own.certificate.as_bytes(), "no private key"),
        (&der, "DER"),
        (&p12, "PKCS#12"),
        (&[0xfe, 0xed, 0xfe, 0xed, 0], "JKS"),
        (b"hello", "no PEM text"),
        (&[own.certificate.as_bytes(), stranger.key.as_bytes()].concat(), "does not match"),
        (&[own.both().as_bytes(), stranger.key.as_bytes()].concat(), "more than one private key"),
    ];
    for (content, words) in cases {
        let file = folder.file("client.pem", content);
        let error = Client::with_uri_str(format!("mongodb://h/?tlsCertificateKeyFile={file}")).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidTlsConfig { .. }) && error.stage() == Stage::Options,
            "{error:?}"
        );
        assert!(error.message().contains(words) && error.message().contains("tlsCertificateKeyFile"), "{error}");
    }
    for (options, words) in [
        ("tlsCertificateKeyFile=/no/such", "/no/such cannot be read"),
        ("ssl_keyfile=/no/such", "no tlsCertificateKeyFile"),
        ("tlsCertificateKeyFilePassword=x", "no tlsCertificateKeyFile"),
    ] {
        let error = Client::with_uri_str(format!("mongodb://h/?{options}")).unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
}

/// Guide rows 24 to 26, old spellings included: which of them reach a server of another name, and one of a strange authority.
#[test]
fn the_dangerous_switches() {
    let Some(place) = place("6.0", "other.example") else { return };
    let ann = place.client_file("ann");
    let strange = place.file("strange.pem", Authority::new().pem());
    for (option, any_name, any_authority) in [
        ("tls=true", false, false),
        ("ssl_cert_reqs=CERT_REQUIRED", false, false),
        ("ssl_cert_reqs=CERT_OPTIONAL", false, false),
        ("ssl_match_hostname=true", false, false),
        ("tlsInsecure=false", false, false),
        ("tlsAllowInvalidHostnames=true", true, false),
        ("ssl_match_hostname=false", true, false),
        ("tlsAllowInvalidCertificates=true", true, true),
        ("ssl_cert_reqs=CERT_NONE", true, true),
        ("tlsInsecure=true", true, true),
    ] {
        for (ca, expected) in [(&place.ca, any_name), (&strange, any_authority)] {
            let uri = format!(
                "mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={ca}&tlsCertificateKeyFile={ann}&{option}",
                place.mongod.port()
            );
            let client = Client::with_uri_str(uri).unwrap();
            let outcome = client.ping();
            assert_eq!(outcome.is_ok(), expected, "{option} {ca}: {outcome:?}");
            if let Err(error) = outcome {
                assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{option}: {error}");
            }
            let warned = client.warnings().iter().any(|warning| warning.kind() == WarningKind::Insecure);
            assert_eq!(warned, any_name, "{option}");
        }
    }
}
