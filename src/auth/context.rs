//! What the mechanisms of one client share: caches, limits, the policy, and the way to the system.

use std::fmt;
use std::sync::Arc;

use super::scram::KeyCache;
use crate::error::Result;
use crate::options::ClientOptions;
use crate::policy::SecurityPolicy;
use crate::system::System;
use crate::warning::WarningSink;

/// What is made once for a client and handed to each of its logins.
#[derive(Clone)]
pub(crate) struct AuthContext {
    /// The source of nonces.
    pub(super) system: Arc<dyn System>,
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
    pub(super) aws: super::aws::AwsState,
    /// What MONGODB-OIDC gets and keeps its tokens with.
    #[cfg(feature = "oidc")]
    pub(super) oidc: super::oidc::OidcState,
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

impl AuthContext {
    /// For a client with these options.
    ///
    /// Fails where the operating system has no random bytes to give.
    pub(crate) fn new(options: &ClientOptions, system: &Arc<dyn System>) -> Result<Self> {
        Ok(AuthContext {
            system: system.clone(),
            keys: KeyCache::new(&**system)?,
            scram_max_iterations: options.scram_max_iterations,
            policy: options.policy.clone(),
            alarm: WarningSink::new(options.warning_handler.clone()),
            #[cfg(feature = "aws")]
            aws: super::aws::AwsState::new(system.clone()),
            #[cfg(feature = "oidc")]
            oidc: super::oidc::OidcState::new(system.clone()),
        })
    }

    /// The client is closed: nobody waits for a token any more.
    pub(crate) fn close(&self) {
        #[cfg(feature = "oidc")]
        self.oidc.close();
    }
}

#[cfg(test)]
impl AuthContext {
    pub(crate) fn set_policy(&mut self, policy: SecurityPolicy) {
        self.policy = policy;
    }

    pub(crate) fn remembered_keys(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext").finish_non_exhaustive()
    }
}
