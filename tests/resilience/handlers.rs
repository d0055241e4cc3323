//! Handlers of events that panic, that take their time, and that use the client, with both kinds of checks, on a real set.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::Error;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::event::sdam::SdamEvent;
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder, Monitoring};
use mongo_blocking_test_server::peers::ReplicaSet;

const THREADS: usize = 8;
const LIMIT: Duration = Duration::from_secs(60);

fn options(set: &ReplicaSet, monitoring: Monitoring) -> ClientOptionsBuilder {
    ClientOptions::builder().uri(format!("{}&heartbeatFrequencyMS=500", set.uri())).monitoring(monitoring)
}

fn insert(client: &Client) -> Result<(), Error> {
    client.database("handlers").collection::<Document>("c").insert_one(doc! {}).run().map(drop)
}

/// A panic on the thread of an operation is that operation's; one on a thread of the driver's ends that thread. Nothing else ends.
#[test]
fn a_handler_that_panics_stops_nothing_else() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = calls.clone();
        let handler = EventHandler::new(move |event: &SdamEvent| {
            let is_check =
                matches!(event, SdamEvent::ServerHeartbeatStarted(_) | SdamEvent::ServerHeartbeatSucceeded(_));
            if is_check && seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                // Without the words on the standard error of the tests.
                resume_unwind(Box::new("planted"));
            }
        });
        let client = Client::with_options(options(set, monitoring).sdam_event_handler(handler).build()).unwrap();
        let began = Instant::now();
        let until_enough = || {
            let mut successes = 0;
            // More than one heartbeat long, so that checks go on.
            while successes < 5 || began.elapsed() < Duration::from_secs(2) {
                assert!(began.elapsed() < LIMIT, "{monitoring:?}: {successes} successes");
                match catch_unwind(AssertUnwindSafe(|| insert(&client))) {
                    Ok(Ok(())) => successes += 1,
                    Ok(Err(error)) => panic!("{monitoring:?}: {error}"),
                    Err(_) => {}
                }
            }
        };
        thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(until_enough))));
        assert!(calls.load(Ordering::SeqCst) > 4, "{monitoring:?}");
        let ending = Instant::now();
        let _ = catch_unwind(AssertUnwindSafe(|| client.close()));
        assert!(ending.elapsed() < Duration::from_secs(10), "{monitoring:?}: {:?}", ending.elapsed());
    }
}

/// At most one operation waits for a handler: the one whose thread calls it.
#[test]
fn a_handler_that_takes_two_seconds_holds_up_one_thread_at_most() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        // How many operations are done, and whether the handler has seen all but one of them done.
        let state = Arc::new((Mutex::new((0, None)), Condvar::new()));
        let in_handler = state.clone();
        let handler = EventHandler::new(move |event: &SdamEvent| {
            let (state, changed) = &*in_handler;
            if !matches!(event, SdamEvent::ServerDescriptionChanged(_)) || state.lock().unwrap().1.is_some() {
                return;
            }
            thread::sleep(Duration::from_secs(2));
            let done = |state: &mut (usize, Option<bool>)| state.0 < THREADS - 1;
            let (mut state, timeout) = changed.wait_timeout_while(state.lock().unwrap(), LIMIT / 2, done).unwrap();
            state.1 = Some(!timeout.timed_out());
            changed.notify_all();
        });
        let client = Client::with_options(options(set, monitoring).sdam_event_handler(handler).build()).unwrap();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    insert(&client).unwrap();
                    state.0.lock().unwrap().0 += 1;
                    state.1.notify_all();
                });
            }
        });
        let (result, _) =
            state.1.wait_timeout_while(state.0.lock().unwrap(), LIMIT, |state| state.1.is_none()).unwrap();
        assert_eq!(*result, (THREADS, Some(true)), "{monitoring:?}: operations waited for the handler");
    }
}

/// Within an event that tells of the beginning of a check, too.
#[test]
fn a_handler_may_use_its_client() {
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        let last: Arc<Mutex<Option<Client>>> = Arc::default();
        let uses = Arc::new(AtomicUsize::new(0));
        let use_client = {
            let (last, uses) = (last.clone(), uses.clone());
            move || {
                let client = last.lock().unwrap().clone();
                let Some(client) = client.filter(|_| uses.load(Ordering::SeqCst) < 20) else { return };
                assert_eq!(client.topology().servers().len(), 3);
                insert(&client).unwrap();
                uses.fetch_add(1, Ordering::SeqCst);
            }
        };
        let of_pools = use_client.clone();
        let on_sdam = EventHandler::new(move |_: &SdamEvent| use_client());
        let on_cmap = EventHandler::new(move |_: &CmapEvent| of_pools());
        let options = options(set, monitoring).sdam_event_handler(on_sdam).cmap_event_handler(on_cmap);
        let client = Client::with_options(options.build()).unwrap();
        *last.lock().unwrap() = Some(client.clone());
        thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(|| insert(&client).unwrap()))));
        let began = Instant::now();
        while uses.load(Ordering::SeqCst) < 20 {
            assert!(began.elapsed() < LIMIT, "{monitoring:?}: {}", uses.load(Ordering::SeqCst));
            insert(&client).unwrap();
        }
        last.lock().unwrap().take();
    }
}
