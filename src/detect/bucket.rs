//! A bucket that leaks, and overflows when events come faster.
//!
//! Each event fills one slot, and one slot drains per `leak`, continuously. The event that finds more than
//! `capacity` slots filled, its own included, overflows. What is too much spills: the bucket stays full. (It is not
//! emptied by an overflow, as some tools do: then a late event could take back what was found. So more events can
//! only overflow more, in any order of arrival, and the unbroken stretch of overflows is one episode.)
//!
//! The level is kept in whole milliseconds of leaking still to be done: exact, and the same on every machine.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::hit::{Completion, Evidence, Held, Hit, Outcome};
use super::window::number;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A bucket that leaks, and overflows when events come faster.
#[derive(Debug, Clone)]
pub struct BucketSpec {
    /// How many events it holds; one more overflows.
    pub capacity: u64,
    /// How long one event takes to leak out.
    pub leak: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// How many events of one key are kept one by one; beyond it the oldest is only counted, no event before it can be
/// taken in any more, and the ledger says so.
const EVENTS_MAX: usize = 100_000;

/// How many events are kept to be shown, though no late event can come before them.
const SHOWN_MAX: u64 = 64;

/// How full the bucket is right after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Level {
    time: Timestamp,
    /// Milliseconds until it is empty.
    debt: i64,
    /// Whether the event overflowed.
    over: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Drop {
    level: Level,
    position: Position,
}

/// One key's bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BucketState {
    /// After the last event that is not kept any more.
    base: Option<Level>,
    /// By time, then position.
    drops: VecDeque<Drop>,
}

impl BucketSpec {
    /// Empty after this much silence.
    pub(super) fn memory(&self) -> Span {
        Span(self.brim())
    }

    /// The debt of a full bucket.
    fn brim(&self) -> i64 {
        self.leak.0.saturating_mul(i64::try_from(self.capacity).unwrap_or(i64::MAX))
    }

    /// Takes in an event, and judges again what came after it as far as it makes a difference.
    pub(super) fn on_hit(&self, state: &mut BucketState, hit: &Hit, watermark: Timestamp) -> Outcome {
        if state.base.is_some_and(|base| hit.time < base.time) {
            return Outcome { overflowed: true, ..Outcome::default() };
        }
        let order = |drop: &Drop| (drop.level.time, drop.position);
        let place = state.drops.partition_point(|drop| order(drop) < (hit.time, hit.position));
        if state.drops.get(place).is_some_and(|drop| order(drop) == (hit.time, hit.position)) {
            return Outcome::default();
        }
        let level = Level { time: hit.time, debt: -1, over: false };
        state.drops.insert(place, Drop { level, position: hit.position });
        let end = self.refill(state, place);
        let completion = self.completion(state, hit, (place, end));
        let overflowed = self.trim(state, watermark);
        Outcome { completion, overflowed, timer: None }
    }

    /// Judges the events from `place` on, up to the first one for which nothing has changed; answers which.
    fn refill(&self, state: &mut BucketState, place: usize) -> usize {
        let mut before = state.before(place);
        for (index, drop) in (place..).zip(state.drops.range_mut(place..)) {
            let level = self.after(before, drop.level.time);
            if level == drop.level {
                return index;
            }
            drop.level = level;
            before = Some(level);
        }
        state.drops.len()
    }

    /// How full the bucket is after an event at `time`.
    fn after(&self, before: Option<Level>, time: Timestamp) -> Level {
        let leaked = |level: Level| level.debt.saturating_sub(time.since(level.time).0).max(0);
        let debt = before.map_or(0, leaked).saturating_add(self.leak.0);
        Level { time, debt: debt.min(self.brim()), over: debt > self.brim() }
    }

    /// The overflows among the events that were judged, and one beyond if it goes on there. Two overflows with none
    /// but overflows between them lie less than one leak apart: it was full all the time.
    fn completion(&self, state: &BucketState, hit: &Hit, (from, to): (usize, usize)) -> Option<Completion> {
        let mut held: SmallVec<[Held; 1]> = SmallVec::new();
        let mut before = state.before(from).filter(|level| level.over);
        let mut last = None;
        for (index, drop) in (from..).zip(state.drops.range(from..)) {
            let is_over = drop.level.over && (index < to || before.is_some());
            if is_over {
                let time = drop.level.time;
                match held.last_mut() {
                    Some(stretch) if before.is_some() => stretch.1 = time,
                    _ => held.push((before.map_or(time, |level| level.time), time)),
                }
                last = Some(index);
            }
            before = is_over.then_some(drop.level);
            if index >= to {
                break;
            }
        }
        let last = last?;
        let count = self.capacity.saturating_add(1);
        let shown =
            state.drops.iter().take(last + 1).rev().take(usize::try_from(count).unwrap_or(usize::MAX));
        let mut positions: Vec<Position> = shown.map(|drop| drop.position).collect();
        positions.reverse();
        let evidence = Evidence { count, ..Evidence::sample(positions.into_iter()) };
        let time = held.last()?.1;
        let reason = format!(
            "{count} events that had not leaked out at one every {} (at most {})",
            self.leak, self.capacity
        );
        Some(Completion { time, held, ..Completion::at(hit, count as f64, reason, evidence) })
    }

    /// How full it is at a moment, and how many events at once would overflow.
    pub(super) fn known(&self, state: &BucketState, at: Timestamp) -> Vec<String> {
        let placed = state.drops.partition_point(|drop| drop.level.time <= at);
        let level = state.before(placed);
        let debt = level.map_or(0, |level| level.debt.saturating_sub(at.since(level.time).0).max(0));
        let leak = self.leak.0.max(1);
        let filled = (debt as f64 / leak as f64 * 10.0).round() / 10.0;
        let more = (self.brim() - debt).max(0) / leak + 1;
        let events = if more == 1 { "event" } else { "events" };
        let mut known = vec![format!(
            "the bucket holds {} of {} events; one leaks out every {}",
            number(filled),
            self.capacity,
            self.leak
        )];
        known.push(format!("{more} more {events} at once would overflow it"));
        if debt > 0 {
            known.push(format!("without further events it is empty at {}", at.plus(Span(debt))));
        }
        known
    }

    /// Lets go of the events before which none can come any more, but for some to show.
    fn trim(&self, state: &mut BucketState, watermark: Timestamp) -> bool {
        let horizon = state.last().minus(self.lateness).min(watermark);
        let shown = usize::try_from(SHOWN_MAX.min(self.capacity)).unwrap_or_default();
        let mut overflowed = false;
        while state.drops.len() > shown {
            let is_open = state.drops.front().is_some_and(|drop| drop.level.time >= horizon);
            if is_open && state.drops.len() <= EVENTS_MAX {
                break;
            }
            overflowed |= is_open;
            state.base = state.drops.pop_front().map(|drop| drop.level);
        }
        overflowed
    }
}

impl BucketState {
    /// The level after the event before a place.
    fn before(&self, place: usize) -> Option<Level> {
        let drop = place.checked_sub(1).and_then(|before| self.drops.get(before));
        drop.map_or(self.base, |drop| Some(drop.level))
    }

    pub(super) fn last(&self) -> Timestamp {
        let base = self.base.map_or(Timestamp::MIN, |level| level.time);
        self.drops.back().map_or(base, |drop| drop.level.time)
    }

    pub(super) fn bytes(&self) -> usize {
        super::size::queue(&self.drops)
    }

    /// The events last poured in, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.drops.iter().map(|drop| drop.position).collect()
    }
}

#[cfg(test)]
mod tests;
