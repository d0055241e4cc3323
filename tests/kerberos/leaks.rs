//! A hundred logins by each kind of credentials: no file is left behind, and no memory. Run as usual these tests look at files
//! only; `leaks.sh` puts the program that logs in under valgrind.

use std::env;
use std::ffi::OsString;

use mongo_blocking_test_server::gssapi::Tamper;

use crate::child::{LEAK, Login, left_behind};
use crate::realm::{ANN, PASSWORD, Realm};

/// What `leaks.sh` says to run the program under.
fn under() -> Vec<String> {
    env::var("MONGO_BLOCKING_UNDER").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// `user` (with a password or without) logs in a hundred times; `caches` are the files that may be there afterwards.
fn a_hundred_logins(user: &str, change: impl Fn(Login, &Realm) -> Login) {
    let Some(realm) = Realm::shared() else { return };
    let fake_server = realm.fake_server(Tamper::Nothing);
    let login = change(Login { times: 100, under: under(), ..realm.login(&fake_server, user, "") }, realm);
    let left = left_behind();
    assert_eq!(login.run().user(), "ann@TEST.LOCAL of $external");
    assert_eq!(fake_server.logins(), 100);
    assert_eq!(left_behind(), left);
    // The system's own cache and keytab were neither needed nor made.
    for (_, value) in
        realm.kdc.environment().iter().filter(|(name, _)| ["KRB5CCNAME", "KRB5_CLIENT_KTNAME"].contains(name))
    {
        let path = value.to_str().unwrap().trim_start_matches("FILE:");
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
}

/// Without the search for values that nobody has set: it takes half of the time here, where keys are made of passwords, and
/// `refused` has it for them.
#[test]
fn by_password() {
    a_hundred_logins("ann%40TEST.LOCAL:pencil", |mut login, _| {
        if !login.under.is_empty() {
            login.under.push("--undef-value-errors=no".to_owned());
        }
        login
    });
}

#[test]
fn by_keytab() {
    a_hundred_logins("ann%40TEST.LOCAL", |login, realm| login.keytab(realm.kdc.file("ann.keytab")));
}

/// The system's own cache, which the library is asked for by name.
#[test]
fn by_ticket_cache() {
    a_hundred_logins("ann%40TEST.LOCAL", |login, realm| {
        realm.kdc.kinit(ANN, PASSWORD, "hundred.cache", "1h");
        login.with("KRB5_CONFIG", realm.with_system_cache("hundred.cache")).without("KRB5CCNAME")
    });
}

/// Logins that fail half-way give back what they have, too.
#[test]
fn refused() {
    let Some(realm) = Realm::shared() else { return };
    for tamper in [Tamper::Flip(0), Tamper::Flip(1)] {
        let fake_server = realm.fake_server(tamper);
        let login = Login { times: 3, under: under(), ..realm.login(&fake_server, "ann%40TEST.LOCAL:pencil", "") };
        login.run().refused(&["mongodb/localhost"]);
    }
    let fake_server = realm.fake_server(Tamper::Nothing);
    let login = Login { times: 3, under: under(), ..realm.login(&fake_server, "ann%40TEST.LOCAL:wrong", "") };
    login.run().refused(&["is wrong"]);
}

/// A leak that was planted is found: otherwise the tests above would show nothing.
#[test]
fn a_planted_leak_is_found() {
    let Some(realm) = Realm::shared() else { return };
    let fake_server = realm.fake_server(Tamper::Nothing);
    let login = Login { times: 2, under: under(), ..realm.login(&fake_server, "ann%40TEST.LOCAL:pencil", "") };
    let outcome = login.with(LEAK, OsString::from("yes")).try_run();
    match under().is_empty() {
        true => assert_eq!(outcome.unwrap().user(), "ann@TEST.LOCAL of $external"),
        false => assert!(outcome.unwrap_err().contains("definitely lost"), "valgrind missed a leak"),
    }
}
