//! Locks for ticket caches: of the logins that share a cache, one at a time reads it. The library may be filling the cache from a
//! keytab at that moment, and it empties a cache before it stores the first ticket.
//!
//! The lock is not needed for correctness, it only avoids failed logins. If it is held too long (a slow KDC), the next login goes on
//! without it. A child of `fork` has locks of its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::fork::PerProcess;
use crate::locks::{lock, unpoisoned};

/// The locks of all caches, several caches to one lock.
pub(super) struct CacheLocks {
    taken: Mutex<[bool; SHARES]>,
    released: Condvar,
}

/// A lock that is held; released when dropped.
pub(super) struct CacheLock {
    locks: Arc<CacheLocks>,
    share: usize,
}

impl CacheLocks {
    fn new() -> Arc<CacheLocks> {
        Arc::new(CacheLocks { taken: Mutex::new([false; SHARES]), released: Condvar::new() })
    }

    /// Those that all logins of this process share.
    pub(super) fn of_this_process() -> Arc<CacheLocks> {
        static SHARED: PerProcess<Option<Arc<CacheLocks>>> = PerProcess::in_static(None);
        SHARED.lock().get_or_insert_with(CacheLocks::new).clone()
    }

    /// Waits for the lock of this cache, though not for longer than `limit`.
    pub(super) fn wait(self: Arc<Self>, cache: &impl Hash, limit: Duration) -> CacheLock {
        let mut hasher = DefaultHasher::new();
        cache.hash(&mut hasher);
        let share = usize::try_from(hasher.finish() % SHARES as u64).unwrap_or_default();
        let taken = lock(&self.taken);
        let others = |taken: &mut [bool; SHARES]| taken.get(share).is_some_and(|taken| *taken);
        let outcome = self.released.wait_timeout_while(taken, limit, others);
        let (mut taken, _) = unpoisoned(outcome);
        taken.iter_mut().skip(share).take(1).for_each(|taken| *taken = true);
        drop(taken);
        CacheLock { locks: self, share }
    }
}

impl Drop for CacheLock {
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

    #[cfg(unix)]
    use mongo_blocking_test_server::child;

    use super::*;
    #[cfg(unix)]
    use crate::fork::tests::{become_child, without_waiting};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_at_a_time() {
        let (locks, inside, most) = (CacheLocks::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _lock = locks.clone().wait(&"a", LONG);
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
        let _lock = locks.clone().wait(&"a", LONG);
        let began = Instant::now();
        drop(locks.wait(&"b", LONG));
        assert!(began.elapsed() < LONG / 2);
    }

    #[test]
    fn a_lock_that_is_never_released_is_passed_over_once() {
        let locks = CacheLocks::new();
        std::mem::forget(locks.clone().wait(&"a", LONG));
        let began = Instant::now();
        let held = locks.clone().wait(&"a", Duration::from_millis(30));
        assert!(began.elapsed() >= Duration::from_millis(30));
        drop(held);
        drop(locks.wait(&"a", LONG));
        assert!(began.elapsed() < LONG / 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_child_has_locks_of_its_own() {
        if !child::alone(module_path!(), "a_child_has_locks_of_its_own") {
            return;
        }
        let _held = CacheLocks::of_this_process().wait(&"a", LONG);
        become_child();
        without_waiting(|| drop(CacheLocks::of_this_process().wait(&"a", LONG)));
    }
}
