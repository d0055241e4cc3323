//! The handshake against a server that keeps the rules, in all its forms.

use super::environment::Environment;
use super::*;
use crate::auth::tests::noise::Noise;
use crate::auth::tests::scram_server::ScramServer;
use crate::auth::tests::{context, credential, localhost};
use crate::credential::{CrCredential, PlainCredential, ScramCredential, ScramMechanism, X509Credential};
use crate::description::ServerType;
use crate::error::ErrorKind;
use crate::policy::SecurityPolicy;
use crate::secret::Secret;
use crate::system::TestSystem;

const SHA_1: &str = "SCRAM-SHA-1";
const SHA_256: &str = "SCRAM-SHA-256";

fn handshake(user: Option<ScramCredential>) -> Handshake {
    Handshake {
        metadata: Metadata::new(None, &[], &Environment(&TestSystem::default())).unwrap(),
        server_api: None,
        load_balanced: false,
        credential: user.map(Credential::Scram),
        context: context(),
        in_function_service: false,
    }
}

fn user() -> ScramCredential {
    credential("user", "pencil")
}

fn run(handshake: &Handshake, server: &mut ScramServer) -> Result<Established> {
    handshake.run(&localhost(), &mut |database, command| Ok(server.answer(database, command)))
}

/// The names of the commands that the server got.
fn names(server: &ScramServer) -> Vec<&str> {
    server.got.iter().map(|(_, command)| command.iter().next().unwrap().unwrap().0.as_str()).collect()
}

fn start_of(server: &ScramServer, at: usize) -> (String, String) {
    let command = &server.got[at].1;
    let start = command.get_document("speculativeAuthenticate").unwrap_or(command);
    let payload = start.get_binary("payload").unwrap().bytes.to_vec();
    (start.get_str("mechanism").unwrap().to_owned(), String::from_utf8(payload).unwrap())
}

#[test]
fn without_a_user_there_is_only_a_hello() {
    let mut server = ScramServer::new(&[]);
    let done = run(&handshake(None), &mut server).unwrap();
    assert_eq!((done.login.mechanism, done.hello.description.server_type), (None, ServerType::Standalone));
    assert_eq!(names(&server), ["isMaster"]);
    let (database, hello) = &server.got[0];
    assert_eq!(database, "admin");
    assert_eq!(hello.get_i32("isMaster").unwrap(), 1);
    assert!(hello.get_bool("helloOk").unwrap());
    assert_eq!(hello.get_str("backpressure").unwrap(), "2");
    assert!(hello.get_array("compression").unwrap().is_empty());
    assert_eq!(
        hello.get_document("client").unwrap().get_document("driver").unwrap().get_str("name").unwrap(),
        "mongo-blocking"
    );
    for absent in ["loadBalanced", "saslSupportedMechs", "speculativeAuthenticate", "apiVersion"] {
        assert!(hello.get(absent).unwrap().is_none(), "{absent}");
    }
}

#[test]
fn speculation_saves_a_round_trip() {
    let mut server = ScramServer::new(&[SHA_1, SHA_256]);
    assert_eq!(run(&handshake(Some(user())), &mut server).unwrap().login.mechanism, Some(SHA_256));
    assert_eq!(names(&server), ["isMaster", "saslContinue"]);
    assert_eq!(server.got[0].1.get_str("saslSupportedMechs").unwrap(), "admin.user");
}

#[test]
fn a_speculation_without_an_answer_starts_again_with_a_fresh_nonce() {
    let mut server = ScramServer::new(&[SHA_256]);
    server.speculates = false;
    assert_eq!(run(&handshake(Some(user())), &mut server).unwrap().login.mechanism, Some(SHA_256));
    assert_eq!(names(&server), ["isMaster", "saslStart", "saslContinue"]);
    let (speculated, started) = (start_of(&server, 0), start_of(&server, 1));
    assert_eq!((speculated.0.as_str(), started.0.as_str()), (SHA_256, SHA_256));
    assert_ne!(speculated.1, started.1);
}

#[test]
fn a_user_of_the_older_mechanism_is_logged_in_by_it() {
    for tells in [true, false] {
        let mut server = ScramServer::new(&[SHA_1]);
        server.tells = tells;
        server.empty_exchange = true;
        assert_eq!(run(&handshake(Some(user())), &mut server).unwrap().login.mechanism, Some(SHA_1));
        assert_eq!(names(&server), ["isMaster", "saslStart", "saslContinue", "saslContinue"]);
    }
}

