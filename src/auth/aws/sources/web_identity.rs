//! Source: a role for the token of another identity provider, as EKS gives it to a pod in a file.

use std::path::PathBuf;

use super::profiles::why_not;
use super::sts::{self, Role};
use super::{SearchContext, SourceResult, failed, invalid, quoted};
use crate::characters::{self, described, is_invisible};
use crate::error::Result;

/// Assumes the role if there is a token file: `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, perhaps `AWS_ROLE_SESSION_NAME`,
/// each from the environment or else from the profile. The file is read each time, because its token changes.
pub(super) fn look(context: &SearchContext<'_>) -> Result<SourceResult> {
    let Some(file) = setting(context, "web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE") else {
        return Ok(if context.variables {
            SourceResult::nothing("neither AWS_WEB_IDENTITY_TOKEN_FILE nor the profile names a token file")
        } else {
            context.nothing_in_profile("web_identity_token_file")
        });
    };
    let arn = setting(context, "role_arn", "AWS_ROLE_ARN").ok_or_else(|| {
        invalid("a token file is named, but no role").with_hint("AWS_ROLE_ARN, or role_arn in the profile, names it")
    })?;
    let session_name = setting(context, "role_session_name", "AWS_ROLE_SESSION_NAME");
    let path = PathBuf::from(file);
    let text = context.system.read_file(&path, MAX_TOKEN).map_err(|error| failed(why_not(&path, &error)))?;
    let token = str::from_utf8(&text).map_err(|_| failed(format!("{} is not UTF-8", quoted(&path))))?.trim();
    if token.is_empty() {
        return Err(failed(format!("there is no token in {}", quoted(&path))));
    }
    if let Some(stray) = characters::stray(token) {
        return Err(failed(format!("the token in {} {stray}; take that out", quoted(&path))));
    }
    if let Some(character) = token.chars().find(|character| is_invisible(*character)) {
        return Err(failed(format!("the token in {} has {} in it", quoted(&path), described(character))));
    }
    let role = Role { arn: &arn, session_name: session_name.as_deref(), external_id: None, duration_seconds: None };
    sts::assume_role_with_web_identity(context, &role, token).map(SourceResult::Found)
}

/// The value in the environment, or else in the profile. A variable that is set to the empty string overrides the profile.
fn setting(context: &SearchContext<'_>, name: &str, variable: &str) -> Option<String> {
    let set = context.system.variable(variable).filter(|_| context.variables);
    let value = set.or_else(|| Some(context.profile()?.get(name)?.to_owned()));
    value.filter(|value| !value.is_empty())
}

/// The most bytes of a token file. STS takes tokens of up to 20000.
const MAX_TOKEN: u64 = 64 * 1024;
