//! The security token service: roles for keys, and roles for tokens of other identity providers.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use std::fmt::Write;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::sigv4::{self, Signing};
use super::super::time;
use super::ask::{self, Question, quoted_words};
use super::endpoint::{self, Endpoint};
use super::{SearchContext, failed, reply, xml};
use crate::credential::AwsKeys;
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::http::Method;
use crate::json;
use crate::secret::Secret;
use crate::uri::percent_encode;

/// What to assume.
pub(super) struct Role<'a> {
    pub(super) arn: &'a str,
    /// Without one, a name is made up.
    pub(super) session_name: Option<&'a str>,
    pub(super) external_id: Option<&'a str>,
    pub(super) duration_seconds: Option<u32>,
}

/// Temporary keys of a role, for the holder of other keys.
pub(super) fn assume_role(context: &SearchContext<'_>, role: &Role<'_>, with: &AwsKeys) -> Result<AwsKeys> {
    let mut form = Form::new("AssumeRole");
    form.role(context, role)?;
    if let Some(id) = role.external_id {
        form.field("ExternalId", id);
    }
    if let Some(seconds) = role.duration_seconds {
        form.field("DurationSeconds", &seconds.to_string());
    }
    let endpoint = endpoint::sts(context)?;
    let date = time::amz_date(context.system.now());
    let mut headers = vec![("content-type", FORM), ("host", endpoint.host.as_str()), ("x-amz-date", date.as_str())];
    if let Some(token) = &with.session_token {
        headers.push(("x-amz-security-token", token.expose()));
    }
    let authorization = Zeroizing::new(sigv4::authorization(&Signing {
        method: "POST",
        path: &endpoint.path,
        query: "",
        headers: &headers,
        body: form.0.as_bytes(),
        date: &date,
        region: &endpoint.region,
        service: "sts",
        keys: with,
    }));
    headers.push(("authorization", authorization.as_str()));
    let secrets = [Some(&with.secret_access_key), with.session_token.as_ref()];
    let secrets: Vec<&str> = secrets.into_iter().flatten().map(Secret::expose).collect();
    call(context, &endpoint, &form, &headers, &secrets)
}

/// Temporary keys of a role, for the holder of a token that the role trusts.
pub(super) fn assume_role_with_web_identity(
    context: &SearchContext<'_>,
    role: &Role<'_>,
    token: &str,
) -> Result<AwsKeys> {
    let mut form = Form::new("AssumeRoleWithWebIdentity");
    form.role(context, role)?;
    form.field("WebIdentityToken", token);
    let endpoint = endpoint::sts(context)?;
    call(context, &endpoint, &form, &[("content-type", FORM)], &[token])
}

/// The parameters of a call, as a form.
struct Form(Zeroizing<String>);

impl Form {
    fn new(action: &str) -> Form {
        let mut text = Zeroizing::new(String::with_capacity(MAX_FORM));
        let _ = write!(text, "Action={action}&Version=2011-06-15"); // a String takes whatever is written
        Form(text)
    }

    /// In a form a blank is a plus.
    fn field(&mut self, name: &str, value: &str) {
        for part in ["&", name, "="] {
            self.0.push_str(part);
        }
        for (at, word) in value.split(' ').enumerate() {
            if at > 0 {
                self.0.push('+');
            }
            self.0.push_str(&Zeroizing::new(percent_encode(word)));
        }
    }

    fn role(&mut self, context: &SearchContext<'_>, role: &Role<'_>) -> Result<()> {
        self.field("RoleArn", role.arn);
        match role.session_name {
            Some(name) => self.field("RoleSessionName", name),
            None => {
                let mut random = [0; 8];
                context.system.random(&mut random)?;
                self.field("RoleSessionName", &format!("mongo-blocking-{}", hex(&random)));
            }
        }
        Ok(())
    }
}

