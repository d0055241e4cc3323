//! Times as AWS writes them: `20150830T123600Z` in signatures, ISO 8601 and seconds in answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `YYYYMMDDTHHMMSSZ`, in UTC. A time outside of the years 1970 to 9999 comes out as the nearest that is inside.
pub(super) fn amz_date(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST_SECOND);
    let (days, rest) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = civil(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `2026-01-31T12:00:00Z`, perhaps with a fraction of a second, perhaps with an offset such as `+01:00` for the `Z`. `None` for
/// anything else, and before 1970.
pub(super) fn parse_iso8601(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (sep, rest) = rest.split_at_checked(1)?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let right = matches!(sep, "T" | "t" | " ")
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60; // a leap second
    if !right || year < 1970 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let local = days_since_epoch(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let seconds = i64::try_from(local).ok()? - offset(zone)?;
    UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).ok()?, nanos))
}

/// Seconds since 1970, as some endpoints give them. `None` for an invalid time.
pub(super) fn from_epoch_seconds(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok().filter(|since| since.as_secs() <= LAST_SECOND)?;
    UNIX_EPOCH.checked_add(since)
}

/// Three numbers of just these many digits.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (context, length) in found.iter_mut().zip(digits) {
        let part =
            parts.next().filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *context = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// `.123456Z`: the fraction in nanoseconds, and what comes after it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at_checked(end)?;
    let mut nanos = 0;
    for digit in digits.chars().chain(std::iter::repeat('0')).take(9) {
        nanos = nanos * 10 + digit.to_digit(10)?;
    }
    (!digits.is_empty()).then_some((nanos, zone))
}

/// `Z`, `+01:00`, `-0530`: seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, digits) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Year, month and day of a day since 1970-01-01, for any year up to 9999.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(days_of_year).sum();
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    years + months + day - 1
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const DAY: u64 = 86_400;

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_are_written_as_signatures_want_them() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (LAST_SECOND, "99991231T235959Z"),
            (LAST_SECOND + 1, "99991231T235959Z"),
        ] {
            assert_eq!(amz_date(at(seconds)), text);
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        for seconds in (0..LAST_SECOND).step_by(86_400 * 1171 + 4321) {
            let date = amz_date(at(seconds));
            let parts = [&date[..4], "-", &date[4..6], "-", &date[6..11], ":", &date[11..13], ":", &date[13..]];
            assert_eq!(parse_iso8601(&parts.concat()), Some(at(seconds)), "{date}");
        }
    }

    #[test]
    fn zones_and_fractions_are_read() {
        let noon = at(1_440_938_160);
        for text in [
            "2015-08-30T12:36:00Z",
            "2015-08-30t12:36:00z",
            "2015-08-30 12:36:00+00:00",
            "2015-08-30T12:36:00.000Z",
            "2015-08-30T14:36:00+02:00",
            "2015-08-30T07:06:00-0530",
        ] {
            assert_eq!(parse_iso8601(text), Some(noon), "{text}");
        }
        assert_eq!(parse_iso8601("2015-08-30T12:36:00.25Z"), Some(noon + Duration::from_millis(250)));
        assert_eq!(parse_iso8601("2015-08-30T12:36:00.0000000001Z"), Some(noon));
        assert_eq!(from_epoch_seconds(1_440_938_160.0), Some(noon));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2015",
            "2015-08-30",
            "2015-08-30T12:36:00",
            "2015-13-30T12:36:00Z",
            "2015-02-29T12:36:00Z",
            "2015-08-00T12:36:00Z",
            "2015-08-30T24:00:00Z",
            "2015-08-30T12:60:00Z",
            "2015-08-30T12:36:61Z",
            "2015-08-30T12:36:00.Z",
            "2015-08-30T12:36:00+25:00",
            "2015-08-30T12:36:00+1:0",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "+015-08-30T12:36:00Z",
            "2015-08-30T12:36:00Z ",
            "2015-08-30T1é:36:00Z",
            "2015-08-3é",
        ] {
            assert_eq!(parse_iso8601(text), None, "{text}");
        }
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e300, 253_402_300_800.0] {
            assert_eq!(from_epoch_seconds(seconds), None, "{seconds}");
        }
    }
}
