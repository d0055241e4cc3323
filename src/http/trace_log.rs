//! Keeps the log from the bytes of a request.
//!
//! ureq's protocol crate logs every byte that it sends and receives at the level `trace`, bodies and tokens included, and has no
//! switch for that. So while a request is under way the log takes nothing of that level, in the whole process: `log` knows no
//! finer switch. A program that logs at `trace` misses such lines of its own meanwhile; secrets in its log would be worse.

use std::sync::{Mutex, MutexGuard, PoisonError};

use log::LevelFilter;

use crate::fork;

/// While this lives no bytes are logged.
pub(super) struct TraceLogSuppressor;

/// How many requests are under way in this process, and whether the level was changed for them.
struct Requests {
    count: usize,
    lowered: bool,
    process: u64,
}

static REQUESTS: Mutex<Requests> = Mutex::new(Requests { count: 0, lowered: false, process: 0 });

impl TraceLogSuppressor {
    pub(super) fn begin() -> TraceLogSuppressor {
        let mut requests = requests();
        if requests.process != fork::process() {
            // The requests of a parent process do not end in this one.
            (requests.count, requests.process) = (0, fork::process());
        }
        requests.count += 1;
        if log::max_level() == LevelFilter::Trace {
            log::set_max_level(LevelFilter::Debug);
            requests.lowered = true;
        }
        TraceLogSuppressor
    }
}

impl Drop for TraceLogSuppressor {
    fn drop(&mut self) {
        let mut requests = requests();
        requests.count = requests.count.saturating_sub(1);
        if requests.count > 0 || !requests.lowered {
            return;
        }
        requests.lowered = false;
        // Unless the program has chosen another level meanwhile.
        if log::max_level() == LevelFilter::Debug {
            log::set_max_level(LevelFilter::Trace);
        }
    }
}

fn requests() -> MutexGuard<'static, Requests> {
    REQUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}
