//! Servers that lie, stall, or break off: each ends in a typed error that names the stage and says what the server did,
//! promptly, without a panic and without room made for what was only claimed.

mod posing;
mod wire;

use std::fs;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::{Client, Error};
use mongo_blocking_test_server::fake_server::{
    Answer, Behaviour, FakeServer, FakeServerBuilder, Forge, Mechanism, ScramTamper,
};

const SHA_1: &str = "SCRAM-SHA-1";
const SHA_256: &str = "SCRAM-SHA-256";
const FIRST: &str = "server-first message";
const LAST: &str = "server-final message";

fn with_user(mechanism: &'static str) -> FakeServerBuilder {
    let mechanism = if mechanism == SHA_1 { Mechanism::ScramSha1 } else { Mechanism::ScramSha256 };
    FakeServer::builder().user("ann", "pencil", &[mechanism], "admin").iterations(4096)
}

/// The connection string with one round of checks for each operation, so that the server's own error is seen.
fn once(uri: &str) -> String {
    format!("{uri}?serverSelectionTryOnce=true")
}

/// The error of a client that tries to use this server. It may not take long, and it may not ask for much memory.
fn refused(fake_server: &FakeServer) -> Error {
    let before = virtual_peak();
    let began = Instant::now();
    let error = Client::with_uri_str(once(&fake_server.uri())).unwrap().ping().expect_err("a hostile server");
    assert!(began.elapsed() < PROMPT, "it took {:?}: {error}", began.elapsed());
    assert!(virtual_peak() - before < MUCH, "it asked for much memory: {error}");
    assert!(!format!("{error:#}").contains("pencil"), "{error}");
    error
}

/// Both mechanisms, refused at this step with these words.
fn tampered(tamper: &ScramTamper, step: &str, words: &str) {
    for name in [SHA_256, SHA_1] {
        let error = refused(&with_user(name).behaviour(Behaviour::Scram(tamper.clone())).start());
        let Stage::Authentication { mechanism, step: at } = error.stage() else { panic!("{error}") };
        assert_eq!((mechanism, at), (name, step), "{error}");
        assert!(error.to_string().contains(words), "{error} does not say: {words}");
        assert!(
            matches!(error.kind(), ErrorKind::InvalidResponse { .. } | ErrorKind::Authentication { .. }),
            "{error:?}"
        );
    }
}

/// The reply of this number (1 is the one to hello, 2 the one to saslContinue, 3 the one to ping) forged like this.
fn forged(reply: usize, forge: Forge) -> Error {
    refused(&with_user(SHA_256).behaviour(Behaviour::ForgeReply(reply, forge)).start())
}

/// Each reply of a connection's life forged like this, and refused with these words in the stage it belongs to.
fn each_forged(forge: &Forge, words: &str) {
    for reply in 1..=3 {
        let error = forged(reply, forge.clone());
        assert_eq!(stage_name(&error), ["hello", "authentication", "command"][reply - 1], "{error}");
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error} does not say: {words}");
    }
}

fn stage_name(error: &Error) -> &'static str {
    match error.stage() {
        Stage::Hello => "hello",
        Stage::Authentication { .. } => "authentication",
        Stage::Command | Stage::Decode => "command",
        other => panic!("{other}: {error}"),
    }
}

#[test]
fn nonce_not_extended() {
    tampered(&ScramTamper::NonceNotExtended, FIRST, "did not add its own part to our nonce");
}

#[test]
fn nonce_replaced() {
    tampered(&ScramTamper::NonceReplaced, FIRST, "changed our nonce");
}

#[test]
fn one_iteration() {
    tampered(&ScramTamper::Iterations(1), FIRST, "asks for 1 iterations");
}

#[test]
fn one_iteration_too_few() {
    tampered(&ScramTamper::Iterations(4095), FIRST, "asks for 4095 iterations");
}

#[test]
fn a_billion_iterations() {
    tampered(&ScramTamper::Iterations(1_000_000_000), FIRST, "more than 1000000 iterations");
}

#[test]
fn negative_iterations() {
    tampered(&ScramTamper::Iterations(-4096), FIRST, "not a number");
}

#[test]
fn salt_empty() {
    tampered(&ScramTamper::SaltEmpty, FIRST, "salt is empty");
}

