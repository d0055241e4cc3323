//! A TCP proxy that makes a network's faults: it cuts, holds back, delays, resets, and answers no attempt to connect.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::relay::read_some;

/// A proxy on a port of 127.0.0.1, before one server. Without a fault it passes everything on. Dropping it closes the port and
/// every connection, and waits for its threads.
///
/// ```no_run
/// # use mongo_blocking_test_server::fault_proxy::FaultProxy;
/// let proxy = FaultProxy::start("127.0.0.1:27017");
/// proxy.hold();
/// println!("{} looks frozen", proxy.address());
/// proxy.heal();
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    /// `None` while connections are refused.
    listener: Option<TcpListener>,
    /// Connections of our own that fill the queue of those not accepted yet.
    queue: Vec<TcpStream>,
    /// Connections of an earlier epoch are closed; the second is for those that are reset.
    epoch: u64,
    resets_until: u64,
    taken: usize,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    Refused,
    Held,
    Delayed(Duration),
    /// As `Held`, and attempts to connect get no answer either.
    Vanished,
    /// The proxy ends.
    Over,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl FaultProxy {
    /// Listens on a free port, before the server at `upstream` (`127.0.0.1:port`). The server need not run yet.
    ///
    /// # Panics
    /// If 127.0.0.1 can't be listened on.
    pub fn start(upstream: &str) -> FaultProxy {
        FaultProxy::start_on(0, upstream)
    }

    /// As [`FaultProxy::start`], on a given port; 0 is a free one.
    ///
    /// # Panics
    /// If the port can't be listened on.
    pub fn start_on(port: u16, upstream: &str) -> FaultProxy {
        let listener = listen(port).expect("a port to listen on");
        let address = listener.local_addr().expect("its address");
        let state = State {
            fault: Fault::Nothing,
            listener: Some(listener),
            queue: Vec::new(),
            epoch: 0,
            resets_until: 0,
            taken: 0,
            threads: Vec::new(),
        };
        let shared =
            Arc::new(Shared { upstream: upstream.to_owned(), state: Mutex::new(state), changed: Condvar::new() });
        let of_acceptor = shared.clone();
        let acceptor = Some(thread::spawn(move || accept(&of_acceptor)));
        FaultProxy { address, shared, acceptor }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().taken
    }

    /// The server's process is gone: open connections are closed, and attempts to connect are refused.
    pub fn cut(&self) {
        let mut state = self.shared.lock();
        state.epoch += 1;
        state.listener = None;
        self.shared.set(&mut state, Fault::Refused);
    }

    /// The server hangs: open connections stay open, attempts to connect succeed, and no byte goes either way. What was held back
    /// goes on at [`FaultProxy::heal`].
    pub fn hold(&self) {
        self.listen_again();
        self.shared.set(&mut self.shared.lock(), Fault::Held);
    }

    /// The network is slow: what the server sends arrives this much later.
    pub fn delay(&self, time: Duration) {
        self.listen_again();
        self.shared.set(&mut self.shared.lock(), Fault::Delayed(time));
    }

    /// The server's host is gone: no byte goes either way, and an attempt to connect gets no answer at all. The port's queue of
    /// connections not accepted yet is made as short as can be and filled, so that the system drops the attempts.
    ///
    /// # Panics
    /// If the queue can't be filled.
    pub fn vanish(&self) {
        self.listen_again();
        let mut state = self.shared.lock();
        self.shared.set(&mut state, Fault::Vanished);
        let listener = state.listener.as_ref().expect("it listens");
        SockRef::from(listener).listen(0).expect("a shorter queue");
        let mut queue = Vec::new();
        while let Ok(filler) = TcpStream::connect_timeout(&self.address, QUEUE_IS_FULL_AFTER) {
            queue.push(filler);
            assert!(queue.len() < MAX_QUEUE, "the queue of a port takes connections without end");
        }
        state.queue = queue;
    }

    /// Resets the open connections (RST), once. New ones are taken and served.
    pub fn reset(&self) {
        let mut state = self.shared.lock();
        state.epoch += 1;
        state.resets_until = state.epoch;
        self.shared.set(&mut state, Fault::Nothing);
    }

    /// Ends the fault.
    ///
    /// # Panics
    /// If the port was taken by another process meanwhile.
    pub fn heal(&self) {
        self.listen_again();
        self.shared.set(&mut self.shared.lock(), Fault::Nothing);
    }

    fn listen_again(&self) {
        let mut state = self.shared.lock();
        match &state.listener {
            Some(listener) => SockRef::from(listener).listen(BACKLOG).expect("a longer queue"),
            None => state.listener = Some(listen(self.port()).expect("the port is free still")),
        }
        // They are still in the queue, and are accepted as connections that end at once.
        state.queue.clear();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.epoch += 1;
        state.listener = None;
        self.shared.set(&mut state, Fault::Over);
        drop(state);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let threads = std::mem::take(&mut self.shared.lock().threads);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: &mut State, fault: Fault) {
        state.fault = fault;
        self.changed.notify_all();
    }

    /// Waits until bytes may go; false where the connection is to be closed instead.
    fn may_pass(&self, epoch: u64, direction: Direction) -> bool {
        let arrived = Instant::now();
        let mut state = self.lock();
        loop {
            if state.epoch != epoch {
                return false;
            }
            let wait = match state.fault {
                Fault::Nothing => return true,
                Fault::Delayed(time) if direction == Direction::ToClient && arrived.elapsed() < time => {
                    time.saturating_sub(arrived.elapsed())
                }
                Fault::Delayed(_) => return true,
                _ => PAUSE,
            };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn accept(shared: &Arc<Shared>) {
    loop {
        let mut state = shared.lock();
        if state.fault == Fault::Over {
            return;
        }
        let accepts = state.fault != Fault::Vanished;
        let accepted = state.listener.as_ref().filter(|_| accepts).and_then(|listener| listener.accept().ok());
        let Some((client, _)) = accepted else {
            drop(shared.changed.wait_timeout(state, PAUSE));
            continue;
        };
        state.taken += 1;
        let epoch = state.epoch;
        let of_connection = shared.clone();
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread::spawn(move || {
            let _ = serve(&of_connection, client, epoch);
        }));
    }
}

fn serve(shared: &Arc<Shared>, client: TcpStream, epoch: u64) -> io::Result<()> {
    client.set_nonblocking(false)?;
    // The server's host takes the connection only when the fault lets it; the client's own system has taken it by then.
    if !shared.may_pass(epoch, Direction::ToServer) {
        return Ok(());
    }
    let Ok(server) = TcpStream::connect(&shared.upstream) else {
        return SockRef::from(&client).set_linger(Some(Duration::ZERO));
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PAUSE))?;
    }
    // Not two handles of a socket: it is reset when its only one is closed.
    thread::scope(|scope| {
        scope.spawn(|| pump(shared, &server, &client, epoch, Direction::ToClient));
        pump(shared, &client, &server, epoch, Direction::ToServer);
    });
    if epoch < shared.lock().resets_until {
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        SockRef::from(&server).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Passes bytes on until one side ends or the connection is to be closed.
fn pump(shared: &Shared, from: &TcpStream, mut to: &TcpStream, epoch: u64, direction: Direction) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(read) = read_some(from, &mut buffer) {
        let passes = match read {
            Some(0) => break,
            Some(_) => shared.may_pass(epoch, direction),
            None => shared.lock().epoch == epoch,
        };
        if !passes {
            // Both pumps see it; the sockets are closed when both have ended.
            return;
        }
        if to.write_all(buffer.get(..read.unwrap_or(0)).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

const PAUSE: Duration = Duration::from_millis(10);
const BACKLOG: i32 = 128;
/// On loopback a port that takes connections takes them at once.
const QUEUE_IS_FULL_AFTER: Duration = Duration::from_millis(100);
/// Linux holds one connection more than asked for.
const MAX_QUEUE: usize = 16;
const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::relay::is_timeout;
    use crate::script::Script;

    #[test]
    fn each_fault_is_what_its_name_says() {
        let server = Script::start(|mut stream, _| {
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        });
        let proxy = FaultProxy::start(&server.address());
        let connect = || TcpStream::connect_timeout(&proxy.address, Duration::from_millis(300));
        let mut open = connect().unwrap();
        assert!(echoes(&mut open, Duration::from_secs(5)).unwrap() < Duration::from_secs(2));

        proxy.delay(Duration::from_millis(200));
        assert!(echoes(&mut open, Duration::from_secs(5)).unwrap() >= Duration::from_millis(200));

        proxy.hold();
        assert!(is_timeout(&echoes(&mut open, Duration::from_millis(100)).unwrap_err()));
        let mut second = connect().unwrap();
        assert!(is_timeout(&echoes(&mut second, Duration::from_millis(100)).unwrap_err()));
        proxy.heal();
        // What was held back comes now.
        open.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        open.read_exact(&mut [0]).unwrap();

        proxy.vanish();
        assert_eq!(connect().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_timeout(&echoes(&mut open, Duration::from_millis(100)).unwrap_err()));
        proxy.heal();
        open.read_exact(&mut [0]).unwrap();
        assert!(echoes(&mut connect().unwrap(), Duration::from_secs(5)).is_ok());

        proxy.reset();
        open.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(open.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut third = connect().unwrap();
        assert!(echoes(&mut third, Duration::from_secs(5)).is_ok());

        proxy.cut();
        assert_eq!(third.read(&mut [0]).unwrap(), 0);
        assert_eq!(connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        proxy.heal();
        assert!(echoes(&mut connect().unwrap(), Duration::from_secs(5)).is_ok());
    }

    fn echoes(stream: &mut TcpStream, limit: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        Ok(began.elapsed())
    }
}
