//! A stretch of time with far more, or far less, than the key's own past.
//!
//! The past of a key is a row of counts of aligned buckets. Once a period (a day, mostly) a baseline is learnt from it
//! and each bucket of the period gets its limits; after that an event costs an addition and a comparison. A baseline
//! uses only buckets that ended the lateness before its period began: those can no longer change when it is first
//! asked, so the limits do not depend on the order of arrival, and a high bucket may be told of at once. A low one is
//! told of when the watermark has passed its end. `docs/statistics.md` says it for analysts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome};
use super::size;
use super::stats::{Baseline, Calendar, Past, Series, lower_limit, upper_limit};
use crate::alert::Finding;
use crate::event::Position;
use crate::rule::ast::{Direction, Season, Spike, SpikeOf};
use crate::time::{Span, Timestamp};

mod words;
#[cfg(test)]
mod tests;

pub(super) use words::how_often;
use words::number;

/// A stretch of time with far more, or far less, than the key's own past.
#[derive(Debug, Clone)]
pub struct SpikeSpec {
    /// What is measured.
    pub spike: Spike,
    /// How late an event may still count.
    pub lateness: Span,
}

/// A year of 365.25 days.
const YEAR: f64 = 365.25 * 86_400_000.0;
/// Sums are kept in thousandths, so that they do not depend on the order of addition.
const THOUSANDTHS: f64 = 1000.0;
/// How many different values one bucket tells apart; further ones are not counted, and the ledger says so.
const VALUES_MAX: usize = 65_536;
/// For this share of the history (a quarter: a week of four) after its last event a silent key is told of as low.
const SILENT_SHARE: i64 = 4;

/// One key's past.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SpikeState {
    last: Timestamp,
    last_position: Position,
    /// Buckets that can no longer change: counts, different values, or sums in thousandths.
    past: Option<Series>,
    /// Of sums: how many events each had.
    events: Option<Series>,
    /// Closed buckets that were above their limit, and that limit.
    caps: Vec<(i64, f64)>,
    /// Buckets that may still change, by number.
    open: Vec<Open>,
    /// The limits of the periods that are open.
    plans: Vec<Plan>,
}

/// A bucket that may still change.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    bucket: i64,
    events: u64,
    /// In the units of [`SpikeState::past`].
    amount: u64,
    limit: Option<Limit>,
    /// At this measure the next finding is due.
    next: f64,
    /// Hashes of the values, of `distinct`.
    seen: BTreeSet<u64>,
    /// The first and the last events.
    positions: Vec<Position>,
}

/// What a bucket must stay between.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Limit {
    /// The mean.
    usual: f32,
    /// From here on it is a spike.
    up: f32,
    /// Down to here it is a dip; negative: it cannot be one.
    down: f32,
}

/// The limits of the buckets of one period; empty before enough is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    period: i64,
    limits: Vec<Limit>,
}

impl SpikeSpec {
    /// Takes in an event: counts it, and tells of a high bucket at once.
    pub(super) fn on_hit(&self, state: &mut SpikeState, hit: &Hit, _watermark: Timestamp) -> Outcome {
        let calendar = self.calendar();
        if hit.time >= state.last {
            (state.last, state.last_position) = (hit.time, hit.position);
            self.close(state, &calendar, hit.time);
        }
        let bucket = calendar.bucket_of(hit.time.0);
        if state.past.as_ref().is_some_and(|past| bucket < past.end()) {
            return self.add_to_past(state, bucket, hit);
        }
        let (index, is_new) = match state.open.binary_search_by_key(&bucket, |open| open.bucket) {
            Ok(index) => (index, false),
            Err(index) => {
                let limit = self.limit(state, &calendar, bucket);
                state.open.insert(index, Open::new(bucket, limit, self.spike.min));
                (index, true)
            }
        };
        let Some(open) = state.open.get_mut(index) else { return Outcome::default() };
        let overflowed = open.count(&self.spike.of, hit);
        let timer = is_new && self.spike.direction != Direction::Up;
        let timer = timer.then(|| Timestamp(calendar.start_of(bucket + 1) - 1));
        let is_high = self.spike.direction != Direction::Down && self.measure(open.amount) >= open.next;
        let completion = is_high.then(|| self.high(&calendar, open, hit));
        Outcome { completion, timer, overflowed }
    }

