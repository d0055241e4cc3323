//! Reads the address of a server, and the hosts of a connection string.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Piece, error_at};
use crate::address::{DEFAULT_PORT, ServerAddress};
use crate::characters::{described, invisible_in, is_invisible};
use crate::error::{Error, Result};

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

/// As [`ServerAddress::parse`].
impl FromStr for ServerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ServerAddress::parse(text)
    }
}

/// From a string as [`ServerAddress::parse`] reads it, or from `{ "host": "db", "port": 27017 }`.
impl<'de> Deserialize<'de> for ServerAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Parts { host: String, port: Option<u16> },
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => ServerAddress::parse(text).map_err(D::Error::custom),
            Written::Parts { host, port: None } => ServerAddress::parse(host).map_err(D::Error::custom),
            Written::Parts { host, port } => Ok(ServerAddress::Tcp { host, port }),
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
    if let Some((index, character)) = port.text.char_indices().find(|(_, c)| !c.is_ascii_digit())
        && (character.is_whitespace() || is_invisible(character))
    {
        let character = if character.is_ascii_whitespace() {
            described(character)
        } else {
            invisible_in(character.encode_utf8(&mut [0; 4])).unwrap_or_else(|| described(character))
        };
        return Err(error_at(port.at + index, &format!("there is {character} beside the digits of a port"))
            .with_hint("a port is digits alone, and hosts are separated by commas alone"));
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
    if let Some(character) = invisible_in(bare) {
        return Err(error_at(at, &format!("a host name contains {character}"))
            .with_hint("write the name anew: such characters come along when it is copied"));
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

/// A replica set has at most 50 members; a list of mongos may be longer.
const MAX_HOSTS: usize = 256;
/// RFC 1035: 255 octets.
const MAX_HOST_LENGTH: usize = 255;
/// Far above what any system's `sockaddr_un` holds.
const MAX_PATH_LENGTH: usize = 4_096;
