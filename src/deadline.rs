//! A point in time that a blocking call must not outlive.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::error::{Error, FaultKind, Stage};

/// The moment at which to give up, or none; and the name of the limit that sets it, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>, &'static str);

impl Deadline {
    /// No limit.
    pub(crate) const NEVER: Deadline = Deadline(None, UNNAMED);

    /// From now; a limit of zero means none, as in every time option of a connection string.
    pub(crate) fn after(limit: Duration) -> Self {
        Deadline::counted_from(Instant::now(), limit)
    }

    /// From a moment that the caller has looked at the clock for; zero means none.
    pub(crate) fn counted_from(began: Instant, limit: Duration) -> Self {
        Deadline(if limit.is_zero() { None } else { began.checked_add(limit) }, UNNAMED)
    }

    /// From now, or never.
    pub(crate) fn after_option(limit: Option<Duration>) -> Self {
        limit.map_or(Deadline::NEVER, Deadline::after)
    }

    /// The same moment, with the name of the option that sets it (`connectTimeoutMS`).
    pub(crate) fn named(self, limit: &'static str) -> Self {
        Deadline(self.0, limit)
    }

    /// The name of the limit that sets it.
    pub(crate) fn name(self) -> &'static str {
        self.1
    }

    /// The error for its having passed, whose message names the limit. For `timeoutMS` it is
    /// [`ErrorKind::Timeout`](crate::error::ErrorKind::Timeout), else input or output that timed out.
    pub(crate) fn ran_out(self, stage: Stage, message: impl Into<Cow<'static, str>>) -> Error {
        let kind = if self.1 == TIMEOUT_MS { FaultKind::Timeout } else { FaultKind::TimedOut };
        Error::new(kind, stage, message)
    }

    /// The earlier of the two.
    pub(crate) fn earliest(self, other: Deadline) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) if a <= b => self,
            (Some(_), None) => self,
            _ => other,
        }
    }

    /// The moment itself.
    pub(crate) fn instant(self) -> Option<Instant> {
        self.0
    }

    /// What is left: `None` without a limit, zero once it has passed.
    pub(crate) fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub(crate) fn expired(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }
}

/// The limit on a whole operation.
const TIMEOUT_MS: &str = "timeoutMS";
/// A limit without a name.
const UNNAMED: &str = "the time limit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_no_limit() {
        assert_eq!(Deadline::after(Duration::ZERO), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.remaining(), None);
        assert!(!Deadline::NEVER.expired());
    }

    #[test]
    fn the_earlier_one_counts() {
        let near = Deadline::after(Duration::from_secs(1));
        let far = Deadline::after(Duration::from_secs(100));
        assert_eq!(near.earliest(far), near);
        assert_eq!(far.earliest(near), near);
        assert_eq!(Deadline::NEVER.earliest(near), near);
        assert_eq!(near.named("timeoutMS").earliest(far.named("socketTimeoutMS")).name(), "timeoutMS");
        assert_eq!(near.earliest(Deadline::NEVER), near);
    }
}
