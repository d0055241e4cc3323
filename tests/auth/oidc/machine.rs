//! The prose tests for services.

use std::thread;
use std::time::Duration;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::ErrorKind;
use mongo_blocking::{Client, IdpServerResponse, OidcCallbackContext};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::oidc::{OidcServer, Seen};
use mongo_blocking_test_server::peers::Idp;

use super::{Calls, REAUTHENTICATE, client, fail, fake_server, find, idp, insert, options, who};

/// A client whose callback gives a new token of test_user1's each time.
fn counted(idp: &'static Idp, fake_server: &FakeServer) -> (Client, Calls) {
    let calls = Calls::default();
    let counted = calls.clone();
    let options = options(fake_server).oidc_callback(move |_: &OidcCallbackContext| {
        counted.add();
        Ok(IdpServerResponse::new(idp.token("test_user1")))
    });
    (client(options), calls)
}

/// A client whose callback gives one good token, and then bad ones.
fn one_good(idp: &'static Idp, fake_server: &FakeServer) -> (Client, Calls) {
    let calls = Calls::default();
    let counted = calls.clone();
    let options = options(fake_server).oidc_callback(move |_: &OidcCallbackContext| {
        Ok(IdpServerResponse::new(idp.token(if counted.add() == 0 { "test_user1" } else { "expired-user" })))
    });
    (client(options), calls)
}

#[test]
fn m1_1_a_callback_is_called_once() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, calls) = counted(idp, &fake_server);
    find(&client).unwrap();
    assert_eq!(calls.count(), 1);
    assert_eq!(who(&client).unwrap(), "test_user1@$external");
}

#[test]
fn m1_2_once_for_many_connections() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, calls) = counted(idp, &fake_server);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| (0..100).for_each(|_| find(&client).unwrap()));
        }
    });
    assert_eq!(calls.count(), 1);
}

#[test]
fn m2_1_what_a_callback_is_told() {
    let Some(idp) = idp() else { return };
    for (limit, shortest, longest) in [(None, 55_000, 60_000), (Some(8_000), 1, 8_000), (Some(20_000), 1, 10_000)] {
        let fake_server = fake_server(&OidcServer::trusting(idp));
        let mut options = options(&fake_server)
            .username("somebody")
            .connect_timeout(Duration::from_secs(10))
            .oidc_callback(move |context: &OidcCallbackContext| {
                let millis = context.timeout.as_millis();
                assert!((shortest..=longest).contains(&millis), "{millis} ms where timeoutMS is {limit:?}");
                assert_eq!((context.version, context.username.as_deref()), (1, Some("somebody")));
                assert!(context.idp_info.is_none() && context.refresh_token.is_none());
                Ok(IdpServerResponse::new(idp.token("test_user1")).expires_in_seconds(0))
            });
        if let Some(limit) = limit {
            options = options.timeout(Duration::from_millis(limit));
        }
        find(&client(options)).unwrap();
    }
}

#[test]
fn m2_2_and_2_3_invalid_answers_are_errors() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let client = client(options(&fake_server).oidc_callback(|_: &OidcCallbackContext| Ok(IdpServerResponse::new(""))));
    let error = find(&client).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error}");
    assert!(error.message().contains("an empty access token"), "{error}");
    assert!(fake_server.commands_named("saslStart").is_empty());
}

#[test]
fn m2_4_and_2_5_options_that_exclude_each_other() {
    let builder = || mongo_blocking::options::ClientOptions::builder().host("localhost").auth_mechanism("MONGODB-OIDC");
    let token = |_: &OidcCallbackContext| Ok(IdpServerResponse::new("token"));
    let environment = |name| builder().auth_mechanism_property("ENVIRONMENT", name);
    let azure = || environment("azure").auth_mechanism_property("TOKEN_RESOURCE", "r");
    for (options, what) in [
        (environment("test").oidc_callback(token), "not several"),
        (environment("test").oidc_human_callback(token), "not several"),
        (builder().oidc_callback(token).oidc_human_callback(token), "not several"),
        (builder().oidc_callback(token).oidc_token_file("/t"), "not several"),
        (builder().oidc_token_command(["t"]).oidc_token_file("/t"), "not several"),
        (azure().oidc_allowed_hosts(Vec::<String>::new()), "only together with a human callback"),
        (builder().oidc_callback(token).oidc_allowed_hosts(["a"]), "only together with a human callback"),
        (builder().oidc_human_callback(token).oidc_allowed_hosts(["a:1"]), "an entry of the allowed hosts"),
        (builder().oidc_callback(token).auth_mechanism_property("TOKEN_RESOURCE", "r"), "only with an ENVIRONMENT"),
        (builder().oidc_callback(token).password("p"), "takes no password"),
        (builder().oidc_token_file("/t").username("u"), "takes a user name only"),
        (builder().oidc_token_command(Vec::<String>::new()), "the name of a program"),
        (builder(), "needs the mechanism property ENVIRONMENT, or a callback"),
        (builder().auth_mechanism("MONGODB-X509").oidc_callback(token), "oidc_callback needs authMechanism"),
        (builder().auth_mechanism("MONGODB-X509").oidc_token_file("/t"), "oidc_token_file needs authMechanism"),
    ] {
        let error = options.build().settings().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
        assert!(error.message().contains(what), "{error} does not say: {what}");
    }
}

