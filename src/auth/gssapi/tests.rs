//! What the tests of this mechanism share: a credential, and a context that plays a script; and the machine's own tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{RawBinaryRef, rawdoc};
use zeroize::Zeroizing;

use super::failure::{Cause, Origin};
use super::{Context, Failure, Gssapi, Opened, Progress, Tried};
use crate::auth::mechanism::{Mechanism, Step};
use crate::auth::sasl::{Sasl, SaslClient, SaslStep};
use crate::auth::tests::noise::Noise;
use crate::credential::GssapiCredential;
use crate::error::{ErrorKind, Stage};

pub(super) fn credential(username: &str) -> GssapiCredential {
    GssapiCredential {
        username: username.to_owned(),
        password: None,
        service_name: "mongodb".to_owned(),
        service_realm: None,
        service_host: None,
        canonicalize_host_name: None,
        credential_cache: None,
        client_keytab: None,
    }
}

/// A machine for `user` above a context that plays these lines (see [`Line`]).
pub(in crate::auth) fn scripted(user: &str, lines: &[impl AsRef<str>]) -> Gssapi {
    let mut lines: VecDeque<Line> = lines.iter().map(|line| Line::parse(line.as_ref())).collect();
    let tried = Tried {
        user: user.to_owned(),
        service: "mongodb/localhost".to_owned(),
        realm: None,
        credentials: "the password".to_owned(),
        origin: Origin::Password,
    };
    let opening = {
        let tried = tried.clone();
        move || {
            let stage = Stage::Authentication { mechanism: super::NAME, step: super::TICKET };
            match lines.pop_front().expect("a line for open").play("open", b"") {
                Ok(Outcome::Progress(first)) => {
                    Ok(Opened { context: Box::new(Script(Arc::new(Mutex::new(lines)))), first, tried })
                }
                Ok(Outcome::Bytes(_)) => panic!("open gives progress"),
                Err(failure) => Err(tried.error(stage, failure)),
            }
        }
    };
    Gssapi::new(user, tried, Box::new(opening))
}

/// One call of the library: `CALL INPUT -> continue|established|unproved|gives OUTPUT`, or `CALL INPUT -> fails`. `open` has
/// no input. Bytes are base64, or a text in quotes, in which `\xNN` is a byte.
struct Line {
    call: String,
    input: Vec<u8>,
    outcome: String,
    output: Vec<u8>,
}

enum Outcome {
    Progress(Progress),
    Bytes(Vec<u8>),
}

impl Line {
    fn parse(line: &str) -> Line {
        let (before, after) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line}"));
        let (call, input) = before.split_once(' ').unwrap_or((before, "\"\""));
        let (outcome, output) = after.split_once(' ').unwrap_or((after, "\"\""));
        Line { call: call.to_owned(), input: bytes(input), outcome: outcome.to_owned(), output: bytes(output) }
    }

    fn play(self, call: &str, input: &[u8]) -> Result<Outcome, Failure> {
        assert_eq!((self.call.as_str(), self.input.as_slice()), (call, input));
        Ok(match self.outcome.as_str() {
            "continue" => Outcome::Progress(Progress::Continue(self.output)),
            "established" => Outcome::Progress(Progress::Established { token: self.output, mutual: true }),
            "unproved" => Outcome::Progress(Progress::Established { token: self.output, mutual: false }),
            "gives" => Outcome::Bytes(self.output),
            "fails" => {
                return Err(Failure {
                    call: "it does not hold",
                    major: "A token had an invalid signature".to_owned(),
                    minor: String::new(),
                    cause: Cause::BadToken,
                    of_user: false,
                });
            }
            other => panic!("{other}"),
        })
    }
}

fn bytes(text: &str) -> Vec<u8> {
    let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return STANDARD.decode(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    };
    let mut parts = text.split("\\x");
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    out
}

struct Script(Arc<Mutex<VecDeque<Line>>>);

impl Script {
    fn next(&self, call: &str, input: &[u8]) -> Result<Outcome, Failure> {
        let line = self.0.lock().unwrap().pop_front();
        line.unwrap_or_else(|| panic!("no line for {call}")).play(call, input)
    }
}

impl Context for Script {
    fn step(&mut self, token: &[u8]) -> Result<Progress, Failure> {
        match self.next("step", token)? {
            Outcome::Progress(progress) => Ok(progress),
            Outcome::Bytes(_) => panic!("step gives progress"),
        }
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match self.next("unwrap", message)? {
            Outcome::Bytes(bytes) => Ok(Zeroizing::new(bytes)),
            Outcome::Progress(_) => panic!("unwrap gives bytes"),
        }
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        match self.next("wrap", message)? {
            Outcome::Bytes(bytes) => Ok(bytes),
            Outcome::Progress(_) => panic!("wrap gives bytes"),
        }
    }
}

