//! Keeps a client's token, and lets one callback at a time get the next.
//!
//! The lock is held for moments only. Who gets a [`Call`] may call the callback; the others wait, no longer than their own time
//! limit, and use the token that comes of it. Between the end of one call and the next there are 100 ms.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::failed;
use crate::credential::{IdpServerInfo, IdpServerResponse};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::fork;
use crate::secret::Secret;

/// What a client keeps.
#[derive(Default)]
pub(super) struct Cache {
    state: Mutex<State>,
    landed: Condvar,
}

/// A token, and which it is: a later one has another number, even if it has the same text.
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) text: Secret,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Kept>>,
    refresh_token: Option<Secret>,
    idp_info: Option<IdpServerInfo>,
    last_number: u64,
    /// Who has the [`Call`], if somebody has.
    busy: Option<ThreadId>,
    last_call: Option<Instant>,
    /// How many calls of the callback gave no token.
    vain_calls: u64,
    /// The client was closed: nobody needs a token any more.
    closed: bool,
    /// A child process cannot wait for a thread of its parent.
    process: u64,
}

/// What a thread does that needs a token.
pub(super) enum Turn<'a> {
    Use(Arc<Kept>),
    Call(Call<'a>),
}

/// The right to call the callback. Given back when it is dropped, also by a panic.
pub(super) struct Call<'a> {
    cache: &'a Cache,
    process: u64,
}

impl Cache {
    /// The token that is kept.
    pub(super) fn kept(&self) -> Option<Arc<Kept>> {
        self.lock().token.clone()
    }

    /// The token that is kept, or the right to get one. A person who has said no while this thread waited is not asked again on
    /// its behalf.
    pub(super) fn turn(&self, person: bool, deadline: Deadline) -> Result<Turn<'_>> {
        let mut state = self.lock();
        let vain_calls = state.vain_calls;
        loop {
            if state.closed {
                return Err(failed(ErrorKind::Closed, "the client was closed"));
            }
            if let Some(token) = &state.token {
                return Ok(Turn::Use(token.clone()));
            }
            if person && state.vain_calls != vain_calls {
                let message = "the human callback was called for another connection meanwhile, and gave no token";
                return Err(failed(ErrorKind::Authentication, message));
            }
            match state.busy {
                None => break,
                Some(thread) if thread == thread::current().id() => return Err(own_client()),
                Some(_) => {}
            }
            let left = deadline.remaining().unwrap_or(LONGEST_WAIT);
            if left.is_zero() {
                let message = format!("another thread's callback gave no token within {}", deadline.name());
                return Err(failed(ErrorKind::Timeout, message));
            }
            state = self.landed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.busy = Some(thread::current().id());
        let call = Call { cache: self, process: state.process };
        drop(state);
        Ok(Turn::Call(call))
    }

    /// Ends every wait, and forgets all secrets. A callback that runs goes on.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.closed, state.token, state.refresh_token) = (true, None, None);
        drop(state);
        self.landed.notify_all();
    }

    /// Forgets a token, unless another has taken its place.
    pub(super) fn invalidate(&self, number: u64) {
        let mut state = self.lock();
        state.token = state.token.take().filter(|token| token.number != number);
    }

    /// Forgets a token, and the refresh token that came with it, unless others have taken their place.
    pub(super) fn invalidate_with_refresh_token(&self, number: u64) {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|token| token.number == number) {
            (state.token, state.refresh_token) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete by itself, so a panic elsewhere leaves nothing half done.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != fork::process() {
            state.process = fork::process();
            state.busy = None;
        }
        state
    }
}

impl Call<'_> {
    /// What gets a token without the person, where there is something.
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

    /// Keeps what the callback gave.
    pub(super) fn finish(self, response: IdpServerResponse, idp_info: Option<IdpServerInfo>) -> Arc<Kept> {
        let mut state = self.cache.lock();
        state.last_number += 1;
        let token = Arc::new(Kept { number: state.last_number, text: response.access_token });
        if state.closed {
            return token;
        }
        state.token = Some(token.clone());
        state.refresh_token = response.refresh_token;
        state.idp_info = idp_info;
        token
    }

    /// The callback gave nothing that could be kept.
    pub(super) fn was_vain(&self) {
        self.cache.lock().vain_calls += 1;
    }

    /// The callback was called just now.
    pub(super) fn called(&self) {
        self.cache.lock().last_call = Some(Instant::now());
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if state.process == self.process {
            state.busy = None;
        }
        drop(state);
        self.cache.landed.notify_all();
    }
}

/// It would wait for itself.
fn own_client() -> Error {
    failed(ErrorKind::InvalidArgument, "the OIDC callback uses the client that waits for its token")
        .with_hint("give the callback a client of its own, with another credential")
}

/// Between two calls of the callback (the specification's figure).
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// A wait without a limit looks around this often.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_that_needs_its_own_token_is_told_so_at_once() {
        let cache = Cache::default();
        let limit = Deadline::after(Duration::from_secs(5));
        let Ok(Turn::Call(call)) = cache.turn(false, limit) else { panic!("nothing is kept, and nobody else calls") };
        let Err(error) = cache.turn(false, limit) else { panic!("it has its turn already") };
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument), "{error}");
        assert!(error.message().contains("uses the client"), "{error}");
        drop(call);
        assert!(matches!(cache.turn(false, limit), Ok(Turn::Call(_))));
    }
}
