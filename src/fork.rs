//! Distinguishes a process from its children, without a system call each time, and starts threads that do not harm them.
//!
//! A child of `fork` has copies of its parent's sockets, and must not use them. The process id would distinguish them,
//! at the cost of a third system call for every command; so the C library counts the forks instead.

use std::io;
#[cfg(unix)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError, TryLockError};
use std::thread;

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

/// Starts a thread of the driver that may speak TLS, as one may that calls the program's handlers.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(|| with_tls(work)).map(drop)
}

/// A thread takes a lock of OpenSSL when it first uses it and when it ends, and a child of a fork in between would wait for that lock
/// for ever. So both happen while there is no fork.
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
#[allow(unsafe_code)]
fn with_tls(work: impl FnOnce()) {
    // SAFETY: this is OpenSSL's declaration. It frees what OpenSSL keeps for the calling thread, which makes it anew if it has to.
    unsafe extern "C" {
        safe fn OPENSSL_thread_stop();
    }
    let between_forks = |brief: fn()| {
        process();
        shut_gate();
        brief();
        open_gate();
    };
    between_forks(|| drop(openssl::error::ErrorStack::get()));
    work();
    between_forks(|| OPENSSL_thread_stop());
}

/// The other TLS libraries ask for nothing.
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
fn with_tls(work: impl FnOnce()) {
    work();
}

/// Whether forks wait, and those whom a fork would disturb. No lock of the standard library: the C library calls one function before a
/// fork and another one after it.
#[cfg(unix)]
static GATE: AtomicBool = AtomicBool::new(false);

#[cfg(unix)]
extern "C" fn shut_gate() {
    while GATE.swap(true, Ordering::Acquire) {
        thread::yield_now();
    }
}

#[cfg(unix)]
extern "C" fn open_gate() {
    GATE.store(false, Ordering::Release);
}

/// A value under a lock that each process has for itself: a child begins with the value's default.
///
/// A child must not even lock what its parent had: a thread that does not exist in the child may hold that lock for ever.
#[derive(Debug)]
pub(crate) struct PerProcess<T: Default> {
    process: u64,
    value: Mutex<T>,
    /// Set in one step: a process that comes to be while a thread of its parent computes the value would wait for it for ever.
    child: OnceLock<Box<PerProcess<T>>>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) fn new() -> Self {
        PerProcess { process: process(), value: Mutex::default(), child: OnceLock::new() }
    }

    /// One for a static, with the value of the first process. (Where the C library does not count, that never counts.)
    #[cfg(any(test, feature = "aws", feature = "oidc", feature = "ocsp", feature = "gssapi"))]
    pub(crate) const fn in_static(value: T) -> Self {
        PerProcess { process: 0, value: Mutex::new(value), child: OnceLock::new() }
    }

    /// Locks the value of this process.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let process = process();
        let mut node = self;
        while node.process != process {
            node = match node.child.get() {
                Some(child) => child,
                None => {
                    let _ = node.child.set(Box::new(PerProcess::new())); // Another thread's will do.
                    continue;
                }
            };
        }
        locks::lock(&node.value)
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        PerProcess::new()
    }
}

impl<T: Default> Drop for PerProcess<T> {
    fn drop(&mut self) {
        // What a thread of the parent was about to change is not taken apart, but left as it is.
        if self.process != process() && matches!(self.value.try_lock(), Err(TryLockError::WouldBlock)) {
            let value = self.value.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::take(value));
        }
    }
}

/// A number of threads that each process has for itself. It needs no lock.
#[derive(Debug)]
pub(crate) struct ThreadCount(AtomicU64);

impl ThreadCount {
    pub(crate) const fn new() -> Self {
        ThreadCount(AtomicU64::new(0))
    }

    /// Counts one more, and tells how many there were.
    pub(crate) fn add(&self) -> u32 {
        let process = process() << 32;
        let add = |now| Some(if now & OF_PROCESS == process { now + 1 } else { process + 1 });
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or_default();
        if before & OF_PROCESS == process { (before & !OF_PROCESS) as u32 } else { 0 }
    }

    /// Counts one less.
    pub(crate) fn remove(&self) {
        let process = process() << 32;
        let remove = |now: u64| (now & OF_PROCESS == process && now != process).then(|| now - 1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, remove); // Those of a parent do not end here.
    }

    #[cfg(test)]
    pub(crate) fn get(&self) -> u32 {
        let now = self.0.load(Ordering::Relaxed);
        if now & OF_PROCESS == process() << 32 { (now & !OF_PROCESS) as u32 } else { 0 }
    }
}

/// The part of a [`ThreadCount`] that names the process.
const OF_PROCESS: u64 = !0 << 32;

/// Has the C library call these functions before and after each fork.
#[cfg(unix)]
#[allow(unsafe_code)]
fn watch() -> bool {
    // SAFETY: the functions handed over are plain ones that live as long as the program, and do nothing that is not allowed
    // in a child of a program with several threads: they change atomic numbers.
    unsafe { libc::pthread_atfork(Some(shut_gate), Some(open_gate), Some(in_child)) == 0 }
}

#[cfg(unix)]
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    open_gate();
}

/// Where there is no `fork`, there is nothing to watch.
#[cfg(not(unix))]
fn watch() -> bool {
    true
}

#[cfg(all(test, unix))]
pub(crate) mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use mongo_blocking_test_server::child;

    use super::*;

    /// From now on this process counts as a child of what it was: its threads are those of the parent. For tests that have a process of
    /// their own ([`child::alone`]).
    pub(crate) fn become_child() {
        process();
        in_child();
    }

    /// Fails if this takes long: it waits for what never comes.
    pub(crate) fn without_waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, done) = mpsc::channel();
        thread::spawn(move || sender.send(work()));
        done.recv_timeout(Duration::from_secs(20)).expect("it waits for a thread of the parent")
    }

    #[test]
    fn a_child_does_not_lock_what_its_parent_had() {
        if !child::alone(module_path!(), "a_child_does_not_lock_what_its_parent_had") {
            return;
        }
        static IN_STATIC: PerProcess<Vec<u8>> = PerProcess::in_static(Vec::new());
        let held: &'static PerProcess<Vec<u8>> = Box::leak(Box::new(PerProcess::new()));
        for value in [&IN_STATIC, held] {
            value.lock().push(1);
            let guard = value.lock();
            become_child();
            assert!(without_waiting(|| value.lock().is_empty()));
            without_waiting(|| value.lock().push(2));
            // A child of the child, and what is dropped there.
            let guard_of_child = value.lock();
            become_child();
            assert!(without_waiting(|| value.lock().is_empty()));
            drop((guard, guard_of_child));
        }
    }

    #[test]
    fn threads_of_a_parent_do_not_count_in_its_child() {
        if !child::alone(module_path!(), "threads_of_a_parent_do_not_count_in_its_child") {
            return;
        }
        let count = ThreadCount::new();
        assert_eq!((count.add(), count.add(), count.get()), (0, 1, 2));
        count.remove();
        become_child();
        assert_eq!(count.get(), 0);
        count.remove();
        assert_eq!((count.add(), count.add(), count.get()), (0, 1, 2));
        count.remove();
        count.remove();
        count.remove();
        assert_eq!(count.get(), 0);
    }
}
