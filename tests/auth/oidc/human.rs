//! The prose tests for people.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongo_blocking::bson::doc;
use mongo_blocking::error::ErrorKind;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, IdpServerResponse, OidcCallbackContext};
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::oidc::{OidcServer, OidcTamper, Seen};
use mongo_blocking_test_server::peers::Idp;

use super::{Calls, REAUTHENTICATE, client, fail, fake_server, find, idp, options, who};

/// What a callback was told, call by call.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<OidcCallbackContext>>>);

impl Told {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The refresh token of each call.
    fn refresh_tokens(&self) -> Vec<Option<String>> {
        let told = self.0.lock().unwrap();
        told.iter().map(|context| context.refresh_token.as_ref().map(|token| token.expose().to_owned())).collect()
    }
}

/// A callback that gives tokens of this user's, and a refresh token with a number.
fn callback(idp: &'static Idp, user: &'static str) -> (impl mongo_blocking::OidcCallback + 'static, Told) {
    let told = Told::default();
    let noted = told.clone();
    let callback = move |context: &OidcCallbackContext| {
        let mut noted = noted.0.lock().unwrap();
        noted.push(context.clone());
        Ok(IdpServerResponse::new(idp.token(user)).refresh_token(format!("refresh {}", noted.len())))
    };
    (callback, told)
}

fn default(idp: &'static Idp, fake_server: &FakeServer) -> (Client, Told) {
    let (callback, told) = callback(idp, "test_user1");
    (client(options(fake_server).oidc_human_callback(callback)), told)
}

#[test]
fn h1_1_and_1_2_one_provider() {
    let Some(idp) = idp() else { return };
    for username in [None, Some("test_user1")] {
        let server = OidcServer::trusting(idp);
        let fake_server = fake_server(&server);
        let mut options = options(&fake_server).oidc_human_callback(callback(idp, "test_user1").0);
        if let Some(username) = username {
            options = options.username(username);
        }
        let client = client(options);
        find(&client).unwrap();
        assert_eq!(who(&client).unwrap(), "test_user1@$external");
        assert_eq!(server.seen()[0], Seen::Principal(username.map(str::to_owned)));
    }
}

#[test]
fn h1_3_to_1_5_several_providers() {
    let Some(idp) = idp() else { return };
    for (username, user, logged_in) in [
        (Some("test_user1"), "test_user1", true),
        (Some("test_user2"), "test_user2", true),
        (None, "test_user1", false),
    ] {
        let info = |client: &str| doc! { "issuer": idp.issuer(), "clientId": client };
        let server = OidcServer::trusting(idp)
            .provider_of("test_user1", info("test_user1"))
            .provider_of("test_user2", info("test_user2"));
        let fake_server = fake_server(&server);
        let (callback, told) = callback(idp, user);
        let mut options = options(&fake_server).oidc_human_callback(callback);
        if let Some(username) = username {
            options = options.username(username);
        }
        let client = client(options);
        match find(&client) {
            Ok(()) => {
                let told = told.0.lock().unwrap();
                assert!(logged_in);
                assert_eq!(told[0].idp_info.as_ref().unwrap().client_id.as_deref(), username);
            }
            Err(error) => {
                assert!(!logged_in, "{error}");
                assert_eq!((error.code(), told.count()), (Some(18), 0), "{error}");
            }
        }
    }
}

