//! Source: the metadata service of an EC2 instance, version 2: a token for a session first, then the keys of the instance's role.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use zeroize::Zeroizing;

use super::ask::{self, Question, aws_v6, check_url};
use super::{SearchContext, SourceResult, invalid, reply, short};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, CLOSED, Method, Request};
use crate::uri::percent_encode;

/// Asks the metadata service. It is the last source and needs no configuration. So a service that is missing or answers wrongly is
/// not an error: the search found no keys, and the report has the reason.
pub(super) fn look(context: &SearchContext<'_>) -> Result<SourceResult> {
    if context.variable(DISABLED).is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
        return Ok(SourceResult::Nothing(format!("{DISABLED} is true")));
    }
    let service = Service::of(context)?;
    Ok(match service.keys() {
        Ok(body) => {
            reply::of_ec2(&body).map_or_else(|what| SourceResult::Nothing(service.answered(&what)), SourceResult::Found)
        }
        Err(why) => SourceResult::Nothing(why),
    })
}

struct Service<'a> {
    context: &'a SearchContext<'a>,
    /// Without a slash at its end.
    url: String,
    /// How long the first answer may take.
    patience: Duration,
}

impl<'a> Service<'a> {
    fn of(context: &'a SearchContext<'a>) -> Result<Service<'a>> {
        let setting = |variable, name| context.variable(variable).or_else(|| in_profile(context, name));
        let url = match setting(ENDPOINT, "ec2_metadata_service_endpoint") {
            Some(url) => url,
            None => match setting(MODE, "ec2_metadata_service_endpoint_mode") {
                Some(mode) if mode.eq_ignore_ascii_case("ipv6") => IPV6.to_owned(),
                Some(mode) if !mode.eq_ignore_ascii_case("ipv4") => {
                    return Err(invalid(format!("{MODE} is {}; it can be ipv4 or ipv6", short(&mode))));
                }
                _ => IPV4.to_owned(),
            },
        };
        check_url(&url, ENDPOINT, NEAR)?;
        let patience = match setting(TIMEOUT, "metadata_service_timeout") {
            None => PATIENCE,
            Some(text) => match text.parse() {
                Ok(seconds @ 1..=60) => Duration::from_secs(seconds),
                _ => {
                    return Err(invalid(format!(
                        "{TIMEOUT} is {}; it is a number of seconds from 1 to 60",
                        short(&text)
                    )));
                }
            },
        };
        Ok(Service { context, url: url.trim_end_matches('/').to_owned(), patience })
    }

    /// The answer that should hold keys.
    fn keys(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let answer = self.ask(Method::Put, "/latest/api/token", &[(TOKEN_TTL, TTL)], self.patience)?;
        let token = match answer.status {
            200 => line(&answer.body, "token").map_err(|what| self.answered(&what))?,
            status => return Err(self.answered(&format!("status {status} when asked for a session"))),
        };
        let headers = [(TOKEN, token.as_str())];
        let answer = self.ask(Method::Get, ROLES, &headers, LATER_PATIENCE)?;
        let role = match answer.status {
            200 => line(&answer.body, "role's name").map_err(|what| self.answered(&what))?,
            404 => return Err("the instance has no role (an instance profile gives it one)".to_owned()),
            status => return Err(self.answered(&format!("status {status} when asked for the role"))),
        };
        let path = format!("{ROLES}{}", percent_encode(&role));
        let answer = self.ask(Method::Get, &path, &headers, LATER_PATIENCE)?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(self.answered(&format!("status {status} when asked for keys"))),
        }
    }

    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], limit: Duration) -> Result<Answer, String> {
        let url = format!("{}{path}", self.url);
        let deadline = Deadline::after(limit).named(LIMIT).earliest(self.context.deadline);
        if method == Method::Put {
            // Most machines are not EC2 instances, so there is no retry.
            let request = Request { method, url: &url, headers, body: &[], deadline, max_body: MAX_TOKEN };
            return self.context.system.http().send(&request).map_err(|error| self.silent(&error));
        }
        let question = Question { method, url: &url, headers, body: &[], deadline };
        ask::ask(self.context.system, &question).map_err(|error| self.silent(&error))
    }

    fn silent(&self, error: &Error) -> String {
        let what = error.told();
        match error.kind() {
            // The service may be there: its answers to containers are dropped one network hop too early.
            _ if error.is_timeout() => format!(
                "the metadata service {} gave no whole answer ({what}): either this is no EC2 instance, or the program runs in a \
                 container, which needs HttpPutResponseHopLimit 2 in the instance's metadata options; {DISABLED}=true saves the \
                 attempt",
                self.url
            ),
            _ if is_out_of_reach(error) => format!(
                "there is no metadata service, so this is no EC2 instance ({what}); {DISABLED}=true saves the attempt"
            ),
            _ if is_closed(error) => format!(
                "the metadata service {} accepted the connection and closed it ({what}); something else, such as a proxy, may \
                 listen at this address; {DISABLED}=true saves the attempt",
                self.url
            ),
            _ => format!(
                "the metadata service {} could not be asked ({what}); {DISABLED}=true saves the attempt",
                self.url
            ),
        }
    }

    fn answered(&self, what: &str) -> String {
        format!("the metadata service {} answered with {what}", self.url)
    }
}

/// Whether nothing listens there.
fn is_out_of_reach(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DnsResolve { .. })
        || io_kind(error).is_some_and(|kind| UNREACHABLE.contains(&kind))
}

/// Whether something listens there that ends the connection instead of answering.
fn is_closed(error: &Error) -> bool {
    error.message().starts_with(CLOSED) || io_kind(error).is_some_and(|kind| ENDED.contains(&kind))
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    std::error::Error::source(error)?.downcast_ref().map(io::Error::kind)
}

/// One line that goes into a header or a path.
fn line(body: &[u8], what: &str) -> Result<Zeroizing<String>, String> {
    let text = str::from_utf8(body).unwrap_or_default().trim();
    if (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Zeroizing::new(text.to_owned()))
    } else {
        Err(format!("a {what} that is empty or has characters that are not allowed in one"))
    }
}

/// As for endpoints, that of the profile that the environment names.
fn in_profile(context: &SearchContext<'_>, name: &str) -> Option<String> {
    context.profiles.chosen()?.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// How an attempt to connect fails where nothing listens.
const UNREACHABLE: &[io::ErrorKind] = &[
    io::ErrorKind::AddrNotAvailable,
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::NetworkUnreachable,
];
/// How a connection ends that was there.
const ENDED: &[io::ErrorKind] =
    &[io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];

const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const TIMEOUT: &str = "AWS_METADATA_SERVICE_TIMEOUT";

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";
const NEAR: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), aws_v6(0x254)];

const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Seconds that the session is needed for.
const TTL: &str = "30";

/// The limit of the first answer. On an instance it takes milliseconds; elsewhere every login waits until this limit.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the others may take, once the service is known to be there.
const LATER_PATIENCE: Duration = Duration::from_secs(5);
const LIMIT: &str = "the limit of a metadata service";

/// The most bytes of a session's token. AWS' have 56.
const MAX_TOKEN: usize = 4096;
