//! The region of a security token service, from the host name that the server sends.

/// The region that a request to this host is signed for. The error says what is wrong with the name.
///
/// `sts.amazonaws.com` is the global endpoint, in us-east-1. In any other name the second label is the region; a name of one
/// label (`localhost`) has no region, so us-east-1 is used.
pub(super) fn region(host: &str) -> Result<&str, &'static str> {
    check(host)?;
    if GLOBAL.iter().any(|global| host.eq_ignore_ascii_case(global)) {
        return Ok(DEFAULT);
    }
    Ok(host.split('.').nth(1).unwrap_or(DEFAULT))
}

/// Host names only: nothing that could become another header of the request that is signed.
fn check(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("the server names an empty STS host");
    }
    if host.len() > MAX_HOST {
        return Err("the server names an STS host of more than 255 bytes");
    }
    if host.split('.').any(str::is_empty) {
        return Err("the server names an STS host with an empty label");
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.bytes().all(fine) {
        Ok(())
    } else {
        Err("the server names an STS host with characters that no host name has")
    }
}

const DEFAULT: &str = "us-east-1";

/// Names without a region in them. The specification writes the second one, too.
const GLOBAL: &[&str] = &["sts.amazonaws.com", "aws.amazonaws.com"];

const MAX_HOST: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_specification() {
        for (host, expected) in [
            ("sts.amazonaws.com", "us-east-1"),
            ("STS.AMAZONAWS.COM", "us-east-1"),
            ("aws.amazonaws.com", "us-east-1"),
            ("sts.us-west-2.amazonaws.com", "us-west-2"),
            ("sts.us-west-2.amazonaws.com.ch", "us-west-2"),
            ("sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("example.com", "com"),
            ("localhost", "us-east-1"),
            ("first.second", "second"),
            ("first", "us-east-1"),
        ] {
            assert_eq!(region(host), Ok(expected), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(256);
        for (host, why) in [
            ("", "empty STS host"),
            ("sts..com", "empty label"),
            (".amazonaws.com", "empty label"),
            ("sts.amazonaws.", "empty label"),
            (".", "empty label"),
            (long.as_str(), "more than 255"),
            ("sts.amazonaws.com\r\nx-evil: 1", "no host name has"),
            ("sts.amazonaws.com\n", "no host name has"),
            ("sts amazonaws.com", "no host name has"),
            ("sts.amazonaws.com/", "no host name has"),
            ("sts.us-east-1\u{0}.com", "no host name has"),
            ("stś.com", "no host name has"),
        ] {
            let error = region(host).unwrap_err();
            assert!(error.contains(why), "{host:?}: {error}");
        }
        assert!(region(&"a".repeat(255)).is_ok());
    }
}
