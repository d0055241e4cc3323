//! The commands: one file for each, which builds the command and reads the reply, and the one place that runs them.
//!
//! [`execute`] takes a connection, runs the command on it, and gives the connection back; [`run_on`] runs on a connection that
//! the caller holds.

pub(crate) mod aggregate;
pub(crate) mod body;
pub(crate) mod collections;
pub(crate) mod count;
mod deployment;
pub(crate) mod distinct;
pub(crate) mod find;
pub(crate) mod find_and_modify;
pub(crate) mod get_more;
pub(crate) mod indexes;
pub(crate) mod kill_cursors;
mod monitoring;
pub(crate) mod ping;
pub(crate) mod reply;
pub(crate) mod run_command;
pub(crate) mod write;

use std::time::Duration;

use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf, rawdoc};

use crate::deadline::Deadline;
use crate::description::ServerType;
use crate::error::{Error, ErrorKind, Result, Stage, command_error};
use crate::handshake::append_server_api;
use crate::options::{ReadPreference, ReadPreferenceMode};
use crate::pool::PooledConnection;
use crate::wire::{Message, Reply, Sequence};

pub(crate) use deployment::{ClientInner, CursorHandle};
pub(crate) use reply::{check_write_concern, write_concern_error, write_errors};

/// A collection's full name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Namespace<'a> {
    pub(crate) database: &'a str,
    pub(crate) collection: &'a str,
}

/// A command, ready to be sent but for what depends on the server and the moment.
pub(crate) struct Command<'a> {
    /// Its name, the first key of the body.
    pub(crate) name: &'a str,
    /// The database it runs on.
    pub(crate) database: &'a str,
    /// All of it but the sequence and what [`run_on`] adds.
    pub(crate) body: RawDocumentBuf,
    /// Documents that travel beside the body.
    pub(crate) sequence: Option<Sequence<'a>>,
    /// Where a read may go. `None` for a write, and for all that has no read preference.
    pub(crate) read_preference: Option<&'a ReadPreference>,
    /// Whether the server answers (false for write concern `w: 0`).
    pub(crate) acknowledged: bool,
    /// How long the server itself may wait for news before it answers (`maxAwaitTimeMS`); the socket waits that much longer.
    pub(crate) await_time: Option<Duration>,
    /// When the whole operation, of which this may be one command, must end.
    pub(crate) deadline: Deadline,
    /// Whether [`run_on`] gave it its `maxTimeMS`.
    max_time_added: bool,
}

impl<'a> Command<'a> {
    /// A command that is answered, has no read preference, and ends when the client's options say.
    pub(crate) fn new(deployment: &ClientInner, name: &'a str, database: &'a str, body: RawDocumentBuf) -> Self {
        Command {
            name,
            database,
            body,
            sequence: None,
            read_preference: None,
            acknowledged: true,
            await_time: None,
            deadline: deployment.operation_deadline(),
            max_time_added: false,
        }
    }
}

/// Runs a command on a server that suits it.
pub(crate) fn execute(deployment: &ClientInner, command: Command<'_>) -> Result<Reply> {
    let mut lease = deployment.lease(command.deadline)?;
    run_on(deployment, &mut lease, command)
}

/// Runs a command on this connection. A reply with `ok: 0` is an error; write errors within a reply are the caller's.
///
/// Where the server asks for another login, it gets one on this very connection, and the command is run once more.
pub(crate) fn run_on(
    deployment: &ClientInner,
    lease: &mut PooledConnection,
    mut command: Command<'_>,
) -> Result<Reply> {
    complete(deployment, lease, &mut command)?;
    match attempt(deployment, lease, &command) {
        Err(refused) if refused.code() == Some(REAUTHENTICATION_REQUIRED) => {
            reauthenticate(deployment, lease, command.deadline)?;
            renew_time_limit(deployment, &mut command)?;
            attempt(deployment, lease, &command)
        }
        outcome => outcome,
    }
}

/// Sends a command that is complete, and judges the reply.
fn attempt(deployment: &ClientInner, lease: &mut PooledConnection, command: &Command<'_>) -> Result<Reply> {
    let deadline = deployment.command_deadline(command.deadline, command.await_time);
    let message = message(command);
    let active =
        monitoring::ActiveCommand::started(deployment.options().command_event_handler.as_ref(), lease, command);
    let generation = lease.generation();
    let result =
        lease.run(&message, deadline).and_then(|reply| match command_error(reply.document(), Stage::Command) {
            Some(error) => Err(error.with_address(deployment.address())),
            None => Ok(reply),
        });
    match result {
        Ok(reply) => {
            active.succeeded(reply.document());
            Ok(reply)
        }
        Err(error) => {
            deployment.topology().failed(&error, generation);
            Err(active.failed(error))
        }
    }
}

