//! The one place where options are validated together, once connection string and code are known.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::option_map::{OptionMap, Seen};
use super::parent_domain::ParentDomain;
use super::raw::RawOptions;
use super::spec::OptionId;
use super::value::Value;
use super::{
    Acknowledgment, ClientSettings, Monitoring, ReadConcern, ReadPreference, ReadPreferenceMode, ReadPreferenceOptions,
    ServerAddress, TagSet, WriteConcern, credential, protection, tls,
};
use crate::credential::{CanonicalizeHostName, Credential, ScramMechanism};
use crate::error::{Error, Result};
use crate::policy::SecurityPolicy;
use crate::warning::{WarningKind, Warnings};

pub(super) fn options(mut given: RawOptions) -> Result<ClientSettings> {
    let mut warnings = given.uri_warnings.clone();
    if given.srv_host.is_some() && !given.hosts.is_empty() {
        return Err(Error::invalid_argument(
            "hosts are given in code beside a mongodb+srv connection string, whose hosts come from DNS",
        ));
    }
    if given.srv_host.is_none() && given.hosts.is_empty() {
        given.hosts.push(ServerAddress::parse("localhost")?);
    }
    let mut hosts = given.hosts.clone();
    hosts.sort();
    hosts.dedup();
    if hosts.len() != given.hosts.len() {
        let mut seen = Vec::new();
        given.hosts.retain(|host| {
            !seen.contains(host) && {
                seen.push(host.clone());
                true
            }
        });
    }
    let hosts = match &given.seedlist {
        Some(seedlist) => &seedlist.hosts,
        None => &given.hosts,
    };
    check_topology(&given, hosts.len())?;
    check_names(&given)?;
    check_proxy(&given.settings)?;
    check_pool(&given.settings)?;
    let tls = tls::options(&given)?;
    let credential = credential::credential(&given, &mut warnings)?;
    check_strength(credential.as_ref(), &given.in_code.policy)?;
    let preference = read_preference(&given)?;
    let selection_criteria = given.predicate.clone().unwrap_or_else(|| preference.into());
    let write_concern = write_concern(&given.settings)?;
    warn_of_no_effect(&given.settings, &mut warnings);
    check_monitoring(&given, &mut warnings)?;
    if given.settings.has(OptionId::ProxyHost) {
        warn_of_look_ups(credential.as_ref(), &mut warnings);
    }
    if given.srv_host.is_none() && !given.in_code.name_servers.is_empty() {
        warnings.add(WarningKind::NoEffect, "name_servers has no effect without mongodb+srv");
    }
    if let Some(tls) = &tls {
        tls::warn_of_danger(tls, matches!(credential, Some(Credential::X509(_))), &mut warnings);
    }
    protection::check(credential.as_ref(), tls.as_ref(), hosts, &given.in_code.policy, &mut warnings)?;
    let settings = &given.settings;
    Ok(ClientSettings {
        hosts: hosts.clone(),
        credential,
        driver_info: given.driver_info.clone(),
        tls,
        selection_criteria,
        read_concern: settings.text(OptionId::ReadConcernLevel).map(ReadConcern::custom),
        write_concern,
        warnings: warnings.into_vec(),
        given,
    })
}

fn check_topology(given: &RawOptions, hosts: usize) -> Result<()> {
    let settings = &given.settings;
    let srv = given.srv_host.is_some();
    let direct = settings.bool(OptionId::DirectConnection) == Some(true);
    let balanced = settings.bool(OptionId::LoadBalanced) == Some(true);
    let replica_set = settings.has(OptionId::ReplicaSet);
    let max_hosts = settings.number(OptionId::SrvMaxHosts).unwrap_or_default() > 0;
    let refused = if direct && hosts > 1 {
        "directConnection=true allows only one host"
    } else if direct && srv {
        "directConnection=true cannot be used with mongodb+srv, which may name several hosts"
    } else if balanced && hosts > 1 {
        "loadBalanced=true allows only one host: the load balancer's"
    } else if balanced && replica_set {
        "loadBalanced=true and replicaSet exclude one another"
    } else if balanced && direct {
        "loadBalanced=true and directConnection=true exclude one another"
    } else if !srv && settings.has(OptionId::SrvMaxHosts) {
        "srvMaxHosts can be used with mongodb+srv only"
    } else if !srv && settings.has(OptionId::SrvServiceName) {
        "srvServiceName can be used with mongodb+srv only"
    } else if !srv && given.in_code.srv_allowed_hosts_suffix.is_some() {
        "srv_allowed_hosts_suffix can be used with mongodb+srv only"
    } else if max_hosts && replica_set {
        "srvMaxHosts and replicaSet exclude one another"
    } else if max_hosts && balanced {
        "srvMaxHosts and loadBalanced=true exclude one another"
    } else {
        return Ok(());
    };
    Err(Error::invalid_argument(refused))
}

