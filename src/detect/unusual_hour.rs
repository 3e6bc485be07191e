//! An hour of the week at which the key practically never acts.
//!
//! Of a key's past only which hours had an event is kept: the events within an hour depend on one another. An hour is
//! *odd* if the key's own rhythm, smoothed, makes it less likely than [`ODD`]. How often odd hours are wrong cannot be
//! computed from four weeks; so it is counted: a finding is made only while the days with odd hours that this key had
//! before are no more than `sensitivity` allows for the time it was watched. `docs/statistics.md` says it for analysts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome};
use super::size;
use super::spike::how_often;
use super::stats::{Rhythm, WeekHour};
use crate::event::Position;
use crate::time::{Span, Timestamp};

#[cfg(test)]
mod tests;

/// An hour of the week at which the key practically never acts.
#[derive(Debug, Clone)]
pub struct UnusualHourSpec {
    /// How long a key is watched before it may fire.
    pub learn: Span,
    /// Expected false alarms per key and year.
    pub sensitivity: f64,
    /// How late an event may still count.
    pub lateness: Span,
}

/// When one key acts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UnusualHourState {
    last: Timestamp,
    /// The day of the first event.
    first: Option<i64>,
    /// Days with events, and in which of their hours: bit 0 is midnight UTC.
    days: VecDeque<(i64, u32)>,
    /// Days with odd hours.
    odd: VecDeque<i64>,
    /// The newest events, of the hour last seen.
    positions: Vec<Position>,
}

const HOUR: i64 = 3_600_000;
/// Hours in a day.
const HOURS: i64 = 24;
/// How many days the rhythm is learnt from: 13 weeks.
const DAYS: i64 = 91;
/// An hour is odd if it is thought to have an event in fewer weeks than this share.
const ODD: f64 = 0.02;
/// Before so many days and hours with events there is no rhythm.
const ACTIVE_DAYS_MIN: usize = 8;
const ACTIVE_HOURS_MIN: u32 = 20;
/// How many odd days are remembered; a key with more is not judged anyway.
const ODD_DAYS_MAX: usize = 64;
/// After so many days an odd day counts half: people change.
const HALF_LIFE: f64 = 730.0;
/// Days in a year.
const YEAR: f64 = 365.25;
/// How many positions are kept for `explain`.
const POSITIONS_MAX: usize = 8;

impl UnusualHourSpec {
    /// Takes in an event; only the first of an hour is judged.
    pub(super) fn on_hit(&self, state: &mut UnusualHourState, hit: &Hit, _watermark: Timestamp) -> Outcome {
        state.last = state.last.max(hit.time);
        let hour = hit.time.0.div_euclid(HOUR);
        let day = hour.div_euclid(HOURS);
        state.first = Some(state.first.map_or(day, |first| first.min(day)));
        let bit = 1u32 << hour.rem_euclid(HOURS);
        let index = match state.days.binary_search_by_key(&day, |(known, _)| *known) {
            Ok(index) => index,
            Err(index) => {
                state.days.insert(index, (day, 0));
                index
            }
        };
        let Some((_, hours)) = state.days.get_mut(index) else { return Outcome::default() };
        if *hours & bit != 0 {
            if state.positions.len() < POSITIONS_MAX {
                state.positions.push(hit.position);
            }
            return Outcome::default();
        }
        *hours |= bit;
        state.positions = vec![hit.position];
        self.forget(state);
        Outcome::completed(self.judge(state, day, hour, hit))
    }

    /// There are no timers.
    pub(super) fn on_timer(&self, state: &mut UnusualHourState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }

    /// Judges an hour by what was final when its day began: so the order of arrival does not matter, and all hours of
    /// a night are judged alike.
    fn judge(&self, state: &mut UnusualHourState, day: i64, hour: i64, hit: &Hit) -> Option<Completion> {
        let end = (day * HOURS * HOUR).saturating_sub(self.lateness.0).div_euclid(HOUR);
        let first = state.first?;
        let from = (end.div_euclid(HOURS) - DAYS).max(first);
        let known = state.days.iter().copied().skip_while(|(known, _)| *known < from);
        let final_days: Vec<(i64, u32)> =
            known.map(|(known, hours)| (known, hours_before(known, hours, end))).collect();
        let (watched, at) = (end.div_euclid(HOURS) - from, WeekHour { day, hour: hour.rem_euclid(HOURS) });
        if Rhythm::least_share(&final_days, watched, at) >= ODD {
            return None;
        }
        let rhythm = Rhythm::learn(&final_days, watched);
        let is_known = rhythm.active_days >= ACTIVE_DAYS_MIN && rhythm.active_hours >= ACTIVE_HOURS_MIN;
        if !is_known || day - first < self.learn.0 / (HOUR * HOURS) / 4 {
            return None;
        }
        if rhythm.share(at) >= ODD {
            return None;
        }
        let is_worth_telling = self.is_settled(state, first, day, end.div_euclid(HOURS));
        note(&mut state.odd, day);
        is_worth_telling.then(|| self.completion(&rhythm, hour, hit))
    }

