//! Source: the program that a profile names in `credential_process`, which prints keys as JSON.

use std::time::Duration;

use super::{Looked, Place, failed, invalid, reply, split};
use crate::auth::runner::Ended;
use crate::deadline::Deadline;
use crate::error::Result;

/// Runs the program, if the profile names one. Keys with an expiry are kept until shortly before it, others not at all.
pub(super) fn look(place: &Place<'_>) -> Result<Looked> {
    let Some(line) = place.profile().and_then(|profile| profile.get("credential_process")) else {
        return Ok(place.nothing_in_profile("credential_process"));
    };
    let name = place.profile;
    let arguments = split::split(line)
        .map_err(|what| invalid(format!("the credential_process of the profile {name:?} cannot be split: {what}")))?;
    let Some(program) = arguments.first() else {
        return Err(invalid(format!("the credential_process of the profile {name:?} is empty")));
    };
    let deadline = Deadline::after(LONGEST).named(LIMIT).earliest(place.deadline);
    let by_hand = "run it by hand to see what it says; what it writes to standard error is not shown here";
    let output = match place.world.run(&arguments, MAX_OUTPUT, deadline) {
        Ok(Ended::Well(output)) => output,
        Ok(Ended::Badly(status)) => {
            return Err(failed(format!("{:?} ended with {status}", **program)).with_hint(by_hand));
        }
        Ok(Ended::TooLong) => return Err(failed(format!("{:?} printed more than {MAX_OUTPUT} bytes", **program))),
        Ok(Ended::Late) => {
            let limit = deadline.name();
            return Err(
                failed(format!("{:?} was not done within {limit}, and was ended", **program)).with_hint(by_hand)
            );
        }
        Err(error) => return Err(failed(format!("{:?} could not be run: {error}", **program))),
    };
    let keys = reply::of_process(&output).map_err(|what| failed(format!("{:?} printed {what}", **program)))?;
    Ok(Looked::Found(keys))
}

/// How long the program may run, if the search has no shorter limit.
const LONGEST: Duration = Duration::from_secs(60);
const LIMIT: &str = "the minute that a credential_process has";

/// The most bytes of its output.
const MAX_OUTPUT: usize = 64 * 1024;
