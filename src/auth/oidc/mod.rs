//! MONGODB-OIDC: the client sends a token of an identity provider, and the server validates it.
//!
//! With a token at hand there is one message: the token. With a human callback there may be two: the first has the user name, and
//! the server answers with its identity provider; the second has the token. [`cache`] holds the token for all connections of a
//! client and runs one callback at a time; [`callback`] calls the program's function; [`environment`] reads metadata services,
//! files and programs. A token is obtained before the message that contains it is begun.

mod azure;
mod cache;
mod callback;
mod environment;
mod error;
mod gcp;
mod idp;
mod metadata_service;
mod token_text;

#[cfg(any(test, fuzzing))]
pub(crate) use azure::token as azure_token;
#[cfg(any(test, fuzzing))]
pub(crate) use gcp::token as gcp_token;
#[cfg(any(test, fuzzing))]
pub(crate) use idp::read as read_identity_provider;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use zeroize::Zeroizing;

use super::mechanism::Forget;
use super::sasl::{SaslClient, SaslStep, explain_missing_from_community};
use super::target::AuthTarget;
use crate::credential::{AllowedHosts, IdpServerInfo, OidcCredential, OidcSource, SharedOidcCallback};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, codes};
use crate::secret::Secret;
use crate::system::System;

use cache::{Cache, Call, Lookup, Token};
use callback::Asked;
use error::{IDP, NAME, TOKEN, broken, stage};

/// What the MONGODB-OIDC conversations of one client share.
#[derive(Clone)]
pub(super) struct OidcState {
    system: Arc<dyn System>,
    cache: Arc<Cache>,
}

impl OidcState {
    pub(super) fn new(system: Arc<dyn System>) -> Self {
        OidcState { system, cache: Arc::default() }
    }

    /// The client is closed.
    pub(super) fn close(&self) {
        self.cache.close();
    }

    /// The server does not take this token any more.
    fn forget(&self, token: Option<u64>) {
        if let Some(number) = token {
            self.cache.invalidate(number);
        }
    }
}

/// The client's side of the conversation.
pub(super) struct Oidc {
    tokens: TokenSource,
    /// Taken from the cache to travel with `hello`.
    speculative: Option<Arc<Token>>,
    /// What this conversation used.
    used: Option<Used>,
    state: State,
}

/// What stays the same from one try to the next.
#[derive(Clone)]
struct TokenSource {
    credential: OidcCredential,
    shared: OidcState,
    host: String,
    limits: Limits,
    tries: u32,
}

/// Until when what may take.
#[derive(Clone, Copy)]
struct Limits {
    /// A callback for a service, an environment, a file, a program.
    machine: Deadline,
    /// The wait for another thread's callback.
    wait: Deadline,
}

/// Which token was sent, and where it came from.
struct Used {
    number: Option<u64>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It was in the cache.
    Cached,
    /// A human callback got it with a refresh token.
    Refreshed,
    /// It was obtained for this conversation.
    Fresh,
}

/// What it waits for.
enum State {
    Unstarted,
    /// The server's identity provider.
    Idp,
    Verdict,
    Over,
}

impl Oidc {
    pub(super) fn new(credential: &OidcCredential, shared: &OidcState, target: &AuthTarget<'_>) -> Self {
        let machine = match target.deadline.instant() {
            Some(_) => target.connect_deadline,
            None => Deadline::after(MACHINE_LIMIT).named("the limit of a MONGODB-OIDC token request"),
        };
        let wait = match credential.source {
            OidcSource::HumanCallback { .. } => human_limit().earliest(target.deadline),
            _ => machine,
        };
        Oidc::with(TokenSource {
            credential: credential.clone(),
            shared: shared.clone(),
            host: target.host.to_owned(),
            limits: Limits { machine, wait },
            tries: 0,
        })
    }

    fn with(tokens: TokenSource) -> Self {
        Oidc { tokens, speculative: None, used: None, state: State::Unstarted }
    }

    fn show(&mut self, token: &Token, how: How) -> Zeroizing<Vec<u8>> {
        self.used = Some(Used { number: Some(token.number), how });
        self.state = State::Verdict;
        jwt(&token.text)
    }
}

