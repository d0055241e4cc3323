//! The ways in which the fake server can be made to break the rules.

use std::time::Duration;

use bson::Document;

use crate::wire::{Forge, Request};

/// One way of breaking the rules. Replies are counted for each connection, from 1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Behaviour {
    /// Changes the SCRAM conversation.
    Scram(ScramTamper),
    /// hello never carries `speculativeAuthenticate`.
    NoSpeculation,
    /// hello never carries `saslSupportedMechs`.
    NoSupportedMechanisms,
    /// `skipEmptyExchange` is ignored: the conversation ends with one empty exchange more.
    ExtraExchange,
    /// After this many bytes of replies the connection is closed.
    CloseAfterBytes(usize),
    /// Instead of sending this reply the connection is closed.
    CloseAtReply(usize),
    /// From this reply on nothing is sent; the connection stays open.
    StallAtReply(usize),
    /// Every byte is sent by itself.
    Drip,
    /// Every reply comes this much later.
    Delay(Duration),
    /// This reply is sent with some of it forged.
    ForgeReply(usize, Forge),
    /// This reply's document is bytes that are no BSON.
    GarbageAtReply(usize),
    /// The command of this name gets this document and is not run.
    Answer(String, Document),
}

/// What is changed in the SCRAM conversation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ScramTamper {
    /// The server's nonce is the client's, nothing added.
    NonceNotExtended,
    /// The server's nonce does not start with the client's.
    NonceReplaced,
    /// `i=` names this number, whatever was used.
    Iterations(i64),
    /// `s=` is empty.
    SaltEmpty,
    /// `s=` has this many bytes.
    SaltHuge(usize),
    /// The first message of the server, literally; `{nonce}`, `{salt}` and `{iterations}` stand for the honest values.
    ServerFirst(String),
    /// `v=` is another value.
    VerifierWrong,
    /// The conversation is done, with an empty payload instead of `v=`.
    VerifierMissing,
    /// The last message of the server, literally; `{verifier}` stands for the honest value.
    ServerFinal(String),
    /// The last message is `e=` and this text, with `ok: 1` and `done: true`.
    ServerError(String),
    /// The server's first message says `done: true`.
    DoneTooEarly,
    /// After the verifier, `done: false` for ever.
    Endless,
    /// Answers to saslContinue name another conversation.
    ConversationIdChanged,
}

/// What a handler given by [`crate::fake_server::FakeServerBuilder::on_command`] wants done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// Send this document.
    Reply(Document),
    /// Send these bytes as they are.
    Bytes(Vec<u8>),
    /// Close the connection.
    Close,
    /// Never answer; the connection stays open.
    Stall,
}

/// A handler's type: the command and the connection's number in, what to do out; `None` leaves it to the fake server.
pub type Handler = dyn Fn(&Request, usize) -> Option<Answer> + Send + Sync;

/// The behaviours in force, asked for one by one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behaviours(pub(crate) Vec<Behaviour>);

impl Behaviours {
    /// The first answer that `pick` finds.
    pub(crate) fn find<'a, T>(&'a self, pick: impl FnMut(&'a Behaviour) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }

    pub(crate) fn scram(&self) -> impl Iterator<Item = &ScramTamper> {
        self.0.iter().filter_map(|b| match b {
            Behaviour::Scram(tamper) => Some(tamper),
            _ => None,
        })
    }

    pub(crate) fn no_speculation(&self) -> bool {
        self.0.iter().any(|b| matches!(b, Behaviour::NoSpeculation))
    }

    pub(crate) fn no_supported_mechanisms(&self) -> bool {
        self.0.iter().any(|b| matches!(b, Behaviour::NoSupportedMechanisms))
    }

    pub(crate) fn extra_exchange(&self) -> bool {
        self.0.iter().any(|b| matches!(b, Behaviour::ExtraExchange))
    }

    pub(crate) fn drip(&self) -> bool {
        self.0.iter().any(|b| matches!(b, Behaviour::Drip))
    }
}
