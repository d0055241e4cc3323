//! The environments, over real sockets: stubs look at each request to the letter. And the hosts that a person's token may go to.

use std::fs;
use std::path::Path;
use std::time::Instant;

use mongo_blocking_test_server::http::{HttpStub, Reply, Seen, SendMode};
use mongo_blocking_test_server::peers::{Scratch, report};

use super::token_text::MAX_TOKEN;
use super::*;
use crate::auth::tests::{context, localhost};
#[cfg(unix)]
use crate::credential::OidcCommand;
use crate::credential::{IdpServerResponse, OidcCallbackContext, OidcEnvironment};
use crate::error::ErrorKind;
use crate::http::{Answer, Http, Request, http};
use crate::system::TestSystem;

/// The real thing, at another address.
struct Rerouted(String);

impl Http for Rerouted {
    fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let path =
            ["http://169.254.169.254/", "http://metadata/"].iter().find_map(|host| request.url.strip_prefix(host));
        let url = format!("{}{}", self.0, path.expect("one of the two services"));
        http().send(&Request { url: &url, ..*request })
    }
}

/// This machine, but for the environment.
fn this_machine(variables: &[(&str, &str)]) -> TestSystem {
    TestSystem { real_files: true, ..TestSystem::with_variables(variables.iter().copied()) }
}

/// The same with a stub for both metadata services.
fn services_at(url: String) -> TestSystem {
    TestSystem { http: Arc::new(Rerouted(url)), ..this_machine(&[]) }
}

/// What is sent to the server as the token, or why there is none.
fn token(source: OidcSource, username: Option<&str>, system: TestSystem, limit: Duration) -> Result<String> {
    let shared = OidcState { system: Arc::new(system), cache: Arc::default() };
    let deadline = Deadline::after(limit).named("timeoutMS");
    let target = AuthTarget { deadline, connect_deadline: deadline, ..localhost() };
    let credential = OidcCredential { username: username.map(str::to_owned), source };
    let payload = Oidc::new(&credential, &shared, &target).start()?;
    let message = bson::Document::from_reader(payload.as_slice()).unwrap();
    assert_eq!(message.len(), 1);
    Ok(message.get_str("jwt").unwrap().to_owned())
}

fn azure() -> OidcSource {
    OidcSource::Environment(OidcEnvironment::Azure { token_resource: "api://a&b c,d%2F".to_owned() })
}

fn gcp() -> OidcSource {
    OidcSource::Environment(OidcEnvironment::Gcp { token_resource: "https://a&b c,d%2F".to_owned() })
}

fn at(stub: &HttpStub) -> TestSystem {
    services_at(stub.url("/"))
}

fn header<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    seen.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
}

