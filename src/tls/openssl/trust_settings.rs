//! The trust settings that `openssl x509 -trustout` and the bundles of some systems write into a TRUSTED CERTIFICATE
//! block.
//!
//! The block holds the certificate and, after it, OpenSSL's X509_CERT_AUX: the purposes that the certificate is trusted
//! for, those for which it is rejected, and a display name. The binding reads no such block, so both parts are read
//! from the DER. The rules are OpenSSL's own (`X509_check_trust`): a rejected purpose wins; a list of trusted purposes
//! that lacks this one rejects it; and a certificate that is trusted explicitly needs no issuer above it.

use std::error::Error;
use std::fmt;

use ::openssl::error::ErrorStack;
use ::openssl::x509::{X509, X509Ref, X509StoreContextRef, X509VerifyResult};

use crate::tls::der::{OBJECT_IDENTIFIER, Reader, SEQUENCE};
use crate::tls::pem::Block;

/// Whether a certificate may vouch for servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) enum TrustSetting {
    /// As any authority's certificate.
    Usual,
    /// Its block says that it is trusted for servers.
    Trusted,
    /// Its block says that it is not.
    Rejected,
}

/// What a block could not be read as.
#[derive(Debug)]
pub(super) enum Unreadable {
    Certificate(ErrorStack),
    TrustSettings,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Certificate(error) => error.fmt(f),
            Unreadable::TrustSettings => f.write_str("the trust settings of its TRUSTED CERTIFICATE block are damaged"),
        }
    }
}

impl Error for Unreadable {}

/// Reads a certificate and its trust setting from a block.
pub(super) fn read(block: &Block<'_>) -> Result<(X509, TrustSetting), Unreadable> {
    if !block.is_trusted_certificate() {
        let certificate = X509::from_pem(block.text.as_bytes()).map_err(Unreadable::Certificate)?;
        return Ok((certificate, TrustSetting::Usual));
    }
    let der = block.der().ok_or(Unreadable::TrustSettings)?;
    let (certificate, settings) = Reader::split_first(&der).ok_or(Unreadable::TrustSettings)?;
    let certificate = X509::from_der(certificate).map_err(Unreadable::Certificate)?;
    Ok((certificate, setting(settings).ok_or(Unreadable::TrustSettings)?))
}

/// Reads X509_CERT_AUX, which may be missing; `None` where it is damaged. It is a SEQUENCE of: SEQUENCE OF purposes
/// that are trusted, `[0]` of those that are rejected, a UTF8String, an OCTET STRING, `[1]`; each of them optional.
fn setting(settings: &[u8]) -> Option<TrustSetting> {
    if settings.is_empty() {
        return Some(TrustSetting::Usual);
    }
    let mut whole = Reader::new(settings);
    let mut fields = whole.inside(SEQUENCE).filter(|_| whole.is_empty())?;
    let (mut trusted, mut rejected, mut before) = (None, false, 0);
    while !fields.is_empty() {
        let field = fields.next()?;
        let position = FIELDS.iter().position(|tag| *tag == field.tag)? + 1;
        if position <= before {
            return None;
        }
        before = position;
        match field.tag {
            SEQUENCE => trusted = Some(names_servers(field.body)?),
            REJECTED => rejected = names_servers(field.body)?,
            _ => {}
        }
    }
    Some(match (rejected, trusted) {
        (true, _) | (false, Some(false)) => TrustSetting::Rejected,
        (false, Some(true)) => TrustSetting::Trusted,
        (false, None) => TrustSetting::Usual,
    })
}

/// Whether servers are among the purposes.
fn names_servers(purposes: &[u8]) -> Option<bool> {
    let (mut purposes, mut found) = (Reader::new(purposes), false);
    while !purposes.is_empty() {
        let purpose = purposes.next().filter(|value| value.tag == OBJECT_IDENTIFIER)?;
        found |= [SERVER_AUTH, ANY_PURPOSE].contains(&purpose.body);
    }
    Some(found)
}

/// The certificates, DER, whose blocks have a setting.
#[derive(Default)]
pub(super) struct TrustSettings {
    trusted: Vec<Vec<u8>>,
    rejected: Vec<Vec<u8>>,
}

impl TrustSettings {
    pub(super) fn add(&mut self, certificate: &X509Ref, setting: TrustSetting) -> Result<(), ErrorStack> {
        match setting {
            TrustSetting::Usual => {}
            TrustSetting::Trusted => self.trusted.push(certificate.to_der()?),
            TrustSetting::Rejected => self.rejected.push(certificate.to_der()?),
        }
        Ok(())
    }

