//! Selection in inline mode, with checks that a function answers and a clock that can be moved on. Rules R1 to R12 of the design
//! are those of the guide's table.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use crate::connection::ConnectionFactory;
use crate::deadline::Deadline;
use crate::description::{ServerDescription, ServerType, TopologyVersion};
use crate::error::{Error, ErrorKind, FaultKind, Result, SYSTEM_OVERLOADED_ERROR, Stage};
use crate::event::EventHandler;
use crate::event::sdam::{SdamEvent, ServerInfo};
use crate::locks::lock;
use crate::options::{
    ClientOptions, ClientSettings, Monitoring, ReadPreference, ReadPreferenceMode, ReadPreferenceOptions, ServerAddress,
};
use crate::system::RealSystem;
use crate::topology::check::{MAX_HELPERS, MadeBy, begin};
use crate::topology::description::{ServerEntry, TopologyDescription};
use crate::topology::inline::{Selected, select};
use crate::topology::selection::Criteria;
use crate::topology::shared::{Finding, Shared};
use crate::topology::silent::look_at;
use crate::topology::state::TopologyOptions;
use crate::topology::transition::OperationFailure;

/// How a server answers a check.
#[derive(Clone)]
enum Answer {
    Hello(RawDocumentBuf),
    /// The host refuses the connection.
    Refused,
    /// It does not answer before the test lets it.
    Late(Box<Answer>),
    Failed(Error),
    /// A new connection gets no answer, while others of the pool are in use.
    Silent,
    Panic,
}

/// Servers and how often each was checked.
#[derive(Default)]
struct Servers {
    state: Mutex<ServersState>,
    changed: Condvar,
}

#[derive(Default)]
struct ServersState {
    answers: HashMap<String, Answer>,
    checks: HashMap<String, usize>,
    released: bool,
}

impl Servers {
    fn answer(&self, host: &str, answer: Answer) {
        lock(&self.state).answers.insert(host.to_owned(), answer);
    }

    fn checks(&self, host: &str) -> usize {
        lock(&self.state).checks.get(host).copied().unwrap_or_default()
    }

    /// Waits until a check of this host has begun.
    fn wait_for_check(&self, host: &str) {
        self.wait_for_checks(host, 1);
    }

    fn wait_for_checks(&self, host: &str, count: usize) {
        let begun = |state: &ServersState| state.checks.get(host).copied().unwrap_or_default();
        drop(self.changed.wait_while(lock(&self.state), |state| begun(state) < count).unwrap());
    }

    fn release(&self) {
        lock(&self.state).released = true;
        self.changed.notify_all();
    }

    fn check(&self, address: &ServerAddress) -> Finding {
        let host = address.to_string().trim_end_matches(":27017").to_owned();
        let mut state = lock(&self.state);
        *state.checks.entry(host.clone()).or_default() += 1;
        self.changed.notify_all();
        let mut answer = state.answers.get(&host).cloned().unwrap_or(Answer::Refused);
        if let Answer::Late(late) = answer {
            state = self.changed.wait_while(state, |state| !state.released).unwrap();
            answer = *late;
        }
        drop(state);
        match answer {
            Answer::Hello(reply) => Finding::Answered {
                hello: Arc::new(ServerDescription::read(&reply).unwrap()),
                round_trip_time: Some(Duration::from_millis(1)),
            },
            Answer::Failed(error) => Finding::Failed { error, overload_is_no_verdict: false },
            Answer::Silent => {
                let error = Error::new(FaultKind::TimedOut, Stage::Hello, "connectTimeoutMS ran out");
                Finding::Failed { error: error.with_label(SYSTEM_OVERLOADED_ERROR), overload_is_no_verdict: true }
            }
            Answer::Panic => std::panic::resume_unwind(Box::new("planted")),
            Answer::Refused | Answer::Late(_) => {
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                let error = Error::new(FaultKind::Io, Stage::Connect, "connection refused").with_source(refused);
                Finding::Failed { error: error.with_label(SYSTEM_OVERLOADED_ERROR), overload_is_no_verdict: false }
            }
        }
    }
}

/// A client of these servers.
fn client(uri: &str, servers: &Arc<Servers>) -> Arc<Shared> {
    client_of(&ClientSettings::parse(uri).unwrap(), servers)
}

fn client_of(options: &ClientSettings, servers: &Arc<Servers>) -> Arc<Shared> {
    let factory = Arc::new(ConnectionFactory::new(options, &RealSystem::shared()).unwrap());
    let (shared, aftermath) = Shared::new(&Arc::new(TopologyOptions::new(options, factory)), None);
    shared.finish(aftermath);
    let servers = servers.clone();
    *lock(&shared.fake) = Some(Arc::new(move |address: &ServerAddress| servers.check(address)));
    shared
}

