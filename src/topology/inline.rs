//! Selection of a server while nobody watches the servers all the time: the thread that needs one sees to it that what it goes by
//! is recent.
//!
//! [`select`] is a loop under the lock of the state: choose among the known servers, have checks made where that is not enough,
//! wait until something has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::check::{self, MAX_HELPERS_OF_SELECTION, MadeBy, OwnCheck};
use super::description::{ServerEntry, TopologyDescription};
use super::failure::Prospect;
use super::selection::{Conditions, Criteria, choose, only_choice, suitable_servers};
use super::selection_error::{no_server, prospect};
use super::shared::Shared;
use super::silent;
use super::state::{State, draw};
use crate::deadline::Deadline;
use crate::description::ServerType;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::sdam::TopologyType;
use crate::locks::unpoisoned;
use crate::options::{ReadPreference, ReadPreferenceMode, ServerAddress};
use crate::pool::AdoptableConnection;
use crate::server::{CheckConnection, CountedServer, FRESH_FOR_OPERATIONS, Server};

/// How long a selection waits for servers that would be preferred to those that suit, and were never checked.
const WAIT_FOR_PREFERRED: Duration = Duration::from_secs(1);

/// How old an answer may be, in heartbeats, for a thread to go by it while others check the server.
const OLDEST_IN_HEARTBEATS: u32 = 2;

/// A server for an operation.
pub(crate) struct Selected {
    /// It counts the operation until this is dropped.
    pub(crate) server: CountedServer,
    pub(crate) topology_type: TopologyType,
    /// What the server was when it was chosen.
    pub(crate) server_type: ServerType,
    /// The shortest of the last round trip times, which a command's time limit leaves room for; zero until there are two.
    pub(crate) minimum_round_trip_time: Duration,
    /// How long the servers keep a session that is not used; `None`: for ever, as far as is known.
    pub(crate) session_timeout: Option<Duration>,
    /// A connection that was made to find the server, for the operation to take over.
    pub(crate) opened: Option<AdoptableConnection>,
    /// When it was chosen.
    pub(crate) chosen: Instant,
}

/// A selection under way.
struct Selection<'a> {
    shared: &'a Shared,
    conditions: Conditions<'a>,
    limit: Deadline,
    began: Instant,
    /// When there was first a server that suits.
    suited: Option<Instant>,
    /// Whether this thread has begun checks, and so does not go by what was known before.
    has_begun: bool,
    /// What this thread's own check of the only server has left, and when its hello was answered.
    opened: Option<(Arc<Server>, AdoptableConnection, Instant)>,
    error: Option<Error>,
    /// Which servers the operation's predicate was asked about, as they were then, and whether it wants them.
    answers: BTreeMap<ServerAddress, (Arc<ServerEntry>, bool)>,
    /// Whether it was asked just now.
    was_asked: bool,
}

/// What a look at the state leads to.
enum Step {
    Take(Arc<ServerEntry>),
    /// Have these servers checked, as far as they may be.
    Check(Vec<ServerAddress>),
    /// Have them checked, and take this one without waiting for it.
    CheckAndTake(Vec<ServerAddress>, Arc<ServerEntry>),
    /// Have them checked, but wait no longer than this before taking the one that suits now.
    CheckFor(Vec<ServerAddress>, Duration),
    /// Ask the operation's predicate about the servers.
    AskPredicate(Arc<TopologyDescription>),
    Fail(Error),
}

/// Selects a server that suits, by `limit` at the latest. It is `now`.
pub(super) fn select(
    shared: &Shared,
    criteria: Criteria<'_>,
    deprioritised: &[ServerAddress],
    limit: Deadline,
    now: Instant,
) -> Result<Selected> {
    if let Some(selected) = select_at_once(shared, criteria, now) {
        return Ok(selected);
    }
    let began = shared.clock.at(now);
    let conditions = Conditions {
        criteria,
        deprioritised,
        local_threshold: shared.settings.local_threshold,
        heartbeat_frequency: shared.settings.heartbeat_frequency,
    };
    let selection = Selection {
        shared,
        conditions,
        limit,
        began,
        suited: None,
        has_begun: false,
        opened: None,
        error: None,
        answers: BTreeMap::new(),
        was_asked: false,
    };
    selection.run()
}

