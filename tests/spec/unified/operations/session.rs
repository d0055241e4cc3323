//! Operations on a session.

use bson::Bson;

use super::{Outcome, Ran, Trouble, unknown, value};
use crate::unified::arguments::Arguments;
use crate::unified::entities::SessionHandle;

pub fn run(session: &SessionHandle, name: &str, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    match name {
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
