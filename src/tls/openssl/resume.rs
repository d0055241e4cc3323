//! The one `unsafe` call for session resumption.
#![allow(unsafe_code)]

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{SslRef, SslSessionRef};

/// Makes a handshake resume an earlier session. Only for a session that a channel of the same context has made.
pub(super) fn take_up(ssl: &mut SslRef, session: &SslSessionRef) -> Result<(), ErrorStack> {
    // SAFETY: OpenSSL asks that the session is of the same context as the channel, or else it would mix two identities.
    // The sessions handed over are those of `Sessions`, of which each context has its own, filled by its channels only.
    // OpenSSL counts its own references to the session.
    unsafe { ssl.set_session(session) }
}
