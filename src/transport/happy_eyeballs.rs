//! Connects to whichever address of a host answers first, as RFC 8305 ("Happy Eyeballs") has it: one attempt after the
//! other, the next one a quarter of a second later or as soon as one has failed, and the first success wins.
//!
//! Each attempt runs on a short-lived thread, which keeps to the same deadline; with one address there is none.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::wait_observer::{LONG_WAIT, WaitObserver};
use crate::deadline::Deadline;

/// An address that could not be connected to, and why.
pub(super) type Failed = (SocketAddr, io::Error);

type Outcome = Result<TcpStream, Failed>;

/// Connects to one of the addresses, or returns why each of them failed. `observer` is told of long waits.
pub(super) fn connect(
    addresses: &[SocketAddr],
    deadline: Deadline,
    observer: Option<&Arc<dyn WaitObserver>>,
) -> Result<TcpStream, Vec<Failed>> {
    let began = Instant::now();
    if let [only] = addresses {
        return attempt(*only, deadline, observer).map_err(|failed| vec![failed]);
    }
    let (sender, outcomes) = mpsc::channel();
    let mut failures = Vec::new();
    let mut waiting = addresses.iter().copied();
    let mut running = 0_usize;
    loop {
        if let Some(next) = waiting.next() {
            start(next, deadline, &sender);
            running += 1;
        } else if running == 0 {
            return Err(failures);
        }
        match outcomes.recv_timeout(next_wait(waiting.len() > 0, deadline, observer.is_some())) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failed)) => {
                failures.push(failed);
                running -= 1;
            }
            Err(RecvTimeoutError::Timeout) if deadline.expired() => return Err(all_timed_out(addresses, failures)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => report(observer, began),
        }
    }
}

/// Reports a wait that has become long.
fn report(observer: Option<&Arc<dyn WaitObserver>>, began: Instant) {
    if let Some(observer) = observer.filter(|_| began.elapsed() >= LONG_WAIT) {
        observer.still_waiting(began);
    }
}

/// How long to wait for an outcome before the next step.
fn next_wait(more_are_waiting: bool, deadline: Deadline, is_observed: bool) -> Duration {
    let step = match (more_are_waiting, is_observed) {
        (true, _) => STAGGER,
        (false, true) => LONG_WAIT,
        (false, false) => LONG,
    };
    deadline.remaining().map_or(step, |left| left.min(step))
}

fn start(address: SocketAddr, deadline: Deadline, sender: &Sender<Outcome>) {
    let to_us = sender.clone();
    let helper = thread::Builder::new().name("mongo-connect".to_owned()).spawn(move || {
        let _ = to_us.send(attempt(address, deadline, None));
    });
    if helper.is_err() {
        // No thread to be had: one attempt after the other, then.
        let _ = sender.send(attempt(address, deadline, None));
    }
}

/// With an observer, an attempt that hangs is begun anew after 1, 2, 4 and 8 s and every 10 s then: much as the system itself
/// repeats its first packet, so nothing is lost by it.
fn attempt(address: SocketAddr, deadline: Deadline, observer: Option<&Arc<dyn WaitObserver>>) -> Outcome {
    let began = Instant::now();
    let mut slice = observer.map(|_| LONG_WAIT);
    loop {
        let limit = [deadline.remaining(), slice].into_iter().flatten().min();
        let connected = match limit {
            None => TcpStream::connect(address),
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            Some(limit) => TcpStream::connect_timeout(&address, limit),
        };
        match connected {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The system's own verdict has a number.
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() && !deadline.expired() =>
            {
                report(observer, began);
                slice = slice.map(|slice| (slice * 2).min(LONGEST_SLICE));
            }
            other => return other.map_err(|error| (address, error)),
        }
    }
}

/// The failures, and for the rest of the addresses that the time ran out.
fn all_timed_out(addresses: &[SocketAddr], mut failures: Vec<Failed>) -> Vec<Failed> {
    for address in addresses {
        if !failures.iter().any(|(failed, _)| failed == address) {
            failures.push((*address, io::ErrorKind::TimedOut.into()));
        }
    }
    failures
}

/// The time between two attempts that RFC 8305 recommends.
const STAGGER: Duration = Duration::from_millis(250);
/// The longest attempt of an observed connection before the next report.
const LONGEST_SLICE: Duration = Duration::from_secs(10);
/// With nothing left to start there is nothing to do but wait.
const LONG: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    fn closed_port() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn a_refusal_starts_the_next_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream =
            connect(&[closed_port(), closed_port(), good], Deadline::after(Duration::from_secs(9)), None).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(began.elapsed() < 2 * STAGGER, "{:?}", began.elapsed());
    }

    #[test]
    fn all_refusals_are_returned() {
        let addresses = [closed_port(), closed_port()];
        let failures = connect(&addresses, Deadline::NEVER, None).unwrap_err();
        assert_eq!(failures.len(), 2);
        assert!(failures.iter().all(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn one_that_hangs_delays_the_next_by_the_stagger_only() {
        let full = FullQueue::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream = connect(&[full.address, good], Deadline::after(Duration::from_secs(9)), None).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let took = began.elapsed();
        assert!(took >= STAGGER && took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn the_deadline_ends_it() {
        let full = FullQueue::new();
        for addresses in [vec![full.address], vec![full.address, full.address]] {
            let began = Instant::now();
            let failures = connect(&addresses, Deadline::after(Duration::from_millis(400)), None).unwrap_err();
            assert!(failures.iter().all(|(_, error)| error.kind() == io::ErrorKind::TimedOut), "{failures:?}");
            let took = began.elapsed();
            assert!((350..3000).contains(&took.as_millis()), "{took:?}");
        }
    }

    #[derive(Debug, Default)]
    struct LongWaitCounter(std::sync::Mutex<usize>);

    impl WaitObserver for LongWaitCounter {
        fn still_waiting(&self, _: Instant) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn a_long_attempt_is_reported_and_goes_on() {
        let full = FullQueue::new();
        for addresses in [vec![full.address], vec![full.address, full.address]] {
            let told = Arc::new(LongWaitCounter::default());
            let observer: Arc<dyn WaitObserver> = told.clone();
            let began = Instant::now();
            let failures =
                connect(&addresses, Deadline::after(Duration::from_millis(1500)), Some(&observer)).unwrap_err();
            assert!(failures.iter().all(|(_, error)| error.kind() == io::ErrorKind::TimedOut), "{failures:?}");
            assert!((1400..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
            assert_eq!(*told.0.lock().unwrap(), 1);
        }
    }

    /// A listener that takes no more connections: its queue is full, and Linux drops what comes on top.
    struct FullQueue {
        address: SocketAddr,
        _listener: socket2::Socket,
        _queue: Vec<TcpStream>,
    }

    impl FullQueue {
        fn new() -> FullQueue {
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
            let queue = (0..8).map_while(|_| connect().ok()).collect();
            FullQueue { address, _listener: listener, _queue: queue }
        }
    }
}
