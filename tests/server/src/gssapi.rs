//! The server's half of GSSAPI: PyPI's gssapi behind the fake server.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::peers::{Kdc, require, script};
use crate::sasl_server::{SaslError, SaslReply, SaslServer};

/// A running `tests/clients/gssapi_server.py`, for any number of conversations. It ends when this value is dropped or the test
/// process ends.
#[derive(Debug)]
pub struct Acceptor {
    child: Child,
    line: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    next: AtomicUsize,
    seen: Mutex<Vec<String>>,
}

/// A way of breaking the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// None: an honest server.
    Nothing,
    /// The server's message of this number (from 0) has one bit changed.
    Flip(usize),
    /// The server's message of this number is empty.
    Empty(usize),
    /// The server's message of this number is sent once more in place of the next one.
    Repeat(usize),
    /// The server says that it is done with this message.
    Done(usize),
    /// The server is never done, and after its last word repeats an empty one.
    Endless,
    /// The server adds a byte to its last message, which should be empty.
    Talkative,
}

impl Acceptor {
    /// Starts it with the keys of a keytab, offering this mask of security layers (1: none, 2: integrity, 4: confidentiality).
    /// `None`, after a [`skip`](crate::peers::skip), where there is no Python with gssapi.
    ///
    /// # Panics
    /// If it is there but does not start.
    pub fn start(kdc: &Kdc, keytab: &Path, layers: u8) -> Option<Arc<Acceptor>> {
        let mut environment = kdc.environment();
        environment.push(("KRB5_KTNAME", OsString::from(keytab)));
        let mut child = Command::new(require("PYTHON_GSSAPI", "python-gssapi/bin/python")?)
            .arg(script("gssapi_server.py"))
            .arg(layers.to_string())
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let input = child.stdin.take().expect("a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        output.read_line(&mut first).expect("the acceptor's first line");
        assert_eq!(first.trim(), "ready", "gssapi_server.py did not start; its error is above");
        let line = Mutex::new((input, output));
        Some(Arc::new(Acceptor { child, line, next: AtomicUsize::new(0), seen: Mutex::default() }))
    }

    /// A conversation, for [`FakeServerBuilder::mechanism`](crate::fake_server::FakeServerBuilder::mechanism).
    pub fn sasl_server(self: &Arc<Acceptor>, tamper: Tamper) -> Box<dyn SaslServer> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Box::new(Conversation { acceptor: self.clone(), number, tamper, said: 0, last: Vec::new(), over: false })
    }

    /// Who logged in so far and to which of its principals: `ann@TEST.LOCAL mongodb/localhost@TEST.LOCAL`; and why others
    /// were refused.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, number: usize, payload: &[u8]) -> Result<SaslReply, SaslError> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut answer = String::new();
        let asked = writeln!(line.0, "{number} {hex}").and_then(|()| line.1.read_line(&mut answer));
        asked.expect("the acceptor answers");
        let answer = answer.trim_end().strip_prefix(&format!("{number} ")).expect("an answer to the question");
        let seen = |what: &str| self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
        match answer.split(' ').collect::<Vec<_>>()[..] {
            ["more", token] => Ok(SaslReply { payload: bytes(token), ..SaslReply::default() }),
            ["done", token, user, service] => {
                seen(&format!("{user} {service}"));
                Ok(SaslReply { payload: bytes(token), done: true, user: Some(user.to_owned()) })
            }
            _ => {
                seen(answer);
                Err(SaslError::failed())
            }
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // Its input ends with this value, and so does it; the id is its own until it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Conversation {
    acceptor: Arc<Acceptor>,
    number: usize,
    tamper: Tamper,
    said: usize,
    last: Vec<u8>,
    over: bool,
}

impl SaslServer for Conversation {
    fn step(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError> {
        if self.over && self.tamper == Tamper::Endless {
            return Ok(SaslReply::default());
        }
        let mut spoken = self.acceptor.say(self.number, payload)?;
        self.over = spoken.done;
        match self.tamper {
            Tamper::Flip(at) if at == self.said => {
                // The last byte of a Kerberos token belongs to a checksum.
                spoken.payload.last_mut().into_iter().for_each(|byte| *byte ^= 1);
            }
            Tamper::Empty(at) if at == self.said => spoken.payload.clear(),
            Tamper::Repeat(at) if at + 1 == self.said => spoken.payload.clone_from(&self.last),
            Tamper::Done(at) if at == self.said => spoken.done = true,
            Tamper::Endless => spoken.done = false,
            Tamper::Talkative if spoken.done => spoken.payload.push(0),
            _ => {}
        }
        self.said += 1;
        self.last.clone_from(&spoken.payload);
        Ok(spoken)
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
