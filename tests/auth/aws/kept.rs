//! Keys that were fetched are kept for all clients of the process. The rules one by one are tested beside their code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mongo_blocking::Client;
use mongo_blocking_test_server::aws::AwsServer;
use mongo_blocking_test_server::http::{HttpStub, Reply};

use super::{fake_server, in_child, is_child, who_is};

/// What a test process does, with keys from a container's endpoint: 32 threads with four clients, then one more client.
#[test]
fn one_fetch_serves_all_clients_and_a_refusal_causes_one_more() {
    const UNDER_TEST: &str = "one_fetch_serves_all_clients_and_a_refusal_causes_one_more";
    if is_child() {
        let uri = std::env::var("TEST_URI").unwrap();
        let clients: Vec<Client> = (0..4).map(|_| Client::with_uri_str(&uri).unwrap()).collect();
        thread::scope(|scope| {
            for client in (0..32).map(|number| &clients[number % 4]) {
                scope.spawn(|| assert_eq!(who_is(client).unwrap(), "FETCHED1@$external"));
            }
        });
        let revoked = std::env::var("TEST_REVOKED").unwrap();
        let later = Client::with_uri_str(&revoked).unwrap();
        assert_eq!(who_is(&later).unwrap(), "FETCHED2@$external");
        assert_eq!(who_is(&later).unwrap(), "FETCHED2@$external");
        return;
    }
    let fetched = AtomicUsize::new(0);
    let endpoint = HttpStub::start(move |_| {
        let number = fetched.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::ok(format!(
            r#"{{"AccessKeyId": "FETCHED{number}", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}}"#
        ))
    });
    let knows_all = AwsServer::judged_by(|signed| Some(signed.access_key_id.clone()));
    let knows_second =
        AwsServer::judged_by(|signed| (signed.access_key_id == "FETCHED2").then(|| signed.access_key_id.clone()));
    let (one, other) = (fake_server(&knows_all), fake_server(&knows_second));
    let uri = |address: String| format!("mongodb://{address}/?authMechanism=MONGODB-AWS");
    in_child(
        module_path!(),
        UNDER_TEST,
        &[
            ("TEST_URI", &uri(one.address())),
            ("TEST_REVOKED", &uri(other.address())),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoint.url("/keys")),
            ("AWS_SHARED_CREDENTIALS_FILE", ""),
            ("AWS_CONFIG_FILE", ""),
        ],
    );
    assert_eq!(endpoint.seen().len(), 2);
    assert_eq!(knows_second.seen().len(), 2);
}
