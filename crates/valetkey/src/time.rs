//! Points in time, in whole seconds, with one spelling.
//!
//! Time is always an argument here: this module can write and read a time, never tell it.

use core::fmt;
use core::time::Duration;

/// A point in time in whole seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The two times that a decision needs.
///
/// An end is judged by the highest time that was ever seen, so that a clock set back revives nothing;
/// everything else is judged by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the clock says.
    pub clock: Timestamp,
    /// The highest time that was ever seen, at least `clock`.
    pub highest: Timestamp,
}

impl Now {
    /// A moment at which the clock has never been set back.
    pub const fn at(clock: Timestamp) -> Self {
        Self { clock, highest: clock }
    }
}

const DAY_SECS: i64 = 86_400;

impl Timestamp {
    /// The last second that can be written, `9999-12-31T23:59:59Z`.
    pub const MAX: Self = Self(253_402_300_799);

    /// The point `secs` seconds after the Unix epoch, before it where negative.
    pub const fn from_unix(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Reads the one canonical spelling, `YYYY-MM-DDTHH:MM:SSZ` ([RFC 3339] in UTC, without fractions).
    ///
    /// Returns `None` for any other spelling and for a day or second that does not exist; a leap second
    /// has no spelling.
    ///
    /// [RFC 3339]: https://www.rfc-editor.org/rfc/rfc3339#section-5.6
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
        let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
        if punctuation.iter().any(|&(at, byte)| bytes[at] != byte) {
            return None;
        }
        let number = |range: core::ops::Range<usize>| {
            bytes[range].iter().try_fold(0_i64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let valid = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        valid.then(|| Self(days_from_civil(year, month, day) * DAY_SECS + hour * 3600 + minute * 60 + second))
    }

    /// The point `duration` later, in whole seconds, at most [`Timestamp::MAX`].
    pub fn plus(self, duration: Duration) -> Self {
        let secs = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(secs)).min(Self::MAX)
    }

    /// How long it is from `earlier` to this point; zero where this point is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY_SECS));
        let second = self.0.rem_euclid(DAY_SECS);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the Unix epoch of a date of the proleptic Gregorian calendar, with years counted from March
/// so that the leap day comes last, in eras of 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn check(text: &str, unix: Option<i64>) {
        assert_eq!(Timestamp::parse(text).map(Timestamp::unix), unix, "{text}");
        if let Some(unix) = unix {
            assert_eq!(Timestamp::from_unix(unix).to_string(), text);
        }
    }

    #[test]
    fn canonical_times_are_read_and_written() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("1969-12-31T23:59:59Z", Some(-1));
        check("2000-02-29T12:34:56Z", Some(951_827_696));
        check("2026-11-22T00:00:00Z", Some(1_795_305_600));
        check("9999-12-31T23:59:59Z", Some(Timestamp::MAX.unix()));
        check("0000-01-01T00:00:00Z", Some(-62_167_219_200));
    }

    #[test]
    fn other_spellings_and_days_that_are_not_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-04-00T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T00:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-11-22t00:00:00Z",
            "2026-11-22T00:00:00z",
            "2026-11-22 00:00:00Z",
            "2026-11-22T00:00:00+00:00",
            "2026-11-22T00:00:00.0Z",
            "2026-11-22T00:00Z",
            "+026-11-22T00:00:00Z",
            "12026-11-22T00:00:00Z",
            "2026-11-22T00:00:00Zé",
            "",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::from_unix(5).plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix(5).since(Timestamp::from_unix(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_unix(9).since(Timestamp::from_unix(5)), Duration::from_secs(4));
    }

    proptest::proptest! {
        #[test]
        fn every_second_survives_a_round_trip(unix in -62_167_219_200_i64..=253_402_300_799) {
            let text = Timestamp::from_unix(unix).to_string();
            proptest::prop_assert_eq!(Timestamp::parse(&text).map(Timestamp::unix), Some(unix));
        }
    }
}
