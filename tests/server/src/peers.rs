//! Real peers for the tests: where they are found, how they start, and what happens when one is missing.
//!
//! Peers come through environment variables that `tests/run.sh` sets: `MONGOD_6_0` (and `_5_0`, `_4_4`, `_4_2`) name
//! a program that becomes mongod, `PYTHON_PEERS` a Python that has pymongo and scramp, `AWS_PEERS` one that has moto and
//! boto3, `NODE_PEERS` a folder whose `node_modules` has mongodb, `OIDC_PEERS` one that has an identity provider. A missing peer is a skip: one line in the file named by `MONGO_BLOCKING_SKIPS`. With
//! `CI=true` it is a failure.

pub mod certs;
mod daemon;
mod haproxy;
mod idp;
mod kdc;
mod linux;
mod mongod;
mod moto;
mod name_server;
mod ocsp_responder;
mod ports;
mod reference;
mod replica_set;
mod s_server;
mod scramp;
mod slapd;
mod socks_proxy;

use std::io::Write;
use std::path::PathBuf;
use std::{env, fs, process, thread};

pub use haproxy::HaProxy;
pub use idp::Idp;
pub use kdc::{Kdc, OTHER_REALM, REALM};
pub use linux::{under_wine, unix_path, unix_text};
pub use mongod::{Mongod, ROOT, free_port, run_command};
pub use moto::{Iam, Moto, aws_python};
pub use name_server::NameServer;
pub use ocsp_responder::{CertStatus, OcspResponder};
pub use ports::require_free;
pub use reference::{Reference, run, script};
pub use replica_set::{LoggedConnections, MemberCertificates, ReplicaSet, ReplicaSetOptions};
pub use s_server::SServer;
pub use scramp::ScrampServer;
pub use slapd::Slapd;
pub use socks_proxy::{DANTE_LOGIN, SocksProxy};

/// Says that the running test is skipped, and why. The caller returns after it.
///
/// # Panics
/// With `CI=true`, where every peer must be there.
pub fn skip(reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "SKIP {}: {reason} (CI=true takes no skips)", running_test());
    skip_even_in_ci(reason);
}

/// [`skip`] for what no CI can be asked to have: data that is not ours to hand on.
pub fn skip_even_in_ci(reason: &str) {
    let line = format!("SKIP {}: {reason}", running_test());
    eprintln!("{line}");
    let Ok(path) = env::var("MONGO_BLOCKING_SKIPS") else {
        return;
    };
    append(&path, &line);
}

/// Prints what a test has to tell beyond passed or failed (a table, say), and hands it to `tests/run.sh`, which prints it
/// after the suite: it goes to the end of the file that `MONGO_BLOCKING_REPORT` names.
pub fn report(text: &str) {
    println!("{text}");
    let Ok(path) = env::var("MONGO_BLOCKING_REPORT") else {
        return;
    };
    append(&path, text);
}

fn append(path: &str, text: &str) {
    let written = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()));
    if let Err(e) = written {
        eprintln!("what the test reports could not be noted in {path}: {e}");
    }
}

fn running_test() -> String {
    thread::current().name().unwrap_or("test").to_owned()
}

/// Where a peer is: what the environment variable `variable` says, else `fetched` in the folder that
/// `tests/peers/fetch.sh` fills (`MONGO_BLOCKING_PEERS`, by default `.peers` in the checkout), else a skip.
///
/// ```no_run
/// # use mongo_blocking_test_server::peers;
/// let Some(node) = peers::require("NODE_PEERS", "node") else { return };
/// # drop(node);
/// ```
///
/// # Panics
/// As [`skip`].
pub fn require(variable: &str, fetched: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let path = fetched_folder().join(fetched);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{variable} is not set and tests/peers/fetch.sh has not fetched {fetched}"));
    None
}

/// A Python that has pymongo and scramp.
///
/// # Panics
/// As [`skip`].
pub fn python() -> Option<PathBuf> {
    require("PYTHON_PEERS", "python/bin/python")
}

/// A folder with `node` and, in its `node_modules`, the Node driver.
///
/// # Panics
/// As [`skip`].
pub fn node() -> Option<PathBuf> {
    require("NODE_PEERS", "node")
}

fn fetched_folder() -> PathBuf {
    match env::var_os("MONGO_BLOCKING_PEERS").filter(|path| !path.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.peers")),
    }
}

/// A fresh folder under the system's temporary folder, gone when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder.
    ///
    /// # Panics
    /// If it can't be made.
    pub fn new(purpose: &str) -> Scratch {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mongo-blocking-{purpose}-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// Writes a file in it, and gives the path.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file in the scratch folder");
        path.to_str().expect("a path in Unicode").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
