//! One connection's login: which mechanism, what travels with `hello`, and what a refusal means.

use std::fmt;

use bson::{RawDocument, RawDocumentBuf};

#[cfg(feature = "aws")]
use super::aws::Aws;
use super::context::AuthContext;
use super::cr::Cr;
use super::mechanism::{Forget, Mechanism};
#[cfg(feature = "oidc")]
use super::oidc::Oidc;
use super::plain::Plain;
use super::sasl::Sasl;
use super::scram::Scram;
use super::target::AuthTarget;
use super::x509::X509;
use crate::characters;
#[cfg(any(feature = "aws", feature = "oidc"))]
use crate::credential::EXTERNAL;
use crate::credential::{Credential, ScramCredential, ScramMechanism};
use crate::error::{Error, ErrorKind, FaultKind, Result, Stage, codes, command_error};
#[cfg(not(all(feature = "aws", feature = "oidc", feature = "gssapi")))]
use crate::options::needed_feature;

/// A login on one connection: [`Login::user_to_ask_about`] and [`Login::speculate`] before `hello`; after it [`Login::begin`], whose
/// conversation [`authenticate`](super::authenticate) runs, and [`Login::explain_refusal`] if that fails.
pub(crate) struct Login<'a> {
    credential: &'a Credential,
    context: &'a AuthContext,
    target: &'a AuthTarget<'a>,
    /// The SCRAM mechanism that was chosen, in this login or an earlier one on the same connection.
    scram: Option<ScramMechanism>,
    /// The conversation whose start travelled with `hello`.
    speculation: Option<Box<dyn Mechanism>>,
}

/// What one connection keeps of its login, for the next one on it: a server may ask for another at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginState {
    /// The mechanism that logged it in.
    pub(crate) mechanism: Option<&'static str>,
    /// What to do before another login.
    pub(super) forget: Option<Forget>,
}

/// The conversation whose start travelled with `hello`, until the login goes on.
#[derive(Default)]
pub(crate) struct Speculation(Option<Box<dyn Mechanism>>);

impl fmt::Debug for Speculation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Speculation").field(&self.0.as_ref().map(|mechanism| mechanism.name())).finish()
    }
}

impl<'a> Login<'a> {
    /// A login with this credential at this server.
    pub(crate) fn new(credential: &'a Credential, context: &'a AuthContext, target: &'a AuthTarget<'a>) -> Self {
        Login { credential, context, target, scram: None, speculation: None }
    }

    /// A further login on a connection: with the same mechanism, without `hello`, and with another token.
    pub(crate) fn again(
        credential: &'a Credential,
        context: &'a AuthContext,
        target: &'a AuthTarget<'a>,
        state: &LoginState,
    ) -> Self {
        if let Some(forget) = &state.forget {
            forget.run();
        }
        let known = [ScramMechanism::Sha256, ScramMechanism::Sha1];
        let scram = known.into_iter().find(|scram| Some(scram.name()) == state.mechanism);
        Login { scram, ..Login::new(credential, context, target) }
    }

    /// What must be stored between `hello` and the rest of the login, which another thread may do.
    pub(crate) fn into_speculation(self) -> Speculation {
        Speculation(self.speculation)
    }

    /// Goes on with a login whose start travelled with `hello`.
    pub(crate) fn resume(
        credential: &'a Credential,
        context: &'a AuthContext,
        target: &'a AuthTarget<'a>,
        speculation: Speculation,
    ) -> Self {
        Login { speculation: speculation.0, ..Login::new(credential, context, target) }
    }

    /// The user to ask the server about (`saslSupportedMechs`), where the mechanism is to be negotiated.
    pub(crate) fn user_to_ask_about(&self) -> Option<String> {
        match self.credential {
            Credential::Scram(ScramCredential { mechanism: None, source, username, .. }) => {
                Some(format!("{source}.{username}"))
            }
            _ => None,
        }
    }

