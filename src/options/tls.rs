//! The options for TLS, and which of them exclude one another.

use std::path::PathBuf;

use super::option_map::OptionMap;
use super::raw::RawOptions;
use super::spec::OptionId;
use super::table::TLS_DETAILS;
use super::tls_types::{TlsIdentity, TlsSettings, TlsVersion};
use super::value::Value;
use crate::error::{Error, Result};
use crate::warning::{WarningKind, Warnings};

/// The options for TLS, or `None` for plain text. TLS is on if `tls` says so, with `mongodb+srv`, and whenever any
/// other option for it is named, even one that sets nothing: a connection string that names a CA file does not ask for
/// plain text.
pub(super) fn options(given: &RawOptions) -> Result<Option<TlsSettings>> {
    let settings = &given.settings;
    check_conflicts(settings)?;
    check_in_code(given)?;
    let in_code = in_code(given);
    let ignored = given.ignored_tls_option.as_deref();
    let named = !in_code.is_empty() || ignored.is_some() || TLS_DETAILS.iter().any(|option| settings.has(*option));
    let on = flag(settings, OptionId::Tls).unwrap_or(given.srv_host.is_some() || named);
    if !on {
        let asked = TLS_DETAILS.iter().copied().find(|option| asks_for_something(settings, *option));
        let asked = asked.or(in_code.first().copied()).map(OptionId::name).or(ignored);
        if let Some(option) = asked {
            return Err(Error::invalid_argument(format!("tls is false, and {option} is given"))
                .with_hint("leave one of them out: any option for TLS turns TLS on"));
        }
        return Ok(None);
    }
    let path = |option| settings.text(option).map(PathBuf::from);
    Ok(Some(TlsSettings {
        ca_file: path(OptionId::TlsCaFile),
        certificate_key_file: path(OptionId::TlsCertificateKeyFile),
        certificate_key_file_password: settings.secret(OptionId::TlsCertificateKeyFilePassword).cloned(),
        key_file: path(OptionId::TlsKeyFile),
        crl_file: path(OptionId::TlsCrlFile),
        danger_allow_invalid_certificates: flag(settings, OptionId::TlsAllowInvalidCertificates),
        danger_allow_invalid_hostnames: flag(settings, OptionId::TlsAllowInvalidHostnames),
        danger_insecure: flag(settings, OptionId::TlsInsecure),
        danger_allow_common_names: flag(settings, OptionId::TlsAllowCommonNames),
        disable_ocsp_endpoint_check: flag(settings, OptionId::TlsDisableOcspEndpointCheck),
        disable_certificate_revocation_check: flag(settings, OptionId::TlsDisableCertificateRevocationCheck),
        min_version: given.min_tls_version,
        ca_pem: given.tls_ca_pem.clone(),
        identity: given.tls_identity.clone(),
    }))
}

/// Says what a switch gives up, wherever one is on.
pub(super) fn warn_of_danger(tls: &TlsSettings, x509: bool, warnings: &mut Warnings) {
    let switches = [
        (OptionId::TlsInsecure, tls.danger_insecure, NOT_CHECKED),
        (OptionId::TlsAllowInvalidCertificates, tls.danger_allow_invalid_certificates, NOT_CHECKED),
        (OptionId::TlsAllowInvalidHostnames, tls.danger_allow_invalid_hostnames, ANY_NAME),
        (OptionId::TlsAllowCommonNames, tls.danger_allow_common_names, COMMON_NAMES),
    ];
    for (option, _, risk) in switches.into_iter().filter(|(_, on, _)| *on == Some(true)) {
        let name = if option == OptionId::TlsAllowCommonNames { option.spec().setter } else { option.name() };
        warnings.add(WarningKind::Insecure, format!("{name} is on: {risk}"));
    }
    let unverified = tls.danger_accepts_any_certificate();
    let authorities = (tls.ca_file.is_some() || tls.ca_pem.is_some()) && unverified;
    let lists = tls.crl_file.is_some() && (unverified || tls.disable_certificate_revocation_check == Some(true));
    for (option, _) in [("tlsCAFile", authorities), ("tlsCRLFile", lists)].into_iter().filter(|(_, on)| *on) {
        let message = format!("{option} has no effect: another option switches off the check that it is for");
        warnings.add(WarningKind::NoEffect, message);
    }
    if tls.oldest_version() < TlsVersion::V1_2 {
        let message =
            format!("the minimum version of TLS is {}: versions before TLS 1.2 are broken", tls.oldest_version());
        warnings.add(WarningKind::Insecure, message);
    }
    if x509 && !tls.is_verified() {
        warnings.add(WarningKind::Insecure, "MONGODB-X509 logs in to a server whose certificate is not fully checked");
    }
}

