//! One connection to a server: made ready in one go, then one command after the other.
//!
//! `ConnectionFactory::open` is name look-up, TCP, TLS and hello; `ConnectionFactory::authenticate` is the login. [`Connection::run`]
//! is one write and, in the common case, one read. A connection is `broken` from the moment a command goes out until its reply has arrived
//! whole and fits, so whatever goes wrong in between, it is not used again.

mod buffers;
mod factory;
mod stream;

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf};
use zeroize::Zeroize;

use crate::auth::LoginState;
use crate::deadline::Deadline;
use crate::description::ServerDescription;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::{self, ConnectionInfo};
use crate::handshake::Hello;
use crate::options::ServerAddress;
pub(crate) use crate::transport::{ShutdownHandle, ShutdownReason, Supervisor, WaitObserver};
use crate::transport::{Transport, network_error};
use crate::wire::{Header, MAX_MESSAGE_BYTES, Message, Reply};

pub(crate) use crate::handshake::HelloFor;
pub(crate) use buffers::Buffers;
pub(crate) use factory::{ConnectionFactory, OpenedConnection};
use stream::ReplyChain;
pub(crate) use stream::StreamedCheck;

/// A connection, with its buffers and what the server said when it was made.
#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    shutdown: ShutdownHandle,
    address: ServerAddress,
    info: ConnectionInfo,
    /// Unknown until the handshake is over.
    description: Arc<ServerDescription>,
    login: LoginState,
    /// The cluster time in the last reply to its login, or to its hello for an operation. Taking it leaves `None`.
    cluster_time: Option<Box<RawDocumentBuf>>,
    /// The pool's generation that it belongs to.
    generation: u64,
    next_request_id: i32,
    max_reply_bytes: usize,
    broken: bool,
    stream: ReplyChain,
    /// Empty while the connection is idle.
    buffers: Buffers,
}

impl Connection {
    /// A connection whose handshake is still to be done.
    fn new(transport: Transport, address: &ServerAddress) -> Connection {
        let info = ConnectionInfo {
            address: address.clone(),
            id: 0,
            server_id: None,
            service_id: None,
            tls: transport.tls_info().cloned(),
        };
        Connection {
            shutdown: transport.shutdown_handle(),
            transport,
            address: address.clone(),
            info,
            description: Arc::new(ServerDescription::unknown()),
            login: LoginState::default(),
            cluster_time: None,
            generation: 0,
            next_request_id: new_request_id(),
            max_reply_bytes: MAX_HANDSHAKE_REPLY,
            broken: false,
            stream: ReplyChain::default(),
            buffers: Buffers::default(),
        }
    }

    /// The server has introduced itself: its own limits count.
    fn introduced(&mut self, hello: &Hello) {
        self.info.server_id = hello.connection_id;
        self.info.service_id = hello.service_id;
        self.description = Arc::clone(&hello.description);
    }

    /// The handshake is over: it has its number, and replies may be as long as messages can be.
    fn establish(&mut self, login: LoginState, id: u64) {
        self.info.id = event::public_number(id);
        self.login = login;
        self.max_reply_bytes = MAX_MESSAGE_BYTES;
    }

    /// Runs a command and waits for its reply, which may say `ok: 0`. It is `now`, for the time that an error names.
    pub(crate) fn run(&mut self, message: &Message<'_>, deadline: Deadline, now: Instant) -> Result<Reply> {
        let outcome = match self.encode(message, false, deadline) {
            Ok((request_id, tail)) => match self.transport.write_all(&self.buffers.outgoing, tail) {
                Ok(()) => self.receive(request_id, deadline),
                Err(error) => Err(self.closed_or(network_error(error, Stage::Command, deadline))),
            },
            Err(error) => Err(error),
        };
        outcome.map_err(|error| self.complete(error, now))
    }

