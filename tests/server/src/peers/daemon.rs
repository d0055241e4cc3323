//! A program that listens on a port of loopback, in a scratch folder, ended with its owner.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::kdc::WATCH;
use super::{Scratch, free_port, skip};

/// A running program. It ends when this value is dropped, and also when the test process ends in any other way.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) address: SocketAddr,
    child: Child,
    pub(super) scratch: Scratch,
}

/// What a program is started with.
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl Daemon {
    /// Starts it on a free port and waits until it takes TCP connections. `prepare` writes its files into the folder.
    ///
    /// # Panics
    /// If it does not start; the message has what it said.
    pub(super) fn start(name: &str, prepare: impl Fn(&Path, u16) -> Invocation) -> Daemon {
        Daemon::start_at(name, || (Ipv4Addr::LOCALHOST, free_port()).into(), prepare)
    }

    /// Starts it on an address that `place` picks.
    ///
    /// # Panics
    /// As [`Daemon::start`].
    pub(super) fn start_at(
        name: &str,
        place: impl Fn() -> SocketAddr,
        prepare: impl Fn(&Path, u16) -> Invocation,
    ) -> Daemon {
        let mut said = String::new();
        // Another process may have taken the port by the time the program wants it.
        for _ in 0..PORT_ATTEMPTS {
            let scratch = Scratch::new(name);
            let address = place();
            let invocation = prepare(scratch.path(), address.port());
            let log = fs::File::create(scratch.path().join("log")).expect("a log");
            let child = Command::new("sh")
                .args(["-c", WATCH, name])
                .arg(invocation.program)
                .args(invocation.arguments)
                .env("SCRATCH", scratch.path())
                .envs(invocation.environment)
                .stdin(Stdio::piped())
                .stdout(log.try_clone().expect("a log"))
                .stderr(log)
                .spawn()
                .expect("a shell starts");
            let mut daemon = Daemon { address, child, scratch };
            if daemon.listens() {
                return daemon;
            }
            said = daemon.log();
        }
        panic!("{name} did not start: {said}")
    }

    /// What it has written so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    fn listens(&mut self) -> bool {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if self.child.try_wait().ok().flatten().is_some() || started.elapsed() > START_LIMIT {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Where a program of a system package is. `None`, after a skip, where it isn't installed.
pub(super) fn system_program(path: &str, peer: &str) -> Option<PathBuf> {
    let found = Some(PathBuf::from(path)).filter(|path| path.exists());
    if found.is_none() {
        skip(&format!("there is no {path} here; tests/peers/fetch.sh {peer} says how to get it"));
    }
    found
}

const PORT_ATTEMPTS: u32 = 5;
const START_LIMIT: Duration = Duration::from_secs(20);
