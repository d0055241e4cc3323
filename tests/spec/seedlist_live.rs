//! Initial DNS Seedlist Discovery against what the specification's README asks for: a name server that serves its zone, and is the only
//! one of the system; a replica set `repl0` with TLS on the ports 27017 to 27019; and a load balancer on port 8000, before two servers
//! that present themselves as mongos.

use std::env;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use mongo_blocking::Client;
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Extras};
use mongo_blocking_test_server::peers::{
    HaProxy, MemberCertificates, NameServer, ReplicaSet, ReplicaSetOptions, Scratch, require_free,
};
use mongo_blocking_test_server::report::{Report, specifications};
use serde_json::{Value, json};

use crate::options::same;
use crate::seedlist::records;

/// The name of every host that the zone names, beside `localhost`.
const HOST: &str = "localhost.test.build.10gen.cc";

#[test]
fn a_replica_set_by_its_records() {
    const FOLDER: &str = "initial-dns-seedlist-discovery/tests/replica-set";
    if child::has_own_name_server() {
        return run(FOLDER, 28);
    }
    if specifications().is_none() {
        return;
    }
    let ports = [27017, 27018, 27019];
    ports.into_iter().for_each(require_free);
    let authority = Authority::new();
    let names = Extras { names: vec![HOST.to_owned()], ..Extras::default() };
    let certificates = MemberCertificates {
        authority: authority.pem(),
        server: authority.issue_with(CertPurpose::Server, "localhost", &names).both(),
        client: authority.issue(CertPurpose::Client, "member").both(),
    };
    let options = ReplicaSetOptions {
        name: "repl0".to_owned(),
        host: "localhost",
        ports,
        tls: Some(certificates),
        ..ReplicaSetOptions::default()
    };
    let Some(_set) = ReplicaSet::start("6.0", options) else { return };
    with_zone(Ipv4Addr::new(127, 0, 53, 4), &authority, "a_replica_set_by_its_records");
}

#[test]
fn a_load_balancer_by_its_records() {
    const FOLDER: &str = "initial-dns-seedlist-discovery/tests/load-balanced";
    if child::has_own_name_server() {
        return run(FOLDER, 9);
    }
    if specifications().is_none() {
        return;
    }
    require_free(8000);
    let authority = Authority::new();
    let issued = authority.issue(CertPurpose::Server, HOST);
    let front = || FakeServer::builder().load_balancer(ObjectId::new()).tls(&issued.certificate, &issued.key).start();
    let fronts = [front(), front()];
    let Some(_balancer) = HaProxy::on_port(8000, &fronts.each_ref().map(FakeServer::address)) else { return };
    let tested = with_zone(Ipv4Addr::new(127, 0, 53, 5), &authority, "a_load_balancer_by_its_records");
    let pings: usize = fronts.iter().map(|front| front.commands_named("ping").len()).sum();
    assert_eq!(pings, tested.map_or(0, |()| 4), "one for each case without an error");
}

/// Runs this test once more where the zone is all that names are looked up in.
fn with_zone(address: Ipv4Addr, authority: &Authority, test: &str) -> Option<()> {
    let addresses = format!("{HOST}. 86400 IN A 127.0.0.1\nlocalhost.sub.test.build.10gen.cc. 86400 IN A 127.0.0.1\n");
    let nsd = NameServer::nsd_of_system(address, &(records() + &addresses))?;
    let folder = Scratch::new("seedlist-live");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("a file in the scratch folder");
    child::with_name_server(&nsd, module_path!(), test, &[(CA_FILE, ca_file.to_str().expect("UTF-8").to_owned())])
}

fn run(folder: &'static str, files: usize) {
    let Some(report) = Report::on(folder, files) else { return };
    let mut report = report.titled(format!("{folder}, live"));
    for fixture in report.fixtures() {
        let case: Value = serde_json::from_str(&fixture.text).expect("a fixture is JSON");
        report.judged(&fixture.name, judge(&case));
    }
    report.finish();
}

/// The hosts that a client knows.
#[derive(Default)]
struct Hosts {
    now: Mutex<Vec<String>>,
    changed: Condvar,
}

fn judge(case: &Value) -> Result<(), String> {
    let hosts: Arc<Hosts> = Arc::default();
    let noted = hosts.clone();
    let handler = EventHandler::new(move |event: &SdamEvent| {
        if let SdamEvent::TopologyDescriptionChanged(event) = event {
            let servers = event.new_description.servers();
            let mut now: Vec<String> = servers.keys().map(ToString::to_string).collect();
            now.sort();
            *noted.now.lock().unwrap() = now;
            noted.changed.notify_all();
        }
    });
    let uri = case["uri"].as_str().expect("a case has a URI");
    let ca_file = env::var(CA_FILE).expect("the authority");
    let options = ClientOptions::builder().uri(uri).tls_ca_file(ca_file).sdam_event_handler(handler).build();
    let made = options.settings().and_then(Client::with_options);
    if case["error"].as_bool() == Some(true) {
        return match made {
            Ok(_) => Err("a client was made".to_owned()),
            // The name server answers, so that none of them can be for want of an answer.
            Err(error) if matches!(error.kind(), ErrorKind::NotSupported { .. } | ErrorKind::Io(_)) => {
                Err(format!("{error:#}"))
            }
            Err(_) => Ok(()),
        };
    }
    let client = made.map_err(|error| format!("{error:#}"))?;
    let began = Instant::now();
    let count = case["numHosts"].as_u64().and_then(|count| usize::try_from(count).ok());
    let mut expected: Vec<&str> = case["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    expected.sort();
    loop {
        let ping = client.ping();
        match (case["ping"].as_bool() != Some(false), ping) {
            (true, Err(error)) => return Err(format!("{error:#}")),
            // The user does not exist. The attempt to log in finds the hosts all the same.
            (false, Ok(())) => return Err("the login succeeded".to_owned()),
            (true, Ok(())) | (false, Err(_)) => {}
        }
        let fits = |now: &[String]| count.map_or_else(|| now == expected, |count| now.len() == count);
        let now = hosts.now.lock().unwrap();
        let waiting = hosts.changed.wait_timeout_while(now, Duration::from_secs(1), |now| !fits(now));
        let now = waiting.unwrap().0.clone();
        if fits(&now) {
            return Ok(());
        }
        if began.elapsed() > LIMIT {
            return same("hosts", &json!(expected), &json!(now));
        }
    }
}

/// How long it may take on a busy machine until all hosts are known.
const LIMIT: Duration = Duration::from_secs(30);
const CA_FILE: &str = "MONGO_BLOCKING_TEST_CA_FILE";
