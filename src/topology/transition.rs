//! How a description becomes the next one: the rules of Server Discovery and Monitoring as functions without clock, lock or
//! socket.
//!
//! [`apply`] takes a description and what a check or an operation found out, and returns the next description together with
//! all that must happen with it in one critical section: changes to publish, pools to make ready, clear or close, and checks
//! to begin or cancel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocument;
use bson::oid::ObjectId;

use super::description::{MAX_SERVERS, ServerEntry, TopologyChange, TopologyDescription};
use super::failure::{StateChange, StateChangeKind, concerns_server, is_broken_connection};
use super::round_trip::RoundTripTimes;
use crate::address::ServerAddress;
use crate::description::{ServerDescription, ServerType, TopologyVersion, WireVersion};
use crate::error::{Error, FaultKind, SYSTEM_OVERLOADED_ERROR, Stage};
use crate::event::sdam::TopologyType;
use crate::options::ClientSettings;

/// What a client is given to begin with.
#[derive(Clone, Debug)]
pub(crate) struct InitialTopology {
    /// The identifier that the events of this client carry.
    pub(crate) id: ObjectId,
    /// The hosts of the connection string or of the DNS records, in that order.
    pub(crate) hosts: Vec<ServerAddress>,
    /// `replicaSet`
    pub(crate) replica_set: Option<String>,
    /// `directConnection`; unset means false.
    pub(crate) direct_connection: bool,
    /// `loadBalanced`
    pub(crate) load_balanced: bool,
    /// Whether the hosts are those of DNS records.
    pub(crate) seeds_of_dns: bool,
}

impl InitialTopology {
    /// What these options give.
    pub(crate) fn of(options: &ClientSettings, id: ObjectId) -> Self {
        InitialTopology {
            id,
            hosts: options.hosts.clone(),
            replica_set: options.replica_set().map(str::to_owned),
            direct_connection: options.direct_connection() == Some(true),
            load_balanced: options.load_balanced(),
            seeds_of_dns: options.seedlist().is_some(),
        }
    }
}

/// What was found out about one server.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// The server answered hello: to a check, or in the handshake of a connection for operations.
    Answered {
        address: &'a ServerAddress,
        hello: Arc<ServerDescription>,
        /// How long the hello took. `None` where that says nothing: the server answered only when something had changed.
        round_trip_time: Option<Duration>,
        at: Instant,
    },
    /// A check failed.
    CheckFailed {
        address: &'a ServerAddress,
        error: Arc<Error>,
        /// Whether a label of the server's overload makes the failure no verdict: the check ran on a connection of the pool,
        /// or needed a new connection while others of the pool are in use.
        overload_is_no_verdict: bool,
        at: Instant,
    },
    /// An operation failed, or the connection that was to be made for it.
    OperationFailed(OperationFailure<'a>),
}

/// An operation that failed. Not reported here: an attempt to connect that its caller's own time limit ended, which says
/// nothing about the server.
#[derive(Debug)]
pub(crate) struct OperationFailure<'a> {
    pub(crate) address: &'a ServerAddress,
    pub(crate) error: &'a Error,
    /// The server's whole reply, where there was one: for its state and its topologyVersion.
    pub(crate) reply: Option<&'a RawDocument>,
    /// Whether the connection was established: hello and authentication were over.
    pub(crate) handshake_completed: bool,
    /// The generation of the connection: that of its pool when the attempt to connect got its place there. `None`: behind a
    /// load balancer, where it depends on the service, and hello had not named the service yet.
    pub(crate) generation: Option<u64>,
    /// The generation of the pool (of the service, behind a load balancer) now.
    pub(crate) pool_generation: u64,
    /// The service behind the load balancer.
    pub(crate) service_id: Option<ObjectId>,
    pub(crate) at: Instant,
}

/// The next description and what goes with it. The order within each list counts.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) description: Arc<TopologyDescription>,
    pub(crate) changes: Vec<TopologyChange>,
    pub(crate) pools: Vec<PoolAction>,
    pub(crate) checks: Vec<CheckAction>,
    pub(crate) warnings: Vec<String>,
}

