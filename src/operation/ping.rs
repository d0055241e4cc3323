//! `ping`: is the server there?

use bson::raw::cstr;

use crate::error::Result;

use super::body::Body;
use super::{ClientInner, Command, execute};

pub(crate) fn ping(deployment: &ClientInner) -> Result<()> {
    execute(deployment, Command::new(deployment, "ping", "admin", Body::new(cstr!("ping"), 1).done()))?;
    Ok(())
}
