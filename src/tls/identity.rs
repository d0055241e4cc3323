//! The client's own certificate and key, from files or from memory: leaf, chain and key in any order, the key perhaps
//! in a separate text; or a PKCS#12 bundle. Each possible fault has its own error.

use std::time::SystemTime;

use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::files::{CERTIFICATE_KEY_FILE, Files, KEY_FILE};
use super::pem::{self, Block, Origin};
use crate::error::{Error, FaultKind, Result, Stage};
use crate::options::{TlsIdentity, TlsSettings};
use crate::secret::Secret;
use crate::warning::{WarningKind, Warnings};

/// The client's own certificate and key. Nothing is decrypted yet, and it is not yet checked that the key matches the
/// certificate.
pub(super) enum Own<'a> {
    /// PEM texts.
    Pem(Material<'a>),
    /// A PKCS#12 bundle.
    Pkcs12(Bundle<'a>),
}

/// Certificates and a key.
pub(super) struct Material<'a> {
    /// Every certificate, PEM, in the order of the text.
    pub(super) certificates: Vec<String>,
    /// The key, PEM.
    pub(super) key: Zeroizing<String>,
    /// Whether the key needs a password.
    pub(super) encrypted: bool,
    /// The password that was given.
    pub(super) password: Option<&'a str>,
    /// Where the certificates come from.
    pub(super) certificates_from: Origin<'a>,
    /// Where the key comes from.
    pub(super) key_from: Origin<'a>,
}

/// A PKCS#12 bundle and its password.
pub(super) struct Bundle<'a> {
    pub(super) der: &'a [u8],
    pub(super) password: &'a str,
}

/// Takes what the options name, or `None` where they name nothing.
pub(super) fn read<'a>(options: &'a TlsSettings, files: &Files, warnings: &mut Warnings) -> Result<Option<Own<'a>>> {
    let password = |secret: &'a Option<Secret>| secret.as_ref().map(Secret::expose);
    let material = match &options.identity {
        Some(TlsIdentity::Pkcs12 { bundle, password }) => {
            let bundle = Bundle { der: bundle.expose(), password: password.expose() };
            bundle.check()?;
            return Ok(Some(Own::Pkcs12(bundle)));
        }
        Some(TlsIdentity::Pem { certificates, key, password: secret }) => {
            let (certificates, key) = ((IN_CODE, certificates.expose()), (IN_CODE, key.expose()));
            Material::read(certificates, key, password(secret))?
        }
        None => {
            let (Some(path), Some(certificate)) = (&options.certificate_key_file, &files.certificate) else {
                return Ok(None);
            };
            let certificate = (Origin::File(CERTIFICATE_KEY_FILE, path), certificate.as_slice());
            let key = match (&options.key_file, &files.key) {
                (Some(path), Some(key)) => (Origin::File(KEY_FILE, path), key.as_slice()),
                _ => certificate,
            };
            Material::read(certificate, key, password(&options.certificate_key_file_password))?
        }
    };
    if !material.encrypted && material.password.is_some() {
        let what = material.key_from.about("holds a key that is not encrypted: its password is not used");
        warnings.add(WarningKind::NoEffect, what.message());
    }
    Ok(Some(Own::Pem(material)))
}

/// Refuses a key or a password without the certificate that it could belong to.
pub(super) fn refuse_orphans(options: &TlsSettings) -> Result<()> {
    if options.certificate_key_file.is_some() {
        return Ok(());
    }
    let orphan = match (&options.key_file, &options.certificate_key_file_password) {
        (Some(_), _) => KEY_FILE,
        (None, Some(_)) => "tlsCertificateKeyFilePassword",
        (None, None) => return Ok(()),
    };
    let message = format!("{orphan} is given, and no tlsCertificateKeyFile that it could belong to");
    Err(Error::new(FaultKind::InvalidTlsConfig, Stage::Options, message))
}

