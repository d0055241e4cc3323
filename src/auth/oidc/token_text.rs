//! The form of a token: what may be sent to the server.

use crate::secret::Secret;

/// A token with space around it.
pub(super) fn text(bytes: &[u8]) -> Result<Secret, &'static str> {
    let token = std::str::from_utf8(bytes).map_err(|_| "no token: it is not UTF-8")?.trim();
    sendable(token).map(|()| Secret::from(token))
}

/// Bearer tokens are visible ASCII (RFC 6750, section 2.1). Anything else, such as a page of HTML, is not sent.
pub(super) fn sendable(token: &str) -> Result<(), &'static str> {
    match token {
        "" => Err("no token: it is empty"),
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("no token: it has blanks, control characters, or letters beyond ASCII in it")
        }
        _ => Ok(()),
    }
}

/// The longest token, in bytes. A server may take less from a client that has not logged in yet (`preAuthMaximumMessageSizeBytes`).
pub(super) const MAX_TOKEN: usize = 48 * 1024;
