//! Several servers, on a real replica set: finding it, choosing among its members, and following it when its primary changes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::CommandEvent;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::options::{ClientOptions, Predicate, SelectionCriteria, ServerAddress};
use mongo_blocking::{ServerInfo, ServerType, TopologyType};
use mongo_blocking_test_server::peers::{Mongod, ReplicaSet, ReplicaSetOptions};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire;

/// How long a set may take to elect another primary on a busy machine.
const ELECTION: Duration = Duration::from_secs(60);

/// The address of the server that answers a read with this preference.
fn answered_by(client: &Client, preference: &str) -> String {
    let uri_preference =
        mongo_blocking::options::ClientSettings::parse(&format!("mongodb://h/?readPreference={preference}"));
    let criteria = uri_preference.unwrap().read_preference().clone();
    let hello =
        client.database("admin").run_command(doc! { "hello": 1 }).selection_criteria(criteria.into()).run().unwrap();
    hello.get_str("me").unwrap().to_owned()
}

/// Repeats a write until it succeeds: nothing is retried by itself here.
fn first_success(client: &Client) -> Duration {
    let began = Instant::now();
    let collection = client.database("discovery").collection::<Document>("c");
    loop {
        match collection.insert_one(doc! {}).run() {
            Ok(_) => return began.elapsed(),
            Err(error) => assert!(began.elapsed() < ELECTION, "{error}"),
        }
    }
}

#[test]
fn every_seed_leads_to_the_whole_set() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let everyone: BTreeSet<String> = set.addresses().into_iter().collect();
    let one_host =
        (0..everyone.len()).flat_map(|member| [set.uri_by(member), format!("mongodb://{}/", set.address(member))]);
    for uri in one_host.chain([set.uri()]) {
        let client = Client::with_uri_str(&uri).unwrap();
        client.database("discovery").collection::<Document>("c").insert_one(doc! {}).run().unwrap();
        let topology = client.topology();
        assert_eq!(topology.topology_type(), TopologyType::ReplicaSetWithPrimary, "{uri}");
        let known: BTreeSet<String> = topology.servers().values().map(|server| server.address().to_string()).collect();
        assert_eq!(known, everyone, "{uri}");
    }
}

/// Server Discovery and Monitoring, prose test "Monitors sleep at least minHeartbeatFreqMS between checks".
#[test]
fn monitors_sleep_at_least_min_heartbeat_frequency_between_checks() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let fail_point = doc! {
        "configureFailPoint": "failCommand",
        "mode": {"times": 5},
        "data": {
            "failCommands": ["isMaster", "hello"],
            "errorCode": 1234,
            "appName": "SDAMMinHeartbeatFrequencyTest",
        },
    };
    mongod.run("admin", fail_point);
    let options = "directConnection=true&appname=SDAMMinHeartbeatFrequencyTest&serverSelectionTimeoutMS=5000";
    let client = Client::with_uri_str(format!("{}?{options}", mongod.uri())).unwrap();
    let began = Instant::now();
    client.ping().unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took <= Duration::from_millis(3500), "{took:?}");
}

#[test]
fn reads_go_where_their_preference_sends_them() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let client = Client::with_uri_str(set.uri()).unwrap();
    let primary = set.address(set.primary());
    for _ in 0..5 {
        assert_eq!(answered_by(&client, "primary"), primary);
        assert_ne!(answered_by(&client, "secondary"), primary);
        assert_ne!(answered_by(&client, "secondaryPreferred"), primary);
        assert_eq!(answered_by(&client, "primaryPreferred"), primary);
    }
}

