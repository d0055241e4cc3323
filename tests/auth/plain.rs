//! PLAIN: the fake server takes the message apart and a real OpenLDAP server judges the password. PyMongo comes to the same verdicts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use mongo_blocking::bson::doc;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::EventHandler;
use mongo_blocking::options::{ClientOptions, ClientSettings, percent_encode};
use mongo_blocking::{Client, Error, SecurityPolicy, Warning, WarningKind};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::{Answer, FakeServer};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, ROOT, Reference, Scratch, Slapd, report};
use mongo_blocking_test_server::plain;

const USERS: &[(&str, &str)] = &[
    ("ann", "pencil"),
    ("ann@EXAMPLE.COM", "pass/word"),
    ("a/b", "100%"),
    ("50%25", "a:b@c"),
    ("jürgen.ж.東京", "pässwörd \u{2168}"),
    ("with, comma=\"quote\"", " blanks "),
];

fn fake_server(slapd: Slapd) -> FakeServer {
    let judge = move |user: &str, password: &str| slapd.takes(user, password);
    FakeServer::builder().mechanism("PLAIN", plain::judged_by(judge)).start()
}

fn uri(address: &str, user: &str, password: &str, options: &str) -> String {
    let (user, password) = (percent_encode(user), percent_encode(password));
    // What stands before the first `&` is the database in the path.
    let (path, options) = options.split_at(options.find('&').unwrap_or(options.len()));
    format!("mongodb://{user}:{password}@{address}/{path}?authMechanism=PLAIN{options}")
}

/// `ok USER@DATABASE`, `auth CODE` or `error WHAT`, as the reference clients print it.
fn verdict(uri: &str) -> String {
    match Client::with_uri_str(uri).and_then(|client| users(&client)) {
        Ok(users) => format!("ok {users}"),
        Err(error) => match error.code() {
            Some(code) => format!("auth {code}"),
            None => format!("error {error}"),
        },
    }
}

fn users(client: &Client) -> Result<String, Error> {
    client.list_database_names().run()?;
    let status = client.database("admin").run_command(doc! {"connectionStatus": 1}).run()?;
    let user =
        status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap()[0].as_document().unwrap();
    Ok(format!("{}@{}", user.get_str("user").unwrap(), user.get_str("db").unwrap()))
}

#[test]
fn the_directory_decides() {
    let (Some(slapd), Some(pymongo)) = (Slapd::start(USERS), Reference::pymongo()) else { return };
    let fake_server = fake_server(slapd);
    let address = fake_server.address();
    let mut cases = Vec::new();
    for (user, password) in USERS {
        cases.push((*user, *password, "", format!("ok {user}@$external")));
        cases.push((user, "wrong", "", "auth 18".to_owned()));
    }
    for user in ["nobody", "ann@example.com", "*"] {
        cases.push((user, "pencil", "", "auth 18".to_owned()));
    }
    for password in ["pencil ", "PENCIL"] {
        cases.push(("ann", password, "", "auth 18".to_owned()));
    }
    // What this driver does not even send.
    cases.extend([("", "pencil"), ("ann", "")].map(|(user, password)| (user, password, "", "refused".to_owned())));
    for (source, options) in [
        ("other", "&authSource=other"),
        ("$external", "&authSource=$external"),
        ("$external", "&authSource=%24external"),
        ("path", "path"),
        ("both", "path&authSource=both"),
    ] {
        cases.push(("ann", "pencil", options, format!("ok ann@{source}")));
    }
    let uris: Vec<String> =
        cases.iter().map(|(user, password, options, _)| uri(&address, user, password, options)).collect();
    let ours: Vec<String> = uris.iter().map(|uri| verdict(uri)).collect();
    let theirs = pymongo.verdicts(&uris);
    let mut table = "PLAIN against OpenLDAP: user | password | more | expected | mongo-blocking | PyMongo\n".to_owned();
    for (at, (user, password, more, expected)) in cases.iter().enumerate() {
        let short = |text: &str| text.chars().take(70).collect::<String>();
        table += &format!(
            "{user:?} | {password:?} | {more:?} | {expected} | {} | {}\n",
            short(&ours[at]),
            short(&theirs[at])
        );
    }
    report(&table);
    for (at, (user, password, _, expected)) in cases.iter().enumerate() {
        for verdict in [&ours[at], &theirs[at]] {
            let right = match expected.as_str() {
                "refused" => !verdict.starts_with("ok"),
                expected => verdict == expected,
            };
            assert!(right, "{user:?}, {password:?}: {verdict}");
        }
    }
}

