//! Whether a certificate promises that its server staples an OCSP answer (RFC 7633). The binding gives no access to
//! that extension, so it is read from the certificate's DER.

use crate::tls::der::{self, Reader, Value};

/// Whether the certificate, DER, has the extension with the feature status_request. One whose content cannot be read
/// counts as the promise: who put it there wanted something to be kept.
pub(in crate::tls::openssl) fn is_promised(certificate: &[u8]) -> bool {
    let Some(extension) = extension(certificate) else { return false };
    match features(extension) {
        Some(features) => features.iter().any(|feature| matches!(feature, [STATUS_REQUEST])),
        None => true,
    }
}

/// What the extension holds: Certificate, TBSCertificate, the context's tag 3, Extensions, Extension with that OID.
fn extension(certificate: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader::new(certificate).inside(der::SEQUENCE)?.inside(der::SEQUENCE)?;
    let mut extensions = loop {
        let Value { tag, body } = fields.next()?;
        if tag == EXTENSIONS {
            break Reader::new(body).inside(der::SEQUENCE)?;
        }
    };
    loop {
        let mut extension = extensions.inside(der::SEQUENCE)?;
        if extension.next()? != (Value { tag: der::OBJECT_IDENTIFIER, body: TLS_FEATURE }) {
            continue;
        }
        let mut value = extension.next()?;
        if value.tag == BOOLEAN {
            value = extension.next()?; // after whether it is critical
        }
        return Some(if value.tag == OCTET_STRING { value.body } else { &[] });
    }
}

/// SEQUENCE OF INTEGER.
fn features(extension: &[u8]) -> Option<Vec<&[u8]>> {
    let mut whole = Reader::new(extension);
    let mut inside = whole.inside(der::SEQUENCE).filter(|_| whole.is_empty())?;
    let mut features = Vec::new();
    while !inside.is_empty() {
        features.push(inside.next().filter(|value| value.tag == der::INTEGER)?.body);
    }
    Some(features)
}

/// 1.3.6.1.5.5.7.1.24
const TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
/// The number of the TLS extension status_request.
const STATUS_REQUEST: u8 = 5;
/// `[3] EXPLICIT`
const EXTENSIONS: u8 = 0xa3;
const BOOLEAN: u8 = 1;
const OCTET_STRING: u8 = 4;

#[cfg(test)]
mod tests;
