//! A search for AWS keys in a made-up system.

use sha2::{Digest, Sha256};

use crate::auth::find_aws_keys;
use crate::hex::hex;
use crate::system::{ScriptedServices, TestSystem};

/// A search in which files, programs and services say what the data says: whatever that is, keys are whole, and an error does not
/// show what they are assumed with.
///
/// The first byte picks what is set up, the second how many services answer first, with what status; `%` separates the config
/// file, the credentials file, and what everything else says. The secret is made from the data, so the data cannot hold it; it
/// stands for the value of each line that begins with `aws_secret_access_key=` or `aws_session_token=`.
pub fn aws(data: &[u8]) {
    let Some((&[choice, status], rest)) = data.split_first_chunk() else { return };
    let secret = hex(&Sha256::digest(data));
    let mut parts = rest.splitn(3, |byte| *byte == b'%');
    let [config, credentials, rest] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let mut system = TestSystem { home: Some("/home".into()), output: Some(rest.to_vec()), ..TestSystem::default() };
    system.set_variable("AWS_ENDPOINT_URL", "http://localhost");
    system.set_variable("AWS_PROFILE", if choice & 1 == 0 { "default" } else { "p" });
    if choice & 2 != 0 {
        system.set_variable("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
        system.set_variable("AWS_ROLE_ARN", "arn");
    }
    if choice & 4 != 0 {
        system.set_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/");
        system.set_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN", &secret);
    }
    if choice & 8 != 0 {
        system.set_variable("AWS_EC2_METADATA_DISABLED", "true");
    }
    system.set_file("/home/.aws/config", with_secret(config, &secret));
    system.set_file("/home/.aws/credentials", with_secret(credentials, &secret));
    system.set_file("/token", secret.as_str());
    let login = format!(r#"{{"accessToken":"{secret}","expiresAt":"2099-01-01T00:00:00Z"}}"#);
    // The file of the session or URL `u`.
    system.set_file("/home/.aws/sso/cache/51e69892ab49df85c6230ccc57f8e1d1606caccc.json", login);
    // None of these is asked again after a pause.
    let statuses = [200, 400, 401, 403, 404, 302];
    let first = statuses[usize::from(status) % statuses.len()];
    let before = std::iter::repeat_n((first, b"token".to_vec()), usize::from(status >> 6));
    system.http = ScriptedServices::new(before.chain([(first, rest.to_vec())]));
    match find_aws_keys(&system) {
        Ok(keys) => assert!(!keys.access_key_id.is_empty() && !keys.secret_access_key.is_empty()),
        Err(error) => assert!(!format!("{error:#}").contains(&secret), "{error}"),
    }
}

fn with_secret(text: &[u8], secret: &str) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| {
        let names = ["aws_secret_access_key=", "aws_session_token="];
        match names.into_iter().find(|name| line.starts_with(name.as_bytes())) {
            Some(name) => [name.as_bytes(), secret.as_bytes()].concat(),
            None => line.to_vec(),
        }
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}
