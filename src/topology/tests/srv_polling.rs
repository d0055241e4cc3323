//! The prose tests of the specification of polling SRV records: a resolver whose answers change, a clock that the tests set, and
//! the description that follows.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;

use crate::dns::{SrvPolling, random_below};
use crate::error::{Error, FaultKind, Stage};
use crate::options::{ClientOptions, ClientSettings, ServerAddress};
use crate::resolver::{Resolver, SrvRecord};
use crate::system::RealSystem;
use crate::topology::description::TopologyDescription;
use crate::topology::transition::{InitialTopology, open, with_srv_hosts};

/// What DNS answers at the moment, or why it does not.
type Answers = Arc<Mutex<Result<Vec<SrvRecord>, &'static str>>>;

struct Changing(Answers);

impl Resolver for Changing {
    fn srv(&self, name: &str, _within: Duration) -> Result<Vec<SrvRecord>, Box<dyn StdError + Send + Sync>> {
        assert!(
            ["_mongodb._tcp.test1.test.build.10gen.cc", "_customname._tcp.test22.test.build.10gen.cc"].contains(&name)
        );
        Ok(self.0.lock().unwrap().clone()?)
    }

    fn txt(&self, _name: &str, _within: Duration) -> Result<Vec<String>, Box<dyn StdError + Send + Sync>> {
        Ok(Vec::new())
    }
}

struct Polled {
    polling: SrvPolling,
    answers: Answers,
    max_hosts: usize,
    description: Arc<TopologyDescription>,
    now: Instant,
}

impl Polled {
    fn new(uri: &str) -> Self {
        let answers = Arc::new(Mutex::new(Ok(records(&[27017, 27018]))));
        let options =
            ClientOptions::builder().uri(uri).resolver(Changing(Arc::clone(&answers))).build().settings().unwrap();
        let options = options.resolve_srv().unwrap();
        Polled {
            polling: SrvPolling::new(&options, &RealSystem::shared()).unwrap().unwrap(),
            answers,
            max_hosts: options.srv_max_hosts() as usize,
            description: open(InitialTopology::of(&options, ObjectId::new())).description,
            now: Instant::now(),
        }
    }

    fn answer(&self, answer: Result<Vec<SrvRecord>, &'static str>) {
        *self.answers.lock().unwrap() = answer;
    }

    /// A minute later: asks, and returns whether anything changed.
    fn poll(&mut self) -> bool {
        self.now += Duration::from_secs(60);
        assert!(self.polling.is_due(self.now) && self.description.polls_srv_records());
        let outcome = self.polling.lookup().rescan();
        let Some(hosts) = self.polling.record(outcome, self.now) else { return false };
        let update = with_srv_hosts(&self.description, &hosts, self.max_hosts, &mut random_below);
        let changed = !update.changes.is_empty();
        self.description = update.description;
        changed
    }

    fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.description.servers.keys().map(port).collect();
        ports.sort();
        ports
    }
}

fn port(address: &ServerAddress) -> u16 {
    match address {
        ServerAddress::Tcp { host, port: Some(port) } if host == "localhost.test.build.10gen.cc" => *port,
        other => panic!("{other}"),
    }
}

fn records(ports: &[u16]) -> Vec<SrvRecord> {
    ports.iter().map(|port| SrvRecord::new("localhost.test.build.10gen.cc", *port)).collect()
}

/// The first five prose tests, the tenth and the thirteenth.
#[test]
fn records_come_and_go() {
    const TEST_1: &str = "mongodb+srv://test1.test.build.10gen.cc/";
    for (uri, ports) in [
        (TEST_1, &[27017, 27018, 27019][..]),
        (TEST_1, &[27017]),
        (TEST_1, &[27017, 27019]),
        (TEST_1, &[27019]),
        (TEST_1, &[27019, 27020]),
        ("mongodb+srv://test1.test.build.10gen.cc/?srvMaxHosts=0", &[27017, 27019, 27020]),
        ("mongodb+srv://test22.test.build.10gen.cc/?srvServiceName=customname", &[27019, 27020]),
    ] {
        let mut polled = Polled::new(uri);
        assert_eq!(polled.ports(), [27017, 27018]);
        assert!(!polled.poll(), "nothing has changed yet");
        polled.answer(Ok(records(ports)));
        assert!(polled.poll());
        assert_eq!(polled.ports(), ports);
    }
}

