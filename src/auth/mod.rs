//! The mechanisms: each a straight-line state machine that knows no socket.
//!
//! A machine makes commands and judges replies; who carries them is not its business. So the same machine serves the
//! handshake's speculative path, the plain path, a fuzz target and the replay of a recorded conversation.
//!
//! [`Login`] is the door for the handshake: it negotiates ([`negotiation`]), speculates and runs the machine. [`Mechanism`] is what a machine
//! looks like; [`sasl`] dresses a byte mechanism as one, and [`scram`] is such a byte mechanism; [`x509`] is one command, [`cr`] two. What is impure (random bytes,
//! caches, limits) enters through [`AuthContext`].

#[cfg(feature = "aws")]
mod aws;
mod context;
mod conversation;
mod cr;
#[cfg(any(test, feature = "gssapi"))]
#[cfg_attr(not(feature = "gssapi"), allow(dead_code))] // The machine's tests need no library.
mod gssapi;
mod login;
mod negotiation;
#[cfg(feature = "oidc")]
mod oidc;
mod plain;
mod sasl;
mod scram;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod x509;

use bson::{RawDocument, RawDocumentBuf};

use crate::error::{Error, Result};

#[cfg(feature = "aws")]
pub use aws::aws_source_report;
#[cfg(all(feature = "aws", any(test, fuzzing)))]
pub(crate) use aws::find_aws_keys;
pub(crate) use context::{AuthContext, LoginState};
pub(crate) use login::{Login, check};
pub(crate) use target::AuthTarget;

/// What a machine wants after a reply.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this command.
    Send(RawDocumentBuf),
    /// The server has been verified, and we are in.
    Done,
}

/// One conversation of one mechanism.
pub(crate) trait Mechanism: Send {
    /// The mechanism's name.
    fn name(&self) -> &'static str;
    /// The database that its commands run against.
    fn source(&self) -> &str;
    /// What it waits for now, in words: the step that an error names.
    fn step_name(&self) -> &'static str;
    /// The first command.
    fn start(&mut self) -> Result<RawDocumentBuf>;
    /// Judges a reply. Any error ends the machine for good; a reply with `ok: 0` never reaches it.
    fn step(&mut self, reply: &RawDocument) -> Result<Step>;
    /// A fresh machine to try once more with, after the server refused this one.
    fn retry(&self, _refused: &Error) -> Option<Box<dyn Mechanism>> {
        None
    }
    /// A refusal in this mechanism's words: who was refused, and what to look at.
    fn explain_refusal(&self, refused: Error) -> Error {
        refused
    }
    /// The number of the token that was used, where the mechanism has tokens that are kept.
    fn token(&self) -> Option<u64> {
        None
    }
    /// The document to send along with `hello`, for a mechanism that can start there.
    fn speculative(&mut self) -> Result<Option<RawDocumentBuf>> {
        Ok(None)
    }
}
