//! Against a name server that does what it is told, over real sockets.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use super::*;
use crate::error::ErrorKind;
use crate::resolver::SrvRecord;

const NAME: &str = "_mongodb._tcp.cluster.example.com";

/// The messages that answer a question over UDP, in the order in which they are sent.
type Script = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync;

/// The bytes of the stream that answer a question over TCP.
type OverTcp = fn(&[u8]) -> Option<Vec<u8>>;

/// A name server on loopback; it ends with the process that its test runs in.
struct NameServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    fn start(ip: &str, over_udp: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        NameServer::with_tcp(ip, Arc::new(over_udp), |_| None)
    }

    /// `over_tcp` gives the bytes of the stream, length and all; then the connection ends. `None`: it stays open in silence.
    fn with_tcp(ip: &str, over_udp: Arc<Script>, over_tcp: OverTcp) -> Self {
        let (udp, tcp) = both(ip);
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                for message in over_udp(&buffer[..length]) {
                    let _ = udp.send_to(&message, from);
                }
            }
        });
        thread::spawn(move || {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = tcp.accept() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut question).unwrap();
                match over_tcp(&question) {
                    Some(bytes) => stream.write_all(&bytes).unwrap(),
                    None => silent.push(stream),
                }
            }
        });
        NameServer { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// UDP and TCP on the same port.
fn both(ip: &str) -> (UdpSocket, TcpListener) {
    for _ in 0..64 {
        let tcp = TcpListener::bind((ip, 0)).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port was free for both UDP and TCP");
}

/// The question as an answer, with these flags and records.
fn reply(question: &[u8], flags: [u8; 2], records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = question[..12 + NAME.len() + 2 + 4].to_vec();
    message[2..4].copy_from_slice(&flags);
    message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    message[8..12].fill(0);
    message.extend(records.concat());
    message
}

/// An SRV record of the name that was asked for.
fn srv(port: u16, host: &str) -> Vec<u8> {
    let mut data = vec![0, 0, 0, 0];
    data.extend(port.to_be_bytes());
    for label in host.split('.') {
        data.push(u8::try_from(label.len()).unwrap());
        data.extend(label.as_bytes());
    }
    data.push(0);
    let mut record = vec![0xc0, 12, 0, 33, 0, 1, 0, 0, 1, 44];
    record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend(data);
    record
}

fn good(question: &[u8]) -> Vec<u8> {
    reply(question, FINE, &[srv(27017, "db1.example.com")])
}

fn ask_for_srv(servers: &[&NameServer], limit: Duration) -> Result<Vec<SrvRecord>> {
    let servers: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    ask::<SrvRecord>(&servers, NAME, Deadline::after(limit).named("connectTimeoutMS")).map(|answer| answer.records)
}

fn is_good(records: &[SrvRecord]) {
    assert_eq!(records, [SrvRecord::new("db1.example.com", 27017).with_ttl(Duration::from_secs(300))]);
}

/// With its length in front, as over TCP.
fn framed(message: Vec<u8>) -> Vec<u8> {
    [u16::try_from(message.len()).unwrap().to_be_bytes().to_vec(), message].concat()
}

#[test]
fn an_answer_over_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let server = NameServer::start(ip, |question| vec![good(question)]);
        is_good(&ask_for_srv(&[&server], LIMIT).unwrap());
        assert_eq!(server.asked(), 1);
    }
}

#[test]
fn ports_and_ids_differ_from_question_to_question() {
    let (sender, seen) = mpsc::channel();
    let (udp, _tcp) = both("127.0.0.1");
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            sender.send((from.port(), [buffer[0], buffer[1]])).unwrap();
            udp.send_to(&good(&buffer[..length]), from).unwrap();
        }
    });
    for _ in 0..16 {
        ask::<SrvRecord>(&[address], NAME, Deadline::after(LIMIT)).unwrap();
    }
    let seen: Vec<(u16, [u8; 2])> = seen.try_iter().collect();
    let ports: std::collections::BTreeSet<u16> = seen.iter().map(|(port, _)| *port).collect();
    let ids: std::collections::BTreeSet<[u8; 2]> = seen.iter().map(|(_, id)| *id).collect();
    assert!(seen.len() == 16 && ports.len() > 8 && ids.len() > 12, "{seen:?}");
}

