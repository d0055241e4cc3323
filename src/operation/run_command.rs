//! A command that the program composed itself.

use std::sync::Arc;

use bson::Document;

use super::body::raw;
use super::{Command, CursorReply, Operation, Target};
use crate::description::ServerDescription;
use crate::error::{Error, Result};
use crate::options::{ReadPreference, ServerAddress};
use crate::wire::Reply;

/// The document as it is. Its first key is the command's name.
pub(crate) struct RunCommand<'a> {
    name: &'a str,
    database: &'a str,
    command: &'a Document,
    read_preference: Option<&'a ReadPreference>,
}

impl<'a> RunCommand<'a> {
    /// Fails on an empty document, which names no command.
    pub(crate) fn new(
        database: &'a str,
        command: &'a Document,
        read_preference: Option<&'a ReadPreference>,
    ) -> Result<Self> {
        let name = command
            .keys()
            .next()
            .ok_or_else(|| Error::invalid_argument("the command is empty: its first key must be the command's name"))?;
        Ok(RunCommand { name, database, command, read_preference })
    }
}

impl Operation for RunCommand<'_> {
    type Output = CursorReply;

    fn target(&self) -> Target<'_> {
        Target::of(self.read_preference)
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let command = Command::new(self.name, self.database, raw(self.command)?);
        Ok(Command { read_preference: self.read_preference, ..command })
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        Ok(CursorReply::new(reply, server))
    }
}

/// The same for a command whose reply is a cursor.
pub(crate) struct RunCursorCommand<'a>(pub(crate) RunCommand<'a>);

impl Operation for RunCursorCommand<'_> {
    type Output = CursorReply;

    fn target(&self) -> Target<'_> {
        self.0.target()
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        self.0.build(server)
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        Ok(CursorReply::new(reply, server))
    }
}
