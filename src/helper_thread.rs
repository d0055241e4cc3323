//! Calls that take no time limit (the system's resolver, Kerberos, reading from a program), run under one.
//!
//! Such a call runs on a short-lived helper thread. At the deadline the caller stops waiting for it; the thread ends when the
//! call returns. Threads that are no longer waited for still count, so their number stays bounded.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use crate::deadline::Deadline;
use crate::fork::ThreadCount;

/// Helper threads for one purpose: their name and how many of them exist in this process.
#[derive(Debug)]
pub(crate) struct HelperThreads {
    name: &'static str,
    running: ThreadCount,
}

/// Why a call on a helper thread has no outcome.
#[derive(Debug)]
pub(crate) enum HelperError {
    /// The deadline passed first.
    TimedOut,
    /// So many earlier calls have not returned that no further one was started.
    TooMany(usize),
    /// The operating system gave no thread.
    #[allow(dead_code, reason = "the resolver does without the thread; Kerberos, behind its feature, reports why")]
    NotStarted(io::Error),
    /// The call panicked.
    Panicked,
}

impl HelperThreads {
    /// `name` is what the threads are called; the system shows 15 characters of it.
    pub(crate) const fn new(name: &'static str) -> Self {
        HelperThreads { name, running: ThreadCount::new() }
    }

    /// Runs `call` on a helper thread and waits for its outcome until the deadline.
    pub(crate) fn run_with_deadline<T: Send + 'static>(
        &'static self,
        deadline: Deadline,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HelperError> {
        let running = self.count_one()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let work = move || {
            let _running = running;
            let _ = sender.send(call()); // After the deadline there is no receiver.
        };
        thread::Builder::new().name(self.name.to_owned()).spawn(work).map_err(HelperError::NotStarted)?;
        let outcome = match deadline.remaining() {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(left) => receiver.recv_timeout(left),
        };
        outcome.map_err(|error| match error {
            RecvTimeoutError::Timeout => HelperError::TimedOut,
            RecvTimeoutError::Disconnected => HelperError::Panicked,
        })
    }

    fn count_one(&'static self) -> Result<Running, HelperError> {
        let running = Running(&self.running);
        match self.running.add() as usize {
            before if before < MAX_RUNNING => Ok(running),
            before => Err(HelperError::TooMany(before)),
        }
    }
}

/// One helper thread, counted until it ends.
struct Running(&'static ThreadCount);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// More threads for one purpose in one process mean that no call of the kind returns.
pub(crate) const MAX_RUNNING: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_call_that_takes_too_long_is_abandoned() {
        static THREADS: HelperThreads = HelperThreads::new("mongo-test");
        let (hold, held) = mpsc::channel::<()>();
        let began = Instant::now();
        let deadline = Deadline::after(Duration::from_millis(20));
        let outcome = THREADS.run_with_deadline(deadline, move || {
            let _ = held.recv();
        });
        assert!(matches!(outcome, Err(HelperError::TimedOut)), "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(THREADS.running.get(), 1);
        drop(hold);
        while THREADS.running.get() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn an_outcome_in_time_is_returned() {
        static THREADS: HelperThreads = HelperThreads::new("mongo-test");
        let outcome = THREADS.run_with_deadline(Deadline::NEVER, || thread::current().name().map(str::to_owned));
        assert_eq!(outcome.unwrap().as_deref(), Some("mongo-test"));
        let panics = || std::panic::resume_unwind(Box::new("planted"));
        let outcome: Result<(), _> = THREADS.run_with_deadline(Deadline::NEVER, panics);
        assert!(matches!(outcome, Err(HelperError::Panicked)), "{outcome:?}");
    }

    #[test]
    fn the_number_of_threads_is_bounded() {
        static THREADS: HelperThreads = HelperThreads::new("mongo-test");
        let mut running: Vec<Running> = (0..MAX_RUNNING).map(|_| THREADS.count_one().unwrap()).collect();
        for _ in 0..2 {
            assert!(matches!(THREADS.count_one(), Err(HelperError::TooMany(MAX_RUNNING))));
        }
        running.pop();
        running.push(THREADS.count_one().unwrap());
        drop(running);
        assert_eq!(THREADS.running.get(), 0);
    }
}
