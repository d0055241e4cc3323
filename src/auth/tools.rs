//! What a machine needs from outside itself.

use std::fmt;

use super::scram::KeyCache;
use crate::certificate::PresentedCertificate;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::options::ClientOptions;
use crate::policy::SecurityPolicy;
use crate::warning::WarningSink;

/// The impure things and the limits that are handed to a machine: one for each client.
#[derive(Clone)]
pub(crate) struct Tools {
    /// Fills a buffer with random bytes fit for a nonce.
    pub(super) random: fn(&mut [u8]) -> Result<()>,
    /// The keys of earlier SCRAM conversations of this client.
    pub(super) keys: KeyCache,
    /// How many iterations a SCRAM server may ask for.
    pub(super) scram_max_iterations: u32,
    /// Which risks are refused.
    pub(super) policy: SecurityPolicy,
    /// Where warnings go.
    #[allow(dead_code, reason = "mechanisms behind features warn")]
    pub(super) alarm: WarningSink,
    /// What MONGODB-AWS finds its keys with.
    #[cfg(feature = "aws")]
    pub(super) aws: super::aws::Surroundings,
    /// What MONGODB-OIDC gets and keeps its tokens with.
    #[cfg(feature = "oidc")]
    pub(super) oidc: super::oidc::Surroundings,
}

/// The server that one login is about, as far as a machine may know it.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each mechanism behind a feature looks at some of it")]
pub(crate) struct Peer<'a> {
    /// Its host, as the connection string has it; for a Unix socket, its path.
    pub(crate) host: &'a str,
    /// When the operation that waits for this login must end.
    pub(crate) deadline: Deadline,
    /// When one step of the login must end: what each of its commands is given.
    pub(crate) step_deadline: Deadline,
    /// When the making of this connection must end: what is left of `connectTimeoutMS`, and of the operation's time.
    pub(crate) connect_deadline: Deadline,
    /// Whether TLS has verified the server in full.
    pub(crate) verified: bool,
    /// The certificate of ours that it got to see, where TLS can tell.
    pub(crate) presented: Option<&'a PresentedCertificate>,
}

/// What one connection keeps of its login, for the next one on it: a server may ask for another in mid-life.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginState {
    /// The mechanism that logged it in.
    pub(crate) mechanism: Option<&'static str>,
    /// The number of the token that was used, where the mechanism has tokens that are kept.
    #[cfg_attr(not(feature = "oidc"), allow(dead_code, reason = "no mechanism has such tokens"))]
    pub(super) token: Option<u64>,
}

impl Peer<'_> {
    /// No server yet: for judging a credential by itself.
    pub(super) fn unknown() -> Self {
        Peer {
            host: "",
            deadline: Deadline::NEVER,
            step_deadline: Deadline::NEVER,
            connect_deadline: Deadline::NEVER,
            verified: false,
            presented: None,
        }
    }
}

impl Tools {
    /// Those of a client with these options.
    ///
    /// Fails where the operating system has no random bytes to give.
    pub(crate) fn new(options: &ClientOptions) -> Result<Self> {
        Ok(Tools {
            random: system_random,
            keys: KeyCache::new(system_random)?,
            scram_max_iterations: options.scram_max_iterations,
            policy: options.policy.clone(),
            alarm: WarningSink::new(options.warning_handler.clone()),
            #[cfg(feature = "aws")]
            aws: super::aws::Surroundings::of_this_process(),
            #[cfg(feature = "oidc")]
            oidc: super::oidc::Surroundings::of_this_process(),
        })
    }

    /// The client is closed: nobody waits for a token any more.
    pub(crate) fn close(&self) {
        #[cfg(feature = "oidc")]
        self.oidc.close();
    }
}

#[cfg(test)]
impl Tools {
    pub(crate) fn set_policy(&mut self, policy: SecurityPolicy) {
        self.policy = policy;
    }

    pub(crate) fn remembered_keys(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").finish_non_exhaustive()
    }
}

pub(super) fn system_random(buffer: &mut [u8]) -> Result<()> {
    getrandom::fill(buffer).map_err(|error| {
        Error::new(ErrorKind::Io, Stage::Options, "the operating system gave no random bytes").with_source(error)
    })
}
