//! Facts about certificates that more than one part of the crate needs.

/// The client certificate that a server was shown: what an error about a refused login says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentedCertificate {
    /// Its subject, as RFC 2253 writes it.
    pub(crate) subject: String,
    /// The end of its validity.
    pub(crate) expires: String,
}