#[test]
fn a_server_that_answers_the_speculation_and_offers_only_the_older_one_gets_the_older_one() {
    let mut server = ScramServer::new(&[SHA_1, SHA_256]);
    server.tells = false;
    server.hello.append(cstr!("saslSupportedMechs"), RawArrayBuf::from_iter([SHA_1, "PLAIN", "NEW-ONE"]));
    assert_eq!(run(&handshake(Some(user())), &mut server).unwrap().login.mechanism, Some(SHA_1));
    assert_eq!(names(&server), ["isMaster", "saslStart", "saslContinue"]);
}

#[test]
fn an_explicit_mechanism_is_honoured_and_speculated() {
    for (mechanism, name) in [(ScramMechanism::Sha1, SHA_1), (ScramMechanism::Sha256, SHA_256)] {
        let mut server = ScramServer::new(&[SHA_1, SHA_256]);
        let explicit = ScramCredential { mechanism: Some(mechanism), ..user() };
        assert_eq!(run(&handshake(Some(explicit)), &mut server).unwrap().login.mechanism, Some(name));
        assert_eq!(names(&server), ["isMaster", "saslContinue"]);
        assert!(server.got[0].1.get("saslSupportedMechs").unwrap().is_none());
        assert_eq!(start_of(&server, 0).0, name);
    }
}

#[test]
fn the_source_is_where_the_commands_go() {
    let mut server = ScramServer::new(&[SHA_256]);
    server.source = "people";
    server.speculates = false;
    let elsewhere = ScramCredential { source: "people".to_owned(), ..user() };
    run(&handshake(Some(elsewhere)), &mut server).unwrap();
    let databases: Vec<&str> = server.got.iter().map(|(database, _)| database.as_str()).collect();
    assert_eq!(databases, ["admin", "people", "people"]);
    assert_eq!(server.got[0].1.get_document("speculativeAuthenticate").unwrap().get_str("db").unwrap(), "people");
    assert_eq!(server.got[0].1.get_str("saslSupportedMechs").unwrap(), "people.user");
}

#[test]
fn names_and_passwords_of_every_kind_log_in() {
    for (username, password, prepared) in [
        ("a=b,c", "pencil", "pencil"),
        ("=3D,=2C", "p,=%@:/", "p,=%@:/"),
        ("J\u{f6}rg", "I\u{ad}X", "IX"),
        ("\u{2168}", "\u{2163}", "IV"),
        ("user", "", ""),
    ] {
        let mut server = ScramServer::new(&[SHA_256]);
        (server.username, server.password) = (username, prepared);
        run(&handshake(Some(credential(username, password))), &mut server).unwrap();
    }
}

#[test]
fn a_password_that_has_no_prepared_form_still_serves_the_older_mechanism() {
    let mut server = ScramServer::new(&[SHA_1]);
    server.password = "\u{1F511}";
    let done = run(&handshake(Some(credential("user", "\u{1F511}"))), &mut server).unwrap();
    assert_eq!(done.login.mechanism, Some(SHA_1));
    assert!(server.got[0].1.get("speculativeAuthenticate").unwrap().is_none());

    let mut strong = ScramServer::new(&[SHA_256]);
    let error = run(&handshake(Some(credential("user", "\u{1F511}"))), &mut strong).unwrap_err();
    assert!(error.message().contains("cannot be used with SCRAM-SHA-256"), "{error}");
}

#[test]
fn a_wrong_password_names_the_user_and_hides_the_password() {
    let mut server = ScramServer::new(&[SHA_1, SHA_256]);
    let error = run(&handshake(Some(credential("user", "penc+il"))), &mut server).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }));
    assert_eq!(error.stage(), Stage::Authentication { mechanism: SHA_256, step: "server-final message" });
    assert_eq!((error.code(), error.code_name()), (Some(18), Some("AuthenticationFailed")));
    assert_eq!(error.message(), r#"the server refused user "user" on database "admin""#);
    assert!(error.to_string().contains("Authentication failed."), "{error}");
    assert!(error.hint().unwrap().contains("authSource"), "{error}");
    assert!(!error.hint().unwrap().contains("%20"), "{error}");
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("penc+il"), "{shown}");
    }

    let pasted = ScramCredential { plus_in_uri: true, ..credential("user", "penc+il") };
    let error = run(&handshake(Some(pasted)), &mut ScramServer::new(&[SHA_256])).unwrap_err();
    assert!(error.hint().unwrap().contains("%20"), "{error}");
}

