//! Other people's clients against the fake server: it is trusted because PyMongo, the Node driver and libmongoc log in to it,
//! and because its answers to them are those of a real mongod.

use std::process::Command;
use std::time::Duration;

use bson::{Bson, doc};
use mongo_blocking::bson;
use mongo_blocking_test_server::fake_server::{
    Behaviour, FakeServer, FakeServerBuilder, Mechanism, ScramTamper, percent_encode,
};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{self, Mongod, Reference, ScrampServer, Scratch, run, script};

#[test]
fn pymongo_logs_in() {
    logs_in(&Reference::pymongo);
}

#[test]
fn node_logs_in() {
    logs_in(&Reference::node);
}

#[test]
fn libmongoc_logs_in() {
    logs_in(&Reference::libmongoc);
}

/// The very same logins, on a real server: the verdicts are the ones expected of the fake server.
#[test]
fn mongod_judges_the_same() {
    let Some(client) = Reference::pymongo() else { return };
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    for user in USERS {
        let mechanisms: Vec<Bson> = user.mechanisms.iter().map(|m| m.name().into()).collect();
        let create = doc! {"createUser": user.name, "pwd": user.password, "roles": ["root"], "mechanisms": mechanisms};
        let create = match user.database {
            "admin" => create,
            _ => doc! {"createUser": user.name, "pwd": user.password, "roles": [{"role": "root", "db": "admin"}]},
        };
        let made = mongod.run(user.database, create);
        assert_eq!(made.get_f64("ok").ok(), Some(1.0), "createUser: {made}");
    }
    check(&client, &mongod.address(), "", &logins());
}

/// The server that our own client logs in to elsewhere, judged by a client that is not ours: its users are right.
#[test]
fn pymongo_logs_in_to_the_scramp_server() {
    let Some(client) = Reference::pymongo() else { return };
    let users: Vec<(&str, &str)> =
        USERS.iter().filter(|u| scramp_knows(u.name)).map(|u| (u.name, u.password)).collect();
    let Some(server) = ScrampServer::start(&users) else { return };
    let mut logins = logins();
    // Every user there has both mechanisms and is in `admin`.
    logins.retain(|l| scramp_knows(l.name) && !l.name.starts_with("only") && l.database == "admin");
    check(&client, server.address(), "", &logins);
}

/// scramp prepares user names too, which servers don't: `IX` and its other spelling are one to it.
fn scramp_knows(name: &str) -> bool {
    name != "\u{2168}" && name != "elsewhere"
}

#[test]
fn pymongo_reads_and_writes_in_the_tiny_store() {
    let Some(python) = peers::python() else { return };
    let fake_server = fake_server().start();
    assert_eq!(run(Command::new(python).arg(script("pymongo_crud.py")).arg(fake_server.uri())), ["ok"]);
    assert!(fake_server.commands().iter().any(|c| c.flags & 2 != 0), "no unacknowledged write came");
}

#[test]
fn pymongo_reads_and_writes_in_the_server_behind_the_front() {
    let Some(python) = peers::python() else { return };
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let fake_server = fake_server().forward_to(&mongod.address(), Some(peers::ROOT)).start();
    assert_eq!(run(Command::new(python).arg(script("pymongo_crud.py")).arg(fake_server.uri())), ["ok"]);
}

/// The knobs do what they say: a client that checks refuses what they make. (PyMongo checks neither `done` in the
/// server's first message nor that its nonce was extended.)
#[test]
fn pymongo_refuses_a_front_that_cheats() {
    let Some(client) = Reference::pymongo() else { return };
    for tamper in [
        ScramTamper::NonceReplaced,
        ScramTamper::Iterations(1000),
        ScramTamper::VerifierWrong,
        ScramTamper::VerifierMissing,
        ScramTamper::ServerError("other-error".to_owned()),
        ScramTamper::Endless,
    ] {
        let fake_server = fake_server().behaviour(Behaviour::Scram(tamper.clone())).start();
        let verdicts = client.verdicts(&[fake_server.uri()]);
        assert!(!verdicts[0].starts_with("ok"), "{tamper:?}: {verdicts:?}");
    }
}

/// One client against fake servers of several kinds.
fn logs_in(client: &dyn Fn() -> Option<Reference>) {
    let Some(client) = client() else { return };
    let mut everything = logins();
    if client.name() == "Node driver" {
        // The Node driver escapes only the first `=` and the first `,` of a user name, and for SCRAM-SHA-1 it puts the
        // escaped name into the password's digest.
        everything.retain(|l| l.name != MANY_SIGNS && (l.name != SIGNS || l.mechanism != Some(Mechanism::ScramSha1)));
    }
    check(&client, &fake_server().start().address(), "", &everything);
    // Without speculation, with an exchange more at the end, and as a server of the time before both.
    let few = &everything[..FEW];
    check(&client, &fake_server().behaviour(Behaviour::NoSpeculation).start().address(), "", few);
    check(&client, &fake_server().behaviour(Behaviour::ExtraExchange).start().address(), "", few);
    check(&client, &fake_server().wire_version(client.oldest()).start().address(), "", few);
    // Dribbled, late, and within TLS.
    check(&client, &fake_server().behaviour(Behaviour::Drip).start().address(), "", few);
    let late = fake_server().behaviour(Behaviour::Delay(Duration::from_millis(20))).start();
    check(&client, &late.address(), "", few);
    let (authority, scratch) = (Authority::new(), Scratch::new("interop"));
    let server = authority.issue(CertPurpose::Server, "localhost");
    let file = scratch.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).expect("the authority's file");
    let fake_server = fake_server().tls(&server.certificate, &server.key).start();
    let options = format!("tls=true&tlsCAFile={}", percent_encode(&file.to_string_lossy()));
    check(&client, &format!("localhost:{}", fake_server.port()), &options, few);
}

