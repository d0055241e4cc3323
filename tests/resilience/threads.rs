//! One client and many threads: the pool under load, its limits, and the odd places a blocking client is called from.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::peers::Mongod;
use mongo_blocking_test_server::script::Script;
use mongo_blocking_test_server::wire;

/// What a peer that only greets and pings answers.
fn greeting() -> Document {
    doc! {"ok": 1, "ismaster": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 17,
    "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000}
}

fn is_hello(name: &str) -> bool {
    name.eq_ignore_ascii_case("isMaster") || name == "hello"
}

/// A peer that greets, and answers everything else with success at once.
fn polite_peer() -> Script {
    Script::start(|mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            let reply = if is_hello(request.name()) {
                greeting()
            } else {
                doc! {"ok": 1}
            };
            let _ = wire::write_reply(&mut stream, &request, &reply);
        }
    })
}

/// Waits until it is so, for at most ten seconds.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn eight_threads_and_two_connections_lose_nothing() {
    const THREADS: i32 = 8;
    const EACH: i32 = 1_250;
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let opened = Arc::new(AtomicUsize::new(0));
    let count = opened.clone();
    let options = ClientOptions::builder().uri(format!("{}?maxPoolSize=2", mongod.uri()));
    let options = options.cmap_event_handler(EventHandler::new(move |event: &CmapEvent| {
        if matches!(event, CmapEvent::ConnectionCreated(_)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let client = Client::with_options(options.build()).unwrap();
    let counters = client.database("threads").collection::<Document>("counters");
    counters.drop().run().unwrap();
    counters.insert_many((0..THREADS).map(|n| doc! {"_id": n, "count": 0})).run().unwrap();

    thread::scope(|scope| {
        for number in 0..THREADS {
            let counters = counters.clone();
            scope.spawn(move || {
                for _ in 0..EACH {
                    let done = counters.update_one(doc! {"_id": number}, doc! {"$inc": {"count": 1}}).run().unwrap();
                    assert_eq!(done.modified_count, 1);
                }
            });
        }
    });
    for number in 0..THREADS {
        let counter = counters.find_one(doc! {"_id": number}).run().unwrap().unwrap();
        assert_eq!(counter.get_i32("count").unwrap(), EACH);
    }
    // On a busy machine a check of the server may have had a connection of its own beside these.
    assert!(opened.load(Ordering::Relaxed) <= 2, "{opened:?} connections of the pool");
}

#[test]
fn a_full_pool_is_reported_with_its_figures() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let peer = Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            if is_hello(request.name()) {
                let _ = wire::write_reply(&mut stream, &request, &greeting());
            } else {
                // Holds the pool's only connection until the test lets go.
                let _ = held.lock().unwrap().recv();
                let _ = wire::write_reply(&mut stream, &request, &doc! {"ok": 1});
            }
        }
    });
    let client = Client::with_uri_str(format!("{}?maxPoolSize=1&waitQueueTimeoutMS=200", peer.uri())).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| client.ping());
        eventually("the first ping has its connection", || peer.connections() == 1);
        let second = scope.spawn(|| client.ping());
        let error = second.join().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Pool { .. }), "{error}");
        assert_eq!(error.stage(), Stage::CheckOut);
        let text = error.to_string();
        assert!(text.contains("maxPoolSize 1"), "{text}");
        assert!(text.contains("waitQueueTimeoutMS"), "{text}");
        release.send(()).unwrap();
        first.join().unwrap().unwrap();
    });
    assert_eq!(peer.connections(), 1);
}

#[test]
fn waiting_threads_are_served_in_order() {
    const WAITING: usize = 6;
    let peer = polite_peer();
    let client = Client::with_uri_str(format!("{}?maxPoolSize=1", peer.uri())).unwrap();
    let database = client.database("admin");
    let (order_in, order_out) = mpsc::channel();
    let started = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..WAITING {
            let (order_in, started, database) = (order_in.clone(), started.clone(), database.clone());
            scope.spawn(move || {
                started.fetch_add(1, Ordering::SeqCst);
                for _ in 0..50 {
                    database.run_command(doc! {"ping": 1}).run().unwrap();
                }
                order_in.send(number).unwrap();
            });
        }
    });
    drop(order_in);
    // Nobody starves: with one connection and first come, first served, all get through.
    assert_eq!(order_out.iter().count(), WAITING);
    assert_eq!(peer.connections(), 1);
}