/// What happens to the pool of a server, in the critical section that replaces the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PoolAction {
    /// The pool is made unless there is one, and ready.
    Ready(ServerAddress),
    /// The generation rises and no connection of an earlier one is used again. Without a pool nothing happens.
    Clear {
        address: ServerAddress,
        /// Whether connections that are in use end too.
        interrupt_in_use: bool,
        /// Only the connections to this service.
        service_id: Option<ObjectId>,
    },
    /// The server is no part of the deployment any more.
    Close(ServerAddress),
}

/// What happens to the checks of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckAction {
    /// A check as soon as the least time between two checks allows. If one is running, that one will do.
    Request(ServerAddress),
    /// A check at once, whatever the time since the last one: a known server's connection may just have been closed.
    Repeat(ServerAddress),
    /// The connection that the server is checked on is given up. A monitor's check that runs on it ends with that; one that
    /// operations wait for goes on, on its own connection.
    Cancel(ServerAddress),
    /// The server must be checked before an operation may choose it again. (Where no monitor does that anyway.)
    BeforeUse(ServerAddress),
}

impl Update {
    /// Whether threads that wait for a server should look again.
    #[cfg(test)]
    pub(crate) fn replaces(&self, before: &Arc<TopologyDescription>) -> bool {
        !Arc::ptr_eq(before, &self.description)
    }

