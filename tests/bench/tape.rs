//! What the driver says to a server, recorded once, so that the floor can say the same.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use mongo_blocking_test_server::wire;

use crate::driver;
use crate::process::Server;

/// Messages in the order in which they were sent: a login, a ping, an insert, a find and its getMores.
#[derive(Debug)]
pub struct Tape(Vec<Vec<u8>>);

impl Tape {
    /// Listens in on a client that does each of these once.
    pub fn record(server: &Server) -> Tape {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let here = listener.local_addr().expect("its address").to_string();
        let there = server.address.clone();
        let ear = thread::spawn(move || listen_in(&listener, &there));
        driver::each_once(&server.uri_at(&here));
        Tape(ear.join().expect("the recording"))
    }

    /// What comes before the first ping: hello and login.
    pub fn login(&self) -> &[Vec<u8>] {
        let end = self.0.iter().position(|message| name(message) == b"ping").expect("a ping");
        &self.0[..end]
    }

    /// The first message that runs this command.
    pub fn command(&self, command: &str) -> &[u8] {
        self.0.iter().find(|message| name(message) == command.as_bytes()).unwrap_or_else(|| panic!("no {command}"))
    }

    /// The find and its getMores.
    pub fn find(&self) -> Vec<Vec<u8>> {
        let of_find = |message: &&Vec<u8>| matches!(name(message), b"find" | b"getMore");
        self.0.iter().filter(of_find).cloned().collect()
    }

    /// All of it. Each message begins with its length.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// What [`Tape::to_bytes`] gave.
    pub fn read(mut from: impl Read) -> Tape {
        let mut messages = Vec::new();
        while let Some(message) = wire::read_message(&mut from).expect("a tape") {
            messages.push(message);
        }
        Tape(messages)
    }
}

/// Passes one connection on, message by message.
fn listen_in(listener: &TcpListener, there: &str) -> Vec<Vec<u8>> {
    let (mut client, _) = listener.accept().expect("the client");
    let mut server = TcpStream::connect(there).expect("the server");
    let mut heard = Vec::new();
    while let Ok(Some(message)) = wire::read_message(&mut client) {
        server.write_all(&message).expect("the server takes it");
        let reply = wire::read_message(&mut server).expect("a reply").expect("a reply");
        client.write_all(&reply).expect("the client takes it");
        heard.push(message);
    }
    heard
}

/// The name of the command in an OP_MSG: the key of the first element of the first section.
fn name(message: &[u8]) -> &[u8] {
    let at = 16 + 4 + 1 + 4 + 1;
    message.get(at..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default()
}
