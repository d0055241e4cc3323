//! Replies that a server sends one after the other to one command: the streaming form of a check.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bson::{RawDocument, RawDocumentBuf};

use super::{Connection, read_message_bytes};
use crate::deadline::Deadline;
use crate::description::ServerDescription;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::handshake::Hello;
use crate::transport::network_error;
use crate::wire::{Message, Reply, allow_exhaust};

/// One answer to a check.
#[derive(Debug)]
pub(crate) struct StreamedCheck {
    /// What the server reports.
    pub(crate) description: Arc<ServerDescription>,
    /// Its words.
    pub(crate) reply: RawDocumentBuf,
    /// Whether the server sends another answer of itself. Until the last one the connection is good for nothing else.
    pub(crate) more_to_come: bool,
}

/// Where a series of replies to one command stands.
#[derive(Debug, Default)]
pub(super) struct ReplyChain {
    /// The message that the next reply answers: the command at first, then each reply before it. `None`: none is to come.
    answers: Option<i32>,
    /// What was read beyond the last reply. No longer than the buffer for incoming messages.
    surplus: Vec<u8>,
}

impl Connection {
    /// Sends the command of a check, to which the server may send any number of answers, and reads the first.
    pub(crate) fn start_stream(&mut self, command: &RawDocument, deadline: Deadline) -> Result<StreamedCheck> {
        let began = Instant::now();
        let message = Message { database: "admin", body: command, sequence: None, more_to_come: false };
        let sent = match self.encode(&message, false, deadline) {
            Ok((request_id, tail)) => {
                allow_exhaust(&mut self.buffers.outgoing);
                match self.transport.write_all(&self.buffers.outgoing, tail) {
                    Ok(()) => Ok(request_id),
                    Err(error) => Err(self.closed_or(network_error(error, Stage::Command, deadline))),
                }
            }
            Err(error) => Err(error),
        };
        let outcome = sent.and_then(|request_id| self.receive_streamed(request_id, deadline));
        outcome.map_err(|error| self.complete(error.with_stage(Stage::Hello), began))
    }

    /// Reads the next answer, once the one before has told that there is `more_to_come`.
    pub(crate) fn next_in_stream(&mut self, deadline: Deadline) -> Result<StreamedCheck> {
        let began = Instant::now();
        self.transport.set_deadline(deadline);
        let outcome = match self.stream.answers.take() {
            Some(answers) => self.receive_streamed(answers, deadline),
            None => Err(self.closed_or(Error::new(FaultKind::Io, Stage::Command, "no further reply is to come"))),
        };
        outcome.map_err(|error| self.complete(error.with_stage(Stage::Hello), began))
    }

    /// Whether the server sends another answer of itself, which is all that the connection is good for.
    pub(crate) fn has_more_to_come(&self) -> bool {
        self.stream.answers.is_some() && !self.shutdown.is_closed()
    }

    fn receive_streamed(&mut self, answers: i32, deadline: Deadline) -> Result<StreamedCheck> {
        let surplus = mem::take(&mut self.stream.surplus);
        if let Some(room) = self.buffers.incoming.get_mut(..surplus.len()) {
            room.copy_from_slice(&surplus);
        }
        let (header, bytes, surplus) = read_message_bytes(self, answers, surplus.len(), deadline)?;
        let reply = Reply::decode_one_of_many(bytes, &header)?;
        let description = Hello::read(reply.document())?.description;
        let more_to_come = reply.more_to_come();
        if more_to_come {
            self.stream = ReplyChain { answers: Some(header.request_id), surplus };
        } else if surplus.is_empty() {
            self.broken = false;
        } else {
            let message = format!("the server sent {} bytes after its last reply", surplus.len());
            return Err(Error::invalid_reply(Stage::Decode, message));
        }
        Ok(StreamedCheck { description, reply: reply.document().to_owned(), more_to_come })
    }
}
