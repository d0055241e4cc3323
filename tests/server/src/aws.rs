//! The server's half of MONGODB-AWS. It rebuilds the request that the client signed, and asks somebody else whose signature it is.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use openssl::base64;

use crate::fake_server::{SaslError, SaslReply, SaslServer};

/// A server that takes MONGODB-AWS. Clones share what they have seen.
///
/// ```no_run
/// use mongo_blocking_test_server::aws::AwsServer;
/// use mongo_blocking_test_server::fake_server::FakeServer;
///
/// let aws = AwsServer::judged_by_sts("127.0.0.1:5000");
/// let fake_server = FakeServer::builder().mechanism("MONGODB-AWS", aws.start()).start();
/// ```
#[derive(Clone)]
pub struct AwsServer {
    judge: Arc<Judge>,
    sts_host: String,
    tamper: AwsTamper,
    seen: Arc<Mutex<Vec<Signed>>>,
}

type Judge = dyn Fn(&Signed) -> Option<String> + Send + Sync;

/// The request that a client signed, as the server knows it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The access key's id.
    pub access_key_id: String,
    /// The region of the credential scope.
    pub region: String,
    /// Every header, in the order of `SignedHeaders`, with `authorization` at the end.
    pub headers: Vec<(String, String)>,
}

/// How the server breaks the rules.
#[derive(Debug, Clone, PartialEq)]
pub enum AwsTamper {
    /// Not at all.
    Honest,
    /// The first message is this, with `{"s": …}` and `{"h": …}` filled in where the document has them.
    First(Document),
    /// The nonce has so many bytes, the client's first.
    NonceOf(usize),
    /// The nonce begins with other bytes than the client's.
    ForeignNonce,
    /// The nonce is a text.
    NonceAsText,
    /// The nonce has a BSON subtype of its own.
    NonceOfUser,
    /// This is the STS host.
    Host(Bson),
    /// One field more.
    ExtraField,
    /// The nonce comes twice.
    NonceTwice,
    /// Nothing but these bytes.
    Raw(Vec<u8>),
    /// The first message says that the conversation is over.
    DoneEarly,
    /// The last message says that it is not.
    NeverDone,
    /// The judge is asked about another nonce than the client was given.
    JudgeOtherNonce,
    /// The judge is asked about another host than the client was given.
    JudgeOtherHost(String),
}

impl AwsServer {
    /// A server that asks an STS at this address (`127.0.0.1:port`) about each signature.
    pub fn judged_by_sts(address: &str) -> AwsServer {
        let address = address.to_owned();
        AwsServer::judged_by(move |signed| ask_sts(&address, signed).expect("STS answers"))
    }

    /// A server that asks `judge`, which gives the user's ARN or refuses.
    pub fn judged_by(judge: impl Fn(&Signed) -> Option<String> + Send + Sync + 'static) -> AwsServer {
        AwsServer {
            judge: Arc::new(judge),
            sts_host: "sts.amazonaws.com".to_owned(),
            tamper: AwsTamper::Honest,
            seen: Arc::default(),
        }
    }

    /// Names this STS host to clients.
    pub fn sts_host(mut self, host: &str) -> AwsServer {
        self.sts_host = host.to_owned();
        self
    }

    /// Breaks the rules.
    pub fn tamper(mut self, tamper: AwsTamper) -> AwsServer {
        self.tamper = tamper;
        self
    }

    /// What begins a conversation, for [`FakeServerBuilder::mechanism`](crate::fake_server::FakeServerBuilder::mechanism).
    pub fn start(&self) -> impl Fn(&str) -> Box<dyn SaslServer> + Send + Sync + 'static {
        let server = self.clone();
        move |database| {
            let nonce = (database == "$external").then(Vec::new);
            Box::new(Conversation { server: server.clone(), nonce, second: false })
        }
    }

    /// What clients signed so far.
    pub fn seen(&self) -> Vec<Signed> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for AwsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsServer")
            .field("sts_host", &self.sts_host)
            .field("tamper", &self.tamper)
            .finish_non_exhaustive()
    }
}

