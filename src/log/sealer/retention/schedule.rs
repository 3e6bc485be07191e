//! When a segment is worth being written anew.

use std::collections::BTreeMap;

use crate::time::{Span, Timestamp};

/// How long a due event may wait for others, so that segments are not written anew for a few events at a time.
#[must_use]
pub fn slack(keep: Span) -> Span {
    Span(keep.0 / 10).clamp(Span::hours(1), Span::days(30))
}

/// At least this part of the events is due.
const WORTH_IT: u64 = 10;

/// When the events of a segment are due that nothing holds back.
#[derive(Debug, Default)]
pub(in crate::log::sealer) struct Schedule {
    /// How many become due up to each minute.
    minutes: BTreeMap<i64, u64>,
    latest: Option<Timestamp>,
    /// When the first one has waited too long.
    patience: Option<Timestamp>,
}

/// What to do with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log::sealer) enum Decision {
    /// Nothing before this.
    Wait(Timestamp),
    /// Leave out what is due.
    Rewrite,
    /// All of it is due.
    Remove,
}

const MINUTE: i64 = 60_000;

impl Schedule {
    /// Adds an event that is due at a time and is kept for so long.
    pub(super) fn add(&mut self, due: Timestamp, keep: Span) {
        // Never counted before it is due.
        let minute = due.0.div_euclid(MINUTE).saturating_add(1);
        *self.minutes.entry(minute).or_default() += 1;
        self.latest = self.latest.max(Some(due));
        let patience = Timestamp(due.0.saturating_add(slack(keep).0));
        self.patience = Some(self.patience.map_or(patience, |known| known.min(patience)));
    }

    /// What to do now with a segment of so many events; `is_held` if any of them is held back.
    pub(in crate::log::sealer) fn decide(&self, events: u64, is_held: bool, now: Timestamp) -> Decision {
        let (Some(latest), Some(patience)) = (self.latest, self.patience) else {
            return Decision::Wait(Timestamp::MAX);
        };
        if !is_held && latest <= now {
            return Decision::Remove;
        }
        if !is_held && latest <= patience {
            return Decision::Wait(latest);
        }
        let worth_it = self.worth_it(events).map_or(patience, |time| time.min(patience));
        if worth_it <= now { Decision::Rewrite } else { Decision::Wait(worth_it) }
    }

    /// When enough of them are due.
    fn worth_it(&self, events: u64) -> Option<Timestamp> {
        let mut due = 0;
        for (minute, count) in &self.minutes {
            due += count;
            if due.saturating_mul(WORTH_IT) >= events {
                return Some(Timestamp(minute.saturating_mul(MINUTE)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn day(day: i64) -> Timestamp {
        Timestamp(day * DAY)
    }

    #[test]
    fn the_slack_is_a_tenth_within_bounds() {
        assert_eq!(slack(Span::hours(2)), Span::hours(1));
        assert_eq!(slack(Span::days(90)), Span::days(9));
        assert_eq!(slack(Span::years(7)), Span::days(30));
    }

    #[test]
    fn a_segment_that_will_be_due_as_a_whole_is_waited_for() {
        let mut schedule = Schedule::default();
        // Arrived over six days, kept for 90: all is due before the first has waited nine days.
        (90..=96).for_each(|due| schedule.add(day(due), Span::days(90)));
        assert_eq!(schedule.decide(7, false, day(92)), Decision::Wait(day(96)));
        assert_eq!(schedule.decide(7, false, day(96)), Decision::Remove);
        assert!(matches!(schedule.decide(8, true, day(92)), Decision::Rewrite));
        assert!(matches!(schedule.decide(8, true, day(96)), Decision::Rewrite));
    }

    #[test]
    fn a_tenth_or_too_long_a_wait_is_worth_it() {
        let mut schedule = Schedule::default();
        schedule.add(day(90), Span::days(90));
        (0..99).for_each(|_| schedule.add(day(2_500), Span::years(7)));
        assert_eq!(schedule.decide(100, false, day(90)), Decision::Wait(day(99)));
        assert_eq!(schedule.decide(100, false, day(99)), Decision::Rewrite);
        (0..9).for_each(|_| schedule.add(day(91), Span::days(90)));
        assert_eq!(schedule.decide(100, false, day(92)), Decision::Rewrite);
        let Decision::Wait(until) = schedule.decide(100, false, day(90)) else { panic!() };
        assert!(until > day(91) && until <= day(91).plus(Span::minutes(1)), "{until}");
        assert_eq!(Schedule::default().decide(5, true, day(9)), Decision::Wait(Timestamp::MAX));
    }
}
