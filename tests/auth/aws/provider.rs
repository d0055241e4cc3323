//! Keys from code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use mongo_blocking::error::ErrorKind;
use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking::{AwsKeys, Client, Result, WarningKind};
use mongo_blocking_test_server::aws::AwsServer;
use mongo_blocking_test_server::fake_server::FakeServer;

use super::{fake_server, in_child, is_child, judged_by, moto, who_is};

#[test]
fn its_keys_log_in() {
    let Some(moto) = moto() else { return };
    let fake_server = fake_server(&judged_by(moto));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let client = client(&fake_server, move |within: Duration| {
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(within > Duration::ZERO && within <= Duration::from_secs(30), "{within:?}");
        Ok(AwsKeys::new(moto.access_key_id(), moto.secret_access_key()))
    });
    assert_eq!(who_is(&client).unwrap(), "arn:aws:iam::123456789012:user/tester@$external");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn keys_that_are_given_win() {
    let Some(moto) = moto() else { return };
    let fake_server = fake_server(&judged_by(moto));
    let options = ClientOptions::builder()
        .host(fake_server.address())
        .username(moto.access_key_id())
        .password(moto.secret_access_key())
        .auth_mechanism("MONGODB-AWS")
        .aws_credential_provider(|_within: Duration| panic!("it is not asked"))
        .build()
        .settings()
        .unwrap();
    assert!(options.warnings().iter().any(|warning| warning.kind() == WarningKind::NoEffect));
    let client = Client::with_options(options).unwrap();
    assert_eq!(who_is(&client).unwrap(), "arn:aws:iam::123456789012:user/tester@$external");
}

#[test]
fn it_wins_over_the_environment() {
    const UNDER_TEST: &str = "it_wins_over_the_environment";
    if !is_child() {
        return in_child(
            module_path!(),
            UNDER_TEST,
            &[("AWS_ACCESS_KEY_ID", "AKIAWRONG"), ("AWS_SECRET_ACCESS_KEY", "wrong")],
        );
    }
    let aws = by_id(&["AKIAPROVIDED"]);
    let fake_server = fake_server(&aws);
    let client = client(&fake_server, |_within: Duration| Ok(AwsKeys::new("AKIAPROVIDED", "secret")));
    assert_eq!(who_is(&client).unwrap(), "AKIAPROVIDED@$external");
    assert_eq!(aws.seen().len(), 1);
}

#[test]
fn keys_that_expire_are_kept_and_others_are_not() {
    for (expires, logins, expected) in [(Some(3600), 5, 1), (Some(200), 5, 5), (None, 5, 5)] {
        let fake_server = fake_server(&by_id(&["AKIAPROVIDED"]));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let client = client(&fake_server, move |_within: Duration| {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut keys = AwsKeys::new("AKIAPROVIDED", "secret");
            keys.expires = expires.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
            Ok(keys)
        });
        for login in 1..=logins {
            assert_eq!(who_anew(&client, &fake_server).unwrap(), "AKIAPROVIDED@$external");
            assert_eq!(fake_server.connections(), login);
        }
        assert_eq!(calls.load(Ordering::SeqCst), expected, "expires in {expires:?} s");
    }
}

/// Kept keys are revoked on the server's side: the login is tried once more, with fresh ones, and nobody notices.
#[test]
fn kept_keys_that_are_refused_are_asked_for_anew() {
    let aws = AwsServer::judged_by({
        let calls = AtomicUsize::new(0);
        move |signed| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Some("first".to_owned()),
            _ => (signed.access_key_id != "AKIA1").then(|| signed.access_key_id.clone()),
        }
    });
    let fake_server = fake_server(&aws);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let client = client(&fake_server, move |_within: Duration| {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(AwsKeys::new(format!("AKIA{number}"), "secret").expires(SystemTime::now() + Duration::from_secs(3600)))
    });
    assert_eq!(who_anew(&client, &fake_server).unwrap(), "first@$external");
    assert_eq!(who_anew(&client, &fake_server).unwrap(), "AKIA2@$external");
    let ids: Vec<_> = aws.seen().into_iter().map(|signed| signed.access_key_id).collect();
    assert_eq!(ids, ["AKIA1", "AKIA1", "AKIA2"]);
}

/// Where the fresh keys are refused, too, that is the end: one more try, not more.
#[test]
fn a_refusal_of_fresh_keys_is_final() {
    let aws = by_id(&[]);
    let fake_server = fake_server(&aws);
    let client = client(&fake_server, |_within: Duration| {
        Ok(AwsKeys::new("AKIAPROVIDED", "secret").expires(SystemTime::now() + Duration::from_secs(3600)))
    });
    for logins in 1..=3 {
        assert_eq!(who_is(&client).unwrap_err().code(), Some(18));
        assert_eq!(aws.seen().len(), logins);
    }
}

