//! What a client knows about its deployment: immutable descriptions that threads share.
//!
//! A description is never changed; [`transition`](super::transition) makes a new one from an old one and from what a check or
//! an operation found out. Nothing here has a clock, a lock or a socket.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use super::round_trip::RoundTripTimes;
use crate::address::ServerAddress;
use crate::description::{ServerDescription, ServerType, TopologyVersion, WireVersion};
use crate::error::Error;
use crate::event::sdam::{self, SdamEvent, ServerFacts, ServerInfo, TopologyType};

/// The servers that a client knows of at the same time. A replica set has at most 50 members; a list of routers may be longer.
/// More than these are not added, so that one reply cannot make the client connect to any number of hosts.
pub(crate) const MAX_SERVERS: usize = 1_000;

/// What a client knows about its deployment.
#[derive(Clone, Debug)]
pub(crate) struct TopologyDescription {
    /// The identifier that the events of this client carry.
    pub(crate) id: ObjectId,
    pub(crate) topology_type: TopologyType,
    /// The name that the options ask for, else the one that the first member reported.
    pub(crate) set_name: Option<String>,
    /// The newest election that a primary reported, and the set's version that goes with it.
    pub(crate) max_election_id: Option<ObjectId>,
    pub(crate) max_set_version: Option<i64>,
    pub(crate) servers: BTreeMap<ServerAddress, Arc<ServerEntry>>,
    /// How long an unused session lives; `None` where a server that holds data has no sessions.
    pub(crate) logical_session_timeout_minutes: Option<i64>,
    /// Why client and deployment have no protocol in common, in the prescribed words.
    pub(crate) compatibility_error: Option<String>,
    /// Whether the client was given one server only: then a standalone may be the whole deployment.
    pub(super) single_seed: bool,
}

/// What a client knows about one server (the specification's ServerDescription).
#[derive(Clone, Debug)]
pub(crate) struct ServerEntry {
    pub(crate) address: ServerAddress,
    pub(crate) server_type: ServerType,
    /// The server's last reply; `None` while it is unknown, and for a load balancer.
    pub(crate) hello: Option<Arc<ServerDescription>>,
    /// The error that made the server unknown.
    pub(crate) error: Option<Arc<Error>>,
    /// When that error was.
    pub(crate) topology_version: Option<TopologyVersion>,
    pub(crate) round_trip_times: RoundTripTimes,
    /// When the entry was last replaced.
    pub(crate) last_update: Option<Instant>,
}

/// A change that handlers are told about. The public form is made only where there is a handler.
#[derive(Clone, Debug)]
pub(crate) enum TopologyChange {
    TopologyOpening,
    TopologyClosed,
    ServerOpening(ServerAddress),
    ServerClosed(ServerAddress),
    ServerDescriptionChanged { previous: Arc<ServerEntry>, new: Arc<ServerEntry> },
    TopologyDescriptionChanged { previous: Arc<TopologyDescription>, new: Arc<TopologyDescription> },
}

impl TopologyDescription {
    /// Without any server.
    pub(super) fn empty(id: ObjectId) -> Self {
        TopologyDescription {
            id,
            topology_type: TopologyType::Unknown,
            set_name: None,
            max_election_id: None,
            max_set_version: None,
            servers: BTreeMap::new(),
            logical_session_timeout_minutes: None,
            compatibility_error: None,
            single_seed: false,
        }
    }

    /// The entry of a server.
    pub(crate) fn server(&self, address: &ServerAddress) -> Option<&Arc<ServerEntry>> {
        self.servers.get(address)
    }

    /// The primary, if one is known.
    pub(crate) fn primary(&self) -> Option<&Arc<ServerEntry>> {
        self.servers.values().find(|server| server.server_type == ServerType::RsPrimary)
    }

    /// Whether it is a replica set, with or without a primary.
    pub(crate) fn is_replica_set(&self) -> bool {
        matches!(self.topology_type, TopologyType::ReplicaSetNoPrimary | TopologyType::ReplicaSetWithPrimary)
    }

    /// Whether the addresses of the DNS records may change while the client lives: only for routers, and while nothing is
    /// known.
    #[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only SRV records need it"))]
    pub(crate) fn polls_srv_records(&self) -> bool {
        matches!(self.topology_type, TopologyType::Unknown | TopologyType::Sharded)
    }

