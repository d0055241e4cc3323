//! Behind a real load balancer: HAProxy before two fake servers that present themselves as mongos, and they before a real set. Each
//! of them refuses cursors that began on another connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongo_blocking::bson::oid::ObjectId;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::cmap::{CmapEvent, ConnectionClosedReason};
use mongo_blocking::event::sdam::{SdamEvent, ServerType, TopologyType};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection, Cursor};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::{HaProxy, ReplicaSet};

/// As many documents as there are in the collection.
const DOCUMENTS: i32 = 10;

struct Balanced {
    services: [ObjectId; 2],
    fronts: [FakeServer; 2],
    balancer: HaProxy,
}

impl Balanced {
    fn start() -> Option<Balanced> {
        let set = ReplicaSet::shared("6.0")?;
        let services = [(); 2].map(|()| ObjectId::new());
        let front = |id| FakeServer::builder().load_balancer(id).routes_to(&set.addresses(), None).start();
        let fronts = services.map(front);
        let balancer = HaProxy::before(&fronts.each_ref().map(FakeServer::address))?;
        Some(Balanced { services, fronts, balancer })
    }

    /// How many connections clients have made to each router. (The start of HAProxy made one, too.)
    fn connections(&self) -> [usize; 2] {
        self.fronts.each_ref().map(|front| front.commands_named("hello").len())
    }

    fn count(&self, command: &str) -> usize {
        self.fronts.iter().map(|front| front.commands_named(command).len()).sum()
    }
}

/// A client of a load balancer, and what its handlers were told.
struct Watched {
    client: Client,
    pool: Arc<Mutex<Vec<CmapEvent>>>,
    topology: Arc<Mutex<Vec<SdamEvent>>>,
}

impl Watched {
    fn of(balanced: &Balanced, options: &str) -> Watched {
        let pool: Arc<Mutex<Vec<CmapEvent>>> = Arc::default();
        let topology: Arc<Mutex<Vec<SdamEvent>>> = Arc::default();
        let (noted, also_noted) = (pool.clone(), topology.clone());
        let options = ClientOptions::builder()
            .uri(format!("mongodb://{}/?loadBalanced=true{options}", balanced.balancer.address()))
            .cmap_event_handler(EventHandler::new(move |event: &CmapEvent| noted.lock().unwrap().push(event.clone())))
            .sdam_event_handler(EventHandler::new(move |event: &SdamEvent| {
                also_noted.lock().unwrap().push(event.clone());
            }));
        Watched { client: Client::with_options(options.build()).unwrap(), pool, topology }
    }

    fn filled(&self, name: &str) -> Collection<Document> {
        let collection = self.client.database("balanced").collection(name);
        collection.drop().run().unwrap();
        collection.insert_many((0..DOCUMENTS).map(|n| doc! { "_id": n }).collect::<Vec<_>>()).run().unwrap();
        collection
    }

