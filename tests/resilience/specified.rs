//! The prose tests of Server Selection, Max Staleness, Connection Monitoring and Pooling, Server Discovery and Monitoring, and MongoDB
//! Handshake, by their numbers in `tests/prose.md`.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::event::cmap::{CmapEvent, ConnectionCheckoutFailedReason};
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder, DriverInfo, Monitoring, ReadPreference};
use mongo_blocking::{Client, Error, ServerType, TopologyType};
use mongo_blocking_test_server::fake_server::{FakeServer, Mechanism};
use mongo_blocking_test_server::peers::{ReplicaSet, ReplicaSetOptions};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::{child, wire};

const LIMIT: Duration = Duration::from_secs(60);

/// Values that handlers keep, and a wait for what they come to.
struct Log<T>(Mutex<Vec<T>>, Condvar);

impl<T: std::fmt::Debug> Log<T> {
    fn new() -> Arc<Self> {
        Arc::new(Log(Mutex::default(), Condvar::new()))
    }

    fn push(&self, value: T) {
        self.0.lock().unwrap().push(value);
        self.1.notify_all();
    }

    fn wait_until(&self, what: &str, wanted: impl Fn(&[T]) -> bool) {
        let (log, timeout) = self.1.wait_timeout_while(self.0.lock().unwrap(), LIMIT, |log| !wanted(log)).unwrap();
        assert!(!timeout.timed_out(), "{what}: {log:#?}");
    }

    fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Server Selection, "operationCount-based Selection Within Latency Window".
#[test]
fn the_less_busy_router_gets_more_operations() {
    const NAME: &str = "loadBalancingTest";
    const THREADS: usize = 10;
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let routers = FakeServer::two_routers(&set.addresses());
    let addresses = routers.each_ref().map(FakeServer::address);
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        let (started, ready) = (Log::<String>::new(), Log::<String>::new());
        let (of_commands, of_pools) = (started.clone(), ready.clone());
        let uri = format!(
            "mongodb://{}/?appName={NAME}&localThresholdMS=30000&minPoolSize={THREADS}&maxPoolSize={THREADS}",
            addresses.join(",")
        );
        let options = ClientOptions::builder()
            .uri(uri)
            .monitoring(monitoring)
            .command_event_handler(EventHandler::new(move |event: &CommandEvent| {
                if let CommandEvent::Started(event) = event {
                    of_commands.push(event.connection.address.to_string());
                }
            }))
            .cmap_event_handler(EventHandler::new(move |event: &CmapEvent| {
                if let CmapEvent::ConnectionReady(event) = event {
                    of_pools.push(event.address.to_string());
                }
            }));
        let client = Client::with_options(options.build()).unwrap();
        let documents = client.database("selection").collection::<Document>("c");
        documents.find_one(doc! {}).run().unwrap();
        let count = |log: &[String], address: &str| log.iter().filter(|seen| *seen == address).count();
        ready.wait_until("both pools are full", |ready| addresses.iter().all(|at| count(ready, at) >= THREADS));
        let finds = |each: usize| {
            started.take();
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| (0..each).for_each(|_| drop(documents.find_one(doc! {}).run().unwrap())));
                }
            });
            let started = started.take();
            assert_eq!(started.len(), THREADS * each);
            count(&started, &addresses[0]) as f64 / started.len() as f64
        };
        let data = doc! {"failCommands": ["find"], "blockConnection": true, "blockTimeMS": 500, "appName": NAME};
        routers[0].fail_command(&doc! {"mode": {"times": 10_000}, "data": data});
        let share = finds(10);
        assert!(share < 0.25, "{monitoring:?}: {share} of the operations went to the slow router");
        routers[0].fail_command(&doc! {"mode": "off"});
        let share = finds(100);
        assert!(
            (0.4..=0.6).contains(&share),
            "{monitoring:?}: {share} of the operations went to one of two equal routers"
        );
    }
}

