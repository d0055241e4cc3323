//! The certificate whose revocation is checked.

use ::openssl::error::ErrorStack;
use ::openssl::hash::MessageDigest;
use ::openssl::ocsp::{OcspCertId, OcspRequest};
use ::openssl::ssl::SslRef;
use ::openssl::stack::StackRef;
use ::openssl::x509::store::X509StoreRef;
use ::openssl::x509::{X509, X509Ref};

use crate::tls::openssl::describe;

/// A server's certificate whose chain was verified, and the data to validate an answer about it.
pub(super) struct CheckedCertificate<'a> {
    pub(super) certificate: &'a X509Ref,
    pub(super) issuer: &'a X509Ref,
    pub(super) chain: &'a StackRef<X509>,
    pub(super) trusted: &'a X509StoreRef,
}

impl<'a> CheckedCertificate<'a> {
    /// The certificate of a channel whose full handshake is over.
    pub(super) fn of(ssl: &'a SslRef) -> Option<CheckedCertificate<'a>> {
        let chain = ssl.verified_chain()?;
        let mut certificates = chain.iter();
        let certificate = certificates.next()?;
        // A certificate that is trusted itself is its own issuer.
        let issuer = certificates.next().unwrap_or(certificate);
        Some(CheckedCertificate { certificate, issuer, chain, trusted: ssl.ssl_context().cert_store() })
    }

    /// Its names in an OCSP answer: one for each digest that the answer's author may have chosen.
    pub(super) fn ids(&self) -> impl Iterator<Item = OcspCertId> {
        let digests =
            [MessageDigest::sha1(), MessageDigest::sha256(), MessageDigest::sha384(), MessageDigest::sha512()];
        digests.into_iter().filter_map(|digest| self.id(digest).ok())
    }

    /// The request about it, DER, which is its name in the cache too: it holds the certificate's OCSP name and nothing
    /// else. With SHA-1, since RFC 5019 has responders that know nothing else, and a name needs no more; where the
    /// system forbids that, with SHA-256.
    pub(super) fn request(&self) -> Result<Vec<u8>, ErrorStack> {
        let mut request = OcspRequest::new()?;
        request.add_id(self.id(MessageDigest::sha1()).or_else(|_| self.id(MessageDigest::sha256()))?)?;
        request.to_der()
    }

    /// The responders that it names.
    pub(super) fn responders(&self) -> Vec<String> {
        let Ok(named) = self.certificate.ocsp_responders() else { return Vec::new() };
        named.iter().map(|url| url.to_string()).collect()
    }

    /// Its description for messages.
    pub(super) fn described(&self) -> String {
        describe::name_and_validity(self.certificate)
    }

    fn id(&self, digest: MessageDigest) -> Result<OcspCertId, ErrorStack> {
        OcspCertId::from_cert(digest, self.certificate, self.issuer)
    }
}
