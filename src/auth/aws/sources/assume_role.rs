//! Source: a profile with `role_arn`. The role is assumed with the keys of another profile, or of a source that it names.

use super::profiles::Profile;
use super::sts::{self, Role};
use super::{SearchContext, SourceResult, container, ec2, environment, invalid, keys_of_profile, short, stage};
use crate::auth::aws::SEARCH;
use crate::credential::AwsKeys;
use crate::error::{Error, FaultKind, Result};

/// Assumes the profile's role, if it has one; before it the roles of the profiles that it refers to.
pub(super) fn look(context: &SearchContext<'_>) -> Result<SourceResult> {
    match context.profile() {
        Some(profile) if profile.is_role() => {
            let mut visited = vec![profile.name];
            assume(context, &profile, &mut visited).map(SourceResult::Found)
        }
        Some(profile) if profile.get("role_arn").is_some() => {
            Ok(SourceResult::nothing("the profile's role is assumed with a web identity, by the next source"))
        }
        _ => Ok(context.nothing_in_profile("role_arn")),
    }
}

/// `visited` has the names of the profiles so far, the given one as its last.
fn assume<'a>(context: &SearchContext<'a>, profile: &Profile<'a>, visited: &mut Vec<&'a str>) -> Result<AwsKeys> {
    let name = profile.name;
    if profile.get("mfa_serial").is_some() {
        return Err(mfa(name));
    }
    let duration_seconds = profile.get("duration_seconds").map(|text| {
        text.parse::<u32>()
            .map_err(|_| invalid(format!("the duration_seconds of the profile {name:?} is not a number")))
    });
    let role = Role {
        arn: profile.get("role_arn").unwrap_or_default(),
        session_name: profile.get("role_session_name"),
        external_id: profile.get("external_id"),
        duration_seconds: duration_seconds.transpose()?,
    };
    let keys = match (profile.get("source_profile"), profile.get("credential_source")) {
        (Some(source), None) => of_profile(context, profile, source, visited)?,
        (None, Some(source)) => of_source(context, name, source)?,
        (Some(_), Some(_)) => {
            return Err(invalid(format!("the profile {name:?} has both source_profile and credential_source")));
        }
        (None, None) => {
            return Err(invalid(format!("the profile {name:?} has role_arn, but nothing to assume the role with"))
                .with_hint("source_profile names a profile with keys; credential_source is one of Environment, EcsContainer, Ec2InstanceMetadata"));
        }
    };
    sts::assume_role(context, &role, &keys)
}

/// The keys of another profile. A profile may name itself, to be role and keys in one.
fn of_profile<'a>(
    context: &SearchContext<'a>,
    parent: &Profile<'a>,
    name: &'a str,
    visited: &mut Vec<&'a str>,
) -> Result<AwsKeys> {
    let profile = context.profiles.get(name).ok_or_else(|| {
        invalid(format!("the source_profile {name:?} of the profile {:?} does not exist", parent.name))
    })?;
    if visited.contains(&name) && !(name == parent.name && profile.has_keys()) {
        let chain = visited.join(", ");
        return Err(invalid(format!("the source_profile of {:?} leads in a circle: {chain}, {name}", parent.name)));
    }
    if visited.len() >= MAX_CHAIN {
        return Err(invalid(format!("more than {MAX_CHAIN} profiles refer to one another by source_profile")));
    }
    visited.push(name);
    if profile.is_role() && !profile.has_keys() {
        return assume(context, &profile, visited);
    }
    keys_of_profile(&SearchContext { profile: name, variables: false, ..*context })
}

/// The keys that a source outside of the files has.
fn of_source(context: &SearchContext<'_>, profile: &str, source: &str) -> Result<AwsKeys> {
    let looked = match source {
        "Environment" => environment::look(context.system),
        "EcsContainer" => container::look(context),
        "Ec2InstanceMetadata" => ec2::look(context),
        _ => {
            return Err(invalid(format!("the credential_source of the profile {profile:?} is {}", short(source)))
                .with_hint("it can be Environment, EcsContainer or Ec2InstanceMetadata"));
        }
    };
    match looked? {
        SourceResult::Found(keys) => Ok(keys),
        SourceResult::Nothing(why) => {
            Err(invalid(format!("the credential_source {source} of the profile {profile:?} has no keys: {why}")))
        }
    }
}

fn mfa(profile: &str) -> Error {
    let message = format!(
        "the profile {profile:?} wants the code of an MFA device (mfa_serial), and a driver cannot ask for one"
    );
    Error::new(FaultKind::NotSupported, stage(SEARCH), message).with_hint(format!(
        "get temporary keys beforehand: eval \"$(aws configure export-credentials --profile {profile} --format env)\""
    ))
}

/// The AWS tools have no limit. Chains of more than three are rare.
const MAX_CHAIN: usize = 16;