fn call(
    context: &SearchContext<'_>,
    endpoint: &Endpoint,
    form: &Form,
    headers: &[(&str, &str)],
    secrets: &[&str],
) -> Result<AwsKeys> {
    let mut headers = headers.to_vec();
    headers.push(("accept", "application/json"));
    let (url, name) = (endpoint.url(""), &endpoint.host);
    let question = Question {
        method: Method::Post,
        url: &url,
        headers: &headers,
        body: form.0.as_bytes(),
        deadline: context.deadline,
    };
    let answer = ask::ask(context.system, &question).map_err(|error| ask::unanswered("STS", &error))?;
    let text =
        str::from_utf8(&answer.body).map_err(|_| failed(format!("{name} answered with bytes that are no text")))?;
    match answer.status {
        200 => keys(text).map_err(|what| failed(format!("{name} answered with {what}"))),
        status => Err(refused(name, status, text, secrets)),
    }
}

/// The keys of an answer. The request asks for JSON, but some services that replace STS answer with XML.
fn keys(text: &str) -> Result<AwsKeys, String> {
    let given = if text.trim_start().starts_with('{') {
        json::parse::<Answer>(text.as_bytes())?.response.result.credentials
    } else {
        in_xml(&xml::parse(text).map_err(|what| format!("neither JSON nor XML that can be read: {what}"))?)
    };
    let id = given.access_key_id.filter(|id| !id.is_empty()).ok_or("no AccessKeyId")?;
    let secret = given.secret_access_key.filter(|secret| !secret.is_empty()).ok_or("no SecretAccessKey")?;
    let token = given.session_token.filter(|token| !token.is_empty()).ok_or("no SessionToken")?;
    let expires = match given.expiration.ok_or("no Expiration")? {
        Moment::Text(text) => reply::expiration(&text)?,
        Moment::Seconds(seconds) => time::from_epoch_seconds(seconds).ok_or("a date of expiry that is not valid")?,
    };
    Ok(AwsKeys::new(id, secret).session_token(token).expires(expires))
}

/// `AssumeRoleResponse`, or the like, in JSON.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "AssumeRoleResponse", alias = "AssumeRoleWithWebIdentityResponse")]
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: Option<String>,
    #[serde(default, deserialize_with = "json::secret")]
    secret_access_key: Option<Secret>,
    #[serde(default, deserialize_with = "json::secret")]
    session_token: Option<Secret>,
    expiration: Option<Moment>,
}

/// A date, or seconds since 1970.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Seconds(f64),
    Text(String),
}

/// The same in XML.
fn in_xml(root: &xml::Element) -> Credentials {
    let action = root.name().strip_suffix("Response").unwrap_or_default();
    let field = |name| root.text(&[&format!("{action}Result"), "Credentials", name]);
    Credentials {
        access_key_id: field("AccessKeyId").map(str::to_owned),
        secret_access_key: field("SecretAccessKey").map(Secret::from),
        session_token: field("SessionToken").map(Secret::from),
        expiration: field("Expiration").map(|text| Moment::Text(text.to_owned())),
    }
}