#[test]
fn m3_1_a_kept_token_that_is_refused() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let (client, calls) = counted(idp, &fake_server);
    find(&client).unwrap();
    let seen = server.seen();
    let [Seen::Token(first)] = seen.as_slice() else { panic!("{seen:?}") };
    server.revoke(first); // the kept token is poisoned
    fake_server.hang_up();
    fake_server.wait_until(Duration::from_secs(5), |fake_server| fake_server.open_connections() == 0);
    find(&client).unwrap_err();
    find(&client).unwrap();
    assert_eq!(calls.count(), 2);
    let shown = server.seen();
    let firsts = shown.iter().filter(|seen| **seen == Seen::Token(first.clone())).count();
    // With hello, refused in silence; by saslStart, refused with code 18; and then the fresh one.
    assert_eq!((firsts, shown.len()), (3, 4));
}

#[test]
fn m3_2_a_fresh_token_that_is_refused() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).oidc_callback(move |_: &OidcCallbackContext| {
        counted.add();
        Ok(IdpServerResponse::new(idp.token("expired-user")))
    }));
    let error = find(&client).unwrap_err();
    assert_eq!((error.code(), calls.count()), (Some(18), 1), "{error}");
    assert!(error.message().contains("from the callback"), "{error}");
    assert!(error.hint().unwrap().contains("audience"), "{error}");
}

#[test]
fn m3_3_another_error_keeps_the_token() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, calls) = counted(idp, &fake_server);
    fail(&fake_server, &["saslStart"], 1, 20);
    assert_eq!(find(&client).unwrap_err().code(), Some(20));
    assert_eq!(calls.count(), 1);
    find(&client).unwrap();
    assert_eq!(calls.count(), 1);
}

#[test]
fn m4_1_reauthentication() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, calls) = counted(idp, &fake_server);
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    find(&client).unwrap();
    assert_eq!((calls.count(), fake_server.connections()), (2, 1));
}

#[test]
fn m4_2_and_4_3_a_reauthentication_that_fails() {
    let Some(idp) = idp() else { return };
    for (command, operation) in [("find", find as fn(&Client) -> _), ("insert", insert)] {
        let fake_server = fake_server(&OidcServer::trusting(idp));
        let (client, calls) = one_good(idp, &fake_server);
        operation(&client).unwrap();
        fail(&fake_server, &[command], 1, REAUTHENTICATE);
        let error = operation(&client).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error}");
        assert_eq!((error.code(), calls.count()), (Some(18), 2), "{error}");
        // The connection is not used again.
        fake_server.wait_until(Duration::from_secs(5), |fake_server| fake_server.open_connections() == 0);
    }
}

#[test]
fn m4_4_a_reauthentication_does_not_speculate() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, calls) = counted(idp, &fake_server);
    find(&client).unwrap();
    fake_server.hang_up();
    fake_server.wait_until(Duration::from_secs(5), |fake_server| fake_server.open_connections() == 0);
    fake_server.forget_commands();
    let _met_the_end = insert(&client);
    insert(&client).unwrap();
    // The kept token travelled with hello.
    assert_eq!((calls.count(), fake_server.commands_named("saslStart").len()), (1, 0));
    fail(&fake_server, &["insert"], 1, REAUTHENTICATE);
    insert(&client).unwrap();
    assert_eq!((calls.count(), fake_server.commands_named("saslStart").len()), (2, 1));
    assert_eq!(fake_server.commands_named("insert").len(), 3);
}

#[test]
fn m4_5_reauthentication_in_a_session() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, calls) = counted(idp, &fake_server);
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    let mut session = client.start_session().run().unwrap();
    client.database("test").collection::<Document>("test").find_one(doc! {}).session(&mut session).run().unwrap();
    assert_eq!((calls.count(), fake_server.connections()), (2, 1));
    let finds = fake_server.commands_named("find");
    assert_eq!(finds.len(), 2);
    finds.iter().for_each(|find| assert_eq!(find.body.get_document("lsid").unwrap(), session.id()));
}
