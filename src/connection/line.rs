//! A stream with its buffers: one message out, one reply in.

use std::io::{self, Read};
use std::mem;
use std::sync::atomic::{AtomicI32, Ordering};

use bson::RawDocument;
use zeroize::Zeroize;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::transport::{ShutdownHandle, Transport, network_error};
use crate::wire::{Header, MAX_MESSAGE_BYTES, Message, OP_MSG, OP_REPLY, Reply, encode_query};

/// A stream with its buffers.
#[derive(Debug)]
pub(super) struct Line {
    stream: Transport,
    closer: ShutdownHandle,
    next_request_id: i32,
    max_message_bytes: usize,
    max_reply_bytes: usize,
    broken: bool,
    /// What is sent; kept for its room.
    outgoing: Vec<u8>,
    /// What is read at first, and all of a short reply.
    incoming: Vec<u8>,
    /// Room for a long reply, if one was given back.
    spare: Vec<u8>,
}

impl Line {
    pub(super) fn new(stream: Transport) -> Line {
        Line {
            closer: stream.closer(),
            stream,
            next_request_id: new_request_id(),
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_reply_bytes: MAX_HANDSHAKE_REPLY,
            broken: false,
            outgoing: Vec::with_capacity(FIRST_OUTGOING),
            incoming: vec![0; INCOMING],
            spare: Vec::new(),
        }
    }

    /// Sends a command and reads its reply.
    pub(super) fn run(&mut self, message: &Message<'_>, deadline: Deadline) -> Result<Reply> {
        let message = Message { more_to_come: false, ..*message };
        let tail = message.encode(&mut self.outgoing, self.next_request_id, self.max_message_bytes)?;
        let request_id = self.write(tail, deadline)?;
        self.receive(request_id, OP_MSG, deadline)
    }

    /// Sends a command that gets no reply.
    pub(super) fn send(&mut self, message: &Message<'_>, deadline: Deadline) -> Result<()> {
        let message = Message { more_to_come: true, ..*message };
        let tail = message.encode(&mut self.outgoing, self.next_request_id, self.max_message_bytes)?;
        self.write(tail, deadline)?;
        self.broken = false;
        Ok(())
    }

    /// Sends the legacy hello and reads its reply.
    pub(super) fn query(&mut self, body: &RawDocument, deadline: Deadline) -> Result<Reply> {
        encode_query(&mut self.outgoing, self.next_request_id, body);
        let request_id = self.write(&[], deadline)?;
        self.receive(request_id, OP_REPLY, deadline)
    }

    pub(super) fn next_request_id(&self) -> i32 {
        self.next_request_id
    }

