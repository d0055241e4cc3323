//! Where a server listens: a host and a port, or the path of a Unix socket.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::{Piece, error_at};
use crate::error::{Error, Result};

/// Where a server listens. Its `Display` is `host:port` (an IPv6 address in brackets) or the path of the socket.
#[derive(Clone, Debug)]
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
    /// Reads `host`, `host:port`, `[IPv6]`, `[IPv6]:port`, a bare IPv6 address, or the path of a socket (it contains a
    /// `/` and ends in `.sock`). Nothing is percent-decoded: this is for code, not for a URI.
    ///
    /// ```
    /// use mongo_blocking::options::ServerAddress;
    ///
    /// assert_eq!(ServerAddress::parse("Example.com")?.to_string(), "example.com:27017");
    /// assert_eq!(ServerAddress::parse("::1")?.to_string(), "[::1]:27017");
    /// assert_eq!(ServerAddress::parse("/tmp/mongodb-27017.sock")?.to_string(), "/tmp/mongodb-27017.sock");
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn parse(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        let piece = Piece { text, at: 0 };
        if text.contains("://") {
            return Err(Error::invalid_argument("a host was expected, not a connection string")
                .with_hint("give a connection string to uri(…)"));
        }
        if text.contains('/') {
            return socket(text.to_owned(), 0);
        }
        if is_ipv6(text) {
            return Ok(ServerAddress::Tcp { host: text.to_ascii_lowercase(), port: Some(DEFAULT_PORT) });
        }
        let (host, port) = split_port(piece)?;
        Ok(ServerAddress::Tcp { host: host_name(host.text.to_owned(), host.at)?, port: Some(port) })
    }
}

impl ServerAddress {
    /// The address with the port written out, as the driver compares and connects to it.
    pub(crate) fn with_port(self) -> Self {
        match self {
            ServerAddress::Tcp { host, port } => ServerAddress::Tcp { host, port: port.or(Some(DEFAULT_PORT)) },
            unix => unix,
        }
    }

    /// What identifies it: a port that is not given is the same as 27017.
    fn key(&self) -> (&std::path::Path, Option<u16>) {
        match self {
            ServerAddress::Tcp { host, port } => (host.as_ref(), Some(port.unwrap_or(DEFAULT_PORT))),
            ServerAddress::Unix { path } => (path, None),
        }
    }
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

/// As [`ServerAddress::parse`].
impl FromStr for ServerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ServerAddress::parse(text)
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

/// The hosts of a connection string.
pub(super) fn read_list(list: Piece<'_>) -> Result<Vec<ServerAddress>> {
    let mut hosts = Vec::new();
    for piece in list.split(',') {
        if hosts.len() == MAX_HOSTS {
            return Err(error_at(piece.at, &format!("more than {MAX_HOSTS} hosts")));
        }
        let address = read(piece)?;
        if !hosts.contains(&address) {
            hosts.push(address);
        }
    }
    Ok(hosts)
}

fn read(piece: Piece<'_>) -> Result<ServerAddress> {
    if piece.text.is_empty() {
        return Err(error_at(piece.at, "a host is missing")
            .with_hint("the path of a Unix socket must have '/' percent-encoded as %2F"));
    }
    let (host, port) = split_port(piece)?;
    let name = host.decoded()?;
    if !name.contains('/') {
        return Ok(ServerAddress::Tcp { host: host_name(name, host.at)?, port: Some(port) });
    }
    if host.text.len() != piece.text.len() {
        return Err(error_at(piece.at, "the path of a Unix socket has no port"));
    }
    socket(name, piece.at)
}

/// Takes the port off. Brackets stay with the host.
fn split_port(piece: Piece<'_>) -> Result<(Piece<'_>, u16)> {
    let after_brackets = if piece.text.starts_with('[') { piece.text.find(']').unwrap_or(0) } else { 0 };
    let Some(colon) = piece.text.get(after_brackets..).and_then(|rest| rest.find(':')) else {
        return Ok((piece, DEFAULT_PORT));
    };
    let (host, port) = piece.split_at(after_brackets + colon);
    let port = port.skip(1);
    if port.text.contains(':') {
        return Err(error_at(port.at, "a host has more than one ':'")
            .with_hint("write an IPv6 address in brackets, as in [::1]:27017"));
    }
    if port.text.is_empty() {
        return Err(error_at(port.at, "a host ends with ':' and no port")
            .with_hint("write the port after the colon, or leave the colon out"));
    }
    let number = port.text.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.text.parse::<u16>().ok()).flatten();
    match number {
        Some(number) if number > 0 => Ok((host, number)),
        _ => Err(error_at(port.at, "a port is a number from 1 to 65535")
            .with_hint("if this is a password, an '@' must follow the user info")),
    }
}

fn host_name(name: String, at: usize) -> Result<String> {
    let bare = match name.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']').filter(|inner| is_ipv6(inner)) {
            Some(inner) => inner,
            None => return Err(error_at(at, "the brackets do not contain an IPv6 address")),
        },
        None => name.as_str(),
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "[]<>\"\\^`{|}@?#%,".contains(c);
    if bare.is_empty() {
        return Err(error_at(at, "a host is missing"));
    }
    if bare.len() > MAX_HOST_LENGTH {
        return Err(error_at(at, "a host name is longer than 255 bytes"));
    }
    if bare.len() == name.len() && bare.contains(|c: char| c.is_whitespace()) {
        return Err(error_at(at, "a host name contains a blank or a line break")
            .with_hint("hosts are separated by commas alone"));
    }
    if bare.len() == name.len() && bare.contains(['<', '>']) {
        return Err(error_at(at, "a host name is in angle brackets: it looks like a placeholder")
            .with_hint("put the server's name in its place, without the brackets"));
    }
    if bare.len() == name.len() && (bare.contains(odd) || bare.contains(':')) {
        return Err(error_at(at, "a host name contains a character that is not allowed"));
    }
    Ok(bare.to_lowercase())
}

fn socket(path: String, at: usize) -> Result<ServerAddress> {
    if !path.ends_with(".sock") {
        return Err(error_at(at, "the path of a Unix socket must end in .sock"));
    }
    if path.contains('\0') || path.len() > MAX_PATH_LENGTH {
        return Err(error_at(at, "the path of a Unix socket is too long or contains a NUL character"));
    }
    Ok(ServerAddress::Unix { path: PathBuf::from(path) })
}

/// An IPv6 address, with or without a zone (`fe80::1%eth0`).
fn is_ipv6(text: &str) -> bool {
    match text.split_once('%') {
        Some((address, zone)) => {
            address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains(['%', '[', ']'])
        }
        None => matches!(text.parse(), Ok(IpAddr::V6(_))),
    }
}

pub(crate) const DEFAULT_PORT: u16 = 27017;
/// A replica set has at most 50 members; a list of mongos may be longer.
const MAX_HOSTS: usize = 256;
/// RFC 1035: 255 octets.
const MAX_HOST_LENGTH: usize = 255;
/// Far above what any system's `sockaddr_un` holds.
const MAX_PATH_LENGTH: usize = 4_096;
