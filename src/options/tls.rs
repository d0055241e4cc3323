//! The options for TLS, and which of them exclude one another.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::raw::RawOptions;
use super::table::OptionId;
use super::value::{OptionMap, Value};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::warning::{WarningKind, Warnings};

/// How the channel is secured. Fields that nobody gave are `None`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The authorities to trust instead of the system's (`tlsCAFile`): a PEM file with one or more certificates.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, and its key unless that has a file of its own (`tlsCertificateKeyFile`).
    pub certificate_key_file: Option<PathBuf>,
    /// The password of the client's key (`tlsCertificateKeyFilePassword`).
    pub certificate_key_file_password: Option<Secret>,
    /// The client's key, where it is not in the certificate's file (`ssl_keyfile`).
    pub key_file: Option<PathBuf>,
    /// Revoked certificates (`tlsCRLFile`).
    pub crl_file: Option<PathBuf>,
    /// Dangerous: accept any certificate, whatever names it bears (`tlsAllowInvalidCertificates`).
    pub danger_allow_invalid_certificates: Option<bool>,
    /// Dangerous: accept a certificate made out to another host (`tlsAllowInvalidHostnames`).
    pub danger_allow_invalid_hostnames: Option<bool>,
    /// Dangerous: both of the above (`tlsInsecure`).
    pub danger_insecure: Option<bool>,
    /// Ask no OCSP responder (`tlsDisableOCSPEndpointCheck`).
    pub disable_ocsp_endpoint_check: Option<bool>,
    /// Look at no CRL and no OCSP answer (`tlsDisableCertificateRevocationCheck`).
    pub disable_certificate_revocation_check: Option<bool>,
    /// The oldest version of TLS to speak; `None`: [`TlsVersion::V1_2`].
    pub min_version: Option<TlsVersion>,
    /// The authorities to trust instead of the system's, given in code.
    pub(crate) ca_pem: Option<TlsBytes>,
    /// The client's certificate and key, given in code.
    pub(crate) identity: Option<TlsIdentity>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.0 (RFC 2246), which is broken.
    V1_0,
    /// TLS 1.1 (RFC 4346), which nobody should speak any more (RFC 8996).
    V1_1,
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::V1_0 => "TLS 1.0",
            TlsVersion::V1_1 => "TLS 1.1",
            TlsVersion::V1_2 => "TLS 1.2",
            TlsVersion::V1_3 => "TLS 1.3",
        })
    }
}

/// What was given in code in place of a file. Clones share it; it is wiped with the last of them.
#[derive(Clone)]
pub(crate) struct TlsBytes(Arc<Zeroizing<Vec<u8>>>);

/// The client's certificate and key, given in code.
#[derive(Clone, Debug)]
pub(crate) enum TlsIdentity {
    /// PEM texts, which may be the same.
    Pem { certificates: TlsBytes, key: TlsBytes, password: Option<Secret> },
    /// A PKCS#12 bundle.
    Pkcs12 { bundle: TlsBytes, password: Secret },
}

impl TlsOptions {
    /// Whether the server's certificate is checked against its name and the trusted authorities.
    pub fn is_verified(&self) -> bool {
        !self.danger_accepts_any_certificate() && !self.danger_accepts_any_hostname()
    }

    /// The oldest version of TLS that is spoken.
    pub(crate) fn oldest_version(&self) -> TlsVersion {
        self.min_version.unwrap_or(TlsVersion::V1_2)
    }

    /// Whether there is a certificate of the client's own.
    pub(crate) fn has_identity(&self) -> bool {
        self.certificate_key_file.is_some() || self.identity.is_some()
    }

    /// Whether nothing about the server's certificate is checked.
    pub(crate) fn danger_accepts_any_certificate(&self) -> bool {
        self.danger_allow_invalid_certificates == Some(true) || self.danger_insecure == Some(true)
    }

    /// Whether the certificate may be made out to another host.
    pub(crate) fn danger_accepts_any_hostname(&self) -> bool {
        self.danger_allow_invalid_hostnames == Some(true) || self.danger_insecure == Some(true)
    }
}

impl TlsBytes {
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        TlsBytes(Arc::new(Zeroizing::new(bytes.to_vec())))
    }

    /// What was given.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TlsBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsBytes(..)")
    }
}

