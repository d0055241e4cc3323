//! Roles: assumed with other keys, and with tokens of other identity providers.

use mongo_blocking_test_server::http::{HttpStub, Reply, Seen};
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};

use super::*;

#[test]
fn a_chain_of_roles_logs_in() {
    let Some(moto) = moto() else { return };
    let (id, secret, first, second) =
        (moto.access_key_id(), moto.secret_access_key(), Moto::role("first"), Moto::role("second"));
    let place = Place::new()
        .credentials(&format!("[base]\naws_access_key_id={id}\naws_secret_access_key={secret}\n"))
        .config(&format!(
            "[default]\nrole_arn={second}\nsource_profile=middle\nrole_session_name=mine\nexternal_id=x y&z\nduration_seconds=1800\n\
             region=eu-west-1\n[profile middle]\nrole_arn={first}\nsource_profile=base\n"
        ))
        .set("AWS_ENDPOINT_URL_STS", moto.url());
    assert_eq!(place.log_in(moto), "arn:aws:sts::123456789012:assumed-role/second/mine");
    let found = place.look();
    assert_eq!(found.keys().0, "AssumeRole by a profile");
    assert!(found.expires.is_some(), "{found:?}");
    let wrong = place.credentials(&format!("[base]\naws_access_key_id={id}\naws_secret_access_key=hunter2\n")).look();
    assert!(wrong.error().contains("status 403") && wrong.error().contains("SignatureDoesNotMatch"), "{wrong:?}");
    assert!(!wrong.error().contains("hunter2"));
}

#[test]
fn a_role_is_assumed_with_what_credential_source_names() {
    let Some(moto) = moto() else { return };
    let first = Moto::role("first");
    let role = |source: &str| {
        Place::new()
            .config(&format!("[profile r]\nrole_arn={first}\ncredential_source={source}\nrole_session_name=s\n"))
            .set("AWS_PROFILE", "r")
            .set("AWS_ENDPOINT_URL", moto.url())
    };
    let [id, secret, token] = moto.temporary().clone();
    let endpoint = HttpStub::start(move |_| {
        Reply::ok(format!(
            r#"{{"AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"{token}","Expiration":"{FAR}"}}"#
        ))
    });
    let container = role("EcsContainer").set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoint.url("/x"));
    assert_eq!(container.log_in(moto), "arn:aws:sts::123456789012:assumed-role/first/s");
    let nowhere = role("Ec2InstanceMetadata").look();
    assert!(nowhere.error().contains("AWS_EC2_METADATA_DISABLED is true"), "{nowhere:?}");
    let nothing = role("Environment").look();
    assert!(
        nothing.error().contains("the credential_source Environment of the profile \"r\" has no keys"),
        "{nothing:?}"
    );
    let unknown = role("environment").look();
    assert!(unknown.error().contains("it can be Environment, EcsContainer or Ec2InstanceMetadata"), "{unknown:?}");
}