#[test]
fn salt_huge() {
    tampered(&ScramTamper::SaltHuge(1000), FIRST, "salt is longer than");
    tampered(&ScramTamper::SaltHuge(10_000), FIRST, "message is longer than");
    let enormous = Behaviour::Scram(ScramTamper::SaltHuge(1 << 20));
    let error = refused(&with_user(SHA_256).behaviour(enormous).start());
    assert!(error.to_string().contains("before the login"), "{error}");
}

#[test]
fn signature_wrong() {
    tampered(&ScramTamper::VerifierWrong, LAST, "does not know this user's password");
}

#[test]
fn signature_missing_and_done() {
    tampered(&ScramTamper::VerifierMissing, LAST, "no signature (v=)");
}

#[test]
fn an_error_in_the_last_message() {
    tampered(&ScramTamper::ServerError("other-error".to_owned()), LAST, "other-error");
}

#[test]
fn done_too_early() {
    tampered(&ScramTamper::DoneTooEarly, FIRST, "done before the conversation is over");
}

#[test]
fn an_endless_conversation() {
    tampered(&ScramTamper::Endless, "the last, empty message", "still not done");
}

#[test]
fn another_conversation() {
    tampered(&ScramTamper::ConversationIdChanged, LAST, "changed the conversationId");
}

#[test]
fn a_mandatory_extension() {
    let text = "m=x,r={nonce},s={salt},i={iterations}".to_owned();
    tampered(&ScramTamper::ServerFirst(text), FIRST, "extension (m=)");
}

#[test]
fn an_attribute_twice() {
    let text = "r={nonce},s={salt},i={iterations},i=4097".to_owned();
    tampered(&ScramTamper::ServerFirst(text), FIRST, "i= twice");
}

#[test]
fn reply_length_negative() {
    each_forged(&Forge { length: Some(-1), ..Forge::default() }, "a negative length (-1)");
}

#[test]
fn reply_length_zero() {
    each_forged(&Forge { length: Some(0), ..Forge::default() }, "announces 0 bytes");
}

#[test]
fn reply_length_two_gibibytes() {
    each_forged(&Forge { length: Some(i32::MAX), ..Forge::default() }, "announces 2147483647 bytes");
}

#[test]
fn wrong_response_to() {
    each_forged(&Forge { response_to: Some(0x0BAD_CAFE), ..Forge::default() }, "answers message 195939070");
}

#[test]
fn wrong_op_code() {
    each_forged(&Forge { op_code: Some(4711), ..Forge::default() }, "4711");
}

#[test]
fn unknown_flag_bits() {
    for bit in 2..16 {
        for reply in [2, 3] {
            let error = forged(reply, Forge { flags: Some(1 << bit), ..Forge::default() });
            assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "bit {bit}: {error:?}");
            assert!(error.to_string().contains("flag"), "bit {bit}: {error}");
        }
    }
}

#[test]
fn two_body_sections() {
    let body = mongo_blocking_test_server::wire::raw(&doc! { "ok": 1 }).unwrap();
    let section = [&[0], body.as_bytes()].concat();
    for reply in [2, 3] {
        let error = forged(reply, Forge { sections: Some(section.repeat(2)), ..Forge::default() });
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
    }
}

#[test]
fn invalid_bson() {
    for reply in 1..=3 {
        let error = refused(&with_user(SHA_256).behaviour(Behaviour::GarbageAtReply(reply)).start());
        assert_eq!(stage_name(&error), ["hello", "authentication", "command"][reply - 1], "{error}");
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
    }
}

#[test]
fn a_reply_that_never_begins() {
    for reply in 1..=3 {
        let error = refused(&with_user(SHA_256).behaviour(Behaviour::CloseAtReply(reply)).start());
        assert_eq!(stage_name(&error), ["hello", "authentication", "command"][reply - 1], "{error}");
        assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error:?}");
    }
}

