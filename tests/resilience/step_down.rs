//! Operations on a primary that steps down, and slow ones on a primary that does not: the prose tests of Connections Survive Primary
//! Step Down, and that nothing is ended which the server is at work on.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, WriteConcern};
use mongo_blocking::{Client, Collection};
use mongo_blocking_test_server::peers::{ReplicaSet, ReplicaSetOptions};

/// A set for the tests of this file, one at a time, with a primary and two secondaries.
fn set() -> Option<(&'static ReplicaSet, MutexGuard<'static, ()>)> {
    static SET: OnceLock<Option<ReplicaSet>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let set = SET.get_or_init(|| ReplicaSet::start("6.0", ReplicaSetOptions::default())).as_ref()?;
    set.wait_until_complete();
    Some((set, turn))
}

/// A client whose events are kept: the commands that were sent and the failures, and how often a pool was cleared.
struct Watched {
    client: Client,
    commands: Arc<Mutex<Vec<String>>>,
    cleared: Arc<Mutex<usize>>,
}

impl Watched {
    fn new(set: &ReplicaSet, options: &str) -> Watched {
        let (commands, cleared) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let (seen, count) = (commands.clone(), cleared.clone());
        let of_commands = EventHandler::new(move |event: &CommandEvent| {
            let text = match event {
                CommandEvent::Started(event) => event.command_name.clone(),
                CommandEvent::Failed(event) => format!("failed {}: {}", event.command_name, event.failure),
                _ => return,
            };
            seen.lock().unwrap().push(text);
        });
        let of_pools = EventHandler::new(move |event: &CmapEvent| {
            if matches!(event, CmapEvent::PoolCleared(_)) {
                *count.lock().unwrap() += 1;
            }
        });
        let options = ClientOptions::builder().uri(format!("{}{options}", set.uri()));
        let options = options.command_event_handler(of_commands).cmap_event_handler(of_pools).build();
        Watched { client: Client::with_options(options).unwrap(), commands, cleared }
    }

    /// The collection of the prose tests, empty.
    fn collection(&self) -> Collection<Document> {
        let collection = self.client.database("step-down").collection::<Document>("step-down");
        let create = self.client.database("step-down");
        collection.drop().write_concern(WriteConcern::majority()).run().unwrap();
        create.create_collection("step-down").write_concern(WriteConcern::majority()).run().unwrap();
        collection
    }

    /// The commands of this name since the last call, and the failures.
    fn sent(&self, name: &str) -> Vec<String> {
        let commands = std::mem::take(&mut *self.commands.lock().unwrap());
        commands.into_iter().filter(|command| command == name || command.starts_with("failed")).collect()
    }

    fn cleared(&self) -> usize {
        *self.cleared.lock().unwrap()
    }
}

/// "getMore Iteration"
#[test]
fn a_cursor_is_read_on_after_a_step_down() {
    let Some((set, _turn)) = set() else { return };
    let watched = Watched::new(set, "&retryWrites=false");
    let collection = watched.collection();
    let five = (0..5).map(|n| doc! {"_id": n});
    collection.insert_many(five).write_concern(WriteConcern::majority()).run().unwrap();
    let mut cursor = collection.find(doc! {}).batch_size(2).run().unwrap();
    (0..2).for_each(|_| assert!(cursor.advance().unwrap()));
    let unfrozen = set.run(set.secondaries()[0], "admin", doc! {"replSetFreeze": 0});
    assert_eq!(unfrozen.get_f64("ok").unwrap(), 1.0, "{unfrozen}");
    set.step_down();
    let before = watched.cleared();
    assert_eq!(cursor.map(Result::unwrap).count(), 3);
    assert_eq!(watched.cleared(), before);
}

/// "Not Primary - Keep Connection Pool", "Shutdown in progress - Reset Connection Pool", "Interrupted at shutdown - Reset Connection Pool"
#[test]
fn what_a_server_reports_of_itself_decides_about_its_pool() {
    let Some((set, _turn)) = set() else { return };
    for (code, clears) in [(10107, 0), (91, 1), (11600, 1)] {
        let watched = Watched::new(set, "&retryWrites=false");
        let collection = watched.collection();
        let data = doc! {"failCommands": ["insert"], "errorCode": code};
        set.run(set.primary(), "admin", doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data});
        let before = watched.cleared();
        let error = collection.insert_one(doc! {"test": 1}).run().unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
        assert_eq!(watched.cleared() - before, clears, "{code}");
        collection.insert_one(doc! {"test": 1}).run().unwrap();
        assert_eq!(watched.cleared() - before, clears, "{code}");
    }
}

/// A hundred documents, of which each takes the server a tenth of a second.
fn slow_read(collection: &Collection<Document>) -> Duration {
    let began = Instant::now();
    let found = collection.find(doc! {"$where": "sleep(100) || true"}).run().unwrap();
    assert_eq!(found.map(Result::unwrap).count(), 100);
    began.elapsed()
}

fn hundred_documents(watched: &Watched) -> Collection<Document> {
    let collection = watched.collection();
    let hundred = (0..100).map(|n| doc! {"_id": n, "count": 0});
    collection.insert_many(hundred).write_concern(WriteConcern::majority()).run().unwrap();
    watched.sent("");
    collection
}

const SLOW: Duration = Duration::from_secs(10);

/// The server is looked at all the time, by the shortest of intervals.
#[test]
fn a_slow_read_and_a_slow_write_are_sent_once() {
    let Some((set, _turn)) = set() else { return };
    let watched = Watched::new(set, "&heartbeatFrequencyMS=500&connectTimeoutMS=2000");
    let collection = hundred_documents(&watched);
    thread::scope(|scope| {
        scope.spawn(|| assert!(slow_read(&collection) >= SLOW));
        scope.spawn(|| {
            let began = Instant::now();
            let filter = doc! {"_id": 0, "$where": "sleep(10000) || true"};
            let updated = collection.update_one(filter, doc! {"$inc": {"count": 1}}).run().unwrap();
            assert_eq!(updated.modified_count, 1);
            assert!(began.elapsed() >= SLOW);
        });
    });
    let mut sent = watched.commands.lock().unwrap().clone();
    sent.sort();
    assert_eq!(sent, ["find", "update"]);
    assert_eq!(collection.find_one(doc! {"_id": 0}).run().unwrap().unwrap().get_i32("count").unwrap(), 1);
    assert_eq!(watched.cleared(), 0);
}

#[test]
fn a_slow_read_goes_on_while_its_primary_steps_down() {
    let Some((set, _turn)) = set() else { return };
    let watched = Watched::new(set, "&heartbeatFrequencyMS=500&connectTimeoutMS=2000");
    let collection = hundred_documents(&watched);
    thread::scope(|scope| {
        let reading = scope.spawn(|| slow_read(&collection));
        while watched.commands.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        let old = set.step_down();
        assert_ne!(set.primary_other_than(old), old);
        // The client learns of the new primary in the midst of it, and goes on with the read.
        let elsewhere = watched.client.database("step-down").collection::<Document>("elsewhere");
        elsewhere.insert_one(doc! {}).run().unwrap();
        assert!(reading.join().unwrap() >= SLOW);
    });
    assert_eq!(watched.sent("find"), ["find"]);
    assert_eq!(watched.cleared(), 0);
}
