//! Who is told that a call on a connection waits long.

use std::time::{Duration, Instant};

/// Is told when a connection waits long for its peer, so that the peer can be looked at from elsewhere.
pub(crate) trait WaitObserver: std::fmt::Debug + Send + Sync {
    /// A call has waited for [`LONG_WAIT`] or more and goes on waiting. It is told again about every second. `since`: when the wait
    /// began. Called by the thread that waits, without any lock held; the wait is longer by as much time as this takes.
    fn still_waiting(&self, since: Instant);
}

/// How long a call waits before its [`WaitObserver`] is told.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(1);
