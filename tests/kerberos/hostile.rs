//! Servers that break the rules of the conversation: none of them is logged in to, and none holds the client for long.

use mongo_blocking_test_server::gssapi::{Acceptor, Tamper};

use crate::realm::{Realm, served};

/// What the client says of a server that plays this trick.
fn refused(tamper: Tamper, words: &[&str]) {
    let Some(realm) = Realm::shared() else { return };
    let fake_server = realm.fake_server(tamper);
    let outcome = realm.login(&fake_server, "ann%40TEST.LOCAL:pencil", "").run();
    outcome.refused(words);
    // Nothing but the login's own commands went out.
    assert!(fake_server.commands().iter().all(|c| c.name != "connectionStatus"), "{tamper:?}");
    assert!(fake_server.commands().len() <= 12, "{tamper:?}: {}", fake_server.commands().len());
}

#[test]
fn only_layers_that_protect() {
    let Some(realm) = Realm::shared() else { return };
    for (mask, words) in [
        (2, "only the security layers integrity and not"),
        (4, "only the security layers confidentiality and not"),
        (6, "only the security layers integrity and confidentiality and not"),
        (0, "no security layer that there is"),
    ] {
        let Some(acceptor) = Acceptor::start(&realm.kdc, &realm.kdc.file("services.keytab"), mask) else { return };
        let fake_server = served(&acceptor, Tamper::Nothing);
        let outcome = realm.login(&fake_server, "ann%40TEST.LOCAL:pencil", "").run();
        outcome.refused(&[
            words,
            "as ann@TEST.LOCAL, to mongodb/localhost",
            "must offer \"none\"",
            "the security layers",
        ]);
    }
}

#[test]
fn more_layers_than_none() {
    let Some(realm) = Realm::shared() else { return };
    let Some(acceptor) = Acceptor::start(&realm.kdc, &realm.kdc.file("services.keytab"), 7) else { return };
    let fake_server = served(&acceptor, Tamper::Nothing);
    let outcome = realm.login(&fake_server, "ann%40TEST.LOCAL:pencil", "").run();
    assert_eq!(outcome.user(), "ann@TEST.LOCAL of $external");
}

/// The server's token proves who it is; its offer is signed. One bit of either, and the login ends.
#[test]
fn tampered_tokens() {
    let names = "as ann@TEST.LOCAL, to mongodb/localhost";
    refused(Tamper::Flip(0), &["the server's token was not accepted", names, "its answer was changed on the way"]);
    refused(Tamper::Flip(1), &["not signed as it must be", names, "its answer was changed on the way"]);
}

#[test]
fn tokens_out_of_turn() {
    refused(Tamper::Empty(0), &["empty Kerberos token before the context was established"]);
    refused(Tamper::Empty(1), &["not signed as it must be", "mongodb/localhost"]);
    refused(Tamper::Repeat(0), &["not signed as it must be", "mongodb/localhost"]);
}

#[test]
fn done_too_early() {
    refused(Tamper::Done(0), &["done before the conversation is over"]);
    refused(Tamper::Done(1), &["done before the conversation is over"]);
}

#[test]
fn no_end() {
    refused(Tamper::Endless, &["not done after the last message"]);
    refused(Tamper::Talkative, &["continues after the last message"]);
}
