//! SCRAM-SHA-1 and SCRAM-SHA-256: RFC 5802, RFC 7677 and MongoDB's rules for them.
//!
//! The conversation has three messages of ours and two of the server's that count. [`messages`] reads the server's, with
//! every bound; [`crypto`] does the arithmetic; [`KeyCache`] saves later connections the expensive key derivation. The
//! server has proved that it knows the password only once its signature was verified, and nothing counts before that.

mod avx;
mod cache;
mod crypto;
mod messages;
mod pbkdf2;

use std::mem;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{RawDocumentBuf, rawdoc};
use zeroize::Zeroizing;

use super::sasl::{SaslClient, SaslStep};
use crate::credential::{ScramCredential, ScramMechanism};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::secret::Secret;
use crate::system::System;
use messages::{ServerFinal, ServerFirst};

use cache::KeyCache;
pub(super) use crypto::mongo_digest;

/// What the SCRAM conversations of one client share.
#[derive(Clone)]
pub(super) struct ScramState {
    /// The source of nonces.
    system: Arc<dyn System>,
    /// The keys of earlier conversations.
    pub(super) keys: KeyCache,
    /// How many iterations a server may ask for.
    pub(super) max_iterations: u32,
}

impl ScramState {
    /// Fails where the operating system has no random bytes to give.
    pub(super) fn new(system: Arc<dyn System>, max_iterations: u32) -> Result<Self> {
        let keys = KeyCache::new(&*system)?;
        Ok(ScramState { system, keys, max_iterations })
    }
}

/// The client's side of one SCRAM conversation.
pub(super) struct Scram {
    mechanism: ScramMechanism,
    /// The password as the mechanism wants it: prepared or digested.
    password: Secret,
    client_first_bare: String,
    nonce: String,
    shared: ScramState,
    /// When the keys must be derived.
    deadline: Deadline,
    state: State,
}

enum State {
    Unstarted,
    ServerFirst,
    ServerFinal { server_key: Zeroizing<Vec<u8>>, auth_message: String },
    Over,
}

impl Scram {
    /// A conversation with a fresh nonce.
    ///
    /// Fails where the password has no prepared form (SCRAM-SHA-256, RFC 4013), or no random bytes can be had.
    pub(super) fn new(
        credential: &ScramCredential,
        mechanism: ScramMechanism,
        shared: &ScramState,
        deadline: Deadline,
    ) -> Result<Self> {
        let mut random = [0; NONCE_LENGTH];
        shared.system.random(&mut random)?;
        let scram = Scram::with_nonce(credential, mechanism, shared, STANDARD.encode(random))?;
        Ok(Scram { deadline, ..scram })
    }

    /// A conversation with a nonce that is known beforehand, for test vectors and recorded conversations.
    pub(super) fn with_nonce(
        credential: &ScramCredential,
        mechanism: ScramMechanism,
        shared: &ScramState,
        nonce: String,
    ) -> Result<Self> {
        Ok(Scram {
            mechanism,
            password: crypto::prepared_password(mechanism, &credential.username, &credential.password)?,
            client_first_bare: format!("n={},r={nonce}", messages::escaped(&credential.username)),
            nonce,
            shared: shared.clone(),
            deadline: Deadline::NEVER,
            state: State::Unstarted,
        })
    }

    fn on_server_first(&mut self, message: &[u8], stage: Stage) -> Result<SaslStep> {
        let broken = |message| Error::invalid_reply(stage, message);
        let first = ServerFirst::parse(message, &self.nonce, self.shared.max_iterations).map_err(broken)?;
        let ServerFirst { salt, iterations, .. } = &first;
        let keys = self.shared.keys.get_or_derive(self.mechanism, &self.password, salt, *iterations, self.deadline);
        let keys = keys.ok_or_else(|| self.too_slow(*iterations, stage))?;
        let without_proof = format!("c={CHANNEL_BINDING},r={}", first.nonce);
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, first.text);
        let proof = crypto::client_proof(self.mechanism, &keys.client, &auth_message);
        let client_final = format!("{without_proof},p={}", STANDARD.encode(&proof));
        self.state = State::ServerFinal { server_key: keys.server, auth_message };
        Ok(SaslStep::Payload(Zeroizing::new(client_final.into_bytes())))
    }

    fn on_server_final(&self, message: &[u8], server_key: &[u8], auth_message: &str, stage: Stage) -> Result<SaslStep> {
        match ServerFinal::parse(message).map_err(|message| Error::invalid_reply(stage, message))? {
            ServerFinal::Error(reason) => {
                let message = format!("the server ended the conversation with the error \"{reason}\"");
                Err(Error::new(FaultKind::Authentication, stage, message))
            }
            ServerFinal::Signature(signature)
                if crypto::verifies(self.mechanism, server_key, auth_message.as_bytes(), &signature) =>
            {
                Ok(SaslStep::Finished)
            }
            ServerFinal::Signature(_) => Err(Error::new(
                FaultKind::Authentication,
                stage,
                "the server's signature (v=) is wrong: it does not know this user's password",
            )
            .with_hint(
                "someone may be posing as the server; compare its address and certificate with what you expect",
            )),
        }
    }
}

