//! Against a proxy whose every byte is decided here, over real sockets; and the state machine by itself.

use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::*;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Stage};
use crate::options::ServerAddress;
use crate::transport::{Route, Transport};

/// What the proxy says in answer to each message, in order; after the last it closes the connection.
const NO_LOGIN_AND_DONE: &[&[u8]] = &[&[5, 0], &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]];
const LOGIN_AND_DONE: &[&[u8]] = &[&[5, 2], &[1, 0], &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]];

/// A proxy for one connection: its port, and what it heard.
struct OneProxy {
    port: u16,
    heard: JoinHandle<Vec<u8>>,
}

impl OneProxy {
    /// Reads a message, gives an answer, and so on; then calls `end`.
    fn start(answers: Vec<Vec<u8>>, end: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut heard = Vec::new();
            for answer in answers {
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).unwrap_or(0);
                heard.extend_from_slice(&buffer[..length]);
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
            end(stream);
            heard
        });
        OneProxy { port, heard }
    }

    fn answering(answers: &[&[u8]]) -> Self {
        OneProxy::start(answers.iter().map(|answer| answer.to_vec()).collect(), drop)
    }

    fn route(&self, login: &str) -> Route {
        let uri = format!("mongodb://db.example.com/?proxyHost=127.0.0.1&proxyPort={}{login}", self.port);
        Route::of(&ClientSettings::parse(&uri).unwrap())
    }

    fn connect(&self, login: &str) -> Result<Transport, Error> {
        let address = ServerAddress::Tcp { host: "db.example.com".to_owned(), port: Some(27017) };
        let deadline = Deadline::after(Duration::from_secs(5)).named("connectTimeoutMS");
        Transport::connect(&address, &self.route(login), None, deadline, None)
    }
}

const LOGIN: &str = "&proxyUsername=ann&proxyPassword=hunter2";

/// What every failure of a proxy has in common.
fn is_failure_of_proxy(error: &Error, port: u16) {
    assert!(error.is_network_error() && error.labels().is_empty(), "{error:?}");
    assert_eq!((error.stage(), error.address()), (Stage::Connect, Some("db.example.com:27017")), "{error}");
    assert!(error.message().contains(&format!("SOCKS5 proxy 127.0.0.1:{port}")), "{error}");
    assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{error}");
    assert!(error.elapsed().is_some());
}

#[test]
fn without_a_login() {
    let proxy = OneProxy::answering(NO_LOGIN_AND_DONE);
    proxy.connect("").unwrap();
    let heard = proxy.heard.join().unwrap();
    assert_eq!(heard, [&b"\x05\x01\x00\x05\x01\x00\x03\x0edb.example.com"[..], &27017_u16.to_be_bytes()].concat());
}

#[test]
fn with_a_login() {
    let proxy = OneProxy::answering(LOGIN_AND_DONE);
    proxy.connect(LOGIN).unwrap();
    let heard = proxy.heard.join().unwrap();
    assert!(heard.starts_with(b"\x05\x02\x00\x02\x01\x03ann\x07hunter2\x05\x01\x00\x03"), "{heard:?}");
    let proxy = OneProxy::answering(NO_LOGIN_AND_DONE);
    proxy.connect(LOGIN).unwrap();
    let heard = proxy.heard.join().unwrap();
    assert!(!String::from_utf8_lossy(&heard).contains("hunter2"), "a proxy that wants no login gets none");
}

#[test]
fn the_connection_leads_on_from_the_very_next_byte() {
    for bound in [
        [&[5, 0, 0, 1][..], &[0; 6]].concat(),
        [&[5, 0, 0, 4][..], &[0; 18]].concat(),
        [&[5, 0, 0, 3, 255][..], &[b'x'; 257]].concat(),
        vec![5, 0, 0, 3, 0, 0, 0],
    ] {
        let answers = vec![vec![5, 0], [bound, b"hello".to_vec()].concat()];
        let proxy = OneProxy::start(answers, drop);
        let mut transport = proxy.connect("").unwrap();
        let mut said = String::new();
        transport.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
    }
}

#[test]
fn a_proxy_that_breaks_off_at_each_byte() {
    for (answers, login) in [(NO_LOGIN_AND_DONE, ""), (LOGIN_AND_DONE, LOGIN)] {
        let whole: usize = answers.iter().map(|answer| answer.len()).sum();
        for cut in 0..whole {
            let mut left = cut;
            let mut until = Vec::new();
            for answer in answers {
                let part = &answer[..left.min(answer.len())];
                left -= part.len();
                until.push(part.to_vec());
                if part.len() < answer.len() {
                    break;
                }
            }
            let proxy = OneProxy::start(until, drop);
            let error = proxy.connect(login).unwrap_err();
            is_failure_of_proxy(&error, proxy.port);
            assert!(matches!(error.kind(), ErrorKind::ProxyConnect { .. }), "{cut}: {error}");
        }
    }
}

