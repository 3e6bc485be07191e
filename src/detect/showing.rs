//! When values were shown lately: what late events may still change of which showing was new.
//!
//! A showing is new if the value was not shown before, or not for so long. An earlier one that arrives later takes its
//! place, so it is told at once where that is all that can happen; where an earlier one could show that it was none,
//! it waits for the watermark.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::event::Position;
use crate::time::{Span, Timestamp};

/// What makes a showing new.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newness {
    /// After so long without it a value is new again; zero: never.
    pub(super) gap: Span,
    /// Whether the very first showing is new.
    pub(super) is_first_new: bool,
    pub(super) lateness: Span,
}

/// An event that showed a value.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Showing {
    /// The value's hash.
    pub(super) value: u64,
    pub(super) time: Timestamp,
    pub(super) position: Position,
    /// Whether it is judged when the watermark has passed it.
    waits: bool,
    /// Whether it was told as new.
    told: bool,
}

/// The showings that late events may still come before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Showings {
    /// By value, then time; of each value only those that matter.
    recent: Vec<Showing>,
    /// When the watermark passes this, it is worth looking for what can be let go.
    settle_at: Timestamp,
}

/// A new showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct New {
    pub(super) time: Timestamp,
    pub(super) position: Position,
    /// The one before it.
    pub(super) before: Option<Timestamp>,
    /// The later one that was told in its place; itself if none was.
    pub(super) instead_of: Timestamp,
}

/// What a showing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Known,
    New(New),
    Waits,
}

/// How many showings are kept; beyond it the older half counts as settled.
const RECENT_MAX: usize = 8192;

impl Newness {
    fn is_new(self, before: Option<Timestamp>, time: Timestamp) -> bool {
        before.map_or(self.is_first_new, |before| self.gap.0 > 0 && time.since(before) >= self.gap)
    }

    /// Whether nothing that may still come can do more than take its place.
    fn is_certain(self, before: Option<Timestamp>, time: Timestamp) -> bool {
        let is_long = self.gap.0 == 0 || self.gap > self.lateness;
        let is_far = |before: Timestamp| time.since(before).0 >= self.gap.0.saturating_add(self.lateness.0);
        is_long && before.is_none_or(is_far)
    }

    /// Whether the first showing known becomes new if another one turns out to be before it.
    fn may_become_new(self, before: Option<Timestamp>) -> bool {
        before.is_none() && !self.is_first_new && self.gap <= self.lateness
    }
}

impl Showings {
    /// Takes in a showing of a value that was last shown at `settled`, before all that are kept here. `is_sure` says
    /// whether nothing else could refute that it is new, `may_count` whether it can be worth telling at all.
    pub(super) fn take(
        &mut self,
        newness: Newness,
        (value, time, position): (u64, Timestamp, Position),
        settled: Option<Timestamp>,
        (is_sure, may_count): (bool, bool),
    ) -> Taken {
        let place = self.recent.partition_point(|known| (known.value, known.time) < (value, time));
        if self.of(place, value).is_some_and(|known| known.time == time) {
            return Taken::Known;
        }
        let before = self.before(place, value, settled);
        let is_new = newness.is_new(before, time);
        let may_be_new = may_count && (is_new || newness.may_become_new(before));
        // What was certain of the next showing is certain of this one, which takes its place.
        let next = self.recent.get_mut(place).filter(|next| next.value == value && next.told);
        let next = next.filter(|next| is_new && !newness.is_new(Some(time), next.time));
        let told = next.is_some() || (is_new && is_sure && newness.is_certain(before, time));
        let waits = may_be_new && !told;
        let instead_of = next.as_ref().map_or(time, |next| next.time);
        if let Some(next) = next {
            next.told = false;
        }
        self.recent.insert(place, Showing { value, time, position, waits, told });
        for index in [place + 1, place, place.saturating_sub(1)] {
            self.skip_if_idle(newness, (index, value), settled);
        }
        match (told, waits) {
            (true, _) => Taken::New(New { time, position, before, instead_of }),
            (_, true) => Taken::Waits,
            _ => Taken::Known,
        }
    }

    /// Lets go of a showing between two so near to each other that nothing could become new in between.
    fn skip_if_idle(&mut self, newness: Newness, (index, value): (usize, u64), settled: Option<Timestamp>) {
        let Some(known) = self.of(index, value).filter(|known| !known.told) else { return };
        let next = self.of(index + 1, value).map(|next| next.time);
        let before = self.before(index, value, settled).filter(|before| *before < known.time);
        let (Some(before), Some(next)) = (before, next) else { return };
        if newness.gap.0 == 0 || next.since(before) < newness.gap {
            self.recent.remove(index);
        }
    }

    /// Judges one of the showings of a moment that waited; the second is whether there are more.
    pub(super) fn judge(
        &mut self,
        newness: Newness,
        at: Timestamp,
        settled: impl Fn(u64) -> Option<Timestamp>,
    ) -> Option<(u64, Option<New>)> {
        let index = self.recent.iter().position(|known| known.time == at && known.waits)?;
        let Showing { value, position, .. } = *self.recent.get(index)?;
        let before = self.before(index, value, settled(value));
        let is_new = newness.is_new(before, at);
        if let Some(known) = self.recent.get_mut(index) {
            (known.waits, known.told) = (false, is_new);
        }
        Some((value, is_new.then_some(New { time: at, position, before, instead_of: at })))
    }

    /// Gives the showings before which nothing can come any more to whoever keeps them; true if there were too many,
    /// and others had to go with them.
    pub(super) fn settle(
        &mut self,
        (newness, horizon): (Newness, Timestamp),
        mut keep: impl FnMut(&Showing),
    ) -> bool {
        let overflowed = self.recent.len() > RECENT_MAX;
        if !overflowed && horizon < self.settle_at {
            return false;
        }
        self.settle_at = horizon.plus(Span(newness.lateness.0 / 4));
        let mut horizon = horizon;
        if overflowed {
            let mut times: Vec<Timestamp> = self.recent.iter().map(|known| known.time).collect();
            let (_, median, _) = times.select_nth_unstable(RECENT_MAX / 2);
            horizon = horizon.max(*median);
        }
        self.recent.retain(|known| {
            let stays = known.time >= horizon || (known.waits && !overflowed);
            if !stays {
                keep(known);
            }
            stays
        });
        overflowed
    }

    /// The showing at a place, if it is of this value.
    fn of(&self, index: usize, value: u64) -> Option<&Showing> {
        self.recent.get(index).filter(|known| known.value == value)
    }

    /// When a value was shown before the showing at a place.
    fn before(&self, index: usize, value: u64, settled: Option<Timestamp>) -> Option<Timestamp> {
        let known = index.checked_sub(1).and_then(|before| self.of(before, value));
        known.map(|known| known.time).or(settled)
    }

    /// The showings, by value, then time.
    pub(super) fn all(&self) -> &[Showing] {
        &self.recent
    }

    /// The values that wait to be judged.
    pub(super) fn waiting(&self) -> FxHashSet<u64> {
        self.recent.iter().filter(|known| known.waits).map(|known| known.value).collect()
    }

    /// What they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.recent.len() * size_of::<Showing>()
    }

    /// Their events, oldest first.
    pub(super) fn positions(&self) -> Vec<Position> {
        let mut events: Vec<_> = self.recent.iter().map(|known| (known.time, known.position)).collect();
        events.sort_unstable();
        events.into_iter().map(|(_, position)| position).collect()
    }
}