#[test]
fn the_time_limit_holds_wherever_the_server_goes_silent() {
    for reply in 1..=3 {
        let fake_server = with_user(SHA_256).behaviour(Behaviour::StallAtReply(reply)).start();
        let limit = Duration::from_millis(700);
        let client = Client::with_uri_str(format!(
            "{}?serverSelectionTryOnce=true&socketTimeoutMS={}",
            fake_server.uri(),
            limit.as_millis()
        ))
        .unwrap();
        let began = Instant::now();
        let error = client.ping().unwrap_err();
        let took = began.elapsed();
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_network_timeout(), "{error:?}");
        assert_eq!(stage_name(&error), ["hello", "authentication", "command"][reply - 1], "{error}");
        assert!(error.to_string().contains("socketTimeoutMS"), "{error}");
        assert!(took >= limit && took < limit + PROMPT, "it took {took:?}");
    }
}

#[test]
fn a_hello_that_never_comes_ends_with_the_connect_timeout() {
    let fake_server = with_user(SHA_256).on_command(|_, _| Some(Answer::Stall)).start();
    let client =
        Client::with_uri_str(format!("{}?serverSelectionTryOnce=true&connectTimeoutMS=300", fake_server.uri()))
            .unwrap();
    let began = Instant::now();
    let error = client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_network_timeout(), "{error:?}");
    assert_eq!(error.stage(), Stage::Hello, "{error}");
    assert!(began.elapsed() < PROMPT, "it took {:?}", began.elapsed());
}

/// A client checks a failed server twice a second at most, so several clients share the bytes. Each remembers its keys; its server
/// breaks off some bytes later each time, until the reply to ping is whole.
#[test]
fn closed_at_every_byte_of_the_conversation() {
    const CLIENTS: usize = 24;
    let failures = |first: usize| {
        let fake_server = with_user(SHA_256).start();
        let client = Client::with_uri_str(once(&fake_server.uri())).unwrap();
        let mut stages = Vec::new();
        for bytes in (first..MOST_BYTES).step_by(CLIENTS) {
            fake_server.set_behaviours(vec![Behaviour::CloseAfterBytes(bytes)]);
            let began = Instant::now();
            let Err(error) = client.ping() else { break };
            assert!(matches!(error.kind(), ErrorKind::Io(_)), "after {bytes} bytes: {error:?}");
            assert!(began.elapsed() < PROMPT, "after {bytes} bytes it took {:?}", began.elapsed());
            stages.push((bytes, stage_name(&error)));
        }
        stages
    };
    let mut stages: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || failures(first))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    stages.sort_unstable();
    assert!((400..MOST_BYTES).contains(&stages.len()), "{} bytes", stages.len());
    let mut stages: Vec<_> = stages.into_iter().map(|(_, stage)| stage).collect();
    stages.dedup();
    assert_eq!(stages, ["hello", "authentication", "command"]);
    let fake_server = with_user(SHA_256).start();
    let client = Client::with_uri_str(once(&fake_server.uri())).unwrap();
    // The last connection was good, and closed right after its last byte; the client finds that out by using it.
    fake_server.set_behaviours(Vec::new());
    client.ping().or_else(|_| client.ping()).unwrap();
}

/// hello is the first thing a stranger says, so each of its fields is judged.
#[test]
fn hello_with_invalid_fields() {
    let cases: [(Document, &str); 7] = [
        (doc! { "maxWireVersion": "new" }, "maxWireVersion"),
        (doc! { "maxWireVersion": 5 }, "reports wire version 5,"),
        (doc! { "minWireVersion": 900, "maxWireVersion": 901 }, "requires wire version 900,"),
        (doc! { "maxBsonObjectSize": -1 }, "maxBsonObjectSize"),
        (doc! { "setName": 1 }, "setName"),
        (doc! { "hosts": "a:1" }, "hosts"),
        (doc! { "speculativeAuthenticate": [] }, "speculativeAuthenticate"),
    ];
    for (fields, words) in cases {
        let error = refused(&with_user(SHA_256).hello_fields(fields).start());
        // What protocol a server speaks is a fact about the deployment, and the choice of a server looks at it.
        let stage = if words.contains("wire version") { Stage::ServerSelection } else { Stage::Hello };
        assert_eq!(error.stage(), stage, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// What the process ever had in address space, in bytes; 0 where the system does not tell.
fn virtual_peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// More than the three replies have.
const MOST_BYTES: usize = 5000;

/// Generous, since tests share the machine with others; a server that makes us wait would take far longer.
const PROMPT: Duration = Duration::from_secs(8);

/// Threads of other tests take some address space meanwhile; a claim of 2 GiB believed would be far above.
const MUCH: u64 = 1 << 30;
