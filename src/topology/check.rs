//! Checks of servers: who makes them, on which connection, and what they lead to.
//!
//! A check is one `hello`. At most one runs for each server; whoever needs its outcome waits for that. Several servers are checked
//! side by side by helper threads, which end with their check and hold neither the client nor its pools.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Document, RawDocumentBuf};

use super::shared::{Clock, Finding, Shared};
use super::state::{Aftermath, State, TopologyOptions};
use crate::connection::{
    Connection, HelloFor, OpenedConnection, ShutdownHandle, ShutdownReason, Supervisor, WaitObserver,
};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::event::sdam::{
    SdamEvent, ServerHeartbeatFailedEvent, ServerHeartbeatStartedEvent, ServerHeartbeatSucceededEvent,
};
use crate::event::{Event, EventQueue};
use crate::fork;
use crate::locks::lock;
use crate::options::ServerAddress;
use crate::pool::{AdoptableConnection, HeldSlot, Pool};
use crate::server::{CheckConnection, Server};

/// The helper threads of one client at the same time. A reply may name a thousand servers.
pub(super) const MAX_HELPERS: usize = 32;

/// How many of them selections use at most: the others are kept for servers on which calls wait.
pub(super) const MAX_HELPERS_OF_SELECTION: usize = MAX_HELPERS - 2;

/// A connection that was idle for longer may be dead without anybody having noticed: a router on the way has forgotten it, or the
/// machine was suspended. It is given a second before a new one is tried beside it.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(60);

/// A check that is marked as running. Its end is recorded when this is dropped, whatever happens.
pub(super) struct RunningCheck {
    shared: Weak<Shared>,
    pub(super) server: Arc<Server>,
    began: Instant,
    is_helper: bool,
    /// Whether its place was given up.
    ended: bool,
}

/// What a check needs, without the client.
#[derive(Clone)]
pub(super) struct Checker {
    settings: Arc<TopologyOptions>,
    events: Arc<EventQueue>,
    clock: Clock,
    #[cfg(test)]
    fake: Option<super::shared::Fake>,
}

/// What became of a check that the calling thread made itself.
pub(super) enum OwnCheck {
    /// The server answered on a new connection, which an operation may take over.
    Opened(Box<AdoptableConnection>),
    /// The server answered on a connection that there was.
    Answered,
    Failed(Error),
    /// The caller's own time was up first.
    OutOfTime(Error),
}

/// What a check found out, and the new connection that it was made on, if it was.
type Found = (Finding, Option<Box<OpenedConnection>>);

/// What became of a check that the connection it began on did not answer.
enum Elsewhere {
    /// A new connection was tried.
    Found(Found),
    /// It has failed, and that is all.
    Nowhere(Error),
}

/// Tries a new connection while a doubtful one gives no answer.
struct Beside {
    checker: Checker,
    server: Arc<Server>,
    purpose: HelloFor,
    limit: Deadline,
    /// Ends the wait on the doubtful one.
    doubtful: ShutdownHandle,
    found: Mutex<Option<Found>>,
}

/// Who makes a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MadeBy {
    /// The thread that needs it.
    Caller,
    /// A helper thread, if there are fewer than this.
    Helper { of_at_most: usize },
}

/// Marks the checks of these servers as running, as far as they may run and there are places for threads.
pub(super) fn begin<'a>(
    shared: &Shared,
    state: &mut State,
    addresses: impl IntoIterator<Item = &'a ServerAddress>,
    made_by: MadeBy,
) -> Vec<RunningCheck> {
    let is_helper = made_by != MadeBy::Caller;
    let now = shared.clock.now();
    let mut begun = Vec::new();
    for address in addresses {
        let full = matches!(made_by, MadeBy::Helper { of_at_most } if state.helpers >= of_at_most);
        let Some(member) = state.members.get_mut(address) else { continue };
        if full || !member.check.may_begin(now) {
            continue;
        }
        (member.check.running, member.check.began) = (true, Some(now));
        let server = member.server.clone();
        state.helpers += usize::from(is_helper);
        begun.push(RunningCheck { shared: shared.this.clone(), server, began: now, is_helper, ended: false });
    }
    begun
}

/// Has helper threads make these checks. Where no thread can be had, this one makes them, one after the other.
pub(super) fn on_helpers(shared: &Shared, checks: Vec<RunningCheck>) {
    for check in checks {
        let checker = Checker::of(shared);
        let slot = Arc::new(Mutex::new(Some(check)));
        let own = slot.clone();
        let work = move || {
            if let Some(check) = lock(&own).take() {
                checker.run(check);
            }
        };
        if let Err(error) = fork::start_thread(THREAD_NAME, work) {
            log::warn!("no thread for the check of a server: {error}");
            if let Some(check) = lock(&slot).take() {
                Checker::of(shared).run(check);
            }
        }
    }
}