    /// What to send along with `hello`: the start of the conversation that will most likely be wanted.
    pub(crate) fn speculate(&mut self) -> Result<Option<RawDocumentBuf>> {
        let negotiated = self.user_to_ask_about().is_some();
        let mut mechanism = match self.conversation(ScramMechanism::Sha256) {
            Ok(mechanism) => mechanism,
            // A password without a prepared form may still be right for SCRAM-SHA-1.
            Err(error) if negotiated && matches!(error.kind(), ErrorKind::InvalidArgument { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let start = mechanism.speculative()?;
        self.speculation = start.is_some().then_some(mechanism);
        Ok(start)
    }

    /// The conversation to run, and the server's answer to its speculative start, if it has both.
    ///
    /// `offered` and `speculative` are what the reply to `hello` said. An answer to a question that was not asked is passed over.
    pub(crate) fn begin<'r>(
        &mut self,
        offered: Option<&[String]>,
        speculative: Option<&'r RawDocument>,
    ) -> Result<(Box<dyn Mechanism>, Option<&'r RawDocument>)> {
        let scram = match self.credential {
            Credential::Scram(credential) => self.choose_scram(credential, offered.unwrap_or_default())?,
            _ => ScramMechanism::Sha256, // not used
        };
        self.scram = Some(scram);
        let negotiated = matches!(self.credential, Credential::Scram(_));
        let speculation = self.speculation.take().filter(|chosen| !negotiated || chosen.name() == scram.name());
        match (speculation, speculative.filter(|answer| is_accepted(answer))) {
            (Some(mechanism), Some(answer)) => Ok((mechanism, Some(answer))),
            _ => Ok((self.conversation(scram)?, None)),
        }
    }

    /// A fresh conversation; where the mechanism is negotiated, by `negotiated`. Fails for a mechanism that is not in this build, and
    /// where the credential cannot work.
    fn conversation(&self, negotiated: ScramMechanism) -> Result<Box<dyn Mechanism>> {
        let (context, target) = (self.context, self.target);
        match self.credential {
            Credential::Scram(credential) => {
                let mechanism = credential.mechanism.unwrap_or(negotiated);
                let scram = Scram::new(credential, mechanism, &context.scram, target.step_deadline)?;
                Ok(Box::new(Sasl::new(scram, &credential.source)))
            }
            Credential::Plain(credential) => Ok(Box::new(Sasl::new(Plain::new(credential), &credential.source))),
            Credential::Cr(credential) => Ok(Box::new(Cr::new(credential))),
            Credential::X509(credential) => Ok(Box::new(X509::new(credential, target.presented.cloned()))),
            #[cfg(feature = "aws")]
            Credential::Aws(credential) => {
                Ok(Box::new(Sasl::new(Aws::new(credential, &context.aws, target)?, EXTERNAL)))
            }
            #[cfg(feature = "oidc")]
            Credential::Oidc(credential) => {
                Ok(Box::new(Sasl::new(Oidc::new(credential, &context.oidc, target), EXTERNAL)))
            }
            #[cfg(feature = "gssapi")]
            Credential::Gssapi(credential) => super::gssapi::conversation(credential, &context.gssapi, target),
            #[cfg(not(all(feature = "aws", feature = "oidc", feature = "gssapi")))]
            other => {
                Err(needed_feature(other).unwrap_or_else(|| Error::not_supported("the mechanism is not supported")))
            }
        }
    }

    /// A named mechanism is always used. Otherwise SCRAM-SHA-256 where the server offers it for this user, else
    /// SCRAM-SHA-1, and never another.
    fn choose_scram(&self, credential: &ScramCredential, offered: &[String]) -> Result<ScramMechanism> {
        if let Some(mechanism) = credential.mechanism.or(self.scram) {
            return Ok(mechanism);
        }
        if offered.iter().any(|name| name == ScramMechanism::Sha256.name()) {
            return Ok(ScramMechanism::Sha256);
        }
        if !self.context.policy.refuses_weak_mechanisms() {
            return Ok(ScramMechanism::Sha1);
        }
        // If the server lists no mechanism, the stronger one is tried. A server without it refuses the login.
        if offered.is_empty() {
            return Ok(ScramMechanism::Sha256);
        }
        let stage = Stage::Authentication { mechanism: ScramMechanism::Sha256.name(), step: "negotiation" };
        let ScramCredential { source, username, .. } = credential;
        let message = format!(
            "the server does not offer SCRAM-SHA-256 to user {username:?} on database {source:?}, and the security policy \
             (refuse_weak_mechanisms) forbids SCRAM-SHA-1"
        );
        Err(Error::new(FaultKind::Authentication, stage, message).with_hint(
            "set the user's password anew on a server of 4.0 or later, which then stores it for SCRAM-SHA-256 too",
        ))
    }

    /// A refusal of SCRAM, with who was refused and what to look at. Other mechanisms explain their own.
    pub(crate) fn explain_refusal(&self, error: Error, offered: Option<&[String]>) -> Error {
        let (Credential::Scram(credential), ErrorKind::Authentication { .. }, Some(code)) =
            (self.credential, error.kind(), error.code())
        else {
            return error;
        };
        let ScramCredential { source, username, .. } = credential;
        let mut hint = match code {
            codes::MECHANISM_UNAVAILABLE => {
                format!("this server does not offer {}", self.scram.unwrap_or(ScramMechanism::Sha256).name())
            }
            _ => format!(
                "check the user name, the password, and that the user was created on database {source:?} (authSource)"
            ),
        };
        match (credential.mechanism, offered.unwrap_or_default()) {
            (Some(_), _) => hint += "; without authMechanism the mechanism would be negotiated",
            (None, []) => hint += "; the server named no mechanism for this user, who may not exist there",
            (None, _) => {}
        }
        if let Some(stray) = characters::stray(credential.password.expose()) {
            hint += &format!("; the password {stray}");
        }
        if credential.plus_in_uri {
            hint += "; a + in a connection string is a plus sign, a space is written %20";
        }
        let message = format!("the server refused user {username:?} on database {source:?}");
        error.with_message(message).with_hint(hint)
    }
}

/// Whether a server accepted a speculative start. Its answer has no `ok` of its own; one that says `ok: 0` is passed over.
fn is_accepted(answer: &RawDocument) -> bool {
    matches!(answer.get("ok"), Ok(None)) || command_error(answer, Stage::Hello).is_none()
}

/// Refuses what can be refused before anything is connected.
pub(crate) fn check(credential: &Credential, context: &AuthContext) -> Result<()> {
    let weak_is_refused = context.policy.refuses_weak_mechanisms();
    if let Credential::Scram(credential) = credential {
        if credential.username.is_empty() {
            return Err(Error::invalid_argument("SCRAM needs a user name, and it is empty"));
        }
        if credential.mechanism == Some(ScramMechanism::Sha1) && weak_is_refused {
            return Err(Error::invalid_argument("the security policy refuses weak mechanisms, and SCRAM-SHA-1 is one"));
        }
        if credential.mechanism.is_none() && !weak_is_refused {
            return Ok(()); // SCRAM-SHA-1 takes every password.
        }
    }
    Login::new(credential, context, &AuthTarget::unknown()).conversation(ScramMechanism::Sha256).map(drop)
}
