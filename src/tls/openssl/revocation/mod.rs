//! Whether a server's certificate is revoked, as the drivers' OCSP specification has it.
//!
//! OpenSSL itself checks revocation lists (`tlsCRLFile`) within the handshake. The rest is checked right after a full handshake,
//! before the first byte of MongoDB's protocol. It is not done in a callback of OpenSSL, because asking a responder takes time.
//! At that point nothing secret has been sent. In this order:
//! 1. a certificate that promises a stapled answer must come with one, and a stapled answer must count;
//! 2. the status in a stapled or cached answer is final;
//! 3. with lists, the handshake has settled it;
//! 4. the responders that the server's own certificate names are asked, all at once;
//! 5. if the status is still unknown, the channel is made nevertheless, with a warning.
//!
//! `answer` validates answers, `checked_certificate` is their subject, `responder` asks, `cache` stores, `must_staple` reads that
//! extension, `crl` reads lists.

mod answer;
mod cache;
mod checked_certificate;
pub(in crate::tls::openssl) mod crl;
pub(in crate::tls::openssl) mod must_staple;
#[cfg(feature = "ocsp")]
mod responder;
mod time;

use std::time::{Duration, SystemTime};

use ::openssl::error::ErrorStack;
use ::openssl::ssl::{SslRef, StatusType};
#[cfg(any(test, fuzzing))]
use ::openssl::stack::StackRef;
#[cfg(any(test, fuzzing))]
use ::openssl::x509::store::X509StoreRef;
#[cfg(any(test, fuzzing))]
use ::openssl::x509::{X509, X509Ref};

use answer::{CertificateStatus, OcspStatus};
pub(in crate::tls) use cache::OcspCache;
use checked_certificate::CheckedCertificate;
use crl::Lists;

use crate::error::{Error, FaultKind, Result, Stage};
use crate::event::{Revocation, RevocationSource};
use crate::options::TlsSettings;
use crate::tls::SharedParts;
use crate::tls::target::Target;
use crate::warning::WarningKind;

/// Whether an answer about the first certificate, which the second one issued, says that it is revoked.
#[cfg(any(test, fuzzing))]
pub(super) fn says_revoked(
    answer: &[u8],
    [certificate, issuer]: [&X509Ref; 2],
    chain: &StackRef<X509>,
    trusted: &X509StoreRef,
    now: SystemTime,
) -> std::result::Result<bool, String> {
    let subject = CheckedCertificate { certificate, issuer, chain, trusted };
    let status = OcspStatus::read(answer, &subject, now)?;
    Ok(matches!(status.certificate, CertificateStatus::Revoked(_)))
}

/// What one context checks.
pub(super) struct RevocationChecker {
    lists: Option<Lists>,
    asks_responders: bool,
    shared: SharedParts,
}

/// What was found out.
pub(super) struct Found {
    pub(super) revocation: Revocation,
    /// Until when it holds, where that is known.
    pub(super) until: Option<SystemTime>,
}

/// Whether anything is checked at all.
pub(super) fn is_on(options: &TlsSettings) -> bool {
    !options.danger_accepts_any_certificate() && options.disable_certificate_revocation_check != Some(true)
}

impl RevocationChecker {
    pub(super) fn new(options: &TlsSettings, lists: Option<Lists>, shared: &SharedParts) -> RevocationChecker {
        RevocationChecker {
            lists,
            asks_responders: options.disable_ocsp_endpoint_check != Some(true),
            shared: shared.clone(),
        }
    }

    /// Has the handshake ask for a stapled answer.
    pub(super) fn prepare(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        ssl.set_status_type(StatusType::OCSP)
    }

    /// Checks the server's certificate after a full handshake. After an error the channel must not be used.
    pub(super) fn check(&self, ssl: &SslRef, target: &Target<'_>) -> Result<Found> {
        let Some(subject) = CheckedCertificate::of(ssl) else {
            return Err(Error::new(FaultKind::Tls, Stage::Tls, "OpenSSL returned no verified certificate chain"));
        };
        let request = subject.request().map_err(|error| {
            Error::new(FaultKind::Tls, Stage::Tls, "OpenSSL could not name the server's certificate in an OCSP request")
                .with_source(error)
        })?;
        let check = RevocationCheck { subject, request, cache: &self.shared.ocsp_cache, now: self.shared.system.now() };
        if let Some(found) = check.staple(ssl.ocsp_status().filter(|staple| !staple.is_empty()))? {
            return Ok(self.limited(found));
        }
        if let Some(found) = check.cached()? {
            return Ok(self.limited(found));
        }
        if self.lists.is_some() {
            return Ok(self.limited(Found { revocation: Revocation::Good(RevocationSource::Crl), until: None }));
        }
        if !self.asks_responders {
            let why = "the server stapled no status, and tlsDisableOCSPEndpointCheck is on";
            return Ok(Found { revocation: Revocation::Unknown(why.to_owned()), until: None });
        }
        self.ask(&check, target)
    }

