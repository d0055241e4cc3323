//! What the guides show, form by form, on a real server: each test is a row of the guides' forms that are built by now.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{ClientOptions, ClientSettings, percent_encode};
use mongo_blocking::{Client, Error, WarningKind};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
use mongo_blocking_test_server::http::{HttpStub, Reply};
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
use mongo_blocking_test_server::peers::certs::Extras;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
use mongo_blocking_test_server::peers::{CertStatus, OcspResponder};
use mongo_blocking_test_server::peers::{Mongod, ROOT, Scratch, Slapd};
use mongo_blocking_test_server::plain;

/// A user of this name with both mechanisms, whom `the_database` knows.
fn create_user(mongod: &Mongod, name: &str, password: &str, database: &str) {
    let client = Client::with_uri_str(mongod.root_uri()).unwrap();
    let database = client.database(database);
    let _ = database.run_command(doc! {"dropUser": name}).run();
    let roles = [doc! {"role": "readWriteAnyDatabase", "db": "admin"}];
    database.run_command(doc! {"createUser": name, "pwd": password, "roles": &roles[..]}).run().unwrap();
}

/// Who the server says that a client with these options is.
fn who(options: Result<ClientSettings, Error>) -> String {
    let client = Client::with_options(options.unwrap()).unwrap();
    let status = client.database("test").run_command(doc! {"connectionStatus": 1}).run().unwrap();
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
    let user = users.first().expect("somebody is logged in").as_document().unwrap();
    format!("{}@{}", user.get_str("user").unwrap(), user.get_str("db").unwrap())
}

#[test]
fn row_1_escaping() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "guide 1", "pass/word", "admin");
    assert_eq!(percent_encode("pass/word"), "pass%2Fword");
    assert_eq!(percent_encode("guide 1"), "guide%201");
    let port = mongod.port();
    let uri = format!("mongodb://guide%201:pass%2Fword@127.0.0.1:{port}");
    assert_eq!(who(ClientSettings::parse(&uri)), "guide 1@admin");
    let code = ClientOptions::builder().host(mongod.address()).username("guide 1").password("pass/word");
    assert_eq!(who(code.build().settings()), "guide 1@admin");
}

/// Negotiated: from MongoDB 4.0 on the strongest mechanism that the user has credentials for.
#[test]
fn row_2_default_mechanism() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "guide2", "pencil", "admin");
    let uri = format!("mongodb://guide2:pencil@{}/", mongod.address());
    assert_eq!(who(ClientSettings::parse(&uri)), "guide2@admin");
    let code = ClientOptions::builder().host(mongod.address()).username("guide2").password("pencil");
    assert_eq!(who(code.build().settings()), "guide2@admin");
}

#[test]
fn rows_3_and_4_a_named_mechanism_and_the_database_that_knows_the_user() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "guide3", "pencil", "the_database");
    let host = mongod.address();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1"] {
        for uri in [
            format!("mongodb://guide3:pencil@{host}/?authSource=the_database&authMechanism={mechanism}"),
            format!("mongodb://guide3:pencil@{host}/the_database?authMechanism={mechanism}"),
        ] {
            assert_eq!(who(ClientSettings::parse(&uri)), "guide3@the_database", "{uri}");
        }
        let code = ClientOptions::builder()
            .host(&host)
            .username("guide3")
            .password("pencil")
            .auth_source("the_database")
            .auth_mechanism(mechanism);
        assert_eq!(who(code.build().settings()), "guide3@the_database");
    }
}

#[test]
fn row_6_default_database() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    create_user(mongod, "guide6", "pencil", "admin");
    let uri = format!("mongodb://guide6:pencil@{}/default_db?authSource=admin", mongod.address());
    assert_eq!(who(ClientSettings::parse(&uri)), "guide6@admin");
    let client = Client::with_uri_str(&uri).unwrap();
    assert_eq!(client.default_database().unwrap().name(), "default_db");
    assert!(Client::with_uri_str(mongod.uri()).unwrap().default_database().is_none());
}

