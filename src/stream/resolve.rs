//! From a host's name to its addresses, within a deadline.
//!
//! The system's resolver takes no time limit. So the look-up runs on a short-lived thread of its own, which is abandoned
//! when the deadline passes and ends when the system gives up.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::{io, thread};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};

/// All addresses of a host, in the order to try them: as the system sorts them (RFC 6724), families by turns (RFC 8305).
pub(super) fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = look_up(host, port, deadline)?;
    if found.is_empty() {
        return Err(Error::new(ErrorKind::Dns, Stage::Dns, format!("the name {host} has no address")));
    }
    let mut addresses = by_turns(found);
    addresses.truncate(MAX_ADDRESSES);
    Ok(addresses)
}

fn look_up(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    let running = Running::start(host)?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = host.to_owned();
    let helper = thread::Builder::new().name("mongo-look-up".to_owned()).spawn(move || {
        let _running = running;
        let _ = sender.send(ask_system(&name, port));
    });
    if helper.is_err() {
        // No thread to be had: better late than not at all.
        return ask_system(host, port).map_err(|error| not_found(host, error));
    }
    let answer = match deadline.remaining() {
        None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(left) => receiver.recv_timeout(left),
    };
    match answer {
        Ok(found) => found.map_err(|error| not_found(host, error)),
        Err(RecvTimeoutError::Timeout) => Err(too_late(host, deadline)),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::new(ErrorKind::Dns, Stage::Dns, "the look-up thread ended early"))
        }
    }
}

fn ask_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

fn not_found(host: &str, error: io::Error) -> Error {
    let temporary = error.to_string().contains("emporary failure");
    let hint = match temporary {
        true => "no name server answered: is the network up?",
        false => "is the host name spelled right, and does this machine's name server know it?",
    };
    Error::new(ErrorKind::Dns, Stage::Dns, format!("the name {host} could not be resolved"))
        .with_source(error)
        .with_hint(hint)
}

fn too_late(host: &str, deadline: Deadline) -> Error {
    let message = format!("{} ran out while the name {host} was looked up", deadline.name());
    Error::new(ErrorKind::Timeout, Stage::Dns, message).with_hint("do this machine's name servers answer?")
}

/// Without repetitions, the two families by turns, beginning with that of the first.
fn by_turns(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = found.first().copied() else { return found };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for address in found {
        let family = if address.is_ipv4() == first.is_ipv4() { &mut ours } else { &mut theirs };
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let mut mixed = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    loop {
        let (a, b) = (ours.next(), theirs.next());
        if a.is_none() && b.is_none() {
            return mixed;
        }
        mixed.extend(a);
        mixed.extend(b);
    }
}

/// One of the look-ups that are under way; abandoned ones count until they end.
struct Running;

impl Running {
    fn start(host: &str) -> Result<Running> {
        let before = RUNNING.fetch_add(1, Ordering::Relaxed);
        let running = Running;
        if before < MAX_RUNNING {
            return Ok(running);
        }
        let message = format!("{before} look-ups still wait for the system's resolver, so {host} was not looked up");
        Err(Error::new(ErrorKind::Dns, Stage::Dns, message).with_hint("do this machine's name servers answer?"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// More look-ups than this at once in one process mean that none of them is answered.
const MAX_RUNNING: usize = 256;
/// A name with more addresses than this gets no further attempts.
const MAX_ADDRESSES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"]);
        assert_eq!(by_turns(found), addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        let found = addresses(&["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"]);
        assert_eq!(by_turns(found), addresses(&["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"]));
        assert_eq!(by_turns(Vec::new()), Vec::new());
    }

    #[test]
    fn an_address_needs_no_look_up() {
        assert_eq!(resolve("::1", 5, Deadline::NEVER).unwrap(), addresses(&["[::1]:5"]));
        let found = resolve("localhost", 5, Deadline::NEVER).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 5));
    }

    #[test]
    fn an_unknown_name_says_so() {
        let error = resolve("no-such-host.invalid", 5, Deadline::NEVER).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Dns), "{error}");
        assert!(error.message().contains("no-such-host.invalid") && error.hint().is_some(), "{error}");
        assert_eq!(error.labels().count(), 0);
    }

    #[test]
    fn a_look_up_ends_with_its_deadline() {
        let spent = Deadline::after(std::time::Duration::from_nanos(1)).named("connectTimeoutMS");
        let error = look_up("no-such-host.invalid", 5, spent).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Dns), "{error}");
        assert_eq!(error.stage(), Stage::Dns);
    }
}
