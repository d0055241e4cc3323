//! Distinguishes a process from its children, without a system call each time.
//!
//! A child of `fork` has copies of its parent's sockets, and must not use them. The process id would distinguish them,
//! at the cost of a third system call for every command; so the C library counts the forks instead.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

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