    /// Sends a command that gets no reply.
    pub(crate) fn send(&mut self, message: &Message<'_>, deadline: Deadline, now: Instant) -> Result<()> {
        let outcome = match self.encode(message, true, deadline) {
            Ok((_, tail)) => match self.transport.write_all(&self.buffers.outgoing, tail) {
                Ok(()) => {
                    self.broken = false;
                    Ok(())
                }
                Err(error) => Err(self.closed_or(network_error(error, Stage::Command, deadline))),
            },
            Err(error) => Err(error),
        };
        outcome.map_err(|error| self.complete(error, now))
    }

    /// One round trip of the handshake. The message may carry a secret, so it is wiped from the buffer, which lives longer.
    fn send_handshake_command(
        &mut self,
        database: &str,
        command: &RawDocument,
        deadline: Deadline,
    ) -> Result<RawDocumentBuf> {
        let message = Message { database, body: command, sequence: None, more_to_come: false };
        let outcome = match self.encode(&message, false, deadline) {
            Ok((request_id, _)) => match self.transport.write_all(&self.buffers.outgoing, &[]) {
                Ok(()) => self.receive(request_id, deadline),
                Err(error) => Err(self.closed_or(network_error(error, Stage::Command, deadline))),
            },
            Err(error) => Err(error),
        };
        self.buffers.outgoing.zeroize();
        Ok(outcome?.document().to_owned())
    }