/// Max Staleness, "Parse lastWriteDate".
#[test]
fn the_date_of_the_last_write_is_known() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let client = Client::with_uri_str(format!("{}&heartbeatFrequencyMS=500", set.uri())).unwrap();
    let documents = client.database("staleness").collection::<Document>("c");
    // The next check of the primary comes with the first operation after heartbeatFrequencyMS, and tells of the writes before it.
    let written_after = |earlier: i64| {
        let began = Instant::now();
        loop {
            documents.insert_one(doc! {}).run().unwrap();
            let topology = client.topology();
            let primary = topology.servers().into_values().find(|server| server.server_type() == ServerType::RsPrimary);
            let date = primary.unwrap().last_write_date().expect("the date of the last write").timestamp_millis();
            if date > earlier {
                return date;
            }
            assert!(began.elapsed() < LIMIT, "the last write is still that of {date}");
        }
    };
    // The first date may be that of a write before this test.
    let first = written_after(written_after(0));
    let second = written_after(first);
    assert!(second < first + 10_000, "{first}, {second}");
}

/// Max Staleness, "Direct connection to mongos", and Server Selection, "Passing ReadPreference to Mongos". (What the latter asks of the
/// SecondaryOk flag is about messages of old.)
#[test]
fn a_router_is_told_the_read_preference() {
    let router = FakeServer::builder().mongos().start();
    let told = |options: &str| {
        let client = Client::with_uri_str(format!("mongodb://{}/?{options}", router.address())).unwrap();
        client.database("staleness").collection::<Document>("c").find_one(doc! {}).run().unwrap();
        router.commands_named("find").pop().unwrap().body.get_document("$readPreference").ok().cloned()
    };
    let limited = told("readPreference=secondary&maxStalenessSeconds=120").unwrap();
    assert_eq!(limited.get_str("mode").unwrap(), "secondary");
    let seconds = limited.get("maxStalenessSeconds").unwrap();
    assert!(matches!(seconds, Bson::Int32(120) | Bson::Int64(120)), "{limited}");
    for mode in ["secondary", "primaryPreferred", "secondaryPreferred", "nearest"] {
        assert_eq!(told(&format!("readPreference={mode}")), Some(doc! {"mode": mode}));
    }
    assert_eq!(told("readPreference=primary"), None);
    let tagged = told("readPreference=secondaryPreferred&readPreferenceTags=dc:ny").unwrap();
    assert_eq!(tagged, doc! {"mode": "secondaryPreferred", "tags": [{"dc": "ny"}]});
}

/// Connection Monitoring and Pooling 1 to 4: options of the client hold for all of its pools, and handlers are told.
#[test]
fn pools_of_one_client_have_the_same_options() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let pools = Log::<(String, String)>::new();
    let seen = pools.clone();
    let handler = EventHandler::new(move |event: &CmapEvent| {
        if let CmapEvent::PoolCreated(event) = event {
            seen.push((event.address.to_string(), format!("{:?}", event.options)));
        }
    });
    let uri = format!(
        "{}&maxPoolSize=7&minPoolSize=1&maxConnecting=3&maxIdleTimeMS=60000&waitQueueTimeoutMS=5000",
        set.uri()
    );
    let options =
        ClientOptions::builder().uri(uri).monitoring(Monitoring::Background).cmap_event_handler(handler).build();
    let settings = options.settings().unwrap();
    let client = Client::with_options(settings).unwrap();
    client.ping().unwrap();
    pools.wait_until("each member has a pool", |pools| pools.len() == set.addresses().len());
    let pools = pools.take();
    assert!(pools.iter().all(|(_, options)| *options == pools[0].1), "{pools:?}");
    for given in
        ["max_pool_size: Some(7)", "min_pool_size: Some(1)", "max_connecting: Some(3)", "max_idle_time: Some(60s)"]
    {
        assert!(pools[0].1.contains(given), "{given}: {pools:?}");
    }
}

/// Connection Monitoring and Pooling 5.
#[test]
fn a_connection_that_cannot_be_made_is_told_as_a_connection_error() {
    let server = FakeServer::builder().user("user", "pencil", &[Mechanism::ScramSha256], "admin").start();
    let reasons = Log::<ConnectionCheckoutFailedReason>::new();
    let seen = reasons.clone();
    let handler = EventHandler::new(move |event: &CmapEvent| {
        if let CmapEvent::ConnectionCheckoutFailed(event) = event {
            seen.push(event.reason);
        }
    });
    let uri = format!("mongodb://user:wrong@{}/", server.address());
    let client = Client::with_options(ClientOptions::builder().uri(uri).cmap_event_handler(handler).build()).unwrap();
    client.ping().unwrap_err();
    let reasons = reasons.take();
    assert_eq!(reasons, [ConnectionCheckoutFailedReason::ConnectionError]);
    assert_eq!(reasons[0].to_string(), "connectionError");
}

