//! A connection's bytes: plain or TLS, counted, and sent as badly as a test wants.

use std::io::{self, BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use openssl::nid::Nid;
use openssl::ssl::{NameType, SslAcceptor, SslRef, SslStream};

use crate::script::lock;

/// Bytes and calls over all connections of a fake server.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) reads: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// TLS handshakes in which the client took up an earlier session.
    pub(crate) resumed: AtomicU64,
    /// The server name that each TLS client sent (SNI).
    pub(crate) server_names: Mutex<Vec<Option<String>>>,
    /// The common names of the client certificates, in the order they came.
    pub(crate) clients: Mutex<Vec<String>>,
}

/// One connection.
pub(crate) struct Channel {
    reader: BufReader<Counting>,
    sent: usize,
}

impl Channel {
    /// Takes the connection over; with an acceptor, after a TLS handshake.
    pub(crate) fn open(tcp: TcpStream, tls: Option<&SslAcceptor>, counters: Arc<Counters>) -> io::Result<Channel> {
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some(acceptor) => {
                let stream = acceptor.accept(tcp).map_err(io::Error::other)?;
                counters.resumed.fetch_add(u64::from(stream.ssl().session_reused()), Ordering::SeqCst);
                lock(&counters.server_names).push(stream.ssl().servername(NameType::HOST_NAME).map(str::to_owned));
                lock(&counters.clients).extend(client_name(stream.ssl()));
                Stream::Tls(Box::new(stream))
            }
        };
        let reader = BufReader::with_capacity(BUFFER, Counting { stream, counters });
        Ok(Channel { reader, sent: 0 })
    }

    /// Sends `bytes`. With `limit`, no more than that many in the connection's whole life; false when they ran out.
    pub(crate) fn send(&mut self, bytes: &[u8], limit: Option<usize>, drip: bool) -> io::Result<bool> {
        let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.sent));
        let part = bytes.get(..room).unwrap_or(bytes);
        let counting = self.reader.get_mut();
        if drip {
            for byte in part {
                counting.stream.write_all(&[*byte])?;
                counting.stream.flush()?;
            }
        } else {
            counting.stream.write_all(part)?;
            counting.stream.flush()?;
        }
        counting.counters.bytes_out.fetch_add(part.len() as u64, Ordering::SeqCst);
        self.sent += part.len();
        Ok(limit.is_none_or(|limit| self.sent < limit))
    }

    /// Sends a prebuilt answer to `request`, whose id goes into it on the way.
    pub(crate) fn send_canned(&mut self, answer: &[u8], request: &[u8]) -> io::Result<()> {
        let mut head = [0; HEADER];
        let (fake_server, rest) = answer.split_at_checked(HEADER).ok_or(io::ErrorKind::InvalidData)?;
        head.copy_from_slice(fake_server);
        head[8..12].copy_from_slice(request.get(4..8).ok_or(io::ErrorKind::InvalidData)?);
        let stream = &mut self.reader.get_mut().stream;
        let mut slices = [IoSlice::new(&head), IoSlice::new(rest)];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match stream.write_vectored(left)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => IoSlice::advance_slices(&mut left, n),
            }
        }
        stream.flush()
    }

    /// Waits until the client closes, and reads whatever comes until then.
    pub(crate) fn wait_for_end(&mut self) {
        let _ = io::copy(&mut self.reader, &mut io::sink());
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

fn client_name(ssl: &SslRef) -> Option<String> {
    let certificate = ssl.peer_certificate()?;
    let name = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?.data().to_string().ok()?;
    Some(name)
}

struct Counting {
    stream: Stream,
    counters: Arc<Counters>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        if n > 0 {
            self.counters.reads.fetch_add(1, Ordering::SeqCst);
            self.counters.bytes_in.fetch_add(n as u64, Ordering::SeqCst);
        }
        Ok(n)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.read(buffer),
            Stream::Tls(s) => s.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.write_vectored(slices),
            Stream::Tls(s) => s.write_vectored(slices),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.write(bytes),
            Stream::Tls(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.flush(),
            Stream::Tls(s) => s.flush(),
        }
    }
}

/// Enough for any ordinary command, so that one write of the client is one read here.
const BUFFER: usize = 64 * 1024;
const HEADER: usize = 16;