    /// Encodes a message and begins to use the connection for it. Returns its request id, and the part that is to be sent
    /// after the outgoing buffer.
    fn encode<'a>(&mut self, message: &Message<'a>, more_to_come: bool, deadline: Deadline) -> Result<(i32, &'a [u8])> {
        let message = Message { more_to_come, ..*message };
        let limit = self.description.max_message_size_bytes;
        let tail = message.encode(&mut self.buffers.outgoing, self.next_request_id, limit)?;
        Ok((self.begin(deadline)?, tail))
    }

    /// From here on the connection is broken until the exchange has come to its end. Returns the request id.
    fn begin(&mut self, deadline: Deadline) -> Result<i32> {
        if self.is_broken() {
            return Err(self.closed_or(Error::new(FaultKind::Io, Stage::Command, "the connection failed before")));
        }
        if self.shutdown.is_inherited() {
            let message = "this process was forked, and the connection belongs to its parent";
            return Err(Error::new(FaultKind::Io, Stage::Command, message)
                .with_hint("begin the operation anew in the child; it makes connections of its own"));
        }
        if deadline.expired() {
            let message = format!("{} had run out before the command could be sent", deadline.name());
            return Err(deadline.ran_out(Stage::Command, message));
        }
        self.broken = true;
        self.buffers.prepare();
        self.transport.set_deadline(deadline);
        Ok(mem::replace(&mut self.next_request_id, new_request_id()))
    }

    /// Sends the command of a check and reads the reply: what the server reports, its words, and how long they took.
    pub(crate) fn check(
        &mut self,
        command: &RawDocument,
        deadline: Deadline,
    ) -> Result<(Arc<ServerDescription>, RawDocumentBuf, Duration)> {
        let began = Instant::now();
        let reply = self.send_handshake_command("admin", command, deadline);
        let round_trip_time = began.elapsed();
        let outcome = reply.and_then(|reply| Ok((Hello::read(&reply)?.description, reply)));
        match outcome {
            Ok((description, reply)) => Ok((description, reply, round_trip_time)),
            Err(error) => Err(self.complete(error.with_stage(Stage::Hello), began)),
        }
    }

    /// Keeps what time it is in the cluster by this reply.
    fn keep_cluster_time(&mut self, reply: &RawDocument) {
        if let Ok(time) = reply.get_document("$clusterTime")
            && time.as_bytes().len() <= MAX_CLUSTER_TIME
        {
            self.cluster_time = Some(Box::new(time.to_owned()));
        }
    }

    /// The `$clusterTime` that its making has told. Nothing the second time.
    pub(crate) fn take_cluster_time(&mut self) -> Option<Box<RawDocumentBuf>> {
        self.cluster_time.take()
    }

    /// The request id that the next message will have.
    pub(crate) fn next_request_id(&self) -> i32 {
        self.next_request_id
    }

    /// Gives the buffer of a spent reply back, for the next long one.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.len() > self.buffers.spare.len() {
            self.buffers.spare = buffer;
        }
    }

    /// The buffers, before the connection is left idle.
    pub(crate) fn take_buffers(&mut self) -> Buffers {
        mem::take(&mut self.buffers)
    }

    /// Buffers that another connection had before.
    pub(crate) fn set_buffers(&mut self, buffers: Buffers) {
        self.buffers = buffers;
    }

    /// How many system calls its socket has made.
    #[cfg(test)]
    pub(crate) fn system_calls(&mut self) -> usize {
        self.transport.socket_mut().calls
    }

    /// Whether something went wrong during a command, so that it must not be used again.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken || self.shutdown.is_closed()
    }

    /// Whether the server has neither closed the connection nor sent something that was not asked for. Does not wait, but
    /// makes system calls and may read and decrypt, so it is no call to make under a lock.
    pub(crate) fn is_alive(&mut self) -> bool {
        !self.is_broken() && self.transport.is_alive()
    }

    /// Whether it belongs to the parent of this process (`fork`), which goes on using it.
    pub(crate) fn is_inherited(&self) -> bool {
        self.shutdown.is_inherited()
    }

    /// A handle that ends the connection from another thread.
    pub(crate) fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Which connection it is.
    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// What the server reported about itself.
    pub(crate) fn description(&self) -> &Arc<ServerDescription> {
        &self.description
    }

    /// The pool's generation that it belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Assigns it to a generation.
    pub(crate) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Reads the reply to a message. The connection is usable again once the reply has arrived whole and fits.
    fn receive(&mut self, request_id: i32, deadline: Deadline) -> Result<Reply> {
        let (header, bytes, surplus) = read_message_bytes(self, request_id, 0, deadline)?;
        if !surplus.is_empty() {
            let message = format!("the server sent {} bytes after its reply", surplus.len());
            return Err(Error::invalid_reply(Stage::Decode, message));
        }
        let reply = Reply::decode(bytes, &header)?;
        if self.shutdown.is_closed()
            && let Some(error) = reply.command_error()
        {
            // The server may notice that the connection or a session was ended before the thread here that reads does, and
            // then its error is a consequence of that.
            return Err(self.closed_or(error));
        }
        self.broken = false;
        Ok(reply)
    }

    /// Reads until the header is there, which is when the rest of a short reply is there, too.
    fn read_header(&mut self, mut filled: usize, deadline: Deadline) -> Result<(Header, usize)> {
        loop {
            if let Some(header) = Header::read(self.buffers.incoming.get(..filled).unwrap_or_default())? {
                return Ok((header, filled));
            }
            filled += read(&mut self.transport, self.buffers.incoming.get_mut(filled..), filled, deadline)?;
        }
    }

    /// The rest of a reply that has room where its header is, and what was read beyond it. It is copied out, so that the room
    /// stays.
    fn read_short(&mut self, length: usize, mut filled: usize, deadline: Deadline) -> Result<(Vec<u8>, Vec<u8>)> {
        while filled < length {
            filled += read(&mut self.transport, self.buffers.incoming.get_mut(filled..), filled, deadline)?;
        }
        let read = self.buffers.incoming.get(..filled).unwrap_or_default();
        let (reply, surplus) = read.split_at_checked(length).unwrap_or((read, &[]));
        Ok((reply.to_vec(), surplus.to_vec()))
    }

    /// The rest of a long reply, into a buffer of its own. That grows as the bytes arrive: an announcement alone costs
    /// no more than [`FIRST_ROOM`].
    fn read_long(&mut self, length: usize, mut filled: usize, deadline: Deadline) -> Result<Vec<u8>> {
        let buffer = &mut self.buffers.spare;
        if buffer.len() < length.min(FIRST_ROOM) {
            buffer.resize(length.min(FIRST_ROOM), 0);
        }
        let first = self.buffers.incoming.get(..filled).unwrap_or_default();
        if let Some(room) = buffer.get_mut(..filled) {
            room.copy_from_slice(first);
        }
        while filled < length {
            if filled == buffer.len() {
                buffer.resize(length.min(filled * 2), 0);
            }
            let end = buffer.len().min(length);
            filled += read(&mut self.transport, buffer.get_mut(filled..end), filled, deadline)?;
        }
        Ok(mem::take(&mut self.buffers.spare))
    }

    /// Names the server and the time that it took.
    fn complete(&self, error: Error, began: Instant) -> Error {
        error.with_address(&self.info.address).with_elapsed(began.elapsed())
    }

    /// Whether it was closed because its server has fallen silent and another one is primary now.
    pub(crate) fn is_superseded(&self) -> bool {
        self.shutdown.successor().is_some()
    }

    /// Says whether the command that is sent next may as well be sent to another server, once that one is primary.
    pub(crate) fn set_yields(&self, yields: bool) {
        self.shutdown.set_yields(yields);
    }

    /// The error itself, unless its cause is that this side has closed the connection.
    fn closed_or(&self, error: Error) -> Error {
        if !self.shutdown.is_closed() {
            return error;
        }
        if self.shutdown.is_interrupted() {
            return interrupted(&self.address, error);
        }
        if let Some(words) = self.shutdown.successor() {
            return Error::new(FaultKind::Io, error.stage(), words.to_string());
        }
        // The socket's error would blame the server, but this side has closed the connection.
        Error::client_closed(error.stage())
    }
}

