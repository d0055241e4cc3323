//! Source: the endpoint that ECS, EKS Pod Identity and others give a container for its keys.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::ask::{self, Question, aws_v6, check_url};
use super::profiles::why_not;
use super::{SearchContext, SourceResult, failed, invalid, quoted, reply};
use crate::characters;
use crate::error::Result;
use crate::http::Method;

/// Asks the endpoint that the environment names. An error here ends the search, because the keys of the host machine must not be
/// used for the container.
pub(super) fn look(context: &SearchContext<'_>) -> Result<SourceResult> {
    let (what, url) = match (context.variable(RELATIVE), context.variable(FULL)) {
        (Some(path), _) => (RELATIVE, format!("http://169.254.170.2/{}", path.trim_start_matches('/'))),
        (None, Some(url)) => (FULL, url),
        (None, None) => return Ok(SourceResult::Nothing(format!("{RELATIVE} and {FULL} are not set"))),
    };
    let uri = check_url(&url, what, NEAR)?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let token = token(context)?;
    let mut headers = vec![("accept", "application/json")];
    if let Some(token) = &token {
        headers.push(("authorization", token.as_str()));
    }
    let question =
        Question { method: Method::Get, url: &url, headers: &headers, body: &[], deadline: context.deadline };
    let answer =
        ask::ask(context.system, &question).map_err(|error| ask::unanswered("the container's endpoint", &error))?;
    match answer.status {
        200 => reply::of_container(&answer.body)
            .map(SourceResult::Found)
            .map_err(|what| failed(format!("{host} answered with {what}"))),
        401 | 403 => Err(failed(format!("{host} answered with status {}", answer.status))
            .with_hint(format!("{TOKEN_FILE} or {TOKEN} gives what proves that this is the container"))),
        404 => Err(failed(format!("{host} answered with status 404"))
            .with_hint(format!("does {what} name the right path, and has the task or the pod a role?"))),
        status @ 300..=399 => {
            Err(failed(format!("{host} answered with status {status}")).with_hint("redirects are not followed"))
        }
        status => Err(failed(format!("{host} answered with status {status}"))),
    }
}

/// The value of the header Authorization. The file is read each time, because its token changes.
fn token(context: &SearchContext<'_>) -> Result<Option<Zeroizing<String>>> {
    let (what, token) = match context.variable(TOKEN_FILE) {
        Some(file) => {
            let path = PathBuf::from(file);
            let bytes = context.system.read_file(&path, MAX_TOKEN).map_err(|error| failed(why_not(&path, &error)))?;
            let text = str::from_utf8(&bytes).map_err(|_| failed(format!("{} is not UTF-8", quoted(&path))))?;
            (TOKEN_FILE, text.to_owned())
        }
        None => match context.variable(TOKEN) {
            Some(token) => (TOKEN, token),
            None => return Ok(None),
        },
    };
    let token = Zeroizing::new(token);
    if token.contains(['\r', '\n']) {
        return Err(invalid(format!("the token of {what} has a line break in it"))
            .with_hint("it could become another header: write it without one, also at its end"));
    }
    if let Some(stray) = characters::stray(&token) {
        return Err(invalid(format!("the token of {what} {stray}; take that out")));
    }
    match token.chars().find(|character| !(' '..='~').contains(character)) {
        None => Ok(Some(token)),
        Some(character) => {
            let character = characters::described(character);
            Err(invalid(format!("the token of {what} has characters that are not allowed in a header: {character}")))
        }
    }
}

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// Who may be asked without TLS, beside this machine itself: ECS, and EKS Pod Identity by IPv4 and IPv6.
const NEAR: &[IpAddr] =
    &[IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)), IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)), aws_v6(0x23)];

/// The most bytes of a token file.
const MAX_TOKEN: u64 = 64 * 1024;
