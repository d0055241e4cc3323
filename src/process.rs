//! Runs a program and collects what it prints, within a limit of time and of bytes.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
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

/// Starts a program without a shell. It has nothing to read, and what it writes to standard error goes nowhere, since that may be
/// as secret as what it prints.
pub(crate) fn run(arguments: &[Zeroizing<String>], most: usize, deadline: Deadline) -> io::Result<ProcessOutcome> {
    let mut arguments = arguments.iter().map(|argument| argument.as_str());
    let program = arguments.next().unwrap_or_default();
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    Running(child).collect(most, deadline)
}

/// A program that is killed, if it still runs, when this goes.
struct Running(Child);

impl Running {
    fn collect(mut self, most: usize, deadline: Deadline) -> io::Result<ProcessOutcome> {
        let output = self.0.stdout.take().ok_or_else(|| io::Error::other("the program has no standard output"))?;
        let (sender, receiver) = mpsc::channel();
        // Reading cannot be given a limit of time, so a thread reads, and is left behind at the deadline. It ends when the
        // program's output does, which is soon: the program is killed.
        thread::Builder::new().name("mongo-program".to_owned()).spawn(move || {
            let _ = sender.send(read(output, most)); // nobody waits any more after the deadline
        })?;
        let output = match deadline.remaining() {
            Some(limit) => receiver.recv_timeout(limit),
            None => receiver.recv().map_err(Into::into),
        };
        let Ok(output) = output else { return Ok(ProcessOutcome::TimedOut) };
        let output = output?;
        if output.len() > most {
            return Ok(ProcessOutcome::OutputTooLong);
        }
        Ok(match self.wait(deadline)? {
            None => ProcessOutcome::TimedOut,
            Some(status) if status.success() => ProcessOutcome::Success(output),
            Some(status) => ProcessOutcome::Failed(status),
        })
    }

    /// Its output has ended, so the program most likely has, too.
    fn wait(&mut self, deadline: Deadline) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if deadline.expired() {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // an error says that it has ended
        let _ = self.0.wait();
    }
}

/// All of it, or one byte more than is allowed.
fn read(output: impl Read, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at the start, so that no part is left behind by growth.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    output.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Between two looks at whether the program has ended.
const PAUSE: Duration = Duration::from_millis(2);
