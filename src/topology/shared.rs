//! What the threads that use a client share: the state under its lock, and what happens when something was found out.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::background_threads::BackgroundThreads;
use super::monitor_control::MonitorControl;
use super::state::{Aftermath, State, TopologyOptions};
use super::transition::{self, OperationFailure, Outcome, Update};
use crate::description::ServerDescription;
use crate::error::Error;
use crate::event::EventQueue;
use crate::locks::{lock, unpoisoned};
#[cfg(test)]
use crate::options::ServerAddress;
use crate::pool::PoolObserver;
use crate::server::Server;

/// How long closing a client waits for its threads to end and for handlers to get its last events.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// The topology of one client in one process.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notified when the description was replaced, a check has ended, or the client was closed.
    pub(super) changed: Condvar,
    pub(super) settings: Arc<TopologyOptions>,
    pub(super) events: Arc<EventQueue>,
    pub(super) observer: Weak<dyn PoolObserver>,
    pub(super) this: Weak<Shared>,
    pub(super) clock: Clock,
    /// What starts the thread that checks a server, if checks are made in the background.
    pub(super) start_monitor: Option<StartMonitor>,
    pub(super) threads: Arc<BackgroundThreads>,
    /// What takes the place of the network.
    #[cfg(test)]
    pub(super) fake: Mutex<Option<Fake>>,
}

/// Starts the thread that checks a server, unless there is one.
pub(super) type StartMonitor = fn(&Arc<Shared>, &Arc<Server>, &Arc<MonitorControl>);

/// What a check found out.
pub(super) enum Finding {
    /// `round_trip_time`: `None` where the server kept its answer back until there was something new.
    Answered {
        hello: Arc<ServerDescription>,
        round_trip_time: Option<Duration>,
    },
    Failed {
        error: Error,
        overload_is_no_verdict: bool,
    },
}

#[cfg(test)]
pub(super) type Fake = Arc<dyn Fn(&ServerAddress) -> Finding + Send + Sync>;

/// The time. In tests it can be moved on.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    #[cfg(test)]
    ahead: Arc<Mutex<Duration>>,
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        self.at(Instant::now())
    }

    /// What this clock shows at that moment.
    pub(super) fn at(&self, moment: Instant) -> Instant {
        #[cfg(test)]
        return moment + *lock(&self.ahead);
        #[cfg(not(test))]
        moment
    }

    #[cfg(test)]
    pub(super) fn advance(&self, by: Duration) {
        *lock(&self.ahead) += by;
    }
}

impl Shared {
    /// The topology with the hosts that the options name. Connects to none. What is left to be done is returned.
    pub(super) fn new(settings: &Arc<TopologyOptions>, start_monitor: Option<StartMonitor>) -> (Arc<Self>, Aftermath) {
        let events = EventQueue::new(settings.sdam_event_handler.clone(), settings.cmap_event_handler.clone());
        let update = transition::open(settings.initial.clone());
        let shared = Arc::new_cyclic(|this: &Weak<Shared>| Shared {
            state: Mutex::new(State::new(transition::nothing(settings.initial.id))),
            changed: Condvar::new(),
            settings: settings.clone(),
            events: Arc::new(events),
            observer: this.clone(),
            this: this.clone(),
            clock: Clock::default(),
            start_monitor,
            threads: Arc::default(),
            #[cfg(test)]
            fake: Mutex::default(),
        });
        let mut state = shared.lock();
        #[cfg(feature = "srv")]
        state.srv.clone_from(&settings.srv);
        let aftermath = shared.carry_out(&mut state, update);
        drop(state);
        (shared, aftermath)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether the state can be used now. In a child process a thread that does not exist there may hold the lock for ever.
    pub(super) fn is_unlocked(&self) -> bool {
        self.state.try_lock().is_ok()
    }

    /// Puts an update in place, and wakes who waits for one.
    pub(super) fn carry_out(&self, state: &mut State, update: Update) -> Aftermath {
        let aftermath = state.carry_out(update, &self.settings, &self.events, &self.observer);
        self.changed.notify_all();
        aftermath
    }

    /// Does what is left after an update. To be called without any lock held.
    pub(super) fn finish(&self, mut aftermath: Aftermath) {
        let opened = std::mem::take(&mut aftermath.opened);
        aftermath.run(&self.settings);
        // A handler may run an operation, which may need another check by this thread.
        match self.settings.background && self.threads.is_one_of_them() {
            true => self.events.deliver_beside(),
            false => self.events.deliver(),
        }
        opened.iter().for_each(|(server, control)| self.start_monitor(server, control));
    }

    /// Starts the thread that checks a server, unless there is one.
    pub(super) fn start_monitor(&self, server: &Arc<Server>, control: &Arc<MonitorControl>) {
        if let Some((start, shared)) = self.start_monitor.zip(self.this.upgrade()) {
            start(&shared, server, control);
        }
    }

    /// A check of this server that began then has ended now.
    pub(super) fn conclude(&self, server: &Arc<Server>, finding: Finding, began: Instant) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.closed || !state.has(server) {
            return;
        }
        let aftermath = self.record(&mut state, server, finding, (began, now));
        drop(state);
        self.finish(aftermath);
    }

