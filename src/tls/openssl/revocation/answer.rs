//! An OCSP answer (RFC 6960), stapled or from a responder, and whether it counts.

use std::time::{Duration, SystemTime};

use ::openssl::ocsp::{OcspBasicResponse, OcspCertStatus, OcspFlag, OcspResponse, OcspResponseStatus, OcspStatus};

use super::subject::Subject;
use super::time;

/// What a valid answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) status: Status,
    pub(super) this_update: SystemTime,
    pub(super) next_update: Option<SystemTime>,
}

/// What becomes of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    /// Since when, in words.
    Revoked(String),
    /// The responder does not know the certificate.
    Unknown,
}

impl Word {
    /// Reads an answer, DER. The error says why it does not count.
    pub(super) fn read(der: &[u8], subject: &Subject<'_>, now: SystemTime) -> Result<Word, String> {
        if der.len() > MAX_ANSWER {
            return Err(format!("it has more than {MAX_ANSWER} bytes"));
        }
        let response = OcspResponse::from_der(der).map_err(|_| "it cannot be read".to_owned())?;
        if response.status() != OcspResponseStatus::SUCCESSFUL {
            return Err(format!("it says {}", name_of(response.status())));
        }
        let basic = response.basic().map_err(|_| "it is of an unknown kind".to_owned())?;
        let mut ids = subject.ids();
        let id = ids.find(|id| basic.find_status(id).is_some());
        let status = id.as_ref().and_then(|id| basic.find_status(id)).ok_or("it is about another certificate")?;
        check_signature(&basic, subject)?;
        Word::of(&status, now)
    }

    /// Until when it holds. One that does not say so itself holds for [`UNLIMITED_HOLDS`].
    pub(super) fn until(&self) -> SystemTime {
        self.next_update.unwrap_or(self.this_update + UNLIMITED_HOLDS)
    }

    fn of(status: &OcspStatus<'_>, now: SystemTime) -> Result<Word, String> {
        let unreadable = || "it has a time that cannot be read".to_owned();
        let this_update = time::of_generalized(status.this_update).ok_or_else(unreadable)?;
        let next_update = match status.next_update() {
            Some(next) => Some(time::of_generalized(next).ok_or_else(unreadable)?),
            None => None,
        };
        let word = Word { status: status_of(status)?, this_update, next_update };
        if this_update > now + CLOCK_TOLERANCE {
            return Err(format!("it holds only from {} on", status.this_update));
        }
        if word.until() <= now {
            return Err(match status.next_update() {
                Some(next) => format!("it held until {next} and is out of date"),
                None => format!("it is of {}, and does not say until when it holds", status.this_update),
            });
        }
        Ok(word)
    }
}

/// The signer must be the certificate's own issuer, or hold a certificate by it that is made out for signing OCSP answers.
fn check_signature(basic: &OcspBasicResponse, subject: &Subject<'_>) -> Result<(), String> {
    basic.verify(subject.chain, subject.trusted, OcspFlag::NO_EXPLICIT).map_err(|error| {
        let reasons: Vec<&str> = error.errors().iter().filter_map(|error| error.reason()).collect();
        match reasons.is_empty() {
            true => "its signer is neither the certificate's issuer nor a delegate of that".to_owned(),
            false => format!("its signature does not count: {}", reasons.join("; ")),
        }
    })
}

fn status_of(status: &OcspStatus<'_>) -> Result<Status, String> {
    match status.status {
        OcspCertStatus::GOOD => Ok(Status::Good),
        OcspCertStatus::UNKNOWN => Ok(Status::Unknown),
        OcspCertStatus::REVOKED => Ok(Status::Revoked(match status.revocation_time {
            Some(since) => format!("since {since}"),
            None => "at a time that is not told".to_owned(),
        })),
        _ => Err("it has a status that OCSP does not know".to_owned()),
    }
}

fn name_of(status: OcspResponseStatus) -> String {
    let name = match status {
        OcspResponseStatus::MALFORMED_REQUEST => "malformedRequest",
        OcspResponseStatus::INTERNAL_ERROR => "internalError",
        OcspResponseStatus::TRY_LATER => "tryLater",
        OcspResponseStatus::SIG_REQUIRED => "sigRequired",
        OcspResponseStatus::UNAUTHORIZED => "unauthorized",
        _ => return format!("{}, which OCSP does not know", status.as_raw()),
    };
    name.to_owned()
}

/// An answer about one certificate, with the certificate of its signer, has two or three thousand bytes.
pub(super) const MAX_ANSWER: usize = 64 * 1024;
/// So far the responder's clock may be ahead of ours.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// RFC 6960 has answers without an end, and means that newer ones may be had at any time.
const UNLIMITED_HOLDS: Duration = Duration::from_secs(24 * 60 * 60);
