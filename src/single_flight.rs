//! One thread at a time does a piece of work (fetches keys, calls a callback) for all threads that need its outcome.
//!
//! [`SingleFlight::begin`] makes the first thread the leader; threads that come meanwhile wait for what it publishes. A leader that
//! panics releases them. A thread that would wait for itself gets [`Role::OwnThread`]. A child of `fork` does not wait for a thread
//! of its parent.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::fork;
use crate::locks::{lock, unpoisoned};

/// The work that is under way, if there is some.
#[derive(Debug)]
pub(crate) struct SingleFlight<T>(Arc<Mutex<Option<Current<T>>>>);

#[derive(Debug)]
struct Current<T> {
    flight: Arc<Flight<T>>,
    leader: ThreadId,
    process: u64,
}

/// One piece of work, and the threads that wait for it.
#[derive(Debug)]
struct Flight<T> {
    state: Mutex<State<T>>,
    over: Condvar,
}

#[derive(Clone, Debug)]
enum State<T> {
    UnderWay,
    Over(T),
    /// The leader published nothing.
    Abandoned,
}

/// What a thread has to do.
#[derive(Debug)]
pub(crate) enum Role<T> {
    /// The work.
    Leader(Leader<T>),
    /// Wait for another thread's work.
    Waiter(Waiter<T>),
    /// Neither: it is the leader already, and the work needs its own outcome.
    OwnThread,
}

/// The right, and the duty, to do the work. Dropping it without [`Leader::publish`] abandons the work.
#[derive(Debug)]
pub(crate) struct Leader<T> {
    shared: Arc<Mutex<Option<Current<T>>>>,
    flight: Arc<Flight<T>>,
}

/// A thread that waits for another's work.
#[derive(Debug)]
pub(crate) struct Waiter<T>(Arc<Flight<T>>);

/// Why a waiter has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoOutcome {
    /// Its own deadline passed first.
    TimedOut,
    /// The leader published nothing.
    Abandoned,
}

impl<T: Clone> SingleFlight<T> {
    /// Begins the work, or joins the work that is under way. Does not wait.
    pub(crate) fn begin(&self) -> Role<T> {
        let mut current = lock(&self.0);
        match current.as_ref().filter(|current| current.process == fork::process()) {
            Some(current) if current.leader == thread::current().id() => Role::OwnThread,
            Some(current) => Role::Waiter(Waiter(current.flight.clone())),
            None => {
                let flight = Arc::new(Flight { state: Mutex::new(State::UnderWay), over: Condvar::new() });
                let (leader, process) = (thread::current().id(), fork::process());
                *current = Some(Current { flight: flight.clone(), leader, process });
                Role::Leader(Leader { shared: self.0.clone(), flight })
            }
        }
    }

    /// Whether work is under way in this process.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only keys are refreshed while they are valid"))]
    pub(crate) fn is_under_way(&self) -> bool {
        lock(&self.0).as_ref().is_some_and(|current| current.process == fork::process())
    }

    /// Releases the threads that wait now. The leader goes on.
    #[cfg_attr(not(feature = "oidc"), allow(dead_code, reason = "only waits for tokens end with the client"))]
    pub(crate) fn release_waiters(&self) {
        if let Some(current) = &*lock(&self.0) {
            current.flight.end(State::Abandoned);
        }
    }
}

#[cfg(test)]
impl<T: Clone> SingleFlight<T> {
    /// How many threads wait.
    pub(crate) fn waiters(&self) -> usize {
        // The others that hold it are this value and the leader.
        lock(&self.0).as_ref().map_or(0, |current| Arc::strong_count(&current.flight) - 2)
    }

    /// Work that a thread of another process does.
    pub(crate) fn of_another_process() -> Self {
        let flights = SingleFlight::default();
        if let Role::Leader(leader) = flights.begin() {
            std::mem::forget(leader);
        }
        if let Some(current) = &mut *lock(&flights.0) {
            current.process += 1;
        }
        flights
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        SingleFlight(Arc::default())
    }
}

impl<T> Leader<T> {
    /// Ends the work and hands its outcome to those who wait.
    pub(crate) fn publish(self, outcome: T) {
        self.end(State::Over(outcome));
    }