fn check_names(given: &RawOptions) -> Result<()> {
    if given.resolver.is_some() && !given.in_code.name_servers.is_empty() {
        return Err(Error::invalid_argument("resolver and name_servers exclude one another"));
    }
    match &given.in_code.srv_allowed_hosts_suffix {
        Some(suffix) => ParentDomain::allowed(suffix).map(drop),
        None => Ok(()),
    }
}

fn check_proxy(settings: &OptionMap) -> Result<()> {
    let [host, username, password] =
        [OptionId::ProxyHost, OptionId::ProxyUsername, OptionId::ProxyPassword].map(|o| settings.has(o));
    if !host && (settings.has(OptionId::ProxyPort) || username || password) {
        return Err(Error::invalid_argument("proxyPort, proxyUsername and proxyPassword need proxyHost"));
    }
    if username != password {
        return Err(Error::invalid_argument("proxyUsername and proxyPassword must be given together"));
    }
    let username = settings.text(OptionId::ProxyUsername).map(str::len);
    let password = settings.secret(OptionId::ProxyPassword).map(|password| password.expose().len());
    if username.max(password).is_some_and(|length| length > MAX_PROXY_LOGIN) {
        return Err(Error::invalid_argument(format!(
            "proxyUsername and proxyPassword have at most {MAX_PROXY_LOGIN} bytes each"
        )));
    }
    let host = settings.text(OptionId::ProxyHost).unwrap_or_default();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.contains([':', '/', '@']) && address.parse::<Ipv6Addr>().is_err() {
        return Err(Error::invalid_argument("proxyHost must be a host name or an IP address")
            .with_hint("the port is given as proxyPort, the login as proxyUsername and proxyPassword"));
    }
    Ok(())
}

fn check_pool(settings: &OptionMap) -> Result<()> {
    let (min, max) = (u32::seen(settings, OptionId::MinPoolSize), u32::seen(settings, OptionId::MaxPoolSize));
    if max > 0 && min > max {
        return Err(Error::invalid_argument(format!("minPoolSize ({min}) is greater than maxPoolSize ({max})")));
    }
    Ok(())
}

fn check_strength(credential: Option<&Credential>, policy: &SecurityPolicy) -> Result<()> {
    let weak = match credential {
        Some(Credential::Cr(_)) => "MONGODB-CR",
        Some(Credential::Scram(scram)) if scram.mechanism == Some(ScramMechanism::Sha1) => "SCRAM-SHA-1",
        _ => return Ok(()),
    };
    if policy.refuses_weak_mechanisms() {
        return Err(Error::invalid_argument(format!("the security policy refuses weak mechanisms, such as {weak}")));
    }
    Ok(())
}

fn read_preference(given: &RawOptions) -> Result<ReadPreference> {
    let (mode, options) = read_preference_parts(given);
    let has_tags = options.tag_sets.iter().flatten().any(|set| !set.is_empty());
    if mode == ReadPreferenceMode::Primary && has_tags {
        return Err(Error::invalid_argument("readPreferenceTags cannot be used with the read preference primary"));
    }
    if mode == ReadPreferenceMode::Primary && options.max_staleness.is_some() {
        return Err(Error::invalid_argument("maxStalenessSeconds cannot be used with the read preference primary"));
    }
    let heartbeat = Duration::seen(&given.settings, OptionId::HeartbeatFrequencyMs);
    if options.max_staleness.is_some_and(|limit| limit < heartbeat + IDLE_WRITE_PERIOD) {
        return Err(Error::invalid_argument("maxStalenessSeconds is less than heartbeatFrequencyMS plus 10 seconds"));
    }
    let set = options != ReadPreferenceOptions::default();
    Ok(ReadPreference::with_mode(mode, set.then_some(options)))
}