/// Prose tests 5.1 and 5.2 of the specification (machine flow), without a machine of Azure's.
#[test]
fn azure_is_asked_to_the_letter() {
    let stub = HttpStub::start(|seen| match seen.target.contains("client_id=bad") {
        true => Reply::status(400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#),
        false => Reply::ok(r#"{"access_token":"eyJ.a.z","expires_in":"86399","resource":"x","token_type":"Bearer"}"#),
    });
    assert_eq!(token(azure(), None, at(&stub), A_WHILE).unwrap(), "eyJ.a.z");
    assert_eq!(token(azure(), Some("id with/&"), at(&stub), A_WHILE).unwrap(), "eyJ.a.z");
    let error = token(azure(), Some("bad"), at(&stub), A_WHILE).unwrap_err();
    assert!(error.message().contains("HTTP status 400") && error.message().contains("Identity not found"), "{error}");

    let seen = stub.seen();
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api%3A%2F%2Fa%26b%20c%2Cd%252F";
    assert_eq!(seen[0].target, path);
    assert_eq!(seen[1].target, format!("{path}&client_id=id%20with%2F%26"));
    for seen in &seen {
        assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("GET", b"".as_slice()));
        assert_eq!((header(seen, "metadata"), header(seen, "accept")), (vec!["true"], vec!["application/json"]));
        assert_eq!((header(seen, "authorization"), header(seen, "cookie")), (vec![], vec![]));
    }
}

#[test]
fn google_cloud_is_asked_to_the_letter() {
    let stub = HttpStub::start(|_| Reply::ok("eyJ.g.z\n"));
    assert_eq!(token(gcp(), None, at(&stub), A_WHILE).unwrap(), "eyJ.g.z");
    let seen = stub.seen().remove(0);
    let path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    assert_eq!(seen.target, format!("{path}?audience=https%3A%2F%2Fa%26b%20c%2Cd%252F"));
    assert_eq!((seen.method.as_str(), header(&seen, "metadata-flavor")), ("GET", vec!["Google"]));
    assert_eq!((header(&seen, "metadata"), header(&seen, "authorization")), (vec![], vec![]));
}

/// Each thing that a service can say instead of a token, and what becomes of it.
#[test]
fn services_that_give_no_token() {
    let long = "x".repeat(MAX_TOKEN + 1);
    let cases = [
        (404, "no such place".to_owned(), "404", "404"),
        (500, "at fault".to_owned(), "500: \"at fault\"", "500: \"at fault\""),
        (302, String::new(), "302", "302"),
        (204, String::new(), "204", "204"),
        (403, "y".repeat(10_000), "403", "403"),
        (200, String::new(), "JSON", "empty"),
        (200, " \n".to_owned(), "JSON", "empty"),
        (200, "\u{fffd}".to_owned(), "JSON", "beyond ASCII"),
        (200, "<html><p>Please log in</p></html>".to_owned(), "JSON", "it has blanks"),
        (200, "eyJ\r\nMetadata: x".to_owned(), "JSON", "it has blanks, control characters"),
        (200, r#"{"access_token":"eyJ a"}"#.to_owned(), "it has blanks", ""),
        (200, r#"{"access_token":" eyJ"}"#.to_owned(), "it has blanks", ""),
        (200, r#"{"access_token":"eyJ\u0000"}"#.to_owned(), "control characters", ""),
        (200, r#"{"access_token":"eyJ\n"}"#.to_owned(), "control characters", ""),
        (200, r#"{"access_token":"eyJ\u00e9"}"#.to_owned(), "beyond ASCII", ""),
        (200, r#"{"access_token":"a","access_token":"b"}"#.to_owned(), "JSON", ""),
        (200, "{}".to_owned(), "no access_token", ""),
        (200, "[]".to_owned(), "no access_token", ""),
        (200, r#"{"access_token":null}"#.to_owned(), "no access_token", ""),
        (200, r#"{"access_token":""}"#.to_owned(), "empty access_token", ""),
        (200, r#"{"access_token":7}"#.to_owned(), "JSON", ""),
        (200, r#"{"access_token":{"a":"b"}}"#.to_owned(), "JSON", ""),
        (200, r#"{"access_token":"eyJ","#.to_owned(), "JSON", ""),
        (200, format!(r#"{{"access_token":"{long}"}}"#), "more than 48 KiB", "longer than"),
    ];
    let mut rows = String::new();
    for (status, body, of_azure, of_gcp) in cases {
        let sent = body.clone();
        let elsewhere = HttpStub::start(|_| panic!("a redirect was followed"));
        let location = elsewhere.url("/");
        let stub = HttpStub::start(move |_| Reply::status(status, sent.clone()).header("Location", &location));
        for (who, source, words) in [("Azure", azure(), of_azure), ("Google Cloud", gcp(), of_gcp)] {
            if words.is_empty() {
                continue; // a token, as far as anybody but the server can tell
            }
            let error = token(source, None, at(&stub), A_WHILE).unwrap_err();
            assert_eq!(error.stage(), stage(TOKEN), "{error}");
            assert!(error.message().contains(who) && error.message().contains(words), "{words}: {error}");
            let said = error.to_string();
            assert!(said.len() < 1000 && !said.contains(char::is_control), "{said}");
            rows += &format!("{who} | {status} | {:.30} | {:.100}\n", body.escape_debug().to_string(), error.message());
        }
        assert!(elsewhere.seen().is_empty());
    }
    report(&format!("MONGODB-OIDC: services that give no token\nservice | status | body | error\n{rows}"));
}

/// A refusal is quoted, but no token in it.
#[test]
fn refusals_that_hold_a_secret() {
    let long = "x".repeat(65);
    for (body, shown) in [
        ("the token eyJhbGciOi.open.sesame is refused, see the log".to_owned(), Some("is refused, see the log")),
        (format!("Bearer {long}sesame: try again"), Some(": try again")),
        (format!("[{long}sesame]"), Some("[(not shown)]")),
        (r#"{"error":"busy","access_token":"sesame"}"#.to_owned(), None),
        (r#"{"Client_Secret":"sesame"}"#.to_owned(), None),
        (format!("{} eyJsesame", "word ".repeat(58)), Some("word word")),
        (format!("\u{e9}{} sesame", "\u{e9}".repeat(400)), Some("\u{e9}\u{e9}")),
    ] {
        for status in [404, 500] {
            let sent = body.clone();
            let stub = HttpStub::start(move |_| Reply::status(status, sent.clone()));
            for source in [azure(), gcp()] {
                let error = token(source, None, at(&stub), A_WHILE).unwrap_err();
                let said = format!("{error} {error:?}");
                assert!(!said.contains("sesame") && said.contains(&status.to_string()), "{said}");
                assert!(error.message().contains(shown.unwrap_or("a body that is not shown")), "{said}");
            }
        }
    }
}

/// The driver keeps a token until a server refuses it, so when it is said to expire does not matter, however that is written.
#[test]
fn azures_expiry_is_passed_over() {
    for expires_in in ["-1", "0", r#""0""#, r#""soon""#, "1.5", "1e400", "99999999999999999999999", "null", "[]", "{}"]
    {
        let body = format!(r#"{{"access_token":"eyJ","expires_in":{expires_in}}}"#);
        let stub = HttpStub::start(move |_| Reply::ok(body.clone()));
        assert_eq!(token(azure(), None, at(&stub), A_WHILE).unwrap(), "eyJ", "{expires_in}");
    }
}

#[test]
fn services_that_take_their_time_or_never_end() {
    for manner in [SendMode::Silent, SendMode::Stalled, SendMode::Dripping(Duration::from_millis(30))] {
        let stub = HttpStub::start(move |_| Reply::ok(vec![b'x'; 4000]).sent(manner));
        for source in [azure(), gcp()] {
            let began = Instant::now();
            let error = token(source, None, at(&stub), Duration::from_millis(300)).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{manner:?}: {error:?}");
            assert!(began.elapsed() < Duration::from_secs(5), "{manner:?}: {:?}", began.elapsed());
            assert!(error.hint().unwrap().contains("ENVIRONMENT"), "{error}");
        }
    }
    for manner in [SendMode::Endless(100 << 20), SendMode::CutOff] {
        let stub = HttpStub::start(move |_| Reply::ok(vec![b'x'; 1 << 16]).sent(manner));
        for source in [azure(), gcp()] {
            let error = token(source, None, at(&stub), A_WHILE).unwrap_err();
            assert!(error.message().contains("gave no token") && !error.message().contains("xxxx"), "{error}");
        }
    }
    // Nobody at all.
    let gone = HttpStub::start(|_| Reply::ok("")).url("/");
    let error = token(gcp(), None, services_at(gone), A_WHILE).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }) && !error.is_network_error(), "{error:?}");
    assert!(error.message().contains("gave no token"), "{error}");
}

#[test]
fn kubernetes_has_three_places_and_they_have_an_order() {
    let folder = Scratch::new("k8s");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (of_azure, of_aws) = (file("azure", "of-azure\n"), file("aws", " of-aws "));
    let find = |variables: &[(&'static str, &str)]| {
        token(OidcSource::Environment(OidcEnvironment::K8s), None, this_machine(variables), A_WHILE)
    };
    let (azure, aws) = ("AZURE_FEDERATED_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE");
    assert_eq!(find(&[(azure, &of_azure), (aws, &of_aws)]).unwrap(), "of-azure");
    assert_eq!(find(&[(azure, ""), (aws, &of_aws)]).unwrap(), "of-aws");
    assert_eq!(find(&[(aws, &of_aws)]).unwrap(), "of-aws");
    let error = find(&[]).unwrap_err();
    assert!(error.message().contains("/var/run/secrets/kubernetes.io/serviceaccount/token cannot be read"), "{error}");
    let error = find(&[(azure, "/no/such/file"), (aws, &of_aws)]).unwrap_err();
    assert!(error.message().contains("/no/such/file"), "{error}");
}

#[test]
fn the_environment_test() {
    let folder = Scratch::new("test");
    let path = folder.path().join("token");
    fs::write(&path, "eyJ\n").unwrap();
    let find = |variables: &[(&'static str, &Path)]| {
        let variables: Vec<_> = variables.iter().map(|(name, path)| (*name, path.to_str().unwrap())).collect();
        token(OidcSource::Environment(OidcEnvironment::Test), None, this_machine(&variables), A_WHILE)
    };
    assert_eq!(find(&[("OIDC_TOKEN_FILE", &path)]).unwrap(), "eyJ");
    for none in [&[][..], &[("OIDC_TOKEN_FILE", Path::new(""))]] {
        assert!(find(none).unwrap_err().message().contains("needs the variable OIDC_TOKEN_FILE"));
    }
}

#[test]
fn files_that_hold_no_token() {
    let folder = Scratch::new("files");
    let path = folder.path().join("token");
    let read = |path: &Path| token(OidcSource::TokenFile(path.to_owned()), None, this_machine(&[]), A_WHILE);
    assert!(read(&path).unwrap_err().to_string().contains("cannot be read: "));
    assert!(read(folder.path()).unwrap_err().message().contains("cannot be read"));
    for (bytes, words) in [
        (b"".to_vec(), "holds no token: it is empty"),
        (b" \r\n\t".to_vec(), "holds no token: it is empty"),
        (b"\xff\xfe".to_vec(), "holds no token: it is not UTF-8"),
        (b"two words".to_vec(), "holds no token: it has blanks"),
        (b"eyJ\0".to_vec(), "holds no token: it has blanks, control characters"),
        (vec![b'x'; MAX_TOKEN + 1], "cannot be read"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.message().contains(words), "{words}: {error}");
        assert_eq!(error.stage(), stage(TOKEN));
    }
    for (text, expected) in
        [("one", "one"), ("\u{a0}two\r\n", "two"), (&*"x".repeat(MAX_TOKEN), &*"x".repeat(MAX_TOKEN))]
    {
        fs::write(&path, text).unwrap();
        assert_eq!(read(&path).unwrap(), expected);
    }
}

/// Nobody writes to it, so that whoever opened it would wait.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_file() {
    let folder = Scratch::new("pipe");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = token(OidcSource::TokenFile(pipe), None, this_machine(&[]), A_WHILE).unwrap_err();
    assert!(error.to_string().contains("cannot be read: it is a pipe"), "{error}");
    let nothing = token(OidcSource::TokenFile("/dev/null".into()), None, this_machine(&[]), A_WHILE).unwrap_err();
    assert!(nothing.message().contains("it is empty"), "{nothing}");
}

#[cfg(unix)]
#[test]
fn programs_that_print_no_token() {
    let run = |words: &[&str], limit| {
        let command = OidcCommand::new(words.iter().copied());
        token(OidcSource::TokenCommand(command), None, this_machine(&[]), limit)
    };
    assert_eq!(run(&["printf", "%s\n", "eyJ.c.z"], A_WHILE).unwrap(), "eyJ.c.z");
    for (script, words) in [
        ("exit 3", "did not end well: exit status: 3"),
        ("echo sesame >&2; echo sesame; exit 1", "did not end well"),
        ("kill -9 $$", "did not end well: signal: 9"),
        (":", "printed no token: it is empty"),
        ("printf '\\377'", "printed no token: it is not UTF-8"),
        ("while :; do echo sesame; done", "printed more than 48 KiB"),
    ] {
        let error = run(&["sh", "-c", script, "--secret=open-sesame"], A_WHILE).unwrap_err();
        assert!(error.message().contains(words), "{script}: {error}");
        assert!(!format!("{error:#} {error:?}").contains("sesame"), "{error:?}");
    }
    let error = run(&["/no/such/program"], A_WHILE).unwrap_err();
    assert!(format!("{error:#}").contains("could not be run: No such file"), "{error}");
    for script in ["sleep 60", "exec 1>&-; sleep 60", "sleep 60 & wait"] {
        let began = Instant::now();
        let error = run(&["sh", "-c", script], Duration::from_millis(300)).unwrap_err();
        let told = error.is_timeout() || error.message().contains("empty");
        assert!(told && began.elapsed() < Duration::from_secs(10), "{script}: {error:?}");
    }
}

/// Whom a person's token may be sent to.
#[test]
fn allowed_hosts() {
    let default = AllowedHosts::default();
    let own = |entries: &[&str]| AllowedHosts::new(entries.iter().copied()).unwrap();
    let mut rows = String::new();
    let mut row = |list: &str, hosts: &AllowedHosts, host: &str, expected: bool| {
        rows += &format!("{list} | {} | {}\n", host.escape_debug(), hosts.allow(host));
        assert_eq!(hosts.allow(host), expected, "{list}: {host}");
    };
    for host in [
        "cluster0.abcde.mongodb.net",
        "cluster0-shard-00-01.abcde.mongodb.net", // as an SRV record names it
        "A.MongoDB.NET",
        "a.mongodb.net.",
        "a.mongodb-qa.net",
        "a.mongodb-dev.net",
        "a.b.c.mongodbgov.net",
        "a.mongo.com",
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
    ] {
        row("default", &default, host, true);
    }
    for host in [
        "mongodb.net",
        "evilmongodb.net",
        "a.mongodb.net.evil.example",
        "mongodb.net.evil.example",
        "a.mongodb.net@evil.example",
        "evil.example/.mongodb.net",
        "a.mongodb.net\0.evil.example",
        ".mongodb.net",
        "..mongodb.net",
        "a..mongodb.net",
        "a.mongodb.net..",
        "a.xmongodb.net",
        "mongo.com",
        "127.0.0.2",
        "127.0.0.1.evil.example",
        "2130706433",
        "::ffff:127.0.0.1",
        "localhost.evil.example",
        "localhostx",
        "",
        "*",
        "/tmp/mongodb-27017.sock",
    ] {
        row("default", &default, host, false);
    }
    let none = own(&[]);
    row("none", &none, "localhost", false);
    let mixed = own(&["*.Example.com", "db.example.org.", "10.0.0.1", "[2001:DB8::1]", "/tmp/mongodb-27017.sock"]);
    for (host, expected) in [
        ("a.example.com", true),
        ("example.com", false),
        ("a.b.EXAMPLE.com.", true),
        ("db.example.org", true),
        ("x.db.example.org", false),
        ("10.0.0.1", true),
        ("10.0.0.10", false),
        ("2001:db8:0::1", true),
        ("2001:db8::2", false),
        ("/tmp/mongodb-27017.sock", true),
        ("/tmp/other.sock", false),
        ("localhost", false),
    ] {
        row("mixed", &mixed, host, expected);
    }
    for wrong in ["", "*", "*.", "a.*.com", "**.com", "a.com:27017", "http://a.com", "a b", "a@b", "*a.com", "a/b"] {
        assert!(AllowedHosts::new([wrong]).is_err(), "{wrong}");
    }
    report(&format!("MONGODB-OIDC: allowed hosts\nlist | host | allowed\n{rows}"));
}

/// A server could hang up on each `hello` with a token that it takes by itself.
#[test]
fn only_tokens_of_some_length_travel_with_hello() {
    for (length, speculates) in [(1, true), (MAX_SPECULATIVE, true), (MAX_SPECULATIVE + 1, false), (MAX_TOKEN, false)] {
        let shared = context().oidc;
        let Ok(Lookup::Call(call)) = shared.cache.look_up(false, Deadline::NEVER) else { panic!("nothing is kept") };
        call.finish(IdpServerResponse::new("x".repeat(length)), None);
        let callback = SharedOidcCallback::new(|_: &OidcCallbackContext| Err("the token is kept".into()));
        let credential = OidcCredential { username: None, source: OidcSource::Callback(callback) };
        let mut machine = Oidc::new(&credential, &shared, &localhost());
        assert_eq!(machine.may_speculate(), speculates, "{length}");
        // Either way it is the kept one that is shown.
        assert!(machine.start().unwrap().len() > length);
    }
}

/// The specification's own vectors.
#[test]
fn messages_to_the_byte() {
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    assert_eq!(base64(&jwt(&Secret::from("abcd1234"))), "FwAAAAJqd3QACQAAAGFiY2QxMjM0AAA=");
    let credential =
        OidcCredential { username: Some("myidp".to_owned()), source: OidcSource::Environment(OidcEnvironment::K8s) };
    let tokens = Oidc::new(&credential, &context().oidc, &localhost()).tokens;
    assert_eq!(base64(&tokens.principal()), "EgAAAAJuAAYAAABteWlkcAAA");
}

const A_WHILE: Duration = Duration::from_secs(20);
