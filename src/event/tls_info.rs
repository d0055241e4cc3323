//! What is known of a TLS channel.

/// What a TLS channel is made of, for diagnostics: in
/// [`ConnectionInfo::tls`](crate::event::ConnectionInfo::tls) of each command event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The library that made it, with its version where that is known: `OpenSSL 3.0.15 3 Sep 2024`.
    pub backend: String,
    /// The protocol version, as `TLSv1.3`. `None` where the platform does not tell.
    pub protocol: Option<String>,
    /// The cipher suite, as `TLS_AES_256_GCM_SHA384`. `None` where the platform does not tell.
    pub cipher: Option<String>,
    /// The subjects of the certificates that the server presented, its own first, as RFC 2253 writes names. Windows and macOS
    /// tell of the server's own only.
    pub peer_chain: Vec<String>,
    /// Whether an earlier session was taken up again, which spares the certificates. `None` where the platform does not tell.
    pub resumed: Option<bool>,
    /// What was found out about the revocation of the server's certificates.
    pub revocation: Revocation,
}

/// What was found out about the revocation of a server's certificate. (One that is revoked makes no channel.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// Nobody looked: certificates are not verified, or `tlsDisableCertificateRevocationCheck` is on.
    NotChecked,
    /// It is left to the platform (Windows, macOS), which does not tell.
    LeftToPlatform,
    /// It is not revoked, says this source.
    Good(RevocationSource),
    /// Nobody could tell, in these words; the channel was made all the same.
    Unknown(String),
}

/// Who says that a certificate is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationSource {
    /// The OCSP answer that the server stapled.
    Staple,
    /// An OCSP answer of an earlier connection.
    Cache,
    /// The lists of `tlsCRLFile`.
    Crl,
    /// The OCSP responder that the certificate names.
    Responder,
}
