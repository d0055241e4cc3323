//! A TCP or Unix socket that keeps to a deadline.
//!
//! The operating system's timeout is set only when it would outlive the deadline, so that a connection in steady use
//! costs no system call beside its reads and writes: with no deadline none is ever made; with one, the timeout is set a
//! little shorter than needed, which serves the following calls too, and a wait that ends early is repeated. With a
//! [`WaitObserver`] no timeout is longer than a second: it is set once for each direction, and serves every later call.
//!
//! No write raises SIGPIPE: a program that has the signal at its default would be killed when a server hangs up.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use socket2::TcpKeepalive;

use super::wait_observer::{LONG_WAIT, WaitObserver};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::fork;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    shared: Arc<Shared>,
    deadline: Deadline,
    /// Is told of long waits.
    observer: Option<Arc<dyn WaitObserver>>,
    /// The timeouts that the operating system has now.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// `None`: reads and writes wait. Otherwise they do not, and this many bytes may still be read.
    budget: Option<usize>,
    /// How many system calls were made, for the test that counts them.
    #[cfg(test)]
    pub(crate) calls: usize,
}

/// Ends a connection from another thread. A clone is a reference count, not a system call.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: socket2::Socket,
    /// Why it was closed from this side: a [`ShutdownReason`], or 0 while it was not.
    closed_here: AtomicU8,
    /// Whether what waits on it now may as well begin anew on another server, once that one is primary.
    yields: AtomicBool,
    /// What to say where it was closed for [`ShutdownReason::NewerPrimary`].
    successor: OnceLock<Arc<str>>,
    /// The process that connected it.
    process: u64,
}

/// Why a connection is ended from another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ShutdownReason {
    /// The client was closed, or nothing needs the connection any more.
    Client = 1,
    /// A check of the server ran out of time, so that nothing is to be expected of its connections.
    Interrupted = 2,
    /// The server has fallen silent, and another one is primary now.
    NewerPrimary = 3,
}

impl Shared {
    /// Whether it was closed from this side.
    fn is_closed(&self) -> bool {
        self.closed_here.load(Ordering::Acquire) != 0
    }
}

impl ShutdownHandle {
    /// Ends both directions, and with them every wait on the socket. In a child process only the child's own use of it ends.
    /// The first reason stays.
    pub(crate) fn close(&self, reason: ShutdownReason) {
        self.set_reason(reason);
        if !self.is_inherited() {
            let _ = self.0.socket.shutdown(Shutdown::Both);
        }
    }

    /// The part of [`ShutdownHandle::close`] that the operating system does not see.
    pub(crate) fn set_reason(&self, reason: ShutdownReason) {
        let _ = self.0.closed_here.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether it was closed from this side.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether it was closed because a check of the server ran out of time.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.closed_here.load(Ordering::Acquire) == ShutdownReason::Interrupted as u8
    }

    /// Says whether what waits on the connection from now on yields to a newer primary.
    pub(crate) fn set_yields(&self, yields: bool) {
        self.0.yields.store(yields, Ordering::Relaxed);
    }

    /// Whether what waits on the connection yields to a newer primary.
    pub(crate) fn yields(&self) -> bool {
        self.0.yields.load(Ordering::Relaxed)
    }

    /// To be called before it is closed for [`ShutdownReason::NewerPrimary`]: what the error of that says.
    pub(crate) fn name_successor(&self, words: &Arc<str>) {
        let _ = self.0.successor.set(words.clone());
    }

    /// If it was closed because another server is primary now: the words that say so.
    pub(crate) fn successor(&self) -> Option<&Arc<str>> {
        let newer_primary = ShutdownReason::NewerPrimary as u8;
        self.0.successor.get().filter(|_| self.0.closed_here.load(Ordering::Acquire) == newer_primary)
    }

    /// Whether the connection belongs to the parent of this process (`fork`), which goes on using it.
    pub(crate) fn is_inherited(&self) -> bool {
        self.0.process != fork::process()
    }
}

impl Socket {
    /// Takes a connected TCP socket: no delay for small messages, keepalive on.
    pub(super) fn from_tcp(stream: TcpStream, deadline: Deadline) -> io::Result<Socket> {
        let socket = socket2::Socket::from(stream);
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        #[cfg(not(windows))]
        let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
        Socket::new(socket, deadline)
    }

