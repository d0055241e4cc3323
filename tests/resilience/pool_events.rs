//! The events of a client's pool, as a program gets them.

use std::sync::{Arc, Mutex};

use bson::doc;
use mongo_blocking::Client;
use mongo_blocking::event::EventHandler;
use mongo_blocking::event::cmap::CmapEvent;
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::fake_server::FakeServer;

#[test]
fn the_life_of_a_pool() {
    let server = FakeServer::builder().start();
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = events.clone();
    let handler = EventHandler::new(move |event: &CmapEvent| {
        let text = format!("{event:?}");
        kept.lock().unwrap().push(text.split('(').next().unwrap_or_default().to_owned());
    });
    let options = ClientOptions::builder().uri(server.uri()).cmap_event_handler(handler).build().settings().unwrap();
    let client = Client::with_options(options).unwrap();
    for _ in 0..2 {
        client.database("admin").run_command(doc! { "ping": 1 }).run().unwrap();
    }
    client.close();
    let expected = [
        "PoolCreated",
        "PoolReady",
        "ConnectionCheckoutStarted",
        "ConnectionCreated",
        "ConnectionReady",
        "ConnectionCheckedOut",
        "ConnectionCheckedIn",
        "ConnectionCheckoutStarted",
        "ConnectionCheckedOut",
        "ConnectionCheckedIn",
        // endSessions, by close
        "ConnectionCheckoutStarted",
        "ConnectionCheckedOut",
        "ConnectionCheckedIn",
        "ConnectionClosed",
        "PoolClosed",
    ];
    assert_eq!(*events.lock().unwrap(), expected);
}
