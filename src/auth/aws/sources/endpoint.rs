//! Regions, and the hosts of STS and of IAM Identity Center in them.

use std::fmt;

use super::ask::check_url;
use super::{SearchContext, invalid, short};
use crate::error::Result;

/// Where a service is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `https` or `http`.
    scheme: String,
    /// `host` or `host:port`.
    pub(super) host: String,
    /// Begins with a slash.
    pub(super) path: String,
    /// The region that requests are signed for.
    pub(super) region: String,
}

/// The security token service: the one that is configured by its URL, or that of the region, or the global one.
pub(super) fn sts(context: &SearchContext<'_>) -> Result<Endpoint> {
    let region = region(context)?;
    if let Some(endpoint) = configured(context, "sts", "AWS_ENDPOINT_URL_STS", region.as_deref())? {
        return Ok(endpoint);
    }
    let variant = Variant::asked_for(context);
    let Some(region) = region.filter(|region| region != "aws-global") else {
        if variant != Variant::default() {
            return Err(invalid(format!("{variant} needs a region (AWS_REGION): the global host of STS has none")));
        }
        return Ok(Endpoint::of_aws(GLOBAL_STS.to_owned(), GLOBAL_REGION));
    };
    let regional = match regional_endpoints(context).as_deref() {
        None | Some("regional") => true,
        Some("legacy") => !LEGACY_REGIONS.contains(&region.as_str()),
        Some(other) => {
            let what = "AWS_STS_REGIONAL_ENDPOINTS (in a profile: sts_regional_endpoints)";
            return Err(invalid(format!("{what} is {}; it can be regional or legacy", short(other))));
        }
    };
    if regional || variant != Variant::default() {
        Ok(Endpoint::of_aws(variant.host(STS, &region)?, &region))
    } else {
        Ok(Endpoint::of_aws(GLOBAL_STS.to_owned(), GLOBAL_REGION))
    }
}

/// The portal of IAM Identity Center, in the region that the profile names for it.
pub(super) fn portal(context: &SearchContext<'_>, region: &str) -> Result<Endpoint> {
    check_region(region, "the profile's sso_region")?;
    match configured(context, "sso", "AWS_ENDPOINT_URL_SSO", Some(region))? {
        Some(endpoint) => Ok(endpoint),
        None => Ok(Endpoint::of_aws(Variant::asked_for(context).host("portal.sso", region)?, region)),
    }
}

/// Which of a service's hosts: with cryptography validated by FIPS 140, with addresses of IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Variant {
    fips: bool,
    dual_stack: bool,
}

impl Variant {
    fn asked_for(context: &SearchContext<'_>) -> Variant {
        let on = |variable: &str, name: &str| {
            let set = context.variable(variable).or_else(|| in_profile(context, name).map(str::to_owned));
            set.is_some_and(|set| set.eq_ignore_ascii_case("true"))
        };
        Variant {
            fips: on("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            dual_stack: on("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        }
    }

    fn host(self, service: &str, region: &str) -> Result<String> {
        let (suffix, of_dual_stack) = suffixes(region);
        let suffix = match (self.dual_stack, of_dual_stack) {
            (false, _) => suffix,
            (true, Some(suffix)) => suffix,
            (true, None) => return Err(invalid(format!("{self}: there are no such hosts in the region {region}"))),
        };
        // In the partition for the government of the United States each host of STS is such a host.
        let each_is = service == STS && region.starts_with("us-gov-") && !self.dual_stack;
        let fips = if self.fips && !each_is { "-fips" } else { "" };
        Ok(format!("{service}{fips}.{region}.{suffix}"))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.fips, self.dual_stack) {
            (true, false) => "AWS_USE_FIPS_ENDPOINT",
            (false, true) => "AWS_USE_DUALSTACK_ENDPOINT",
            _ => "AWS_USE_FIPS_ENDPOINT with AWS_USE_DUALSTACK_ENDPOINT",
        })
    }
}

impl Endpoint {
    fn of_aws(host: String, region: &str) -> Endpoint {
        Endpoint { scheme: "https".to_owned(), host, path: "/".to_owned(), region: region.to_owned() }
    }

    /// Its URL, with more of a path behind it, which begins with a slash if it is not empty.
    pub(super) fn url(&self, more: &str) -> String {
        let Endpoint { scheme, host, path, .. } = self;
        let path = if more.is_empty() { path } else { path.trim_end_matches('/') };
        format!("{scheme}://{host}{path}{more}")
    }
}