    fn new(socket: socket2::Socket, deadline: Deadline) -> io::Result<Socket> {
        #[cfg(target_vendor = "apple")]
        socket.set_nosigpipe(true)?;
        let shared = Shared {
            socket,
            closed_here: AtomicU8::new(0),
            yields: AtomicBool::new(false),
            successor: OnceLock::new(),
            process: fork::process(),
        };
        Ok(Socket {
            shared: Arc::new(shared),
            deadline,
            observer: None,
            read_timeout: None,
            write_timeout: None,
            budget: None,
            #[cfg(test)]
            calls: 0,
        })
    }

    pub(super) fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// From now on this is told of long waits.
    pub(super) fn set_wait_observer(&mut self, observer: Arc<dyn WaitObserver>) {
        self.observer = Some(observer);
    }

    /// From now on this one, or none, is told of long waits. Returns which one was so far.
    pub(super) fn replace_wait_observer(
        &mut self,
        observer: Option<Arc<dyn WaitObserver>>,
    ) -> Option<Arc<dyn WaitObserver>> {
        std::mem::replace(&mut self.observer, observer)
    }

    pub(super) fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.shared))
    }

    /// Whether there is nothing to read and the peer has not closed.
    pub(super) fn is_idle(&mut self) -> bool {
        if self.wait(false).is_err() {
            return false;
        }
        let seen = self.shared.socket.peek(&mut [MaybeUninit::uninit()]);
        let idle = matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.wait(true).is_ok() && idle
    }

    /// Whether reads and writes wait. While they do not, no deadline counts; so that a peer which never stops sending cannot
    /// hold the caller, no more than [`NONBLOCKING_BUDGET`] bytes can be read until they wait again.
    pub(super) fn wait(&mut self, waits: bool) -> io::Result<()> {
        self.shared.socket.set_nonblocking(!waits)?;
        self.budget = if waits { None } else { Some(NONBLOCKING_BUDGET) };
        Ok(())
    }

    /// The socket itself, for a caller that does its own [`Socket::prepare`] and [`Socket::is_interim`].
    pub(super) fn raw(&self) -> &socket2::Socket {
        &self.shared.socket
    }

    /// Sees to it that the next call ends with the deadline; after a wait that ended early (`exactly`), exactly with it.
    pub(super) fn prepare(&mut self, direction: Direction, exactly: bool) -> io::Result<()> {
        #[cfg(test)]
        {
            self.calls += 1;
        }
        if self.budget.is_some() {
            return Ok(());
        }
        // Closing it from another thread ends a wait at once, but not in each implementation of Windows sockets (seen under Wine 8).
        // Where it does not, the wait ends with its next timeout.
        if exactly && self.shared.is_closed() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let current = match direction {
            Direction::Read => self.read_timeout,
            Direction::Write => self.write_timeout,
        };
        // On Windows no wait is without a limit, so that it can look whether the connection was closed.
        let longest = (cfg!(windows) || self.observer.is_some()).then_some(LONG_WAIT);
        if self.deadline.instant().is_none() && current == longest {
            return Ok(());
        }
        let wanted = match (self.deadline.remaining(), current, longest) {
            (None, None, None) => return Ok(()),
            (None, Some(_), None) => None,
            (None, Some(current), Some(longest)) if current <= longest && !exactly => return Ok(()),
            (None, _, Some(_)) => longest,
            (Some(Duration::ZERO), ..) => return Err(io::ErrorKind::TimedOut.into()),
            // With an observer, a timeout from the time before it was there may be too long.
            (Some(left), Some(current), _) if current <= longest.unwrap_or(left).min(left) && !exactly => return Ok(()),
            (Some(left), ..) => {
                let left = if exactly { left } else { left - left / 8 };
                Some(left.min(longest.unwrap_or(left)).max(SHORTEST_WAIT))
            }
        };
        if wanted == current {
            return Ok(());
        }
        #[cfg(test)]
        {
            self.calls += 1;
        }
        match direction {
            Direction::Read => {
                self.shared.socket.set_read_timeout(wanted)?;
                self.read_timeout = wanted;
            }
            Direction::Write => {
                self.shared.socket.set_write_timeout(wanted)?;
                self.write_timeout = wanted;
            }
        }
        Ok(())
    }

    /// Whether a call that failed so is to be repeated: a signal interrupted it, or it waited for less than the deadline. A long
    /// wait is reported; `since` is for the next time. If the deadline passes while the observer is at work, one more call is made,
    /// because what was waited for may have come meanwhile.
    pub(super) fn is_interim(&mut self, error: &io::Error, direction: Direction, since: &mut Option<Instant>) -> bool {
        if error.kind() == io::ErrorKind::Interrupted {
            return true;
        }
        if self.budget.is_some() || !is_timeout(error) {
            return false;
        }
        if let Some(observer) = self.observer.as_ref().filter(|_| !self.deadline.expired()) {
            let waited = match direction {
                Direction::Read => self.read_timeout,
                Direction::Write => self.write_timeout,
            };
            let now = Instant::now();
            let began = *since.get_or_insert_with(|| now.checked_sub(waited.unwrap_or_default()).unwrap_or(now));
            if now.saturating_duration_since(began) >= LONG_WAIT {
                observer.still_waiting(began);
                if self.deadline.expired() {
                    self.deadline = Deadline::after(LAST_WAIT).named(self.deadline.name());
                }
            }
        }
        true
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.budget.map_or(buffer.len(), |budget| budget.min(buffer.len()));
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::other("the server sent data that was not asked for, without end"));
        }
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        let (mut again, mut since) = (false, None);
        loop {
            self.prepare(Direction::Read, again)?;
            match (&self.shared.socket).read(buffer) {
                Err(error) if self.is_interim(&error, Direction::Read, &mut since) => again = true,
                done => {
                    let read = *done.as_ref().unwrap_or(&0);
                    self.budget = self.budget.map(|budget| budget.saturating_sub(read));
                    return done;
                }
            }
        }
    }
}