/// Has helper threads make these checks. One for which no thread can be had is given up.
pub(super) fn on_helpers_only(shared: &Shared, checks: Vec<RunningCheck>) {
    for check in checks {
        let checker = Checker::of(shared);
        if let Err(error) = fork::start_thread(THREAD_NAME, move || checker.run(check)) {
            log::warn!("no thread for the check of a server: {error}");
        }
    }
}

/// Has the calling thread make a check, within its own limit.
pub(super) fn on_caller(shared: &Shared, check: RunningCheck, limit: Deadline) -> OwnCheck {
    Checker::of(shared).run_within(check, limit)
}

impl RunningCheck {
    /// Records what was found out.
    fn finish(self, finding: Finding, now: Instant) {
        drop(self.finish_and_hold(finding, now, false));
    }

    /// Records what was found out. With `holds`, the pool that is ready now keeps a slot for the connection that it was found out on,
    /// so that no thread which this wakes is quicker to make another one.
    fn finish_and_hold(mut self, finding: Finding, now: Instant, holds: bool) -> Option<HeldSlot> {
        let mut slot = None;
        let shared = self.shared.upgrade()?;
        let mut state = shared.lock();
        // The server may have left meanwhile, and another one may have its address now.
        if !state.closed && state.has(&self.server) {
            // The monitor may have found the silence, and then the server on another connection, while this check waited.
            let is_silent = matches!(&finding, Finding::Failed { error, .. } if error.is_network_timeout())
                && !state.was_answered_since(self.server.address(), self.began);
            let aftermath = if shared.settings.background && !is_silent {
                // In the background it is the monitor that tells what a server is. This check is there for calls that wait.
                let conclusive = matches!(finding, Finding::Answered { .. }).then_some(self.began);
                if let Some(member) = state.members.get_mut(&**self.server.address()) {
                    member.check.record(now, conclusive);
                }
                Aftermath::default()
            } else {
                shared.record(&mut state, &self.server, finding, (self.began, now))
            };
            if holds {
                slot = self.server.pool().and_then(Pool::hold_slot);
            }
            self.end(&shared, &mut state);
            drop(state);
            shared.finish(aftermath);
        }
        slot
    }

    /// Gives up its place.
    fn end(&mut self, shared: &Shared, state: &mut State) {
        // From here on another thread may begin the next check, whose state is not this check's.
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.server.check_ended();
        if std::mem::take(&mut self.is_helper) {
            state.helpers = state.helpers.saturating_sub(1);
        }
        if state.has(&self.server)
            && let Some(member) = state.members.get_mut(&**self.server.address())
        {
            member.check.running = false;
        }
        shared.changed.notify_all();
    }
}

impl Drop for RunningCheck {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            // A handler of the program's has panicked. The next check keeps its distance all the same.
            if thread::panicking()
                && let Some(member) = state.members.get_mut(&**self.server.address())
            {
                member.check.record(shared.clock.now(), None);
            }
            self.end(&shared, &mut state);
        } else {
            self.server.check_ended();
        }
    }
}

impl Checker {
    pub(super) fn of(shared: &Shared) -> Self {
        Checker {
            settings: shared.settings.clone(),
            events: shared.events.clone(),
            clock: shared.clock.clone(),
            #[cfg(test)]
            fake: lock(&shared.fake).clone(),
        }
    }

