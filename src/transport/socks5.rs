//! SOCKS5 (RFC 1928) with no authentication or with user name and password (RFC 1929): a proxy connects to the server in our
//! place. The destination goes to the proxy by its name, so that this machine need not be able to look it up.
//!
//! [`Negotiation`] is a pure state machine that says what to send and how many bytes to read next; [`negotiate`] runs it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::options::ClientSettings;
use crate::secret::Secret;

/// The proxy that a client connects through.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    login: Option<Login>,
}

#[derive(Clone, Debug)]
struct Login {
    username: String,
    password: Secret,
}

/// Why the proxy did not connect us.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection to the proxy failed.
    Io(io::Error),
    /// It said no, or spoke something else.
    Refused(Refusal),
}

/// What the proxy said, or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not version 5.
    Version(u8),
    /// It takes none of the ways to log in that were offered.
    NoMethod { with_password: bool },
    /// It picked a way to log in that was not offered.
    OtherMethod(u8),
    /// It answered the user name and password with another version than 1.
    LoginVersion(u8),
    /// It does not take the user name and password.
    Login,
    /// It did not connect, with this reply code.
    Code(u8),
    /// The address that it connected from is of no kind that there is.
    AddressKind(u8),
    /// A name that is empty or longer than 255 bytes, or an address with a zone, which only this machine understands.
    Destination,
}

impl Proxy {
    /// The proxy that the options name, if they do.
    pub(crate) fn of(options: &ClientSettings) -> Option<Self> {
        let host = options.proxy_host()?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let login = options.proxy_username().zip(options.proxy_password());
        let login = login.map(|(name, password)| Login { username: name.to_owned(), password: password.clone() });
        Some(Proxy { host: host.to_owned(), port: options.proxy_port(), login })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Has the proxy at the other end of `stream` connect to the destination. From then on the stream leads there.
pub(super) fn negotiate(stream: &mut (impl Read + Write), proxy: &Proxy, host: &str, port: u16) -> Result<(), Failure> {
    let (mut negotiation, first) = Negotiation::start(proxy.login.as_ref(), host, port).map_err(Failure::Refused)?;
    stream.write_all(&first).map_err(Failure::Io)?;
    let mut buffer = [0; LONGEST_READ];
    while let Some(wanted) = negotiation.wants() {
        let answer = buffer.get_mut(..wanted).unwrap_or_default();
        stream.read_exact(answer).map_err(Failure::Io)?;
        if let Some(message) = negotiation.step(answer).map_err(Failure::Refused)? {
            stream.write_all(&message).map_err(Failure::Io)?;
        }
    }
    Ok(())
}

/// A negotiation with a proxy that answers with these bytes: how many of them it took, if it came to its end.
#[cfg(any(test, fuzzing))]
pub(crate) fn negotiate_with(answers: &[u8], with_login: bool) -> Option<usize> {
    struct Answers<'a>(&'a [u8]);
    impl Read for Answers<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl Write for Answers<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let login = with_login.then(|| Login { username: "ann".to_owned(), password: Secret::from("hunter2") });
    let proxy = Proxy { host: "proxy".to_owned(), port: 1_080, login };
    let mut stream = Answers(answers);
    negotiate(&mut stream, &proxy, "db.example.com", 27017).ok()?;
    Some(answers.len() - stream.0.len())
}

/// The conversation, named for what it waits for.
#[derive(Debug)]
pub(super) struct Negotiation<'a> {
    state: State,
    login: Option<&'a Login>,
    request: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Which way to log in.
    Method,
    /// Whether the password is right.
    Login,
    /// The reply to the request, up to the kind of the address in it.
    Reply,
    /// How long the name is that stands in place of the address.
    NameLength,
    /// The rest of the reply: an address and a port that mean nothing to us.
    BoundAddress(usize),
    /// Nothing more.
    Over,
}

/// What is sent; it is wiped, since it may hold the password.
type Message = Zeroizing<Vec<u8>>;

