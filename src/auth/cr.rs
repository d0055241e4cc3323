//! MONGODB-CR: the challenge and response of servers before 4.0, which removed it. It is based on MD5, so it is only for users
//! that have no other credentials yet, and only where `authMechanism` names it.
//!
//! Two commands: `getnonce`, and `authenticate` with a digest of the nonce and the password. The server proves nothing.

use std::mem;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::mechanism::{Mechanism, Step};
use super::scram::mongo_digest;
use crate::characters;
use crate::credential::CrCredential;
use crate::error::{Error, ErrorKind, Result, Stage, codes};
use crate::hex::hex;

/// One conversation.
pub(super) struct Cr {
    username: String,
    source: String,
    /// The digest of the password that the server stores. It can be used in place of the password.
    digest: Zeroizing<String>,
    /// What is known about characters at the ends of the password that were probably not meant, such as a line break.
    stray: Option<String>,
    state: State,
}

/// What it waits for.
#[derive(Clone, Copy)]
enum State {
    Unstarted,
    Nonce,
    Verdict,
    Over,
}

impl Cr {
    pub(super) fn new(credential: &CrCredential) -> Self {
        let CrCredential { username, password, source } = credential.clone();
        let digest = mongo_digest(&username, password.expose());
        let stray = characters::stray(password.expose());
        Cr { username, source, digest, stray, state: State::Unstarted }
    }

    fn authenticate(&self, nonce: &str) -> RawDocumentBuf {
        let mut key = Md5::new();
        for part in [nonce, &self.username, &self.digest] {
            key.update(part);
        }
        let key = hex(&key.finalize());
        rawdoc! { "authenticate": 1, "nonce": nonce, "user": self.username.as_str(), "key": key }
    }
}

impl Mechanism for Cr {
    fn name(&self) -> &'static str {
        NAME
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Unstarted | State::Nonce => "nonce",
            State::Verdict => "verdict",
            State::Over => "nothing more",
        }
    }

    fn start(&mut self) -> Result<RawDocumentBuf> {
        match mem::replace(&mut self.state, State::Over) {
            State::Unstarted => {
                self.state = State::Nonce;
                Ok(rawdoc! { "getnonce": 1 })
            }
            _ => Err(broken("nothing more", "this conversation was started before")),
        }
    }

    fn step(&mut self, reply: &RawDocument) -> Result<Step> {
        match mem::replace(&mut self.state, State::Over) {
            State::Nonce => {
                let command = self.authenticate(nonce(reply)?);
                self.state = State::Verdict;
                Ok(Step::Send(command))
            }
            State::Verdict => Ok(Step::Done),
            State::Unstarted | State::Over => Err(broken("nothing more", "this conversation is over")),
        }
    }

    fn explain_refusal(&self, refused: Error) -> Error {
        let (ErrorKind::Authentication { .. }, Some(code)) = (refused.kind(), refused.code()) else { return refused };
        let message = format!("the server refused user {:?} on database {:?}", self.username, self.source);
        let refused = refused.with_message(message);
        match code {
            codes::AUTHENTICATION_FAILED => {
                let mut hint = "check the user name, the password and authSource; a user whose credentials are those of SCRAM \
                                cannot log in by MONGODB-CR, and MongoDB 4.0 removed it: SCRAM-SHA-1 takes the same password"
                    .to_owned();
                if let Some(stray) = &self.stray {
                    hint += &format!("; the password {stray}");
                }
                refused.with_hint(hint)
            }
            code if REMOVED.contains(&code) => refused.with_hint(
                "MongoDB 4.0 removed MONGODB-CR: use SCRAM-SHA-256 or SCRAM-SHA-1, or leave authMechanism out",
            ),
            _ => refused,
        }
    }
}

/// The server's challenge. It is sent back to the server unchanged, so only the expected form is accepted.
fn nonce(reply: &RawDocument) -> Result<&str> {
    let nonce = reply.get_str("nonce").map_err(|_| broken("nonce", "the server sent no nonce"))?;
    match nonce.len() {
        1..=MAX_NONCE if nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(nonce),
        _ => Err(broken("nonce", "the server's nonce is not a short hexadecimal number")),
    }
}

fn broken(step: &'static str, what: &'static str) -> Error {
    Error::invalid_reply(Stage::Authentication { mechanism: NAME, step }, what)
}

/// The mechanism's name.
const NAME: &str = "MONGODB-CR";

/// Servers send 16 digits at the most.
const MAX_NONCE: usize = 64;

/// What servers answer that do not have the mechanism any more.
const REMOVED: [i32; 6] = [
    codes::BAD_VALUE,
    codes::FAILED_TO_PARSE,
    codes::COMMAND_NOT_FOUND,
    codes::MECHANISM_UNAVAILABLE,
    codes::FIELD_MISSING,
    codes::FIELD_UNKNOWN,
];
