//! Tokens from what the program runs in: metadata services, files, programs.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Login, MAX_TOKEN, azure, failed, gcp};
use crate::credential::{IdpServerResponse, OidcCommand, OidcEnvironment, OidcSource};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Answer;
use crate::process::ProcessOutcome;
use crate::secret::Secret;

impl Login {
    /// What the environment gives now.
    pub(super) fn environment(&self) -> Result<IdpServerResponse> {
        let system = &*self.shared.system;
        let token = match self.credential.environment() {
            Some(OidcEnvironment::Azure { token_resource }) => {
                azure::token(system, token_resource, self.credential.username.as_deref(), self.limits.machine)?
            }
            Some(OidcEnvironment::Gcp { token_resource }) => gcp::token(system, token_resource, self.limits.machine)?,
            Some(OidcEnvironment::K8s) => self.read_file(&self.k8s_file())?,
            Some(OidcEnvironment::Test) => self.read_file(&self.test_file()?)?,
            None => return Err(failed(ErrorKind::Authentication, "there is no environment that gives tokens")),
        };
        Ok(IdpServerResponse::new(token))
    }

    /// What a file or a program in code gives now.
    pub(super) fn read_anew(&self) -> Result<Secret> {
        match &self.credential.source {
            OidcSource::TokenFile(path) => self.read_file(path),
            OidcSource::TokenCommand(command) => self.run(command),
            _ => Err(failed(ErrorKind::Authentication, "there is neither a token file nor a token command")),
        }
    }

    /// Azure's and Amazon's managed Kubernetes have their own files; elsewhere it is the service account's.
    fn k8s_file(&self) -> PathBuf {
        let variable = |name| self.shared.system.variable(name).filter(|path| !path.is_empty());
        let named = variable("AZURE_FEDERATED_TOKEN_FILE").or_else(|| variable("AWS_WEB_IDENTITY_TOKEN_FILE"));
        named.map_or_else(|| PathBuf::from(SERVICE_ACCOUNT_TOKEN), PathBuf::from)
    }

    fn test_file(&self) -> Result<PathBuf> {
        let path = self.shared.system.variable("OIDC_TOKEN_FILE").filter(|path| !path.is_empty());
        path.map(PathBuf::from).ok_or_else(|| {
            failed(
                ErrorKind::Authentication,
                "ENVIRONMENT test needs the variable OIDC_TOKEN_FILE, the path of a token",
            )
        })
    }

    fn read_file(&self, path: &Path) -> Result<Secret> {
        let whose = |what: &str| format!("the token file {} {what}", path.display());
        let bytes = self
            .shared
            .system
            .read_file(path, MAX_TOKEN as u64)
            .map_err(|error| failed(ErrorKind::Authentication, whose("cannot be read")).with_source(error))?;
        text(&bytes).map_err(|what| failed(ErrorKind::Authentication, whose(&format!("holds {what}"))))
    }

    fn run(&self, command: &OidcCommand) -> Result<Secret> {
        let words: Vec<_> = command.words().iter().map(|word| Zeroizing::new(word.expose().to_owned())).collect();
        let whose = |what: &str| format!("the program {:?} {what}", command.program());
        let error = |what: &str| failed(ErrorKind::Authentication, whose(what));
        let limit = self.limits.machine;
        match self.shared.system.run(&words, MAX_TOKEN, limit) {
            Ok(ProcessOutcome::Success(output)) => text(&output).map_err(|what| error(&format!("printed {what}"))),
            Ok(ProcessOutcome::Failed(status)) => Err(error(&format!("did not end well: {status}"))),
            Ok(ProcessOutcome::OutputTooLong) => Err(error("printed more than 48 KiB")),
            Ok(ProcessOutcome::TimedOut) => {
                Err(failed(ErrorKind::Timeout, whose(&format!("printed no token within {}", limit.name()))))
            }
            Err(source) => Err(error("could not be run").with_source(source)),
        }
    }
}

/// A token with space around it.
pub(super) fn text(bytes: &[u8]) -> Result<Secret, &'static str> {
    let token = std::str::from_utf8(bytes).map_err(|_| "no token: it is not UTF-8")?.trim();
    sendable(token).map(|()| Secret::from(token))
}

/// Bearer tokens are visible ASCII (RFC 6750, section 2.1). What is not, a page of HTML for instance, stays here.
pub(super) fn sendable(token: &str) -> Result<(), &'static str> {
    match token {
        "" => Err("no token: it is empty"),
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("no token: it has blanks, control characters, or letters beyond ASCII in it")
        }
        _ => Ok(()),
    }
}

pub(super) fn too_long(who: &str, token: Secret) -> Result<Secret> {
    match token.expose().len() > MAX_TOKEN {
        true => Err(failed(ErrorKind::Authentication, format!("{who} gave an access_token of more than 48 KiB"))),
        false => Ok(token),
    }
}

/// An answer that is no token, with what it says: these services put the reason into the body.
pub(super) fn failed_answer(who: &str, answer: &Answer) -> Error {
    let message = format!("{who} answered with HTTP status {}: {}", answer.status, quoted(&answer.body));
    failed(ErrorKind::Authentication, message)
}

/// The beginning of a body, but for whatever in it may be a token: no reason for a refusal looks like one.
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

/// No answer. Most likely the program does not run where it is said to.
pub(super) fn http_failed(who: &str, error: Error) -> Error {
    // A failure of this service is none of the server's, which others than this one judge by the kind.
    let kind = match error.kind() {
        ErrorKind::Timeout => ErrorKind::Timeout,
        _ => ErrorKind::Authentication,
    };
    let message = format!("{who} gave no token: {}", error.message());
    failed(kind, message).with_source(error).with_hint("does the program run in this ENVIRONMENT?")
}

/// Where Kubernetes puts it.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How many characters of a refusal an error quotes.
const QUOTED: usize = 300;

/// Longer ones than any word of a reason, or an identifier in it.
const LONGEST_WORD: usize = 64;

/// In lower case.
const SECRET_FIELDS: &[&str] =
    &["access_token", "id_token", "refresh_token", "client_secret", "client_assertion", "password"];
