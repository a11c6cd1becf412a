//! How long a service asks to wait.

use super::Head;

/// Longer waits are no use to anybody, milliseconds.
const LONGEST: u64 = 24 * 60 * 60 * 1000;

/// What the headers ask for, milliseconds.
pub(super) fn asked(head: &Head<'_>) -> Option<u64> {
    let precise = head.retry_after_ms.and_then(|text| decimal(text, 1));
    precise.or_else(|| {
        let text = head.retry_after?;
        seconds(text).or_else(|| until(date(text)?, head.now_ms))
    })
}

/// A duration as Gemini writes it, e.g. `12s` or `3.5s`, in milliseconds.
pub(super) fn duration(text: &str) -> Option<u64> {
    seconds(text.trim().strip_suffix('s')?)
}

/// A number of seconds, in milliseconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    decimal(text, 1000)
}

/// A number, times `scale`, without what is left of its fraction. What lies in the past is no wait.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let text = text.trim();
    let number = text.strip_prefix('-').unwrap_or(text);
    let (mut value, mut unit, mut digits) = (0_u64, scale, 0);
    let mut whole = true;
    for byte in number.bytes() {
        match byte {
            b'0'..=b'9' if whole => value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0') * scale),
            b'0'..=b'9' => {
                unit /= 10;
                value = value.saturating_add(u64::from(byte - b'0') * unit);
            }
            b'.' if whole => {
                whole = false;
                continue;
            }
            _ => return None,
        }
        digits += 1;
    }
    (digits > 0).then_some(if text.starts_with('-') { 0 } else { value.min(LONGEST) })
}

/// From now to a time in seconds since 1970.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn until(seconds: i64, now_ms: f64) -> Option<u64> {
    let wait = seconds as f64 * 1000.0 - now_ms;
    (!wait.is_nan()).then_some((wait as u64).min(LONGEST))
}

/// The months, three letters each.
const MONTHS: &[u8] = b"janfebmaraprmayjunjulaugsepoctnovdec";

/// An HTTP date in any of its three forms (RFC 9110, 5.6.7), as seconds since 1970:
/// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`.
fn date(text: &str) -> Option<i64> {
    let mut words = [""; 9];
    let split = text.split([' ', ',', ':', '-']).filter(|word| !word.is_empty());
    for (at, word) in split.enumerate() {
        *words.get_mut(at)? = word;
    }
    let ([_, day, month, year, hour, minute, second, "GMT" | "UTC", ""]
    | [_, month, day, hour, minute, second, year, "", ""]) = words
    else {
        return None;
    };
    let year = match (year.len(), number(year, 0, 9999)?) {
        // Two digits: what would lie far ahead belongs to the past century.
        (2, year @ 0..70) => 2000 + year,
        (2, year) => 1900 + year,
        (4, year) => year,
        _ => return None,
    };
    let days = days(year, month_number(month)?, number(day, 1, 31)?);
    let minutes = (days * 24 + number(hour, 0, 23)?) * 60 + number(minute, 0, 59)?;
    Some(minutes * 60 + number(second, 0, 60)?)
}

/// The number of a month, from 1.
fn month_number(word: &str) -> Option<i64> {
    let at = MONTHS.chunks(3).position(|month| month.eq_ignore_ascii_case(word.as_bytes()))?;
    i64::try_from(at + 1).ok()
}

/// A number of up to four digits.
fn number(word: &str, least: i64, most: i64) -> Option<i64> {
    let mut value = 0;
    for byte in word.bytes() {
        value = if byte.is_ascii_digit() { value * 10 + i64::from(byte - b'0') } else { return None };
    }
    ((1..=4).contains(&word.len()) && (least..=most).contains(&value)).then_some(value)
}

/// Days from 1970 to a date of the Gregorian calendar. Years are taken to begin in March, so that the leap day is the
/// last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::{Head, asked, date, duration};

    const NOW: f64 = 784_111_777_000.0; // Sun, 06 Nov 1994 08:49:37 GMT

    fn wait(retry_after: &str) -> Option<u64> {
        asked(&Head {
            status: 429,
            content_type: "",
            retry_after: Some(retry_after),
            retry_after_ms: None,
            now_ms: NOW,
        })
    }

    #[test]
    fn seconds_may_have_a_fraction_and_never_go_back() {
        for (text, expected) in [
            ("0", 0),
            ("12", 12_000),
            (" 7 ", 7_000),
            ("1.5", 1_500),
            (".25", 250),
            ("0.0019", 1),
            ("-5", 0),
            ("3.", 3_000),
        ] {
            assert_eq!(wait(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_day() {
        for text in ["86401", "99999999999999999999999999", "Sun, 06 Nov 2094 08:49:37 GMT"] {
            assert_eq!(wait(text), Some(86_400_000), "{text}");
        }
    }

    #[test]
    fn a_date_is_read_in_each_of_its_forms_and_counts_from_now() {
        for text in ["Sun, 06 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:50:07 GMT", "Sun Nov  6 08:50:07 1994"] {
            assert_eq!(wait(text), Some(30_000), "{text}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "half a minute ago");
        let unknown = Head {
            status: 429,
            content_type: "",
            retry_after: Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            retry_after_ms: None,
            now_ms: f64::NAN,
        };
        assert_eq!(asked(&unknown), None, "nobody knows what time it is");
    }

    #[test]
    fn dates_are_right_around_leap_days_and_turns_of_centuries() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Thu, 29 Feb 2024 23:59:60 GMT", 1_709_251_200),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 20 Nov 2026 13:18:14 GMT", 1_795_180_694),
            ("Friday, 20-Nov-26 13:18:14 GMT", 1_795_180_694),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_no_wait() {
        for text in [
            "",
            " ",
            "-",
            ".",
            "soon",
            "inf",
            "NaN",
            "1e3",
            "0x10",
            "12s",
            "1,5",
            "1.2.3",
            "--1",
            "+",
            "Sun, 06 Nov 1994",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 194 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 GMT again",
            "٣",
        ] {
            assert_eq!(wait(text), None, "{text}");
        }
    }

    #[test]
    fn milliseconds_go_before_seconds() {
        let head =
            Head { status: 429, content_type: "", retry_after: Some("2"), retry_after_ms: Some("1234.5"), now_ms: NOW };
        assert_eq!(asked(&head), Some(1_234));
        assert_eq!(asked(&Head { retry_after_ms: Some("soon"), ..head }), Some(2_000));
        assert_eq!(asked(&Head { retry_after: None, retry_after_ms: None, ..head }), None);
    }

    #[test]
    fn durations_end_in_their_unit() {
        assert_eq!(duration("12s"), Some(12_000));
        assert_eq!(duration("0.347s"), Some(347));
        assert_eq!(duration("12"), None);
        assert_eq!(duration("12m"), None);
    }
}
