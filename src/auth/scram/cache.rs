//! The keys of earlier conversations: only the first connection of a client has to derive them.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::crypto::{self, Keys};
use crate::credential::ScramMechanism;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::locks::lock;
use crate::secret::Secret;
use crate::system::System;

/// The derived keys of one client, the last used last. It never holds a password: an entry is found by a keyed hash, under a
/// key of this cache's own, of everything the keys depend on.
///
/// It belongs to one client, is bounded, and is wiped when it is dropped.
#[derive(Clone)]
pub(in crate::auth) struct KeyCache(Arc<Inner>);

struct Inner {
    key: Zeroizing<[u8; 64]>,
    entries: Mutex<Vec<(Tag, Keys)>>,
}

type Tag = [u8; 32];

impl KeyCache {
    pub(in crate::auth) fn new(system: &dyn System) -> Result<Self> {
        let mut key = Zeroizing::new([0; 64]);
        system.random(&mut *key)?;
        Ok(KeyCache(Arc::new(Inner { key, entries: Mutex::default() })))
    }

    /// The keys, from the cache or derived now; `None` if the deadline passes first. No lock is held during the derivation, so two
    /// threads that miss at the same time both derive.
    pub(super) fn get_or_derive(
        &self,
        mechanism: ScramMechanism,
        password: &Secret,
        salt: &[u8],
        iterations: u32,
        deadline: Deadline,
    ) -> Option<Keys> {
        let tag = self.tag(mechanism, password, salt, iterations);
        if let Some(keys) = self.find(&tag) {
            return Some(keys);
        }
        let keys = crypto::derive(mechanism, password, salt, iterations, deadline)?;
        self.remember(tag, keys.clone());
        Some(keys)
    }

    #[cfg(test)]
    pub(in crate::auth) fn len(&self) -> usize {
        lock(&self.0.entries).len()
    }

    fn find(&self, tag: &Tag) -> Option<Keys> {
        let mut entries = lock(&self.0.entries);
        let at = entries.iter().position(|(own, _)| own == tag)?;
        let entry = entries.remove(at);
        let keys = entry.1.clone();
        entries.push(entry);
        Some(keys)
    }

    fn remember(&self, tag: Tag, keys: Keys) {
        let mut entries = lock(&self.0.entries);
        entries.retain(|(own, _)| *own != tag);
        if entries.len() >= MAX_ENTRIES {
            entries.remove(0);
        }
        entries.push((tag, keys));
    }

    fn tag(&self, mechanism: ScramMechanism, password: &Secret, salt: &[u8], iterations: u32) -> Tag {
        let mut mac = Hmac::<Sha256>::new((&*self.0.key).into());
        // Each part goes in with its length, so that no two different sets of parts read alike.
        let iterations = iterations.to_le_bytes();
        for part in [mechanism.name().as_bytes(), password.expose().as_bytes(), salt, &iterations] {
            mac.update(&part.len().to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A client has one user; a salt for each mechanism, and another when the password changes. A few more do no harm, and a
/// server that sends a new salt each time gains nothing.
const MAX_ENTRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::RealSystem;

    fn cache() -> KeyCache {
        KeyCache::new(&RealSystem).unwrap()
    }

    #[test]
    fn equal_questions_are_derived_once() {
        let cache = cache();
        let ask = |mechanism, password: &str, salt: &[u8], iterations| {
            cache
                .get_or_derive(mechanism, &Secret::from(password), salt, iterations, Deadline::NEVER)
                .unwrap()
                .client
                .to_vec()
        };
        let first = ask(ScramMechanism::Sha256, "a", b"salt", 10);
        assert_eq!(ask(ScramMechanism::Sha256, "a", b"salt", 10), first);
        assert_eq!(cache.len(), 1);
        for other in [
            ask(ScramMechanism::Sha1, "a", b"salt", 10),
            ask(ScramMechanism::Sha256, "b", b"salt", 10),
            ask(ScramMechanism::Sha256, "as", b"alt", 10),
            ask(ScramMechanism::Sha256, "a", b"salt", 11),
        ] {
            assert_ne!(other, first);
        }
        assert_eq!(cache.len(), 5);
    }

    #[test]
    fn a_remembered_answer_is_used() {
        let cache = cache();
        let password = Secret::from("a");
        let tag = cache.tag(ScramMechanism::Sha256, &password, b"salt", 4096);
        let planted = Keys { client: Zeroizing::new(vec![1]), server: Zeroizing::new(vec![2]) };
        cache.remember(tag, planted);
        assert_eq!(
            *cache.get_or_derive(ScramMechanism::Sha256, &password, b"salt", 4096, Deadline::NEVER).unwrap().client,
            vec![1]
        );
    }

    #[test]
    fn the_cache_is_bounded_and_forgets_the_least_used() {
        let cache = cache();
        let password = Secret::from("a");
        let ask = |salt: u8| cache.get_or_derive(ScramMechanism::Sha1, &password, &[salt], 1, Deadline::NEVER).unwrap();
        for salt in 0..u8::try_from(MAX_ENTRIES).unwrap() {
            ask(salt);
        }
        ask(0);
        ask(200);
        assert_eq!(cache.len(), MAX_ENTRIES);
        let known = |salt: u8| cache.find(&cache.tag(ScramMechanism::Sha1, &password, &[salt], 1)).is_some();
        assert!(known(0) && known(200) && !known(1));
    }

    #[test]
    fn two_clients_share_nothing() {
        let password = Secret::from("a");
        let tag = |cache: &KeyCache| cache.tag(ScramMechanism::Sha1, &password, b"salt", 1);
        assert_ne!(tag(&cache()), tag(&cache()));
    }
}