/// A login that fails says of the server what it says on a new connection: no other of that time is used again.
fn reauthenticate(deployment: &ClientInner, lease: &mut PooledConnection, deadline: Deadline) -> Result<()> {
    let (topology, generation) = (deployment.topology(), lease.generation());
    topology.factory().reauthenticate(lease, deadline).inspect_err(|_| topology.login_failed(generation))
}

/// Sends a command that is not answered.
pub(crate) fn send_on(deployment: &ClientInner, lease: &mut PooledConnection, mut command: Command<'_>) -> Result<()> {
    command.acknowledged = false;
    complete(deployment, lease, &mut command)?;
    let deadline = deployment.command_deadline(command.deadline, None);
    let message = message(&command);
    let active =
        monitoring::ActiveCommand::started(deployment.options().command_event_handler.as_ref(), lease, &command);
    let generation = lease.generation();
    match lease.send(&message, deadline) {
        Ok(()) => {
            active.succeeded(&rawdoc! { "ok": 1 });
            Ok(())
        }
        Err(error) => {
            deployment.topology().failed(&error, generation);
            Err(active.failed(error))
        }
    }
}

fn message<'a>(command: &'a Command<'_>) -> Message<'a> {
    Message {
        database: command.database,
        body: &command.body,
        sequence: command.sequence,
        more_to_come: !command.acknowledged,
    }
}

/// Adds what depends on the server and the moment.
fn complete(deployment: &ClientInner, lease: &PooledConnection, command: &mut Command<'_>) -> Result<()> {
    if let Some(preference) = command.read_preference
        && let Some(document) = read_preference_document(preference, lease.description().server_type)
    {
        command.body.append(cstr!("$readPreference"), document);
    }
    if let Some(api) = &deployment.options().server_api {
        append_server_api(&mut command.body, api);
    }
    if let Some(left) = time_left(deployment, command)?
        && !has_key(&command.body, MAX_TIME)
    {
        command.body.append(cstr!("maxTimeMS"), left);
        command.max_time_added = true;
    }
    Ok(())
}

/// How long the server may work on the command where `timeoutMS` counts, in milliseconds.
fn time_left(deployment: &ClientInner, command: &Command<'_>) -> Result<Option<i64>> {
    let limited = deployment.options().timeout.is_some_and(|limit| !limit.is_zero());
    if !limited || command.name == "getMore" || !command.acknowledged {
        return Ok(None);
    }
    let left = command.deadline.remaining().unwrap_or_default();
    if left.is_zero() {
        return Err(Error::new(ErrorKind::Timeout, Stage::Command, "timeoutMS ran out before the command was sent"));
    }
    Ok(Some(i64::try_from(left.as_millis().max(1)).unwrap_or(i64::MAX)))
}

/// A command that is sent a second time has less time than at first.
fn renew_time_limit(deployment: &ClientInner, command: &mut Command<'_>) -> Result<()> {
    let (true, Some(left)) = (command.max_time_added, time_left(deployment, command)?) else { return Ok(()) };
    let mut body = RawDocumentBuf::new();
    for (key, value) in command.body.iter().flatten() {
        match key.as_str() == MAX_TIME {
            true => body.append(key, left),
            false => body.append(key, value),
        }
    }
    command.body = body;
    Ok(())
}

/// What a server of this type must be told about the read preference: a standalone nothing; a mongos all but `primary`; a
/// member of a replica set that we talk to directly that any member will do, for it is the only one we have.
fn read_preference_document(preference: &ReadPreference, server: ServerType) -> Option<RawDocumentBuf> {
    match server {
        ServerType::Standalone => None,
        ServerType::Mongos => (*preference != ReadPreference::default()).then(|| preference.to_document()),
        _ if preference.mode == ReadPreferenceMode::Primary => Some(rawdoc! { "mode": "primaryPreferred" }),
        _ => Some(preference.to_document()),
    }
}

fn has_key(document: &RawDocument, key: &str) -> bool {
    matches!(document.get(key), Ok(Some(_)))
}

/// The server's code for a connection whose login has run out.
const REAUTHENTICATION_REQUIRED: i32 = 391;

const MAX_TIME: &str = "maxTimeMS";
