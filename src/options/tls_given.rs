//! TLS as a program gives it.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use zeroize::Zeroize;

use super::TlsVersion;
use super::builder_macro::builder;
use super::into_option::IntoOption;
use super::option_map::OptionMap;
use super::raw::RawOptions;
use super::spec::OptionId;
use super::table::TLS_DETAILS;
use super::tls_types::{TlsBytes, TlsIdentity};
use super::value::Value;
use crate::error::{Error, Result};
use crate::secret::{self, Secret};

/// Whether to speak TLS, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub enum Tls {
    /// With these options.
    Enabled(TlsOptions),
    /// Plain text.
    Disabled,
}

/// How the connection is secured. What is not given has the default of the option of that name.
///
/// The password is wiped from memory when the value is dropped, and `Debug` does not show it.
///
/// ```
/// use mongo_blocking::options::{ClientOptions, Tls, TlsOptions};
///
/// let tls = TlsOptions::builder().ca_file_path("/etc/mongodb/ca.pem").build();
/// let options = ClientOptions::builder().tls(Tls::Enabled(tls)).build();
/// assert!(options.validate()?.is_empty());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct TlsOptions {
    /// Dangerous: accept any certificate, whatever its names (`tlsAllowInvalidCertificates`). It gets a warning.
    pub allow_invalid_certificates: Option<bool>,
    /// The authorities to trust instead of the system's (`tlsCAFile`): a PEM file.
    pub ca_file_path: Option<PathBuf>,
    /// The client's certificate, and its key unless that has a file of its own (`tlsCertificateKeyFile`): a PEM file.
    pub cert_key_file_path: Option<PathBuf>,
    /// Dangerous: accept a certificate that was issued for another host (`tlsAllowInvalidHostnames`). It gets a warning.
    pub allow_invalid_hostnames: Option<bool>,
    /// The password of the client's key (`tlsCertificateKeyFilePassword`), in UTF-8.
    #[serde(default, deserialize_with = "secret::deserialize_bytes")]
    pub tls_certificate_key_file_password: Option<Vec<u8>>,
    /// The client's key, where it is not in the certificate's file (`ssl_keyfile`): a PEM file.
    pub key_file_path: Option<PathBuf>,
    /// Revoked certificates (`tlsCRLFile`): a PEM file.
    pub crl_file_path: Option<PathBuf>,
    /// Dangerous: accept any certificate for any host (`tlsInsecure`). It gets a warning.
    pub insecure: Option<bool>,
    /// Dangerous: accept a certificate's Common Name where it has no DNS name in subjectAltName. It gets a warning.
    pub danger_allow_common_names: Option<bool>,
    /// Ask no OCSP responder (`tlsDisableOCSPEndpointCheck`).
    pub disable_ocsp_endpoint_check: Option<bool>,
    /// Look at no CRL and no OCSP answer (`tlsDisableCertificateRevocationCheck`).
    pub disable_certificate_revocation_check: Option<bool>,
    /// The oldest version of TLS to speak; [`TlsVersion::V1_2`] unless given.
    pub min_version: Option<TlsVersion>,
    #[serde(skip)]
    in_code: InCode,
}

secret::read_unquoted!(TlsOptions, "options of TLS");

/// Certificates that the builder of the client's options took as bytes.
#[derive(Clone, Debug, Default)]
struct InCode {
    ca_pem: Option<TlsBytes>,
    identity: Option<TlsIdentity>,
}

impl PartialEq for InCode {
    /// Bytes are compared by whether there are any.
    fn eq(&self, other: &Self) -> bool {
        (self.ca_pem.is_some(), self.identity.is_some()) == (other.ca_pem.is_some(), other.identity.is_some())
    }
}

builder!(TlsOptions, TlsOptionsBuilder {
    allow_invalid_certificates: bool,
    ca_file_path: PathBuf,
    cert_key_file_path: PathBuf,
    allow_invalid_hostnames: bool,
    tls_certificate_key_file_password: Vec<u8>,
    key_file_path: PathBuf,
    crl_file_path: PathBuf,
    insecure: bool,
    danger_allow_common_names: bool,
    disable_ocsp_endpoint_check: bool,
    disable_certificate_revocation_check: bool,
    min_version: TlsVersion,
});

impl From<TlsOptions> for Tls {
    fn from(options: TlsOptions) -> Self {
        Tls::Enabled(options)
    }
}

impl IntoOption<Tls> for bool {
    fn into_option(self) -> Option<Tls> {
        Some(if self { Tls::Enabled(TlsOptions::default()) } else { Tls::Disabled })
    }
}

impl IntoOption<Tls> for TlsOptions {
    fn into_option(self) -> Option<Tls> {
        Some(Tls::Enabled(self))
    }
}