#[test]
fn an_unknown_user_is_an_ordinary_failure() {
    let mut server = ScramServer::new(&[SHA_256]);
    let error = run(&handshake(Some(credential("nobody", "pencil"))), &mut server).unwrap_err();
    assert_eq!((error.code(), names(&server).as_slice()), (Some(18), ["isMaster", "saslStart"].as_slice()));
    assert!(error.hint().unwrap().contains("may not exist"), "{error}");
}

#[test]
fn the_policy_against_weak_mechanisms_is_kept() {
    let strict = |user: ScramCredential| {
        let mut handshake = handshake(Some(user));
        handshake.context.set_policy(SecurityPolicy::default().refuse_weak_mechanisms(true));
        handshake
    };
    let mut weak = ScramServer::new(&[SHA_1]);
    let error = run(&strict(user()), &mut weak).unwrap_err();
    assert!(error.message().contains("refuse_weak_mechanisms"), "{error}");
    assert_eq!(names(&weak), ["isMaster"]);

    let mut silent = ScramServer::new(&[SHA_1, SHA_256]);
    silent.tells = false;
    assert_eq!(run(&strict(user()), &mut silent).unwrap().login.mechanism, Some(SHA_256));

    let explicit = strict(ScramCredential { mechanism: Some(ScramMechanism::Sha1), ..user() });
    let Some(named) = &explicit.credential else { unreachable!() };
    assert!(auth::check(named, &explicit.context).unwrap_err().message().contains("policy"));
}

#[test]
fn a_password_that_only_a_refused_mechanism_could_use_is_refused_before_anything_is_connected() {
    let mut handshake = handshake(Some(credential("user", "\u{1F511}")));
    let Some(named) = handshake.credential.clone() else { unreachable!() };
    auth::check(&named, &handshake.context).unwrap();
    handshake.context.set_policy(SecurityPolicy::default().refuse_weak_mechanisms(true));
    let error = auth::check(&named, &handshake.context).unwrap_err();
    assert!(error.message().contains("cannot be used with SCRAM-SHA-256"), "{error}");
}

/// A password that was copied from a file, or out of quotes; it may be right all the same.
#[test]
fn a_refused_password_with_a_line_feed_around_it_is_told_so() {
    let refused = |user: Credential| {
        let mut handshake = handshake(None);
        handshake.credential = Some(user);
        let outcome = handshake.run(&localhost(), &mut |_, command| {
            Ok(match command.iter().next().unwrap().unwrap().0.as_str() {
                "isMaster" => rawdoc! { "ok": 1, "maxWireVersion": 17 },
                "getnonce" => rawdoc! { "ok": 1, "nonce": "2375531c32080ae8" },
                _ => rawdoc! { "ok": 0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "no" },
            })
        });
        outcome.unwrap_err().hint().unwrap().to_owned()
    };
    let sha1 = |password| {
        let user = ScramCredential { mechanism: Some(ScramMechanism::Sha1), ..credential("user", password) };
        refused(Credential::Scram(user))
    };
    assert!(sha1("pencil\n").contains("the password ends with a line feed"));
    assert!(sha1(" pencil").contains("the password begins with a blank"));
    assert!(!sha1("pen cil").contains("the password begins") && !sha1("pen cil").contains("the password ends"));
    let (username, source) = ("user".to_owned(), "$external".to_owned());
    let plain = PlainCredential { username, password: Secret::from("'pencil'"), source };
    assert!(refused(Credential::Plain(plain)).contains("the password ends with a single quotation mark"));
    let cr = CrCredential { username: "user".to_owned(), password: Secret::from("pencil\t"), source: "db".to_owned() };
    assert!(refused(Credential::Cr(cr)).contains("the password ends with a tab"));
    // SCRAM-SHA-256 cannot use a control character at all.
    let user = ScramCredential { mechanism: Some(ScramMechanism::Sha256), ..credential("user", "pencil\n") };
    let error = auth::check(&Credential::Scram(user), &context()).unwrap_err();
    assert!(error.message().contains("ends with a line feed"), "{error}");
}

