//! Where AWS keys come from when none are given: the environment.

use super::world::World;
use super::{SEARCH, stage};
use crate::credential::{AwsKeys, AwsSkipped, AwsSource};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};

/// Keys that were found, and the sources before them that had none.
pub(super) struct Found {
    pub(super) keys: AwsKeys,
    pub(super) source: AwsSource,
    pub(super) skipped: Vec<AwsSkipped>,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// In every source, in order.
    Everywhere,
    /// Not among the keys of the environment: fetched keys are to be refreshed from what fetches.
    PastEnvironment,
}

/// Looks for keys, source by source, and takes the first that has some.
pub(super) fn find(world: &dyn World, look: Look, _deadline: Deadline) -> Result<Found> {
    let set = |name| world.variable(name).filter(|value| !value.is_empty());
    let ours = (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY"), set("AWS_SESSION_TOKEN"));
    let what = match (look, ours) {
        (Look::Everywhere, (Some(id), Some(secret), token)) => {
            let mut keys = AwsKeys::new(id, secret);
            keys.session_token = token.map(Into::into);
            return Ok(Found { keys, source: AwsSource::Environment, skipped: Vec::new() });
        }
        (Look::Everywhere, (None, None, None)) => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
        (Look::Everywhere, _) => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed both, and one is not set",
        (Look::PastEnvironment, _) => "nothing but the environment is looked at",
    };
    Err(Error::new(ErrorKind::Authentication, stage(SEARCH), format!("no AWS keys: {what}")))
}

/// What decides which keys would be fetched, beside the keys of the environment themselves.
pub(super) fn identity(_world: &dyn World) -> Vec<(&'static str, String)> {
    Vec::new()
}
