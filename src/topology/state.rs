//! What the runtime of a topology keeps under its lock, and how a new description takes effect there.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use super::description::{TopologyChange, TopologyDescription};
use super::monitor_control::MonitorControl;
use super::transition::{CheckAction, InitialTopology, PoolAction, Update};
use crate::connection::ConnectionFactory;
use crate::description::ServerType;
#[cfg(feature = "srv")]
use crate::dns::SrvPolling;
use crate::event::cmap::CmapEvent;
use crate::event::sdam::SdamEvent;
use crate::event::{Event, EventHandler, EventQueue};
use crate::options::{ClientSettings, Monitoring, ServerAddress};
use crate::pool::{Cleanup, Pool, PoolObserver, PoolSettings};
use crate::server::Server;
use crate::warning::{WarningKind, WarningSink};

/// The least time between two checks of a server (minHeartbeatFrequencyMS), counted from the end of the first.
pub(super) const MIN_HEARTBEAT_FREQUENCY: Duration = Duration::from_millis(500);

/// How long a hello is unanswered before the other members are asked whether there is another primary.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(1);

/// What does not change while a client lives. Helper threads hold it, and no more than that.
#[derive(Clone)]
pub(super) struct TopologyOptions {
    pub(super) initial: InitialTopology,
    pub(super) heartbeat_frequency: Duration,
    pub(super) local_threshold: Duration,
    pub(super) server_selection_timeout: Duration,
    pub(super) try_once: Option<bool>,
    /// Whether each server has a thread that checks it.
    pub(super) background: bool,
    /// Whether such a thread lets the server announce its changes.
    pub(super) streams: bool,
    pub(super) uses_tls: bool,
    #[cfg(feature = "srv")]
    pub(super) srv_max_hosts: usize,
    /// When the SRV records are asked for again first, if the hosts came from them.
    #[cfg(feature = "srv")]
    pub(super) srv: Option<SrvPolling>,
    pub(super) pool: PoolSettings,
    pub(super) sdam_event_handler: Option<EventHandler<SdamEvent>>,
    pub(super) cmap_event_handler: Option<EventHandler<CmapEvent>>,
    pub(super) warnings: WarningSink,
    pub(super) factory: Arc<ConnectionFactory>,
}

impl TopologyOptions {
    pub(super) fn new(options: &ClientSettings, factory: Arc<ConnectionFactory>) -> Self {
        TopologyOptions {
            initial: InitialTopology::of(options, ObjectId::new()),
            heartbeat_frequency: options.heartbeat_frequency(),
            local_threshold: options.local_threshold(),
            server_selection_timeout: options.server_selection_timeout(),
            try_once: options.server_selection_try_once(),
            background: options.monitoring() == Monitoring::Background && !options.load_balanced(),
            streams: match options.server_monitoring_mode() {
                "stream" => true,
                "poll" => false,
                _ => !factory.in_function_service(),
            },
            uses_tls: options.tls.is_some(),
            #[cfg(feature = "srv")]
            srv_max_hosts: usize::try_from(options.srv_max_hosts()).unwrap_or(usize::MAX),
            #[cfg(feature = "srv")]
            srv: None,
            pool: PoolSettings {
                max_size: options.max_pool_size(),
                min_size: options.min_pool_size(),
                max_connecting: options.max_connecting(),
                max_idle_time: options.max_idle_time(),
                fill: !factory.asks_a_person(),
                load_balanced: options.load_balanced(),
            },
            sdam_event_handler: options.sdam_event_handler().cloned(),
            cmap_event_handler: options.cmap_event_handler().cloned(),
            warnings: WarningSink::new(options.warning_handler().cloned()),
            factory,
        }
    }

    /// The same with another factory.
    pub(super) fn with_factory(&self, factory: ConnectionFactory) -> Self {
        TopologyOptions { factory: Arc::new(factory), ..self.clone() }
    }

    /// Whether the client was given one host and nothing else to go by, so that a slip in its name is likely.
    pub(super) fn names_one_host(&self) -> bool {
        self.initial.hosts.len() == 1 && self.initial.replica_set.is_none() && !self.initial.seeds_of_dns
    }
}

/// What is known about the servers and their checks.
pub(super) struct State {
    pub(super) description: Arc<TopologyDescription>,
    pub(super) members: BTreeMap<ServerAddress, Member>,
    /// Threads that check servers now.
    pub(super) helpers: usize,
    pub(super) closed: bool,
    /// When the SRV records are asked for again, if the hosts came from them.
    #[cfg(feature = "srv")]
    pub(super) srv: Option<SrvPolling>,
    /// For the choice among servers that are as good.
    pub(super) random: u64,
}

