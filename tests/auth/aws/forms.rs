//! The forms of the guides, rows 12 to 14: as a connection string, and as options in code.

use std::process::Command;

use mongo_blocking::options::ClientOptions;
use mongo_blocking::{Client, WarningKind};
use mongo_blocking_test_server::fake_server::percent_encode;
use mongo_blocking_test_server::peers::{self, Moto};

use super::{fake_server, in_child, is_child, judged_by, moto, who, who_is};

const TESTER: &str = "arn:aws:iam::123456789012:user/tester@$external";
const ROLE: &str = "arn:aws:sts::123456789012:assumed-role/first/guide@$external";

#[test]
fn row_12_keys() {
    let Some(moto) = moto() else { return };
    let fake_server = fake_server(&judged_by(moto));
    let (id, secret) = (moto.access_key_id(), moto.secret_access_key());
    let uri = format!(
        "mongodb://{}:{}@{}/?&authMechanism=MONGODB-AWS",
        percent_encode(id),
        percent_encode(secret),
        fake_server.address()
    );
    assert_eq!(who(&uri).unwrap(), TESTER);
    let code = ClientOptions::builder()
        .host(fake_server.address())
        .username(id)
        .password(secret)
        .auth_mechanism("MONGODB-AWS")
        .build()
        .settings()
        .unwrap();
    assert!(code.warnings().iter().any(|warning| warning.kind() == WarningKind::Deprecated), "{:?}", code.warnings());
    assert_eq!(who_is(&Client::with_options(code).unwrap()).unwrap(), TESTER);
}

#[test]
fn row_13_temporary_keys() {
    let (Some(moto), Some((id, secret, token))) = (moto(), temporary_keys()) else { return };
    let aws = judged_by(moto);
    let fake_server = fake_server(&aws);
    let [encoded_id, encoded_secret, encoded_token] = [&id, &secret, &token].map(|text| percent_encode(text));
    let uri = format!(
        "mongodb://{encoded_id}:{encoded_secret}@{}/?authMechanismProperties=AWS_SESSION_TOKEN:{encoded_token}\
         &authMechanism=MONGODB-AWS",
        fake_server.address()
    );
    assert_eq!(who(&uri).unwrap(), ROLE);
    assert_eq!(aws.seen()[0].header("x-amz-security-token"), Some(token.as_str()));
    let code = ClientOptions::builder()
        .uri(format!("mongodb://@{}", fake_server.address()))
        .username(id.as_str())
        .password(secret.as_str())
        .auth_mechanism_property("AWS_SESSION_TOKEN", token.as_str())
        .auth_mechanism("MONGODB-AWS")
        .build()
        .settings()
        .unwrap();
    assert_eq!(who_is(&Client::with_options(code).unwrap()).unwrap(), ROLE);
}

/// As in AWS Lambda: keys of the environment, with and without a token, and taken verbatim.
#[test]
fn row_14_the_environment() {
    const UNDER_TEST: &str = "row_14_the_environment";
    if is_child() {
        let (uri, expected) = (std::env::var("TEST_URI").unwrap(), std::env::var("TEST_EXPECTED").unwrap());
        match expected.as_str() {
            "nothing" => {
                let error = who(&uri).unwrap_err();
                assert!(error.message().contains("no source has AWS keys"), "{error}");
            }
            user => assert_eq!(who(&uri).unwrap(), user),
        }
        return;
    }
    let (Some(moto), Some((id, secret, token))) = (moto(), temporary_keys()) else { return };
    let aws = judged_by(moto);
    let fake_server = fake_server(&aws);
    for uri in [
        format!("mongodb://{}/?&authMechanism=MONGODB-AWS", fake_server.address()),
        format!("mongodb://{}/?authSource=$external&authMechanism=MONGODB-AWS", fake_server.address()),
    ] {
        let common = [
            ("TEST_URI", uri.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", ""),
            ("AWS_CONFIG_FILE", ""),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let child = |own: &[(&str, &str)]| in_child(module_path!(), UNDER_TEST, &[&common[..], own].concat());
        child(&[
            ("TEST_EXPECTED", TESTER),
            ("AWS_ACCESS_KEY_ID", moto.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", moto.secret_access_key()),
        ]);
        child(&[
            ("TEST_EXPECTED", ROLE),
            ("AWS_ACCESS_KEY_ID", &id),
            ("AWS_SECRET_ACCESS_KEY", &secret),
            ("AWS_SESSION_TOKEN", &token),
        ]);
        child(&[("TEST_EXPECTED", "nothing")]);
    }
    assert_eq!(aws.seen()[1].header("x-amz-security-token"), Some(token.as_str()));
}

/// The example, as a newcomer runs it: with keys of the environment, and with keys from its own code.
#[test]
fn the_example_logs_in() {
    let Some(moto) = moto() else { return };
    let fake_server = fake_server(&judged_by(moto));
    let uri = format!("mongodb://{}/?authMechanism=MONGODB-AWS", fake_server.address());
    let example = |arguments: &[&str], id: &str, secret: &str| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["run", "--quiet", "--locked", "--example", "aws", "--", &uri]).args(arguments);
        command.env(id, moto.access_key_id()).env(secret, moto.secret_access_key());
        command
            .env("AWS_SHARED_CREDENTIALS_FILE", "")
            .env("AWS_CONFIG_FILE", "")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        peers::run(&mut command)
    };
    let found = example(&[], "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    assert_eq!(found[found.len() - 2], format!("keys {} from: environment", moto.access_key_id()));
    let provided = example(&["--vault"], "VAULT_KEY_ID", "VAULT_SECRET");
    for said in [found, provided] {
        assert!(said.last().unwrap().contains("user/tester"), "{said:?}");
    }
}

/// Keys of the role `first`, by boto3.
fn temporary_keys() -> Option<(String, String, String)> {
    const ASSUME: &str = "import boto3, sys\n\
        url, id, secret, role = sys.argv[1:]\n\
        sts = boto3.client('sts', endpoint_url=url, region_name='us-east-1', aws_access_key_id=id, aws_secret_access_key=secret)\n\
        keys = sts.assume_role(RoleArn=role, RoleSessionName='guide')['Credentials']\n\
        print(keys['AccessKeyId'], keys['SecretAccessKey'], keys['SessionToken'], sep='\\n')";
    let (moto, python) = (moto()?, peers::aws_python()?);
    let mut command = Command::new(python);
    command.args(["-c", ASSUME, moto.url(), moto.access_key_id(), moto.secret_access_key(), &Moto::role("first")]);
    let lines = peers::run(&mut command);
    let [id, secret, token] = lines.as_slice() else { panic!("{lines:?}") };
    Some((id.clone(), secret.clone(), token.clone()))
}
