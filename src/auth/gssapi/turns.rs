//! Logins that share a ticket cache take turns at looking into it: a keytab may fill it just then, and the library empties a cache
//! before it puts the first ticket in.
//!
//! A turn is a courtesy. Where one lasts too long (a KDC that is slow, a process that was forked while another thread had its
//! turn), the next login goes ahead.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whose turn it is, cache by cache, or rather share by share of all caches.
pub(super) struct Turns {
    taken: Mutex<[bool; SHARES]>,
    given_back: Condvar,
}

/// Given back when dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    share: usize,
}

impl Turns {
    pub(super) const fn new() -> Turns {
        Turns { taken: Mutex::new([false; SHARES]), given_back: Condvar::new() }
    }

    /// Waits for the turn at this cache, though not for longer than `patience`.
    pub(super) fn wait(&self, cache: &impl Hash, patience: Duration) -> Turn<'_> {
        let mut hasher = DefaultHasher::new();
        cache.hash(&mut hasher);
        let share = usize::try_from(hasher.finish() % SHARES as u64).unwrap_or_default();
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |taken: &mut [bool; SHARES]| taken.get(share).is_some_and(|taken| *taken);
        let outcome = self.given_back.wait_timeout_while(taken, patience, others);
        let (mut taken, _) = outcome.unwrap_or_else(PoisonError::into_inner);
        taken.iter_mut().skip(share).take(1).for_each(|taken| *taken = true);
        Turn { turns: self, share }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter_mut().skip(self.share).take(1).for_each(|taken| *taken = false);
        drop(taken);
        self.turns.given_back.notify_all();
    }
}

/// Caches that fall into one share wait for each other, which does no harm.
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
        let (turns, inside, most) = (Turns::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = turns.wait(&"a", LONG);
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
        let turns = Turns::new();
        let _turn = turns.wait(&"a", LONG);
        let began = Instant::now();
        drop(turns.wait(&"b", LONG));
        assert!(began.elapsed() < LONG / 2);
    }

    /// As in a process that was forked: nobody gives the turn back.
    #[test]
    fn a_turn_that_does_not_end_is_passed_over_once() {
        let turns = Turns::new();
        std::mem::forget(turns.wait(&"a", LONG));
        let began = Instant::now();
        let turn = turns.wait(&"a", Duration::from_millis(30));
        assert!(began.elapsed() >= Duration::from_millis(30));
        drop(turn);
        drop(turns.wait(&"a", LONG));
        assert!(began.elapsed() < LONG / 2);
    }
}