/// Servers `a`, `b` and `c` of the set `rs`, of which `a` is the primary.
fn set() -> Arc<Servers> {
    let servers = Arc::new(Servers::default());
    servers.answer("a", primary(1));
    servers.answer("b", secondary());
    servers.answer("c", secondary());
    servers
}

fn member(fields: RawDocumentBuf) -> Answer {
    let hosts: RawArrayBuf = ["a:27017", "b:27017", "c:27017"].into_iter().collect();
    let mut reply = rawdoc! { "ok": 1, "setName": "rs", "hosts": hosts, "maxWireVersion": 21 };
    fields.iter().flatten().for_each(|(key, value)| reply.append(key, value));
    Answer::Hello(reply)
}

fn primary(election: u8) -> Answer {
    let election_id = ObjectId::from_bytes([election; 12]);
    member(rawdoc! { "isWritablePrimary": true, "electionId": election_id, "setVersion": 1 })
}

fn secondary() -> Answer {
    member(rawdoc! { "secondary": true })
}

fn standalone() -> Answer {
    Answer::Hello(rawdoc! { "ok": 1, "isWritablePrimary": true, "maxWireVersion": 21 })
}

fn within(shared: &Shared, criteria: Criteria<'_>, limit: Duration) -> Result<Selected> {
    let limit = Deadline::after(limit).named("serverSelectionTimeoutMS");
    select(shared, criteria, &[], limit, Instant::now())
}

/// The host that is selected; the limit is one that no test reaches.
fn chosen(shared: &Shared, criteria: Criteria<'_>) -> String {
    let selected = within(shared, criteria, NEVER_REACHED).unwrap();
    selected.server.address().to_string().trim_end_matches(":27017").to_owned()
}

fn preference(mode: ReadPreferenceMode) -> ReadPreference {
    ReadPreference::with_mode(mode, None)
}

fn with_staleness(limit: Duration) -> ReadPreference {
    let options = ReadPreferenceOptions { max_staleness: Some(limit), ..ReadPreferenceOptions::default() };
    ReadPreference::nearest(options)
}

const NEVER_REACHED: Duration = Duration::from_secs(600);
const SET: &str = "mongodb://a,b,c/?replicaSet=rs";
const ONE: &str = "mongodb://a/?directConnection=true";

#[test]
fn threads_that_come_together_have_each_server_checked_once() {
    let servers = set();
    let shared = client(SET, &servers);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| assert_eq!(chosen(&shared, Criteria::Write), "a"));
        }
    });
    for host in ["a", "b", "c"] {
        assert!(servers.checks(host) <= 1, "{host}");
    }
}

#[test]
fn one_seed_that_is_the_primary_is_enough_for_writes() {
    let servers = set();
    let shared = client("mongodb://a/?replicaSet=rs", &servers);
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    let preferred = preference(ReadPreferenceMode::PrimaryPreferred);
    assert_eq!(chosen(&shared, Criteria::Read(&preferred)), "a");
    assert_eq!((servers.checks("a"), servers.checks("b"), servers.checks("c")), (1, 0, 0));
}

#[test]
fn one_seed_that_is_a_secondary_leads_to_the_primary() {
    let servers = set();
    let shared = client("mongodb://b/", &servers);
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    assert_eq!(shared.lock().description.servers.len(), 3);
}

#[test]
fn secondaries_that_were_never_asked_are_preferred_where_the_preference_says_so() {
    let servers = set();
    let shared = client("mongodb://a/?replicaSet=rs", &servers);
    let preferred = preference(ReadPreferenceMode::SecondaryPreferred);
    let host = chosen(&shared, Criteria::Read(&preferred));
    assert!(["b", "c"].contains(&host.as_str()), "{host}");
}

#[test]
fn preferred_servers_that_do_not_answer_are_waited_for_a_second() {
    let servers = set();
    servers.answer("b", Answer::Late(Box::new(secondary())));
    servers.answer("c", Answer::Late(Box::new(secondary())));
    let shared = client("mongodb://a/?replicaSet=rs", &servers);
    let preferred = preference(ReadPreferenceMode::SecondaryPreferred);
    let began = Instant::now();
    assert_eq!(chosen(&shared, Criteria::Read(&preferred)), "a");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    servers.release();
}

