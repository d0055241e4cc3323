//! The floor: a loop over a raw socket that sends what the driver sends, and reads what comes. It checks nothing, decodes
//! nothing, and changes in the recorded bytes only what a server insists on: the login's nonce and proof, the `_id` of what
//! is inserted, the number of a cursor.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::measure::Work;
use crate::process::Server;
use crate::row::{Row, THREADS};
use crate::tape::Tape;

/// The floor's side of a row.
pub fn work(row: Row, server: &Server, tape: &Tape) -> Work {
    match row {
        Row::Ping => ping(Raw::log_in(server, tape), tape),
        Row::Insert => insert(Raw::log_in(server, tape), tape),
        Row::FindRaw | Row::FindTyped | Row::FindDocument => find(Raw::log_in(server, tape), tape),
        Row::Threads => threads(server, tape),
        Row::Login => login(server, tape),
    }
}

fn ping(mut raw: Raw, tape: &Tape) -> Work {
    let message = tape.command("ping").to_vec();
    Box::new(move |operations| {
        for _ in 0..operations {
            raw.exchange(&message);
        }
    })
}

fn insert(mut raw: Raw, tape: &Tape) -> Work {
    let mut message = tape.command("insert").to_vec();
    let id = find_bytes(&message, b"\x07_id\0").expect("an ObjectId") + 5;
    let mut next = 0u64;
    Box::new(move |operations| {
        for _ in 0..operations {
            next += 1;
            message[id + 4..id + 12].copy_from_slice(&next.to_be_bytes());
            raw.exchange(&message);
        }
    })
}

fn find(mut raw: Raw, tape: &Tape) -> Work {
    let messages = tape.find();
    Box::new(move |operations| {
        for _ in 0..operations {
            let mut cursor = None;
            for message in &messages {
                cursor = Some(raw.next_batch(message, cursor));
            }
            assert_eq!(cursor, Some([0; 8]), "the cursor is at its end");
        }
    })
}

fn threads(server: &Server, tape: &Tape) -> Work {
    let mut all: Vec<Raw> = (0..THREADS).map(|_| Raw::log_in(server, tape)).collect();
    let message = tape.command("ping").to_vec();
    Box::new(move |operations| {
        let message = &message;
        thread::scope(|scope| {
            for raw in &mut all {
                scope.spawn(move || (0..operations / THREADS as u64).for_each(|_| raw.exchange(message)));
            }
        });
    })
}

fn login(server: &Server, tape: &Tape) -> Work {
    let (server, tape) = (server.clone(), Tape::read(tape.to_bytes().as_slice()));
    Box::new(move |operations| {
        for _ in 0..operations {
            Raw::log_in(&server, &tape).exchange(tape.command("ping"));
        }
    })
}

/// A socket and one buffer, which is used again and again.
struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Raw {
    fn log_in(server: &Server, tape: &Tape) -> Raw {
        let stream = TcpStream::connect(&server.address).expect("the server");
        stream.set_nodelay(true).expect("no delay");
        let mut raw = Raw { stream, buffer: vec![0; 16 * 1024], filled: 0 };
        let mut hello = &[][..];
        for message in tape.login() {
            match find_bytes(message, b"c=biws,r=") {
                None => {
                    raw.exchange(message);
                    hello = message;
                }
                Some(at) => {
                    let answered = with_proof(message, at, hello, raw.reply(), &server.password);
                    raw.exchange(&answered);
                    assert!(find_bytes(raw.reply(), b"v=").is_some(), "the floor is logged in");
                }
            }
        }
        raw
    }

    /// Sends a message and reads the reply into the buffer.
    fn exchange(&mut self, message: &[u8]) {
        self.stream.write_all(message).expect("the server takes it");
        self.filled = 0;
        let mut length = 16;
        while self.filled < length {
            let count = self.stream.read(&mut self.buffer[self.filled..]).expect("a reply");
            assert_ne!(count, 0, "the server has closed the floor's connection");
            self.filled += count;
            if let Some(announced) = self.buffer[..self.filled].first_chunk::<4>() {
                length = i32::from_le_bytes(*announced).unsigned_abs() as usize;
                if self.buffer.len() < length {
                    self.buffer.resize(length, 0);
                }
            }
        }
    }

    fn reply(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// A find, or with the cursor's number a getMore; gives the cursor's number that follows the batch.
    fn next_batch(&mut self, message: &[u8], cursor: Option<[u8; 8]>) -> [u8; 8] {
        match cursor {
            None => self.exchange(message),
            Some(number) => {
                let mut message = message.to_vec();
                let at = find_bytes(&message, b"\x12getMore\0").expect("a getMore") + 9;
                message[at..at + 8].copy_from_slice(&number);
                self.exchange(&message);
            }
        }
        let end = &self.reply()[self.filled.saturating_sub(AFTER_A_BATCH)..];
        let at = end.windows(4).rposition(|bytes| bytes == b"\x12id\0").expect("the cursor's number") + 4;
        *end[at..].first_chunk().expect("eight bytes")
    }
}

/// The client's last SCRAM message as it was recorded, with this login's nonce and proof in it (RFC 5802, section 3).
/// The salted password costs what it costs the driver: the same crates, the same number of rounds.
fn with_proof(recorded: &[u8], at: usize, hello: &[u8], reply: &[u8], password: &str) -> Vec<u8> {
    let first = find_bytes(hello, b"n,,n=").expect("the client's first message") + 3;
    let first_end = find_bytes(hello, b",r=").expect("its nonce") + 3 + nonce_length(hello);
    // The two letters alone may stand anywhere in a reply, for one in the server's clock.
    let nonce = &hello[first_end - nonce_length(hello)..first_end];
    let server_first_at = find_bytes(reply, &[b"r=", nonce].concat()).expect("the server's first message");
    let server_first = printable(&reply[server_first_at..]);
    let field = |name: &str| {
        server_first
            .split(',')
            .find_map(|field| field.strip_prefix(name))
            .expect("a field of the server's first message")
    };
    let without_proof = format!("c=biws,r={}", field("r="));
    let auth_message =
        [&hello[first..first_end], b",", server_first.as_bytes(), b",", without_proof.as_bytes()].concat();
    let salt = BASE64_STANDARD.decode(field("s=")).expect("salt");
    let mut salted = [0; 32];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), &salt, field("i=").parse().expect("rounds"), &mut salted)
        .expect("a key");
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(&Sha256::digest(client_key), &auth_message);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
    let last = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
    let mut message = recorded.to_vec();
    message[at..at + last.len()].copy_from_slice(last.as_bytes());
    message
}

fn nonce_length(hello: &[u8]) -> usize {
    let at = find_bytes(hello, b",r=").expect("its nonce") + 3;
    printable(&hello[at..]).len()
}

/// The text up to the first byte that a SCRAM message cannot have.
fn printable(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| !(0x21..0x7f).contains(byte)).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).expect("ASCII")
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(key).expect("any key").chain_update(message).finalize().into_bytes().into()
}

fn find_bytes(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What follows the documents in a reply is no longer than this.
const AFTER_A_BATCH: usize = 300;
