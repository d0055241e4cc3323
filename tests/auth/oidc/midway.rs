//! A token runs out in mid-work (code 391): whatever the command, the caller does not notice, and the callback is called once.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::{Client, IdpServerResponse, OidcCallbackContext, WriteModel};
use mongo_blocking_test_server::fake_server::{Answer, FakeServer};
use mongo_blocking_test_server::oidc::{OidcServer, Seen};
use mongo_blocking_test_server::peers::Mongod;

use super::{Calls, REAUTHENTICATE, client, fail, idp, options};

/// A client that gets a new token whenever it asks, at a server whose batches hold three documents, and which refuses the
/// third `insert`.
fn place() -> Option<(OidcServer, FakeServer, Client, Calls)> {
    let idp = idp()?;
    let server = OidcServer::trusting(idp);
    let inserts = Calls::default();
    let fake_server = FakeServer::builder()
        .mechanism("MONGODB-OIDC", server.start())
        .hello_fields(doc! { "maxWriteBatchSize": 3 })
        .on_command(move |request, _| {
            let third = request.name() == "insert" && inserts.add() == 2;
            let refusal = doc! { "ok": 0, "code": REAUTHENTICATE, "errmsg": "the token has expired" };
            third.then_some(Answer::Reply(refusal))
        })
        .start();
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).oidc_callback(move |_: &OidcCallbackContext| {
        counted.add();
        Ok(IdpServerResponse::new(idp.token("ann")))
    }));
    Some((server, fake_server, client, calls))
}

fn things(client: &Client) -> mongo_blocking::Collection<Document> {
    client.database("test").collection("things")
}

#[test]
fn in_the_middle_of_a_cursor() {
    let Some((server, fake_server, client, calls)) = place() else { return };
    things(&client).insert_many((0..10).map(|n| doc! { "_id": n })).run().unwrap();
    let mut cursor = things(&client).find(doc! {}).batch_size(3).run().unwrap();
    for n in 0..10 {
        if n == 3 || n == 6 {
            fail(&fake_server, &["getMore"], 1, REAUTHENTICATE);
        }
        assert_eq!(cursor.next().unwrap().unwrap(), doc! { "_id": n });
    }
    assert!(cursor.next().is_none());
    // The third insert was refused as well.
    assert_eq!((calls.count(), tokens(&server), fake_server.connections()), (4, 4, 1));
}

#[test]
fn in_the_middle_of_a_bulk_insert() {
    let Some((server, fake_server, client, calls)) = place() else { return };
    client.ping().unwrap();
    // Ten documents are four commands, and the third is sent twice.
    let done = things(&client).insert_many((0..10).map(|n| doc! { "_id": n })).run().unwrap();
    assert_eq!(done.inserted_ids.len(), 10);
    assert_eq!(fake_server.commands_named("insert").len(), 5);
    assert_eq!(things(&client).count_documents(doc! {}).run().unwrap(), 10);
    assert_eq!((calls.count(), tokens(&server), fake_server.connections()), (2, 2, 1));
}

#[test]
fn in_the_middle_of_a_bulk_write() {
    let Some((server, fake_server, client, calls)) = place() else { return };
    client.ping().unwrap();
    fail(&fake_server, &["update"], 1, REAUTHENTICATE);
    let models = [
        WriteModel::insert_one(doc! { "_id": 1 }),
        WriteModel::update_many(doc! {}, doc! { "$set": { "seen": true } }),
        WriteModel::insert_one(doc! { "_id": 2 }),
    ];
    let done = things(&client).bulk_write(models).run().unwrap();
    assert_eq!((done.inserted_count, done.matched_count), (2, 1));
    assert_eq!((calls.count(), tokens(&server), fake_server.connections()), (2, 2, 1));
}

/// On MongoDB, to which the fake server forwards: the first command and two batches of an aggregation; and what a listener hears of it.
#[test]
fn in_an_aggregation_and_what_the_events_tell() {
    let (Some(idp), Some(mongod)) = (idp(), Mongod::shared("6.0")) else { return };
    let server = OidcServer::trusting(idp);
    let fake_server =
        FakeServer::builder().mechanism("MONGODB-OIDC", server.start()).forward_to(&mongod.address(), None).start();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = heard.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        let what = match event {
            CommandEvent::Started(_) => "started",
            CommandEvent::Succeeded(_) => "succeeded",
            _ => "failed",
        };
        hears.lock().unwrap().push(format!("{} {what}", event.command_name()));
    });
    let callback = |_: &OidcCallbackContext| Ok(IdpServerResponse::new(idp.token("ann")));
    let client = client(options(&fake_server).oidc_callback(callback).command_event_handler(handler));
    let things = client.database("oidc_midway").collection::<Document>("things");
    things.drop().run().unwrap();
    things.insert_many((0..9).map(|n| doc! { "_id": n })).run().unwrap();
    heard.lock().unwrap().clear();
    fail(&fake_server, &["aggregate"], 1, REAUTHENTICATE);
    let mut cursor = things.aggregate([doc! { "$sort": { "_id": 1 } }]).batch_size(3).run().unwrap();
    for n in 0..9 {
        if n == 3 || n == 6 {
            fail(&fake_server, &["getMore"], 1, REAUTHENTICATE);
        }
        assert_eq!(cursor.next().unwrap().unwrap(), doc! { "_id": n });
    }
    drop(cursor);
    let heard = heard.lock().unwrap();
    let count = |what: &str| heard.iter().filter(|one| *one == what).count();
    let counts = ["aggregate", "getMore"]
        .map(|name| ["started", "failed", "succeeded"].map(|what| count(&format!("{name} {what}"))));
    assert_eq!((counts, count("saslStart started")), ([[2, 1, 1], [4, 2, 2]], 0), "{heard:?}");
    assert_eq!(fake_server.connections(), 1);
}

/// The token of every connection runs out at once: the first to notice gets the next one, for all.
#[test]
fn in_many_threads() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server =
        FakeServer::builder().mechanism("MONGODB-OIDC", server.start()).on_command(server.asks_for_another()).start();
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).oidc_callback(move |_: &OidcCallbackContext| {
        counted.add();
        Ok(IdpServerResponse::new(idp.token("ann")))
    }));
    let barrier = Barrier::new(8);
    let ping = || {
        barrier.wait();
        (0..20).for_each(|_| client.ping().unwrap());
    };
    for round in 1..=3 {
        thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(ping))));
        assert_eq!((calls.count(), tokens(&server)), (round, round), "{} connections", fake_server.connections());
        let Some(Seen::Token(token)) = server.seen().pop() else { panic!("nobody has logged in") };
        server.revoke(&token);
    }
    // The ninth checks the server, where a call has waited for a second.
    assert!(fake_server.connections() <= 9, "a connection was given up");
}

/// How many tokens the server has seen, of those that differ.
fn tokens(server: &OidcServer) -> usize {
    let mut tokens: Vec<String> = server
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Token(token) => Some(token),
            Seen::Principal(_) => None,
        })
        .collect();
    tokens.sort();
    tokens.dedup();
    tokens.len()
}