/// The only server that the operation can go to, if what is known about it is recent. This is how most selections end.
fn select_at_once(shared: &Shared, criteria: Criteria<'_>, chosen: Instant) -> Option<Selected> {
    let now = shared.clock.at(chosen);
    #[cfg_attr(not(feature = "srv"), expect(unused_mut, reason = "only SRV polling changes the state here"))]
    let mut state = shared.lock();
    #[cfg(feature = "srv")]
    super::srv::poll(shared, &mut state);
    let entry = only_choice(&state.description, criteria)?;
    let member = state.members.get(&entry.address)?;
    let topology_type = state.description.topology_type;
    let is_fresh = || member.monitor.is_some() || member.check.is_fresh(now, shared.settings.heartbeat_frequency);
    if state.closed || !(topology_type == TopologyType::LoadBalanced || is_fresh()) {
        return None;
    }
    let server = member.server.clone().count_operation();
    let (server_type, session_timeout) = (entry.server_type, state.description.session_timeout());
    let minimum_round_trip_time = entry.round_trip_times.minimum();
    drop(state);
    let opened = server.take_for_operation(now).map(AdoptableConnection::from);
    Some(Selected { server, topology_type, server_type, minimum_round_trip_time, session_timeout, opened, chosen })
}

/// The server with this address, whatever is known about it: it holds what the operation is about.
pub(super) fn select_address(shared: &Shared, address: &ServerAddress, chosen: Instant) -> Result<Selected> {
    let state = shared.lock();
    if state.closed {
        return Err(closed());
    }
    let Some(member) = state.members.get(address) else {
        let message = "the server that the operation needs no longer belongs to the deployment";
        return Err(Error::new(FaultKind::ServerSelection, Stage::ServerSelection, message).with_address(address));
    };
    let server = member.server.clone().count_operation();
    let (topology_type, session_timeout) = (state.description.topology_type, state.description.session_timeout());
    let entry = state.description.server(address);
    let server_type = entry.map_or(ServerType::Unknown, |entry| entry.server_type);
    let minimum_round_trip_time = entry.map_or(Duration::ZERO, |entry| entry.round_trip_times.minimum());
    let opened = None;
    Ok(Selected { server, topology_type, server_type, minimum_round_trip_time, session_timeout, opened, chosen })
}

