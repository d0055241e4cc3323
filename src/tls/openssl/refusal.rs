//! Why a handshake failed: a certificate that was refused, a stream that failed, or something else; and what to do
//! about it. The hint depends on the certificates of both sides.

use std::io;
use std::sync::{Arc, Mutex};

use ::openssl::ssl::{self, MidHandshakeSslStream, Ssl, SslVerifyMode};
use ::openssl::x509::{X509, X509Ref, X509StoreContextRef, X509VerifyResult};

use super::Context;
use super::describe::{self, subject};
use super::roots::{NO_ROOTS_HINT, Trust};
use super::trust_settings::TrustSettings;
use crate::locks;
use crate::tls::certificate::has_dns_name;
use crate::tls::failure::{Failure, certificate_hint, handshake_failed, no_common_tls, no_dns_name_hint};
use crate::tls::target::{PeerName, Target, peer_name};

/// Keeps the chain that OpenSSL refuses; after the handshake it is gone.
#[derive(Clone, Default)]
pub(super) struct VerifyErrorCapture(Arc<Mutex<Option<Refused>>>);

/// A chain that was refused, and which of its certificates is at fault.
struct Refused {
    /// The server's own certificate.
    leaf: X509,
    /// The certificate at fault, and its position in the chain; 0 is the server's own.
    at_fault: X509,
    depth: u32,
    /// How many certificates the server sent.
    sent: usize,
}

impl VerifyErrorCapture {
    /// Observes the verification of the certificates, and applies the trust settings. OpenSSL decides everything else.
    pub(super) fn watch(&self, ssl: &mut Ssl, settings: &Arc<TrustSettings>) {
        let (captured, settings) = (self.clone(), settings.clone());
        ssl.set_verify_callback(SslVerifyMode::PEER, move |accepted, chain| {
            let accepted = settings.apply(accepted, chain);
            if !accepted {
                *locks::lock(&captured.0) = Refused::read(chain);
            }
            accepted
        });
    }

    fn refused(&self) -> Option<Refused> {
        locks::lock(&self.0).take()
    }
}

impl Refused {
    fn read(chain: &X509StoreContextRef) -> Option<Refused> {
        let leaf = chain.chain().and_then(|chain| chain.iter().next()).or_else(|| chain.current_cert())?;
        let at_fault = chain.current_cert().unwrap_or(leaf);
        Some(Refused { leaf: leaf.to_owned(), at_fault: at_fault.to_owned(), depth: chain.error_depth(), sent: 0 })
    }

    /// The hint, if the certificates show more than the reason does.
    fn hint(&self, verdict: X509VerifyResult, trust: &Trust, target: &Target<'_>) -> Option<String> {
        let Refused { leaf, at_fault, depth, sent } = self;
        let (own, issuer) = (subject(at_fault), describe::issuer(at_fault));
        let given = trust.given();
        let source = trust.option();
        let is_given = given.iter().any(|known| is_same(known, at_fault));
        match verdict.as_raw() {
            NOT_YET_VALID | EXPIRED if *depth > 0 && is_given => Some(format!(
                "the certificate of the authority {own} itself, in {source}, is out of date: put the authority's current one there \
                 (and check this machine's clock)"
            )),
            NOT_YET_VALID | EXPIRED if *depth > 0 && is_self_issued(at_fault) => Some(format!(
                "the certificate of the authority {own} itself is out of date: update this system's authorities (the package \
                 ca-certificates), and check this machine's clock"
            )),
            NOT_YET_VALID | EXPIRED if *depth > 0 => Some(format!(
                "the server sends an intermediate certificate, {own}, that is out of date: the server needs the current one of that \
                 authority, {issuer} (and check this machine's clock)"
            )),
            APPLICATION => Some(format!(
                "the trust settings of {own} in {source} reject it for servers: `openssl x509 -in FILE -noout -text` shows them"
            )),
            NO_ISSUER | NO_ISSUER_HERE | NO_LEAF_SIGNATURE if is_given => Some(format!(
                "{source} holds the certificate {own}, and not that of its issuer {issuer}: add the issuer's"
            )),
            NO_ISSUER | NO_ISSUER_HERE | NO_LEAF_SIGNATURE if given.iter().any(|known| subject(known) == issuer) => {
                Some(format!(
                    "{source} holds a certificate of {issuer} with another key than the one that issued {own}: it needs that \
                     authority's current one"
                ))
            }
            NO_ISSUER | NO_ISSUER_HERE | NO_LEAF_SIGNATURE if *sent == 1 && !is_self_issued(leaf) => Some(format!(
                "the server sends its own certificate alone, and its issuer {issuer} is not trusted here: if that is an \
                 intermediate authority, the server must send its certificate too (mongod: in certificateKeyFile); if it is a \
                 private root, name its certificate with tlsCAFile"
            )),
            NO_ISSUER | NO_ISSUER_HERE | NO_LEAF_SIGNATURE | SELF_SIGNED | SELF_SIGNED_ROOT if !given.is_empty() => {
                let missing = if is_self_issued(at_fault) { own } else { issuer };
                Some(format!(
                    "{source} does not hold the certificate of {missing}, which the server's certificate leads to: if that is the \
                     server's authority, add it (tlsCAFile)"
                ))
            }
            HOST_NAME if is_nameless(leaf) => match peer_name(target.host) {
                PeerName::Dns(name) => Some(no_dns_name_hint(name)),
                PeerName::Ip(_) => None,
            },
            _ => None,
        }
    }
}