/// A server that takes TLS only, and the file with its authority.
fn tls_server(folder: &Scratch) -> Option<(Mongod, String)> {
    let authority = Authority::new();
    let ca_file = folder.file("ca.pem", authority.pem());
    let key_file = folder.file("server.pem", authority.issue(CertPurpose::Server, "localhost").both());
    Some((Mongod::start_with_tls("6.0", &key_file, &ca_file, &["--tlsAllowConnectionsWithoutCertificates"])?, ca_file))
}

/// The system's own roots decide; OpenSSL reads from the environment where they are, so the very test runs once more in a
/// process whose environment names ours.
#[test]
fn row_18_tls_on() {
    const URI: &str = "MONGO_BLOCKING_GUIDE_ROW_18";
    if let Ok(address) = std::env::var(URI) {
        for option in ["tls=true", "ssl=true"] {
            Client::with_uri_str(format!("mongodb://{address}/?{option}")).unwrap().ping().unwrap();
        }
        let code = ClientOptions::builder().host(&address).tls(true).build().settings().unwrap();
        Client::with_options(code).unwrap().ping().unwrap();
        return;
    }
    let folder = Scratch::new("guide-18");
    let Some((mongod, ca_file)) = tls_server(&folder) else { return };
    let address = format!("localhost:{}", mongod.port());
    let error = Client::with_uri_str(format!("mongodb://{address}/?tls=true")).unwrap().ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{error}");
    child::run(child::command(module_path!(), "row_18_tls_on").env(URI, &address).env("SSL_CERT_FILE", &ca_file));
}

/// No server of today knows MONGODB-CR, so here the fake server poses as MongoDB 3.6.
#[test]
fn row_5_mongodb_cr() {
    let fake_server = FakeServer::builder().wire_version(6).cr_user("guide5", "pencil", "the_database").start();
    let host = fake_server.address();
    let user = "guide5@the_database";
    for form in ["?authSource=the_database&authMechanism=MONGODB-CR", "the_database?authMechanism=MONGODB-CR"] {
        assert_eq!(who(ClientSettings::parse(&format!("mongodb://guide5:pencil@{host}/{form}"))), user);
    }
    let code = ClientOptions::builder().host(&host).username("guide5").password("pencil");
    assert_eq!(who(code.auth_source("the_database").auth_mechanism("MONGODB-CR").build().settings()), user);
}

/// PLAIN needs MongoDB Enterprise, so here the fake server asks a real directory.
#[test]
fn row_11_plain() {
    let Some(slapd) = Slapd::start(&[("guide 11", "pass/word")]) else { return };
    let slapd = Arc::new(slapd);
    let judge = |slapd: &Arc<Slapd>| {
        let slapd = slapd.clone();
        move |user: &str, password: &str| slapd.takes(user, password)
    };
    let fake_server = FakeServer::builder().mechanism("PLAIN", plain::judged_by(judge(&slapd))).start();
    for options in ["", "&authSource=$external"] {
        let uri = format!("mongodb://guide%2011:pass%2Fword@{}/?&authMechanism=PLAIN{options}", fake_server.address());
        let options = ClientSettings::parse(&uri).unwrap();
        assert!(options.warnings().iter().any(|warning| warning.kind() == WarningKind::Insecure));
        assert_eq!(who(Ok(options)), "guide 11@$external");
    }

    let (folder, authority) = (Scratch::new("guide-11"), Authority::new());
    let file = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let ca = file("ca.pem", authority.pem());
    let own = authority.issue(CertPurpose::Server, "localhost");
    let client = file("client.pem", authority.issue(CertPurpose::Client, "guide 11").both());
    let fake_server =
        FakeServer::builder().mechanism("PLAIN", plain::judged_by(judge(&slapd))).tls(&own.certificate, &own.key);
    let fake_server = fake_server.client_authority(&authority.pem(), true).start();
    let address = format!("localhost:{}", fake_server.port());
    let uri = format!(
        "mongodb://guide%2011:pass%2Fword@{address}/?&authMechanism=PLAIN&tls=true&tlsCertificateKeyFile={client}&tlsCAFile={ca}"
    );
    assert_eq!(who(ClientSettings::parse(&uri)), "guide 11@$external");
    let code =
        ClientOptions::builder().host(&address).username("guide 11").password("pass/word").auth_mechanism("PLAIN");
    assert_eq!(
        who(code.tls(true).tls_certificate_key_file(&client).tls_ca_file(&ca).build().settings()),
        "guide 11@$external"
    );
}

