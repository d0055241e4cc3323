//! One connection's login, whichever mechanism it is: what travels with `hello`, and the conversation.

use bson::{RawDocument, RawDocumentBuf};

#[cfg(feature = "aws")]
use super::aws::Aws;
use super::conversation::{Exchange, run};
use super::cr::Cr;
use super::negotiation::Negotiation;
#[cfg(feature = "oidc")]
use super::oidc::Oidc;
use super::plain::Plain;
use super::sasl::Sasl;
use super::x509::X509;
use super::{AuthContext, AuthTarget, LoginState, Mechanism};
use crate::credential::Credential;
#[cfg(any(feature = "aws", feature = "oidc"))]
use crate::credential::EXTERNAL;
use crate::error::{Error, Result, Stage, command_error};

/// A login on one connection: [`Login::supported_mechanisms`] and [`Login::speculate`] before `hello`, [`Login::finish`] after.
pub(crate) enum Login<'a> {
    /// SCRAM, perhaps negotiated.
    Scram(Negotiation<'a>),
    /// A mechanism that was named.
    Named(Named<'a>),
}

impl<'a> Login<'a> {
    /// A login with this credential at this server.
    pub(crate) fn new(credential: &'a Credential, context: &'a AuthContext, target: &'a AuthTarget<'a>) -> Self {
        match credential {
            Credential::Scram(credential) => Login::Scram(Negotiation::new(credential, context)),
            named => Login::Named(Named { credential: named, context, target, speculation: None }),
        }
    }

    /// Another login on a connection that has one: by the mechanism that it had, without a hello, and not by the same token.
    pub(crate) fn again(
        credential: &'a Credential,
        context: &'a AuthContext,
        target: &'a AuthTarget<'a>,
        state: &LoginState,
    ) -> Self {
        #[cfg(feature = "oidc")]
        context.oidc.forget(state.token);
        match Login::new(credential, context, target) {
            Login::Scram(login) => Login::Scram(login.decided(state.mechanism)),
            named => named,
        }
    }

    /// The user to ask the server about (`saslSupportedMechs`), where the mechanism is to be negotiated.
    pub(crate) fn supported_mechanisms(&self) -> Option<String> {
        match self {
            Login::Scram(login) => login.supported_mechanisms(),
            Login::Named(_) => None,
        }
    }

    /// What to send along with `hello`: the start of the conversation that will most likely be wanted.
    pub(crate) fn speculate(&mut self) -> Result<Option<RawDocumentBuf>> {
        match self {
            Login::Scram(login) => login.speculate(),
            Login::Named(login) => login.speculate(),
        }
    }

    /// Logs in, given what the reply to `hello` said: the mechanisms it offers this user, and its answer to the speculation.
    pub(crate) fn finish(
        self,
        offered: Option<&[String]>,
        speculative: Option<&RawDocument>,
        exchange: &mut Exchange<'_>,
    ) -> Result<LoginState> {
        let speculative = speculative.filter(|reply| is_answer(reply));
        match self {
            Login::Scram(login) => login.finish(offered, speculative, exchange),
            Login::Named(login) => login.finish(speculative, exchange),
        }
    }
}

/// Whether a server's answer to a speculation is one. It has no `ok` of its own; one that says no counts as none.
fn is_answer(reply: &RawDocument) -> bool {
    matches!(reply.get("ok"), Ok(None)) || command_error(reply, Stage::Hello).is_none()
}

/// Refuses what can be refused before anything is connected.
pub(crate) fn check(credential: &Credential, context: &AuthContext) -> Result<()> {
    match credential {
        Credential::Scram(credential) => Negotiation::new(credential, context).check(),
        named => machine(named, context, &AuthTarget::unknown()).map(drop),
    }
}

/// A login by the one mechanism that was named.
pub(crate) struct Named<'a> {
    credential: &'a Credential,
    context: &'a AuthContext,
    target: &'a AuthTarget<'a>,
    speculation: Option<Box<dyn Mechanism>>,
}

impl Named<'_> {
    fn speculate(&mut self) -> Result<Option<RawDocumentBuf>> {
        let mut machine = machine(self.credential, self.context, self.target)?;
        let start = machine.speculative()?;
        // What answers a question that was not asked is passed over.
        self.speculation = start.is_some().then_some(machine);
        Ok(start)
    }

    fn finish(mut self, speculative: Option<&RawDocument>, exchange: &mut Exchange<'_>) -> Result<LoginState> {
        let machine = match (self.speculation.take(), speculative) {
            (Some(machine), Some(_)) => machine,
            _ => machine(self.credential, self.context, self.target)?,
        };
        run(machine, speculative, exchange)
    }
}

/// The machine of a mechanism that was named. Fails for one that has none here, and where the credential cannot work.
#[allow(unused_variables, reason = "only mechanisms behind features look at the target")]
fn machine(credential: &Credential, context: &AuthContext, target: &AuthTarget<'_>) -> Result<Box<dyn Mechanism>> {
    match credential {
        Credential::Plain(credential) => Ok(Box::new(Sasl::new(Plain::new(credential), &credential.source))),
        Credential::Cr(credential) => Ok(Box::new(Cr::new(credential))),
        Credential::X509(credential) => Ok(Box::new(X509::new(credential, target.presented.cloned()))),
        #[cfg(feature = "aws")]
        Credential::Aws(credential) => Ok(Box::new(Sasl::new(Aws::new(credential, context, target)?, EXTERNAL))),
        #[cfg(feature = "oidc")]
        Credential::Oidc(credential) => Ok(Box::new(Sasl::new(Oidc::new(credential, context, target), EXTERNAL))),
        #[cfg(feature = "gssapi")]
        Credential::Gssapi(credential) => super::gssapi::machine(credential, context, target),
        other => {
            let name = other.mechanism().unwrap_or("this mechanism");
            Err(Error::not_supported(format!("authMechanism={name} is not supported yet")))
        }
    }
}
