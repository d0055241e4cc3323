//! Short-lived certificates: files that are replaced on disk count from the next connection on, without a new client; what
//! cannot be used changes nothing but that a warning is given. Counted at the server: whose certificate came.

use std::fs::{self, File};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mongo_blocking::bson::doc;
use mongo_blocking::event::EventHandler;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, Error, Warning, WarningKind};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
use mongo_blocking_test_server::peers::{Mongod, Scratch};

const NATIVE: bool = cfg!(any(windows, target_os = "macos", mongo_blocking_native_tls));

/// An authority, a fake server that asks for client certificates, and files that are replaced.
struct Place {
    folder: Scratch,
    authority: Authority,
    fake_server: FakeServer,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

impl Place {
    fn new() -> Place {
        let (folder, authority) = (Scratch::new("rotation"), Authority::new());
        let issued = authority.issue(CertPurpose::Server, "localhost");
        let fake_server = FakeServer::builder()
            .tls(&issued.certificate, &issued.key)
            .client_authority(&authority.pem(), true)
            .start();
        let place = Place { folder, authority, fake_server, warnings: Arc::default() };
        place.write("ca.pem", place.authority.pem());
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn issue(&self, name: &str) -> mongo_blocking_test_server::peers::certs::Issued {
        self.authority.issue(CertPurpose::Client, name)
    }

    fn client(&self, options: &str) -> Client {
        client(
            &format!(
                "mongodb://localhost:{}/?serverSelectionTryOnce=true&tls=true&maxIdleTimeMS=1&{options}",
                self.fake_server.port()
            ),
            &self.warnings,
        )
    }

    /// A command on a connection of its own; whose certificate came.
    fn next(&self, client: &Client) -> String {
        let before = self.fake_server.connections();
        on_a_new_connection(client).unwrap();
        assert_eq!(self.fake_server.connections(), before + 1);
        self.fake_server.client_names().pop().unwrap()
    }

    fn take_warnings(&self) -> Vec<String> {
        let taken = std::mem::take(&mut *self.warnings.lock().unwrap());
        taken.iter().map(|warning| format!("{:?}: {warning}", warning.kind())).collect()
    }
}

/// No connection may be idle for as long as this waits.
fn on_a_new_connection(client: &Client) -> Result<(), Error> {
    std::thread::sleep(Duration::from_millis(10));
    client.ping()
}

fn client(uri: &str, warnings: &Arc<Mutex<Vec<Warning>>>) -> Client {
    let warnings = warnings.clone();
    let handler = EventHandler::new(move |warning: &Warning| warnings.lock().unwrap().push(warning.clone()));
    let options = ClientOptions::builder().uri(uri).warning_handler(handler);
    Client::with_options(options.build().settings().unwrap()).unwrap()
}

#[test]
fn the_next_connection_presents_the_new_certificate() {
    let place = Place::new();
    place.write("own.pem", place.issue("ann").both());
    let client =
        place.client(&format!("tlsCAFile={}&tlsCertificateKeyFile={}", place.path("ca.pem"), place.path("own.pem")));
    assert_eq!([place.next(&client), place.next(&client)], ["ann", "ann"]);
    let resumed = place.fake_server.resumed();
    assert!(NATIVE || resumed == 1);

    // No session of the old identity is taken up, but the new one has its own.
    place.write("own.pem", place.issue("bob").both());
    assert_eq!(place.next(&client), "bob");
    assert_eq!(place.fake_server.resumed(), resumed);
    assert_eq!(place.next(&client), "bob");
    assert!(NATIVE || place.fake_server.resumed() == resumed + 1);

    // Another file in its place, as programs that renew certificates make it: the same size, and an old time.
    place.write("new.pem", place.issue("eve").both());
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(place.path("new.pem")).unwrap().set_modified(hour_ago).unwrap();
    fs::rename(place.path("new.pem"), place.path("own.pem")).unwrap();
    assert_eq!(place.next(&client), "eve");

    // Written anew with the same in it: nothing changes, sessions go on.
    let (text, resumed) = (fs::read(place.path("own.pem")).unwrap(), place.fake_server.resumed());
    place.write("own.pem", text);
    assert_eq!(place.next(&client), "eve");
    assert!(NATIVE || place.fake_server.resumed() == resumed + 1);
    assert_eq!(place.take_warnings(), [""; 0]);
}

#[test]
fn unusable_files_leave_the_old_certificate_in_use() {
    let place = Place::new();
    let (ann, bob) = (place.issue("ann"), place.issue("bob"));
    place.write("cert.pem", &ann.certificate);
    place.write("key.pem", &ann.key);
    let options = format!(
        "tlsCAFile={}&tlsCertificateKeyFile={}&ssl_keyfile={}",
        place.path("ca.pem"),
        place.path("cert.pem"),
        place.path("key.pem")
    );
    let client = place.client(&options);
    assert_eq!(place.next(&client), "ann");
    assert!(place.take_warnings().concat().starts_with("Deprecated: ssl_keyfile is an old option"));

    // The certificate first, its key later.
    place.write("cert.pem", &bob.certificate);
    assert_eq!([place.next(&client), place.next(&client)], ["ann", "ann"]);
    let warnings = place.take_warnings();
    assert_eq!(warnings.len(), 1, "told once: {warnings:?}");
    assert!(warnings[0].starts_with("NotRenewed") && warnings[0].contains("does not match"), "{warnings:?}");
    assert!(warnings[0].contains("key.pem") && warnings[0].contains("stays in use"), "{warnings:?}");
    place.write("key.pem", &bob.key);
    assert_eq!(place.next(&client), "bob");

    // Half of a file, nothing in it, no file.
    let half = ann.certificate.get(..ann.certificate.len() / 2).unwrap();
    for (text, words) in [(half, "is cut short"), ("", "is empty")] {
        place.write("cert.pem", text);
        assert_eq!(place.next(&client), "bob");
        let warnings = place.take_warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
    }
    fs::remove_file(place.path("cert.pem")).unwrap();
    assert_eq!([place.next(&client), place.next(&client)], ["bob", "bob"]);
    let warnings = place.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("cannot be read"), "{warnings:?}");

