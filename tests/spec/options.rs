//! What a case of the connection string folders expects, and how it is compared with what our options say.

use mongo_blocking::options::{Acknowledgment, ClientSettings, WriteConcern};
use mongo_blocking::{CanonicalizeHostName, Credential, Warning, WarningKind};
use serde_json::{Map, Value, json};

use mongo_blocking_test_server::report::{Fixture, Report, Skip};

/// The cases of all the folder's files, each judged by `judge`.
pub fn each_case(report: &mut Report, judge: impl Fn(&Fixture, &Value) -> Judgement) {
    for fixture in report.fixtures() {
        let file: Value = serde_json::from_str(&fixture.text).expect("a fixture is JSON");
        for case in file["tests"].as_array().expect("a fixture has tests") {
            let name = format!("{}: {}", fixture.name, case["description"].as_str().unwrap_or_default());
            match judge(&fixture, case) {
                Judgement::Run(result) => report.judged(&name, result),
                Judgement::Skip(skip) => report.skipped(&skip),
            }
        }
    }
}

/// What became of a case.
pub enum Judgement {
    Run(Result<(), String>),
    Skip(Skip),
}

/// Compares, and says what differs.
pub fn same(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    if equal(expected, found) { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}")) }
}

/// Numbers are compared by their value; otherwise exact.
fn equal(expected: &Value, found: &Value) -> bool {
    match (expected.as_f64(), found.as_f64()) {
        (Some(expected), Some(found)) => expected == found,
        _ => expected == found,
    }
}

/// Whether the options warn of what the specification wants a warning for. That a part of the driver is not built yet, or
/// that a choice is insecure, are warnings of our own.
pub fn warns(warnings: &[Warning]) -> bool {
    warnings.iter().any(|warning| !matches!(warning.kind(), WarningKind::NoEffect | WarningKind::Insecure))
}

/// Compares `warning` of the case, unless it is null.
pub fn same_warning(case: &Value, options: &ClientSettings) -> Result<(), String> {
    match case["warning"].as_bool() {
        Some(expected) if expected != warns(options.warnings()) => {
            Err(format!("warning: expected {expected}, found {:?}", options.warnings()))
        }
        _ => Ok(()),
    }
}

/// Compares each expected option with what the getter says, where it has one of its own in [`found`], and with the connection string that the
/// options are written back as, which has every option of the table.
pub fn same_options(expected: &Value, options: &ClientSettings) -> Result<(), String> {
    let written = Written::new(options);
    for (name, expected) in expected.as_object().unwrap_or(&Map::new()) {
        let name = name.to_lowercase();
        let by_getter = found(&name, options);
        if let Some(found) = &by_getter {
            same(&name, expected, found)?;
        }
        match written.value(&name, expected) {
            Some(found) => same(&format!("{name} in to_uri"), expected, &found)?,
            None if by_getter.is_none() => same(&name, expected, &Value::Null)?,
            None => {}
        }
    }
    Ok(())
}

/// The options of a connection string: their names in lower case, and their values in order.
struct Written(Vec<(String, String)>);

impl Written {
    fn new(options: &ClientSettings) -> Written {
        let uri = options.to_uri(true);
        let query = uri.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Written(pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect())
    }

    /// The value of an option, in the form in which the fixtures expect it; `None` where it is not written.
    fn value(&self, name: &str, expected: &Value) -> Option<Value> {
        let own = self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let values: Vec<&str> = own.collect();
        let value = *values.first()?;
        Some(match expected {
            Value::Array(items) if items.iter().all(Value::is_object) => values.iter().map(|set| pairs(set)).collect(),
            Value::Array(_) => value.split(',').map(|item| json!(decode(item))).collect(),
            Value::Object(_) => pairs(value),
            Value::Bool(_) | Value::Number(_) => serde_json::from_str(value).unwrap_or_else(|_| json!(decode(value))),
            _ => json!(decode(value)),
        })
    }
}

/// `key:value,key:value` as an object; `true` and `false` are booleans.
fn pairs(text: &str) -> Value {
    let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
    let value = |text: String| match text.as_str() {
        "true" | "false" => json!(text == "true"),
        _ => json!(text),
    };
    Value::Object(pairs.map(|(key, text)| (decode(key), value(decode(text)))).collect())
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let digits = if byte == b'%' { bytes.next().zip(bytes.next()) } else { None };
        let digits = digits.and_then(|(a, b)| Some(char::from(a).to_digit(16)? * 16 + char::from(b).to_digit(16)?));
        decoded.push(digits.and_then(|value| u8::try_from(value).ok()).unwrap_or(byte));
    }
    String::from_utf8(decoded).expect("UTF-8 in a connection string")
}

