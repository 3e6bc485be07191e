//! A spike in words.

use super::{Limit, SpikeSpec};
use crate::detect::stats::Calendar;
use crate::rule::ast::{Season, SpikeOf};
use crate::time::{Span, Timestamp};

impl SpikeSpec {
    /// `412 events in the hour from 2026-01-05T03:00Z; usual for this hour of the week is 12 (more than 31 once in 10
    /// years)`.
    pub(super) fn reason(
        &self,
        calendar: &Calendar,
        bucket: i64,
        measure: f64,
        limit: Option<Limit>,
        beyond: &str,
    ) -> String {
        let start: String = Timestamp(calendar.start_of(bucket)).to_string().chars().take(16).collect();
        let stretch = stretch(self.spike.bucket);
        let slot = match self.spike.season {
            Season::None => String::new(),
            Season::Day => format!(" for this {} of the day", stretch.trim_start_matches("the ")),
            Season::Week => format!(" for this {} of the week", stretch.trim_start_matches("the ")),
        };
        let what = match &self.spike.of {
            SpikeOf::Count => String::from(if measure == 1.0 { "event" } else { "events" }),
            SpikeOf::Distinct(fields) => format!("different {}", fields.join(", ")),
            SpikeOf::Sum(field) => format!("{field} in all"),
        };
        let usual = number(limit.map_or(0.0, |limit| f64::from(limit.usual)));
        let how_often = how_often(self.spike.sensitivity);
        format!(
            "{} {what} in {stretch} from {start}Z; usual{slot} is {usual} ({beyond} {how_often})",
            number(measure)
        )
    }
}

/// `the hour`, `the 15m`.
fn stretch(bucket: Span) -> String {
    [(Span::minutes(1), "the minute"), (Span::hours(1), "the hour"), (Span::days(1), "the day")]
        .iter()
        .find(|(span, _)| *span == bucket)
        .map_or_else(|| format!("the {bucket}"), |(_, words)| (*words).to_owned())
}

/// `once in 10 years`, `2 times a year`.
pub(crate) fn how_often(sensitivity: f64) -> String {
    if sensitivity > 1.0 {
        format!("{} times a year", number(sensitivity))
    } else if sensitivity == 1.0 {
        String::from("once a year")
    } else {
        format!("once in {} years", number(1.0 / sensitivity))
    }
}

/// With as many digits as a person wants: `0.25`, `12`, `412`.
pub(super) fn number(value: f64) -> String {
    let digits = usize::from(value.abs() < 10.0) + usize::from(value.abs() < 1.0);
    let text = format!("{value:.digits$}");
    if digits > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