#[test]
fn an_empty_password_is_refused_before_anything_is_sent() {
    let fake_server = FakeServer::builder().start();
    let error = Client::with_uri_str(uri(&fake_server.address(), "ann", "", "")).unwrap_err();
    assert!(error.stage() == Stage::Options && error.message().contains("not empty"), "{error}");
    let error = Client::with_uri_str(uri(&fake_server.address(), "", "pencil", "")).unwrap_err();
    assert!(error.stage() == Stage::Options && error.message().contains("PLAIN needs a user name"), "{error}");
    let nameless = format!("mongodb://{}/?authMechanism=PLAIN", fake_server.address());
    assert!(Client::with_uri_str(nameless).unwrap_err().message().contains("PLAIN needs a user name"));
    let error =
        Client::with_uri_str(format!("mongodb://ann@{}/?authMechanism=PLAIN", fake_server.address())).unwrap_err();
    assert!(error.message().contains("PLAIN needs a password"), "{error}");
    let code =
        ClientOptions::builder().host(fake_server.address()).username("ann").password("").auth_mechanism("PLAIN");
    assert!(code.build().settings().unwrap_err().message().contains("not empty"));
    for (user, password) in [("ann", "pen\0cil"), ("a\0nn", "pencil")] {
        let error = Client::with_uri_str(uri(&fake_server.address(), user, password, "")).unwrap_err();
        assert!(error.message().contains("NUL"), "{error}");
    }
    assert_eq!(fake_server.connections(), 0);
}

#[test]
fn a_refusal_names_the_user_and_never_the_password() {
    let fake_server = FakeServer::builder().mechanism("PLAIN", plain::judged_by(|_, _| false)).start();
    let client = Client::with_uri_str(uri(&fake_server.address(), "ann", "sesame-open", "&authSource=people")).unwrap();
    let error = client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }) && error.code() == Some(18), "{error:?}");
    assert!(error.message().contains("\"ann\" on database \"people\""), "{error}");
    assert!(error.hint().unwrap().contains("LDAP"), "{error}");
    assert!(!format!("{error:#} {error:?}").contains("sesame"), "{error:?}");
    // It is one message, without speculation.
    assert_eq!(fake_server.commands_named("saslStart").len(), 1);
    assert!(
        fake_server.commands_named("isMaster").iter().all(|hello| !hello.body.contains_key("speculativeAuthenticate"))
    );
}

/// A server that is on its way down says nothing about the password.
#[test]
fn only_a_refused_password_gets_the_hint_to_check_it() {
    for (code, look) in [(18, true), (8000, true), (91, false), (96, false)] {
        let reply = doc! {"ok": 0, "code": code, "errmsg": "no"};
        let fake_server = FakeServer::builder()
            .on_command(move |request, _| (request.name() == "saslStart").then(|| Answer::Reply(reply.clone())))
            .start();
        let error = Client::with_uri_str(uri(&fake_server.address(), "ann", "pencil", "")).unwrap().ping().unwrap_err();
        assert!(error.message().contains("\"ann\" on database \"$external\""), "{error}");
        assert_eq!(error.hint().is_some_and(|hint| hint.contains("check the user name")), look, "{code}: {error}");
    }
}

#[test]
fn without_tls_it_is_warned_about_or_refused() {
    let fake_server = FakeServer::builder().mechanism("PLAIN", plain::judged_by(|_, _| true)).start();
    let plain = uri(&fake_server.address(), "ann", "pencil", "");
    let options = ClientSettings::parse(&plain).unwrap();
    assert!(
        options.warnings().iter().any(|warning| warning.kind() == WarningKind::Insecure),
        "{:?}",
        options.warnings()
    );
    Client::with_options(options).unwrap().ping().unwrap();

    let strict = |uri: &str| {
        let policy = SecurityPolicy::default().refuse_unprotected_secrets(true);
        ClientOptions::builder().uri(uri).policy(policy).build().settings().and_then(Client::with_options)
    };
    let connections = fake_server.connections();
    let weakened = ["tlsInsecure", "tlsAllowInvalidHostnames", "tlsAllowInvalidCertificates"];
    let weakened = weakened.map(|switch| format!("{plain}&tls=true&{switch}=true"));
    for uri in weakened.into_iter().chain([plain.clone(), format!("{plain}&tls=false")]) {
        let error = strict(&uri).unwrap_err();
        assert!(error.message().contains("PLAIN sends the password unencrypted"), "{error}");
    }
    assert_eq!(fake_server.connections(), connections);

    let (scratch, authority) = (Scratch::new("ldap-tls"), Authority::new());
    let ca = scratch.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let own = authority.issue(CertPurpose::Server, "localhost");
    let judge = |user: &str, password: &str| (user, password) == ("ann", "pencil");
    let fake_server =
        FakeServer::builder().mechanism("PLAIN", plain::judged_by(judge)).tls(&own.certificate, &own.key).start();
    let options = format!("&tls=true&tlsCAFile={}", ca.display());
    let uri = uri(&format!("localhost:{}", fake_server.port()), "ann", "pencil", &options);
    let options = ClientSettings::parse(&uri).unwrap();
    assert!(
        options.warnings().iter().all(|warning| warning.kind() != WarningKind::Insecure),
        "{:?}",
        options.warnings()
    );
    assert_eq!(users(&strict(&uri).unwrap()).unwrap(), "ann@$external");
}