/// What the options say about the read preference, whether it goes together or not.
pub(super) fn read_preference_parts(given: &RawOptions) -> (ReadPreferenceMode, ReadPreferenceOptions) {
    let settings = &given.settings;
    let mode = match settings.text(OptionId::ReadPreference) {
        Some("primaryPreferred") => ReadPreferenceMode::PrimaryPreferred,
        Some("secondary") => ReadPreferenceMode::Secondary,
        Some("secondaryPreferred") => ReadPreferenceMode::SecondaryPreferred,
        Some("nearest") => ReadPreferenceMode::Nearest,
        _ => ReadPreferenceMode::Primary,
    };
    let tag_sets = settings.tag_sets(OptionId::ReadPreferenceTags).to_vec();
    let tag_sets: Vec<TagSet> = tag_sets.into_iter().map(|set| set.into_iter().collect()).collect();
    let seconds = settings.number(OptionId::MaxStalenessSeconds).and_then(|seconds| u64::try_from(seconds).ok());
    let options = ReadPreferenceOptions {
        tag_sets: (!tag_sets.is_empty()).then_some(tag_sets),
        max_staleness: seconds.map(Duration::from_secs),
        hedge: given.hedged_reads.clone(),
    };
    (mode, options)
}

fn write_concern(settings: &OptionMap) -> Result<Option<WriteConcern>> {
    let w = match settings.get(OptionId::W) {
        Some(Value::Number(count)) => Some(Acknowledgment::Nodes(u32::try_from(*count).unwrap_or(u32::MAX))),
        Some(Value::Text(name)) if name == "majority" => Some(Acknowledgment::Majority),
        Some(Value::Text(name)) => Some(Acknowledgment::Custom(name.clone())),
        _ => None,
    };
    let concern = WriteConcern {
        w,
        w_timeout: settings.duration(OptionId::WTimeoutMs),
        journal: settings.bool(OptionId::Journal),
    };
    concern.check()?;
    Ok((concern != WriteConcern::default()).then_some(concern))
}

fn warn_of_no_effect(settings: &OptionMap, warnings: &mut Warnings) {
    for (overridden, message) in [
        (OptionId::SocketTimeoutMs, "socketTimeoutMS has no effect beside timeoutMS"),
        (OptionId::WaitQueueTimeoutMs, "waitQueueTimeoutMS has no effect beside timeoutMS"),
        (OptionId::WTimeoutMs, "wTimeoutMS has no effect beside timeoutMS"),
    ] {
        if settings.has(OptionId::TimeoutMs) && settings.has(overridden) {
            warnings.add(WarningKind::NoEffect, message);
        }
    }
    if settings.has(OptionId::ZlibCompressionLevel)
        && !settings.list(OptionId::Compressors).iter().any(|name| name == "zlib")
    {
        warnings.add(WarningKind::NoEffect, "zlibCompressionLevel has no effect without zlib among the compressors");
    }
}

/// Each way of checking servers has an option that is not for the other.
fn check_monitoring(given: &RawOptions, warnings: &mut Warnings) -> Result<()> {
    let settings = &given.settings;
    match given.in_code.monitoring {
        Monitoring::Background if settings.has(OptionId::ServerSelectionTryOnce) => {
            let message = "serverSelectionTryOnce cannot be used with background monitoring";
            Err(Error::invalid_argument(message)
                .with_hint("leave it out: an operation waits until serverSelectionTimeoutMS"))
        }
        Monitoring::Inline if settings.text(OptionId::ServerMonitoringMode).is_some_and(|mode| mode != "auto") => {
            let message = "serverMonitoringMode has no effect without background monitoring";
            warnings.add(WarningKind::NoEffect, message);
            Ok(())
        }
        Monitoring::Background | Monitoring::Inline => Ok(()),
    }
}

/// A proxy looks up the servers' names, and hides them from the name servers of this machine.
fn warn_of_look_ups(credential: Option<&Credential>, warnings: &mut Warnings) {
    let Some(Credential::Gssapi(gssapi)) = credential else { return };
    if !matches!(gssapi.canonicalize_host_name, None | Some(CanonicalizeHostName::None)) {
        let message = "CANONICALIZE_HOST_NAME looks up the server's name on this machine, and not through the proxy";
        warnings.add(WarningKind::LookUp, message);
    }
}

/// How often an idle primary writes, by the Max Staleness specification.
const IDLE_WRITE_PERIOD: Duration = Duration::from_secs(10);
/// RFC 1929: what one byte of length can announce.
const MAX_PROXY_LOGIN: usize = 255;
