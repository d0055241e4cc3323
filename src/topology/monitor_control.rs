//! How the thread that checks a server in the background is told what to do.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::connection::{ShutdownHandle, ShutdownReason};
use crate::locks::{lock, unpoisoned};
use crate::pool::Cleanup;

/// What other threads and the monitor of one server have in common.
#[derive(Debug, Default)]
pub(super) struct MonitorControl {
    state: Mutex<ControlState>,
    /// Notified when a check is requested and when the monitor is to end.
    wake: Condvar,
}

#[derive(Debug, Default)]
struct ControlState {
    /// Whether there is a thread, or one is being started.
    started: bool,
    requested: bool,
    stopped: bool,
    /// What can end the check that is running, or close the connection that it ran on.
    check: Option<ShutdownHandle>,
    /// The same for the measurement of round trip times.
    measurement: Option<ShutdownHandle>,
}

/// Which of a monitor's connections is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MonitorConnection {
    Check,
    Measurement,
}

impl MonitorControl {
    /// Whether the caller is to start the thread.
    pub(super) fn claim_start(&self) -> bool {
        let mut state = lock(&self.state);
        !std::mem::replace(&mut state.started, true)
    }

    /// Whether there is a thread, or one is being started.
    pub(super) fn is_started(&self) -> bool {
        lock(&self.state).started
    }

    /// The thread could not be started.
    pub(super) fn give_up_start(&self) {
        lock(&self.state).started = false;
    }

    /// Has the server checked as soon as the least time between two checks allows.
    pub(super) fn request(&self) {
        lock(&self.state).requested = true;
        self.wake.notify_all();
    }

    /// Ends the check that is running, and closes its connection.
    pub(super) fn cancel(&self, cleanup: &mut Cleanup) {
        if let Some(handle) = lock(&self.state).check.take() {
            cleanup.end(handle, ShutdownReason::Client);
        }
    }

    /// Ends the threads.
    pub(super) fn stop(&self, cleanup: &mut Cleanup) {
        let mut state = lock(&self.state);
        state.stopped = true;
        for handle in [state.check.take(), state.measurement.take()].into_iter().flatten() {
            cleanup.end(handle, ShutdownReason::Client);
        }
        self.wake.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    /// From now on this connection is the one that is closed.
    pub(super) fn runs_on(&self, which: MonitorConnection, handle: ShutdownHandle) {
        let mut state = lock(&self.state);
        if state.stopped {
            drop(state);
            handle.close(ShutdownReason::Client);
            return;
        }
        match which {
            MonitorConnection::Check => state.check = Some(handle),
            MonitorConnection::Measurement => state.measurement = Some(handle),
        }
    }

    /// Waits until a check is requested, but at least and at most as long as this. `false`: the thread is to end.
    pub(super) fn wait(&self, least: Duration, most: Duration) -> bool {
        let began = Instant::now();
        let state = lock(&self.state);
        let idle = |state: &mut ControlState| !state.requested && !state.stopped;
        let (mut state, _) = unpoisoned(self.wake.wait_timeout_while(state, most, idle));
        state.requested = false;
        drop(state);
        self.sleep(least.saturating_sub(began.elapsed()))
    }

    /// Waits for this long, whatever is requested. `false`: the thread is to end.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let state = lock(&self.state);
        let (state, _) = unpoisoned(self.wake.wait_timeout_while(state, time, |state| !state.stopped));
        !state.stopped
    }
}