    fn end(&self, end: State<T>) {
        let mut current = lock(&self.shared);
        // A child of fork may have begun anew meanwhile.
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.flight, &self.flight)) {
            *current = None;
        }
        drop(current);
        self.flight.end(end);
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        self.end(State::Abandoned);
    }
}

impl<T: Clone> Waiter<T> {
    /// The outcome, once it is there.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<T, NoOutcome> {
        let mut state = lock(&self.0.state);
        loop {
            match &*state {
                State::UnderWay => {}
                State::Over(outcome) => return Ok(outcome.clone()),
                State::Abandoned => return Err(NoOutcome::Abandoned),
            }
            let left = deadline.remaining().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
            if left.is_zero() {
                return Err(NoOutcome::TimedOut);
            }
            state = unpoisoned(self.0.over.wait_timeout(state, left)).0;
        }
    }
}

impl<T> Flight<T> {
    /// The first end counts.
    fn end(&self, end: State<T>) {
        let mut state = lock(&self.state);
        if matches!(*state, State::UnderWay) {
            *state = end;
            drop(state);
            self.over.notify_all();
        }
    }
}

/// A wait without a limit looks again this often; a condition variable takes no endless one.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Instant;

    use super::*;

    fn leader(flights: &SingleFlight<u32>) -> Leader<u32> {
        let Role::Leader(leader) = flights.begin() else { panic!("no work is under way") };
        leader
    }

    fn waiter(flights: &SingleFlight<u32>) -> Waiter<u32> {
        thread::scope(|scope| {
            let role = scope.spawn(|| flights.begin()).join().unwrap();
            let Role::Waiter(waiter) = role else { panic!("work is under way: {role:?}") };
            waiter
        })
    }

    #[test]
    fn all_who_wait_get_what_the_leader_publishes() {
        let flights = SingleFlight::default();
        let leader = leader(&flights);
        let waiters: Vec<_> = (0..4).map(|_| waiter(&flights)).collect();
        assert!(flights.is_under_way());
        thread::scope(|scope| {
            let threads: Vec<_> = waiters.iter().map(|waiter| scope.spawn(|| waiter.wait(Deadline::NEVER))).collect();
            leader.publish(7);
            assert!(threads.into_iter().all(|thread| thread.join().unwrap() == Ok(7)));
        });
        assert!(!flights.is_under_way());
        // Who still holds the old flight sees its outcome, whatever is under way by now.
        let _next = self::leader(&flights);
        assert_eq!(waiters[0].wait(Deadline::NEVER), Ok(7));
    }

    #[test]
    fn a_leader_that_panics_releases_the_others() {
        let flights = SingleFlight::default();
        let leader = leader(&flights);
        let waiter = waiter(&flights);
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _leader = leader;
            std::panic::resume_unwind(Box::new("planted"));
        }));
        assert!(panicked.is_err());
        assert_eq!(waiter.wait(Deadline::NEVER), Err(NoOutcome::Abandoned));
        assert!(!flights.is_under_way());
    }

    #[test]
    fn a_thread_does_not_wait_for_itself() {
        let flights = SingleFlight::default();
        let leader = leader(&flights);
        assert!(matches!(flights.begin(), Role::OwnThread));
        drop(leader);
        assert!(matches!(flights.begin(), Role::Leader(_)));
    }

    #[test]
    fn a_child_process_waits_for_no_thread_of_its_parent() {
        let flights = SingleFlight::<u32>::of_another_process();
        assert!(!flights.is_under_way());
        let _leader = leader(&flights);
        assert_eq!(flights.waiters(), 0);
    }

    #[test]
    fn a_wait_ends_at_its_deadline_or_when_it_is_released() {
        let flights = SingleFlight::default();
        let leader = leader(&flights);
        let waiter = waiter(&flights);
        let began = Instant::now();
        assert_eq!(waiter.wait(Deadline::after(Duration::from_millis(20))), Err(NoOutcome::TimedOut));
        assert!(began.elapsed() < Duration::from_secs(5));
        flights.release_waiters();
        assert_eq!(waiter.wait(Deadline::NEVER), Err(NoOutcome::Abandoned));
        assert!(flights.is_under_way());
        leader.publish(1);
    }
}
