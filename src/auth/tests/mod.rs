//! Tests of the mechanisms from outside: recorded conversations, negotiation, noise; and what such tests share.

pub(crate) mod noise;
mod replay;
pub(crate) mod scram_server;

use std::sync::Arc;

use super::{AuthContext, AuthTarget};
use crate::credential::ScramCredential;
use crate::options::ClientOptions;
use crate::secret::Secret;
use crate::system::{RealSystem, System};

/// The context of a client with no more than defaults.
pub(crate) fn context() -> AuthContext {
    let options = ClientOptions::builder().host("localhost").build().settings().unwrap();
    let system: Arc<dyn System> = Arc::new(RealSystem);
    AuthContext::new(&options, &system).unwrap()
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
