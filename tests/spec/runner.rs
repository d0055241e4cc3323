//! The runner itself: that it notices what is wrong, and that it can do what no file of the folders asks of it yet.
//! (The format's own files that must fail say nothing of events, outcomes and errors.)

use std::sync::Arc;

use crate::unified::case;
use crate::unified::deployment::{AtHand, Deployment};
use crate::unified::file;
use crate::unified::mode::Mode;
use mongo_blocking_test_server::report::Skip;

#[test]
fn a_case_passes_as_it_is() {
    let Some(standalone) = AtHand::standalone() else { return };
    assert_eq!(run(CASE, &standalone), Ok(()));
}

#[test]
fn one_thing_wrong_in_a_case_fails_it() {
    let Some(standalone) = AtHand::standalone() else { return };
    for (right, wrong, said) in FAULTS {
        assert_eq!(CASE.matches(right).count(), 1, "{right} must stand in the case once");
        let why = run(&CASE.replace(right, wrong), &standalone).expect_err(wrong);
        assert!(why.contains(said), "with {wrong}, it failed for another reason: {why}");
    }
}

#[test]
fn loops_threads_and_stored_events() {
    let Some(standalone) = AtHand::standalone() else { return };
    assert_eq!(run(SPECIAL_CASE, &standalone), Ok(()));
    let in_thread = SPECIAL_CASE.replace(r#""document": {"_id": 2}"#, r#""document": {"_id": 1}"#);
    let why = run(&in_thread, &standalone).expect_err("a duplicate key in a thread");
    assert!(why.contains("waitForThread") && why.contains("E11000"), "{why}");
}

#[test]
fn a_case_that_asks_for_access_control_gets_it() {
    if AtHand::standalone().is_none() {
        return;
    }
    let asks = |requirement: &str| {
        let text = CASE.replacen("\"tests\"", &format!(r#""runOnRequirements": [{requirement}], "tests""#), 1);
        let file = file::read(&text).expect("a file of the format");
        let mut chosen = AtHand::all().choose(&file.requirements, &[]);
        chosen.remove(0).map(|chosen| (chosen.facts.auth, run(&text, &chosen)))
    };
    assert_eq!(asks(r#"{"auth": true}"#), Ok((true, Ok(()))));
    assert_eq!(asks(r#"{"auth": false}"#), Ok((false, Ok(()))));
    assert_eq!(asks(r#"{"serverParameters": {"enableTestCommands": true}}"#), Ok((false, Ok(()))));
    assert_eq!(asks(r#"{"minServerVersion": "99.1"}"#), Err(Skip::Needs("a server from 99.1".to_owned())));
}

fn run(text: &str, deployment: &Arc<Deployment>) -> Result<(), String> {
    let file = file::read(text).map_err(|fault| fault.to_string())?;
    case::run(&file, &file.tests[0], deployment, Mode::Inline)
}

/// What stands in the case, what is put in its place, what the failure must say.
const FAULTS: &[(&str, &str, &str)] = &[
    (r#""insertedId": 3"#, r#""insertedId": 4"#, "at .insertedId"),
    (r#"[{"_id": 3}]"#, r#"[{"_id": 3}, {"_id": 5}]"#, "1 documents where 2 are expected"),
    (r#""ordered": true"#, r#""ordered": false"#, "at .ordered"),
    (r#""lsid": {"$$exists": true}"#, r#""lsid": {"$$exists": false}"#, "at .lsid"),
    (r#""databaseName": "noticing", "has"#, r#""databaseName": "overlooked", "has"#, "databaseName"),
    (r#""hasServerConnectionId": true"#, r#""hasServerConnectionId": false"#, "serverConnectionId"),
    (r#""reply": {"n": 1}"#, r#""reply": {"n": 2}"#, "at .n"),
    (r#""commandFailedEvent": {}"#, r#""commandSucceededEvent": {}"#, "commandFailedEvent where"),
    (r#", {"commandFailedEvent": {}}"#, "", "more events than expected"),
    (r#"{"commandFailedEvent": {}}"#, r#"{"commandFailedEvent": {}}, {"commandStartedEvent": {}}"#, "did not come"),
    (r#""errorCode": 2"#, r#""errorCode": 3"#, "errorCode"),
    (r#""errorCodeName": "BadValue""#, r#""errorCodeName": "Other""#, "errorCodeName"),
    (r#""errorContains": "UNKNOWN""#, r#""errorContains": "known best""#, "errorContains"),
    (r#""isClientError": false"#, r#""isClientError": true"#, "isClientError"),
    (r#""errorLabelsOmit": ["Other"]"#, r#""errorLabelsContain": ["Other"]"#, "label"),
    (r#""errorResponse": {"ok": 0}"#, r#""errorResponse": {"ok": 1}"#, "errorResponse"),
    (r#""arguments": {"filter": {"$nonsense": 1}}"#, r#""arguments": {"filter": {}}"#, "succeeded"),
    (r#""sort": {"_id": -1}"#, r#""sorted": {"_id": -1}"#, "no argument sorted"),
    (r#""name": "find", "object": "collection0""#, r#""name": "search", "object": "collection0""#, "no operation"),
    (r#"[{"_id": 1}, {"_id": 3}]"#, r#"[{"_id": 1}, {"_id": {"$numberLong": "3"}}]"#, "holds"),
    (r#"[{"_id": 1}, {"_id": 3}]"#, r#"[{"_id": 1}]"#, "holds"),
    (r#""database": "database0""#, r#""database": "database1""#, "no entity"),
    (r#""database": "database0""#, r#""database": "client0""#, "can't be made"),
    (r#""id": "collection0""#, r#""id": "client0""#, "already"),
];

const CASE: &str = r#"{
  "description": "whether the runner notices",
  "schemaVersion": "1.0",
  "createEntities": [
    {"client": {"id": "client0", "observeEvents": ["commandStartedEvent", "commandSucceededEvent", "commandFailedEvent"]}},
    {"database": {"id": "database0", "client": "client0", "databaseName": "noticing"}},
    {"collection": {"id": "collection0", "database": "database0", "collectionName": "things"}}
  ],
  "initialData": [{"databaseName": "noticing", "collectionName": "things", "documents": [{"_id": 1}]}],
  "tests": [{
    "description": "one",
    "operations": [
      {"name": "insertOne", "object": "collection0",
       "arguments": {"document": {"_id": 3}}, "expectResult": {"insertedId": 3}},
      {"name": "find", "object": "collection0",
       "arguments": {"filter": {"_id": {"$gt": 1}}, "sort": {"_id": -1}}, "expectResult": [{"_id": 3}]},
      {"name": "findOne", "object": "collection0", "arguments": {"filter": {"$nonsense": 1}},
       "expectError": {"isClientError": false, "errorCode": 2, "errorCodeName": "BadValue", "errorContains": "UNKNOWN",
                       "errorLabelsOmit": ["Other"], "errorResponse": {"ok": 0}}}
    ],
    "expectEvents": [{"client": "client0", "events": [
      {"commandStartedEvent": {"command": {"insert": "things", "ordered": true, "lsid": {"$$exists": true}}}},
      {"commandSucceededEvent": {"reply": {"n": 1}}},
      {"commandStartedEvent": {"commandName": "find", "databaseName": "noticing", "hasServerConnectionId": true}},
      {"commandSucceededEvent": {}},
      {"commandStartedEvent": {}}, {"commandFailedEvent": {}}
    ]}],
    "outcome": [{"databaseName": "noticing", "collectionName": "things", "documents": [{"_id": 1}, {"_id": 3}]}]
  }]
}"#;

const SPECIAL_CASE: &str = r#"{
  "description": "what the folders do not ask for yet",
  "schemaVersion": "1.10",
  "createEntities": [
    {"client": {"id": "client0", "observeEvents": ["commandStartedEvent"],
                "storeEventsAsEntities": [{"id": "events0", "events": ["CommandSucceededEvent"]}]}},
    {"database": {"id": "database0", "client": "client0", "databaseName": "special"}},
    {"collection": {"id": "collection0", "database": "database0", "collectionName": "things"}},
    {"thread": {"id": "thread0"}}
  ],
  "initialData": [{"databaseName": "special", "collectionName": "things", "documents": [{"_id": 1, "rounds": 10, "right": 10}]}],
  "tests": [{
    "description": "one",
    "operations": [
      {"name": "loop", "object": "testRunner", "arguments": {
        "storeErrorsAsEntity": "errors", "storeIterationsAsEntity": "iterations", "storeSuccessesAsEntity": "successes",
        "operations": [
          {"name": "countDocuments", "object": "collection0", "arguments": {"filter": {}}, "expectResult": 1},
          {"name": "countDocuments", "object": "collection0", "arguments": {"filter": {}}, "expectResult": 2}]}},
      {"name": "findOne", "object": "collection0", "arguments": {"filter": {"_id": 1}},
       "expectResult": {"rounds": {"$$matchesEntity": "iterations"}, "right": {"$$matchesEntity": "successes"}}},
      {"name": "runOnThread", "object": "testRunner", "arguments": {"thread": "thread0", "operation":
        {"name": "insertOne", "object": "collection0", "arguments": {"document": {"_id": 2}}}}},
      {"name": "waitForThread", "object": "testRunner", "arguments": {"thread": "thread0"}},
      {"name": "waitForEvent", "object": "testRunner",
       "arguments": {"client": "client0", "count": 1, "event": {"commandStartedEvent": {"commandName": "insert"}}}},
      {"name": "assertEventCount", "object": "testRunner",
       "arguments": {"client": "client0", "count": 20, "event": {"commandStartedEvent": {"commandName": "aggregate"}}}},
      {"name": "createFindCursor", "object": "collection0",
       "arguments": {"filter": {}, "sort": {"_id": -1}}, "saveResultAsEntity": "cursor0"},
      {"name": "iterateUntilDocumentOrError", "object": "cursor0", "saveResultAsEntity": "first"},
      {"name": "findOne", "object": "collection0",
       "arguments": {"filter": {"_id": 2}}, "expectResult": {"$$matchesEntity": "first"}},
      {"name": "assertCollectionExists", "object": "testRunner",
       "arguments": {"databaseName": "special", "collectionName": "things"}},
      {"name": "assertIndexNotExists", "object": "testRunner",
       "arguments": {"databaseName": "special", "collectionName": "things", "indexName": "a_1"}}
    ],
    "outcome": [{"databaseName": "special", "collectionName": "things", "documents": [{"_id": 1, "rounds": 10, "right": 10}, {"_id": 2}]}]
  }]
}"#;