    /// Checks a server, with the limits of a check.
    fn run(&self, check: RunningCheck) {
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            let finding = fake(check.server.address());
            return check.finish(finding, self.clock.now());
        }
        let server = &check.server;
        // The first connection to a server may become an operation's.
        let fits_operations = server.pool().is_none();
        let purpose = if fits_operations { HelloFor::Operation { speculate: false } } else { HelloFor::Check };
        let (finding, opened) = self.find_out(server, purpose, Deadline::NEVER);
        if let Some(opened) = opened.filter(|_| !self.settings.background) {
            let kept = CheckConnection { opened, since: self.clock.now(), fits_operations };
            drop(server.keep_check_connection(kept));
        }
        check.finish(finding, self.clock.now());
    }

    /// Checks a server within the limit of the operation that waits for it. If that limit ends the check, nothing is recorded.
    fn run_within(&self, check: RunningCheck, limit: Deadline) -> OwnCheck {
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            let finding = fake(check.server.address());
            let own = match &finding {
                Finding::Answered { .. } => OwnCheck::Answered,
                Finding::Failed { error, .. } => OwnCheck::Failed(error.clone()),
            };
            check.finish(finding, self.clock.now());
            return own;
        }
        let (finding, opened) = self.find_out(&check.server, HelloFor::Operation { speculate: true }, limit);
        if let Finding::Failed { error, .. } = &finding {
            let error = error.clone();
            // The caller's own time was up: nothing is known about the server.
            if error.is_timeout() && limit.expired() {
                return OwnCheck::OutOfTime(error);
            }
            check.finish(finding, self.clock.now());
            return OwnCheck::Failed(error);
        }
        let slot = check.finish_and_hold(finding, self.clock.now(), opened.is_some());
        match opened {
            Some(opened) => OwnCheck::Opened(Box::new(AdoptableConnection { opened, slot })),
            None => OwnCheck::Answered,
        }
    }

    /// On the check connection, or else on an idle connection of the pool, or else on a new one.
    fn find_out(&self, server: &Arc<Server>, purpose: HelloFor, limit: Deadline) -> Found {
        if let Some(mut kept) = server.take_check_connection() {
            let outcome = self.on_existing(server, kept.opened.connection_mut(), kept.since, purpose, limit);
            return outcome.map_or_else(Elsewhere::found, |answered| {
                let kept = CheckConnection { since: self.clock.now(), fits_operations: false, ..kept };
                drop(server.keep_check_connection(kept));
                (answered, None)
            });
        }
        if let Some((mut borrowed, since)) = server.pool().and_then(Pool::borrow_idle) {
            let outcome = self.on_existing(server, &mut borrowed, since, purpose, limit);
            return match outcome {
                Ok(answered) => (answered, None),
                // A label of overload is no verdict, since the server has answered on this connection before.
                Err(Elsewhere::Nowhere(error)) => (failed(error, true), None),
                Err(Elsewhere::Found(found)) => found,
            };
        }
        self.on_new(server, purpose, limit, self.heartbeat(server, None))
    }

    /// On a connection that was idle since this moment. If it was for long, it has a second to answer. Then a new one is tried while it
    /// goes on waiting, and whichever answers counts.
    fn on_existing(
        &self,
        server: &Arc<Server>,
        connection: &mut Connection,
        since: Instant,
        purpose: HelloFor,
        limit: Deadline,
    ) -> Result<Finding, Elsewhere> {
        let handle = connection.shutdown_handle();
        server.check_runs_on(handle.clone());
        let heartbeat = self.heartbeat(server, connection.info().server_id);
        let factory = &self.settings.factory;
        let deadline = factory.check_deadline().earliest(limit);
        let doubtful = self.clock.now().saturating_duration_since(since) > DOUBTFUL_AFTER;
        let (outcome, beside) = if doubtful {
            let checker = self.clone();
            let beside =
                Beside { checker, server: server.clone(), purpose, limit, doubtful: handle, found: Mutex::default() };
            let beside = Arc::new(beside);
            let outcome = factory.check_observed(connection, deadline, beside.clone());
            (outcome, lock(&beside.found).take())
        } else {
            (factory.check(connection, deadline), None)
        };
        match (outcome, beside) {
            (Ok((hello, reply, round_trip_time)), _) => {
                heartbeat.succeeded(|| reply, round_trip_time, connection.info().server_id);
                Ok(Finding::Answered { hello, round_trip_time: Some(round_trip_time) })
            }
            (Err(_), Some((finding, opened))) => {
                match (&finding, &opened) {
                    (Finding::Failed { error, .. }, _) => heartbeat.failed(error),
                    (_, Some(opened)) => {
                        heartbeat.succeeded(|| opened.reply(), opened.round_trip_time(), opened.server_connection_id());
                    }
                    _ => {}
                }
                Err(Elsewhere::Found((finding, opened)))
            }
            (Err(error), None) => {
                heartbeat.failed(&error);
                match doubtful {
                    // It was dead.
                    true => Err(Elsewhere::Found(self.on_new(server, purpose, limit, self.heartbeat(server, None)))),
                    false => Err(Elsewhere::Nowhere(error)),
                }
            }
        }
    }

    /// The events of a check. There are none for a check that is made beside a monitor's.
    fn heartbeat(&self, server: &Server, connection_id: Option<i64>) -> Option<Heartbeat<'_>> {
        if self.settings.background {
            return None;
        }
        Heartbeat::started(self, server, connection_id, false)
    }

    /// On a new connection.
    fn on_new(
        &self,
        server: &Arc<Server>,
        purpose: HelloFor,
        limit: Deadline,
        heartbeat: Option<Heartbeat<'_>>,
    ) -> Found {
        let supervisor = Supervisor {
            observer: None,
            opened: &|handle| server.check_runs_on(handle),
            given_up: &|| server.is_closed(),
        };
        let factory = &self.settings.factory;
        let opened = match purpose {
            // It is an operation's connection, with the limits of one.
            HelloFor::Operation { speculate: true } => factory.open(server.address(), purpose, limit, &supervisor),
            _ => factory.open_for_check(server.address(), purpose, &supervisor),
        };
        match opened {
            Ok(opened) => {
                let (hello, round_trip_time) = (opened.hello().clone(), opened.round_trip_time());
                heartbeat.succeeded(|| opened.reply(), round_trip_time, opened.server_connection_id());
                (Finding::Answered { hello, round_trip_time: Some(round_trip_time) }, Some(Box::new(opened)))
            }
            Err(error) => {
                heartbeat.failed(&error);
                let others = server.pool().is_some_and(|pool| pool.in_use() > 0);
                (failed(error, others), None)
            }
        }
    }
}

