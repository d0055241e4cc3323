//! A cache of AWS keys that expire. One thread at a time fetches new ones.
//!
//! Cached keys are used until five minutes before they expire. Then one thread fetches new keys. The other threads use the old
//! keys while these are valid, and wait for the new ones after that. No lock is held while keys are fetched. Keys that a server
//! refused are removed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::sources::{self, Found, SearchScope};
use super::{SEARCH, stage};
use crate::credential::{AwsKeys, AwsSearchFailed, AwsSource};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, Result, Stage};
use crate::fork::PerProcess;
use crate::locks;
use crate::single_flight::{Leader, NoOutcome, Role, SingleFlight, Waiter};
use crate::system::System;

/// Cached keys, by the settings that decide how they are fetched.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Key, Entry>>);

/// A digest of the settings that decide how keys are fetched. The settings themselves may contain the token of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// Keys, and where they came from.
#[derive(Debug)]
pub(super) struct CachedKeys {
    pub(super) keys: AwsKeys,
    pub(super) source: AwsSource,
    kept: bool,
}

#[derive(Default)]
struct Entry {
    held: Option<Arc<CachedKeys>>,
    fetches: SingleFlight<Result<Arc<CachedKeys>, SharedError>>,
    /// After a failed refresh: the earliest time of the next one.
    pause: Option<SystemTime>,
}

/// An error that several threads get.
#[derive(Clone)]
struct SharedError {
    kind: ErrorKind,
    stage: Stage,
    message: String,
    hint: Option<String>,
    /// Which sources were passed over, as data.
    search: Option<AwsSearchFailed>,
}

/// What a thread does that needs keys.
enum Lookup {
    Use(Arc<CachedKeys>),
    Wait(Waiter<Result<Arc<CachedKeys>, SharedError>>),
    Fetch {
        leader: Leader<Result<Arc<CachedKeys>, SharedError>>,
        scope: SearchScope,
        /// Keys that are still valid, if the fetch fails.
        valid: Option<Arc<CachedKeys>>,
    },
}

/// What fetches keys.
type Fetcher<'a> = dyn Fn(SearchScope) -> Result<Found> + 'a;

impl Cache {
    /// The one that all clients of the process share. A child of the process has another one.
    pub(super) fn of_this_process() -> Arc<Cache> {
        static SHARED: PerProcess<Option<Arc<Cache>>> = PerProcess::in_static(None);
        SHARED.lock().get_or_insert_default().clone()
    }

    /// Cached keys, or new ones from `fetch`.
    pub(super) fn keys(
        &self,
        key: Key,
        system: &dyn System,
        deadline: Deadline,
        fetch: &Fetcher<'_>,
    ) -> Result<Arc<CachedKeys>> {
        match self.look_up(key, system.now())? {
            Lookup::Use(held) => Ok(held),
            Lookup::Wait(waiter) => match waiter.wait(deadline) {
                Ok(outcome) => outcome.map_err(SharedError::into_error),
                Err(NoOutcome::TimedOut) => {
                    let message = format!("another thread did not get AWS keys within {}", deadline.name());
                    Err(deadline.ran_out(stage(SEARCH), message))
                }
                Err(NoOutcome::Abandoned) => {
                    let message = "the thread that fetched AWS keys for all panicked";
                    Err(Error::new(FaultKind::Authentication, stage(SEARCH), message))
                }
            },
            // If the fetch panics, the leader is dropped, which releases the waiting threads.
            Lookup::Fetch { leader, scope, valid } => {
                let fetched = fetch(scope);
                self.keep(key, leader, fetched, valid, system.now())
            }
        }
    }

