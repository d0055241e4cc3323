//! The metadata service of EC2, which gives keys only to who has a token of a session.

use mongo_blocking_test_server::http::{HttpStub, Reply, Seen, SendMode};

use super::*;

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// A metadata service as AWS documents it. `tamper` may answer first.
fn service(keys: &str, tamper: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> HttpStub {
    let keys = keys.to_owned();
    HttpStub::start(move |asked| {
        if let Some(reply) = tamper(asked) {
            return reply;
        }
        let has_token = asked.header("x-aws-ec2-metadata-token") == Some("session-token==");
        match (asked.method.as_str(), asked.target.as_str()) {
            ("PUT", "/latest/api/token") => match asked.header("x-aws-ec2-metadata-token-ttl-seconds") {
                Some("30") => Reply::ok("session-token=="),
                _ => Reply::status(400, "no lifetime"),
            },
            ("GET", _) if !has_token => Reply::status(401, "no session"),
            ("GET", ROLES) => Reply::ok("the-role\n"),
            ("GET", path) if path == format!("{ROLES}the-role") => Reply::ok(keys.clone()),
            _ => Reply::status(404, "no"),
        }
    })
}

fn keys(moto: &Moto) -> String {
    let [id, secret, token] = moto.temporary();
    format!(
        r#"{{"Code":"Success","LastUpdated":"x","Type":"AWS-HMAC","AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"{token}","Expiration":"{FAR}"}}"#
    )
}

fn instance(service: &HttpStub) -> Place {
    Place::new().set("AWS_EC2_METADATA_DISABLED", "false").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.url("/"))
}

#[test]
fn an_instance_logs_in() {
    let Some(moto) = moto() else { return };
    let service = service(&keys(moto), |_| None);
    assert_eq!(instance(&service).log_in(moto), STUB);
    let found = instance(&service).look();
    assert_eq!(
        (found.keys(), found.expires),
        (("EC2 metadata service", moto.temporary()[0].as_str()), Some(FAR_SECONDS))
    );
    assert_eq!(found.skipped.len(), 8, "{found:?}");
    let by_profile = Place::new()
        .set("AWS_EC2_METADATA_DISABLED", "")
        .config(&format!("[default]\nec2_metadata_service_endpoint={}\n", service.url("")));
    assert_eq!(by_profile.look().keys().0, "EC2 metadata service");
}

#[test]
fn a_disabled_metadata_service_is_not_asked() {
    let service = service("", |_| None);
    let outcome = instance(&service).set("AWS_EC2_METADATA_DISABLED", "True").look();
    assert!(outcome.error().contains("AWS_EC2_METADATA_DISABLED is true"), "{outcome:?}");
    assert!(service.seen().is_empty());
}

/// A version of the service that gives no tokens is not asked without one.
#[test]
fn without_a_session_nothing_is_asked() {
    for status in [403, 404, 405, 400, 500] {
        let service = service("", move |asked| (asked.method == "PUT").then(|| Reply::status(status, "")));
        let outcome = instance(&service).look();
        assert!(outcome.error().contains(&format!("status {status} when asked for a session")), "{outcome:?}");
        assert_eq!(service.seen().len(), 1);
    }
}

#[test]
fn not_on_an_instance_it_fails_within_two_seconds() {
    let silent = HttpStub::start(|_| Reply::ok("").sent(SendMode::Silent));
    let stalled = HttpStub::start(|_| Reply::ok("token").sent(SendMode::Stalled));
    let dripping = HttpStub::start(|_| Reply::ok("token").sent(SendMode::Dripping(Duration::from_millis(300))));
    let closed = mongo_blocking_test_server::peers::free_port();
    for url in [silent.url(""), stalled.url(""), dripping.url(""), format!("http://127.0.0.1:{closed}")] {
        let place = Place::new().set("AWS_EC2_METADATA_DISABLED", "false");
        let outcome = place.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url).look();
        assert!(outcome.took < Duration::from_secs(2), "{url}: {outcome:?}");
        assert!(outcome.error().contains("this is no EC2 instance"), "{url}: {outcome:?}");
        // A service that accepts the connection and stays silent may be there after all.
        let hop_limit = outcome.error().contains("HttpPutResponseHopLimit");
        assert_eq!(hop_limit, !url.ends_with(&closed.to_string()), "{url}: {outcome:?}");
        assert_eq!(outcome.skipped.len(), 9, "every source is listed: {outcome:?}");
    }
}

/// What accepts a connection is there, whatever it is.
#[test]
fn a_service_that_closes_is_not_told_as_missing() {
    for reads in [true, false] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                // What is left unread resets the connection.
                if reads {
                    let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                } else {
                    let _ = stream.peek(&mut [0]); // waits until there is something
                }
            }
        });
        let place = Place::new().set("AWS_EC2_METADATA_DISABLED", "false");
        let outcome = place.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url).look();
        assert!(outcome.error().contains("accepted the connection and closed it"), "{reads}: {outcome:?}");
        assert!(!outcome.error().contains("there is no metadata service"), "{reads}: {outcome:?}");
    }
}

#[test]
fn wrong_answers_are_reported() {
    let role = |reply: Reply| move |asked: &Seen| (asked.target == ROLES).then(|| reply.clone());
    let last = |reply: Reply| move |asked: &Seen| (asked.target.ends_with("the-role")).then(|| reply.clone());
    let token = |reply: Reply| move |asked: &Seen| (asked.method == "PUT").then(|| reply.clone());
    let cases: Vec<(HttpStub, &str)> = vec![
        (service("", role(Reply::status(404, ""))), "the instance has no role"),
        (service("", role(Reply::ok(""))), "a role's name that is empty"),
        (service("", role(Reply::ok("two\nroles"))), "a role's name that is empty or has characters"),
        (service("", role(Reply::status(302, "").header("Location", "/"))), "status 302 when asked for the role"),
        (service("", last(Reply::status(404, ""))), "status 404 when asked for keys"),
        (service("", last(Reply::ok(r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#))), "AssumeRoleUnauthorizedAccess"),
        (service("", last(Reply::ok("oops"))), "not JSON"),
        (service("", last(Reply::ok(r#"{"AccessKeyId":"A","SecretAccessKey":"B"}"#))), "without Token or Expiration"),
        (service("", token(Reply::ok("a\r\nb"))), "a token that is empty or has characters"),
        (service("", token(Reply::ok("x".repeat(5000)))), "longer than 4096 bytes"),
    ];
    for (service, what) in cases {
        let outcome = instance(&service).look();
        assert!(outcome.error().contains(what), "{what}: {outcome:?}");
    }
}

#[test]
fn invalid_settings_are_refused() {
    for (name, value, what) in [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://example.com", "without TLS"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254", "not a URL"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv5", "it can be ipv4 or ipv6"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "0", "from 1 to 60"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "soon", "from 1 to 60"),
    ] {
        let outcome = Place::new().set("AWS_EC2_METADATA_DISABLED", "false").set(name, value).look();
        assert!(outcome.error().contains(what), "{name}: {outcome:?}");
    }
}