    /// A bucket has ended and can no longer change: tells of it if it is low, and waits for the next one.
    pub(super) fn on_timer(&self, state: &mut SpikeState, at: Timestamp) -> Outcome {
        let calendar = self.calendar();
        self.close(state, &calendar, at);
        let bucket = calendar.bucket_of(at.0);
        let Some(limit) = self.limit(state, &calendar, bucket) else { return Outcome::default() };
        let measure = self.measured(state, bucket);
        let is_low = measure <= f64::from(limit.down) && f64::from(limit.usual) >= self.spike.min;
        let completion = is_low.then(|| self.low(&calendar, state, bucket, limit));
        let silence = at.since(state.last).0;
        let timer = (silence <= self.spike.history.0 / SILENT_SHARE)
            .then(|| self.next_check(state, &calendar, bucket));
        Outcome { completion, timer, overflowed: false }
    }

    fn calendar(&self) -> Calendar {
        let season = match self.spike.season {
            Season::None => Span::default(),
            Season::Day => Span::days(1),
            Season::Week => Span::days(7),
        };
        Calendar::new(self.spike.bucket.0, self.spike.history.0, season.0)
    }

    /// The measure of an amount.
    fn measure(&self, amount: u64) -> f64 {
        if self.is_sum() { amount as f64 / THOUSANDTHS } else { amount as f64 }
    }

    /// The measure of a bucket, which the event that brought the watermark may have closed.
    fn measured(&self, state: &SpikeState, bucket: i64) -> f64 {
        if let Some(open) = state.open.iter().find(|open| open.bucket == bucket) {
            return self.measure(open.amount);
        }
        let closed = state.past.as_ref().and_then(|past| past.values(bucket, bucket + 1).first().copied());
        closed.unwrap_or(0.0) / self.scale()
    }

    fn is_sum(&self) -> bool {
        matches!(self.spike.of, SpikeOf::Sum(_))
    }

    /// The first bucket that may still change at `now`.
    fn horizon(&self, calendar: &Calendar, now: Timestamp) -> i64 {
        calendar.bucket_of(now.minus(self.lateness).0)
    }

    /// Moves the buckets that can no longer change into the past.
    fn close(&self, state: &mut SpikeState, calendar: &Calendar, now: Timestamp) {
        let horizon = self.horizon(calendar, now);
        let first = state.open.first().map(|open| open.bucket);
        if state.past.as_ref().is_some_and(|past| past.end() >= horizon)
            || (state.past.is_none() && first.is_none_or(|first| first >= horizon))
        {
            return;
        }
        let closed = state.open.partition_point(|open| open.bucket < horizon);
        for open in state.open.drain(..closed) {
            let past = state.past.get_or_insert_with(|| Series::starting_at(open.bucket));
            past.extend_to(open.bucket);
            past.push(open.amount);
            if self.is_sum() {
                let events = state.events.get_or_insert_with(|| Series::starting_at(open.bucket));
                events.extend_to(open.bucket);
                events.push(open.events);
            }
            let measure = self.measure(open.amount);
            let cap = open.limit.map(|limit| f64::from(limit.up)).filter(|up| measure >= *up);
            state.caps.extend(cap.map(|cap| (open.bucket, cap)));
        }
        for row in [&mut state.past, &mut state.events].into_iter().flatten() {
            row.extend_to(horizon);
        }
        let earliest = calendar.period_of(horizon);
        state.plans.retain(|plan| plan.period >= earliest);
    }

    /// An event of a bucket that is closed: another source is far ahead. It belongs to the past, and is not judged.
    fn add_to_past(&self, state: &mut SpikeState, bucket: i64, hit: &Hit) -> Outcome {
        let amount = amount(&self.spike.of, hit);
        // Which values a closed bucket had is forgotten.
        if !matches!(self.spike.of, SpikeOf::Distinct(_)) {
            let added = state.past.as_mut().is_some_and(|past| past.add(bucket, amount));
            let _ = state.events.as_mut().filter(|_| added).is_some_and(|events| events.add(bucket, 1));
        }
        Outcome::default()
    }

