//! The facts about a TLS channel.

/// The facts about a TLS channel, for diagnostics: in
/// [`ConnectionInfo::tls`](crate::event::ConnectionInfo::tls) of each command event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The library that made it, with its version where that is known: `OpenSSL 3.0.15 3 Sep 2024`.
    pub backend: String,
    /// The protocol version, as `TLSv1.3`. `None` if the platform does not report it.
    pub protocol: Option<String>,
    /// The cipher suite, as `TLS_AES_256_GCM_SHA384`. `None` if the platform does not report it.
    pub cipher: Option<String>,
    /// The subjects of the certificates that the server presented, its own first, as RFC 2253 writes names. Windows and macOS
    /// report only the server's own.
    pub peer_chain: Vec<String>,
    /// Whether an earlier session was resumed, so that no certificates were exchanged. `None` if the platform does not report it.
    pub resumed: Option<bool>,
    /// What was found out about the revocation of the server's certificates.
    pub revocation: Revocation,
}

/// What was found out about the revocation of a server's certificate. (A revoked certificate fails the handshake.)
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// Not checked: certificates are not verified, or `tlsDisableCertificateRevocationCheck` is on.
    NotChecked,
    /// The platform checks it (Windows, macOS) and does not report the result.
    LeftToPlatform,
    /// Not revoked, according to this source.
    Good(RevocationSource),
    /// It could not be determined, for this reason. The channel was made nevertheless.
    Unknown(String),
}

/// The source of the information that a certificate is not revoked.
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
