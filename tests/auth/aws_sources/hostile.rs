//! Services that stall, drip, redirect, break off, or send without end: an error that says so, in bounded time and memory.

use mongo_blocking_test_server::http::{HttpStub, Reply, SendMode};

use super::*;

/// Every source that asks over HTTP, with its service at this address.
fn places(url: &str) -> Vec<(&'static str, Place)> {
    let web = Place::new().file("token", "hunter2");
    let token = web.path("token");
    let sso = "[default]\nsso_start_url=u\nsso_region=eu-west-1\nsso_account_id=1\nsso_role_name=r\n";
    let login = r#"{"accessToken":"hunter2","expiresAt":"2099-01-01T00:00:00Z"}"#;
    let role = "[default]\nrole_arn=r\nsource_profile=default\naws_access_key_id=A\naws_secret_access_key=hunter2\n";
    vec![
        ("AssumeRole by a profile", Place::new().config(role).set("AWS_ENDPOINT_URL_STS", url)),
        (
            "web identity",
            web.set("AWS_WEB_IDENTITY_TOKEN_FILE", &token).set("AWS_ROLE_ARN", "r").set("AWS_ENDPOINT_URL_STS", url),
        ),
        (
            "IAM Identity Center",
            Place::new()
                .config(sso)
                // The SHA-1 of `u`.
                .file(".aws/sso/cache/51e69892ab49df85c6230ccc57f8e1d1606caccc.json", login)
                .set("AWS_ENDPOINT_URL_SSO", url),
        ),
        (
            "container endpoint",
            Place::new()
                .set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
                .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2"),
        ),
        (
            "EC2 metadata service",
            Place::new().set("AWS_EC2_METADATA_DISABLED", "false").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url),
        ),
    ]
}

#[test]
fn every_source_survives_a_misbehaving_service() {
    let million = "x".repeat(1_000_000);
    for (reply, most, what) in [
        (Reply::ok("").sent(SendMode::Silent), 5, "no whole answer within"),
        (Reply::ok("{}").sent(SendMode::Stalled), 5, "no whole answer within"),
        (Reply::ok("{}").sent(SendMode::Dripping(Duration::from_millis(250))), 5, "no whole answer within"),
        (Reply::ok("{}").sent(SendMode::CutOff), 5, "before the answer was whole"),
        (Reply::ok(million.clone()).sent(SendMode::Endless(100_000_000)), 5, "longer than"),
        (Reply::ok(million), 5, "longer than"),
        (Reply::status(302, "").header("Location", "http://127.0.0.1:1/"), 5, "status 302"),
        (Reply::status(404, "hunter2"), 5, "status 404"),
        (Reply::status(500, "hunter2"), 5, "status 500"),
    ] {
        let stub = HttpStub::start(move |_| reply.clone());
        let url = stub.url("/");
        let threads: Vec<_> = places(&url)
            .into_iter()
            .map(|(source, place)| std::thread::spawn(move || (source, place.set("TEST_WITHIN", "2").look())))
            .collect();
        for thread in threads {
            let (source, outcome) = thread.join().expect("an outcome");
            assert!(outcome.error().contains(what), "{source}: {outcome:?}");
            assert!(outcome.error().contains(source), "{source}: {outcome:?}");
            assert!(!outcome.error().contains("hunter2"), "{source}: {outcome:?}");
            assert!(outcome.took < Duration::from_secs(most), "{source}: {outcome:?}");
            assert!(outcome.memory < 64 * 1024, "{source}: {outcome:?}");
        }
    }
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let closed = peers::free_port();
    for (source, place) in places(&format!("http://127.0.0.1:{closed}/")) {
        let outcome = place.look();
        assert!(outcome.error().contains(source) && outcome.error().contains("127.0.0.1"), "{outcome:?}");
        assert!(outcome.took < Duration::from_secs(5), "{outcome:?}");
    }
}

#[test]
fn invalid_endpoints_and_regions_are_refused_before_any_request() {
    for (name, value, what) in [
        ("AWS_ENDPOINT_URL_STS", "http://sts.example.com", "without TLS"),
        ("AWS_ENDPOINT_URL_STS", "sts.example.com", "not a URL"),
        ("AWS_ENDPOINT_URL", "https://user:pw@example.com", "user name"),
        ("AWS_ENDPOINT_URL", "https://example.com/?x=1", "query"),
        ("AWS_REGION", "evil.com/", "not the name of a region"),
        ("AWS_REGION", "us east", "not the name of a region"),
        ("AWS_DEFAULT_REGION", "-x", "not the name of a region"),
    ] {
        let (_, place) = places("http://127.0.0.1:1/").remove(0);
        let place = place.set("AWS_ENDPOINT_URL_STS", "").set(name, value);
        let outcome = place.look();
        assert!(outcome.error().contains(what), "{name}={value}: {outcome:?}");
        assert!(outcome.took < Duration::from_secs(5), "{outcome:?}");
    }
    let (_, place) = places("").remove(0);
    let outcome = place.set("AWS_REGION", "eu-west-1").set("AWS_STS_REGIONAL_ENDPOINTS", "global").look();
    assert!(outcome.error().contains("regional or legacy"), "{outcome:?}");
}
