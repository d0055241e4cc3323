use std::net::TcpListener;
use std::process::Command;
use std::sync::Mutex;
use std::{env, fs};

use mongo_blocking_test_server::http::{HttpStub, Reply, SendMode};
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};

use super::*;
use crate::error::ErrorKind;

#[test]
fn what_is_asked_arrives_and_every_status_is_an_answer() {
    for status in [200, 201, 204, 400, 403, 404, 429, 500, 503] {
        let stub = HttpStub::start(move |_| Reply::status(status, if status == 204 { "" } else { "hello" }));
        let answer = http().send(&get(&stub.url("/a/b?c=d%20e"))).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.body.as_slice(), if status == 204 { b"".as_slice() } else { b"hello" });
        let seen = stub.seen();
        assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("GET", "/a/b?c=d%20e"));
        assert_eq!(seen[0].header("host"), Some(stub.address().to_string().as_str()));
        assert_eq!(seen[0].header("authorization"), None);
    }
}

#[test]
fn bodies_and_headers_go_with_put_and_post() {
    for (method, name) in [(Method::Put, "PUT"), (Method::Post, "POST")] {
        for body in [b"".as_slice(), b"a=b"] {
            let stub = HttpStub::start(|seen| Reply::ok(seen.body.clone()));
            let url = stub.url("/");
            let headers = [("X-One", "1"), ("Accept", "application/json"), ("Content-Type", "text/x")];
            let answer = http().send(&Request { method, headers: &headers, body, ..get(&url) }).unwrap();
            assert_eq!(answer.body.as_slice(), body);
            let seen = stub.seen().remove(0);
            assert_eq!(seen.method, name);
            assert_eq!(seen.header("content-length"), Some(body.len().to_string().as_str()));
            assert_eq!(seen.header("x-one"), Some("1"));
            let accepted: Vec<_> = seen.headers.iter().filter(|(name, _)| name == "accept").collect();
            assert_eq!(accepted, [&("accept".to_owned(), "application/json".to_owned())]);
        }
    }
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let other = HttpStub::start(|_| Reply::ok("secret"));
    let elsewhere = other.url("/");
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = elsewhere.clone();
        let stub = HttpStub::start(move |_| Reply::status(status, "moved").header("Location", &elsewhere));
        let url = stub.url("/");
        for method in [Method::Get, Method::Post] {
            let answer = http().send(&Request { method, ..get(&url) }).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (status, b"moved".as_slice()));
        }
    }
    assert!(other.seen().is_empty());
}

#[test]
fn a_body_is_bounded_announced_or_not() {
    let limit = 100_000;
    let just = HttpStub::start(move |_| Reply::ok(vec![b'x'; limit]));
    assert_eq!(http().send(&get_at_most(&just.url("/"), limit)).unwrap().body.len(), limit);
    let announced = HttpStub::start(move |_| Reply::ok(vec![b'x'; limit + 1]));
    let endless = HttpStub::start(|_| Reply::ok(vec![b'x'; 1 << 16]).sent(SendMode::Endless(100 << 20)));
    for stub in [announced, endless] {
        let error = refused(&get_at_most(&stub.url("/"), limit));
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error}");
        assert!(error.message().contains("longer than 100000 bytes"), "{error}");
    }
}

#[test]
fn nothing_outlives_the_deadline() {
    let manners = [SendMode::Silent, SendMode::Stalled, SendMode::Dripping(Duration::from_millis(20))];
    for manner in manners {
        let stub = HttpStub::start(move |_| Reply::ok(vec![b'x'; 1000]).sent(manner));
        let began = Instant::now();
        let error = refused(&within(&stub.url("/"), 300));
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{manner:?}: {error}");
        assert_eq!(error.message(), format!("no whole answer within connectTimeoutMS ({})", stub.address()));
        assert!(error.elapsed().unwrap() >= Duration::from_millis(250), "{manner:?}: {error}");
        assert!(began.elapsed() < Duration::from_secs(3), "{manner:?}");
    }
    // Nobody accepts here: the kernel does, and says nothing more. Over TLS the handshake waits, too.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for scheme in ["http", "https"] {
        let began = Instant::now();
        let error = refused(&within(&format!("{scheme}://{}/", silent.local_addr().unwrap()), 300));
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{scheme}: {error}");
        assert!(began.elapsed() < Duration::from_secs(3), "{scheme}");
    }
    let passed = Deadline::counted_from(Instant::now() - Duration::from_secs(2), Duration::from_secs(1));
    let error = refused(&Request { deadline: passed, ..get("http://127.0.0.1:1/") });
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{error}");
}

