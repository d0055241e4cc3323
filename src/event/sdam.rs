//! Events of server discovery and monitoring, and the public view of what a client knows about its servers.
//!
//! The names are those of the SDAM Logging and Monitoring specification. All events of one client are published in the order
//! in which the changes happened.
//!
//! ```
//! use mongo_blocking::event::sdam::SdamEvent;
//!
//! fn show(event: &SdamEvent) {
//!     if let SdamEvent::TopologyDescriptionChanged(change) = event {
//!         for server in change.new_description.servers() {
//!             println!("{} is {}", server.address(), server.server_type());
//!         }
//!     }
//! }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{DateTime, RawDocumentBuf};

use crate::address::ServerAddress;
use crate::error::Error;

/// What kind of server an address leads to (`ServerType` of the specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerType {
    /// It was not checked yet, or the last check failed.
    Unknown,
    /// Another member reports it as the primary, and it was not checked yet.
    PossiblePrimary,
    /// A load balancer; the servers behind it are not known.
    LoadBalancer,
    /// A single server that belongs to no replica set.
    Standalone,
    /// A router of a sharded cluster.
    Mongos,
    /// The primary of a replica set.
    RsPrimary,
    /// A secondary of a replica set.
    RsSecondary,
    /// A member of a replica set that holds no data.
    RsArbiter,
    /// A member of a replica set that is hidden, starting or recovering.
    RsOther,
    /// A server that was started as a member of a replica set and has no configuration.
    RsGhost,
}

/// What kind of deployment a client is connected to (`TopologyType` of the specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopologyType {
    /// No server has answered yet.
    Unknown,
    /// One server that the client talks to whatever its type.
    Single,
    /// A replica set without a known primary.
    ReplicaSetNoPrimary,
    /// A replica set with a known primary.
    ReplicaSetWithPrimary,
    /// One or more routers of a sharded cluster.
    Sharded,
    /// A load balancer.
    LoadBalanced,
}

/// What a client knows about one server.
///
/// ```no_run
/// # fn f(client: mongo_blocking::Client) {
/// for server in client.topology().servers() {
///     println!("{}: {}, {:?}", server.address(), server.server_type(), server.average_round_trip_time());
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ServerInfo {
    pub(crate) address: ServerAddress,
    pub(crate) server_type: ServerType,
    pub(crate) error: Option<Arc<Error>>,
    pub(crate) average_round_trip_time: Option<Duration>,
    pub(crate) minimum_round_trip_time: Duration,
    pub(crate) last_update_time: Option<Instant>,
    pub(crate) min_wire_version: Option<i32>,
    pub(crate) max_wire_version: Option<i32>,
    pub(crate) set_name: Option<String>,
    pub(crate) set_version: Option<i64>,
    pub(crate) election_id: Option<ObjectId>,
    pub(crate) hosts: Vec<String>,
    pub(crate) passives: Vec<String>,
    pub(crate) arbiters: Vec<String>,
    pub(crate) primary: Option<String>,
    pub(crate) me: Option<String>,
    pub(crate) tags: HashMap<String, String>,
    pub(crate) last_write_date: Option<DateTime>,
    pub(crate) logical_session_timeout: Option<Duration>,
    pub(crate) topology_version: Option<(ObjectId, i64)>,
}

impl ServerInfo {
    /// The address that the client uses for the server.
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// The type that the last check found.
    pub fn server_type(&self) -> ServerType {
        self.server_type
    }

    /// The error that made the server [`Unknown`](ServerType::Unknown).
    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    /// The moving average of the time that a check takes. `None` while the server is unknown.
    pub fn average_round_trip_time(&self) -> Option<Duration> {
        self.average_round_trip_time
    }

    /// The shortest of the last ten checks; zero until there were two.
    pub fn minimum_round_trip_time(&self) -> Duration {
        self.minimum_round_trip_time
    }

