//! Discovery on a real replica set: the prose tests of Server Discovery and Monitoring.

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking_test_server::peers::{ReplicaSet, free_port};

/// "All servers unavailable"
#[test]
fn a_client_is_made_though_no_seed_can_be_reached() {
    let seeds = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let uri = format!("mongodb://{}/?replicaSet=rs0&serverSelectionTimeoutMS=100", seeds.join(","));
    let client = Client::with_uri_str(uri).unwrap();
    let error = client.database("admin").run_command(doc! {"ping": 1}).run().unwrap_err();
    for seed in &seeds {
        assert!(error.servers().any(|line| line.contains(seed)), "{seed} is missing in {error}");
    }
}

/// "Topology discovery", "Direct connection" and "Existing behavior"
#[test]
fn a_secondary_as_the_only_seed_leads_to_the_primary() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let secondary = set.address(set.secondaries()[0]);
    let insert = |options: &str| {
        let client = Client::with_uri_str(format!("mongodb://{secondary}/{options}")).unwrap();
        client.database("topologies").collection::<Document>("documents").insert_one(doc! {}).run()
    };
    insert("?directConnection=false").unwrap();
    assert_eq!(insert("?directConnection=true").unwrap_err().code(), Some(NOT_WRITABLE_PRIMARY));
    insert("").unwrap();
}

const NOT_WRITABLE_PRIMARY: i32 = 10107;
