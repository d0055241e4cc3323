//! The description of a certificate for an error. It is bounded, because the certificate is untrusted.

use ::openssl::hash::MessageDigest;
use ::openssl::x509::{GeneralNameRef, X509NameRef, X509Ref};

use crate::tls::certificate::{name_text, printable};

/// Its names, subject, issuer, validity and SHA-256 fingerprint.
pub(super) fn describe(certificate: &X509Ref) -> String {
    format!(
        "{}, {}, issuer {}, SHA-256 fingerprint {}",
        names(certificate),
        name_and_validity(certificate),
        issuer(certificate),
        fingerprint(certificate)
    )
}

/// Its subject, and from when to when it holds.
pub(super) fn name_and_validity(certificate: &X509Ref) -> String {
    let subject = subject(certificate);
    format!("subject {subject}, valid from {} until {}", certificate.not_before(), certificate.not_after())
}

/// Its subject.
pub(super) fn subject(certificate: &X509Ref) -> String {
    cut(&rfc2253(certificate.subject_name()))
}

/// The authority that issued it.
pub(super) fn issuer(certificate: &X509Ref) -> String {
    cut(&rfc2253(certificate.issuer_name()))
}

/// A name as RFC 2253 writes it.
pub(super) fn rfc2253(name: &X509NameRef) -> String {
    name.to_der().ok().and_then(|der| name_text(&der)).unwrap_or_else(|| "(a name that cannot be read)".to_owned())
}

/// The names that count for a server: those of the extension subjectAltName.
fn names(certificate: &X509Ref) -> String {
    let Some(all) = certificate.subject_alt_names() else {
        return "no subjectAltName".to_owned();
    };
    let mut shown: Vec<String> = all.iter().take(MAX_NAMES).map(name).collect();
    if all.len() > MAX_NAMES {
        shown.push(format!("and {} more", all.len() - MAX_NAMES));
    }
    shown.join(", ")
}

fn name(name: &GeneralNameRef) -> String {
    if let Some(host) = name.dnsname() {
        return format!("DNS:{}", cut(&printable(host)));
    }
    match name.ipaddress() {
        Some(&[a, b, c, d]) => format!("IP:{}", std::net::Ipv4Addr::new(a, b, c, d)),
        Some(bytes) => match <[u8; 16]>::try_from(bytes) {
            Ok(bytes) => format!("IP:{}", std::net::Ipv6Addr::from(bytes)),
            Err(_) => "IP: (not an address)".to_owned(),
        },
        None => "a name of another kind".to_owned(),
    }
}

fn fingerprint(certificate: &X509Ref) -> String {
    let Ok(digest) = certificate.digest(MessageDigest::sha256()) else { return "unknown".to_owned() };
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The most names that an error shows.
const MAX_NAMES: usize = 10;
/// The longest host name has 253 characters.
const MAX_CHARACTERS: usize = 256;
