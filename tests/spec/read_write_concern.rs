//! Read and Write Concern: from a connection string, and as a command carries them.

use std::time::Duration;

use mongo_blocking::WarningKind;
use mongo_blocking::bson::{Document, RawDocumentBuf};
use mongo_blocking::options::{Acknowledgment, ClientSettings, ReadConcern, WriteConcern};
use serde_json::{Value, json};

use crate::options::{Judgement, each_case, same, same_warning, write_concern};
use mongo_blocking_test_server::report::Report;

/// The folder `connection-string`.
pub fn run_connection_string(report: &mut Report) {
    each_case(report, |_, case| Judgement::Run(judge_uri(case)));
}

/// The folder `document`.
pub fn run_document(report: &mut Report) {
    each_case(report, |fixture, case| {
        Judgement::Run(if fixture.name == "read-concern" { judge_read(case) } else { judge_write(case) })
    });
}

fn judge_uri(case: &Value) -> Result<(), String> {
    let uri = case["uri"].as_str().expect("a case has a URI");
    let valid = case["valid"].as_bool().expect("a case is valid or not");
    let options = match (ClientSettings::parse(uri), valid) {
        (Ok(options), _) => options,
        (Err(_), false) => return Ok(()),
        (Err(error), true) => return Err(error.to_string()),
    };
    if !valid {
        // URI Options wants a warning for a value that makes no sense; where `warning` is left open, that is what is meant.
        let ignored = options.warnings().iter().any(|warning| warning.kind() == WarningKind::InvalidValue);
        let open = case["warning"].is_null();
        return if open && ignored { Ok(()) } else { Err("it was accepted".to_owned()) };
    }
    same_warning(case, &options)?;
    if !case["readConcern"].is_null() {
        let found = options.read_concern().map_or(json!({}), |concern| json!({ "level": concern.level.as_str() }));
        same("readConcern", &case["readConcern"], &found)?;
    }
    if !case["writeConcern"].is_null() {
        let found = options.write_concern().map_or(json!({}), write_concern);
        same("writeConcern", &case["writeConcern"], &found)?;
    }
    Ok(())
}

fn judge_read(case: &Value) -> Result<(), String> {
    let level = case["readConcern"]["level"].as_str();
    let document = level.map(|level| ReadConcern::custom(level).to_document()).unwrap_or_default();
    same("isServerDefault", &case["isServerDefault"], &json!(level.is_none()))?;
    same("readConcernDocument", &case["readConcernDocument"], &as_json(document))
}

fn judge_write(case: &Value) -> Result<(), String> {
    let concern = given_concern(&case["writeConcern"])
        .and_then(|concern| concern.check().map(|()| concern).map_err(|error| error.to_string()));
    let concern = match (concern, case["valid"] == json!(false)) {
        (Ok(concern), false) => concern,
        (Err(_), true) => return Ok(()),
        (Ok(_), true) => return Err("it was accepted".to_owned()),
        (Err(why), false) => return Err(why),
    };
    same("isServerDefault", &case["isServerDefault"], &json!(concern == WriteConcern::default()))?;
    same("isAcknowledged", &case["isAcknowledged"], &json!(concern.is_acknowledged()))?;
    same("writeConcernDocument", &case["writeConcernDocument"], &as_json(concern.to_document()))
}

/// A write concern as a program would give it; what its types do not take is an error, as it is for a compiler.
fn given_concern(given: &Value) -> Result<WriteConcern, String> {
    let mut concern = WriteConcern::default();
    concern.w = match &given["w"] {
        Value::Null => None,
        Value::String(name) if name == "majority" => Some(Acknowledgment::Majority),
        Value::String(name) => Some(Acknowledgment::Custom(name.clone())),
        count => {
            let count = count.as_u64().and_then(|count| u32::try_from(count).ok());
            Some(Acknowledgment::Nodes(count.ok_or_else(|| format!("w: {} is not a count", given["w"]))?))
        }
    };
    concern.w_timeout = match &given["wtimeoutMS"] {
        Value::Null => None,
        limit => {
            let limit = limit.as_u64().ok_or_else(|| format!("wtimeoutMS: {limit} is not a count of milliseconds"))?;
            Some(Duration::from_millis(limit))
        }
    };
    concern.journal = match &given["journal"] {
        Value::Null => None,
        journal => Some(journal.as_bool().ok_or_else(|| format!("journal: {journal} is not a boolean"))?),
    };
    Ok(concern)
}

fn as_json(document: RawDocumentBuf) -> Value {
    let document = Document::try_from(document).expect("a document");
    serde_json::to_value(document).expect("JSON")
}
