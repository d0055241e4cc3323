//! Endpoints of containers: ECS, EKS Pod Identity.

use mongo_blocking_test_server::http::{HttpStub, Reply};

use super::*;

const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";

/// Keys for the path `/v2/creds?id=1` and the header that is expected.
fn endpoint(moto: &Moto, authorization: Option<&'static str>) -> HttpStub {
    let [id, secret, token] = moto.temporary().clone();
    HttpStub::start(move |asked| {
        let right = asked.method == "GET"
            && asked.target == "/v2/creds?id=1"
            && asked.header("accept") == Some("application/json")
            && asked.header("authorization") == authorization;
        match right {
            true => Reply::ok(format!(
                r#"{{"RoleArn":"r","AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"{token}","Expiration":"{FAR}"}}"#
            )),
            false => Reply::status(401, "no"),
        }
    })
}

#[test]
fn an_endpoint_logs_in() {
    let Some(moto) = moto() else { return };
    let ecs = endpoint(moto, None);
    let place = Place::new().set(FULL, &ecs.url("/v2/creds?id=1"));
    assert_eq!(place.log_in(moto), STUB);
    let found = place.look();
    assert_eq!(
        (found.keys(), found.expires),
        (("container endpoint", moto.temporary()[0].as_str()), Some(FAR_SECONDS))
    );
}

/// The token is taken as it is; the file wins over the variable, and is read each time.
#[test]
fn eks_pod_identity_logs_in() {
    let Some(moto) = moto() else { return };
    let eks = endpoint(moto, Some("the token"));
    let url = eks.url("/v2/creds?id=1");
    let by_variable = Place::new().set(FULL, &url).set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the token");
    assert_eq!(by_variable.log_in(moto), STUB);
    let place = by_variable.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another").file("token", "the token");
    let file = place.path("token");
    let by_file = place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file);
    assert_eq!(by_file.log_in(moto), STUB);
    let refused = by_file.file("token", "hunter2").look();
    assert!(
        refused.error().contains("status 401") && refused.error().contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    );
    assert!(!refused.error().contains("hunter2"), "{refused:?}");
}

#[test]
fn tokens_with_invalid_header_characters_are_never_sent() {
    let stub = HttpStub::start(|_| Reply::status(500, ""));
    let at_stub = |token: &str| Place::new().set(FULL, &stub.url("/")).set("AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
    for token in ["hunter2\r\nx: y", "hunter2\n", "hunter2\r"] {
        let outcome = at_stub(token).look();
        assert!(outcome.error().contains("line break") && !outcome.error().contains("hunter2"), "{outcome:?}");
    }
    assert!(at_stub("é").look().error().contains("characters that are not allowed in a header"));
    for (token, words) in [
        (" hunter2", "begins with a blank"),
        ("hunter2\t", "ends with a tab"),
        ("\"hunter2\"", "ends with a double quotation mark"),
    ] {
        let by_variable = at_stub(token).look();
        assert!(by_variable.error().contains(&format!("the token of AWS_CONTAINER_AUTHORIZATION_TOKEN {words}")));
        let place = at_stub("x").file("token", token);
        let file = place.path("token");
        let by_file = place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file).look();
        assert!(by_file.error().contains(&format!("the token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE {words}")));
        assert!(!by_variable.error().contains("hunter2") && !by_file.error().contains("hunter2"), "{by_file:?}");
    }
    let place = at_stub("x").file("token", "hunter2\n");
    let file = place.path("token");
    let outcome = place.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file).look();
    assert!(outcome.error().contains("line break") && !outcome.error().contains("hunter2"), "{outcome:?}");
    let gone = at_stub("x").set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/no/where").look();
    assert!(gone.error().contains("there is no file"), "{gone:?}");
    assert!(stub.seen().is_empty());
}

#[test]
fn without_tls_only_local_hosts_are_asked() {
    for url in ["http://example.com/", "http://169.254.169.254/", "http://localhost.example.com/", "http://10.0.0.1/x"]
    {
        let outcome = Place::new().set(FULL, url).look();
        assert!(outcome.error().contains("without TLS"), "{url}: {outcome:?}");
        assert!(outcome.took < Duration::from_secs(5), "{outcome:?}");
    }
    for (url, what) in [("not a url", "is not a URL"), ("ftp://localhost/", "neither")] {
        let outcome = Place::new().set(FULL, url).look();
        assert!(outcome.error().contains(what), "{url}: {outcome:?}");
    }
}

/// The relative one goes to 169.254.170.2, which no test has; that it is asked at all shows that it wins.
#[test]
fn the_relative_path_wins_over_the_full_address() {
    let stub = HttpStub::start(|_| Reply::status(200, "{}"));
    let outcome = Place::new().set(FULL, &stub.url("/")).set(RELATIVE, "/v2/x").set("TEST_WITHIN", "2").look();
    assert!(outcome.error().contains("container endpoint"), "{outcome:?}");
    assert!(outcome.error().contains("169.254.170.2"), "{outcome:?}");
    assert!(stub.seen().is_empty());
}

/// Whatever an endpoint does wrong, the machine below, whose keys are somebody else's, is not asked.
#[test]
fn an_endpoint_that_fails_never_falls_through() {
    let ec2 = HttpStub::start(|_| Reply::ok("keys"));
    for (reply, what) in [
        (Reply::status(404, ""), "status 404"),
        (Reply::status(302, "").header("Location", "http://127.0.0.1:1/"), "redirects are not followed"),
        (Reply::ok("{}"), "no AccessKeyId"),
        (Reply::ok("<html>"), "not JSON"),
    ] {
        let stub = HttpStub::start(move |_| reply.clone());
        let place = Place::new().set(FULL, &stub.url("/")).set("AWS_EC2_METADATA_DISABLED", "false");
        let outcome = place.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &ec2.url("")).look();
        assert!(outcome.error().contains(what), "{outcome:?}");
        assert_eq!(stub.seen().len(), 1, "{outcome:?}");
    }
    assert!(ec2.seen().is_empty());
}

#[test]
fn a_busy_endpoint_is_asked_again() {
    let Some(moto) = moto() else { return };
    let [id, secret, token] = moto.temporary().clone();
    let count = std::sync::atomic::AtomicU32::new(0);
    let stub = HttpStub::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::status(429, ""),
        1 => Reply::status(503, ""),
        _ => Reply::ok(format!(
            r#"{{"AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"{token}","Expiration":"{FAR}"}}"#
        )),
    });
    assert_eq!(Place::new().set(FULL, &stub.url("/")).log_in(moto), STUB);
    assert_eq!(stub.seen().len(), 3);
}
