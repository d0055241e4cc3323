//! Whether a server's certificate is revoked, as the drivers' OCSP specification has it.
//!
//! Lists (`tlsCRLFile`) are OpenSSL's own business, within the handshake. The rest is judged right after a full
//! handshake, before the first byte of MongoDB's protocol: asking a responder takes time, and has no place in a
//! callback. At that point the handshake is over, and nothing secret has been sent. In this order:
//! 1. a certificate that promises a stapled answer must come with one, and a stapled answer must count;
//! 2. what an answer says, stapled or kept from earlier, is final;
//! 3. with lists, the handshake has settled it;
//! 4. the responders that the server's own certificate names are asked, all at once;
//! 5. where nobody could tell, the channel is made all the same, with a warning.
//!
//! `answer` judges answers, `subject` is what they are about, `responder` asks, `cache` keeps, `must_staple` reads the
//! promise, `crl` the lists.

mod answer;
mod cache;
mod checked_certificate;
pub(in crate::tls::openssl) mod crl;
pub(in crate::tls::openssl) mod must_staple;
#[cfg(feature = "ocsp")]
mod responder;
mod time;

use std::sync::Arc;
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

use crate::error::{Error, ErrorKind, Result, Stage};
use crate::event::{Revocation, RevocationSource};
use crate::options::TlsOptions;
use crate::tls::target::Target;
use crate::warning::{WarningKind, WarningSink};

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
    cache: Arc<OcspCache>,
    warning_sink: WarningSink,
}

/// What was found out.
pub(super) struct Found {
    pub(super) revocation: Revocation,
    /// Until when it holds, where that is known.
    pub(super) until: Option<SystemTime>,
}

/// Whether anything is checked at all.
pub(super) fn is_on(options: &TlsOptions) -> bool {
    !options.danger_accepts_any_certificate() && options.disable_certificate_revocation_check != Some(true)
}

impl RevocationChecker {
    pub(super) fn new(
        options: &TlsOptions,
        lists: Option<Lists>,
        cache: &Arc<OcspCache>,
        warning_sink: &WarningSink,
    ) -> RevocationChecker {
        RevocationChecker {
            lists,
            asks_responders: options.disable_ocsp_endpoint_check != Some(true),
            cache: cache.clone(),
            warning_sink: warning_sink.clone(),
        }
    }

    /// Has the handshake ask for a stapled answer.
    pub(super) fn prepare(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        ssl.set_status_type(StatusType::OCSP)
    }

    /// Judges the server's certificate after a full handshake. An error: there must be no channel.
    pub(super) fn judge(&self, ssl: &SslRef, target: &Target<'_>) -> Result<Found> {
        let Some(subject) = CheckedCertificate::of(ssl) else {
            return Err(Error::new(ErrorKind::Tls, Stage::Tls, "OpenSSL returned no verified certificate chain"));
        };
        let request = subject.request().map_err(|error| {
            Error::new(ErrorKind::Tls, Stage::Tls, "OpenSSL could not name the server's certificate in an OCSP request")
                .with_source(error)
        })?;
        let judge = RevocationCheck { subject, request, cache: &self.cache, now: SystemTime::now() };
        if let Some(found) = judge.staple(ssl.ocsp_status().filter(|staple| !staple.is_empty()))? {
            return Ok(self.limited(found));
        }
        if let Some(found) = judge.kept()? {
            return Ok(self.limited(found));
        }
        if self.lists.is_some() {
            return Ok(self.limited(Found { revocation: Revocation::Good(RevocationSource::Crl), until: None }));
        }
        if !self.asks_responders {
            let why = "the server stapled no status, and tlsDisableOCSPEndpointCheck is on";
            return Ok(Found { revocation: Revocation::Unknown(why.to_owned()), until: None });
        }
        self.ask(&judge, target)
    }

    #[cfg(feature = "ocsp")]
    fn ask(&self, judge: &RevocationCheck<'_>, target: &Target<'_>) -> Result<Found> {
        let named = judge.subject.responders();
        let urls: Vec<String> = named.iter().filter(|url| responder::is_askable(url)).cloned().collect();
        if urls.is_empty() {
            return Ok(nobody_to_ask(named.len()));
        }
        let mut failures = Vec::new();
        for came in responder::ask(urls, &judge.request, responder::limit(target.deadline)) {
            let name = shown(&came.url);
            let read = came.answer.and_then(|answer| OcspStatus::read(&answer, &judge.subject, judge.now));
            match read {
                Ok(OcspStatus { certificate: CertificateStatus::Unknown, .. }) => {
                    failures.push(format!("{name} does not know the certificate"));
                }
                Ok(status) => {
                    return judge.settled(status, RevocationSource::Responder, &format!("the responder {name}"));
                }
                Err(why) => failures.push(format!("{name} gave no valid answer: {why}")),
            }
        }
        if failures.is_empty() {
            failures.push("no responder answered in time".to_owned());
        }
        Ok(self.gave_up(judge, target, failures.join("; ")))
    }

