//! Which of the known servers an operation goes to (Server Selection and Max Staleness), and what that server must be told
//! about the read preference.
//!
//! [`suitable_servers`] are those that the description offers for an operation, and [`choose`] takes one of them. Neither looks at a
//! clock or takes a lock: chance and the counts of running operations are handed in.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, RawDocumentBuf, rawdoc};

use super::description::{ServerEntry, TopologyDescription};
use crate::address::ServerAddress;
use crate::description::{ServerDescription, ServerType, WireVersion};
use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::sdam::{self, ServerFacts, ServerInfo, TopologyType};
use crate::options::{ReadPreference, ReadPreferenceMode, SelectionCriteria};

/// How often an idle primary writes (idleWritePeriodMS).
const IDLE_WRITE_PERIOD: Duration = Duration::from_secs(10);

/// The least that a maximum staleness may be (smallestMaxStalenessSeconds).
const SMALLEST_MAX_STALENESS: Duration = Duration::from_secs(90);

/// What an operation wants of a server.
#[derive(Clone, Copy)]
pub(crate) enum Criteria<'a> {
    /// It takes writes.
    Write,
    /// It suits a read preference.
    Read(&'a ReadPreference),
    /// It suits a read preference and can run an aggregation that writes its result: before MongoDB 5.0 only a primary can.
    ReadAndWriteResult(&'a ReadPreference),
    /// It is this one.
    Address(&'a ServerAddress),
    /// It is available and this function wants it.
    Predicate(&'a (dyn Fn(&ServerInfo<'_>) -> bool + Sync)),
    /// It is available and one of these.
    OneOf(&'a [ServerAddress]),
}

/// What selection looks at besides the description.
#[derive(Clone, Copy)]
pub(crate) struct Conditions<'a> {
    pub(crate) criteria: Criteria<'a>,
    /// Servers to be taken only if no other one suits: an operation has failed there.
    pub(crate) deprioritised: &'a [ServerAddress],
    /// `localThresholdMS`
    pub(crate) local_threshold: Duration,
    /// `heartbeatFrequencyMS`
    pub(crate) heartbeat_frequency: Duration,
}

/// A server as selection looks at it.
pub(crate) trait Candidate {
    fn server_type(&self) -> ServerType;
    fn has_tag(&self, name: &str, value: &str) -> bool;
    fn last_update(&self) -> Option<Instant>;
    fn last_write_date(&self) -> Option<DateTime>;
}

/// The server for an operation, or `None` if no known server suits now. `operation_count` is the number of operations that a
/// server runs at the moment; `below(n)` is a random number less than `n`.
///
/// # Errors
/// What no other server and no later moment changes: a server without a common wire version, and a read preference that is
/// invalid for this type of deployment.
#[cfg(test)]
pub(crate) fn select(
    description: &TopologyDescription,
    conditions: &Conditions<'_>,
    operation_count: &dyn Fn(&ServerAddress) -> usize,
    below: &mut dyn FnMut(usize) -> usize,
) -> Result<Option<Arc<ServerEntry>>> {
    Ok(choose(suitable_servers(description, conditions)?, conditions.local_threshold, operation_count, below).cloned())
}

/// The server that suits where no other one can be as good: the primary for what only it may do, or the only server. This is
/// how most selections end; it allocates nothing. `None`: the choice takes more than that.
#[inline]
pub(crate) fn only_choice<'d>(
    description: &'d TopologyDescription,
    criteria: Criteria<'_>,
) -> Option<&'d Arc<ServerEntry>> {
    let wants_primary = match criteria {
        Criteria::Write => true,
        Criteria::Read(preference) | Criteria::ReadAndWriteResult(preference) => {
            preference.mode() == ReadPreferenceMode::Primary
        }
        Criteria::Address(_) | Criteria::Predicate(_) | Criteria::OneOf(_) => return None,
    };
    let topology_type = description.topology_type;
    let mut servers = description.servers.values();
    let only = match topology_type {
        TopologyType::ReplicaSetWithPrimary if wants_primary => {
            servers.find(|server| server.server_type == ServerType::RsPrimary)
        }
        TopologyType::Single | TopologyType::Sharded | TopologyType::LoadBalanced if description.servers.len() == 1 => {
            servers.find(|server| takes_writes(server.server_type, topology_type))
        }
        _ => None,
    };
    only.filter(|_| description.compatibility_error.is_none())
}