/// Something that happens to a member, how a client meets it, and how it is undone.
struct Trouble {
    name: &'static str,
    of_primary: bool,
    begin: fn(&ReplicaSet, usize),
    meet: fn(&Client) -> Result<(), Error>,
    end: fn(&ReplicaSet, usize),
}

fn fail_once(set: &ReplicaSet, member: usize, data: Document) {
    set.run(member, "admin", doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data});
}

fn maintain(set: &ReplicaSet, member: usize, on: bool) {
    let reply = set.run(member, "admin", doc! {"replSetMaintenance": on});
    assert_eq!(reply.get_f64("ok").unwrap(), 1.0, "{reply}");
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        name: "Network error writing to primary",
        of_primary: true,
        begin: |set, n| fail_once(set, n, doc! {"failCommands": ["insert"], "closeConnection": true}),
        meet: insert,
        end: |_, _| {},
    },
    Trouble {
        name: "\"Node is recovering\" error from a write concern error",
        of_primary: true,
        begin: |set, n| {
            let error = doc! {"code": 91, "errmsg": "Replication is being shut down"};
            fail_once(set, n, doc! {"failCommands": ["insert"], "writeConcernError": error});
        },
        meet: insert,
        end: |_, _| {},
    },
    Trouble {
        name: "\"Node is recovering\" error reading with SecondaryOk bit",
        of_primary: false,
        begin: |set, n| maintain(set, n, true),
        meet: |client| find(client, ReadPreference::secondary(None)),
        end: |set, n| maintain(set, n, false),
    },
    Trouble {
        name: "\"Not writable primary\" error when reading without SecondaryOk bit",
        of_primary: true,
        begin: |set, _| _ = set.step_down(),
        meet: |client| find(client, ReadPreference::Primary),
        end: |set, _| set.wait_until_complete(),
    },
];

/// Server Discovery and Monitoring: what the error of an operation says of its server. On a set of its own.
#[test]
fn an_operation_that_fails_makes_its_server_unknown() {
    let Some(set) = ReplicaSet::start("6.0", ReplicaSetOptions::default()) else { return };
    for Trouble { name, of_primary, begin, meet, end } in TROUBLES {
        let member = if *of_primary { set.primary() } else { set.secondaries()[0] };
        let log = Log::<SdamEvent>::new();
        let seen = log.clone();
        let handler = EventHandler::new(move |event: &SdamEvent| seen.push(event.clone()));
        // All secondaries are as near, and nothing is checked because it is due.
        let options = "&retryReads=false&retryWrites=false&heartbeatFrequencyMS=300000&localThresholdMS=30000";
        let uri = format!("{}{options}", set.uri());
        let client =
            Client::with_options(ClientOptions::builder().uri(uri).sdam_event_handler(handler).build()).unwrap();
        find(&client, ReadPreference::nearest(None)).unwrap();
        insert(&client).unwrap();
        let address = set.address(member);
        let types = || {
            let topology = client.topology();
            let of_member = topology.servers().into_values().find(|server| server.address().to_string() == address);
            (topology.topology_type(), of_member.map(|server| server.server_type()))
        };
        let known = if *of_primary { ServerType::RsPrimary } else { ServerType::RsSecondary };
        assert_eq!(types(), (TopologyType::ReplicaSetWithPrimary, Some(known)), "{name}");
        log.take();
        begin(&set, member);
        // A read of a secondary may go to the other one.
        let began = Instant::now();
        while types().1 == Some(known) {
            let _ = meet(&client);
            assert!(began.elapsed() < LIMIT, "{name}: {:?}", client.topology());
        }
        let topology_type =
            if *of_primary { TopologyType::ReplicaSetNoPrimary } else { TopologyType::ReplicaSetWithPrimary };
        assert_eq!(types(), (topology_type, Some(ServerType::Unknown)), "{name}");
        // A client without threads checks nothing before it needs to.
        let checks = log.take().into_iter().filter(|event| matches!(event, SdamEvent::ServerHeartbeatStarted(_)));
        assert_eq!(checks.count(), 0, "{name}");
        meet(&client).unwrap();
        end(&set, member);
    }
}

