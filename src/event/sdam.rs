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
//!         for (address, server) in change.new_description.servers() {
//!             println!("{address} is {}", server.server_type());
//!         }
//!     }
//! }
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{DateTime, Document};
use serde::{Deserialize, Serialize, Serializer};

use crate::address::ServerAddress;
use crate::error::Error;

/// What kind of server an address leads to (`ServerType` of the specification). serde has the specification's names: `RSPrimary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServerType {
    /// It was not checked yet, or the last check failed.
    #[default]
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
    #[serde(rename = "RSPrimary")]
    RsPrimary,
    /// A secondary of a replica set.
    #[serde(rename = "RSSecondary")]
    RsSecondary,
    /// A member of a replica set that holds no data.
    #[serde(rename = "RSArbiter")]
    RsArbiter,
    /// A member of a replica set that is hidden, starting or recovering.
    #[serde(rename = "RSOther")]
    RsOther,
    /// A server that was started as a member of a replica set and has no configuration.
    #[serde(rename = "RSGhost")]
    RsGhost,
}

/// What kind of deployment a client is connected to (`TopologyType` of the specification).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TopologyType {
    /// No server has answered yet.
    #[default]
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
/// for (address, server) in client.topology().servers() {
///     println!("{address}: {}, {:?}", server.server_type(), server.average_round_trip_time());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct ServerInfo<'a>(pub(crate) Cow<'a, ServerFacts>);

/// What a client knows about one server, as events have it.
pub type ServerDescription = ServerInfo<'static>;

/// What a [`ServerInfo`] shows.
#[derive(Clone, Debug)]
pub(crate) struct ServerFacts {
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

impl ServerInfo<'_> {
    /// The address that the client uses for the server.
    pub fn address(&self) -> &ServerAddress {
        &self.0.address
    }

    /// The type that the last check found.
    pub fn server_type(&self) -> ServerType {
        self.0.server_type
    }

    /// The error that made the server [`Unknown`](ServerType::Unknown).
    pub fn error(&self) -> Option<&Error> {
        self.0.error.as_deref()
    }

    /// The moving average of the time that a check takes. `None` while the server is unknown.
    pub fn average_round_trip_time(&self) -> Option<Duration> {
        self.0.average_round_trip_time
    }

    /// The shortest of the last ten checks; zero until there were two.
    pub fn minimum_round_trip_time(&self) -> Duration {
        self.0.minimum_round_trip_time
    }

    /// When the description was last replaced, by the clock of this machine. `None` if that has not happened yet.
    pub fn last_update_time(&self) -> Option<DateTime> {
        let ago = i64::try_from(self.0.last_update_time?.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(DateTime::from_millis(DateTime::now().timestamp_millis().saturating_sub(ago)))
    }

    /// The oldest wire version that the server speaks.
    pub fn min_wire_version(&self) -> Option<i32> {
        self.0.min_wire_version
    }

    /// The newest wire version that the server speaks.
    pub fn max_wire_version(&self) -> Option<i32> {
        self.0.max_wire_version
    }

    /// The name of its replica set.
    pub fn replica_set_name(&self) -> Option<&str> {
        self.0.set_name.as_deref()
    }

    /// The version of the replica set's configuration. `None` also where the server reports a number that no set can have.
    pub fn replica_set_version(&self) -> Option<i32> {
        i32::try_from(self.0.set_version?).ok()
    }

    /// The election that made the server primary.
    pub fn election_id(&self) -> Option<ObjectId> {
        self.0.election_id
    }

    /// The members of its replica set that can become primary, as the server reports them.
    pub fn hosts(&self) -> &[String] {
        &self.0.hosts
    }

    /// The members of its replica set that cannot become primary, as the server reports them.
    pub fn passives(&self) -> &[String] {
        &self.0.passives
    }

    /// The arbiters of its replica set, as the server reports them.
    pub fn arbiters(&self) -> &[String] {
        &self.0.arbiters
    }

    /// The primary of its replica set, as the server reports it.
    pub fn primary(&self) -> Option<&str> {
        self.0.primary.as_deref()
    }

    /// The address of the server in the configuration of its replica set.
    pub fn me(&self) -> Option<&str> {
        self.0.me.as_deref()
    }

    /// The tags of the member, by name. `None` where it has none.
    pub fn tags(&self) -> Option<&HashMap<String, String>> {
        Some(&self.0.tags).filter(|tags| !tags.is_empty())
    }

    /// The time of the last write that the member has, by the clock of the primary that took it.
    pub fn last_write_date(&self) -> Option<DateTime> {
        self.0.last_write_date
    }

    /// How long an unused session lives. `None` where the server has no sessions.
    pub fn logical_session_timeout(&self) -> Option<Duration> {
        self.0.logical_session_timeout
    }

    /// The version of the server's view of itself: the identifier of its process, and a counter.
    pub fn topology_version(&self) -> Option<(ObjectId, i64)> {
        self.0.topology_version
    }
}

/// What a client knows about its deployment.
#[derive(Clone, Debug)]
pub struct TopologyDescription {
    pub(crate) id: ObjectId,
    pub(crate) topology_type: TopologyType,
    pub(crate) set_name: Option<String>,
    pub(crate) max_set_version: Option<i32>,
    pub(crate) max_election_id: Option<ObjectId>,
    pub(crate) compatibility_error: Option<String>,
    pub(crate) logical_session_timeout: Option<Duration>,
    pub(crate) servers: Vec<ServerFacts>,
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
    pub fn set_name(&self) -> Option<&String> {
        self.set_name.as_ref()
    }