/// Server Selection, "Application-Provided Server Selector", with the official driver's predicates.
#[test]
fn a_predicate_chooses_the_server() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let client = Client::with_uri_str(set.uri()).unwrap();
    client.database("predicates").collection::<Document>("c").insert_one(doc! {}).run().unwrap();
    let port = |server: &ServerInfo| match server.address() {
        ServerAddress::Tcp { port, .. } => *port,
        _ => None,
    };
    let secondary = set.address(set.secondaries()[1]);
    let (asked, wanted) = (client.clone(), secondary.clone());
    // Predicates are asked without a lock: they may call the client.
    let highest: Predicate = Arc::new(move |server: &ServerInfo| {
        let known = asked.topology();
        known.servers().len() == 3 && known.servers().values().filter_map(port).max() == port(server)
    });
    let named: Predicate = Arc::new(move |server: &ServerInfo| {
        server.address().to_string() == wanted && server.server_type() == ServerType::RsSecondary
    });
    let with_highest_port =
        set.addresses().into_iter().max_by_key(|address| address.rsplit_once(':').unwrap().1.parse::<u16>().ok());
    for (predicate, wanted) in [(highest, with_highest_port.unwrap()), (named, secondary)] {
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = events.clone();
        let handler = EventHandler::new(move |event: &CommandEvent| {
            if let CommandEvent::Started(started) = event {
                seen.lock().unwrap().push(started.connection.address.to_string());
            }
        });
        let criteria = SelectionCriteria::Predicate(predicate);
        // As an option of the client, and of one operation.
        let options =
            ClientOptions::builder().uri(set.uri()).selection_criteria(criteria.clone()).command_event_handler(handler);
        let documents =
            Client::with_options(options.build()).unwrap().database("predicates").collection::<Document>("c");
        for _ in 0..10 {
            documents.find_one(doc! {}).run().unwrap();
        }
        let addresses = std::mem::take(&mut *events.lock().unwrap());
        assert!(addresses.len() == 10 && addresses.iter().all(|address| *address == wanted), "{wanted}: {addresses:?}");
        let hello = client.database("admin").run_command(doc! {"hello": 1}).selection_criteria(criteria).run().unwrap();
        assert_eq!(hello.get_str("me").unwrap(), wanted);
    }
    let nobody = SelectionCriteria::Predicate(Arc::new(|_: &ServerInfo| false));
    let impatient = Client::with_uri_str(format!("{}&serverSelectionTimeoutMS=300", set.uri())).unwrap();
    let error = impatient.database("admin").run_command(doc! {"ping": 1}).selection_criteria(nobody).run().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ServerSelection { .. }) && error.to_string().contains("predicate"),
        "{error}"
    );
}

#[test]
fn a_direct_connection_stays_with_its_member() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let secondary = set.secondaries()[0];
    let client = Client::with_uri_str(set.direct_uri(secondary)).unwrap();
    assert_eq!(answered_by(&client, "primary"), set.address(secondary));
    let topology = client.topology();
    assert_eq!((topology.topology_type(), topology.servers().len()), (TopologyType::Single, 1));
    let refused = client.database("discovery").collection::<Document>("c").insert_one(doc! {}).run().unwrap_err();
    assert_eq!(refused.code(), Some(10107), "{refused}");
}

#[test]
fn a_set_of_another_name_is_an_error_with_a_line_for_each_host() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let hosts = set.addresses().join(",");
    let client =
        Client::with_uri_str(format!("mongodb://{hosts}/?replicaSet=other&serverSelectionTimeoutMS=1000")).unwrap();
    let error = client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ServerSelection { .. }), "{error}");
    assert_eq!(error.stage(), Stage::ServerSelection);
    assert!(error.hint().is_some_and(|hint| hint.contains("replicaSet")), "{error}");
}

#[test]
fn seeds_that_are_not_there_have_a_line_each() {
    // Ports that nothing listens on: 1 and 2 belong to services of the past.
    let uri = "mongodb://127.0.0.1:1,127.0.0.1:2/?serverSelectionTimeoutMS=300";
    let error = Client::with_uri_str(uri).unwrap().ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ServerSelection { .. }), "{error}");
    let lines: Vec<&str> = error.servers().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines.iter().all(|line| line.contains("connect")), "{error}");
}