#[test]
fn row_19_ca_file() {
    let folder = Scratch::new("guide-19");
    let Some((mongod, ca_file)) = tls_server(&folder) else { return };
    let address = format!("localhost:{}", mongod.port());
    for option in ["tlsCAFile", "ssl_ca_certs"] {
        let uri = format!("mongodb://{address}/?tls=true&{option}={ca_file}");
        Client::with_uri_str(uri).unwrap().ping().unwrap();
    }
    let code = ClientOptions::builder().host(&address).tls(true).tls_ca_file(&ca_file).build().settings().unwrap();
    Client::with_options(code).unwrap().ping().unwrap();
}

/// On the other platforms the system decides about revocation, and the rows are refused: tests/tls/matrix shows it.
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
#[test]
fn row_20_ocsp_off() {
    let (folder, authority) = (Scratch::new("guide-20"), Authority::new());
    let Some(ocsp_responder) = OcspResponder::new(&authority) else { return };
    let responder = HttpStub::start(|_| Reply::status(503, "out of order"));
    let names = Extras { responders: vec![responder.url("/")], must_staple: false, ..Extras::default() };
    let issued = authority.issue_with(CertPurpose::Server, "localhost", &names);
    ocsp_responder.enter(&issued, CertStatus::Good);
    let (ca_file, key_file) = (folder.file("ca.pem", authority.pem()), folder.file("server.pem", issued.both()));
    let rest = ["--tlsAllowConnectionsWithoutCertificates", "--setParameter", "ocspEnabled=false"];
    let Some(mongod) = Mongod::start_with_tls("6.0", &key_file, &ca_file, &rest) else { return };
    let address = format!("localhost:{}", mongod.port());

    let uri = format!("mongodb://{address}/?tls=true&tlsCAFile={ca_file}");
    Client::with_uri_str(format!("{uri}&tlsDisableOCSPEndpointCheck=true")).unwrap().ping().unwrap();
    let code = ClientOptions::builder().host(&address).tls_ca_file(&ca_file).tls_disable_ocsp_endpoint_check(true);
    Client::with_options(code.build().settings().unwrap()).unwrap().ping().unwrap();
    assert_eq!(responder.seen().len(), 0);
    Client::with_uri_str(&uri).unwrap().ping().unwrap();
    assert_eq!(responder.seen().len(), 1, "without the option it is asked");
}

