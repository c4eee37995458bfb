//! Sizes and durations, as people write them.

use std::fmt;
use std::time::Duration;

/// What [`parse_size`] reads, to follow "must be".
pub const SIZE_RULE: &str =
    "a whole number of bytes, or one with a unit as 5MiB (B KB MB GB TB KiB MiB GiB TiB)";

/// What [`parse_duration`] reads, to follow "must be".
pub const DURATION_RULE: &str = "a duration as 15m, 7d or 1h30m (units d h m s)";

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const DURATION_UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a size in bytes, `5242880` or `5MiB`, at most 2^63-1.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits_end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor = match unit {
        "" => 1,
        unit => SIZE_UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let bytes = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

/// Reads a duration in whole seconds, `15m` or `1h30m`: each unit at most once, the larger first.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut secs = 0_u64;
    let mut units = DURATION_UNITS.iter();
    while !rest.is_empty() {
        let digits_end = rest.find(|char: char| !char.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(digits_end);
        let mut chars = tail.chars();
        let unit = chars.next()?;
        let factor = units.find(|(name, _)| *name == unit)?.1;
        secs = secs.checked_add(digits.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = chars.as_str();
    }
    (!text.is_empty()).then(|| Duration::from_secs(secs))
}

/// A size, printed in the largest unit that gives a whole number.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS
            .iter()
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// A duration in whole seconds, printed as [`parse_duration`] reads it.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in DURATION_UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_or_without_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("5242880", 5_242_880),
            ("7B", 7),
            ("5MB", 5_000_000),
            ("5MiB", 5_242_880),
            ("1KB", 1_000),
            ("1KiB", 1_024),
            ("2GiB", 2 << 30),
            ("3TB", 3_000_000_000_000),
            ("9223372036854775807", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in
            ["", "MiB", "-1", "+1", "1.5GiB", "5 MiB", "5mib", "5M", "9223372036854775808", "9999999999TiB"]
        {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_name_their_units_the_larger_first() {
        for (text, secs) in
            [("30s", 30), ("15m", 900), ("7d", 604_800), ("1h30m", 5_400), ("1d2h3m4s", 93_784), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(secs)), "{text}");
        }
        for text in ["", "15", "m", "30m1h", "1m1m", "1w", "1.5h", "-1s", "1h ", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for bytes in [0, 1, 999, 1_000, 1_024, 5_242_880, 5_000_000, 5_242_881, 1 << 40] {
            assert_eq!(parse_size(&Size(bytes).to_string()), Some(bytes));
        }
        assert_eq!(Size(5_242_880).to_string(), "5MiB");
        for secs in [0, 1, 60, 61, 86_400, 93_784] {
            let duration = Duration::from_secs(secs);
            assert_eq!(parse_duration(&Span(duration).to_string()), Some(duration));
        }
        assert_eq!(Span(Duration::from_secs(5_400)).to_string(), "1h30m");
    }
}
