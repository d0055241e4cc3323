//! The transport to a server: TCP, a Unix socket, or TLS over TCP; connected, read and written under a deadline.

mod failure;
mod happy_eyeballs;
mod resolve;
mod route;
mod socket;
mod socks5;
mod supervisor;
mod wait_observer;

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use failure::network_error;
pub(crate) use route::Route;
pub(crate) use socket::{ShutdownHandle, ShutdownReason, Socket};
pub(crate) use socks5::is_refused_login;
#[cfg(any(test, fuzzing))]
pub(crate) use socks5::negotiate_with as socks5_negotiate;
pub(crate) use supervisor::Supervisor;
pub(crate) use wait_observer::WaitObserver;

use crate::certificate::PresentedCertificate;
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::TlsInfo;
use crate::options::ServerAddress;
use crate::tls::{self, Target, TlsStream};

use socket::{Direction, SEND_FLAGS};

/// A connected transport, with the deadline that its reads and writes keep to. Dropping it closes it.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP in the clear.
    Tcp(Socket),
    /// A Unix socket.
    Unix(Socket),
    /// TLS over TCP.
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Looks the name up, connects, and does the TLS handshake if there is a connector, all within `deadline`. With a proxy,
    /// that looks the name up and connects. A Unix socket needs none.
    ///
    /// Errors name the stage, the server and the time it took. Those of TCP and of the TLS handshake's input and output
    /// carry the labels `SystemOverloadedError` and `RetryableError`; those of names, proxies and certificates do not.
    ///
    /// `supervisor` may end it meanwhile.
    pub(crate) fn connect(
        address: &ServerAddress,
        route: &Route,
        tls: Option<&tls::Connector>,
        deadline: Deadline,
        supervisor: Option<&Supervisor<'_>>,
    ) -> Result<Transport> {
        let began = Instant::now();
        connect(address, route, tls, deadline, supervisor)
            .map_err(|error| error.with_address(address).with_elapsed(began.elapsed()))
    }

    /// From now on this is told of long waits.
    pub(crate) fn set_wait_observer(&mut self, observer: Arc<dyn WaitObserver>) {
        self.socket_mut().set_wait_observer(observer);
    }

    /// From now on this one, or none, is told of long waits. Returns which one was so far.
    pub(crate) fn replace_wait_observer(
        &mut self,
        observer: Option<Arc<dyn WaitObserver>>,
    ) -> Option<Arc<dyn WaitObserver>> {
        self.socket_mut().replace_wait_observer(observer)
    }

    /// From now on no read or write waits longer than until then.
    pub(crate) fn set_deadline(&mut self, deadline: Deadline) {
        self.socket_mut().set_deadline(deadline);
    }

    /// Whether the peer has neither closed the connection nor sent something that was not asked for. Does not wait, and
    /// reads no more than a named number of bytes, whatever the peer sends.
    pub(crate) fn is_alive(&mut self) -> bool {
        match self {
            Transport::Tcp(socket) | Transport::Unix(socket) => socket.is_idle(),
            Transport::Tls(stream) => {
                let idle = stream.get_mut().wait(false).is_ok() && stream.is_idle();
                stream.get_mut().wait(true).is_ok() && idle
            }
        }
    }

    /// A handle that ends the connection from another thread.
    pub(crate) fn shutdown_handle(&self) -> ShutdownHandle {
        match self {
            Transport::Tcp(socket) | Transport::Unix(socket) => socket.shutdown_handle(),
            Transport::Tls(stream) => stream.get_ref().shutdown_handle(),
        }
    }

    /// Writes all of both parts, one after the other; without TLS in one system call where the peer takes that much.
    pub(crate) fn write_all(&mut self, head: &[u8], tail: &[u8]) -> io::Result<()> {
        let (socket, mut head, mut tail) = match self {
            Transport::Tcp(socket) | Transport::Unix(socket) => (socket, head, tail),
            Transport::Tls(stream) => {
                stream.write_all(head)?;
                return stream.write_all(tail);
            }
        };
        let (mut again, mut since) = (false, None);
        while !(head.is_empty() && tail.is_empty()) {
            socket.prepare(Direction::Write, again)?;
            #[cfg(test)]
            crate::call_stack::reached("write");
            let sent = if tail.is_empty() {
                socket.raw().send_with_flags(head, SEND_FLAGS)
            } else {
                socket.raw().send_vectored_with_flags(&[IoSlice::new(head), IoSlice::new(tail)], SEND_FLAGS)
            };
            match sent {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let of_head = count.min(head.len());
                    head = head.get(of_head..).unwrap_or_default();
                    tail = tail.get(count - of_head..).unwrap_or_default();
                    (again, since) = (false, None);
                }
                Err(error) if socket.is_interim(&error, Direction::Write, &mut since) => again = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the TLS channel is made of, if it is one.
    pub(crate) fn tls_info(&self) -> Option<&Arc<TlsInfo>> {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => None,
            Transport::Tls(stream) => Some(stream.facts()),
        }
    }

    /// The client's certificate that the server was shown, where TLS can tell.
    pub(crate) fn presented(&self) -> Option<&PresentedCertificate> {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => None,
            Transport::Tls(stream) => stream.presented(),
        }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Transport::Tcp(socket) | Transport::Unix(socket) => socket,
            Transport::Tls(stream) => stream.get_mut(),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) | Transport::Unix(socket) => socket.read(buffer),
            Transport::Tls(stream) => stream.read(buffer),
        }
    }
}

/// A TLS channel ends with close_notify, if sending it does not wait; but not where the parent process goes on using it.
impl Drop for Transport {
    fn drop(&mut self) {
        if let Transport::Tls(stream) = self
            && !stream.get_ref().shutdown_handle().is_inherited()
            && stream.get_mut().wait(false).is_ok()
        {
            stream.send_close_notify();
        }
    }
}

fn connect(
    address: &ServerAddress,
    route: &Route,
    tls: Option<&tls::Connector>,
    deadline: Deadline,
    supervisor: Option<&Supervisor<'_>>,
) -> Result<Transport> {
    let (host, port) = match address {
        ServerAddress::Tcp { host, port } => (host, port.unwrap_or(crate::address::DEFAULT_PORT)),
        ServerAddress::Unix { path } if tls.is_none() => {
            let mut socket = socket::connect_unix(path, deadline)?;
            supervisor.into_iter().for_each(|supervisor| supervisor.supervise(&mut socket));
            return Ok(Transport::Unix(socket));
        }
        ServerAddress::Unix { .. } => {
            return Err(Error::new(
                FaultKind::NotSupported,
                Stage::Tls,
                "TLS over a Unix socket is not supported: there is no name to verify",
            )
            .with_hint("leave tls out for a Unix socket; the socket's file permissions guard it"));
        }
    };
    let path = route.find(host, port, deadline)?;
    let socket = path.connect(deadline, supervisor)?;
    let Some(tls) = tls else { return Ok(Transport::Tcp(socket)) };
    let target = Target { host, port, deadline };
    let done = match tls.connect(&target, socket) {
        Err(tls::Failure::Resumption(_)) => tls.connect(&target, path.connect(deadline, supervisor)?),
        done => done,
    };
    match done {
        Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
        Err(failure) => Err(tls_failed(failure, &target)),
    }
}

fn tls_failed(failed: tls::Failure, target: &Target<'_>) -> Error {
    match failed {
        tls::Failure::Tls(error) => error,
        tls::Failure::Io(error) => failure::tls_cut_off(error, target),
        tls::Failure::Resumption(failed) => tls_failed(*failed, target),
    }
}

#[cfg(test)]
mod tests;
