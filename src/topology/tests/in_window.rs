//! The fixtures of the choice among equals: how often each server is chosen, by how many operations it runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bson::Document;

use super::selection::{address, description};
use super::{Verdict, check_keys, documents, number, run_folder};
use crate::address::ServerAddress;
use crate::options::{ReadPreference, ReadPreferenceMode};
use crate::topology::selection::{Conditions, Criteria, select};

#[test]
fn choices() {
    run_folder("server-selection/tests/in_window", 7, run);
}

pub(super) fn run(fixture: &Document) -> Verdict {
    let known = ["description", "topology_description", "mocked_topology_state", "iterations", "outcome"];
    check_keys(fixture, &known)?;
    let topology = fixture.get_document("topology_description").map_err(|error| error.to_string())?;
    let description = description(topology, Instant::now())?;
    let mut counts = BTreeMap::new();
    for state in documents(fixture, "mocked_topology_state") {
        check_keys(state, &["address", "operation_count"])?;
        let count = state.get("operation_count").and_then(number).ok_or("operation_count is missing")?;
        counts.insert(address(state)?, count as usize);
    }
    let nearest = ReadPreference::with_mode(ReadPreferenceMode::Nearest, None);
    let conditions = Conditions {
        criteria: Criteria::Read(&nearest),
        deprioritised: &[],
        local_threshold: Duration::from_millis(15),
        heartbeat_frequency: Duration::from_secs(10),
    };
    let iterations = fixture.get("iterations").and_then(number).ok_or("iterations is missing")?;
    let mut random = random_numbers();
    let mut chosen: BTreeMap<ServerAddress, f64> = BTreeMap::new();
    for _ in 0..iterations as usize {
        let count = |address: &ServerAddress| counts.get(address).copied().unwrap_or_default();
        let server = select(&description, &conditions, &count, &mut random).map_err(|error| error.to_string())?;
        *chosen.entry(server.ok_or("no server suits")?.address.clone()).or_default() += 1.0;
    }
    let outcome = fixture.get_document("outcome").map_err(|error| error.to_string())?;
    check_keys(outcome, &["tolerance", "expected_frequencies"])?;
    let tolerance = outcome.get("tolerance").and_then(number).ok_or("tolerance is missing")?;
    let expected = outcome.get_document("expected_frequencies").map_err(|error| error.to_string())?;
    for (server, frequency) in expected {
        let expected = number(frequency).ok_or("a frequency is no number")?;
        let address = ServerAddress::parse(server).map_err(|error| error.to_string())?;
        let found = chosen.get(&address).copied().unwrap_or_default() / iterations;
        let tolerance = if expected == 0.0 || expected == 1.0 { 0.0 } else { tolerance };
        if (found - expected).abs() > tolerance {
            return Err(format!("{server} was chosen with frequency {found}, expected {expected} within {tolerance}"));
        }
    }
    Ok(())
}

/// The same numbers in each run (xorshift).
fn random_numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or_default()
    }
}
