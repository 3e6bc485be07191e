//! Sliding windows that count events or different values, exact for any arrival order within the lateness.
//!
//! The window of a moment t is `(t - within, t]`. A behaviour that more events can only make truer is judged at
//! once; one that a late event could refute is judged when the watermark has passed the moment.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::hit::{Completion, Evidence, Held, Hit, Outcome};
use super::{size, sorted};
use crate::event::Position;
use crate::rule::ast::{Compare, Condition};
use crate::time::{Span, Timestamp};

/// What a window measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// How many events.
    Count,
    /// How many different values.
    Distinct,
    /// The sum of the values.
    Sum,
    /// Their mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// A percentile, 0 to 100.
    Percentile(f64),
    /// Events of role 0 as a share of those of role 1.
    Ratio {
        /// With fewer events of role 1 it does not hold.
        min_events: u64,
    },
    /// How many different roles.
    Roles,
    /// 1 where the roles in the window meet this condition, else 0.
    Rules(Condition),
}

impl Measure {
    const fn looks_at_values(&self) -> bool {
        !matches!(self, Self::Count)
    }
}

/// A window behaviour.
#[derive(Debug, Clone)]
pub struct WindowSpec {
    /// What is measured.
    pub measure: Measure,
    /// The length of the window.
    pub within: Span,
    /// How late an event may still count.
    pub lateness: Span,
    /// When the measure is worth a finding.
    pub compare: Compare,
    /// What is counted, for people: `events`, `different entity_id`.
    pub noun: String,
}

/// How many events one key's window keeps; beyond it the oldest is given up and the ledger says so.
pub(super) const ENTRIES_MAX: usize = 200_000;

/// One event in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Entry {
    time: Timestamp,
    position: Position,
    value: u64,
}

/// One key's window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WindowState {
    /// By time, then position; reaches back `within` + lateness from the newest.
    entries: VecDeque<Entry>,
    /// The first entry inside the window of the newest one.
    first: usize,
    /// How often each value stands in that window; empty when counting events.
    #[serde(with = "sorted")]
    values: FxHashMap<u64, u32>,
    /// Whether the behaviour holds at the newest entry.
    holds: bool,
    /// The moment before the newest one, if the behaviour held then and never stopped in between.
    since: Option<Timestamp>,
    /// The last moment that was judged after the watermark had passed it.
    judged: Option<Timestamp>,
}

impl Compare {
    /// Whether a measure is worth a finding.
    #[must_use]
    pub fn holds(self, measure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => measure >= limit,
            Self::MoreThan(limit) => measure > limit,
            Self::AtMost(limit) => measure <= limit,
            Self::FewerThan(limit) => measure < limit,
            Self::Between(low, high) => (low..=high).contains(&measure),
            Self::Exactly(limit) => (measure - limit).abs() < f64::EPSILON,
            Self::NotEqual(limit) => (measure - limit).abs() >= f64::EPSILON,
        }
    }

    /// Whether more events can only make it truer, so that it may be judged at once.
    #[must_use]
    pub const fn is_monotone(self) -> bool {
        matches!(self, Self::AtLeast(_) | Self::MoreThan(_))
    }

    /// For people: `at least 20`.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("at least {limit}"),
            Self::MoreThan(limit) => format!("more than {limit}"),
            Self::AtMost(limit) => format!("at most {limit}"),
            Self::FewerThan(limit) => format!("fewer than {limit}"),
            Self::Between(low, high) => format!("between {low} and {high}"),
            Self::Exactly(limit) => format!("exactly {limit}"),
            Self::NotEqual(limit) => format!("not {limit}"),
        }
    }
}

impl WindowSpec {
    /// Takes in an event; what the watermark has left behind is let go.
    pub(super) fn on_hit(&self, state: &mut WindowState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let value = match self.measure {
            Measure::Distinct => hit.value_hash(),
            Measure::Roles => u64::from(hit.role),
            _ => 0,
        };
        let entry = Entry { time: hit.time, position: hit.position, value };
        let newest = state.entries.back().map(|newest| newest.time);
        let is_in_order = newest.is_none_or(|newest| newest <= hit.time);
        let mut outcome = if !self.compare.is_monotone() {
            self.insert(state, entry);
            Outcome::timer(hit.time)
        } else if is_in_order {
            Outcome::completed(self.append(state, entry, newest))
        } else {
            let place = self.insert(state, entry);
            Outcome::completed(self.rejudge(state, place, entry))
        };
        outcome.overflowed = self.trim(state, watermark);
        outcome
    }

