//! Asks for the SRV records of a deployment of mongos again, when it is time: beside the operations and checks, by a helper thread.

use std::thread;
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::state::{State, draw};
use super::transition;
use crate::dns::SrvPolling;

/// Has the records asked for where that is due. The thread holds the client only while it hands over the answer.
pub(super) fn poll(shared: &Shared, state: &mut State) {
    if !state.description.polls_srv_records() {
        return;
    }
    let Some(polling) = &mut state.srv else { return };
    let now = shared.clock.now();
    if !polling.is_due(now) {
        return;
    }
    let lookup = polling.lookup();
    // Until the answer is recorded nobody asks again.
    polling.asked(now);
    let weak = shared.this.clone();
    let work = move || {
        let found = lookup.rescan();
        let Some(shared) = weak.upgrade() else { return };
        let mut state = shared.lock();
        let now = shared.clock.now();
        let hosts = state.srv.as_mut().and_then(|polling| polling.record(found, now));
        let Some(hosts) = hosts.filter(|_| !state.closed) else {
            // Nothing has changed, but a selection may have waited for the answer.
            shared.changed.notify_all();
            return;
        };
        let mut random = state.random;
        let mut below = |bound: usize| draw(&mut random, bound);
        let update = transition::with_srv_hosts(&state.description, &hosts, shared.settings.srv_max_hosts, &mut below);
        state.random = random;
        let aftermath = shared.carry_out(&mut state, update);
        drop(state);
        shared.finish(aftermath);
    };
    if let Err(error) = thread::Builder::new().name("mongo-srv".to_owned()).spawn(work) {
        polling.not_asked(now);
        log::warn!("no thread to ask for the SRV records: {error}");
    }
}

/// How long it is until the records are asked for again, if they are.
pub(super) fn due_in(state: &State, now: Instant) -> Option<Duration> {
    polling(state)?.due_in(now)
}

/// Whether the records are being asked for, so that other hosts may be named soon.
pub(super) fn is_running(state: &State) -> bool {
    polling(state).is_some_and(SrvPolling::is_running)
}

fn polling(state: &State) -> Option<&SrvPolling> {
    state.srv.as_ref().filter(|_| state.description.polls_srv_records())
}