/// The options for TLS, or `None` for plain text. TLS is on if `tls` says so, with `mongodb+srv`, and whenever any other option
/// for it is given: who names a CA file does not want plain text.
pub(super) fn options(given: &RawOptions) -> Result<Option<TlsOptions>> {
    let settings = &given.settings;
    check_conflicts(settings)?;
    check_in_code(given)?;
    let in_code = in_code(given);
    let any = !in_code.is_empty() || DETAILS.iter().any(|option| settings.has(*option));
    let on = flag(settings, OptionId::Tls).unwrap_or(given.srv_host.is_some() || any);
    if !on {
        let asked = DETAILS.iter().copied().find(|option| asks_for_something(settings, *option));
        if let Some(option) = asked.or(in_code.first().copied()) {
            return Err(Error::invalid_argument(format!("tls is false, and {} is given", option.name()))
                .with_hint("leave one of them out: any option for TLS turns TLS on"));
        }
        return Ok(None);
    }
    let path = |option| settings.text(option).map(PathBuf::from);
    Ok(Some(TlsOptions {
        ca_file: path(OptionId::TlsCaFile),
        certificate_key_file: path(OptionId::TlsCertificateKeyFile),
        certificate_key_file_password: settings.secret(OptionId::TlsCertificateKeyFilePassword).cloned(),
        key_file: path(OptionId::TlsKeyFile),
        crl_file: path(OptionId::TlsCrlFile),
        danger_allow_invalid_certificates: flag(settings, OptionId::TlsAllowInvalidCertificates),
        danger_allow_invalid_hostnames: flag(settings, OptionId::TlsAllowInvalidHostnames),
        danger_insecure: flag(settings, OptionId::TlsInsecure),
        disable_ocsp_endpoint_check: flag(settings, OptionId::TlsDisableOcspEndpointCheck),
        disable_certificate_revocation_check: flag(settings, OptionId::TlsDisableCertificateRevocationCheck),
        min_version: given.min_tls_version,
        ca_pem: given.tls_ca_pem.clone(),
        identity: given.tls_identity.clone(),
    }))
}

/// Says what a switch gives up, wherever one is on.
pub(super) fn warn_of_danger(tls: &TlsOptions, x509: bool, warnings: &mut Warnings) {
    let switches = [
        (OptionId::TlsInsecure, tls.danger_insecure, NOBODY_KNOWN),
        (OptionId::TlsAllowInvalidCertificates, tls.danger_allow_invalid_certificates, NOBODY_KNOWN),
        (OptionId::TlsAllowInvalidHostnames, tls.danger_allow_invalid_hostnames, ANY_NAME),
    ];
    for (option, _, risk) in switches.into_iter().filter(|(_, on, _)| *on == Some(true)) {
        warnings.add(WarningKind::Insecure, format!("{} is on: {risk}", option.name()));
    }
    let unverified = tls.danger_accepts_any_certificate();
    let authorities = (tls.ca_file.is_some() || tls.ca_pem.is_some()) && unverified;
    let lists = tls.crl_file.is_some() && (unverified || tls.disable_certificate_revocation_check == Some(true));
    for (option, _) in [("tlsCAFile", authorities), ("tlsCRLFile", lists)].into_iter().filter(|(_, on)| *on) {
        let message = format!("{option} has no effect: what it is for is switched off by another option");
        warnings.add(WarningKind::NoEffect, message);
    }
    if tls.oldest_version() < TlsVersion::V1_2 {
        let message =
            format!("the oldest version of TLS is set to {}: those before TLS 1.2 are broken", tls.oldest_version());
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

/// Material comes from memory or from a file.
fn check_in_code(given: &RawOptions) -> Result<()> {
    let authorities = given.tls_ca_pem.as_ref().map(|_| (OptionId::TlsCaPem, AUTHORITY_FILES));
    let identity = identity_in_code(given).map(|option| (option, IDENTITY_FILES));
    for (option, files) in authorities.into_iter().chain(identity) {
        if let Some(file) = files.iter().find(|file| given.settings.has(**file)) {
            let setter = option.spec().setter;
            return Err(Error::invalid_argument(format!("{setter} (in code) and {} exclude one another", file.name()))
                .with_hint("leave one of them out: material comes from memory or from a file"));
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

const NOBODY_KNOWN: &str =
    "the server's certificate is not checked, so anybody in between may read and change everything";
const ANY_NAME: &str = "whoever holds any certificate of a trusted authority may pose as the server";

/// Every option for TLS but `tls` itself.
const DETAILS: &[OptionId] = &[
    OptionId::TlsCaFile,
    OptionId::TlsCertificateKeyFile,
    OptionId::TlsCertificateKeyFilePassword,
    OptionId::TlsKeyFile,
    OptionId::TlsCrlFile,
    OptionId::TlsAllowInvalidCertificates,
    OptionId::TlsAllowInvalidHostnames,
    OptionId::TlsInsecure,
    OptionId::TlsDisableOcspEndpointCheck,
    OptionId::TlsDisableCertificateRevocationCheck,
];

/// The options whose place authorities take that are given in code.
const AUTHORITY_FILES: &[OptionId] = &[OptionId::TlsCaFile];

/// The options whose place an identity takes that is given in code.
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