#[test]
fn what_breaks_off_or_is_not_http_is_told_apart() {
    let cut = HttpStub::start(|_| Reply::ok("hello").sent(SendMode::CutOff));
    let error = refused(&get(&cut.url("/")));
    assert!(matches!(error.kind(), ErrorKind::Io(_) | ErrorKind::InvalidResponse { .. }), "{error}");

    let long = HttpStub::start(|_| Reply::ok("").header("X", &"x".repeat(2 * MAX_HEADER_BYTES)));
    let error = refused(&get(&long.url("/")));
    assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(&get(&format!("http://{nobody}/")));
    assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}");
    assert!(error.message().contains(&nobody.to_string()), "{error}");

    let error = refused(&get("http://no-such-host.invalid/"));
    assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }), "{error}");
}

#[test]
fn what_cannot_be_sent_is_refused_without_a_word_of_the_secret() {
    let url = "http://127.0.0.1:1/?key=hunter2";
    for headers in [[("X-Token", "hunter2\r\nX-Evil: 1")], [("X-Token", "hunter2\u{0}")]] {
        let error = refused(&Request { headers: &headers, ..get(url) });
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
        assert!(error.message().contains("X-Token"), "{error}");
        assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{error:?}");
    }
    for url in ["ftp://x/?hunter2", "/hunter2", "hunter2", "http:///hunter2", "http://a b/hunter2", ""] {
        let error = refused(&get(url));
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
        assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{error:?}");
    }
    let error = refused(&get(url));
    assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{error:?}");
}

/// The part that runs with the environment of a child process is this very test, started again.
#[test]
fn no_proxy_of_the_environment_is_used() {
    if let Ok(url) = env::var(CHILD) {
        let headers = [("Authorization", "hunter2")];
        let answer = http().send(&Request { headers: &headers, ..get(&url) }).unwrap();
        assert_eq!(answer.body.as_slice(), b"direct");
        return;
    }
    let proxy = HttpStub::start(|_| Reply::ok("proxied"));
    let stub = HttpStub::start(|_| Reply::ok("direct"));
    let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let mut child = again("no_proxy_of_the_environment_is_used", &stub.url("/"));
    child.envs(proxies.map(|name| (name, proxy.url("/")))).env_remove("no_proxy").env_remove("NO_PROXY");
    succeeds(&mut child);
    assert!(proxy.seen().is_empty());
    assert_eq!(stub.seen().len(), 1);
}

/// As above, so that `SSL_CERT_FILE` stands for what the system trusts.
#[test]
fn https_is_judged_by_what_the_system_trusts() {
    const EXPECTED: &str = "MONGO_BLOCKING_HTTPS_EXPECTED";
    if let Ok(url) = env::var(CHILD) {
        match env::var(EXPECTED).as_deref() {
            Ok("trusted") => assert_eq!(http().send(&get(&url)).unwrap().body.as_slice(), b"over TLS"),
            _ => {
                let error = refused(&get(&url));
                assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{error}");
                assert!(error.hint().unwrap().contains("the system trusts"), "{error}");
            }
        }
        return;
    }
    let (ours, theirs) = (Authority::new(), Authority::new());
    let folder = Scratch::new("https");
    let trusted = folder.path().join("ca.pem");
    fs::write(&trusted, ours.pem()).unwrap();
    let cases = [
        ("trusted", ours.issue(CertPurpose::Server, "localhost")),
        ("of nobody we know", theirs.issue(CertPurpose::Server, "localhost")),
        ("of another host", ours.issue(CertPurpose::Server, "elsewhere.test")),
        ("expired", ours.issue_expired(CertPurpose::Server, "localhost")),
    ];
    for (expected, issued) in cases {
        let stub = HttpStub::start_tls(&issued, |_| Reply::ok("over TLS"));
        let mut child = again("https_is_judged_by_what_the_system_trusts", &stub.url("/"));
        child.env(EXPECTED, expected).env("SSL_CERT_FILE", &trusted).env("SSL_CERT_DIR", folder.path());
        succeeds(&mut child);
        assert_eq!(stub.seen().len(), usize::from(expected == "trusted"), "{expected}");
    }
}

