//! The pool against servers whose behaviour is decided here.

use std::sync::{Condvar, OnceLock, mpsc};
use std::thread;

use bson::doc;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::users::Mechanism;
use mongo_blocking_test_server::wire;

use super::state::KEPT_BUFFERS;
use super::*;
use crate::call_stack;
use crate::event::EventHandler;
use crate::event::cmap::CmapEvent;
use crate::options::ClientOptions;
use crate::system::RealSystem;

/// An observer that clears the pool whenever an attempt fails, as a topology does.
#[derive(Default)]
pub(super) struct Observer {
    pool: OnceLock<Weak<Pool>>,
    /// The names of the threads on which a hello was answered.
    hellos: Mutex<Vec<Option<String>>>,
    failed: Mutex<Vec<FailedAttempt>>,
}

impl PoolObserver for Observer {
    fn hello_answered(&self, _: &ServerAddress, _: &Arc<ServerDescription>, _: Duration) {
        locks::lock(&self.hellos).push(thread::current().name().map(str::to_owned));
    }

    fn attempt_failed(&self, _: &ServerAddress, error: &Error, attempt: FailedAttempt) {
        locks::lock(&self.failed).push(attempt);
        let pool = self.pool.get().and_then(Weak::upgrade).filter(|_| attempt.condemns_others(error));
        if let Some(pool) = pool.filter(|pool| pool.generation(attempt.service_id) == attempt.generation) {
            pool.clear(false, attempt.service_id).run();
        }
    }

    fn still_waiting(&self, _: &ServerAddress, _: Instant) {}
}

/// A paused pool, its observer, and the events that it has published so far.
pub(super) struct Watched {
    pub(super) pool: Arc<Pool>,
    pub(super) observer: Arc<Observer>,
    pub(super) queue: Arc<EventQueue>,
    pub(super) events: Arc<Mutex<Vec<CmapEvent>>>,
    arrived: Arc<Condvar>,
}

impl Watched {
    /// Waits until the events are as wanted.
    pub(super) fn wait_until(&self, limit: Duration, wanted: impl Fn(&[CmapEvent]) -> bool) -> bool {
        let events = locks::lock(&self.events);
        let (events, _) = locks::unpoisoned(self.arrived.wait_timeout_while(events, limit, |events| !wanted(events)));
        wanted(&events)
    }

    fn ready(&self) {
        self.pool.ready().run();
        self.queue.deliver();
    }

    fn clear(&self, interrupt_in_use: bool) {
        self.pool.clear(interrupt_in_use, None).run();
        self.queue.deliver();
    }

    fn count(&self, wanted: impl Fn(&CmapEvent) -> bool) -> usize {
        self.all().iter().filter(|event| wanted(event)).count()
    }

    /// All events so far. Another thread may be delivering some.
    fn all(&self) -> Vec<CmapEvent> {
        self.queue.wait_until_delivered(Duration::from_secs(10));
        locks::lock(&self.events).clone()
    }
}

pub(super) fn watched(uri: &str) -> Watched {
    watched_with(uri, |_| {})
}

fn watched_with(uri: &str, change: impl FnOnce(&mut PoolSettings)) -> Watched {
    let options = ClientOptions::builder().uri(uri).build().settings().unwrap();
    let events: Arc<Mutex<Vec<CmapEvent>>> = Arc::default();
    let arrived: Arc<Condvar> = Arc::default();
    let (kept, notified) = (events.clone(), arrived.clone());
    let handler = EventHandler::new(move |event: &CmapEvent| {
        locks::lock(&kept).push(event.clone());
        notified.notify_all();
    });
    let queue = Arc::new(EventQueue::new(None, Some(handler)));
    let observer: Arc<Observer> = Arc::default();
    let mut settings = PoolSettings {
        max_size: options.max_pool_size(),
        min_size: options.min_pool_size(),
        max_connecting: options.max_connecting(),
        max_idle_time: options.max_idle_time(),
        fill: true,
        load_balanced: false,
    };
    change(&mut settings);
    let factory = Arc::new(ConnectionFactory::new(&options, &RealSystem::shared()).unwrap());
    let address = Arc::new(options.hosts.first().unwrap().clone());
    let weak: Weak<dyn PoolObserver> = Arc::downgrade(&(observer.clone() as Arc<dyn PoolObserver>));
    let pool = Arc::new(Pool::new(settings, factory, address, weak, &queue));
    let _ = observer.pool.set(Arc::downgrade(&pool));
    queue.deliver();
    Watched { pool, observer, queue, events, arrived }
}