    /// When the description was last replaced, by the clock of this machine. `None` if that has not happened yet.
    pub fn last_update_time(&self) -> Option<DateTime> {
        let ago = i64::try_from(self.last_update_time?.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(DateTime::from_millis(DateTime::now().timestamp_millis().saturating_sub(ago)))
    }

    /// The oldest wire version that the server speaks.
    pub fn min_wire_version(&self) -> Option<i32> {
        self.min_wire_version
    }

    /// The newest wire version that the server speaks.
    pub fn max_wire_version(&self) -> Option<i32> {
        self.max_wire_version
    }

    /// The name of its replica set.
    pub fn replica_set_name(&self) -> Option<&str> {
        self.set_name.as_deref()
    }

    /// The version of the replica set's configuration. `None` also where the server reports a number that no set can have.
    pub fn replica_set_version(&self) -> Option<i32> {
        i32::try_from(self.set_version?).ok()
    }

    /// The election that made the server primary.
    pub fn election_id(&self) -> Option<ObjectId> {
        self.election_id
    }

    /// The members of its replica set that can become primary, as the server reports them.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The members of its replica set that cannot become primary, as the server reports them.
    pub fn passives(&self) -> &[String] {
        &self.passives
    }

    /// The arbiters of its replica set, as the server reports them.
    pub fn arbiters(&self) -> &[String] {
        &self.arbiters
    }

    /// The primary of its replica set, as the server reports it.
    pub fn primary(&self) -> Option<&str> {
        self.primary.as_deref()
    }

    /// The address of the server in the configuration of its replica set.
    pub fn me(&self) -> Option<&str> {
        self.me.as_deref()
    }

    /// The tags of the member, by name. `None` where it has none.
    pub fn tags(&self) -> Option<&HashMap<String, String>> {
        Some(&self.tags).filter(|tags| !tags.is_empty())
    }

    /// The time of the last write that the member has, by the clock of the primary that took it.
    pub fn last_write_date(&self) -> Option<DateTime> {
        self.last_write_date
    }

    /// How long an unused session lives. `None` where the server has no sessions.
    pub fn logical_session_timeout(&self) -> Option<Duration> {
        self.logical_session_timeout
    }

    /// The version of the server's view of itself: the identifier of its process, and a counter.
    pub fn topology_version(&self) -> Option<(ObjectId, i64)> {
        self.topology_version
    }
}

/// What a client knows about its deployment.
#[derive(Clone, Debug)]
pub struct TopologyDescription {
    pub(crate) id: ObjectId,
    pub(crate) topology_type: TopologyType,
    pub(crate) set_name: Option<String>,
    pub(crate) max_set_version: Option<i64>,
    pub(crate) max_election_id: Option<ObjectId>,
    pub(crate) compatibility_error: Option<String>,
    pub(crate) logical_session_timeout: Option<Duration>,
    pub(crate) servers: Vec<ServerInfo>,
}

impl TopologyDescription {
    /// The identifier that all events of this client carry.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// What kind of deployment it is.
    pub fn topology_type(&self) -> TopologyType {
        self.topology_type
    }

    /// The name of the replica set.
    pub fn set_name(&self) -> Option<&str> {
        self.set_name.as_deref()
    }

    /// The version of the set's configuration that goes with the newest election.
    pub fn max_set_version(&self) -> Option<i64> {
        self.max_set_version
    }

    /// The newest election that a primary reported.
    pub fn max_election_id(&self) -> Option<ObjectId> {
        self.max_election_id
    }

    /// Why the client and a server have no protocol in common, if they have none.
    pub fn compatibility_error(&self) -> Option<&str> {
        self.compatibility_error.as_deref()
    }

    /// How long an unused session lives in this deployment. `None` where it has no sessions.
    pub fn logical_session_timeout(&self) -> Option<Duration> {
        self.logical_session_timeout
    }

    /// The servers, sorted by address.
    pub fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }
}

/// A change in what a client knows about its deployment, or a check of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SdamEvent {
    /// A server is described differently than before.
    ServerDescriptionChanged(Box<ServerDescriptionChangedEvent>),
    /// A server was added.
    ServerOpening(ServerOpeningEvent),
    /// A server was removed.
    ServerClosed(ServerClosedEvent),
    /// The deployment is described differently than before.
    TopologyDescriptionChanged(Box<TopologyDescriptionChangedEvent>),
    /// The client was made. It is the first event.
    TopologyOpening(TopologyOpeningEvent),
    /// The client was closed. It is the last event.
    TopologyClosed(TopologyClosedEvent),
    /// A check of a server begins.
    ServerHeartbeatStarted(ServerHeartbeatStartedEvent),
    /// A check of a server succeeded.
    ServerHeartbeatSucceeded(ServerHeartbeatSucceededEvent),
    /// A check of a server failed.
    ServerHeartbeatFailed(ServerHeartbeatFailedEvent),
}

