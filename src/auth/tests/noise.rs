//! Bytes that no server should send: nothing panics, and nobody is logged in by them.

use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{RawBinaryRef, RawDocument, RawDocumentBuf, rawdoc};

use super::{context, credential};
use crate::auth::AuthContext;
use crate::auth::mechanism::{Mechanism, Step};
use crate::auth::sasl::Sasl;
use crate::auth::scram::Scram;
use crate::credential::ScramMechanism;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

/// A small generator with a fixed seed, so that a failure can be had again.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// A few changes: bytes replaced, taken out, put in, cut off.
    pub(crate) fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let (at, byte) = (self.below(bytes.len()), self.next().to_le_bytes()[0]);
            match self.below(5) {
                0 if !bytes.is_empty() => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, b",=rsivem\0"[self.below(9)]),
                _ if !bytes.is_empty() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        bytes
    }

    /// The same within a document. The wire refuses one whose length is wrong, so that stays right.
    pub(crate) fn spoil_document(&mut self, document: &RawDocument) -> RawDocumentBuf {
        let mut bytes = self.spoil(document.as_bytes());
        bytes.resize(bytes.len().max(5), 0);
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes[..4].copy_from_slice(&length);
        *bytes.last_mut().unwrap() = 0;
        RawDocumentBuf::from_bytes(bytes).unwrap()
    }
}

fn machine(context: &AuthContext) -> Sasl<Scram> {
    let user = credential("user", "pencil");
    let scram = Scram::with_nonce(&user, ScramMechanism::Sha256, &context.scram, NONCE.to_owned()).unwrap();
    let mut machine = Sasl::new(scram, "admin");
    machine.start().unwrap();
    machine
}

fn reply(payload: &[u8], done: bool) -> RawDocumentBuf {
    let mut reply = rawdoc! { "conversationId": 1, "done": done };
    reply.append(cstr!("payload"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: payload });
    reply
}

/// A few iterations more than the least, so that a spoiled count can't keep the test busy.
fn quick() -> AuthContext {
    let mut context = context();
    context.scram.max_iterations = 4200;
    context
}

#[test]
fn spoiled_messages_never_panic_and_never_log_in() {
    let (context, mut noise) = (quick(), Noise(0x9E37_79B9_7F4A_7C15));
    for _ in 0..1500 {
        let mut machine = machine(&context);
        if noise.below(2) == 0 {
            let _ = machine.step(&reply(&noise.spoil(FIRST.as_bytes()), false));
        } else {
            machine.step(&reply(FIRST.as_bytes(), false)).unwrap();
        }
        let last = noise.spoil(FINAL.as_bytes());
        let outcome = machine.step(&reply(&last, true));
        if matches!(outcome, Ok(Step::Done)) {
            assert!(last.starts_with(FINAL.as_bytes()), "logged in by {:?}", String::from_utf8_lossy(&last));
        }
    }
}

#[test]
fn spoiled_replies_never_panic() {
    let (context, mut noise) = (quick(), Noise(0xD1B5_4A32_D192_ED03));
    let good = reply(FIRST.as_bytes(), false);
    for _ in 0..1500 {
        let _ = machine(&context).step(&noise.spoil_document(&good));
    }
}