/// A ready pool without events to a server with the user `user`.
fn pool(server: &FakeServer, credential: &str, max_size: u32) -> Pool {
    let uri = format!("mongodb://{credential}{}/", server.address());
    let options = ClientOptions::builder().uri(&uri).build().settings().unwrap();
    let factory = Arc::new(ConnectionFactory::new(&options, &RealSystem::shared()).unwrap());
    let settings = PoolSettings {
        max_size,
        min_size: 0,
        max_connecting: 2,
        max_idle_time: None,
        fill: true,
        load_balanced: false,
    };
    let address = Arc::new(options.hosts.first().unwrap().clone());
    let queue = Arc::new(EventQueue::new(None, None));
    let pool = Pool::new(settings, factory, address, Weak::<Observer>::new(), &queue);
    pool.ready().run();
    pool
}

fn check_out(pool: &Pool) -> Result<PooledConnection, CheckOutFailure> {
    pool.check_out(Deadline::NEVER, Deadline::NEVER, None, Instant::now())
}

#[test]
fn a_new_connection_reaches_scram_in_few_steps() {
    let server = FakeServer::builder().user("user", "pencil", &[Mechanism::ScramSha256], "admin").start();
    let pool = pool(&server, "user:pencil@", 1);
    let stack = call_stack::between("Pool::check_out", "Scram::step", || {
        check_out(&pool).unwrap();
    });
    println!("{}", stack.join("\n"));
    let names = call_stack::short_names(&stack);
    let expected = [
        "Pool::check_out",
        "ConnectionFactory::authenticate",
        "Handshake::authenticate",
        "conversation::authenticate",
        "Sasl::step",
        "Scram::step",
    ];
    assert_eq!(names, expected);
    call_stack::are_documented(&names);
}

#[test]
fn a_message_is_written_by_two_functions() {
    let server = FakeServer::builder().start();
    let pool = pool(&server, "", 1);
    let mut connection = check_out(&pool).unwrap();
    let body = bson::rawdoc! { "ping": 1 };
    let message = crate::wire::Message { database: "admin", body: &body, sequence: None, more_to_come: false };
    let stack = call_stack::between("Connection::run", "write", || {
        connection.run(&message, Deadline::NEVER, Instant::now()).unwrap();
    });
    assert_eq!(
        stack,
        ["mongo_blocking::connection::Connection::run", "mongo_blocking::transport::Transport::write_all",]
    );
}

#[test]
fn idle_connections_have_no_buffers() {
    let server = FakeServer::builder().start();
    let pool = pool(&server, "", 0);
    let in_use: Vec<_> = (0..10).map(|_| check_out(&pool).unwrap()).collect();
    drop(in_use);
    let mut state = pool.shared.lock();
    assert_eq!((state.idle.len(), state.buffers.len()), (10, KEPT_BUFFERS));
    for idle in &mut state.idle {
        assert!(idle.connection.take_buffers().is_empty());
    }
    drop(state);
    let mut reused = check_out(&pool).unwrap();
    assert!(!reused.take_buffers().is_empty());
}

#[test]
fn a_cleared_pool_sends_its_whole_queue_away() {
    const THREADS: usize = 8;
    let server = FakeServer::builder().start();
    let watched = watched_with(&server.uri(), |settings| settings.max_size = 1);
    watched.ready();
    let held = check_out(&watched.pool).unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (check_out(&watched.pool).err().unwrap().error, Instant::now())))
            .collect();
        while watched.pool.shared.lock().waiting.len() < THREADS {
            thread::yield_now();
        }
        let cleared = Instant::now();
        watched.clear(false);
        for thread in waiting {
            let (error, ended) = thread.join().unwrap();
            assert!(matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. }), "{error}");
            assert!(!error.is_network_error() && ended - cleared < Duration::from_millis(100), "{error}");
        }
    });
    let failure = check_out(&watched.pool).err().unwrap();
    assert!(matches!(failure.error.kind(), ErrorKind::ConnectionPoolCleared { .. }) && failure.attempt.is_none());
    assert_eq!(watched.count(|event| matches!(event, CmapEvent::ConnectionCheckoutFailed(_))), THREADS + 1);
    drop(held);
    watched.ready();
    assert_eq!(check_out(&watched.pool).unwrap().id, 2);
    assert!(locks::lock(&watched.observer.failed).is_empty());
}

