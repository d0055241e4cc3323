//! Round trip times of one server: the average that selection compares, and the minimum that time limits allow for.

use std::time::Duration;

/// The samples that the minimum is taken of (server monitoring, "Measuring RTT").
const SAMPLES: usize = 10;

/// The samples that there must be before the minimum counts.
const SAMPLES_FOR_MINIMUM: usize = 2;

/// The round trip times of a server's checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundTripTimes {
    average: Option<Duration>,
    latest: [Duration; SAMPLES],
    count: usize,
}

impl RoundTripTimes {
    /// With one more sample. The average is weighted exponentially with alpha 0.2; the first sample is the first average.
    pub(crate) fn with_sample(mut self, sample: Duration) -> Self {
        self.average = Some(match self.average {
            None => sample,
            Some(average) => average.saturating_mul(4).saturating_add(sample) / 5,
        });
        self.latest.rotate_right(1);
        if let Some(first) = self.latest.first_mut() {
            *first = sample;
        }
        self.count = (self.count + 1).min(SAMPLES);
        self
    }

    /// The moving average; `None` until there is a sample.
    pub(crate) fn average(&self) -> Option<Duration> {
        self.average
    }

    /// The shortest of the last ten samples; zero until there are two.
    pub(crate) fn minimum(&self) -> Duration {
        if self.count < SAMPLES_FOR_MINIMUM {
            return Duration::ZERO;
        }
        self.latest.iter().take(self.count).min().copied().unwrap_or_default()
    }

    /// An average that was measured before.
    #[cfg(test)]
    pub(crate) fn with_average(average: Option<Duration>) -> Self {
        RoundTripTimes { average, ..RoundTripTimes::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[u64]) -> RoundTripTimes {
        samples
            .iter()
            .fold(RoundTripTimes::default(), |times, millis| times.with_sample(Duration::from_millis(*millis)))
    }

    #[test]
    fn the_minimum_is_zero_until_there_are_two_samples() {
        assert_eq!(after(&[]).minimum(), Duration::ZERO);
        assert_eq!(after(&[7]).minimum(), Duration::ZERO);
        assert_eq!(after(&[7, 9]).minimum(), Duration::from_millis(7));
    }

    #[test]
    fn the_minimum_forgets_a_sample_after_ten_more() {
        let mut samples = vec![1];
        samples.extend([5; 9]);
        assert_eq!(after(&samples).minimum(), Duration::from_millis(1));
        samples.push(6);
        assert_eq!(after(&samples).minimum(), Duration::from_millis(5));
    }

    #[test]
    fn no_sample_is_too_long_for_the_average() {
        let times = RoundTripTimes::default().with_sample(Duration::MAX).with_sample(Duration::MAX);
        assert!(times.average() > Some(Duration::from_secs(1)));
        assert_eq!(after(&[]).average(), None);
    }
}