fn is_same(one: &X509Ref, other: &X509Ref) -> bool {
    matches!((one.to_der(), other.to_der()), (Ok(one), Ok(other)) if one == other)
}

fn is_self_issued(certificate: &X509Ref) -> bool {
    subject(certificate) == describe::issuer(certificate)
}

fn is_nameless(certificate: &X509Ref) -> bool {
    certificate.to_der().is_ok_and(|der| !has_dns_name(&der))
}

/// Whether this side refused the server's certificate. OpenSSL has a result even if verification is off.
pub(super) fn is_refusal<S>(failed: &MidHandshakeSslStream<S>) -> bool {
    failed.ssl().verify_mode() != SslVerifyMode::NONE && failed.ssl().verify_result() != X509VerifyResult::OK
}

/// The failure for a refused certificate, a failed stream, or another error of the handshake.
pub(super) fn explain<S>(
    failed: MidHandshakeSslStream<S>,
    capture: &VerifyErrorCapture,
    context: &Context,
    target: &Target<'_>,
) -> Failure {
    let (refused, verdict) = (is_refusal(&failed), failed.ssl().verify_result());
    if refused {
        let sent = failed.ssl().peer_cert_chain().map_or(0, |chain| chain.len());
        let chain = capture.refused().map(|refused| Refused { sent, ..refused });
        return refusal(verdict, chain, context, target);
    }
    match failed.into_error().into_io_error() {
        Ok(error) => Failure::Io(error),
        Err(error) => explain_protocol(&error, context, target),
    }
}

/// What was expected, what came, and what to do.
fn refusal(verdict: X509VerifyResult, refused: Option<Refused>, context: &Context, target: &Target<'_>) -> Failure {
    let trust = &context.trust;
    let reason = match verdict {
        X509VerifyResult::APPLICATION_VERIFICATION => "certificate rejected by its trust settings",
        verdict => verdict.error_string(),
    };
    let mut message = format!(
        "the server's certificate was refused: {reason}. Expected: a certificate for {}, from {trust}",
        target.host
    );
    if let Some(Refused { leaf, at_fault, depth, .. }) = &refused {
        message.push_str(&format!(". Presented: {}", describe::describe(leaf)));
        if *depth > 0 {
            let at_fault = describe::name_and_validity(at_fault);
            message.push_str(&format!("; the fault is further up its chain, with {at_fault}"));
        }
    }
    if let Some(nothing) = trust.nothing_there(&*context.system).filter(|_| trust.would_help(reason)) {
        return handshake_failed(format!("{message}. {nothing}"), Some(NO_ROOTS_HINT));
    }
    match refused.and_then(|refused| refused.hint(verdict, trust, target)) {
        Some(hint) => handshake_failed(message, Some(hint)),
        None => handshake_failed(message, Some(certificate_hint(reason))),
    }
}

/// The server ended the handshake, or does not speak TLS. Where it did not accept our certificate, that is looked at.
fn explain_protocol(error: &ssl::Error, context: &Context, target: &Target<'_>) -> Failure {
    let reasons: Vec<&str> =
        error.ssl_error().iter().flat_map(|stack| stack.errors()).filter_map(|e| e.reason()).collect();
    if reasons.is_empty() || reasons.iter().any(|reason| reason.contains("unexpected eof")) {
        return Failure::Io(io::ErrorKind::UnexpectedEof.into());
    }
    let reason = reasons.join("; ");
    let lower = reason.to_ascii_lowercase();
    match &context.presented {
        Some(presented)
            if lower.contains("alert") && (lower.contains("certificate") || lower.contains("unknown ca")) =>
        {
            let message = format!("the server refused the client certificate: {reason}");
            handshake_failed(message, Some(presented.refusal_hint(context.system.now())))
        }
        _ => no_common_tls(&reason, target),
    }
}

// X509_V_ERR_...
const NO_ISSUER: i32 = 2;
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const SELF_SIGNED: i32 = 18;
const SELF_SIGNED_ROOT: i32 = 19;
const NO_ISSUER_HERE: i32 = 20;
const NO_LEAF_SIGNATURE: i32 = 21;
const APPLICATION: i32 = 50;
const HOST_NAME: i32 = 62;
