//! Runs a program and collects what it prints, within a limit of time and of bytes.

use std::io::{self, Read};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
#[cfg(not(unix))]
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::deadline::Deadline;

/// How a program ended.
pub(crate) enum ProcessOutcome {
    /// With exit code 0, and this on standard output.
    Success(Zeroizing<Vec<u8>>),
    /// Otherwise.
    Failed(ExitStatus),
    /// It printed too much and was killed.
    OutputTooLong,
    /// It was not done in time and was killed.
    TimedOut,
}

/// Starts a program without a shell. Its standard input is empty. Its standard error is discarded, since it may contain secrets.
///
/// The result is the output until the program itself ends. A child of the program that still holds the standard output is not
/// waited for.
pub(crate) fn run(arguments: &[Zeroizing<String>], limit: usize, deadline: Deadline) -> io::Result<ProcessOutcome> {
    let mut arguments = arguments.iter().map(|argument| argument.as_str());
    let program = arguments.next().unwrap_or_default();
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut running = Running(child);
    let output = running.0.stdout.take().ok_or_else(|| io::Error::other("the program has no standard output"))?;
    running.collect(Output::new(output, limit)?, deadline)
}

/// A program that is killed, if it still runs, when this is dropped.
struct Running(Child);

impl Running {
    fn collect(mut self, mut output: Output, deadline: Deadline) -> io::Result<ProcessOutcome> {
        loop {
            // In this order: what is printed before the end is there once the end was seen.
            let status = self.0.try_wait()?;
            match output.read()? {
                Progress::TooLong => return Ok(ProcessOutcome::OutputTooLong),
                Progress::Nothing | Progress::Ended => {
                    if let Some(status) = status {
                        return Ok(if status.success() {
                            ProcessOutcome::Success(output.finish())
                        } else {
                            ProcessOutcome::Failed(status)
                        });
                    }
                    if deadline.expired() {
                        return Ok(ProcessOutcome::TimedOut);
                    }
                    thread::sleep(PAUSE);
                }
                Progress::Some if deadline.expired() => return Ok(ProcessOutcome::TimedOut),
                Progress::Some => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // An error says that it has ended.
        let _ = self.0.wait();
    }
}

/// What one read of the output gave.
enum Progress {
    Some,
    /// Nothing is there now.
    Nothing,
    Ended,
    /// More than is allowed.
    TooLong,
}

/// What a program prints.
#[cfg(unix)]
struct Output {
    pipe: ChildStdout,
    /// With room for all of it from the start, so that growth leaves no part behind.
    bytes: Zeroizing<Vec<u8>>,
    limit: usize,
}

#[cfg(unix)]
impl Output {
    fn new(pipe: ChildStdout, limit: usize) -> io::Result<Output> {
        // A read that waits could be ended by no deadline. A pipe is no socket, but its descriptor is switched alike.
        let descriptor = socket2::Socket::from(OwnedFd::from(pipe));
        descriptor.set_nonblocking(true)?;
        let pipe = ChildStdout::from(OwnedFd::from(descriptor));
        Ok(Output { pipe, bytes: Zeroizing::new(Vec::with_capacity(limit + 1)), limit })
    }

    fn read(&mut self) -> io::Result<Progress> {
        let mut piece = Zeroizing::new([0; PIECE]);
        let room = (self.limit + 1 - self.bytes.len()).min(PIECE);
        match self.pipe.read(piece.get_mut(..room).unwrap_or_default()) {
            Ok(0) => Ok(Progress::Ended),
            Ok(count) => {
                self.bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
                Ok(if self.bytes.len() > self.limit { Progress::TooLong } else { Progress::Some })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Progress::Some),
            Err(error) => Err(error),
        }
    }

    fn finish(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }
}

/// What a program prints, read by a thread, since a pipe cannot be read without waiting here. The thread ends with the output.
#[cfg(not(unix))]
struct Output {
    pieces: Receiver<io::Result<Zeroizing<Vec<u8>>>>,
    bytes: Zeroizing<Vec<u8>>,
    limit: usize,
}

#[cfg(not(unix))]
impl Output {
    fn new(mut pipe: ChildStdout, limit: usize) -> io::Result<Output> {
        let (sender, pieces) = mpsc::sync_channel(1);
        thread::Builder::new().name("mongo-program".to_owned()).spawn(move || {
            loop {
                let mut piece = Zeroizing::new(vec![0; PIECE]);
                let count = pipe.read(&mut piece);
                let over = !matches!(count, Ok(1..));
                // After the program's end there is no receiver.
                if sender
                    .send(count.map(|count| Zeroizing::new(piece.get(..count).unwrap_or_default().to_vec())))
                    .is_err()
                    || over
                {
                    return;
                }
            }
        })?;
        Ok(Output { pieces, bytes: Zeroizing::new(Vec::with_capacity(limit + 1)), limit })
    }

    fn read(&mut self) -> io::Result<Progress> {
        // The thread may be about to hand over what it has read.
        match self.pieces.recv_timeout(GRACE) {
            Ok(piece) => {
                let piece = piece?;
                if self.bytes.len() + piece.len() > self.limit {
                    return Ok(Progress::TooLong);
                }
                self.bytes.extend_from_slice(&piece);
                Ok(if piece.is_empty() { Progress::Ended } else { Progress::Some })
            }
            Err(RecvTimeoutError::Timeout) => Ok(Progress::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Progress::Ended),
        }
    }

    fn finish(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }
}

/// Between two looks at whether the program has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// How much is read at a time.
const PIECE: usize = 4 * 1024;

/// How long the reading thread may take to hand over what it has read.
#[cfg(not(unix))]
const GRACE: Duration = Duration::from_millis(20);

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str, limit: usize, deadline: Deadline) -> ProcessOutcome {
        let arguments = ["sh", "-c", script].map(|word| Zeroizing::new(word.to_owned()));
        run(&arguments, limit, deadline).unwrap()
    }

    /// A token program may start another that goes on: an agent, a browser.
    #[test]
    fn a_grandchild_that_holds_the_output_is_not_waited_for() {
        let began = Instant::now();
        for _ in 0..3 {
            let outcome = sh("sleep 60 & printf token", 100, Deadline::after(Duration::from_secs(20)));
            assert!(matches!(outcome, ProcessOutcome::Success(output) if *output == b"token"));
        }
        let outcome = sh("sleep 60 & exit 3", 100, Deadline::NEVER);
        assert!(matches!(outcome, ProcessOutcome::Failed(status) if status.code() == Some(3)));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn a_long_output_arrives_whole() {
        let script = "head -c 200000 /dev/zero; printf end";
        let ProcessOutcome::Success(output) = sh(script, 200_003, Deadline::NEVER) else { panic!("it fits") };
        assert!(output.len() == 200_003 && output.ends_with(b"end"));
        assert!(matches!(sh(script, 200_002, Deadline::NEVER), ProcessOutcome::OutputTooLong));
    }

    #[test]
    fn an_output_without_end_and_one_that_is_closed_meet_the_deadline() {
        for script in ["while :; do printf x; sleep 0.01; done", "exec >&-; sleep 60"] {
            let began = Instant::now();
            let outcome = sh(script, 1 << 20, Deadline::after(Duration::from_millis(200)));
            assert!(matches!(outcome, ProcessOutcome::TimedOut), "{script}");
            assert!(began.elapsed() < Duration::from_secs(5), "{script}: {:?}", began.elapsed());
        }
    }
}