/// A server of the description.
pub(super) struct Member {
    pub(super) server: Arc<Server>,
    pub(super) check: CheckState,
    /// The thread that checks it, if checks are made in the background.
    pub(super) monitor: Option<Arc<MonitorControl>>,
    /// Whether it was the primary of its set when it was last known.
    pub(super) was_primary: bool,
    /// When a call that waits for it has last said so.
    pub(super) waited_for: Option<Instant>,
    /// Whether a thread looks for a newer primary while it is silent.
    pub(super) is_watched: bool,
}

/// The checks of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CheckState {
    pub(super) running: bool,
    /// When the running one began.
    pub(super) began: Option<Instant>,
    /// When the last one ended. The handshake of an operation's connection counts as one.
    pub(super) ended: Option<Instant>,
    /// When the last one began, if it has told whether the server can be used.
    conclusive: Option<Instant>,
    /// Whether a call on one of the server's connections has waited long since the last check ended.
    pub(super) is_awaited: bool,
    /// Whether it must be checked, however short ago the last check was.
    due: bool,
    /// Whether no operation may choose it before that.
    before_use: bool,
    /// Whether the next check may follow at once.
    repeat: bool,
}

/// What is left to do when the lock is released.
#[must_use = "connections are closed and handlers called by running it"]
#[derive(Default)]
pub(super) struct Aftermath {
    cleanup: Cleanup,
    warnings: Vec<String>,
    /// Servers whose monitors are to be started.
    pub(super) opened: Vec<(Arc<Server>, Arc<MonitorControl>)>,
}

impl Aftermath {
    /// Does it, but for the delivery of events. To be called without any lock held.
    pub(super) fn run(self, settings: &TopologyOptions) {
        self.cleanup.run();
        for warning in self.warnings {
            settings.warnings.warn(WarningKind::Deployment, warning);
        }
    }
}

impl Member {
    fn new(server: Arc<Server>, monitor: Option<Arc<MonitorControl>>) -> Self {
        Member {
            server,
            check: CheckState::default(),
            monitor,
            was_primary: false,
            waited_for: None,
            is_watched: false,
        }
    }
}

impl CheckState {
    /// A check or a handshake has ended. `conclusive`: when it began, if it has told whether the server can be used.
    pub(super) fn record(&mut self, now: Instant, conclusive: Option<Instant>) {
        *self = CheckState { running: self.running, ended: Some(now), conclusive, ..CheckState::default() };
    }

    /// Whether the running one has had no answer for so long that the server may be frozen.
    pub(super) fn is_unanswered(&self, now: Instant) -> bool {
        self.running && self.began.is_some_and(|began| now.saturating_duration_since(began) >= SILENT_AFTER)
    }

    /// Whether a call that has waited since this moment need not have the server checked: that was done meanwhile.
    pub(super) fn was_made_since(&self, since: Instant, now: Instant, heartbeat_frequency: Duration) -> bool {
        let recent = |ended| now.saturating_duration_since(ended) < heartbeat_frequency;
        self.conclusive.is_some_and(|began| began >= since) && self.ended.is_some_and(recent)
    }

    /// Whether the last one that has told whether the server can be used began after this moment.
    pub(super) fn has_begun_after(&self, moment: Instant) -> bool {
        self.conclusive.is_some_and(|began| began > moment)
    }

    /// Whether the last one ended less than heartbeatFrequencyMS ago and nothing has happened since.
    pub(super) fn is_fresh(&self, now: Instant, heartbeat_frequency: Duration) -> bool {
        let recent = |ended: Instant| ended.checked_add(heartbeat_frequency).is_none_or(|end| now < end);
        !self.due && self.ended.is_some_and(recent)
    }

    /// Whether the least time since the last check has passed, and none is running.
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        !self.running && self.next(now).is_zero()
    }

    /// How long it is until the next check may begin.
    pub(super) fn next(&self, now: Instant) -> Duration {
        match self.ended {
            Some(ended) if !self.repeat => MIN_HEARTBEAT_FREQUENCY.saturating_sub(now.saturating_duration_since(ended)),
            _ => Duration::ZERO,
        }
    }

    /// Whether an operation may choose the server on the strength of an older check.
    pub(super) fn allows_older(&self, now: Instant, most: Duration) -> bool {
        !self.before_use && self.ended.is_some_and(|ended| now.saturating_duration_since(ended) < most)
    }
}

impl State {
    pub(super) fn new(description: TopologyDescription) -> Self {
        State {
            description: Arc::new(description),
            members: BTreeMap::new(),
            helpers: 0,
            closed: false,
            #[cfg(feature = "srv")]
            srv: None,
            random: RandomState::new().build_hasher().finish(),
        }
    }

    /// Whether the server was checked less than heartbeatFrequencyMS ago and nothing has happened since.
    pub(super) fn is_fresh(&self, address: &ServerAddress, now: Instant, heartbeat_frequency: Duration) -> bool {
        let known = self.description.server(address).is_some_and(|server| server.server_type.is_known());
        known
            && self
                .members
                .get(address)
                .is_some_and(|member| member.monitor.is_some() || member.check.is_fresh(now, heartbeat_frequency))
    }