#[test]
fn a_web_identity_logs_in() {
    let Some(moto) = lenient_moto() else { return };
    let (first, second) = (Moto::role("first"), Moto::role("second"));
    let place = Place::new().file("token", " header.payload.signature \n");
    let token = place.path("token");
    let place = place.set("AWS_ENDPOINT_URL_STS", moto.url()).set("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
    let place = place.set("AWS_ROLE_ARN", &first);
    let nameless = place.log_in(moto);
    assert!(nameless.starts_with("arn:aws:sts::123456789012:assumed-role/first/mongo-blocking-"), "{nameless}");
    let place = place.set("AWS_ROLE_SESSION_NAME", "pod");
    assert_eq!(place.log_in(moto), "arn:aws:sts::123456789012:assumed-role/first/pod");
    assert_eq!(place.look().keys().0, "web identity");
    let by_profile = Place::new();
    let token = by_profile.path("token");
    let by_profile = by_profile.config(&format!(
        "[default]\nrole_arn={second}\nweb_identity_token_file={token}\nrole_session_name=mine\nendpoint_url={}\n",
        moto.url()
    ));
    let missing = by_profile.look();
    assert!(missing.error().contains("there is no file"), "{missing:?}");
    let by_profile = by_profile.file("token", " \n");
    let empty = by_profile.look();
    assert!(empty.error().contains("there is no token in"), "{empty:?}");
    let by_profile = by_profile.file("token", "t");
    assert_eq!(by_profile.log_in(moto), "arn:aws:sts::123456789012:assumed-role/second/mine");
}

/// Line feeds inside and quotation marks around a token are mistakes of who wrote the file.
#[test]
fn a_web_identity_token_with_stray_characters_is_never_sent() {
    let sts = stub();
    for (token, words) in [
        ("hunter2\nhunter2", "has a line feed in it"),
        ("\"hunter2\"\n", "ends with a double quotation mark"),
        ("\u{feff}hunter2", "begins with a character beyond ASCII"),
        ("'hunter2", "begins with a single quotation mark"),
    ] {
        let place = Place::new().file("token", token);
        let file = place.path("token");
        let place = place.set("AWS_WEB_IDENTITY_TOKEN_FILE", &file).set("AWS_ROLE_ARN", "r");
        let outcome = place.set("AWS_ENDPOINT_URL_STS", &sts.url("/")).look();
        assert!(outcome.error().contains(words) && outcome.error().contains("token\""), "{outcome:?}");
        assert!(!outcome.error().contains("hunter2"), "{outcome:?}");
    }
    assert!(sts.seen().is_empty());
}

/// What exactly STS is asked.
#[test]
fn the_calls_have_the_form_that_sts_wants() {
    let sts = stub();
    let place = Place::new().file("token", "\nhead+er/pay load=\n");
    let token = place.path("token");
    let place = place.set("AWS_WEB_IDENTITY_TOKEN_FILE", &token).set("AWS_ROLE_ARN", "arn:aws:iam::1:role/a b");
    let place = place.set("AWS_ENDPOINT_URL_STS", &sts.url("/"));
    assert_eq!(place.look().keys(), ("web identity", "ASIASTUB"));
    let asked = sts.seen().remove(0);
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/"));
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert!(asked.header("content-type").unwrap().starts_with("application/x-www-form-urlencoded"));
    assert_eq!(asked.header("authorization"), None);
    let text = asked.text();
    let (rest, token) = text.split_once("&WebIdentityToken=").unwrap();
    assert_eq!(token, "head%2Ber%2Fpay+load%3D");
    let (rest, name) = rest.split_once("&RoleSessionName=mongo-blocking-").unwrap();
    assert!(name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    assert_eq!(rest, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa+b");

    let place = Place::new()
        .config("[default]\nrole_arn=r\nsource_profile=default\nexternal_id=e&e\nduration_seconds=900\nrole_session_name=n\nregion=cn-north-1\n")
        .credentials("[default]\naws_access_key_id=AKID\naws_secret_access_key=B\naws_session_token=T\n")
        .set("AWS_ENDPOINT_URL_STS", &sts.url(""));
    assert_eq!(place.look().keys(), ("AssumeRole by a profile", "ASIASTUB"));
    let asked = sts.seen().remove(1);
    assert_eq!(
        asked.text(),
        "Action=AssumeRole&Version=2011-06-15&RoleArn=r&RoleSessionName=n&ExternalId=e%26e&DurationSeconds=900"
    );
    assert_eq!(asked.header("x-amz-security-token"), Some("T"));
    assert_eq!(asked.header("host"), Some(sts.address().to_string().as_str()));
    let authorization = asked.header("authorization").unwrap();
    assert!(
        authorization.contains("Credential=AKID/") && authorization.contains("/cn-north-1/sts/aws4_request"),
        "{authorization}"
    );
    assert!(
        authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"),
        "{authorization}"
    );
}

/// Over TLS the system's trust decides, here by SSL_CERT_FILE; a token goes to nobody else.
#[test]
fn over_tls_sts_has_to_prove_who_it_is() {
    let authority = Authority::new();
    let sts = HttpStub::start_tls(&authority.issue(CertPurpose::Server, "localhost"), answer);
    let place = Place::new().file("token", "hunter2").file("ca.pem", &authority.pem());
    let (token, trusted) = (place.path("token"), place.path("ca.pem"));
    let place = place.set("AWS_WEB_IDENTITY_TOKEN_FILE", &token).set("AWS_ROLE_ARN", "arn:aws:iam::1:role/a");
    let place = place.set("AWS_ENDPOINT_URL_STS", &sts.url(""));
    let refused = place.look();
    assert!(refused.error().contains("the TLS handshake failed"), "{refused:?}");
    assert!(refused.error().contains("authority that the system trusts"), "{refused:?}");
    assert!(sts.seen().is_empty() && !refused.error().contains("hunter2"));
    assert_eq!(place.set("SSL_CERT_FILE", &trusted).look().keys(), ("web identity", "ASIASTUB"));
}

#[test]
fn roles_that_are_set_up_wrongly_are_refused() {
    for (config, what) in [
        ("role_arn=r", "nothing to assume the role with"),
        ("role_arn=r\nsource_profile=a\ncredential_source=Environment", "both source_profile and credential_source"),
        ("role_arn=r\nsource_profile=nobody", "source_profile \"nobody\" of the profile \"default\" does not exist"),
        ("role_arn=r\nsource_profile=default", "leads in a circle: default, default"),
        (
            "role_arn=r\nsource_profile=a\n[profile a]\nrole_arn=q\nsource_profile=b\n[profile b]\nrole_arn=p\nsource_profile=a",
            "leads in a circle: default, a, b, a",
        ),
        ("role_arn=r\nsource_profile=a\n[profile a]\nregion=x", "has no keys by any source"),
        (
            "role_arn=r\nsource_profile=a\nmfa_serial=m\n[profile a]\naws_access_key_id=A\naws_secret_access_key=hunter2",
            "mfa_serial",
        ),
        ("role_arn=r\nsource_profile=a\nduration_seconds=long\n[profile a]", "is not a number"),
        ("role_arn=r\nsource_profile=a\n[profile a]\naws_access_key_id=A", "nothing for aws_secret_access_key"),
        ("web_identity_token_file=/x", "no role"),
    ] {
        let outcome = Place::new().config(&format!("[default]\n{config}\n")).look();
        assert!(outcome.error().contains(what) && !outcome.error().contains("hunter2"), "{config}: {outcome:?}");
    }
    let mfa =
        "[default]\nrole_arn=r\nsource_profile=default\nmfa_serial=m\naws_access_key_id=A\naws_secret_access_key=B\n";
    assert!(Place::new().config(mfa).look().error().contains("aws configure export-credentials"));
    let chain = (0..20).map(|n| format!("[profile p{n}]\nrole_arn=r\nsource_profile=p{}\n", n + 1)).collect::<String>();
    let outcome = Place::new().config(&chain).set("AWS_PROFILE", "p0").look();
    assert!(outcome.error().contains("more than 16 profiles"), "{outcome:?}");
}

fn stub() -> HttpStub {
    HttpStub::start(answer)
}

fn answer(asked: &Seen) -> Reply {
    let action = asked.text();
    let action = action.trim_start_matches("Action=").split('&').next().unwrap_or_default().to_owned();
    Reply::ok(format!(
        "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIASTUB</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
             <SessionToken>T</SessionToken><Expiration>{FAR}</Expiration></Credentials></{action}Result></{action}Response>"
    ))
}