/// One of these servers: of two at random within the latency window, the less busy one.
pub(crate) fn choose<'d>(
    suitable: Vec<&'d Arc<ServerEntry>>,
    local_threshold: Duration,
    operation_count: &dyn Fn(&ServerAddress) -> usize,
    below: &mut dyn FnMut(usize) -> usize,
) -> Option<&'d Arc<ServerEntry>> {
    let window = in_latency_window(suitable, local_threshold);
    match window.as_slice() {
        [] => None,
        [only] => Some(*only),
        several => {
            let first = below(several.len()).min(several.len() - 1);
            // One of the others: those from `first` on move up by one.
            let other = below(several.len() - 1).min(several.len() - 2);
            let second = if other >= first { other + 1 } else { other };
            let busy = |place: usize| several.get(place).map(|server| operation_count(&server.address));
            several.get(if busy(second) < busy(first) { second } else { first }).copied()
        }
    }
}

/// The servers that suit, wherever they are. Those that are deprioritised only if no other one does.
///
/// # Errors
/// As `select`.
pub(crate) fn suitable_servers<'d>(
    description: &'d TopologyDescription,
    conditions: &Conditions<'_>,
) -> Result<Vec<&'d Arc<ServerEntry>>> {
    if let Some(incompatible) = &description.compatibility_error {
        return Err(Error::new(FaultKind::IncompatibleServer, Stage::ServerSelection, incompatible.clone()));
    }
    if let Criteria::Read(preference) | Criteria::ReadAndWriteResult(preference) = conditions.criteria {
        check_read_preference(preference, description.topology_type, conditions.heartbeat_frequency)?;
    }
    let all: Vec<&Arc<ServerEntry>> = description.servers.values().collect();
    let preferred = all.iter().copied().filter(|server| !conditions.deprioritised.contains(&server.address)).collect();
    let mut suitable = suitable_of(preferred, &all, description.topology_type, conditions);
    if suitable.is_empty() && !conditions.deprioritised.is_empty() {
        suitable = suitable_of(all.clone(), &all, description.topology_type, conditions);
    }
    Ok(suitable)
}

fn suitable_of<'d>(
    candidates: Vec<&'d Arc<ServerEntry>>,
    all: &[&'d Arc<ServerEntry>],
    topology_type: TopologyType,
    conditions: &Conditions<'_>,
) -> Vec<&'d Arc<ServerEntry>> {
    let heartbeat_frequency = conditions.heartbeat_frequency;
    match conditions.criteria {
        Criteria::Write => writable(candidates, topology_type),
        Criteria::Read(preference) => readable(candidates, all, topology_type, preference, heartbeat_frequency),
        Criteria::ReadAndWriteResult(preference) => {
            let too_old = |server: &&Arc<ServerEntry>| {
                server.max_wire_version().is_some_and(|version| version < WireVersion::MONGODB_5_0)
            };
            if all.iter().any(too_old) {
                readable(candidates, all, topology_type, &ReadPreference::default(), heartbeat_frequency)
            } else {
                readable(candidates, all, topology_type, preference, heartbeat_frequency)
            }
        }
        Criteria::Address(address) => candidates
            .into_iter()
            .filter(|server| server.address == *address && server.server_type.is_known())
            .collect(),
        Criteria::Predicate(wants) => candidates
            .into_iter()
            .filter(|server| server.server_type.is_known() && wants(&server.to_public()))
            .collect(),
        Criteria::OneOf(wanted) => candidates
            .into_iter()
            .filter(|server| server.server_type.is_known() && wanted.contains(&server.address))
            .collect(),
    }
}

fn writable<C: Candidate>(candidates: Vec<&C>, topology_type: TopologyType) -> Vec<&C> {
    candidates.into_iter().filter(|server| takes_writes(server.server_type(), topology_type)).collect()
}

#[inline]
fn takes_writes(server_type: ServerType, topology_type: TopologyType) -> bool {
    match topology_type {
        TopologyType::Unknown | TopologyType::ReplicaSetNoPrimary => false,
        TopologyType::Single | TopologyType::LoadBalanced => server_type.is_known(),
        TopologyType::ReplicaSetWithPrimary => server_type == ServerType::RsPrimary,
        TopologyType::Sharded => server_type == ServerType::Mongos,
    }
}