#[test]
fn an_interrupting_clear_leaves_newer_connections_alone() {
    let server = FakeServer::builder().start();
    let watched = watched(&server.uri());
    watched.ready();
    let mut older = check_out(&watched.pool).unwrap();
    let cleanup = watched.pool.clear(true, None);
    watched.ready();
    let mut newer = check_out(&watched.pool).unwrap();
    cleanup.run();
    let error = ping(&mut older).unwrap_err();
    let words = format!("Connection to {} interrupted due to server monitor timeout", server.address());
    assert!(matches!(error.kind(), ErrorKind::ConnectionPoolCleared { .. }) && error.message() == words, "{error}");
    ping(&mut newer).unwrap();
    let mut cleared = watched.all();
    cleared.retain(|event| matches!(event, CmapEvent::PoolCleared(event) if event.interrupt_in_use_connections));
    assert_eq!(cleared.len(), 1);
}

#[test]
fn an_interrupting_clear_ends_a_handshake_without_a_verdict() {
    let (answer, may_answer) = mpsc::channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let peer = Script::start(move |mut stream, _| {
        let _ = wire::read_request(&mut stream);
        let _ = locks::lock(&may_answer).recv(); // There is never an answer.
    });
    let watched = watched(&peer.uri());
    watched.ready();
    thread::scope(|scope| {
        let attempt = scope.spawn(|| check_out(&watched.pool).err().unwrap());
        while !watched.pool.shared.lock().connecting.values().any(|attempt| attempt.handle.is_some()) {
            thread::yield_now();
        }
        watched.clear(true);
        let failure = attempt.join().unwrap();
        assert!(matches!(failure.error.kind(), ErrorKind::ConnectionPoolCleared { .. }), "{}", failure.error);
        assert!(failure.attempt.is_none() && locks::lock(&watched.observer.failed).is_empty());
    });
    drop(answer);
}

#[test]
fn a_failed_attempt_brings_the_generation_of_its_slot() {
    let (hang_up, may_hang_up) = mpsc::channel::<()>();
    let may_hang_up = Mutex::new(may_hang_up);
    let peer = Script::start(move |_, _| {
        let _ = locks::lock(&may_hang_up).recv();
    });
    let watched = watched(&peer.uri());
    watched.ready();
    thread::scope(|scope| {
        let attempt = scope.spawn(|| check_out(&watched.pool).err().unwrap());
        while watched.pool.shared.lock().connecting.is_empty() {
            thread::yield_now();
        }
        watched.clear(false);
        watched.ready();
        hang_up.send(()).unwrap();
        let failure = attempt.join().unwrap();
        let expected = FailedAttempt { generation: 0, service_id: None, own_limit: false };
        assert_eq!(failure.attempt, Some(expected), "{}", failure.error);
        assert_eq!(
            (watched.pool.generation(None), locks::lock(&watched.observer.failed).as_slice()),
            (1, &[expected][..])
        );
    });
}

#[test]
fn a_pool_is_cleared_before_the_failure_is_published() {
    let server = FakeServer::builder().user("user", "pencil", &[Mechanism::ScramSha256], "admin").start();
    let watched = watched(&format!("mongodb://user:wrong@{}/", server.address()));
    watched.ready();
    let failure = check_out(&watched.pool).err().unwrap();
    assert!(matches!(failure.error.kind(), ErrorKind::Authentication { .. }), "{}", failure.error);
    let events = watched.all();
    let [.., created, cleared, closed, failed] = events.as_slice() else { panic!("{events:?}") };
    assert!(matches!(created, CmapEvent::ConnectionCreated(_)), "{events:?}");
    assert!(matches!(cleared, CmapEvent::PoolCleared(_)), "{events:?}");
    assert!(
        matches!(closed, CmapEvent::ConnectionClosed(event) if event.reason == ConnectionClosedReason::Error),
        "{events:?}"
    );
    assert!(matches!(failed, CmapEvent::ConnectionCheckoutFailed(_)), "{events:?}");
    assert_eq!(locks::lock(&watched.observer.hellos).len(), 1);
}

