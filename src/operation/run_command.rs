//! A command that the program composed itself.

use std::sync::Arc;

use bson::RawDocument;

use super::{Access, Command, CursorReply, Operation, Target};
use crate::description::ServerDescription;
use crate::error::{Error, Result};
use crate::options::{SelectionCriteria, ServerAddress};
use crate::wire::Reply;

/// The document as it is. Its first key is the command's name.
pub(crate) struct RunCommand<'a> {
    name: &'a str,
    database: &'a str,
    command: &'a RawDocument,
    criteria: Option<&'a SelectionCriteria>,
}

impl<'a> RunCommand<'a> {
    /// Fails on an empty document, which names no command.
    pub(crate) fn new(
        database: &'a str,
        command: &'a RawDocument,
        criteria: Option<&'a SelectionCriteria>,
    ) -> Result<Self> {
        let name = match command.iter().next() {
            Some(Ok((name, _))) => name.as_str(),
            Some(Err(source)) => {
                return Err(Error::invalid_argument("the command is not valid BSON").with_source(source));
            }
            None => {
                let empty = "the command is empty: its first key must be the command's name";
                return Err(Error::invalid_argument(empty));
            }
        };
        Ok(RunCommand { name, database, command, criteria })
    }
}

impl Operation for RunCommand<'_> {
    type Output = CursorReply;

    fn target(&self) -> Target<'_> {
        Target::of(self.criteria)
    }

    fn access(&self) -> Access {
        Access::Unknown
    }

    fn build(&mut self, _server: &ServerDescription) -> Result<Command<'_>> {
        let command = Command::new(self.name, self.database, self.command);
        let read_preference = SelectionCriteria::preference(self.criteria);
        Ok(Command { read_preference, is_composed_by_caller: true, ..command })
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

    fn access(&self) -> Access {
        self.0.access()
    }

    fn build(&mut self, server: &ServerDescription) -> Result<Command<'_>> {
        self.0.build(server)
    }

    fn read(&mut self, reply: Reply, server: &Arc<ServerAddress>) -> Result<CursorReply> {
        Ok(CursorReply::new(reply, server))
    }
}
