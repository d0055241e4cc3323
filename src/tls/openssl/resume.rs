//! The one call about sessions that the compiler cannot vouch for.
#![allow(unsafe_code)]

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{SslRef, SslSessionRef};

/// Has a handshake take up an earlier session. Only for a session that a channel of the same context has made.
pub(super) fn take_up(ssl: &mut SslRef, session: &SslSessionRef) -> Result<(), ErrorStack> {
    // SAFETY: OpenSSL asks that the session is of the same context as the channel, or else it would mix two identities.
    // The sessions handed over are those of `Sessions`, of which each context has its own, filled by its channels only.
    // OpenSSL counts its references to the session by itself.
    unsafe { ssl.set_session(session) }
}
