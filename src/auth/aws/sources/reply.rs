//! Keys in the JSON that programs and services answer with.

use std::time::SystemTime;

use serde::Deserialize;

use super::super::time;
use super::short;
use crate::credential::AwsKeys;
use crate::json;
use crate::secret::Secret;

/// What `credential_process`, container endpoints and the metadata service of EC2 write, more or less.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    version: Option<u64>,
    code: Option<String>,
    access_key_id: Option<String>,
    #[serde(default, deserialize_with = "json::secret")]
    secret_access_key: Option<Secret>,
    #[serde(default, deserialize_with = "json::secret")]
    token: Option<Secret>,
    #[serde(default, deserialize_with = "json::secret")]
    session_token: Option<Secret>,
    expiration: Option<String>,
}

/// What a `credential_process` prints. The error continues a sentence that begins with "printed".
pub(super) fn of_process(text: &[u8]) -> Result<AwsKeys, String> {
    let reply: Reply = json::parse(text)?;
    match reply.version {
        Some(1) => reply.keys(|reply| reply.session_token),
        Some(version) => Err(format!("keys of Version {version}; only 1 is known")),
        None => Err("no Version, which must be 1".to_owned()),
    }
}

/// What the endpoint of a container answers with.
pub(super) fn of_container(text: &[u8]) -> Result<AwsKeys, String> {
    json::parse::<Reply>(text)?.keys(|reply| reply.token)
}

/// What the metadata service of EC2 answers with: temporary keys, or a code that says why not.
pub(super) fn of_ec2(text: &[u8]) -> Result<AwsKeys, String> {
    let reply: Reply = json::parse(text)?;
    match &reply.code {
        Some(code) if code != "Success" => return Err(format!("the code {} instead of keys", short(code))),
        _ => {}
    }
    let keys = reply.keys(|reply| reply.token)?;
    match (&keys.session_token, keys.expires) {
        (Some(_), Some(_)) => Ok(keys),
        _ => Err("keys without Token or Expiration".to_owned()),
    }
}

impl Reply {
    fn keys(mut self, token: impl FnOnce(Reply) -> Option<Secret>) -> Result<AwsKeys, String> {
        let id = self.access_key_id.take().filter(|id| !id.is_empty()).ok_or("no AccessKeyId")?;
        let secret = self.secret_access_key.take().filter(|secret| !secret.is_empty()).ok_or("no SecretAccessKey")?;
        let expires = self.expiration.as_deref().map(expiration).transpose()?;
        let mut keys = AwsKeys::new(id, secret);
        (keys.session_token, keys.expires) = (token(self).filter(|token| !token.is_empty()), expires);
        Ok(keys)
    }
}

/// A date of ISO 8601; older tools end it with `UTC`.
pub(super) fn expiration(text: &str) -> Result<SystemTime, String> {
    let plain = text.strip_suffix("UTC").map(|date| format!("{date}Z"));
    time::parse_iso8601(plain.as_deref().unwrap_or(text)).ok_or_else(|| "a date of expiry that is not valid".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::noise::Noise;
    use std::time::{Duration, UNIX_EPOCH};

    const WHOLE: &str = r#"{"Version": 1, "Code": "Success", "LastUpdated": "x", "AccessKeyId": "AKID",
        "SecretAccessKey": "hunter2", "Token": "T", "SessionToken": "S", "Expiration": "2026-01-01T00:00:00Z"}"#;

    #[test]
    fn each_takes_the_fields_that_are_meant_for_it() {
        let at = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        for (keys, token) in [
            (of_process(WHOLE.as_bytes()), "S"),
            (of_container(WHOLE.as_bytes()), "T"),
            (of_ec2(WHOLE.as_bytes()), "T"),
        ] {
            let keys = keys.unwrap();
            assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.expose()), ("AKID", "hunter2"));
            assert_eq!(keys.session_token.unwrap().expose(), token);
            assert_eq!(keys.expires, Some(at));
        }
        let bare =
            of_process(br#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "B", "Expiration": null}"#).unwrap();
        assert!(bare.session_token.is_none() && bare.expires.is_none());
        assert_eq!(expiration("2026-01-01T00:00:00UTC"), Ok(at));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (from, to, what) in [
            (r#""Version": 1"#, r#""Version": 2"#, "of Version 2"),
            (r#""Version": 1, "#, "", "no Version"),
            (r#""Version": 1"#, r#""Version": "1""#, "not the JSON that is expected"),
            ("AKID", "", "no AccessKeyId"),
            ("AccessKeyId", "accessKeyId", "no AccessKeyId"),
            ("hunter2", "", "no SecretAccessKey"),
            (r#""hunter2""#, "1", "not the JSON that is expected"),
            ("2026-01-01", "tomorrow", "a date of expiry that is not valid"),
            ("2026-01-01T00:00:00Z", "", "a date of expiry that is not valid"),
            ("}", "", "breaks off"),
        ] {
            let error = of_process(WHOLE.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.contains(what), "{to}: {error}");
        }
        for (from, to, what) in [
            ("Success", "AssumeRoleUnauthorizedAccess", "the code \"AssumeRoleUnauthorizedAccess\""),
            (r#""T""#, "null", "without Token or Expiration"),
            (r#""2026-01-01T00:00:00Z""#, "null", "without Token or Expiration"),
        ] {
            let error = of_ec2(WHOLE.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.contains(what), "{to}: {error}");
        }
    }

    #[test]
    fn spoilt_answers_panic_nothing_and_leak_nothing() {
        let mut noise = Noise(3);
        for _ in 0..2000 {
            let spoilt = noise.spoil(WHOLE.as_bytes());
            for error in
                [of_process(&spoilt), of_container(&spoilt), of_ec2(&spoilt)].into_iter().filter_map(Result::err)
            {
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }
}