    /// The certificates, DER, that are rejected for servers.
    #[cfg(any(test, fuzzing))]
    pub(super) fn rejected(&self) -> &[Vec<u8>] {
        &self.rejected
    }

    /// Applies the settings to the certificate that OpenSSL looks at, and returns whether it is accepted. OpenSSL calls
    /// this for every certificate of a chain, and for every fault.
    pub(super) fn apply(&self, accepted: bool, chain: &mut X509StoreContextRef) -> bool {
        if self.trusted.is_empty() && self.rejected.is_empty() {
            return accepted;
        }
        let current = chain.current_cert().and_then(|certificate| certificate.to_der().ok());
        let Some(current) = current else { return accepted };
        if self.rejected.contains(&current) {
            chain.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
            return false;
        }
        let lacks_issuer = ISSUER_MISSING.contains(&chain.error().as_raw());
        if !accepted && lacks_issuer && self.trusted.contains(&current) {
            chain.set_error(X509VerifyResult::OK);
            return true;
        }
        accepted
    }
}

/// `[0] IMPLICIT`, a list.
const REJECTED: u8 = 0xa0;
/// The fields in their order.
const FIELDS: [u8; 5] = [SEQUENCE, REJECTED, 0x0c, 0x04, 0xa1];
/// 1.3.6.1.5.5.7.3.1
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// anyExtendedKeyUsage, 2.5.29.37.0
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];
/// X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, _ISSUER_CERT_LOCALLY, _VERIFY_LEAF_SIGNATURE: the chain ends without a root.
const ISSUER_MISSING: [i32; 3] = [2, 20, 21];

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tag: u8, purposes: &[&[u8]]) -> Vec<u8> {
        let body: Vec<u8> = purposes
            .iter()
            .flat_map(|purpose| [&[OBJECT_IDENTIFIER, purpose.len() as u8], *purpose].concat())
            .collect();
        [&[tag, body.len() as u8], &body[..]].concat()
    }

    fn settings(fields: &[Vec<u8>]) -> Vec<u8> {
        let body = fields.concat();
        [&[SEQUENCE, body.len() as u8], &body[..]].concat()
    }

    /// emailProtection, 1.3.6.1.5.5.7.3.4
    const EMAIL: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];

    #[test]
    fn the_settings_as_openssl_reads_them() {
        let trusted = |purposes: &[&[u8]]| list(SEQUENCE, purposes);
        let rejected = |purposes: &[&[u8]]| list(REJECTED, purposes);
        let alias = vec![0x0c, 2, b'o', b'k'];
        for (fields, expected) in [
            (vec![], TrustSetting::Usual),
            (vec![alias.clone()], TrustSetting::Usual),
            (vec![trusted(&[SERVER_AUTH])], TrustSetting::Trusted),
            (vec![trusted(&[EMAIL, ANY_PURPOSE]), alias.clone()], TrustSetting::Trusted),
            (vec![trusted(&[EMAIL])], TrustSetting::Rejected),
            (vec![trusted(&[])], TrustSetting::Rejected),
            (vec![rejected(&[EMAIL])], TrustSetting::Usual),
            (vec![rejected(&[EMAIL, SERVER_AUTH])], TrustSetting::Rejected),
            (vec![rejected(&[ANY_PURPOSE])], TrustSetting::Rejected),
            (vec![trusted(&[SERVER_AUTH]), rejected(&[SERVER_AUTH])], TrustSetting::Rejected),
        ] {
            assert_eq!(setting(&settings(&fields)), Some(expected), "{fields:?}");
        }
        assert_eq!(setting(b""), Some(TrustSetting::Usual));
        for damaged in [
            settings(&[rejected(&[SERVER_AUTH]), trusted(&[SERVER_AUTH])]),
            settings(&[trusted(&[SERVER_AUTH]), trusted(&[SERVER_AUTH])]),
            settings(&[vec![2, 1, 1]]),
            settings(&[list(REJECTED, &[SERVER_AUTH])[..5].to_vec()]),
            [settings(&[]), vec![0]].concat(),
            vec![SEQUENCE],
            b"junk".to_vec(),
        ] {
            assert_eq!(setting(&damaged), None, "{damaged:?}");
        }
    }

    /// No byte that is changed or lost makes a rejected certificate a trusted one, as long as its purpose stays what it
    /// is.
    #[test]
    fn no_bytes_do_harm() {
        let whole = settings(&[list(SEQUENCE, &[SERVER_AUTH]), list(REJECTED, &[SERVER_AUTH, EMAIL])]);
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = setting(&changed);
            }
            let cut = setting(&whole[..at]);
            assert!(cut.is_none() || at == 0, "{at}: {cut:?}");
        }
    }
}
