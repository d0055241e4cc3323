//! An OCSP answer (RFC 6960), stapled or from a responder, and whether it counts.

use std::time::{Duration, SystemTime};

use ::openssl::ocsp::{self, OcspBasicResponse, OcspCertStatus, OcspFlag, OcspResponse, OcspResponseStatus};

use super::checked_certificate::CheckedCertificate;
use super::time;

/// What a valid answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OcspStatus {
    pub(super) certificate: CertificateStatus,
    pub(super) this_update: SystemTime,
    pub(super) next_update: Option<SystemTime>,
}

/// The status of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CertificateStatus {
    Good,
    /// Since when, as text for messages.
    Revoked(String),
    /// The responder does not know the certificate.
    Unknown,
}

impl OcspStatus {
    /// Reads an answer, DER. The error says why it does not count.
    pub(super) fn read(der: &[u8], subject: &CheckedCertificate<'_>, now: SystemTime) -> Result<OcspStatus, String> {
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
        OcspStatus::of(&status, now)
    }

    /// Until when it is valid. An answer without an end is used for [`UNLIMITED_HOLDS`].
    pub(super) fn until(&self) -> SystemTime {
        self.next_update.unwrap_or(self.this_update + UNLIMITED_HOLDS)
    }

    fn of(single: &ocsp::OcspStatus<'_>, now: SystemTime) -> Result<OcspStatus, String> {
        let unreadable = || "it has a time that cannot be read".to_owned();
        let this_update = time::of_generalized(single.this_update).ok_or_else(unreadable)?;
        let next_update = match single.next_update() {
            Some(next) => Some(time::of_generalized(next).ok_or_else(unreadable)?),
            None => None,
        };
        let status = OcspStatus { certificate: certificate_status(single)?, this_update, next_update };
        if this_update > now + CLOCK_TOLERANCE {
            return Err(format!("it is valid only from {} on", single.this_update));
        }
        if status.until() <= now {
            return Err(match single.next_update() {
                Some(next) => format!("it was valid until {next} and is out of date"),
                None => format!("it dates from {}, and does not say how long it is valid", single.this_update),
            });
        }
        Ok(status)
    }
}

/// The signer must be the certificate's own issuer, or have a certificate from it for signing OCSP
/// answers.
fn check_signature(basic: &OcspBasicResponse, subject: &CheckedCertificate<'_>) -> Result<(), String> {
    basic.verify(subject.chain, subject.trusted, OcspFlag::NO_EXPLICIT).map_err(|error| {
        let reasons: Vec<&str> = error.errors().iter().filter_map(|error| error.reason()).collect();
        if reasons.is_empty() {
            "its signer is neither the certificate's issuer nor a delegate of the issuer".to_owned()
        } else {
            format!("its signature is not valid: {}", reasons.join("; "))
        }
    })
}

fn certificate_status(single: &ocsp::OcspStatus<'_>) -> Result<CertificateStatus, String> {
    match single.status {
        OcspCertStatus::GOOD => Ok(CertificateStatus::Good),
        OcspCertStatus::UNKNOWN => Ok(CertificateStatus::Unknown),
        OcspCertStatus::REVOKED => Ok(CertificateStatus::Revoked(match single.revocation_time {
            Some(since) => format!("since {since}"),
            None => "at an unknown time".to_owned(),
        })),
        _ => Err("it has an unknown status".to_owned()),
    }
}

fn name_of(status: OcspResponseStatus) -> String {
    let name = match status {
        OcspResponseStatus::MALFORMED_REQUEST => "malformedRequest",
        OcspResponseStatus::INTERNAL_ERROR => "internalError",
        OcspResponseStatus::TRY_LATER => "tryLater",
        OcspResponseStatus::SIG_REQUIRED => "sigRequired",
        OcspResponseStatus::UNAUTHORIZED => "unauthorized",
        _ => return format!("{}, an unknown error", status.as_raw()),
    };
    name.to_owned()
}

/// An answer about one certificate, with the certificate of its signer, has two or three thousand bytes.
pub(super) const MAX_ANSWER: usize = 64 * 1024;
/// How far the responder's clock may be ahead of this machine's clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// RFC 6960 allows answers without an end, which means that newer information may be available at any time.
const UNLIMITED_HOLDS: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use ::openssl::stack::Stack;
    use ::openssl::x509::X509;
    use ::openssl::x509::store::X509StoreBuilder;
    use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};
    use mongo_blocking_test_server::peers::{CertStatus, OcspResponder};

    use super::*;

    /// What is not covered by the signature may be changed, and says nothing. All else makes the answer worthless: no
    /// changed byte has it say something else, and none does harm.
    #[test]
    fn no_changed_byte_changes_the_word() {
        let authority = Authority::new();
        let Some(registry) = OcspResponder::new(&authority) else { return };
        let issued = authority.issue(CertPurpose::Server, "localhost");
        registry.enter(&issued, CertStatus::Revoked);
        let answer = registry.answer_about(&issued);
        let [leaf, root] = [issued.certificate, authority.pem()].map(|pem| X509::from_pem(pem.as_bytes()).unwrap());
        let (mut chain, mut trusted) = (Stack::new().unwrap(), X509StoreBuilder::new().unwrap());
        chain.push(leaf.clone()).unwrap();
        chain.push(root.clone()).unwrap();
        trusted.add_cert(root).unwrap();
        let trusted = trusted.build();
        let mut certificates = chain.iter();
        let (certificate, issuer) = (certificates.next().unwrap(), certificates.next().unwrap());
        let subject = CheckedCertificate { certificate, issuer, chain: &chain, trusted: &trusted };
        let now = SystemTime::now();
        let status = OcspStatus::read(&answer, &subject, now).unwrap();
        assert!(
            matches!(&status.certificate, CertificateStatus::Revoked(since) if since == "since Jan  1 00:00:00 2025 GMT"),
            "{status:?}"
        );
        let mut counted = 0;
        for at in 0..answer.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = answer.clone();
                changed[at] ^= change;
                if let Ok(read) = OcspStatus::read(&changed, &subject, now) {
                    assert_eq!(read, status, "byte {at}");
                    counted += 1;
                }
            }
        }
        assert!(counted < 3 * answer.len() / 2, "most of it is signed or needed: {counted} of {}", 3 * answer.len());
        for length in 0..answer.len() {
            OcspStatus::read(&answer[..length], &subject, now).unwrap_err();
        }
        let long = [&answer[..], &vec![0; MAX_ANSWER]].concat();
        assert!(OcspStatus::read(&long, &subject, now).unwrap_err().contains("it has more than 65536 bytes"));
    }
}