#[test]
fn nothing_is_closed_under_the_lock() {
    let server = FakeServer::builder().start();
    let watched = watched(&server.uri());
    watched.ready();
    let (idle, in_use) = (check_out(&watched.pool).unwrap(), check_out(&watched.pool).unwrap());
    drop(idle);
    let closing = [watched.pool.clear(true, None), watched.pool.ready(), watched.pool.close(true)];
    // The locks are released, and all of it is still open.
    assert_eq!(server.open_connections(), 2);
    assert!(matches!(check_out(&watched.pool).err().unwrap().error.kind(), ErrorKind::Shutdown));
    closing.into_iter().for_each(Cleanup::run);
    drop(in_use);
    assert!(server.wait_until(Duration::from_secs(10), |server| server.open_connections() == 0));
}

#[test]
fn an_opened_connection_is_adopted() {
    let server = FakeServer::builder().user("user", "pencil", &[Mechanism::ScramSha256], "admin").start();
    let watched = watched(&format!("mongodb://user:pencil@{}/", server.address()));
    let shared = &watched.pool.shared;
    let purpose = HelloFor::Operation { speculate: true };
    let opened = shared.factory.open(&shared.address, purpose, Deadline::NEVER, &UNSUPERVISED).unwrap();
    assert_eq!((server.connections(), server.logins()), (1, 0));
    watched.ready();
    let mut adopted = watched
        .pool
        .check_out(Deadline::NEVER, Deadline::NEVER, Some(Box::new(opened).into()), Instant::now())
        .unwrap();
    ping(&mut adopted).unwrap();
    assert_eq!((server.connections(), server.logins(), adopted.info().id), (1, 1, 1));
    let events = watched.all();
    assert!(
        matches!(
            events.as_slice(),
            [
                CmapEvent::PoolCreated(_),
                CmapEvent::PoolReady(_),
                CmapEvent::ConnectionCheckoutStarted(_),
                CmapEvent::ConnectionCreated(_),
                CmapEvent::ConnectionReady(_),
                CmapEvent::ConnectionCheckedOut(_),
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_full_pool_gives_its_idle_connection_rather_than_adopt_another() {
    let server = FakeServer::builder().start();
    let watched = watched_with(&server.uri(), |settings| settings.max_size = 1);
    watched.ready();
    drop(check_out(&watched.pool).unwrap());
    let shared = &watched.pool.shared;
    let purpose = HelloFor::Operation { speculate: true };
    let opened = shared.factory.open(&shared.address, purpose, Deadline::NEVER, &UNSUPERVISED).unwrap();
    let limit = Deadline::after(Duration::from_secs(10));
    let mut idle =
        watched.pool.check_out(limit, Deadline::NEVER, Some(Box::new(opened).into()), Instant::now()).unwrap();
    assert_eq!(idle.info().id, 1);
    ping(&mut idle).unwrap();
    assert!(server.wait_until(Duration::from_secs(10), |server| server.open_connections() == 1));
}

#[test]
fn a_helper_thread_fills_the_pool() {
    let server = FakeServer::builder().start();
    let watched = watched_with(&server.uri(), |settings| settings.min_size = 3);
    watched.ready();
    let ready = |events: &[CmapEvent]| {
        events.iter().filter(|event| matches!(event, CmapEvent::ConnectionReady(_))).count() == 3
    };
    assert!(watched.wait_until(Duration::from_secs(10), ready), "{:?}", watched.events);
    assert_eq!(*locks::lock(&watched.observer.hellos), vec![Some("mongo-fill".to_owned()); 3]);
    // A connection that broke is replaced.
    let mut broken = check_out(&watched.pool).unwrap();
    broken.shutdown_handle().close(ShutdownReason::Client);
    assert!(ping(&mut broken).is_err());
    drop(broken);
    let again = |events: &[CmapEvent]| {
        events.iter().filter(|event| matches!(event, CmapEvent::ConnectionReady(_))).count() == 4
    };
    assert!(watched.wait_until(Duration::from_secs(10), again), "{:?}", watched.events);
}

#[test]
fn a_pool_that_cannot_be_filled_is_left_alone() {
    let peer = Script::start(|_, _| {});
    let watched = watched_with(&peer.uri(), |settings| settings.min_size = 3);
    watched.ready();
    let closed = |events: &[CmapEvent]| events.iter().any(|event| matches!(event, CmapEvent::ConnectionClosed(_)));
    assert!(watched.wait_until(Duration::from_secs(10), closed));
    // A failure of the network while connecting does not clear the pool: the server may be overloaded.
    assert_eq!((locks::lock(&watched.observer.failed).len(), watched.pool.generation(None)), (1, 0));
    assert!(check_out(&watched.pool).is_err());
    assert_eq!(watched.count(|event| matches!(event, CmapEvent::ConnectionCreated(_))), 2);
}

/// A load balancer whose connections belong to two services in turn.
fn load_balancer() -> Script {
    Script::start(|mut stream, number| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let service = ObjectId::from_bytes([u8::try_from(number % 2).unwrap(); 12]);
            let reply = doc! { "ok": 1, "maxWireVersion": 17, "msg": "isdbgrid", "serviceId": service };
            let _ = wire::write_reply(&mut stream, &request, &reply);
        }
    })
}

#[test]
fn behind_a_load_balancer_each_service_has_its_generation() {
    let front = load_balancer();
    let watched = watched_with(&format!("{}?loadBalanced=true", front.uri()), |settings| {
        settings.load_balanced = true;
        settings.max_size = 2;
    });
    watched.ready();
    let connections = [check_out(&watched.pool).unwrap(), check_out(&watched.pool).unwrap()];
    let [odd, even] = [1, 0].map(|number| ObjectId::from_bytes([number; 12]));
    assert_eq!(connections.each_ref().map(|connection| connection.info().service_id), [Some(odd), Some(even)]);
    connections[0].set_purpose(Purpose::Cursor);
    let limit = Deadline::after(Duration::from_millis(1)).named("waitQueueTimeoutMS");
    let error = watched.pool.check_out(limit, Deadline::NEVER, None, Instant::now()).err().unwrap().error;
    let words = "maxPoolSize: 2, connections in use by cursors: 1, connections in use by transactions: 0, \
                 connections in use by other operations: 1";
    assert!(error.message().ends_with(words), "{error}");

    watched.pool.clear(false, Some(odd)).run();
    assert_eq!([odd, even].map(|id| watched.pool.generation(Some(id))), [1, 0]);
    drop(connections);
    // That of the other service is used again. The service without connections is forgotten, its generation too.
    assert_eq!(watched.pool.generation(Some(odd)), 0);
    assert_eq!(check_out(&watched.pool).unwrap().info().service_id, Some(even));
    assert_eq!(watched.count(|event| matches!(event, CmapEvent::ConnectionClosed(_))), 1);
    assert_eq!(
        watched.count(|event| matches!(event, CmapEvent::PoolCleared(event) if event.service_id == Some(odd))),
        1
    );
}

const UNSUPERVISED: Supervisor<'static> = Supervisor { observer: None, opened: &|_| {}, given_up: &|| false };

fn ping(connection: &mut PooledConnection) -> Result<()> {
    let body = bson::rawdoc! { "ping": 1 };
    let message = crate::wire::Message { database: "admin", body: &body, sequence: None, more_to_come: false };
    connection.run(&message, Deadline::after(Duration::from_secs(10)), Instant::now()).map(drop)
}

#[test]
fn a_newer_primary_ends_what_waits_for_a_silent_server_and_yields() {
    let server = FakeServer::builder().start();
    let watched = watched(&format!("{}?maxPoolSize=2", server.uri()));
    watched.ready();
    let (mut yields, mut stays) = (check_out(&watched.pool).unwrap(), check_out(&watched.pool).unwrap());
    yields.set_yields(true);
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| check_out(&watched.pool).err().unwrap());
        while watched.pool.shared.lock().waiting.is_empty() {
            thread::yield_now();
        }
        watched.pool.end_waits("a:1 has not answered for 2 s, and b:1 is primary now").run();
        waiting.join().unwrap()
    });
    assert!(matches!(waiting.error.kind(), ErrorKind::ConnectionPoolCleared { .. }), "{}", waiting.error);
    assert!(waiting.error.to_string().contains("b:1 is primary now"));
    let error = ping(&mut yields).unwrap_err();
    assert!(error.is_network_error() && error.message().contains("b:1 is primary now"), "{error}");
    assert!(yields.is_superseded() && !stays.is_superseded());
    ping(&mut stays).unwrap();
    assert_eq!(watched.count(|event| matches!(event, CmapEvent::PoolCleared(_))), 0);
    assert!(locks::lock(&watched.observer.failed).is_empty());
    // Nothing is left of it for what comes later.
    drop((yields, stays));
    ping(&mut check_out(&watched.pool).unwrap()).unwrap();
}

