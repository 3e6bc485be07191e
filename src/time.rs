//! Points and lengths of event time: milliseconds, UTC. There is no clock here; the daemon owns the only one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds, never negative when parsed from text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

/// Why a text is no time or span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not an RFC 3339 date and time.
    #[error("`{0}` is not a time: expected RFC 3339 such as 2026-01-31T09:00:00Z, or a date")]
    Timestamp(String),
    /// Not a number with a unit.
    #[error(
        "`{0}` is not a length of time: expected a number and a unit (ms, s, m, h, d, w, y), such as 10m"
    )]
    Span(String),
}

impl Timestamp {
    /// The latest point; a watermark there has judged everything.
    pub const MAX: Self = Self(i64::MAX / 4);
    /// Before every event.
    pub const MIN: Self = Self(i64::MIN / 4);

    /// Whether it lies in the years -9999 to 9999, which can be written and searched for.
    #[must_use]
    pub fn is_in_calendar(self) -> bool {
        jiff::Timestamp::from_millisecond(self.0).is_ok()
    }

    /// Parses RFC 3339 with any offset (`2026-01-31T09:00:00.123Z`), a space for the `T`, a missing
    /// offset (read as UTC), or a plain date (midnight UTC). Digits beyond the millisecond are cut off.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        if let Some(fast) = parse_canonical(text.as_bytes()) {
            return Ok(fast);
        }
        let error = || TimeError::Timestamp(text.to_owned());
        if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(stamp.as_millisecond()));
        }
        let civil = text.trim_end_matches(" UTC").parse::<jiff::civil::DateTime>().map_err(|_| error())?;
        let stamp = jiff::tz::TimeZone::UTC.to_timestamp(civil).map_err(|_| error())?;
        Ok(Self(stamp.as_millisecond()))
    }

    /// Calendar fields in UTC; times outside years -9999..9999 are clamped to the epoch.
    #[must_use]
    pub fn civil(self) -> jiff::civil::DateTime {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        jiff::tz::TimeZone::UTC.to_datetime(stamp)
    }

    /// This point plus a span, saturating.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This point minus a span, saturating.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this point is; negative if before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.fff]Z`, the form GitLab writes: parsed without the general parser, since
/// every event passes here. Anything else answers `None` and goes the general way.
fn parse_canonical(text: &[u8]) -> Option<Timestamp> {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range)?
            .iter()
            .try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if text.last() != Some(&b'Z') || punctuation.iter().any(|(at, byte)| text.get(*at) != Some(byte)) {
        return None;
    }
    let millis = match text.len() {
        20 => 0,
        24 if text.get(19) == Some(&b'.') => digits(20..23)?,
        _ => return None,
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let days_in_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from civil: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis))
}

impl Span {
    /// Milliseconds as a span.
    #[must_use]
    pub const fn millis(count: i64) -> Self {
        Self(count)
    }
    /// Seconds as a span.
    #[must_use]
    pub const fn seconds(count: i64) -> Self {
        Self(count * 1000)
    }
    /// Minutes as a span.
    #[must_use]
    pub const fn minutes(count: i64) -> Self {
        Self::seconds(count * 60)
    }
    /// Hours as a span.
    #[must_use]
    pub const fn hours(count: i64) -> Self {
        Self::minutes(count * 60)
    }
    /// Days of 24 hours as a span.
    #[must_use]
    pub const fn days(count: i64) -> Self {
        Self::hours(count * 24)
    }
    /// Years of 366 days, so that nobody who asks for seven years gets a day less.
    #[must_use]
    pub const fn years(count: i64) -> Self {
        Self::days(count * 366)
    }
    /// The same length for `tokio` and `std`; zero if negative.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

/// A year is read, and printed in days.
const YEAR: (&str, i64) = ("y", Span::years(1).0);
const UNITS: [(&str, i64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl FromStr for Span {
    type Err = TimeError;

    /// `10m`, `1h30m`, `45s`, `250ms`, `2w`, `7y` (of 366 days); a bare number has no unit and is refused.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError::Span(text.to_owned());
        let mut rest = text.trim();
        let mut total: i64 = 0;
        if rest.is_empty() {
            return Err(error());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at(letters);
            let factor = UNITS.iter().chain([&YEAR]).find(|(name, _)| *name == unit).ok_or_else(error)?.1;
            let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(error)?;
            total = total.checked_add(part).ok_or_else(error)?;
            rest = next;
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        let millis = c.subsec_nanosecond() / 1_000_000;
        let (year, month, day) = (c.year(), c.month(), c.day());
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
            c.hour(),
            c.minute(),
            c.second()
        )
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, factor) in UNITS {
            if unit == "w" && rest % factor != 0 {
                continue;
            }
            let count = rest / factor;
            if count != 0 {
                write!(f, "{count}{unit}")?;
                rest -= count * factor;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_in_every_form_the_forges_write() {
        let expected = Timestamp(1_645_597_388_746);
        for text in [
            "2022-02-23T06:23:08.746Z",
            "2022-02-23T07:23:08.746+01:00",
            "2022-02-23T06:23:08.7460419+00:00",
            "2022-02-23 06:23:08.746 UTC",
            "2022-02-23T06:23:08.746",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(expected), "{text}");
        }
        assert_eq!(Timestamp::parse("2022-02-23").unwrap().to_string(), "2022-02-23T00:00:00.000Z");
        for text in ["", "yesterday", "2022-02-30T00:00:00Z", "2022-13-01T00:00:00.000Z"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_general_parser() {
        for days in (-200_000..200_000).step_by(97) {
            let text = Timestamp(days * 86_400_000 + 12_345_678).to_string();
            let general = text.parse::<jiff::Timestamp>().map(|t| t.as_millisecond());
            if let (Some(fast), Ok(general)) = (parse_canonical(text.as_bytes()), general) {
                assert_eq!(fast.0, general, "{text}");
            }
        }
    }

    #[test]
    fn spans_print_as_they_are_written() {
        for text in ["10m", "1h30m", "45s", "250ms", "2w", "90d", "1d1h", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("7y".parse::<Span>(), Ok(Span::days(2562)));
        for text in ["", "10", "m", "10x", "-5m", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