impl Selection<'_> {
    fn run(mut self) -> Result<Selected> {
        let shared = self.shared;
        let mut state = shared.lock();
        let mut now = self.began;
        loop {
            #[cfg(feature = "srv")]
            super::srv::poll(shared, &mut state);
            let mut most = None;
            let wanted = match self.look(&mut state, now) {
                Step::Take(entry) => return self.take(state, &entry, now),
                Step::Fail(error) => return Err(error),
                Step::Check(wanted) => wanted,
                Step::AskPredicate(_) if !self.answers.is_empty() && self.limit.expired() => {
                    return Err(self.out_of_time(&state, now));
                }
                Step::AskPredicate(description) => {
                    // A function of the program's may take its time, and call the client.
                    drop(state);
                    self.ask_predicate(&description);
                    state = shared.lock();
                    now = shared.clock.now();
                    continue;
                }
                Step::CheckFor(wanted, limit) => {
                    most = Some(limit);
                    wanted
                }
                Step::CheckAndTake(wanted, entry) => {
                    let begun = check::begin(shared, &mut state, &wanted, BY_HELPERS);
                    let selected = self.take(state, &entry, now);
                    check::on_helpers(shared, begun);
                    return selected;
                }
            };
            if self.limit.expired() {
                return Err(self.out_of_time(&state, now));
            }
            if shared.settings.background {
                state = self.wait_for_monitors(state, &wanted);
                now = shared.clock.now();
                continue;
            }
            let is_only_server = state.description.servers.len() == 1;
            let made_by = if is_only_server { MadeBy::Caller } else { BY_HELPERS };
            let mut begun = check::begin(shared, &mut state, &wanted, made_by);
            if !begun.is_empty() {
                self.has_begun = true;
                drop(state);
                if is_only_server && let Some(own) = begun.pop() {
                    self.check(own)?;
                }
                check::on_helpers(shared, begun);
                state = shared.lock();
                now = shared.clock.now();
                // An answer may have come before this thread waits.
                continue;
            }
            let (silent, look_again) = silent::look_while_selecting(shared, &mut state, &wanted);
            if !silent.is_empty() {
                drop(state);
                let began = silent.into_iter().map(silent::SilentServer::start).fold(false, |any, began| any | began);
                state = shared.lock();
                now = shared.clock.now();
                // Without a thread for it this one waits, and tries again after that.
                if began {
                    continue;
                }
            }
            // Where all helper threads are at work, the end of a check wakes this one.
            let may_begin = is_only_server || state.helpers < MAX_HELPERS_OF_SELECTION;
            let next = wanted.iter().filter_map(|address| state.members.get(address)).filter(|_| may_begin);
            let next = next.filter(|member| !member.check.running).map(|member| member.check.next(now)).min();
            let wait = [self.limit.remaining(), next, most, look_again, srv_due_in(&state, now)];
            let wait = wait.into_iter().flatten().min();
            state = match wait {
                None => unpoisoned(shared.changed.wait(state)),
                Some(limit) => unpoisoned(shared.changed.wait_timeout(state, limit.max(SHORTEST_WAIT))).0,
            };
            now = shared.clock.now();
        }
    }

    /// Has these servers' monitors check them, and waits until something has changed.
    fn wait_for_monitors<'a>(&self, mut state: MutexGuard<'a, State>, wanted: &[ServerAddress]) -> MutexGuard<'a, State>
    where
        Self: 'a,
    {
        let members = wanted.iter().filter_map(|address| state.members.get(address));
        let monitored = members.filter_map(|member| member.monitor.as_ref().map(|monitor| (&member.server, monitor)));
        let mut missing = Vec::new();
        for (server, monitor) in monitored {
            monitor.request();
            if !monitor.is_started() {
                missing.push((server.clone(), monitor.clone()));
            }
        }
        if !missing.is_empty() {
            drop(state);
            missing.iter().for_each(|(server, monitor)| self.shared.start_monitor(server, monitor));
            state = self.shared.lock();
        }
        let wait = [self.limit.remaining(), srv_due_in(&state, self.shared.clock.now())].into_iter().flatten().min();
        match wait {
            None => unpoisoned(self.shared.changed.wait(state)),
            Some(limit) => unpoisoned(self.shared.changed.wait_timeout(state, limit.max(SHORTEST_WAIT))).0,
        }
    }

    /// What there is to be done, by what is known now.
    fn look(&mut self, state: &mut State, now: Instant) -> Step {
        if state.closed {
            return Step::Fail(closed());
        }
        let mut conditions = self.conditions;
        let wanted;
        if let Criteria::Predicate(_) = conditions.criteria {
            // A predicate that takes longer than the servers stay as they are is not asked without end: what it has said just now
            // counts for every server that is the same but for its times.
            let may_ask = !std::mem::take(&mut self.was_asked);
            if may_ask && available(&state.description).any(|entry| self.answer(entry, Arc::ptr_eq).is_none()) {
                return Step::AskPredicate(state.description.clone());
            }
            let is_same = |own: &Arc<ServerEntry>, other: &Arc<ServerEntry>| own.same_for_events(other);
            let entries = available(&state.description).filter(|entry| self.answer(entry, is_same) == Some(true));
            wanted = entries.map(|entry| entry.address.clone()).collect::<Vec<_>>();
            conditions.criteria = Criteria::OneOf(&wanted);
        }
        let heartbeat_frequency = self.shared.settings.heartbeat_frequency;
        let fresh = |entry: &ServerEntry| state.is_fresh(&entry.address, now, heartbeat_frequency);
        let suitable = match suitable_servers(&state.description, &conditions) {
            Ok(suitable) => suitable,
            Err(error) if state.description.compatibility_error.is_none() || self.round_is_over(state) => {
                return Step::Fail(error);
            }
            // The server may have been replaced by a newer one since.
            Err(_) => Vec::new(),
        };
        let count =
            |address: &ServerAddress| state.members.get(address).map_or(0, |member| member.server.operation_count());
        let mut random = state.random;
        let mut below = |bound: usize| draw(&mut random, bound);
        let threshold = self.conditions.local_threshold;
        let chosen = choose(suitable.clone(), threshold, &count, &mut below).cloned();
        let step = match chosen {
            None => self.when_none_suits(state, now),
            Some(chosen) if state.description.topology_type == TopologyType::LoadBalanced => Step::Take(chosen),
            Some(chosen) if fresh(&chosen) => self.before_taking(state, chosen, now),
            Some(chosen) => {
                let stale = state.description.servers.values().filter(|entry| !fresh(entry));
                let stale: Vec<ServerAddress> = in_order(stale);
                let recent = suitable.into_iter().filter(|entry| fresh(entry)).collect();
                if let Some(other) = choose(recent, threshold, &count, &mut below) {
                    Step::CheckAndTake(stale, other.clone())
                } else if self.may_go_by_older(state, &chosen, now) {
                    Step::Take(chosen)
                } else {
                    Step::Check(stale)
                }
            }
        };
        state.random = random;
        step
    }

    /// Asks the operation's predicate about each server that is available and has changed since it was asked.
    fn ask_predicate(&mut self, description: &TopologyDescription) {
        let Criteria::Predicate(wants) = self.conditions.criteria else { return };
        let answer =
            |entry: &Arc<ServerEntry>| self.answer(entry, Arc::ptr_eq).unwrap_or_else(|| wants(&entry.to_public()));
        self.answers =
            available(description).map(|entry| (entry.address.clone(), (entry.clone(), answer(entry)))).collect();
        self.was_asked = true;
    }

    /// What the predicate has said about a server that was the same as this one.
    fn answer(
        &self,
        entry: &Arc<ServerEntry>,
        is_same: impl Fn(&Arc<ServerEntry>, &Arc<ServerEntry>) -> bool,
    ) -> Option<bool> {
        self.answers.get(&entry.address).filter(|(asked, _)| is_same(asked, entry)).map(|(_, wanted)| *wanted)
    }

    /// Whether to go by what is known although it is not fresh, because others check the server already.
    fn may_go_by_older(&self, state: &State, chosen: &ServerEntry, now: Instant) -> bool {
        let most = self.shared.settings.heartbeat_frequency.saturating_mul(OLDEST_IN_HEARTBEATS);
        let limits_staleness = match self.conditions.criteria {
            Criteria::Read(preference) | Criteria::ReadAndWriteResult(preference) => {
                preference.max_staleness().is_some()
            }
            Criteria::Write | Criteria::Address(_) | Criteria::Predicate(_) | Criteria::OneOf(_) => false,
        };
        !self.has_begun
            && !limits_staleness
            && state
                .members
                .get(&chosen.address)
                .is_some_and(|member| member.check.running && member.check.allows_older(now, most))
    }

    /// A fresh server suits. Others that were never checked may be preferred to it, or as good.
    fn before_taking(&mut self, state: &State, chosen: Arc<ServerEntry>, now: Instant) -> Step {
        let suited = *self.suited.get_or_insert(now);
        let Some(most) = self.wait_for_others(state, &chosen) else { return Step::Take(chosen) };
        let never = state.description.servers.values().filter(|entry| {
            let never_checked = |member: &super::state::Member| member.check.ended.is_none();
            !entry.server_type.is_known() && state.members.get(&entry.address).is_some_and(never_checked)
        });
        let never = in_order(never);
        let left = most.saturating_sub(now.saturating_duration_since(suited));
        if never.is_empty() {
            Step::Take(chosen)
        } else if left.is_zero() {
            // Whoever is not waited for is checked all the same, so that it is known next time.
            Step::CheckAndTake(never, chosen)
        } else {
            Step::CheckFor(never, left)
        }
    }

    /// How long servers that were never checked are worth waiting for.
    fn wait_for_others(&self, state: &State, chosen: &ServerEntry) -> Option<Duration> {
        if self.shared.settings.background {
            return None;
        }
        // Who has not answered within the latency window times the round trips of connecting is outside that window.
        let round_trips = if self.shared.settings.uses_tls { 4 } else { 2 };
        let equals = Some(self.conditions.local_threshold.saturating_mul(round_trips));
        let topology_type = state.description.topology_type;
        if topology_type == TopologyType::Sharded {
            return equals;
        }
        let preference = match self.conditions.criteria {
            Criteria::Predicate(_) => return equals,
            Criteria::Read(preference) | Criteria::ReadAndWriteResult(preference)
                if state.description.is_replica_set() =>
            {
                preference
            }
            _ => return None,
        };
        let is_primary = chosen.server_type == ServerType::RsPrimary;
        match preference.mode() {
            ReadPreferenceMode::Primary => None,
            ReadPreferenceMode::PrimaryPreferred if is_primary => None,
            ReadPreferenceMode::PrimaryPreferred => Some(WAIT_FOR_PREFERRED),
            ReadPreferenceMode::SecondaryPreferred if is_primary => Some(WAIT_FOR_PREFERRED),
            ReadPreferenceMode::Secondary | ReadPreferenceMode::SecondaryPreferred | ReadPreferenceMode::Nearest => {
                let second_best =
                    !has_first_tags(chosen, preference) || self.conditions.deprioritised.contains(&chosen.address);
                if second_best { Some(WAIT_FOR_PREFERRED) } else { equals }
            }
        }
    }

    /// No known server suits.
    fn when_none_suits(&mut self, state: &State, now: Instant) -> Step {
        let settings = &self.shared.settings;
        let nothing_left = state.description.servers.is_empty() && !settings.initial.seeds_of_dns;
        if nothing_left || self.round_is_over(state) {
            let ends = match (settings.try_once, prospect(&state.description)) {
                _ if nothing_left => true,
                (_, Prospect::Final) | (Some(true), _) => true,
                (None, Prospect::NothingThere) => settings.names_one_host() && !settings.background,
                (None | Some(false), _) => false,
            };
            if ends {
                return Step::Fail(self.checked_in_vain(state, now));
            }
        }
        Step::Check(in_order(state.description.servers.values()))
    }

    /// Whether every server was checked since this selection began, and DNS is not being asked for others.
    fn round_is_over(&self, state: &State) -> bool {
        #[cfg(feature = "srv")]
        if super::srv::is_running(state) {
            return false;
        }
        state
            .members
            .values()
            .all(|member| !member.check.running && member.check.ended.is_some_and(|ended| ended >= self.began))
    }

    /// The error of a selection that waiting would not help. Of a single server it is that server's own.
    fn checked_in_vain(&mut self, state: &State, now: Instant) -> Error {
        if let (Some(error), 1) = (self.error.take(), state.description.servers.len()) {
            return error;
        }
        let mut errors = state.description.servers.values().map(|entry| entry.error.as_ref());
        match (errors.next(), errors.next()) {
            (Some(Some(only)), None) => Error::clone(only),
            _ => {
                let elapsed = now.saturating_duration_since(self.began);
                no_server(&state.description, self.conditions.criteria, "a check of each found none", now, elapsed)
            }
        }
    }

    fn out_of_time(&self, state: &State, now: Instant) -> Error {
        let elapsed = now.saturating_duration_since(self.began);
        let reason = format!("{} ran out", self.limit.name());
        no_server(&state.description, self.conditions.criteria, &reason, now, elapsed)
    }

    /// Makes the check of the only server.
    fn check(&mut self, own: check::RunningCheck) -> Result<()> {
        let server = own.server.clone();
        self.error = None;
        match check::on_caller(self.shared, own, self.limit) {
            OwnCheck::Opened(opened) => self.opened = Some((server, *opened, self.shared.clock.now())),
            OwnCheck::Answered => {}
            OwnCheck::Failed(error) => self.error = Some(error),
            OwnCheck::OutOfTime(error) if self.limit.name() != SERVER_SELECTION_TIMEOUT => return Err(error),
            OwnCheck::OutOfTime(error) => {
                let state = self.shared.lock();
                return Err(self.out_of_time(&state, self.shared.clock.now()).with_source(error));
            }
        }
        Ok(())
    }

    /// Takes this server.
    fn take(&mut self, state: MutexGuard<'_, State>, entry: &ServerEntry, now: Instant) -> Result<Selected> {
        let Some(member) = state.members.get(&entry.address) else { return Err(closed()) };
        let server = member.server.clone().count_operation();
        let topology_type = state.description.topology_type;
        let session_timeout = state.description.session_timeout();
        drop(state);
        let is_recent = |since| now.saturating_duration_since(since) < FRESH_FOR_OPERATIONS;
        let opened = match self.opened.take() {
            Some((opened_to, opened, since)) if Arc::ptr_eq(&opened_to, &server) && is_recent(since) => Some(opened),
            // The connection leads to another server than the operation needs, or was made some time ago. It is kept as an idle one.
            Some((opened_to, opened, since)) => {
                let AdoptableConnection { opened, slot } = opened;
                drop(slot);
                drop(opened_to.keep_check_connection(CheckConnection { opened, since, fits_operations: true }));
                server.take_for_operation(now).map(AdoptableConnection::from)
            }
            None => server.take_for_operation(now).map(AdoptableConnection::from),
        };
        let (server_type, minimum_round_trip_time) = (entry.server_type, entry.round_trip_times.minimum());
        let chosen = Instant::now();
        Ok(Selected { server, topology_type, server_type, minimum_round_trip_time, session_timeout, opened, chosen })
    }
}

