//! Counts the threads that work for a client in the background, so that closing it can wait for their end.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::locks::{lock, unpoisoned};

/// The threads of one client.
#[derive(Debug, Default)]
pub(super) struct BackgroundThreads {
    state: Mutex<ThreadsState>,
    /// Notified when one has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct ThreadsState {
    /// Those that have begun, and those that are being started.
    count: usize,
    begun: HashSet<ThreadId>,
}

/// One thread, counted until this is dropped.
#[derive(Debug)]
pub(super) struct CountedThread(Arc<BackgroundThreads>);

impl BackgroundThreads {
    /// Counts a thread that is about to be started.
    pub(super) fn count_one(self: &Arc<Self>) -> CountedThread {
        lock(&self.state).count += 1;
        CountedThread(self.clone())
    }

    /// Whether the calling thread is one of them.
    pub(super) fn is_one_of_them(&self) -> bool {
        lock(&self.state).begun.contains(&thread::current().id())
    }

    /// Waits until none is left, for this long at most. On one of them it does not wait: an event handler of the program's may have
    /// closed the client there.
    pub(super) fn wait_until_none(&self, limit: Duration) {
        if self.is_one_of_them() {
            return;
        }
        let state = lock(&self.state);
        drop(unpoisoned(self.ended.wait_timeout_while(state, limit, |state| state.count > 0)));
    }
}

impl CountedThread {
    /// The calling thread is this one.
    pub(super) fn begin(self) -> Self {
        lock(&self.0.state).begun.insert(thread::current().id());
        self
    }
}

impl Drop for CountedThread {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.count = state.count.saturating_sub(1);
        state.begun.remove(&thread::current().id());
        self.0.ended.notify_all();
    }
}