    /// Stores fetched keys if they expire, and passes them to the waiting threads. If the fetch failed, keys that are still
    /// `valid` are used.
    fn keep(
        &self,
        key: Key,
        leader: Leader<Result<Arc<CachedKeys>, SharedError>>,
        fetched: Result<Found>,
        valid: Option<Arc<CachedKeys>>,
        now: SystemTime,
    ) -> Result<Arc<CachedKeys>> {
        let (kept, pause, outcome) = match (fetched, valid) {
            (Ok(Found { keys, source, .. }), _) => {
                let fresh = Arc::new(CachedKeys::new(keys.clone(), source));
                let kept = keys.expires.is_some().then(|| Arc::new(CachedKeys { keys, source, kept: true }));
                (kept, None, Ok(fresh))
            }
            (Err(error), Some(valid)) => {
                log::warn!("AWS keys could not be refreshed, the cached ones are still valid and are used: {error:#}");
                (Some(valid.clone()), Some(now + REFRESH_PAUSE), Ok(valid))
            }
            (Err(error), None) => (None, None, Err(error)),
        };
        if let Some(entry) = self.lock().get_mut(&key) {
            (entry.held, entry.pause) = (kept, pause);
        }
        leader.publish(outcome.as_ref().map(Arc::clone).map_err(SharedError::of));
        outcome
    }

    /// Removes these keys, unless newer ones have replaced them.
    pub(super) fn drop_keys(&self, key: Key, used: &CachedKeys) {
        if let Some(entry) = self.lock().get_mut(&key) {
            let same = |held: &Arc<CachedKeys>| {
                held.keys.access_key_id == used.keys.access_key_id && held.keys.expires == used.keys.expires
            };
            entry.held = entry.held.take().filter(|held| !same(held));
        }
    }

    fn look_up(&self, key: Key, now: SystemTime) -> Result<Lookup> {
        let mut entries = self.lock();
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
            entries.retain(|_, entry| entry.fetches.is_under_way());
        }
        let entry = entries.entry(key).or_default();
        let left = |held: &CachedKeys, margin| held.keys.expires.is_some_and(|at| now + margin < at);
        let valid = entry.held.clone().filter(|held| left(held, Duration::ZERO));
        if let Some(held) = &valid {
            let paused = entry.pause.is_some_and(|until| now < until);
            if left(held, REFRESH_BEFORE) || entry.fetches.is_under_way() || paused {
                return Ok(Lookup::Use(held.clone()));
            }
        }
        match entry.fetches.begin() {
            Role::Waiter(waiter) => Ok(Lookup::Wait(waiter)),
            Role::OwnThread => Err(own_client()),
            Role::Leader(leader) => {
                let refresh = entry.held.is_some();
                let scope = if refresh { SearchScope::SkipEnvironment } else { SearchScope::Everywhere };
                Ok(Lookup::Fetch { leader, scope, valid })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        locks::lock(&self.0)
    }
}

impl Key {
    /// For the credential provider of a client.
    pub(super) const PROVIDER: Key = Key([0; 32]);

    /// For what the system would give.
    pub(super) fn of(system: &dyn System) -> Key {
        let mut hash = Sha256::new();
        for (name, value) in sources::identity(system) {
            for part in [name, &value] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        Key(hash.finalize().into())
    }
}

impl CachedKeys {
    pub(super) fn new(keys: AwsKeys, source: AwsSource) -> Self {
        CachedKeys { keys, source, kept: false }
    }

    /// Whether they were in the cache before this login.
    pub(super) fn was_kept(&self) -> bool {
        self.kept
    }
}

impl SharedError {
    fn of(error: &Error) -> SharedError {
        let cause = std::error::Error::source(error);
        let search = cause.and_then(|cause| cause.downcast_ref::<AwsSearchFailed>()).cloned();
        SharedError {
            kind: error.kind().clone(),
            stage: error.stage(),
            // Only the thread that fetched gets a cause of another type; the others get its message.
            message: if search.is_some() { error.message().to_owned() } else { error.told() },
            hint: error.hint().map(str::to_owned),
            search,
        }
    }

    fn into_error(self) -> Error {
        let mut error = Error::new(self.kind, self.stage, self.message);
        if let Some(search) = self.search {
            error = error.with_source(search);
        }
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The provider would wait for itself.
fn own_client() -> Error {
    let message = "the AwsCredentialProvider uses the client that waits for its keys";
    Error::new(FaultKind::InvalidArgument, stage(SEARCH), message)
        .with_hint("give the provider a client of its own, with another credential")
}

/// How long before their expiry keys are fetched anew.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How long a refresh that failed is not tried again while the old keys are valid.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// A process rarely has more than one or two different configurations.
const MAX_ENTRIES: usize = 64;

#[cfg(test)]
mod tests;
