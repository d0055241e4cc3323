//! The interface to the machine and the process: environment variables, files, the clock, random bytes, HTTP and programs.
//!
//! A client makes one [`RealSystem`] and passes it to its parts. Tests pass another implementation.

#[cfg(any(test, fuzzing))]
mod test_system;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

#[cfg(any(feature = "aws", feature = "oidc"))]
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
#[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
use crate::http::{Http, http};
#[cfg(any(feature = "aws", feature = "oidc"))]
use crate::process::{self, ProcessOutcome};
use crate::secret_file;

#[cfg(all(any(test, fuzzing), any(feature = "aws", feature = "oidc", feature = "ocsp")))]
pub(crate) use test_system::ScriptedServices;
#[cfg(any(test, fuzzing))]
pub(crate) use test_system::TestSystem;

/// What a client needs of the machine and the process that it runs in.
#[allow(dead_code, reason = "each feature needs a part of it")]
pub(crate) trait System: Send + Sync {
    /// A variable of the environment; `Some("")` where it is set and empty.
    fn variable_os(&self, name: &str) -> Option<OsString>;
    /// The folder that `~` means.
    fn home(&self) -> Option<PathBuf>;
    /// A whole file, as [`secret_file::read`] reads it.
    fn read_file(&self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>>;
    /// Whether there is a file or folder of this name.
    fn exists(&self, path: &Path) -> bool;
    /// Size, times and identity of a file.
    fn metadata(&self, path: &Path) -> io::Result<fs::Metadata>;
    /// The names of what is in a folder.
    fn names_in(&self, folder: &Path) -> io::Result<Vec<OsString>>;
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// Fills a buffer with random bytes fit for a nonce.
    fn random(&self, buffer: &mut [u8]) -> Result<()>;
    /// The way to HTTP services.
    #[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
    fn http(&self) -> Arc<dyn Http>;
    /// Runs a program (its path or name first) to its end, or kills it at the deadline, or when it has printed more than `limit` bytes.
    #[cfg(any(feature = "aws", feature = "oidc"))]
    fn run(&self, arguments: &[Zeroizing<String>], limit: usize, deadline: Deadline) -> io::Result<ProcessOutcome>;

    /// A variable of the environment as text. What is not Unicode in it is replaced.
    fn variable(&self, name: &str) -> Option<String> {
        self.variable_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl fmt::Debug for dyn System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("System")
    }
}

/// The machine and the process as they are.
pub(crate) struct RealSystem;

impl RealSystem {
    /// For a client and its parts.
    pub(crate) fn shared() -> Arc<dyn System> {
        Arc::new(RealSystem)
    }
}

impl System for RealSystem {
    fn variable_os(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        std::env::var_os(name).filter(|home| !home.is_empty()).map(PathBuf::from)
    }

    fn read_file(&self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        secret_file::read(path, limit)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn metadata(&self, path: &Path) -> io::Result<fs::Metadata> {
        fs::metadata(path)
    }

    fn names_in(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        Ok(fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()).collect())
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        getrandom::fill(buffer).map_err(|error| {
            Error::new(FaultKind::Io, Stage::Options, "the operating system gave no random bytes").with_source(error)
        })
    }

    #[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
    fn http(&self) -> Arc<dyn Http> {
        http()
    }

    #[cfg(any(feature = "aws", feature = "oidc"))]
    fn run(&self, arguments: &[Zeroizing<String>], limit: usize, deadline: Deadline) -> io::Result<ProcessOutcome> {
        process::run(arguments, limit, deadline)
    }
}
