//! The names in certificates.

use ::openssl::x509::X509NameRef;

use crate::tls::certificate::name_text;

/// A name as RFC 2253 writes it.
pub(super) fn rfc2253(name: &X509NameRef) -> String {
    name.to_der().ok().and_then(|der| name_text(&der)).unwrap_or_else(|| "(a name that cannot be read)".to_owned())
}
