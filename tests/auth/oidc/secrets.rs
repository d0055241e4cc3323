//! Tokens show nowhere: not in a log, an event, an error, a warning, nor in a `Debug` form. And where others may read them.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use mongo_blocking::error::Stage;
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder};
use mongo_blocking::{Client, IdpServerResponse, OidcCallbackContext, SecurityPolicy, WarningKind};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::oidc::{OidcServer, OidcTamper};
use mongo_blocking_test_server::peers::Scratch;

use super::{Calls, REAUTHENTICATE, fail, fake_server, find, idp, options};
use crate::captured_log::CapturedLog;

#[test]
fn no_token_shows() {
    let Some(idp) = idp() else { return };
    if !child::alone(module_path!(), "no_token_shows") {
        return;
    }
    let log = CapturedLog::install();
    let seen = Arc::new(Mutex::new(String::new()));
    let tokens = Arc::new(Mutex::new(vec!["open-sesame".to_owned()]));
    let folder = Scratch::new("secrets");
    let file = folder.path().join("token");
    let token = idp.token("ann");
    std::fs::write(&file, &token).unwrap();
    tokens.lock().unwrap().push(token.clone());

    for tamper in [OidcTamper::Honest, OidcTamper::Refuse(18), OidcTamper::Refuse(9999), OidcTamper::NeverDone] {
        let server = OidcServer::trusting(idp).tamper(tamper);
        let fake_server = fake_server(&server);
        let (given, told) = (tokens.clone(), seen.clone());
        let callback = move |context: &OidcCallbackContext| {
            writeln!(told.lock().unwrap(), "{context:?}").unwrap();
            let token = idp.token("ann");
            given.lock().unwrap().push(token.clone());
            let response = IdpServerResponse::new(token).refresh_token("open-sesame").expires_in_seconds(60);
            writeln!(told.lock().unwrap(), "{response:?}").unwrap();
            Ok(response)
        };
        for builder in [
            options(&fake_server).oidc_callback(callback.clone()),
            options(&fake_server).oidc_human_callback(callback),
            options(&fake_server).oidc_token_file(&file),
            options(&fake_server).oidc_token_command(["echo", &token]),
        ] {
            show_everything(builder, &fake_server, &seen);
        }
    }
    let logged = log.text() + &seen.lock().unwrap();
    assert!(logged.len() > 10_000 && logged.contains("MONGODB-OIDC"), "{logged}");
    for token in tokens.lock().unwrap().iter() {
        // A part would be as bad: of a token the signature is what opens doors.
        let tail = token.rsplit('.').next().unwrap();
        assert!(!logged.contains(token) && !logged.contains(tail), "{token} shows");
    }
}

fn show_everything(builder: ClientOptionsBuilder, fake_server: &FakeServer, seen: &Arc<Mutex<String>>) {
    let show = |thing: &dyn Debug| writeln!(seen.lock().unwrap(), "{thing:?}").unwrap();
    let events = seen.clone();
    let builder = builder.command_event_handler(EventHandler::new(move |event: &CommandEvent| {
        let _ = writeln!(events.lock().unwrap(), "{event:?}");
    }));
    show(&builder);
    let options = builder.build().settings().unwrap();
    show(&options);
    show(&options.credential());
    show(&options.to_uri(true));
    show(&options.warnings());
    let client = Client::with_options(options).unwrap();
    show(&client);
    for round in 0..3 {
        fail(fake_server, &["find"], i32::from(round == 1), REAUTHENTICATE);
        if let Err(error) = find(&client) {
            show(&error);
            show(&format!("{error:#}"));
        }
        fake_server.hang_up(); // the next connection speculates
    }
}

/// An access token is as good as a password wherever it is taken.
#[test]
fn tokens_are_refused_on_channels_without_verified_tls() {
    let with = |host: &str, more: &str| {
        ClientOptions::builder()
            .uri(format!("mongodb://{host}/?authMechanism=MONGODB-OIDC{more}"))
            .oidc_callback(|_: &OidcCallbackContext| Ok(IdpServerResponse::new("token")))
    };
    let refusing = SecurityPolicy::default().refuse_unprotected_secrets(true);
    for (host, more, exposed) in [
        ("db.example.com", "", true),
        ("db.example.com", "&tls=true", false),
        ("db.example.com", "&tls=true&tlsAllowInvalidCertificates=true", true),
        ("db.example.com", "&tls=true&tlsAllowInvalidHostnames=true", true),
        ("db.example.com", "&tlsInsecure=true", true),
        ("10.0.0.1", "", true),
        ("localhost", "", false),
        ("127.0.0.1", "", false),
        ("[::1]", "", false),
        ("%2Ftmp%2Fmongodb-27017.sock", "", false),
    ] {
        let options = with(host, more).build().settings().unwrap();
        let warned = options.warnings().iter().any(|warning| {
            warning.kind() == WarningKind::Insecure && warning.message().contains("sends an access token unencrypted")
        });
        assert_eq!(warned, exposed, "{host}{more}");
        let refused = with(host, more).policy(refusing.clone()).build().settings();
        assert_eq!(refused.is_err(), exposed, "{host}{more}");
        if let Err(error) = refused {
            assert!(error.stage() == Stage::Options && error.hint().unwrap().contains("tls=true"), "{error}");
        }
    }
}

/// A policy that refuses does so before the callback is called and before anything is sent.
#[test]
fn refused_options_call_no_callback() {
    let (Some(idp), calls) = (idp(), Calls::default()) else { return };
    let server = OidcServer::trusting(idp);
    let fake_server = fake_server(&server);
    let counted = calls.clone();
    let refusing = SecurityPolicy::default().refuse_unprotected_secrets(true);
    // An address that leads to this machine and does not say so.
    let options = ClientOptions::builder()
        .host(format!("0.0.0.0:{}", fake_server.port()))
        .auth_mechanism("MONGODB-OIDC")
        .policy(refusing)
        .oidc_callback(move |_: &OidcCallbackContext| {
            counted.add();
            Ok(IdpServerResponse::new("token"))
        });
    options.build().settings().unwrap_err();
    assert_eq!((calls.count(), fake_server.connections()), (0, 0));
}