/// The warning is a line in the log, and an event for each client: once, however often it logs in.
#[test]
fn the_warning_is_logged_and_handed_to_the_programs_handler() {
    if !child::alone(module_path!(), "the_warning_is_logged_and_handed_to_the_programs_handler") {
        return;
    }
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    for (mechanism, kind, words) in [
        ("PLAIN", WarningKind::Insecure, "PLAIN sends the password unencrypted"),
        ("MONGODB-CR", WarningKind::Deprecated, "MONGODB-CR is based on MD5"),
    ] {
        let fake_server = FakeServer::builder()
            .wire_version(6)
            .mechanism("PLAIN", plain::judged_by(|_, _| true))
            .cr_user("ann", "pencil", "admin")
            .start();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let handler = {
            let heard = heard.clone();
            EventHandler::new(move |warning: &Warning| {
                heard.lock().unwrap().push((warning.kind(), warning.to_string()))
            })
        };
        let uri = format!("mongodb://ann:pencil@{}/?authMechanism={mechanism}", fake_server.address());
        let options = ClientOptions::builder().uri(uri).warning_handler(handler).build().settings().unwrap();
        for clients in 1..=2 {
            let client = Client::with_options(options.clone()).unwrap();
            let other = client.clone();
            std::thread::scope(|scope| drop(scope.spawn(|| other.ping().unwrap())));
            client.ping().unwrap();
            let heard = heard.lock().unwrap();
            assert_eq!(heard.len(), clients, "{heard:?}");
            assert!(heard.iter().all(|(what, text)| *what == kind && text.contains(words)), "{heard:?}");
        }
        let lines: Vec<String> = logged_here().into_iter().filter(|line| line.contains(words)).collect();
        assert_eq!(lines.len(), 2, "each client logs it once: {lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("WARN")), "{lines:?}");
    }
}

/// What this test's own thread has logged.
fn logged_here() -> Vec<String> {
    let me = std::thread::current().id();
    let lines = LOGGED.0.lock().unwrap();
    lines.iter().filter(|(thread, _)| *thread == me).map(|(_, line)| line.clone()).collect()
}

static LOGGED: Capture = Capture(Mutex::new(Vec::new()));

struct Capture(Mutex<Vec<(ThreadId, String)>>);

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        self.0.lock().unwrap().push((std::thread::current().id(), line));
    }
    fn flush(&self) {}
}

/// `examples/ldap.rs`, as its head says to run it; and what it does on a channel that it cannot trust.
#[test]
fn the_example() {
    let Some(slapd) = Slapd::start(&[("ann", "pass/word")]) else { return };
    let (folder, authority) = (Scratch::new("ldap-example"), Authority::new());
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let own = authority.issue(CertPurpose::Server, "localhost");
    let judge = plain::judged_by(move |user: &str, password: &str| slapd.takes(user, password));
    let fake_server = FakeServer::builder().mechanism("PLAIN", judge).tls(&own.certificate, &own.key).start();
    let host = format!("localhost:{}", fake_server.port());
    let example = |ca: Option<&PathBuf>, password: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--locked", "--example", "ldap", "--", &host, "ann"]).args(ca);
        let output = cargo.env("LDAP_PASSWORD", password).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (output.status.code(), said)
    };
    let (code, said) = example(Some(&ca), "pass/word");
    assert!(code == Some(0) && said.contains("\"ann\"") && said.contains("$external"), "{said}");
    let (code, said) = example(Some(&ca), "wrong");
    assert!(code == Some(1) && said.contains("LDAP directory") && !said.contains("wrong"), "{said}");
    let logins = fake_server.commands_named("saslStart").len();
    let (code, said) = example(None, "pass/word");
    assert!(code == Some(1) && said.contains("certificate"), "{said}");
    assert_eq!(fake_server.commands_named("saslStart").len(), logins);
}

/// A server that asks for more, or does not come to an end, has not let anybody in.
#[test]
fn a_conversation_without_done_is_not_a_login() {
    for (reply, words) in [
        (doc! {"conversationId": 1, "done": false, "payload": "", "ok": 1}, "not done"),
        (doc! {"conversationId": 1, "done": true, "payload": "bW9yZQ==", "ok": 1}, "asks for another message"),
        (doc! {"conversationId": 1, "payload": "", "ok": 1}, "done"),
        (doc! {"ok": 1}, "conversationId"),
    ] {
        let fake_server = FakeServer::builder()
            .on_command(move |request, _| (request.name() == "saslStart").then(|| Answer::Reply(reply.clone())))
            .start();
        let error = Client::with_uri_str(uri(&fake_server.address(), "ann", "pencil", "")).unwrap().ping().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidResponse { .. }) && error.message().contains(words),
            "{error:?}"
        );
    }
}

#[test]
fn a_community_server_has_no_ldap() {
    let Some(mongod) = Mongod::shared_with_auth("6.0") else { return };
    let error = Client::with_uri_str(uri(&mongod.address(), ROOT.0, ROOT.1, "")).unwrap().ping().unwrap_err();
    assert_eq!(error.code(), Some(334));
    assert!(error.hint().unwrap().contains("PLAIN needs MongoDB Enterprise or Atlas"), "{error}");
}