    /// The limits of a bucket, learnt with those of its whole period when first asked for.
    fn limit(&self, state: &mut SpikeState, calendar: &Calendar, bucket: i64) -> Option<Limit> {
        let period = calendar.period_of(bucket);
        if !state.plans.iter().any(|plan| plan.period == period) {
            let limits = self.learn(state, calendar, period);
            state.plans.push(Plan { period, limits });
        }
        let plan = state.plans.iter().find(|plan| plan.period == period)?;
        let index = usize::try_from(bucket - period * calendar.period).ok()?;
        plan.limits.get(index).copied()
    }

    fn learn(&self, state: &mut SpikeState, calendar: &Calendar, period: i64) -> Vec<Limit> {
        let first = period * calendar.period;
        let to = self.horizon(calendar, Timestamp(calendar.start_of(first)));
        let from = to - calendar.buckets;
        // What a late event of the period before may still ask for is kept.
        let kept = from - 2 * calendar.period - (self.lateness.0 / calendar.bucket + 2);
        state.caps.retain(|(bucket, _)| *bucket >= kept);
        for row in [&mut state.past, &mut state.events].into_iter().flatten() {
            row.forget_before(kept);
        }
        let Some(past) = &state.past else { return Vec::new() };
        // The first bucket of all was not watched from its beginning.
        let from = from.max(past.start() + 1);
        let unit = self.unit(state, from, to);
        let values: Vec<f64> = past.values(from, to).iter().map(|value| value / unit).collect();
        let caps: Vec<(i64, f64)> =
            state.caps.iter().map(|(bucket, cap)| (*bucket, cap * self.scale() / unit)).collect();
        let past = Past { start: from, values: &values, caps: &caps };
        let Some(baseline) = Baseline::learn(&past, calendar) else { return Vec::new() };
        let measured = unit / self.scale();
        (first..first + calendar.period).map(|bucket| self.limits(&baseline, bucket, measured)).collect()
    }

    /// How many units of [`SpikeState::past`] are 1 of the measure.
    fn scale(&self) -> f64 {
        if self.is_sum() { THOUSANDTHS } else { 1.0 }
    }

    /// What counts as one. A sum is judged as a count of events of mean size: the sum of as many amounts as chance
    /// brings varies like their number (a compound Poisson sum), the rest is dispersion.
    fn unit(&self, state: &SpikeState, from: i64, to: i64) -> f64 {
        let sum = |row: &Option<Series>| row.as_ref().map_or(0.0, |row| row.values(from, to).iter().sum());
        let (amount, events): (f64, f64) = (sum(&state.past), sum(&state.events));
        if amount > 0.0 && events > 0.0 { amount / events } else { 1.0 }
    }

    fn limits(&self, baseline: &Baseline, bucket: i64, unit: f64) -> Limit {
        let sides = if self.spike.direction == Direction::Both { 2.0 } else { 1.0 };
        let level = (self.spike.sensitivity * self.spike.bucket.0 as f64 / YEAR / sides).min(0.5);
        let usual = baseline.usual(bucket, level);
        let down = match self.spike.direction {
            Direction::Up => None,
            Direction::Down | Direction::Both => lower_limit(usual.low, usual.dispersion, level),
        };
        let is_low_only = self.spike.direction == Direction::Down;
        Limit {
            usual: ((if is_low_only { usual.low } else { usual.high }) * unit) as f32,
            up: (upper_limit(usual.high, usual.dispersion, level) * unit) as f32,
            down: down.map_or(-1.0, |down| (down * unit) as f32),
        }
    }

    /// When a low bucket is next possible: the end of the next bucket, or the first of the next period if this one has
    /// no room for dips.
    fn next_check(&self, state: &SpikeState, calendar: &Calendar, bucket: i64) -> Timestamp {
        let period = calendar.period_of(bucket);
        let plan = state.plans.iter().find(|plan| plan.period == period);
        let has_room = plan.is_some_and(|plan| plan.limits.iter().any(|limit| limit.down >= 0.0));
        let next = if has_room { bucket + 1 } else { (period + 1) * calendar.period };
        Timestamp(calendar.start_of(next + 1) - 1)
    }

