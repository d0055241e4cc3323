//! Whether the runner notices: a case that passes, and the same case with one thing wrong in it, which must fail.
//! (The format's own files that must fail say nothing of events, outcomes and errors.)

use std::sync::Arc;

use crate::unified::case;
use crate::unified::deployment::{self, Deployment};
use crate::unified::file;

#[test]
fn the_case_passes_as_it_is() {
    let Some(deployments) = deployment::standalones() else { return };
    assert_eq!(run(CASE, &deployments[0]), Ok(()));
}

#[test]
fn one_thing_wrong_in_the_case_fails_it() {
    let Some(deployments) = deployment::standalones() else { return };
    for (right, wrong, said) in FAULTS {
        assert_eq!(CASE.matches(right).count(), 1, "{right} must stand in the case once");
        let text = CASE.replace(right, wrong);
        let why = run(&text, &deployments[0]).expect_err(wrong);
        assert!(why.contains(said), "with {wrong}, it failed for another reason: {why}");
    }
}

fn run(text: &str, deployment: &Arc<Deployment>) -> Result<(), String> {
    let file = file::read(text).map_err(|fault| fault.to_string())?;
    case::run(&file, &file.tests[0], deployment)
}

/// What stands in the case, what is put in its place, what the failure must say.
const FAULTS: &[(&str, &str, &str)] = &[
    (r#""insertedId": 3"#, r#""insertedId": 4"#, "at .insertedId"),
    (r#"[{"_id": 3}]"#, r#"[{"_id": 3}, {"_id": 5}]"#, "1 documents where 2 are expected"),
    (r#""ordered": true"#, r#""ordered": false"#, "at .ordered"),
    (r#""lsid": {"$$exists": false}"#, r#""lsid": {"$$exists": true}"#, "at .lsid"),
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
      {"commandStartedEvent": {"command": {"insert": "things", "ordered": true, "lsid": {"$$exists": false}}}},
      {"commandSucceededEvent": {"reply": {"n": 1}}},
      {"commandStartedEvent": {"commandName": "find", "databaseName": "noticing", "hasServerConnectionId": true}},
      {"commandSucceededEvent": {}},
      {"commandStartedEvent": {}}, {"commandFailedEvent": {}}
    ]}],
    "outcome": [{"databaseName": "noticing", "collectionName": "things", "documents": [{"_id": 1}, {"_id": 3}]}]
  }]
}"#;