impl Tls {
    /// Takes the options for TLS out of what was given. What contradicts `tls=false` stays there.
    pub(super) fn take(raw: &mut RawOptions) -> Option<Self> {
        let settings = &mut raw.settings;
        let tls = match settings.get(OptionId::Tls) {
            Some(Value::Bool(on)) => Some(*on),
            _ => None,
        };
        let in_code = raw.tls_ca_pem.is_some() || raw.tls_identity.is_some() || raw.min_tls_version.is_some();
        let named =
            in_code || raw.ignored_tls_option.is_some() || TLS_DETAILS.iter().any(|option| settings.has(*option));
        match tls {
            Some(false) => return Some(Tls::Disabled),
            None if !named => return None,
            _ => {}
        }
        Some(Tls::Enabled(TlsOptions {
            allow_invalid_certificates: settings.take(OptionId::TlsAllowInvalidCertificates),
            ca_file_path: settings.take(OptionId::TlsCaFile),
            cert_key_file_path: settings.take(OptionId::TlsCertificateKeyFile),
            allow_invalid_hostnames: settings.take(OptionId::TlsAllowInvalidHostnames),
            tls_certificate_key_file_password: settings
                .take::<Secret>(OptionId::TlsCertificateKeyFilePassword)
                .map(|password| password.expose().as_bytes().to_vec()),
            key_file_path: settings.take(OptionId::TlsKeyFile),
            crl_file_path: settings.take(OptionId::TlsCrlFile),
            insecure: settings.take(OptionId::TlsInsecure),
            danger_allow_common_names: settings.take(OptionId::TlsAllowCommonNames),
            disable_ocsp_endpoint_check: settings.take(OptionId::TlsDisableOcspEndpointCheck),
            disable_certificate_revocation_check: settings.take(OptionId::TlsDisableCertificateRevocationCheck),
            min_version: raw.min_tls_version.take(),
            in_code: InCode { ca_pem: raw.tls_ca_pem.take(), identity: raw.tls_identity.take() },
        }))
    }

    /// Adds this to the options that a client judges.
    pub(super) fn put(&self, raw: &mut RawOptions) -> Result<()> {
        let Tls::Enabled(options) = self else {
            raw.settings.set(OptionId::Tls, Value::Bool(false));
            return Ok(());
        };
        let settings = &mut raw.settings;
        let before = settings.remove(OptionId::Tls);
        let password = options.password()?;
        settings.put(OptionId::TlsAllowInvalidCertificates, options.allow_invalid_certificates.as_ref())?;
        settings.put(OptionId::TlsCaFile, options.ca_file_path.as_ref())?;
        settings.put(OptionId::TlsCertificateKeyFile, options.cert_key_file_path.as_ref())?;
        settings.put(OptionId::TlsAllowInvalidHostnames, options.allow_invalid_hostnames.as_ref())?;
        settings.put(OptionId::TlsCertificateKeyFilePassword, password.as_ref())?;
        settings.put(OptionId::TlsKeyFile, options.key_file_path.as_ref())?;
        settings.put(OptionId::TlsCrlFile, options.crl_file_path.as_ref())?;
        settings.put(OptionId::TlsInsecure, options.insecure.as_ref())?;
        settings.put(OptionId::TlsAllowCommonNames, options.danger_allow_common_names.as_ref())?;
        settings.put(OptionId::TlsDisableOcspEndpointCheck, options.disable_ocsp_endpoint_check.as_ref())?;
        settings.put(
            OptionId::TlsDisableCertificateRevocationCheck,
            options.disable_certificate_revocation_check.as_ref(),
        )?;
        raw.min_tls_version = options.min_version;
        raw.tls_ca_pem.clone_from(&options.in_code.ca_pem);
        raw.tls_identity.clone_from(&options.in_code.identity);
        // Any option for TLS turns it on. Written out beside them, it would appear in a connection string that did not have it.
        let named = raw.ignored_tls_option.is_some() || is_named(&raw.settings);
        if !named || matches!(before, Some(Value::Bool(true))) {
            raw.settings.set(OptionId::Tls, Value::Bool(true));
        }
        Ok(())
    }
}

fn is_named(settings: &OptionMap) -> bool {
    TLS_DETAILS.iter().any(|option| settings.has(*option))
}

impl TlsOptions {
    fn password(&self) -> Result<Option<Secret>> {
        let Some(password) = &self.tls_certificate_key_file_password else { return Ok(None) };
        match std::str::from_utf8(password) {
            Ok(password) => Ok(Some(Secret::from(password))),
            Err(_) => Err(Error::invalid_argument("tls_certificate_key_file_password is not UTF-8")),
        }
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("allow_invalid_certificates", &self.allow_invalid_certificates)
            .field("ca_file_path", &self.ca_file_path)
            .field("cert_key_file_path", &self.cert_key_file_path)
            .field("allow_invalid_hostnames", &self.allow_invalid_hostnames)
            .field(
                "tls_certificate_key_file_password",
                &self.tls_certificate_key_file_password.as_ref().map(|_| "REDACTED"),
            )
            .field("key_file_path", &self.key_file_path)
            .field("crl_file_path", &self.crl_file_path)
            .field("insecure", &self.insecure)
            .field("danger_allow_common_names", &self.danger_allow_common_names)
            .field("disable_ocsp_endpoint_check", &self.disable_ocsp_endpoint_check)
            .field("disable_certificate_revocation_check", &self.disable_certificate_revocation_check)
            .field("min_version", &self.min_version)
            .field("in_code", &self.in_code)
            .finish()
    }
}

impl Drop for TlsOptions {
    fn drop(&mut self) {
        self.tls_certificate_key_file_password.zeroize();
    }
}
