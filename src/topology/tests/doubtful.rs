//! A connection that was idle for over a minute may be dead without a word: a check gives it a second, and then tries a new one beside it.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bson::doc;
use mongo_blocking_test_server::wire;

use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::operation::Target;
use crate::options::ClientOptions;
use crate::system::RealSystem;
use crate::topology::Topology;

/// A test that hangs for longer has failed.
const LIMIT: Duration = Duration::from_secs(20);
/// Of a step of a check.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How a server behaves once its first connection has been idle for long.
#[derive(Clone, Copy)]
struct Afterwards {
    /// After how long it answers on the first connection; `None`: never.
    first: Option<Duration>,
    new: New,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, PartialEq)]
enum New {
    Answered,
    /// It is accepted and gets no answer, so that the attempt ends after the wait on the first connection.
    Silent,
    Refused,
}

/// A client of that server with an idle connection, and what counts the server's connections.
fn idle(afterwards: Afterwards) -> (Topology, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let (first_is_taken, is_taken) = mpsc::channel();
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            count.fetch_add(1, Ordering::SeqCst);
            let stream = stream.unwrap();
            let delay = move |hello: usize| match (n, hello) {
                (0, 0) => Some(Duration::ZERO),
                (0, _) => afterwards.first,
                _ => Some(Duration::ZERO).filter(|_| afterwards.new != New::Silent),
            };
            thread::spawn(move || serve(stream, delay));
            if n == 0 {
                first_is_taken.send(()).unwrap();
                if afterwards.new == New::Refused {
                    return;
                }
            }
        }
    });
    let uri = format!("mongodb://{address}/?connectTimeoutMS={}", CONNECT_TIMEOUT.as_millis());
    let options = ClientOptions::builder().uri(uri).build().settings().unwrap();
    let factory = Arc::new(ConnectionFactory::new(&options, &RealSystem::shared()).unwrap());
    let topology = Topology::new(&Arc::new(options), &factory).unwrap();
    operate(&topology).unwrap();
    is_taken.recv_timeout(LIMIT).unwrap();
    topology.shared().clock.advance(Duration::from_secs(61));
    (topology, connections)
}

fn serve(mut stream: TcpStream, delay: impl Fn(usize) -> Option<Duration>) {
    let hello = doc! {"isWritablePrimary": true, "helloOk": true, "maxWireVersion": 17, "ok": 1};
    for n in 0.. {
        let Ok(Some(request)) = wire::read_request(&mut stream) else { return };
        match delay(n) {
            Some(delay) => thread::sleep(delay),
            // Until the client hangs up.
            None => continue,
        }
        let _ = wire::write_reply(&mut stream, &request, &hello);
    }
}

fn operate(topology: &Topology) -> Result<()> {
    let limit = Deadline::after(LIMIT);
    let selected = topology.select(Target::Writable, &[], limit, Instant::now())?;
    selected.server.check_out(limit, limit, selected.opened, Instant::now()).map(drop).map_err(|failure| failure.error)
}

fn is_known(topology: &Topology) -> bool {
    topology.description().servers().values().all(|server| server.error().is_none())
}

#[test]
fn a_dead_connection_costs_a_second() {
    let (topology, connections) = idle(Afterwards { first: None, new: New::Answered });
    let began = Instant::now();
    operate(&topology).unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < CONNECT_TIMEOUT, "{took:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    assert!(is_known(&topology));
    // The dead one is not used again.
    operate(&topology).unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_late_answer_counts_where_no_new_connection_can_be_made() {
    for new in [New::Refused, New::Silent] {
        let (topology, connections) = idle(Afterwards { first: Some(Duration::from_millis(2500)), new });
        operate(&topology).unwrap();
        let accepted = if new == New::Silent { 2 } else { 1 };
        assert_eq!(connections.load(Ordering::SeqCst), accepted);
        assert!(is_known(&topology));
    }
}

#[test]
fn an_answer_in_time_needs_no_new_connection() {
    let (topology, connections) = idle(Afterwards { first: Some(Duration::from_millis(50)), new: New::Answered });
    operate(&topology).unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn the_check_fails_only_if_both_connections_do() {
    let (topology, _) = idle(Afterwards { first: None, new: New::Refused });
    let began = Instant::now();
    operate(&topology).unwrap_err();
    let took = began.elapsed();
    assert!(took >= CONNECT_TIMEOUT && took < LIMIT, "{took:?}");
    assert!(!is_known(&topology));
}