    /// Records what a check of a server of the deployment has found out. `times`: when it began and when it ended.
    pub(super) fn record(
        &self,
        state: &mut State,
        server: &Server,
        finding: Finding,
        times: (Instant, Instant),
    ) -> Aftermath {
        let (began, at) = times;
        let address = server.address();
        let is_awaited = state.members.get(&**address).is_some_and(|member| member.check.is_awaited);
        let mut conclusive = Some(began);
        let outcome = match finding {
            Finding::Answered { hello, round_trip_time } => Outcome::Answered { address, hello, round_trip_time, at },
            Finding::Failed { error, overload_is_no_verdict } => {
                // A server that answers neither a new connection nor those in use is not just overloaded.
                let is_silent = is_awaited && error.is_network_timeout();
                let overload_is_no_verdict = overload_is_no_verdict && !is_silent;
                conclusive = conclusive.filter(|_| !overload_is_no_verdict);
                Outcome::CheckFailed { address, error: Arc::new(error), overload_is_no_verdict, at }
            }
        };
        if let Some(member) = state.members.get_mut(&**address) {
            member.check.record(at, conclusive);
        }
        let update = transition::apply(&state.description, outcome);
        self.carry_out(state, update)
    }

    /// Adds a round trip time that was measured apart from the checks.
    pub(super) fn record_round_trip_time(&self, server: &Arc<Server>, sample: Duration) {
        let mut state = self.lock();
        if !state.closed && state.has(server) {
            state.description = transition::with_round_trip_time(&state.description, server.address(), sample);
        }
    }

    /// An operation failed on this server, or the connection that was to be made for it.
    pub(super) fn operation_failed(&self, server: &Arc<Server>, failure: OperationFailure<'_>) {
        let mut state = self.lock();
        if state.closed || !state.has(server) {
            return;
        }
        let failure = OperationFailure { pool_generation: server.generation(failure.service_id), ..failure };
        let update = transition::apply(&state.description, Outcome::OperationFailed(failure));
        let aftermath = self.carry_out(&mut state, update);
        drop(state);
        self.finish(aftermath);
    }

    /// Waits for this time, or until the client is closed.
    pub(super) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut state = self.lock();
        while !state.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = unpoisoned(self.changed.wait_timeout(state, left)).0;
        }
    }

    /// Ends every connection and every wait.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.closed = true;
        let update = transition::close(&state.description);
        let aftermath = self.carry_out(&mut state, update);
        drop(state);
        self.finish(aftermath);
        let began = Instant::now();
        self.threads.wait_until_none(LAST_EVENTS);
        self.events.wait_until_delivered(LAST_EVENTS.saturating_sub(began.elapsed()));
    }
}
