//! The fixtures of server selection and of maximum staleness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::Document;

use super::selection::{addresses, description, read_preference};
use super::{Verdict, check_keys, equal, number, run_folder};
use crate::address::ServerAddress;
use crate::topology::description::ServerEntry;
use crate::topology::selection::{Conditions, Criteria, in_latency_window, suitable_servers};

#[test]
fn server_selection() {
    run_folder("server-selection/tests/server_selection", 60, run);
}

#[test]
fn maximum_staleness() {
    run_folder("max-staleness/tests", 22, run);
}

pub(super) fn run(fixture: &Document) -> Verdict {
    let known = [
        "description",
        "topology_description",
        "operation",
        "read_preference",
        "suitable_servers",
        "in_latency_window",
        "deprioritized_servers",
        "heartbeatFrequencyMS",
        "error",
    ];
    check_keys(fixture, &known)?;
    let topology = fixture.get_document("topology_description").map_err(|error| error.to_string())?;
    let description = description(topology, Instant::now())?;
    let expects_error = fixture.get_bool("error").unwrap_or(false);
    let given = fixture.get_document("read_preference").map(read_preference).unwrap_or(Ok(Some(Default::default())))?;
    let preference = match given {
        Some(preference) => preference,
        None if expects_error => return Ok(()),
        None => return Err("a read preference that cannot exist is given, and no error is expected".to_owned()),
    };
    let criteria = match fixture.get_str("operation") {
        Ok("write") => Criteria::Write,
        Ok("read") | Err(_) => Criteria::Read(&preference),
        Ok(other) => return Err(format!("unknown operation: {other}")),
    };
    let heartbeat = fixture.get("heartbeatFrequencyMS").and_then(number);
    let deprioritised = addresses(fixture, "deprioritized_servers")?;
    let conditions = Conditions {
        criteria,
        deprioritised: &deprioritised,
        local_threshold: Duration::from_millis(15),
        heartbeat_frequency: Duration::from_secs_f64(heartbeat.unwrap_or(10_000.0) / 1e3),
    };
    let suitable = suitable_servers(&description, &conditions);
    if expects_error {
        return match suitable {
            Err(_) => Ok(()),
            Ok(suitable) => Err(format!("an error is expected, and {:?} suit", found(&suitable))),
        };
    }
    let suitable = suitable.map_err(|error| error.to_string())?;
    equal("the suitable servers", found(&suitable), addresses(fixture, "suitable_servers")?)?;
    let window = in_latency_window(suitable, conditions.local_threshold);
    equal("the servers in the latency window", found(&window), addresses(fixture, "in_latency_window")?)
}

fn found(servers: &[&Arc<ServerEntry>]) -> Vec<ServerAddress> {
    servers.iter().map(|server| server.address.clone()).collect()
}
