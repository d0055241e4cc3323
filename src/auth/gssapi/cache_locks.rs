//! Locks for ticket caches: of the logins that share a cache, one at a time reads it. The library may be filling the cache from a
//! keytab at that moment, and it empties a cache before it stores the first ticket.
//!
//! The lock is not needed for correctness, it only avoids failed logins. If it is held too long (a slow KDC, or a process that was
//! forked while another thread held it), the next login goes on without it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::locks::{lock, unpoisoned};

/// The locks of all caches, several caches to one lock.
pub(super) struct CacheLocks {
    taken: Mutex<[bool; SHARES]>,
    released: Condvar,
}

/// A lock that is held; released when dropped.
pub(super) struct CacheLock<'a> {
    locks: &'a CacheLocks,
    share: usize,
}

impl CacheLocks {
    pub(super) const fn new() -> CacheLocks {
        CacheLocks { taken: Mutex::new([false; SHARES]), released: Condvar::new() }
    }

    /// Waits for the lock of this cache, though not for longer than `limit`.
    pub(super) fn wait(&self, cache: &impl Hash, limit: Duration) -> CacheLock<'_> {
        let mut hasher = DefaultHasher::new();
        cache.hash(&mut hasher);
        let share = usize::try_from(hasher.finish() % SHARES as u64).unwrap_or_default();
        let taken = lock(&self.taken);
        let others = |taken: &mut [bool; SHARES]| taken.get(share).is_some_and(|taken| *taken);
        let outcome = self.released.wait_timeout_while(taken, limit, others);
        let (mut taken, _) = unpoisoned(outcome);
        taken.iter_mut().skip(share).take(1).for_each(|taken| *taken = true);
        CacheLock { locks: self, share }
    }
}

impl Drop for CacheLock<'_> {
    fn drop(&mut self) {
        let mut taken = lock(&self.locks.taken);
        taken.iter_mut().skip(self.share).take(1).for_each(|taken| *taken = false);
        drop(taken);
        self.locks.released.notify_all();
    }
}

/// Caches that share a lock wait for each other, which is harmless.
const SHARES: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_at_a_time() {
        let (locks, inside, most) = (CacheLocks::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _lock = locks.wait(&"a", LONG);
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }

    #[test]
    fn another_cache_does_not_wait() {
        let locks = CacheLocks::new();
        let _lock = locks.wait(&"a", LONG);
        let began = Instant::now();
        drop(locks.wait(&"b", LONG));
        assert!(began.elapsed() < LONG / 2);
    }

    /// As in a process that was forked: the lock is never released.
    #[test]
    fn a_lock_that_is_never_released_is_passed_over_once() {
        let locks = CacheLocks::new();
        std::mem::forget(locks.wait(&"a", LONG));
        let began = Instant::now();
        let held = locks.wait(&"a", Duration::from_millis(30));
        assert!(began.elapsed() >= Duration::from_millis(30));
        drop(held);
        drop(locks.wait(&"a", LONG));
        assert!(began.elapsed() < LONG / 2);
    }
}
