//! OpenSSL's own test server, `openssl s_server`: a TLS peer that this project did not write. It speaks no MongoDB, so a
//! channel to it shows in the hello, which fails. It answers once a line has ended: an application name with a line break
//! in it spares a client the wait.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Scratch, skip};

/// A running `openssl s_server`, which serves one connection at a time and answers every line with itself, reversed. It
/// ends when this value is dropped.
#[derive(Debug)]
pub struct SServer {
    child: Child,
    port: u16,
    _scratch: Scratch,
}

impl SServer {
    /// Starts it with this certificate, chain and key (PEM, the leaf first) and these arguments more. `None`, after a
    /// [`skip`], where there is no `openssl` command.
    ///
    /// # Panics
    /// If it is there but does not listen within ten seconds.
    pub fn start(pem: &str, arguments: &[&str]) -> Option<SServer> {
        SServer::spawn(pem, &[&["-rev"], arguments].concat(), Stdio::null())
    }

    /// The same, but it does what [`SServer::tell`] says: it sends each line to the client, and `r` is a new handshake.
    ///
    /// # Panics
    /// As [`SServer::start`].
    pub fn start_listening(pem: &str, arguments: &[&str]) -> Option<SServer> {
        SServer::spawn(pem, arguments, Stdio::piped())
    }

    /// Tells it a line. After [`SServer::start_listening`].
    ///
    /// # Panics
    /// If it does not listen.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it listens");
        // At once: what comes in two pieces is a command, and then a byte for the client.
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }

    fn spawn(pem: &str, arguments: &[&str], stdin: Stdio) -> Option<SServer> {
        let scratch = Scratch::new("s-server");
        let (file, log) = (scratch.path().join("server.pem"), scratch.path().join("log"));
        fs::write(&file, pem).expect("the scratch folder can be written to");
        let out = fs::File::create(&log).expect("the scratch folder can be written to");
        let errors = out.try_clone().expect("a second handle");
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cert"]).arg(&file).arg("-key").arg(&file);
        command.arg("-cert_chain").arg(&file).args(arguments);
        let child = match command.stdin(stdin).stdout(out).stderr(errors).spawn() {
            Ok(child) => child,
            Err(error) => {
                skip(&format!("the openssl command does not start: {error}"));
                return None;
            }
        };
        let mut server = SServer { child, port: 0, _scratch: scratch };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let line = said.lines().find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:"));
            if let Some(port) = line.and_then(|port| port.trim().parse().ok()) {
                server.port = port;
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("openssl s_server does not listen: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for SServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
