//! Connects to whichever address of a host answers first, as RFC 8305 ("Happy Eyeballs") has it: one attempt after the
//! other, the next one a quarter of a second later or as soon as one has failed, and the first success wins.
//!
//! Each attempt runs on a short-lived thread, which keeps to the same deadline; with one address there is none in the first second.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::failure::Failed;
use super::supervisor::Supervisor;
use super::wait_observer::LONG_WAIT;
use crate::deadline::Deadline;

type Outcome = Result<TcpStream, Failed>;

/// Connects to one of the addresses, or returns why each of them failed. `supervisor` is told of long waits, and may end them.
pub(super) fn connect(
    addresses: &[SocketAddr],
    deadline: Deadline,
    supervisor: Option<&Supervisor<'_>>,
) -> Result<TcpStream, Vec<Failed>> {
    let began = Instant::now();
    if let [only] = addresses {
        match attempt(*only, deadline, supervisor.map(|_| LONG_WAIT), &|| false) {
            // A second attempt, on a thread of its own, can be given up.
            Err((_, error)) if supervisor.is_some() && is_own_limit(&error) && !deadline.expired() => {}
            outcome => return outcome.map_err(|failed| vec![failed]),
        }
    }
    race(addresses, deadline, supervisor, began)
}

/// One attempt after the other, each on a thread of its own.
fn race(
    addresses: &[SocketAddr],
    deadline: Deadline,
    supervisor: Option<&Supervisor<'_>>,
    began: Instant,
) -> Result<TcpStream, Vec<Failed>> {
    let (sender, outcomes) = mpsc::channel();
    let over = Over::default();
    let mut failures = Vec::new();
    let mut waiting = addresses.iter().copied();
    let mut running = 0_usize;
    let mut next_report = began + LONG_WAIT;
    loop {
        if let Some(next) = waiting.next() {
            start(next, deadline, &sender, &over);
            running += 1;
        } else if running == 0 {
            return Err(failures);
        }
        match outcomes.recv_timeout(next_wait(waiting.len() > 0, deadline, supervisor.is_some())) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failed)) => {
                failures.push(failed);
                running -= 1;
            }
            Err(RecvTimeoutError::Timeout) if deadline.expired() => return Err(all_timed_out(addresses, failures)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let Some(supervisor) = supervisor else { continue };
        if (supervisor.given_up)() {
            return Err(all_timed_out(addresses, failures));
        }
        if let Some(observer) = supervisor.observer.filter(|_| Instant::now() >= next_report) {
            observer.still_waiting(began);
            next_report += LONG_WAIT;
        }
    }
}

/// How long to wait for an outcome before the next step.
fn next_wait(more_are_waiting: bool, deadline: Deadline, is_supervised: bool) -> Duration {
    let step = match (more_are_waiting, is_supervised) {
        (true, _) => STAGGER,
        (false, true) => LOOK_AROUND,
        (false, false) => LONG,
    };
    deadline.remaining().map_or(step, |left| left.min(step))
}

/// Tells the threads of a race that it is over, once it is dropped.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(address: SocketAddr, deadline: Deadline, sender: &Sender<Outcome>, over: &Over) {
    let (to_us, is_over) = (sender.clone(), over.0.clone());
    let work = move || {
        let _ = to_us.send(attempt(address, deadline, Some(2 * LONG_WAIT), &|| !is_over.load(Ordering::Relaxed)));
    };
    if thread::Builder::new().name("mongo-connect".to_owned()).spawn(work).is_err() {
        // No thread to be had: one attempt after the other, then.
        let _ = sender.send(attempt(address, deadline, None, &|| true));
    }
}

/// An attempt that takes longer than `slice` is begun anew if it `goes_on`, with twice the time and no more than [`LONGEST_SLICE`]:
/// much as the system itself repeats its first packet, so nothing is lost by it.
fn attempt(
    address: SocketAddr,
    deadline: Deadline,
    mut slice: Option<Duration>,
    goes_on: &dyn Fn() -> bool,
) -> Outcome {
    loop {
        let limit = [deadline.remaining(), slice].into_iter().flatten().min();
        let connected = match limit {
            None => TcpStream::connect(address),
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            Some(limit) => TcpStream::connect_timeout(&address, limit),
        };
        match connected {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_own_limit(&error) && !deadline.expired() && goes_on() => {
                slice = slice.map(|slice| (slice * 2).min(LONGEST_SLICE));
            }
            other => return other.map_err(|error| (address, error)),
        }
    }
}

/// Whether it is the end of the time that an attempt was given. The system's own verdict has a number.
fn is_own_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
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
/// The longest part of an attempt.
const LONGEST_SLICE: Duration = Duration::from_secs(10);
/// How often it is asked whether a connection that is long in coming was given up.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// With nothing left to start there is nothing to do but wait.
const LONG: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;
    use crate::transport::wait_observer::WaitObserver;

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
            let supervisor = Supervisor { observer: Some(&observer), opened: &|_| {}, given_up: &|| false };
            let began = Instant::now();
            let failures =
                connect(&addresses, Deadline::after(Duration::from_millis(1500)), Some(&supervisor)).unwrap_err();
            assert!(failures.iter().all(|(_, error)| error.kind() == io::ErrorKind::TimedOut), "{failures:?}");
            assert!((1400..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
            assert_eq!(*told.0.lock().unwrap(), 1);
        }
    }

    #[test]
    fn a_long_attempt_that_nobody_wants_any_more_ends() {
        let full = FullQueue::new();
        for addresses in [vec![full.address], vec![full.address, full.address]] {
            let began = Instant::now();
            let given_up = || began.elapsed() > Duration::from_millis(1200);
            let supervisor = Supervisor { observer: None, opened: &|_| {}, given_up: &given_up };
            let failures =
                connect(&addresses, Deadline::after(Duration::from_secs(60)), Some(&supervisor)).unwrap_err();
            assert!(failures.iter().all(|(_, error)| error.kind() == io::ErrorKind::TimedOut), "{failures:?}");
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
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