#[test]
fn a_speculation_that_the_server_answers_by_no_counts_as_unanswered() {
    let named = Credential::X509(X509Credential { username: None });
    for (answer, rounds) in [
        (rawdoc! { "dbname": "$external", "user": "CN=ann" }, 1),
        (rawdoc! { "ok": 1, "user": "CN=ann" }, 1),
        (rawdoc! { "ok": 0, "code": 18, "errmsg": "no" }, 2),
        (rawdoc! { "ok": "yes" }, 2),
    ] {
        let mut handshake = handshake(None);
        handshake.credential = Some(named.clone());
        let mut got = Vec::new();
        let outcome = handshake.run(&localhost(), &mut |_, command| {
            got.push(command.to_owned());
            match got.len() {
                1 => Ok(rawdoc! { "ok": 1, "maxWireVersion": 17, "speculativeAuthenticate": answer.clone() }),
                _ => Ok(rawdoc! { "ok": 0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "no" }),
            }
        });
        assert_eq!((got.len(), outcome.is_ok()), (rounds, rounds == 1), "{answer:?}");
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_connected() {
    let check = |user: ScramCredential| auth::check(&Credential::Scram(user), &context());
    assert!(check(credential("", "pencil")).unwrap_err().message().contains("user name"));
    let control = ScramCredential { mechanism: Some(ScramMechanism::Sha256), ..credential("user", "a\u{7}") };
    assert!(check(control).unwrap_err().message().contains("control character"));
    check(ScramCredential { password: Secret::from(""), ..user() }).unwrap();
}

#[test]
fn an_arbiter_is_not_logged_in_to() {
    let mut server = ScramServer::new(&[SHA_256]);
    server.hello = rawdoc! { "setName": "rs", "arbiterOnly": true, "maxWireVersion": 17 };
    let done = run(&handshake(Some(user())), &mut server).unwrap();
    assert_eq!((done.login.mechanism, done.hello.description.server_type), (None, ServerType::RsArbiter));
    assert_eq!(names(&server), ["isMaster"]);
}

#[test]
fn a_declared_api_version_goes_with_every_command() {
    let mut modern = handshake(Some(user()));
    modern.server_api =
        Some(ServerApi { version: crate::options::ServerApiVersion::V1, strict: Some(true), deprecation_errors: None });
    let mut server = ScramServer::new(&[SHA_256]);
    server.speculates = false;
    run(&modern, &mut server).unwrap();
    assert_eq!(names(&server), ["hello", "saslStart", "saslContinue"]);
    for (_, command) in &server.got {
        assert_eq!(command.get_str("apiVersion").unwrap(), "1");
        assert!(command.get_bool("apiStrict").unwrap());
        assert!(command.get("apiDeprecationErrors").unwrap().is_none());
        assert!(command.get("helloOk").unwrap().is_none());
    }
}

#[test]
fn an_api_version_on_an_old_server_is_explained() {
    let mut modern = handshake(None);
    modern.server_api =
        Some(ServerApi { version: crate::options::ServerApiVersion::V1, strict: None, deprecation_errors: None });
    let unknown = rawdoc! { "ok": 0, "code": 59, "codeName": "CommandNotFound", "errmsg": "no such command: 'hello'" };
    let error = modern.run(&localhost(), &mut |_, _| Ok(unknown.clone())).unwrap_err();
    assert!(error.hint().unwrap().contains("MongoDB 5.0"), "{error}");
}

#[test]
fn behind_a_load_balancer_a_service_id_is_needed() {
    let mut balanced = handshake(None);
    balanced.load_balanced = true;
    let mut server = ScramServer::new(&[]);
    let error = run(&balanced, &mut server).unwrap_err();
    let prescribed =
        "Driver attempted to initialize in load balancing mode, but the server does not support this mode.";
    assert!(error.message().starts_with(prescribed), "{error}");
    assert!(server.got[0].1.get_bool("loadBalanced").unwrap());
    assert_eq!(names(&server), ["hello"]);

    let mut server = ScramServer::new(&[]);
    server.hello.append(cstr!("serviceId"), bson::oid::ObjectId::from_bytes([1; 12]));
    assert!(run(&balanced, &mut server).unwrap().hello.service_id.is_some());
    let hello = run(&handshake(None), &mut server).unwrap().hello;
    assert_eq!(hello.service_id, None, "without a load balancer it means nothing");
    assert!(server.got.last().unwrap().1.get("loadBalanced").unwrap().is_none());
}

#[test]
fn a_network_that_fails_in_hello_is_labelled_and_later_it_is_not() {
    let gone = || Error::new(FaultKind::Io, Stage::Command, "connection reset");
    let error = handshake(Some(user())).run(&localhost(), &mut |_, _| Err(gone())).unwrap_err();
    assert_eq!(error.stage(), Stage::Hello);
    assert!(error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR));

    let mut server = ScramServer::new(&[SHA_256]);
    let later = &mut |database: &str, command: &RawDocument| {
        if server.got.is_empty() { Ok(server.answer(database, command)) } else { Err(gone()) }
    };
    let error = handshake(Some(user())).run(&localhost(), later).unwrap_err();
    assert_eq!(error.stage(), Stage::Authentication { mechanism: SHA_256, step: "server-final message" });
    assert_eq!(error.labels().len(), 0);
}

#[test]
fn a_hello_that_is_refused_is_the_servers_own_error() {
    let refused = rawdoc! { "ok": 0, "code": 323, "codeName": "APIStrictError", "errmsg": "no" };
    let error = handshake(Some(user())).run(&localhost(), &mut |_, _| Ok(refused.clone())).unwrap_err();
    assert_eq!((error.stage(), error.code()), (Stage::Hello, Some(323)));
    let old = rawdoc! { "ok": 1, "maxWireVersion": 4 };
    let error = handshake(Some(user())).run(&localhost(), &mut |_, _| Ok(old.clone())).unwrap_err();
    assert!(error.message().contains("MongoDB 3.2"), "{error}");
}

#[test]
fn the_second_connection_does_not_derive_again() {
    let client = handshake(Some(user()));
    for _ in 0..3 {
        run(&client, &mut ScramServer::new(&[SHA_256])).unwrap();
    }
    assert_eq!(client.context.remembered_keys(), 1);
}

#[test]
fn what_a_wrapper_adds_is_told_by_the_next_connection() {
    let client = handshake(None);
    let name = |server: &ScramServer| {
        let driver = server.got[0].1.get_document("client").unwrap().get_document("driver").unwrap();
        driver.get_str("name").unwrap().to_owned()
    };
    let (mut before, mut after) = (ScramServer::new(&[]), ScramServer::new(&[]));
    run(&client, &mut before).unwrap();
    client.append_metadata(DriverInfo { name: "framework".to_owned(), version: None, platform: None }).unwrap();
    run(&client, &mut after).unwrap();
    assert_eq!((name(&before).as_str(), name(&after).as_str()), ("mongo-blocking", "mongo-blocking|framework"));
}

#[test]
fn spoiled_hellos_never_panic() {
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let good = rawdoc! {
        "ok": 1.0, "isWritablePrimary": true, "helloOk": true, "setName": "rs", "setVersion": 1, "hosts": ["a:1", "B:2"],
        "tags": { "dc": "east" }, "topologyVersion": { "processId": bson::oid::ObjectId::from_bytes([1; 12]), "counter": 6_i64 },
        "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        "lastWrite": { "lastWriteDate": bson::DateTime::from_millis(1) }, "saslSupportedMechs": ["SCRAM-SHA-256"],
        "speculativeAuthenticate": { "conversationId": 1, "done": false, "payload": "r=x,s=AAAA,i=4096" },
        "minWireVersion": 0, "maxWireVersion": 17,
    };
    Hello::read(&good).unwrap();
    let client = handshake(Some(user()));
    for _ in 0..5000 {
        let spoiled = noise.spoil_document(&good);
        let outcome = client.run(&localhost(), &mut |_, _| Ok(spoiled.clone()));
        assert!(!outcome.is_ok_and(|done| done.login.mechanism.is_some()), "logged in by noise");
    }
}
