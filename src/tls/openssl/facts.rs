//! The facts about a channel.

use ::openssl::ssl::SslRef;
use ::openssl::version;

use super::describe::rfc2253;
use crate::event::{Revocation, TlsInfo};

/// The facts of a channel whose handshake is over.
pub(super) fn facts(ssl: &SslRef, revocation: Revocation) -> TlsInfo {
    let subjects = ssl.peer_cert_chain().into_iter().flatten().take(MAX_SUBJECTS);
    TlsInfo {
        backend: version::version().to_owned(),
        protocol: Some(ssl.version_str().to_owned()),
        cipher: ssl.current_cipher().map(|cipher| cipher.name().to_owned()),
        peer_chain: subjects.map(|certificate| rfc2253(certificate.subject_name())).collect(),
        resumed: Some(ssl.session_reused()),
        revocation,
    }
}

/// OpenSSL follows no longer chain either.
const MAX_SUBJECTS: usize = 100;
