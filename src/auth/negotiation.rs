//! A SCRAM login: which of the two mechanisms, what travels with `hello`, and the conversation.

use bson::{RawDocument, RawDocumentBuf};

use super::conversation::{Exchange, MECHANISM_UNAVAILABLE, run};
use super::sasl::Sasl;
use super::scram::Scram;
use super::{AuthContext, LoginState, Mechanism};
use crate::credential::{ScramCredential, ScramMechanism};
use crate::error::{Error, ErrorKind, Result, Stage};

/// A SCRAM login on one connection: [`Negotiation::supported_mechanisms`] and [`Negotiation::speculate`] before `hello`, [`Negotiation::finish`] after.
pub(crate) struct Negotiation<'a> {
    credential: &'a ScramCredential,
    context: &'a AuthContext,
    /// What an earlier login on the same connection came to.
    decided: Option<ScramMechanism>,
    speculation: Option<(ScramMechanism, Box<dyn Mechanism>)>,
}

impl<'a> Negotiation<'a> {
    pub(super) fn new(credential: &'a ScramCredential, context: &'a AuthContext) -> Self {
        Negotiation { credential, context, decided: None, speculation: None }
    }

    /// With the mechanism of this name, which an earlier login on the same connection came to.
    pub(super) fn decided(self, mechanism: Option<&str>) -> Self {
        let known = [ScramMechanism::Sha256, ScramMechanism::Sha1].into_iter();
        Negotiation { decided: known.into_iter().find(|known| Some(known.name()) == mechanism), ..self }
    }

    /// Refuses what can be refused before anything is connected.
    pub(super) fn check(&self) -> Result<()> {
        if self.credential.username.is_empty() {
            return Err(Error::invalid_argument("SCRAM needs a user name, and it is empty"));
        }
        if self.credential.mechanism == Some(ScramMechanism::Sha1) && self.context.policy.refuses_weak_mechanisms() {
            return Err(Error::invalid_argument("the security policy refuses weak mechanisms, and SCRAM-SHA-1 is one"));
        }
        match self.credential.mechanism {
            Some(mechanism) => self.machine(mechanism).map(drop),
            // Only the strong one may be used then, so the password must serve it.
            None if self.context.policy.refuses_weak_mechanisms() => self.machine(ScramMechanism::Sha256).map(drop),
            None => Ok(()),
        }
    }

    /// The user to ask the server about (`saslSupportedMechs`), where the mechanism is to be negotiated.
    pub(super) fn supported_mechanisms(&self) -> Option<String> {
        let ScramCredential { source, username, mechanism, .. } = self.credential;
        mechanism.is_none().then(|| format!("{source}.{username}"))
    }

    /// What to send along with `hello`: the start of the conversation that will most likely be wanted.
    pub(super) fn speculate(&mut self) -> Result<Option<RawDocumentBuf>> {
        let mechanism = self.credential.mechanism.unwrap_or(ScramMechanism::Sha256);
        let mut machine = match self.machine(mechanism) {
            Ok(machine) => machine,
            // A password without a prepared form may still be right for SCRAM-SHA-1.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidArgument) && self.credential.mechanism.is_none() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let command = machine.speculative()?;
        self.speculation = Some((mechanism, machine));
        Ok(command)
    }

    /// Logs in, given what the reply to `hello` said: the mechanisms it offers this user, and its answer to the speculation.
    pub(super) fn finish(
        mut self,
        offered: Option<&[String]>,
        speculative: Option<&RawDocument>,
        exchange: &mut Exchange<'_>,
    ) -> Result<LoginState> {
        let mechanism = self.choose(offered)?;
        let outcome = match (self.speculation.take(), speculative) {
            (Some((speculated, machine)), Some(_)) if speculated == mechanism => run(machine, speculative, exchange),
            _ => run(self.machine(mechanism)?, None, exchange),
        };
        outcome.map_err(|error| self.explain_refusal(error, mechanism, offered))
    }

    fn machine(&self, mechanism: ScramMechanism) -> Result<Box<dyn Mechanism>> {
        let scram = Scram::new(self.credential, mechanism, self.context)?;
        Ok(Box::new(Sasl::new(scram, &self.credential.source)))
    }

    /// An explicit mechanism is always honoured. Otherwise SCRAM-SHA-256 where the server offers it for this user, else
    /// SCRAM-SHA-1, and never another.
    fn choose(&self, offered: Option<&[String]>) -> Result<ScramMechanism> {
        if let Some(mechanism) = self.credential.mechanism.or(self.decided) {
            return Ok(mechanism);
        }
        let offered = offered.unwrap_or_default();
        if offered.iter().any(|name| name == ScramMechanism::Sha256.name()) {
            return Ok(ScramMechanism::Sha256);
        }
        if !self.context.policy.refuses_weak_mechanisms() {
            return Ok(ScramMechanism::Sha1);
        }
        // A server that does not tell is asked for the strong one: it will refuse what it can't do.
        if offered.is_empty() {
            return Ok(ScramMechanism::Sha256);
        }
        let stage = Stage::Authentication { mechanism: ScramMechanism::Sha256.name(), step: "negotiation" };
        let ScramCredential { source, username, .. } = self.credential;
        let message = format!(
            "the server does not offer SCRAM-SHA-256 to user {username:?} on database {source:?}, and the security policy \
             (refuse_weak_mechanisms) forbids SCRAM-SHA-1"
        );
        Err(Error::new(ErrorKind::Authentication, stage, message).with_hint(
            "set the user's password anew on a server of 4.0 or later, which then stores it for SCRAM-SHA-256 too",
        ))
    }

    /// A refusal, with who was refused and what to look at.
    fn explain_refusal(&self, error: Error, mechanism: ScramMechanism, offered: Option<&[String]>) -> Error {
        let (true, Some(code)) = (matches!(error.kind(), ErrorKind::Authentication), error.code()) else {
            return error;
        };
        let ScramCredential { source, username, .. } = self.credential;
        let mut hint = match code {
            MECHANISM_UNAVAILABLE => format!("this server does not offer {}", mechanism.name()),
            _ => format!(
                "check the user name, the password, and that the user was created on database {source:?} (authSource)"
            ),
        };
        match (self.credential.mechanism, offered.unwrap_or_default()) {
            (Some(_), _) => hint += "; without authMechanism the mechanism would be negotiated",
            (None, []) => hint += "; the server named no mechanism for this user, who may not exist there",
            (None, _) => {}
        }
        if self.credential.plus_in_uri {
            hint += "; a + in a connection string is a plus sign, a space is written %20";
        }
        let message = format!("the server refused user {username:?} on database {source:?}");
        error.with_message(message).with_hint(hint)
    }
}
