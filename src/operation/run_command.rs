//! A command in the caller's own words.

use bson::{RawDocument, RawDocumentBuf};

use crate::error::{Error, Result};
use crate::options::ReadPreference;
use crate::wire::Reply;

use super::{ClientInner, Command, execute};

/// Runs the document as it is. Its first key is the command's name.
pub(crate) fn run_command(
    deployment: &ClientInner,
    database: &str,
    body: RawDocumentBuf,
    read_preference: Option<&ReadPreference>,
) -> Result<Reply> {
    let name = command_name(&body)?.to_owned();
    let mut command = Command::new(deployment, &name, database, body);
    command.read_preference = read_preference;
    execute(deployment, command)
}

fn command_name(body: &RawDocument) -> Result<&str> {
    match body.iter().next() {
        Some(Ok((name, _))) => Ok(name.as_str()),
        Some(Err(error)) => Err(Error::invalid_argument("the command is not valid BSON").with_source(error)),
        None => Err(Error::invalid_argument("the command is empty: its first key must be the command's name")),
    }
}