fn again(test: &str, url: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("http::tests::{test}"), "--nocapture", "--test-threads=1"]).env(CHILD, url);
    command
}

fn succeeds(child: &mut Command) {
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn get(url: &str) -> Request<'_> {
    Request {
        method: Method::Get,
        url,
        headers: &[],
        body: &[],
        deadline: Deadline::after(Duration::from_secs(10)),
        max_body: 1 << 20,
    }
}

fn get_at_most(url: &str, max_body: usize) -> Request<'_> {
    Request { max_body, ..get(url) }
}

fn within(url: &str, millis: u64) -> Request<'_> {
    Request { deadline: Deadline::after(Duration::from_millis(millis)).named("connectTimeoutMS"), ..get(url) }
}

fn refused(request: &Request<'_>) -> Error {
    http().send(request).err().expect("an error")
}

/// Tells a test that it runs in the child, and what to ask for.
const CHILD: &str = "MONGO_BLOCKING_HTTP_CHILD";

/// Tells the child what is to be found in its log, and what is not.
static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        LOGGED.lock().unwrap().push_str(&format!("{} {}\n", record.target(), record.args()));
    }
    fn flush(&self) {}
}

/// A logger that filters lines by target, as most do.
struct OwnLinesOnly;

impl log::Log for OwnLinesOnly {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        !metadata.target().starts_with("ureq")
    }
    fn log(&self, _record: &log::Record<'_>) {}
    fn flush(&self) {}
}

/// The level belongs to the whole process, so it is not touched without need.
#[test]
fn a_logger_without_bytes_of_requests_keeps_its_level() {
    if env::var(CHILD).is_ok() {
        log::set_logger(&OwnLinesOnly).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        static MEANWHILE: Mutex<Vec<log::LevelFilter>> = Mutex::new(Vec::new());
        let stub = HttpStub::start(|_| {
            MEANWHILE.lock().unwrap().push(log::max_level());
            Reply::ok("hello")
        });
        http().send(&get(&stub.url("/"))).unwrap();
        assert_eq!(*MEANWHILE.lock().unwrap(), [log::LevelFilter::Trace]);
        return;
    }
    succeeds(&mut again("a_logger_without_bytes_of_requests_keeps_its_level", "here"));
}

/// ureq's parts log every byte at the level `trace`. In a process of its own, for the log belongs to a process.
#[test]
fn the_log_has_no_byte_of_a_request() {
    if let Ok(url) = env::var(CHILD) {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        let headers = [("Authorization", "hunter2")];
        let send = || http().send(&Request { method: Method::Post, headers: &headers, body: b"hunter2", ..get(&url) });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..20).for_each(|_| assert_eq!(send().unwrap().body.as_slice(), b"hunter2")));
            }
        });
        assert_eq!(log::max_level(), log::LevelFilter::Trace);
        refused(&Request { headers: &[("X", "hunter2\n")], ..get(&url) });
        assert_eq!(log::max_level(), log::LevelFilter::Trace);
        log::trace!("after it");
        let logged = LOGGED.lock().unwrap();
        assert!(logged.contains("ureq") && logged.contains("after it"), "{logged}");
        for secret in ["hunter2", "6875 6e74", "hunte", "unter"] {
            assert!(!logged.contains(secret), "{logged}");
        }
        // A level that the program has chosen otherwise is left alone.
        log::set_max_level(log::LevelFilter::Warn);
        send().unwrap();
        assert_eq!(log::max_level(), log::LevelFilter::Warn);
        return;
    }
    let stub = HttpStub::start(|_| Reply::ok("hunter2"));
    succeeds(&mut again("the_log_has_no_byte_of_a_request", &stub.url("/")));
}