#[test]
fn the_first_write_finds_the_new_primary() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    let client = Client::with_uri_str(set.uri()).unwrap();
    first_success(&client);

    let old = set.step_down();
    println!("stepped down: {:?} to the first write", first_success(&client));
    let primary_of = |client: &Client| {
        let topology = client.topology();
        let primary = topology.servers().into_values().find(|server| server.server_type() == ServerType::RsPrimary);
        primary.map(|server| server.address().to_string())
    };
    assert!(primary_of(&client).is_some());

    set.wait_until_complete();
    let primary = set.primary();
    set.kill(primary);
    println!("killed: {:?} to the first write", first_success(&client));
    assert_ne!(primary_of(&client), Some(set.address(primary)), "{old}");
}

#[test]
fn discovery_is_told_in_order() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let events: Arc<Mutex<Vec<SdamEvent>>> = Arc::default();
    let handler = {
        let events = events.clone();
        EventHandler::new(move |event: &SdamEvent| events.lock().unwrap().push(event.clone()))
    };
    let options = ClientOptions::builder().uri(set.uri()).sdam_event_handler(handler).build().settings().unwrap();
    let client = Client::with_options(options).unwrap();
    client.ping().unwrap();
    client.close();
    let events = events.lock().unwrap();
    assert!(matches!(events.first(), Some(SdamEvent::TopologyOpening(_))), "{:?}", events.first());
    assert!(matches!(events.last(), Some(SdamEvent::TopologyClosed(_))), "{:?}", events.last());
    let count = |is: fn(&SdamEvent) -> bool| events.iter().filter(|event| is(event)).count();
    assert_eq!(count(|event| matches!(event, SdamEvent::ServerOpening(_))), 3);
    assert_eq!(count(|event| matches!(event, SdamEvent::ServerClosed(_))), 3);
    let begun = count(|event| matches!(event, SdamEvent::ServerHeartbeatStarted(_)));
    assert!((1..=3).contains(&begun), "{begun} checks");
    let with_primary = |event: &SdamEvent| match event {
        SdamEvent::TopologyDescriptionChanged(change) => {
            change.new_description.topology_type() == TopologyType::ReplicaSetWithPrimary
        }
        _ => false,
    };
    assert!(events.iter().any(with_primary));
}

/// Client Side Operations Timeout: the server gets what is left of `timeoutMS` without the shortest round trip time.
#[test]
fn the_servers_time_limit_leaves_room_for_the_round_trip() {
    const ROUND_TRIP: Duration = Duration::from_millis(200);
    let peer = Script::start(|mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let reply = match request.name() {
                "ping" => doc! {"ok": 1},
                _ => {
                    thread::sleep(ROUND_TRIP);
                    doc! {"isWritablePrimary": true, "helloOk": true, "maxWireVersion": 17, "ok": 1}
                }
            };
            let _ = wire::write_reply(&mut stream, &request, &reply);
        }
    });
    let limits = Arc::new(Mutex::new(Vec::new()));
    let seen = limits.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Started(started) = event {
            seen.lock().unwrap().push(started.command.get_i64("maxTimeMS").unwrap());
        }
    });
    let uri = format!("mongodb://{}/?timeoutMS=5000&heartbeatFrequencyMS=500", peer.address());
    let client =
        Client::with_options(ClientOptions::builder().uri(uri).command_event_handler(handler).build()).unwrap();
    client.ping().unwrap();
    // Until there are two samples, nothing is known of the round trip.
    thread::sleep(Duration::from_millis(600));
    client.ping().unwrap();
    // Selection took a round trip, and another one is left for the command.
    client.ping().unwrap();
    let limits = limits.lock().unwrap();
    assert!(limits[2] <= 5000 - ROUND_TRIP.as_millis() as i64, "{limits:?}");
    assert!(limits[2] > 3000, "{limits:?}");
}