#[test]
fn min_pool_size_is_filled_after_the_first_operation() {
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let client = Client::with_uri_str(format!("{}?minPoolSize=3", mongod.uri())).unwrap();
    client.ping().unwrap();
    eventually("there are three connections", || {
        let status = mongod.run("admin", doc! {"serverStatus": 1});
        // The one that asks is counted too.
        status.get_document("connections").unwrap().get_i32("current").unwrap() >= 4
    });
}

#[test]
fn an_idle_connection_that_died_is_replaced_before_use() {
    let peer = polite_peer();
    let client = Client::with_uri_str(peer.uri()).unwrap();
    client.ping().unwrap();
    peer.hang_up();
    eventually("the peer has hung up", || peer.open_connections() == 0);
    // Longer than the pool trusts an idle connection unseen.
    thread::sleep(Duration::from_millis(1_100));
    client.ping().unwrap();
    assert_eq!(peer.connections(), 2);
}

#[test]
fn a_connection_that_was_idle_too_long_is_not_used() {
    let peer = polite_peer();
    let client = Client::with_uri_str(format!("{}?maxIdleTimeMS=50", peer.uri())).unwrap();
    client.ping().unwrap();
    client.ping().unwrap();
    assert_eq!(peer.connections(), 1);
    thread::sleep(Duration::from_millis(120));
    client.ping().unwrap();
    assert_eq!(peer.connections(), 2);
}

#[test]
fn a_network_error_ends_the_generation() {
    let (dies, died) = mpsc::channel();
    let died = Mutex::new(died);
    let peer = Script::start(move |mut stream, number| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            if is_hello(request.name()) {
                let _ = wire::write_reply(&mut stream, &request, &greeting());
            } else if number == 2 {
                let _ = dies.send(());
                return;
            } else {
                if number == 1 {
                    let _ = died.lock().unwrap().recv_timeout(Duration::from_secs(5));
                }
                let _ = wire::write_reply(&mut stream, &request, &doc! {"ok": 1});
            }
        }
    });
    let client = Client::with_uri_str(peer.uri()).unwrap();
    // Two connections at once; the second dies in use, and takes the first one's generation with it.
    thread::scope(|scope| {
        let both = [scope.spawn(|| client.ping()), scope.spawn(|| client.ping())];
        let failed = both.into_iter().map(|one| one.join().unwrap()).filter(Result::is_err).count();
        assert_eq!(failed, 1);
    });
    client.ping().unwrap();
    assert_eq!(peer.connections(), 3, "the first connection belongs to a generation that has ended");
}

#[test]
fn no_more_connections_are_made_at_once_than_allowed() {
    let at_once = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (at_once.clone(), most.clone());
    let peer = Script::start(move |mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            if is_hello(request.name()) {
                seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(50));
                now.fetch_sub(1, Ordering::SeqCst);
                let _ = wire::write_reply(&mut stream, &request, &greeting());
            } else {
                thread::sleep(Duration::from_millis(50));
                let _ = wire::write_reply(&mut stream, &request, &doc! {"ok": 1});
            }
        }
    });
    let client = Client::with_uri_str(peer.uri()).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.ping().unwrap());
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 2, "maxConnecting is 2 unless told otherwise");
}