fn insert(client: &Client) -> Result<(), Error> {
    client.database("errors").collection::<Document>("c").insert_one(doc! {}).run().map(drop)
}

fn find(client: &Client, preference: ReadPreference) -> Result<(), Error> {
    let documents = client.database("errors").collection::<Document>("c");
    documents.find_one(doc! {}).read_preference(preference).run().map(drop)
}

/// The `client` document of the last handshake.
fn told(server: &FakeServer) -> Document {
    let mut hellos =
        server.commands().into_iter().filter_map(|command| command.body.get_document("client").cloned().ok());
    hellos.next_back().expect("a handshake")
}

/// The variables of MongoDB Handshake 1, and what they make of `client.env`.
#[allow(clippy::type_complexity, reason = "the rows of a table")]
fn environments() -> Vec<(Vec<(&'static str, String)>, Option<Document>)> {
    let variables =
        |pairs: &[(&'static str, &str)]| pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let lambda = [
        ("AWS_EXECUTION_ENV", "AWS_Lambda_java8"),
        ("AWS_REGION", "us-east-2"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
    ];
    let google = [
        ("K_SERVICE", "servicename"),
        ("FUNCTION_MEMORY_MB", "1024"),
        ("FUNCTION_TIMEOUT_SEC", "60"),
        ("FUNCTION_REGION", "us-central1"),
    ];
    let in_container = [&lambda[..], &[("KUBERNETES_SERVICE_HOST", "1")]].concat();
    let long = "a".repeat(512);
    let of_lambda = doc! {"name": "aws.lambda", "region": "us-east-2", "memory_mb": 1024};
    let mut of_container = of_lambda.clone();
    of_container.insert("container", doc! {"orchestrator": "kubernetes"});
    vec![
        (variables(&lambda), Some(of_lambda)),
        (variables(&[("FUNCTIONS_WORKER_RUNTIME", "node")]), Some(doc! {"name": "azure.func"})),
        (
            variables(&google),
            Some(doc! {"name": "gcp.func", "memory_mb": 1024, "timeout_sec": 60, "region": "us-central1"}),
        ),
        (variables(&[("VERCEL", "1"), ("VERCEL_REGION", "cdg1")]), Some(doc! {"name": "vercel", "region": "cdg1"})),
        (variables(&[("AWS_EXECUTION_ENV", "AWS_Lambda_java8"), ("FUNCTIONS_WORKER_RUNTIME", "node")]), None),
        (
            variables(&[("AWS_EXECUTION_ENV", "AWS_Lambda_java8"), ("AWS_REGION", &long)]),
            Some(doc! {"name": "aws.lambda"}),
        ),
        (
            variables(&[("AWS_EXECUTION_ENV", "AWS_Lambda_java8"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "big")]),
            Some(doc! {"name": "aws.lambda"}),
        ),
        (variables(&[("AWS_EXECUTION_ENV", "EC2")]), None),
        (variables(&in_container), Some(of_container)),
    ]
}

/// The tests may run in a container themselves.
fn without_the_machines_own(env: &Document) -> Document {
    let mut env = env.clone();
    if let Ok(container) = env.get_document_mut("container") {
        container.remove("runtime");
        if container.is_empty() {
            env.remove("container");
        }
    }
    env
}

/// MongoDB Handshake 1, each row in a process that has those variables.
#[test]
fn the_environment_is_told_and_never_in_the_way() {
    const ROW: &str = "MONGO_BLOCKING_TEST_ENVIRONMENT_ROW";
    let rows = environments();
    if let Ok(row) = std::env::var(ROW) {
        let server = FakeServer::builder().start();
        Client::with_uri_str(server.uri()).unwrap().ping().unwrap();
        let env = told(&server).get_document("env").ok().map(without_the_machines_own);
        let (_, expected) = &rows[row.parse::<usize>().unwrap()];
        let sorted = |env: Document| env.into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!(env.map(sorted).unwrap_or_default(), expected.clone().map(sorted).unwrap_or_default());
        return;
    }
    for (row, (variables, _)) in rows.iter().enumerate() {
        let mut command = child::command(module_path!(), "the_environment_is_told_and_never_in_the_way");
        for (other, _) in rows.iter().flat_map(|(variables, _)| variables) {
            command.env_remove(other);
        }
        command.env(ROW, row.to_string()).envs(variables.iter().map(|(name, value)| (name, value)));
        child::run(&mut command);
    }
}

/// MongoDB Handshake 2.
#[test]
fn an_unknown_mechanism_in_the_reply_to_hello_does_not_matter() {
    let peer = Script::start(|mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let reply = doc! {
                "isWritablePrimary": true, "helloOk": true, "maxWireVersion": 17, "ok": 1,
                "saslSupportedMechs": ["something arbitrary"],
            };
            let _ = wire::write_reply(&mut stream, &request, &reply);
        }
    });
    Client::with_uri_str(format!("mongodb://{}/", peer.address())).unwrap().ping().unwrap();
}

fn info(name: &str, version: &str, platform: &str) -> DriverInfo {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    DriverInfo { name: name.to_owned(), version: some(version), platform: some(platform) }
}

/// Name, version and platform of the driver, without those of this one.
fn added(told: &Document) -> [String; 3] {
    let driver = told.get_document("driver").unwrap();
    let texts = [driver.get_str("name"), driver.get_str("version"), told.get_str("platform")];
    texts.map(|text| text.unwrap().split_once('|').map_or("", |(_, added)| added).to_owned())
}

/// All but what a wrapping library adds to.
fn rest(mut told: Document) -> Document {
    told.remove("driver");
    told.remove("platform");
    told
}

/// A client's handshakes before and after it is told of one more library.
fn handshakes(
    begin: impl Fn(ClientOptionsBuilder) -> ClientOptionsBuilder,
    first: &[DriverInfo],
    then: &DriverInfo,
) -> [Document; 2] {
    let server = FakeServer::builder().start();
    let client =
        Client::with_options(begin(ClientOptions::builder().uri(format!("{}?maxIdleTimeMS=1", server.uri()))).build())
            .unwrap();
    first.iter().for_each(|info| client.append_metadata(info.clone()).unwrap());
    client.ping().unwrap();
    let before = told(&server);
    thread::sleep(Duration::from_millis(5));
    let connections = server.connections();
    client.append_metadata(then.clone()).unwrap();
    client.ping().unwrap();
    assert!(server.connections() > connections, "the ping did not need a new connection");
    [before, told(&server)]
}

/// MongoDB Handshake, Client Metadata Update 1 and 2.
#[test]
fn metadata_of_a_wrapping_library_is_appended() {
    let library = || info("library", "1.2", "Library Platform");
    for (version, platform) in [("2.0", "Framework Platform"), ("2.0", ""), ("", "Framework Platform"), ("", "")] {
        let framework = info("framework", version, platform);
        let at_first = handshakes(|options| options.driver_info(library()), &[], &framework);
        let later = handshakes(|options| options, &[library()], &framework);
        for [before, after] in [at_first, later] {
            assert_eq!(added(&before), ["library", "1.2", "Library Platform"]);
            let with =
                |first: &str, more: &str| if more.is_empty() { first.to_owned() } else { format!("{first}|{more}") };
            let expected = [with("library", "framework"), with("1.2", version), with("Library Platform", platform)];
            assert_eq!(added(&after), expected);
            assert_eq!(rest(before), rest(after));
        }
    }
}

/// MongoDB Handshake, Client Metadata Update 3 and 4.
#[test]
fn metadata_that_was_told_before_is_not_appended_again() {
    let library = || info("library", "1.2", "Library Platform");
    for name in ["library", "framework"] {
        for version in ["1.2", "2.0"] {
            for platform in ["Library Platform", "Framework Platform"] {
                let more = info(name, version, platform);
                let [before, after] = handshakes(|options| options, &[library()], &more);
                let same = more.name == "library" && version == "1.2" && platform == "Library Platform";
                let expected = match same {
                    true => ["library".to_owned(), "1.2".to_owned(), "Library Platform".to_owned()],
                    false => {
                        [format!("library|{name}"), format!("1.2|{version}"), format!("Library Platform|{platform}")]
                    }
                };
                assert_eq!(added(&after), expected);
                assert_eq!(rest(before), rest(after));
            }
        }
    }
    let [before, after] = handshakes(|options| options.driver_info(library()), &[], &library());
    assert_eq!(before, after);
}
