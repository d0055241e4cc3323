//! A made-up system: for tests, and for fuzzing.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::{RealSystem, System};
#[cfg(any(feature = "aws", feature = "oidc"))]
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
#[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
use crate::http::{Answer, Http, Request, http};
use crate::locks::lock;
#[cfg(any(feature = "aws", feature = "oidc"))]
use crate::process::ProcessOutcome;

/// What there is in it. The default has no variables, files or programs, its clock stands still, and each random byte is 7.
pub(crate) struct TestSystem {
    pub(crate) variables: Mutex<HashMap<String, String>>,
    pub(crate) files: Mutex<HashMap<PathBuf, Vec<u8>>>,
    pub(crate) now: Mutex<SystemTime>,
    /// The folder for `~`.
    pub(crate) home: Option<PathBuf>,
    /// Whether other files, and programs, are those of this machine.
    pub(crate) real_files: bool,
    /// What each program prints; without it, there are none.
    pub(crate) output: Option<Vec<u8>>,
    #[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
    pub(crate) http: Arc<dyn Http>,
}

impl TestSystem {
    pub(crate) fn set_variable(&self, name: &str, value: &str) {
        lock(&self.variables).insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn set_file(&self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        lock(&self.files).insert(path.into(), content.into());
    }
}

/// What no fuzz target needs.
#[cfg(test)]
impl TestSystem {
    /// With this time of day, in seconds since 1970.
    pub(crate) fn at(seconds: u64) -> TestSystem {
        TestSystem { now: Mutex::new(UNIX_EPOCH + Duration::from_secs(seconds)), ..TestSystem::default() }
    }

    /// With these variables.
    pub(crate) fn with_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> TestSystem {
        let system = TestSystem::default();
        for (name, value) in variables {
            system.set_variable(name, value);
        }
        system
    }

    /// Unsets the variables whose name does not begin so.
    pub(crate) fn keep_variables(&self, beginning: &str) {
        lock(&self.variables).retain(|name, _| name.starts_with(beginning));
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, time: Duration) {
        *lock(&self.now) += time;
    }
}

impl Default for TestSystem {
    fn default() -> Self {
        TestSystem {
            variables: Mutex::default(),
            files: Mutex::default(),
            now: Mutex::new(UNIX_EPOCH + Duration::from_secs(NEW_YEAR_2026)),
            home: None,
            real_files: false,
            output: None,
            #[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
            http: http(),
        }
    }
}

impl System for TestSystem {
    fn variable_os(&self, name: &str) -> Option<OsString> {
        lock(&self.variables).get(name).map(OsString::from)
    }

    fn home(&self) -> Option<PathBuf> {
        self.home.clone()
    }

    fn read_file(&self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        match lock(&self.files).get(path) {
            Some(content) if content.len() as u64 > limit => {
                Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long"))
            }
            Some(content) => Ok(Zeroizing::new(content.clone())),
            None if self.real_files => RealSystem.read_file(path, limit),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        lock(&self.files).contains_key(path) || self.real_files && RealSystem.exists(path)
    }

    /// A made-up file has none.
    fn metadata(&self, path: &Path) -> io::Result<fs::Metadata> {
        if self.real_files { RealSystem.metadata(path) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn names_in(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut names = if self.real_files { RealSystem.names_in(folder).unwrap_or_default() } else { Vec::new() };
        let files = lock(&self.files);
        let inside = files.keys().filter(|path| path.parent() == Some(folder));
        names.extend(inside.filter_map(|path| path.file_name()).map(OsString::from));
        Ok(names)
    }

    fn now(&self) -> SystemTime {
        *lock(&self.now)
    }

    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        buffer.fill(7);
        Ok(())
    }

    #[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
    fn http(&self) -> Arc<dyn Http> {
        self.http.clone()
    }

    #[cfg(any(feature = "aws", feature = "oidc"))]
    fn run(&self, arguments: &[Zeroizing<String>], limit: usize, deadline: Deadline) -> io::Result<ProcessOutcome> {
        match &self.output {
            Some(output) if output.len() > limit => Ok(ProcessOutcome::OutputTooLong),
            Some(output) => Ok(ProcessOutcome::Success(Zeroizing::new(output.clone()))),
            None if self.real_files => RealSystem.run(arguments, limit, deadline),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// HTTP services that give these answers (status and body), one after the other, whatever is asked. After the last there is none.
#[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
#[derive(Default)]
pub(crate) struct ScriptedServices {
    answers: Mutex<VecDeque<(u16, Vec<u8>)>>,
    asked: Mutex<Vec<String>>,
}

#[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
impl ScriptedServices {
    pub(crate) fn new(answers: impl IntoIterator<Item = (u16, Vec<u8>)>) -> Arc<ScriptedServices> {
        Arc::new(ScriptedServices { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() })
    }

    /// The URLs that were asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

#[cfg(any(feature = "aws", feature = "oidc", feature = "ocsp"))]
impl Http for ScriptedServices {
    fn send(&self, request: &Request<'_>) -> Result<Answer> {
        lock(&self.asked).push(request.url.to_owned());
        match lock(&self.answers).pop_front() {
            None => Err(Error::new(FaultKind::Io, Stage::Http, "no service answers")),
            Some((_, body)) if body.len() > request.max_body => {
                Err(Error::new(FaultKind::InvalidResponse, Stage::Http, "the body is too long"))
            }
            Some((status, body)) => Ok(Answer { status, body: Zeroizing::new(body) }),
        }
    }
}

const NEW_YEAR_2026: u64 = 1_767_225_600;
