//! Initial DNS Seedlist Discovery: what the records of a name make of a connection string. NSD answers with the records that the
//! specification's own README lists for these cases.

use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking::{Credential, Error};
use mongo_blocking_test_server::peers::NameServer;
use mongo_blocking_test_server::report::Report;
use serde_json::{Map, Value, json};

use crate::options::{same, same_options};

/// Runs each file's case: the seeds and the options, or that there is an error. `None`, after a skip, without a name server.
pub fn run(report: &mut Report) -> Option<()> {
    let nsd = NameServer::nsd(&records())?;
    for fixture in report.fixtures() {
        let case: Value = serde_json::from_str(&fixture.text).expect("a fixture is JSON");
        report.judged(&fixture.name, judge(&case, &nsd));
    }
    Some(())
}

fn judge(case: &Value, nsd: &NameServer) -> Result<(), String> {
    let uri = case["uri"].as_str().expect("a case has a URI");
    let outcome = resolve(uri, nsd);
    if case["error"].as_bool() == Some(true) {
        return match outcome {
            Ok(_) => Err("it was accepted".to_owned()),
            // The name server has answered, so that none of them can be for want of an answer.
            Err(error) if matches!(error.kind(), ErrorKind::NotSupported { .. } | ErrorKind::Io(_)) => {
                Err(format!("{error:#}"))
            }
            Err(_) => Ok(()),
        };
    }
    let options = outcome.map_err(|error| format!("{error:#}"))?;
    let mut seeds: Vec<String> = options.hosts().iter().map(ToString::to_string).collect();
    seeds.sort();
    if let Some(expected) = case["seeds"].as_array() {
        let mut expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
        expected.sort();
        same("seeds", &json!(expected), &json!(seeds))?;
    }
    if let Some(count) = case["numSeeds"].as_u64() {
        same("numSeeds", &json!(count), &json!(seeds.len()))?;
    }
    same_options(&case["options"], &options)?;
    for (name, expected) in case["parsed_options"].as_object().unwrap_or(&Map::new()) {
        let (user, password) = match options.credential() {
            Some(Credential::Scram(scram)) => (json!(scram.username), json!(scram.password.expose())),
            _ => (Value::Null, Value::Null),
        };
        let found = match name.as_str() {
            "user" => user,
            "password" => password,
            "db" | "auth_database" | "defaultDatabase" => json!(options.default_database()),
            _ => return Err(format!("the runner does not know {name}")),
        };
        same(name, expected, &found)?;
    }
    Ok(())
}

fn resolve(uri: &str, nsd: &NameServer) -> Result<ClientSettings, Error> {
    ClientOptions::builder().uri(uri).name_servers([nsd.address().to_string()]).build().settings()?.resolve_srv()
}

/// The records of `source/initial-dns-seedlist-discovery/tests/README.md`, and the second host of test22, which one of the files
/// expects.
pub fn records() -> String {
    let srv = SRV.iter().map(|(name, port, host)| format!("{name}.10gen.cc. 86400 IN SRV 0 0 {port} {host}.\n"));
    let txt = TXT.iter().map(|(name, text)| format!("{name}.test.build.10gen.cc. 86400 IN TXT {text}\n"));
    srv.chain(txt).collect()
}

const LOCALHOST: &str = "localhost.test.build.10gen.cc";

const SRV: &[(&str, u16, &str)] = &[
    ("_mongodb._tcp.test1.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test1.test.build", 27018, LOCALHOST),
    ("_mongodb._tcp.test2.test.build", 27018, LOCALHOST),
    ("_mongodb._tcp.test2.test.build", 27019, LOCALHOST),
    ("_mongodb._tcp.test3.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test5.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test6.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test7.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test8.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test10.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test11.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test12.test.build", 27017, "localhost.build.10gen.cc"),
    ("_mongodb._tcp.test13.test.build", 27017, "test.build.10gen.cc"),
    ("_mongodb._tcp.test14.test.build", 27017, "localhost.not-test.build.10gen.cc"),
    ("_mongodb._tcp.test15.test.build", 27017, "localhost.test.not-build.10gen.cc"),
    ("_mongodb._tcp.test16.test.build", 27017, "localhost.test.build.not-10gen.cc"),
    ("_mongodb._tcp.test17.test.build", 27017, "localhost.test.build.10gen.not-cc"),
    ("_mongodb._tcp.test18.test.build", 27017, "localhost.sub.test.build.10gen.cc"),
    ("_mongodb._tcp.test19.test.build", 27017, "localhost.evil.build.10gen.cc"),
    ("_mongodb._tcp.test19.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test20.test.build", 27017, LOCALHOST),
    ("_mongodb._tcp.test21.test.build", 27017, LOCALHOST),
    ("_customname._tcp.test22.test.build", 27017, LOCALHOST),
    ("_customname._tcp.test22.test.build", 27018, LOCALHOST),
    ("_mongodb._tcp.test23.test.build", 8000, LOCALHOST),
    ("_mongodb._tcp.test24.test.build", 8000, LOCALHOST),
    ("_mongodb._tcp.build", 27017, "build.10gen.cc"),
    ("_mongodb._tcp.test.build", 27017, "test.build.10gen.cc"),
];

const TXT: &[(&str, &str)] = &[
    ("test5", "\"replicaSet=repl0&authSource=thisDB\""),
    ("test6", "\"replicaSet=repl0\""),
    ("test6", "\"authSource=otherDB\""),
    ("test7", "\"ssl=false\""),
    ("test8", "\"authSource\""),
    ("test10", "\"socketTimeoutMS=500\""),
    ("test11", "\"replicaS\" \"et=rep\" \"l0\""),
    ("test20", "\"loadBalanced=true\""),
    ("test21", "\"loadBalanced=false\""),
    ("test24", "\"loadBalanced=true\""),
];

/// What the README says in words, beside the files.
#[test]
fn names_that_the_files_leave_out() {
    let Some(nsd) = NameServer::nsd(&records()) else { return };
    let hosts = |uri: &str| resolve(uri, &nsd).map(|options| options.hosts()[0].to_string());
    for (uri, host) in [
        ("mongodb+srv://build.10gen.cc/", "build.10gen.cc:27017"),
        ("mongodb+srv://test.build.10gen.cc/", "test.build.10gen.cc:27017"),
        ("mongodb+srv://test18.test.build.10gen.cc/", "localhost.sub.test.build.10gen.cc:27017"),
    ] {
        assert_eq!(hosts(uri).unwrap(), host, "{uri}");
    }
    assert!(hosts("mongodb+srv://test13.test.build.10gen.cc/").is_err(), "a parent domain by itself is no host");
    assert!(hosts("mongodb+srv://test6.test.build.10gen.cc/").unwrap_err().message().contains("2 TXT records"));
    let joined = resolve("mongodb+srv://test11.test.build.10gen.cc/", &nsd).unwrap();
    assert_eq!(joined.replica_set(), Some("repl0"));
}
