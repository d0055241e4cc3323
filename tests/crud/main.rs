//! Every action on databases and collections, option by option, on a real MongoDB 6.0. What was sent is judged by the command
//! events, what came of it by what the server then holds.

mod batches;
mod bulk;
mod concerns;
mod cursors;
mod database;
mod decoding;
mod errors;
mod explained;
mod failures;
mod find;
mod find_and_modify;
mod hostile_replies;
mod indexes;
mod insert;
mod read;
mod replies;
mod server_texts;
mod splitting;
mod unacknowledged;
mod update;
mod watched;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, WriteError, WriteFailure};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection, Database, Error};
use mongo_blocking_test_server::peers::Mongod;

use watched::{Watched, fail, own_mongod};

/// A client that keeps what it sends, and an empty database of its own on the shared server.
struct Place {
    client: Client,
    database: Database,
    sent: Arc<Mutex<Vec<Document>>>,
}

/// A place for a test; `None` where there is no server.
fn place(name: &str) -> Option<Place> {
    place_with(name, "")
}

/// The same with more options in the connection string.
fn place_with(name: &str, options: &str) -> Option<Place> {
    let mongod = Mongod::shared("6.0")?;
    let sent: Arc<Mutex<Vec<Document>>> = Arc::default();
    let log = sent.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Started(started) = event {
            // One test sends what is no UTF-8.
            let mut command = started.command.clone();
            // The session's id is another one each time, and has tests of its own.
            command.remove("lsid");
            log.lock().unwrap().push(command);
        }
    });
    // The name of the program lets a fail point meet this client only.
    let uri = format!("{}?appName={name}&{options}", mongod.uri());
    let options = ClientOptions::builder().uri(uri).command_event_handler(handler).build().settings().unwrap();
    let client = Client::with_options(options).unwrap();
    let database = client.database(name);
    database.drop().run().unwrap();
    let place = Place { client, database, sent };
    place.sent();
    Some(place)
}

impl Place {
    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// The commands since the last call.
    fn sent(&self) -> Vec<Document> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }

    /// The one command since the last call.
    fn sent_one(&self) -> Document {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// The names of the commands since the last call.
    fn sent_names(&self) -> Vec<String> {
        self.sent().iter().map(|command| command.keys().next().unwrap().clone()).collect()
    }

    /// Lets this client's commands fail as the data say. `mode` is the server's: `{"times": 1}`, `{"skip": 1}`.
    fn fail(&self, mode: Document, mut data: Document) -> FailPoint<'_> {
        data.insert("appName", self.database.name());
        let command = doc! {"configureFailPoint": "failCommand", "mode": mode, "data": data};
        let guard = FAIL_POINTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.client.database("admin").run_command(command).run().unwrap();
        self.sent();
        FailPoint { place: self, _alone: guard }
    }
}

/// A server has one `failCommand` at a time.
static FAIL_POINTS: Mutex<()> = Mutex::new(());

/// Switches the fail point off when it ends.
struct FailPoint<'a> {
    place: &'a Place,
    _alone: std::sync::MutexGuard<'a, ()>,
}

impl Drop for FailPoint<'_> {
    fn drop(&mut self) {
        let off = doc! {"configureFailPoint": "failCommand", "mode": "off"};
        let done = self.place.client.database("admin").run_command(off).run();
        assert!(done.is_ok() || thread::panicking(), "{done:?}");
    }
}

/// What the collection holds, in the order of `_id`.
fn all(collection: &Collection<Document>) -> Vec<Document> {
    collection.find(doc! {}).sort(doc! {"_id": 1}).run().unwrap().map(Result::unwrap).collect()
}

/// The 32-bit `_id` of each document.
fn ids(documents: &[Document]) -> Vec<i32> {
    documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

/// Documents with these `_id`s.
fn numbered(numbers: impl IntoIterator<Item = i32>) -> Vec<Document> {
    numbers.into_iter().map(|number| doc! {"_id": number}).collect()
}

/// The error is an argument that was refused before anything was sent.
fn is_argument_error<T: std::fmt::Debug>(result: mongo_blocking::Result<T>, words: &str) {
    let error = result.expect_err(words);
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}

/// Code and place of each write error.
fn places(errors: &[WriteError]) -> Vec<(usize, i32)> {
    errors.iter().map(|error| (error.index, error.code)).collect()
}

fn write_error(error: &Error) -> &WriteError {
    match error.kind() {
        ErrorKind::Write(WriteFailure::WriteError(refused)) => refused,
        other => panic!("not a write error: {other:?}"),
    }
}

/// Waits until it is so, for at most ten seconds.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

const DUPLICATE_KEY: i32 = 11000;
const FAILED_VALIDATION: i32 = 121;
