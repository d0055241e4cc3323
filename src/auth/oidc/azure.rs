//! Azure's Instance Metadata Service: a token for the managed identity of a virtual machine.

use serde::Deserialize;

use super::error::failed;
use super::metadata_service::{failed_answer, http_failed, too_long};
use super::token_text::sendable;
use crate::deadline::Deadline;
use crate::error::{FaultKind, Result};
use crate::http::{Method, Request};
use crate::json;
use crate::options::percent_encode;
use crate::secret::Secret;
use crate::system::System;

/// The token for `resource`, of the identity with this client id, where there are several.
pub(crate) fn token(
    system: &dyn System,
    resource: &str,
    client_id: Option<&str>,
    deadline: Deadline,
) -> Result<Secret> {
    let mut url = format!("{ENDPOINT}?api-version=2018-02-01&resource={}", percent_encode(resource));
    if let Some(client_id) = client_id {
        url.push_str("&client_id=");
        url.push_str(&percent_encode(client_id));
    }
    let headers = [("Accept", "application/json"), ("Metadata", "true")];
    let request =
        Request { method: Method::Get, url: &url, headers: &headers, body: &[], deadline, max_body: MAX_ANSWER };
    let answer = system.http().send(&request).map_err(|error| http_failed(WHO, error))?;
    if answer.status != 200 {
        return Err(failed_answer(WHO, &answer));
    }
    let token: Token = json::parse(&answer.body)
        .map_err(|what| failed(FaultKind::Authentication, format!("{WHO} answered what is {what}")))?;
    let wrong = |what| failed(FaultKind::Authentication, format!("{WHO} gave {what}"));
    let token = token.access_token.ok_or_else(|| wrong("no access_token"))?;
    if token.is_empty() {
        return Err(wrong("an empty access_token"));
    }
    let token = too_long(WHO, token)?;
    match sendable(token.expose()) {
        Ok(()) => Ok(token),
        Err(what) => Err(wrong(what)),
    }
}

#[derive(Deserialize)]
struct Token {
    #[serde(default, deserialize_with = "json::secret")]
    access_token: Option<Secret>,
}

const WHO: &str = "Azure's metadata service";

/// A link-local address, so only the machine's own host can answer. The service uses plain HTTP.
const ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// A token and some fields around it.
const MAX_ANSWER: usize = 128 * 1024;
