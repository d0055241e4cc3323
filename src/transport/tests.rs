//! Transports against real sockets.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking_test_server::chain;
#[cfg(unix)]
use mongo_blocking_test_server::child;
#[cfg(unix)]
use mongo_blocking_test_server::fake_server::FakeServer;
#[cfg(unix)]
use mongo_blocking_test_server::peers::Scratch;
#[cfg(unix)]
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::script::Script;

use super::*;
use crate::error::{ErrorKind, RETRYABLE_ERROR, SYSTEM_OVERLOADED_ERROR};

fn tcp(port: u16) -> ServerAddress {
    ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(port) }
}

fn millis(count: u64) -> Deadline {
    Deadline::after(Duration::from_millis(count)).named("socketTimeoutMS")
}

/// Which network it is on is not known, so no connection can be made; whatever this system says, the zone is what is missing.
#[test]
fn a_link_local_address_needs_a_zone() {
    let address = ServerAddress::Tcp { host: "fe80::1".to_owned(), port: Some(27017) };
    let error = Transport::connect(&address, &Route::default(), None, millis(300), None).unwrap_err();
    assert_eq!(error.stage(), Stage::Connect);
    let hint = error.hint().unwrap();
    assert!(hint.contains("zone") && hint.contains("%25"), "{error}");
}

/// Both ends of a connection; the test drives the other end.
fn pair() -> (Transport, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream =
        Transport::connect(&tcp(listener.local_addr().unwrap().port()), &Route::default(), None, Deadline::NEVER, None)
            .unwrap();
    (stream, listener.accept().unwrap().0)
}

#[test]
fn a_refused_connection_says_where_and_what_to_do() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Transport::connect(&tcp(port), &Route::default(), None, millis(5000), None).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_network_error(), "{error}");
    assert_eq!((error.stage(), error.address()), (Stage::Connect, Some(&*format!("127.0.0.1:{port}"))));
    assert!(error.message().contains("connection refused by 127.0.0.1"), "{error}");
    assert!(error.hint().unwrap().contains("is the server running"), "{error}");
    assert!(error.elapsed().is_some());
    assert!(error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR));
}

