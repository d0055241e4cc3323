//! Keeps the bytes of HTTP requests out of the log.
//!
//! ureq's protocol crate logs every byte that it sends and receives at the level `trace`, bodies and tokens included, and has no
//! switch for that. So if the program's logger accepts such lines (it is asked for their target, `ureq_proto::util`), the level of
//! the `log` crate is lowered from `trace` to `debug` while a request is running. This affects the whole process, because `log`
//! has no finer switch: the program's own `trace` lines are missing meanwhile. A logger that filters out that target,
//! or that takes no trace lines at all, is left alone.
//!
//! A risk remains: a program that raises the level, or changes its logger's filter, while a request is running logs the bytes of
//! that request.

use std::sync::{Mutex, MutexGuard};

use log::{Level, LevelFilter, Metadata};

use crate::fork;
use crate::locks;

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
        if log::max_level() == LevelFilter::Trace && logger_takes_bytes() {
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
    locks::lock(&REQUESTS)
}

fn logger_takes_bytes() -> bool {
    log::logger().enabled(&Metadata::builder().level(Level::Trace).target(TARGET).build())
}

/// What the lines with bytes have for a target.
const TARGET: &str = "ureq_proto::util";
