//! The window of a busy key whose measure more events can only push towards its threshold: judged as events
//! come, in the same few steps whether in order or late, however many events the window holds.
//!
//! Every moment keeps its level ([`Levels`]). A new event is the newest moment: its level is the last one's,
//! less what left, plus what it adds. A late one raises the levels of the moments whose windows it is in: for
//! different values only those without another event of its value, from the window's length after the one before
//! it to the one after it. What crosses the limit is news; the rest was said before.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::super::hit::Held;
use super::kept::Kept;
use super::levels::{Level, Levels, Moment, Side, reach_of};
use super::measure::{Adds, Entry, Gauge, Measure, is_true};
use super::occurrences::Occurrences;
use super::sorted::Sorted;
use super::tally::{Reading, wholes};
use super::{ENTRIES_MAX, WindowSpec};
use crate::rule::ast::Condition;
use crate::time::{Span, Timestamp};

/// One busy key's window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Deep<N> {
    pub(super) entries: Kept,
    levels: Levels<N>,
    /// Of different values and of roles only.
    occurrences: Occurrences,
    /// The amounts in the newest window, of smallest and largest only.
    amounts: Sorted<i64>,
}

/// What an event made known.
#[derive(Debug)]
pub(super) struct News {
    /// The last moment at which the behaviour is known to hold.
    pub(super) moment: Timestamp,
    pub(super) reading: Reading,
    /// Over which stretches.
    pub(super) held: SmallVec<[Held; 1]>,
}

/// A window's specification with what it comes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) spec: &'a WindowSpec,
    pub(super) gauge: Gauge<'a>,
}

impl Terms<'_> {
    const fn within(&self) -> Span {
        self.spec.within
    }

    const fn has_occurrences(&self) -> bool {
        matches!(self.gauge.adds, Adds::Distinct | Adds::Rules(_))
    }

    const fn has_amounts(&self) -> bool {
        matches!(self.spec.measure, Measure::Min | Measure::Max)
    }
}

impl<N: Level> Deep<N> {
    /// What these events, in order, come to.
    pub(super) fn of(terms: Terms<'_>, entries: &[Entry]) -> Self {
        let mut deep = Self::default();
        for entry in entries {
            deep.take(terms, *entry);
        }
        deep
    }

    /// Takes in an event that is not known yet, and answers what that made known.
    pub(super) fn take(&mut self, terms: Terms<'_>, entry: Entry) -> Option<News> {
        let mut crossed = Vec::new();
        match self.levels.newest() {
            Some(newest) if newest.time >= entry.time => self.insert(terms, entry, newest.time, &mut crossed),
            newest => self.append(terms, entry, newest),
        }
        crossed.push(entry.time);
        crossed.sort_unstable();
        crossed.dedup();
        self.news(terms, &crossed)
    }

    /// An event after all others.
    fn append(&mut self, terms: Terms<'_>, entry: Entry, newest: Option<Moment<N>>) {
        let (mut valley, mut peak) = (N::default(), N::default());
        if let Some(newest) = newest {
            let (old, start) = (newest.time.minus(terms.within()), entry.time.minus(terms.within()));
            (valley, peak) = (newest.peak, newest.peak);
            for left in self.entries.from(|known| known.time <= old).take_while(|left| left.time <= start) {
                let share = N::from(self.share(terms, &left, newest.time));
                peak = peak - share;
                if left.time < start {
                    valley = valley - share;
                }
                if terms.has_amounts() {
                    self.amounts.remove(&left.value);
                }
            }
        }
        let (start, _) = self.reach(terms, &entry);
        if start <= entry.time {
            peak += N::from(terms.gauge.weight(&entry));
        }
        self.keep(terms, entry, true);
        if let Adds::Rules(condition) = terms.gauge.adds {
            (valley, peak) = self.truths(terms, condition, entry.time);
        }
        self.levels.insert(Moment { time: entry.time, peak, valley }, N::limit(terms.gauge.limit));
    }

