//! The machine by itself: its bytes, botocore's opinion of them, and what it makes of kept keys.

use std::process::Command;

use bson::{Document, doc};
use mongo_blocking_test_server::peers::{self, Scratch};

use super::*;
use crate::auth::tests::noise::Noise;
use crate::auth::tests::{context, localhost};
use crate::hex::hex;
use crate::system::TestSystem;

/// A machine with these keys in this system.
pub(in crate::auth) fn machine(keys: AwsKeys, system: TestSystem) -> Aws {
    let mut aws = Aws::new(&AwsCredential { keys: Some(keys), provider: None }, &context().aws, &localhost()).unwrap();
    aws.shared.system = Arc::new(system);
    aws
}

fn first(nonce: &[u8], host: &str) -> Vec<u8> {
    let nonce = bson::Binary { subtype: BinarySubtype::Generic, bytes: nonce.to_vec() };
    doc! { "s": nonce, "h": host }.to_vec().unwrap()
}

fn answer(machine: &mut Aws, challenge: &[u8]) -> Document {
    let SaslStep::Payload(payload) = machine.step(challenge).unwrap() else { panic!("it is not over") };
    Document::from_reader(&payload[..]).unwrap()
}

#[test]
fn the_messages_have_the_form_of_the_specification() {
    let mut aws = machine(AwsKeys::new("AKIDEXAMPLE", "secret").session_token("token"), TestSystem::at(1_440_938_160));
    let start = Document::from_reader(&aws.start().unwrap()[..]).unwrap();
    assert_eq!(start.get_binary_generic("r").unwrap(), &vec![7; 32]);
    assert_eq!((start.get_i32("p").unwrap(), start.len()), (110, 2));
    let message = answer(&mut aws, &first(&[7; 64], "sts.us-west-2.amazonaws.com"));
    assert_eq!(message.keys().collect::<Vec<_>>(), ["a", "d", "t"]);
    assert_eq!((message.get_str("d").unwrap(), message.get_str("t").unwrap()), ("20150830T123600Z", "token"));
    let authorization = message.get_str("a").unwrap();
    assert!(
        authorization.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-west-2/sts/aws4_request, \
             SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;x-mongodb-gs2-cb-flag;\
             x-mongodb-server-nonce, Signature="
        ),
        "{authorization}"
    );
    assert!(matches!(aws.step(b""), Ok(SaslStep::Finished)));
    assert!(aws.step(b"").unwrap_err().message().contains("over"));
    assert!(aws.start().unwrap_err().message().contains("started before"));
}

#[test]
fn a_dead_machine_stays_dead() {
    let mut aws = machine(AwsKeys::new("AKIDEXAMPLE", "secret"), TestSystem::at(0));
    aws.start().unwrap();
    aws.step(&first(&[8; 64], "sts.amazonaws.com")).unwrap_err();
    for _ in 0..3 {
        assert!(aws.step(&first(&[7; 64], "sts.amazonaws.com")).unwrap_err().message().contains("over"));
    }
}

/// Whatever arrives nothing panics, and what is signed fits our nonce and names a host.
#[test]
fn spoiled_first_messages_get_no_signature() {
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let good = RawDocumentBuf::from_bytes(first(&[7; 64], "sts.us-west-2.amazonaws.com")).unwrap();
    let mut signed = 0;
    for _ in 0..3000 {
        let spoiled = noise.spoil_document(&good);
        let mut aws = machine(AwsKeys::new("AKIDEXAMPLE", "secret"), TestSystem::at(0));
        aws.start().unwrap();
        if aws.step(spoiled.as_bytes()).is_ok() {
            let nonce = spoiled.get_binary("s").unwrap().bytes;
            assert!(nonce.len() == 64 && nonce.starts_with(&[7; 32]), "{spoiled:?}");
            let host = spoiled.get_str("h").unwrap();
            assert!(host.bytes().all(|byte| byte.is_ascii_graphic()) && !host.contains([':', '/']), "{host:?}");
            signed += 1;
        }
    }
    assert!(signed > 100, "{signed}: the noise does not reach the checks");
}

/// At least 50 logins, signed by botocore, too: the same bytes.
#[test]
fn botocore_signs_the_same_bytes() {
    let Some(python) = peers::aws_python() else { return };
    let cases: Vec<Case> = (0..CASES).map(Case::number).collect();
    let folder = Scratch::new("botocore");
    let file = folder.path().join("cases.json");
    let lines: Vec<_> = cases.iter().map(|case| case.as_json().to_string()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let theirs = peers::run(Command::new(python).arg(peers::script("botocore_sign.py")).arg(&file));
    assert_eq!(theirs.len(), CASES);
    for (case, theirs) in cases.iter().zip(&theirs) {
        let mut aws = machine(case.keys.clone(), TestSystem::at(case.seconds));
        aws.start().unwrap();
        let ours = answer(&mut aws, &first(&case.nonce, case.host));
        assert_eq!(&format!("{} {}", ours.get_str("d").unwrap(), ours.get_str("a").unwrap()), theirs, "{case:?}");
    }
    let regions =
        cases.iter().filter(|case| theirs.iter().any(|line| line.contains(&format!("/{}/sts/", case.region()))));
    assert_eq!(regions.count(), CASES);
    let with_token = cases.iter().filter(|case| case.keys.session_token.is_some()).count();
    assert!(with_token >= 20 && CASES - with_token >= 20);
}

#[derive(Debug)]
struct Case {
    keys: AwsKeys,
    host: &'static str,
    seconds: u64,
    nonce: Vec<u8>,
}

impl Case {
    /// The same cases each time, and no two alike.
    fn number(number: usize) -> Case {
        use sha2::{Digest, Sha256};
        let noise = |what: &str| Sha256::digest(format!("{what} {number}").as_bytes()).to_vec();
        let text = |what: &str| STANDARD.encode(noise(what)); // with `/` and `+`, as secrets and tokens have them
        let mut keys = AwsKeys::new(format!("AKIA{}", &hex(&noise("id"))[..16].to_uppercase()), text("secret"));
        if number.is_multiple_of(2) {
            keys = keys.session_token(text("token").repeat(1 + number % 30));
        }
        let seconds = u32::from_le_bytes(noise("time")[..4].try_into().unwrap());
        let nonce = [vec![7; 32], noise("nonce")].concat();
        Case { keys, host: HOSTS[number % HOSTS.len()], seconds: seconds.into(), nonce }
    }

    fn region(&self) -> &str {
        region::region(self.host).unwrap()
    }

    fn as_json(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.keys.access_key_id,
            "secret": self.keys.secret_access_key.expose(),
            "token": self.keys.session_token.as_ref().map(|token| token.expose()),
            "host": self.host,
            "region": self.region(),
            "seconds": self.seconds,
            "nonce": STANDARD.encode(&self.nonce),
        })
    }
}

const CASES: usize = 63;

const HOSTS: &[&str] = &[
    "sts.amazonaws.com",
    "sts.us-west-2.amazonaws.com",
    "sts.eu-central-1.amazonaws.com",
    "sts.cn-northwest-1.amazonaws.com.cn",
    "sts.us-gov-west-1.amazonaws.com",
    "STS.AP-SOUTHEAST-2.amazonaws.com",
    "localhost",
    "example.com",
    "vpce-0123456789abcdef0-a_b.sts.eu-west-1.vpce.amazonaws.com",
];
