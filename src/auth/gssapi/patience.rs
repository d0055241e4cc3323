//! A KDC or a name server may not answer, and the libraries that ask take no time limit. So what may wait for them runs on a
//! short-lived thread of its own, which is abandoned when the deadline passes and ends when the library gives up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::{NAME, TICKET};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};

/// The outcome of `work`, or a timeout once the deadline has passed.
pub(super) fn within<T: Send + 'static>(
    deadline: Deadline,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let running = Running::start(&RUNNING)?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let helper = thread::Builder::new().name("mongo-kerberos".to_owned()).spawn(move || {
        let _running = running;
        let _ = sender.send(work());
    });
    if let Err(error) = helper {
        return Err(failed(ErrorKind::Io, "no thread to get a ticket on").with_source(error));
    }
    let answer = match deadline.remaining() {
        None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(left) => receiver.recv_timeout(left),
    };
    match answer {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => {
            let message = format!("{} ran out while a ticket was fetched", deadline.name());
            Err(failed(ErrorKind::Timeout, message)
                .with_hint("do the KDC of the realm and this machine's name servers answer?"))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(failed(ErrorKind::Io, "the thread that fetches tickets ended early"))
        }
    }
}

fn failed(kind: ErrorKind, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(kind, Stage::Authentication { mechanism: NAME, step: TICKET }, message)
}

/// One of those under way; abandoned ones count until they end.
struct Running(&'static AtomicUsize);

impl Running {
    fn start(counter: &'static AtomicUsize) -> Result<Running> {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        let running = Running(counter);
        if before < MAX_RUNNING {
            return Ok(running);
        }
        let message = format!("{before} logins still wait for a KDC, so this one was not begun");
        Err(failed(ErrorKind::Authentication, message).with_hint("does the KDC of the realm answer?"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// More logins than this at once in one process mean that no KDC answers.
const MAX_RUNNING: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_takes_too_long_is_abandoned() {
        let (hold, held) = mpsc::channel::<()>();
        let began = Instant::now();
        let deadline = Deadline::after(Duration::from_millis(20)).named("connectTimeoutMS");
        let error = within(deadline, move || {
            let _ = held.recv();
            Ok(())
        })
        .unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(matches!(error.kind(), ErrorKind::Timeout), "{error}");
        assert!(error.message().contains("connectTimeoutMS") && error.hint().is_some(), "{error}");
        drop(hold);
    }

    #[test]
    fn there_are_not_more_and_more_of_them() {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let mut running: Vec<Running> = (0..MAX_RUNNING).map(|_| Running::start(&COUNTER).unwrap()).collect();
        for _ in 0..2 {
            let error = Running::start(&COUNTER).err().unwrap();
            assert!(error.message().contains("256 logins still wait for a KDC") && error.hint().is_some(), "{error}");
        }
        running.pop();
        running.push(Running::start(&COUNTER).unwrap());
        drop(running);
        assert_eq!(COUNTER.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_ends_in_time_counts() {
        assert_eq!(within(Deadline::NEVER, || Ok(5)).unwrap(), 5);
        let error = within::<()>(Deadline::NEVER, || Err(failed(ErrorKind::Authentication, "no"))).unwrap_err();
        assert_eq!(error.message(), "no");
        let error = within::<()>(Deadline::NEVER, || std::panic::resume_unwind(Box::new("gone"))).unwrap_err();
        assert!(error.message().contains("early"), "{error}");
    }
}
