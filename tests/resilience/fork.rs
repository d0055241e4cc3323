//! A client survives `fork`: the child makes connections of its own and leaves those of its parent alone.
#![cfg(unix)]
#![expect(unsafe_code, reason = "fork, and what a child ends with, are not in the standard library")]

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use mongo_blocking::bson::spec::BinarySubtype;
use mongo_blocking::bson::{Binary, Bson, Document, doc};
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::options::{ClientOptions, Monitoring};
use mongo_blocking::{Client, IdpServerResponse, OidcCallbackContext};
use mongo_blocking_test_server::behaviour::Answer;
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::users::Mechanism;
use mongo_blocking_test_server::wire;

// SAFETY: these are the declarations of POSIX. `alarm` and `_exit` touch no memory of ours, and a child of `fork` gets a copy
// of it; what other threads were doing then the child leaves alone.
unsafe extern "C" {
    safe fn fork() -> i32;
    safe fn alarm(seconds: u32) -> u32;
    safe fn _exit(code: i32) -> !;
    unsafe fn waitpid(child: i32, status: *mut i32, options: i32) -> i32;
}

/// Runs this in a child, and tells whether it came to its end without a panic.
fn in_child(work: impl FnOnce()) -> bool {
    has_ended_well(start_child(work))
}

/// Runs this in a child.
fn start_child(work: impl FnOnce()) -> i32 {
    let child = fork();
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // A child that hangs is a failure, too.
        alarm(30);
        let done = catch_unwind(AssertUnwindSafe(work)).is_ok();
        _exit(i32::from(!done));
    }
    child
}

/// Waits for the end of a child, and tells whether it came there without a panic.
fn has_ended_well(child: i32) -> bool {
    let mut status = -1;
    // SAFETY: `status` is an i32 that lives as long as the call.
    let ended = unsafe { waitpid(child, &raw mut status, 0) };
    assert_eq!(ended, child);
    status == 0
}

/// A peer that tells on which of its connections a command came, and counts the cursors that it is to forget.
fn numbering(killed: &Arc<AtomicUsize>) -> Script {
    let killed = Arc::clone(killed);
    Script::start(move |mut stream, number| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let on = i32::try_from(number).unwrap();
            let reply = match request.name() {
                "isMaster" => doc! { "ok": 1, "maxWireVersion": 17 },
                // A token is accepted, whatever it is.
                "saslStart" => doc! { "ok": 1, "conversationId": 1, "done": true, "payload": Binary {
                    subtype: BinarySubtype::Generic, bytes: Vec::new(),
                } },
                "find" => doc! { "ok": 1, "cursor": { "id": 7_i64, "ns": "db.c", "firstBatch": [{}] } },
                "killCursors" => {
                    killed.fetch_add(1, Ordering::SeqCst);
                    doc! { "ok": 1 }
                }
                "getMore" => doc! { "ok": 1, "cursor": { "id": 0_i64, "ns": "db.c", "nextBatch": [{ "on": on }] } },
                _ => doc! { "ok": 1, "on": on },
            };
            let _ = wire::write_reply(&mut stream, &request, &reply);
        }
    })
}

fn connection_of(client: &Client) -> i32 {
    client.database("admin").run_command(doc! { "ping": 1 }).run().unwrap().get_i32("on").unwrap()
}

/// One after the other: a child has none of the other threads, so none of them should be at work when it comes to be.
#[test]
fn a_client_survives_fork() {
    if env::var_os(SERVES).is_some() {
        return serve_another_process();
    }
    if !child::alone(module_path!(), "a_client_survives_fork") {
        return;
    }
    parent_and_child_share_no_connection();
    what_the_child_drops_and_closes_stays_open_for_the_parent();
    a_cursor_that_ends_in_the_child_stays_open_for_the_parent();
    a_child_has_sessions_of_its_own();
    a_child_does_not_end_its_parents_sessions();
    a_child_leaves_its_parents_transaction_alone();
    a_fork_while_a_token_is_fetched_leaves_both_a_pool_that_connects(false);
    a_fork_while_a_token_is_fetched_leaves_both_a_pool_that_connects(true);
    a_handler_may_use_the_client_when_a_child_begins();
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        parent_and_child_work_side_by_side_with_tls_and_scram(monitoring);
        a_child_does_not_hang_whatever_helpers_were_doing(monitoring);
        a_child_does_not_hang_whatever_other_threads_were_doing(monitoring);
    }
}

