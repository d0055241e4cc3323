//! Locking in spite of poison, once for the whole crate.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also where a thread panicked while it held the lock.
///
/// Everywhere in this crate each change under a lock is complete by itself, so a panic leaves no half-made state behind.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The same for what waiting on a condition variable returns.
pub(crate) fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