#[test]
fn h1_6_hosts_that_are_not_allowed() {
    let Some(idp) = idp() else { return };
    for (hosts, allowed) in [
        (&[] as &[&str], false),
        (&["example.com"], false),
        (&["127.0.0.1.example.com", "*.0.0.1", "localhost", "127.0.0.2"], false),
        (&["127.0.0.1"], true),
    ] {
        let server = OidcServer::trusting(idp);
        let fake_server = fake_server(&server);
        let (callback, told) = callback(idp, "test_user1");
        let client = client(
            options(&fake_server)
                .uri(format!("mongodb://{}/?ignored=example.com", fake_server.address()))
                .oidc_human_callback(callback)
                .oidc_allowed_hosts(hosts.iter().copied()),
        );
        match (find(&client), allowed) {
            (Ok(()), true) => {}
            (Err(error), false) => {
                assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
                assert!(error.message().contains("\"127.0.0.1\" is not among the allowed hosts"), "{error}");
                assert!(server.seen().is_empty() && told.count() == 0);
            }
            (outcome, _) => panic!("{hosts:?}: {outcome:?}"),
        }
    }
}

#[test]
fn h1_7_allowed_hosts_are_refused_in_a_connection_string() {
    for scheme in ["mongodb", "mongodb+srv"] {
        let uri = format!(
            "{scheme}://example.com/?authMechanism=MONGODB-OIDC&authMechanismProperties=ALLOWED_HOSTS:%5B%22example.com%22%5D"
        );
        let token = |_: &OidcCallbackContext| Ok(IdpServerResponse::new("token"));
        let error = ClientOptions::builder().uri(uri).oidc_human_callback(token).build().settings().unwrap_err();
        assert!(error.message().contains("ALLOWED_HOSTS is not allowed here"), "{error}");
    }
}

#[test]
fn h1_8_a_provider_without_a_client_id() {
    let Some(idp) = idp() else { return };
    let info = OidcTamper::Info(doc! { "issuer": idp.issuer() });
    let fake_server = fake_server(&OidcServer::trusting(idp).tamper(info));
    let (callback, told) = callback(idp, "test_machine");
    let client = client(options(&fake_server).username("test_machine").oidc_human_callback(callback));
    find(&client).unwrap();
    let told = told.0.lock().unwrap();
    let info = told[0].idp_info.as_ref().unwrap();
    assert_eq!((info.issuer.as_str(), &info.client_id, &info.request_scopes), (idp.issuer(), &None, &None));
}

#[test]
fn h2_1_what_a_callback_is_told() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (callback, told) = callback(idp, "test_user1");
    // A person is given his time, whatever the operation's limit.
    let options =
        options(&fake_server).username("test_user1").timeout(Duration::from_secs(20)).oidc_human_callback(callback);
    find(&client(options)).unwrap();
    let told = told.0.lock().unwrap();
    let [context] = told.as_slice() else { panic!("{told:?}") };
    assert!((290..=300).contains(&context.timeout.as_secs()), "{:?}", context.timeout);
    assert_eq!((context.version, context.username.as_deref()), (1, Some("test_user1")));
    assert!(context.refresh_token.is_none());
    let info = context.idp_info.as_ref().unwrap();
    assert_eq!((info.issuer.as_str(), info.client_id.as_deref()), (idp.issuer(), Some("test_user1")));
    assert_eq!(info.request_scopes.as_deref(), Some(&["fizz".to_owned(), "buzz".to_owned()][..]));
}

#[test]
fn h2_2_an_invalid_answer_is_an_error() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let callback = |_: &OidcCallbackContext| Ok(IdpServerResponse::new("").refresh_token("refresh"));
    let error = find(&client(options(&fake_server).oidc_human_callback(callback))).unwrap_err();
    assert!(error.message().contains("an empty access token"), "{error}");
    assert!(fake_server.commands_named("saslContinue").is_empty());
}

#[test]
fn h2_3_a_refresh_token_comes_back() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, told) = default(idp, &fake_server);
    find(&client).unwrap();
    for call in 1..3 {
        fail(&fake_server, &["find"], 1, REAUTHENTICATE);
        find(&client).unwrap();
        assert_eq!(told.refresh_tokens()[call], Some(format!("refresh {call}")));
    }
    assert_eq!(told.count(), 3);
    assert!(told.0.lock().unwrap().iter().all(|context| context.idp_info.is_some()));
}