    /// The version of the set's configuration that goes with the newest election. `None` also for a number that no set can have.
    pub fn max_set_version(&self) -> Option<i32> {
        self.max_set_version
    }

    /// The newest election that a primary reported.
    pub fn max_election_id(&self) -> Option<ObjectId> {
        self.max_election_id
    }

    /// Why the client and a server have no protocol in common, if they have none.
    pub fn compatibility_error(&self) -> Option<&String> {
        self.compatibility_error.as_ref()
    }

    /// How long an unused session lives in this deployment. `None` where it has no sessions.
    pub fn logical_session_timeout(&self) -> Option<Duration> {
        self.logical_session_timeout
    }

    /// The servers, by address.
    pub fn servers(&self) -> HashMap<&ServerAddress, ServerInfo<'_>> {
        self.sorted_servers().map(|server| (&server.address, ServerInfo(Cow::Borrowed(server)))).collect()
    }

    /// The servers in the order of their addresses.
    pub(crate) fn sorted_servers(&self) -> impl Iterator<Item = &ServerFacts> {
        self.servers.iter()
    }
}

/// A change in what a client knows about its deployment, or a check of a server.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
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
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerDescriptionChangedEvent {
    /// The server.
    pub address: ServerAddress,
    /// The identifier of the client's topology.
    pub topology_id: ObjectId,
    /// The description before.
    pub previous_description: ServerDescription,
    /// The description now.
    pub new_description: ServerDescription,
}

/// A server was added to the topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerOpeningEvent {
    /// The server.
    pub address: ServerAddress,
    /// The identifier of the client's topology. serde leaves it out, and reads a new one.
    #[serde(skip, default = "ObjectId::new")]
    pub topology_id: ObjectId,
}

/// A server was removed from the topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerClosedEvent {
    /// The server.
    pub address: ServerAddress,
    /// The identifier of the client's topology. serde leaves it out, and reads a new one.
    #[serde(skip, default = "ObjectId::new")]
    pub topology_id: ObjectId,
}

/// The topology is described differently than before.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TopologyOpeningEvent {
    /// The identifier of the client's topology. serde leaves it out, and reads a new one.
    #[serde(skip, default = "ObjectId::new")]
    pub topology_id: ObjectId,
}

/// A client's topology was closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TopologyClosedEvent {
    /// The identifier of the client's topology. serde leaves it out, and reads a new one.
    #[serde(skip, default = "ObjectId::new")]
    pub topology_id: ObjectId,
}

/// A check of a server begins. Where it makes a new connection, this is published before the socket is opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerHeartbeatStartedEvent {
    /// The server.
    pub server_address: ServerAddress,
    /// Whether the server answers only when something has changed.
    pub awaited: bool,
    /// 0: the connections of checks have no numbers of the driver's.
    pub driver_connection_id: u32,
    /// The server's number of that connection, where it is known.
    pub server_connection_id: Option<i64>,
}

