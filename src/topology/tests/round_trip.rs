//! The fixtures of the average round trip time.

use std::time::Duration;

use bson::Document;

use super::{Verdict, check_keys, number, run_folder};
use crate::topology::round_trip::RoundTripTimes;

#[test]
fn averages() {
    run_folder("server-selection/tests/rtt", 5, run);
}

fn run(fixture: &Document) -> Verdict {
    check_keys(fixture, &["avg_rtt_ms", "new_rtt_ms", "new_avg_rtt"])?;
    let millis = |key: &str| fixture.get(key).and_then(number);
    let duration = |millis: f64| Duration::from_secs_f64(millis / 1e3);
    // A server without an average has the string "NULL" there.
    let before = RoundTripTimes::with_average(millis("avg_rtt_ms").map(duration));
    let sample = duration(millis("new_rtt_ms").ok_or("new_rtt_ms is missing")?);
    let expected = millis("new_avg_rtt").ok_or("new_avg_rtt is missing")?;
    let found = before.with_sample(sample).average().ok_or("there is no average")?.as_secs_f64() * 1e3;
    if (found - expected).abs() < 1e-5 {
        Ok(())
    } else {
        Err(format!("the average is {found} and should be {expected}"))
    }
}