#[test]
fn after_an_idle_hour_the_new_primary_counts_and_the_old_one_costs_nothing() {
    let servers = set();
    let shared = client(SET, &servers);
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    shared.clock.advance(Duration::from_secs(3600));
    servers.answer("a", Answer::Late(Box::new(Answer::Refused)));
    servers.answer("b", primary(2));
    assert_eq!(chosen(&shared, Criteria::Write), "b");
    servers.release();
}

#[test]
fn while_one_thread_checks_others_go_by_what_is_known_unless_it_is_old() {
    let servers = Arc::new(Servers::default());
    servers.answer("a", standalone());
    let shared = client(ONE, &servers);
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    lock(&servers.state).checks.clear();
    servers.answer("a", Answer::Late(Box::new(standalone())));
    shared.clock.advance(Duration::from_secs(11));
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(chosen(&shared, Criteria::Write), "a"));
        servers.wait_for_check("a");
        assert_eq!(chosen(&shared, Criteria::Write), "a");
        let stale = with_staleness(Duration::from_secs(90));
        assert!(within(&shared, Criteria::Read(&stale), Duration::from_millis(20)).is_err(), "maxStalenessSeconds");
        shared.clock.advance(Duration::from_secs(10));
        assert!(within(&shared, Criteria::Write, Duration::from_millis(20)).is_err(), "two heartbeats");
        assert_eq!(servers.checks("a"), 1);
        servers.release();
    });
}

/// The others were checked a moment ago, and are checked again although a heartbeat has not passed.
#[test]
fn a_selection_that_waits_for_a_silent_primary_finds_the_newer_one() {
    let servers = set();
    let shared = client(SET, &servers);
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    let checked = |times, running| {
        while ["a", "b", "c"].iter().any(|host| servers.checks(host) < times) || shared.lock().helpers > running {
            thread::yield_now();
        }
    };
    checked(1, 0);
    servers.answer("a", Answer::Late(Box::new(primary(1))));
    shared.clock.advance(Duration::from_secs(11));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| chosen(&shared, Criteria::Write));
        checked(2, 1);
        servers.answer("b", primary(2));
        shared.clock.advance(Duration::from_secs(1));
        assert_eq!(waiting.join().unwrap(), "b");
        let old = ServerAddress::Tcp { host: "a".to_owned(), port: Some(27017) };
        assert!(shared.lock().members[&old].check.running);
        servers.release();
    });
}

#[test]
fn a_caller_whose_time_is_up_marks_no_server() {
    let servers = set();
    for host in ["a", "b", "c"] {
        servers.answer(host, Answer::Late(Box::new(primary(1))));
    }
    let shared = client(SET, &servers);
    let error = within(&shared, Criteria::Write, Duration::from_millis(20)).err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::ServerSelection { .. }), "{error}");
    assert_eq!(error.servers().count(), 3, "{error}");
    assert!(shared.lock().description.servers.values().all(|server| server.error.is_none()));
    servers.release();
}

#[test]
fn a_single_host_that_is_not_there_fails_at_once_unless_the_options_say_otherwise() {
    let servers = Arc::new(Servers::default());
    for (uri, at_once) in [
        ("mongodb://a/", true),
        ("mongodb://a/?serverSelectionTryOnce=true", true),
        ("mongodb://a,b/?serverSelectionTryOnce=true", true),
        ("mongodb://a/?serverSelectionTryOnce=false", false),
        ("mongodb://a/?replicaSet=rs", false),
        ("mongodb://a,b/", false),
        ("mongodb://a,b/?serverSelectionTryOnce=false", false),
    ] {
        let shared = client(uri, &servers);
        let limit = if at_once { NEVER_REACHED } else { Duration::from_millis(30) };
        let error = within(&shared, Criteria::Write, limit).err().unwrap();
        assert_eq!(error.message().contains("serverSelectionTimeoutMS ran out"), !at_once, "{uri}: {error}");
    }
}

#[test]
fn a_single_host_that_is_there_is_waited_for_unless_it_refuses_for_good() {
    let servers = Arc::new(Servers::default());
    let failure = |kind: FaultKind, stage, message: &'static str| Answer::Failed(Error::new(kind, stage, message));
    let answers = [
        (failure(FaultKind::TimedOut, Stage::Hello, "late"), false),
        (failure(FaultKind::Io, Stage::Hello, "the server closed the connection"), false),
        (failure(FaultKind::InvalidResponse, Stage::Hello, "not MongoDB"), false),
        (failure(FaultKind::Tls, Stage::Tls, "no common TLS: alert internal error"), false),
        (failure(FaultKind::Tls, Stage::Tls, "the server's certificate was refused"), true),
        (failure(FaultKind::Authentication, Stage::Hello, "refused"), true),
        (failure(FaultKind::IncompatibleServer, Stage::Hello, "wire version"), true),
    ];
    for (answer, at_once) in answers {
        servers.answer("a", answer.clone());
        for more in ["", "&serverSelectionTryOnce=false", "&serverSelectionTryOnce=true"] {
            let at_once = at_once || more.ends_with("true");
            let shared = client(&format!("{ONE}{more}"), &servers);
            let limit = if at_once { NEVER_REACHED } else { Duration::from_millis(30) };
            let error = within(&shared, Criteria::Write, limit).err().unwrap();
            assert_eq!(error.message().contains("serverSelectionTimeoutMS ran out"), !at_once, "{more}: {error}");
        }
    }
}

