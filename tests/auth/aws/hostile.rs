//! Servers that break the rules of MONGODB-AWS: each is told what it did, gets no signature for it, and logs nobody in.

use mongo_blocking::bson::{Bson, doc};
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking_test_server::aws::{AwsServer, AwsTamper};

use super::{fake_server, refusal, uri, who};

#[test]
fn a_first_message_that_breaks_the_rules_gets_no_signature() {
    let host = |text: &str| AwsTamper::Host(text.into());
    for (tamper, what) in [
        (AwsTamper::ForeignNonce, "the server changed our nonce"),
        (AwsTamper::NonceOf(0), "not 64 bytes"),
        (AwsTamper::NonceOf(31), "not 64 bytes"),
        (AwsTamper::NonceOf(32), "not 64 bytes"),
        (AwsTamper::NonceOf(63), "not 64 bytes"),
        (AwsTamper::NonceOf(65), "not 64 bytes"),
        (AwsTamper::NonceOf(60_000), "not 64 bytes"),
        (AwsTamper::NonceAsText, "nonce is not binary"),
        (AwsTamper::NonceOfUser, "nonce is not binary"),
        (AwsTamper::NonceTwice, "a field twice"),
        (AwsTamper::ExtraField, "a field that does not belong there"),
        (AwsTamper::First(doc! { "s": "…" }), "named no STS host"),
        (AwsTamper::First(doc! { "h": "…" }), "sent no nonce"),
        (AwsTamper::First(doc! {}), "sent no nonce"),
        (AwsTamper::Raw(Vec::new()), "not valid BSON"),
        (AwsTamper::Raw(vec![0xff; 100]), "not valid BSON"),
        (AwsTamper::Raw(b"\x10\0\0\0\x02h\0\xff\xff\xff\x7fx\0\0\0".to_vec()), "not valid BSON"),
        (host(""), "empty STS host"),
        (host(&"a".repeat(256)), "more than 255"),
        (host("sts..com"), "empty label"),
        (host(".amazonaws.com"), "empty label"),
        (host("sts.amazonaws."), "empty label"),
        (host("sts.amazonaws.com\r\nx-amz-security-token: x"), "characters that no host name has"),
        (host("sts.amazonaws.com\nx"), "characters that no host name has"),
        (host("sts.amazonaws.com/x"), "characters that no host name has"),
        (host("sts\u{0}.amazonaws.com"), "characters that no host name has"),
        (AwsTamper::Host(Bson::Int32(7)), "STS host is not a string"),
        (AwsTamper::DoneEarly, "done before the conversation is over"),
    ] {
        let aws = AwsServer::judged_by(|_| Some("arn:aws:iam::1:user/anyone".to_owned())).tamper(tamper.clone());
        let fake_server = fake_server(&aws);
        let error = refusal(who(&uri(&fake_server, "AKIDEXAMPLE", "hunter2")));
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{tamper:?}: {error}");
        assert!(error.message().contains(what), "{tamper:?}: {error}");
        let Stage::Authentication { mechanism: "MONGODB-AWS", step } = error.stage() else { panic!("{error}") };
        assert_eq!(step, "server nonce and STS host", "{tamper:?}");
        assert!(fake_server.commands_named("saslContinue").is_empty(), "{tamper:?}: something was signed");
        assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_login_without_a_final_reply_fails() {
    let aws = AwsServer::judged_by(|_| Some("arn:aws:iam::1:user/anyone".to_owned())).tamper(AwsTamper::NeverDone);
    let fake_server = fake_server(&aws);
    let error = refusal(who(&uri(&fake_server, "AKIDEXAMPLE", "hunter2")));
    assert!(error.message().contains("not done after the last message"), "{error}");
    assert_eq!(fake_server.commands_named("saslContinue").len(), 1);
}

#[test]
fn a_server_without_the_mechanism_is_named_as_such() {
    use mongo_blocking_test_server::fake_server::{FakeServer, SaslError, SaslReply, SaslServer};

    struct Lacks;
    impl SaslServer for Lacks {
        fn step(&mut self, _payload: &[u8]) -> Result<SaslReply, SaslError> {
            Err(SaslError { code: 334, message: "Unsupported mechanism MONGODB-AWS".to_owned() })
        }
    }
    let fake_server = FakeServer::builder().mechanism("MONGODB-AWS", |_| Box::new(Lacks)).start();
    let error = refusal(who(&uri(&fake_server, "AKIDEXAMPLE", "hunter2")));
    assert_eq!(error.code(), Some(334));
    assert!(error.hint().unwrap().contains("needs MongoDB Atlas"), "{error}");
}
