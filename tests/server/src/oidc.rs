//! The server's half of MONGODB-OIDC. Tokens are those of somebody else's identity provider, verified by its public keys.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bson::{Bson, Document, doc};
use openssl::base64;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use serde_json::Value;

use crate::fake_server::{Answer, SaslError, SaslReply, SaslServer};
use crate::peers::Idp;
use crate::wire::Request;

/// A server that takes MONGODB-OIDC. Clones share what they have seen.
#[derive(Clone)]
pub struct OidcServer {
    providers: Vec<Provider>,
    keys: Arc<Vec<(String, PKey<Public>)>>,
    issuer: String,
    tamper: OidcTamper,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    seen: Vec<Seen>,
    revoked: HashSet<String>,
}

/// An identity provider as the server names it.
#[derive(Debug, Clone)]
struct Provider {
    info: Document,
    /// How the names of its users begin.
    users: String,
}

/// What a client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Who it is, and that it wants to know the identity provider.
    Principal(Option<String>),
    /// A token.
    Token(String),
}

/// How the server breaks the rules.
#[derive(Debug, Clone, PartialEq)]
pub enum OidcTamper {
    /// Not at all.
    Honest,
    /// The identity provider is named by this message.
    Info(Document),
    /// The identity provider is named by these bytes.
    Raw(Vec<u8>),
    /// The first message says that the conversation is over.
    DoneEarly,
    /// The last message says that it is not.
    NeverDone,
    /// Each token is refused with this code.
    Refuse(i32),
}

impl OidcServer {
    /// A server that knows one identity provider.
    ///
    /// # Panics
    /// If the provider does not give its keys.
    pub fn trusting(idp: &Idp) -> OidcServer {
        let keys = idp.keys()["keys"].as_array().expect("keys").iter().map(public_key).collect();
        let info = doc! { "issuer": idp.issuer(), "clientId": "test_user1", "requestScopes": ["fizz", "buzz"] };
        OidcServer {
            providers: vec![Provider { info, users: String::new() }],
            keys: Arc::new(keys),
            issuer: idp.issuer().to_owned(),
            tamper: OidcTamper::Honest,
            shared: Arc::default(),
        }
    }

    /// Users whose names begin so have this identity provider: there are several, and a client must say who it is.
    pub fn provider_of(mut self, users: &str, info: Document) -> OidcServer {
        self.providers.retain(|provider| !provider.users.is_empty());
        self.providers.push(Provider { info, users: users.to_owned() });
        self
    }

    /// Breaks the rules.
    pub fn tamper(mut self, tamper: OidcTamper) -> OidcServer {
        self.tamper = tamper;
        self
    }

    /// This token is refused from now on, as one that has expired.
    pub fn revoke(&self, token: &str) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).revoked.insert(token.to_owned());
    }

    /// What clients said so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// What begins a conversation, for [`FakeServerBuilder::mechanism`](crate::fake_server::FakeServerBuilder::mechanism).
    pub fn start(&self) -> impl Fn(&str) -> Box<dyn SaslServer> + Send + Sync + 'static {
        let server = self.clone();
        move |database| {
            Box::new(Conversation { server: server.clone(), external: database == "$external", second: false })
        }
    }

    /// What a server does with a command on a connection whose token has been revoked: it asks for another (code 391). For
    /// [`FakeServerBuilder::on_command`](crate::fake_server::FakeServerBuilder::on_command).
    pub fn asks_for_another(&self) -> impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static {
        let (shared, tokens) = (self.shared.clone(), Mutex::new(HashMap::<usize, String>::new()));
        move |request, connection| {
            let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
            let start = request.body.get_document("speculativeAuthenticate").unwrap_or(&request.body);
            if let Ok(payload) = start.get_binary_generic("payload") {
                let message = Document::from_reader(payload.as_slice()).unwrap_or_default();
                tokens.extend(message.get_str("jwt").map(|token| (connection, token.to_owned())));
                return None;
            }
            let token = tokens.get(&connection)?;
            let revoked = shared.lock().unwrap_or_else(PoisonError::into_inner).revoked.contains(token);
            revoked.then(|| Answer::Reply(doc! {"ok": 0.0, "code": 391, "errmsg": "the token has expired"}))
        }
    }

    /// The user of a token, if it is one of the provider's, for this server, and has not expired.
    fn verify(&self, token: &str) -> Result<String, &'static str> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("it has not three parts");
        };
        let said: Value = decode(header).and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or("no header")?;
        if said["alg"] != "RS256" {
            return Err("it is not signed by RS256");
        }
        let key = self.keys.iter().find(|(kid, _)| said["kid"] == kid.as_str()).ok_or("nobody has its key")?;
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key.1).map_err(|_| "no verifier")?;
        let signed = format!("{header}.{payload}");
        let signature = decode(signature).ok_or("no signature")?;
        match verifier.verify_oneshot(&signature, signed.as_bytes()) {
            Ok(true) => {}
            _ => return Err("its signature is wrong"),
        }
        let claims: Value = decode(payload).and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or("no claims")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        if claims["iss"] != self.issuer.as_str() || claims["aud"] != "mongodb" {
            return Err("it is for somebody else");
        }
        if claims["exp"].as_u64().is_none_or(|at| at <= now) {
            return Err("it has expired");
        }
        claims["sub"].as_str().map(str::to_owned).ok_or("it has no user")
    }
}

