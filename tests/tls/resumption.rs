//! TLS sessions are taken up again by later connections of the same client: counted at the server, on MongoDB as well, and
//! never across clients, servers that break off at them, or what was verified too long ago.
#![cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]

use std::fs;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::event::{CommandEvent, EventHandler, TlsInfo};
use mongo_blocking::options::ClientOptions;
use mongo_blocking_test_server::fake_server::{Answer, FakeServer, FakeServerBuilder};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

/// An authority in a file, and client certificates of it.
struct Place {
    folder: Scratch,
    authority: Authority,
    ca: String,
}

impl Place {
    fn new() -> Place {
        let (folder, authority) = (Scratch::new("resumption"), Authority::new());
        let ca = folder.file("ca.pem", authority.pem());
        Place { folder, authority, ca }
    }

    fn fake_server(&self) -> FakeServerBuilder {
        let issued = self.authority.issue(CertPurpose::Server, "localhost");
        FakeServer::builder().tls(&issued.certificate, &issued.key)
    }

    fn own(&self, name: &str) -> String {
        self.folder.file(&format!("{name}.pem"), self.authority.issue(CertPurpose::Client, name).both())
    }

    fn uri(&self, port: u16, options: &str) -> String {
        format!("mongodb://localhost:{port}/?serverSelectionTryOnce=true&tls=true&tlsCAFile={}&{options}", self.ca)
    }
}

/// Runs this many commands at once, each on a connection of its own: none is answered before all have come.
fn at_once(client: &Client, count: usize) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| client.database("db").run_command(doc! { "together": 1 }).run().unwrap());
        }
    });
}

/// A fake server that answers the command `together` only when this many have come.
fn answering_together(builder: FakeServerBuilder, count: usize) -> FakeServer {
    let arrived = Arc::new((Mutex::new(0), Condvar::new()));
    let answer = move |request: &mongo_blocking_test_server::wire::Request, _| {
        if request.name() != "together" {
            return None;
        }
        let (number, all) = &*arrived;
        let mut number = number.lock().unwrap();
        *number += 1;
        all.notify_all();
        let (number, late) = all.wait_timeout_while(number, Duration::from_secs(30), |number| *number < count).unwrap();
        drop(number);
        assert!(!late.timed_out(), "not all commands came");
        Some(Answer::Reply(doc! { "ok": 1 }))
    };
    builder.on_command(answer).start()
}

#[test]
fn nineteen_of_twenty_connections_are_resumed() {
    let place = Place::new();
    for (name, builder) in [("TLSv1.3", place.fake_server()), ("TLSv1.2", place.fake_server().only_tls_1_2())] {
        let fake_server = answering_together(builder, 20);
        let client = Client::with_uri_str(place.uri(fake_server.port(), "")).unwrap();
        client.ping().unwrap();
        at_once(&client, 20);
        assert_eq!((fake_server.connections(), fake_server.resumed()), (20, 19), "{name}");

        // Another client of the same program takes up none of them.
        Client::with_uri_str(place.uri(fake_server.port(), "")).unwrap().ping().unwrap();
        assert_eq!((fake_server.connections(), fake_server.resumed()), (21, 19), "{name}");
    }
}

/// The file with the client's own certificate is replaced: none of the sessions of the old one is taken up.
#[test]
fn no_session_is_resumed_after_the_identity_changed() {
    let place = Place::new();
    let fake_server = place.fake_server().client_authority(&place.authority.pem(), true).start();
    let own = place.own("ann");
    let options = format!("tlsCertificateKeyFile={own}&maxIdleTimeMS=1");
    let client = Client::with_uri_str(place.uri(fake_server.port(), &options)).unwrap();
    let anew = || {
        thread::sleep(Duration::from_millis(5)); // the connection before was idle for too long
        client.ping().unwrap();
        (fake_server.connections(), fake_server.resumed())
    };
    assert_eq!([anew(), anew(), anew()], [(1, 0), (2, 1), (3, 2)]);
    fs::write(&own, place.authority.issue(CertPurpose::Client, "bob").both()).unwrap();
    assert_eq!([anew(), anew()], [(4, 2), (5, 3)]);
}