/// A server is described differently than before. Changes of round trip times and of the time of the last check are not
/// published.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerDescriptionChangedEvent {
    /// The server, as `host:port` or the path of its socket.
    pub address: String,
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
    /// The description before.
    pub previous_description: ServerInfo,
    /// The description now.
    pub new_description: ServerInfo,
}

/// A server was added to the topology.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOpeningEvent {
    /// The server, as `host:port` or the path of its socket.
    pub address: String,
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
}

/// A server was removed from the topology.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerClosedEvent {
    /// The server, as `host:port` or the path of its socket.
    pub address: String,
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
}

/// The topology is described differently than before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopologyDescriptionChangedEvent {
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
    /// The description before.
    pub previous_description: TopologyDescription,
    /// The description now.
    pub new_description: TopologyDescription,
}

/// A client's topology was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopologyOpeningEvent {
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
}

/// A client's topology was closed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopologyClosedEvent {
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
}

/// A check of a server begins. Where it makes a new connection, this is published before the socket is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerHeartbeatStartedEvent {
    /// The server, as `host:port` or the path of its socket.
    pub server_address: String,
    /// Whether the server answers only when something has changed.
    pub awaited: bool,
    /// The driver's number of the connection that the check runs on.
    pub driver_connection_id: u64,
    /// The server's number of that connection, where it is known.
    pub server_connection_id: Option<i64>,
}

/// A check of a server succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerHeartbeatSucceededEvent {
    /// From just before the command was sent until the reply was read. If `awaited`, it is no round trip time.
    pub duration: Duration,
    /// The server's reply.
    pub reply: RawDocumentBuf,
    /// The server, as `host:port` or the path of its socket.
    pub server_address: String,
    /// Whether the server answered only because something had changed.
    pub awaited: bool,
    /// The driver's number of the connection that the check ran on.
    pub driver_connection_id: u64,
    /// The server's number of that connection, where it is known.
    pub server_connection_id: Option<i64>,
}

/// A check of a server failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerHeartbeatFailedEvent {
    /// From the beginning of the check until it had failed.
    pub duration: Duration,
    /// Why it failed.
    pub failure: Arc<Error>,
    /// The server, as `host:port` or the path of its socket.
    pub server_address: String,
    /// Whether the server was to answer only when something had changed.
    pub awaited: bool,
    /// The driver's number of the connection that the check ran on.
    pub driver_connection_id: u64,
    /// The server's number of that connection, where it is known.
    pub server_connection_id: Option<i64>,
}

/// As the specification writes it: `RSPrimary`.
impl fmt::Display for ServerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServerType::Unknown => "Unknown",
            ServerType::PossiblePrimary => "PossiblePrimary",
            ServerType::LoadBalancer => "LoadBalancer",
            ServerType::Standalone => "Standalone",
            ServerType::Mongos => "Mongos",
            ServerType::RsPrimary => "RSPrimary",
            ServerType::RsSecondary => "RSSecondary",
            ServerType::RsArbiter => "RSArbiter",
            ServerType::RsOther => "RSOther",
            ServerType::RsGhost => "RSGhost",
        })
    }
}

/// As the specification writes it: `ReplicaSetWithPrimary`.
impl fmt::Display for TopologyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopologyType::Unknown => "Unknown",
            TopologyType::Single => "Single",
            TopologyType::ReplicaSetNoPrimary => "ReplicaSetNoPrimary",
            TopologyType::ReplicaSetWithPrimary => "ReplicaSetWithPrimary",
            TopologyType::Sharded => "Sharded",
            TopologyType::LoadBalanced => "LoadBalanced",
        })
    }
}

impl ServerType {
    /// Whether a check has found out what it is.
    pub(crate) fn is_known(self) -> bool {
        !matches!(self, ServerType::Unknown | ServerType::PossiblePrimary)
    }

    /// Whether it is a member of a replica set.
    pub(crate) fn is_member(self) -> bool {
        matches!(
            self,
            ServerType::RsPrimary
                | ServerType::RsSecondary
                | ServerType::RsArbiter
                | ServerType::RsOther
                | ServerType::RsGhost
        )
    }

    /// Whether it can serve an application's data.
    pub(crate) fn is_data_bearing(self) -> bool {
        matches!(
            self,
            ServerType::Standalone
                | ServerType::Mongos
                | ServerType::RsPrimary
                | ServerType::RsSecondary
                | ServerType::LoadBalancer
        )
    }
}