/// The candidates that suit a read preference. `all` servers of the deployment tell how stale each of them is.
fn readable<'c, C: Candidate>(
    candidates: Vec<&'c C>,
    all: &[&C],
    topology_type: TopologyType,
    preference: &ReadPreference,
    heartbeat_frequency: Duration,
) -> Vec<&'c C> {
    match topology_type {
        TopologyType::Unknown => return Vec::new(),
        TopologyType::Single | TopologyType::LoadBalanced | TopologyType::Sharded => {
            return candidates.into_iter().filter(|server| takes_writes(server.server_type(), topology_type)).collect();
        }
        TopologyType::ReplicaSetNoPrimary | TopologyType::ReplicaSetWithPrimary => {}
    }
    let of_type = |wanted: &[ServerType]| -> Vec<&'c C> {
        candidates.iter().copied().filter(|server| wanted.contains(&server.server_type())).collect()
    };
    let eligible = |servers: Vec<&'c C>| match preference.max_staleness() {
        None => with_tags(servers, preference),
        Some(limit) => {
            let fresh = |server: &&C| {
                staleness(*server, all, heartbeat_frequency).is_some_and(|millis| millis <= signed(limit))
            };
            with_tags(servers.into_iter().filter(fresh).collect(), preference)
        }
    };
    let primary = of_type(&[ServerType::RsPrimary]);
    let secondaries = || eligible(of_type(&[ServerType::RsSecondary]));
    let or = |first: Vec<&'c C>, second: &dyn Fn() -> Vec<&'c C>| if first.is_empty() { second() } else { first };
    match preference.mode() {
        ReadPreferenceMode::Primary => primary,
        ReadPreferenceMode::Secondary => secondaries(),
        ReadPreferenceMode::PrimaryPreferred => or(primary, &secondaries),
        ReadPreferenceMode::SecondaryPreferred => or(secondaries(), &|| primary.clone()),
        ReadPreferenceMode::Nearest => eligible(of_type(&[ServerType::RsPrimary, ServerType::RsSecondary])),
    }
}

/// The servers that the first tag set with a match selects. Without tag sets, all.
fn with_tags<'c, C: Candidate>(servers: Vec<&'c C>, preference: &ReadPreference) -> Vec<&'c C> {
    if preference.tag_sets().is_empty() {
        return servers;
    }
    let matching = preference.tag_sets().iter().map(|set| {
        let has_all = |server: &&C| set.iter().all(|(name, value)| server.has_tag(name, value));
        servers.iter().copied().filter(has_all).collect::<Vec<_>>()
    });
    matching.into_iter().find(|matching| !matching.is_empty()).unwrap_or_default()
}

