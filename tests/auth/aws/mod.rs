//! MONGODB-AWS, judged by others: moto verifies the signatures, and PyMongo logs in to the same server.
//!
//! Where each of the specification's prose tests is, `tests/prose.md` tells.

mod channel;
mod forms;
mod hostile;
mod kept;
mod provider;
mod secrets;

use std::process::Command;
use std::sync::OnceLock;

use mongo_blocking::bson::{Document, doc};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::{Client, Error, Result};
use mongo_blocking_test_server::aws::{AwsServer, AwsTamper};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fake_server::{FakeServer, percent_encode};
use mongo_blocking_test_server::peers::{self, Iam, Moto};

#[test]
fn moto_accepts_our_signatures() {
    let Some(moto) = moto() else { return };
    for (host, region) in [
        ("sts.amazonaws.com", "us-east-1"),
        ("aws.amazonaws.com", "us-east-1"),
        ("sts.us-west-2.amazonaws.com", "us-west-2"),
        ("sts.eu-central-1.amazonaws.com", "eu-central-1"),
        ("localhost", "us-east-1"),
    ] {
        let aws = judged_by(moto).sts_host(host);
        let fake_server = fake_server(&aws);
        let user = who(&uri(&fake_server, moto.access_key_id(), moto.secret_access_key()));
        let user = user.unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(user, "arn:aws:iam::123456789012:user/tester@$external", "{host}");
        let signed = aws.seen().remove(0);
        assert_eq!((signed.region.as_str(), signed.header("host")), (region, Some(host)));
        assert_eq!(signed.header("x-amz-security-token"), None);
    }
}

#[test]
fn moto_refuses_a_wrong_secret_another_nonce_and_another_host() {
    let Some(moto) = moto() else { return };
    let (id, secret) = (moto.access_key_id(), moto.secret_access_key());
    let wrong = secret.chars().rev().collect::<String>();
    for (what, aws, id, secret) in [
        ("a wrong secret", judged_by(moto), id, wrong.as_str()),
        ("keys of nobody", judged_by(moto), "AKIAIOSFODNN7EXAMPLE", secret),
        ("another nonce", judged_by(moto).tamper(AwsTamper::JudgeOtherNonce), id, secret),
        (
            "another host",
            judged_by(moto).tamper(AwsTamper::JudgeOtherHost("sts.eu-west-1.amazonaws.com".into())),
            id,
            secret,
        ),
    ] {
        let error = who(&uri(&fake_server(&aws), id, secret)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{what}: {error}");
        assert_eq!(error.code(), Some(18), "{what}: {error}");
        assert!(error.message().contains(id), "{what}: {error}");
        assert!(error.hint().unwrap().contains("ARN"), "{what}: {error}");
        assert_eq!(aws.seen().len(), 1, "{what}: given keys are not tried twice");
    }
}

/// Who says that the fake server and moto judge as a server does? A client that we did not write, let in and refused alike.
#[test]
fn pymongo_logs_in_to_the_same_server() {
    let (Some(moto), Some(python)) = (moto(), peers::aws_python()) else { return };
    let fake_server = fake_server(&judged_by(moto));
    let right = uri(&fake_server, moto.access_key_id(), moto.secret_access_key());
    let wrong = uri(&fake_server, moto.access_key_id(), "wrong");
    let verdicts = peers::run(Command::new(python).arg(peers::script("pymongo_login.py")).args([&right, &wrong]));
    assert_eq!(verdicts, ["ok arn:aws:iam::123456789012:user/tester@$external", "auth 18"]);
    assert_eq!(who(&right).unwrap(), "arn:aws:iam::123456789012:user/tester@$external");
    assert_eq!(who(&wrong).unwrap_err().code(), Some(18));
}

#[test]
fn keys_of_another_form_are_refused_before_anything_is_sent() {
    for (id, secret, token, what) in [
        ("AKIA\r\nx: y", "secret", "", "access key id with a carriage return in it"),
        ("AKIA/x", "secret", "", "access key id with the character '/' in it"),
        ("AKIA", "secret", "to ken", "session token with a blank in it"),
        ("AKIA", "secret", "to\r\nken", "session token with a carriage return in it"),
        ("AKIA", "secret\n", "", "secret access key that ends with a line feed"),
        ("\"AKIA\"", "secret", "", "access key id that ends with a double quotation mark"),
        ("AKIA", "secret", "\"token\"", "session token that ends with a double quotation mark"),
        ("AKIA", "secret", "token ", "session token that ends with a blank"),
        ("AKIA", "secret", "\ttoken", "session token that begins with a tab"),
        ("AKIA", "secret", "token\r\n", "session token that ends with a line feed"),
        ("AKIA", "secret", "token\u{200b}", "session token that ends with a character beyond ASCII"),
        ("AKIA", "secret\u{a0}", "", "secret access key that ends with a character beyond ASCII"),
        ("AKIA", "\u{feff}secret", "", "secret access key that begins with a character beyond ASCII"),
        ("AKIA", "\u{201c}secret\u{201d}", "", "secret access key that ends with a character beyond ASCII"),
        (" AKIA", "secret", "", "access key id that begins with a blank"),
    ] {
        let fake_server = fake_server(&AwsServer::judged_by(|_| None));
        let mut uri = uri(&fake_server, id, secret);
        if !token.is_empty() {
            uri += &format!("&authMechanismProperties=AWS_SESSION_TOKEN:{}", percent_encode(token));
        }
        let error = who(&uri).unwrap_err();
        assert!(error.message().contains(what), "{error}");
        assert_eq!((error.stage(), fake_server.connections()), (Stage::Options, 0), "{error}");
    }
}

/// One moto for all tests; it ends with the process.
fn moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    let moto = MOTO.get_or_init(|| Moto::start(Iam::Enforced)).as_ref();
    if moto.is_none() {
        peers::skip("there is no Python with moto");
    }
    moto
}

fn judged_by(moto: &Moto) -> AwsServer {
    AwsServer::judged_by_sts(moto.address())
}

fn fake_server(aws: &AwsServer) -> FakeServer {
    FakeServer::builder().mechanism("MONGODB-AWS", aws.start()).start()
}

fn uri(fake_server: &FakeServer, id: &str, secret: &str) -> String {
    let (id, secret) = (percent_encode(id), percent_encode(secret));
    format!("mongodb://{id}:{secret}@{}/?authMechanism=MONGODB-AWS", fake_server.address())
}

/// Who is logged in, by the server's own account.
fn who(uri: &str) -> Result<String> {
    who_is(&Client::with_uri_str(uri)?)
}

fn who_is(client: &Client) -> Result<String> {
    let status: Document = client.database("admin").run_command(doc! { "connectionStatus": 1 }).run()?;
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers"));
    let name = |user: &Document| format!("{}@{}", user.get_str("user").unwrap(), user.get_str("db").unwrap());
    Ok(users.unwrap().iter().map(|user| name(user.as_document().unwrap())).collect::<Vec<_>>().join(" "))
}

/// Runs the test of this name and module once more, in a process with these variables, and nothing else of AWS in its environment.
fn in_child(module: &str, test: &str, variables: &[(&str, &str)]) {
    let mut command = child::command(module, test);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") && name != "AWS_PEERS") {
        command.env_remove(name);
    }
    child::run(command.envs(variables.iter().copied()).env(CHILD, "1"));
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn refusal(outcome: Result<String>) -> Error {
    outcome.expect_err("a refusal")
}

const CHILD: &str = "MONGO_BLOCKING_AWS_CHILD";
