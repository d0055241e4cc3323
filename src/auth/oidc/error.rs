//! Errors of the mechanism, with its stages.

use std::borrow::Cow;

use crate::error::{Error, FaultKind, Stage};

/// A failure before anything is sent to the server.
pub(super) fn failed(kind: FaultKind, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(kind, stage(TOKEN), message)
}

/// A server that breaks the rules at this step.
pub(super) fn broken(step: &'static str, what: &'static str) -> Error {
    Error::invalid_reply(stage(step), what)
}

pub(super) fn stage(step: &'static str) -> Stage {
    Stage::Authentication { mechanism: NAME, step }
}

/// The mechanism's name.
pub(super) const NAME: &str = "MONGODB-OIDC";

/// The step before anything is sent.
pub(super) const TOKEN: &str = "getting a token";

/// The step at which the server names its identity provider.
pub(super) const IDP: &str = "identity provider";
