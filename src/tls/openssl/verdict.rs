//! Why a handshake failed: a certificate that was refused, a stream that failed, or something else.

use std::io;

use ::openssl::ssl::{self, MidHandshakeSslStream};
use ::openssl::x509::X509VerifyResult;

use crate::tls::{Failure, NOT_TLS_HINT, REFUSED_HINT, certificate_hint, handshake_failed};

/// Tells a refused certificate from a stream that failed, and both from all else.
pub(super) fn judge<S>(failed: MidHandshakeSslStream<S>, host: &str) -> Failure {
    let verdict = failed.ssl().verify_result();
    let error = failed.into_error();
    if verdict != X509VerifyResult::OK {
        let reason = verdict.error_string();
        let message = format!("the server's certificate was refused: {reason} (the name asked for is {host})");
        return handshake_failed(message, Some(certificate_hint(reason)));
    }
    match error.into_io_error() {
        Ok(error) => Failure::Io(error),
        Err(error) => judge_protocol(&error),
    }
}

fn judge_protocol(error: &ssl::Error) -> Failure {
    let reasons: Vec<&str> =
        error.ssl_error().iter().flat_map(|stack| stack.errors()).filter_map(|e| e.reason()).collect();
    if reasons.is_empty() || reasons.iter().any(|reason| reason.contains("unexpected eof")) {
        return Failure::Io(io::ErrorKind::UnexpectedEof.into());
    }
    let not_tls = ["wrong version number", "packet length too long", "record too small", "bad record type", "http"];
    let hint = match () {
        () if reasons.iter().any(|reason| not_tls.iter().any(|word| reason.contains(word))) => NOT_TLS_HINT,
        () => REFUSED_HINT,
    };
    handshake_failed(format!("no common TLS: {}", reasons.join("; ")), Some(hint))
}
