//! What the metadata services of both clouds have in common: how their refusals and failures are reported.

use super::error::failed;
use super::token_text::MAX_TOKEN;
use crate::error::{Error, ErrorKind, FaultKind, Result};
use crate::http::Answer;
use crate::secret::Secret;

pub(super) fn too_long(who: &str, token: Secret) -> Result<Secret> {
    if token.expose().len() > MAX_TOKEN {
        Err(failed(FaultKind::Authentication, format!("{who} gave an access_token of more than 48 KiB")))
    } else {
        Ok(token)
    }
}

/// The error for an answer without a token. It quotes the body, because these services give the reason there.
pub(super) fn failed_answer(who: &str, answer: &Answer) -> Error {
    let message = format!("{who} answered with HTTP status {}: {}", answer.status, quoted(&answer.body));
    failed(FaultKind::Authentication, message)
}

/// The beginning of a body. Parts that could be a token are left out.
fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    if SECRET_FIELDS.iter().any(|name| lower.contains(name)) {
        return "a body that is not shown, since it has a field for a secret".to_owned();
    }
    let mut said = String::new();
    for piece in text.trim().split_inclusive(|c: char| !is_of_token(c)) {
        let word = piece.trim_end_matches(|c: char| !is_of_token(c));
        let hidden = word.len() > LONGEST_WORD || word.contains("eyJ");
        said.push_str(if hidden { "(not shown)" } else { word });
        said.extend(piece.chars().skip(word.chars().count()));
        if said.len() > QUOTED {
            break;
        }
    }
    format!("{:?}", said.chars().take(QUOTED).collect::<String>())
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=%".contains(c)
}

/// The error for no answer. The program probably does not run in the configured environment.
pub(super) fn http_failed(who: &str, error: Error) -> Error {
    // The kind is not that of a network error: callers would take it for a failure of the MongoDB server.
    let kind = match error.kind() {
        ErrorKind::Timeout { .. } => FaultKind::Timeout,
        _ if error.is_timeout() => FaultKind::TimedOut,
        _ => FaultKind::Authentication,
    };
    let message = format!("{who} gave no token: {}", error.message());
    failed(kind, message).with_source_of(error).with_hint("does the program run in this ENVIRONMENT?")
}

/// How many characters of a refusal an error quotes.
const QUOTED: usize = 300;

/// Longer than any word or identifier of a reason.
const LONGEST_WORD: usize = 64;

/// In lower case.
const SECRET_FIELDS: &[&str] =
    &["access_token", "id_token", "refresh_token", "client_secret", "client_assertion", "password"];
