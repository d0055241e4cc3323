//! The cache of a client's token. One callback at a time gets the next token.
//!
//! A thread that gets a [`Call`] may call the callback. The others wait for its token, no longer than their own time limit. The next
//! call begins at least 100 ms after the end of the last one.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{TOKEN, failed, stage};
use crate::credential::{IdpServerInfo, IdpServerResponse};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result};
use crate::locks;
use crate::secret::Secret;
use crate::single_flight::{Leader, NoOutcome, Role, SingleFlight};

/// The cache of one client. No lock is held while a callback runs.
#[derive(Default)]
pub(super) struct Cache {
    state: Mutex<State>,
    /// Each call of the callback, and whether it gave a token.
    calls: SingleFlight<bool>,
}

/// A token and its number. A later token has another number, even if its text is the same.
pub(super) struct Token {
    pub(super) number: u64,
    pub(super) text: Secret,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    refresh_token: Option<Secret>,
    idp_info: Option<IdpServerInfo>,
    last_number: u64,
    last_call: Option<Instant>,
    /// The client was closed: no thread needs a token any more.
    closed: bool,
}

/// What a thread does that needs a token.
pub(super) enum Lookup<'a> {
    Use(Arc<Token>),
    Call(Call<'a>),
}

/// The right to call the callback. It ends when this is dropped, also by a panic.
pub(super) struct Call<'a> {
    cache: &'a Cache,
    leader: Option<Leader<bool>>,
    gave_none: Cell<bool>,
}

impl Cache {
    /// The cached token.
    pub(super) fn cached(&self) -> Option<Arc<Token>> {
        self.lock().token.clone()
    }

    /// The cached token, or the right to get one. If the user refused while this thread waited, the user is not asked again for
    /// this thread.
    pub(super) fn look_up(&self, person: bool, deadline: Deadline) -> Result<Lookup<'_>> {
        loop {
            let state = self.lock();
            if state.closed {
                return Err(failed(FaultKind::Shutdown, "the client was closed"));
            }
            if let Some(token) = &state.token {
                return Ok(Lookup::Use(token.clone()));
            }
            let role = self.calls.begin();
            drop(state);
            let waiter = match role {
                Role::Leader(leader) => {
                    return Ok(Lookup::Call(Call { cache: self, leader: Some(leader), gave_none: Cell::new(false) }));
                }
                Role::OwnThread => return Err(own_client()),
                Role::Waiter(waiter) => waiter,
            };
            match waiter.wait(deadline) {
                Ok(false) if person => {
                    let message = "the human callback was called for another connection meanwhile, and gave no token";
                    return Err(failed(FaultKind::Authentication, message));
                }
                Err(NoOutcome::TimedOut) => {
                    let message = format!("another thread's callback gave no token within {}", deadline.name());
                    return Err(deadline.ran_out(stage(TOKEN), message));
                }
                Ok(_) | Err(NoOutcome::Abandoned) => {}
            }
        }
    }

    /// Ends every wait, and forgets all secrets. A callback that runs goes on.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.closed, state.token, state.refresh_token) = (true, None, None);
        drop(state);
        self.calls.release_waiters();
    }

    /// Removes a token, unless a newer one has replaced it.
    pub(super) fn invalidate(&self, number: u64) {
        let mut state = self.lock();
        state.token = state.token.take().filter(|token| token.number != number);
    }

    /// Removes a token and its refresh token, unless newer ones have replaced them.
    pub(super) fn invalidate_with_refresh_token(&self, number: u64) {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|token| token.number == number) {
            (state.token, state.refresh_token) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locks::lock(&self.state)
    }
}

impl Call<'_> {
    /// What can be used to get a token without asking the user, if anything.
    pub(super) fn refresh(&self) -> Option<(IdpServerInfo, Secret)> {
        let state = self.cache.lock();
        state.idp_info.clone().zip(state.refresh_token.clone())
    }

    /// Waits until the callback may be called.
    pub(super) fn pause(&self) {
        let last = self.cache.lock().last_call;
        if let Some(left) = last.and_then(|at| PAUSE.checked_sub(at.elapsed())) {
            thread::sleep(left);
        }
    }

    /// Stores what the callback returned.
    pub(super) fn finish(mut self, response: IdpServerResponse, idp_info: Option<IdpServerInfo>) -> Arc<Token> {
        let mut state = self.cache.lock();
        state.last_number += 1;
        let token = Arc::new(Token { number: state.last_number, text: response.access_token });
        if !state.closed {
            state.token = Some(token.clone());
            state.refresh_token = response.refresh_token;
            state.idp_info = idp_info;
        }
        drop(state);
        if let Some(leader) = self.leader.take() {
            leader.publish(true);
        }
        token
    }

    /// The callback returned no usable token.
    pub(super) fn gave_none(&self) {
        self.gave_none.set(true);
    }

    /// The callback was called just now.
    pub(super) fn called(&self) {
        self.cache.lock().last_call = Some(Instant::now());
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(leader) = self.leader.take()
            && self.gave_none.get()
        {
            leader.publish(false);
        }
    }
}

/// The thread would wait for itself.
fn own_client() -> Error {
    failed(FaultKind::InvalidArgument, "the OIDC callback uses the client that waits for its token")
        .with_hint("give the callback a client of its own, with another credential")
}

/// Between two calls of the callback (the specification's figure).
pub(super) const PAUSE: Duration = Duration::from_millis(if cfg!(fuzzing) { 0 } else { 100 });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_callback_that_needs_its_own_token_is_told_so_at_once() {
        let cache = Cache::default();
        let limit = Deadline::after(Duration::from_secs(5));
        let Ok(Lookup::Call(call)) = cache.look_up(false, limit) else {
            panic!("the cache is empty, and no other thread calls")
        };
        let Err(error) = cache.look_up(false, limit) else { panic!("it has the call already") };
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
        assert!(error.message().contains("uses the client"), "{error}");
        drop(call);
        assert!(matches!(cache.look_up(false, limit), Ok(Lookup::Call(_))));
    }
}