    #[cfg(feature = "ocsp")]
    fn ask(&self, check: &RevocationCheck<'_>, target: &Target<'_>) -> Result<Found> {
        let named = check.subject.responders();
        let urls: Vec<String> = named.iter().filter(|url| responder::is_askable(url)).cloned().collect();
        if urls.is_empty() {
            return Ok(no_responder(named.len()));
        }
        let mut failures = Vec::new();
        for came in responder::ask(&self.shared.system.http(), urls, &check.request, responder::limit(target.deadline))
        {
            let name = shown(&came.url);
            let read = came.answer.and_then(|answer| OcspStatus::read(&answer, &check.subject, check.now));
            match read {
                Ok(OcspStatus { certificate: CertificateStatus::Unknown, .. }) => {
                    failures.push(format!("{name} does not know the certificate"));
                }
                Ok(status) => {
                    return check.settled(status, RevocationSource::Responder, &format!("the responder {name}"));
                }
                Err(why) => failures.push(format!("{name} gave no valid answer: {why}")),
            }
        }
        if failures.is_empty() {
            failures.push("no responder answered in time".to_owned());
        }
        Ok(self.gave_up(check, target, failures.join("; ")))
    }

    #[cfg(not(feature = "ocsp"))]
    fn ask(&self, check: &RevocationCheck<'_>, target: &Target<'_>) -> Result<Found> {
        match check.subject.responders().len() {
            0 => Ok(no_responder(0)),
            _ => Ok(self.gave_up(
                check,
                target,
                "the driver is built without its feature `ocsp`, which asks responders".to_owned(),
            )),
        }
    }

    /// The soft failure: the connection goes on, with a warning.
    fn gave_up(&self, check: &RevocationCheck<'_>, target: &Target<'_>, why: String) -> Found {
        let about = format!("the certificate of {} ({})", target.host, check.subject.described());
        self.shared.warning_sink.warn(
            WarningKind::Revocation,
            format!("whether {about} is revoked could not be determined; the connection is made nevertheless: {why}"),
        );
        self.unknown(why)
    }

    /// The status could not be determined now. It is asked for again after [`ASK_AGAIN`].
    fn unknown(&self, why: String) -> Found {
        Found { revocation: Revocation::Unknown(why), until: self.shared.system.now().checked_add(ASK_AGAIN) }
    }

    /// With lists, it is valid no longer than they are.
    fn limited(&self, found: Found) -> Found {
        let lists = self.lists.as_ref().and_then(|lists| lists.until);
        Found { until: [found.until, lists].into_iter().flatten().min(), ..found }
    }
}

/// The check of one certificate.
struct RevocationCheck<'a> {
    subject: CheckedCertificate<'a>,
    /// The OCSP request about it: its name in the cache, too.
    request: Vec<u8>,
    cache: &'a OcspCache,
    now: SystemTime,
}

impl RevocationCheck<'_> {
    /// Validates the stapled answer, or its absence.
    fn staple(&self, staple: Option<&[u8]>) -> Result<Option<Found>> {
        let promised = || self.subject.certificate.to_der().is_ok_and(|der| must_staple::is_promised(&der));
        let Some(staple) = staple else {
            return if promised() {
                Err(self.refused("it promises a stapled OCSP answer (must-staple), and there is none", STAPLE_HINT))
            } else {
                Ok(None)
            };
        };
        let status = OcspStatus::read(staple, &self.subject, self.now)
            .map_err(|why| self.refused(&format!("the OCSP answer stapled to it is not valid: {why}"), STAPLE_HINT))?;
        if status.certificate != CertificateStatus::Unknown {
            return self.settled(status, RevocationSource::Staple, "the OCSP answer that the server stapled").map(Some);
        }
        if promised() {
            Err(self.refused(
                "it promises a stapled OCSP answer (must-staple), and the stapled one does not know the certificate",
                STAPLE_HINT,
            ))
        } else {
            Ok(None)
        }
    }

    /// The answer of an earlier connection.
    fn cached(&self) -> Result<Option<Found>> {
        let Some(status) = self.cache.get(&self.request, self.now) else { return Ok(None) };
        self.settled(status, RevocationSource::Cache, "an OCSP answer of an earlier connection that is still valid")
            .map(Some)
    }

    /// The result of a valid answer.
    fn settled(&self, status: OcspStatus, source: RevocationSource, who: &str) -> Result<Found> {
        self.cache.keep(&self.request, &status, self.now);
        match &status.certificate {
            CertificateStatus::Revoked(since) => {
                Err(self.refused(&format!("it is revoked {since}, according to {who}"), REVOKED_HINT))
            }
            _ => Ok(Found { revocation: Revocation::Good(source), until: Some(status.until()) }),
        }
    }

    fn refused(&self, why: &str, hint: &'static str) -> Error {
        let message = format!("the server's certificate was refused: {why}. Presented: {}", self.subject.described());
        Error::new(FaultKind::Tls, Stage::Tls, message).with_hint(hint)
    }
}

fn no_responder(named: usize) -> Found {
    let why = match named {
        0 => "the certificate names no OCSP responder, and the server stapled no OCSP answer",
        _ => "the certificate names no OCSP responder that is asked over plain HTTP",
    };
    Found { revocation: Revocation::Unknown(why.to_owned()), until: None }
}

/// A URL of a certificate, for a message: bounded, and without control characters.
#[cfg(feature = "ocsp")]
fn shown(url: &str) -> String {
    url.chars().filter(|character| !character.is_control()).take(MAX_SHOWN).collect()
}

/// How long a session may be resumed if the status of its certificate is unknown.
const ASK_AGAIN: Duration = Duration::from_secs(5 * 60);
#[cfg(feature = "ocsp")]
const MAX_SHOWN: usize = 200;
const REVOKED_HINT: &str = "its authority has revoked it: the server needs a new certificate. \
     If this is unexpected, do not go on: an attacker may hold its key";
const STAPLE_HINT: &str = "the server must staple a current OCSP answer about its own certificate (MongoDB does that if \
     it can reach the responder that its certificate names)";
