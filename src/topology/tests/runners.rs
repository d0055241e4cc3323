//! The runners themselves: they notice what is wrong in a fixture.

use bson::Document;

use super::{Verdict, discovery, in_window, server_selection};

#[test]
fn one_wrong_expectation_about_a_description_fails() {
    let faults = [
        (r#""type": "RSPrimary""#, r#""type": "RSSecondary""#, "type is"),
        (r#""RSPrimary", "setName": "rs""#, r#""RSPrimary", "setName": "other""#, "setName is"),
        (r#""setVersion": 1, "minWireVersion""#, r#""setVersion": 2, "minWireVersion""#, "setVersion is"),
        (
            r#""minWireVersion": 0,
        "pool""#,
            r#""minWireVersion": 1, "pool""#,
            "minWireVersion is",
        ),
        (r#""generation": 0"#, r#""generation": 1"#, "the pool's generation is"),
        (r#""generation": 2"#, r#""generation": 1"#, "the pool's generation is"),
        // A network error within hello may come of the server's overload.
        (
            r#""when": "afterHandshakeCompletes""#,
            r#""when": "beforeHandshakeCompletes""#,
            "the pool's generation is Some(1.0)",
        ),
        (r#""error": "reset""#, r#""error": "timed out""#, "should contain 'timed out'"),
        (r#""topologyType": "ReplicaSetNoPrimary""#, r#""topologyType": "Unknown""#, "topologyType is"),
        (r#""maxSetVersion": 1"#, r#""maxSetVersion": 2"#, "maxSetVersion is"),
        (r#""compatible": true"#, r#""compatible": false"#, "compatible is"),
        (r#""logicalSessionTimeoutMinutes": 30"#, r#""logicalSessionTimeoutMinutes": null"#, "logicalSession"),
        (r#""b:27017": {"type": "Unknown"}"#, r#""c:27017": {"type": "Unknown"}"#, "the list of servers is"),
        (r#""compatible": true"#, r#""surprise": true"#, "does not know the key 'surprise'"),
    ];
    check_faults(DISCOVERY, discovery::run, &faults);
}

#[test]
fn one_wrong_event_fails() {
    let faults = [
        (r#"{"topology_opening_event": {"topologyId": "42"}},"#, "", "the number of events is"),
        (r#"{"server_opening_event""#, r#"{"server_closed_event""#, "the event is"),
        (r#""address": "a:27017"}}"#, r#""address": "b:27017"}}"#, "address is"),
        (r#""topologyType": "Single""#, r#""topologyType": "Unknown""#, "topologyType is"),
        (r#""servers": [{"address": "a:27017", "type": "Unknown"}]"#, r#""servers": []"#, "the number of servers is"),
    ];
    check_faults(EVENTS, discovery::run, &faults);
}

#[test]
fn one_wrong_server_of_a_selection_fails() {
    let faults = [
        (r#""suitable_servers": [{"address": "b:27017"}, "#, r#""suitable_servers": ["#, "the suitable servers is"),
        (r#""in_latency_window": [{"address": "b:27017"}]"#, r#""in_latency_window": []"#, "in the latency window is"),
        (r#""operation": "read""#, r#""operation": "read", "error": true"#, "an error is expected"),
        (r#""operation": "read""#, r#""operation": "write""#, "the suitable servers is"),
    ];
    check_faults(SELECTION, server_selection::run, &faults);
}

#[test]
fn one_wrong_frequency_fails() {
    let faults = [
        (r#""a:27017": 1"#, r#""a:27017": 0.9"#, "a:27017 was chosen with frequency 1"),
        (r#""b:27017": 0"#, r#""b:27017": 0.1"#, "b:27017 was chosen with frequency 0"),
    ];
    check_faults(IN_WINDOW, in_window::run, &faults);
}

/// Runs a fixture as it is, and with each of the faults: what stands there, what is put in its place, what the runner says.
fn check_faults(fixture: &str, run: fn(&Document) -> Verdict, faults: &[(&str, &str, &str)]) {
    let run = |text: &str| run(&serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")));
    assert_eq!(run(fixture), Ok(()));
    for (right, wrong, said) in faults {
        assert!(fixture.contains(right), "{right} is in the fixture");
        let why = run(&fixture.replacen(right, wrong, 1)).expect_err(wrong);
        assert!(why.contains(said), "with {wrong}, it failed for another reason: {why}");
    }
}

const DISCOVERY: &str = r#"{"description": "x", "uri": "mongodb://a,b/?replicaSet=rs", "phases": [
    {"responses": [["a:27017", {"ok": 1, "isWritablePrimary": true, "setName": "rs", "setVersion": 1, "hosts": ["a", "b"],
        "electionId": {"$oid": "000000000000000000000001"}, "minWireVersion": 0, "maxWireVersion": 21,
        "logicalSessionTimeoutMinutes": 30}]],
    "outcome": {"servers": {"a:27017": {"type": "RSPrimary", "setName": "rs", "setVersion": 1, "minWireVersion": 0,
        "pool": {"generation": 0}}, "b:27017": {"type": "Unknown"}}, "topologyType": "ReplicaSetWithPrimary",
        "setName": "rs", "maxSetVersion": 1, "maxElectionId": {"$oid": "000000000000000000000001"}, "compatible": true,
        "logicalSessionTimeoutMinutes": 30}},
    {"responses": [["a:27017", {}]],
    "applicationErrors": [{"address": "a:27017", "when": "afterHandshakeCompletes", "maxWireVersion": 21, "type": "network"}],
    "outcome": {"servers": {"a:27017": {"type": "Unknown", "error": "reset", "pool": {"generation": 2}},
        "b:27017": {"type": "Unknown"}}, "topologyType": "ReplicaSetNoPrimary", "setName": "rs"}}]}"#;

const EVENTS: &str = r#"{"description": "x", "uri": "mongodb://a/?directConnection=true", "phases": [{"outcome": {"events": [
    {"topology_opening_event": {"topologyId": "42"}},
    {"topology_description_changed_event": {"topologyId": "42",
        "previousDescription": {"topologyType": "Unknown", "servers": []},
        "newDescription": {"topologyType": "Single", "servers": [{"address": "a:27017", "type": "Unknown"}]}}},
    {"server_opening_event": {"topologyId": "42", "address": "a:27017"}}]}}]}"#;

const SELECTION: &str = r#"{"topology_description": {"type": "ReplicaSetNoPrimary", "servers": [
        {"address": "b:27017", "avg_rtt_ms": 5, "type": "RSSecondary"},
        {"address": "c:27017", "avg_rtt_ms": 100, "type": "RSSecondary"}]},
    "operation": "read", "read_preference": {"mode": "Nearest"},
    "suitable_servers": [{"address": "b:27017"}, {"address": "c:27017"}], "in_latency_window": [{"address": "b:27017"}]}"#;

const IN_WINDOW: &str = r#"{"description": "x", "topology_description": {"type": "Sharded", "servers": [
        {"address": "a:27017", "avg_rtt_ms": 5, "type": "Mongos"}, {"address": "b:27017", "avg_rtt_ms": 5, "type": "Mongos"}]},
    "mocked_topology_state": [{"address": "a:27017", "operation_count": 0}, {"address": "b:27017", "operation_count": 5}],
    "iterations": 100, "outcome": {"tolerance": 0.05, "expected_frequencies": {"a:27017": 1, "b:27017": 0}}}"#;
