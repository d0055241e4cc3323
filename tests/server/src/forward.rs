//! The connection to the real server behind the fake server.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bson::{Document, doc, spec::BinarySubtype};
use openssl::base64::{decode_block, encode_block};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

use crate::answers::truth;
use crate::users::{Mechanism, random_base64};
use crate::wire::{self, Request};

/// Where the real server is, and who the fake server is to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upstream {
    pub(crate) address: String,
    /// The members of a set, of which the primary is the one to connect to; where there are any, `address` is not used.
    pub(crate) members: Vec<String>,
    /// Name and password in `admin`.
    pub(crate) credential: Option<(String, String)>,
    /// Whether it takes TLS connections only. Its certificate is not checked: it is a server of the test's own.
    pub(crate) tls: bool,
    /// How long each read may wait; without one, for ever.
    pub(crate) limit: Option<Duration>,
}

/// One connection to it, which belongs to one connection of a client.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    stream: Box<dyn Stream>,
    socket: TcpStream,
}

impl Upstream {
    /// The address of the member that says it is the primary.
    fn primary(&self) -> io::Result<String> {
        let is_primary = |address: &&String| {
            let member = Upstream {
                address: address.to_string(),
                tls: self.tls,
                limit: Some(PRIMARY_LIMIT),
                ..Upstream::default()
            };
            let hello =
                UpstreamConnection::open(&member).and_then(|mut c| c.run(&doc! {"isMaster": 1, "$db": "admin"}));
            hello.is_ok_and(|hello| truth(hello.get("ismaster")))
        };
        self.members.iter().find(is_primary).cloned().ok_or_else(|| io::Error::other("the set has no primary"))
    }
}

/// How long a member may take to say whether it is the primary.
const PRIMARY_LIMIT: Duration = Duration::from_secs(2);

/// TCP, or TLS over it.
trait Stream: Read + Write + Debug + Send {}
impl<S: Read + Write + Debug + Send> Stream for S {}

impl UpstreamConnection {
    /// Connects and, if asked to, logs in.
    pub(crate) fn open(upstream_server: &Upstream) -> io::Result<UpstreamConnection> {
        if !upstream_server.members.is_empty() {
            let primary =
                Upstream { address: upstream_server.primary()?, members: Vec::new(), ..upstream_server.clone() };
            return UpstreamConnection::open(&primary);
        }
        let socket = TcpStream::connect(&upstream_server.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(upstream_server.limit)?;
        let stream: Box<dyn Stream> = match upstream_server.tls {
            true => Box::new(over_tls(socket.try_clone()?)?),
            false => Box::new(socket.try_clone()?),
        };
        let mut upstream = UpstreamConnection { stream, socket };
        if let Some((user, password)) = &upstream_server.credential {
            upstream.log_in(user, password)?;
        }
        Ok(upstream)
    }

    /// Hands the client's bytes on as they are; the answers, as they are, go to `sink`.
    pub(crate) fn exchange(
        &mut self,
        request: &Request,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.stream.write_all(&request.bytes)?;
        if !request.wants_reply() {
            return Ok(());
        }
        loop {
            let answer = wire::read_message(&mut self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            sink(&answer)?;
            // An exhaust cursor's answers follow each other without a request.
            if answer.get(16).is_none_or(|flags| flags & 2 == 0) {
                return Ok(());
            }
        }
    }

    /// Another handle on the socket, to close it from outside.
    pub(crate) fn handle(&self) -> io::Result<TcpStream> {
        self.socket.try_clone()
    }

    fn log_in(&mut self, user: &str, password: &str) -> io::Result<()> {
        let mechanism = Mechanism::ScramSha256;
        let nonce = random_base64(24)?;
        let bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
        let start = doc! {
            "saslStart": 1, "mechanism": mechanism.name(), "payload": binary(&format!("n,,{bare}")),
            "options": {"skipEmptyExchange": true}, "$db": "admin",
        };
        let (id, first) = self.sasl(start)?;
        let part = |prefix: &str| {
            first.split(',').find_map(|p| p.strip_prefix(prefix)).ok_or_else(|| refused("a part is missing"))
        };
        let (combined, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        if !combined.starts_with(&nonce) {
            return Err(refused("the nonce is another"));
        }
        let salt = decode_block(salt)?;
        let iterations = iterations.parse().map_err(|_| refused("bad iterations"))?;
        let salted = mechanism.salted_password(user, password, &salt, iterations)?;
        let client_key = mechanism.hmac(&salted, b"Client Key")?;
        let without_proof = format!("c=biws,r={combined}");
        let message = format!("{bare},{first},{without_proof}");
        let signature = mechanism.hmac(&mechanism.hash(&client_key)?, message.as_bytes())?;
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(k, s)| k ^ s).collect();
        let last = format!("{without_proof},p={}", encode_block(&proof));
        let go_on = doc! {"saslContinue": 1, "conversationId": id, "payload": binary(&last), "$db": "admin"};
        let (_, verifier) = self.sasl(go_on)?;
        let honest = mechanism.hmac(&mechanism.hmac(&salted, b"Server Key")?, message.as_bytes())?;
        if verifier != format!("v={}", encode_block(&honest)) {
            return Err(refused("the verifier is wrong"));
        }
        Ok(())
    }

    fn sasl(&mut self, command: Document) -> io::Result<(bson::Bson, String)> {
        let answer = self.run(&command)?;
        let payload = answer.get_binary_generic("payload").map_err(|_| refused(&answer.to_string()))?;
        let text = String::from_utf8(payload.clone()).map_err(io::Error::other)?;
        let id = answer.get("conversationId").cloned().unwrap_or_default();
        Ok((id, text))
    }

    /// Runs a command of the fake server's own.
    pub(crate) fn run(&mut self, command: &Document) -> io::Result<Document> {
        self.stream.write_all(&wire::command_bytes(1, command)?)?;
        let answer = wire::read_message(&mut self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Document::from_reader(answer.get(21..).unwrap_or_default()).map_err(io::Error::other)
    }
}

fn over_tls(socket: TcpStream) -> io::Result<openssl::ssl::SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.build().connect("localhost", socket).map_err(io::Error::other)
}

/// Text as BSON binary.
pub(crate) fn binary(text: &str) -> bson::Binary {
    bson::Binary { subtype: BinarySubtype::Generic, bytes: text.as_bytes().to_vec() }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("the fake server could not log in to the server behind it: {why}"))
}