#[test]
fn a_newer_primary_ends_a_handshake_with_a_silent_server_without_a_verdict() {
    let (answer, may_answer) = mpsc::channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let peer = Script::start(move |mut stream, _| {
        let _ = wire::read_request(&mut stream);
        let _ = locks::lock(&may_answer).recv(); // There is never an answer.
    });
    let watched = watched(&peer.uri());
    watched.ready();
    thread::scope(|scope| {
        let attempt = scope.spawn(|| check_out(&watched.pool).err().unwrap());
        while !watched.pool.shared.lock().connecting.values().any(|attempt| attempt.handle.is_some()) {
            thread::yield_now();
        }
        watched.pool.end_waits("a:1 has not answered for 2 s, and b:1 is primary now").run();
        let failure = attempt.join().unwrap();
        assert!(failure.error.is_network_error() && failure.attempt.is_none(), "{}", failure.error);
        assert!(failure.error.labels().is_empty() && failure.error.message().contains("b:1 is primary now"));
        assert!(locks::lock(&watched.observer.failed).is_empty());
    });
    drop(answer);
}

/// A listener whose queue is full takes no connections, and Linux drops what comes on top: TCP itself is under way then.
#[cfg(target_os = "linux")]
#[test]
fn a_connect_that_is_under_way_ends_with_the_reason_for_its_end() {
    type End = fn(&Pool) -> Cleanup;
    let newer_primary: End = |pool| pool.end_waits("a:1 has not answered for 2 s, and b:1 is primary now");
    let interrupting_clear: End = |pool| pool.clear(true, None);
    let close: End = |pool| pool.close(true);
    thread::scope(|scope| {
        for (number, end) in [newer_primary, interrupting_clear, close].into_iter().enumerate() {
            scope.spawn(move || {
                let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
                listener.listen(0).unwrap();
                let address = listener.local_addr().unwrap().as_socket().unwrap();
                let fill = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
                let _queue: Vec<_> = (0..8).map_while(|_| fill().ok()).collect();
                let watched = watched(&format!("mongodb://{address}/?connectTimeoutMS=60000"));
                watched.ready();
                let began = Instant::now();
                let failure = thread::scope(|scope| {
                    let attempt = scope.spawn(|| check_out(&watched.pool).err().unwrap());
                    while watched.pool.shared.lock().connecting.is_empty() {
                        thread::yield_now();
                    }
                    end(&watched.pool).run();
                    attempt.join().unwrap()
                });
                assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
                let (error, kind) = (&failure.error, failure.error.kind());
                match number {
                    0 => assert!(error.is_network_error() && error.message().contains("b:1 is primary now"), "{error}"),
                    1 => assert!(matches!(kind, ErrorKind::ConnectionPoolCleared { .. }), "{error}"),
                    _ => assert!(matches!(kind, ErrorKind::Shutdown), "{error}"),
                }
                assert!(error.labels().is_empty() && failure.attempt.is_none(), "{error}");
                assert!(locks::lock(&watched.observer.failed).is_empty());
            });
        }
    });
}

/// The server takes the connection and says nothing to the greeting of TLS.
#[test]
fn a_newer_primary_ends_a_tls_handshake() {
    let peer = Script::start(|mut stream, _| {
        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    });
    let watched = watched(&format!("mongodb://{}/?tls=true&tlsInsecure=true&connectTimeoutMS=60000", peer.address()));
    watched.ready();
    let began = Instant::now();
    thread::scope(|scope| {
        let attempt = scope.spawn(|| check_out(&watched.pool).err().unwrap());
        while !watched.pool.shared.lock().connecting.values().any(|attempt| attempt.handle.is_some()) {
            assert!(began.elapsed() < Duration::from_secs(30), "there is no socket to end");
            thread::yield_now();
        }
        watched.pool.end_waits("a:1 has not answered for 2 s, and b:1 is primary now").run();
        let failure = attempt.join().unwrap();
        assert!(failure.error.is_network_error() && failure.attempt.is_none(), "{}", failure.error);
        assert!(failure.error.labels().is_empty() && failure.error.message().contains("b:1 is primary now"));
    });
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