#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
#[test]
fn row_21_crl() {
    let (folder, authority) = (Scratch::new("guide-21"), Authority::new());
    let Some(ocsp_responder) = OcspResponder::new(&authority) else { return };
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let (ca_file, key_file) = (folder.file("ca.pem", authority.pem()), folder.file("server.pem", issued.both()));
    let Some(mongod) =
        Mongod::start_with_tls("6.0", &key_file, &ca_file, &["--tlsAllowConnectionsWithoutCertificates"])
    else {
        return;
    };
    let address = format!("localhost:{}", mongod.port());
    ocsp_responder.enter(&authority.issue(CertPurpose::Server, "localhost"), CertStatus::Revoked);
    let without_it = folder.file("without.pem", ocsp_responder.list(false));
    ocsp_responder.enter(&issued, CertStatus::Revoked);
    let with_it = folder.file("with.pem", ocsp_responder.list(false));
    for option in ["tlsCRLFile", "ssl_crlfile"] {
        let uri = format!("mongodb://{address}/?tls=true&tlsCAFile={ca_file}&{option}");
        Client::with_uri_str(format!("{uri}={without_it}")).unwrap().ping().unwrap();
        let error = Client::with_uri_str(format!("{uri}={with_it}")).unwrap().ping().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Tls { .. }) && error.message().contains("certificate revoked"),
            "{error}"
        );
    }
    for (list, fine) in [(without_it, true), (with_it, false)] {
        let code = ClientOptions::builder()
            .host(&address)
            .tls_ca_file(&ca_file)
            .tls_crl_file(list)
            .build()
            .settings()
            .unwrap();
        assert_eq!(Client::with_options(code).unwrap().ping().is_ok(), fine);
    }
}

/// A server that wants a certificate of its authority and has a user for one, and the files for it.
struct Mutual {
    folder: Scratch,
    authority: Authority,
    mongod: Mongod,
    ca: String,
}

#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
const ANN: &str = "CN=ann,O=mongo-blocking users";

impl Mutual {
    fn start(server: &str) -> Option<Mutual> {
        let (folder, authority) = (Scratch::new("guide-mutual"), Authority::new());
        let ca = folder.file("ca.pem", authority.pem());
        let own = folder.file("server.pem", authority.issue(CertPurpose::Server, server).both());
        let mechanisms = ["--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
        let mongod = Mongod::start_with_tls("6.0", &own, &ca, &mechanisms)?;
        Some(Mutual { folder, authority, mongod, ca })
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.mongod.port())
    }

    /// A client certificate in files: with its key, with its key encrypted (password `pen&cil`), alone; and the key alone.
    fn own(&self) -> [String; 4] {
        let ann = self.authority.issue(CertPurpose::Client, "ann");
        let write = |name: &str, text: &str| self.folder.file(name, text);
        let key = write("key.pem", &ann.key);
        let arguments = ["pkcs8", "-topk8", "-in", &key, "-passout", "pass:pen&cil"];
        let done = Command::new("openssl").args(arguments).output().expect("the openssl command");
        let encrypted = String::from_utf8(done.stdout).unwrap() + &ann.certificate;
        [write("client.pem", &ann.both()), write("secret.pem", &encrypted), write("c.pem", &ann.certificate), key]
    }
}

/// As the guides write them, now and then. (The backend of Windows and macOS takes no encrypted key.)
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
#[test]
fn rows_7_8_22_and_23_client_certificates() {
    let Some(server) = Mutual::start("localhost") else { return };
    let ([client, secret, alone, key], ca, host) = (server.own(), &server.ca, server.host());
    let code = || ClientOptions::builder().host(&host).tls(true).tls_ca_file(ca);
    let admin = Client::with_options(code().tls_certificate_key_file(&client).build().settings().unwrap()).unwrap();
    admin.database("$external").run_command(doc! { "createUser": ANN, "roles": [] }).run().unwrap();

    let user = percent_encode(ANN);
    let x509 = "authMechanism=MONGODB-X509";
    for uri in [
        // 7
        format!("mongodb://{host}/?tls=true&tlsCertificateKeyFile={client}&{x509}&tlsCAFile={ca}"),
        format!(
            "mongodb://{host}/?tls=true&tlsCertificateKeyFile={secret}&tlsCertificateKeyFilePassword=pen%26cil&{x509}\
             &tlsCAFile={ca}"
        ),
        // 8
        format!(
            "mongodb://{user}@{host}/?{x509}&ssl=true&ssl_certfile={client}&ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}"
        ),
        // 22, and that CERT_OPTIONAL means the same as CERT_REQUIRED
        format!("mongodb://{host}/?ssl=true&ssl_certfile={client}&ssl_ca_certs={ca}&{x509}"),
        format!(
            "mongodb://{host}/?ssl=true&ssl_certfile={alone}&ssl_keyfile={key}&ssl_ca_certs={ca}&ssl_cert_reqs=CERT_OPTIONAL\
             &{x509}"
        ),
        // 23
        format!(
            "mongodb://{host}/?ssl=true&ssl_certfile={secret}&ssl_pem_passphrase=pen%26cil&ssl_ca_certs={ca}&{x509}"
        ),
    ] {
        assert_eq!(who(ClientSettings::parse(&uri)), format!("{ANN}@$external"), "{uri}");
    }
    let code = || code().auth_mechanism("MONGODB-X509");
    for options in [
        code().tls_certificate_key_file(&client),
        code().tls_certificate_key_file(&secret).tls_certificate_key_file_password("pen&cil"),
        code().tls_certificate_key_file(&client).username(ANN),
        code().tls_certificate_key_file(std::path::Path::new(&alone)).tls_key_file(std::path::PathBuf::from(&key)),
    ] {
        assert_eq!(who(options.build().settings()), format!("{ANN}@$external"));
    }
}