    /// Whether the key's odd days up to the day `end` are no more than the sensitivity allows.
    ///
    /// A key is settled once it was watched for `learn` and had no odd day in the last half of that. From then on, with
    /// k odd days in t years (both fading with [`HALF_LIFE`]), it is told of while k ≤ sensitivity · t: a rate whose
    /// estimate (a + k) / (b + t) under a Gamma prior with the mean a / b = sensitivity is at most the sensitivity.
    fn is_settled(&self, state: &UnusualHourState, first: i64, day: i64, end: i64) -> bool {
        let learn = (self.learn.0 / (HOUR * HOURS)).max(1);
        let mut settled = first + learn;
        let odd = || state.odd.iter().copied().filter(|odd| *odd < end);
        for odd in odd() {
            if (settled - learn / 2..settled).contains(&odd) {
                settled = odd + 1 + learn / 2;
            }
        }
        if day < settled {
            return false;
        }
        let fading = |days: i64| libm::exp2(-(days as f64) / HALF_LIFE);
        let count: f64 = odd().filter(|odd| *odd >= settled).map(|odd| fading(day - odd)).sum();
        let years = HALF_LIFE / std::f64::consts::LN_2 * (1.0 - fading(day - settled)) / YEAR;
        count <= self.sensitivity * years
    }

    /// The key's rhythm, what it makes of the hour of a moment, and what is missing until an odd one is told.
    pub(super) fn known(&self, state: &UnusualHourState, at: Timestamp) -> Vec<String> {
        let Some(first) = state.first else { return vec![String::from("it was never seen")] };
        let hour = at.0.div_euclid(HOUR);
        let day = hour.div_euclid(HOURS);
        let end = (day * HOURS * HOUR).saturating_sub(self.lateness.0).div_euclid(HOUR);
        let from = (end.div_euclid(HOURS) - DAYS).max(first);
        let days = state.days.iter().copied().skip_while(|(known, _)| *known < from);
        let days: Vec<(i64, u32)> =
            days.map(|(known, hours)| (known, hours_before(known, hours, end))).collect();
        let rhythm = Rhythm::learn(&days, (end.div_euclid(HOURS) - from).max(0));
        let (since, until) = rhythm.usual_hours();
        let mut known = vec![format!(
            "events came in {} hours of {} days in {}, mostly between {since:02}:00 and {until:02}:00 UTC",
            rhythm.active_hours,
            rhythm.active_days,
            weeks(rhythm.watched_days)
        )];
        if rhythm.active_days < ACTIVE_DAYS_MIN || rhythm.active_hours < ACTIVE_HOURS_MIN {
            known.push(format!(
                "that is no rhythm yet: it takes {ACTIVE_DAYS_MIN} days and {ACTIVE_HOURS_MIN} hours with events"
            ));
            return known;
        }
        let share = rhythm.share(WeekHour { day, hour: hour.rem_euclid(HOURS) });
        let odd = if share < ODD { "odd" } else { "usual" };
        known.push(format!(
            "the hour from {:02}:00 UTC is {odd}: an event in it is expected in {} % of weeks (odd below {} %)",
            hour.rem_euclid(HOURS),
            (share * 1000.0).round() / 10.0,
            ODD * 100.0
        ));
        if !self.is_settled(state, first, day, end.div_euclid(HOURS)) {
            known.push(format!(
                "an odd hour is not told of: it takes {} without one to begin with, and no more of them than {} ({} days \
                 had one)",
                self.learn,
                how_often(self.sensitivity),
                state.odd.len()
            ));
        }
        known
    }

    fn completion(&self, rhythm: &Rhythm, hour: i64, hit: &Hit) -> Completion {
        let start = Timestamp(hour * HOUR);
        let text: String = start.to_string().chars().take(16).collect();
        let reason = format!(
            "acts in the hour from {text}Z, which it practically never does: events came in {} hours of {} days in {}, \
             mostly between {:02}:00 and {:02}:00 UTC (such an hour {} for this key)",
            rhythm.active_hours,
            rhythm.active_days,
            weeks(rhythm.watched_days),
            rhythm.usual_hours().0,
            rhythm.usual_hours().1,
            how_often(self.sensitivity),
        );
        let evidence = Evidence::sample([hit.position].into_iter());
        Completion {
            held: smallvec![(start, Timestamp((hour + 1) * HOUR))],
            ..Completion::at(hit, 1.0, reason, evidence)
        }
    }

    /// Lets go of days that no event within the lateness can ask for.
    fn forget(&self, state: &mut UnusualHourState) {
        let newest = state.days.back().map_or(0, |(day, _)| *day);
        let kept = newest - DAYS - 2 - self.lateness.0 / (HOUR * HOURS);
        while state.days.front().is_some_and(|(day, _)| *day < kept) {
            state.days.pop_front();
        }
    }
}

fn weeks(days: i64) -> String {
    format!("{} weeks", days.max(7) / 7)
}

/// The hours of a day that lie before the hour `end`.
fn hours_before(day: i64, hours: u32, end: i64) -> u32 {
    let known = (end - day * HOURS).clamp(0, HOURS);
    hours & ((1u32 << known) - 1)
}

/// Notes an odd day, once.
fn note(odd: &mut VecDeque<i64>, day: i64) {
    if let Err(index) = odd.binary_search(&day) {
        odd.insert(index, day);
    }
    if odd.len() > ODD_DAYS_MAX {
        odd.pop_front();
    }
}

impl UnusualHourState {
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        size::queue(&self.days) + size::queue(&self.odd) + size::list::<Position>(self.positions.len())
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.positions.clone()
    }
}
