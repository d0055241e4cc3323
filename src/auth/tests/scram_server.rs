//! A server that keeps the rules, written from RFC 5802 without a line of the client's.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{RawArrayBuf, RawBinaryRef, RawDocument, RawDocumentBuf, rawdoc};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A server with one user.
pub(crate) struct ScramServer {
    pub(crate) username: &'static str,
    /// The password, as SCRAM-SHA-256 prepares it.
    pub(crate) password: &'static str,
    pub(crate) source: &'static str,
    /// For which mechanisms the user has credentials.
    pub(crate) mechanisms: Vec<&'static str>,
    /// Whether it answers `saslSupportedMechs`.
    pub(crate) tells: bool,
    /// Whether it answers `speculativeAuthenticate`.
    pub(crate) speculates: bool,
    /// Whether it wants the empty exchange.
    pub(crate) empty_exchange: bool,
    /// More for its reply to hello.
    pub(crate) hello: RawDocumentBuf,
    /// The commands it got, with the database of each.
    pub(crate) got: Vec<(String, RawDocumentBuf)>,
    conversations: HashMap<i32, Conversation>,
}

struct Conversation {
    mechanism: String,
    bare: String,
    first: String,
    proved: bool,
}

impl ScramServer {
    pub(crate) fn new(mechanisms: &[&'static str]) -> Self {
        ScramServer {
            username: "user",
            password: "pencil",
            source: "admin",
            mechanisms: mechanisms.to_vec(),
            tells: true,
            speculates: true,
            empty_exchange: false,
            hello: rawdoc! { "ismaster": true, "minWireVersion": 0, "maxWireVersion": 17 },
            got: Vec::new(),
            conversations: HashMap::new(),
        }
    }

    pub(crate) fn answer(&mut self, database: &str, command: &RawDocument) -> RawDocumentBuf {
        self.got.push((database.to_owned(), command.to_owned()));
        let name = command.iter().next().unwrap().unwrap().0.as_str().to_owned();
        let reply = match name.as_str() {
            "isMaster" | "hello" => Some(self.on_hello(command)),
            "saslStart" => self.on_start(database, command),
            "saslContinue" => self.on_continue(command),
            other => panic!("{other}"),
        };
        let failed = || rawdoc! { "ok": 0.0, "errmsg": "Authentication failed.", "code": 18, "codeName": "AuthenticationFailed" };
        reply.map_or_else(failed, |mut reply| {
            reply.append(cstr!("ok"), 1.0);
            reply
        })
    }

    fn on_hello(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let mut reply = self.hello.clone();
        let asked = command.get_str("saslSupportedMechs").ok();
        if self.tells && asked == Some(&format!("{}.{}", self.source, self.username)) {
            reply.append(cstr!("saslSupportedMechs"), self.mechanisms.iter().copied().collect::<RawArrayBuf>());
        }
        if let Some(start) = command.get_document("speculativeAuthenticate").ok().filter(|_| self.speculates) {
            let database = start.get_str("db").unwrap().to_owned();
            if let Some(answer) = self.on_start(&database, start) {
                reply.append(cstr!("speculativeAuthenticate"), answer);
            }
        }
        reply
    }

    fn on_start(&mut self, database: &str, command: &RawDocument) -> Option<RawDocumentBuf> {
        let mechanism = command.get_str("mechanism").unwrap().to_owned();
        let bare = payload(command).strip_prefix("n,,").unwrap().to_owned();
        let (name, nonce) = bare.strip_prefix("n=").unwrap().split_once(",r=").unwrap();
        let known = name == self.username.replace('=', "=3D").replace(',', "=2C") && database == self.source;
        if !known || !self.mechanisms.contains(&mechanism.as_str()) {
            return None;
        }
        let first = format!("r={nonce}SERVER,s={},i=4096", STANDARD.encode(SALT));
        let id = i32::try_from(self.conversations.len()).unwrap() + 1;
        let reply = answer(id, false, &first);
        self.conversations.insert(id, Conversation { mechanism, bare, first, proved: false });
        Some(reply)
    }

    fn on_continue(&mut self, command: &RawDocument) -> Option<RawDocumentBuf> {
        let id = command.get_i32("conversationId").unwrap();
        let (username, password, empty_exchange) = (self.username, self.password, self.empty_exchange);
        let conversation = self.conversations.get_mut(&id).unwrap();
        if conversation.proved {
            assert_eq!(payload(command), "");
            return Some(answer(id, true, ""));
        }
        let message = payload(command);
        let (without_proof, proof) = message.split_once(",p=").unwrap();
        let auth_message = format!("{},{},{without_proof}", conversation.bare, conversation.first);
        let (expected, signature) = expected(&conversation.mechanism, username, password, &auth_message);
        if STANDARD.decode(proof).unwrap() != expected {
            return None;
        }
        conversation.proved = true;
        Some(answer(id, !empty_exchange, &format!("v={}", STANDARD.encode(signature))))
    }
}

fn answer(id: i32, done: bool, payload: &str) -> RawDocumentBuf {
    let mut reply = rawdoc! { "conversationId": id, "done": done };
    reply.append(cstr!("payload"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: payload.as_bytes() });
    reply
}

fn payload(command: &RawDocument) -> String {
    String::from_utf8(command.get_binary("payload").unwrap().bytes.to_vec()).unwrap()
}

type Keyed = fn(&[u8], &[u8]) -> Vec<u8>;
type Hash = fn(&[u8]) -> Vec<u8>;

/// The proof that the right password gives, and the server's signature.
fn expected(mechanism: &str, username: &str, password: &str, auth_message: &str) -> (Vec<u8>, Vec<u8>) {
    let (mac, hash): (Keyed, Hash) = match mechanism {
        "SCRAM-SHA-1" => (
            |key, text| Hmac::<Sha1>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec(),
            |text| Sha1::digest(text).to_vec(),
        ),
        _ => (
            |key, text| {
                Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
            },
            |text| Sha256::digest(text).to_vec(),
        ),
    };
    let password = match mechanism {
        "SCRAM-SHA-1" => {
            let digest = Md5::digest(format!("{username}:mongo:{password}"));
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        _ => password.to_owned(),
    };
    let salted = repeated(mac, password.as_bytes());
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(&hash(&client_key), auth_message.as_bytes());
    let proof = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
    (proof, mac(&mac(&salted, b"Server Key"), auth_message.as_bytes()))
}

/// `Hi()` of RFC 5802, section 2.2.
fn repeated(mac: Keyed, password: &[u8]) -> Vec<u8> {
    let mut round = mac(password, &[SALT, &[0, 0, 0, 1]].concat());
    let mut sum = round.clone();
    for _ in 1..4096 {
        round = mac(password, &round);
        sum.iter_mut().zip(&round).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

const SALT: &[u8] = b"the salt of this user";