/// The servers that a predicate is asked about.
fn available(description: &TopologyDescription) -> impl Iterator<Item = &Arc<ServerEntry>> {
    description.servers.values().filter(|entry| entry.server_type.is_known())
}

/// The servers in the order in which they are worth a check, where there are not enough threads for all at once.
fn in_order<'a>(servers: impl Iterator<Item = &'a Arc<ServerEntry>>) -> Vec<ServerAddress> {
    let mut servers: Vec<&Arc<ServerEntry>> = servers.collect();
    servers.sort_by_key(|entry| {
        let rank = match entry.server_type {
            ServerType::RsPrimary => 0,
            ServerType::PossiblePrimary => 1,
            _ => 2,
        };
        (rank, entry.last_update)
    });
    servers.into_iter().map(|entry| entry.address.clone()).collect()
}

/// How long it is until DNS is to be asked for the hosts again, if it is.
#[cfg_attr(not(feature = "srv"), expect(unused_variables, reason = "no host comes from DNS"))]
fn srv_due_in(state: &State, now: Instant) -> Option<Duration> {
    #[cfg(feature = "srv")]
    return super::srv::due_in(state, now);
    #[cfg(not(feature = "srv"))]
    None
}

/// Whether a server has the tags that are asked for first.
fn has_first_tags(entry: &ServerEntry, preference: &ReadPreference) -> bool {
    let tags = entry.hello.as_ref().map_or(&[][..], |hello| &hello.tags);
    let has = |wanted: &(String, String)| tags.contains(wanted);
    preference
        .tag_sets()
        .first()
        .is_none_or(|first| first.iter().all(|(key, value)| has(&(key.clone(), value.clone()))))
}

fn closed() -> Error {
    Error::client_closed(Stage::ServerSelection)
}

/// Who makes the checks that a selection needs, where there are several servers.
const BY_HELPERS: MadeBy = MadeBy::Helper { of_at_most: MAX_HELPERS_OF_SELECTION };

/// So that a wait whose time is all but up does not become a loop that never sleeps.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The limit that a selection has of its own.
pub(super) const SERVER_SELECTION_TIMEOUT: &str = "serverSelectionTimeoutMS";
