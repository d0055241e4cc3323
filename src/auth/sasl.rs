//! SASL over commands: `saslStart`, then `saslContinue` until the server is done.
//!
//! The byte mechanisms (SCRAM, PLAIN, GSSAPI, MONGODB-AWS, MONGODB-OIDC) know nothing of commands; [`Sasl`] makes a
//! [`Mechanism`] of one. It holds the server to the form of the exchange: one conversation id from first to last, an end within
//! [`MAX_STEPS`], and no success before the byte mechanism says that the server has been verified.

use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use zeroize::Zeroizing;

use super::mechanism::{Forget, Mechanism, Step};
use crate::error::{Error, FaultKind, Result, Stage};

/// A byte mechanism's side of a conversation.
pub(super) trait SaslClient: Send + 'static {
    /// The mechanism's name.
    fn name(&self) -> &'static str;
    /// The step that an error names: what it waits for now.
    fn step_name(&self) -> &'static str;
    /// Its first message.
    fn start(&mut self) -> Result<Zeroizing<Vec<u8>>>;
    /// Validates the server's message and answers it. Any error ends the conversation.
    fn step(&mut self, challenge: &[u8]) -> Result<SaslStep>;
    /// The `options` of `saslStart`.
    fn options(&self) -> Option<RawDocumentBuf> {
        None
    }
    /// Whether `saslStart` may travel with `hello`.
    fn may_speculate(&mut self) -> bool {
        false
    }
    /// Whether `done` is an error at this point. This is checked before [`step`](SaslClient::step), because a step may be
    /// expensive: a human callback asks the user.
    fn refuses_early_done(&self) -> bool {
        false
    }
    /// Whether the reply to the last message must say `done`. Otherwise one more, empty message is exchanged where it does not.
    fn expects_done(&self) -> bool {
        false
    }
    /// A fresh client to try once more with, after the server refused this one.
    fn retry(&self, _refused: &Error) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
    /// The refusal as an error of this mechanism.
    fn explain_refusal(&self, refused: Error) -> Error {
        refused
    }
    /// The hint for a server without this mechanism: what it needs.
    fn explain_unavailable(&self) -> String {
        format!("this server does not offer {} (authenticationMechanisms)", self.name())
    }
    /// What to do before another login on the same connection, if this one used a cached token.
    fn forget(&self) -> Option<Forget> {
        None
    }
}

/// A byte mechanism's answer.
#[derive(Debug)]
pub(super) enum SaslStep {
    /// Send this, and expect more.
    Payload(Zeroizing<Vec<u8>>),
    /// No further message. The server has been verified, if the mechanism can do that.
    Finished,
}

/// A byte mechanism as a [`Mechanism`].
pub(super) struct Sasl<C> {
    client: C,
    source: String,
    state: State,
    steps: usize,
}

enum State {
    Unstarted,
    /// The reply to `saslStart`.
    FirstReply,
    /// The reply to `saslContinue` in the conversation with this id (a document with the server's own element in it).
    NextReply(RawDocumentBuf),
    /// The reply to the empty message that some servers expect at the end.
    LastReply(RawDocumentBuf),
    Over,
}

impl<C: SaslClient> Sasl<C> {
    /// A conversation of `client` about a user of the database `source`.
    pub(super) fn new(client: C, source: &str) -> Self {
        Sasl { client, source: source.to_owned(), state: State::Unstarted, steps: 0 }
    }

    fn continued(&mut self, conversation: &RawDocument, payload: &[u8]) -> Result<RawDocumentBuf> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(self.broken(format!("the server is not done after {MAX_STEPS} messages")));
        }
        let mut command = rawdoc! { "saslContinue": 1 };
        match conversation.get(CONVERSATION_ID) {
            Ok(Some(id)) => command.append(cstr!("conversationId"), id),
            _ => return Err(self.broken("the server's conversationId is not valid BSON")),
        }
        command.append(cstr!("payload"), generic(payload));
        Ok(command)
    }

    fn broken(&self, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::invalid_reply(Stage::Authentication { mechanism: self.client.name(), step: self.step_name() }, message)
    }
}

