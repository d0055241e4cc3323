//! Every way of having a ticket, and every way of not having one.

use std::thread;
use std::time::{Duration, Instant};

use mongo_blocking_test_server::gssapi::Tamper;

use crate::child::{Login, Outcome};
use crate::realm::{ANN, BOB, PASSWORD, Realm};

/// Ann logs in at an honest server.
fn login(realm: &Realm, user: &str, properties: &str, change: impl Fn(Login) -> Login) -> Outcome {
    let fake_server = realm.fake_server(Tamper::Nothing);
    change(realm.login(&fake_server, user, properties)).run()
}

#[test]
fn with_a_ticket_cache() {
    let Some(realm) = Realm::shared() else { return };
    let cache = realm.kdc.kinit(ANN, PASSWORD, "ann.cache", "1h");
    let outcome = login(realm, "ann%40TEST.LOCAL", "", |login| login.with("KRB5CCNAME", &cache));
    assert_eq!(outcome.user(), "ann@TEST.LOCAL of $external");
    let in_code = login(realm, "ann%40TEST.LOCAL", "", |login| login.cache(&cache));
    assert_eq!(in_code.user(), "ann@TEST.LOCAL of $external");
}

#[test]
fn with_a_password() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "", |login| login);
    assert_eq!(outcome.user(), "ann@TEST.LOCAL of $external");
    // In the library's default realm.
    assert_eq!(login(realm, "ann:pencil", "", |login| login).user(), "ann@TEST.LOCAL of $external");
    let cache = realm.kdc.file("no-tickets");
    assert!(!cache.exists(), "the tickets were left in the system's cache");
}

#[test]
fn with_a_keytab() {
    let Some(realm) = Realm::shared() else { return };
    let keytab = realm.kdc.file("ann.keytab");
    let in_code = login(realm, "ann%40TEST.LOCAL", "", |login| login.keytab(&keytab));
    assert_eq!(in_code.user(), "ann@TEST.LOCAL of $external");
    assert!(!realm.kdc.file("no-tickets").exists(), "the tickets were left in the system's cache");
    let cache = realm.kdc.file("filled.cache");
    let kept = login(realm, "ann%40TEST.LOCAL", "", |login| login.keytab(&keytab).cache(&cache));
    assert_eq!(kept.user(), "ann@TEST.LOCAL of $external");
    assert!(realm.kdc.has_ticket(&cache), "a cache that is named keeps what the keytab gives");
    let by_environment = login(realm, "ann%40TEST.LOCAL", "", |login| {
        login.with("KRB5_CLIENT_KTNAME", &keytab).with("KRB5CCNAME", "MEMORY:mine")
    });
    assert_eq!(by_environment.user(), "ann@TEST.LOCAL of $external");
}

#[test]
fn a_wrong_password() {
    let Some(realm) = Realm::shared() else { return };
    for user in ["ann%40TEST.LOCAL:pencils", "strict%40TEST.LOCAL:pencils"] {
        let outcome = login(realm, user, "", |login| login);
        let name = user.split('%').next().unwrap();
        let remedy = format!("the password of {name}@TEST.LOCAL is wrong");
        let error = outcome.refused(&["mongodb/localhost", &remedy, "with the password"]);
        assert!(!error.contains("pencils"), "{error}");
    }
}

#[test]
fn an_unknown_user() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "nobody%40TEST.LOCAL:pencil", "", |login| login);
    outcome.refused(&[
        "the KDC does not know nobody@TEST.LOCAL",
        "mongodb/localhost",
        "not found in Kerberos database",
    ]);
}

#[test]
fn no_ticket() {
    let Some(realm) = Realm::shared() else { return };
    let cache = realm.kdc.file("no-such.cache");
    let name = format!("the ticket cache {}", cache.display());
    let words = ["no ticket: run kinit ann@TEST.LOCAL", "mongodb/localhost", &name];
    login(realm, "ann%40TEST.LOCAL", "", |login| login.with("KRB5CCNAME", &cache)).refused(&words);
    login(realm, "ann%40TEST.LOCAL", "", |login| login.cache(&cache)).refused(&words);
    let keytab = realm.kdc.file("no-such.keytab");
    login(realm, "ann%40TEST.LOCAL", "", |login| login.keytab(&keytab)).refused(&[
        "the keytab cannot be read, or has no key of ann@TEST.LOCAL",
        "no-such.keytab",
        "klist -k",
    ]);
}

