//! Whether a certificate promises that its server staples an OCSP answer (RFC 7633). The binding gives no access to
//! that extension, so it is read from the certificate's DER.

use crate::tls::certificate::extension;
use crate::tls::der::{self, Reader};

/// Whether the certificate, DER, has the extension with the feature status_request. One whose content cannot be read
/// counts as the promise, because ignoring it would be weaker.
pub(in crate::tls::openssl) fn is_promised(certificate: &[u8]) -> bool {
    let Some(extension) = extension(certificate, TLS_FEATURE) else { return false };
    match features(extension) {
        Some(features) => features.iter().any(|feature| matches!(feature, [STATUS_REQUEST])),
        None => true,
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

#[cfg(test)]
mod tests;