    fn unchanged(current: &Arc<TopologyDescription>) -> Self {
        Update {
            description: current.clone(),
            changes: Vec::new(),
            pools: Vec::new(),
            checks: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// What is known before anything was given.
pub(crate) fn nothing(id: ObjectId) -> TopologyDescription {
    TopologyDescription::empty(id)
}

/// The first description of a client.
pub(crate) fn open(initial: InitialTopology) -> Update {
    let before = Arc::new(TopologyDescription::empty(initial.id));
    let mut transition = Transition::new(&before);
    let after = &mut transition.after;
    after.set_name = initial.replica_set;
    after.single_seed = initial.hosts.len() == 1;
    after.topology_type = if initial.load_balanced {
        TopologyType::LoadBalanced
    } else if initial.direct_connection {
        TopologyType::Single
    } else if after.set_name.is_some() {
        TopologyType::ReplicaSetNoPrimary
    } else {
        TopologyType::Unknown
    };
    initial.hosts.into_iter().for_each(|host| transition.add(&host));
    let mut update = transition.finish();
    // The description comes before its servers here, and after them everywhere else.
    if let Some(TopologyChange::TopologyDescriptionChanged { .. }) = update.changes.last() {
        update.changes.rotate_right(1);
    }
    update.changes.insert(0, TopologyChange::TopologyOpening);
    if !initial.load_balanced {
        return update;
    }
    let mut transition = Transition::new(&update.description);
    for address in update.description.servers.keys() {
        let unset = ServerEntry::unknown(address.clone());
        transition.replace(ServerEntry { server_type: ServerType::LoadBalancer, ..unset });
        transition.pools.push(PoolAction::Ready(address.clone()));
    }
    let balanced = transition.finish();
    update.changes.extend(balanced.changes);
    update.pools.extend(balanced.pools);
    Update { description: balanced.description, ..update }
}

/// The last description of a client: no servers, nothing known.
pub(crate) fn close(current: &Arc<TopologyDescription>) -> Update {
    let mut transition = Transition::new(current);
    let addresses: Vec<ServerAddress> = current.servers.keys().cloned().collect();
    addresses.iter().for_each(|address| transition.remove(address));
    transition.after = TopologyDescription::empty(current.id);
    let mut update = transition.finish();
    update.warnings.clear();
    update.changes.push(TopologyChange::TopologyClosed);
    update
}

/// The hosts of renewed DNS records. Hosts that are still named stay as they are; of the new ones `max_hosts` bounds how many
/// servers there are in all (`srvMaxHosts`; 0: no bound), and chance decides which. `below(n)` is a random number less than
/// `n`.
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only SRV records need it"))]
pub(crate) fn with_srv_hosts(
    current: &Arc<TopologyDescription>,
    hosts: &[ServerAddress],
    max_hosts: usize,
    below: &mut dyn FnMut(usize) -> usize,
) -> Update {
    if hosts.is_empty() || !current.polls_srv_records() {
        return Update::unchanged(current);
    }
    let mut transition = Transition::new(current);
    current.servers.keys().filter(|address| !hosts.contains(address)).for_each(|address| transition.remove(address));
    let mut fresh: Vec<&ServerAddress> = hosts.iter().filter(|host| !current.servers.contains_key(host)).collect();
    let bound = if max_hosts == 0 || max_hosts >= hosts.len() { usize::MAX } else { max_hosts };
    while transition.after.servers.len() < bound && !fresh.is_empty() {
        let chosen = if bound == usize::MAX { 0 } else { below(fresh.len()).min(fresh.len() - 1) };
        transition.add(fresh.remove(chosen));
    }
    transition.finish()
}

/// The description with one more sample of a server's round trip time, measured apart from its checks. Nothing is published.
pub(crate) fn with_round_trip_time(
    current: &Arc<TopologyDescription>,
    address: &ServerAddress,
    sample: Duration,
) -> Arc<TopologyDescription> {
    let Some(server) = current.server(address).filter(|server| server.server_type.is_known()) else {
        return current.clone();
    };
    let mut after = TopologyDescription::clone(current);
    let round_trip_times = server.round_trip_times.with_sample(sample);
    after.servers.insert(address.clone(), Arc::new(ServerEntry { round_trip_times, ..ServerEntry::clone(server) }));
    Arc::new(after)
}

/// The description after a check or an operation.
pub(crate) fn apply(current: &Arc<TopologyDescription>, outcome: Outcome<'_>) -> Update {
    match outcome {
        Outcome::Answered { address, hello, round_trip_time, at } => {
            answered(current, address, hello, round_trip_time, at)
        }
        Outcome::CheckFailed { address, error, overload_is_no_verdict, at } => {
            check_failed(current, address, error, overload_is_no_verdict, at)
        }
        Outcome::OperationFailed(failure) => operation_failed(current, &failure),
    }
}

fn answered(
    current: &Arc<TopologyDescription>,
    address: &ServerAddress,
    hello: Arc<ServerDescription>,
    round_trip_time: Option<Duration>,
    at: Instant,
) -> Update {
    let Some(before) = current.server(address) else { return Update::unchanged(current) };
    if current.topology_type == TopologyType::LoadBalanced || is_newer(before.topology_version, hello.topology_version)
    {
        return Update::unchanged(current);
    }
    let known = if before.server_type.is_known() { before.round_trip_times } else { RoundTripTimes::default() };
    let times = round_trip_time.map_or(known, |sample| known.with_sample(sample));
    let mut transition = Transition::new(current);
    for entry in &hello.invalid_addresses {
        transition.warnings.push(format!("{address} names a member '{}', which is no address", shown(entry)));
    }
    transition.replace(ServerEntry::answered(address.clone(), hello.clone(), times, at));
    match current.topology_type {
        TopologyType::Single => transition.verify_set_name(address, &hello, at),
        _ => transition.follow(address, &hello, at),
    }
    transition.ready_pool(address);
    transition.finish()
}

fn check_failed(
    current: &Arc<TopologyDescription>,
    address: &ServerAddress,
    error: Arc<Error>,
    overload_is_no_verdict: bool,
    at: Instant,
) -> Update {
    let Some(before) = current.server(address) else { return Update::unchanged(current) };
    if current.topology_type == TopologyType::LoadBalanced {
        return Update::unchanged(current);
    }
    if overload_is_no_verdict && error.contains_label(SYSTEM_OVERLOADED_ERROR) {
        return Update { checks: vec![CheckAction::BeforeUse(address.clone())], ..Update::unchanged(current) };
    }
    let mut transition = Transition::new(current);
    if before.server_type.is_known() && error.is_network_error() {
        transition.checks.push(CheckAction::Repeat(address.clone()));
    }
    transition.clear_pool(address, error.is_network_timeout(), None);
    transition.fail(ServerEntry::failed(address.clone(), error, at));
    transition.finish()
}

fn operation_failed(current: &Arc<TopologyDescription>, failure: &OperationFailure<'_>) -> Update {
    let address = failure.address;
    let Some(before) = current.server(address) else { return Update::unchanged(current) };
    let state_change = failure.reply.and_then(StateChange::in_reply);
    let reported = state_change.and_then(|change| change.topology_version);
    if failure.generation.is_none_or(|generation| generation < failure.pool_generation)
        || compare(before.topology_version, reported).is_some_and(|order| order.is_ge())
    {
        return Update::unchanged(current);
    }
    let load_balanced = current.topology_type == TopologyType::LoadBalanced;
    let mut transition = Transition::new(current);
    if let Some(change) = state_change {
        if change.kind == StateChangeKind::ShuttingDown {
            transition.clear_pool(address, false, failure.service_id);
        }
        if !load_balanced {
            let error = Arc::new(failure.error.clone());
            let entry = ServerEntry::failed(address.clone(), error, failure.at);
            transition.fail(ServerEntry { topology_version: change.topology_version, ..entry });
            transition.checks.push(CheckAction::Request(address.clone()));
        }
        return transition.finish();
    }
    let concerns_server =
        if failure.handshake_completed { is_broken_connection(failure.error) } else { concerns_server(failure.error) };
    if !concerns_server {
        return Update::unchanged(current);
    }
    if failure.error.contains_label(SYSTEM_OVERLOADED_ERROR) {
        return Update { checks: vec![CheckAction::BeforeUse(address.clone())], ..Update::unchanged(current) };
    }
    if load_balanced {
        if failure.service_id.is_some() {
            transition.clear_pool(address, false, failure.service_id);
        }
        return transition.finish();
    }
    transition.clear_pool(address, false, None);
    transition.checks.push(CheckAction::Cancel(address.clone()));
    transition.fail(ServerEntry::failed(address.clone(), Arc::new(failure.error.clone()), failure.at));
    transition.finish()
}

/// A description that is being made, and what was done to it so far.
struct Transition<'a> {
    before: &'a Arc<TopologyDescription>,
    after: TopologyDescription,
    /// Servers whose entries were replaced, with the entry before, in this order.
    replaced: Vec<(Arc<ServerEntry>, Arc<ServerEntry>)>,
    opened_and_closed: Vec<TopologyChange>,
    pools: Vec<PoolAction>,
    checks: Vec<CheckAction>,
    warnings: Vec<String>,
}

impl<'a> Transition<'a> {
    fn new(before: &'a Arc<TopologyDescription>) -> Self {
        Transition {
            before,
            after: TopologyDescription::clone(before),
            replaced: Vec::new(),
            opened_and_closed: Vec::new(),
            pools: Vec::new(),
            checks: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn finish(mut self) -> Update {
        self.after.summarise();
        if self.after.servers.is_empty() && !self.before.servers.is_empty() {
            self.warnings.push("no server is left: none of those that were named belongs to the deployment".to_owned());
        }
        let mut changes = Vec::new();
        for (place, (previous, new)) in self.replaced.into_iter().enumerate() {
            // The first one is the server that answered or failed. Another one that is removed as well is only closed.
            let is_told = place == 0 || self.after.servers.contains_key(&new.address);
            if is_told && !previous.same_for_events(&new) {
                changes.push(TopologyChange::ServerDescriptionChanged { previous, new });
            }
        }
        changes.extend(self.opened_and_closed);
        let description = Arc::new(self.after);
        if !description.same_for_events(self.before) {
            let (previous, new) = (self.before.clone(), description.clone());
            changes.push(TopologyChange::TopologyDescriptionChanged { previous, new });
        }
        Update { description, changes, pools: self.pools, checks: self.checks, warnings: self.warnings }
    }

    /// Puts an entry in the place of the one before. If that happens twice, handlers hear of the last one only.
    fn replace(&mut self, entry: ServerEntry) {
        let new = Arc::new(entry);
        let Some(old) = self.after.servers.insert(new.address.clone(), new.clone()) else { return };
        match self.replaced.iter_mut().find(|(previous, _)| previous.address == new.address) {
            Some((_, latest)) => *latest = new,
            None => self.replaced.push((old, new)),
        }
    }

    fn add(&mut self, address: &ServerAddress) {
        if self.after.servers.contains_key(address) {
            return;
        }
        if self.after.servers.len() >= MAX_SERVERS {
            if self.warnings.last().is_none_or(|last| !last.starts_with(TOO_MANY)) {
                self.warnings.push(format!("{TOO_MANY} {MAX_SERVERS} servers; the others are left out"));
            }
            return;
        }
        self.after.servers.insert(address.clone(), Arc::new(ServerEntry::unknown(address.clone())));
        self.opened_and_closed.push(TopologyChange::ServerOpening(address.clone()));
    }

    fn remove(&mut self, address: &ServerAddress) {
        if self.after.servers.remove(address).is_some() {
            self.opened_and_closed.push(TopologyChange::ServerClosed(address.clone()));
            self.pools.push(PoolAction::Close(address.clone()));
        }
    }

    fn clear_pool(&mut self, address: &ServerAddress, interrupt_in_use: bool, service_id: Option<ObjectId>) {
        self.pools.push(PoolAction::Clear { address: address.clone(), interrupt_in_use, service_id });
    }

    /// A server that answered gets a pool if operations may use it: one with data, or whatever a direct connection leads to.
    fn ready_pool(&mut self, address: &ServerAddress) {
        let Some(server) = self.after.server(address) else { return };
        let direct = self.after.topology_type == TopologyType::Single && server.server_type.is_known();
        if direct || server.server_type.is_data_bearing() {
            self.pools.push(PoolAction::Ready(address.clone()));
        }
    }

    /// A server became unknown.
    fn fail(&mut self, entry: ServerEntry) {
        self.replace(entry);
        if self.after.topology_type == TopologyType::ReplicaSetWithPrimary {
            self.check_if_has_primary();
        }
    }

    /// With a direct connection the type of the topology stays; only the set's name is checked.
    fn verify_set_name(&mut self, address: &ServerAddress, hello: &ServerDescription, at: Instant) {
        let wanted = match &self.after.set_name {
            Some(wanted) if hello.set_name.as_ref() != Some(wanted) => wanted,
            _ => return,
        };
        let error = wrong_set(address, wanted, hello.set_name.as_deref());
        self.replace(ServerEntry::failed(address.clone(), Arc::new(error), at));
    }

    /// The table of the specification: the type of the server against the type of the topology.
    fn follow(&mut self, address: &ServerAddress, hello: &ServerDescription, at: Instant) {
        use ServerType as Server;
        use TopologyType as Topology;
        match (self.after.topology_type, hello.server_type) {
            (Topology::Unknown, Server::Standalone) => {
                if self.after.single_seed {
                    self.after.topology_type = Topology::Single
                } else {
                    self.remove(address)
                }
            }
            (Topology::Unknown, Server::Mongos) => self.after.topology_type = Topology::Sharded,
            (
                Topology::Unknown | Topology::ReplicaSetNoPrimary | Topology::ReplicaSetWithPrimary,
                Server::RsPrimary,
            ) => {
                self.after.topology_type = Topology::ReplicaSetWithPrimary;
                self.update_from_primary(address, hello, at);
            }
            (
                Topology::Unknown | Topology::ReplicaSetNoPrimary,
                Server::RsSecondary | Server::RsArbiter | Server::RsOther,
            ) => {
                self.after.topology_type = Topology::ReplicaSetNoPrimary;
                self.update_without_primary(address, hello);
            }
            (Topology::ReplicaSetWithPrimary, Server::RsSecondary | Server::RsArbiter | Server::RsOther) => {
                self.update_with_primary_from_member(address, hello);
            }
            (Topology::ReplicaSetWithPrimary, Server::Standalone | Server::Mongos) => {
                self.remove(address);
                self.check_if_has_primary();
            }
            (Topology::ReplicaSetWithPrimary, Server::RsGhost) => self.check_if_has_primary(),
            (Topology::ReplicaSetNoPrimary, Server::Standalone | Server::Mongos) => self.remove(address),
            (Topology::Sharded, Server::Mongos) => {}
            (Topology::Sharded, _) => self.remove(address),
            (Topology::Unknown | Topology::ReplicaSetNoPrimary, _)
            | (Topology::ReplicaSetWithPrimary, Server::Unknown | Server::PossiblePrimary | Server::LoadBalancer)
            | (Topology::Single | Topology::LoadBalanced, _) => {}
        }
    }

    /// updateRSWithoutPrimary
    fn update_without_primary(&mut self, address: &ServerAddress, hello: &ServerDescription) {
        if !self.belongs_to_set(hello) {
            self.remove(address);
            return;
        }
        members(hello).for_each(|member| self.add(member));
        self.mark_possible_primary(hello);
        if hello.me.as_ref().is_some_and(|me| me != address) {
            self.remove(address);
        }
    }

    /// updateRSWithPrimaryFromMember
    fn update_with_primary_from_member(&mut self, address: &ServerAddress, hello: &ServerDescription) {
        if self.after.set_name != hello.set_name || hello.me.as_ref().is_some_and(|me| me != address) {
            self.remove(address);
            self.check_if_has_primary();
            return;
        }
        if self.after.primary().is_none() {
            self.after.topology_type = TopologyType::ReplicaSetNoPrimary;
            self.mark_possible_primary(hello);
        }
    }

    /// updateRSFromPrimary
    fn update_from_primary(&mut self, address: &ServerAddress, hello: &ServerDescription, at: Instant) {
        if !self.belongs_to_set(hello) {
            self.remove(address);
            self.check_if_has_primary();
            return;
        }
        if !self.accept_election(hello) {
            let message = format!(
                "primary marked stale due to electionId/setVersion mismatch, {} is stale compared to {}",
                election(hello.election_id, hello.set_version),
                election(self.after.max_election_id, self.after.max_set_version),
            );
            self.replace(ServerEntry::failed(address.clone(), stale_primary(address, message), at));
            self.check_if_has_primary();
            return;
        }
        let others = self.after.servers.values().filter(|server| server.address != *address);
        let old: Vec<ServerAddress> = others
            .filter(|server| server.server_type == ServerType::RsPrimary)
            .map(|server| server.address.clone())
            .collect();
        for old in old {
            let error = stale_primary(&old, "primary marked stale due to discovery of newer primary".to_owned());
            self.replace(ServerEntry::failed(old.clone(), error, at));
            self.checks.push(CheckAction::Request(old));
        }
        let named: BTreeSet<&ServerAddress> = members(hello).collect();
        let gone: Vec<ServerAddress> =
            self.after.servers.keys().filter(|server| !named.contains(server)).cloned().collect();
        // Members are added first, as the specification has it, unless only the removal makes room for them.
        let crowded = self.after.servers.len() + named.len() > MAX_SERVERS;
        if crowded {
            gone.iter().for_each(|server| self.remove(server));
        }
        members(hello).for_each(|member| self.add(member));
        gone.iter().for_each(|server| self.remove(server));
        self.check_if_has_primary();
    }

    /// Whether the set's name is ours; the first member decides where the options do not.
    fn belongs_to_set(&mut self, hello: &ServerDescription) -> bool {
        match &self.after.set_name {
            Some(own) => hello.set_name.as_ref() == Some(own),
            None => {
                self.after.set_name.clone_from(&hello.set_name);
                true
            }
        }
    }

    /// Whether the primary's election is not older than the newest known one, which it becomes then. The order of the two
    /// numbers was the reverse one before MongoDB 6.0.
    fn accept_election(&mut self, hello: &ServerDescription) -> bool {
        let after = &mut self.after;
        if hello.max_wire_version >= WireVersion::MONGODB_6_0 {
            // An absent value is less than any other.
            if (hello.election_id, hello.set_version) < (after.max_election_id, after.max_set_version) {
                return false;
            }
            (after.max_election_id, after.max_set_version) = (hello.election_id, hello.set_version);
            return true;
        }
        if let (Some(set_version), Some(election_id)) = (hello.set_version, hello.election_id) {
            let newest = after.max_set_version.zip(after.max_election_id);
            if newest.is_some_and(|newest| newest > (set_version, election_id)) {
                return false;
            }
            after.max_election_id = Some(election_id);
        }
        after.max_set_version = after.max_set_version.max(hello.set_version);
        true
    }

    /// The member that is said to be primary is worth the first check.
    fn mark_possible_primary(&mut self, hello: &ServerDescription) {
        let Some(primary) = hello.primary.as_ref().and_then(|primary| self.after.server(primary)) else { return };
        if primary.server_type == ServerType::Unknown {
            let marked = ServerEntry { server_type: ServerType::PossiblePrimary, ..ServerEntry::clone(primary) };
            self.after.servers.insert(marked.address.clone(), Arc::new(marked));
        }
    }

    /// checkIfHasPrimary
    fn check_if_has_primary(&mut self) {
        self.after.topology_type = match self.after.primary() {
            Some(_) => TopologyType::ReplicaSetWithPrimary,
            None => TopologyType::ReplicaSetNoPrimary,
        };
    }
}

fn members(hello: &ServerDescription) -> impl Iterator<Item = &ServerAddress> {
    hello.hosts.iter().chain(&hello.passives).chain(&hello.arbiters)
}

/// Whether `known` is newer than what was just `reported`.
fn is_newer(known: Option<TopologyVersion>, reported: Option<TopologyVersion>) -> bool {
    compare(known, reported).is_some_and(|order| order.is_gt())
}

/// Compares two versions of one process. `None`: what was reported counts as newer.
fn compare(known: Option<TopologyVersion>, reported: Option<TopologyVersion>) -> Option<std::cmp::Ordering> {
    let (known, reported) = (known?, reported?);
    (known.process_id == reported.process_id).then(|| known.counter.cmp(&reported.counter))
}

fn stale_primary(address: &ServerAddress, message: String) -> Arc<Error> {
    Arc::new(Error::new(FaultKind::ServerSelection, Stage::Hello, message).with_address(address))
}

fn wrong_set(address: &ServerAddress, wanted: &str, found: Option<&str>) -> Error {
    let found =
        found.map_or("is not a member of a replica set".to_owned(), |name| format!("belongs to '{}'", shown(name)));
    let message = format!("the server {found}, and replicaSet asks for '{wanted}'");
    Error::new(FaultKind::ServerSelection, Stage::Hello, message)
        .with_address(address)
        .with_hint("correct replicaSet, or the host")
}

fn election(election_id: Option<ObjectId>, set_version: Option<i64>) -> String {
    let election_id = election_id.map_or("null".to_owned(), |id| id.to_hex());
    let set_version = set_version.map_or("null".to_owned(), |version| version.to_string());
    format!("(electionId: {election_id}, setVersion: {set_version})")
}

/// As much of a stranger's string as a warning shows.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// A host name has at most 255 bytes.
const MAX_SHOWN: usize = 255;

const TOO_MANY: &str = "the deployment names more than";
