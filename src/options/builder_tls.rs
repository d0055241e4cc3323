//! Options for TLS in code.

use std::path::Path;

use super::raw::RawOptions;
use super::spec::OptionId;
use super::tls_types::{TlsBytes, TlsIdentity};
use super::value::Value;
use super::{ClientOptionsBuilder, IntoOption, Tls, TlsVersion};
use crate::secret::Secret;

impl ClientOptionsBuilder {
    /// Whether to speak TLS (`tls`), and how: [`Tls`], [`TlsOptions`](super::TlsOptions), or `true` and `false`. Any other option for
    /// TLS turns it on.
    pub fn tls(mut self, tls: impl IntoOption<Tls>) -> Self {
        let Some(tls) = tls.into_option() else { return self };
        let mut raw = RawOptions::default();
        if let Err(error) = tls.put(&mut raw) {
            self.problem = Some(error.message().to_owned());
        }
        self.code.overlay(raw.settings);
        self.given.tls_ca_pem = raw.tls_ca_pem.or(self.given.tls_ca_pem);
        self.given.tls_identity = raw.tls_identity.or(self.given.tls_identity);
        self.given.min_tls_version = raw.min_tls_version.or(self.given.min_tls_version);
        self
    }

    /// The authorities to trust instead of the system's (`tlsCAFile`): a PEM file.
    pub fn tls_ca_file(self, path: impl AsRef<Path>) -> Self {
        self.path(OptionId::TlsCaFile, path)
    }

    /// The client's certificate, and its key unless that has a file of its own (`tlsCertificateKeyFile`): a PEM file.
    pub fn tls_certificate_key_file(self, path: impl AsRef<Path>) -> Self {
        self.path(OptionId::TlsCertificateKeyFile, path)
    }

    /// The password of the client's key (`tlsCertificateKeyFilePassword`).
    pub fn tls_certificate_key_file_password(mut self, password: impl Into<Secret>) -> Self {
        self.code.set(OptionId::TlsCertificateKeyFilePassword, Value::Secret(password.into()));
        self
    }

    /// The client's key, where it is not in the certificate's file (`ssl_keyfile`): a PEM file.
    pub fn tls_key_file(self, path: impl AsRef<Path>) -> Self {
        self.path(OptionId::TlsKeyFile, path)
    }

    /// Revoked certificates (`tlsCRLFile`): a PEM file with a current list of every authority in the server's chain; a
    /// missing, expired or foreign one refuses the server. Refused on Windows and macOS, where the system's own
    /// settings decide.
    pub fn tls_crl_file(self, path: impl AsRef<Path>) -> Self {
        self.path(OptionId::TlsCrlFile, path)
    }

    /// The authorities to trust instead of the system's, as PEM text: what [`tls_ca_file`](Self::tls_ca_file) names a
    /// file of. With that option it is an error.
    pub fn tls_ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.given.tls_ca_pem = Some(TlsBytes::copy(pem.as_ref()));
        self
    }

    /// The client's certificate (and, in any order, those of the authorities between it and a trusted one) and its key,
    /// as PEM text, with the key's password if it has one. Both may be in the same text. It replaces
    /// [`tls_certificate_key_file`](Self::tls_certificate_key_file), with which it is an error, and of an earlier
    /// [`tls_identity_pkcs12`](Self::tls_identity_pkcs12). The copy in the options is wiped when the last options or
    /// client that shares it is dropped.
    ///
    /// ```no_run
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// # fn secret(name: &str) -> String { String::new() }
    /// let options = ClientOptions::builder()
    ///     .host("db.example.com")
    ///     .tls_ca_pem(secret("ca"))
    ///     .tls_identity_pem(secret("certificate"), secret("key"), Some("pencil".into()))
    ///     .auth_mechanism("MONGODB-X509")
    ///     .build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn tls_identity_pem(
        mut self,
        certificates: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        password: Option<Secret>,
    ) -> Self {
        let (certificates, key) = (TlsBytes::copy(certificates.as_ref()), TlsBytes::copy(key.as_ref()));
        self.given.tls_identity = Some(TlsIdentity::Pem { certificates, key, password });
        self
    }

    /// The client's certificate and key as a PKCS#12 bundle (`.p12`, `.pfx`) and its password, which may be empty. It
    /// replaces [`tls_certificate_key_file`](Self::tls_certificate_key_file), with which it is an error, and
    /// of an earlier [`tls_identity_pem`](Self::tls_identity_pem). A bundle in the old encodings (RC2, DES) opens only
    /// where the platform's TLS still has them; the error says how to convert it.
    pub fn tls_identity_pkcs12(mut self, bundle: impl AsRef<[u8]>, password: impl Into<Secret>) -> Self {
        let bundle = TlsBytes::copy(bundle.as_ref());
        self.given.tls_identity = Some(TlsIdentity::Pkcs12 { bundle, password: password.into() });
        self
    }

    /// The oldest version of TLS to speak; default [`TlsVersion::V1_2`]. It has no name in a connection string.
    ///
    /// An older one gets a warning, and may still be refused by the platform: OpenSSL 3 speaks TLS 1.1 at its security
    /// level 0 only. Secure Transport (macOS) does not speak TLS 1.3, so that there it is an error.
    ///
    /// ```
    /// use mongo_blocking::options::{ClientOptions, TlsVersion};
    ///
    /// let options = ClientOptions::builder().host("localhost").min_tls_version(TlsVersion::V1_3).build();
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn min_tls_version(mut self, version: TlsVersion) -> Self {
        self.given.min_tls_version = Some(version);
        self
    }

    fn path(mut self, option: OptionId, path: impl AsRef<Path>) -> Self {
        match path.as_ref().to_str() {
            Some(text) => return self.text(option, text),
            None => self.problem = Some(format!("{} must be a path in UTF-8", option.name())),
        }
        self
    }
}