    #[cfg(not(feature = "ocsp"))]
    fn ask(&self, judge: &RevocationCheck<'_>, target: &Target<'_>) -> Result<Found> {
        match judge.subject.responders().len() {
            0 => Ok(nobody_to_ask(0)),
            _ => Ok(self.gave_up(
                judge,
                target,
                "the driver is built without its feature `ocsp`, which asks responders".to_owned(),
            )),
        }
    }

    /// The soft failure, which is not a silent one.
    fn gave_up(&self, judge: &RevocationCheck<'_>, target: &Target<'_>, why: String) -> Found {
        let about = format!("the certificate of {} ({})", target.host, judge.subject.described());
        self.warning_sink.warn(
            WarningKind::Revocation,
            format!("whether {about} is revoked could not be determined; it is used all the same: {why}"),
        );
        self.unknown(why)
    }

    /// Nobody could tell just now; before long somebody may.
    fn unknown(&self, why: String) -> Found {
        Found { revocation: Revocation::Unknown(why), until: SystemTime::now().checked_add(ASK_AGAIN) }
    }

    /// With lists, it holds no longer than they do.
    fn limited(&self, found: Found) -> Found {
        let lists = self.lists.as_ref().and_then(|lists| lists.until);
        Found { until: [found.until, lists].into_iter().flatten().min(), ..found }
    }
}

/// One certificate before the bench.
struct RevocationCheck<'a> {
    subject: CheckedCertificate<'a>,
    /// The OCSP request about it: its name in the cache, too.
    request: Vec<u8>,
    cache: &'a OcspCache,
    now: SystemTime,
}

impl RevocationCheck<'_> {
    /// What was stapled, or not.
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

    /// What earlier connections found out.
    fn kept(&self) -> Result<Option<Found>> {
        let Some(status) = self.cache.get(&self.request, self.now) else { return Ok(None) };
        self.settled(status, RevocationSource::Cache, "an OCSP answer of an earlier connection that is still valid")
            .map(Some)
    }

    /// An answer that counts.
    fn settled(&self, status: OcspStatus, source: RevocationSource, who: &str) -> Result<Found> {
        self.cache.keep(&self.request, &status, self.now);
        match &status.certificate {
            CertificateStatus::Revoked(since) => {
                Err(self.refused(&format!("it is revoked {since}, says {who}"), REVOKED_HINT))
            }
            _ => Ok(Found { revocation: Revocation::Good(source), until: Some(status.until()) }),
        }
    }

    fn refused(&self, why: &str, hint: &'static str) -> Error {
        let message = format!("the server's certificate was refused: {why}. Presented: {}", self.subject.described());
        Error::new(ErrorKind::Tls, Stage::Tls, message).with_hint(hint)
    }
}

fn nobody_to_ask(named: usize) -> Found {
    let why = match named {
        0 => "the certificate names no OCSP responder, and the server stapled no OCSP answer",
        _ => "the certificate names no OCSP responder that is asked over plain HTTP",
    };
    Found { revocation: Revocation::Unknown(why.to_owned()), until: None }
}

/// A URL of a certificate, for a message: bounded, and without what a terminal would obey.
#[cfg(feature = "ocsp")]
fn shown(url: &str) -> String {
    url.chars().filter(|character| !character.is_control()).take(MAX_SHOWN).collect()
}

/// So long a channel to whose certificate nobody had a status may be resumed.
const ASK_AGAIN: Duration = Duration::from_secs(5 * 60);
#[cfg(feature = "ocsp")]
const MAX_SHOWN: usize = 200;
const REVOKED_HINT: &str = "its authority has revoked it: the server needs a new certificate. \
     If this is unexpected, do not go on: an attacker may hold its key";
const STAPLE_HINT: &str = "the server must staple a current OCSP answer about its own certificate (MongoDB does so by itself, \
     once it reaches the responder that its certificate names)";
