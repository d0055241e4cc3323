//! Sends requests to a service over HTTP, with retries; and decides which hosts may be asked without TLS.

use std::net::{IpAddr, Ipv6Addr};
use std::thread;
use std::time::Duration;

use ureq::http::Uri;

use super::{failed, invalid, short};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::http::{Answer, Method, Request};
use crate::options::is_local;
use crate::system::System;

/// A question to a service.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    pub(super) deadline: Deadline,
}

/// The answer. If the status is 429 or 5xx, the request is sent again while there is time. A service that does not answer or
/// cannot be reached is not asked again.
pub(super) fn ask(system: &dyn System, question: &Question<'_>) -> Result<Answer> {
    let Question { method, url, headers, body, deadline } = *question;
    let deadline = Deadline::after(LONGEST).named(LIMIT).earliest(deadline);
    let request = Request { method, url, headers, body, deadline, max_body: MAX_BODY };
    let mut pauses = PAUSES.iter();
    loop {
        let answer = system.http().send(&request)?;
        let busy = answer.status == 429 || (500..600).contains(&answer.status);
        match pauses.next().filter(|pause| busy && deadline.remaining().is_none_or(|left| left > **pause)) {
            Some(pause) => thread::sleep(*pause),
            None => return Ok(answer),
        }
    }
}

/// Checks a URL that secrets are sent to or fetched from. https is allowed for any host, http only for this machine and the
/// addresses in `also`.
pub(super) fn check_url(url: &str, what: &str, also: &[IpAddr]) -> Result<Uri> {
    let uri: Uri = url.parse().map_err(|_| invalid(format!("{what} is not a URL")))?;
    let (Some(scheme), Some(host), Some(authority)) = (uri.scheme_str(), uri.host(), uri.authority()) else {
        return Err(invalid(format!("{what} is not a URL with http:// or https:// and a host")));
    };
    if authority.as_str().contains('@') || host.is_empty() {
        return Err(invalid(format!("{what} has a user name in it, or no host")));
    }
    match scheme {
        "https" => Ok(uri),
        "http" if is_near(host, also) => Ok(uri),
        "http" => Err(invalid(format!("{what} names the host {host:?} without TLS")).with_hint(
            "others could read the keys on the way: https is needed, except to this machine itself (127.0.0.1, localhost)",
        )),
        _ => Err(invalid(format!("{what} begins with neither http:// nor https://"))),
    }
}

fn is_near(host: &str, also: &[IpAddr]) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_local(host) || bare.parse().is_ok_and(|address| also.contains(&address))
}

/// A service gave no answer at all.
pub(super) fn unanswered(who: &str, error: &Error) -> Error {
    let unanswered = failed(format!("{who} could not be asked: {}", error.told()));
    match error.hint() {
        Some(hint) => unanswered.with_hint(hint.to_owned()),
        None => unanswered,
    }
}

/// The reason that a service gives, for a message: shortened, and left out if it repeats one of the secrets that were sent to it.
pub(super) fn quoted_words(text: &str, secrets: &[&str]) -> String {
    if secrets.iter().any(|secret| secret.len() >= SHORTEST_SECRET && text.contains(secret)) {
        "(its text repeats a secret and is not shown)".to_owned()
    } else {
        short(text)
    }
}

/// An address of IPv6 that AWS has for metadata: `fd00:ec2::…`.
pub(super) const fn aws_v6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, last))
}

/// How long one question may take, if the search has no shorter limit.
const LONGEST: Duration = Duration::from_secs(10);
const LIMIT: &str = "the 10 seconds that a service for AWS keys has";

/// Between one try and the next.
const PAUSES: &[Duration] = &[Duration::from_millis(200), Duration::from_millis(600)];

/// The most bytes of an answer. The longest, keys with a token, have a few thousand.
const MAX_BODY: usize = 64 * 1024;

/// A shorter secret could be part of a text by chance.
const SHORTEST_SECRET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_this_machine_is_asked() {
        let also = [aws_v6(0x23), "169.254.170.2".parse().unwrap()];
        for url in [
            "https://sts.amazonaws.com",
            "https://[2001:db8::1]:8443/x?y=1",
            "http://localhost:4566",
            "http://LOCALHOST/",
            "http://127.0.0.1",
            "http://127.1.2.3:80/creds",
            "http://[::1]:1/",
            "http://169.254.170.2/x",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(check_url(url, "it", &also).is_ok(), "{url}");
        }
        for (url, what) in [
            ("http://169.254.170.3/x", "without TLS"),
            ("http://example.com/", "without TLS"),
            ("http://localhost.example.com/", "without TLS"),
            ("http://127.0.0.1.example.com/", "without TLS"),
            ("http://2130706433/", "without TLS"),
            ("http://[::ffff:10.0.0.1]/", "without TLS"),
            ("http://localhost@example.com/", "user name"),
            ("http://localhost:1@example.com/", "user name"),
            ("ftp://localhost/", "neither"),
            ("file:///etc/passwd", "not a URL"),
            ("localhost:80", "not a URL"),
            ("/v2/credentials", "not a URL"),
            ("http://", "not a URL"),
            ("http://local host/", "not a URL"),
            ("http://localhost/\r\nx: y", "not a URL"),
            ("", "not a URL"),
        ] {
            let error = check_url(url, "it", &also).expect_err(url);
            assert!(error.message().contains(what), "{url}: {error}");
        }
    }

    #[test]
    fn words_that_repeat_a_secret_are_kept_back() {
        assert_eq!(quoted_words("no \"x\"", &["token"]), "\"no \\\"x\\\"\"");
        assert!(!quoted_words("a token1 b", &["x", "token1"]).contains("token1"));
        assert_eq!(quoted_words(&"é".repeat(10_000), &[]).chars().count(), 302);
    }
}
