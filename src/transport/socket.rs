//! A TCP or Unix socket that keeps to a deadline.
//!
//! The operating system's timeout is set only when it would outlive the deadline, so that a connection in steady use
//! costs no system call beside its reads and writes: with no deadline none is ever made; with one, the timeout is set a
//! little shorter than needed, which serves the following calls too, and a wait that ends early is taken up again.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::deadline::Deadline;
use crate::error::Result;
use crate::fork;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    shared: Arc<Shared>,
    deadline: Deadline,
    /// What the operating system has been told.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    waits: bool,
    /// How many system calls were made, for the test that counts them.
    #[cfg(test)]
    pub(crate) calls: usize,
}

/// Ends a socket's conversation from another thread. A clone is a reference count, not a system call.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    handle: Handle,
    closed_here: AtomicBool,
    /// The process that connected it.
    process: u64,
}

#[derive(Debug)]
enum Handle {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl ShutdownHandle {
    /// Ends both directions; whoever waits on the socket is woken. In a child process only the child's own hold on it ends.
    pub(crate) fn close(&self) {
        self.0.closed_here.store(true, Ordering::Release);
        if self.0.is_inherited() {
            return;
        }
        let _ = self.0.handle.as_socket().shutdown(Shutdown::Both);
    }

    /// Whether it was closed from this side.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed_here.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Whether this process has it from its parent (`fork`), which still uses it.
    fn is_inherited(&self) -> bool {
        self.process != fork::process()
    }
}

impl Socket {
    /// Takes a connected TCP socket: no delay for small messages, keepalive on.
    pub(super) fn from_tcp(stream: TcpStream, deadline: Deadline) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        #[cfg(not(windows))]
        let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Socket::new(Handle::Tcp(stream), deadline))
    }

    fn new(handle: Handle, deadline: Deadline) -> Socket {
        let shared = Arc::new(Shared { handle, closed_here: AtomicBool::new(false), process: fork::process() });
        Socket {
            shared,
            deadline,
            read_timeout: None,
            write_timeout: None,
            waits: true,
            #[cfg(test)]
            calls: 0,
        }
    }

    pub(super) fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    pub(super) fn closer(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.shared))
    }

    /// Whether this process has it from its parent (`fork`), which still uses it.
    pub(super) fn is_inherited(&self) -> bool {
        self.shared.is_inherited()
    }

    /// Whether there is nothing to read and the peer has not closed.
    pub(super) fn is_idle(&mut self) -> bool {
        if self.wait(false).is_err() {
            return false;
        }
        let seen = self.shared.handle.as_socket().peek(&mut [MaybeUninit::uninit()]);
        let idle = matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.wait(true).is_ok() && idle
    }

    /// Whether reads and writes wait at all.
    pub(super) fn wait(&mut self, waits: bool) -> io::Result<()> {
        self.shared.handle.as_socket().set_nonblocking(!waits)?;
        self.waits = waits;
        Ok(())
    }

    /// Does one read or write again and again until it did something, failed, or the deadline has passed.
    fn attempt(&mut self, which: Direction, mut call: impl FnMut(&Handle) -> io::Result<usize>) -> io::Result<usize> {
        let mut again = false;
        loop {
            if self.waits {
                self.keep_to_deadline(which, again)?;
            }
            #[cfg(test)]
            {
                self.calls += 1;
            }
            match call(&self.shared.handle) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => again = true,
                Err(error) if self.waits && is_timeout(&error) => again = true,
                done => return done,
            }
        }
    }

    /// Sees to it that the next call ends with the deadline; after a wait that ended early, exactly with it.
    fn keep_to_deadline(&mut self, which: Direction, exactly: bool) -> io::Result<()> {
        let told = match which {
            Direction::Read => self.read_timeout,
            Direction::Write => self.write_timeout,
        };
        let wanted = match (self.deadline.remaining(), told) {
            (None, None) => return Ok(()),
            (None, Some(_)) => None,
            (Some(Duration::ZERO), _) => return Err(io::ErrorKind::TimedOut.into()),
            (Some(left), Some(told)) if told <= left && !exactly => return Ok(()),
            (Some(left), _) if exactly => Some(left.max(SHORTEST_WAIT)),
            (Some(left), _) => Some((left - left / 8).max(SHORTEST_WAIT)),
        };
        #[cfg(test)]
        {
            self.calls += 1;
        }
        let socket = self.shared.handle.as_socket();
        match which {
            Direction::Read => {
                socket.set_read_timeout(wanted)?;
                self.read_timeout = wanted;
            }
            Direction::Write => {
                socket.set_write_timeout(wanted)?;
                self.write_timeout = wanted;
            }
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.attempt(Direction::Read, |handle| handle.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(Direction::Write, |handle| handle.write(bytes))
    }

    fn write_vectored(&mut self, both: &[IoSlice<'_>]) -> io::Result<usize> {
        self.attempt(Direction::Write, |handle| handle.write_vectored(both))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects a Unix socket.
#[cfg(unix)]
pub(super) fn connect_unix(path: &Path, deadline: Deadline) -> Result<Socket> {
    use crate::transport::failure::unix_failed;
    let socket = attempt_unix(path, deadline).map_err(|error| unix_failed(error, path, deadline))?;
    Ok(Socket::new(Handle::Unix(socket), deadline))
}

/// There are no such sockets here.
#[cfg(not(unix))]
pub(super) fn connect_unix(_path: &Path, _deadline: Deadline) -> Result<Socket> {
    use crate::error::{Error, ErrorKind, Stage};
    Err(Error::new(ErrorKind::NotSupported, Stage::Connect, "Unix sockets are not supported on this platform"))
}

#[cfg(unix)]
fn attempt_unix(path: &Path, deadline: Deadline) -> io::Result<UnixStream> {
    use socket2::{Domain, SockAddr, Socket as Unconnected, Type};
    let address = SockAddr::unix(path)?;
    loop {
        let socket = Unconnected::new(Domain::UNIX, Type::STREAM, None)?;
        let connected = match deadline.remaining() {
            None => socket.connect(&address),
            Some(Duration::ZERO) => return Err(io::ErrorKind::TimedOut.into()),
            Some(left) => socket.connect_timeout(&address, left),
        };
        match connected {
            Ok(()) => return Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The listener's queue is full, and this kind of socket cannot wait for room in it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_QUEUE_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

impl Handle {
    fn as_socket(&self) -> SockRef<'_> {
        match self {
            Handle::Tcp(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Handle::Unix(stream) => SockRef::from(stream),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Handle::Tcp(stream) => (&mut &*stream).read(buffer),
            #[cfg(unix)]
            Handle::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Handle::Tcp(stream) => (&mut &*stream).write(bytes),
            #[cfg(unix)]
            Handle::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn write_vectored(&self, both: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Handle::Tcp(stream) => (&mut &*stream).write_vectored(both),
            #[cfg(unix)]
            Handle::Unix(stream) => (&mut &*stream).write_vectored(both),
        }
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// The system's word for a wait that took too long; not a connection that the system has given up (which also is
/// `TimedOut`, by ETIMEDOUT).
fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || (cfg!(windows) && error.kind() == io::ErrorKind::TimedOut && error.raw_os_error() == Some(WSAETIMEDOUT))
}

/// How long a connection is idle before the system asks whether the peer is still there; how long it waits between two
/// questions; how often it asks in vain. What the drivers' specification of keepalive asks for; Linux would wait two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
#[cfg(not(windows))]
const KEEPALIVE_PROBES: u32 = 9;
/// What the system can tell apart; less is cut to zero, and zero means no limit at all.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Between two attempts at a Unix socket whose queue is full.
#[cfg(unix)]
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// Windows has one code for a receive timeout and a dead connection.
const WSAETIMEDOUT: i32 = 10060;