#[test]
fn h3_1_speculation_with_a_kept_token() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, told) = default(idp, &fake_server);
    fake_server.fail_command(&doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": { "failCommands": ["find"], "closeConnection": true },
    });
    find(&client).unwrap_err();
    fail(&fake_server, &["saslStart"], 1, 18);
    find(&client).unwrap();
    assert_eq!(told.count(), 1);
}

#[test]
fn h3_2_no_speculation_without() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (client, told) = default(idp, &fake_server);
    fail(&fake_server, &["saslStart"], 1, 18);
    assert_eq!(find(&client).unwrap_err().code(), Some(18));
    assert_eq!(told.count(), 0);
    let hello = fake_server.commands_named("isMaster");
    assert!(!hello.is_empty() && hello.iter().all(|hello| !hello.body.contains_key("speculativeAuthenticate")));
}

#[test]
fn h4_1_reauthentication_and_its_events() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let (callback, told) = callback(idp, "test_user1");
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = events.clone();
    let handler = EventHandler::new(move |event: &CommandEvent| {
        let what = match event {
            CommandEvent::Started(_) => "started",
            CommandEvent::Succeeded(_) => "succeeded",
            CommandEvent::Failed(_) => "failed",
            _ => "?",
        };
        noted.lock().unwrap().push(format!("{} {what}", event.command_name()));
    });
    let client = client(options(&fake_server).oidc_human_callback(callback).command_event_handler(handler));
    find(&client).unwrap();
    assert_eq!(told.count(), 1);
    events.lock().unwrap().clear();
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    find(&client).unwrap();
    assert_eq!(told.count(), 2);
    assert_eq!(*events.lock().unwrap(), ["find started", "find failed", "find started", "find succeeded"]);
}

#[test]
fn h4_2_without_a_refresh_token() {
    let Some(idp) = idp() else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).oidc_human_callback(move |context: &OidcCallbackContext| {
        counted.add();
        assert!(context.refresh_token.is_none());
        Ok(IdpServerResponse::new(idp.token("test_user1")))
    }));
    find(&client).unwrap();
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    find(&client).unwrap();
    assert_eq!(calls.count(), 2);
    // Each time the server was asked for the provider.
    let asked = server.seen().into_iter().filter(|seen| matches!(seen, Seen::Principal(_))).count();
    assert_eq!(asked, 2);
}

/// The specification's test as it is now, and as it was: there the server refuses the refreshed token, too.
#[test]
fn h4_3_after_a_refresh_that_fails() {
    let Some(idp) = idp() else { return };
    for (commands, times, calls) in [(&["find"][..], 1, 2), (&["find", "saslStart"], 2, 3)] {
        let fake_server = fake_server(&OidcServer::trusting(idp));
        let (client, told) = default(idp, &fake_server);
        find(&client).unwrap();
        assert_eq!(told.count(), 1);
        fail(&fake_server, commands, times, REAUTHENTICATE);
        find(&client).unwrap();
        assert_eq!(told.count(), calls);
        // A person who is asked anew gets no refresh token that has failed.
        assert_eq!(told.refresh_tokens().get(2).cloned().flatten(), None);
    }
}

#[test]
fn h4_4_nothing_helps() {
    let Some(idp) = idp() else { return };
    let fake_server = fake_server(&OidcServer::trusting(idp));
    let calls = Calls::default();
    let counted = calls.clone();
    let client = client(options(&fake_server).oidc_human_callback(move |_: &OidcCallbackContext| {
        let user = if counted.add() == 0 { "test_user1" } else { "expired-user" };
        Ok(IdpServerResponse::new(idp.token(user)).refresh_token("bad"))
    }));
    find(&client).unwrap();
    fail(&fake_server, &["find"], 1, REAUTHENTICATE);
    assert_eq!(find(&client).unwrap_err().code(), Some(18));
    assert_eq!(calls.count(), 3);
}
