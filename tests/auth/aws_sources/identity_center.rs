//! IAM Identity Center: the token that `aws sso login` left in a file.

use mongo_blocking_test_server::http::{HttpStub, Reply};

use super::*;

/// The SHA-1 of `corp` and of `https://corp.awsapps.com/start`, as sha1sum has them.
const OF_SESSION: &str = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const OF_URL: &str = ".aws/sso/cache/a51746d4aa793ae07b25e90c3a5db96fc7832bd7.json";

const ROLE: &str = "sso_account_id = 123456789012\nsso_role_name = Role One\n";
const START: &str = "sso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n";

fn portal(moto: &Moto) -> HttpStub {
    let [id, secret, token] = moto.temporary().clone();
    HttpStub::start(move |asked| {
        let right = asked.method == "GET"
            && asked.target == "/federation/credentials?role_name=Role%20One&account_id=123456789012"
            && asked.header("x-amz-sso_bearer_token") == Some("sso-token");
        match right {
            true => Reply::ok(format!(
                r#"{{"roleCredentials":{{"accessKeyId":"{id}","secretAccessKey":"{secret}","sessionToken":"{token}","expiration":{FAR_SECONDS}000}}}}"#
            )),
            false => Reply::status(401, r#"{"message":"Session token not found or invalid"}"#),
        }
    })
}

fn login(expires: &str) -> String {
    format!(r#"{{"startUrl": "x", "region": "eu-west-1", "accessToken": "sso-token", "expiresAt": "{expires}"}}"#)
}

fn by_session(portal: &HttpStub) -> Place {
    let config = format!("[default]\nsso_session = corp\n{ROLE}[sso-session corp]\n{START}");
    Place::new().config(&config).set("AWS_ENDPOINT_URL_SSO", &portal.url(""))
}

fn by_url(portal: &HttpStub) -> Place {
    Place::new().config(&format!("[default]\n{START}{ROLE}")).set("AWS_ENDPOINT_URL", &portal.url("/"))
}

#[test]
fn a_login_by_session_or_by_url_logs_in() {
    let Some(moto) = moto() else { return };
    let portal = portal(moto);
    for place in [
        by_session(&portal).file(OF_SESSION, &login(FAR)),
        by_url(&portal).file(OF_URL, &login(FAR)),
        by_url(&portal).file(OF_URL, &login("2099-01-01T00:00:00UTC")),
    ] {
        assert_eq!(place.log_in(moto), STUB);
        let found = place.look();
        let expected = ("IAM Identity Center", moto.temporary()[0].as_str());
        assert_eq!((found.keys(), found.expires), (expected, Some(FAR_SECONDS)));
    }
}

/// Never a browser: where there is no valid token the error names the command that gets one.
#[test]
fn without_a_valid_token_the_remedy_is_named() {
    let Some(moto) = moto() else { return };
    let portal = portal(moto);
    for (place, what) in [
        (by_session(&portal).file(OF_URL, &login(FAR)), "there is no file"),
        (by_url(&portal), "there is no file"),
        (by_url(&portal).file(OF_URL, &login("2020-01-01T00:00:00Z")), "the login has expired"),
        (by_url(&portal).file(OF_URL, &login("soon")), "a date of expiry that is not valid"),
        (by_url(&portal).file(OF_URL, "{}"), "no accessToken"),
        (by_url(&portal).file(OF_URL, "hunter2"), "not JSON"),
        (
            by_url(&portal).file(OF_URL, &login(FAR).replace("sso-token", "sso\\r\\nx")),
            "characters that are not allowed in one",
        ),
        (by_url(&portal).file(OF_URL, &login(FAR).replace("sso-token", "other")), "not found or invalid"),
    ] {
        let outcome = place.look();
        assert!(outcome.error().contains(what), "{outcome:?}");
        assert!(outcome.error().contains("aws sso login --profile default"), "{outcome:?}");
        assert!(!outcome.error().contains("hunter2"), "{outcome:?}");
    }
    assert_eq!(portal.seen().len(), 1, "only a token that may be valid is sent");
}

#[test]
fn logins_that_are_set_up_wrongly_are_refused() {
    for (config, what) in [
        (ROLE.to_owned(), "has no sso_start_url"),
        (format!("{START}sso_role_name=x"), "has no sso_account_id"),
        (format!("sso_session=nobody\n{ROLE}"), "names the sso-session \"nobody\""),
        (format!("sso_session=a\n{ROLE}sso_region=x\n[sso-session a]\n{START}"), "one thing in the profile"),
        (format!("{ROLE}{START}").replace("eu-west-1", "evil.com/"), "not the name of a region"),
    ] {
        let place = Place::new().config(&format!("[default]\n{config}\n")).file(OF_URL, &login(FAR));
        let outcome = place.look();
        assert!(outcome.error().contains(what), "{config}: {outcome:?}");
    }
}

#[test]
fn wrong_answers_of_the_portal_are_reported() {
    for (reply, what) in [
        (Reply::status(403, r#"{"message":"ForbiddenException"}"#), "aws sso login shows which it has"),
        (Reply::status(404, ""), "status 404"),
        (Reply::status(307, "").header("Location", "http://127.0.0.1:1/"), "redirects are not followed"),
        (Reply::status(400, r#"{"message":"the token sso-token is bad"}"#), "its text repeats a secret"),
        (Reply::ok("<x/>"), "not JSON"),
        (Reply::ok("{}"), "not the JSON that is expected"),
        (
            Reply::ok(r#"{"roleCredentials":{"accessKeyId":"A","secretAccessKey":"B","sessionToken":"C"}}"#),
            "no expiration",
        ),
        (
            Reply::ok(
                r#"{"roleCredentials":{"accessKeyId":"A","secretAccessKey":"B","sessionToken":"C","expiration":1}}"#,
            ),
            "have expired",
        ),
    ] {
        let portal = HttpStub::start(move |_| reply.clone());
        let outcome = by_url(&portal).file(OF_URL, &login(FAR)).look();
        assert!(outcome.error().contains(what) && !outcome.error().contains("sso-token"), "{what}: {outcome:?}");
        assert_eq!(portal.seen().len(), 1);
    }
}