impl<C: SaslClient> Mechanism for Sasl<C> {
    fn name(&self) -> &'static str {
        self.client.name()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::LastReply(_) => "the last, empty message",
            _ => self.client.step_name(),
        }
    }

    fn start(&mut self) -> Result<RawDocumentBuf> {
        let State::Unstarted = mem::replace(&mut self.state, State::Over) else {
            return Err(self.broken("this conversation was started before"));
        };
        let payload = self.client.start()?;
        let mut command = rawdoc! { "saslStart": 1, "mechanism": self.client.name() };
        command.append(cstr!("payload"), generic(&payload));
        if let Some(options) = self.client.options() {
            command.append(cstr!("options"), options);
        }
        self.steps = 1;
        self.state = State::FirstReply;
        Ok(command)
    }

    fn retry(&self, refused: &Error) -> Option<Box<dyn Mechanism>> {
        let client = self.client.retry(refused)?;
        Some(Box::new(Sasl::new(client, &self.source)))
    }

    fn explain_refusal(&self, refused: Error) -> Error {
        self.client.explain_refusal(refused)
    }

    fn explain_unavailable(&self) -> String {
        self.client.explain_unavailable()
    }

    fn forget(&self) -> Option<Forget> {
        self.client.forget()
    }

    fn speculative(&mut self) -> Result<Option<RawDocumentBuf>> {
        if !self.client.may_speculate() {
            return Ok(None);
        }
        let mut command = self.start()?;
        command.append(cstr!("db"), self.source.as_str());
        Ok(Some(command))
    }

    fn step(&mut self, reply: &RawDocument) -> Result<Step> {
        let step = self.step_name();
        let state = mem::replace(&mut self.state, State::Over);
        let stage = Stage::Authentication { mechanism: self.client.name(), step };
        let reply = Reply::read(reply, stage)?;
        match state {
            State::Unstarted | State::Over => {
                return Err(Error::invalid_reply(stage, "the server answers in a conversation that is over"));
            }
            State::FirstReply => {}
            State::NextReply(ref id) | State::LastReply(ref id) => {
                if *id != reply.conversation {
                    return Err(Error::invalid_reply(stage, "the server changed the conversationId"));
                }
            }
        }
        if let State::LastReply(_) = state {
            return match (reply.done, reply.payload.is_empty()) {
                (true, true) => Ok(Step::Done),
                (true, false) => Err(Error::invalid_reply(stage, "the server continues after its last message")),
                (false, _) => Err(Error::invalid_reply(stage, "the server is still not done after its last message")),
            };
        }
        let early = || Error::invalid_reply(stage, "the server says it is done before the conversation is over");
        if reply.done && self.client.refuses_early_done() {
            return Err(early());
        }
        match (self.client.step(&reply.payload)?, reply.done) {
            (SaslStep::Finished, true) => Ok(Step::Done),
            (SaslStep::Finished, false) if self.client.expects_done() => {
                Err(Error::invalid_reply(stage, "the server is not done after the last message"))
            }
            (SaslStep::Finished, false) => {
                let command = self.continued(&reply.conversation, b"")?;
                self.state = State::LastReply(reply.conversation);
                Ok(Step::Send(command))
            }
            (SaslStep::Payload(payload), false) => {
                let command = self.continued(&reply.conversation, &payload)?;
                self.state = State::NextReply(reply.conversation);
                Ok(Step::Send(command))
            }
            (SaslStep::Payload(_), true) => Err(early()),
        }
    }
}

/// What a server needs for a mechanism that MongoDB Community does not have.
pub(super) fn explain_missing_from_community(name: &str) -> String {
    format!("{name} needs MongoDB Enterprise or Atlas, with {name} among its authenticationMechanisms")
}

/// What counts in the reply to `saslStart` and `saslContinue`.
struct Reply {
    conversation: RawDocumentBuf,
    done: bool,
    payload: Zeroizing<Vec<u8>>,
}

impl Reply {
    fn read(reply: &RawDocument, stage: Stage) -> Result<Reply> {
        let broken = |message: &'static str| Error::invalid_reply(stage, message);
        let (mut conversation, mut done, mut payload) = (None, None, None);
        for element in reply {
            let (key, value) =
                element.map_err(|error| broken("the server's reply is not valid BSON").with_source(error))?;
            let twice = match key.as_str() {
                CONVERSATION_ID => conversation.replace(conversation_id(value).map_err(broken)?).is_some(),
                "done" => {
                    let value = value.as_bool().ok_or_else(|| broken("the server's `done` is not a boolean"))?;
                    done.replace(value).is_some()
                }
                "payload" => payload.replace(payload_bytes(value).map_err(broken)?).is_some(),
                "code" if !matches!(value, RawBsonRef::Int32(0)) => {
                    let refused = "the server answers with an error code, yet with ok: 1";
                    return Err(Error::new(FaultKind::Authentication, stage, refused));
                }
                _ => false,
            };
            if twice {
                return Err(broken("the server's reply names a field twice"));
            }
        }
        Ok(Reply {
            conversation: conversation.ok_or_else(|| broken("the server's reply has no conversationId"))?,
            done: done.ok_or_else(|| broken("the server's reply has no `done`"))?,
            payload: payload.ok_or_else(|| broken("the server's reply has no payload"))?,
        })
    }
}

