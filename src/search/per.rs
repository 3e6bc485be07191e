//! How many events a query finds in each hour, day, week or month.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::DateTime;
use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::count::Collect;
use super::parts::Parts;
use super::searcher::Searcher;
use super::{Count, SearchError};
use crate::event::{Event, Position};
use crate::query::Query;
use crate::time::{Span, Timestamp};

/// No series has more stretches that are not empty.
const STRETCHES_MAX: usize = 100_000;

/// A stretch of time; all in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From minute 0 on.
    Hour,
    /// From midnight on.
    Day,
    /// From Monday on.
    Week,
    /// From the first on.
    Month,
}

impl Unit {
    /// Every unit, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Where the stretch begins that a time lies in.
    #[must_use]
    pub fn start(self, time: Timestamp) -> Timestamp {
        const MONDAY: i64 = 4 * 86_400_000;
        let floor = |length: Span, offset: i64| Timestamp(time.0 - (time.0 - offset).rem_euclid(length.0));
        match self {
            Self::Hour => floor(Span::hours(1), 0),
            Self::Day => floor(Span::days(1), 0),
            Self::Week => floor(Span::days(7), MONDAY),
            Self::Month => moment(time.civil().first_of_month().start_of_day()).unwrap_or(time),
        }
    }

    /// Where the stretch after the one that begins here does.
    #[must_use]
    pub fn next(self, start: Timestamp) -> Timestamp {
        match self {
            Self::Hour => start.plus(Span::hours(1)),
            Self::Day => start.plus(Span::days(1)),
            Self::Week => start.plus(Span::days(7)),
            Self::Month => {
                let next = start.civil().checked_add(1.month()).ok().and_then(moment);
                next.unwrap_or(start.plus(Span::days(31)))
            }
        }
    }
}

fn moment(civil: DateTime) -> Option<Timestamp> {
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok().map(|stamp| Timestamp(stamp.as_millisecond()))
}

/// Events by time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    /// Where each stretch with events begins, and how many it has; in order of time.
    pub stretches: Vec<(Timestamp, u64)>,
    /// All events that were found.
    pub total: Count,
}

impl<P: Parts> Searcher<P> {
    /// How many events a query finds in each stretch of their own time.
    ///
    /// # Errors
    ///
    /// [`SearchError::Stretches`] where there are too many of them; what the log says when it cannot be read.
    pub fn per(&mut self, query: &Query, unit: Unit) -> Result<Series, SearchError> {
        let mut times = Times { unit, current: (Timestamp::MAX, Timestamp::MIN), stretches: BTreeMap::new() };
        let is_complete = self.collect(query, &mut times)?;
        if times.stretches.len() > STRETCHES_MAX {
            return Err(SearchError::Stretches(STRETCHES_MAX));
        }
        let events = times.stretches.values().sum();
        Ok(Series { stretches: times.stretches.into_iter().collect(), total: Count { events, is_complete } })
    }
}

struct Times {
    unit: Unit,
    /// The stretch of the last event, since the next one is mostly in it too.
    current: (Timestamp, Timestamp),
    stretches: BTreeMap<Timestamp, u64>,
}

impl Times {
    fn add(&mut self, time: Timestamp) {
        if !(self.current.0..self.current.1).contains(&time) {
            let start = self.unit.start(time);
            self.current = (start, self.unit.next(start));
        }
        // One more than allowed is enough to know that there are too many.
        if self.stretches.len() <= STRETCHES_MAX {
            *self.stretches.entry(self.current.0).or_default() += 1;
        }
    }
}

impl<P: Parts> Collect<P> for Times {
    fn event(&mut self, event: &Event, _: &Map<String, Value>) {
        self.add(event.time);
    }

    fn sure(
        &mut self,
        searcher: &mut Searcher<P>,
        first: Position,
        sure: &RoaringBitmap,
    ) -> Result<RoaringBitmap, SearchError> {
        if !sure.is_empty() {
            let mut left = sure.iter().peekable();
            searcher.parts.segment(first)?.times(&mut |number, time| {
                while left.next_if(|next| *next < number).is_some() {}
                if left.next_if_eq(&number).is_some() {
                    self.add(time);
                }
            })?;
        }
        Ok(RoaringBitmap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_begin_where_people_say() {
        let time = Timestamp::parse("2026-03-05T09:30:15.5Z").unwrap();
        let start = |unit: Unit| (unit.start(time).to_string(), unit.next(unit.start(time)).to_string());
        let pair = |from: &str, to: &str| (format!("{from}:00:00.000Z"), format!("{to}:00:00.000Z"));
        assert_eq!(start(Unit::Hour), pair("2026-03-05T09", "2026-03-05T10"));
        assert_eq!(start(Unit::Day), pair("2026-03-05T00", "2026-03-06T00"));
        assert_eq!(start(Unit::Week), pair("2026-03-02T00", "2026-03-09T00"));
        assert_eq!(start(Unit::Month), pair("2026-03-01T00", "2026-04-01T00"));
        for unit in Unit::ALL {
            let early = Timestamp::parse("1969-12-31T23:00:00Z").unwrap();
            assert!(unit.start(early) <= early && early < unit.next(unit.start(early)), "{unit:?}");
            assert_eq!(unit.start(unit.start(early)), unit.start(early));
        }
    }
}
