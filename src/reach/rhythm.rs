//! A source's own rhythm: how long it is usually silent, and whether it is silent for longer now.

use super::Arrivals;
use super::arrivals::minute_of;
use crate::time::{Span, Timestamp};

/// With less than so many days between the first and the last arrival nothing can be said.
const DAYS_MIN: i64 = 7;
/// With fewer minutes that had arrivals nothing can be said.
const MINUTES_MIN: usize = 100;
/// A shorter silence is never told.
const SHORTEST: Span = Span::minutes(10);
/// From so many weeks on, one that stands out from all others (the daemon was stopped, the forge was) does not count.
const WEEKS_FOR_ONE_OUTAGE: usize = 3;
const MINUTES_OF_HOUR: u32 = 60;
const MINUTES_OF_WEEK: u32 = 7 * 24 * 60;

/// How a source is usually heard, by its arrivals of the last 30 days. To the minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rhythm {
    /// Half of the pauses between arrivals are no longer.
    pub median: Span,
    /// 99 of 100 are no longer.
    pub p99: Span,
    /// The longest pause that reached into this hour of the week or the one before, in the weeks before; that of the one week that stands
    /// out left aside. Nights and weekends have their own.
    pub longest_now: Span,
}

/// Whether a source is heard as usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// It was never heard.
    Never,
    /// It was not heard for so long; there is too little to compare that with: less than a week, or few arrivals.
    Unknown(Span),
    /// It was not heard for so long, which is usual.
    Usual(Span, Rhythm),
    /// It was not heard for so long: half as long again as ever at this time of the week, and more.
    Unusual(Span, Rhythm),
}

impl Silence {
    /// What is to be said of a source at a moment.
    #[must_use]
    pub fn of(arrivals: &Arrivals, now: Timestamp) -> Self {
        let Some(last) = arrivals.last() else { return Self::Never };
        let silent = now.since(last).max(Span(0));
        let Some(rhythm) = Rhythm::of(arrivals, now) else { return Self::Unknown(silent) };
        let most = Span(rhythm.longest_now.0 + rhythm.longest_now.0 / 2).max(rhythm.p99).max(SHORTEST);
        if silent > most { Self::Unusual(silent, rhythm) } else { Self::Usual(silent, rhythm) }
    }

    /// How long it was not heard; none if it never was.
    #[must_use]
    pub const fn span(&self) -> Option<Span> {
        match self {
            Self::Never => None,
            Self::Unknown(span) | Self::Usual(span, _) | Self::Unusual(span, _) => Some(*span),
        }
    }
}

impl Rhythm {
    /// The rhythm up to a moment; none where there is too little to tell it from.
    #[must_use]
    pub fn of(arrivals: &Arrivals, now: Timestamp) -> Option<Self> {
        let minutes: Vec<u32> = arrivals.minutes(now).collect();
        let (first, last) = (*minutes.first()?, *minutes.last()?);
        let is_long = i64::from(last - first) >= DAYS_MIN * 24 * 60;
        if !is_long || minutes.len() < MINUTES_MIN {
            return None;
        }
        let pauses: Vec<(u32, u32)> = minutes.iter().copied().zip(minutes.iter().copied().skip(1)).collect();
        let mut lengths: Vec<u32> = pauses.iter().map(|(from, to)| to - from).collect();
        lengths.sort_unstable();
        let at = |part: usize| lengths.get((lengths.len() - 1) * part / 100).copied().unwrap_or_default();
        Some(Self {
            median: span(at(50)),
            p99: span(at(99)),
            longest_now: span(longest(&pauses, first, now)),
        })
    }
}

fn span(minutes: u32) -> Span {
    Span::minutes(i64::from(minutes))
}