#[test]
fn closing_ends_what_is_in_use() {
    let peer = Script::start(|mut stream, _| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            // Answers nothing but the greeting.
            if is_hello(request.name()) {
                let _ = wire::write_reply(&mut stream, &request, &greeting());
            }
        }
    });
    let checkouts = Arc::new(AtomicUsize::new(0));
    let counted = checkouts.clone();
    let handler = EventHandler::new(move |event: &CmapEvent| {
        if let CmapEvent::ConnectionCheckoutStarted(_) = event {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let options = ClientOptions::builder().uri(format!("{}?maxPoolSize=1", peer.uri())).cmap_event_handler(handler);
    let client = Client::with_options(options.build()).unwrap();
    thread::scope(|scope| {
        let in_use = scope.spawn(|| client.ping());
        eventually("the ping is on its way", || peer.connections() == 1);
        let waiting = scope.spawn(|| client.ping());
        eventually("another ping waits for the connection", || checkouts.load(Ordering::SeqCst) == 2);
        let began = Instant::now();
        client.clone().close();
        in_use.join().unwrap().unwrap_err();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
    let error = client.ping().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error}");
    eventually("the sockets are closed", || peer.open_connections() == 0);
}

#[test]
fn closing_ends_cursors_on_the_server() {
    let Some(mongod) = Mongod::start("6.0", &[]) else { return };
    let client = Client::with_uri_str(mongod.uri()).unwrap();
    let numbers = client.database("threads").collection::<Document>("numbers");
    numbers.insert_many((0..100).map(|n| doc! {"n": n})).run().unwrap();
    let mut cursor = numbers.find(doc! {}).batch_size(2).run().unwrap();
    assert!(cursor.next().is_some());
    let open = |client: &Client| {
        let status = client.database("admin").run_command(doc! {"serverStatus": 1}).run().unwrap();
        let metrics = status.get_document("metrics").unwrap().get_document("cursor").unwrap();
        metrics.get_document("open").unwrap().get_i64("total").unwrap()
    };
    assert_eq!(open(&client), 1);
    client.close();
    let other = Client::with_uri_str(mongod.uri()).unwrap();
    assert_eq!(open(&other), 0);
    // What the cursor had is still there; more it cannot get.
    assert!(cursor.next().is_some());
    assert!(cursor.next().unwrap().is_err());
    assert!(cursor.next().is_none());
}

#[test]
fn it_may_be_called_from_a_runtime_s_worker() {
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let client = Client::with_uri_str(mongod.uri()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let own = client.clone();
    runtime.block_on(async move { tokio::spawn(async move { own.ping().unwrap() }).await.unwrap() });
    runtime.block_on(async move {
        tokio::spawn(async move {
            // A cursor that is dropped on the worker has its server-side end told there.
            let numbers = client.database("threads").collection::<Document>("worker");
            numbers.insert_many((0..10).map(|n| doc! {"n": n})).run().unwrap();
            let mut cursor = numbers.find(doc! {}).batch_size(2).run().unwrap();
            assert!(cursor.next().is_some());
        })
        .await
        .unwrap()
    });
}

#[test]
fn it_may_be_called_from_drop_and_from_a_scoped_thread() {
    struct Farewell(Client);
    impl Drop for Farewell {
        fn drop(&mut self) {
            self.0.ping().unwrap();
        }
    }
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let client = Client::with_uri_str(mongod.uri()).unwrap();
    drop(Farewell(client.clone()));
    thread::scope(|scope| {
        scope.spawn(|| client.ping().unwrap());
        scope.spawn(|| drop(Farewell(client.clone())));
    });
}

#[test]
fn a_client_may_be_shared_and_sent() {
    fn all<T: Clone + Send + Sync + 'static>() {}
    all::<Client>();
}

#[test]
fn min_pool_size_that_cannot_be_reached_does_not_slow_every_operation_down() {
    let peer = Script::start(|mut stream, number| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            // Only the first connection is ever greeted.
            if number == 1 {
                let reply = if is_hello(request.name()) {
                    greeting()
                } else {
                    doc! {"ok": 1}
                };
                let _ = wire::write_reply(&mut stream, &request, &reply);
            }
        }
    });
    let uri = format!("mongodb://{}/?minPoolSize=2&connectTimeoutMS=800", peer.address());
    let client = Client::with_uri_str(uri).unwrap();
    let began = Instant::now();
    for _ in 0..6 {
        client.ping().unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(700), "a ping waited: {:?}", began.elapsed());
}

#[test]
fn no_operation_waits_for_min_pool_size() {
    let peer = Script::start(|mut stream, number| {
        while let Ok(Some(request)) = wire::read_request(&mut stream) {
            if number == 1 {
                thread::sleep(Duration::from_millis(if is_hello(request.name()) { 0 } else { 700 }));
                let reply = if is_hello(request.name()) {
                    greeting()
                } else {
                    doc! {"ok": 1}
                };
                let _ = wire::write_reply(&mut stream, &request, &reply);
            }
        }
    });
    let uri = format!("mongodb://{}/?minPoolSize=2&timeoutMS=1000", peer.address());
    let client = Client::with_uri_str(uri).unwrap();
    let began = Instant::now();
    client.ping().unwrap();
    assert!(began.elapsed() < Duration::from_millis(950), "the ping took {:?}", began.elapsed());
}

#[test]
fn closing_the_client_ends_an_unanswered_handshake() {
    let peer = Script::start(|mut stream, _| while let Ok(Some(_)) = wire::read_request(&mut stream) {});
    let client = Client::with_uri_str(format!("mongodb://{}/?connectTimeoutMS=8000", peer.address())).unwrap();
    let other = client.clone();
    let pinging = thread::spawn(move || other.ping().unwrap_err());
    eventually("the peer is greeted", || peer.connections() == 1);
    let began = Instant::now();
    client.close();
    let error = pinging.join().unwrap();
    assert!(matches!(error.kind(), ErrorKind::Shutdown), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
