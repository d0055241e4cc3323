//! Where a server listens: a host and a port, or the path of a Unix socket. `uri` reads it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where a server listens. Its `Display` is `host:port` (an IPv6 address in brackets) or the path of the socket.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub enum ServerAddress {
    /// A name or IP address and a port.
    Tcp {
        /// The name in lower case, or the address; an IPv6 address without brackets.
        host: String,
        /// The port; `None`: 27017.
        port: Option<u16>,
    },
    /// The path of a Unix domain socket.
    Unix {
        /// The path; it ends in `.sock`.
        path: PathBuf,
    },
}

impl ServerAddress {
    /// The address with the port written out, as the driver compares and connects to it.
    pub(crate) fn with_port(self) -> Self {
        match self {
            ServerAddress::Tcp { host, port } => ServerAddress::Tcp { host, port: port.or(Some(DEFAULT_PORT)) },
            unix => unix,
        }
    }

    /// What identifies it: a port that is not given is the same as 27017. Hosts are compared as strings: every operation looks a
    /// server up, and a comparison as paths would take several times as long.
    #[inline]
    fn key(&self) -> Key<'_> {
        match self {
            ServerAddress::Tcp { host, port } => Key::Tcp(host, port.unwrap_or(DEFAULT_PORT)),
            ServerAddress::Unix { path } => Key::Unix(path),
        }
    }
}

/// What identifies a server address.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'a> {
    Unix(&'a Path),
    Tcp(&'a str, u16),
}

impl PartialEq for ServerAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ServerAddress {}

impl Hash for ServerAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for ServerAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ServerAddress {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// `localhost:27017`.
impl Default for ServerAddress {
    fn default() -> Self {
        ServerAddress::Tcp { host: "localhost".to_owned(), port: None }
    }
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        ServerAddress::Tcp { host: address.ip().to_string(), port: Some(address.port()) }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Tcp { host, port } if host.contains(':') => {
                write!(f, "[{host}]:{}", port.unwrap_or(DEFAULT_PORT))
            }
            ServerAddress::Tcp { host, port } => write!(f, "{host}:{}", port.unwrap_or(DEFAULT_PORT)),
            ServerAddress::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}

pub(crate) const DEFAULT_PORT: u16 = 27017;
