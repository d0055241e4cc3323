//! Calls the program's callback and validates the token that it returns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::cache::Call;
use super::error::{TOKEN, failed, stage};
use super::token_text::MAX_TOKEN;
use crate::credential::{IdpServerInfo, IdpServerResponse, OidcCallbackContext, SharedOidcCallback};
use crate::deadline::Deadline;
use crate::error::{FaultKind, Result};
use crate::secret::Secret;

/// The arguments of the callback.
pub(super) struct Asked<'a> {
    pub(super) username: Option<&'a str>,
    pub(super) idp_info: Option<IdpServerInfo>,
    pub(super) refresh_token: Option<Secret>,
}

/// Calls it on this thread. The result is validated before it is used.
pub(super) fn ask(
    provider: &SharedOidcCallback,
    call: &Call<'_>,
    asked: Asked<'_>,
    deadline: Deadline,
) -> Result<IdpServerResponse> {
    call.pause();
    let context = OidcCallbackContext {
        timeout: deadline.remaining().unwrap_or(Duration::MAX),
        version: VERSION,
        username: asked.username.map(str::to_owned),
        idp_info: asked.idp_info,
        refresh_token: asked.refresh_token,
    };
    if context.timeout.is_zero() {
        let message = format!("{} ran out before the callback could be called", deadline.name());
        return Err(deadline.ran_out(stage(TOKEN), message));
    }
    // The panic payload may contain a secret, so only the program's own panic hook sees it.
    let outcome = catch_unwind(AssertUnwindSafe(|| provider.callback().token(&context)));
    call.called();
    let refused = |what: &'static str| failed(FaultKind::Authentication, what);
    let response = match outcome {
        Ok(Ok(response)) => wrong(&response).map_or(Ok(response), |what| Err(refused(what))),
        Ok(Err(source)) => Err(refused("the OIDC callback gave no token").with_source(source)),
        Err(_) => Err(refused("the OIDC callback panicked")),
    };
    if response.is_err() {
        call.gave_none();
    }
    response
}

/// What is wrong with a response. Of the token, only its presence, its length and its characters are checked.
fn wrong(response: &IdpServerResponse) -> Option<&'static str> {
    match response {
        _ if response.access_token.is_empty() => Some("the OIDC callback gave an empty access token"),
        _ if response.access_token.expose().len() > MAX_TOKEN => {
            Some("the OIDC callback gave an access token of more than 48 KiB")
        }
        _ if response.expires_in_seconds.is_some_and(|seconds| seconds < 0) => {
            Some("the OIDC callback gave a token that expires in less than 0 seconds")
        }
        _ => None,
    }
}

/// Of the interface to callbacks.
const VERSION: u32 = 1;
