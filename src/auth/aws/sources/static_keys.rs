//! Sources: keys written into a profile of the shared credentials file or of the config file.

use super::profiles::{Profile, Which};
use super::{Looked, Place, invalid};
use crate::credential::AwsKeys;
use crate::error::Result;

/// The keys of the profile in one of the files. A key id without a secret is an error.
pub(super) fn look(place: &Place<'_>, which: Which) -> Result<Looked> {
    let missing = || Looked::Nothing(place.profiles.why_nothing(which, place.profile, ID));
    let Some(profile) = place.profile() else { return Ok(missing()) };
    let Some(id) = profile.only(which, ID) else { return Ok(missing()) };
    let secret = profile.only(which, SECRET).unwrap_or_default();
    if id.is_empty() || secret.is_empty() {
        let what = if id.is_empty() { ID } else { SECRET };
        let (name, path) = (place.profile, place.profiles.path(which));
        return Err(invalid(format!("the profile {name:?} in {path} has keys, but nothing for {what}")));
    }
    let mut keys = AwsKeys::new(id, secret);
    keys.session_token = token(&profile, which).map(Into::into);
    Ok(Looked::Found(keys))
}

fn token<'a>(profile: &Profile<'a>, which: Which) -> Option<&'a str> {
    let names = ["aws_security_token", "aws_session_token"];
    names.iter().find_map(|name| profile.only(which, name)).filter(|token| !token.is_empty())
}

const ID: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