/// Runs this command in `count` connections, one after the other: none may be idle for longer than a moment. Returns the replies
/// and the facts of each channel.
fn one_by_one(uri: &str, command: &Document, count: usize) -> (Vec<Document>, Vec<TlsInfo>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_handler = seen.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        if let CommandEvent::Succeeded(event) = event {
            of_handler.lock().unwrap().push(event.connection.tls.as_deref().unwrap().clone());
        }
    });
    let options = ClientOptions::builder()
        .uri(uri)
        .max_idle_time(Duration::from_millis(1))
        .command_event_handler(handler)
        .build()
        .settings()
        .unwrap();
    let client = Client::with_options(options).unwrap();
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(client.database("admin").run_command(command.clone()).run().unwrap());
        thread::sleep(Duration::from_millis(5));
    }
    let seen = seen.lock().unwrap().clone();
    (replies, seen)
}

fn resumed(facts: &[TlsInfo]) -> Vec<Option<bool>> {
    facts.iter().map(|facts| facts.resumed).collect()
}

#[test]
fn the_facts_of_a_channel() {
    let place = Place::new();
    let fake_server = place.fake_server().start();
    let (_, seen) = one_by_one(&place.uri(fake_server.port(), ""), &doc! { "ping": 1 }, 3);
    assert_eq!(resumed(&seen), [Some(false), Some(true), Some(true)]);
    for facts in seen {
        assert!(facts.backend.starts_with("OpenSSL "), "{facts:?}");
        assert_eq!(facts.protocol.as_deref(), Some("TLSv1.3"));
        assert!(facts.cipher.as_deref().is_some_and(|cipher| cipher.starts_with("TLS_")), "{facts:?}");
        assert_eq!(facts.peer_chain, ["CN=localhost,O=mongo-blocking tests"]);
    }
}

/// A server that hands out sessions and breaks off at them costs a second handshake once, and no error.
#[test]
fn a_server_that_closes_on_its_own_sessions_costs_one_handshake() {
    let place = Place::new();
    let options = format!("tlsCertificateKeyFile={}", place.own("ann"));
    for only_tls_1_2 in [false, true] {
        for switch in ["", "&tlsInsecure=true"] {
            let fake_server = if only_tls_1_2 { place.fake_server().only_tls_1_2() } else { place.fake_server() };
            let fake_server =
                fake_server.client_authority(&place.authority.pem(), true).breaks_off_resumption().start();
            let mut uri = place.uri(fake_server.port(), &format!("{options}{switch}"));
            if !switch.is_empty() {
                // Nobody's authority: OpenSSL's verdict on the certificate is bad, and was not asked for.
                uri = uri.replace(&format!("tlsCAFile={}&", place.ca), "");
                assert!(!uri.contains("tlsCAFile"), "{uri}");
            }
            let (_, seen) = one_by_one(&uri, &doc! { "ping": 1 }, 4);
            assert_eq!(resumed(&seen), [Some(false); 4], "{switch}");
            assert_eq!(fake_server.connections(), 5, "{switch}");
        }
    }
}

/// With a certificate of the client's, too; and MONGODB-X509 still knows whose it is.
#[test]
fn mongodb_resumes() {
    for version in ["6.0", "4.2"] {
        let place = Place::new();
        let server = place.folder.file("server.pem", place.authority.issue(CertPurpose::Server, "localhost").both());
        let mechanisms = ["--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
        let Some(mongod) = Mongod::start_with_tls(version, &server, &place.ca, &mechanisms) else { return };
        let own = format!("tlsCertificateKeyFile={}", place.own("ann"));
        let admin = Client::with_uri_str(place.uri(mongod.port(), &own)).unwrap();
        let roles = [doc! { "role": "readWriteAnyDatabase", "db": "admin" }];
        let user = doc! { "createUser": "CN=ann,O=mongo-blocking users", "roles": &roles[..] };
        admin.database("$external").run_command(user).run().unwrap();

        let uri = place.uri(mongod.port(), &format!("{own}&authMechanism=MONGODB-X509"));
        let (replies, seen) = one_by_one(&uri, &doc! { "connectionStatus": 1 }, 4);
        assert_eq!(resumed(&seen), [Some(false), Some(true), Some(true), Some(true)], "{version}");
        for status in replies {
            let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
            let name = users.first().unwrap().as_document().unwrap().get_str("user").unwrap();
            assert_eq!(name, "CN=ann,O=mongo-blocking users");
        }
    }
}