/// A check of a server succeeded.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerHeartbeatSucceededEvent {
    /// From just before the command was sent until the reply was read. If `awaited`, it is no round trip time.
    pub duration: Duration,
    /// The server's reply; empty where it is nested too deep to be a document.
    pub reply: Document,
    /// The server.
    pub server_address: ServerAddress,
    /// Whether the server answered only because something had changed.
    pub awaited: bool,
    /// 0: the connections of checks have no numbers of the driver's.
    pub driver_connection_id: u32,
    /// The server's number of that connection, where it is known.
    pub server_connection_id: Option<i64>,
}

/// A check of a server failed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerHeartbeatFailedEvent {
    /// From the beginning of the check until it had failed.
    pub duration: Duration,
    /// Why it failed. serde writes its text.
    #[serde(serialize_with = "as_text")]
    pub failure: Error,
    /// The server.
    pub server_address: ServerAddress,
    /// Whether the server was to answer only when something had changed.
    pub awaited: bool,
    /// 0: the connections of checks have no numbers of the driver's.
    pub driver_connection_id: u32,
    /// The server's number of that connection, where it is known.
    pub server_connection_id: Option<i64>,
}

/// As part of a line: `{ Address: localhost:27017, Type: Standalone, Average RTT: 312µs }`.
impl fmt::Display for ServerInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ServerInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for ServerFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ Address: {}, Type: {}", self.address, self.server_type)?;
        let mut part = |name: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => write!(f, ", {name}: {value}"),
            None => Ok(()),
        };
        part(
            "Average RTT",
            self.average_round_trip_time.map(|time| format!("{time:?}")).as_ref().map(|time| time as _),
        )?;
        part("Max Wire Version", self.max_wire_version.as_ref().map(|version| version as _))?;
        part("Min Wire Version", self.min_wire_version.as_ref().map(|version| version as _))?;
        part("Replica Set Name", self.set_name.as_ref().map(|name| name as _))?;
        part("Replica Set Version", self.set_version.as_ref().map(|version| version as _))?;
        let tags = self.tags.iter().collect::<BTreeMap<_, _>>();
        part("Tags", (!tags.is_empty()).then(|| format!("{tags:?}")).as_ref().map(|tags| tags as _))?;
        part("Error", self.error.as_deref().map(|error| error as _))?;
        f.write_str(" }")
    }
}

/// As part of a line, with each server.
impl fmt::Display for TopologyDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ Type: {}", self.topology_type)?;
        if let Some(name) = &self.set_name {
            write!(f, ", Set Name: {name}")?;
        }
        if let Some(error) = &self.compatibility_error {
            write!(f, ", Compatibility Error: {error}")?;
        }
        let servers: Vec<String> = self.sorted_servers().map(ToString::to_string).collect();
        write!(f, ", Servers: [{}] }}", servers.join(", "))
    }
}

/// What is known: address, type, the time of the last update, the error as a text, and what the server reported.
impl Serialize for ServerInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            address: &'a ServerAddress,
            server_type: ServerType,
            last_update_time: Option<DateTime>,
            average_round_trip_time: Option<Duration>,
            min_wire_version: Option<i32>,
            max_wire_version: Option<i32>,
            set_name: Option<&'a str>,
            set_version: Option<i32>,
            tags: Option<BTreeMap<&'a String, &'a String>>,
            error: Option<String>,
        }
        let written = Written {
            address: self.address(),
            server_type: self.server_type(),
            last_update_time: self.last_update_time(),
            average_round_trip_time: self.average_round_trip_time(),
            min_wire_version: self.min_wire_version(),
            max_wire_version: self.max_wire_version(),
            set_name: self.replica_set_name(),
            set_version: self.replica_set_version(),
            tags: self.tags().map(|tags| tags.iter().collect()),
            error: self.error().map(ToString::to_string),
        };
        written.serialize(serializer)
    }
}

/// What is known, with the servers by their addresses as text.
impl Serialize for TopologyDescription {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            topology_type: TopologyType,
            set_name: Option<&'a String>,
            max_set_version: Option<i32>,
            max_election_id: Option<ObjectId>,
            compatibility_error: Option<&'a String>,
            logical_session_timeout: Option<Duration>,
            servers: BTreeMap<String, ServerInfo<'a>>,
        }
        let servers = self.servers().into_iter().map(|(address, server)| (address.to_string(), server));
        let written = Written {
            topology_type: self.topology_type,
            set_name: self.set_name(),
            max_set_version: self.max_set_version,
            max_election_id: self.max_election_id,
            compatibility_error: self.compatibility_error(),
            logical_session_timeout: self.logical_session_timeout,
            servers: servers.collect(),
        };
        written.serialize(serializer)
    }
}