    /// Whether handlers of events see the same in both.
    pub(super) fn same_for_events(&self, other: &Self) -> bool {
        self.topology_type == other.topology_type
            && self.set_name == other.set_name
            && self.max_election_id == other.max_election_id
            && self.max_set_version == other.max_set_version
            && self.compatibility_error == other.compatibility_error
            && self.logical_session_timeout_minutes == other.logical_session_timeout_minutes
            && self.servers.len() == other.servers.len()
            && self.servers.values().zip(other.servers.values()).all(|(own, other)| own.same_for_events(other))
    }

    /// Derives what follows from the servers: the lifetime of sessions, and whether there is a common protocol.
    pub(super) fn summarise(&mut self) {
        self.logical_session_timeout_minutes = None;
        self.compatibility_error = None;
        if self.topology_type == TopologyType::LoadBalanced {
            return;
        }
        let with_data = self.servers.values().filter(|server| server.server_type.is_data_bearing());
        let timeouts = with_data.map(|server| server.hello.as_ref()?.logical_session_timeout_minutes);
        self.logical_session_timeout_minutes =
            timeouts.collect::<Option<Vec<i64>>>().and_then(|all| all.into_iter().min());
        self.compatibility_error = self.servers.values().find_map(|server| server.incompatibility());
    }

    /// How long the servers keep a session that is not used; `None`: for ever, as far as is known.
    pub(super) fn session_timeout(&self) -> Option<Duration> {
        session_timeout(self.logical_session_timeout_minutes)
    }

    /// The form that applications see.
    pub(crate) fn to_public(&self) -> sdam::TopologyDescription {
        sdam::TopologyDescription {
            id: self.id,
            topology_type: self.topology_type,
            set_name: self.set_name.clone(),
            max_set_version: self.max_set_version.and_then(|version| i32::try_from(version).ok()),
            max_election_id: self.max_election_id,
            compatibility_error: self.compatibility_error.clone(),
            logical_session_timeout: self.session_timeout(),
            servers: self.servers.values().map(|server| server.facts()).collect(),
        }
    }
}

impl ServerEntry {
    /// A server that was not checked yet.
    pub(super) fn unknown(address: ServerAddress) -> Self {
        ServerEntry {
            address,
            server_type: ServerType::Unknown,
            hello: None,
            error: None,
            topology_version: None,
            round_trip_times: RoundTripTimes::default(),
            last_update: None,
        }
    }

    /// A server that became unknown by an error.
    pub(super) fn failed(address: ServerAddress, error: Arc<Error>, at: Instant) -> Self {
        ServerEntry { error: Some(error), last_update: Some(at), ..ServerEntry::unknown(address) }
    }

    /// A server that answered.
    pub(super) fn answered(
        address: ServerAddress,
        hello: Arc<ServerDescription>,
        round_trip_times: RoundTripTimes,
        at: Instant,
    ) -> Self {
        ServerEntry {
            address,
            server_type: hello.server_type,
            topology_version: hello.topology_version,
            hello: Some(hello),
            error: None,
            round_trip_times,
            last_update: Some(at),
        }
    }

    /// The newest wire version that the server speaks; `None` while it is unknown.
    pub(crate) fn max_wire_version(&self) -> Option<WireVersion> {
        self.hello.as_ref().map(|hello| hello.max_wire_version)
    }

    /// The prescribed words for a server that has no wire version in common with this driver.
    fn incompatibility(&self) -> Option<String> {
        let hello = self.hello.as_ref()?;
        let (newest, oldest) = (WireVersion::NEWEST_SUPPORTED, WireVersion::OLDEST_SUPPORTED);
        let address = &self.address;
        if hello.min_wire_version > newest {
            return Some(format!(
                "Server at {address} requires wire version {}, but this version of mongo-blocking only supports up to \
                 {newest}.",
                hello.min_wire_version
            ));
        }
        (hello.max_wire_version < oldest).then(|| {
            format!(
                "Server at {address} reports wire version {}, but this version of mongo-blocking requires at least \
                 {oldest} ({}).",
                hello.max_wire_version,
                oldest.release()
            )
        })
    }

    /// Whether handlers of events see the same in both ("Server Description Equality"). `PossiblePrimary` is a hint for the
    /// order of checks; in events it counts as unknown.
    pub(super) fn same_for_events(&self, other: &Self) -> bool {
        let known = |server: &Self| Some(server.server_type).filter(|server_type| server_type.is_known());
        self.address == other.address
            && known(self) == known(other)
            && self.topology_version == other.topology_version
            && match (&self.error, &other.error) {
                (Some(own), Some(other)) => own.stage() == other.stage() && own.message() == other.message(),
                (own, other) => own.is_none() && other.is_none(),
            }
            && match (&self.hello, &other.hello) {
                (Some(own), Some(other)) => same_reply(own, other),
                (own, other) => own.is_none() && other.is_none(),
            }
    }

