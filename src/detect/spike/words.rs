//! A spike in words.

use super::{Limit, SILENT_SHARE, SpikeSpec, SpikeState};
use crate::detect::stats::Calendar;
use crate::rule::ast::{Direction, Season, SpikeOf};
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
        let (slot, what) = (self.slot(), self.what(measure));
        let usual = number(limit.map_or(0.0, |limit| f64::from(limit.usual)));
        let how_often = how_often(self.spike.sensitivity);
        format!(
            "{} {what} in {stretch} from {start}Z; usual{slot} is {usual} ({beyond} {how_often})",
            number(measure)
        )
    }
}

impl SpikeSpec {
    /// How the stretch of a moment stands against the baseline, or what the baseline lacks.
    pub(in crate::detect) fn known(&self, state: &SpikeState, at: Timestamp) -> Vec<String> {
        let calendar = self.calendar();
        let bucket = calendar.bucket_of(at.0);
        let measure = self.measured(state, bucket);
        let mut learning = state.clone();
        let limit = self.limit(&mut learning, &calendar, bucket);
        let start: String = Timestamp(calendar.start_of(bucket)).to_string().chars().take(16).collect();
        let what = self.what(measure);
        let mut known = vec![format!(
            "{} {what} in {} from {start}Z up to then",
            number(measure),
            stretch(self.spike.bucket)
        )];
        let Some(limit) = limit else {
            let since = state.past.as_ref().map(|past| Timestamp(calendar.start_of(past.start())));
            let since = since
                .map_or_else(|| "nothing is closed yet".to_owned(), |since| format!("watched since {since}"));
            let needed = Span(self.spike.history.0 / SILENT_SHARE);
            let season = if self.spike.season == Season::Week { needed.max(Span::days(14)) } else { needed };
            known.push(format!(
                "there is no baseline ({since}): it takes {season} of history, with events in at least 3 days and 5 stretches"
            ));
            return known;
        };
        let mut line = format!("usual{} is {}", self.slot(), number(f64::from(limit.usual)));
        if self.spike.direction != Direction::Down {
            line.push_str(&format!("; a spike from {} on", number(f64::from(limit.up).max(self.spike.min))));
        }
        if self.spike.direction != Direction::Up {
            line.push_str(&match limit.down {
                down if down < 0.0 => String::from("; too little to be a dip"),
                down => format!("; a dip at {} or less", number(f64::from(down))),
            });
        }
        known.push(format!("{line} (beyond that {})", how_often(self.spike.sensitivity)));
        known
    }

    fn what(&self, measure: f64) -> String {
        match &self.spike.of {
            SpikeOf::Count => String::from(if measure == 1.0 { "event" } else { "events" }),
            SpikeOf::Distinct(fields) => format!("different {}", fields.join(", ")),
            SpikeOf::Sum(field) => format!("{field} in all"),
        }
    }

    /// ` for this hour of the week`.
    fn slot(&self) -> String {
        let stretch = stretch(self.spike.bucket);
        let stretch = stretch.trim_start_matches("the ");
        match self.spike.season {
            Season::None => String::new(),
            Season::Day => format!(" for this {stretch} of the day"),
            Season::Week => format!(" for this {stretch} of the week"),
        }
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
