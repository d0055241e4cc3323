//! A small HTTP server whose every answer a test decides, plain or over TLS: the stand-in for metadata services and the like.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use crate::peers::certs::Issued;

/// A running server on 127.0.0.1; it ends when dropped. Each connection carries one request.
#[derive(Debug)]
pub struct HttpStub {
    address: SocketAddr,
    tls: bool,
    seen: Arc<Mutex<Vec<Seen>>>,
    over: Arc<AtomicBool>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query, as it stood in the request line.
    pub target: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// As long as Content-Length said.
    pub body: Vec<u8>,
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Beside Content-Length and Connection.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How badly it is sent.
    pub manner: SendMode,
}

/// How badly an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// Whole, at once.
    Whole,
    /// Not at all: the connection stays open and silent.
    Silent,
    /// Whole but for the end of the body, which never comes.
    Stalled,
    /// Head and body, one byte every so often.
    Dripping(Duration),
    /// The body over and over, in pieces whose total nobody announced, until this many bytes or the client hangs up.
    Endless(u64),
    /// The connection is closed before the body is whole.
    CutOff,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply::status(200, body)
    }

    /// Some status with a body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: Vec::new(), body: body.into(), manner: SendMode::Whole }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sent in this manner.
    pub fn sent(mut self, manner: SendMode) -> Reply {
        self.manner = manner;
        self
    }
}

impl Seen {
    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl HttpStub {
    /// A plain server that answers each request as `answer` says.
    ///
    /// # Panics
    /// If no port can be had.
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> HttpStub {
        serve(None, Arc::new(answer))
    }

    /// The same over TLS.
    ///
    /// # Panics
    /// As [`HttpStub::start`], and if the certificate can't be used.
    pub fn start_tls(issued: &Issued, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> HttpStub {
        serve(Some(acceptor(issued)), Arc::new(answer))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path that begins with a slash; over TLS by the name `localhost`.
    pub fn url(&self, path: &str) -> String {
        match self.tls {
            true => format!("https://localhost:{}{path}", self.address.port()),
            false => format!("http://{}{path}", self.address),
        }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

impl Drop for HttpStub {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the one that accepts
    }
}

type Answering = dyn Fn(&Seen) -> Reply + Send + Sync;

fn serve(tls: Option<SslAcceptor>, answer: Arc<Answering>) -> HttpStub {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on 127.0.0.1");
    let address = listener.local_addr().expect("its address");
    let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let stub = HttpStub { address, tls: tls.is_some(), seen: seen.clone(), over: over.clone() };
    let tls = tls.map(Arc::new);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let Ok(tcp) = tcp else { continue };
            let (tls, seen, answer) = (tls.clone(), seen.clone(), answer.clone());
            thread::spawn(move || {
                let _ = match tls {
                    None => talk(tcp, &seen, &*answer),
                    Some(tls) => tls.accept(tcp).map_err(io::Error::other).and_then(|tls| talk(tls, &seen, &*answer)),
                };
            });
        }
    });
    stub
}

fn talk(stream: impl Read + Write, seen: &Mutex<Vec<Seen>>, answer: &Answering) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let request = read_request(&mut reader)?;
    lock(seen).push(request.clone());
    let reply = answer(&request);
    let stream = reader.get_mut();
    let open_ended = matches!(reply.manner, SendMode::Endless(_));
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", reply.status);
    if !open_ended {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let whole = [head.as_bytes(), &reply.body].concat();
    match reply.manner {
        SendMode::Whole => stream.write_all(&whole)?,
        SendMode::Silent => {}
        SendMode::Stalled => stream.write_all(whole.get(..whole.len().saturating_sub(1)).unwrap_or_default())?,
        SendMode::CutOff => return stream.write_all(whole.get(..whole.len().saturating_sub(1)).unwrap_or_default()),
        SendMode::Dripping(pause) => {
            for byte in whole {
                stream.write_all(&[byte])?;
                stream.flush()?;
                thread::sleep(pause);
            }
        }
        SendMode::Endless(most) => {
            stream.write_all(head.as_bytes())?;
            let mut sent = 0;
            while sent < most && !reply.body.is_empty() {
                stream.write_all(&reply.body)?;
                sent += reply.body.len() as u64;
            }
            return stream.flush();
        }
    }
    stream.flush()?;
    if matches!(reply.manner, SendMode::Silent | SendMode::Stalled) {
        io::copy(&mut reader, &mut io::sink())?; // until the client hangs up
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Seen> {
    let mut line = String::new();
    reader.take(MAX_LINE).read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.take(MAX_LINE).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut seen.body)?;
    Ok(seen)
}

fn acceptor(issued: &Issued) -> SslAcceptor {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL");
    builder.set_certificate(&X509::from_pem(issued.certificate.as_bytes()).expect("PEM")).expect("a certificate");
    builder.set_private_key(&PKey::private_key_from_pem(issued.key.as_bytes()).expect("PEM")).expect("its key");
    builder.build()
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

const MAX_LINE: u64 = 64 * 1024;
