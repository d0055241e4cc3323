//! GSSAPI (RFC 4752): Kerberos tokens until both sides have authenticated each other, then the choice of a security layer. This
//! driver supports the layer "none" only.
//!
//! The state machine in this file calls no library directly. It uses [`Context`], which `gss` implements for the Kerberos of Unix
//! systems and `sspi` for Windows, and which a test replays. [`names`] makes the service's principal, [`canonical`] the host in
//! it, [`failure`] turns the library's codes into messages and remedies, `ticket` gets the ticket under a deadline,
//! `cache_locks` orders logins that share a ticket cache.

#[cfg(all(feature = "gssapi", unix))]
mod cache_locks;
mod canonical;
mod failure;
#[cfg(all(feature = "gssapi", unix))]
mod gss;
mod names;
#[cfg(all(feature = "gssapi", any(windows, mongo_blocking_sspi_check)))]
mod sspi;
#[cfg(test)]
pub(super) mod tests;
#[cfg(feature = "gssapi")]
mod ticket;

use std::mem;

use zeroize::Zeroizing;

use super::sasl::{SaslClient, SaslStep, explain_missing_from_community};
use crate::error::{Error, FaultKind, Result, Stage};

pub(super) use failure::{Failure, Tried};
#[cfg(feature = "gssapi")]
pub(super) use ticket::{GssapiState, conversation};

/// The client's side of a Kerberos context, whichever library has it.
pub(super) trait Context: Send {
    /// Takes the server's token and goes on.
    fn step(&mut self, token: &[u8]) -> Result<Progress, Failure>;
    /// Checks a message of the server and gives what it says.
    fn unwrap(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure>;
    /// Signs a message for the server; it is not encrypted.
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure>;
}

/// How far a context has come, and the token for the server.
#[derive(Debug)]
pub(super) enum Progress {
    /// The server's answer is needed.
    Continue(Vec<u8>),
    /// This side is satisfied; `mutual` if the server has proved who it is.
    Established { token: Vec<u8>, mutual: bool },
}

/// A context with its first token, and what was tried for it.
pub(super) struct Opened {
    pub(super) context: Box<dyn Context>,
    pub(super) first: Progress,
    pub(super) tried: Tried,
}

/// Gets a ticket and opens a context; it may ask name servers and a KDC.
pub(super) type Opening = Box<dyn FnOnce() -> Result<Opened> + Send>;

/// One conversation.
pub(super) struct Gssapi {
    /// Who to be on the server: the user's name as it was given.
    identity: String,
    tried: Tried,
    state: State,
}

/// What it waits for.
enum State {
    Unstarted(Opening),
    /// The server's next token.
    ServerToken(Box<dyn Context>),
    /// The security layers that the server offers.
    Layers(Box<dyn Context>),
    /// The end.
    Verdict,
    Over,
}

impl Gssapi {
    /// A login as `identity`, with a context that `opening` gives. `tried` is what is known of it so far.
    pub(super) fn new(identity: &str, tried: Tried, opening: Opening) -> Self {
        Gssapi { identity: identity.to_owned(), tried, state: State::Unstarted(opening) }
    }

    /// The context has come so far: the token for the server, and what to wait for next.
    fn go_on(&mut self, context: Box<dyn Context>, progress: Progress) -> Result<Zeroizing<Vec<u8>>> {
        let token = match progress {
            Progress::Continue(token) if token.is_empty() => {
                return Err(self.broken("Kerberos waits for the server and has no token for it"));
            }
            Progress::Continue(token) => {
                self.state = State::ServerToken(context);
                token
            }
            Progress::Established { mutual: false, .. } => {
                let error = self.refused("the server did not prove who it is (no mutual authentication)");
                return Err(self.tried.name(error));
            }
            Progress::Established { token, mutual: true } => {
                self.state = State::Layers(context);
                token
            }
        };
        Ok(Zeroizing::new(token))
    }

    fn take_token(&mut self, mut context: Box<dyn Context>, token: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if token.is_empty() {
            return Err(self.broken("the server sent an empty Kerberos token before the context was established"));
        }
        let progress = context.step(token).map_err(|failure| self.tried.error(self.stage(), failure))?;
        self.go_on(context, progress)
    }