fn found(name: &str, options: &ClientSettings) -> Option<Value> {
    let millis = |limit: std::time::Duration| json!(limit.as_millis() as u64);
    let write = options.write_concern();
    Some(match name {
        "appname" => json!(options.app_name()),
        "authmechanism" => json!(options.credential().and_then(Credential::mechanism)),
        "authmechanismproperties" => options.credential().map_or(Value::Null, properties),
        "authsource" => json!(options.auth_source()),
        "compressors" => json!(options.compressors()),
        "connecttimeoutms" => millis(options.connect_timeout()),
        "directconnection" => json!(options.direct_connection()),
        "enableoverloadretargeting" => json!(options.enable_overload_retargeting()),
        "heartbeatfrequencyms" => millis(options.heartbeat_frequency()),
        "journal" => json!(write.and_then(|concern| concern.journal)),
        "loadbalanced" => json!(options.load_balanced()),
        "localthresholdms" => millis(options.local_threshold()),
        "maxadaptiveretries" => json!(options.max_adaptive_retries()),
        "maxconnecting" => json!(options.max_connecting()),
        "maxidletimems" => options.max_idle_time().map_or(Value::Null, millis),
        "maxpoolsize" => json!(options.max_pool_size()),
        "maxstalenessseconds" => json!(options.read_preference().max_staleness().map(|limit| limit.as_secs())),
        "minpoolsize" => json!(options.min_pool_size()),
        "readconcernlevel" => json!(options.read_concern().map(|concern| concern.level.as_str())),
        "readpreference" => json!(options.read_preference().mode().name()),
        "readpreferencetags" => json!(options.read_preference().tag_sets()),
        "replicaset" => json!(options.replica_set()),
        "retrywrites" => json!(options.retry_writes()),
        "servermonitoringmode" => json!(options.server_monitoring_mode()),
        "serverselectiontimeoutms" => millis(options.server_selection_timeout()),
        "serverselectiontryonce" => json!(options.server_selection_try_once()),
        "sockettimeoutms" => options.socket_timeout().map_or(Value::Null, millis),
        "srvmaxhosts" => json!(options.srv_max_hosts()),
        "srvservicename" => json!(options.srv_service_name()),
        "timeoutms" => options.timeout().map_or(Value::Null, millis),
        "tls" | "ssl" => json!(options.tls().is_some()),
        "tlsdisablecertificaterevocationcheck" => json!(options.tls()?.disable_certificate_revocation_check),
        "tlsdisableocspendpointcheck" => json!(options.tls()?.disable_ocsp_endpoint_check),
        "w" => write.map_or(Value::Null, |concern| write_concern(concern)["w"].clone()),
        "wtimeoutms" => write.map_or(Value::Null, |concern| write_concern(concern)["wtimeoutMS"].clone()),
        "zlibcompressionlevel" => json!(options.zlib_compression_level()),
        _ => return None,
    })
}

/// A write concern in the words of the fixtures.
pub fn write_concern(concern: &WriteConcern) -> Value {
    let mut out = Map::new();
    match &concern.w {
        Some(Acknowledgment::Nodes(count)) => drop(out.insert("w".to_owned(), json!(count))),
        Some(Acknowledgment::Majority) => drop(out.insert("w".to_owned(), json!("majority"))),
        Some(Acknowledgment::Custom(name)) => drop(out.insert("w".to_owned(), json!(name))),
        _ => {}
    }
    if let Some(limit) = concern.w_timeout {
        out.insert("wtimeoutMS".to_owned(), json!(limit.as_millis() as u64));
    }
    if let Some(journal) = concern.journal {
        out.insert("journal".to_owned(), json!(journal));
    }
    Value::Object(out)
}

/// The mechanism properties of a credential, null where there are none.
pub fn properties(credential: &Credential) -> Value {
    let mut out = Map::new();
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), json!(value));
        }
    };
    match credential {
        Credential::Gssapi(gssapi) => {
            add("SERVICE_NAME", Some(&gssapi.service_name));
            add("SERVICE_REALM", gssapi.service_realm.as_deref());
            add("SERVICE_HOST", gssapi.service_host.as_deref());
            add("CANONICALIZE_HOST_NAME", gssapi.canonicalize_host_name.map(CanonicalizeHostName::name));
        }
        Credential::Aws(aws) => {
            let token = aws.keys.as_ref().and_then(|keys| keys.session_token.as_ref());
            add("AWS_SESSION_TOKEN", token.map(|token| token.expose()));
        }
        Credential::Oidc(oidc) => {
            add("ENVIRONMENT", oidc.environment().map(|it| it.name()));
            add("TOKEN_RESOURCE", oidc.environment().and_then(|it| it.token_resource()));
        }
        _ => {}
    }
    if out.is_empty() { Value::Null } else { Value::Object(out) }
}
