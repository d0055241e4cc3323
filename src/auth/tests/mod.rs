//! Tests of the mechanisms from outside: recorded conversations, negotiation, noise; and what such tests share.

pub(crate) mod noise;
pub(crate) mod peer;
mod replay;

use super::scram::KeyCache;
use super::tools::system_random;
use super::{Peer, Tools};
use crate::credential::ScramCredential;
use crate::policy::SecurityPolicy;
use crate::secret::Secret;
use crate::warning::WarningSink;

pub(crate) fn tools() -> Tools {
    Tools {
        random: system_random,
        keys: KeyCache::new(system_random).unwrap(),
        scram_max_iterations: 1_000_000,
        policy: SecurityPolicy::default(),

        alarm: WarningSink::default(),
        #[cfg(feature = "aws")]
        aws: super::aws::Surroundings::of_this_process(),
        #[cfg(feature = "oidc")]
        oidc: super::oidc::Surroundings::of_this_process(),
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
pub(crate) fn localhost() -> Peer<'static> {
    Peer { host: "localhost", ..Peer::unknown() }
}
