//! A channel to a server: TCP or a Unix socket, plain or in TLS; connected, read and written under a deadline.

mod failure;
mod happy_eyeballs;
mod resolve;
mod socket;

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use failure::network_error;
pub(crate) use socket::{ShutdownHandle, Socket};

use crate::certificate::PresentedCertificate;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::event::TlsInfo;
use crate::options::ServerAddress;
use crate::tls::{self, Target, TlsStream};

/// A connected channel. Dropping it closes it.
#[derive(Debug)]
pub(crate) enum Transport {
    /// In the clear.
    Plain(Socket),
    /// In TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Looks the name up, connects, and makes the TLS channel if there shall be one, all within `deadline`.
    ///
    /// Errors name the stage, the server and the time it took. Those of TCP and of the TLS handshake's input and output
    /// carry the labels `SystemOverloadedError` and `RetryableError`; those of names and certificates do not.
    pub(crate) fn connect(
        address: &ServerAddress,
        tls: Option<&tls::Connector>,
        deadline: Deadline,
    ) -> Result<Transport> {
        let began = Instant::now();
        connect(address, tls, deadline).map_err(|error| error.with_address(address).with_elapsed(began.elapsed()))
    }

    /// From now on nothing waits longer than until then.
    pub(crate) fn set_deadline(&mut self, deadline: Deadline) {
        self.socket_mut().set_deadline(deadline);
    }

    /// Whether the peer has neither closed the channel nor sent something that nobody asked for. Takes no time.
    pub(crate) fn is_alive(&mut self) -> bool {
        match self {
            Transport::Plain(socket) => socket.is_idle(),
            Transport::Tls(stream) => {
                let waits = stream.get_mut().wait(false).is_ok();
                let idle = waits && stream.is_idle();
                stream.get_mut().wait(true).is_ok() && idle
            }
        }
    }

    /// A handle that ends the channel from another thread.
    pub(crate) fn closer(&self) -> ShutdownHandle {
        match self {
            Transport::Plain(socket) => socket.closer(),
            Transport::Tls(stream) => stream.get_ref().closer(),
        }
    }

    /// Writes both, one after the other, in one system call where the channel can.
    pub(crate) fn write_both(&mut self, head: &[u8], tail: &[u8]) -> io::Result<()> {
        match self {
            Transport::Plain(socket) if !tail.is_empty() => write_all_of_both(socket, head, tail),
            _ => {
                self.write_all(head)?;
                self.write_all(tail)
            }
        }
    }

    /// What the TLS channel is made of, if it is one.
    pub(crate) fn facts(&self) -> Option<&Arc<TlsInfo>> {
        match self {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => Some(stream.facts()),
        }
    }

    /// The certificate of ours that the server got to see, where TLS can tell.
    pub(crate) fn presented(&self) -> Option<&PresentedCertificate> {
        match self {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => stream.presented(),
        }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.get_mut(),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(buffer),
            Transport::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            Transport::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.flush(),
            Transport::Tls(stream) => stream.flush(),
        }
    }
}

/// A TLS channel ends with a goodbye, if that takes no time; but not where it is the parent process that goes on with it.
impl Drop for Transport {
    fn drop(&mut self) {
        if let Transport::Tls(stream) = self
            && !stream.get_ref().is_inherited()
            && stream.get_mut().wait(false).is_ok()
        {
            stream.say_goodbye();
        }
    }
}

fn connect(address: &ServerAddress, tls: Option<&tls::Connector>, deadline: Deadline) -> Result<Transport> {
    let (host, port) = match address {
        ServerAddress::Tcp { host, port } => (host, *port),
        ServerAddress::Unix { path } if tls.is_none() => {
            return socket::connect_unix(path, deadline).map(Transport::Plain);
        }
        ServerAddress::Unix { .. } => {
            return Err(Error::new(
                ErrorKind::NotSupported,
                Stage::Tls,
                "TLS over a Unix socket is not supported: there is no name to verify",
            )
            .with_hint("leave tls out for a Unix socket; the socket's file permissions guard it"));
        }
    };
    let addresses = resolve::resolve(host, port, deadline)?;
    let socket = connect_tcp(&addresses, deadline)?;
    let Some(tls) = tls else { return Ok(Transport::Plain(socket)) };
    let target = Target { host, port, deadline };
    let done = match tls.connect(&target, socket) {
        Err(tls::Failure::Resumption(_)) => tls.connect(&target, connect_tcp(&addresses, deadline)?),
        done => done,
    };
    match done {
        Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
        Err(failure) => Err(tls_failed(failure, &target)),
    }
}

fn connect_tcp(addresses: &[SocketAddr], deadline: Deadline) -> Result<Socket> {
    let tcp =
        happy_eyeballs::connect(addresses, deadline).map_err(|failed| failure::connect_failed(failed, deadline))?;
    Socket::from_tcp(tcp, deadline).map_err(|error| network_error(error, Stage::Connect, deadline))
}

fn tls_failed(failed: tls::Failure, target: &Target<'_>) -> Error {
    match failed {
        tls::Failure::Tls(error) => error,
        tls::Failure::Io(error) => failure::tls_cut_off(error, target),
        tls::Failure::Resumption(failed) => tls_failed(*failed, target),
    }
}

fn write_all_of_both(socket: &mut Socket, head: &[u8], tail: &[u8]) -> io::Result<()> {
    let written = socket.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)])?;
    if written == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    if let Some(rest) = head.get(written..).filter(|rest| !rest.is_empty()) {
        socket.write_all(rest)?;
        return socket.write_all(tail);
    }
    socket.write_all(tail.get(written - head.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
