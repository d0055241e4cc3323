//! Commands are logged and counted by a handler of events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::event::EventHandler;
use mongodb::event::command::{CommandEvent, CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent};
use mongodb::options::ClientOptions;
use mongodb::sync::Client;

#[derive(Default)]
struct Statistics {
    started: BTreeMap<String, usize>,
    failed: Vec<String>,
    lines: Vec<String>,
    open: usize,
}

impl Statistics {
    fn started(&mut self, event: CommandStartedEvent) {
        *self.started.entry(event.command_name.clone()).or_default() += 1;
        self.open += 1;
        if event.command_name == "find" {
            let filter = event.command.get_document("filter").cloned().unwrap_or_default();
            self.lines.push(format!("find in {} {filter}", event.db));
        }
    }

    fn succeeded(&mut self, event: CommandSucceededEvent) {
        self.open -= 1;
        if event.command_name == "insert" {
            self.lines.push(format!("inserted {:?}", event.reply.get_i32("n")));
        }
        assert!(event.duration.as_secs() < 60);
        assert!(event.connection.server_id.is_none() || !event.connection.address.to_string().is_empty());
    }

    fn failed(&mut self, event: CommandFailedEvent) {
        self.open -= 1;
        let _: &mongodb::error::Error = &event.failure;
        self.failed.push(event.command_name);
    }
}

fn main() -> Result<()> {
    let statistics = Arc::new(Mutex::new(Statistics::default()));
    let for_handler = statistics.clone();
    let mut options = ClientOptions::parse(std::env::var("MONGODB_URI").expect("MONGODB_URI")).run()?;
    options.command_event_handler = Some(EventHandler::callback(move |event: CommandEvent| {
        let mut statistics = for_handler.lock().unwrap();
        match event {
            CommandEvent::Started(started) => statistics.started(started),
            CommandEvent::Succeeded(succeeded) => statistics.succeeded(succeeded),
            CommandEvent::Failed(failed) => statistics.failed(failed),
            _ => {}
        }
    }));
    let client = Client::with_options(options)?;
    let database = client.database("move_over_events");
    database.drop().run()?;
    let notes = database.collection::<Document>("notes");
    notes.insert_many((0..5).map(|number| doc! { "_id": number })).run()?;
    let found: Vec<Document> = notes.find(doc! { "_id": { "$gt": 1 } }).batch_size(2).run()?.collect::<Result<_>>()?;
    println!("found {}", found.len());
    database.run_command(doc! { "noSuchCommand": 1 }).run().unwrap_err();
    database.drop().run()?;

    let statistics = statistics.lock().unwrap();
    for name in ["dropDatabase", "insert", "find", "getMore", "noSuchCommand"] {
        println!("{name}: {}", statistics.started.get(name).copied().unwrap_or_default());
    }
    println!("failed: {:?}, open: {}", statistics.failed, statistics.open);
    for line in &statistics.lines {
        println!("{line}");
    }
    Ok(())
}
