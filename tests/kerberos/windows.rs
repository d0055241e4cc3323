//! The Windows build of the program that logs in (`child.rs`), under Wine, against the same KDC and acceptor. SSPI is Wine's, which
//! stands on the system's MIT Kerberos.
//!
//! Wine 8 does not unwrap the server's offer of security layers, so that each login that would succeed ends there. By then the KDC
//! has given the ticket, the acceptor has taken the token, and SSPI has found that the server has proved who it is: the step that
//! fails is the one after.
//!
//! The suite `windows` runs these: MONGO_BLOCKING_KERBEROS_EXE names the Windows build of this very test program.

use std::env;

use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::gssapi::Tamper;
use mongo_blocking_test_server::peers::require;

use crate::child::{InCode, Login, Outcome};
use crate::names::with_hosts;
use crate::realm::{ANN, PASSWORD, Realm};

/// The realm, and a server in it.
fn realm_and_server() -> Option<(&'static Realm, FakeServer)> {
    require(PROGRAM, "kerberos.exe")?;
    let realm = Realm::shared()?;
    Some((realm, realm.fake_server(Tamper::Nothing)))
}

/// The login by the Windows program.
fn on_windows(login: Login) -> Outcome {
    let runner = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/windows/wine.sh");
    let program = env::var(PROGRAM).unwrap();
    Login { under: ["sh", runner].map(str::to_owned).to_vec(), program: Some(program.into()), ..login }.run()
}

/// The login came to the offer of security layers, and the KDC gave this ticket for it.
fn established(realm: &Realm, outcome: &Outcome, ticket: &str) {
    let error = outcome.refused(&["the security layers", "the server's message is not signed as it must be", "SEC_E_"]);
    assert!(realm.kdc.log().contains(ticket), "{ticket}: {error}");
}

#[test]
fn with_a_ticket_cache() {
    let Some((realm, server)) = realm_and_server() else { return };
    let cache = realm.kdc.kinit(ANN, PASSWORD, "windows.cache", "1h");
    let login = realm.login(&server, "ann%40TEST.LOCAL", "SERVICE_HOST:windows.test.local").with("KRB5CCNAME", &cache);
    established(realm, &on_windows(login), "ann@TEST.LOCAL for mongodb/windows.test.local@TEST.LOCAL");
}

#[test]
fn with_a_password() {
    let Some((realm, server)) = realm_and_server() else { return };
    let outcome = on_windows(realm.login(&server, "ann%40TEST.LOCAL:pencil", "SERVICE_NAME:windows"));
    established(realm, &outcome, "ann@TEST.LOCAL for windows/localhost@TEST.LOCAL");
}

#[test]
fn a_wrong_password_and_an_unknown_user() {
    let Some((realm, server)) = realm_and_server() else { return };
    for (user, name) in [("ann%40TEST.LOCAL:pencils", ANN), ("nobody%40TEST.LOCAL:pencils", "nobody@TEST.LOCAL")] {
        let outcome = on_windows(realm.login(&server, user, ""));
        let remedy = format!("the KDC refused user name or password of {name}");
        let error = outcome.refused(&[&remedy, "mongodb/localhost", "with the password", "0xc0000001"]);
        assert!(!error.contains("pencils"), "{error}");
    }
}

#[test]
fn no_ticket() {
    let Some((realm, server)) = realm_and_server() else { return };
    let cache = realm.kdc.file("no-such-windows.cache");
    let outcome = on_windows(realm.login(&server, "ann%40TEST.LOCAL", "").with("KRB5CCNAME", &cache));
    outcome.refused(&["the ticket", "log on to Windows as ann@TEST.LOCAL", "the account of this Windows session"]);
}

#[test]
fn an_unknown_service() {
    let Some((realm, server)) = realm_and_server() else { return };
    let outcome = on_windows(realm.login(&server, "ann%40TEST.LOCAL:pencil", "SERVICE_NAME:nosuch"));
    outcome.refused(&["the ticket", "nosuch/localhost", "as ann@TEST.LOCAL"]);
    let log = realm.kdc.log();
    assert!(log.contains("ann@TEST.LOCAL for nosuch/localhost@TEST.LOCAL, Server not found"), "{log}");
}

#[test]
fn a_service_in_another_realm() {
    let Some((realm, server)) = realm_and_server() else { return };
    let properties = "SERVICE_NAME:windows,SERVICE_REALM:OTHER.LOCAL";
    let outcome = on_windows(realm.login(&server, "ann%40TEST.LOCAL:pencil", properties));
    established(realm, &outcome, "ann@TEST.LOCAL for windows/localhost@OTHER.LOCAL");
}

/// `alias.test.local` is an alias of `forward.test.local`; their address has the name `reverse.test.local`.
#[test]
fn canonical_names() {
    let Some((realm, server)) = realm_and_server() else { return };
    let address = server.address().replace("127.0.0.1", "alias.test.local");
    for (how, host) in [("none", "alias"), ("forward", "forward"), ("forwardAndReverse", "reverse")] {
        let user = format!("windows-{how}");
        realm.kdc.add_user(&format!("{user}@TEST.LOCAL"), PASSWORD);
        let properties = format!("CANONICALIZE_HOST_NAME:{how}");
        let login = realm.login_at(&address, &format!("{user}%40TEST.LOCAL:pencil"), &properties);
        let hosts = "127.0.0.1 reverse.test.local\n127.0.0.1 forward.test.local alias.test.local\n";
        let Some(login) = with_hosts(login, realm, hosts) else { return };
        let ticket = format!("{user}@TEST.LOCAL for mongodb/{host}.test.local@TEST.LOCAL");
        established(realm, &on_windows(login), &ticket);
    }
}

/// Row 10 of the guides, the form for Windows: as a connection string, and in code.
#[test]
fn the_guides_form_for_windows() {
    let Some((realm, server)) = realm_and_server() else { return };
    let port = server.port();
    let uri = format!(
        "mongodb://mongodbuser%40TEST.LOCAL:pencil@db.test.local:{port}/?&authMechanism=GSSAPI&authMechanismProperties=\
         SERVICE_NAME:windows,CANONICALIZE_HOST_NAME:true,SERVICE_REALM:OTHER.LOCAL"
    );
    let login = Login { environment: realm.kdc.environment(), ..Login::new(uri) };
    let Some(login) = with_hosts(login, realm, "127.0.0.1 db.test.local\n") else { return };
    let ticket = "mongodbuser@TEST.LOCAL for windows/db.test.local@OTHER.LOCAL";
    established(realm, &on_windows(login.clone()), ticket);
    let in_code = InCode {
        host: format!("db.test.local:{port}"),
        username: "mongodbuser@TEST.LOCAL".to_owned(),
        password: Some("pencil".to_owned()),
        properties: "SERVICE_NAME:windows ,\n    CANONICALIZE_HOST_NAME:true,\r\n\tSERVICE_REALM:OTHER.LOCAL"
            .to_owned(),
    };
    established(realm, &on_windows(Login { in_code: Some(in_code), ..login }), ticket);
}

const PROGRAM: &str = "MONGO_BLOCKING_KERBEROS_EXE";