/// Which of the dangerous forms reach a server of another name, and which one whose authority is a stranger.
#[test]
fn rows_24_to_26_dangerous_forms() {
    let Some(server) = Mutual::start("other.example") else { return };
    let ([client, ..], host) = (server.own(), server.host());
    let strange = server.folder.file("strange.pem", Authority::new().pem());
    let builder = ClientOptions::builder;
    for (uri, code, any_authority) in [
        // 24
        ("tlsInsecure=true", builder().danger_tls_insecure(true), true),
        // 25
        ("tlsAllowInvalidCertificates=true", builder().danger_tls_allow_invalid_certificates(true), true),
        ("ssl_cert_reqs=CERT_NONE", builder().danger_tls_allow_invalid_certificates(true), true),
        // 26
        ("tlsAllowInvalidHostnames=true", builder().danger_tls_allow_invalid_hostnames(true), false),
        ("ssl_match_hostname=false", builder().danger_tls_allow_invalid_hostnames(true), false),
    ] {
        for (ca, reached) in [(&server.ca, true), (&strange, any_authority)] {
            let common = format!("mongodb://{host}/?tls=true&tlsCAFile={ca}&tlsCertificateKeyFile={client}");
            let plain = Client::with_uri_str(&common).unwrap();
            assert!(matches!(plain.ping().unwrap_err().kind(), ErrorKind::Tls { .. }), "without the switch");
            for options in [builder().uri(format!("{common}&{uri}")), code.clone().uri(&common)] {
                let outcome = Client::with_options(options.build().settings().unwrap()).unwrap().ping();
                assert_eq!(outcome.is_ok(), reached, "{uri} {ca}: {outcome:?}");
            }
        }
    }
    for required in ["CERT_REQUIRED", "CERT_OPTIONAL"] {
        let uri =
            format!("mongodb://{host}/?ssl=true&ssl_certfile={client}&ssl_ca_certs={strange}&ssl_cert_reqs={required}");
        assert!(
            matches!(Client::with_uri_str(uri).unwrap().ping().unwrap_err().kind(), ErrorKind::Tls { .. }),
            "{required}"
        );
    }
}

#[test]
fn row_27_sample_application() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let uri = format!("mongodb://{}:{}@{}/", ROOT.0, ROOT.1, mongod.address());
    let client = Client::with_uri_str(uri).unwrap();
    client.ping().unwrap();
    let collection = client.database("test").collection::<Document>("test");
    let before = collection.count_documents(doc! {}).run().unwrap();
    collection.insert_one(doc! {}).run().unwrap();
    assert_eq!(collection.count_documents(doc! {}).run().unwrap(), before + 1);
    client.close();
}
