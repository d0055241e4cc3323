//! What the parsers of certificates, lists and OCSP answers make of bytes, for the fuzz targets.

use std::path::Path;
use std::time::SystemTime;

use ::openssl::stack::Stack;
use ::openssl::x509::store::X509StoreBuilder;
use ::openssl::x509::{CrlStatus, X509};

use super::context;
use super::revocation::{crl, says_revoked};
use crate::error::Result;
use crate::options::TlsSettings;
use crate::system::RealSystem;
use crate::tls::files::Files;
use crate::warning::Warnings;

/// The certificates, DER, that the authorities of these options reject for servers.
pub(crate) fn rejected_authorities(options: &TlsSettings) -> Result<Vec<Vec<u8>>> {
    let store = context::new_store(options, &Files::default(), &RealSystem, &mut Warnings::default())?;
    Ok(store.trust_settings.rejected().to_vec())
}

/// Whether each list that the authority signed revokes the certificate; `None` where it signed none.
pub(crate) fn lists_revoke(lists: &[u8], authority: &str, certificate: &str) -> Result<Option<bool>> {
    let [authority, certificate] = [authority, certificate].map(certificate_of);
    let key = authority.public_key().expect("a key");
    let lists = crl::read(Path::new("lists"), lists)?;
    let signed = lists.iter().filter(|list| list.verify(&key).unwrap_or(false));
    let verdicts = signed.map(|list| matches!(list.get_by_cert(&certificate), CrlStatus::Revoked(_)));
    Ok(verdicts.reduce(|one, other| one && other))
}

/// Whether an OCSP answer says that the certificate is revoked; the error says why it does not count.
pub(crate) fn ocsp_revokes(
    answer: &[u8],
    authority: &str,
    certificate: &str,
    now: SystemTime,
) -> std::result::Result<bool, String> {
    let [authority, certificate] = [authority, certificate].map(certificate_of);
    let (mut chain, mut trusted) = (Stack::new().expect("a stack"), X509StoreBuilder::new().expect("a store"));
    chain.push(certificate.clone()).expect("room");
    chain.push(authority.clone()).expect("room");
    trusted.add_cert(authority.clone()).expect("an authority");
    says_revoked(answer, [&certificate, &authority], &chain, &trusted.build(), now)
}

fn certificate_of(pem: &str) -> X509 {
    X509::from_pem(pem.as_bytes()).expect("a certificate")
}
