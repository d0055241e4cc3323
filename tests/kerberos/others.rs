//! What we did not write: other people's drivers at the same fake server, and a real server that has no Kerberos.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use mongo_blocking::options::percent_encode;
use mongo_blocking_test_server::gssapi::{Acceptor, Tamper};
use mongo_blocking_test_server::peers::{Mongod, Reference, require, run, script};

use crate::realm::{ANN, PASSWORD, Realm, served};

/// A URI for Ann at this fake server, and the environment in which her ticket is found.
fn uri(realm: &Realm, tamper: Tamper) -> (mongo_blocking_test_server::fake_server::FakeServer, String) {
    let fake_server = realm.fake_server(tamper);
    let uri = realm.login(&fake_server, "ann%40TEST.LOCAL", "SERVICE_NAME:mongodb").uri;
    (fake_server, uri)
}

/// PyMongo logs in where we do, and is refused where we are.
#[test]
fn pymongo() {
    let Some(realm) = Realm::shared() else { return };
    let Some(python) = require("PYTHON_GSSAPI", "python-gssapi/bin/python") else { return };
    let cache = realm.kdc.kinit(ANN, PASSWORD, "pymongo.cache", "1h");
    let log_in = |uri: &str, cache: &PathBuf| {
        let mut command = Command::new(&python);
        command.arg(script("pymongo_login.py")).arg(uri).envs(realm.kdc.environment()).env("KRB5CCNAME", cache);
        run(&mut command).join("\n")
    };
    let (_front, honest) = uri(realm, Tamper::Nothing);
    assert_eq!(log_in(&honest, &cache), "ok ann@TEST.LOCAL@$external");
    let no_ticket = log_in(&honest, &realm.kdc.file("no-pymongo.cache"));
    assert!(!no_ticket.starts_with("ok"), "{no_ticket}");
    for tamper in [Tamper::Flip(0), Tamper::Flip(1)] {
        let (_front, uri) = uri(realm, tamper);
        let verdict = log_in(&uri, &cache);
        assert!(!verdict.starts_with("ok"), "{tamper:?}: {verdict}");
    }
}

/// libmongoc, through Cyrus SASL.
#[test]
fn libmongoc() {
    let Some(realm) = Realm::shared() else { return };
    let Some(client) = Reference::libmongoc() else { return };
    let cache = realm.kdc.kinit(ANN, PASSWORD, "libmongoc.cache", "1h");
    let mut environment = realm.kdc.environment();
    environment.push(("KRB5CCNAME", cache.into()));
    let client = client.with_environment(environment);
    let (_front, honest) = uri(realm, Tamper::Nothing);
    assert_eq!(client.verdicts(&[honest]), ["ok ann@TEST.LOCAL@$external"]);
    // It wants no layer either.
    let Some(acceptor) = Acceptor::start(&realm.kdc, &realm.kdc.file("services.keytab"), 2) else { return };
    let fake_server = served(&acceptor, Tamper::Nothing);
    let protected = realm.login(&fake_server, "ann%40TEST.LOCAL", "").uri;
    let verdict = client.verdicts(&[protected]).concat();
    assert!(!verdict.starts_with("ok"), "{verdict}");
}

/// The community's mongod does not have the mechanism: code 334, and what that means.
#[test]
fn a_community_server() {
    let Some(realm) = Realm::shared() else { return };
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let address = format!("localhost:{}", mongod.port());
    let outcome = realm.login_at(&address, "ann%40TEST.LOCAL:pencil", "").run();
    outcome.refused(&["334", "GSSAPI needs MongoDB Enterprise or Atlas"]);
}

/// A Unix socket has no host name; SERVICE_HOST gives one.
#[test]
fn through_a_unix_socket() {
    let Some(realm) = Realm::shared() else { return };
    let Some(mongod) = Mongod::shared("6.0") else { return };
    let socket = percent_encode(mongod.unix_socket().to_str().unwrap());
    let nameless = realm.login_at(&socket, "ann%40TEST.LOCAL:pencil", "").run();
    nameless.refused(&["a Unix socket has no host name", "SERVICE_HOST"]);
    let named = realm.login_at(&socket, "ann%40TEST.LOCAL:pencil", "SERVICE_HOST:localhost").run();
    named.refused(&["334", "GSSAPI needs MongoDB Enterprise or Atlas"]);
}

/// A KDC that takes the connection and says nothing: the login ends with its own time limit, not with the library's.
#[test]
fn a_silent_kdc() {
    let Some(realm) = Realm::shared() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop((&stream).read_to_end(&mut Vec::new())));
        }
    });
    let configuration = fs::read_to_string(realm.kdc.file("krb5.conf")).unwrap();
    let silent = realm.kdc.file("silent.conf");
    fs::write(&silent, configuration.replace(&format!(":{}", realm.kdc.port()), &format!(":{port}"))).unwrap();
    let fake_server = realm.fake_server(Tamper::Nothing);
    let mut login = realm.login(&fake_server, "ann%40TEST.LOCAL:pencil", "").with("KRB5_CONFIG", silent);
    login.uri += "&connectTimeoutMS=300";
    let began = Instant::now();
    let outcome = login.run();
    outcome.refused(&["connectTimeoutMS ran out while a ticket was fetched", "KDC"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
