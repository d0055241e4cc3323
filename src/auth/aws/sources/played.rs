//! A world that is made up: for tests, and for fuzzing.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::super::world::World;
use super::{Look, find};
use crate::auth::runner::Ended;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::http::{Answer, Http, Request};

/// What there is in it.
#[derive(Default)]
pub(in crate::auth) struct Played {
    pub(in crate::auth) variables: HashMap<String, String>,
    pub(in crate::auth) files: HashMap<PathBuf, Vec<u8>>,
    /// What a program prints; without it, there are no programs.
    pub(in crate::auth) output: Option<Vec<u8>>,
    /// Answers of services, in turn: status and body. After the last nobody answers.
    pub(in crate::auth) services: Arc<Services>,
}

#[derive(Default)]
pub(in crate::auth) struct Services {
    pub(in crate::auth) answers: Mutex<Vec<(u16, Vec<u8>)>>,
    /// The URLs that were asked.
    pub(in crate::auth) asked: Mutex<Vec<String>>,
}

impl World for Played {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn home(&self) -> Option<PathBuf> {
        Some(PathBuf::from("/home"))
    }

    fn read_file(&self, path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let bytes = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too long"));
        }
        Ok(Zeroizing::new(bytes.clone()))
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        buffer.fill(7);
        Ok(())
    }

    fn http(&self) -> Arc<dyn Http> {
        self.services.clone()
    }

    fn run(&self, _arguments: &[Zeroizing<String>], _most: usize, _deadline: Deadline) -> io::Result<Ended> {
        self.output.clone().map(|output| Ended::Well(Zeroizing::new(output))).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Http for Services {
    fn send(&self, request: &Request<'_>) -> Result<Answer> {
        self.asked.lock().expect("no test panics under it").push(request.url.to_owned());
        let mut answers = self.answers.lock().expect("no test panics under it");
        if answers.is_empty() {
            return Err(Error::new(ErrorKind::Io, Stage::Http, "nobody answers"));
        }
        let (status, body) = answers.remove(0);
        match body.len() > request.max_body {
            true => Err(Error::new(ErrorKind::InvalidReply, Stage::Http, "the body is too long")),
            false => Ok(Answer { status, body: Zeroizing::new(body) }),
        }
    }
}

/// A search in which files, programs and services say what the data says: whatever that is, keys are whole, and an error does not
/// tell what they are assumed with (unless a service says it by itself).
///
/// The first byte picks what is set up, the second how many services answer first, with what status; lines of one `%` separate
/// the config file, the credentials file, and what everything else says.
pub(crate) fn search(data: &[u8]) {
    let Some((&[choice, status], data)) = data.split_first_chunk() else { return };
    let mut parts = data.splitn(3, |byte| *byte == b'%').map(<[u8]>::to_vec);
    let [config, credentials, rest] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let told = String::from_utf8_lossy(&rest).contains(CANARY);
    let mut world = Played { output: Some(rest.clone()), ..Played::default() };
    let mut set = |name: &str, value: &str| drop(world.variables.insert(name.to_owned(), value.to_owned()));
    set("AWS_ENDPOINT_URL", "http://localhost");
    set("AWS_PROFILE", if choice & 1 == 0 { "default" } else { "p" });
    if choice & 2 != 0 {
        set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
        set("AWS_ROLE_ARN", "arn");
    }
    if choice & 4 != 0 {
        set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/");
        set("AWS_CONTAINER_AUTHORIZATION_TOKEN", CANARY);
    }
    if choice & 8 != 0 {
        set("AWS_EC2_METADATA_DISABLED", "true");
    }
    world.files.insert("/home/.aws/config".into(), config);
    world.files.insert("/home/.aws/credentials".into(), credentials);
    world.files.insert("/token".into(), CANARY.into());
    let login = format!(r#"{{"accessToken":"{CANARY}","expiresAt":"2099-01-01T00:00:00Z"}}"#);
    // The file of the session or URL `u`.
    world.files.insert("/home/.aws/sso/cache/51e69892ab49df85c6230ccc57f8e1d1606caccc.json".into(), login.into());
    // Never one that is asked again, with a pause.
    let statuses = [200, 400, 401, 403, 404, 302];
    let first = statuses[usize::from(status) % statuses.len()];
    let before = std::iter::repeat_n((first, b"token".to_vec()), usize::from(status >> 6));
    *world.services.answers.lock().expect("nobody else has it") = before.chain([(first, rest)]).collect();
    match find(&world, Look::Everywhere, Deadline::NEVER) {
        Ok(found) => {
            assert!(!found.keys.access_key_id.is_empty() && !found.keys.secret_access_key.is_empty());
        }
        Err(error) => assert!(told || !error.to_string().contains(CANARY), "{error}"),
    }
}

/// A secret.
const CANARY: &str = "hunter2-hunter2";
