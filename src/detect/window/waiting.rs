//! The window of a busy key whose measure a late event could refute: judged moment after moment, each when the
//! watermark has passed it. The tally slides along, so that each event is taken in once and let out once.

use serde::{Deserialize, Serialize};

use super::super::hit::Held;
use super::WindowSpec;
use super::kept::Kept;
use super::measure::Entry;
use super::tally::{Reading, Tally};
use crate::time::{Span, Timestamp};

/// One busy key's window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) entries: Kept,
    tally: Tally,
    /// The tally has what is after the first and not after the second; none: nothing.
    covers: Option<(Timestamp, Timestamp)>,
}

impl Waiting {
    pub(super) fn insert(&mut self, spec: &WindowSpec, entry: Entry) {
        self.entries.insert(entry);
        if self.covers(&entry) {
            self.tally.add(&spec.measure, &entry);
        }
    }

    fn covers(&self, entry: &Entry) -> bool {
        self.covers.is_some_and(|(start, end)| start < entry.time && entry.time <= end)
    }

    /// Judges the moment `at`: over which stretch the behaviour held, from the moment of an event before it if
    /// it did not stop in between.
    pub(super) fn judge(&mut self, spec: &WindowSpec, at: Timestamp) -> Option<(Held, Reading)> {
        let before = self.entries.back(|entry| entry.time < at).next().map(|entry| entry.time);
        let start = at.minus(spec.within);
        let linked = before.filter(|before| *before >= start && self.held_until(spec, *before, start));
        self.move_to(spec, (start, at));
        let reading = self.tally.reading(&spec.measure);
        let holds = reading.value.is_some_and(|value| spec.compare.holds(value));
        holds.then(|| ((linked.unwrap_or(at), at), reading))
    }

    /// Whether the behaviour held at the moment `before`, and went on to as events older than `start` left.
    fn held_until(&mut self, spec: &WindowSpec, before: Timestamp, start: Timestamp) -> bool {
        self.move_to(spec, (before.minus(spec.within), before));
        let holds =
            |tally: &Tally| tally.reading(&spec.measure).value.is_some_and(|value| spec.compare.holds(value));
        while holds(&self.tally) {
            let from = self.covers.map_or(start, |(from, _)| from);
            let oldest = self.entries.from(|entry| entry.time <= from).next().map(|entry| entry.time);
            let Some(leaving) = oldest.filter(|oldest| *oldest < start) else { return true };
            self.move_to(spec, (leaving, before));
        }
        false
    }

    /// Lets the tally cover what is after `start` and not after `end`.
    fn move_to(&mut self, spec: &WindowSpec, (start, end): (Timestamp, Timestamp)) {
        let (mut old_start, mut old_end) = self.covers.unwrap_or((start, start));
        if end <= old_start || start >= old_end {
            self.tally = Tally::default();
            (old_start, old_end) = (start, start);
        }
        self.covers = Some((start, end));
        let Self { entries, tally, .. } = self;
        let among = |from: Timestamp, to: Timestamp| {
            entries.from(move |entry| entry.time <= from).take_while(move |entry| entry.time <= to)
        };
        among(old_end, end).for_each(|entry| tally.add(&spec.measure, &entry));
        among(start, old_start).for_each(|entry| tally.add(&spec.measure, &entry));
        among(end, old_end).for_each(|entry| tally.remove(&spec.measure, &entry));
        among(old_start, start).for_each(|entry| tally.remove(&spec.measure, &entry));
    }

    /// Lets go of what lies before `horizon`, a run at a time; what the tally has stays.
    pub(super) fn forget(&mut self, horizon: Timestamp) {
        let needed = self.covers.map_or(Timestamp::MIN, |(start, _)| start.plus(Span(1)));
        while self.entries.pop_run(horizon.min(needed)).is_some() {}
    }

    /// Gives up the oldest event, as if it had never been.
    pub(super) fn give_up(&mut self, spec: &WindowSpec) {
        let Some(oldest) = self.entries.pop_first() else { return };
        if self.covers(&oldest) {
            self.tally.remove(&spec.measure, &oldest);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.bytes() + self.tally.bytes()
    }
}