    fn count(&self, wanted: impl Fn(&CmapEvent) -> bool) -> usize {
        self.pool.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    fn in_use(&self) -> usize {
        self.count(|event| matches!(event, CmapEvent::ConnectionCheckedOut(_)))
            - self.count(|event| matches!(event, CmapEvent::ConnectionCheckedIn(_)))
    }
}

fn open(collection: &Collection<Document>) -> Cursor<Document> {
    collection.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(2).run().unwrap()
}

#[test]
fn each_cursor_keeps_its_connection_until_its_end() {
    let Some(balanced) = Balanced::start() else { return };
    let watched = Watched::of(&balanced, "");
    let collection = watched.filled("kept");
    let mut cursors: Vec<_> = (0..6).map(|_| open(&collection)).collect();
    assert_eq!(watched.in_use(), 6);
    assert!(balanced.fronts.iter().all(|front| !front.commands_named("find").is_empty()), "both routers are used");
    for n in 0..DOCUMENTS {
        for cursor in &mut cursors {
            assert_eq!(cursor.next().unwrap().unwrap().get_i32("_id").unwrap(), n);
        }
    }
    assert!(cursors.iter_mut().all(|cursor| cursor.next().is_none()));
    assert_eq!((watched.in_use(), balanced.count("killCursors")), (0, 0));

    let half_read = open(&collection);
    assert_eq!(watched.in_use(), 1);
    drop(half_read);
    assert_eq!((watched.in_use(), balanced.count("killCursors")), (0, 1));

    let in_one_batch = collection.find(doc! {}).run().unwrap();
    assert_eq!(watched.in_use(), 0);
    let (mut one, _other) = (open(&collection), open(&collection));
    assert_eq!(watched.in_use(), 2);
    watched.client.clone().close();
    assert_eq!((watched.in_use(), balanced.count("killCursors")), (0, 3));
    for front in &balanced.fronts {
        for killed in front.commands_named("killCursors") {
            let mut opened = front.commands_named("find").into_iter();
            assert!(opened.any(|find| find.connection == killed.connection), "on the cursor's connection");
        }
    }
    assert!(one.next().unwrap().is_ok() && one.next().unwrap().is_ok() && one.next().unwrap().is_err());
    drop(in_one_batch);
}

#[test]
fn a_failure_concerns_one_service() {
    let Some(balanced) = Balanced::start() else { return };
    let watched = Watched::of(&balanced, "");
    let collection = watched.filled("services");
    // The routers take turns.
    let mut cursors: Vec<_> = (0..4).map(|_| open(&collection)).collect();
    assert_eq!(balanced.connections(), [2, 2]);
    balanced.fronts[0].fail_command(&doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": { "failCommands": ["getMore"], "closeConnection": true },
    });
    let outcomes: Vec<_> = cursors.iter_mut().map(|cursor| cursor.nth(2).unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "{outcomes:?}");
    let cleared: Vec<Option<ObjectId>> = watched
        .pool
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| if let CmapEvent::PoolCleared(event) = event { Some(event.service_id) } else { None })
        .collect();
    assert_eq!(cleared, [Some(balanced.services[0])]);
    assert_eq!(watched.in_use(), 4, "also that of the cursor that failed, until it is dropped");

    drop(cursors);
    assert_eq!((watched.in_use(), balanced.count("killCursors")), (0, 3), "none on the broken connection");
    let closed =
        |reason| watched.count(|event| matches!(event, CmapEvent::ConnectionClosed(event) if event.reason == reason));
    assert_eq!((closed(ConnectionClosedReason::Error), closed(ConnectionClosedReason::Stale)), (1, 1));
    // Those of the other service are used on.
    let _cursors: Vec<_> = (0..2).map(|_| open(&collection)).collect();
    assert_eq!(balanced.connections(), [2, 2]);
}

#[test]
fn nothing_is_checked() {
    let Some(balanced) = Balanced::start() else { return };
    let watched = Watched::of(&balanced, "&heartbeatFrequencyMS=500");
    for _ in 0..3 {
        watched.client.ping().unwrap();
    }
    let topology = watched.client.topology();
    assert_eq!(topology.topology_type(), TopologyType::LoadBalanced);
    assert_eq!(topology.servers().values().next().unwrap().server_type(), ServerType::LoadBalancer);
    watched.client.clone().close();
    let is_heartbeat = |event: &SdamEvent| {
        use SdamEvent::{ServerHeartbeatFailed, ServerHeartbeatStarted, ServerHeartbeatSucceeded};
        matches!(event, ServerHeartbeatStarted(_) | ServerHeartbeatSucceeded(_) | ServerHeartbeatFailed(_))
    };
    assert!(!watched.topology.lock().unwrap().iter().any(is_heartbeat));
    let hellos: Vec<_> = balanced.fronts.iter().flat_map(|front| front.commands_named("hello")).collect();
    assert_eq!((hellos.len(), balanced.count("isMaster")), (1, 0));
    assert!(hellos[0].body.get_bool("loadBalanced").unwrap());
}

#[test]
fn a_server_without_a_service_is_refused() {
    let server = FakeServer::builder().mongos().start();
    let client = Client::with_uri_str(format!("{}?loadBalanced=true", server.uri())).unwrap();
    let error = client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::IncompatibleServer { .. }), "{error:?}");
    let prescribed =
        "Driver attempted to initialize in load balancing mode, but the server does not support this mode.";
    assert!(error.message().starts_with(prescribed), "{error}");
}

#[test]
fn who_waits_in_vain_is_told_what_the_connections_are_for() {
    let Some(balanced) = Balanced::start() else { return };
    let watched = Watched::of(&balanced, "&maxPoolSize=2&waitQueueTimeoutMS=50");
    let collection = watched.filled("waiting");
    let cursors = [open(&collection), open(&collection)];
    let error = watched.client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Pool { .. }), "{error:?}");
    let counts = "maxPoolSize: 2, connections in use by cursors: 2, connections in use by transactions: 0, connections in \
                  use by other operations: 0";
    assert!(error.message().ends_with(counts), "{error}");
    assert!(error.hint().unwrap().contains("cursor"), "{error}");
    drop(cursors);
    watched.client.ping().unwrap();
    assert!(
        balanced.fronts[0].wait_until(Duration::from_secs(5), |front| !front.commands_named("killCursors").is_empty())
    );
}
