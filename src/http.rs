//! HTTP requests: for AWS keys, for tokens, and to OCSP responders.
//!
//! A request is one exchange. No redirect is followed and no proxy is used, not even one that the environment names, because most
//! answers are secrets. One time limit covers the whole call, including the look-up of the name. The answer's body is read in
//! pieces and bounded. Errors name the host, never a header, a body, or the rest of the URL. [`trace_log`] keeps all of these out
//! of the log.

mod trace_log;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{self, Uri, header::HeaderValue};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, AsSendBody};
use zeroize::Zeroizing;

use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};

use trace_log::TraceLogSuppressor;

/// What to ask for.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// `http://` or `https://`, with everything percent-encoded that must be.
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// Sent with PUT and POST.
    pub(crate) body: &'a [u8],
    /// Until when the answer must be here, whole. Without a limit of its own a request has [`LONGEST`].
    pub(crate) deadline: Deadline,
    /// The most bytes that the answer's body may have.
    pub(crate) max_body: usize,
}

/// The methods that are needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each feature uses some of them")]
pub(crate) enum Method {
    Get,
    Put,
    Post,
}

/// The answer, with any status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Sends requests: over the network, or in a test to a script.
pub(crate) trait Http: Send + Sync {
    /// Sends a request and reads the answer. Any status is an answer, 3xx too, because redirects are not followed.
    fn send(&self, request: &Request<'_>) -> Result<Answer>;
}

/// HTTP over the network. For `https` the platform's TLS verifies the host against the authorities that the system trusts.
pub(crate) fn http() -> Arc<dyn Http> {
    Arc::new(Network)
}

/// Each request has a connection of its own, closed at its end, so that nothing is shared with a child process.
struct Network;

impl Http for Network {
    fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let target = Target::of(request.url)?;
        let limit = request.deadline.remaining().unwrap_or(LONGEST);
        if limit.is_zero() {
            return Err(target.timeout(request, Duration::ZERO));
        }
        let began = Instant::now();
        let _suppressed = TraceLogSuppressor::begin();
        let agent = agent(limit);
        let sent = match request.method {
            Method::Get => exchange(&agent, &target, request, ()),
            Method::Put | Method::Post => exchange(&agent, &target, request, request.body),
        };
        sent.map_err(|failure| match failure {
            Failure::Http(error) => target.explained(error, request, began.elapsed()),
            Failure::Rejected(error) => error.with_elapsed(began.elapsed()),
        })
    }
}

/// What may go wrong on the way.
enum Failure {
    Http(ureq::Error),
    Rejected(Error),
}

fn agent(limit: Duration) -> Agent {
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .tls_config(tls)
        .timeout_global(Some(limit))
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(0)
        .user_agent(concat!("mongo-blocking/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn exchange<B: AsSendBody>(
    agent: &Agent,
    target: &Target,
    request: &Request<'_>,
    body: B,
) -> std::result::Result<Answer, Failure> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Put => http::Method::PUT,
        Method::Post => http::Method::POST,
    };
    let mut outgoing = http::Request::builder().method(method).uri(target.uri.clone());
    for (name, value) in request.headers {
        let mut value = HeaderValue::from_str(value).map_err(|_| Failure::Rejected(target.bad_header(name)))?;
        value.set_sensitive(true);
        outgoing = outgoing.header(*name, value);
    }
    let outgoing = outgoing.body(body).map_err(|error| Failure::Http(error.into()))?;
    let answer = agent.run(outgoing).map_err(Failure::Http)?;
    let status = answer.status().as_u16();
    let mut reader = answer.into_body().into_reader();
    let body = read_body(&mut reader, target, request.max_body)?;
    Ok(Answer { status, body })
}

/// The body, no longer than `most`; however it is announced, room is made only for what has come.
fn read_body(reader: &mut dyn Read, target: &Target, most: usize) -> std::result::Result<Zeroizing<Vec<u8>>, Failure> {
    let mut body = Zeroizing::new(Vec::new());
    let mut piece = Zeroizing::new([0; PIECE]);
    loop {
        let count = match reader.read(&mut piece[..]) {
            Ok(0) => return Ok(body),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Http(error.into())),
        };
        if body.len() + count > most {
            return Err(Failure::Rejected(target.too_long(most)));
        }
        append(&mut body, piece.get(..count).unwrap_or_default());
    }
}