impl<'a> Negotiation<'a> {
    /// Begins; with the first message.
    fn start(login: Option<&'a Login>, host: &str, port: u16) -> Result<(Self, Message), Refusal> {
        let methods: &[u8] = match login {
            Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD],
            None => &[VERSION, 1, NO_LOGIN],
        };
        let request = request(host, port)?;
        Ok((Negotiation { state: State::Method, login, request }, Zeroizing::new(methods.to_vec())))
    }

    /// How many bytes to read next, never more than [`LONGEST_READ`]; `None` once the stream leads to the destination.
    fn wants(&self) -> Option<usize> {
        match self.state {
            State::Method | State::Login => Some(2),
            State::Reply => Some(4),
            State::NameLength => Some(1),
            State::BoundAddress(length) => Some(length),
            State::Over => None,
        }
    }

    /// Takes just the bytes that were wanted; what to send next, if anything. An error ends the conversation for good.
    fn step(&mut self, answer: &[u8]) -> Result<Option<Message>, Refusal> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let byte = |at: usize| answer.get(at).copied().unwrap_or_default();
        match state {
            State::Method => {
                if byte(0) != VERSION {
                    return Err(Refusal::Version(byte(0)));
                }
                match (byte(1), self.login) {
                    (NO_LOGIN, _) => self.send_request(),
                    (PASSWORD, Some(login)) => {
                        self.state = State::Login;
                        Ok(Some(login.message()))
                    }
                    (NO_METHOD, login) => Err(Refusal::NoMethod { with_password: login.is_some() }),
                    (other, _) => Err(Refusal::OtherMethod(other)),
                }
            }
            State::Login => match (byte(0), byte(1)) {
                (LOGIN_VERSION, 0) => self.send_request(),
                (LOGIN_VERSION, _) => Err(Refusal::Login),
                (other, _) => Err(Refusal::LoginVersion(other)),
            },
            State::Reply => {
                if byte(0) != VERSION {
                    return Err(Refusal::Version(byte(0)));
                }
                if byte(1) != SUCCEEDED {
                    return Err(Refusal::Code(byte(1)));
                }
                self.state = match byte(3) {
                    IPV4 => State::BoundAddress(4 + PORT),
                    IPV6 => State::BoundAddress(16 + PORT),
                    NAME => State::NameLength,
                    other => return Err(Refusal::AddressKind(other)),
                };
                Ok(None)
            }
            State::NameLength => {
                self.state = State::BoundAddress(usize::from(byte(0)) + PORT);
                Ok(None)
            }
            State::BoundAddress(_) | State::Over => Ok(None),
        }
    }

    fn send_request(&mut self) -> Result<Option<Message>, Refusal> {
        self.state = State::Reply;
        Ok(Some(Zeroizing::new(std::mem::take(&mut self.request))))
    }
}

impl Login {
    /// RFC 1929. The options hold that neither is empty or longer than 255 bytes.
    fn message(&self) -> Message {
        let mut message = Zeroizing::new(Vec::with_capacity(3 + 2 * MAX_LENGTH));
        message.push(LOGIN_VERSION);
        for text in [self.username.as_str(), self.password.expose()] {
            let text = text.as_bytes().get(..MAX_LENGTH).unwrap_or(text.as_bytes());
            message.push(length_byte(text));
            message.extend_from_slice(text);
        }
        message
    }
}

/// The request to connect: an address as an address, a name as a name.
fn request(host: &str, port: u16) -> Result<Vec<u8>, Refusal> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_) if host.is_empty() || host.len() > MAX_LENGTH || host.contains('%') => return Err(Refusal::Destination),
        Err(_) => {
            request.push(NAME);
            request.push(length_byte(host.as_bytes()));
            request.extend(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

fn length_byte(text: &[u8]) -> u8 {
    u8::try_from(text.len()).unwrap_or(u8::MAX)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Version(version) => {
                write!(f, "it does not speak SOCKS5 (its answer begins with the byte {version})")
            }
            Refusal::NoMethod { with_password: true } => {
                f.write_str("it takes neither a user name and password nor a client without them")
            }
            Refusal::NoMethod { with_password: false } => f.write_str("it wants a login"),
            Refusal::OtherMethod(method) => write!(f, "it picked a way to log in that was not offered ({method})"),
            Refusal::LoginVersion(version) => write!(f, "it broke the protocol of RFC 1929 (version {version})"),
            Refusal::Login => f.write_str("it refused the user name and password"),
            Refusal::Code(code) => match reply_in_words(*code) {
                Some(words) => write!(f, "it answered: {words} (code {code})"),
                None => write!(f, "it answered with a code that is not assigned ({code})"),
            },
            Refusal::AddressKind(kind) => write!(f, "it broke the protocol: its reply has an address of kind {kind}"),
            Refusal::Destination => f.write_str(
                "the destination cannot be told to a proxy: a name has 1 to 255 bytes, and an address no zone",
            ),
        }
    }
}

/// RFC 1928, section 6.
fn reply_in_words(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "general failure of the SOCKS server",
        2 => "connection not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => return None,
    })
}

/// Whether an error says that a proxy refuses the login that it was given, or wants one where there is none.
pub(crate) fn is_refused_login(error: &Error) -> bool {
    let refusals =
        [Refusal::Login, Refusal::NoMethod { with_password: true }, Refusal::NoMethod { with_password: false }];
    matches!(error.kind(), ErrorKind::ProxyConnect { .. })
        && refusals.iter().any(|refusal| error.message().ends_with(&refusal.to_string()))
}

impl Refusal {
    /// What to do about it.
    pub(super) fn hint(self) -> Option<&'static str> {
        match self {
            Refusal::NoMethod { with_password: false } => Some("give proxyUsername and proxyPassword"),
            Refusal::NoMethod { with_password: true } | Refusal::Login => Some("check proxyUsername and proxyPassword"),
            Refusal::Version(_) => {
                Some("is it a SOCKS5 proxy, and not one for HTTP, that listens on this port (proxyPort)?")
            }
            Refusal::Code(3..=5) => Some("can the machine of the proxy look the server's name up, and reach it?"),
            _ => None,
        }
    }
}

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const SUCCEEDED: u8 = 0;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// Bytes of a port.
const PORT: usize = 2;
/// What one byte of length can announce.
const MAX_LENGTH: usize = 255;
/// A name and a port.
const LONGEST_READ: usize = MAX_LENGTH + PORT;

#[cfg(test)]
mod tests;
