//! What a mechanism looks like to the conversation that runs it.

use std::fmt;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use crate::error::{Error, Result};

/// One conversation of one mechanism: a state machine that knows no socket. It makes commands and validates replies.
///
/// [`Mechanism::start`] (or [`Mechanism::speculative`], for a start that travels with `hello`) is called first and once, then
/// [`Mechanism::step`] with each reply until it is done. After a refusal come [`Mechanism::retry`] and
/// [`Mechanism::explain_refusal`], after a success [`Mechanism::forget`].
pub(crate) trait Mechanism: Send {
    /// The mechanism's name.
    fn name(&self) -> &'static str;
    /// The database that its commands run against.
    fn source(&self) -> &str;
    /// The step that an error names: what the conversation waits for now.
    fn step_name(&self) -> &'static str;
    /// The first command.
    fn start(&mut self) -> Result<RawDocumentBuf>;
    /// Validates a reply. Any error ends the conversation; a reply with `ok: 0` never gets here.
    fn step(&mut self, reply: &RawDocument) -> Result<Step>;
    /// The document to send along with `hello`, for a mechanism that can start there.
    fn speculative(&mut self) -> Result<Option<RawDocumentBuf>> {
        Ok(None)
    }
    /// A fresh conversation to try once more with, after the server refused this one.
    fn retry(&self, _refused: &Error) -> Option<Box<dyn Mechanism>> {
        None
    }
    /// The refusal as an error of this mechanism: who was refused, and what to look at.
    fn explain_refusal(&self, refused: Error) -> Error {
        refused
    }
    /// The hint for a server without this mechanism: what it needs.
    fn explain_unavailable(&self) -> String {
        format!("this server does not offer {} (authenticationMechanisms)", self.name())
    }
    /// What to do before another login on the same connection, if this one used a cached token.
    fn forget(&self) -> Option<Forget> {
        None
    }
}

/// What a mechanism wants after a reply.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this command.
    Send(RawDocumentBuf),
    /// The server has been verified, and the login is complete.
    Done,
}

/// Forgets what a login used, because the server asks for another login.
#[derive(Clone)]
pub(crate) struct Forget(Arc<dyn Fn() + Send + Sync>);

impl Forget {
    #[cfg_attr(not(feature = "oidc"), allow(dead_code, reason = "only tokens are cached for later logins"))]
    pub(super) fn new(forget: impl Fn() + Send + Sync + 'static) -> Self {
        Forget(Arc::new(forget))
    }

    pub(super) fn run(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forget(..)")
    }
}
