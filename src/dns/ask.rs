//! Asks name servers: over UDP, and over TCP where the answer did not fit; one server after the other, twice.
//!
//! A question over UDP goes out from a port that the system picks anew, and its socket takes answers from the server that was
//! asked only. What is no answer to the question is passed over, so that guessing does not end the wait for the right one.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::message::{Answer, Query, Record, Reply};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};

/// Asks these servers for the records of type `R` of `name`, until one gives an answer. That a name does not exist, or has no
/// such records, is an answer.
pub(super) fn ask<R: Record>(servers: &[SocketAddr], name: &str, deadline: Deadline) -> Result<Answer<R>> {
    let mut failures: Vec<(SocketAddr, Cow<'static, str>)> = Vec::new();
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        if deadline.expired() {
            break;
        }
        match ask_server(*server, name, deadline)? {
            Ok(answer) => return Ok(answer),
            Err(why) => {
                failures.retain(|(failed, _)| failed != server);
                failures.push((*server, why));
            }
        }
    }
    Err(no_answer::<R>(name, &failures, deadline))
}

type Outcome<R> = std::result::Result<Answer<R>, Cow<'static, str>>;

/// Asks one server. The outer error is one that no other server could mend.
fn ask_server<R: Record>(server: SocketAddr, name: &str, deadline: Deadline) -> Result<Outcome<R>> {
    let mut edns = true;
    let mut over_tcp = false;
    // One for the server: the questions that follow from an answer share the time.
    let turn = Deadline::after(TURN).earliest(deadline);
    loop {
        let query = Query { id: random_id()?, name, edns };
        let question = query.write::<R>().ok_or_else(|| unfit(name))?;
        let reply = if over_tcp {
            exchange_over_tcp(server, &question, turn).map(|message| query.read(&message))
        } else {
            over_udp(server, &query, &question, turn)
        };
        match reply {
            Ok(Reply::Answer(answer)) => return Ok(Ok(answer)),
            Ok(Reply::WithoutEdns) if edns => edns = false,
            Ok(Reply::Truncated) if !over_tcp => over_tcp = true,
            Ok(Reply::Unusable(why)) => return Ok(Err(why)),
            Ok(Reply::NotOurs | Reply::Truncated | Reply::WithoutEdns) => {
                return Ok(Err("its answer belongs to another question".into()));
            }
            Err(error) => return Ok(Err(reason(&error))),
        }
    }
}

fn over_udp<R: Record>(server: SocketAddr, query: &Query<'_>, question: &[u8], turn: Deadline) -> io::Result<Reply<R>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut buffer = [0; UDP_BUFFER];
    loop {
        socket.set_read_timeout(Some(left(turn)?))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match query.read(buffer.get(..length).unwrap_or_default()) {
            Reply::NotOurs => {}
            // Longer than what was offered, so the rest of it is gone.
            Reply::Unusable(_) if length == UDP_BUFFER => return Ok(Reply::Truncated),
            reply => return Ok(reply),
        }
    }
}

/// Over TCP two bytes of length stand before each message, so no answer is longer than 64 KiB.
fn exchange_over_tcp(server: SocketAddr, question: &[u8], turn: Deadline) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, left(turn)?)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(left(turn)?))?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    read_exact(&mut stream, &mut length, turn)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    read_exact(&mut stream, &mut message, turn)?;
    Ok(message)
}

fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8], turn: Deadline) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(turn)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time that is left for a wait; an error once there is none.
fn left(turn: Deadline) -> io::Result<Duration> {
    match turn.remaining() {
        Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
        Some(left) => Ok(left.max(SHORTEST_WAIT)),
        None => Ok(TURN),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    error.raw_os_error().is_some() && matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn reason(error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        io::ErrorKind::TimedOut => "no answer in time".into(),
        io::ErrorKind::ConnectionRefused => "nothing listens there".into(),
        io::ErrorKind::UnexpectedEof => "it ended the connection before its answer".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way to reach it".into(),
        _ => error.to_string().into(),
    }
}

fn no_answer<R: Record>(name: &str, failures: &[(SocketAddr, Cow<'static, str>)], deadline: Deadline) -> Error {
    let told: Vec<String> = failures.iter().map(|(server, why)| format!("{server}: {why}")).take(MAX_TOLD).collect();
    let (kind, message) = if deadline.expired() {
        (
            FaultKind::TimedOut,
            format!("{} ran out while the {} records of {name} were looked up", deadline.name(), R::NAME),
        )
    } else {
        (FaultKind::DnsResolve, format!("no name server answered the question for the {} records of {name}", R::NAME))
    };
    Error::new(kind, Stage::Dns, format!("{message} ({})", told.join("; ")))
        .with_hint("do the name servers of this machine (/etc/resolv.conf), or those given by name_servers, answer?")
}

fn unfit(name: &str) -> Error {
    Error::new(FaultKind::InvalidArgument, Stage::Dns, format!("{name} cannot be looked up: it is no DNS name")).with_hint(
        "a name has labels of 1 to 63 letters, digits, '-' and '_' with dots between, at most 253 characters in all; \
         names in other scripts are written in their ASCII form (xn--…)",
    )
}

fn random_id() -> Result<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(FaultKind::Io, Stage::Dns, "the system gave no random number").with_source(error)
    })?;
    Ok(u16::from_be_bytes(bytes))
}

/// How long one server may take in one round, however often the question is put to it.
const TURN: Duration = Duration::from_secs(2);
/// How often each server is asked.
const ROUNDS: usize = 2;
/// Room for more than what was offered, since some servers send more.
const UDP_BUFFER: usize = 4_096;
/// What the system can tell apart; zero would mean no limit.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How many servers an error tells of.
const MAX_TOLD: usize = 8;

#[cfg(test)]
mod tests;