/// What a TLS channel writes.
impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut again, mut since) = (false, None);
        loop {
            self.prepare(Direction::Write, again)?;
            match self.shared.socket.send_with_flags(bytes, SEND_FLAGS) {
                Err(error) if self.is_interim(&error, Direction::Write, &mut since) => again = true,
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects a Unix socket.
#[cfg(unix)]
pub(super) fn connect_unix(path: &Path, deadline: Deadline) -> Result<Socket> {
    use super::failure::unix_failed;
    attempt_unix(path, deadline)
        .and_then(|socket| Socket::new(socket, deadline))
        .map_err(|error| unix_failed(error, path, deadline))
}

/// There are no such sockets here.
#[cfg(not(unix))]
pub(super) fn connect_unix(_path: &Path, _deadline: Deadline) -> Result<Socket> {
    use crate::error::{Error, FaultKind, Stage};
    Err(Error::new(FaultKind::NotSupported, Stage::Connect, "Unix sockets are not supported on this platform"))
}

#[cfg(unix)]
fn attempt_unix(path: &Path, deadline: Deadline) -> io::Result<socket2::Socket> {
    use socket2::{Domain, SockAddr, Type};
    let address = SockAddr::unix(path)?;
    loop {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let connected = match deadline.remaining() {
            None => socket.connect(&address),
            Some(Duration::ZERO) => return Err(io::ErrorKind::TimedOut.into()),
            Some(left) => socket.connect_timeout(&address, left),
        };
        match connected {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The listener's queue is full, and this kind of socket cannot wait for room in it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_QUEUE_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    Read,
    Write,
}

/// Whether the operating system's own timeout ended a wait. A connection that the system has given up is another matter,
/// although it also is `TimedOut` (ETIMEDOUT).
fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || (cfg!(windows) && error.kind() == io::ErrorKind::TimedOut && error.raw_os_error() == Some(WSAETIMEDOUT))
}

/// Keeps a write to a connection that the peer has closed from raising SIGPIPE. Apple's systems have an option of the socket
/// for that instead, and Windows has no such signal.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(super) const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub(super) const SEND_FLAGS: i32 = 0;
/// How much is read at most while reads do not wait: two TLS records of full size with all that surrounds them. A server that
/// behaves has sent next to nothing on an idle connection: perhaps session tickets, of some hundred bytes each.
const NONBLOCKING_BUDGET: usize = 2 * (16 * 1024 + 512);
/// How long a connection is idle before the system asks whether the peer is still there; how long it waits between two
/// questions; how often it asks in vain. What the drivers' specification of keepalive asks for; Linux would wait two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
#[cfg(not(windows))]
const KEEPALIVE_PROBES: u32 = 9;
/// The shortest timeout that the system knows; less would be cut to zero, and zero means no limit at all.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How long the call may wait that is made after the deadline has passed while the observer was at work.
const LAST_WAIT: Duration = Duration::from_millis(50);
/// Between two attempts at a Unix socket whose queue is full.
#[cfg(unix)]
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// Windows has one code for a receive timeout and a dead connection.
const WSAETIMEDOUT: i32 = 10060;