    place.write("cert.pem", &ann.certificate);
    place.write("key.pem", &ann.key);
    assert_eq!(place.next(&client), "ann");
    assert_eq!(place.take_warnings(), [""; 0]);
}

#[test]
fn a_certificate_that_is_not_valid_is_warned_of() {
    let place = Place::new();
    let (expired, later) = (
        place.authority.issue_expired(CertPurpose::Client, "old"),
        place.authority.issue_for_later(CertPurpose::Client, "new"),
    );
    for (issued, words) in [(expired, "expired on"), (later, "is not valid before")] {
        place.write("own.pem", issued.both());
        let client = place.client(&format!("tlsCertificateKeyFile={}", place.path("own.pem")));
        let warning = client.warnings().iter().find(|warning| warning.kind() == WarningKind::Validity).unwrap();
        assert!(warning.message().contains(words) && warning.message().contains("O=mongo-blocking users"), "{warning}");
        assert_eq!(place.take_warnings(), [format!("Validity: {warning}")]);
    }
    // An authority that has expired, beside one that has not.
    place.write(
        "cas.pem",
        place.authority.pem() + &place.authority.issue_expired(CertPurpose::Server, "old").certificate,
    );
    let client = place.client(&format!("tlsCAFile={}", place.path("cas.pem")));
    let warning = client.warnings().first().unwrap().to_string();
    assert!(warning.contains("tlsCAFile") && warning.contains("CN=old,O=mongo-blocking tests expired on"), "{warning}");
}

#[test]
fn new_authorities_count_too() {
    let place = Place::new();
    place.write("own.pem", place.issue("ann").both());
    place.write("ca.pem", Authority::new().pem());
    let client =
        place.client(&format!("tlsCAFile={}&tlsCertificateKeyFile={}", place.path("ca.pem"), place.path("own.pem")));
    client.ping().unwrap_err();
    place.write("ca.pem", place.authority.pem());
    assert_eq!(place.next(&client), "ann");
    // And who is trusted no more is refused, whatever sessions there were.
    place.write("ca.pem", Authority::new().pem());
    on_a_new_connection(&client).unwrap_err();
}

/// On a real server the user changes with the certificate.
#[test]
fn mongodb_x509_follows() {
    let place = Place::new();
    let (own, ca) = (place.path("own.pem"), place.path("ca.pem"));
    let server = place.authority.issue(CertPurpose::Server, "localhost");
    place.write("server.pem", server.both());
    let mechanisms = ["--setParameter", "authenticationMechanisms=SCRAM-SHA-256,MONGODB-X509"];
    let Some(mongod) = Mongod::start_with_tls("6.0", &place.path("server.pem"), &ca, &mechanisms) else { return };
    place.write("own.pem", place.issue("ann").both());
    let uri = format!(
        "mongodb://localhost:{}/?serverSelectionTryOnce=true&tlsCAFile={ca}&tlsCertificateKeyFile={own}",
        mongod.port()
    );
    let admin = client(&uri, &place.warnings);
    for user in ["ann", "bob"] {
        let roles = [doc! { "role": "readWriteAnyDatabase", "db": "admin" }];
        let create = doc! { "createUser": format!("CN={user},O=mongo-blocking users"), "roles": &roles[..] };
        admin.database("$external").run_command(create).run().unwrap();
    }
    // No connection lives longer than the time between two commands.
    let client = client(&format!("{uri}&authMechanism=MONGODB-X509&maxIdleTimeMS=1"), &place.warnings);
    let who = || {
        std::thread::sleep(Duration::from_millis(10));
        let status = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
        let users = status.get_document("authInfo").unwrap().get_array("authenticatedUsers").unwrap();
        Ok::<_, Error>(users[0].as_document().unwrap().get_str("user").unwrap().to_owned())
    };
    assert_eq!(who().unwrap(), "CN=ann,O=mongo-blocking users");
    place.write("own.pem", place.issue("bob").both());
    assert_eq!(who().unwrap(), "CN=bob,O=mongo-blocking users");
    // The error tells of the certificate that was presented, not of an earlier one.
    place.write("own.pem", place.issue("eve").both());
    let error = who().unwrap_err();
    assert!(error.message().contains("subject CN=eve,O=mongo-blocking users and is valid until"), "{error}");
    place.write("own.pem", place.issue("ann").both());
    assert_eq!(who().unwrap(), "CN=ann,O=mongo-blocking users");
    assert_eq!(place.take_warnings(), [""; 0]);
}
