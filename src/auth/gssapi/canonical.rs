//! CANONICALIZE_HOST_NAME: the host's name in the service's principal, by look-ups of our own.

use std::net::IpAddr;

use crate::credential::CanonicalizeHostName;

/// The look-ups.
pub(super) trait NameResolver {
    /// The host's canonical name (following aliases), and its first address.
    fn forward(&self, host: &str) -> Result<(Option<String>, Option<IpAddr>), String>;
    /// The name that an address has.
    fn reverse(&self, address: IpAddr) -> Result<String, String>;
}

/// The name to use for `host`, and what failed, if anything did. If a look-up fails, the name before it is used.
pub(super) fn canonical(
    host: &str,
    how: CanonicalizeHostName,
    resolver: &dyn NameResolver,
) -> (String, Option<String>) {
    if how == CanonicalizeHostName::None {
        return (host.to_owned(), None);
    }
    let (name, address) = match resolver.forward(host) {
        Ok(found) => found,
        Err(problem) => return (host.to_owned(), Some(problem)),
    };
    let forward = name.as_deref().and_then(usable);
    if how == CanonicalizeHostName::ForwardAndReverse {
        let reverse =
            address.ok_or_else(|| format!("{host} has no address")).and_then(|address| resolver.reverse(address));
        let problem = match &reverse {
            Ok(name) => match usable(name) {
                Some(name) => return (name, None),
                None => "its address has no name".to_owned(),
            },
            Err(problem) => problem.clone(),
        };
        return (forward.unwrap_or_else(|| host.to_owned()), Some(problem));
    }
    match forward {
        Some(name) => (name, None),
        None => (host.to_owned(), Some("the look-up gave no canonical name".to_owned())),
    }
}

/// In lower case, without the dot that may end a full name; `None` if nothing is left.
fn usable(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (!name.is_empty() && name.len() <= MAX_NAME && !name.contains('\0')).then_some(name)
}

/// The system's look-ups.
#[cfg(feature = "gssapi")]
pub(super) struct SystemResolver;

#[cfg(feature = "gssapi")]
impl NameResolver for SystemResolver {
    fn forward(&self, host: &str) -> Result<(Option<String>, Option<IpAddr>), String> {
        let hints =
            dns_lookup::AddrInfoHints { flags: AI_CANONNAME, address: 0, socktype: SOCK_STREAM, protocol: IPPROTO_TCP };
        let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints))
            .map_err(|error| format!("{host} was not found: {}", std::io::Error::from(error)))?;
        match found.flatten().next() {
            Some(first) => Ok((first.canonname, Some(first.sockaddr.ip()))),
            None => Ok((None, None)),
        }
    }

    fn reverse(&self, address: IpAddr) -> Result<String, String> {
        dns_lookup::getnameinfo(&(address, 0).into(), NI_NAMEREQD)
            .map(|(name, _)| name)
            .map_err(|error| format!("{address} has no name: {}", std::io::Error::from(error)))
    }
}

/// No host's name is longer (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

#[cfg(all(feature = "gssapi", unix))]
use libc::{AI_CANONNAME, IPPROTO_TCP, NI_NAMEREQD, SOCK_STREAM};

// As winsock2.h and ws2tcpip.h have them.
#[cfg(all(feature = "gssapi", windows))]
const AI_CANONNAME: i32 = 2;
#[cfg(all(feature = "gssapi", windows))]
const IPPROTO_TCP: i32 = 6;
#[cfg(all(feature = "gssapi", windows))]
const NI_NAMEREQD: i32 = 4;
#[cfg(all(feature = "gssapi", windows))]
const SOCK_STREAM: i32 = 1;

#[cfg(test)]
mod tests {
    use super::CanonicalizeHostName::{Forward, ForwardAndReverse, None as No};
    use super::*;

    #[derive(Clone)]
    struct Book {
        forward: Result<(Option<String>, Option<IpAddr>), String>,
        reverse: Result<String, String>,
    }

    impl NameResolver for Book {
        fn forward(&self, host: &str) -> Result<(Option<String>, Option<IpAddr>), String> {
            assert_eq!(host, "alias");
            self.forward.clone()
        }
        fn reverse(&self, address: IpAddr) -> Result<String, String> {
            assert_eq!(address, ADDRESS);
            self.reverse.clone()
        }
    }

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn book(forward: &str, reverse: &str) -> Book {
        Book { forward: Ok((Some(forward.to_owned()), Some(ADDRESS))), reverse: Ok(reverse.to_owned()) }
    }

    fn name(how: CanonicalizeHostName, book: &Book) -> (String, bool) {
        let (name, problem) = canonical("alias", how, book);
        (name, problem.is_some())
    }

    #[test]
    fn names_are_lowered_and_lose_their_last_dot() {
        let book = book("Forward.LOCAL.", "Reverse.LOCAL.");
        assert_eq!(name(No, &book), ("alias".to_owned(), false));
        assert_eq!(name(Forward, &book), ("forward.local".to_owned(), false));
        assert_eq!(name(ForwardAndReverse, &book), ("reverse.local".to_owned(), false));
    }

    #[test]
    fn what_fails_leaves_the_name_before_it() {
        let lost = Book { forward: Err("gone".to_owned()), reverse: Ok("unasked".to_owned()) };
        assert_eq!(name(Forward, &lost), ("alias".to_owned(), true));
        assert_eq!(name(ForwardAndReverse, &lost), ("alias".to_owned(), true));
        let one_way = Book { reverse: Err("no name".to_owned()), ..book("forward.local", "") };
        assert_eq!(name(ForwardAndReverse, &one_way), ("forward.local".to_owned(), true));
        for empty in ["", "."] {
            assert_eq!(name(Forward, &book(empty, "")), ("alias".to_owned(), true));
            assert_eq!(name(ForwardAndReverse, &book("forward.local", empty)), ("forward.local".to_owned(), true));
        }
        let nameless = Book { forward: Ok((None, None)), reverse: Ok("unasked".to_owned()) };
        assert_eq!(name(ForwardAndReverse, &nameless), ("alias".to_owned(), true));
        assert_eq!(name(Forward, &book(&"x".repeat(256), "")), ("alias".to_owned(), true));
    }

    #[cfg(feature = "gssapi")]
    #[test]
    fn the_system_knows_localhost() {
        let (name, address) = SystemResolver.forward("localhost").unwrap();
        assert_eq!(name.as_deref(), Some("localhost"));
        assert!(address.unwrap().is_loopback());
        assert!(SystemResolver.forward("no-such-host.invalid").is_err());
    }
}