/// A server with TLS where one user logs in by SCRAM, and how to connect to it.
fn guarded() -> (FakeServer, String, Scratch) {
    let (folder, authority) = (Scratch::new("fork"), Authority::new());
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let server = FakeServer::builder().replica_set("rs").tls(&issued.certificate, &issued.key);
    let server = server.user("ann", "pencil", &[Mechanism::ScramSha256], "admin").iterations(4096).start();
    let query = format!("tls=true&tlsCAFile={}&directConnection=true", ca_file.display());
    let uri = format!("mongodb://ann:pencil@localhost:{}/?{query}", server.port());
    (server, uri, folder)
}

/// The same server in a process of its own. In this one, its threads would hold locks of OpenSSL at the time of a fork, as the threads
/// of a client's program do not.
struct GuardedElsewhere {
    uri: String,
    process: Child,
    /// Open until the end: the process writes to it.
    _output: BufReader<ChildStdout>,
}

impl GuardedElsewhere {
    fn start() -> GuardedElsewhere {
        let mut command = child::command(module_path!(), "a_client_survives_fork");
        let command = command.env(SERVES, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let uri = output.by_ref().lines().find_map(|line| line.unwrap().strip_prefix(URI).map(str::to_owned)).unwrap();
        GuardedElsewhere { uri, process, _output: output }
    }
}

impl Drop for GuardedElsewhere {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What [`GuardedElsewhere`] starts: serves until its input ends.
fn serve_another_process() {
    let (_server, uri, _folder) = guarded();
    println!("\n{URI}{uri}");
    io::copy(&mut io::stdin().lock(), &mut io::sink()).unwrap();
}

/// Set in that process.
const SERVES: &str = "MONGO_BLOCKING_TEST_SERVES";
/// What its line with the URI begins with.
const URI: &str = "URI: ";

/// The ids of the sessions in which pings on this database were run.
fn sessions_of(server: &FakeServer, database: &str) -> Vec<Document> {
    let pings = server.commands_named("ping").into_iter().filter(|command| command.database == database);
    let mut ids: Vec<Document> = pings.map(|ping| ping.body.get_document("lsid").unwrap().clone()).collect();
    ids.dedup();
    ids
}

fn ping_on(client: &Client, database: &str) {
    client.database(database).run_command(doc! { "ping": 1 }).run().unwrap();
}

fn client_of(uri: &str, monitoring: Monitoring) -> Client {
    Client::with_options(ClientOptions::builder().uri(uri).monitoring(monitoring).build()).unwrap()
}

/// A thousand pings, every tenth of them in one session of the program's.
fn a_thousand_pings_on(client: &Client, database: &str) {
    let mut session = client.start_session().run().unwrap();
    for number in 0..1000 {
        match number % 10 {
            0 => drop(client.database(database).run_command(doc! { "ping": 1 }).session(&mut session).run().unwrap()),
            _ => ping_on(client, database),
        }
    }
}

fn parent_and_child_work_side_by_side_with_tls_and_scram(monitoring: Monitoring) {
    let (server, uri, _folder) = guarded();
    let client = client_of(&format!("{uri}&heartbeatFrequencyMS=500"), monitoring);
    ping_on(&client, "parent");
    let mut for_child = Some(client.clone());
    let child = start_child(|| {
        let client = for_child.take().unwrap();
        a_thousand_pings_on(&client, "child");
        client.close();
    });
    drop(for_child);
    a_thousand_pings_on(&client, "parent");
    assert!(has_ended_well(child));
    let (own, others) = (sessions_of(&server, "parent"), sessions_of(&server, "child"));
    assert!(!own.is_empty() && !others.is_empty());
    assert!(own.iter().all(|id| !others.contains(id)), "a session of both");
    // Each process ends its own sessions, and those only.
    let ended = |n: usize| -> BTreeSet<String> {
        let end = &server.commands_named("endSessions")[n].body;
        end.get_array("endSessions").unwrap().iter().map(Bson::to_string).collect()
    };
    let of = |ids: &[Document]| -> BTreeSet<String> { ids.iter().map(Document::to_string).collect() };
    assert_eq!(ended(0), of(&others));
    client.close();
    assert_eq!(ended(1), of(&own));
}

/// Threads that fill the pool are in the midst of TLS and SCRAM when the child comes to be.
fn a_child_does_not_hang_whatever_helpers_were_doing(monitoring: Monitoring) {
    let server = GuardedElsewhere::start();
    let uri = &server.uri;
    for round in 0..100_u64 {
        let client = client_of(&format!("{uri}&minPoolSize=4"), monitoring);
        ping_on(&client, "parent");
        // Another moment each time.
        let until = Instant::now() + Duration::from_micros(round * 200);
        while Instant::now() < until {}
        assert!(in_child(|| ping_on(&client, "child")), "round {round}");
        ping_on(&client, "parent");
    }
}

/// Threads that run operations hold locks, too.
fn a_child_does_not_hang_whatever_other_threads_were_doing(monitoring: Monitoring) {
    let server = GuardedElsewhere::start();
    let uri = &server.uri;
    let client = client_of(&format!("{uri}&heartbeatFrequencyMS=500&maxPoolSize=3"), monitoring);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut session = client.start_session().run().unwrap();
                while !stop.load(Ordering::SeqCst) {
                    ping_on(&client, "parent");
                    client.database("parent").run_command(doc! { "ping": 1 }).session(&mut session).run().unwrap();
                }
            });
        }
        for round in 0..30 {
            assert!(in_child(|| ping_on(&client, "child")), "round {round}");
        }
        stop.store(true, Ordering::SeqCst);
    });
}

