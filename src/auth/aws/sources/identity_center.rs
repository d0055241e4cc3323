//! Source: IAM Identity Center. `aws sso login` left a token in a file; with it the keys of the profile's role are fetched.
//!
//! <https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use sha1::{Digest, Sha1};

use super::ask::{self, Question, quoted_words};
use super::profiles::{Profile, why_not};
use super::{SearchContext, SourceResult, endpoint, failed, invalid, quoted, reply};
use crate::credential::AwsKeys;
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::http::Method;
use crate::json;
use crate::secret::Secret;
use crate::uri::percent_encode;

/// Fetches the keys of the profile's role, if it has `sso_account_id` and `sso_role_name`.
pub(super) fn look(context: &SearchContext<'_>) -> Result<SourceResult> {
    let Some(profile) = context.profile().filter(|profile| ROLE.iter().any(|name| profile.get(name).is_some())) else {
        return Ok(context.nothing_in_profile("sso_account_id and sso_role_name"));
    };
    let login = Login::of(context, &profile)?;
    let token = token(context, &login)?;
    role_keys(context, &login, &token).map(SourceResult::Found)
}

/// What the profile says, perhaps by way of an `sso-session`.
struct Login<'a> {
    profile: &'a str,
    account_id: &'a str,
    role_name: &'a str,
    region: &'a str,
    /// The name of the session, or the URL that logins start at: what the token's file is named for.
    named_for: &'a str,
}

impl<'a> Login<'a> {
    fn of(context: &SearchContext<'a>, profile: &Profile<'a>) -> Result<Login<'a>> {
        let name = profile.name;
        let session = profile.get("sso_session");
        if let Some(session) = session.filter(|session| !context.profiles.has_section("sso-session", session)) {
            return Err(invalid(format!(
                "the profile {name:?} names the sso-session {session:?}, which the config file does not have"
            )));
        }
        let setting = |key: &str| {
            let own = profile.get(key);
            let shared = session.and_then(|session| context.profiles.of_section("sso-session", session, key));
            match (own, shared) {
                (Some(own), Some(shared)) if own != shared => {
                    Err(invalid(format!("{key} is one thing in the profile {name:?} and another in its sso-session")))
                }
                (Some(value), _) | (None, Some(value)) if !value.is_empty() => Ok(value),
                _ => Err(invalid(format!("the profile {name:?} logs in by IAM Identity Center, but has no {key}"))),
            }
        };
        let start_url = setting("sso_start_url")?;
        Ok(Login {
            profile: name,
            account_id: setting("sso_account_id")?,
            role_name: setting("sso_role_name")?,
            region: setting("sso_region")?,
            named_for: session.unwrap_or(start_url),
        })
    }

    /// What to do where there is no valid token.
    fn remedy(&self) -> String {
        format!("log in once more: aws sso login --profile {}", self.profile)
    }
}

/// The token in the file that `aws sso login` wrote.
fn token(context: &SearchContext<'_>, login: &Login<'_>) -> Result<Secret> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cached {
        #[serde(default, deserialize_with = "json::secret")]
        access_token: Option<Secret>,
        expires_at: Option<String>,
    }
    let home = context.system.home().ok_or_else(|| failed("there is no home folder to find the login's token in"))?;
    let file = format!("{}.json", hex(&Sha1::digest(login.named_for.as_bytes())));
    let path = home.join(".aws").join("sso").join("cache").join(file);
    let text = context.system.read_file(&path, MAX_CACHED);
    let text = text.map_err(|error| failed(why_not(&path, &error)).with_hint(login.remedy()))?;
    let broken = |what: &str| failed(format!("{} holds {what}", quoted(&path))).with_hint(login.remedy());
    let cached: Cached = json::parse(&text).map_err(|what| broken(&what))?;
    let token = cached.access_token.filter(|token| !token.is_empty()).ok_or_else(|| broken("no accessToken"))?;
    let expires = cached.expires_at.ok_or_else(|| broken("no expiresAt"))?;
    let expires = reply::expiration(&expires).map_err(|what| broken(&what))?;
    if expires <= context.system.now() {
        return Err(failed("the login has expired").with_hint(login.remedy()));
    }
    if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(broken("a token with characters that are not allowed in one"));
    }
    Ok(token)
}

/// Keys of the role, for the token.
fn role_keys(context: &SearchContext<'_>, login: &Login<'_>, token: &Secret) -> Result<AwsKeys> {
    let endpoint = endpoint::portal(context, login.region)?;
    let (role, account) = (percent_encode(login.role_name), percent_encode(login.account_id));
    let url = endpoint.url(&format!("/federation/credentials?role_name={role}&account_id={account}"));
    let headers = [("accept", "application/json"), ("x-amz-sso_bearer_token", token.expose())];
    let question =
        Question { method: Method::Get, url: &url, headers: &headers, body: &[], deadline: context.deadline };
    let answer = ask::ask(context.system, &question).map_err(|error| ask::unanswered("IAM Identity Center", &error))?;
    match answer.status {
        200 => keys(&answer.body).map_err(|what| failed(format!("{} answered with {what}", endpoint.host))),
        status => Err(refused(&endpoint.host, status, &answer.body, login, token)),
    }
}

fn keys(text: &[u8]) -> Result<AwsKeys, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        role_credentials: RoleCredentials,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RoleCredentials {
        access_key_id: Option<String>,
        #[serde(default, deserialize_with = "json::secret")]
        secret_access_key: Option<Secret>,
        #[serde(default, deserialize_with = "json::secret")]
        session_token: Option<Secret>,
        expiration: Option<u64>,
    }
    let given = json::parse::<Answer>(text)?.role_credentials;
    let id = given.access_key_id.filter(|id| !id.is_empty()).ok_or("no accessKeyId")?;
    let secret = given.secret_access_key.filter(|secret| !secret.is_empty()).ok_or("no secretAccessKey")?;
    let token = given.session_token.filter(|token| !token.is_empty()).ok_or("no sessionToken")?;
    let expires = moment(given.expiration.ok_or("no expiration")?).ok_or("a date of expiry that is not valid")?;
    Ok(AwsKeys::new(id, secret).session_token(token).expires(expires))
}

fn moment(milliseconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).filter(|_| milliseconds <= LAST_MILLISECOND)
}

fn refused(host: &str, status: u16, text: &[u8], login: &Login<'_>, token: &Secret) -> Error {
    #[derive(Deserialize)]
    struct Failure {
        message: Option<String>,
    }
    let words = json::parse::<Failure>(text).ok().and_then(|failure| failure.message);
    let words = words.map(|words| format!(", {}", quoted_words(&words, &[token.expose()]))).unwrap_or_default();
    let refused = failed(format!("{host} answered with status {status}{words}"));
    match status {
        401 => refused.with_hint(login.remedy()),
        403 | 404 => refused.with_hint(
            "the login must have this sso_role_name in this sso_account_id: aws sso login shows which it has",
        ),
        300..=399 => refused.with_hint("redirects are not followed: name the right sso_region"),
        _ => refused,
    }
}

/// Either of these says that a profile logs in so.
const ROLE: &[&str] = &["sso_account_id", "sso_role_name"];

/// The most bytes of a token's file.
const MAX_CACHED: u64 = 256 * 1024;

/// The end of the year 9999.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;