impl<'a> Material<'a> {
    fn read(
        (certificates_from, certificates): (Origin<'a>, &[u8]),
        (key_from, key): (Origin<'a>, &[u8]),
        password: Option<&'a str>,
    ) -> Result<Self> {
        let text = pem::text(certificates_from, certificates)?;
        let certificates = pem::certificates(certificates_from, pem::blocks(&text))?;
        let key_text = pem::text(key_from, key)?;
        let key = pem::private_key(key_from, pem::blocks(&key_text))?;
        let material = Material {
            certificates: certificates.iter().map(Block::without_trust_settings).collect(),
            encrypted: key.is_encrypted(),
            key: Zeroizing::new(key.text.to_owned()),
            password: password.filter(|password| !password.is_empty()),
            certificates_from,
            key_from,
        };
        material.check_password()?;
        Ok(material)
    }

    fn check_password(&self) -> Result<()> {
        if self.encrypted && self.password.is_none() {
            return Err(self
                .key_from
                .about("holds an encrypted key, and no password is given")
                .with_hint("give it as tlsCertificateKeyFilePassword"));
        }
        if self.password.is_some_and(|password| password.len() > MAX_PASSWORD_BYTES) {
            return Err(self.key_from.about(format_args!("has a password of more than {MAX_PASSWORD_BYTES} bytes")));
        }
        Ok(())
    }

    /// The key belongs to none of the certificates.
    pub(super) fn mismatch(&self) -> Error {
        self.key_from.about("holds a key that does not match the certificate").with_hint(
            "certificate and key do not belong together: `openssl x509 -pubkey` and `openssl pkey -pubout` must agree",
        )
    }

    /// The error for the unreadable certificate at this index.
    pub(super) fn unreadable_certificate(&self, place: usize) -> Error {
        self.certificates_from.about(unreadable_certificate(place, self.certificates.len()))
    }

    /// The details of the certificate at this index.
    #[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
    pub(super) fn facts(&self, place: usize) -> Option<Certificate> {
        let text = self.certificates.get(place)?;
        Certificate::read(&pem::blocks(text).first()?.der()?)
    }
}

impl Bundle<'_> {
    /// Where it comes from.
    pub(super) fn origin(&self) -> Origin<'static> {
        Origin::Code(PKCS12)
    }

    /// An error about it.
    pub(super) fn about(&self, what: &str) -> Error {
        self.origin().about(what)
    }

    fn check(&self) -> Result<()> {
        // The password of a bundle is a text that ends with NUL.
        if self.password.contains('\0') {
            return Err(self.about("has a password with a NUL in it").with_hint("no bundle has such a password"));
        }
        let (what, hint) = match pem::binary_format(self.der) {
            Some(("PKCS#12", _)) => return Ok(()),
            _ if self.der.is_empty() => ("is empty", "it takes the bytes of a .p12 or .pfx file"),
            Some((format, hint)) => {
                return Err(self.about(&format!("holds no PKCS#12 bundle; it looks like {format}")).with_hint(hint));
            }
            None if self.der.starts_with(b"-----BEGIN ") => ("holds PEM text", "give that to tls_identity_pem"),
            None => ("holds no PKCS#12 bundle", "it takes the bytes of a .p12 or .pfx file"),
        };
        Err(self.about(what).with_hint(hint))
    }

    /// The password is not the bundle's.
    pub(super) fn wrong_password(&self) -> Error {
        self.about("holds a bundle that this password does not open")
            .with_hint("check the password; a bundle that was cut short fails likewise")
    }

    /// It is encrypted with an algorithm that the platform's TLS does not support.
    pub(super) fn not_available(&self, algorithm: &str) -> Error {
        self.about(&format!("holds a bundle that cannot be opened here: {algorithm} is not available")).with_hint(
            "`openssl pkcs12 -legacy -in OLD.p12 -out PLAIN.pem` and `openssl pkcs12 -export -in PLAIN.pem -out NEW.p12` \
             convert it to a modern one; protect the intermediate file",
        )
    }

    /// The key belongs to none of the certificates.
    pub(super) fn mismatch(&self) -> Error {
        self.about("holds a key that does not match the certificate")
            .with_hint("make the bundle anew: `openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out FILE.p12`")
    }

    /// Certificate or key are not in it.
    #[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
    pub(super) fn incomplete(&self, what: &str) -> Error {
        self.about(&format!("holds a bundle without {what}"))
            .with_hint("make the bundle anew: `openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out FILE.p12`")
    }
}

/// Warns of a certificate of ours that servers will refuse.
pub(super) fn warn_of_validity(leaf: &Certificate, now: SystemTime, warnings: &mut Warnings) {
    if let Some(reason) = leaf.not_valid_at(now) {
        let message = format!("the client certificate {} {reason}: servers will refuse it", leaf.subject);
        warnings.add(WarningKind::Validity, message);
    }
}

/// Which certificate cannot be read.
pub(super) fn unreadable_certificate(place: usize, count: usize) -> String {
    match count {
        1 => "holds a certificate that cannot be read".to_owned(),
        _ => format!("holds a certificate that cannot be read: number {} of {count}", place + 1),
    }
}

/// The error for a key of a kind that the backend does not support.
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
pub(super) fn unsupported(material: &Material<'_>, what: &str) -> Error {
    let error = material.key_from.about(format_args!("holds {what}, which this platform's TLS does not accept"));
    Error::not_supported(error.message().to_owned())
        .with_hint("`openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pem` converts the key; protect that file")
}

const IN_CODE: Origin<'_> = Origin::Code("tls_identity_pem");
const PKCS12: &str = "tls_identity_pkcs12";
/// OpenSSL's own buffer for a password has this size.
const MAX_PASSWORD_BYTES: usize = 1024;
