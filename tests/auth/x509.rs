//! MONGODB-X509 on a real MongoDB, case by case, beside other people's drivers: latest PyMongo on 6.0, PyMongo 3.13.0 and
//! libmongoc on 4.2. The verdicts must be the same, and the table is printed.

use std::process::Command;

use mongo_blocking::bson::doc;
use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::percent_encode;
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, Reference, Scratch, report};

const ANN: &str = "CN=ann,O=mongo-blocking users";

/// What a case is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Logged in as [`ANN`].
    In,
    /// The server says that the login failed.
    Refused,
    /// The server lets nobody in, or the client does not even try.
    NoConnection,
}

struct Case {
    what: &'static str,
    user: &'static str,
    file: Option<String>,
    expected: Expected,
}

#[test]
fn the_table_on_6_0() {
    table("6.0", &[Reference::pymongo]);
}

#[test]
fn the_table_on_4_2() {
    table("4.2", &[Reference::pymongo_3, Reference::libmongoc]);
}

fn table(version: &str, others: &[fn() -> Option<Reference>]) {
    let others: Option<Vec<Reference>> = others.iter().map(|other| other()).collect();
    let Some(others) = others else { return };
    let (folder, authority) = (Scratch::new("x509-table"), Authority::new());
    let ca = folder.file("ca.pem", authority.pem());
    let own = folder.file("server.pem", authority.issue(CertPurpose::Server, "localhost").both());
    let mechanisms = ["--auth", "--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
    let Some(mongod) = Mongod::start_with_tls(version, &own, &ca, &mechanisms) else { return };

    let middle = authority.intermediate();
    let below = middle.issue(CertPurpose::Client, "ann");
    let ann = folder.file("ann.pem", authority.issue(CertPurpose::Client, "ann").both());
    let case = |what, user, file: &String, expected| Case { what, user, file: Some(file.clone()), expected };
    let stranger = folder.file("stranger.pem", authority.issue(CertPurpose::Client, "stranger").both());
    let other = folder.file("other.pem", Authority::new().issue(CertPurpose::Client, "ann").both());
    let expired = folder.file("expired.pem", authority.issue_expired(CertPurpose::Client, "ann").both());
    let chain = folder.file("chain.pem", format!("{}{}{}", below.certificate, below.key, middle.pem()));
    let cases = [
        case("without a user name", "", &ann, Expected::In),
        case("with the user name", ANN, &ann, Expected::In),
        case("with another's user name", "CN=stranger,O=mongo-blocking users", &ann, Expected::Refused),
        case("with a user name that is no subject", "ann", &ann, Expected::Refused),
        case("unknown subject", "", &stranger, Expected::Refused),
        case("unknown subject, a known user name", ANN, &stranger, Expected::Refused),
        Case { what: "no client certificate", user: "", file: None, expected: Expected::NoConnection },
        case("certificate of another authority", "", &other, Expected::NoConnection),
        case("expired certificate", "", &expired, Expected::NoConnection),
        case("under an intermediate", "", &chain, Expected::In),
    ];
    let uris: Vec<String> = cases.iter().map(|case| case.uri(mongod.port(), &ca)).collect();
    create_ann(&mongod, &ca, &ann);

    let ours = uris.iter().map(|uri| own_verdict(uri)).collect();
    let mut columns = vec![("mongo-blocking", ours)];
    for other in &others {
        columns.push((other.name(), other.verdicts(&uris)));
    }
    report(&printed(version, &cases, &columns));
    for (name, verdicts) in &columns {
        for (case, verdict) in cases.iter().zip(verdicts) {
            assert_eq!(read(verdict), Some(case.expected), "{version}, {name}, {}: {verdict}", case.what);
        }
    }
}

/// `examples/x509.rs`, as its head says to run it: for a user that the server knows, and for one that it does not.
#[test]
fn the_example() {
    let (folder, authority) = (Scratch::new("x509-example"), Authority::new());
    let ca = folder.file("ca.pem", authority.pem());
    let own = folder.file("server.pem", authority.issue(CertPurpose::Server, "localhost").both());
    let ann = folder.file("ann.pem", authority.issue(CertPurpose::Client, "ann").both());
    let bob = folder.file("bob.pem", authority.issue(CertPurpose::Client, "bob").both());
    let mechanisms = ["--auth", "--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
    let Some(mongod) = Mongod::start_with_tls("6.0", &own, &ca, &mechanisms) else { return };
    create_ann(&mongod, &ca, &ann);
    let host = format!("localhost:{}", mongod.port());
    let example = |certificate: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--locked", "--example", "x509", "--", &host, certificate, &ca]);
        let output = cargo.output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (output.status.code(), said)
    };
    let (code, said) = example(&ann);
    assert!(code == Some(0) && said.contains(ANN) && said.contains("$external"), "{said}");
    let (code, said) = example(&bob);
    assert!(code == Some(1) && said.contains("CN=bob,O=mongo-blocking users"), "{said}");
}

impl Case {
    fn uri(&self, port: u16, ca: &str) -> String {
        let user = match self.user {
            "" => String::new(),
            user => format!("{}@", percent_encode(user)),
        };
        let own = self.file.as_ref().map_or(String::new(), |file| format!("&tlsCertificateKeyFile={file}"));
        format!(
            "mongodb://{user}localhost:{port}/?authMechanism=MONGODB-X509&tls=true&tlsCAFile={ca}{own}\
             &serverSelectionTimeoutMS=2000"
        )
    }
}

/// The first user, by the exception that a server without users makes for the machine it runs on.
fn create_ann(mongod: &Mongod, ca: &str, ann: &str) {
    let uri = format!("mongodb://localhost:{}/?tls=true&tlsCAFile={ca}&tlsCertificateKeyFile={ann}", mongod.port());
    let roles = [doc! { "role": "root", "db": "admin" }];
    let create = doc! { "createUser": ANN, "roles": &roles[..] };
    Client::with_uri_str(uri).unwrap().database("$external").run_command(create).run().unwrap();
}

/// Our own verdict, in the words that the reference clients' programs use.
fn own_verdict(uri: &str) -> String {
    match users(uri) {
        Ok(users) => format!("ok {users}"),
        Err(error) => match (error.kind(), error.code()) {
            (ErrorKind::Authentication { .. }, Some(code)) => format!("auth {code}"),
            _ => format!("error {error}"),
        },
    }
}

fn users(uri: &str) -> Result<String, Error> {
    let client = Client::with_uri_str(uri)?;
    client.list_database_names().run()?;
    let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
    let name = |user: &mongo_blocking::bson::Bson| {
        let user = user.as_document().unwrap();
        format!("{}@{}", user.get_str("user").unwrap(), user.get_str("db").unwrap())
    };
    Ok(users.iter().map(name).collect::<Vec<_>>().join(" "))
}

/// 18 is the server's AuthenticationFailed; 11 its UserNotFound, and libmongoc's own number for a login that failed.
fn read(verdict: &str) -> Option<Expected> {
    match verdict.split_once(' ')? {
        ("ok", user) => (user == format!("{ANN}@$external")).then_some(Expected::In),
        ("auth", "18" | "11") => Some(Expected::Refused),
        ("error", _) => Some(Expected::NoConnection),
        _ => None,
    }
}

fn printed(version: &str, cases: &[Case], columns: &[(&str, Vec<String>)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut text = format!("MONGODB-X509 on MongoDB {version} | expected | {}\n", names.join(" | "));
    for (at, case) in cases.iter().enumerate() {
        let seen: Vec<String> = columns.iter().map(|(_, seen)| short(&seen[at])).collect();
        text += &format!("{} | {:?} | {}\n", case.what, case.expected, seen.join(" | "));
    }
    text
}

fn short(verdict: &str) -> String {
    verdict.chars().take(60).collect()
}
