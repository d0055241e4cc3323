//! A client whose commands are kept, logged in on a server with access control, and a server for a test alone.

use std::sync::{Arc, Mutex};

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Collection};
use mongo_blocking_test_server::peers::Mongod;

/// A client whose commands are kept, to look at.
pub struct Watched {
    pub client: Client,
    pub started: Arc<Mutex<Vec<Document>>>,
}

impl Watched {
    /// `options` is the query of the connection string.
    pub fn new(mongod: &Mongod, options: &str) -> Watched {
        let started = Arc::new(Mutex::new(Vec::new()));
        let kept = started.clone();
        let handler = EventHandler::new(move |event: &CommandEvent| {
            if let CommandEvent::Started(event) = event {
                kept.lock().unwrap().push(event.command.clone());
            }
        });
        let uri = format!("{}?{options}", mongod.root_uri());
        let options = ClientOptions::builder().uri(uri).command_event_handler(handler).build().settings().unwrap();
        Watched { client: Client::with_options(options).unwrap(), started }
    }

    /// An empty collection of this name.
    pub fn collection(&self, name: &str) -> Collection<Document> {
        let collection = self.client.database("crud").collection(name);
        collection.drop().run().unwrap();
        self.started.lock().unwrap().clear();
        collection
    }

    /// The commands of this name so far.
    pub fn sent(&self, name: &str) -> Vec<Document> {
        let started = self.started.lock().unwrap();
        started.iter().filter(|command| command.keys().next().is_some_and(|key| key == name)).cloned().collect()
    }
}

/// A mongod of its own for tests that set fail points or look at the server's figures, which concern all of its clients.
pub fn own_mongod() -> Option<Mongod> {
    Mongod::start_with_auth("6.0")
}

/// Lets the server fail the next commands of these names.
pub fn fail(client: &Client, times: i32, data: Document) {
    let command = doc! {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data};
    client.database("admin").run_command(command).run().unwrap();
}
