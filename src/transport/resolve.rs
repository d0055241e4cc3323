//! From a host's name to its addresses, within a deadline.
//!
//! The system's resolver takes no time limit, so a look-up runs on a helper thread.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::helper_thread::{HelperError, HelperThreads};
use crate::resolver::SharedResolver;

/// All addresses of a host, in the order to try them: as the system sorts them (RFC 6724), families alternating (RFC 8305).
pub(super) fn resolve(
    host: &str,
    port: u16,
    resolver: Option<&SharedResolver>,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = look_up(host, port, resolver, deadline)?;
    if found.is_empty() {
        return Err(Error::new(FaultKind::DnsResolve, Stage::Dns, format!("the name {host} has no address")));
    }
    let mut addresses = alternating(found);
    addresses.truncate(MAX_ADDRESSES);
    Ok(addresses)
}

fn look_up(host: &str, port: u16, resolver: Option<&SharedResolver>, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    let (name, asked) = (host.to_owned(), resolver.cloned());
    let found = match LOOK_UPS.run_with_deadline(deadline, move || ask(&name, port, asked.as_ref(), deadline)) {
        Ok(found) => found,
        // Without a helper thread the look-up may come late, which is better than not at all.
        Err(HelperError::NotStarted(_)) => ask(host, port, resolver, deadline),
        Err(HelperError::TimedOut) => return Err(too_late(host, deadline)),
        Err(HelperError::TooMany(running)) => return Err(too_many(host, running)),
        Err(HelperError::Panicked) => {
            return Err(Error::new(FaultKind::DnsResolve, Stage::Dns, "the look-up thread ended early"));
        }
    };
    found.map_err(|error| not_found(host, error))
}

/// Asks the program's resolver where there is one that answers such questions, and otherwise the system.
fn ask(host: &str, port: u16, resolver: Option<&SharedResolver>, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    let within = deadline.remaining().unwrap_or(Duration::MAX);
    match resolver.and_then(|resolver| resolver.get().addresses(host, within)) {
        Some(Ok(found)) => Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
        Some(Err(error)) => Err(io::Error::other(error)),
        None => (host, port).to_socket_addrs().map(Iterator::collect),
    }
}

fn not_found(host: &str, error: io::Error) -> Error {
    let temporary = error.to_string().contains("emporary failure");
    let hint = if temporary {
        "no name server answered: is the network up?"
    } else {
        "is the host name spelled right, and does this machine's name server know it?"
    };
    Error::new(FaultKind::DnsResolve, Stage::Dns, format!("the name {host} could not be resolved"))
        .with_source(error)
        .with_hint(hint)
}

fn too_late(host: &str, deadline: Deadline) -> Error {
    let message = format!("{} ran out while the name {host} was looked up", deadline.name());
    deadline.ran_out(Stage::Dns, message).with_hint("do this machine's name servers answer?")
}

fn too_many(host: &str, running: usize) -> Error {
    let message = format!("{running} look-ups still wait for the system's resolver, so {host} was not looked up");
    Error::new(FaultKind::DnsResolve, Stage::Dns, message).with_hint("do this machine's name servers answer?")
}

/// Without repetitions, the two families alternating, beginning with that of the first.
fn alternating(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = found.first().copied() else { return found };
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for address in found {
        let family = if address.is_ipv4() == first.is_ipv4() { &mut same } else { &mut other };
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let mut mixed = Vec::with_capacity(same.len() + other.len());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let (a, b) = (same.next(), other.next());
        if a.is_none() && b.is_none() {
            return mixed;
        }
        mixed.extend(a);
        mixed.extend(b);
    }
}

static LOOK_UPS: HelperThreads = HelperThreads::new("mongo-look-up");
/// A name with more addresses than this gets no further attempts.
const MAX_ADDRESSES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"]);
        assert_eq!(alternating(found), addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        let found = addresses(&["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"]);
        assert_eq!(alternating(found), addresses(&["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"]));
        assert_eq!(alternating(Vec::new()), Vec::new());
    }

    #[test]
    fn an_address_needs_no_look_up() {
        assert_eq!(resolve("::1", 5, None, Deadline::NEVER).unwrap(), addresses(&["[::1]:5"]));
        let found = resolve("localhost", 5, None, Deadline::NEVER).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 5));
    }

    #[test]
    fn an_unknown_name_says_so() {
        let error = resolve("no-such-host.invalid", 5, None, Deadline::NEVER).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DnsResolve { .. }), "{error}");
        assert!(error.message().contains("no-such-host.invalid") && error.hint().is_some(), "{error}");
        assert_eq!(error.labels().len(), 0);
    }

    #[test]
    fn a_look_up_ends_with_its_deadline() {
        let spent = Deadline::after(std::time::Duration::from_nanos(1)).named("connectTimeoutMS");
        let error = look_up("no-such-host.invalid", 5, None, spent).unwrap_err();
        assert!(error.is_timeout() || matches!(error.kind(), ErrorKind::DnsResolve { .. }), "{error}");
        assert_eq!(error.stage(), Stage::Dns);
    }
}
