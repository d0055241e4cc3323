//! The beginning and the end of OpenSSL's use by a thread.
#![allow(unsafe_code)]

use ::openssl::error::ErrorStack;

use crate::fork;

// SAFETY: this is OpenSSL's declaration. It frees what OpenSSL keeps for the calling thread, which makes it anew if it has to.
unsafe extern "C" {
    safe fn OPENSSL_thread_stop();
}

/// Runs the work of a thread of the driver. A thread takes a lock of OpenSSL when it first uses it and when it ends, and a child of a
/// fork in between would wait for that lock for ever. So both happen while there is no fork.
pub(crate) fn in_thread<T>(work: impl FnOnce() -> T) -> T {
    fork::delay(|| drop(ErrorStack::get()));
    let outcome = work();
    fork::delay(|| OPENSSL_thread_stop());
    outcome
}