#[test]
fn what_is_no_answer_is_passed_over_until_the_right_one_comes() {
    let server = NameServer::start("127.0.0.1", |question| {
        let mut other_id = good(question);
        other_id[0] ^= 1;
        let mut other_question = good(question);
        other_question[14] ^= 1;
        vec![b"x".to_vec(), other_id, other_question, question.to_vec(), good(question)]
    });
    is_good(&ask_for_srv(&[&server], LIMIT).unwrap());
    assert_eq!(server.asked(), 1);
}

#[test]
fn an_answer_from_another_address_does_not_arrive() {
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (udp, _tcp) = both("127.0.0.1");
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let forged = reply(&buffer[..length], FINE, &[srv(1, "evil.example.com")]);
            // A connected socket refuses it; the right one goes out after it.
            let _ = forger.send_to(&forged, from);
            udp.send_to(&good(&buffer[..length]), from).unwrap();
        }
    });
    is_good(&ask::<SrvRecord>(&[address], NAME, Deadline::after(LIMIT)).unwrap().records);
}

#[test]
fn two_answers_to_one_question_are_as_good_as_one() {
    let server = NameServer::start("127.0.0.1", |question| vec![good(question), good(question)]);
    is_good(&ask_for_srv(&[&server], LIMIT).unwrap());
    is_good(&ask_for_srv(&[&server], LIMIT).unwrap());
    assert_eq!(server.asked(), 2);
}

#[test]
fn the_next_server_is_asked_after_a_refusal_or_a_malformed_answer() {
    for (flags, records) in [
        ([0x81, 0x85], Vec::new()),
        ([0x81, 0x82], Vec::new()),
        (FINE, vec![b"nonsense".to_vec()]),
        (FINE, vec![vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12]]), // an alias of itself
        (FINE, vec![vec![0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 1, 0xc0, 0x45]]), // a name that is itself
    ] {
        let bad = NameServer::start("127.0.0.1", move |question| vec![reply(question, flags, &records)]);
        let other = NameServer::start("127.0.0.1", |question| vec![good(question)]);
        let began = Instant::now();
        is_good(&ask_for_srv(&[&bad, &other], LIMIT).unwrap());
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!((bad.asked(), other.asked()), (1, 1));
        let error = ask_for_srv(&[&bad], LIMIT).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }) && error.is_network_error(), "{error}");
        assert!(error.message().contains(&bad.address.to_string()) && error.message().contains(NAME), "{error}");
        assert_eq!(error.labels().len(), 0);
        assert_eq!(bad.asked(), 3, "two rounds");
    }
}

#[test]
fn that_there_is_no_such_name_or_record_is_final() {
    for flags in [[0x81, 0x83], FINE] {
        let server = NameServer::start("127.0.0.1", move |question| vec![reply(question, flags, &[])]);
        let other = NameServer::start("127.0.0.1", |question| vec![good(question)]);
        assert_eq!(ask_for_srv(&[&server, &other], LIMIT).unwrap(), []);
        assert_eq!((server.asked(), other.asked()), (1, 0));
    }
}

#[test]
fn a_server_that_knows_no_edns_is_asked_without_it() {
    let server = NameServer::start("127.0.0.1", |question| match question[11] {
        0 => vec![good(question)],
        _ => vec![reply(question, [0x81, 0x81], &[])],
    });
    is_good(&ask_for_srv(&[&server], LIMIT).unwrap());
    assert_eq!(server.asked(), 2);
}

#[test]
fn sixty_records_come_over_tcp() {
    let truncated = Arc::new(|question: &[u8]| vec![reply(question, [0x83, 0x80], &[])]);
    let server = NameServer::with_tcp("127.0.0.1", truncated, |question| {
        let records: Vec<Vec<u8>> = (0..60).map(|host| srv(27017, &format!("db{host}.example.com"))).collect();
        Some(framed(reply(question, FINE, &records)))
    });
    let records = ask_for_srv(&[&server], LIMIT).unwrap();
    assert_eq!(records.len(), 60);
    assert_eq!(records[59].host, "db59.example.com");
}