    /// Judges the moment `at`, once no event of that time can come any more.
    pub(super) fn on_timer(&self, state: &mut WindowState, at: Timestamp) -> Outcome {
        state.judged = Some(at);
        let end = state.entries.partition_point(|entry| entry.time <= at);
        let Some(completing) = end.checked_sub(1).and_then(|last| state.entries.get(last)) else {
            return Outcome::default();
        };
        let before = state.entries.iter().take(end).rev().find(|entry| entry.time < at);
        let from = before.map_or(at, |entry| entry.time);
        let segments = self.segments(state, from, at);
        let held = segments.last().filter(|(_, to)| *to == at).copied();
        Outcome::completed(held.and_then(|held| self.completion(state, *completing, at, smallvec![held])))
    }

    /// The newest event: the window moves on, in constant time per event.
    fn append(&self, state: &mut WindowState, entry: Entry, newest: Option<Timestamp>) -> Option<Completion> {
        let was_held = state.holds;
        let has_broken = self.advance(state, entry.time);
        // Events of one moment are judged one after another, but what came before the moment is the same for all.
        if newest != Some(entry.time) {
            state.since = newest.filter(|_| was_held && !has_broken);
        }
        state.entries.push_back(entry);
        if self.measure.looks_at_values() {
            *state.values.entry(entry.value).or_default() += 1;
        }
        state.holds = self.compare.holds(self.measure_now(state));
        if !state.holds {
            return None;
        }
        let since = state.since.unwrap_or(entry.time);
        self.completion(state, entry, entry.time, smallvec![(since, entry.time)])
    }

    /// Moves the window's end to `now`; true if the behaviour stopped holding on the way.
    fn advance(&self, state: &mut WindowState, now: Timestamp) -> bool {
        let mut has_broken = false;
        while let Some(entry) = state.entries.get(state.first).copied() {
            let leaves_at = entry.time.plus(self.within);
            if leaves_at > now {
                break;
            }
            state.first += 1;
            if self.measure.looks_at_values() {
                remove(&mut state.values, entry.value);
            }
            has_broken |= leaves_at < now && self.is_broken_at(self.measure_now(state));
        }
        has_broken
    }

    /// Whether a stretch ends here. An empty window ends it too: what holds of nothing would hold for ever, and how
    /// long it did would depend on when the key is forgotten.
    fn is_broken_at(&self, measure: f64) -> bool {
        measure < 1.0 || !self.compare.holds(measure)
    }

    fn measure_now(&self, state: &WindowState) -> f64 {
        match self.measure {
            Measure::Count => (state.entries.len() - state.first) as f64,
            _ => state.values.len() as f64,
        }
    }

    /// Puts a late event into its place, which it answers.
    fn insert(&self, state: &mut WindowState, entry: Entry) -> usize {
        let place = state.entries.partition_point(|known| *known <= entry);
        state.entries.insert(place, entry);
        let newest = state.entries.back().map_or(entry.time, |newest| newest.time);
        if entry.time > newest.minus(self.within) {
            if self.measure.looks_at_values() {
                *state.values.entry(entry.value).or_default() += 1;
            }
            self.advance(state, newest);
        } else {
            state.first += 1;
        }
        place
    }

    /// Judges again every moment whose window a late event changed.
    fn rejudge(&self, state: &mut WindowState, place: usize, late: Entry) -> Option<Completion> {
        let before = state.entries.iter().take(place).rev().find(|entry| entry.time < late.time);
        let from = before.map_or(late.time, |entry| entry.time);
        let to = late.time.plus(self.within);
        let segments = self.segments(state, from, to);
        let newest = state.entries.back().map_or(late.time, |newest| newest.time);
        if newest <= to {
            state.holds = self.compare.holds(self.measure_now(state));
            state.since = self.continues_into(state, newest);
        }
        let held: SmallVec<[Held; 1]> = segments.into_iter().filter(|(_, end)| *end >= late.time).collect();
        let moment = held.last()?.1;
        self.completion(state, late, moment, held)
    }

    /// The stretches over which the behaviour held, looking at the moments of events in `[from, to]`.
    fn segments(&self, state: &WindowState, from: Timestamp, to: Timestamp) -> Vec<Held> {
        let mut segments: Vec<Held> = Vec::new();
        let mut slide = Slide { spec: self, state, first: 0, end: 0, values: FxHashMap::default() };
        let mut is_held = false;
        let mut index = state.entries.partition_point(|entry| entry.time < from);
        while let Some(moment) = state.entries.get(index).map(|entry| entry.time).filter(|time| *time <= to) {
            let has_broken = slide.leave(moment);
            slide.enter(moment);
            let continues = is_held && !has_broken;
            is_held = self.compare.holds(slide.measure());
            match segments.last_mut() {
                Some(last) if is_held && continues => last.1 = moment,
                _ if is_held => segments.push((moment, moment)),
                _ => {}
            }
            index = slide.end;
        }
        segments
    }

