//! `ping`: is the server there?

use bson::rawdoc;

use crate::error::Result;

use super::{Command, Deployment, execute};

pub(crate) fn ping(deployment: &Deployment) -> Result<()> {
    execute(deployment, Command::new(deployment, "ping", "admin", rawdoc! { "ping": 1 }))?;
    Ok(())
}
