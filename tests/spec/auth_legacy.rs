//! Authentication: which credential a connection string makes.

use mongo_blocking::Credential;
use mongo_blocking::options::ClientSettings;
use serde_json::{Value, json};

use crate::options::{Judgement, each_case, properties, same};
use mongo_blocking_test_server::report::{Report, Skip};

pub fn run(report: &mut Report) {
    each_case(report, |_, case| {
        let uri = case["uri"].as_str().expect("a case has a URI");
        let valid = case["valid"].as_bool().expect("a case is valid or not");
        if !valid && uri.contains("MONGODB-AWS") && uri.contains("user:pass@") {
            let reason = "AWS keys in a connection string are accepted, as another case of the same file asks";
            return Judgement::Skip(Skip::Contradicted(reason.to_owned()));
        }
        Judgement::Run(judge(uri, valid, &case["credential"]))
    });
}

fn judge(uri: &str, valid: bool, expected: &Value) -> Result<(), String> {
    let options = match (ClientSettings::parse(uri), valid) {
        (Ok(options), true) => options,
        (Err(_), false) => return Ok(()),
        (Ok(_), false) => return Err("it was accepted".to_owned()),
        (Err(error), true) => return Err(format!("{error:#}")),
    };
    let Some(credential) = options.credential() else {
        return same("credential", expected, &Value::Null);
    };
    let found = json!({
        "username": credential.username(),
        "password": credential.password().map(|password| password.expose()),
        "source": credential.source(),
        "mechanism": credential.mechanism(),
        "mechanism_properties": properties(credential),
    });
    for name in ["username", "password", "source", "mechanism", "mechanism_properties"] {
        same(name, &expected[name], &found[name])?;
    }
    match credential {
        Credential::Gssapi(_) | Credential::Scram(_) | Credential::Plain(_) => Ok(()),
        _ => same("source", &json!("$external"), &json!(credential.source())),
    }
}
