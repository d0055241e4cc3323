//! The error of an operation that found no server: what it asked for, and what is known about each server.

use std::time::{Duration, Instant};

use super::description::{ServerEntry, TopologyDescription};
use super::failure::Prospect;
use super::selection::Criteria;
use crate::error::{Error, FaultKind, Stage};

/// The lines that an error has. A replica set has at most 50 members.
const MAX_LINES: usize = 50;

/// The end of a selection that took `elapsed`, and why it is the end.
pub(crate) fn no_server(
    description: &TopologyDescription,
    criteria: Criteria<'_>,
    reason: &str,
    now: Instant,
    elapsed: Duration,
) -> Error {
    let available = description.servers.values().any(|server| server.server_type.is_known());
    let message = if available {
        format!("No servers are suitable for {criteria}: {reason}")
    } else {
        format!("No server available for {criteria}: {reason}")
    };
    let error = Error::new(FaultKind::ServerSelection, Stage::ServerSelection, message).with_elapsed(elapsed);
    let error = match hint(description, available) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    let lines = description.servers.values().take(MAX_LINES).map(|server| line(server, now));
    let left_out = description.servers.len().saturating_sub(MAX_LINES);
    error.with_servers(lines.chain((left_out > 0).then(|| format!("and {left_out} more servers"))))
}

/// What waiting can do about the servers: nothing if each of them refused for good; little if the only one is not there.
pub(crate) fn prospect(description: &TopologyDescription) -> Prospect {
    let prospects: Vec<Prospect> = description
        .servers
        .values()
        .map(|server| server.error.as_ref().map_or(Prospect::MayChange, |error| Prospect::of(error)))
        .collect();
    match prospects.as_slice() {
        [] => Prospect::MayChange,
        all if all.iter().all(|one| *one == Prospect::Final) => Prospect::Final,
        [Prospect::NothingThere] => Prospect::NothingThere,
        _ => Prospect::MayChange,
    }
}

fn line(server: &ServerEntry, now: Instant) -> String {
    let (address, server_type) = (&server.address, server.server_type);
    let Some(at) = server.last_update else { return format!("{address}: {server_type}, not checked yet") };
    let ago = now.saturating_duration_since(at).as_secs_f64();
    match &server.error {
        None => format!("{address}: {server_type}, checked {ago:.1} s ago"),
        Some(error) => {
            let hint = error.hint().map(|hint| format!(" [{hint}]")).unwrap_or_default();
            format!("{address}: {server_type}, {}: {}, {ago:.1} s ago{hint}", error.stage(), error.told())
        }
    }
}

fn hint(description: &TopologyDescription, available: bool) -> Option<&'static str> {
    match (description.servers.is_empty(), available) {
        (true, _) => Some("none of the hosts belongs to the deployment: correct the hosts, or replicaSet"),
        (false, true) if description.is_replica_set() && description.primary().is_none() => {
            Some("the replica set has no primary that this client can reach")
        }
        _ => None,
    }
}
