//! Tests of the mechanisms from outside: recorded conversations, negotiation, noise; and what such tests share.

pub(crate) mod noise;
pub(crate) mod peer;
mod replay;

use std::sync::Arc;

use super::scram::KeyCache;
use super::{AuthContext, AuthTarget};
use crate::credential::ScramCredential;
use crate::policy::SecurityPolicy;
use crate::secret::Secret;
use crate::system::RealSystem;
use crate::warning::WarningSink;

pub(crate) fn context() -> AuthContext {
    AuthContext {
        system: Arc::new(RealSystem),
        keys: KeyCache::new(&RealSystem).unwrap(),
        scram_max_iterations: 1_000_000,
        policy: SecurityPolicy::default(),

        alarm: WarningSink::default(),
        #[cfg(feature = "aws")]
        aws: super::aws::AwsState::new(Arc::new(RealSystem)),
        #[cfg(feature = "oidc")]
        oidc: super::oidc::OidcState::new(Arc::new(RealSystem)),
    }
}

pub(crate) fn credential(username: &str, password: &str) -> ScramCredential {
    ScramCredential {
        mechanism: None,
        username: username.to_owned(),
        password: Secret::from(password),
        source: "admin".to_owned(),
        plus_in_uri: false,
    }
}

/// A server on this machine, reached without TLS.
pub(crate) fn localhost() -> AuthTarget<'static> {
    AuthTarget { host: "localhost", ..AuthTarget::unknown() }
}
