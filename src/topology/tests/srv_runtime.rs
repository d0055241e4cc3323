//! The prose tests of the specification of polling SRV records on a whole topology: a resolver whose answers change, a clock that
//! the tests set, and four servers that present themselves as mongos.

use std::error::Error as StdError;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::rawdoc;
use mongo_blocking_test_server::fake_server::FakeServer;

use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::dns::SrvPolling;
use crate::error::ErrorKind;
use crate::event::sdam::TopologyType;
use crate::locks::{lock, unpoisoned};
use crate::operation::Target;
use crate::options::{ClientOptions, Monitoring, ServerAddress};
use crate::pool::PooledConnection;
use crate::resolver::{Resolver, SrvRecord};
use crate::system::RealSystem;
use crate::topology::Topology;
use crate::topology::state::State;
use crate::wire::Message;

const HOST: &str = "localhost.test.build.10gen.cc";
const TEST_1: &str = "mongodb+srv://test1.test.build.10gen.cc/?tls=false";
/// How long a helper thread may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What DNS answers at the moment, or why it does not; and how often it was asked.
#[derive(Clone, Default)]
struct Dns(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    ports: Vec<u16>,
    failure: Option<&'static str>,
    asked: usize,
    /// How long the next answer takes at most: until the other end is dropped.
    held: Option<(mpsc::Receiver<()>, Duration)>,
}

impl Resolver for Dns {
    fn srv(&self, name: &str, _within: Duration) -> Result<Vec<SrvRecord>, Box<dyn StdError + Send + Sync>> {
        let of_custom_service = name == "_customname._tcp.test22.test.build.10gen.cc";
        assert!(of_custom_service || name.starts_with("_mongodb._tcp.test"), "{name}");
        let mut state = lock(&self.0);
        state.asked += 1;
        if let Some((held, most)) = state.held.take() {
            drop(state);
            let _ = held.recv_timeout(most);
            state = lock(&self.0);
        }
        match state.failure {
            Some(failure) => Err(failure.into()),
            None => Ok(state.ports.iter().map(|port| SrvRecord::new(HOST, *port)).collect()),
        }
    }

    fn txt(&self, _name: &str, _within: Duration) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>> {
        Ok(Vec::new())
    }

    fn addresses(&self, host: &str, _within: Duration) -> Option<Result<Vec<IpAddr>, Box<dyn StdError + Send + Sync>>> {
        (host == HOST).then(|| Ok(vec![[127, 0, 0, 1].into()]))
    }
}

/// A client of the hosts that DNS names, and what the hosts are.
struct Routers {
    /// Before the servers, which wait for their connections to end when they are dropped.
    topology: Topology,
    /// In the place of the ports 27017 to 27020.
    routers: Vec<FakeServer>,
    dns: Dns,
}

impl Routers {
    fn new(uri: &str) -> Self {
        Self::with(uri, &[0, 1], || FakeServer::builder().mongos().start())
    }

    fn with(uri: &str, named: &[usize], router: impl Fn() -> FakeServer) -> Self {
        Self::with_monitoring(uri, named, router, Monitoring::Inline)
    }

    fn with_monitoring(uri: &str, named: &[usize], router: impl Fn() -> FakeServer, monitoring: Monitoring) -> Self {
        let routers: Vec<FakeServer> = (0..4).map(|_| router()).collect();
        let named = named.iter().map(|router| routers[*router].port()).collect();
        Self::named(uri, named, routers, monitoring)
    }

    /// A client of these ports, whether there is a router or not.
    fn named(uri: &str, ports: Vec<u16>, routers: Vec<FakeServer>, monitoring: Monitoring) -> Self {
        let dns = Dns::default();
        lock(&dns.0).ports = ports;
        let options = ClientOptions::builder().uri(uri).resolver(dns.clone()).monitoring(monitoring).build();
        let options = options.settings().unwrap().resolve_srv().unwrap();
        let factory = Arc::new(ConnectionFactory::new(&options, &RealSystem::shared()).unwrap());
        let topology = Topology::new(&Arc::new(options), &factory).unwrap();
        Routers { topology, routers, dns }
    }

