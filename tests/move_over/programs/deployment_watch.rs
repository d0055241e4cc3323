//! A deployment is watched by its discovery events, and operations choose their servers by a predicate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mongodb::bson::{self, Document, doc};
use mongodb::error::Result;
use mongodb::event::EventHandler;
use mongodb::event::sdam::{
    SdamEvent, ServerDescription, ServerDescriptionChangedEvent, ServerHeartbeatFailedEvent, ServerOpeningEvent,
    TopologyDescription,
};
use mongodb::options::{ClientOptions, FindOptions, ReadPreference, SelectionCriteria, ServerAddress};
use mongodb::sync::Client;
use mongodb::{ServerInfo, ServerType, TopologyType};

/// What is known of the deployment, kept by value.
#[derive(Default)]
struct Known {
    opened: BTreeSet<String>,
    types: BTreeMap<String, ServerType>,
    topology: Option<TopologyDescription>,
    beats: usize,
    failures: Vec<ServerHeartbeatFailedEvent>,
    last_change: Option<ServerDescription>,
}

impl Known {
    fn opening(&mut self, event: ServerOpeningEvent) {
        let address: ServerAddress = event.address;
        self.opened.insert(address.to_string());
    }

    fn changed(&mut self, event: ServerDescriptionChangedEvent) {
        self.types.insert(event.address.to_string(), event.new_description.server_type());
        assert_ne!(event.previous_description.server_type(), ServerType::RsGhost);
        self.last_change = Some(event.new_description);
    }

    fn is_complete(&self) -> bool {
        let count = |wanted: ServerType| self.types.values().filter(|found| **found == wanted).count();
        count(ServerType::RsPrimary) == 1 && count(ServerType::RsSecondary) == 2
    }
}

fn watch(known: Arc<(Mutex<Known>, Condvar)>) -> EventHandler<SdamEvent> {
    EventHandler::callback(move |event: SdamEvent| {
        let mut now = known.0.lock().unwrap();
        match event {
            SdamEvent::ServerOpening(event) => now.opening(event),
            SdamEvent::ServerDescriptionChanged(event) => now.changed(*event),
            SdamEvent::TopologyDescriptionChanged(event) => now.topology = Some(event.new_description),
            SdamEvent::ServerHeartbeatSucceeded(event) => {
                assert!(event.reply.get_i32("maxWireVersion").is_ok() || event.reply.is_empty());
                now.beats += 1;
            }
            SdamEvent::ServerHeartbeatFailed(event) => now.failures.push(event),
            _ => {}
        }
        known.1.notify_all();
    })
}

fn is_secondary(server: &ServerInfo) -> bool {
    server.server_type() == ServerType::RsSecondary && server.replica_set_name().is_some()
}

fn role(answer: &Document) -> &'static str {
    if answer.get_bool("secondary").unwrap_or_default() { "a secondary" } else { "no secondary" }
}

#[allow(deprecated, reason = "bson 2 and 3 have other names for it")]
fn names() -> Vec<String> {
    let types = [ServerType::default(), ServerType::RsPrimary, ServerType::Mongos];
    let mut names: Vec<String> = types.iter().map(|one| bson::to_bson(one).unwrap().to_string()).collect();
    names.push(bson::to_bson(&TopologyType::default()).unwrap().to_string());
    names
}

fn main() -> Result<()> {
    let known = Arc::new((Mutex::new(Known::default()), Condvar::new()));
    let mut options = ClientOptions::parse(std::env::var("MONGODB_SET_URI").expect("MONGODB_SET_URI")).run()?;
    options.sdam_event_handler = Some(watch(known.clone()));
    options.heartbeat_freq = Some(Duration::from_millis(500));
    let seeds: BTreeSet<String> = options.hosts.iter().map(ToString::to_string).collect();
    let client = Client::with_options(options)?;
    let database = client.database("move_over_watch");
    database.drop().run()?;
    database.collection("notes").insert_many((0..4).map(|number| doc! { "_id": number })).run()?;

    let wait = |now, what: fn(&mut Known) -> bool| {
        known.1.wait_timeout_while(now, Duration::from_secs(30), |now| !what(now)).expect("no handler panicked").0
    };
    let now = wait(known.0.lock().unwrap(), |now| now.is_complete() && now.beats > 2);
    println!("all seeds are there: {}", seeds.is_subset(&now.opened));
    println!("{} servers, failed checks: {}", now.types.len(), now.failures.len());
    let topology = now.topology.clone().expect("a description");
    let last = now.last_change.clone().expect("a change");
    drop(now);
    println!(
        "{}, set: {}",
        topology.topology_type(),
        topology.set_name() == last.replica_set_name().map(String::from).as_ref()
    );
    let servers = topology.servers();
    println!("the same address: {}", servers.iter().all(|(address, server)| *address == server.address()));
    println!("errors: {}", servers.values().filter(|server| server.error().is_some()).count());
    println!("can be written: {}", topology.has_writable_server());
    println!("can be read: {}", topology.has_readable_server(Some(ReadPreference::Primary.into())));
    println!("text: {}", servers.values().all(|server| server.to_string().contains("Address: ")));

    let secondaries = SelectionCriteria::Predicate(Arc::new(is_secondary));
    let hello = database.run_command(doc! { "hello": 1 }).selection_criteria(secondaries.clone()).run()?;
    println!("asked {}", role(&hello));
    let at_primary = |server: &ServerInfo| server.server_type() == ServerType::RsPrimary;
    let primary = SelectionCriteria::Predicate(Arc::new(at_primary));
    println!("asked {}", role(&database.run_command(doc! { "hello": 1 }).selection_criteria(primary.clone()).run()?));
    let options = FindOptions::builder().selection_criteria(primary).build();
    let found: Result<Vec<Document>> =
        database.collection("notes").find(doc! {}).with_options(options).run()?.collect();
    println!("found {} notes, by {}", found?.len(), secondaries);
    println!("{:?}", names());
    database.drop().run()?;
    Ok(())
}