#[test]
fn a_check_that_has_ended_leaves_the_next_one_alone() {
    let servers = set();
    // The next check begins while the end of the one before is being published, which is before the first one is dropped.
    let (next, weak) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(std::sync::Weak::<Shared>::new())));
    let (kept, known) = (next.clone(), weak.clone());
    let handler = EventHandler::new(move |event: &SdamEvent| {
        let shared = lock(&known).upgrade();
        if let (SdamEvent::TopologyDescriptionChanged(_), Some(shared)) = (event, shared) {
            shared.clock.advance(Duration::from_secs(1));
            let address = ServerAddress::Tcp { host: "a".to_owned(), port: Some(27017) };
            let mut state = shared.lock();
            lock(&kept).extend(begin(&shared, &mut state, [&address], MadeBy::Helper { of_at_most: MAX_HELPERS }));
        }
    });
    let options = ClientOptions::builder().uri("mongodb://a/?replicaSet=rs").sdam_event_handler(handler).build();
    let options = options.settings().unwrap();
    let shared = client_of(&options, &servers);
    *lock(&weak) = Arc::downgrade(&shared);
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    assert_eq!(lock(&next).len(), 1);
    let running = |shared: &Shared| {
        let state = shared.lock();
        (state.members.values().filter(|member| member.check.running).count(), state.helpers)
    };
    assert_eq!(running(&shared), (1, 1), "the check that has ended took the mark of the next one");
    lock(&next).clear();
    assert_eq!(running(&shared), (0, 0));
}

#[test]
fn a_call_that_waits_has_its_server_checked_unless_that_was_done_since() {
    let servers = Arc::new(Servers::default());
    servers.answer("a", standalone());
    let shared = client(ONE, &servers);
    let address = within(&shared, Criteria::Write, NEVER_REACHED).unwrap().server.address().clone();
    let look = |since| {
        look_at(&shared, &address, since);
        let state = shared.lock();
        drop(shared.changed.wait_while(state, |state| state.helpers > 0).unwrap());
        servers.checks("a")
    };
    let sent = shared.clock.now();
    shared.clock.advance(Duration::from_secs(1));
    assert_eq!(look(sent), 2);
    shared.clock.advance(Duration::from_secs(1));
    assert_eq!(look(sent), 2, "a check that began after the command was sent has been answered");
    assert_eq!(look(shared.clock.now() - Duration::from_millis(900)), 3, "a command that was sent after that check");
    shared.clock.advance(Duration::from_secs(11));
    assert_eq!(look(sent), 4, "a heartbeat later");
    servers.answer("a", Answer::Silent);
    let generation = shared.lock().members.values().next().unwrap().server.generation(None);
    shared.clock.advance(Duration::from_secs(11));
    assert_eq!(look(sent), 5);
    let state = shared.lock();
    let member = state.members.values().next().unwrap();
    assert_eq!(member.server.generation(None), generation + 1, "the pool was not cleared");
}

/// The monitor of a server and a call that waits check it at the same time, on connections of their own.
#[test]
fn a_check_of_a_call_that_fails_late_is_no_verdict_on_a_server_that_its_monitor_has_found_again() {
    for is_found_again in [false, true] {
        let servers = Arc::new(Servers::default());
        let options = ClientOptions::builder().uri(ONE).monitoring(Monitoring::Background).build();
        let shared = client_of(&options.settings().unwrap(), &servers);
        let server = shared.lock().members.values().next().unwrap().server.clone();
        let answered = || {
            servers.answer("a", standalone());
            shared.conclude(&server, servers.check(server.address()), shared.clock.now());
        };
        answered();
        let generation = server.generation(None);
        shared.clock.advance(Duration::from_secs(1));
        let timed_out = Error::new(FaultKind::TimedOut, Stage::Hello, "connectTimeoutMS ran out");
        servers.answer("a", Answer::Late(Box::new(Answer::Failed(timed_out.clone()))));
        look_at(&shared, server.address(), shared.clock.now());
        servers.wait_for_checks("a", 2);
        shared.clock.advance(Duration::from_secs(1));
        let lost = Finding::Failed { error: timed_out, overload_is_no_verdict: false };
        shared.conclude(&server, lost, shared.clock.now());
        assert_eq!(server.generation(None), generation + 1);
        if is_found_again {
            answered();
        }
        servers.release();
        let state = shared.changed.wait_while(shared.lock(), |state| state.helpers > 0).unwrap();
        let is_known = state.description.servers.values().next().unwrap().server_type.is_known();
        let clears = if is_found_again { 1 } else { 2 };
        assert_eq!((is_known, server.generation(None)), (is_found_again, generation + clears));
    }
}

