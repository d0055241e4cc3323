//! Distinguishes a process from its children, without a system call each time.
//!
//! A child of `fork` has copies of its parent's sockets, and must not use them. The process id would distinguish them,
//! at the cost of a third system call for every command; so the C library counts the forks instead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock};

use crate::locks;

/// How often, on the way from the process that first asked to this one, there was a fork; or [`UNWATCHED`].
static FORKS: AtomicU64 = AtomicU64::new(UNWATCHED);
/// The C library does not count, so the process' number must do.
const UNWATCHED: u64 = u64::MAX;
static WATCH: Once = Once::new();

/// A number that a process and its children do not share.
pub(crate) fn process() -> u64 {
    WATCH.call_once(|| {
        if watch() {
            FORKS.store(0, Ordering::Relaxed);
        }
    });
    match FORKS.load(Ordering::Relaxed) {
        UNWATCHED => u64::from(std::process::id()),
        forks => forks,
    }
}

/// A value under a lock that each process has for itself: a child begins with the value's default.
///
/// A child must not even lock what its parent had: a thread that does not exist in the child may hold that lock for ever.
pub(crate) struct PerProcess<T> {
    process: u64,
    value: Arc<Mutex<T>>,
    child: OnceLock<Box<PerProcess<T>>>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) fn new() -> Self {
        PerProcess { process: process(), value: Arc::default(), child: OnceLock::new() }
    }

    /// Locks the value of this process.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let process = process();
        let mut node = self;
        while node.process != process {
            node = node.child.get_or_init(|| Box::new(PerProcess::new()));
        }
        locks::lock(&node.value)
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        // What a thread of the parent was about to change is not taken apart, but left as it is.
        if self.process != process() && self.value.try_lock().is_err() {
            std::mem::forget(self.value.clone());
        }
    }
}

/// Has the C library call [`in_child`] after each fork.
#[cfg(unix)]
#[allow(unsafe_code)]
fn watch() -> bool {
    // SAFETY: the function handed over is a plain one that lives as long as the program, and does nothing that is not allowed
    // in a child of a program with several threads: it adds to an atomic number.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
}

#[cfg(unix)]
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Where there is no `fork`, there is nothing to watch.
#[cfg(not(unix))]
fn watch() -> bool {
    true
}