/// Appends. If the buffer has to grow, the old one is wiped, which a `Vec` does not do.
fn append(body: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    if body.capacity() - body.len() < piece.len() {
        let mut wider = Zeroizing::new(Vec::with_capacity((body.capacity() * 2).max(body.len() + piece.len())));
        wider.extend_from_slice(body);
        *body = wider;
    }
    body.extend_from_slice(piece);
}

/// The target of a request, and its name in errors.
struct Target {
    uri: Uri,
    /// `host` or `host:port`.
    name: String,
}

impl Target {
    fn of(url: &str) -> Result<Target> {
        let wrong = |what| Error::new(FaultKind::InvalidArgument, Stage::Http, what);
        let uri: Uri = url.parse().map_err(|_| wrong("the address of an HTTP request is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("the address of an HTTP request begins with neither http:// nor https://"));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("the address of an HTTP request names no host"))?;
        let name = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Target { name, uri })
    }

    fn error(&self, kind: FaultKind, what: &str) -> Error {
        Error::new(kind, Stage::Http, format!("{what} ({})", self.name))
    }

    fn bad_header(&self, name: &str) -> Error {
        self.error(
            FaultKind::InvalidArgument,
            &format!("the value for the header {name} has bytes that no header may have"),
        )
    }

    fn too_long(&self, most: usize) -> Error {
        self.error(FaultKind::InvalidResponse, &format!("the body of the answer is longer than {most} bytes"))
    }

    fn timeout(&self, request: &Request<'_>, elapsed: Duration) -> Error {
        let limit = match request.deadline.instant() {
            Some(_) => request.deadline.name(),
            None => "the limit of one HTTP request",
        };
        self.error(FaultKind::TimedOut, &format!("no whole answer within {limit}")).with_elapsed(elapsed)
    }

    /// The error for an error of ureq. Some of its errors quote the URL, which may be secret, so none is passed on unchanged.
    fn explained(&self, error: ureq::Error, request: &Request<'_>, elapsed: Duration) -> Error {
        let error = match error {
            ureq::Error::Timeout(_) => return self.timeout(request, elapsed),
            ureq::Error::Io(source) => return self.io(source, request, elapsed),
            ureq::Error::HostNotFound => self.error(FaultKind::DnsResolve, "the host's name could not be resolved"),
            ureq::Error::ConnectionFailed => self.error(FaultKind::Io, "the host could not be connected to"),
            ureq::Error::NativeTls(source) => {
                self.error(FaultKind::Tls, "the TLS handshake failed").with_source(source).with_hint(
                    "the host must have a certificate from an authority that the system trusts (SSL_CERT_FILE names others)",
                )
            }
            ureq::Error::Tls(what) => self.error(FaultKind::Tls, what),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
                self.error(FaultKind::InvalidResponse, "the answer is not HTTP, or its head is too long")
            }
            ureq::Error::Http(_) => self.error(FaultKind::InvalidArgument, "the request cannot be written as HTTP"),
            _ => self.error(FaultKind::Io, "the HTTP request failed"),
        };
        error.with_elapsed(elapsed)
    }

    fn io(&self, source: io::Error, request: &Request<'_>, elapsed: Duration) -> Error {
        // While a body is read, ureq wraps its own errors in those of std.
        let source = match source.downcast::<ureq::Error>() {
            Ok(ureq::Error::Io(inner)) => inner,
            Ok(error) => return self.explained(error, request, elapsed),
            Err(source) => source,
        };
        match source.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => self.timeout(request, elapsed),
            io::ErrorKind::UnexpectedEof => self.error(FaultKind::Io, CLOSED).with_elapsed(elapsed),
            _ if is_lookup(&source) => self
                .error(FaultKind::DnsResolve, "the host's name could not be resolved")
                .with_source(source)
                .with_elapsed(elapsed),
            _ => self.error(FaultKind::Io, "the HTTP connection failed").with_source(source).with_elapsed(elapsed),
        }
    }
}

/// The standard library has no `ErrorKind` for a failed look-up, so only the text shows it (on Windows, the code).
fn is_lookup(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => cfg!(windows) && (11001..=11004).contains(&code),
        None => error.to_string().starts_with("failed to lookup address information"),
    }
}

/// The peer closed the connection: how the message begins.
pub(crate) const CLOSED: &str = "the connection was closed before the answer was whole";

/// The limit of a request whose deadline is [`Deadline::NEVER`].
const LONGEST: Duration = Duration::from_secs(60);

/// The most bytes of an answer's status line and headers together.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// How much of a body is read at a time.
const PIECE: usize = 8 * 1024;

#[cfg(test)]
mod tests;