#[test]
fn each_reply_code_in_words() {
    for (code, words) in [
        (1, "general failure"),
        (2, "not allowed"),
        (3, "network unreachable"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (6, "time to live"),
        (7, "command not supported"),
        (8, "address type"),
        (9, "not assigned (9)"),
        (255, "not assigned (255)"),
    ] {
        let proxy = OneProxy::answering(&[&[5, 0], &[5, code, 0, 1]]);
        let error = proxy.connect("").unwrap_err();
        is_failure_of_proxy(&error, proxy.port);
        assert!(error.message().contains(words), "{code}: {error}");
    }
}

#[test]
fn refusals_before_the_request() {
    for (answers, login, words, hint) in [
        (&[&[5, 255][..]][..], "", "wants a login", "proxyUsername"),
        (&[&[5, 255]], LOGIN, "takes neither", "proxyPassword"),
        (&[&[5, 2]], "", "not offered (2)", ""),
        (&[&[5, 1]], LOGIN, "not offered (1)", ""),
        (&[&[4, 90]], "", "does not speak SOCKS5", "HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".chunks(64).collect::<Vec<_>>().as_slice(), "", "byte 72", "HTTP"),
        (&[&[5, 2], &[1, 1]], LOGIN, "refused the user name", "proxyPassword"),
        (&[&[5, 2], &[5, 0]], LOGIN, "RFC 1929", ""),
        (&[&[5, 0], &[4, 0, 0, 1]], "", "does not speak SOCKS5", "HTTP"),
        (&[&[5, 0], &[5, 0, 0, 2]], "", "address of kind 2", ""),
    ] {
        let proxy = OneProxy::answering(answers);
        let error = proxy.connect(login).unwrap_err();
        is_failure_of_proxy(&error, proxy.port);
        assert!(error.message().contains(words), "{error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{error}");
    }
}

#[test]
fn a_proxy_that_stalls_costs_the_limit() {
    for answers in [&[][..], &[&[5][..]], &[&[5, 0]], &[&[5, 0], &[5, 0, 0, 1, 0]]] {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
        let proxy = OneProxy::start(answers, move |stream| {
            let _ = held.recv();
            drop(stream);
        });
        let address = ServerAddress::Tcp { host: "db.example.com".to_owned(), port: Some(27017) };
        let deadline = Deadline::after(Duration::from_millis(150)).named("connectTimeoutMS");
        let began = Instant::now();
        let error = Transport::connect(&address, &proxy.route(""), None, deadline, None).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        is_failure_of_proxy(&error, proxy.port);
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{error}");
        assert!(error.message().starts_with("connectTimeoutMS ran out"), "{error}");
        drop(hold);
    }
}

#[test]
fn a_proxy_that_cannot_be_reached() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxy = OneProxy { port, heard: thread::spawn(Vec::new) };
    let error = proxy.connect("").unwrap_err();
    is_failure_of_proxy(&error, port);
    assert!(error.message().contains("connection refused"), "{error}");
    let options = ClientSettings::parse("mongodb://db.example.com/?proxyHost=no-such-proxy.invalid").unwrap();
    let address = &options.hosts()[0];
    let deadline = Deadline::after(Duration::from_secs(20));
    let error = Transport::connect(address, &Route::of(&options), None, deadline, None).unwrap_err();
    assert_eq!((error.stage(), error.labels().len()), (Stage::Dns, 0), "{error}");
    assert!(error.message().contains("SOCKS5 proxy no-such-proxy.invalid:1080"), "{error}");
}

#[test]
fn destinations() {
    let start = |host: &str| Negotiation::start(None, host, 1).map(|(negotiation, _)| negotiation.request);
    assert_eq!(start("127.0.0.1").unwrap(), [5, 1, 0, 1, 127, 0, 0, 1, 0, 1]);
    assert_eq!(start("::1").unwrap(), [&[5, 1, 0, 4][..], &[0; 15], &[1, 0, 1]].concat());
    let longest = "x".repeat(255);
    assert_eq!(start(&longest).unwrap(), [&[5, 1, 0, 3, 255][..], longest.as_bytes(), &[0, 1]].concat());
    for host in ["", "fe80::1%eth0", &"x".repeat(256)] {
        assert_eq!(start(host).unwrap_err(), Refusal::Destination);
    }
}

#[test]
fn the_longest_login() {
    let login = Login { username: "u".repeat(255), password: Secret::from("p".repeat(255)) };
    let message = login.message();
    assert_eq!(message.len(), 513);
    assert!(message.starts_with(&[1, 255, b'u']) && message[256..].starts_with(&[b'u', 255, b'p']));
}

/// Whatever a proxy says, the conversation ends after few steps, and none asks for more than it may.
#[test]
fn noise_never_panics() {
    let login = Login { username: "ann".to_owned(), password: Secret::from("hunter2") };
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut done = 0;
    for round in 0..100_000 {
        let (mut negotiation, _) = Negotiation::start((round % 2 == 0).then_some(&login), "db.example.com", 1).unwrap();
        let mut steps = 0;
        while let Some(wanted) = negotiation.wants() {
            assert!(wanted <= LONGEST_READ && steps < 6);
            steps += 1;
            let answer: Vec<u8> = (0..wanted).map(|_| [0, 1, 2, 3, 4, 5, 5, 5][random() as usize % 8]).collect();
            if negotiation.step(&answer).is_err() {
                assert_eq!(negotiation.wants(), None, "an error ends it for good");
                steps = usize::MAX;
                break;
            }
        }
        done += usize::from(steps != usize::MAX);
    }
    assert!(done > 20, "the noise must get through at times: {done}");
}
