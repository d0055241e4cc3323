//! What the fixtures of selection share: a description and a read preference made from a fixture.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, rawdoc};

use super::{check_keys, documents, number};
use crate::address::ServerAddress;
use crate::description::{ServerDescription, ServerType, WireVersion};
use crate::event::sdam::TopologyType;
use crate::options::{ReadPreference, ReadPreferenceMode, ReadPreferenceOptions, TagSet};
use crate::topology::description::{ServerEntry, TopologyDescription};
use crate::topology::round_trip::RoundTripTimes;

/// The description that a fixture gives. `origin` is the moment that its times count from.
pub(super) fn description(fixture: &Document, origin: Instant) -> Result<TopologyDescription, String> {
    check_keys(fixture, &["type", "servers"])?;
    let wanted = fixture.get_str("type").map_err(|error| error.to_string())?;
    let mut description = TopologyDescription::empty(ObjectId::new());
    description.topology_type = *TOPOLOGY_TYPES
        .iter()
        .find(|known| known.to_string() == wanted)
        .ok_or_else(|| format!("unknown type of topology: {wanted}"))?;
    for server in documents(fixture, "servers") {
        let entry = entry(server, origin)?;
        description.servers.insert(entry.address.clone(), Arc::new(entry));
    }
    Ok(description)
}

fn entry(server: &Document, origin: Instant) -> Result<ServerEntry, String> {
    let known = ["address", "type", "avg_rtt_ms", "tags", "lastUpdateTime", "lastWrite", "maxWireVersion"];
    check_keys(server, &known)?;
    let wanted = server.get_str("type").map_err(|error| error.to_string())?;
    let server_type = *SERVER_TYPES
        .iter()
        .find(|known| known.to_string() == wanted)
        .ok_or_else(|| format!("unknown type of server: {wanted}"))?;
    let millis = |key: &str| server.get(key).and_then(number);
    let mut hello = ServerDescription::read(&rawdoc! { "ok": 1, "maxWireVersion": 21 }).map_err(|e| e.to_string())?;
    hello.server_type = server_type;
    if let Some(version) = millis("maxWireVersion") {
        hello.max_wire_version = WireVersion::new(version as i32);
    }
    let tags = server.get_document("tags").into_iter().flatten();
    hello.tags = tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let last_write = server.get_document("lastWrite").ok().and_then(|last_write| last_write.get("lastWriteDate"));
    hello.last_write_date = last_write.and_then(number).map(|millis| DateTime::from_millis(millis as i64));
    let average = millis("avg_rtt_ms").map(|millis| Duration::from_secs_f64(millis / 1e3));
    Ok(ServerEntry {
        server_type,
        hello: server_type.is_known().then(|| Arc::new(hello)),
        round_trip_times: RoundTripTimes::with_average(average),
        last_update: millis("lastUpdateTime").map(|millis| origin + Duration::from_millis(millis as u64)),
        ..ServerEntry::unknown(address(server)?)
    })
}

/// The read preference that a fixture gives. Mode primary takes no options: where the fixture gives some, there is no such value, which is
/// the error that the fixture expects.
pub(super) fn read_preference(fixture: &Document) -> Result<Option<ReadPreference>, String> {
    check_keys(fixture, &["mode", "tag_sets", "maxStalenessSeconds"])?;
    let mut preference_mode = ReadPreferenceMode::Primary;
    if let Ok(mode) = fixture.get_str("mode") {
        let same = |known: &&ReadPreferenceMode| known.name().eq_ignore_ascii_case(mode);
        preference_mode = *MODES.iter().find(same).ok_or_else(|| format!("unknown mode: {mode}"))?;
    }
    let tag_sets: Vec<TagSet> = documents(fixture, "tag_sets")
        .into_iter()
        .map(|set| {
            set.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
        })
        .collect();
    let seconds = fixture.get("maxStalenessSeconds").and_then(number).filter(|seconds| *seconds >= 0.0);
    let max_staleness = seconds.map(Duration::from_secs_f64);
    let mut options = ReadPreferenceOptions { max_staleness, ..ReadPreferenceOptions::default() };
    let narrowed =
        options.max_staleness.is_some_and(|limit| !limit.is_zero()) || tag_sets.iter().any(|set| !set.is_empty());
    options.tag_sets = (!tag_sets.is_empty()).then_some(tag_sets);
    let possible = preference_mode != ReadPreferenceMode::Primary || !narrowed;
    Ok(possible.then(|| ReadPreference::with_mode(preference_mode, options)))
}

/// The addresses of a list of servers, sorted.
pub(super) fn addresses(fixture: &Document, key: &str) -> Result<Vec<ServerAddress>, String> {
    let mut addresses = documents(fixture, key).into_iter().map(address).collect::<Result<Vec<_>, _>>()?;
    addresses.sort();
    Ok(addresses)
}

pub(super) fn address(server: &Document) -> Result<ServerAddress, String> {
    let address = server.get("address").and_then(Bson::as_str).ok_or("a server has no address")?;
    ServerAddress::parse(address).map_err(|error| error.to_string())
}

const TOPOLOGY_TYPES: &[TopologyType] = &[
    TopologyType::Unknown,
    TopologyType::Single,
    TopologyType::ReplicaSetNoPrimary,
    TopologyType::ReplicaSetWithPrimary,
    TopologyType::Sharded,
    TopologyType::LoadBalanced,
];

const SERVER_TYPES: &[ServerType] = &[
    ServerType::Unknown,
    ServerType::PossiblePrimary,
    ServerType::LoadBalancer,
    ServerType::Standalone,
    ServerType::Mongos,
    ServerType::RsPrimary,
    ServerType::RsSecondary,
    ServerType::RsArbiter,
    ServerType::RsOther,
    ServerType::RsGhost,
];

const MODES: &[ReadPreferenceMode] = &[
    ReadPreferenceMode::Primary,
    ReadPreferenceMode::PrimaryPreferred,
    ReadPreferenceMode::Secondary,
    ReadPreferenceMode::SecondaryPreferred,
    ReadPreferenceMode::Nearest,
];