impl Signed {
    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

struct Conversation {
    server: AwsServer,
    /// Both nonces; `None` for a database that has no AWS users.
    nonce: Option<Vec<u8>>,
    second: bool,
}

impl SaslServer for Conversation {
    fn step(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        match std::mem::replace(&mut self.second, true) {
            false => self.first(payload),
            true => self.verdict(payload),
        }
    }
}

impl Conversation {
    fn first(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        let nonce = self.nonce.as_mut().ok_or_else(|| wrong("MONGODB-AWS users are on $external"))?;
        let mut message = document(payload)?;
        match (message.remove("r"), message.remove("p")) {
            (Some(Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes })), Some(Bson::Int32(110)))
                if bytes.len() == NONCE && message.is_empty() =>
            {
                *nonce = bytes;
            }
            other => return Err(wrong(&format!("the first message is {other:?}"))),
        }
        let mut own = [0; NONCE];
        openssl::rand::rand_bytes(&mut own).expect("random bytes");
        nonce.extend_from_slice(&own);
        let answer = self.first_answer();
        Ok(SaslReply { payload: answer, done: self.server.tamper == AwsTamper::DoneEarly, user: None })
    }

    fn first_answer(&self) -> Vec<u8> {
        let nonce = self.nonce.clone().unwrap_or_default();
        let binary = |bytes| Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes });
        let mut message = doc! { "s": binary(nonce.clone()), "h": self.server.sts_host.as_str() };
        match &self.server.tamper {
            AwsTamper::First(other) => {
                let honest = message;
                message = other.clone();
                for (name, value) in message.iter_mut() {
                    if let (Bson::String(text), Some(own)) = (&*value, honest.get(name))
                        && text == "…"
                    {
                        *value = own.clone();
                    }
                }
            }
            AwsTamper::NonceOf(length) => {
                let bytes = nonce.iter().copied().chain(std::iter::repeat(7)).take(*length).collect();
                message.insert("s", binary(bytes));
            }
            AwsTamper::ForeignNonce => {
                message.insert("s", binary(nonce.iter().map(|byte| !byte).collect()));
            }
            AwsTamper::NonceAsText => {
                message.insert("s", "x".repeat(2 * NONCE));
            }
            AwsTamper::NonceOfUser => {
                message.insert("s", Bson::Binary(Binary { subtype: BinarySubtype::UserDefined(0x80), bytes: nonce }));
            }
            AwsTamper::Host(host) => {
                message.insert("h", host.clone());
            }
            AwsTamper::ExtraField => {
                message.insert("x", 1);
            }
            AwsTamper::NonceTwice => return twice(&message),
            AwsTamper::Raw(bytes) => return bytes.clone(),
            AwsTamper::Honest
            | AwsTamper::DoneEarly
            | AwsTamper::NeverDone
            | AwsTamper::JudgeOtherNonce
            | AwsTamper::JudgeOtherHost(_) => {}
        }
        message.to_vec().expect("BSON")
    }

    fn verdict(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        let message = document(payload)?;
        let signed = self.rebuild(&message)?;
        self.server.seen.lock().unwrap_or_else(PoisonError::into_inner).push(signed.clone());
        let user = (self.server.judge)(&signed).ok_or_else(SaslError::failed)?;
        Ok(SaslReply { payload: Vec::new(), done: self.server.tamper != AwsTamper::NeverDone, user: Some(user) })
    }

    /// The request, with the values that the server knows by itself; only date, token and signature are the client's.
    fn rebuild(&self, message: &Document) -> Result<Signed, SaslError> {
        let text = |name: &str| message.get_str(name).map(str::to_owned).ok();
        let (Some(authorization), Some(date), token) = (text("a"), text("d"), text("t")) else {
            return Err(wrong("the second message has no a and d"));
        };
        if message.keys().any(|name| !matches!(name.as_str(), "a" | "d" | "t")) {
            return Err(wrong("the second message has a field of its own"));
        }
        let mut nonce = self.nonce.clone().unwrap_or_default();
        let mut host = self.server.sts_host.clone();
        match &self.server.tamper {
            AwsTamper::JudgeOtherNonce => nonce.reverse(),
            AwsTamper::JudgeOtherHost(other) => host.clone_from(other),
            AwsTamper::Host(Bson::String(named)) => host.clone_from(named),
            _ => {}
        }
        let mut headers = vec![
            ("content-length".to_owned(), BODY.len().to_string()),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("host".to_owned(), host),
            ("x-amz-date".to_owned(), date),
        ];
        if let Some(token) = token {
            headers.push(("x-amz-security-token".to_owned(), token));
        }
        headers.push(("x-mongodb-gs2-cb-flag".to_owned(), "n".to_owned()));
        headers.push(("x-mongodb-server-nonce".to_owned(), base64::encode_block(&nonce)));
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let expected = format!("SignedHeaders={}, ", names.join(";"));
        let scope =
            authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=").filter(|_| authorization.contains(&expected));
        let mut parts = scope.unwrap_or_default().split(['/', ',']);
        let (Some(id), Some(_day), Some(region), Some("sts"), Some("aws4_request")) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("the Authorization header is not of the form that is asked for"));
        };
        let (access_key_id, region) = (id.to_owned(), region.to_owned());
        headers.push(("authorization".to_owned(), authorization));
        Ok(Signed { access_key_id, region, headers })
    }
}

/// Sends the request to an STS. Gives the ARN, or `None` where it refuses.
fn ask_sts(address: &str, signed: &Signed) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut request = "POST / HTTP/1.1\r\nConnection: close\r\nAccept: application/xml\r\n".to_owned();
    for (name, value) in &signed.headers {
        request += &format!("{name}: {value}\r\n");
    }
    write!(stream, "{request}\r\n{BODY}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Ok(None);
    }
    let arn = answer.split_once("<Arn>").and_then(|(_, rest)| rest.split_once("</Arn>"));
    Ok(arn.map(|(arn, _)| arn.to_owned()))
}

fn document(payload: &[u8]) -> Result<Document, SaslError> {
    Document::from_reader(payload).map_err(|_| wrong("a payload that is not BSON"))
}

/// The message with its first element twice, which no `Document` can hold.
fn twice(message: &Document) -> Vec<u8> {
    let (Some((name, value)), bytes) = (message.iter().next(), message.to_vec().expect("BSON")) else {
        return Vec::new();
    };
    let single = doc! { name.clone(): value.clone() }.to_vec().expect("BSON");
    let element = single.get(4..single.len() - 1).unwrap_or_default();
    let body = bytes.get(4..).unwrap_or_default();
    let length = u32::try_from(bytes.len() + element.len()).expect("a short message");
    [&length.to_le_bytes(), element, body].concat()
}

fn wrong(what: &str) -> SaslError {
    SaslError { code: 18, message: format!("Authentication failed: {what}") }
}

const NONCE: usize = 32;
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