/// Where nothing names a cache, the error tells which one the system has.
#[test]
fn no_ticket_in_the_systems_cache() {
    let Some(realm) = Realm::shared() else { return };
    let (file, cache) = (realm.with_system_cache("system.cache"), realm.kdc.file("system.cache"));
    let system = |login: Login| login.with("KRB5_CONFIG", &file).without("KRB5CCNAME");
    let words = format!("with the ticket cache FILE:{} (the system's)", cache.display());
    login(realm, "ann%40TEST.LOCAL", "", system).refused(&["no ticket: run kinit ann@TEST.LOCAL", &words]);
    realm.kdc.kinit(ANN, PASSWORD, "system.cache", "1h");
    assert_eq!(login(realm, "ann%40TEST.LOCAL", "", system).user(), "ann@TEST.LOCAL of $external");
    login(realm, "ann%40TEST.LOCAL", "SERVICE_NAME:nosuch", system)
        .refused(&["server not in Kerberos database", &words]);
}

/// The key was changed since the keytab was written: there is no password that could be wrong.
#[test]
fn an_old_keytab() {
    let Some(realm) = Realm::shared() else { return };
    for flags in ["", "+requires_preauth "] {
        let name = format!("old{}@TEST.LOCAL", flags.len());
        realm.kdc.add_user(&format!("{flags}{name}"), PASSWORD);
        let keytab = realm.kdc.export(&name, "old.keytab");
        realm.kdc.rotate(&name);
        let words = [format!("the keytab's key of {name} is not the one that the KDC has"), "ktadd".to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let user = name.replace('@', "%40");
        login(realm, &user, "", |login| login.keytab(&keytab)).refused(&words);
        login(realm, &user, "", |login| login.with("KRB5_CLIENT_KTNAME", &keytab)).refused(&words);
    }
}

/// An empty password is a password: it does not stand for the tickets that lie about.
#[test]
fn an_empty_password() {
    let Some(realm) = Realm::shared() else { return };
    let cache = realm.kdc.kinit(ANN, PASSWORD, "beside-the-password.cache", "1h");
    let outcome = login(realm, "ann%40TEST.LOCAL:", "", |login| login.with("KRB5CCNAME", &cache));
    outcome.refused(&["ann@TEST.LOCAL", "password"]);
}

#[test]
fn the_ticket_of_somebody_else() {
    let Some(realm) = Realm::shared() else { return };
    let cache = realm.kdc.kinit(BOB, PASSWORD, "bob.for-ann.cache", "1h");
    let outcome = login(realm, "ann%40TEST.LOCAL", "", |login| login.cache(&cache));
    outcome.refused(&["belong to another principal", "kinit ann@TEST.LOCAL", "bob.for-ann.cache"]);
    let outcome = login(realm, "bob%40OTHER.LOCAL", "", |login| login.keytab(realm.kdc.file("ann.keytab")));
    outcome.refused(&["has no key of bob@OTHER.LOCAL", "ann.keytab"]);
}

#[test]
fn an_expired_ticket() {
    let Some(realm) = Realm::shared() else { return };
    let cache = realm.kdc.kinit(ANN, PASSWORD, "expired.cache", "1s");
    let started = Instant::now();
    while realm.kdc.has_ticket(&cache) {
        assert!(started.elapsed() < Duration::from_secs(30), "the ticket does not expire");
        thread::sleep(Duration::from_millis(50));
    }
    // The second in which it ends belongs to its life, for a KDC.
    thread::sleep(Duration::from_millis(1_100));
    let outcome = login(realm, "ann%40TEST.LOCAL", "", |login| login.cache(&cache));
    outcome.refused(&["the ticket has expired: run kinit ann@TEST.LOCAL", "mongodb/localhost", "expired.cache"]);
}

#[test]
fn an_unknown_service() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "SERVICE_NAME:nosuch", |login| login);
    outcome.refused(&["server not in Kerberos database", "nosuch/localhost", "as ann@TEST.LOCAL", "SERVICE_HOST"]);
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "SERVICE_HOST:nosuch.test.local", |login| login);
    outcome.refused(&["server not in Kerberos database", "mongodb/nosuch.test.local", "as ann@TEST.LOCAL"]);
}

#[test]
fn another_service_name() {
    let Some(realm) = Realm::shared() else { return };
    for form in ["SERVICE_NAME:database", "SERVICE_NAME:database,CANONICALIZE_HOST_NAME:false"] {
        assert_eq!(login(realm, "ann%40TEST.LOCAL:pencil", form, |l| l).user(), "ann@TEST.LOCAL of $external");
    }
    assert!(realm.kdc.log().contains("for database/localhost@TEST.LOCAL"));
    let old = login(realm, "ann%40TEST.LOCAL:pencil", "", |mut login| {
        login.uri += "&gssapiServiceName=database";
        login
    });
    assert_eq!(old.user(), "ann@TEST.LOCAL of $external");
}

#[test]
fn another_service_host() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "SERVICE_HOST:db.test.local", |login| login);
    assert_eq!(outcome.user(), "ann@TEST.LOCAL of $external");
    assert!(realm.kdc.log().contains("ann@TEST.LOCAL for mongodb/db.test.local@TEST.LOCAL"));
}

