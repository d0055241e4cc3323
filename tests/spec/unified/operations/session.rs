//! Operations on a session.

use bson::Bson;

use std::sync::Arc;

use mongo_blocking::Error;

use super::{Outcome, Ran, Trouble, read_operations, unknown, value};
use crate::unified::arguments::Arguments;
use crate::unified::case::Case;
use crate::unified::entities::SessionHandle;
use crate::unified::file::Operation;

pub fn run(case: &Arc<Case>, session: &SessionHandle, name: &str, arguments: &mut Arguments) -> Ran {
    match name {
        "startTransaction" => {
            let options = arguments.transaction_options()?;
            arguments.end()?;
            let started = session.with(|session| session.start_transaction().with_options(options).run());
            return Ok(started.map_err(Trouble::OfRunner)?.map(|()| Outcome::Nothing)?);
        }
        "withTransaction" => return with_transaction(case, session, arguments),
        _ => arguments.end()?,
    }
    match name {
        "commitTransaction" => {
            let ended = session.with(|session| session.commit_transaction().run()).map_err(Trouble::OfRunner)?;
            Ok(ended.map(|()| Outcome::Nothing)?)
        }
        "abortTransaction" => {
            let ended = session.with(|session| session.abort_transaction().run()).map_err(Trouble::OfRunner)?;
            Ok(ended.map(|()| Outcome::Nothing)?)
        }
        "endSession" => {
            drop(session.take().map_err(Trouble::OfRunner)?);
            Ok(Outcome::Nothing)
        }
        "getSnapshotTime" => {
            let time = session.with(|session| session.snapshot_time()).map_err(Trouble::OfRunner)?;
            time.map_or(Ok(Outcome::Nothing), |time| value(Bson::Timestamp(time)))
        }
        _ => unknown("session", name),
    }
}

/// The callback's operations take the session from its place, so it goes there while they run; another one stands in for it.
fn with_transaction(case: &Arc<Case>, handle: &SessionHandle, arguments: &mut Arguments) -> Ran {
    let operations = read_operations(arguments.need("callback", Arguments::any)?)?;
    let options = arguments.transaction_options()?;
    arguments.end()?;
    let mut session = handle.take().map_err(Trouble::OfRunner)?;
    let stand_in = session.client().start_session().run()?;
    let mut stand_in = Some(stand_in);
    let mut fault = None;
    let ran = session.start_transaction().with_options(options).and_run(|session| {
        let Some(other) = stand_in.take() else { return Err(Error::custom("the callback runs already".to_owned())) };
        handle.put_back(std::mem::replace(session, other));
        let ran = run_callback(case, &operations, &mut fault);
        if let Ok(own) = handle.take() {
            stand_in = Some(std::mem::replace(session, own));
        }
        ran
    });
    handle.put_back(session);
    match fault {
        Some(fault) => Err(Trouble::OfRunner(fault)),
        None => Ok(ran.map(|()| Outcome::Nothing)?),
    }
}

/// Runs the operations until one fails, as expected or not.
fn run_callback(case: &Arc<Case>, operations: &[Operation], fault: &mut Option<String>) -> mongo_blocking::Result<()> {
    for operation in operations {
        match case.operation_and_error(operation) {
            Ok(None) => {}
            Ok(Some(error)) => return Err(error),
            Err(why) => {
                let error = Error::custom(why.clone());
                *fault = Some(format!("the callback's {}: {why}", operation.name));
                return Err(error);
            }
        }
    }
    Ok(())
}
