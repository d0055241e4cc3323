//! CANONICALIZE_HOST_NAME, with look-ups that are real to the program and to its Kerberos library: nss_wrapper stands between
//! them and the system, with a list of hosts of its own. The KDC's log is the witness of what was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use mongo_blocking_test_server::gssapi::Tamper;
use mongo_blocking_test_server::peers::{Kdc, skip};

use crate::child::{Login, Outcome};
use crate::realm::Realm;

/// `alias` is an alias of `forward`; their address has the name `reverse`.
const HOSTS: &str = "127.0.0.1 reverse.test.local\n127.0.0.1 forward.test.local alias.test.local\n";

/// Logs in to alias.test.local with this property, with a library that makes names canonical by itself unless it is told the
/// name outright. Gives the service that the KDC was asked for.
fn asked_for(realm: &Realm, user: &str, properties: &str) -> Option<(Outcome, String)> {
    let fake_server = realm.fake_server(Tamper::Nothing);
    let address = fake_server.address().replace("127.0.0.1", "alias.test.local");
    let (before, mark) = (realm.kdc.log().len(), user.replace("%40", "@"));
    let login = realm
        .login_at(&address, &format!("{user}:pencil"), properties)
        .with("KRB5_CONFIG", realm.kdc.file("canonicalizing.conf"));
    let outcome = with_hosts(login, realm, HOSTS)?.run();
    let log = realm.kdc.log();
    let mark = format!("{mark} for ");
    let mut services =
        log[before..].lines().filter(|line| line.contains("TGS_REQ")).filter_map(|line| line.split_once(&mark));
    Some((outcome, services.next_back().map(|(_, service)| service.to_owned()).unwrap_or_default()))
}

/// The login in a process for which these hosts are all there are. `None`, after a skip, without nss_wrapper.
pub fn with_hosts(login: Login, realm: &Realm, hosts: &str) -> Option<Login> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let file = realm.kdc.file(&format!("hosts.{}", NEXT.fetch_add(1, Ordering::SeqCst)));
    fs::write(&file, hosts).unwrap();
    Some(login.with("LD_PRELOAD", nss_wrapper()?).with("NSS_WRAPPER_HOSTS", file))
}

fn nss_wrapper() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join("libnss_wrapper.so")).find(|path| path.exists());
    if found.is_none() {
        skip("there is no libnss_wrapper.so");
    }
    found
}

/// One user for each spelling, so that each finds its own lines in the KDC's log.
fn user(kdc: &Kdc, name: &str) -> String {
    kdc.add_user(&format!("{name}@TEST.LOCAL"), "pencil");
    format!("{name}%40TEST.LOCAL")
}

#[test]
fn each_spelling() {
    let Some(realm) = Realm::shared() else { return };
    for (spelling, expected) in [
        ("none", "mongodb/alias.test.local@TEST.LOCAL"),
        ("false", "mongodb/alias.test.local@TEST.LOCAL"),
        ("forward", "mongodb/forward.test.local@TEST.LOCAL"),
        ("forwardAndReverse", "mongodb/reverse.test.local@TEST.LOCAL"),
        ("true", "mongodb/reverse.test.local@TEST.LOCAL"),
    ] {
        let user = user(&realm.kdc, &format!("names-{spelling}"));
        let Some((outcome, asked)) = asked_for(realm, &user, &format!("CANONICALIZE_HOST_NAME:{spelling}")) else {
            return;
        };
        assert_eq!(asked, expected, "{spelling}: {outcome:?}");
        assert_eq!(outcome.user(), format!("names-{spelling}@TEST.LOCAL of $external"));
        assert!(outcome.warnings.is_empty(), "{outcome:?}");
    }
}

/// The proof that the cases above prove something: where nothing is said, the library does as its configuration says.
#[test]
fn left_to_the_library() {
    let Some(realm) = Realm::shared() else { return };
    let user = user(&realm.kdc, "names-library");
    let Some((outcome, asked)) = asked_for(realm, &user, "") else { return };
    assert_eq!(asked, "mongodb/reverse.test.local@TEST.LOCAL", "{outcome:?}");
}