/// The error where a connection, or the making of one, was ended because a check of its server ran out of time.
pub(crate) fn interrupted(address: &ServerAddress, error: Error) -> Error {
    let message = format!("Connection to {address} interrupted due to server monitor timeout");
    Error::new(FaultKind::ConnectionPoolCleared, error.stage(), message).with_source(error)
}

/// Reads the bytes of the message that answers this one. The first `filled` are there already. Returns what was read beyond it,
/// too.
fn read_message_bytes(
    connection: &mut Connection,
    answers: i32,
    filled: usize,
    deadline: Deadline,
) -> Result<(Header, Vec<u8>, Vec<u8>)> {
    let (header, filled) = connection.read_header(filled, deadline).map_err(|error| connection.closed_or(error))?;
    header.check(answers)?;
    if header.length > connection.max_reply_bytes {
        let (length, most) = (header.length, connection.max_reply_bytes);
        let message = format!("the server announces a reply of {length} bytes before the login; {most} are allowed");
        return Err(Error::invalid_reply(Stage::Decode, message));
    }
    let read = if header.length <= connection.buffers.incoming.len() {
        connection.read_short(header.length, filled, deadline)
    } else {
        connection.read_long(header.length, filled, deadline).map(|bytes| (bytes, Vec::new()))
    };
    let (bytes, surplus) = read.map_err(|error| connection.closed_or(error))?;
    Ok((header, bytes, surplus))
}

/// Reads at least one byte.
fn read(transport: &mut Transport, room: Option<&mut [u8]>, before: usize, deadline: Deadline) -> Result<usize> {
    match transport.read(room.unwrap_or_default()) {
        Ok(0) if before == 0 => Err(network_error(io::ErrorKind::UnexpectedEof.into(), Stage::Command, deadline)),
        Ok(0) => {
            let message = format!("the server closed the connection after {before} bytes of its reply");
            Err(Error::new(FaultKind::Io, Stage::Command, message))
        }
        Ok(count) => Ok(count),
        Err(error) => Err(network_error(error, Stage::Command, deadline)),
    }
}

/// A request id that no other recent message of this process has.
fn new_request_id() -> i32 {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How much room a long reply gets on its announcement alone.
const FIRST_ROOM: usize = 1024 * 1024;
/// The longest cluster time that is kept: it has a timestamp, a hash of 20 bytes and a number.
const MAX_CLUSTER_TIME: usize = 1024;
/// The longest reply before authentication is over: the server has proved nothing until then.
const MAX_HANDSHAKE_REPLY: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
