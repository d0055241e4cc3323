//! Who answers questions about names: the trait for a resolver of the program's own, and the addresses of name servers.

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Answers questions about names in place of the driver's own resolver.
///
/// A client asks it for the SRV and the TXT records of a `mongodb+srv` connection string, and, where it implements
/// [`addresses`](Resolver::addresses), for the addresses of hosts too. Names are absolute, without a dot at the end, and come
/// as they stand in the connection string or in a record. It is called on short-lived threads of the driver's, by several at
/// once; a call that takes longer than `within` ([`Duration::MAX`] where there is no limit) is abandoned.
///
/// ```
/// use std::error::Error;
/// use std::time::Duration;
/// use mongo_blocking::options::ClientOptions;
/// use mongo_blocking::{Resolver, SrvRecord};
///
/// struct OneHost;
///
/// impl Resolver for OneHost {
///     fn srv(&self, name: &str, _within: Duration) -> Result<Vec<SrvRecord>, Box<dyn Error + Send + Sync>> {
///         assert_eq!(name, "_mongodb._tcp.cluster.example.com");
///         Ok(vec![SrvRecord::new("db1.example.com", 27017)])
///     }
///
///     fn txt(&self, _name: &str, _within: Duration) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
///         Ok(Vec::new())
///     }
/// }
///
/// let options = ClientOptions::builder().uri("mongodb+srv://cluster.example.com/").resolver(OneHost).build();
/// # drop(options);
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
pub trait Resolver: Send + Sync {
    /// The SRV records of `name`; empty where the name does not exist or has none.
    ///
    /// # Errors
    /// Whatever kept it from an answer. The text goes into the error of the client.
    fn srv(&self, name: &str, within: Duration) -> Result<Vec<SrvRecord>, Box<dyn StdError + Send + Sync>>;

    /// The TXT records of `name`, the strings of each joined without anything between; empty where there are none.
    ///
    /// # Errors
    /// Whatever kept it from an answer. The text goes into the error of the client.
    fn txt(&self, name: &str, within: Duration) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>>;

    /// The addresses of a host, in the order to try them. `None`, which is what this returns unless it is implemented, leaves
    /// the question to the system.
    ///
    /// # Errors
    /// Whatever kept it from an answer. The text goes into the error of the operation.
    fn addresses(&self, host: &str, within: Duration) -> Option<Result<Vec<IpAddr>, Box<dyn StdError + Send + Sync>>> {
        let _ = (host, within);
        None
    }
}

/// An SRV record (RFC 2782): a host that offers a service. Priority and weight have no meaning for MongoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SrvRecord {
    /// The host's name; a dot at its end does not count.
    pub host: String,
    /// The port, from 1.
    pub port: u16,
    /// How long the record may be kept: the client asks anew when the shortest of these is over, but not within 60 seconds.
    pub ttl: Duration,
}

impl SrvRecord {
    /// A record that may be kept for 60 seconds.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        SrvRecord { host: host.into(), port, ttl: DEFAULT_TTL }
    }

    /// With another time for which it may be kept.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
}

/// A resolver as options hold it.
#[derive(Clone)]
pub(crate) struct SharedResolver(Arc<dyn Resolver>);

impl SharedResolver {
    pub(crate) fn new(resolver: impl Resolver + 'static) -> Self {
        SharedResolver(Arc::new(resolver))
    }

    pub(crate) fn get(&self) -> &dyn Resolver {
        &*self.0
    }
}

impl fmt::Debug for SharedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(..)")
    }
}

/// Reads a name server's address: `10.0.0.1`, `10.0.0.1:5353`, `::1`, `[::1]:5353`, `fe80::1%eth0`, `[fe80::1%eth0]:5353`.
/// `None` for anything else, and for an interface that this machine does not have.
pub(crate) fn name_server(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address).filter(|address| address.port() != 0);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, DNS_PORT));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { DNS_PORT } else { rest.strip_prefix(':')?.parse().ok()? })
        }
        None => (text, DNS_PORT),
    };
    if let (Ok(address), true) = (host.parse::<Ipv6Addr>(), port != 0) {
        return Some(SocketAddr::new(address.into(), port));
    }
    let (address, zone) = host.split_once('%')?;
    if address.parse::<Ipv6Addr>().is_err() || zone.is_empty() || port == 0 {
        return None;
    }
    // With an address before the '%' this looks up the interface, not a name.
    (host, port).to_socket_addrs().ok()?.next()
}

/// RFC 1035: the port of name servers.
const DNS_PORT: u16 = 53;
/// The shortest time between two questions that the specification of polling allows.
const DEFAULT_TTL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_name_servers() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1:53"),
            ("10.0.0.1:5353", "10.0.0.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
            ("[fe80::1%1]:5353", "[fe80::1%1]:5353"),
        ] {
            assert_eq!(name_server(text).map(|address| address.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", "ns.example.com", "10.0.0.1:0", "10.0.0.1:70000", "[::1", "[::1]5353", "ns%1", "fe80::1%", "%1"]
        {
            assert_eq!(name_server(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_scope_is_an_interface() {
        for text in ["fe80::1%lo", "[fe80::1%lo]", "[fe80::1%lo]:53"] {
            match name_server(text) {
                Some(SocketAddr::V6(address)) => assert_eq!((address.scope_id(), address.port()), (1, 53), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(name_server("fe80::1%no-such-interface"), None);
    }
}
