//! `ping`: is the server there?

use bson::rawdoc;

use crate::client::Client;
use crate::error::Result;

use super::{Command, execute};

pub(crate) fn ping(client: &Client) -> Result<()> {
    execute(client, Command::new(client, "ping", "admin", rawdoc! { "ping": 1 }))?;
    Ok(())
}
