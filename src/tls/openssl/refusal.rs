//! Why a handshake failed: a certificate that was refused, a stream that failed, or something else.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ::openssl::ssl::{self, MidHandshakeSslStream, Ssl, SslVerifyMode};
use ::openssl::x509::{X509StoreContextRef, X509VerifyResult};

use super::describe;
use super::roots::Trust;
use crate::tls::{Failure, Target, certificate_hint, handshake_failed, no_common_tls};

/// Keeps what OpenSSL says of a certificate that it refuses; after the handshake it is gone.
#[derive(Clone, Default)]
pub(super) struct VerifyErrorCapture(Arc<Mutex<Option<Refused>>>);

/// A chain that was refused, and which of its certificates is to blame.
struct Refused {
    leaf: String,
    blamed: Option<String>,
}

impl VerifyErrorCapture {
    /// Looks on while the certificates are verified. The verdict stays OpenSSL's.
    pub(super) fn watch(&self, ssl: &mut Ssl) {
        let seen = self.clone();
        ssl.set_verify_callback(SslVerifyMode::PEER, move |accepted, chain| {
            if !accepted {
                *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Refused::read(chain);
            }
            accepted
        });
    }

    fn refused(&self) -> Option<Refused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Refused {
    fn read(chain: &X509StoreContextRef) -> Option<Refused> {
        let leaf = chain.chain().and_then(|chain| chain.iter().next()).or_else(|| chain.current_cert())?;
        let blamed = chain.current_cert().filter(|_| chain.error_depth() > 0);
        Some(Refused { leaf: describe::describe(leaf), blamed: blamed.map(describe::name_and_validity) })
    }
}

/// Whether it was us who refused the server's certificate. OpenSSL has a verdict also where nobody asked for one.
pub(super) fn is_refusal<S>(failed: &MidHandshakeSslStream<S>) -> bool {
    failed.ssl().verify_mode() != SslVerifyMode::NONE && failed.ssl().verify_result() != X509VerifyResult::OK
}

/// Tells a refused certificate from a stream that failed, and both from all else.
pub(super) fn judge<S>(
    failed: MidHandshakeSslStream<S>,
    capture: &VerifyErrorCapture,
    trust: &Trust,
    target: &Target<'_>,
) -> Failure {
    let (refused, verdict) = (is_refusal(&failed), failed.ssl().verify_result());
    let error = failed.into_error();
    if refused {
        return refusal(verdict.error_string(), capture.refused(), trust, target);
    }
    match error.into_io_error() {
        Ok(error) => Failure::Io(error),
        Err(error) => judge_protocol(&error, target),
    }
}

/// What was expected, what came, and what to do.
fn refusal(reason: &str, refused: Option<Refused>, trust: &Trust, target: &Target<'_>) -> Failure {
    let mut message = format!(
        "the server's certificate was refused: {reason}. Expected: a certificate for {}, from {trust}",
        target.host
    );
    if let Some(Refused { leaf, blamed }) = refused {
        message.push_str(&format!(". Presented: {leaf}"));
        if let Some(blamed) = blamed {
            message.push_str(&format!("; the fault is further up its chain, with {blamed}"));
        }
    }
    match trust.nothing_there() {
        Some(nothing) if trust.would_help(reason) => {
            handshake_failed(format!("{message}. {nothing}"), Some(super::roots::NO_ROOTS_HINT))
        }
        _ => handshake_failed(message, Some(certificate_hint(reason))),
    }
}

fn judge_protocol(error: &ssl::Error, target: &Target<'_>) -> Failure {
    let reasons: Vec<&str> =
        error.ssl_error().iter().flat_map(|stack| stack.errors()).filter_map(|e| e.reason()).collect();
    if reasons.is_empty() || reasons.iter().any(|reason| reason.contains("unexpected eof")) {
        return Failure::Io(io::ErrorKind::UnexpectedEof.into());
    }
    no_common_tls(&reasons.join("; "), target)
}
