//! What the logins of one client share.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "aws")]
use super::aws::AwsState;
#[cfg(feature = "gssapi")]
use super::gssapi::GssapiState;
#[cfg(feature = "oidc")]
use super::oidc::OidcState;
use super::scram::ScramState;
use crate::error::Result;
use crate::options::ClientSettings;
use crate::policy::SecurityPolicy;
use crate::system::System;
#[cfg(any(feature = "aws", feature = "gssapi"))]
use crate::warning::WarningSink;

/// What is made once for a client and handed to each of its logins; each mechanism gets its own part.
#[derive(Clone)]
pub(crate) struct AuthContext {
    /// Which risks are refused.
    pub(super) policy: SecurityPolicy,
    pub(super) scram: ScramState,
    #[cfg(feature = "aws")]
    pub(super) aws: AwsState,
    #[cfg(feature = "oidc")]
    pub(super) oidc: OidcState,
    #[cfg(feature = "gssapi")]
    pub(super) gssapi: GssapiState,
}

impl AuthContext {
    /// For a client with these options.
    ///
    /// Fails where the operating system has no random bytes to give.
    pub(crate) fn new(options: &ClientSettings, system: &Arc<dyn System>) -> Result<Self> {
        #[cfg(any(feature = "aws", feature = "gssapi"))]
        let warnings = WarningSink::new(options.warning_handler().cloned());
        Ok(AuthContext {
            policy: options.policy().clone(),
            scram: ScramState::new(system.clone(), options.scram_max_iterations())?,
            #[cfg(feature = "aws")]
            aws: AwsState::new(system.clone(), options.policy().clone(), warnings.clone()),
            #[cfg(feature = "oidc")]
            oidc: OidcState::new(system.clone()),
            #[cfg(feature = "gssapi")]
            gssapi: GssapiState::new(system.clone(), warnings),
        })
    }

    /// The client is closed: no thread waits for a token any more.
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
        self.scram.keys.len()
    }
}

impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext").finish_non_exhaustive()
    }
}
