//! What OIDC reads from strangers: the server's identity provider, and the answers of metadata services.

use crate::auth::{azure_token, gcp_token, read_identity_provider};
use crate::deadline::Deadline;
use crate::system::{ScriptedServices, TestSystem};

/// The document in which a server names its identity provider, or the answer of a metadata service: what is read is within its
/// bounds, a token can be sent, and an error is short and prints no control character.
///
/// The first byte picks the kind, the second the status of a service's answer.
pub fn oidc_documents(data: &[u8]) {
    let Some((&[kind, status], body)) = data.split_first_chunk() else { return };
    if kind == 0 {
        match read_identity_provider(body) {
            Ok(info) => {
                assert!(!info.issuer.is_empty());
                assert!(info.request_scopes.is_none_or(|scopes| scopes.len() <= 1_000));
            }
            Err(what) => assert!(!what.contains(char::is_control)),
        }
        return;
    }
    let statuses = [200, 400, 401, 403, 404, 429, 500, 302];
    let status = statuses[usize::from(status) % statuses.len()];
    let http = ScriptedServices::new([(status, body.to_vec())]);
    let system = TestSystem { http: http.clone(), ..TestSystem::default() };
    let token = match kind {
        1 => azure_token(&system, "api://resource", None, Deadline::NEVER),
        _ => gcp_token(&system, "audience", Deadline::NEVER),
    };
    assert_eq!(http.asked().len(), 1);
    match token {
        Ok(token) => {
            let token = token.expose();
            assert!(status == 200 && (1..=48 * 1024).contains(&token.len()));
            assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err(error) => {
            let said = format!("{error:#}");
            assert!(said.len() < 4_000 && !said.contains(char::is_control), "{said:?}");
        }
    }
}