/// The sixth to the eighth prose test: a failure or an empty answer changes nothing, and the next question follows soon.
#[test]
fn failures_change_nothing() {
    let mut polled = Polled::new("mongodb+srv://test1.test.build.10gen.cc/?heartbeatFrequencyMS=5000");
    for answer in [Err("timed out"), Err("no such name"), Ok(Vec::new()), Ok(vec![SrvRecord::new("db.evil.com", 1)])] {
        polled.answer(answer);
        assert!(!polled.poll());
        assert_eq!(polled.ports(), [27017, 27018]);
        assert!(!polled.polling.is_due(polled.now + Duration::from_millis(4_999)));
        assert!(polled.polling.is_due(polled.now + Duration::from_secs(5)));
    }
    polled.answer(Ok(records(&[27017])));
    assert!(polled.poll());
    assert!(!polled.polling.is_due(polled.now + Duration::from_secs(59)));
}

/// A question that no thread could be had for counts as a failure.
#[test]
fn a_question_that_could_not_be_asked_follows_soon() {
    let mut polled = Polled::new("mongodb+srv://test1.test.build.10gen.cc/?heartbeatFrequencyMS=5000");
    let now = polled.now;
    assert!(!polled.polling.is_running());
    polled.polling.asked(now);
    assert!(polled.polling.is_running());
    assert_eq!(polled.polling.due_in(now), Some(Duration::from_secs(60)));
    polled.polling.not_asked(now);
    assert!(!polled.polling.is_running());
    assert_eq!(polled.polling.due_in(now), Some(Duration::from_secs(5)));
    let failure = Error::new(FaultKind::DnsResolve, Stage::Dns, "planted");
    for outcome in [polled.polling.lookup().rescan(), Err(failure)] {
        polled.polling.asked(now);
        let _ = polled.polling.record(outcome, now);
        assert!(!polled.polling.is_running());
    }
}

#[test]
fn hosts_that_break_the_rules_are_left_out() {
    let mut polled = Polled::new("mongodb+srv://test1.test.build.10gen.cc/");
    let mut answer = records(&[27019]);
    answer.extend([SrvRecord::new("db.evil.com", 27017), SrvRecord::new("localhost.test.build.10gen.cc", 0)]);
    polled.answer(Ok(answer));
    assert!(polled.poll());
    assert_eq!(polled.ports(), [27019]);
}

/// The ninth prose test.
#[test]
fn a_load_balancer_is_not_polled() {
    let answers = Arc::new(Mutex::new(Ok(records(&[27017]))));
    let uri = "mongodb+srv://test1.test.build.10gen.cc/?loadBalanced=true";
    let options = ClientOptions::builder().uri(uri).resolver(Changing(answers)).build().settings().unwrap();
    assert!(SrvPolling::new(&options.resolve_srv().unwrap(), &RealSystem::shared()).unwrap().is_none());
    let other = ClientSettings::parse("mongodb://localhost/").unwrap();
    assert!(SrvPolling::new(&other, &RealSystem::shared()).unwrap().is_none());
}

/// The eleventh and twelfth prose test.
#[test]
fn as_many_hosts_as_were_asked_for() {
    let mut polled = Polled::new("mongodb+srv://test1.test.build.10gen.cc/?srvMaxHosts=2");
    polled.answer(Ok(records(&[27019, 27020])));
    assert!(polled.poll());
    assert_eq!(polled.ports(), [27019, 27020]);
    let mut seen = [0; 3];
    for _ in 0..200 {
        let mut polled = Polled::new("mongodb+srv://test1.test.build.10gen.cc/?srvMaxHosts=2");
        polled.answer(Ok(records(&[27019, 27020, 27017])));
        assert!(polled.poll());
        let ports = polled.ports();
        assert!(ports.len() == 2 && ports[0] == 27017, "{ports:?}");
        seen[usize::from(ports[1] - 27018)] += 1;
    }
    assert!(seen[0] == 0 && seen[1] > 50 && seen[2] > 50, "{seen:?}");
}

#[test]
fn the_shortest_time_to_live_counts() {
    let mut polled = Polled::new("mongodb+srv://test1.test.build.10gen.cc/");
    let mut answer = records(&[27017, 27018]);
    for (first, second, interval) in [(300, 600, 300), (30, 600, 60), (0, 0, 60), (86_400, 86_401, 86_400)] {
        answer[0].ttl = Duration::from_secs(first);
        answer[1].ttl = Duration::from_secs(second);
        polled.answer(Ok(answer.clone()));
        polled.now += Duration::from_secs(86_400);
        assert!(!polled.poll());
        let interval = Duration::from_secs(interval);
        assert!(!polled.polling.is_due(polled.now + interval - Duration::from_millis(1)));
        assert!(polled.polling.is_due(polled.now + interval));
    }
}
