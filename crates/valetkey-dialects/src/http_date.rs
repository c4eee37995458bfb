//! The dates of HTTP's headers.

use alloc::format;

use valetkey::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads the one form that may still be sent,
/// [`Sun, 06 Nov 1994 08:49:37 GMT`](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7). Which day of the week it
/// says is not compared: it says nothing more. Botocore writes the zone as mails do.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let [day, month, year, time, zone] = core::array::from_fn(|_| words.next().unwrap_or(""));
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let is_sound = weekday.len() == 3 && day.len() == 2 && year.len() == 4;
    let is_utc = ["GMT", "+0000", "-0000"].contains(&zone);
    if !is_sound || !is_utc || words.next().is_some() {
        return None;
    }
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_is_read() {
        let unix = |text| parse(text).map(Timestamp::unix);
        assert_eq!(unix("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(unix("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(unix("Sun, 06 Nov 1994 08:49:37 -0000"), Some(784_111_777));
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0100",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(unix(text), None, "{text}");
        }
    }
}