/// Keeps the id byte for byte, whatever its BSON type: it must be sent back unchanged.
fn conversation_id(value: RawBsonRef<'_>) -> Result<RawDocumentBuf, &'static str> {
    let mut id = RawDocumentBuf::new();
    id.append(cstr!("conversationId"), value);
    if id.as_bytes().len() > MAX_CONVERSATION_ID { Err("the server's conversationId is too long") } else { Ok(id) }
}

fn payload_bytes(value: RawBsonRef<'_>) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    match value {
        RawBsonRef::Binary(RawBinaryRef { bytes, .. }) if bytes.len() <= MAX_PAYLOAD => {
            Ok(Zeroizing::new(bytes.to_vec()))
        }
        RawBsonRef::String(text) if text.len() <= MAX_PAYLOAD => {
            STANDARD.decode(text).map(Zeroizing::new).map_err(|_| "the server's payload is a string that is not base64")
        }
        RawBsonRef::Binary(_) | RawBsonRef::String(_) => Err("the server's payload is longer than 64 KiB"),
        _ => Err("the server's payload is neither binary data nor a string"),
    }
}

fn generic(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef { subtype: BinarySubtype::Generic, bytes }
}

const CONVERSATION_ID: &str = "conversationId";

/// How many messages a conversation may take. SCRAM needs 3; Kerberos rarely more than 4.
const MAX_STEPS: usize = 10;

/// A Kerberos token with a large authorisation part stays well below this.
const MAX_PAYLOAD: usize = 64 * 1024;

/// Servers number their conversations with an integer, so a longer id is not accepted.
const MAX_CONVERSATION_ID: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Says `x` for ever.
    struct Talker;

    impl SaslClient for Talker {
        fn name(&self) -> &'static str {
            "TALKER"
        }
        fn step_name(&self) -> &'static str {
            "anything"
        }
        fn start(&mut self) -> Result<Zeroizing<Vec<u8>>> {
            Ok(Zeroizing::new(b"x".to_vec()))
        }
        fn step(&mut self, _challenge: &[u8]) -> Result<SaslStep> {
            Ok(SaslStep::Payload(Zeroizing::new(b"x".to_vec())))
        }
    }

    #[test]
    fn a_conversation_ends_after_ten_messages() {
        let mut machine = Sasl::new(Talker, "admin");
        machine.start().unwrap();
        let reply = rawdoc! { "conversationId": 1, "done": false, "payload": "" };
        for _ in 1..MAX_STEPS {
            assert!(matches!(machine.step(&reply), Ok(Step::Send(_))));
        }
        let error = machine.step(&reply).unwrap_err();
        assert!(error.message().contains("not done after 10 messages"), "{error}");
        let dead = machine.step(&reply).unwrap_err();
        assert!(dead.message().contains("over"), "{dead}");
    }

    #[test]
    fn the_conversation_id_is_echoed_whatever_its_type() {
        for id in [
            rawdoc! { "conversationId": 7 },
            rawdoc! { "conversationId": 7_i64 },
            rawdoc! { "conversationId": f64::NAN },
            rawdoc! { "conversationId": "seven" },
            rawdoc! { "conversationId": { "a": [1, 2] } },
            rawdoc! { "conversationId": bson::oid::ObjectId::from_bytes([7; 12]) },
        ] {
            let mut machine = Sasl::new(Talker, "admin");
            machine.start().unwrap();
            let mut reply = id.clone();
            reply.append(cstr!("done"), false);
            reply.append(cstr!("payload"), "");
            for _ in 0..2 {
                let Step::Send(command) = machine.step(&reply).unwrap() else { panic!("not done") };
                let mut echoed = RawDocumentBuf::new();
                echoed.append(cstr!("conversationId"), command.get("conversationId").unwrap().unwrap());
                assert_eq!(echoed, id);
            }
        }
    }

    #[test]
    fn every_error_ends_the_machine_for_good() {
        let good = rawdoc! { "conversationId": 1, "done": false, "payload": "" };
        for bad in [
            rawdoc! { "done": false, "payload": "" },
            rawdoc! { "conversationId": 1, "payload": "" },
            rawdoc! { "conversationId": 1, "done": 1, "payload": "" },
            rawdoc! { "conversationId": 1, "done": false },
            rawdoc! { "conversationId": 1, "done": false, "payload": 7 },
            rawdoc! { "conversationId": 1, "done": false, "payload": "%" },
            rawdoc! { "conversationId": 1, "done": false, "payload": "", "payload": "" },
            rawdoc! { "conversationId": 1, "done": true, "payload": "" },
            rawdoc! { "conversationId": 1, "done": false, "payload": "", "code": 18 },
            rawdoc! { "conversationId": 1, "done": false, "payload": "A".repeat(MAX_PAYLOAD + 4) },
            rawdoc! { "conversationId": "x".repeat(MAX_CONVERSATION_ID), "done": false, "payload": "" },
        ] {
            let mut machine = Sasl::new(Talker, "admin");
            machine.start().unwrap();
            machine.step(&bad).unwrap_err();
            machine.step(&good).unwrap_err();
            machine.start().unwrap_err();
        }
    }
}