fn as_text<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
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

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn server(error: Option<Error>) -> ServerDescription {
        let facts = ServerFacts {
            address: ServerAddress::parse("a:1").unwrap(),
            server_type: if error.is_some() { ServerType::Unknown } else { ServerType::RsPrimary },
            error: error.map(Arc::new),
            average_round_trip_time: None,
            minimum_round_trip_time: Duration::ZERO,
            last_update_time: None,
            min_wire_version: Some(0),
            max_wire_version: Some(17),
            set_name: Some("rs".to_owned()),
            set_version: Some(1),
            election_id: None,
            hosts: Vec::new(),
            passives: Vec::new(),
            arbiters: Vec::new(),
            primary: None,
            me: None,
            tags: HashMap::from([("dc".to_owned(), "ny".to_owned())]),
            last_write_date: None,
            logical_session_timeout: None,
            topology_version: None,
        };
        ServerInfo(Cow::Owned(facts))
    }

    #[test]
    fn a_description_is_one_line_and_a_document() {
        let failed = server(Some(Error::invalid_argument("no")));
        assert_eq!(
            server(None).to_string(),
            "{ Address: a:1, Type: RSPrimary, Max Wire Version: 17, Min Wire Version: 0, Replica Set Name: rs, Replica Set Version: 1, \
             Tags: {\"dc\": \"ny\"} }"
        );
        assert!(failed.to_string().ends_with(", Error: options: no }"), "{failed}");
        let written = bson::serialize_to_document(&failed).unwrap();
        assert_eq!(written.get_str("server_type").unwrap(), "Unknown");
        assert_eq!(written.get_str("error").unwrap(), "options: no");
        let topology = TopologyDescription {
            id: ObjectId::new(),
            topology_type: TopologyType::ReplicaSetWithPrimary,
            set_name: Some("rs".to_owned()),
            max_set_version: Some(1),
            max_election_id: None,
            compatibility_error: None,
            logical_session_timeout: None,
            servers: vec![server(None).0.into_owned()],
        };
        assert!(
            topology.to_string().starts_with("{ Type: ReplicaSetWithPrimary, Set Name: rs, Servers: [{ Address: a:1")
        );
        let written = bson::serialize_to_document(&topology).unwrap();
        assert!(written.get_document("servers").unwrap().get_document("a:1").unwrap().contains_key("address"));
    }

    #[test]
    fn events_are_written_and_read_without_the_topologys_identifier() {
        let address = ServerAddress::parse("a:1").unwrap();
        let event =
            SdamEvent::ServerOpening(ServerOpeningEvent { address: address.clone(), topology_id: ObjectId::new() });
        let written = bson::serialize_to_document(&event).unwrap();
        assert_eq!(written, doc! { "address": bson::serialize_to_bson(&address).unwrap() });
        let read: ServerOpeningEvent = bson::deserialize_from_document(doc! { "address": "a:1" }).unwrap();
        assert_eq!(read.address, address);
        let failed = ServerHeartbeatFailedEvent {
            duration: Duration::from_millis(1),
            failure: Error::invalid_argument("no"),
            server_address: address,
            awaited: true,
            driver_connection_id: 0,
            server_connection_id: None,
        };
        let written = bson::serialize_to_document(&failed).unwrap();
        assert_eq!(written.get_str("failure").unwrap(), "options: no");
        assert!(written.contains_key("serverAddress") && written.contains_key("driverConnectionId"), "{written}");
    }

    #[test]
    fn the_names_of_types_are_those_that_are_displayed() {
        for kind in [ServerType::Unknown, ServerType::RsGhost, ServerType::LoadBalancer, ServerType::PossiblePrimary] {
            let written = bson::serialize_to_bson(&kind).unwrap();
            assert_eq!(written.as_str(), Some(&*kind.to_string()));
            assert_eq!(bson::deserialize_from_bson::<ServerType>(written).unwrap(), kind);
        }
        assert_eq!(TopologyType::default(), TopologyType::Unknown);
    }
}