    /// The handshake is over: the server's own limit counts for what is sent, and replies may be as long as messages can be.
    pub(super) fn handshake_is_over(&mut self, max_message_bytes: usize) {
        self.max_message_bytes = max_message_bytes.min(MAX_MESSAGE_BYTES);
        self.max_reply_bytes = MAX_MESSAGE_BYTES;
    }

    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.len() > self.spare.len() {
            self.spare = buffer;
        }
    }

    pub(super) fn rest(&mut self) {
        if self.spare.capacity() > KEPT_AT_REST {
            self.spare = Vec::new();
        }
        if self.outgoing.capacity() > KEPT_AT_REST {
            self.outgoing = Vec::with_capacity(FIRST_OUTGOING);
        }
    }

    /// Wipes what was sent last: a login's message may have a secret in it as it is, and the buffer lives as long as the line.
    pub(super) fn wipe_outgoing(&mut self) {
        self.outgoing.zeroize();
    }

    /// It is not used again.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken || self.closer.is_closed()
    }

    pub(super) fn is_alive(&mut self) -> bool {
        !self.is_broken() && self.stream.is_alive()
    }

    pub(super) fn closer(&self) -> ShutdownHandle {
        self.closer.clone()
    }

    /// Sends what has been encoded, and `tail` after it. From here on the line is broken until somebody says otherwise.
    fn write(&mut self, tail: &[u8], deadline: Deadline) -> Result<i32> {
        if self.is_broken() {
            return Err(self.closed_or(Error::new(ErrorKind::Io, Stage::Command, "the connection failed before")));
        }
        if deadline.expired() {
            let message = format!("{} had run out before the command could be sent", deadline.name());
            return Err(Error::new(ErrorKind::Timeout, Stage::Command, message));
        }
        self.broken = true;
        let request_id = mem::replace(&mut self.next_request_id, new_request_id());
        self.stream.set_deadline(deadline);
        match self.stream.write_both(&self.outgoing, tail) {
            Ok(()) => Ok(request_id),
            Err(error) => Err(self.closed_or(network_error(error, Stage::Command, deadline))),
        }
    }

    /// Reads the reply to a message. The line is whole again once it has arrived and fits.
    fn receive(&mut self, request_id: i32, op_code: i32, deadline: Deadline) -> Result<Reply> {
        let (header, filled) = self.read_header(deadline).map_err(|error| self.closed_or(error))?;
        header.check(request_id, op_code)?;
        if header.length > self.max_reply_bytes {
            let (length, most) = (header.length, self.max_reply_bytes);
            let message =
                format!("the server announces a reply of {length} bytes before the login; {most} are allowed");
            return Err(Error::invalid_reply(Stage::Decode, message));
        }
        let bytes = match header.length <= self.incoming.len() {
            true => self.read_short(header.length, filled, deadline),
            false => self.read_long(header.length, filled, deadline),
        };
        let reply = Reply::decode(bytes.map_err(|error| self.closed_or(error))?, &header)?;
        self.broken = false;
        Ok(reply)
    }

    /// Reads until the header is there, which is when the rest of a short reply is there, too.
    fn read_header(&mut self, deadline: Deadline) -> Result<(Header, usize)> {
        let mut filled = 0;
        loop {
            filled += read(&mut self.stream, self.incoming.get_mut(filled..), filled, deadline)?;
            if let Some(header) = Header::read(self.incoming.get(..filled).unwrap_or_default())? {
                return Ok((header, filled));
            }
        }
    }

    /// The rest of a reply that has room where its header is. It is copied out, so that the room stays.
    fn read_short(&mut self, length: usize, mut filled: usize, deadline: Deadline) -> Result<Vec<u8>> {
        while filled < length {
            filled += read(&mut self.stream, self.incoming.get_mut(filled..), filled, deadline)?;
        }
        if filled > length {
            let message = format!("the server sent {} bytes after its reply", filled - length);
            return Err(Error::invalid_reply(Stage::Decode, message));
        }
        Ok(self.incoming.get(..length).unwrap_or_default().to_vec())
    }

    /// The rest of a long reply, into a buffer of its own. That grows as the bytes arrive: an announcement alone costs
    /// no more than [`FIRST_ROOM`].
    fn read_long(&mut self, length: usize, mut filled: usize, deadline: Deadline) -> Result<Vec<u8>> {
        let buffer = &mut self.spare;
        if buffer.len() < length.min(FIRST_ROOM) {
            buffer.resize(length.min(FIRST_ROOM), 0);
        }
        let first = self.incoming.get(..filled).unwrap_or_default();
        if let Some(room) = buffer.get_mut(..filled) {
            room.copy_from_slice(first);
        }
        while filled < length {
            if filled == buffer.len() {
                buffer.resize(length.min(filled * 2), 0);
            }
            let end = buffer.len().min(length);
            filled += read(&mut self.stream, buffer.get_mut(filled..end), filled, deadline)?;
        }
        Ok(mem::take(&mut self.spare))
    }

    /// The error itself, unless its cause is that this side has closed the line.
    fn closed_or(&self, error: Error) -> Error {
        if !self.closer.is_closed() {
            return error;
        }
        Error::new(ErrorKind::Closed, error.stage(), "the client closed this connection").with_source(error)
    }
}

/// Reads at least one byte.
fn read(stream: &mut Transport, room: Option<&mut [u8]>, before: usize, deadline: Deadline) -> Result<usize> {
    match stream.read(room.unwrap_or_default()) {
        Ok(0) if before == 0 => Err(network_error(io::ErrorKind::UnexpectedEof.into(), Stage::Command, deadline)),
        Ok(0) => {
            let message = format!("the server closed the connection after {before} bytes of its reply");
            Err(Error::new(ErrorKind::Io, Stage::Command, message))
        }
        Ok(count) => Ok(count),
        Err(error) => Err(network_error(error, Stage::Command, deadline)),
    }
}

/// A number that no other message of this process has had lately.
fn new_request_id() -> i32 {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Room for most commands.
const FIRST_OUTGOING: usize = 1024;
/// Room for most replies, read in one go.
const INCOMING: usize = 16 * 1024;
/// How much room a long reply gets on its announcement alone.
const FIRST_ROOM: usize = 1024 * 1024;
/// The longest reply to hello or to a step of the login. Nobody has proved anything before that.
const MAX_HANDSHAKE_REPLY: usize = 1024 * 1024;
/// A buffer above this does not wait in the pool.
const KEPT_AT_REST: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