/// Threads that find no ticket yet all get one at the same moment, some of them into the same cache: none may see it half filled.
#[test]
fn many_at_once() {
    let Some(realm) = Realm::shared() else { return };
    let keytab = realm.kdc.file("ann.keytab");
    let logged_in = |user: &str, change: &dyn Fn(Login) -> Login| {
        let fake_server = realm.fake_server(Tamper::Nothing);
        let login = change(Login { threads: 24, ..realm.login(&fake_server, user, "") });
        assert_eq!(login.run().user(), "ann@TEST.LOCAL of $external");
        assert_eq!(fake_server.logins(), 24);
    };
    for round in 0..2 {
        logged_in("ann%40TEST.LOCAL", &|login| login.keytab(&keytab));
        let cache = realm.kdc.file(&format!("at-once.{round}.cache"));
        logged_in("ann%40TEST.LOCAL", &|login| login.keytab(&keytab).cache(&cache));
        logged_in("ann%40TEST.LOCAL", &|login| {
            login.with("KRB5_CLIENT_KTNAME", &keytab).with("KRB5CCNAME", "MEMORY:shared")
        });
    }
    logged_in("ann%40TEST.LOCAL:pencil", &|login| login);
}

/// In one process each client is who its own cache says, however many of them log in side by side.
#[test]
fn clients_with_caches_of_their_own() {
    let Some(realm) = Realm::shared() else { return };
    let fake_server = realm.fake_server(Tamper::Nothing);
    let uris = ["ann%40TEST.LOCAL", "bob%40OTHER.LOCAL"].map(|user| realm.login(&fake_server, user, "").uri);
    let caches = [(ANN, "own.ann.cache"), (BOB, "own.bob.cache")];
    let caches = caches.map(|(user, cache)| realm.kdc.kinit(user, PASSWORD, cache, "1h").display().to_string());
    let login = realm.login(&fake_server, "both", "").cache(caches.join("\n"));
    let outcome = Login { uri: uris.join("\n"), threads: 16, times: 2, ..login }.run();
    for user in [ANN, BOB] {
        let wanted = format!("{user} is {user} of $external");
        assert_eq!(outcome.logins.iter().filter(|login| **login == wanted).count(), 16, "{outcome:?}");
    }
}

/// Ann's KDC hands out a ticket for the other realm, whose KDC hands out the one for the service.
#[test]
fn across_realms() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "SERVICE_REALM:OTHER.LOCAL", |login| login);
    assert_eq!(outcome.user(), "ann@TEST.LOCAL of $external");
    let log = realm.kdc.log();
    assert!(log.contains("ann@TEST.LOCAL for krbtgt/OTHER.LOCAL@TEST.LOCAL"), "{log}");
    assert!(log.contains("ann@TEST.LOCAL for mongodb/localhost@OTHER.LOCAL"), "{log}");
    // The user's own realm is not taken for the service's: the library knows the realm of this host.
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "SERVICE_HOST:db.other.local", |login| login);
    assert_eq!(outcome.user(), "ann@TEST.LOCAL of $external");
    let outcome = login(realm, "bob%40OTHER.LOCAL:pencil", "SERVICE_REALM:TEST.LOCAL", |login| login);
    assert_eq!(outcome.user(), "bob@OTHER.LOCAL of $external");
}

#[test]
fn a_realm_without_a_kdc() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "ann%40NOWHERE.LOCAL:pencil", "", |login| login);
    outcome.refused(&["no KDC is known for NOWHERE.LOCAL", "ann@NOWHERE.LOCAL", "krb5.conf"]);
    let outcome = login(realm, "ann%40DOWN.LOCAL:pencil", "", |login| login);
    outcome.refused(&["no KDC of DOWN.LOCAL answers", "ann@DOWN.LOCAL"]);
}

/// Kerberos is content, and the server knows nobody of that name.
#[test]
fn a_server_that_does_not_take_the_ticket() {
    let Some(realm) = Realm::shared() else { return };
    realm.kdc.rotate("mongodb/rotated.test.local@TEST.LOCAL");
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "SERVICE_HOST:rotated.test.local", |login| login);
    outcome.refused(&[
        "the server refused the credentials",
        "is there a user ann@TEST.LOCAL in $external",
        "mongodb/rotated.test.local",
    ]);
}

#[test]
fn a_password_and_a_store_are_one_too_many() {
    let Some(realm) = Realm::shared() else { return };
    let outcome = login(realm, "ann%40TEST.LOCAL:pencil", "", |login| login.keytab("a.keytab"));
    outcome.refused(&["takes either a password or (client keytab)"]);
}