impl fmt::Debug for OidcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcServer").field("issuer", &self.issuer).field("tamper", &self.tamper).finish_non_exhaustive()
    }
}

struct Conversation {
    server: OidcServer,
    external: bool,
    second: bool,
}

impl SaslServer for Conversation {
    fn step(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        if !self.external {
            return Err(wrong("MONGODB-OIDC users are on $external"));
        }
        let message = Document::from_reader(payload).map_err(|_| wrong("a payload that is not BSON"))?;
        let fields: Vec<_> = message.iter().map(|(name, value)| (name.as_str(), value)).collect();
        match (fields.as_slice(), std::mem::replace(&mut self.second, true)) {
            ([("jwt", Bson::String(token))], _) => self.verdict(token),
            ([], false) => self.principal(None),
            ([("n", Bson::String(name))], false) => self.principal(Some(name)),
            _ => Err(wrong("a message of another form")),
        }
    }
}

impl Conversation {
    fn principal(&mut self, name: Option<&str>) -> Result<SaslReply, SaslError> {
        self.note(Seen::Principal(name.map(str::to_owned)));
        let mut candidates = self.server.providers.iter();
        let provider = match name {
            Some(name) => candidates.find(|provider| name.starts_with(&provider.users)),
            None => candidates.next().filter(|_| self.server.providers.len() == 1),
        };
        let info = &provider.ok_or_else(|| wrong("which identity provider?"))?.info;
        let payload = match &self.server.tamper {
            OidcTamper::Info(other) => other.to_vec().expect("BSON"),
            OidcTamper::Raw(bytes) => bytes.clone(),
            _ => info.to_vec().expect("BSON"),
        };
        Ok(SaslReply { payload, done: self.server.tamper == OidcTamper::DoneEarly, user: None })
    }

    fn verdict(&mut self, token: &str) -> Result<SaslReply, SaslError> {
        self.note(Seen::Token(token.to_owned()));
        if let OidcTamper::Refuse(code) = self.server.tamper {
            return Err(SaslError { code, message: "refused".to_owned() });
        }
        let revoked = self.server.shared.lock().unwrap_or_else(PoisonError::into_inner).revoked.contains(token);
        let user = match revoked {
            true => Err("it was revoked"),
            false => self.server.verify(token),
        };
        let user = user.map_err(wrong)?;
        Ok(SaslReply { payload: Vec::new(), done: self.server.tamper != OidcTamper::NeverDone, user: Some(user) })
    }

    fn note(&self, seen: Seen) {
        self.server.shared.lock().unwrap_or_else(PoisonError::into_inner).seen.push(seen);
    }
}

fn public_key(jwk: &Value) -> (String, PKey<Public>) {
    let number = |name: &str| {
        let bytes = jwk[name].as_str().and_then(decode).expect("a part of an RSA key");
        BigNum::from_slice(&bytes).expect("a number")
    };
    let rsa = Rsa::from_public_components(number("n"), number("e")).expect("an RSA key");
    (jwk["kid"].as_str().expect("a key's id").to_owned(), PKey::from_rsa(rsa).expect("a key"))
}

/// Base64 for URLs, without padding (RFC 7515).
fn decode(text: &str) -> Option<Vec<u8>> {
    let padded = text.replace('-', "+").replace('_', "/") + ["", "", "==", "="].get(text.len() % 4)?;
    base64::decode_block(&padded).ok()
}

fn wrong(what: &str) -> SaslError {
    SaslError { code: 18, message: format!("Authentication failed: {what}") }
}