/// A library that takes everything for good, and gives messages back as they are.
struct Gullible;

impl Context for Gullible {
    fn step(&mut self, token: &[u8]) -> Result<Progress, Failure> {
        Ok(match token.len() % 3 {
            0 => Progress::Continue(token.to_vec()),
            _ => Progress::Established { token: Vec::new(), mutual: true },
        })
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Ok(Zeroizing::new(message.to_vec()))
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(message.to_vec())
    }
}

/// Whatever a server sends, and even if the library believed it: nothing panics, and nobody is logged in without an offer of the
/// layer "none" and a verdict.
#[test]
fn noise_never_panics_and_never_logs_in_by_itself() {
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let reply = |payload: &[u8], done: bool| {
        let mut reply = rawdoc! { "conversationId": 1, "done": done };
        reply.append(cstr!("payload"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: payload });
        reply
    };
    let replies = [reply(b"token", false), reply(&[1, 0, 0, 0], false), reply(b"", true)];
    let mut logged_in = 0;
    for round in 0..3000 {
        let opening = || {
            let first = Progress::Continue(b"request".to_vec());
            Ok(Opened { context: Box::new(Gullible), first, tried: Tried::default() })
        };
        let mut machine = Sasl::new(Gssapi::new("ann", Tried::default(), Box::new(opening)), "$external");
        machine.start().unwrap();
        for (step, good) in replies.iter().enumerate() {
            let sent = if round % 4 == step { noise.spoil_document(good) } else { good.clone() };
            match machine.step(&sent) {
                Ok(Step::Send(_)) => {}
                Ok(Step::Done) => {
                    assert_eq!(step, 2, "logged in before the verdict");
                    assert!(sent.get_bool("done").unwrap());
                    logged_in += 1;
                    break;
                }
                Err(_) => {
                    assert!(machine.step(good).is_err(), "it came back to life");
                    break;
                }
            }
        }
    }
    assert!(logged_in >= 700, "the honest rounds log in");
}

fn payload(said: SaslStep) -> Vec<u8> {
    match said {
        SaslStep::Payload(payload) => payload.to_vec(),
        SaslStep::Finished => panic!("not finished yet"),
    }
}

#[test]
fn a_context_of_one_token_each() {
    let mut machine = scripted(
        "ann@TEST.LOCAL",
        &[
            "open -> continue \"request\"",
            "step \"reply\" -> established",
            "unwrap \"offer\" -> gives \"\\x01\\x00\\x00\\x00\"",
            "wrap \"\\x01\\x00\\x00\\x00ann@TEST.LOCAL\" -> gives \"choice\"",
        ],
    );
    assert_eq!(machine.step_name(), "the ticket");
    assert_eq!(machine.start().unwrap().as_slice(), b"request");
    assert_eq!(payload(machine.step(b"reply").unwrap()), b"");
    assert_eq!(machine.step_name(), "the security layers");
    assert_eq!(payload(machine.step(b"offer").unwrap()), b"choice");
    assert!(matches!(machine.step(b"").unwrap(), SaslStep::Finished));
    assert!(machine.step(b"").is_err());
    assert!(machine.start().is_err());
}

#[test]
fn a_server_that_proves_nothing_is_refused_before_the_first_message() {
    let mut machine = scripted("ann@TEST.LOCAL", &["open -> unproved \"request\""]);
    let error = machine.start().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error}");
    assert!(error.message().contains("did not prove who it is (no mutual"), "{error}");
    assert!(error.message().contains("as ann@TEST.LOCAL, to mongodb/localhost"), "{error}");
    let mut machine = scripted("ann@TEST.LOCAL", &["open -> continue"]);
    assert!(machine.start().unwrap_err().message().contains("no token for it"));
}

#[test]
fn an_error_tells_what_was_tried_and_what_to_do() {
    let mut machine = scripted("ann@TEST.LOCAL", &["open -> fails"]);
    let error = machine.start().unwrap_err();
    assert_eq!(
        error.message(),
        "it does not hold: A token had an invalid signature (as ann@TEST.LOCAL, to mongodb/localhost in the realm that \
         the KDC of TEST.LOCAL has for the host, with the password)"
    );
    assert!(error.hint().unwrap().contains("the server is not mongodb/localhost"), "{error}");
}
