//! Google Cloud's metadata server: an identity token for the service account of a virtual machine.

use super::error::failed;
use super::metadata_service::{failed_answer, http_failed};
use super::token_text::{MAX_TOKEN, text};
use crate::deadline::Deadline;
use crate::error::{FaultKind, Result};
use crate::http::{Method, Request};
use crate::options::percent_encode;
use crate::secret::Secret;
use crate::system::System;

/// The token for this audience: the whole body.
pub(crate) fn token(system: &dyn System, audience: &str, deadline: Deadline) -> Result<Secret> {
    let url = format!("{ENDPOINT}?audience={}", percent_encode(audience));
    let headers = [("Metadata-Flavor", "Google")];
    let request =
        Request { method: Method::Get, url: &url, headers: &headers, body: &[], deadline, max_body: MAX_TOKEN };
    let answer = system.http().send(&request).map_err(|error| http_failed(WHO, error))?;
    match answer.status {
        200 => text(&answer.body).map_err(|what| failed(FaultKind::Authentication, format!("{WHO} gave {what}"))),
        _ => Err(failed_answer(WHO, &answer)),
    }
}

const WHO: &str = "Google Cloud's metadata server";

/// The specification prescribes this name and plain HTTP. A hostile search domain could resolve it: see SECURITY.md.
const ENDPOINT: &str = "http://metadata/computeMetadata/v1/instance/service-accounts/default/identity";
