//! MONGODB-CR: only where it is named, on a fake server that poses as MongoDB 3.6, to which PyMongo 3.13 logs in too; and what newer
//! servers say.

use std::process::Command;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::ClientSettings;
use mongo_blocking::{Client, SecurityPolicy, WarningKind};
use mongo_blocking_test_server::fake_server::{Answer, FakeServer, percent_encode};
use mongo_blocking_test_server::peers::{Mongod, ROOT, Reference, report};

/// MongoDB 3.6.
const WIRE_VERSION: i32 = 6;

fn fake_server() -> FakeServer {
    FakeServer::builder()
        .wire_version(WIRE_VERSION)
        .cr_user("ann", "pencil", "admin")
        .cr_user("jürgen", "pässwörd: 50%", "the_database")
        .start()
}

fn uri(address: &str, user: &str, password: &str, rest: &str) -> String {
    format!("mongodb://{}:{}@{address}/{rest}", percent_encode(user), percent_encode(password))
}

fn verdict(uri: &str) -> String {
    let client = Client::with_uri_str(uri).unwrap();
    let status = client.database("admin").run_command(doc! {"connectionStatus": 1}).run();
    match status {
        Ok(status) => {
            let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
            let user: &Document = users[0].as_document().unwrap();
            format!("ok {}@{}", user.get_str("user").unwrap(), user.get_str("db").unwrap())
        }
        Err(error) => format!("auth {}", error.code().unwrap_or_else(|| panic!("{error:?}"))),
    }
}

#[test]
fn verdict_for_verdict_with_pymongo_3() {
    let Some(pymongo) = Reference::pymongo_3() else { return };
    let fake_server = fake_server();
    let address = fake_server.address();
    let cases = [
        (uri(&address, "ann", "pencil", "?authMechanism=MONGODB-CR"), "ok ann@admin"),
        (uri(&address, "ann", "wrong", "?authMechanism=MONGODB-CR"), "auth 18"),
        (uri(&address, "bob", "pencil", "?authMechanism=MONGODB-CR"), "auth 18"),
        (uri(&address, "ann", "pencil", "?authSource=the_database&authMechanism=MONGODB-CR"), "auth 18"),
        (
            uri(&address, "jürgen", "pässwörd: 50%", "?authSource=the_database&authMechanism=MONGODB-CR"),
            "ok jürgen@the_database",
        ),
        (uri(&address, "jürgen", "pässwörd: 50%", "the_database?authMechanism=MONGODB-CR"), "ok jürgen@the_database"),
    ];
    let uris: Vec<String> = cases.iter().map(|(uri, _)| uri.clone()).collect();
    let ours: Vec<String> = uris.iter().map(|uri| verdict(uri)).collect();
    let theirs = pymongo.verdicts(&uris);
    let rest = |uri: &str| uri.split_once("@127.0.0.1").map_or("", |(_, rest)| rest).to_owned();
    let mut table = "MONGODB-CR: case | expected | mongo-blocking | PyMongo 3.13\n".to_owned();
    for (at, (uri, expected)) in cases.iter().enumerate() {
        table += &format!("{at} {} | {expected} | {} | {}\n", rest(uri), ours[at], theirs[at]);
    }
    report(&table);
    for (at, (uri, expected)) in cases.iter().enumerate() {
        assert_eq!((ours[at].as_str(), theirs[at].as_str()), (*expected, *expected), "{uri}");
    }
}

/// `examples/mongodb_cr.rs`, as its head says to run it.
#[test]
fn the_example() {
    let fake_server = fake_server();
    let address = uri(&fake_server.address(), "jürgen", "pässwörd: 50%", "?authSource=the_database");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--locked", "--example", "mongodb_cr", "--", &address]);
    let output = cargo.output().unwrap();
    let (said, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("\"jürgen\"") && said.contains("the_database"), "{said}{warned}");
    assert!(warned.contains("warning: MONGODB-CR is based on MD5"), "{warned}");
}

#[test]
fn it_is_never_chosen_unless_named() {
    let fake_server = fake_server();
    for mechanism in ["", "?authMechanism=SCRAM-SHA-1"] {
        let error =
            Client::with_uri_str(uri(&fake_server.address(), "ann", "pencil", mechanism)).unwrap().ping().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error:?}");
    }
    assert_eq!((fake_server.commands_named("getnonce").len(), fake_server.logins()), (0, 0));
    assert!(
        fake_server
            .commands_named("saslStart")
            .iter()
            .all(|start| start.body.get_str("mechanism").unwrap() == "SCRAM-SHA-1")
    );
}

#[test]
fn it_is_warned_about_or_refused() {
    let uri = "mongodb://ann:pencil@localhost/?authMechanism=MONGODB-CR";
    let options = ClientSettings::parse(uri).unwrap();
    assert!(options.warnings().iter().any(|warning| warning.kind() == WarningKind::Deprecated));
    let strict =
        options.into_builder().policy(SecurityPolicy::default().refuse_weak_mechanisms(true)).build().settings();
    let error = strict.and_then(Client::with_options).unwrap_err();
    assert!(error.message().contains("such as MONGODB-CR"), "{error}");
}

#[test]
fn servers_that_break_the_rules_are_refused() {
    for (reply, words) in [
        (doc! {"ok": 1}, "no nonce"),
        (doc! {"nonce": 7, "ok": 1}, "no nonce"),
        (doc! {"nonce": "", "ok": 1}, "hexadecimal"),
        (doc! {"nonce": "no number", "ok": 1}, "hexadecimal"),
        (doc! {"nonce": "f".repeat(65), "ok": 1}, "hexadecimal"),
    ] {
        let fake_server = FakeServer::builder()
            .on_command(move |request, _| (request.name() == "getnonce").then(|| Answer::Reply(reply.clone())))
            .start();
        let address = uri(&fake_server.address(), "ann", "pencil", "?authMechanism=MONGODB-CR");
        let error = Client::with_uri_str(address).unwrap().ping().unwrap_err();
        assert_eq!(error.stage(), Stage::Authentication { mechanism: "MONGODB-CR", step: "nonce" });
        assert!(
            matches!(error.kind(), ErrorKind::InvalidResponse { .. }) && error.message().contains(words),
            "{error}"
        );
        assert!(fake_server.commands_named("authenticate").is_empty());
    }
}

#[test]
fn newer_servers_say_that_it_is_gone() {
    for version in ["4.2", "6.0"] {
        let Some(mongod) = Mongod::shared_with_auth(version) else { return };
        let uri = uri(&mongod.address(), ROOT.0, ROOT.1, "?authMechanism=MONGODB-CR");
        let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error:?}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("MongoDB 4.0") && hint.contains("SCRAM"), "{version}: {error}");
    }
}

/// A command that is gone means that the mechanism is; a server that shuts down means nothing of the kind.
#[test]
fn not_every_refusal_means_that_it_is_gone() {
    for (code, gone) in [(59, true), (334, true), (91, false), (11600, false)] {
        let reply = doc! {"ok": 0, "code": code, "errmsg": "no"};
        let fake_server = FakeServer::builder()
            .on_command(move |request, _| (request.name() == "getnonce").then(|| Answer::Reply(reply.clone())))
            .start();
        let address = uri(&fake_server.address(), "ann", "pencil", "?authMechanism=MONGODB-CR");
        let error = Client::with_uri_str(address).unwrap().ping().unwrap_err();
        assert_eq!(error.hint().is_some_and(|hint| hint.contains("MongoDB 4.0 removed")), gone, "{code}: {error}");
    }
}
