//! The prose tests of the specification about kept keys, step by step, on a container's endpoint.
//!
//! One step differs, as this driver means it to: a login with kept keys that the server refuses is tried once more with fresh
//! ones, so "a `find` results in an error" is so only where the fresh keys are refused, too.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocument, RawDocumentBuf, doc};
use mongo_blocking_test_server::http::{HttpStub, Reply};

use super::super::*;
use crate::auth::authenticate;
use crate::auth::aws::{Aws, AwsState};
use crate::auth::sasl::Sasl;
use crate::auth::tests::localhost;
use crate::credential::{AwsCredential, EXTERNAL};
use crate::policy::SecurityPolicy;
use crate::system::TestSystem;
use crate::warning::WarningSink;

/// A process with a cache, the endpoint that it would fetch from, and a server that knows the keys which the endpoint gives.
struct Scene {
    system: Arc<TestSystem>,
    shared: AwsState,
    endpoint: HttpStub,
    /// How many keys the endpoint has given; they are `FETCHED1` and so on.
    given: Arc<AtomicUsize>,
}

impl Scene {
    fn new() -> Scene {
        let given = Arc::new(AtomicUsize::new(0));
        let count = given.clone();
        let endpoint = HttpStub::start(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::ok(format!(
                r#"{{"AccessKeyId": "FETCHED{number}", "SecretAccessKey": "s", "Token": "t", "Expiration": "{EXPIRATION}"}}"#
            ))
        });
        let system = Arc::new(TestSystem::at(NOW));
        let shared = AwsState {
            found: Arc::default(),
            ..AwsState::new(system.clone(), SecurityPolicy::default(), WarningSink::default())
        };
        let scene = Scene { system, shared, endpoint, given };
        scene.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &scene.endpoint.url("/keys"));
        scene
    }

    fn set(&self, name: &str, value: &str) {
        self.system.set_variable(name, value);
    }

    fn set_keys(&self, id: &str) {
        self.set("AWS_ACCESS_KEY_ID", id);
        self.set("AWS_SECRET_ACCESS_KEY", "s");
    }

    fn unset_keys(&self) {
        self.system.keep_variables("AWS_CONTAINER");
    }

    fn clear(&self) {
        self.shared.found.lock().clear();
    }

    /// The id of the kept key, and when it expires.
    fn kept(&self) -> Option<(String, SystemTime)> {
        let entries = self.shared.found.lock();
        let held = entries.get(&Key::of(&*self.system))?.held.clone()?;
        Some((held.keys.access_key_id.clone(), held.keys.expires?))
    }

    fn put(&self, id: &str, expires: SystemTime) {
        let keys = AwsKeys::new(id, "s").expires(expires);
        let held = Some(Arc::new(CachedKeys { keys, source: AwsSource::Container, kept: true }));
        let entry = Entry { held, ..Entry::default() };
        self.shared.found.lock().insert(Key::of(&*self.system), entry);
    }

    /// A new client's first command: a login, at a server that knows these ids by their beginning.
    fn find(&self, known: &str) -> Result<String> {
        let aws = Aws::new(&AwsCredential { keys: None, provider: None }, &self.shared, &localhost()).unwrap();
        let mut last = String::new();
        authenticate(Box::new(Sasl::new(aws, EXTERNAL)), None, &mut |_, command| {
            let payload = payload(command);
            let reply = match payload.get_str("a") {
                Err(_) => first_reply(&payload),
                Ok(authorization) => {
                    let id = authorization.split(['=', '/']).nth(1).unwrap();
                    last = id.to_owned();
                    verdict(id.starts_with(known))
                }
            };
            Ok(RawDocumentBuf::try_from(&reply).unwrap())
        })?;
        Ok(last)
    }
}

#[test]
fn kept_keys() {
    let scene = Scene::new();
    // 1 to 3: a find adds keys to the cache.
    scene.clear();
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED1");
    assert_eq!(scene.kept().unwrap().0, "FETCHED1");
    // 4 to 6: within one minute of their expiry they are replaced.
    scene.put("FETCHED1", scene.system.now() + Duration::from_secs(60));
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED2");
    let (id, expires) = scene.kept().unwrap();
    assert_eq!((id.as_str(), expires > scene.system.now() + HOUR), ("FETCHED2", true));
    // 7 to 9: kept keys that are not valid, and fresh ones that are not either.
    scene.put("POISON", scene.system.now() + HOUR);
    let error = scene.find("SOMEBODY").unwrap_err();
    assert_eq!(error.code(), Some(18), "{error}");
    assert!(error.message().contains("FETCHED3"), "{error}");
    // 10 to 12: the cache is empty, and the next find fills it.
    assert!(scene.kept().is_none());
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED4");
    assert_eq!(scene.kept().unwrap().0, "FETCHED4");
    // Ours: where fresh keys are good, nobody notices.
    scene.put("POISON", scene.system.now() + HOUR);
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED5");
    assert_eq!(scene.kept().unwrap().0, "FETCHED5");
}

#[test]
fn kept_keys_and_an_environment_that_changes() {
    let scene = Scene::new();
    // 1 to 3.
    scene.clear();
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED1");
    // 4 to 7: keys of the environment log in, and are not kept.
    scene.set_keys("FETCHEDBEFORE");
    scene.clear();
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHEDBEFORE");
    assert!(scene.kept().is_none());
    // 8 to 10: they are read anew each time.
    scene.set_keys("INVALID");
    let error = scene.find("FETCHED").unwrap_err();
    assert!(error.message().contains("INVALID") && error.message().contains("environment"), "{error}");
    assert_eq!(scene.given.load(Ordering::SeqCst), 1);
    // 11 to 14.
    scene.unset_keys();
    scene.clear();
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED2");
    assert_eq!(scene.kept().unwrap().0, "FETCHED2");
    // 15 to 17: what is kept wins over an environment that changes later, also when it is time to refresh.
    scene.set_keys("INVALID");
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED2");
    scene.put("FETCHED2", scene.system.now() + Duration::from_secs(60));
    assert_eq!(scene.find("FETCHED").unwrap(), "FETCHED3");
    // After a failure the environment is looked at again.
    assert!(scene.find("SOMEBODY").is_err());
    assert!(scene.find("INVALID").is_ok());
}

fn payload(command: &RawDocument) -> Document {
    Document::from_reader(command.get_binary("payload").unwrap().bytes).unwrap()
}

fn first_reply(payload: &Document) -> Document {
    let nonce = [payload.get_binary_generic("r").unwrap().as_slice(), &[9; 32]].concat();
    let first = doc! { "s": binary(nonce), "h": "sts.amazonaws.com" };
    doc! { "conversationId": 1, "done": false, "payload": binary(first.to_vec().unwrap()), "ok": 1 }
}

fn verdict(good: bool) -> Document {
    if good {
        doc! { "conversationId": 1, "done": true, "payload": STANDARD.encode(""), "ok": 1 }
    } else {
        doc! { "ok": 0, "errmsg": "Authentication failed.", "code": 18, "codeName": "AuthenticationFailed" }
    }
}

fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

const HOUR: Duration = Duration::from_secs(3600);

/// 2015-08-30T12:36:00Z, and six hours later.
const NOW: u64 = 1_440_938_160;
const EXPIRATION: &str = "2015-08-30T18:36:00Z";