#[test]
fn many_threads_ask_once() {
    let fake_server = fake_server(&by_id(&["AKIAPROVIDED"]));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let client = client(&fake_server, move |_within: Duration| {
        counted.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
        Ok(AwsKeys::new("AKIAPROVIDED", "secret").expires(SystemTime::now() + Duration::from_secs(3600)))
    });
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(who_is(&client).unwrap(), "AKIAPROVIDED@$external"));
        }
    });
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn the_error_of_a_provider_is_reported() {
    let fake_server = fake_server(&by_id(&["AKIAPROVIDED"]));
    let client = client(&fake_server, |_within: Duration| Err("the vault is sealed".into()));
    let error = who_is(&client).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error}");
    assert!(
        error.to_string().contains("the AwsCredentialProvider gave no keys") && format!("{error:#}").contains("vault"),
        "{error}"
    );
    assert!(fake_server.commands_named("saslStart").is_empty());
    assert_eq!(error.code(), None);
}

#[test]
fn keys_that_cannot_be_sent_are_refused_and_not_kept() {
    let fake_server = fake_server(&by_id(&["AKIAPROVIDED"]));
    let calls = AtomicUsize::new(0);
    let client = client(&fake_server, move |_within: Duration| {
        let id = if calls.fetch_add(1, Ordering::SeqCst) == 0 { "AKIA\r\nx: y" } else { "AKIAPROVIDED" };
        Ok(AwsKeys::new(id, "secret").expires(SystemTime::now() + Duration::from_secs(3600)))
    });
    let error = who_is(&client).unwrap_err();
    assert!(error.message().contains("access key id with a carriage return"), "{error}");
    assert!(fake_server.commands_named("saslStart").is_empty());
    assert_eq!(who_is(&client).unwrap(), "AKIAPROVIDED@$external");
}

#[test]
fn a_panicking_provider_frees_its_connection() {
    let fake_server = fake_server(&by_id(&["AKIAPROVIDED"]));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let options = options(&fake_server)
        .max_pool_size(1)
        .max_connecting(1)
        .wait_queue_timeout(Duration::from_secs(5))
        .aws_credential_provider(move |_within: Duration| match counted.fetch_add(1, Ordering::SeqCst) {
            0..3 => panic!("on purpose"),
            _ => Ok(AwsKeys::new("AKIAPROVIDED", "secret").expires(SystemTime::now() + Duration::from_secs(3600))),
        })
        .build()
        .settings()
        .unwrap();
    let client = Client::with_options(options).unwrap();
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| who_is(&client))).is_err());
    }
    assert_eq!(who_is(&client).unwrap(), "AKIAPROVIDED@$external");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[test]
fn a_provider_with_another_mechanism_is_refused() {
    let builder = ClientOptions::builder()
        .host("localhost")
        .aws_credential_provider(|_within: Duration| Ok(AwsKeys::new("AKIAPROVIDED", "secret")));
    for builder in [builder.clone(), builder.auth_mechanism("SCRAM-SHA-256").username("u").password("p")] {
        let error = builder.build().settings().unwrap_err();
        assert!(error.message().contains("AwsCredentialProvider needs authMechanism"), "{error}");
    }
    let error = ClientSettings::parse(
        "mongodb://localhost/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_CREDENTIAL_PROVIDER:x",
    );
    assert!(error.unwrap_err().message().contains("in code only"));
}

fn options(fake_server: &FakeServer) -> mongo_blocking::options::ClientOptionsBuilder {
    ClientOptions::builder().host(fake_server.address()).auth_mechanism("MONGODB-AWS")
}

fn client(fake_server: &FakeServer, provider: impl mongo_blocking::AwsCredentialProvider + 'static) -> Client {
    Client::with_options(options(fake_server).aws_credential_provider(provider).build().settings().unwrap()).unwrap()
}

/// Who is logged in, on a connection made for this question.
fn who_anew(client: &Client, fake_server: &FakeServer) -> Result<String> {
    fake_server.hang_up();
    match who_is(client) {
        Err(gone) if matches!(gone.kind(), ErrorKind::Io(_)) => who_is(client), // it met the old connection's end
        other => other,
    }
}

/// A server that knows some keys by their ids, and looks at no signature.
fn by_id(ids: &[&'static str]) -> AwsServer {
    let ids = ids.to_vec();
    AwsServer::judged_by(move |signed| ids.iter().find(|id| **id == signed.access_key_id).map(|id| (*id).to_owned()))
}
