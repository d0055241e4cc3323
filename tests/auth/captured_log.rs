//! A logger that keeps everything, for tests that look for secrets in it. It is for the whole process.

use std::fmt::Write;
use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};

static LOGGED: CapturedLog = CapturedLog(Mutex::new(String::new()));

/// What was logged.
pub struct CapturedLog(Mutex<String>);

impl CapturedLog {
    /// Installs it, at the most detailed level.
    pub fn install() -> &'static CapturedLog {
        log::set_logger(&LOGGED).expect("no other logger is installed");
        log::set_max_level(LevelFilter::Trace);
        &LOGGED
    }

    /// All of it, as text.
    pub fn text(&self) -> String {
        self.0.lock().expect("no thread panicked while it logged").clone()
    }
}

impl Log for CapturedLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let _ = writeln!(self.0.lock().expect("no thread panicked"), "{} {}", record.target(), record.args());
    }

    fn flush(&self) {}
}
