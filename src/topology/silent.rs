//! A primary that has fallen silent: its host is frozen, or its network is gone without a word.
//!
//! A call that waits for it has it checked ([`look_at`]); a selection has done so when it waits for that check
//! ([`look_while_selecting`]). While that hello is unanswered, a helper thread has the other members checked, and as soon as one of
//! them is primary by a newer election, the calls that wait for the silent one and may begin anew on the other end with a network
//! error. Nothing is recorded against the silent server by that. A primary that has
//! stepped down answers hello, so calls that run on it are never ended.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::check::{self, MAX_HELPERS, MadeBy, THREAD_NAME};
use super::shared::Shared;
use super::state::{SILENT_AFTER, State};
use crate::description::ServerType;
use crate::fork;
use crate::locks::unpoisoned;
use crate::options::ServerAddress;
use crate::server::Server;

/// How often the other members are checked.
const EVERY: Duration = Duration::from_millis(500);

/// A call that waits says so every second. For how long after the last word somebody is taken to wait.
const WAITS_FOR: Duration = Duration::from_millis(2500);

/// A silent server that is watched. It is watched no more when this is dropped.
pub(super) struct SilentServer {
    shared: Weak<Shared>,
    server: Arc<Server>,
    began: Instant,
}

/// A call has waited on a connection of this server since then: the server is checked on another connection, unless that was done
/// meanwhile or is under way. If the check fails by timeout, the connections in use end, and with them the wait.
pub(super) fn look_at(shared: &Shared, address: &ServerAddress, since: Instant) {
    let now = shared.clock.now();
    let mut state = shared.lock();
    let Some(member) = state.members.get_mut(address) else { return };
    if member.check.was_made_since(since, now, shared.settings.heartbeat_frequency) {
        return;
    }
    member.check.is_awaited = true;
    member.waited_for = Some(now);
    if member.check.is_unanswered(now) {
        let silent = watch(shared, &mut state, address);
        drop(state);
        if let Some(silent) = silent {
            silent.start();
        }
        return;
    }
    let begun = check::begin(shared, &mut state, [address], MadeBy::Helper { of_at_most: MAX_HELPERS });
    drop(state);
    // Without a thread it is given up: this one has to stay with its own reply, and asks again.
    check::on_helpers_only(shared, begun);
}

/// A selection is about to wait for the checks of these servers. Which of them are to be watched, and when the selection is to look
/// again.
pub(super) fn look_while_selecting(
    shared: &Shared,
    state: &mut State,
    wanted: &[ServerAddress],
) -> (Vec<SilentServer>, Option<Duration>) {
    let now = shared.clock.now();
    let (mut silent, mut again) = (Vec::new(), None);
    for address in wanted {
        let Some(member) = state.members.get_mut(address).filter(|member| member.was_primary && member.check.running)
        else {
            continue;
        };
        member.waited_for = Some(now);
        let since = member.check.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        again = Some(SILENT_AFTER.checked_sub(since).filter(|left| !left.is_zero()).unwrap_or(SILENT_AFTER));
        if since >= SILENT_AFTER {
            silent.extend(watch(shared, state, address));
        }
    }
    (silent, again)
}

/// Marks this server as watched by a helper thread, unless it is so already.
fn watch(shared: &Shared, state: &mut State, address: &ServerAddress) -> Option<SilentServer> {
    if !state.description.is_replica_set() || state.helpers >= MAX_HELPERS {
        return None;
    }
    let member = state.members.get_mut(address).filter(|member| member.was_primary && !member.is_watched)?;
    member.is_watched = true;
    let began = member.check.began.unwrap_or_else(|| shared.clock.now());
    let silent = SilentServer { shared: shared.this.clone(), server: member.server.clone(), began };
    state.helpers += 1;
    Some(silent)
}

impl SilentServer {
    /// Has a helper thread look for a newer primary as long as the check of this server is unanswered and calls wait for it. To be
    /// called without any lock held. `false`: no thread can be had.
    pub(super) fn start(self) -> bool {
        let work = move || while self.look() {};
        let started = fork::start_thread(THREAD_NAME, work);
        if let Err(error) = &started {
            log::warn!("no thread to look for a newer primary: {error}");
        }
        started.is_ok()
    }

    /// Looks once, and waits until it is time to look again. `false`: there is nothing more to wait for.
    fn look(&self) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let mut state = shared.lock();
        let now = shared.clock.now();
        if !self.goes_on(&state, now) {
            return false;
        }
        let address = self.server.address();
        if let Some(newer) = newer_primary(&state, address) {
            let silence = now.saturating_duration_since(self.began).as_secs();
            let words = format!("{address} has not answered for {silence} s, and {newer} is primary now");
            let cleanup = self.server.pool().map(|pool| pool.end_waits(&words));
            drop(state);
            cleanup.into_iter().for_each(crate::pool::Cleanup::run);
        } else if shared.settings.background {
            // The monitors tell what the servers are.
            let others = state.members.iter().filter(|(other, _)| *other != &**address);
            others.filter_map(|(_, member)| member.monitor.as_ref()).for_each(|monitor| monitor.request());
            drop(state);
        } else {
            let others: Vec<ServerAddress> =
                state.members.keys().filter(|other| *other != &**address).cloned().collect();
            let made_by = MadeBy::Helper { of_at_most: MAX_HELPERS };
            let begun = check::begin(&shared, &mut state, &others, made_by);
            drop(state);
            check::on_helpers(&shared, begun);
        }
        let state = shared.lock();
        if self.goes_on(&state, now) {
            drop(unpoisoned(shared.changed.wait_timeout(state, EVERY)));
        }
        true
    }

    /// Whether the check is unanswered still, and calls wait.
    fn goes_on(&self, state: &State, now: Instant) -> bool {
        let member = state.members.get(&**self.server.address()).filter(|_| !state.closed && state.has(&self.server));
        member.is_some_and(|member| {
            let waits = |last| now.saturating_duration_since(last) < WAITS_FOR;
            member.check.running && member.waited_for.is_some_and(waits)
        })
    }
}

impl Drop for SilentServer {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut state = shared.lock();
        state.helpers = state.helpers.saturating_sub(1);
        if state.has(&self.server)
            && let Some(member) = state.members.get_mut(&**self.server.address())
        {
            member.is_watched = false;
        }
    }
}

/// The known primary, if it is another server than this one. Its election is the newer one: the description never takes a server with an
/// older election for the primary.
fn newer_primary(state: &State, silent: &ServerAddress) -> Option<ServerAddress> {
    let mut servers = state.description.servers.values();
    servers
        .find(|entry| entry.server_type == ServerType::RsPrimary && entry.address != *silent)
        .map(|entry| entry.address.clone())
}
