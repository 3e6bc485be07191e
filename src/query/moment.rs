//! Times as people write them in a query: any precision, or relative to now.

use crate::time::{Span, Timestamp};

/// The stretch that a text names: its first millisecond, and the first one after it. A date is the whole day, a
/// moment without seconds the whole minute; `now` and `-7d` are one millisecond.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    if let Some(start) = relative(text, now) {
        return Some((start, start.plus(Span::millis(1))));
    }
    let day = Span::days(1);
    let midnight = Timestamp(now.0 - now.0.rem_euclid(day.0));
    match text {
        "today" => return Some((midnight, midnight.plus(day))),
        "yesterday" => return Some((midnight.minus(day), midnight)),
        _ => {}
    }
    year_or_month(text).or_else(|| absolute(text))
}

/// Whether the text is a distance back from now, so that alone it means `since then`.
pub(super) fn is_relative(text: &str) -> bool {
    relative(text, Timestamp(0)).is_some()
}

fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    let back: Span = text.strip_prefix('-')?.parse().ok()?;
    Some(Timestamp(now.minus(back).0.max(Timestamp::MIN.0)))
}

fn year_or_month(text: &str) -> Option<(Timestamp, Timestamp)> {
    let start = |year: i64, month: i64| Timestamp::parse(&format!("{year:04}-{month:02}-01")).ok();
    let digits = |part: &str, count: usize| {
        let is_number = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<i64>().ok()).flatten()
    };
    match text.split_once('-') {
        None => {
            let year = digits(text, 4)?;
            Some((start(year, 1)?, start(year + 1, 1)?))
        }
        Some((year, month)) => {
            let (year, month) = (digits(year, 4)?, digits(month, 2)?);
            let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            Some((start(year, month)?, start(next_year, next_month)?))
        }
    }
}

fn absolute(text: &str) -> Option<(Timestamp, Timestamp)> {
    let start = Timestamp::parse(text).ok()?;
    let clock = text.split_once(['T', 't', ' ']).map(|(_, clock)| clock.trim_end_matches(" UTC"));
    let clock = clock.map(|clock| clock.split(['Z', 'z', '+', '-']).next().unwrap_or(clock));
    let precision = match clock {
        None => Span::days(1),
        Some(clock) if clock.contains(['.', ',']) => Span::millis(1),
        Some(clock) if clock.matches(':').count() >= 2 => Span::seconds(1),
        Some(_) => Span::minutes(1),
    };
    Some((start, start.plus(precision)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(text: &str) -> Option<String> {
        let now = Timestamp::parse("2026-03-10T12:30:15.500Z").unwrap();
        parse(text, now).map(|(from, to)| format!("{from} {}", to.since(from)))
    }

    #[test]
    fn every_precision_names_its_stretch() {
        for (text, expected) in [
            ("now", "2026-03-10T12:30:15.500Z 1ms"),
            ("-7d", "2026-03-03T12:30:15.500Z 1ms"),
            ("-1h30m", "2026-03-10T11:00:15.500Z 1ms"),
            ("today", "2026-03-10T00:00:00.000Z 1d"),
            ("yesterday", "2026-03-09T00:00:00.000Z 1d"),
            ("2024", "2024-01-01T00:00:00.000Z 366d"),
            ("2026-02", "2026-02-01T00:00:00.000Z 4w"),
            ("2025-12", "2025-12-01T00:00:00.000Z 31d"),
            ("2026-01-31", "2026-01-31T00:00:00.000Z 1d"),
            ("2026-01-31T09:05", "2026-01-31T09:05:00.000Z 1m"),
            ("2026-01-31 09:05:06", "2026-01-31T09:05:06.000Z 1s"),
            ("2026-01-31T09:05:06+02:00", "2026-01-31T07:05:06.000Z 1s"),
            ("2026-01-31T09:05:06.7Z", "2026-01-31T09:05:06.700Z 1ms"),
        ] {
            assert_eq!(stretch(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "-", "7d", "-7", "2026-13", "2026-02-30", "20260131x", "tomorrow", "-9d9"] {
            assert_eq!(stretch(text), None, "{text}");
        }
    }
}