impl Elsewhere {
    fn found(self) -> Found {
        match self {
            Elsewhere::Found(found) => found,
            Elsewhere::Nowhere(error) => (failed(error, false), None),
        }
    }
}

impl WaitObserver for Beside {
    fn still_waiting(&self, _since: Instant) {
        let mut found = lock(&self.found);
        if found.is_some() {
            return;
        }
        let tried = self.checker.on_new(&self.server, self.purpose, self.limit, None);
        if tried.1.is_some() {
            self.doubtful.close(ShutdownReason::Client);
        } else {
            self.server.check_runs_on(self.doubtful.clone());
        }
        *found = Some(tried);
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").field("server", self.server.address()).finish_non_exhaustive()
    }
}

/// The name of the helper threads.
pub(super) const THREAD_NAME: &str = "mongo-check";

pub(super) fn failed(error: Error, overload_is_no_verdict: bool) -> Finding {
    Finding::Failed { error, overload_is_no_verdict }
}

/// The events of one check.
pub(super) struct Heartbeat<'a> {
    events: &'a EventQueue,
    server_address: ServerAddress,
    /// Whether the server keeps its answer back until there is something new.
    awaited: bool,
    server_connection_id: Option<i64>,
    began: Instant,
}

impl<'a> Heartbeat<'a> {
    pub(super) fn started(
        checker: &'a Checker,
        server: &Server,
        server_connection_id: Option<i64>,
        awaited: bool,
    ) -> Option<Self> {
        let events = &checker.events;
        if !events.wants_sdam() {
            return None;
        }
        let server_address = ServerAddress::clone(server.address());
        events.push(Event::Sdam(SdamEvent::ServerHeartbeatStarted(ServerHeartbeatStartedEvent {
            server_address: server_address.clone(),
            awaited,
            driver_connection_id: 0,
            server_connection_id,
        })));
        // A handler may run an operation, which may need this check.
        events.deliver_beside();
        Some(Heartbeat { events, server_address, awaited, server_connection_id, began: Instant::now() })
    }
}

/// What ends a check that handlers were told of; nothing without handlers.
pub(super) trait HeartbeatEnd {
    fn succeeded(self, reply: impl FnOnce() -> RawDocumentBuf, duration: Duration, connection_id: Option<i64>);
    fn failed(self, error: &Error);
}

impl HeartbeatEnd for Option<Heartbeat<'_>> {
    fn succeeded(self, reply: impl FnOnce() -> RawDocumentBuf, duration: Duration, connection_id: Option<i64>) {
        let Some(heartbeat) = self else { return };
        let event = ServerHeartbeatSucceededEvent {
            duration,
            reply: Document::try_from(reply()).unwrap_or_default(),
            server_address: heartbeat.server_address,
            awaited: heartbeat.awaited,
            driver_connection_id: 0,
            server_connection_id: connection_id,
        };
        heartbeat.events.push(Event::Sdam(SdamEvent::ServerHeartbeatSucceeded(event)));
    }

    fn failed(self, error: &Error) {
        let Some(heartbeat) = self else { return };
        let event = ServerHeartbeatFailedEvent {
            duration: heartbeat.began.elapsed(),
            failure: error.clone(),
            server_address: heartbeat.server_address,
            awaited: heartbeat.awaited,
            driver_connection_id: 0,
            server_connection_id: heartbeat.server_connection_id,
        };
        heartbeat.events.push(Event::Sdam(SdamEvent::ServerHeartbeatFailed(event)));
    }
}
