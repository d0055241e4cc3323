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

use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Metadata};

use crate::fork::PerProcess;

/// While this lives no bytes are logged.
pub(super) struct TraceLogSuppressor;

/// How many requests are under way in this process. Those of a parent process do not end in this one.
static REQUESTS: PerProcess<usize> = PerProcess::in_static(0);
/// Whether the level was changed for them. A child has its parent's level, hence this, too.
static LOWERED: AtomicBool = AtomicBool::new(false);

impl TraceLogSuppressor {
    pub(super) fn begin() -> TraceLogSuppressor {
        let mut requests = REQUESTS.lock();
        *requests += 1;
        if log::max_level() == LevelFilter::Trace && logger_takes_bytes() {
            log::set_max_level(LevelFilter::Debug);
            LOWERED.store(true, Ordering::Relaxed);
        }
        TraceLogSuppressor
    }
}

impl Drop for TraceLogSuppressor {
    fn drop(&mut self) {
        let mut requests = REQUESTS.lock();
        *requests = requests.saturating_sub(1);
        if *requests > 0 || !LOWERED.swap(false, Ordering::Relaxed) {
            return;
        }
        // Unless the program has chosen another level meanwhile.
        if log::max_level() == LevelFilter::Debug {
            log::set_max_level(LevelFilter::Trace);
        }
    }
}

fn logger_takes_bytes() -> bool {
    log::logger().enabled(&Metadata::builder().level(Level::Trace).target(TARGET).build())
}

/// What the lines with bytes have for a target.
const TARGET: &str = "ureq_proto::util";

#[cfg(all(test, unix))]
mod tests {
    use mongo_blocking_test_server::child;

    use super::*;
    use crate::fork::tests::{become_child, without_waiting};

    struct TakesAll;

    impl log::Log for TakesAll {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, _: &log::Record<'_>) {}

        fn flush(&self) {}
    }

    #[test]
    fn a_child_of_a_process_with_a_request_under_way_gets_its_level_back() {
        if !child::alone(module_path!(), "a_child_of_a_process_with_a_request_under_way_gets_its_level_back") {
            return;
        }
        log::set_logger(&TakesAll).unwrap();
        log::set_max_level(LevelFilter::Trace);
        let _of_parent = TraceLogSuppressor::begin();
        let _held = REQUESTS.lock();
        become_child();
        without_waiting(|| {
            assert_eq!(log::max_level(), LevelFilter::Debug);
            drop(TraceLogSuppressor::begin());
        });
        assert_eq!(log::max_level(), LevelFilter::Trace);
    }
}