/// A report that walks along the sources prints no text twice, and a line without them says what happened.
#[test]
fn failures_to_connect_say_their_own_part_and_their_cause_the_rest() {
    let refused = tcp(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let unknown = ServerAddress::Tcp { host: "no-such-host.invalid".to_owned(), port: Some(1) };
    let connect = |address: &ServerAddress| {
        Transport::connect(address, &Route::default(), None, millis(20_000), None).map(drop).unwrap_err()
    };
    let of_socket = |error| network_error(error, Stage::Command, Deadline::NEVER);
    let said = |kind| of_socket(io::Error::new(kind, "in the system's own words"));
    let mut table = vec![
        (connect(&refused), "connection refused by 127.0.0.1"),
        (connect(&unknown), "the name no-such-host.invalid could not be resolved"),
        (said(io::ErrorKind::ConnectionReset), "the server reset the connection"),
        (said(io::ErrorKind::BrokenPipe), "the server has closed the connection"),
        (said(io::ErrorKind::ConnectionAborted), "the connection failed"),
        (of_socket(io::Error::other("received alert: bad certificate")), "the server refused the client's side of TLS"),
        (of_socket(io::Error::other("a record is longer than it may be")), "the TLS channel broke"),
    ];
    let failed = |error| failure::connect_failed(vec![("127.0.0.1:1".parse().unwrap(), error)], Deadline::NEVER);
    let no_port = "no local address or port is left for a connection to 127.0.0.1:1";
    table.push((failed(io::ErrorKind::AddrNotAvailable.into()), no_port));
    let no_files = io::Error::from_raw_os_error(if cfg!(windows) { 10024 } else { 24 });
    table.push((failed(no_files), "too many files are open for a connection to 127.0.0.1:1"));
    table.push((failed(io::ErrorKind::OutOfMemory.into()), "127.0.0.1:1 could not be connected to"));
    #[cfg(unix)]
    table.push((connect(&ServerAddress::Unix { path: "/no/such.sock".into() }), "there is no socket /no/such.sock"));
    for (error, own) in table {
        let levels = chain::levels(&error);
        let [first, cause] = levels.as_slice() else { panic!("{levels:?}") };
        assert!(first.contains(own) && !first.contains(cause), "{levels:?}");
        assert!(format!("{error:#}").contains(cause), "{error:#}");
    }
}

#[test]
fn localhost_is_found_whichever_family_listens() {
    // One listener per address that the name has here; the others of them refuse.
    for ip in ("localhost", 0).to_socket_addrs().unwrap() {
        let listener = TcpListener::bind(ip).unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = ServerAddress::Tcp { host: "localhost".to_owned(), port: Some(port) };
        Transport::connect(&address, &Route::default(), None, millis(5000), None).unwrap();
    }
}

#[test]
fn a_name_that_does_not_exist_is_no_sign_of_overload() {
    let address = ServerAddress::Tcp { host: "no-such-host.invalid".to_owned(), port: Some(1) };
    let error = Transport::connect(&address, &Route::default(), None, millis(20_000), None).unwrap_err();
    assert_eq!((error.stage(), error.labels().len()), (Stage::Dns, 0), "{error}");
}

#[test]
fn a_read_ends_with_its_deadline() {
    let (mut stream, _peer) = pair();
    for limit in [30, 200] {
        stream.set_deadline(millis(limit));
        let began = Instant::now();
        let error = stream.read(&mut [0; 10]).unwrap_err();
        let took = began.elapsed().as_millis() as u64;
        assert!((limit - 5..limit + 1000).contains(&took), "{limit}: {took}");
        let error = network_error(error, Stage::Command, millis(limit));
        assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{error}");
        assert!(error.message().starts_with("socketTimeoutMS ran out"), "{error}");
    }
}

#[test]
fn a_deadline_next_to_nothing_is_none_the_less_one() {
    let (mut stream, _peer) = pair();
    for nanoseconds in [1, 400, 900, 5_000, 50_000, 300_000] {
        for _ in 0..20 {
            stream.set_deadline(Deadline::after(Duration::from_nanos(nanoseconds)));
            let began = Instant::now();
            assert_eq!(stream.read(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() < Duration::from_secs(1));
        }
    }
}

#[test]
fn a_deadline_is_kept_over_many_reads() {
    let (mut stream, mut peer) = pair();
    let drip = thread::spawn(move || {
        while peer.write_all(&[1]).is_ok() {
            thread::sleep(Duration::from_millis(10))
        }
    });
    stream.set_deadline(millis(300));
    let began = Instant::now();
    while stream.read(&mut [0; 10]).is_ok() {}
    let took = began.elapsed().as_millis();
    assert!((295..1500).contains(&took), "{took}");
    drop(stream);
    drip.join().unwrap();
}

#[test]
fn a_write_ends_with_its_deadline() {
    let (mut stream, _peer) = pair();
    stream.set_deadline(millis(100));
    let began = Instant::now();
    let error = stream.write_all(&[0; 100], &vec![0; 64 << 20]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn both_parts_arrive_in_order() {
    let (mut stream, mut peer) = pair();
    let tail: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    let expected = [b"head".to_vec(), tail.clone()].concat();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    stream.write_all(b"head", &tail).unwrap();
    drop(stream);
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn no_deadline_sets_none_and_a_deadline_is_set_once() {
    let (mut stream, mut peer) = pair();
    let mut echo = |stream: &mut Transport| {
        stream.write_all(b"ask", &[]).unwrap();
        peer.write_all(b"answer").unwrap();
        assert_eq!(stream.read(&mut [0; 10]).unwrap(), 6);
    };
    echo(&mut stream);
    // On Windows the first wait has a limit, which no deadline here is shorter than.
    let [first, second, third] = if cfg!(windows) { [4, 204, 208] } else { [2, 204, 210] };
    assert_eq!(stream.socket_mut().calls, first);
    for _ in 0..100 {
        stream.set_deadline(Deadline::after(Duration::from_secs(60)));
        echo(&mut stream);
    }
    assert_eq!(stream.socket_mut().calls, second);
    stream.set_deadline(Deadline::NEVER);
    echo(&mut stream);
    echo(&mut stream);
    assert_eq!(stream.socket_mut().calls, third);
}

#[test]
fn liveness() {
    let (mut stream, mut peer) = pair();
    assert!(stream.is_alive() && stream.is_alive());
    peer.write_all(b"x").unwrap();
    wait_for(|| !stream.is_alive());
    stream.read_exact(&mut [0]).unwrap();
    assert!(stream.is_alive());
    drop(peer);
    wait_for(|| !stream.is_alive());
}

#[test]
fn a_peer_that_never_stops_sending_cannot_hold_a_look_at_it() {
    let (mut stream, mut peer) = pair();
    let flood = thread::spawn(move || while peer.write_all(&[0; 1000]).is_ok() {});
    wait_for(|| !stream.is_alive());
    let socket = stream.socket_mut();
    socket.wait(false).unwrap();
    let mut read = 0;
    let error = loop {
        match socket.read(&mut [0; 3000]) {
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("without end") && (20_000..40_000).contains(&read), "{read}: {error}");
    socket.wait(true).unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    drop(stream);
    flood.join().unwrap();
}

/// A thread that waits for something to read, or is about to.
fn reading(mut stream: Transport) -> thread::JoinHandle<io::Result<usize>> {
    let (started, go) = mpsc::channel();
    let reader = thread::spawn(move || {
        started.send(()).unwrap();
        stream.read(&mut [0; 10])
    });
    go.recv().unwrap();
    reader
}

#[test]
fn a_shutdown_handle_wakes_a_reader() {
    let (stream, _peer) = pair();
    let closer = stream.shutdown_handle();
    let reader = reading(stream);
    closer.clone().close(ShutdownReason::Client);
    match reader.join().unwrap() {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert!(cfg!(windows) && error.kind() == io::ErrorKind::ConnectionAborted, "{error}"),
    }
    assert!(closer.is_closed());
}

/// Where the operating system does not pass the shutdown on to a thread that waits.
#[test]
fn a_shutdown_that_the_system_does_not_report_ends_the_wait_too() {
    let (mut stream, _peer) = pair();
    stream.set_wait_observer(Arc::new(LongWaitCounter::default()));
    let closer = stream.shutdown_handle();
    let reader = reading(stream);
    closer.set_reason(ShutdownReason::Client);
    assert_eq!(reader.join().unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[cfg(unix)]
#[test]
fn unix_sockets() {
    use std::os::unix::net::UnixListener;
    let folder = Scratch::new("unix-socket");
    let path = folder.path().join("mongodb-27017.sock");
    let address = ServerAddress::Unix { path: path.clone() };

    let error = Transport::connect(&address, &Route::default(), None, millis(1000), None).unwrap_err();
    assert!(error.message().starts_with("there is no socket"), "{error}");

    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = Transport::connect(&address, &Route::default(), None, millis(1000), None).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    assert!(stream.is_alive());
    peer.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(stream.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::TimedOut);

    drop(listener);
    let error = Transport::connect(&address, &Route::default(), None, millis(1000), None).unwrap_err();
    assert!(error.message().starts_with("no process listens on the socket"), "{error}");

    let connector = tls::Connector::new(
        &crate::options::TlsSettings::default(),
        &crate::system::RealSystem::shared(),
        &crate::warning::WarningSink::default(),
    )
    .unwrap();
    let error = Transport::connect(&address, &Route::default(), Some(&connector), millis(1000), None).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotSupported { .. }), "{error}");
}

#[test]
fn a_tls_handshake_ends_with_its_deadline() {
    let silent = Script::start(|mut stream, _| while matches!(stream.read(&mut [0; 100]), Ok(1..)) {});
    let connector = tls::Connector::new(
        &crate::options::TlsSettings::default(),
        &crate::system::RealSystem::shared(),
        &crate::warning::WarningSink::default(),
    )
    .unwrap();
    let limit = Deadline::after(Duration::from_millis(150)).named("connectTimeoutMS");
    let began = Instant::now();
    let error = Transport::connect(&tcp(silent.port()), &Route::default(), Some(&connector), limit, None).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(error.stage(), Stage::Tls);
    assert!(matches!(error.kind(), ErrorKind::Io(_)) && error.is_timeout(), "{error}");
    assert!(error.message().starts_with("connectTimeoutMS ran out"), "{error}");
    assert!(error.contains_label(SYSTEM_OVERLOADED_ERROR) && error.contains_label(RETRYABLE_ERROR));
}

#[test]
fn a_peer_that_hangs_up_in_the_tls_handshake() {
    let rude = Script::start(|_, _| {});
    let connector = tls::Connector::new(
        &crate::options::TlsSettings::default(),
        &crate::system::RealSystem::shared(),
        &crate::warning::WarningSink::default(),
    )
    .unwrap();
    let error =
        Transport::connect(&tcp(rude.port()), &Route::default(), Some(&connector), millis(5000), None).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}");
    assert!(error.stage() == Stage::Tls && error.contains_label(RETRYABLE_ERROR), "{error}");
}

#[test]
fn a_handshake_that_atlas_breaks_off() {
    for (host, hint) in [("a.b.mongodb.net", "IP access list"), ("db.example", "speak TLS on this port")] {
        let target = tls::Target { host, port: 27017, deadline: millis(5000) };
        let error = super::failure::tls_cut_off(io::ErrorKind::ConnectionReset.into(), &target);
        assert!(error.hint().unwrap().contains(hint), "{error}");
    }
}

/// Were SIGPIPE raised, the process would end: this one has the signal at its default.
#[cfg(unix)]
#[test]
fn no_write_raises_sigpipe() {
    use std::os::unix::net::UnixListener;
    if !child::alone(module_path!(), "no_write_raises_sigpipe") {
        return;
    }
    #[expect(unsafe_code, reason = "the standard library sets SIGPIPE to be ignored and has no way back")]
    // SAFETY: the default action is no function of ours, and this process runs this test only.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_eq!(before, libc::SIG_IGN);

    let (tcp_transport, peer) = pair();
    drop(peer);
    write_until_it_fails(tcp_transport);

    let folder = Scratch::new("sigpipe");
    let path = folder.path().join("mongodb.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let transport =
        Transport::connect(&ServerAddress::Unix { path }, &Route::default(), None, millis(5000), None).unwrap();
    drop(listener.accept().unwrap());
    write_until_it_fails(transport);

    let (ca_file, authority) = (folder.path().join("ca.pem"), Authority::new());
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let front = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let uri = format!("mongodb://localhost:{}/?tls=true&tlsCAFile={}", front.port(), ca_file.display());
    let options = crate::options::ClientOptions::builder().uri(&uri).build().settings().unwrap();
    let connector = tls::Connector::new(
        options.tls.as_ref().unwrap(),
        &crate::system::RealSystem::shared(),
        &crate::warning::WarningSink::default(),
    )
    .unwrap();
    let transport =
        Transport::connect(&options.hosts[0], &Route::default(), Some(&connector), millis(5000), None).unwrap();
    front.hang_up();
    write_until_it_fails(transport);
}

/// With one part and with two, since these are different system calls.
#[cfg(unix)]
fn write_until_it_fails(mut transport: Transport) {
    for tail in [&[][..], &[0; 100]] {
        transport.set_deadline(millis(5000));
        wait_for(|| transport.write_all(&[0; 100], tail).is_err());
        let error = transport.write_all(&[0; 100], tail).unwrap_err();
        assert!(!matches!(error.kind(), io::ErrorKind::TimedOut), "{error}");
    }
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < limit, "it did not happen in 5 s");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Counts how often it was told, and of which moment at last.
#[derive(Debug, Default)]
struct LongWaitCounter(Mutex<Vec<Instant>>);

impl WaitObserver for LongWaitCounter {
    fn still_waiting(&self, since: Instant) {
        self.0.lock().unwrap().push(since);
    }
}

#[test]
fn a_long_wait_is_reported_every_second_and_a_short_one_is_not() {
    let (mut stream, mut peer) = pair();
    let told = Arc::new(LongWaitCounter::default());
    stream.set_wait_observer(told.clone());
    peer.write_all(b"x").unwrap();
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 1);
    assert!(told.0.lock().unwrap().is_empty());
    let began = Instant::now();
    stream.set_deadline(Deadline::after(Duration::from_millis(2500)));
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert!(failure::is_deadline(&error), "{error}");
    let took = began.elapsed();
    assert!((2400..5000).contains(&took.as_millis()), "{took:?}");
    let told = told.0.lock().unwrap();
    // Timeouts of Windows may strike a moment early, so that what is left is one more wait.
    let most = if cfg!(windows) { 3 } else { 2 };
    assert!((2..=most).contains(&told.len()), "after one second and after two: {told:?}");
    assert!(told.iter().all(|since| *since <= began + Duration::from_millis(100)), "{told:?}, {began:?}");
}

#[test]
fn a_write_that_nobody_reads_is_reported() {
    let (mut stream, _peer) = pair();
    let told = Arc::new(LongWaitCounter::default());
    stream.set_wait_observer(told.clone());
    stream.set_deadline(Deadline::after(Duration::from_millis(4500)));
    stream.write_all(&vec![0; 50_000_000], &[]).unwrap_err();
    assert!(!told.0.lock().unwrap().is_empty());
}

#[test]
fn reports_of_waits_cost_no_system_call_but_one_for_each_direction() {
    let (mut stream, mut peer) = pair();
    stream.set_wait_observer(Arc::new(LongWaitCounter::default()));
    for limit in [None, Some(Duration::from_secs(60)), None] {
        for _ in 0..100 {
            stream.set_deadline(Deadline::after_option(limit));
            stream.write_all(b"ask", &[]).unwrap();
            peer.write_all(b"answer").unwrap();
            assert_eq!(stream.read(&mut [0; 10]).unwrap(), 6);
        }
    }
    assert_eq!(stream.socket_mut().calls, 600 + 2);
}