impl TokenSource {
    /// The token of a service: from the cache, or from its callback or environment.
    fn workload_token(&self) -> Result<(Arc<Token>, How)> {
        let call = match self.shared.cache.look_up(false, self.limits.wait)? {
            Lookup::Use(token) => return Ok((token, How::Cached)),
            Lookup::Call(call) => call,
        };
        let response = match &self.credential.source {
            OidcSource::Callback(provider) => {
                let username = self.credential.username.as_deref();
                let asked = Asked { username, idp_info: None, refresh_token: None };
                callback::ask(provider, &call, asked, self.limits.machine)?
            }
            _ => {
                call.pause();
                let response = self.environment();
                call.called();
                response?
            }
        };
        Ok((call.finish(response, None), How::Fresh))
    }

    /// The token of a human user: from the cache, or by a refresh token. `None` if the server has to be asked for its identity provider
    /// first.
    fn human_token(&self) -> Result<Option<(Arc<Token>, How)>> {
        let (provider, allowed_hosts) = self.human()?;
        self.check_host(&allowed_hosts)?;
        match self.shared.cache.look_up(true, self.limits.wait)? {
            Lookup::Use(token) => Ok(Some((token, How::Cached))),
            Lookup::Call(call) => match call.refresh() {
                Some((info, refresh)) => {
                    let token = self.ask_person(provider, call, info, Some(refresh))?;
                    Ok(Some((token, How::Refreshed)))
                }
                None => Ok(None), // no other thread has to wait while the server is asked
            },
        }
    }

    /// The server has named its identity provider; meanwhile another thread may have got a token.
    fn human_token_from(&self, info: IdpServerInfo) -> Result<(Arc<Token>, How)> {
        let (provider, _) = self.human()?;
        match self.shared.cache.look_up(true, self.limits.wait)? {
            Lookup::Use(token) => Ok((token, How::Cached)),
            Lookup::Call(call) => Ok((self.ask_person(provider, call, info, None)?, How::Fresh)),
        }
    }

    fn human(&self) -> Result<(SharedOidcCallback, AllowedHosts)> {
        match &self.credential.source {
            OidcSource::HumanCallback { callback, allowed_hosts } => Ok((callback.clone(), allowed_hosts.clone())),
            _ => Err(broken(IDP, "the server names an identity provider, and this driver did not ask")),
        }
    }

    /// The server may be hostile, and the token of a human user usually grants access to more than this server.
    fn check_host(&self, allowed: &AllowedHosts) -> Result<()> {
        if allowed.allow(&self.host) {
            return Ok(());
        }
        let message = format!("the host {:?} is not among the allowed hosts of the human callback", self.host);
        Err(Error::new(FaultKind::InvalidArgument, stage(TOKEN), message)
            .with_hint(format!("allowed are: {}; oidc_allowed_hosts names others", allowed.entries().join(", "))))
    }

    fn ask_person(
        &self,
        provider: SharedOidcCallback,
        call: Call<'_>,
        info: IdpServerInfo,
        refresh: Option<Secret>,
    ) -> Result<Arc<Token>> {
        let username = self.credential.username.as_deref();
        let asked = Asked { username, idp_info: Some(info.clone()), refresh_token: refresh };
        let response = callback::ask(&provider, &call, asked, human_limit())?;
        Ok(call.finish(response, Some(info)))
    }

    /// The first message where there is no token: who logs in.
    fn principal(&self) -> Zeroizing<Vec<u8>> {
        let mut message = RawDocumentBuf::new();
        if let Some(username) = &self.credential.username {
            message.append(cstr!("n"), username.as_str());
        }
        Zeroizing::new(message.into_bytes())
    }
}

