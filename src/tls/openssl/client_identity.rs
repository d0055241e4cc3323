//! The client's own certificate and key, as OpenSSL wants them.

use std::cell::Cell;
use std::time::SystemTime;

use ::openssl::error::ErrorStack;
use ::openssl::pkcs12::Pkcs12;
use ::openssl::pkey::{PKey, Private};
use ::openssl::x509::{X509, X509VerifyResult};

use crate::certificate::PresentedCertificate;
use crate::error::{Error, Result};
use crate::tls::certificate::Certificate;
use crate::tls::identity::{self, Bundle, Material, Own};
use crate::warning::Warnings;

/// The client's own certificate, ready for use.
pub(super) struct ClientIdentity {
    pub(super) leaf: X509,
    /// Its issuers that were given, each before its own issuer.
    pub(super) chain: Vec<X509>,
    pub(super) key: PKey<Private>,
}

impl ClientIdentity {
    pub(super) fn new(own: &Own<'_>, now: SystemTime, warnings: &mut Warnings) -> Result<ClientIdentity> {
        let identity = match own {
            Own::Pem(material) => ClientIdentity::from_pem(material)?,
            Own::Pkcs12(bundle) => ClientIdentity::from_pkcs12(bundle)?,
        };
        if let Some(leaf) = identity.facts() {
            identity::warn_of_validity(&leaf, now, warnings);
        }
        Ok(identity)
    }

    fn from_pem(material: &Material<'_>) -> Result<ClientIdentity> {
        let key = read_key(material)?;
        let mut certificates = Vec::new();
        for (place, certificate) in material.certificates.iter().enumerate() {
            let read = X509::from_pem(certificate.as_bytes());
            certificates.push(read.map_err(|error| material.unreadable_certificate(place).with_source(error))?);
        }
        ClientIdentity::arrange(key, certificates).ok_or_else(|| material.mismatch())
    }

    fn from_pkcs12(bundle: &Bundle<'_>) -> Result<ClientIdentity> {
        let opened = Pkcs12::from_der(bundle.der)
            .map_err(|error| bundle.about("holds a bundle that cannot be read").with_source(error))?
            .parse2(bundle.password)
            .map_err(|error| unopened_bundle(bundle, error))?;
        let key = opened.pkey.ok_or_else(|| bundle.incomplete("a private key"))?;
        let certificates: Vec<X509> = opened.cert.into_iter().chain(opened.ca.into_iter().flatten()).collect();
        if certificates.is_empty() {
            return Err(bundle.incomplete("a certificate"));
        }
        ClientIdentity::arrange(key, certificates).ok_or_else(|| bundle.mismatch())
    }

    /// Finds the leaf by its key, and puts its issuers in their order. `None` where the key belongs to none.
    fn arrange(key: PKey<Private>, mut others: Vec<X509>) -> Option<ClientIdentity> {
        let matches = |certificate: &X509| certificate.public_key().is_ok_and(|public| public.public_eq(&key));
        let leaf = others.swap_remove(others.iter().position(matches)?);
        let mut chain: Vec<X509> = Vec::new();
        loop {
            let last = chain.last().unwrap_or(&leaf);
            let Some(issuer) = others.iter().position(|other| other.issued(last) == X509VerifyResult::OK) else {
                break;
            };
            chain.push(others.swap_remove(issuer));
        }
        Some(ClientIdentity { leaf, chain, key })
    }

    fn facts(&self) -> Option<Certificate> {
        Certificate::read(&self.leaf.to_der().ok()?)
    }

    pub(super) fn presented(&self) -> Option<PresentedCertificate> {
        let der = self.leaf.to_der().ok()?;
        Some(Certificate::read(&der)?.presented(&der, self.chain.len()))
    }
}

/// The key, decrypted. The callback is there so that OpenSSL never asks on the terminal.
fn read_key(material: &Material<'_>) -> Result<PKey<Private>> {
    let asked = Cell::new(false);
    let give = |buffer: &mut [u8]| {
        asked.set(true);
        let password = material.password.unwrap_or_default().as_bytes();
        let Some(start) = buffer.get_mut(..password.len()) else { return Err(ErrorStack::get()) };
        start.copy_from_slice(password);
        Ok(password.len())
    };
    PKey::private_key_from_pem_callback(material.key.as_bytes(), give)
        .map_err(|error| unopened_key(material, asked.get(), error))
}

/// Why a key cannot be had: its text is damaged, it is encrypted in a way that this OpenSSL does not open (whatever the
/// password), or the password is wrong.
fn unopened_key(material: &Material<'_>, asked: bool, error: ErrorStack) -> Error {
    let about = |what: &str| material.key_from.about(what);
    let error_and_hint = match not_available(&error) {
        Some(algorithm) => about(&format!("holds a key that this OpenSSL cannot open: {algorithm} is not available"))
            .with_hint(
                "on a machine that has it, `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out KEY.pem` encrypts it again; for some old \
                 ciphers OpenSSL 3 needs `-provider legacy -provider default`",
            ),
        None if asked => about("holds a key that this password does not open")
            .with_hint("check tlsCertificateKeyFilePassword; in a connection string it is percent-encoded"),
        None => about("holds a private key that cannot be read").with_hint("`openssl pkey -in KEY -check` says more"),
    };
    error_and_hint.with_source(error)
}

fn unopened_bundle(bundle: &Bundle<'_>, error: ErrorStack) -> Error {
    let error_and_hint = match not_available(&error) {
        Some(algorithm) => bundle.not_available(&algorithm),
        None => bundle.wrong_password(),
    };
    error_and_hint.with_source(error)
}

/// The algorithm that OpenSSL does not have (any more), where that is why.
fn not_available(error: &ErrorStack) -> Option<String> {
    let reason =
        |error: &::openssl::error::Error| (error.library_code() == EVP).then_some(error.reason_code() & REASON_MASK);
    let cause =
        error.errors().iter().find(|error| reason(error).is_some_and(|reason| NOT_AVAILABLE.contains(&reason)))?;
    // "Global default library context, Algorithm (RC2-40-CBC : 0), Properties ()"
    let named = cause.data().and_then(|data| data.split_once("Algorithm (")).map(|(_, rest)| rest);
    let algorithm = named.and_then(|rest| rest.split([' ', ')']).next());
    Some(algorithm.or_else(|| cause.reason()).unwrap_or("its encryption").to_owned())
}

/// ERR_LIB_EVP: the part of OpenSSL that has the ciphers.
const EVP: i32 = 6;
/// Reasons of OpenSSL 3 carry flags above these bits.
const REASON_MASK: i32 = 0xffff;
/// ERR_R_UNSUPPORTED; and EVP_R_UNSUPPORTED_CIPHER, _UNKNOWN_PBE_ALGORITHM, _UNSUPPORTED_KEYLENGTH,
/// _UNSUPPORTED_KEY_DERIVATION_FUNCTION, _UNSUPPORTED_PRF, _UNSUPPORTED_SALT_TYPE, _UNSUPPORTED_ALGORITHM,
/// _UNKNOWN_CIPHER, _MEMORY_LIMIT_EXCEEDED.
const NOT_AVAILABLE: [i32; 10] = [268, 107, 121, 123, 124, 125, 126, 156, 160, 172];
