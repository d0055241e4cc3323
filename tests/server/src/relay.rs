//! Reading from one socket what is to go on to another, for the proxies.

use std::io::{self, Read};
use std::net::TcpStream;

/// Reads what has come; 0 is the end. `None`: nothing came within the socket's time limit.
pub(crate) fn read_some(mut from: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(buffer) {
        Err(e) if is_timeout(&e) => Ok(None),
        read => read.map(Some),
    }
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
