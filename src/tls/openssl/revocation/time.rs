//! ASN.1 times, which OpenSSL prints and compares, as the standard library counts them.

use std::time::{Duration, SystemTime};

use ::openssl::asn1::{Asn1GeneralizedTimeRef, Asn1Time, Asn1TimeRef};

/// The moment of a certificate or a CRL. `None` before 1970.
pub(super) fn of_time(time: &Asn1TimeRef) -> Option<SystemTime> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    let seconds = i64::from(since.days) * SECONDS_A_DAY + i64::from(since.secs);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// The time in an OCSP answer. `None` if it is before 1970 or not in UTC.
pub(super) fn of_generalized(time: &Asn1GeneralizedTimeRef) -> Option<SystemTime> {
    let digits = digits_of(&time.to_string())?;
    of_time(&*Asn1Time::from_str(&digits).ok()?)
}

/// The crate gives such a time only as text, `Nov  3 05:43:49 2026 GMT`. This rewrites it as `20261103054349Z`.
fn digits_of(printed: &str) -> Option<String> {
    let mut words = printed.split_ascii_whitespace();
    let [month, day, clock, year, zone] = std::array::from_fn(|_| words.next().unwrap_or_default());
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let clock = clock.split('.').next()?.replace(':', "");
    let day: u8 = day.parse().ok()?;
    let whole = zone == "GMT" && words.next().is_none() && clock.len() == CLOCK_DIGITS && year.len() == YEAR_DIGITS;
    whole.then(|| format!("{year}{month:02}{day:02}{clock}Z"))
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const CLOCK_DIGITS: usize = 6;
const YEAR_DIGITS: usize = 4;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use ::openssl::asn1::Asn1GeneralizedTime;

    use super::*;

    #[test]
    fn a_moment_as_the_standard_library_counts_it() {
        let read = |text: &str| of_generalized(&Asn1GeneralizedTime::from_str(text).unwrap());
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(read("19700101000000Z"), at(0));
        assert_eq!(read("20261103054349Z"), at(1_793_684_629));
        assert_eq!(read("20261123054349.25Z"), at(1_795_412_629));
        assert_eq!(read("19691231235959Z"), None);
        assert_eq!(of_time(&Asn1Time::from_unix(1_795_412_629).unwrap()), at(1_795_412_629));
    }

    #[test]
    fn what_is_no_print_of_a_time() {
        for text in
            ["", "error", "Nov 3 05:43 2026 GMT", "Nov 3 05:43:49 2026", "Nom 3 05:43:49 2026 GMT", "Bad time value"]
        {
            assert_eq!(digits_of(text), None, "{text}");
        }
    }
}