    /// An event of the newest moment, or of an earlier one.
    fn insert(&mut self, terms: Terms<'_>, entry: Entry, newest: Timestamp, crossed: &mut Vec<Timestamp>) {
        let limit = N::limit(terms.gauge.limit);
        let reach = self.reach(terms, &entry);
        let next = self.levels.at_or_after(entry.time).filter(|next| next.time > entry.time);
        let unknown = next.map(|next| self.between(terms, entry.time, next));
        self.keep(terms, entry, entry.time > newest.minus(terms.within()));
        if let Some(mut moment) = unknown {
            if let Adds::Rules(condition) = terms.gauge.adds {
                (moment.valley, moment.peak) = self.truths(terms, condition, entry.time);
            }
            self.levels.insert(moment, limit);
        }
        for side in [Side::Peak, Side::Valley] {
            let Some(range) = reach_of(reach, side) else { continue };
            match terms.gauge.adds {
                Adds::Rules(condition) => {
                    let within = terms.within();
                    let is_reached = |at| is_met(&self.occurrences, condition, side, (at, within));
                    self.levels.reach((side, limit), range, crossed, is_reached);
                }
                _ => self.levels.raise((side, limit), range, N::from(terms.gauge.weight(&entry)), crossed),
            }
        }
    }

    /// The levels of a time without events, from those of the next moment: the window before it reaches further
    /// back, and ends where that one's began its last descent.
    fn between(&self, terms: Terms<'_>, time: Timestamp, next: Moment<N>) -> Moment<N> {
        let (start, end) = (time.minus(terms.within()), next.time.minus(terms.within()));
        let (mut valley, mut peak) = (next.valley, next.valley);
        if matches!(terms.gauge.adds, Adds::Rules(_)) {
            return Moment { time, peak, valley };
        }
        for back in self.entries.from(|known| known.time < start).take_while(|back| back.time < end) {
            let share = N::from(self.share(terms, &back, time.minus(Span(1))));
            valley += share;
            if back.time > start {
                peak += share;
            }
        }
        Moment { time, peak, valley }
    }

    /// What an event adds to a window of which it is the oldest and that ends at `until`.
    fn share(&self, terms: Terms<'_>, entry: &Entry, until: Timestamp) -> i64 {
        if !matches!(terms.gauge.adds, Adds::Distinct) {
            return terms.gauge.weight(entry);
        }
        let (_, next) = self.occurrences.around(entry);
        i64::from(next.is_none_or(|next| next > until))
    }

    /// The moments whose windows an event changes: from the first up to, not including, the second.
    fn reach(&self, terms: Terms<'_>, entry: &Entry) -> (Timestamp, Timestamp) {
        let end = entry.time.plus(terms.within());
        if !terms.has_occurrences() {
            return (entry.time, end);
        }
        let (before, after) = self.occurrences.around(entry);
        let start = before.map_or(entry.time, |before| entry.time.max(before.plus(terms.within())));
        (start, after.map_or(end, |after| after.min(end)))
    }

    fn keep(&mut self, terms: Terms<'_>, entry: Entry, is_in_newest: bool) {
        self.entries.insert(entry);
        if terms.has_occurrences() {
            self.occurrences.insert(&entry);
        }
        if is_in_newest && terms.has_amounts() {
            self.amounts.insert(entry.value);
        }
    }

    /// Whether the condition holds just before a moment, and at it.
    fn truths(&self, terms: Terms<'_>, condition: &Condition, at: Timestamp) -> (N, N) {
        let truth =
            |side| N::from(i64::from(is_met(&self.occurrences, condition, side, (at, terms.within()))));
        (truth(Side::Valley), truth(Side::Peak))
    }

    /// What is known of these moments that is worth saying: those that hold, each joined to the one before it
    /// if the behaviour held in between.
    fn news(&self, terms: Terms<'_>, moments: &[Timestamp]) -> Option<News> {
        let limit = N::limit(terms.gauge.limit);
        let mut held: SmallVec<[Held; 1]> = SmallVec::new();
        let mut last = None;
        for time in moments {
            let Some(moment) = self.levels.get(*time).filter(|moment| moment.peak >= limit) else { continue };
            let before = self.entries.back(|entry| entry.time < *time).next().map(|entry| entry.time);
            let start = before.filter(|_| moment.valley >= limit).unwrap_or(*time);
            match held.last_mut() {
                Some(stretch) if stretch.1 >= start => stretch.1 = *time,
                _ => held.push((start, *time)),
            }
            last = Some(moment);
        }
        let last = last?;
        Some(News { moment: last.time, reading: self.reading(terms, &last), held })
    }

