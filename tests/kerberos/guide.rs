//! The guides' forms for Kerberos, rows 9 and 10: as a connection string, and in code.

use std::process::Command;

use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::gssapi::Tamper;
use mongo_blocking_test_server::peers::run;

use crate::child::{InCode, Login};
use crate::names::with_hosts;
use crate::realm::Realm;

/// A server at `db.test.local`, and its port.
fn server(realm: &Realm) -> (FakeServer, String) {
    let fake_server = realm.fake_server(Tamper::Nothing);
    let port = fake_server.address().rsplit_once(':').unwrap().1.to_owned();
    (fake_server, port)
}

/// The connection string and the form in code log in as the same user.
fn logs_in(realm: &Realm, login: Login, in_code: InCode) {
    let Some(login) = with_hosts(login, realm, "127.0.0.1 db.test.local\n") else { return };
    assert_eq!(login.run().user(), "mongodbuser@TEST.LOCAL of $external", "{}", login.uri);
    let login = Login { in_code: Some(in_code), ..login };
    assert_eq!(login.run().user(), "mongodbuser@TEST.LOCAL of $external", "in code");
}

/// After `kinit`.
#[test]
fn row_9_kerberos_on_unix() {
    let Some(realm) = Realm::shared() else { return };
    let (_front, port) = server(realm);
    let cache = realm.kdc.kinit("mongodbuser@TEST.LOCAL", "pencil", "row9.cache", "1h");
    let uri = format!(
        "mongodb://mongodbuser%40TEST.LOCAL@db.test.local:{port}/?&authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:name"
    );
    let login = Login { environment: realm.kdc.environment(), ..Login::new(uri) }.with("KRB5CCNAME", cache);
    let in_code = InCode {
        host: format!("db.test.local:{port}"),
        username: "mongodbuser@TEST.LOCAL".to_owned(),
        password: None,
        properties: "SERVICE_NAME:name".to_owned(),
    };
    logs_in(realm, login, in_code);
    assert!(realm.kdc.log().contains("mongodbuser@TEST.LOCAL for name/db.test.local@TEST.LOCAL"));
}

/// The form for Windows, which works elsewhere as well. The user's own realm is the library's default one.
#[test]
fn row_10_kerberos_with_a_password_and_every_property() {
    let Some(realm) = Realm::shared() else { return };
    let (_front, port) = server(realm);
    let uri = format!(
        "mongodb://mongodbuser:pencil@db.test.local:{port}/?&authMechanism=GSSAPI&authMechanismProperties=\
         SERVICE_NAME:name,CANONICALIZE_HOST_NAME:true,SERVICE_REALM:OTHER.LOCAL"
    );
    let login = Login { environment: realm.kdc.environment(), ..Login::new(uri) };
    let in_code = InCode {
        host: format!("db.test.local:{port}"),
        username: "mongodbuser".to_owned(),
        password: Some("pencil".to_owned()),
        properties: "SERVICE_NAME:name ,\n    CANONICALIZE_HOST_NAME:true,\r\n\tSERVICE_REALM:OTHER.LOCAL".to_owned(),
    };
    logs_in(realm, login, in_code);
    assert!(realm.kdc.log().contains("mongodbuser@TEST.LOCAL for name/db.test.local@OTHER.LOCAL"));
}

/// `examples/gssapi.rs`, as its head says to run it.
#[test]
fn the_example() {
    let Some(realm) = Realm::shared() else { return };
    let fake_server = realm.fake_server(Tamper::Nothing);
    let host = fake_server.address().replace("127.0.0.1", "localhost");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "run",
        "--quiet",
        "--locked",
        "--features",
        "gssapi",
        "--example",
        "gssapi",
        "--",
        &host,
        "ann@TEST.LOCAL",
    ]);
    cargo.arg(realm.kdc.file("ann.keytab")).envs(realm.kdc.environment());
    let said = run(&mut cargo).concat();
    assert!(said.contains("\"ann@TEST.LOCAL\"") && said.contains("$external"), "{said}");
}
