//! AWS Signature Version 4, for requests whose headers are all signed.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::credential::AwsKeys;
use crate::hex::hex;

/// A request to be signed.
pub(super) struct Signing<'a> {
    /// `GET`, `POST`, …
    pub(super) method: &'a str,
    /// The path, percent-encoded; begins with a slash.
    pub(super) path: &'a str,
    /// The query in its canonical form (encoded, sorted), without the question mark.
    pub(super) query: &'a str,
    /// Names in lower case, in any order: `host` and `x-amz-date` among them, and `x-amz-security-token` for temporary keys.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(super) body: &'a [u8],
    /// `YYYYMMDDTHHMMSSZ`, the very value of `x-amz-date`.
    pub(super) date: &'a str,
    /// The region, such as `us-east-1`.
    pub(super) region: &'a str,
    /// The service, such as `sts`.
    pub(super) service: &'a str,
    /// Whose signature it is.
    pub(super) keys: &'a AwsKeys,
}

/// The value of the `Authorization` header.
pub(super) fn authorization(signing: &Signing<'_>) -> String {
    let day = signing.date.get(..DAY).unwrap_or(signing.date);
    let scope = format!("{day}/{}/{}/{REQUEST}", signing.region, signing.service);
    let (canonical, signed) = canonical_request(signing);
    let text = format!("{ALGORITHM}\n{}\n{scope}\n{}", signing.date, hex(&Sha256::digest(canonical.as_bytes())));
    let signature = hex(&*mac(&*signing_key(signing, day), text.as_bytes()));
    let id = &signing.keys.access_key_id;
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}")
}

/// The canonical request and the names of its headers. The headers may contain a token, so the string is wiped.
fn canonical_request(signing: &Signing<'_>) -> (Zeroizing<String>, String) {
    let mut headers = signing.headers.to_vec();
    headers.sort_unstable();
    let signed = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let length: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let rest = signing.method.len() + signing.path.len() + signing.query.len() + signed.len() + 100;
    let mut text = Zeroizing::new(String::with_capacity(length + rest));
    for part in [signing.method, signing.path, signing.query] {
        text.push_str(part);
        text.push('\n');
    }
    for (name, value) in headers {
        text.push_str(name);
        text.push(':');
        push_trimmed(&mut text, value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed);
    text.push('\n');
    text.push_str(&hex(&Sha256::digest(signing.body)));
    (text, signed)
}

/// A value without blanks at its ends, and with one where there were several.
fn push_trimmed(text: &mut String, value: &str) {
    for (at, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// The key of one day, region and service.
fn signing_key(signing: &Signing<'_>, day: &str) -> Zeroizing<[u8; 32]> {
    let secret = signing.keys.secret_access_key.expose();
    let mut start = Zeroizing::new(String::with_capacity(KEY_PREFIX.len() + secret.len()));
    start.push_str(KEY_PREFIX);
    start.push_str(secret);
    let day = mac(start.as_bytes(), day.as_bytes());
    let region = mac(&*day, signing.region.as_bytes());
    let service = mac(&*region, signing.service.as_bytes());
    mac(&*service, REQUEST.as_bytes())
}

fn mac(key: &[u8], text: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const KEY_PREFIX: &str = "AWS4";
const REQUEST: &str = "aws4_request";

/// The length of the part of a date that names the day.
const DAY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// From the suite that AWS published: "get-vanilla" and "post-x-www-form-urlencoded".
    #[test]
    fn the_published_vectors_come_out() {
        let keys = AwsKeys::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let date = "20150830T123600Z";
        let (host, amz_date) = (("host", "example.amazonaws.com"), ("x-amz-date", date));
        let mut signing = Signing {
            method: "GET",
            path: "/",
            query: "",
            headers: &[amz_date, host],
            body: b"",
            date,
            region: "us-east-1",
            service: "service",
            keys: &keys,
        };
        assert_eq!(
            authorization(&signing),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        let headers = [("content-type", "application/x-www-form-urlencoded"), host, amz_date];
        (signing.method, signing.headers, signing.body) = ("POST", &headers, b"Param1=value1");
        assert_eq!(
            authorization(&signing),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    #[test]
    fn blanks_in_values_count_once() {
        let mut text = String::new();
        push_trimmed(&mut text, "  a   b ");
        assert_eq!(text, "a b");
    }
}