/// A user of every fake server here.
struct User {
    name: &'static str,
    password: &'static str,
    mechanisms: &'static [Mechanism],
    database: &'static str,
}

/// A login and what is to become of it.
struct Login {
    name: &'static str,
    password: &'static str,
    database: &'static str,
    mechanism: Option<Mechanism>,
    succeeds: bool,
}

fn fake_server() -> FakeServerBuilder {
    USERS.iter().fold(FakeServer::builder(), |b, u| b.user(u.name, u.password, u.mechanisms, u.database))
}

/// Every user with every mechanism it has and without naming one; then what must fail. The first [`FEW`] are one of each.
fn logins() -> Vec<Login> {
    let login = |name, password, mechanism, succeeds| Login { name, password, database: "admin", mechanism, succeeds };
    let mut logins = vec![
        login("user", "pencil", None, true),
        login("user", "pencil", Some(Mechanism::ScramSha1), true),
        login("user", "pencil", Some(Mechanism::ScramSha256), true),
        login("only1", "pencil", None, true),
        login("user", "pencil ", None, false),
        login("user", "wrong", Some(Mechanism::ScramSha1), false),
        login("user", "wrong", Some(Mechanism::ScramSha256), false),
        login("nobody", "pencil", None, false),
        login("only1", "pencil", Some(Mechanism::ScramSha256), false),
        login("only256", "pencil", Some(Mechanism::ScramSha1), false),
        // SASLprep: these passwords and the stored ones are spellings of the same.
        login("IX", "I\u{ad}X", Some(Mechanism::ScramSha256), true),
        login("IX", "\u{2168}", Some(Mechanism::ScramSha256), true),
        login("\u{2168}", "IV", None, true),
        login("\u{2168}", "I\u{ad}V", None, true),
        // Without it, they are not.
        login("IX", "I\u{ad}X", Some(Mechanism::ScramSha1), false),
    ];
    for user in USERS {
        let named = user.mechanisms.iter().map(|m| Some(*m));
        for mechanism in std::iter::once(None).chain(named) {
            let (name, password, database) = (user.name, user.password, user.database);
            logins.push(Login { name, password, database, mechanism, succeeds: true });
        }
    }
    logins
}

/// Tries the logins at `address` and compares the verdicts.
fn check(client: &Reference, address: &str, options: &str, logins: &[Login]) {
    let uris: Vec<String> = logins.iter().map(|login| login.uri(address, options)).collect();
    let verdicts = client.verdicts(&uris);
    for ((login, uri), verdict) in logins.iter().zip(&uris).zip(&verdicts) {
        let expected = match login.succeeds {
            true => *verdict == format!("ok {}@{}", login.name, login.database),
            false => verdict.starts_with("auth "),
        };
        assert!(expected, "{uri}: {verdict}");
    }
}

impl Login {
    fn uri(&self, address: &str, options: &str) -> String {
        let (name, password) = (percent_encode(self.name), percent_encode(self.password));
        let mut uri = format!("mongodb://{name}:{password}@{address}/?authSource={}", self.database);
        if let Some(mechanism) = self.mechanism {
            uri.push_str(&format!("&authMechanism={}", mechanism.name()));
        }
        if !options.is_empty() {
            uri.push_str(&format!("&{options}"));
        }
        uri
    }
}

const BOTH: &[Mechanism] = &[Mechanism::ScramSha1, Mechanism::ScramSha256];

const USERS: &[User] = &[
    User { name: "user", password: "pencil", mechanisms: BOTH, database: "admin" },
    User { name: "only1", password: "pencil", mechanisms: &[Mechanism::ScramSha1], database: "admin" },
    User { name: "only256", password: "pencil", mechanisms: &[Mechanism::ScramSha256], database: "admin" },
    User { name: "elsewhere", password: "pencil", mechanisms: BOTH, database: "other" },
    User { name: SIGNS, password: "p=q,r", mechanisms: BOTH, database: "admin" },
    User { name: MANY_SIGNS, password: "p=q,r", mechanisms: BOTH, database: "admin" },
    User { name: "jürgen.ж.東京", password: "pässwörd", mechanisms: BOTH, database: "admin" },
    User {
        name: "with@:/?#[] %&+",
        password: "!@#$%^&*()_+-=[]{}|;':\",./<>?`~ \\",
        mechanisms: BOTH,
        database: "admin",
    },
    User { name: "IX", password: "IX", mechanisms: BOTH, database: "admin" },
    User { name: "\u{2168}", password: "\u{2163}", mechanisms: &[Mechanism::ScramSha256], database: "admin" },
];

const SIGNS: &str = "a=b,c";
const MANY_SIGNS: &str = "a=b,c=2C,,==";

/// How many of the logins stand for all of them.
const FEW: usize = 8;
