//! Source: the keys of the environment.

use super::{SourceResult, invalid};
use crate::credential::AwsKeys;
use crate::error::Result;
use crate::system::System;

/// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, perhaps with `AWS_SESSION_TOKEN`, taken as they are. A part alone is an error.
pub(super) fn look(system: &dyn System) -> Result<SourceResult> {
    let set = |name: &str| system.variable(name).filter(|value| !value.is_empty());
    let token = set("AWS_SECURITY_TOKEN").or_else(|| set("AWS_SESSION_TOKEN"));
    let alone = match (set(ID), set(SECRET), token) {
        (Some(id), Some(secret), token) => {
            let mut keys = AwsKeys::new(id, secret);
            keys.session_token = token.map(Into::into);
            return Ok(SourceResult::Found(keys));
        }
        (None, None, None) => {
            return Ok(SourceResult::nothing("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"));
        }
        (Some(_), None, _) => "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
        (None, Some(_), _) => "AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not",
        (None, None, Some(_)) => "AWS_SESSION_TOKEN is set without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    };
    Err(invalid(alone).with_hint("set what is missing, or unset the rest so that other sources are looked at"))
}

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
