//! What mechanisms that fetch keys and tokens need from outside: the environment, files, the clock, the network.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::runner::{self, Ended};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::http::{Http, http};

/// Everything impure about keys and tokens, so that tests can be the world.
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "AWS asks for the most"))]
pub(super) trait World: Send + Sync {
    /// A variable of the environment; `Some("")` where it is set and empty. What is not Unicode in it is replaced.
    fn variable(&self, name: &str) -> Option<String>;
    /// The folder that `~` stands for.
    fn home(&self) -> Option<PathBuf>;
    /// A whole file, or `InvalidData` where it is longer than `most` bytes.
    fn read_file(&self, path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>>;
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// Random bytes fit for a nonce.
    fn random(&self, buffer: &mut [u8]) -> Result<()>;
    /// Whoever carries HTTP requests.
    fn http(&self) -> Arc<dyn Http>;
    /// Runs a program (its path or name first) to its end, or kills it at the deadline, or when it has printed more than `most` bytes.
    fn run(&self, arguments: &[Zeroizing<String>], most: usize, deadline: Deadline) -> io::Result<Ended>;
}

/// The world as it is.
pub(super) struct System;

impl World for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        std::env::var_os(name).filter(|home| !home.is_empty()).map(PathBuf::from)
    }

    fn read_file(&self, path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        if is_pipe(path) {
            let what = "it is a pipe, whose other end could keep a login waiting for ever; a file is needed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let file = File::open(path)?;
        // Room for all of it at the start, so that no part is left behind by growth.
        let length = file.metadata()?.len().min(most);
        let room = usize::try_from(length).unwrap_or_default().saturating_add(1);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > most {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file is longer than {most} bytes"))),
            false => Ok(bytes),
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        super::tools::system_random(buffer)
    }

    fn http(&self) -> Arc<dyn Http> {
        http()
    }

    fn run(&self, arguments: &[Zeroizing<String>], most: usize, deadline: Deadline) -> io::Result<Ended> {
        runner::run(arguments, most, deadline)
    }
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;

    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}