#[test]
fn tcp_that_breaks_off_or_says_the_wrong_thing() {
    let cases: [OverTcp; 5] = [
        |question| Some(framed(good(question))[..20].to_vec()),
        |_| Some(vec![1]),
        |_| Some(Vec::new()),
        |question| Some(framed(reply(question, [0x83, 0x80], &[]))),
        |question| {
            let mut other_id = good(question);
            other_id[0] ^= 1;
            Some(framed(other_id))
        },
    ];
    for over_tcp in cases {
        let truncated = Arc::new(|question: &[u8]| vec![reply(question, [0x83, 0x80], &[])]);
        let bad = NameServer::with_tcp("127.0.0.1", truncated, over_tcp);
        let other = NameServer::start("127.0.0.1", |question| vec![good(question)]);
        is_good(&ask_for_srv(&[&bad, &other], LIMIT).unwrap());
        assert!(matches!(ask_for_srv(&[&bad], LIMIT).unwrap_err().kind(), ErrorKind::DnsResolve { .. }));
    }
}

#[test]
fn one_dead_server_costs_two_seconds() {
    let dead = NameServer::start("127.0.0.1", |_| Vec::new());
    let silent_over_tcp =
        NameServer::with_tcp("127.0.0.1", Arc::new(|question: &[u8]| vec![reply(question, [0x83, 0x80], &[])]), |_| {
            None
        });
    let truncated_late = |question: &[u8]| {
        thread::sleep(Duration::from_millis(1_500));
        vec![reply(question, [0x83, 0x80], &[])]
    };
    let late_and_silent_over_tcp = NameServer::with_tcp("127.0.0.1", Arc::new(truncated_late), |_| None);
    for bad in [&dead, &silent_over_tcp, &late_and_silent_over_tcp] {
        let other = NameServer::start("127.0.0.1", |question| vec![good(question)]);
        let ask = || {
            let began = Instant::now();
            is_good(&ask_for_srv(&[bad, &other], LIMIT).unwrap());
            began.elapsed()
        };
        // A machine with much else to do may take longer now and then, but not always.
        let took = (0..5).map(|_| ask()).find(|took| *took < TURN + Duration::from_millis(100));
        assert!(took.is_some_and(|took| took >= TURN), "{took:?}");
    }
}

#[test]
fn a_closed_port_costs_nothing() {
    let (udp, tcp) = both("127.0.0.1");
    let closed = udp.local_addr().unwrap();
    drop((udp, tcp));
    let other = NameServer::start("127.0.0.1", |question| vec![good(question)]);
    let began = Instant::now();
    is_good(&ask::<SrvRecord>(&[closed, other.address], NAME, Deadline::after(LIMIT)).unwrap().records);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn two_dead_servers_cost_the_limit_and_no_more() {
    let dead = [NameServer::start("127.0.0.1", |_| Vec::new()), NameServer::start("127.0.0.1", |_| Vec::new())];
    let limit = Duration::from_millis(2_500);
    let began = Instant::now();
    let error = ask_for_srv(&[&dead[0], &dead[1]], limit).unwrap_err();
    let took = began.elapsed();
    assert!(took >= limit && took < limit + Duration::from_millis(400), "{took:?}");
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout() && error.stage() == Stage::Dns, "{error}");
    assert!(error.message().starts_with("connectTimeoutMS ran out"), "{error}");
    assert_eq!((dead[0].asked(), dead[1].asked()), (1, 1));
}

#[test]
fn a_late_answer_is_none() {
    let (udp, _tcp) = both("127.0.0.1");
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        let mut waiting: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
        // Each question gets the answer to the one before it.
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            if let Some((late, to)) = waiting.pop() {
                let _ = udp.send_to(&late, to);
            }
            waiting.push((good(&buffer[..length]), from));
        }
    });
    let error = ask::<SrvRecord>(&[address], NAME, Deadline::after(Duration::from_millis(2_300))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{error}");
}

#[test]
fn a_name_that_no_question_can_hold_is_refused_before_it_is_asked() {
    let server = NameServer::start("127.0.0.1", |question| vec![good(question)]);
    let error = ask::<SrvRecord>(&[server.address], "caf\u{e9}.example", Deadline::after(LIMIT)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidArgument { .. }) && error.hint().unwrap().contains("xn--"),
        "{error}"
    );
    assert_eq!(server.asked(), 0);
}

const LIMIT: Duration = Duration::from_secs(8);
/// An answer without an error, to a question that wanted recursion.
const FINE: [u8; 2] = [0x81, 0x80];
