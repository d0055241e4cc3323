//! The options for TLS as a client uses them, and what code gives in place of files.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// How the connection is secured. Fields that were not given are `None`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TlsSettings {
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
    /// Dangerous: accept any certificate, whatever its names (`tlsAllowInvalidCertificates`).
    pub danger_allow_invalid_certificates: Option<bool>,
    /// Dangerous: accept a certificate that was issued for another host (`tlsAllowInvalidHostnames`).
    pub danger_allow_invalid_hostnames: Option<bool>,
    /// Dangerous: both of the above (`tlsInsecure`).
    pub danger_insecure: Option<bool>,
    /// Dangerous: accept a certificate's Common Name where it has no DNS name in subjectAltName
    /// ([`danger_tls_allow_common_names`](super::ClientOptionsBuilder::danger_tls_allow_common_names)). RFC 9525
    /// forbids it.
    pub danger_allow_common_names: Option<bool>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.0 (RFC 2246), which is broken.
    V1_0,
    /// TLS 1.1 (RFC 4346), deprecated by RFC 8996.
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

/// Bytes given in code in place of a file. Clones share them; they are wiped when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct TlsBytes(Arc<Zeroizing<Vec<u8>>>);

/// The client's certificate and key, given in code.
#[derive(Clone, Debug)]
pub(crate) enum TlsIdentity {
    /// PEM, certificates and key perhaps in the same bytes.
    Pem { certificates: TlsBytes, key: TlsBytes, password: Option<Secret> },
    /// A PKCS#12 bundle.
    Pkcs12 { bundle: TlsBytes, password: Secret },
}

impl TlsSettings {
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

    /// Whether a Common Name counts as the name of a host.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        allow(dead_code, reason = "each platform has its own way")
    )]
    pub(crate) fn danger_accepts_common_names(&self) -> bool {
        self.danger_allow_common_names == Some(true)
    }

    /// Whether the certificate may be issued for another host.
    pub(crate) fn danger_accepts_any_hostname(&self) -> bool {
        self.danger_allow_invalid_hostnames == Some(true) || self.danger_insecure == Some(true)
    }
}

impl TlsBytes {
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        TlsBytes(Arc::new(Zeroizing::new(bytes.to_vec())))
    }

    /// The bytes themselves.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TlsBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsBytes(..)")
    }
}
