//! How often a server is asked that answers at once where it should wait.

use std::time::{Duration, Instant};

/// The first pause after an empty batch, and the longest one.
const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(100);

/// How long a tailable cursor that awaits pauses before its next `getMore`. As a rule it does not, since the server holds each request
/// until there is something new. Some servers answer at once, and so does every server if the program's own command does not ask for
/// `awaitData`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pause: Duration,
    not_before: Option<Instant>,
}

impl Pace {
    /// What came of a request that was sent then, and that the server might have held that long.
    pub(super) fn answered(&mut self, is_empty: bool, asked: Instant, await_time: Duration) {
        let now = Instant::now();
        let took = now.saturating_duration_since(asked);
        if !is_empty || took >= await_time / 2 {
            *self = Pace::default();
            return;
        }
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        // No longer than the server would have waited.
        self.not_before = now.checked_add(self.pause.min(await_time - took));
    }

    /// What is left of the pause.
    pub(super) fn left(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_have_a_limit() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.left().is_zero());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pace.answered(true, Instant::now(), Duration::from_secs(60));
            pauses.push(pace.pause.as_millis());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        assert!(pace.left() <= LONGEST);
        // No longer than the server would have waited.
        pace.answered(true, Instant::now(), Duration::from_millis(20));
        assert!(pace.left() <= Duration::from_millis(20));
        pace.answered(false, now, Duration::from_secs(60));
        assert!(pace.left().is_zero());
        // A server that waited.
        pace.answered(true, Instant::now(), Duration::from_secs(60));
        pace.answered(true, now, Duration::ZERO);
        assert!(pace.pause.is_zero() && pace.left().is_zero());
    }
}