    /// Whether the server is known by a check that began after this moment.
    pub(super) fn was_answered_since(&self, address: &ServerAddress, moment: Instant) -> bool {
        self.description.server(address).is_some_and(|server| server.server_type.is_known())
            && self.members.get(address).is_some_and(|member| member.check.has_begun_after(moment))
    }

    /// Whether this server is still the one at its address.
    pub(super) fn has(&self, server: &Arc<Server>) -> bool {
        self.members.get(&**server.address()).is_some_and(|member| Arc::ptr_eq(&member.server, server))
    }

    /// Puts a new description in place, with all that goes with it. What must happen outside the lock is returned.
    pub(super) fn carry_out(
        &mut self,
        update: Update,
        settings: &TopologyOptions,
        events: &Arc<EventQueue>,
        observer: &Weak<dyn PoolObserver>,
    ) -> Aftermath {
        let Update { description, changes, pools, checks, warnings } = update;
        if events.wants_sdam() {
            changes.iter().for_each(|change| events.push(Event::Sdam(change.to_event(description.id))));
        }
        let mut aftermath = Aftermath { cleanup: Cleanup::default(), warnings, opened: Vec::new() };
        for change in &changes {
            if let TopologyChange::ServerOpening(address) = change {
                let server = Arc::new(Server::new(address.clone()));
                let monitor = settings.background.then(Arc::<MonitorControl>::default);
                aftermath.opened.extend(monitor.iter().map(|monitor| (server.clone(), monitor.clone())));
                self.members.insert(address.clone(), Member::new(server, monitor));
            }
        }
        for change in &changes {
            if let TopologyChange::ServerDescriptionChanged { new, .. } = change
                && let Some(member) = self.members.get_mut(&new.address)
                && !matches!(new.server_type, ServerType::Unknown | ServerType::PossiblePrimary)
            {
                member.was_primary = new.server_type == ServerType::RsPrimary;
            }
        }
        for action in pools {
            aftermath.cleanup.merge(self.carry_out_pool(action, settings, events, observer));
        }
        for action in checks {
            self.carry_out_check(&action, &mut aftermath.cleanup);
        }
        self.description = description;
        aftermath
    }

    fn carry_out_pool(
        &mut self,
        action: PoolAction,
        settings: &TopologyOptions,
        events: &Arc<EventQueue>,
        observer: &Weak<dyn PoolObserver>,
    ) -> Cleanup {
        match action {
            PoolAction::Ready(address) => match self.members.get(&address) {
                Some(member) => {
                    let (factory, address) = (settings.factory.clone(), member.server.address().clone());
                    let make = || Pool::new(settings.pool, factory, address, observer.clone(), events);
                    member.server.pool_or(make).ready()
                }
                None => Cleanup::default(),
            },
            PoolAction::Clear { address, interrupt_in_use, service_id } => {
                let pool = self.members.get(&address).and_then(|member| member.server.pool());
                pool.map(|pool| pool.clear(interrupt_in_use, service_id)).unwrap_or_default()
            }
            PoolAction::Close(address) => {
                let Some(member) = self.members.remove(&address) else { return Cleanup::default() };
                let mut cleanup = member.server.close(self.closed);
                if let Some(monitor) = &member.monitor {
                    monitor.stop(&mut cleanup);
                }
                cleanup
            }
        }
    }

    fn carry_out_check(&mut self, action: &CheckAction, cleanup: &mut Cleanup) {
        let (CheckAction::Request(address)
        | CheckAction::Repeat(address)
        | CheckAction::Cancel(address)
        | CheckAction::BeforeUse(address)) = action;
        let Some(member) = self.members.get_mut(address) else { return };
        if let Some(monitor) = &member.monitor {
            match action {
                CheckAction::Request(_) => monitor.request(),
                CheckAction::Cancel(_) => monitor.cancel(cleanup),
                // The monitor sees to both by itself.
                CheckAction::Repeat(_) | CheckAction::BeforeUse(_) => {}
            }
            return;
        }
        match action {
            CheckAction::Request(_) => member.check.due = true,
            CheckAction::Repeat(_) => member.check.repeat = true,
            // A running check is left to end by itself: others may wait for it.
            CheckAction::Cancel(_) => member.server.drop_check_connection(cleanup),
            CheckAction::BeforeUse(_) => (member.check.due, member.check.before_use) = (true, true),
        }
    }
}

/// A number below `bound`: the next one of a sequence that is random enough to spread operations.
pub(super) fn draw(state: &mut u64, bound: usize) -> usize {
    // SplitMix64.
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    usize::try_from(mixed % bound).unwrap_or_default()
}
