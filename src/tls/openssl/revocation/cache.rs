//! OCSP answers of earlier connections.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use super::answer::{CertificateStatus, OcspStatus};
use crate::locks;

/// Answers by the OCSP name of their certificate. A client has one cache, which is kept when the client's files change. That is
/// safe because the issuer's key is part of the name, and only the issuer or its delegate signs an answer.
#[derive(Default)]
pub(in crate::tls) struct OcspCache(Mutex<HashMap<Vec<u8>, OcspStatus>>);

impl OcspCache {
    /// The answer that is valid now.
    pub(super) fn get(&self, name: &[u8], now: SystemTime) -> Option<OcspStatus> {
        self.lock().get(name).filter(|status| holds(status, now)).cloned()
    }

    /// Stores an answer with a known status and an end, unless there is one that is valid as long. "Revoked" is always
    /// stored.
    pub(super) fn keep(&self, name: &[u8], status: &OcspStatus, now: SystemTime) {
        if status.certificate == CertificateStatus::Unknown || status.next_update.is_none() {
            return;
        }
        let mut answers = self.lock();
        if status.certificate == CertificateStatus::Good
            && answers.get(name).is_some_and(|known| known.next_update >= status.next_update)
        {
            return;
        }
        if answers.len() >= MAX_ANSWERS && !answers.contains_key(name) {
            answers.retain(|_, status| holds(status, now));
        }
        if answers.len() >= MAX_ANSWERS && !answers.contains_key(name) {
            answers.clear();
        }
        answers.insert(name.to_vec(), status.clone());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, OcspStatus>> {
        locks::lock(&self.0)
    }
}

/// Without the tolerance for clocks that a fresh answer has, because a newer answer is available then.
fn holds(status: &OcspStatus, now: SystemTime) -> bool {
    status.this_update <= now && status.next_update.is_some_and(|next| now < next)
}

/// A deployment has fewer servers; with more, the responders are asked again.
const MAX_ANSWERS: usize = 1000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn status(certificate: CertificateStatus, this_update: SystemTime, next_update: Option<SystemTime>) -> OcspStatus {
        OcspStatus { certificate, this_update, next_update }
    }

    #[test]
    fn an_answer_holds_from_this_update_until_right_before_next_update() {
        let (cache, now) = (OcspCache::default(), SystemTime::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        cache.keep(b"a", &status(CertificateStatus::Good, later(10), Some(later(20))), now);
        for (at, there) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(cache.get(b"a", later(at)).is_some(), there, "{at}");
        }
        assert_eq!(cache.get(b"b", later(15)), None);
    }

    #[test]
    fn a_longer_answer_replaces_and_a_shorter_one_does_not_unless_it_revokes() {
        let (cache, now) = (OcspCache::default(), SystemTime::now());
        let until = |seconds| Some(now + Duration::from_secs(seconds));
        let revoked = || CertificateStatus::Revoked("since then".to_owned());
        cache.keep(b"a", &status(CertificateStatus::Good, now, until(20)), now);
        cache.keep(b"a", &status(CertificateStatus::Good, now, until(10)), now);
        assert_eq!(cache.get(b"a", now).unwrap().next_update, until(20));
        cache.keep(b"a", &status(CertificateStatus::Good, now, until(30)), now);
        assert_eq!(cache.get(b"a", now).unwrap().next_update, until(30));
        cache.keep(b"a", &status(revoked(), now, until(10)), now);
        assert_eq!(cache.get(b"a", now).unwrap().certificate, revoked());
        cache.keep(b"a", &status(CertificateStatus::Good, now, until(10)), now);
        assert_eq!(cache.get(b"a", now).unwrap().certificate, revoked());
        cache.keep(b"a", &status(CertificateStatus::Good, now, until(11)), now);
        assert_eq!(cache.get(b"a", now).unwrap().certificate, CertificateStatus::Good);
    }

    #[test]
    fn what_says_nothing_or_has_no_end_is_not_kept() {
        let (cache, now) = (OcspCache::default(), SystemTime::now());
        cache.keep(b"a", &status(CertificateStatus::Unknown, now, Some(now + Duration::from_secs(9))), now);
        cache.keep(b"a", &status(CertificateStatus::Good, now, None), now);
        assert!(cache.lock().is_empty());
    }

    #[test]
    fn it_has_room_for_so_many() {
        let (cache, now) = (OcspCache::default(), SystemTime::now());
        let good = |seconds| status(CertificateStatus::Good, now, Some(now + Duration::from_secs(seconds)));
        for number in 0..MAX_ANSWERS + 10 {
            cache.keep(&number.to_be_bytes(), &good(if number == 7 { 100 } else { 1 }), now + Duration::from_secs(2));
        }
        assert!(cache.lock().len() <= MAX_ANSWERS);
        assert!(cache.get(&7_usize.to_be_bytes(), now + Duration::from_secs(2)).is_some());
    }
}