    /// The moment of an event before this one, if the behaviour held then and never stopped in between.
    fn continues_into(&self, state: &WindowState, moment: Timestamp) -> Option<Timestamp> {
        let before = state.entries.iter().rev().find(|entry| entry.time < moment)?.time;
        let mut slide = Slide { spec: self, state, first: 0, end: 0, values: FxHashMap::default() };
        slide.leave(before);
        slide.enter(before);
        let holds = self.compare.holds(slide.measure());
        (holds && !slide.leave(moment)).then_some(before)
    }

    fn completion(
        &self,
        state: &WindowState,
        completing: Entry,
        moment: Timestamp,
        held: SmallVec<[Held; 1]>,
    ) -> Option<Completion> {
        let start = state.entries.partition_point(|entry| entry.time <= moment.minus(self.within));
        let end = state.entries.partition_point(|entry| entry.time <= moment);
        let window = state.entries.range(start..end);
        let value = match self.measure {
            Measure::Count => (end - start) as f64,
            Measure::Distinct if end == state.entries.len() => state.values.len() as f64,
            _ => window.clone().map(|entry| entry.value).collect::<rustc_hash::FxHashSet<_>>().len() as f64,
        };
        Some(Completion {
            time: moment,
            position: completing.position,
            value,
            reason: self.reason(value),
            evidence: Evidence::sample(window.map(|entry| entry.position)),
            held,
            score: None,
            key: None,
        })
    }

    fn reason(&self, value: f64) -> String {
        let noun = if value == 1.0 { self.noun.trim_end_matches('s') } else { &self.noun };
        if value == 1.0 && self.compare == Compare::AtLeast(1.0) {
            return format!("one matching {noun}");
        }
        format!("{value} {noun} within {} ({})", self.within, self.compare.words())
    }

    /// Lets go of what no window can need any more: late events and judgements still to come lie above the
    /// watermark.
    fn trim(&self, state: &mut WindowState, watermark: Timestamp) -> bool {
        let Some(newest) = state.entries.back().map(|newest| newest.time) else { return false };
        let judged = if self.compare.is_monotone() { newest } else { state.judged.unwrap_or(Timestamp::MIN) };
        let horizon = newest.minus(self.lateness).min(watermark).min(judged).minus(self.within);
        while state.first > 0 && state.entries.front().is_some_and(|oldest| oldest.time <= horizon) {
            state.entries.pop_front();
            state.first -= 1;
        }
        if state.entries.len() <= ENTRIES_MAX {
            return false;
        }
        if let Some(oldest) = state.entries.pop_front() {
            if state.first > 0 {
                state.first -= 1;
            } else if self.measure.looks_at_values() {
                remove(&mut state.values, oldest.value);
            }
        }
        true
    }
}

impl WindowState {
    pub(super) fn last(&self) -> Timestamp {
        self.entries.back().map_or(Timestamp::MIN, |entry| entry.time)
    }

    pub(super) fn bytes(&self) -> usize {
        size::queue(&self.entries) + size::map::<u64, u32>(self.values.len())
    }

    /// The events now in the window, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.entries.iter().skip(self.first).map(|entry| entry.position).collect()
    }
}

fn remove(values: &mut FxHashMap<u64, u32>, value: u64) {
    if let Some(count) = values.get_mut(&value) {
        *count -= 1;
        if *count == 0 {
            values.remove(&value);
        }
    }
}

/// A window that slides over stored entries, for judging past moments.
struct Slide<'a> {
    spec: &'a WindowSpec,
    state: &'a WindowState,
    first: usize,
    end: usize,
    values: FxHashMap<u64, u32>,
}

impl Slide<'_> {
    /// Lets out what a window ending at `moment` no longer holds; true if the behaviour stopped on the way.
    fn leave(&mut self, moment: Timestamp) -> bool {
        let mut has_broken = false;
        while let Some(entry) = self.state.entries.get(self.first) {
            let leaves_at = entry.time.plus(self.spec.within);
            if leaves_at > moment {
                break;
            }
            if self.first == self.end {
                self.end += 1;
            } else if self.spec.measure.looks_at_values() {
                remove(&mut self.values, entry.value);
            }
            self.first += 1;
            has_broken |= leaves_at < moment && self.spec.is_broken_at(self.measure());
        }
        has_broken
    }

    /// Takes in everything up to `moment`.
    fn enter(&mut self, moment: Timestamp) {
        while let Some(entry) = self.state.entries.get(self.end).filter(|entry| entry.time <= moment) {
            if self.spec.measure.looks_at_values() {
                *self.values.entry(entry.value).or_default() += 1;
            }
            self.end += 1;
        }
    }

    fn measure(&self) -> f64 {
        match self.spec.measure {
            Measure::Count => (self.end - self.first) as f64,
            _ => self.values.len() as f64,
        }
    }
}
