//! Makes connections towards `minPoolSize`, on a short-lived helper thread: no operation waits for that.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Shared;
use super::state::{Idle, Phase, State};
use crate::deadline::Deadline;
use crate::error::ErrorKind;
use crate::fork;

/// How long `minPoolSize` is left alone after a connection towards it could not be made, unless the pool was cleared and is ready
/// again.
const FILL_PAUSE: Duration = Duration::from_secs(10);

/// The name of the helper thread.
const THREAD_NAME: &str = "mongo-fill";

/// The mark that a helper thread is at work, or is to be started. It is taken off when this is dropped, whatever ended the thread;
/// that takes the pool's lock.
pub(super) struct Filling(Weak<Shared>);

impl Drop for Filling {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock().filling = false;
        }
    }
}

/// Starts the helper thread. To be called without any lock held.
pub(super) fn start(filling: Filling) {
    let work = move || {
        let mut filling = filling;
        // The pool may go while the thread is between two connections.
        while filling.0.upgrade().is_some_and(|shared| shared.fill_one()) {}
        filling.0 = Weak::new(); // The mark was taken off before; by now it may be that of another thread.
    };
    if let Err(error) = fork::start_thread(THREAD_NAME, work) {
        log::debug!("minPoolSize: no thread could be started: {error}");
    }
}

impl Shared {
    /// What the caller is to start a helper thread with, if there are fewer connections than `minPoolSize` and no thread is at
    /// work.
    pub(super) fn claim_filling(self: &Arc<Self>, state: &mut State) -> Option<Filling> {
        if !self.is_missing_one(state) || state.filling || state.fill_failed.is_some_and(|at| at.elapsed() < FILL_PAUSE)
        {
            return None;
        }
        state.filling = true;
        Some(Filling(Arc::downgrade(self)))
    }

    fn is_missing_one(&self, state: &State) -> bool {
        let missing = || state.phase == Phase::Ready && state.total() < self.settings.min_size;
        self.settings.min_size > 0
            && self.settings.fill
            && missing()
            && state.connecting() < self.settings.max_connecting
            && state.process == fork::process()
    }

    /// Makes one connection, unless there are enough. `false`: the thread's work is done, and its mark is taken off; what ends an attempt to connect, and
    /// each check-in, looks again whether there is more.
    fn fill_one(&self) -> bool {
        let mut state = self.lock();
        if !self.is_missing_one(&state) {
            // Under the same lock, so that nobody relies on a thread that has looked already.
            state.filling = false;
            return false;
        }
        let mut slot = self.reserve(&mut state);
        let generation = state.generation;
        drop(state);
        self.events.deliver();
        let made = match self.open(slot.id, Deadline::NEVER) {
            Ok(opened) => {
                slot.belongs_to(opened.service_id());
                self.factory.authenticate(opened, slot.id, Deadline::NEVER)
            }
            Err(error) => Err(error),
        };
        let id = slot.id;
        let made = match self.conclude(slot, made, Deadline::NEVER) {
            Ok((mut connection, mut state)) => {
                let buffers = connection.take_buffers();
                let handle = connection.shutdown_handle();
                state.idle.push_front(Idle { connection, handle, id, since: Instant::now() });
                state.wake_first();
                drop(state);
                drop(buffers);
                true
            }
            Err(failure) => {
                let mut state = self.lock();
                if state.phase == Phase::Ready && state.generation != generation {
                    // The pool was cleared and is ready again. Whoever made it so relied on this thread.
                    drop(state);
                    self.events.deliver();
                    return true;
                }
                state.filling = false;
                if !matches!(failure.error.kind(), ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::Shutdown) {
                    state.fill_failed = Some(Instant::now());
                }
                drop(state);
                log::debug!("minPoolSize: {}", failure.error);
                false
            }
        };
        self.events.deliver();
        made
    }
}