/// The longest pause that reached into the hour of the week that `now` is in, in the weeks before.
fn longest(pauses: &[(u32, u32)], first: u32, now: Timestamp) -> u32 {
    let hour = minute_of(now) / MINUTES_OF_HOUR * MINUTES_OF_HOUR;
    let mut weeks = Vec::new();
    let mut start = hour.saturating_sub(MINUTES_OF_WEEK);
    while start >= first && start > 0 {
        // A pause that ended within the hour before may end a little later this time.
        let reaching = pauses
            .iter()
            .filter(|(from, to)| *from < start + MINUTES_OF_HOUR && start < *to + MINUTES_OF_HOUR);
        weeks.push(reaching.map(|(from, to)| to - from).max().unwrap_or_default());
        start = start.saturating_sub(MINUTES_OF_WEEK);
    }
    weeks.sort_unstable();
    match weeks.as_slice() {
        [.., second, last] if weeks.len() >= WEEKS_FOR_ONE_OUTAGE && *last > second.saturating_mul(3) => {
            *second
        }
        [.., last] => *last,
        [] => pauses.iter().map(|(from, to)| to - from).max().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 00:00.
    const MONDAY: Timestamp = Timestamp(1_767_571_200_000);

    /// Office hours: every ten minutes from 8 to 18, Monday to Friday; once an hour otherwise on those days.
    fn office(weeks: i64) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for day in (0..weeks * 7).filter(|day| day % 7 < 5) {
            for minute in (0..24 * 60).filter(|minute| {
                let step = if (480..1080).contains(minute) { 10 } else { 60 };
                minute % step == 0
            }) {
                arrivals.note(at(day, minute));
            }
        }
        arrivals
    }

    fn at(day: i64, minute: i64) -> Timestamp {
        MONDAY.plus(Span::days(day)).plus(Span::minutes(minute))
    }

    fn is_unusual(arrivals: &Arrivals, now: Timestamp) -> bool {
        matches!(Silence::of(arrivals, now), Silence::Unusual(..))
    }

    #[test]
    fn a_silence_is_compared_with_the_same_hour_of_other_weeks() {
        // Its last day is the Friday of the fourth week; last heard at 23:00.
        let arrivals = office(4);
        let friday = 25;
        assert!(!is_unusual(&arrivals, at(friday, 23 * 60 + 59)));
        assert!(!is_unusual(&arrivals, at(friday + 1, 12 * 60)), "Saturdays are silent");
        assert!(!is_unusual(&arrivals, at(friday + 2, 23 * 60)), "Sundays are");
        assert!(is_unusual(&arrivals, at(friday + 3, 13 * 60)), "Mondays are not");
        let Silence::Unusual(silent, rhythm) = Silence::of(&arrivals, at(friday + 3, 13 * 60)) else {
            panic!()
        };
        assert_eq!(silent, Span::hours(2 * 24 + 14));
        assert_eq!((rhythm.median, rhythm.longest_now), (Span::minutes(10), Span::minutes(10)));
        assert!(rhythm.p99 >= Span::hours(1), "{rhythm:?}");
    }

    #[test]
    fn within_a_working_day_an_hour_is_long() {
        let mut arrivals = office(3);
        for minute in (480..600).step_by(10) {
            arrivals.note(at(21, minute));
        }
        assert!(!is_unusual(&arrivals, at(21, 610)));
        // The nights have pauses of an hour: up to the 99th percentile nothing is told.
        assert!(!is_unusual(&arrivals, at(21, 640)));
        assert!(is_unusual(&arrivals, at(21, 670)), "{:?}", Silence::of(&arrivals, at(21, 670)));
    }

    #[test]
    fn one_outage_does_not_make_long_silences_usual() {
        let steady = |weeks: i64, is_out: fn(i64) -> bool| {
            let mut arrivals = Arrivals::default();
            (0..weeks * 7 * 24 * 60).step_by(5).filter(|m| !is_out(*m)).for_each(|m| arrivals.note(at(0, m)));
            arrivals
        };
        // Twelve hours on the second Wednesday.
        let outage = |minute: i64| (9 * 1440..9 * 1440 + 720).contains(&minute);
        let now = at(28 + 2, 6 * 60);
        let heard_until = |mut arrivals: Arrivals, minute: i64| {
            (28 * 1440..minute).step_by(5).for_each(|minute| arrivals.note(at(0, minute)));
            arrivals
        };
        let last = 30 * 1440 + 300;
        assert!(is_unusual(&heard_until(steady(4, outage), last), now), "an hour of silence");
        assert!(!is_unusual(&heard_until(steady(4, outage), last + 55), now));
    }

    #[test]
    fn what_is_new_or_rare_is_not_judged() {
        assert_eq!(Silence::of(&Arrivals::default(), MONDAY), Silence::Never);
        let mut young = Arrivals::default();
        (0..5 * 1440).for_each(|minute| young.note(at(0, minute)));
        assert_eq!(Silence::of(&young, at(6, 0)), Silence::Unknown(Span::minutes(1441)));
        let mut rare = Arrivals::default();
        (0..28).for_each(|day| rare.note(at(day, 0)));
        assert!(matches!(Silence::of(&rare, at(29, 0)), Silence::Unknown(_)));
    }
}
