//! Connection String: each part of a connection string, and what is none.

use mongo_blocking::options::{ClientOptions, ClientSettings, ServerAddress};
use mongo_blocking::uri::ConnectionString;
use serde_json::{Value, json};

use crate::options::{Judgement, each_case, same, same_options, same_warning};
use mongo_blocking_test_server::report::Report;

pub fn run(report: &mut Report) {
    each_case(report, |_, case| Judgement::Run(judge(case)));
}

fn judge(case: &Value) -> Result<(), String> {
    let uri = case["uri"].as_str().expect("a case has a URI");
    let valid = case["valid"].as_bool().expect("a case is valid or not");
    let options = ClientSettings::parse(uri);
    if !valid {
        return match options {
            Err(_) => Ok(()),
            Ok(_) => Err("it was accepted".to_owned()),
        };
    }
    let parts = ConnectionString::parse(uri).map_err(|error| format!("{error:#}"))?;
    same_hosts(&case["hosts"], parts.hosts())?;
    let auth = &case["auth"];
    if !auth.is_null() {
        same("username", &auth["username"], &json!(parts.username()))?;
        same("password", &auth["password"], &json!(parts.password().map(|password| password.expose())))?;
        same("db", &auth["db"], &json!(parts.database()))?;
    }
    match options {
        Ok(options) => {
            same_warning(case, &options)?;
            same_options(&case["options"], &options)
        }
        // A user name alone is well-formed, and no credential for SCRAM: the password may still come from code.
        Err(error)
            if parts.username().is_some() && parts.password().is_none() && error.message().contains("password") =>
        {
            let options = ClientOptions::builder().uri(uri).password("in code").build().settings();
            same_warning(case, &options.map_err(|error| format!("{error:#}"))?)
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

fn same_hosts(expected: &Value, found: &[ServerAddress]) -> Result<(), String> {
    let expected = expected.as_array().map(Vec::as_slice).unwrap_or_default();
    let expected: Vec<Value> = expected
        .iter()
        .map(|host| match host["type"].as_str() {
            Some("unix") => json!({ "unix": host["host"] }),
            _ => json!({ "host": host["host"], "port": host["port"].as_u64().unwrap_or(27017) }),
        })
        .collect();
    let found: Vec<Value> = found
        .iter()
        .map(|host| match host {
            ServerAddress::Unix { path } => json!({ "unix": path }),
            ServerAddress::Tcp { host, port } => json!({ "host": host, "port": port }),
            other => json!(other.to_string()),
        })
        .collect();
    same("hosts", &json!(expected), &json!(found))
}
