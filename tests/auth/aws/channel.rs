//! Session tokens travel as they are: what happens where the channel does not protect them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::EventHandler;
use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking::{AwsKeys, Client, SecurityPolicy, Warning, WarningKind};
use mongo_blocking_test_server::aws::AwsServer;
use mongo_blocking_test_server::fake_server::FakeServer;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};

use super::{fake_server, who_is};

/// Given ones are judged with the options, before anything is connected.
#[test]
fn given_tokens() {
    let refusing = SecurityPolicy::default().refuse_unprotected_secrets(true);
    let tls = |uri: &str| uri.replace("/?", "/?tls=true&");
    for (host, exposed) in [
        ("db.example.com", true),
        ("10.0.0.1", true),
        ("localhost,db.example.com", true),
        ("localhost", false),
        ("127.0.0.1:1,[::1]:2", false),
        ("%2Ftmp%2Fa.sock", false),
    ] {
        let uri = format!("mongodb://ID:SECRET@{host}/?authMechanism=MONGODB-AWS");
        let token = format!("{uri}&authMechanismProperties=AWS_SESSION_TOKEN:TOKEN");
        for (uri, exposed) in [(&token, exposed), (&uri, false), (&tls(&token), false), (&tls(&uri), false)] {
            let options = ClientSettings::parse(uri).unwrap();
            assert_eq!(insecure(options.warnings()), exposed, "{uri}");
            let refused = options.into_builder().policy(refusing.clone()).build().settings();
            assert_eq!(refused.is_err(), exposed, "{uri}");
        }
        let unverified = format!("{}&tlsAllowInvalidCertificates=true", tls(&token));
        let options = ClientSettings::parse(&unverified).unwrap();
        assert_eq!(options.warnings().iter().any(|warning| warning.message().contains("session token")), exposed);
    }
}

/// Those that a login finds are judged there: the program is warned once, or nothing is sent. This machine is exempt, so the
/// fake server is reached by an address that leads there and does not say so.
#[test]
fn tokens_that_a_login_finds() {
    let aws = AwsServer::judged_by(|signed| Some(signed.access_key_id.clone()));
    let fake_server = fake_server(&aws);
    for (host, exposed) in [("0.0.0.0", true), ("127.0.0.1", false)] {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = warnings.clone();
        let options = |token: Option<&'static str>| {
            let heard = heard.clone();
            ClientOptions::builder()
                .host(format!("{host}:{}", fake_server.port()))
                .auth_mechanism("MONGODB-AWS")
                .warning_handler(EventHandler::new(move |warning: &Warning| {
                    heard.lock().unwrap().push(warning.clone())
                }))
                .aws_credential_provider(move |_within: Duration| {
                    let keys = AwsKeys::new("AKIAPROVIDED", "secret");
                    Ok(token.map_or(keys.clone(), |token| keys.session_token(token)))
                })
        };
        let client = Client::with_options(options(None).build().settings().unwrap()).unwrap();
        who_is(&client).unwrap();
        assert!(warnings.lock().unwrap().is_empty(), "there is no token to protect");
        let client = Client::with_options(options(Some("TOKEN")).build().settings().unwrap()).unwrap();
        for _ in 0..2 {
            who_is(&client).unwrap();
            fake_server.hang_up();
            let _ = who_is(&client);
        }
        assert_eq!(warnings.lock().unwrap().len(), usize::from(exposed));
        assert_eq!(insecure(&warnings.lock().unwrap()), exposed);
        fake_server.forget_commands();
        let refusing = SecurityPolicy::default().refuse_unprotected_secrets(true);
        let client = Client::with_options(options(Some("TOKEN")).policy(refusing).build().settings().unwrap()).unwrap();
        let outcome = who_is(&client);
        assert_eq!(outcome.is_err(), exposed);
        if let Err(error) = outcome {
            assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
            assert!(matches!(error.stage(), Stage::Authentication { mechanism: "MONGODB-AWS", .. }), "{error}");
            assert!(error.hint().unwrap().contains("refuse_unprotected_secrets"), "{error}");
            assert!(fake_server.commands_named("saslStart").is_empty());
        }
    }
}

#[test]
fn verified_tls_protects_them() {
    let (authority, folder) = (Authority::new(), Scratch::new("aws-tls"));
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let issued = authority.issue(CertPurpose::Server, "localhost");
    let aws = AwsServer::judged_by(|signed| Some(signed.access_key_id.clone()));
    let fake_server =
        FakeServer::builder().mechanism("MONGODB-AWS", aws.start()).tls(&issued.certificate, &issued.key).start();
    let options = ClientOptions::builder()
        .host(format!("localhost:{}", fake_server.port()))
        .tls_ca_file(ca.to_str().unwrap())
        .auth_mechanism("MONGODB-AWS")
        .policy(SecurityPolicy::default().refuse_unprotected_secrets(true))
        .aws_credential_provider(|_within: Duration| Ok(AwsKeys::new("AKIAPROVIDED", "secret").session_token("TOKEN")))
        .build()
        .settings()
        .unwrap();
    assert_eq!(who_is(&Client::with_options(options).unwrap()).unwrap(), "AKIAPROVIDED@$external");
    assert_eq!(aws.seen()[0].header("x-amz-security-token"), Some("TOKEN"));
}

fn insecure(warnings: &[Warning]) -> bool {
    warnings.iter().any(|warning| warning.kind() == WarningKind::Insecure)
}
