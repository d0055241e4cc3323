//! Sources: keys written into a profile of the shared credentials file or of the config file.

use super::profiles::{Profile, ProfileFile};
use super::{SearchContext, SourceResult, invalid};
use crate::credential::AwsKeys;
use crate::error::Result;

/// The keys of the profile in one of the files. A key id without a secret is an error.
pub(super) fn look(context: &SearchContext<'_>, which: ProfileFile) -> Result<SourceResult> {
    let missing = || SourceResult::Nothing(context.profiles.why_nothing(which, context.profile, ID));
    let Some(profile) = context.profile() else { return Ok(missing()) };
    let Some(id) = profile.only(which, ID) else { return Ok(missing()) };
    let secret = profile.only(which, SECRET).unwrap_or_default();
    if id.is_empty() || secret.is_empty() {
        let what = if id.is_empty() { ID } else { SECRET };
        let (name, path) = (context.profile, context.profiles.path(which));
        return Err(invalid(format!("the profile {name:?} in {path} has keys, but nothing for {what}")));
    }
    let mut keys = AwsKeys::new(id, secret);
    keys.session_token = token(&profile, which).map(Into::into);
    Ok(SourceResult::Found(keys))
}

fn token<'a>(profile: &Profile<'a>, which: ProfileFile) -> Option<&'a str> {
    let names = ["aws_security_token", "aws_session_token"];
    names.iter().find_map(|name| profile.only(which, name)).filter(|token| !token.is_empty())
}

const ID: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
