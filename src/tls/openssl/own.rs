//! The client's own certificate and key, as OpenSSL wants them.

use ::openssl::error::ErrorStack;
use ::openssl::pkey::{PKey, Private};
use ::openssl::x509::{X509, X509VerifyResult};

use super::name::rfc2253;
use crate::auth::Presented;
use crate::error::Result;
use crate::tls::identity::{self, Material};

/// The client's own certificate, ready for use.
pub(super) struct Identity {
    pub(super) leaf: X509,
    /// Its issuers, as far as the file holds them, each before its own.
    pub(super) chain: Vec<X509>,
    pub(super) key: PKey<Private>,
}

impl Identity {
    pub(super) fn new(material: &Material<'_>) -> Result<Identity> {
        let key = read_key(material)?;
        let mut others = Vec::new();
        for certificate in &material.certificates {
            others.push(X509::from_pem(certificate.as_bytes()).map_err(|error| {
                material.about_certificates("holds a certificate that cannot be read").with_source(error)
            })?);
        }
        let matches = |certificate: &X509| certificate.public_key().is_ok_and(|public| public.public_eq(&key));
        let Some(position) = others.iter().position(matches) else { return Err(material.mismatch()) };
        let leaf = others.swap_remove(position);
        let mut chain: Vec<X509> = Vec::new();
        loop {
            let last = chain.last().unwrap_or(&leaf);
            let Some(issuer) = others.iter().position(|other| other.issued(last) == X509VerifyResult::OK) else {
                break;
            };
            chain.push(others.swap_remove(issuer));
        }
        Ok(Identity { leaf, chain, key })
    }

    pub(super) fn presented(&self) -> Presented {
        Presented { subject: rfc2253(self.leaf.subject_name()), expires: self.leaf.not_after().to_string() }
    }
}

/// The key, decrypted. The callback is there so that OpenSSL never asks on the terminal.
fn read_key(material: &Material<'_>) -> Result<PKey<Private>> {
    let give = |buffer: &mut [u8]| {
        let password = material.password.unwrap_or_default().as_bytes();
        let Some(place) = buffer.get_mut(..password.len()) else { return Err(ErrorStack::get()) };
        place.copy_from_slice(password);
        Ok(password.len())
    };
    PKey::private_key_from_pem_callback(material.key.as_bytes(), give)
        .map_err(|error| identity::unreadable_key(material).with_source(error))
}