/// The error for an answer that is not a success: its code and message, from JSON or XML.
fn refused(host: &str, status: u16, text: &str, secrets: &[&str]) -> Error {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Failure {
        error: Why,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Why {
        code: Option<String>,
        message: Option<String>,
    }
    let why = match json::parse::<Failure>(text.as_bytes()) {
        Ok(failure) => Some((failure.error.code, failure.error.message)),
        Err(_) => xml::parse(text).ok().map(|root| {
            let field = |name| root.text(&["Error", name]).or_else(|| root.text(&["Errors", "Error", name]));
            (field("Code").map(str::to_owned), field("Message").map(str::to_owned))
        }),
    };
    let (code, words) = why.unwrap_or_default();
    let mut message = format!("{host} answered with status {status}");
    for part in [&code, &words].into_iter().flatten() {
        let _ = write!(message, ", {}", quoted_words(part, secrets)); // a String takes whatever is written
    }
    let hint = match code.as_deref() {
        Some("ExpiredToken" | "ExpiredTokenException") => "what the role is assumed with has expired: renew it",
        Some("AccessDenied") => {
            "the role's trust policy must name who assumes it, and that one must be allowed sts:AssumeRole (and know the external id)"
        }
        Some("InvalidIdentityToken" | "IDPRejectedClaim") => {
            "the role must trust the identity provider that issued the token, and the token its audience"
        }
        Some("InvalidClientTokenId" | "SignatureDoesNotMatch") => {
            "the keys that the role is assumed with are wrong, or this machine's clock is"
        }
        Some("RegionDisabledException") => "STS is not switched on in this region: AWS_REGION names another",
        _ if (300..400).contains(&status) => "redirects are not followed: name the right endpoint",
        _ => return failed(message),
    };
    failed(message).with_hint(hint)
}

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The capacity for a form with a token. A form that fits is never reallocated, so no unwiped copy is left.
const MAX_FORM: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::noise::Noise;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    const XML: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><Arn>arn</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA</AccessKeyId>
        <SecretAccessKey>hunter2&amp;</SecretAccessKey><SessionToken>T</SessionToken><Expiration>2026-01-01T00:00:00.5Z</Expiration>
        </Credentials></AssumeRoleResult></AssumeRoleResponse>"#;
    const JSON: &str = r#"{"AssumeRoleWithWebIdentityResponse":{"AssumeRoleWithWebIdentityResult":{"Audience":"x",
        "Credentials":{"AccessKeyId":"ASIA","SecretAccessKey":"hunter2&","SessionToken":"T","Expiration":1767225600.5}},
        "ResponseMetadata":{"RequestId":"x"}}}"#;

    #[test]
    fn keys_are_read_from_either_form() {
        let at: SystemTime = UNIX_EPOCH + Duration::from_millis(1_767_225_600_500);
        let web = XML.replace("AssumeRoleRes", "AssumeRoleWithWebIdentityRes");
        let text = JSON.replace("1767225600.5", "\"2026-01-01T00:00:00.5Z\"").replace("WithWebIdentity", "");
        for answer in [XML, JSON, &web, &text] {
            let keys = keys(answer).unwrap_or_else(|what| panic!("{what}: {answer}"));
            assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.expose()), ("ASIA", "hunter2&"));
            assert_eq!((keys.session_token.unwrap().expose(), keys.expires), ("T", Some(at)));
        }
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        for (text, what) in [
            (XML.replace("SessionToken", "Token"), "no SessionToken"),
            (XML.replace("2026", "26"), "date of expiry"),
            (XML.replace("</AssumeRoleResponse>", ""), "breaks off"),
            (XML.replace("AssumeRoleResult", "GetCallerIdentityResult"), "no AccessKeyId"),
            (JSON.replace("SessionToken", "Token"), "no SessionToken"),
            (JSON.replace("hunter2&", ""), "no SecretAccessKey"),
            (JSON.replace("1767225600.5", "-1"), "date of expiry"),
            (JSON.replace("1767225600.5", "1e400"), "not JSON"),
            (JSON.replace("1767225600.5", "null"), "no Expiration"),
            (JSON.replace("\"T\"", "[]"), "not the JSON"),
            ("{}".to_owned(), "not the JSON"),
            (String::new(), "neither JSON nor XML"),
            ("it works!".to_owned(), "neither JSON nor XML"),
        ] {
            let error = keys(&text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn spoilt_answers_panic_nothing_and_leak_nothing() {
        let mut noise = Noise(11);
        for at in 0..2000 {
            let spoilt = noise.spoil([XML, JSON][at % 2].as_bytes());
            let error = keys(&String::from_utf8_lossy(&spoilt)).err().unwrap_or_default();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_repeats_no_secret() {
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: x is not token4\u{7}</Message></Error></ErrorResponse>";
        let shown = refused("sts", 403, xml, &["token5"]).to_string();
        assert!(
            shown.contains("status 403, \"AccessDenied\", \"User: x is not token4") && shown.contains("trust policy"),
            "{shown}"
        );
        let json = r#"{"Error":{"Code":"ExpiredTokenException","Message":"token4 is old"}}"#;
        let shown = refused("sts", 400, json, &["token4"]).to_string();
        assert!(shown.contains("ExpiredToken") && !shown.contains("token4"), "{shown}");
        assert!(refused("sts", 302, "", &[]).to_string().contains("redirects are not followed"));
        assert!(refused("sts", 500, "oops", &[]).to_string().contains("status 500"));
    }
}