impl SaslClient for Scram {
    fn name(&self) -> &'static str {
        self.mechanism.name()
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Unstarted => "start",
            State::ServerFirst => "server-first message",
            State::ServerFinal { .. } => "server-final message",
            State::Over => "end",
        }
    }

    fn start(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        match mem::replace(&mut self.state, State::Over) {
            State::Unstarted => {
                self.state = State::ServerFirst;
                Ok(Zeroizing::new(format!("{GS2_HEADER}{}", self.client_first_bare).into_bytes()))
            }
            _ => Err(self.over()),
        }
    }

    fn step(&mut self, challenge: &[u8]) -> Result<SaslStep> {
        #[cfg(test)]
        crate::call_stack::reached("Scram::step");
        let stage = Stage::Authentication { mechanism: self.name(), step: self.step_name() };
        match mem::replace(&mut self.state, State::Over) {
            State::ServerFirst => self.on_server_first(challenge, stage),
            State::ServerFinal { server_key, auth_message } => {
                self.on_server_final(challenge, &server_key, &auth_message, stage)
            }
            State::Unstarted | State::Over => Err(self.over()),
        }
    }

    fn options(&self) -> Option<RawDocumentBuf> {
        Some(rawdoc! { "skipEmptyExchange": true })
    }

    fn may_speculate(&mut self) -> bool {
        true
    }
}

impl Scram {
    fn too_slow(&self, iterations: u32, stage: Stage) -> Error {
        let message = format!("{} ran out while the key was derived ({iterations} iterations)", self.deadline.name());
        self.deadline.ran_out(stage, message).with_hint(
            "the server chooses the iterations (scramIterationCount); scram_max_iterations limits what is accepted",
        )
    }

    fn over(&self) -> Error {
        let stage = Stage::Authentication { mechanism: self.name(), step: "end" };
        Error::invalid_reply(stage, "this SCRAM conversation is over")
    }
}

/// No channel binding, and no authorisation identity: MongoDB knows neither.
const GS2_HEADER: &str = "n,,";

/// The header in base64, which goes into the final message.
const CHANNEL_BINDING: &str = "biws";

/// Bytes of randomness in a nonce.
const NONCE_LENGTH: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::auth::tests::{context, credential};
    use crate::error::ErrorKind;

    #[test]
    fn a_dead_machine_stays_dead() {
        let user = credential("user", "pencil");
        let mut scram = Scram::with_nonce(&user, ScramMechanism::Sha256, &context().scram, "abc".to_owned()).unwrap();
        assert_eq!(scram.start().unwrap().as_slice(), b"n,,n=user,r=abc");
        scram.step(b"r=abcd,s=AAAA,i=1").unwrap_err();
        for _ in 0..3 {
            assert!(scram.step(b"r=abcd,s=AAAA,i=4096").unwrap_err().message().contains("is over"));
        }
        scram.start().unwrap_err();
    }

    #[test]
    fn the_deadline_ends_the_derivation_of_keys() {
        let user = credential("user", "pencil");
        let mut scram = Scram::with_nonce(&user, ScramMechanism::Sha256, &context().scram, "abc".to_owned()).unwrap();
        scram.deadline = Deadline::after(Duration::from_millis(5)).named("timeoutMS");
        scram.start().unwrap();
        let began = Instant::now();
        let error = scram.step(b"r=abcd,s=AAAA,i=1000000").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
        assert!(error.message().contains("timeoutMS ran out") && error.message().contains("1000000"), "{error}");
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        assert_eq!(context().remembered_keys(), 0);
        assert!(scram.step(b"r=abcd,s=AAAA,i=4096").unwrap_err().message().contains("is over"));
    }

    #[test]
    fn nonces_are_fresh_and_long() {
        let user = credential("user", "pencil");
        let nonce = || Scram::new(&user, ScramMechanism::Sha256, &context().scram, Deadline::NEVER).unwrap().nonce;
        let (one, two) = (nonce(), nonce());
        assert_ne!(one, two);
        assert_eq!(STANDARD.decode(one).unwrap().len(), NONCE_LENGTH);
    }

    #[test]
    fn names_with_characters_of_the_grammar_are_escaped() {
        let user = credential("a=b,c=2C", "pencil");
        let mut scram = Scram::with_nonce(&user, ScramMechanism::Sha1, &context().scram, "abc".to_owned()).unwrap();
        assert_eq!(scram.start().unwrap().as_slice(), b"n,,n=a=3Db=2Cc=3D2C,r=abc");
    }
}