    /// Reads the offer (RFC 4752, section 3.1: a mask of layers, then the longest message), chooses no layer and names the user.
    fn choose_layer(&mut self, mut context: Box<dyn Context>, message: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let offer = context.unwrap(message).map_err(|failure| self.tried.error(self.stage(), failure))?;
        let &[layers, _, _, _] = offer.as_slice() else {
            let length = offer.len();
            return Err(self.broken(format!("the server's offer of security layers has {length} bytes instead of 4")));
        };
        if layers & NO_LAYER == 0 {
            let error = self.refused(format!("the server offers {} and not the layer \"none\"", named(layers)));
            return Err(self.tried.name(error).with_hint(
                "this driver protects a connection with TLS, not with a layer of SASL; the server must offer \"none\"",
            ));
        }
        let mut choice = vec![NO_LAYER, 0, 0, 0];
        choice.extend_from_slice(self.identity.as_bytes());
        let reply = context.wrap(&choice).map_err(|failure| self.tried.error(self.stage(), failure))?;
        self.state = State::Verdict;
        Ok(Zeroizing::new(reply))
    }

    fn stage(&self) -> Stage {
        Stage::Authentication { mechanism: NAME, step: self.step_name() }
    }

    fn broken(&self, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::invalid_reply(self.stage(), message)
    }

    fn refused(&self, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(FaultKind::Authentication, self.stage(), message)
    }
}

impl SaslClient for Gssapi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Unstarted(_) => TICKET,
            State::ServerToken(_) => "the server's token",
            State::Layers(_) => "the security layers",
            State::Verdict => "verdict",
            State::Over => "nothing more",
        }
    }

    fn start(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let State::Unstarted(opening) = mem::replace(&mut self.state, State::Over) else {
            return Err(self.broken("this conversation was started before"));
        };
        let Opened { context, first, tried } = opening()?;
        self.tried = tried;
        self.go_on(context, first)
    }

    fn step(&mut self, challenge: &[u8]) -> Result<SaslStep> {
        // What an error names is what was waited for; from here on the conversation is over unless it goes on.
        let step = self.step_name();
        match mem::replace(&mut self.state, State::Over) {
            State::ServerToken(context) => self.take_token(context, challenge).map(SaslStep::Payload),
            State::Layers(context) => self.choose_layer(context, challenge).map(SaslStep::Payload),
            State::Verdict if challenge.is_empty() => Ok(SaslStep::Finished),
            State::Verdict => Err(self.broken("the server continues after the last message")),
            State::Unstarted(_) | State::Over => Err(self.broken("the server answers in a conversation that is over")),
        }
        .map_err(|error| error.with_stage(Stage::Authentication { mechanism: NAME, step }))
    }

    fn expects_done(&self) -> bool {
        true
    }

    fn explain_unavailable(&self) -> String {
        explain_missing_from_community(NAME)
    }

    fn explain_refusal(&self, refused: Error) -> Error {
        self.tried.explain_refusal(refused)
    }
}

/// The answer to an offer of security layers, in a conversation with a context that neither signs nor checks.
#[cfg(any(test, fuzzing))]
pub(crate) fn answer_to_layers(identity: &str, offer: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    struct Unsigned;

    impl Context for Unsigned {
        fn step(&mut self, _token: &[u8]) -> Result<Progress, Failure> {
            Ok(Progress::Continue(Vec::new()))
        }
        fn unwrap(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
            Ok(Zeroizing::new(message.to_vec()))
        }
        fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
            Ok(message.to_vec())
        }
    }

    let mut gssapi = Gssapi::new(identity, Tried::default(), Box::new(|| Err(Error::invalid_argument("not started"))));
    gssapi.choose_layer(Box::new(Unsigned), offer)
}

/// The names of the layers in a mask, for messages.
fn named(layers: u8) -> String {
    let known = [(NO_LAYER, "none"), (INTEGRITY, "integrity"), (CONFIDENTIALITY, "confidentiality")];
    let offered: Vec<&str> = known.iter().filter(|(bit, _)| layers & bit != 0).map(|(_, name)| *name).collect();
    if offered.is_empty() {
        "no security layer that there is".to_owned()
    } else {
        format!("only the security layers {}", offered.join(" and "))
    }
}

/// The mechanism.
pub(super) const NAME: &str = "GSSAPI";

/// The step before the first message.
pub(super) const TICKET: &str = "the ticket";

/// The stage of an error before the first message.
pub(super) const TICKET_STAGE: Stage = Stage::Authentication { mechanism: NAME, step: TICKET };

// The layers' bits (RFC 4752, section 3.3).
const NO_LAYER: u8 = 1;
const INTEGRITY: u8 = 2;
const CONFIDENTIALITY: u8 = 4;