/// How far a server is behind, at worst, in milliseconds. A secondary is compared with the primary, without one with the
/// secondary that has the latest write. `None` for a secondary that does not report its last write.
fn staleness<C: Candidate>(server: &C, all: &[&C], heartbeat_frequency: Duration) -> Option<i64> {
    if server.server_type() != ServerType::RsSecondary {
        return Some(0);
    }
    let written = server.last_write_date()?.timestamp_millis();
    let primary = all.iter().find(|other| other.server_type() == ServerType::RsPrimary);
    let behind = match primary.and_then(|primary| Some((primary, primary.last_write_date()?))) {
        Some((primary, date)) => {
            let checked_later = signed_between(primary.last_update()?, server.last_update()?);
            checked_later.saturating_add(date.timestamp_millis().saturating_sub(written))
        }
        None => {
            let secondaries = all.iter().filter(|other| other.server_type() == ServerType::RsSecondary);
            let latest = secondaries.filter_map(|other| other.last_write_date()).max()?;
            latest.timestamp_millis().saturating_sub(written)
        }
    };
    Some(behind.saturating_add(signed(heartbeat_frequency)))
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The milliseconds from `earlier` to `later`, less than zero if it is the other way round.
fn signed_between(earlier: Instant, later: Instant) -> i64 {
    match later.checked_duration_since(earlier) {
        Some(after) => signed(after),
        None => -signed(earlier.saturating_duration_since(later)),
    }
}

/// The servers whose average round trip time is at most `local_threshold` longer than the shortest one.
pub(crate) fn in_latency_window(suitable: Vec<&Arc<ServerEntry>>, local_threshold: Duration) -> Vec<&Arc<ServerEntry>> {
    let average = |server: &Arc<ServerEntry>| server.round_trip_times.average().unwrap_or(Duration::MAX);
    let Some(shortest) = suitable.iter().map(|server| average(server)).min() else { return suitable };
    let longest = shortest.saturating_add(local_threshold);
    suitable.into_iter().filter(|server| average(server) <= longest).collect()
}

/// Whether a read preference is valid for this type of deployment.
fn check_read_preference(
    preference: &ReadPreference,
    topology_type: TopologyType,
    heartbeat_frequency: Duration,
) -> Result<()> {
    let invalid = |message: String| Err(Error::new(FaultKind::InvalidArgument, Stage::ServerSelection, message));
    let is_replica_set =
        matches!(topology_type, TopologyType::ReplicaSetNoPrimary | TopologyType::ReplicaSetWithPrimary);
    let least = SMALLEST_MAX_STALENESS.max(heartbeat_frequency.saturating_add(IDLE_WRITE_PERIOD));
    match preference.max_staleness() {
        Some(limit) if is_replica_set && limit < least => invalid(format!(
            "maxStalenessSeconds is {} and must be at least {} for a replica set with heartbeatFrequencyMS={}",
            limit.as_secs_f64(),
            least.as_secs_f64(),
            heartbeat_frequency.as_millis()
        )),
        _ => Ok(()),
    }
}

/// What a server must be told about the read preference (`$readPreference`), by the type of the deployment and its own.
///
/// A router and a load balancer learn everything but mode primary; so does a member of a replica set, where primary is what
/// every server assumes. A member that the client is directly connected to must answer whatever it is, so it gets
/// primaryPreferred instead of primary. A standalone learns nothing.
pub(crate) fn read_preference_document(
    topology_type: TopologyType,
    server_type: ServerType,
    preference: &ReadPreference,
) -> Option<RawDocumentBuf> {
    let is_primary = preference.mode() == ReadPreferenceMode::Primary;
    match (topology_type, server_type) {
        (TopologyType::Unknown, _) | (TopologyType::Single, ServerType::Standalone) => None,
        (TopologyType::Single, server_type) if server_type != ServerType::Mongos && is_primary => {
            Some(rawdoc! { "mode": "primaryPreferred" })
        }
        _ => (!is_primary).then(|| preference.to_document()),
    }
}

/// The criteria in the words of an error.
impl fmt::Display for Criteria<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preference = match self {
            Criteria::Write => return f.write_str("writes"),
            Criteria::Address(address) => return write!(f, "an operation that must run on {address}"),
            Criteria::Predicate(_) | Criteria::OneOf(_) => return f.write_str("the predicate of the operation"),
            Criteria::Read(preference) | Criteria::ReadAndWriteResult(preference) => preference,
        };
        write!(f, "query with ReadPreference {}", preference.mode().name())?;
        if !preference.tag_sets().is_empty() {
            let sets = preference.tag_sets().iter().map(|set| {
                let tags: Vec<String> = set.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", tags.join(", "))
            });
            write!(f, ", tag set list [{}]", sets.collect::<Vec<_>>().join(", "))?;
        }
        match preference.max_staleness() {
            Some(limit) => write!(f, ", and maxStalenessSeconds {}", limit.as_secs()),
            None => Ok(()),
        }
    }
}

impl Candidate for Arc<ServerEntry> {
    fn server_type(&self) -> ServerType {
        self.server_type
    }

    fn has_tag(&self, name: &str, value: &str) -> bool {
        let has = |hello: &Arc<ServerDescription>| hello.tags.iter().any(|(own, tag)| own == name && tag == value);
        self.hello.as_ref().is_some_and(has)
    }

    fn last_update(&self) -> Option<Instant> {
        self.last_update
    }

    fn last_write_date(&self) -> Option<DateTime> {
        self.hello.as_ref()?.last_write_date
    }
}

impl Candidate for ServerFacts {
    fn server_type(&self) -> ServerType {
        self.server_type
    }

    fn has_tag(&self, name: &str, value: &str) -> bool {
        self.tags.get(name).is_some_and(|own| own == value)
    }

    fn last_update(&self) -> Option<Instant> {
        self.last_update_time
    }

    fn last_write_date(&self) -> Option<DateTime> {
        self.last_write_date
    }
}

impl sdam::TopologyDescription {
    /// Whether a read with these criteria has a server to go to. `None` means the mode primary.
    ///
    /// Staleness is estimated with the default heartbeatFrequencyMS.
    pub fn has_readable_server(&self, criteria: Option<SelectionCriteria>) -> bool {
        let servers: Vec<&ServerFacts> = self.sorted_servers().collect();
        let preference = match &criteria {
            Some(SelectionCriteria::Predicate(wants)) => {
                let mut known = servers.into_iter().filter(|server| server.server_type.is_known());
                return known.any(|server| wants(&ServerInfo(Cow::Borrowed(server))));
            }
            Some(SelectionCriteria::ReadPreference(preference)) => preference,
            None => &ReadPreference::Primary,
        };
        !readable(servers.clone(), &servers, self.topology_type, preference, DEFAULT_HEARTBEAT_FREQUENCY).is_empty()
    }