    fn reading(&self, terms: Terms<'_>, at: &Moment<N>) -> Reading {
        let whole = |amount: Option<i64>| {
            amount.map_or(Reading::default(), |amount| Reading::of(wholes(i128::from(amount), 1)))
        };
        let is_newest = self.levels.newest().is_some_and(|newest| newest.time == at.time);
        let start = at.time.minus(terms.within());
        let window = || {
            let from = self.entries.from(|entry| entry.time <= start);
            from.take_while(|entry| entry.time <= at.time).map(|entry| entry.value)
        };
        match terms.spec.measure {
            Measure::Max if is_newest => whole(self.amounts.last()),
            Measure::Min if is_newest => whole(self.amounts.first()),
            Measure::Max => whole(window().max()),
            Measure::Min => whole(window().min()),
            // Whatever the limit, a sum is the sum.
            Measure::Sum if matches!(terms.gauge.adds, Adds::One) => {
                Reading::of(wholes(window().map(i128::from).sum(), 1))
            }
            Measure::Sum => Reading::of(wholes(at.peak.into(), 1)),
            _ => Reading::of(at.peak.into() as f64),
        }
    }

    /// Lets go of what lies before `horizon`, a run at a time, and of moments before `moments`.
    fn forget(&mut self, terms: Terms<'_>, horizon: Timestamp, moments: Timestamp) {
        while let Some(run) = self.entries.pop_run(horizon) {
            if terms.has_occurrences() {
                for entry in run {
                    self.occurrences.remove(&entry);
                }
            }
        }
        self.levels.forget(moments);
    }

    /// Lets go of what can matter no more, and of the oldest event, which is said, where there are too many.
    pub(super) fn trim(&mut self, terms: Terms<'_>, horizon: Timestamp, moments: Timestamp) -> bool {
        self.forget(terms, horizon, moments);
        let overflows = self.entries.len() > ENTRIES_MAX;
        if overflows {
            self.give_up(terms);
        }
        overflows
    }

    /// Gives up the oldest event, as if it had never been.
    fn give_up(&mut self, terms: Terms<'_>) {
        let Some(oldest) = self.entries.pop_first() else { return };
        if terms.has_occurrences() {
            self.occurrences.remove(&oldest);
        }
        let start = self.levels.newest().map_or(Timestamp::MIN, |newest| newest.time).minus(terms.within());
        if terms.has_amounts() && oldest.time > start {
            self.amounts.remove(&oldest.value);
        }
        if matches!(terms.gauge.adds, Adds::Rules(_)) {
            // Whether a role occurred is asked of the events that are left.
            return;
        }
        let reach = self.reach(terms, &oldest);
        for side in [Side::Peak, Side::Valley] {
            if let Some(range) = reach_of(reach, side) {
                let weight = terms.gauge.weight(&oldest);
                let limit = N::limit(terms.gauge.limit);
                self.levels.raise((side, limit), range, N::from(-weight), &mut Vec::new());
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let occurrences = self.occurrences.bytes(self.entries.len());
        self.entries.bytes() + self.levels.bytes() + self.amounts.bytes() + occurrences
    }
}

/// Whether the condition holds of the roles in the window that ends at, or just before, a moment.
fn is_met(
    occurrences: &Occurrences,
    condition: &Condition,
    side: Side,
    (at, within): (Timestamp, Span),
) -> bool {
    let start = at.minus(within);
    let (from, to) = match side {
        Side::Peak => (start.plus(Span(1)), at),
        Side::Valley => (start, at.minus(Span(1))),
    };
    let occurs = |role: usize| occurrences.is_any(role as i64, from, to);
    is_true(condition, &occurs)
}
