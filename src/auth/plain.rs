//! PLAIN (RFC 4616): user name and password in the clear, for a server that checks them with an LDAP directory.
//!
//! The client sends one message, and the server accepts or refuses it. The server proves nothing, so only the channel protects
//! the password.

use std::mem;

use zeroize::Zeroizing;

use super::sasl::{SaslClient, SaslStep, explain_missing_from_community};
use crate::characters;
use crate::credential::PlainCredential;
use crate::error::{Error, ErrorKind, Result, Stage, codes};
use crate::secret::Secret;

/// One conversation.
pub(super) struct Plain {
    username: String,
    password: Secret,
    source: String,
    state: State,
}

/// What it waits for.
enum State {
    Unstarted,
    Verdict,
    Over,
}

impl Plain {
    pub(super) fn new(credential: &PlainCredential) -> Self {
        let PlainCredential { username, password, source } = credential.clone();
        Plain { username, password, source, state: State::Unstarted }
    }

    /// No identity to act for, the user, the password; a NUL before each of the two. The options have refused a NUL in them.
    fn message(&self) -> Zeroizing<Vec<u8>> {
        let password = self.password.expose();
        let mut message = Zeroizing::new(Vec::with_capacity(2 + self.username.len() + password.len()));
        for part in [self.username.as_str(), password] {
            message.push(0);
            message.extend_from_slice(part.as_bytes());
        }
        message
    }
}

impl SaslClient for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Unstarted | State::Verdict => "verdict",
            State::Over => "nothing more",
        }
    }

    fn start(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        match mem::replace(&mut self.state, State::Over) {
            State::Unstarted => {
                self.state = State::Verdict;
                Ok(self.message())
            }
            State::Verdict | State::Over => Err(broken("this conversation was started before")),
        }
    }

    fn step(&mut self, challenge: &[u8]) -> Result<SaslStep> {
        match mem::replace(&mut self.state, State::Over) {
            State::Verdict if challenge.is_empty() => Ok(SaslStep::Finished),
            State::Verdict => Err(broken("the server asks for another message, and PLAIN has only one")),
            State::Unstarted | State::Over => Err(broken("this conversation is over")),
        }
    }

    fn expects_done(&self) -> bool {
        true
    }

    fn explain_unavailable(&self) -> String {
        explain_missing_from_community(NAME)
    }

    fn explain_refusal(&self, refused: Error) -> Error {
        let (ErrorKind::Authentication { .. }, Some(code)) = (refused.kind(), refused.code()) else { return refused };
        let message = format!("the server refused user {:?} on database {:?}", self.username, self.source);
        let refused = refused.with_message(message);
        if [codes::AUTHENTICATION_FAILED, codes::ATLAS_ERROR].contains(&code) {
            let mut hint =
                    "check the user name and the password, as the LDAP directory behind the server has them, and authSource"
                        .to_owned();
            if let Some(stray) = characters::stray(self.password.expose()) {
                hint += &format!("; the password {stray}");
            }
            refused.with_hint(hint)
        } else {
            refused
        }
    }
}

fn broken(what: &'static str) -> Error {
    Error::invalid_reply(Stage::Authentication { mechanism: NAME, step: "verdict" }, what)
}

/// The mechanism's name.
const NAME: &str = "PLAIN";