/// The region of this program, by the environment or the profile.
fn region(context: &SearchContext<'_>) -> Result<Option<String>> {
    let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| Some((*name, context.variable(name)?)));
    let (what, region) = match named {
        Some((name, region)) => (name, region),
        None => match in_profile(context, "region") {
            Some(region) => ("the profile's region", region.to_owned()),
            None => return Ok(None),
        },
    };
    check_region(&region, what)?;
    Ok(Some(region))
}

/// It becomes part of a host's name, so it has to be a label of one.
fn check_region(region: &str, what: &str) -> Result<()> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = region.starts_with('-') || region.ends_with('-');
    if (1..=63).contains(&region.len()) && region.bytes().all(fine) && !edges {
        Ok(())
    } else {
        Err(invalid(format!("{what} is {}, which is not the name of a region", short(region))))
    }
}

fn regional_endpoints(context: &SearchContext<'_>) -> Option<String> {
    let set = context.variable("AWS_STS_REGIONAL_ENDPOINTS");
    let set = set.or_else(|| in_profile(context, "sts_regional_endpoints").map(str::to_owned));
    set.map(|set| set.to_ascii_lowercase())
}

/// The URL that the environment or the profile gives a service: the service's own before that for all.
fn configured(
    context: &SearchContext<'_>,
    service: &str,
    variable: &str,
    region: Option<&str>,
) -> Result<Option<Endpoint>> {
    let ignored = context.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    let ignored = ignored.or_else(|| in_profile(context, "ignore_configured_endpoint_urls").map(str::to_owned));
    if ignored.is_some_and(|ignored| ignored.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let named = [variable, "AWS_ENDPOINT_URL"].iter().find_map(|name| Some((*name, context.variable(name)?)));
    let (what, url) = match named {
        Some((name, url)) => (name, url),
        None => match in_files(context, service)? {
            Some(url) => ("the profile's endpoint_url", url),
            None => return Ok(None),
        },
    };
    let uri = check_url(&url, what, &[])?;
    match (uri.scheme_str(), uri.authority(), uri.query()) {
        (Some(scheme), Some(authority), None) => Ok(Some(Endpoint {
            scheme: scheme.to_owned(),
            host: authority.to_string(),
            path: uri.path().to_owned(),
            region: region.unwrap_or(GLOBAL_REGION).to_owned(),
        })),
        _ => Err(invalid(format!("{what} has a query in it"))),
    }
}

fn in_files(context: &SearchContext<'_>, service: &str) -> Result<Option<String>> {
    let Some(section) = in_profile(context, "services") else {
        return Ok(in_profile(context, "endpoint_url").map(str::to_owned));
    };
    if !context.profiles.has_section("services", section) {
        return Err(invalid(format!(
            "the profile names the services {section:?}, and the config file has no such section"
        )));
    }
    let own = context.profiles.of_section("services", section, service);
    let own = own.and_then(|value| super::ini::nested(value, "endpoint_url"));
    Ok(own.or_else(|| in_profile(context, "endpoint_url")).filter(|url| !url.is_empty()).map(str::to_owned))
}

/// A setting of the profile that the environment names, also while another one's keys are looked for on its behalf.
fn in_profile<'a>(context: &SearchContext<'a>, name: &str) -> Option<&'a str> {
    context.profiles.chosen()?.get(name).filter(|value| !value.is_empty())
}

/// The end of host names in the partition that a region belongs to: the usual ones, and those of dual stack.
fn suffixes(region: &str) -> (&'static str, Option<&'static str>) {
    let other = PARTITIONS.iter().find(|(prefix, ..)| region.starts_with(prefix));
    other.map_or(("amazonaws.com", Some("api.aws")), |(_, suffix, of_dual_stack)| (suffix, *of_dual_stack))
}

/// Partitions whose hosts do not end with `amazonaws.com`. (Those of `us-gov-` do.)
const PARTITIONS: &[(&str, &str, Option<&str>)] = &[
    ("cn-", "amazonaws.com.cn", Some("api.amazonwebservices.com.cn")),
    ("us-iso-", "c2s.ic.gov", Some("api.aws")),
    ("us-isob-", "sc2s.sgov.gov", Some("api.aws")),
    ("us-isof-", "csp.hci.ic.gov", None),
    ("eu-isoe-", "cloud.adc-e.uk", None),
    ("eusc-", "amazonaws.eu", Some("api.amazonwebservices.eu")),
];

/// The service's name in hosts.
const STS: &str = "sts";

const GLOBAL_STS: &str = "sts.amazonaws.com";

/// Requests to the global endpoint are signed for it.
const GLOBAL_REGION: &str = "us-east-1";

/// Regions that have the global endpoint for `legacy`. The list is closed: newer regions never had it.
const LEGACY_REGIONS: &[&str] = &[
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