fn a_handler_may_use_the_client_when_a_child_begins() {
    let server = FakeServer::builder().start();
    let (within, seen) = (Arc::new(OnceLock::<Client>::new()), Arc::new(AtomicUsize::new(0)));
    let (client, count) = (within.clone(), seen.clone());
    let handler = EventHandler::new(move |event: &SdamEvent| {
        if let (SdamEvent::TopologyOpening(_), Some(client)) = (event, client.get()) {
            assert_eq!(client.topology().servers().len(), 1);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let options = ClientOptions::builder().uri(server.uri()).sdam_event_handler(handler).build();
    within.set(Client::with_options(options).unwrap()).unwrap();
    assert!(in_child(|| {
        within.get().unwrap().ping().unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    }));
}

fn parent_and_child_share_no_connection() {
    let peer = numbering(&Arc::default());
    let client = Client::with_uri_str(format!("mongodb://{}/?maxPoolSize=1", peer.address())).unwrap();
    assert_eq!(connection_of(&client), 1);
    assert!(in_child(|| {
        assert_eq!(connection_of(&client), 2);
        assert_eq!(connection_of(&client), 2);
    }));
    assert_eq!(connection_of(&client), 1);
}

fn what_the_child_drops_and_closes_stays_open_for_the_parent() {
    let (folder, authority) = (Scratch::new("fork"), Authority::new());
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let fake_server = FakeServer::builder().tls(&issued.certificate, &issued.key).start();
    let uri = format!("mongodb://localhost:{}/?tls=true&tlsCAFile={}", fake_server.port(), ca_file.display());
    for close in [false, true] {
        let client = Client::with_uri_str(&uri).unwrap();
        client.ping().unwrap();
        let mut client = Some(client);
        let for_child = client.clone().unwrap();
        assert!(in_child(|| {
            let _ = client.take();
            match close {
                true => for_child.close(),
                false => drop(for_child),
            }
        }));
        client.take().unwrap().ping().unwrap();
    }
}

fn a_cursor_that_ends_in_the_child_stays_open_for_the_parent() {
    let killed = Arc::default();
    let peer = numbering(&killed);
    let client = Client::with_uri_str(format!("mongodb://{}/", peer.address())).unwrap();
    let mut cursor = Some(client.database("db").collection::<Document>("c").find(doc! {}).run().unwrap());
    assert!(in_child(|| drop(cursor.take())));
    assert!(in_child(|| client.clone().close()));
    assert_eq!(killed.load(Ordering::SeqCst), 0);
    assert_eq!(cursor.unwrap().map(Result::unwrap).collect::<Vec<_>>(), [doc! {}, doc! { "on": 1 }]);
}

fn a_child_has_sessions_of_its_own() {
    let client = Client::with_uri_str("mongodb://localhost/").unwrap();
    let start = || client.start_session().run().unwrap();
    // One that is in the pool when the child comes to be, and one that is in use.
    for in_use in [false, true] {
        let mut session = Some(start());
        let id = session.as_ref().unwrap().id().clone();
        if !in_use {
            session = None;
        }
        assert!(in_child(|| {
            if let Some(session) = &mut session {
                let error = client.list_database_names().session(session).run().unwrap_err();
                assert!(error.message().contains("belongs to its parent"), "{error}");
            }
            drop(session.take());
            assert_ne!(start().id(), &id);
        }));
        drop(session);
        assert_eq!(start().id(), &id);
    }
}

fn a_child_leaves_its_parents_transaction_alone() {
    let server = FakeServer::builder()
        .replica_set("rs")
        .on_command(|request, _| (request.name() == "abortTransaction").then(|| Answer::Reply(doc! { "ok": 1 })));
    let server = server.start();
    let client = Client::with_uri_str(server.uri()).unwrap();
    let mut session = Some(client.start_session().run().unwrap());
    let own = session.as_mut().unwrap();
    own.start_transaction().run().unwrap();
    client.database("parent").collection("c").insert_one(doc! {}).session(own).run().unwrap();
    let left_alone = in_child(|| {
        let mut session = session.take().unwrap();
        assert!(session.commit_transaction().run().is_err());
        assert!(session.abort_transaction().run().is_err());
    });
    assert!(left_alone);
    assert!(server.commands_named("abortTransaction").is_empty());
    drop(session);
    assert_eq!(server.commands_named("abortTransaction").len(), 1);
}

fn a_child_does_not_end_its_parents_sessions() {
    let fake_server = FakeServer::builder().start();
    let ended = || fake_server.commands_named("endSessions").len();
    let sessions = || {
        let commands = fake_server.commands_named("ping").into_iter();
        commands.map(|ping| ping.body.get_document("lsid").unwrap().to_string()).collect::<Vec<_>>()
    };
    for close in [false, true] {
        fake_server.forget_commands();
        let client = Client::with_uri_str(fake_server.uri()).unwrap();
        client.ping().unwrap();
        let mut for_child = Some(client.clone());
        let mut for_parent = Some(client);
        assert!(in_child(|| {
            drop(for_parent.take());
            let client = for_child.take().unwrap();
            match close {
                true => client.close(),
                false => drop(client),
            }
        }));
        assert_eq!(ended(), 0);
        // A child that has used sessions of its own ends those.
        assert!(in_child(|| {
            for_child.as_ref().unwrap().ping().unwrap();
            drop(for_parent.take());
            drop(for_child.take());
        }));
        let [parents, childs] = &sessions()[..] else { panic!("two pings") };
        assert_ne!(parents, childs);
        let end = &fake_server.commands_named("endSessions");
        let [end] = &end[..] else { panic!("{end:?}") };
        let Ok([one]) = end.body.get_array("endSessions").map(Vec::as_slice) else { panic!("{end:?}") };
        assert_eq!(&one.to_string(), childs);
        drop(for_child);
        drop(for_parent);
        assert_eq!(ended(), 2);
    }
}

/// The callback runs while a connection is being made. In the child that connection is the parent's; the pool, of which each
/// has a copy, must connect again in both, also where the child uses the client within the callback.
fn a_fork_while_a_token_is_fetched_leaves_both_a_pool_that_connects(used_within: bool) {
    let peer = numbering(&Arc::default());
    let (calls, child) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicI32::new(0)));
    let within = Arc::new(OnceLock::<Client>::new());
    let callback = {
        let (calls, child, within) = (calls.clone(), child.clone(), within.clone());
        move |_: &OidcCallbackContext| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                child.store(fork(), Ordering::SeqCst);
                if child.load(Ordering::SeqCst) == 0 {
                    alarm(30);
                    if used_within {
                        assert_eq!(connection_of(within.get().unwrap()), 2);
                    }
                }
            }
            Ok(IdpServerResponse::new("token"))
        }
    };
    let options = ClientOptions::builder().host(peer.address()).auth_mechanism("MONGODB-OIDC").max_pool_size(1);
    let client = Client::with_options(options.oidc_callback(callback).build().settings().unwrap()).unwrap();
    within.set(client.clone()).unwrap();
    let first = catch_unwind(AssertUnwindSafe(|| client.ping()));
    let child = child.load(Ordering::SeqCst);
    if child == 0 {
        let done = catch_unwind(AssertUnwindSafe(|| {
            let error = first.unwrap().unwrap_err();
            assert!(error.to_string().contains("forked"), "{error}");
            assert_eq!((connection_of(&client), connection_of(&client)), (2, 2));
        }));
        _exit(i32::from(done.is_err()));
    }
    let mut status = -1;
    // SAFETY: `status` is an i32 that lives as long as the call.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    first.unwrap().unwrap();
    assert_eq!((connection_of(&client), peer.connections()), (1, 2));
}