    /// Whether a write has a server to go to.
    pub fn has_writable_server(&self) -> bool {
        self.servers.iter().any(|server| takes_writes(server.server_type, self.topology_type))
    }
}

/// What heartbeatFrequencyMS is unless the options change it.
const DEFAULT_HEARTBEAT_FREQUENCY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ClientOptions, HedgedReadOptions, ReadPreferenceOptions};

    fn preference(mode: ReadPreferenceMode) -> ReadPreference {
        ReadPreference::with_mode(mode, None)
    }

    #[test]
    fn the_read_preference_document_follows_both_types() {
        let document = |topology, server, mode| {
            read_preference_document(topology, server, &preference(mode))
                .map(|document| document.get_str("mode").unwrap().to_owned())
        };
        let (primary, secondary) = (ReadPreferenceMode::Primary, ReadPreferenceMode::Secondary);
        for (topology, server, of_primary, of_secondary) in [
            (TopologyType::ReplicaSetWithPrimary, ServerType::RsPrimary, None, Some("secondary")),
            (TopologyType::ReplicaSetNoPrimary, ServerType::RsSecondary, None, Some("secondary")),
            (TopologyType::Sharded, ServerType::Mongos, None, Some("secondary")),
            (TopologyType::LoadBalanced, ServerType::LoadBalancer, None, Some("secondary")),
            (TopologyType::Single, ServerType::Mongos, None, Some("secondary")),
            (TopologyType::Single, ServerType::Standalone, None, None),
            (TopologyType::Single, ServerType::RsPrimary, Some("primaryPreferred"), Some("secondary")),
            (TopologyType::Single, ServerType::RsSecondary, Some("primaryPreferred"), Some("secondary")),
            (TopologyType::Single, ServerType::RsArbiter, Some("primaryPreferred"), Some("secondary")),
        ] {
            assert_eq!(document(topology, server, primary).as_deref(), of_primary, "{topology}, {server}");
            assert_eq!(document(topology, server, secondary).as_deref(), of_secondary, "{topology}, {server}");
        }
    }

    #[test]
    fn staleness_is_checked_for_a_replica_set_only() {
        let wanted = |seconds| {
            ReadPreference::nearest(
                ReadPreferenceOptions::builder().max_staleness(Duration::from_secs(seconds)).build(),
            )
        };
        let check = |topology_type, seconds| {
            check_read_preference(&wanted(seconds), topology_type, Duration::from_secs(10)).is_ok()
        };
        assert!(check(TopologyType::Sharded, 1));
        assert!(check(TopologyType::ReplicaSetWithPrimary, 90));
        assert!(!check(TopologyType::ReplicaSetWithPrimary, 89));
    }

    #[test]
    fn a_router_learns_tags_staleness_and_hedge() {
        let wanted = ReadPreferenceOptions::builder()
            .tag_sets(vec![[("dc".to_owned(), "ny".to_owned())].into()])
            .max_staleness(Duration::from_secs(120))
            .hedge(HedgedReadOptions::with_enabled(false));
        let wanted = ReadPreference::nearest(wanted.build());
        let options = ClientOptions::builder().host("localhost").read_preference(wanted).build().settings().unwrap();
        let document =
            read_preference_document(TopologyType::Sharded, ServerType::Mongos, options.read_preference()).unwrap();
        let expected = rawdoc! {
            "mode": "nearest",
            "tags": [{ "dc": "ny" }],
            "maxStalenessSeconds": 120_i64,
            "hedge": { "enabled": false },
        };
        assert_eq!(document, expected);
    }

    #[test]
    fn criteria_are_named_with_all_that_they_ask_for() {
        let wanted = ReadPreference::secondary(None);
        assert_eq!(Criteria::Read(&wanted).to_string(), "query with ReadPreference secondary");
        let options = ReadPreferenceOptions::builder()
            .tag_sets(vec![[("dc".to_owned(), "ny".to_owned())].into(), [].into()])
            .max_staleness(Duration::from_secs(120));
        let wanted = ReadPreference::secondary(options.build());
        assert_eq!(
            Criteria::Read(&wanted).to_string(),
            "query with ReadPreference secondary, tag set list [{dc: ny}, {}], and maxStalenessSeconds 120"
        );
        assert_eq!(Criteria::Write.to_string(), "writes");
    }
}