    fn high(&self, calendar: &Calendar, open: &mut Open, hit: &Hit) -> Completion {
        let measure = self.measure(open.amount);
        while open.next <= measure {
            open.next *= 2.0;
        }
        let limit = open.limit.map_or(0.0, |limit| f64::from(limit.up));
        let beyond = if self.is_sum() {
            format!("{} or more", number(limit))
        } else {
            format!("more than {}", number(limit - 1.0))
        };
        Completion {
            value: measure,
            reason: self.reason(calendar, open.bucket, measure, open.limit, &beyond),
            evidence: open.evidence(),
            held: smallvec![held(calendar, open.bucket)],
            ..Completion::at(hit, measure, String::new(), Evidence::default())
        }
    }

    fn low(&self, calendar: &Calendar, state: &SpikeState, bucket: i64, limit: Limit) -> Completion {
        let open = state.open.iter().find(|open| open.bucket == bucket);
        let measure = self.measured(state, bucket);
        let beyond = format!("{} or less", number(f64::from(limit.down)));
        let held = held(calendar, bucket);
        let position = open.and_then(|open| open.positions.last().copied());
        Completion {
            time: held.1,
            position: position.unwrap_or(state.last_position),
            value: measure,
            reason: self.reason(calendar, bucket, measure, Some(limit), &beyond),
            evidence: open.map(Open::evidence).unwrap_or_default(),
            held: smallvec![held],
            score: None,
            key: None,
        }
    }
}

/// Its whole length, so that neighbouring buckets join, whichever event completed them.
fn held(calendar: &Calendar, bucket: i64) -> (Timestamp, Timestamp) {
    (Timestamp(calendar.start_of(bucket)), Timestamp(calendar.start_of(bucket + 1)))
}

/// What an event adds: 1, or of sums its number in thousandths; one that is below zero adds nothing.
fn amount(of: &SpikeOf, hit: &Hit) -> u64 {
    let SpikeOf::Sum(_) = of else { return 1 };
    let number: f64 = hit.value.as_deref().and_then(crate::event::number).unwrap_or(0.0);
    // `as` saturates, and makes 0 of what is no number.
    (number * THOUSANDTHS).round() as u64
}

impl Open {
    fn new(bucket: i64, limit: Option<Limit>, min: f64) -> Self {
        let next = limit.map_or(f64::INFINITY, |limit| f64::from(limit.up).max(min));
        Self { bucket, events: 0, amount: 0, limit, next, seen: BTreeSet::new(), positions: Vec::new() }
    }

    /// Counts an event; true if it could not be told whether its value is a new one.
    fn count(&mut self, of: &SpikeOf, hit: &Hit) -> bool {
        self.events += 1;
        let is_full = self.positions.len() == Finding::EVIDENCE_MAX;
        if is_full {
            self.positions.remove(Finding::EVIDENCE_MAX / 2);
        }
        self.positions.push(hit.position);
        if !matches!(of, SpikeOf::Distinct(_)) {
            self.amount = self.amount.saturating_add(amount(of, hit));
            return false;
        }
        let value = hit.value_hash();
        let overflows = self.seen.len() >= VALUES_MAX && !self.seen.contains(&value);
        if !overflows {
            self.seen.insert(value);
        }
        self.amount = self.seen.len() as u64;
        overflows
    }

    fn evidence(&self) -> Evidence {
        Evidence { positions: self.positions.clone(), count: self.events }
    }
}

impl SpikeState {
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        let rows = [&self.past, &self.events].into_iter().flatten().map(Series::bytes).sum::<usize>();
        let plans: usize = self.plans.iter().map(|plan| size::list::<Limit>(plan.limits.len())).sum();
        // A node of a B-tree is at least half full.
        let open =
            self.open.iter().map(|open| open.seen.len() * 16 + size::list::<Position>(open.positions.len()));
        rows + plans
            + open.sum::<usize>()
            + size::list::<Open>(self.open.len())
            + size::list::<Plan>(self.plans.len())
            + size::list::<(i64, f64)>(self.caps.len())
    }

    /// The events of the buckets that may still change, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.open.iter().flat_map(|open| open.positions.iter().copied()).collect()
    }
}