    /// From now on DNS names these routers.
    fn name(&self, routers: &[usize]) {
        lock(&self.dns.0).ports = routers.iter().map(|router| self.routers[*router].port()).collect();
        lock(&self.dns.0).failure = None;
    }

    fn fail(&self, why: &'static str) {
        lock(&self.dns.0).failure = Some(why);
    }

    /// From now on the next answer of DNS takes this long, or until what this returns is dropped.
    fn hold(&self, most: Duration) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel();
        lock(&self.dns.0).held = Some((held, most));
        hold
    }

    fn asked(&self) -> usize {
        lock(&self.dns.0).asked
    }

    /// What an operation does to the topology: chooses a server and takes a connection.
    fn operate(&self) -> u16 {
        let (connection, port) = self.begin();
        drop(connection);
        port
    }

    /// An operation's connection, and the port that it leads to.
    fn begin(&self) -> (PooledConnection, u16) {
        loop {
            let selected =
                self.topology.select(Target::Writable, &[], Deadline::after(LIMIT), Instant::now()).expect("a server");
            let limit = Deadline::after(LIMIT);
            match selected
                .server
                .check_out(limit, limit, selected.opened, selected.chosen)
                .map_err(|failure| failure.error)
            {
                Ok(connection) => return (connection, port(selected.server.address())),
                // The server has left in the meantime, after which an operation chooses again.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Sets the clock on.
    fn later(&self, seconds: u64) {
        self.topology.shared().clock.advance(Duration::from_secs(seconds));
    }

    /// Waits until the helper thread has done this.
    fn wait_until(&self, condition: impl Fn(&mut State) -> bool) -> bool {
        let shared = self.topology.shared();
        let began = Instant::now();
        let mut state = shared.lock();
        while !condition(&mut state) {
            if began.elapsed() > LIMIT {
                return false;
            }
            // A failure changes nothing, so that it wakes nobody.
            state = unpoisoned(shared.changed.wait_timeout(state, Duration::from_millis(5))).0;
        }
        true
    }

    fn has(&self, routers: &[usize]) -> bool {
        let mut expected: Vec<u16> = routers.iter().map(|router| self.routers[*router].port()).collect();
        expected.sort_unstable();
        self.wait_until(|state| ports(state) == expected)
    }
}

fn ports(state: &State) -> Vec<u16> {
    let mut ports: Vec<u16> = state.description.servers.keys().map(port).collect();
    ports.sort_unstable();
    ports
}

fn port(address: &ServerAddress) -> u16 {
    match address {
        ServerAddress::Tcp { host, port: Some(port) } if host == HOST => *port,
        other => panic!("{other}"),
    }
}

/// The first five prose tests, the tenth, the eleventh and the thirteenth.
#[test]
fn records_that_change_are_followed() {
    const MAX_2: &str = "mongodb+srv://test1.test.build.10gen.cc/?tls=false&srvMaxHosts=2";
    for (uri, named) in [
        (TEST_1, &[0, 1, 2][..]),
        (TEST_1, &[0]),
        (TEST_1, &[0, 2]),
        (TEST_1, &[2]),
        (TEST_1, &[2, 3]),
        ("mongodb+srv://test1.test.build.10gen.cc/?tls=false&srvMaxHosts=0", &[0, 2, 3]),
        (MAX_2, &[2, 3]),
        ("mongodb+srv://test22.test.build.10gen.cc/?tls=false&srvServiceName=customname", &[2, 3]),
    ] {
        let routed = Routers::new(uri);
        routed.operate();
        assert!(routed.has(&[0, 1]) && routed.topology.description().topology_type() == TopologyType::Sharded);
        routed.name(named);
        routed.later(59);
        routed.operate();
        assert_eq!(routed.asked(), 1, "not before a minute is over");
        routed.later(2);
        routed.operate();
        assert!(routed.has(named), "{uri}, {named:?}");
        assert_eq!(routed.asked(), 2);
        let chosen = routed.operate();
        assert!(named.iter().any(|router| routed.routers[*router].port() == chosen));
        routed.later(61);
        routed.operate();
        assert!(routed.wait_until(|_| routed.asked() == 3) && routed.has(named));
    }
}

/// What is known of a host that stays, and its connections, stay too.
#[test]
fn hosts_that_stay_keep_their_state() {
    let routed = Routers::with(TEST_1, &[0], || FakeServer::builder().mongos().start());
    routed.operate();
    routed.name(&[0, 1]);
    routed.later(61);
    routed.operate();
    assert!(routed.has(&[0, 1]));
    let stays = routed.routers[0].port();
    let keeps = |state: &mut State| {
        let kept = state.description.servers.values().find(|entry| port(&entry.address) == stays);
        kept.is_some_and(|entry| entry.server_type.is_known())
    };
    assert!(routed.wait_until(keeps));
    let connections = routed.routers[0].connections();
    for _ in 0..10 {
        routed.operate();
    }
    assert_eq!(routed.routers[0].connections(), connections);
}

/// The sixth to the eighth prose test: nothing changes, and the next question follows after heartbeatFrequencyMS.
#[test]
fn failures_change_no_host() {
    for failure in [Some("timed out"), Some("no such name"), None] {
        let routed = Routers::new(&format!("{TEST_1}&heartbeatFrequencyMS=5000"));
        routed.operate();
        match failure {
            Some(why) => routed.fail(why),
            None => routed.name(&[]),
        }
        routed.later(61);
        routed.operate();
        let shared = routed.topology.shared();
        // From a minute after a question that is not answered to five seconds after a failure.
        let is_recorded = |state: &mut State| {
            state.srv.as_ref().is_some_and(|polling| polling.is_due(shared.clock.now() + Duration::from_secs(5)))
        };
        assert!(routed.wait_until(is_recorded) && routed.has(&[0, 1]));
        assert_eq!(routed.asked(), 2);
        routed.operate();
        assert_eq!(routed.asked(), 2, "not at once again");
        routed.name(&[0, 3]);
        routed.later(5);
        routed.operate();
        assert!(routed.has(&[0, 3]));
        assert_eq!(routed.asked(), 3);
    }
}

/// The ninth prose test.
#[test]
fn the_records_of_a_load_balancer_are_asked_for_once() {
    let uri = "mongodb+srv://test3.test.build.10gen.cc/?tls=false&loadBalanced=true";
    let router = || FakeServer::builder().load_balancer(ObjectId::new()).start();
    let routed = Routers::with(uri, &[0], router);
    routed.operate();
    routed.name(&[0, 1]);
    for _ in 0..2 {
        routed.later(61);
        routed.operate();
    }
    assert!(routed.has(&[0]));
    assert_eq!(routed.asked(), 1);
}

/// The twelfth prose test.
#[test]
fn a_new_host_is_chosen_at_random() {
    let routed = Routers::new(&format!("{TEST_1}&srvMaxHosts=2"));
    routed.operate();
    routed.name(&[0, 2, 3]);
    routed.later(61);
    routed.operate();
    let first = routed.routers[0].port();
    let gone = routed.routers[1].port();
    let is_changed = |state: &mut State| {
        let ports = ports(state);
        ports.len() == 2 && ports.contains(&first) && !ports.contains(&gone)
    };
    assert!(routed.wait_until(is_changed));
}

/// With threads that watch the servers, no operation is needed.
#[test]
fn monitors_ask_too() {
    let uri = format!("{TEST_1}&heartbeatFrequencyMS=500");
    let router = || FakeServer::builder().mongos().start();
    let routed = Routers::with_monitoring(&uri, &[0, 1], router, Monitoring::Background);
    assert!(routed.wait_until(|state| state.description.topology_type == TopologyType::Sharded));
    routed.name(&[0, 2]);
    assert!(routed.has(&[0, 1]));
    routed.later(61);
    assert!(routed.has(&[0, 2]));
    let is_checked = |state: &mut State| state.description.servers.values().all(|entry| entry.server_type.is_known());
    assert!(routed.wait_until(is_checked));
    routed.topology.close();
}

/// The host that an operation is on leaves: the operation ends, and its connection after it.
#[test]
fn an_operation_under_way_goes_on_where_it_is() {
    let mut routed = Routers::with(TEST_1, &[0], || FakeServer::builder().mongos().start());
    let (mut connection, leaving) = routed.begin();
    assert_eq!(leaving, routed.routers[0].port());
    routed.name(&[1]);
    routed.later(61);
    routed.operate();
    assert!(routed.has(&[1]));
    let body = rawdoc! { "ping": 1 };
    let message = Message { database: "admin", body: &body, sequence: None, more_to_come: false };
    connection.run(&message, Deadline::after(LIMIT), Instant::now()).unwrap();
    drop(connection);
    let left = routed.routers.remove(0);
    assert!(left.wait_until(LIMIT, |router| router.open_connections() == 0));
}

/// Where nothing known suits, the operation goes on with what DNS names now.
#[test]
fn an_operation_waits_for_dns_if_no_router_is_left() {
    let mut routed = Routers::new(TEST_1);
    routed.operate();
    routed.name(&[3]);
    // The processes of the first two end.
    let rest = routed.routers.split_off(2);
    routed.routers = rest;
    let last = routed.routers[1].port();
    lock(&routed.dns.0).ports = vec![last];
    routed.later(61);
    assert_eq!(routed.operate(), last);
}

/// Routers that refuse at once end no selection before DNS has answered, which may name another one.
#[test]
fn an_operation_that_tries_once_waits_for_dns_too() {
    for count in [1, 2] {
        let uri = format!("{TEST_1}&serverSelectionTryOnce=true&heartbeatFrequencyMS=500");
        let refusing: Vec<TcpListener> = (0..count).map(|_| listener()).collect();
        let ports = refusing.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let routed = Routers::named(&uri, ports, vec![FakeServer::builder().mongos().start()], Monitoring::Inline);
        drop(refusing);
        let select = || {
            let began = Instant::now();
            routed.later(61);
            let selected = routed.topology.select(Target::Writable, &[], Deadline::after(LIMIT), Instant::now());
            (selected.map(|selected| port(selected.server.address())), began.elapsed())
        };
        // A failure of DNS ends the wait as well.
        routed.fail("no name server answers");
        let hold = routed.hold(DNS_TAKES);
        let (failed, took) = select();
        assert!(failed.is_err() && took >= DNS_TAKES && took < LIMIT / 2, "{failed:?} after {took:?}");
        drop(hold);

        routed.name(&[0]);
        let hold = routed.hold(DNS_TAKES);
        let (selected, took) = select();
        assert_eq!(selected.unwrap(), routed.routers[0].port(), "{count} routers, after {took:?}");
        drop(hold);
    }
}

/// A selection that waits for silent routers asks DNS when the time has come.
#[test]
fn a_selection_that_waits_asks_dns_when_that_is_due() {
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        let silent = [listener(), listener()];
        let ports = silent.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let uri = format!("{TEST_1}&connectTimeoutMS=15000");
        let routed = Routers::named(&uri, ports, vec![FakeServer::builder().mongos().start()], monitoring);
        routed.name(&[0]);
        routed.later(59);
        let began = Instant::now();
        assert_eq!(routed.operate(), routed.routers[0].port());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        routed.topology.close();
    }
}

/// DNS holds up no operation for which there is a router.
#[test]
fn an_operation_with_a_router_does_not_wait_for_dns() {
    for once in ["true", "false"] {
        let routed = Routers::new(&format!("{TEST_1}&serverSelectionTryOnce={once}"));
        routed.operate();
        assert!(routed.has(&[0, 1]));
        let hold = routed.hold(LIMIT);
        routed.name(&[2]);
        routed.later(61);
        let began = Instant::now();
        // The second one at least begins while DNS is asked.
        for _ in 0..3 {
            let chosen = routed.operate();
            assert!(routed.routers[..2].iter().any(|router| router.port() == chosen));
            assert!(routed.wait_until(|state| state.srv.as_ref().is_some_and(SrvPolling::is_running)));
        }
        assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
        drop(hold);
        assert!(routed.has(&[2]));
        assert_eq!(routed.asked(), 2);
    }
}

/// A port that connections can be made to and nothing answers on; none where it was dropped.
fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

/// Longer than a connection that is refused takes.
const DNS_TAKES: Duration = Duration::from_millis(200);