    /// The form that applications see.
    pub(crate) fn to_public(&self) -> ServerInfo<'static> {
        ServerInfo(Cow::Owned(self.facts()))
    }

    fn facts(&self) -> ServerFacts {
        let hello = self.hello.as_deref();
        let addresses = |list: &[ServerAddress]| list.iter().map(ToString::to_string).collect();
        ServerFacts {
            address: self.address.clone(),
            server_type: self.server_type,
            error: self.error.clone(),
            average_round_trip_time: self.round_trip_times.average(),
            minimum_round_trip_time: self.round_trip_times.minimum(),
            last_update_time: self.last_update,
            min_wire_version: hello.map(|hello| hello.min_wire_version.number()),
            max_wire_version: hello.map(|hello| hello.max_wire_version.number()),
            set_name: hello.and_then(|hello| hello.set_name.clone()),
            set_version: hello.and_then(|hello| hello.set_version),
            election_id: hello.and_then(|hello| hello.election_id),
            hosts: hello.map(|hello| addresses(&hello.hosts)).unwrap_or_default(),
            passives: hello.map(|hello| addresses(&hello.passives)).unwrap_or_default(),
            arbiters: hello.map(|hello| addresses(&hello.arbiters)).unwrap_or_default(),
            primary: hello.and_then(|hello| hello.primary.as_ref()).map(ToString::to_string),
            me: hello.and_then(|hello| hello.me.as_ref()).map(ToString::to_string),
            tags: hello.map(|hello| hello.tags.iter().cloned().collect()).unwrap_or_default(),
            last_write_date: hello.and_then(|hello| hello.last_write_date),
            logical_session_timeout: session_timeout(hello.and_then(|hello| hello.logical_session_timeout_minutes)),
            topology_version: self.topology_version.map(|version| (version.process_id, version.counter)),
        }
    }
}

/// Whether two replies are equal in all fields that the specification compares. Times and the order of members are left out.
fn same_reply(own: &ServerDescription, other: &ServerDescription) -> bool {
    let same_members = |own: &[ServerAddress], other: &[ServerAddress]| {
        own.iter().collect::<std::collections::BTreeSet<_>>() == other.iter().collect()
    };
    let sorted = |tags: &[(String, String)]| tags.iter().cloned().collect::<BTreeMap<_, _>>();
    own.min_wire_version == other.min_wire_version
        && own.max_wire_version == other.max_wire_version
        && own.me == other.me
        && same_members(&own.hosts, &other.hosts)
        && same_members(&own.passives, &other.passives)
        && same_members(&own.arbiters, &other.arbiters)
        && sorted(&own.tags) == sorted(&other.tags)
        && own.set_name == other.set_name
        && own.set_version == other.set_version
        && own.election_id == other.election_id
        && own.primary == other.primary
        && own.logical_session_timeout_minutes == other.logical_session_timeout_minutes
}

fn session_timeout(minutes: Option<i64>) -> Option<Duration> {
    let minutes = u64::try_from(minutes?).ok()?;
    Some(Duration::from_secs(minutes.saturating_mul(60)))
}

impl TopologyChange {
    /// The event that handlers get. `topology_id` is the client's.
    pub(crate) fn to_event(&self, topology_id: ObjectId) -> SdamEvent {
        match self {
            TopologyChange::TopologyOpening => SdamEvent::TopologyOpening(sdam::TopologyOpeningEvent { topology_id }),
            TopologyChange::TopologyClosed => SdamEvent::TopologyClosed(sdam::TopologyClosedEvent { topology_id }),
            TopologyChange::ServerOpening(address) => {
                SdamEvent::ServerOpening(sdam::ServerOpeningEvent { address: address.clone(), topology_id })
            }
            TopologyChange::ServerClosed(address) => {
                SdamEvent::ServerClosed(sdam::ServerClosedEvent { address: address.clone(), topology_id })
            }
            TopologyChange::ServerDescriptionChanged { previous, new } => {
                SdamEvent::ServerDescriptionChanged(Box::new(sdam::ServerDescriptionChangedEvent {
                    address: new.address.clone(),
                    topology_id,
                    previous_description: previous.to_public(),
                    new_description: new.to_public(),
                }))
            }
            TopologyChange::TopologyDescriptionChanged { previous, new } => {
                SdamEvent::TopologyDescriptionChanged(Box::new(sdam::TopologyDescriptionChangedEvent {
                    topology_id,
                    previous_description: previous.to_public(),
                    new_description: new.to_public(),
                }))
            }
        }
    }
}
