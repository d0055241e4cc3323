//! One connection's login, whichever mechanism it is: what travels with `hello`, and the conversation.

use bson::{RawDocument, RawDocumentBuf};

use super::negotiation::Negotiation;
use super::run::Exchange;
use super::x509::X509Login;
use super::{Tools, x509};
use crate::credential::Credential;
use crate::error::{Error, Result};

/// A login on one connection: [`Login::supported_mechanisms`] and [`Login::speculate`] before `hello`, [`Login::finish`] after.
pub(crate) enum Login<'a> {
    /// SCRAM, perhaps negotiated.
    Scram(Negotiation<'a>),
    /// By the certificate that TLS presented.
    X509(X509Login<'a>),
}

impl<'a> Login<'a> {
    /// A login with this credential. Fails for a mechanism that has no machine here.
    pub(crate) fn new(credential: &'a Credential, tools: &'a Tools) -> Result<Self> {
        match credential {
            Credential::Scram(credential) => Ok(Login::Scram(Negotiation::new(credential, tools))),
            Credential::X509(credential) => Ok(Login::X509(X509Login::new(credential, tools))),
            other => {
                let name = other.mechanism().unwrap_or("this mechanism");
                Err(Error::not_supported(format!("authMechanism={name} is not supported yet")))
            }
        }
    }

    /// Refuses what can be refused before anything is connected.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Login::Scram(login) => login.check(),
            Login::X509(_) => Ok(()),
        }
    }

    /// The user to ask the server about (`saslSupportedMechs`), where the mechanism is to be negotiated.
    pub(crate) fn supported_mechanisms(&self) -> Option<String> {
        match self {
            Login::Scram(login) => login.supported_mechanisms(),
            Login::X509(_) => None,
        }
    }

    /// What to send along with `hello`: the start of the conversation that will most likely be wanted.
    pub(crate) fn speculate(&mut self) -> Result<Option<RawDocumentBuf>> {
        match self {
            Login::Scram(login) => login.speculate(),
            Login::X509(login) => login.speculate(),
        }
    }

    /// Logs in, given what the reply to `hello` said: the mechanisms it offers this user, and its answer to the speculation.
    /// Gives the mechanism that was used.
    pub(crate) fn finish(
        self,
        offered: Option<&[String]>,
        speculative: Option<&RawDocument>,
        exchange: &mut Exchange<'_>,
    ) -> Result<&'static str> {
        match self {
            Login::Scram(login) => login.finish(offered, speculative, exchange),
            Login::X509(login) => login.finish(speculative, exchange).map(|()| x509::NAME),
        }
    }
}