/// As some distributions have it: the name as it is, and the canonical one where the KDC does not know that.
#[test]
fn left_to_a_library_that_tries_both() {
    let Some(realm) = Realm::shared() else { return };
    let user = user(&realm.kdc, "names-both");
    let fake_server = realm.fake_server(Tamper::Nothing);
    let configuration = fs::read_to_string(realm.kdc.file("krb5.conf")).unwrap();
    let file = realm.kdc.file("fallback.conf");
    let both = configuration.replace("dns_canonicalize_hostname = false", "dns_canonicalize_hostname = fallback");
    fs::write(&file, both).unwrap();
    let address = fake_server.address().replace("127.0.0.1", "short.test.local");
    let login = realm.login_at(&address, &format!("{user}:pencil"), "SERVICE_NAME:name").with("KRB5_CONFIG", file);
    let Some(login) = with_hosts(login, realm, "127.0.0.1 db.test.local short.test.local\n") else { return };
    assert_eq!(login.run().user(), "names-both@TEST.LOCAL of $external");
    let log = realm.kdc.log();
    assert!(log.contains("names-both@TEST.LOCAL for name/short.test.local@TEST.LOCAL, Server not found"), "{log}");
    assert!(log.contains("names-both@TEST.LOCAL for name/db.test.local@TEST.LOCAL"), "{log}");
}

/// An error names the service that was asked for in the end.
#[test]
fn what_the_library_made_of_the_name() {
    let Some(realm) = Realm::shared() else { return };
    let user = user(&realm.kdc, "names-told");
    let Some((outcome, _)) = asked_for(realm, &user, "SERVICE_NAME:nosuch") else { return };
    outcome.refused(&["server not in Kerberos database", "nosuch/reverse.test.local", "the KDC of TEST.LOCAL"]);
}

/// With a realm the name stands as it is, too; and SERVICE_HOST is made canonical like the server's own host.
#[test]
fn with_a_realm_and_another_host() {
    let Some(realm) = Realm::shared() else { return };
    let plain = user(&realm.kdc, "names-realm");
    let Some((_, asked)) = asked_for(realm, &plain, "SERVICE_REALM:TEST.LOCAL") else { return };
    assert_eq!(asked, "mongodb/alias.test.local@TEST.LOCAL");
    let both = user(&realm.kdc, "names-realm-forward");
    let properties = "SERVICE_REALM:TEST.LOCAL,CANONICALIZE_HOST_NAME:forward";
    let Some((_, asked)) = asked_for(realm, &both, properties) else { return };
    assert_eq!(asked, "mongodb/forward.test.local@TEST.LOCAL");
    let host = user(&realm.kdc, "names-host");
    let properties = "SERVICE_HOST:ALIAS.test.local,CANONICALIZE_HOST_NAME:true";
    let Some((_, asked)) = asked_for(realm, &host, properties) else { return };
    assert_eq!(asked, "mongodb/reverse.test.local@TEST.LOCAL");
}

/// A name that cannot be looked up is used as it is, with a warning.
#[test]
fn a_look_up_that_fails() {
    let Some(realm) = Realm::shared() else { return };
    let user = user(&realm.kdc, "names-lost");
    let properties = "SERVICE_HOST:lost.test.invalid,CANONICALIZE_HOST_NAME:forward";
    let Some((outcome, _)) = asked_for(realm, &user, properties) else { return };
    assert!(realm.kdc.log().contains("names-lost@TEST.LOCAL for mongodb/lost.test.invalid@TEST.LOCAL"));
    outcome.refused(&["server not in Kerberos database", "mongodb/lost.test.invalid"]);
    let [warning] = &outcome.warnings[..] else { panic!("{outcome:?}") };
    assert!(warning.contains("CANONICALIZE_HOST_NAME:forward could not be done for lost.test.invalid"), "{warning}");
}
