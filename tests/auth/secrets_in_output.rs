//! A password shows nowhere: not in a log, an event, an error, a warning, nor in the `Debug` form of anything.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientSettings;
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::{FakeServer, Mechanism};
use mongo_blocking_test_server::plain;

use crate::captured_log::CapturedLog;

#[test]
fn a_password_is_never_printed() {
    const PASSWORD: &str = "hunter2%2Fx";
    const PLAIN: &str = "hunter2/x";
    if !child::alone(module_path!(), "a_password_is_never_printed") {
        return;
    }
    let log = CapturedLog::install();
    let fake_server = FakeServer::builder()
        .user("ann", PLAIN, &[Mechanism::ScramSha1, Mechanism::ScramSha256], "admin")
        .mechanism("PLAIN", plain::judged_by(|user, password| (user, password) == ("ann", PLAIN)))
        .cr_user("eve", PLAIN, "admin")
        .start();
    let seen = Arc::new(Mutex::new(String::new()));

    for (user, mechanism) in [
        ("ann", "SCRAM-SHA-1"),
        ("ann", "SCRAM-SHA-256"),
        ("bob", "SCRAM-SHA-256"),
        ("ann", "PLAIN"),
        ("bob", "PLAIN"),
        ("eve", "MONGODB-CR"),
        ("ann", "MONGODB-CR"),
    ] {
        let uri = format!(
            "mongodb://{user}:{PASSWORD}@{}/?authMechanism={mechanism}&nonsense={PASSWORD}",
            fake_server.address()
        );
        let events = Arc::clone(&seen);
        let handler = EventHandler::new(move |event: &CommandEvent| {
            let _ = writeln!(events.lock().unwrap(), "{event:?}");
        });
        let options = ClientSettings::parse(&uri).unwrap();
        let show = |thing: &dyn std::fmt::Debug| {
            let _ = writeln!(seen.lock().unwrap(), "{thing:?}");
        };
        show(&options);
        show(&options.clone().into_builder());
        show(&options.credential());
        let options = options.into_builder().command_event_handler(handler).build().settings().unwrap();
        show(&options.warnings());
        show(&options.to_uri(false));
        let client = Client::with_options(options).unwrap();
        let database = client.database("db");
        let collection = database.collection::<Document>("c");
        show(&client);
        show(&database);
        show(&collection);
        show(&collection.find(doc! {}).run());
        show(&client.ping().map_err(|error| format!("{error:#} {error:?}")));
        let create = doc! { "createUser": "eve", "pwd": PLAIN, "roles": [] };
        show(&client.database("admin").run_command(create).run().map_err(|error| format!("{error:#}")));
    }

    for (name, text) in [("events and Debug", seen.lock().unwrap().clone()), ("log", log.text())] {
        for line in text.lines() {
            assert!(!line.contains("hunter2"), "{name}: {line}");
        }
    }
    // Ann by three mechanisms, Eve by one; each client has a connection.
    assert_eq!(fake_server.logins(), 4);
    assert!(seen.lock().unwrap().len() > 1000, "nothing was looked at");
}
