//! Source: the program that a profile names in `credential_process`, which prints keys as JSON.

use std::time::Duration;

use super::{SearchContext, SourceResult, failed, invalid, reply, split};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::process::ProcessOutcome;

/// Runs the program, if the profile names one. Keys with an expiry are cached until shortly before it, others are not cached.
pub(super) fn look(context: &SearchContext<'_>) -> Result<SourceResult> {
    let Some(line) = context.profile().and_then(|profile| profile.get("credential_process")) else {
        return Ok(context.nothing_in_profile("credential_process"));
    };
    let name = context.profile;
    let arguments = split::split(line)
        .map_err(|what| invalid(format!("the credential_process of the profile {name:?} cannot be split: {what}")))?;
    let Some(program) = arguments.first() else {
        return Err(invalid(format!("the credential_process of the profile {name:?} is empty")));
    };
    let deadline = Deadline::after(LONGEST).named(LIMIT).earliest(context.deadline);
    let by_hand = "run it by hand to see what it says; what it writes to standard error is not shown here";
    let output = match context.system.run(&arguments, MAX_OUTPUT, deadline) {
        Ok(ProcessOutcome::Success(output)) => output,
        Ok(ProcessOutcome::Failed(status)) => {
            return Err(failed(format!("{:?} ended with {status}", **program)).with_hint(by_hand));
        }
        Ok(ProcessOutcome::OutputTooLong) => {
            return Err(failed(format!("{:?} printed more than {MAX_OUTPUT} bytes", **program)));
        }
        Ok(ProcessOutcome::TimedOut) => {
            let limit = deadline.name();
            return Err(
                failed(format!("{:?} was not done within {limit}, and was ended", **program)).with_hint(by_hand)
            );
        }
        Err(error) => return Err(failed(format!("{:?} could not be run: {error}", **program))),
    };
    let keys = reply::of_process(&output).map_err(|what| failed(format!("{:?} printed {what}", **program)))?;
    Ok(SourceResult::Found(keys))
}

/// How long the program may run, if the search has no shorter limit.
const LONGEST: Duration = Duration::from_secs(60);
const LIMIT: &str = "the minute that a credential_process has";

/// The most bytes of its output.
const MAX_OUTPUT: usize = 64 * 1024;
