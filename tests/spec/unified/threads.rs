//! Threads of a case: each runs the operations that it is given, in their order, beside the others.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A thread's state: it ends by itself when it has nothing left to do.
#[derive(Default)]
pub struct Worker {
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    queue: std::collections::VecDeque<Job>,
    busy: bool,
    failure: Option<String>,
}

pub type Job = Box<dyn FnOnce() -> Result<(), String> + Send>;

impl Worker {
    /// Begins the job at once, or after those that the thread was given before.
    pub fn run(self: &std::sync::Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.queue.push_back(job);
        if !state.busy {
            state.busy = true;
            let worker = self.clone();
            std::thread::spawn(move || worker.work());
        }
    }

    /// Waits until all is done, and tells the first failure.
    pub fn wait(&self) -> Result<(), String> {
        let waited = self.idle.wait_timeout_while(self.lock(), WAIT_LIMIT, |state| state.busy);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(format!("the thread was not done within {WAIT_LIMIT:?}"));
        }
        state.failure.take().map_or(Ok(()), Err)
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
            let Some(job) = state.queue.pop_front() else {
                state.busy = false;
                self.idle.notify_all();
                return;
            };
            drop(state);
            let result = job();
            if let Err(why) = result {
                self.lock().failure.get_or_insert(why);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the format says.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn jobs_run_in_order_and_a_failure_is_told() {
        let worker = Arc::new(Worker::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        for number in 0..3 {
            let seen = seen.clone();
            worker.run(Box::new(move || {
                seen.lock().unwrap().push(number);
                if number == 1 { Err("one".to_owned()) } else { Ok(()) }
            }));
        }
        assert_eq!(worker.wait(), Err("one".to_owned()));
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2]);
        assert_eq!(worker.wait(), Ok(()));
    }
}