impl SaslClient for Oidc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Unstarted => TOKEN,
            State::Idp => IDP,
            State::Verdict => "verdict",
            State::Over => "end",
        }
    }

    fn start(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let State::Unstarted = mem::replace(&mut self.state, State::Over) else {
            return Err(broken("end", "this conversation was started before"));
        };
        if let Some(token) = self.speculative.take() {
            if let OidcSource::HumanCallback { allowed_hosts, .. } = &self.tokens.credential.source {
                self.tokens.check_host(allowed_hosts)?;
            }
            return Ok(self.show(&token, How::Cached));
        }
        let (token, how) = match &self.tokens.credential.source {
            OidcSource::TokenFile(_) | OidcSource::TokenCommand(_) => {
                let token = self.tokens.read_anew()?;
                self.used = Some(Used { number: None, how: How::Fresh });
                self.state = State::Verdict;
                return Ok(jwt(&token));
            }
            OidcSource::HumanCallback { .. } => match self.tokens.human_token()? {
                Some(got) => got,
                None => {
                    self.state = State::Idp;
                    return Ok(self.tokens.principal());
                }
            },
            OidcSource::Environment(_) | OidcSource::Callback(_) => self.tokens.workload_token()?,
        };
        Ok(self.show(&token, how))
    }

    fn step(&mut self, challenge: &[u8]) -> Result<SaslStep> {
        match mem::replace(&mut self.state, State::Over) {
            State::Idp => {
                let info = idp::read(challenge).map_err(|what| broken(IDP, what))?;
                let (token, how) = self.tokens.human_token_from(info)?;
                Ok(SaslStep::Payload(self.show(&token, how)))
            }
            State::Verdict => Ok(SaslStep::Finished),
            State::Unstarted | State::Over => Err(broken("end", "this conversation is over")),
        }
    }

    /// The user is not asked for a token that the server would not read.
    fn refuses_early_done(&self) -> bool {
        matches!(self.state, State::Idp)
    }

    fn expects_done(&self) -> bool {
        true
    }

    /// Only a cached token is sent with `hello`. No callback is called before the server has answered.
    fn may_speculate(&mut self) -> bool {
        let keeps = !matches!(self.tokens.credential.source, OidcSource::TokenFile(_) | OidcSource::TokenCommand(_));
        let kept = self.tokens.shared.cache.cached();
        self.speculative = kept.filter(|token| keeps && token.text.expose().len() <= MAX_SPECULATIVE);
        self.speculative.is_some()
    }

    /// A cached token that the server refuses has probably expired. So has a refresh token if the server refuses its new token.
    fn retry(&self, refused: &Error) -> Option<Self> {
        let (Some(codes::AUTHENTICATION_FAILED | codes::REAUTHENTICATION_REQUIRED), Some(used)) =
            (refused.code(), &self.used)
        else {
            return None;
        };
        let human = matches!(self.tokens.credential.source, OidcSource::HumanCallback { .. });
        let tries = self.tokens.tries + 1;
        match (used.how, used.number) {
            (How::Cached, number) if tries == 1 || human => self.tokens.shared.forget(number),
            (How::Refreshed, Some(number)) => self.tokens.shared.cache.invalidate_with_refresh_token(number),
            _ => return None,
        }
        Some(Oidc::with(TokenSource { tries, ..self.tokens.clone() }))
    }

    fn explain_refusal(&self, refused: Error) -> Error {
        let (Some(codes::AUTHENTICATION_FAILED), Some(_)) = (refused.code(), &self.used) else { return refused };
        let from = match &self.tokens.credential.source {
            OidcSource::Environment(environment) => format!("ENVIRONMENT {}", environment.name()),
            OidcSource::Callback(_) => "the callback".to_owned(),
            OidcSource::HumanCallback { .. } => "the human callback".to_owned(),
            OidcSource::TokenFile(path) => format!("the file {}", path.display()),
            OidcSource::TokenCommand(command) => format!("the program {:?}", command.program()),
        };
        let refused = refused.with_message(format!("the server refused the token (from {from})"));
        match refused.hint() {
            Some(_) => refused,
            None => refused.with_hint(
                "the token's issuer and audience must be those of one of the server's oidcIdentityProviders, the token must not \
                 have expired, and its user or one of its groups must have a role",
            ),
        }
    }

    fn explain_unavailable(&self) -> String {
        explain_missing_from_community(NAME)
    }

    fn forget(&self) -> Option<Forget> {
        let number = self.used.as_ref()?.number?;
        let cache = self.tokens.shared.cache.clone();
        Some(Forget::new(move || cache.invalidate(number)))
    }
}

/// The limit of each single call. The time of other calls does not count, and the limit of the operation does not apply.
fn human_limit() -> Deadline {
    Deadline::after(HUMAN_LIMIT).named("the limit of a MONGODB-OIDC human callback")
}

fn jwt(token: &Secret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(rawdoc! { "jwt": token.expose() }.into_bytes())
}

/// How long a service may take for a token where the operation has no limit.
const MACHINE_LIMIT: Duration = Duration::from_secs(60);

/// How long a human callback may take.
const HUMAN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The longest token that travels with `hello`. That message is larger than the one that is nothing but the token, so a
/// server might close the connection because of a token that it accepts in the smaller message.
const MAX_SPECULATIVE: usize = 12 * 1024;

#[cfg(test)]
pub(in crate::auth) mod tests;