#[test]
fn a_server_whose_connection_failed_under_load_is_checked_before_it_is_used_again() {
    let servers = Arc::new(Servers::default());
    servers.answer("a", standalone());
    let shared = client(ONE, &servers);
    let selected = within(&shared, Criteria::Write, NEVER_REACHED).unwrap();
    let error = Error::new(FaultKind::Io, Stage::Connect, "refused").with_label(SYSTEM_OVERLOADED_ERROR);
    shared.operation_failed(
        &selected.server,
        OperationFailure {
            address: selected.server.address(),
            error: &error,
            reply: None,
            handshake_completed: false,
            generation: Some(selected.server.generation(None)),
            pool_generation: 0,
            service_id: None,
            at: Instant::now(),
        },
    );
    let known = |shared: &Shared| shared.lock().description.servers.values().next().unwrap().server_type;
    assert_eq!(known(&shared), ServerType::Standalone, "the label leaves the description alone");
    servers.answer("a", Answer::Refused);
    assert!(within(&shared, Criteria::Write, Duration::from_secs(5)).is_err());
    assert_eq!((servers.checks("a"), known(&shared)), (2, ServerType::Unknown));
}

#[test]
fn a_check_that_panics_frees_its_place() {
    let servers = set();
    servers.answer("a", Answer::Panic);
    let shared = client(SET, &servers);
    assert!(within(&shared, Criteria::Write, Duration::from_millis(100)).is_err());
    servers.answer("a", primary(1));
    assert_eq!(chosen(&shared, Criteria::Write), "a");
    let state = shared.changed.wait_while(shared.lock(), |state| state.helpers > 0).unwrap();
    assert!(state.members.values().all(|member| !member.check.running));
}

/// The servers change each time while the predicate is asked.
#[test]
fn a_predicate_that_takes_longer_than_the_servers_stay_the_same_keeps_to_the_limit() {
    // Only the times of a server change, or what it says of itself does.
    for (is_same, limit) in [(true, NEVER_REACHED), (false, Duration::from_millis(300))] {
        let servers = set();
        let shared = client(SET, &servers);
        chosen(&shared, Criteria::Write);
        let asked = AtomicUsize::new(0);
        let wants = |server: &ServerInfo| {
            let asked = asked.fetch_add(1, Ordering::SeqCst);
            assert!(asked < 1_000, "asked without end");
            thread::sleep(Duration::from_millis(10));
            let mut state = shared.lock();
            let mut description = TopologyDescription::clone(&state.description);
            for entry in description.servers.values_mut() {
                let mut changed = ServerEntry::clone(entry);
                changed.last_update = Some(Instant::now());
                if !is_same {
                    let counter = asked.try_into().unwrap();
                    changed.topology_version =
                        Some(TopologyVersion { process_id: ObjectId::from_bytes([1; 12]), counter });
                }
                *entry = Arc::new(changed);
            }
            state.description = Arc::new(description);
            server.server_type() == ServerType::RsPrimary
        };
        let found = within(&shared, Criteria::Predicate(&wants), limit);
        match found {
            Ok(selected) => assert!(is_same && selected.server.address().to_string() == "a:27017"),
            Err(error) => {
                assert!(!is_same && matches!(error.kind(), ErrorKind::ServerSelection { .. }), "{error:?}");
                assert!(error.message().contains("serverSelectionTimeoutMS ran out"), "{error}");
            }
        }
    }
}

#[test]
fn a_closed_client_ends_every_wait() {
    let servers = set();
    servers.answer("a", Answer::Late(Box::new(primary(1))));
    let shared = client(SET, &servers);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| within(&shared, Criteria::Write, NEVER_REACHED).err().unwrap());
        servers.wait_for_check("a");
        shared.close();
        assert!(matches!(waiting.join().unwrap().kind(), ErrorKind::Shutdown));
    });
    servers.release();
}