fn check_conflicts(settings: &OptionMap) -> Result<()> {
    for (one, other) in CONFLICTS {
        if settings.has(*one) && settings.has(*other) {
            return Err(Error::invalid_argument(format!("{} and {} exclude one another", one.name(), other.name()))
                .with_hint("leave one of them out, whatever their values"));
        }
    }
    Ok(())
}

/// The options for TLS that were given and that only code can give.
fn in_code(given: &RawOptions) -> Vec<OptionId> {
    let authorities = given.tls_ca_pem.as_ref().map(|_| OptionId::TlsCaPem);
    let version = given.min_tls_version.map(|_| OptionId::MinTlsVersion);
    [authorities, identity_in_code(given), version].into_iter().flatten().collect()
}

fn identity_in_code(given: &RawOptions) -> Option<OptionId> {
    given.tls_identity.as_ref().map(|identity| match identity {
        TlsIdentity::Pem { .. } => OptionId::TlsIdentityPem,
        TlsIdentity::Pkcs12 { .. } => OptionId::TlsIdentityPkcs12,
    })
}

/// Certificates and keys come from memory or from a file, not from both.
fn check_in_code(given: &RawOptions) -> Result<()> {
    let authorities = given.tls_ca_pem.as_ref().map(|_| (OptionId::TlsCaPem, AUTHORITY_FILES));
    let identity = identity_in_code(given).map(|option| (option, IDENTITY_FILES));
    for (option, files) in authorities.into_iter().chain(identity) {
        if let Some(file) = files.iter().find(|file| given.settings.has(**file)) {
            let setter = option.spec().setter;
            return Err(Error::invalid_argument(format!("{setter} (in code) and {} exclude one another", file.name()))
                .with_hint("give certificates and keys either in code or as files"));
        }
    }
    Ok(())
}

fn flag(settings: &OptionMap, option: OptionId) -> Option<bool> {
    match settings.get(option) {
        Some(Value::Bool(value)) => Some(*value),
        _ => None,
    }
}

fn asks_for_something(settings: &OptionMap, option: OptionId) -> bool {
    settings.get(option).is_some_and(|value| !option.spec().asks_for_nothing(value))
}

const NOT_CHECKED: &str =
    "the server's certificate is not checked, so an attacker in the network can read and change everything";
const ANY_NAME: &str = "the holder of any certificate of a trusted authority can pose as the server";
const COMMON_NAMES: &str =
    "the holder of a certificate that was issued to a person or service of the same name can pose as the server";

/// The options that authorities given in code replace.
const AUTHORITY_FILES: &[OptionId] = &[OptionId::TlsCaFile];

/// The options that an identity given in code replaces.
const IDENTITY_FILES: &[OptionId] =
    &[OptionId::TlsCertificateKeyFile, OptionId::TlsKeyFile, OptionId::TlsCertificateKeyFilePassword];

/// What the URI Options specification forbids together, whatever the values.
const CONFLICTS: &[(OptionId, OptionId)] = &[
    (OptionId::TlsInsecure, OptionId::TlsAllowInvalidCertificates),
    (OptionId::TlsInsecure, OptionId::TlsAllowInvalidHostnames),
    (OptionId::TlsInsecure, OptionId::TlsDisableOcspEndpointCheck),
    (OptionId::TlsInsecure, OptionId::TlsDisableCertificateRevocationCheck),
    (OptionId::TlsAllowInvalidCertificates, OptionId::TlsDisableOcspEndpointCheck),
    (OptionId::TlsAllowInvalidCertificates, OptionId::TlsDisableCertificateRevocationCheck),
    (OptionId::TlsDisableOcspEndpointCheck, OptionId::TlsDisableCertificateRevocationCheck),
];
