//! How high a window stood at each moment of the past, and just before it, kept up to date as late events raise
//! whole stretches of moments at once.
//!
//! Moments stand in runs. What is raised from end to end is only noted beside the run, unless some moment in it
//! crosses the limit; each moment crosses once, so that a late event costs the number of runs plus one run.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::size;
use super::sorted::RUN_MAX;
use crate::time::{Span, Timestamp};

/// A moment at which an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    /// The level of the window that ends here, `(time - within, time]`.
    pub(super) peak: i128,
    /// The level just before, of `[time - within, time)`: the lowest since the moment before this one.
    pub(super) valley: i128,
}

/// Which of a moment's two levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Peak,
    Valley,
}

/// One of the two levels, over a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Track {
    /// To be added to the level of every moment.
    add: i128,
    /// The highest level below the limit, without `add`.
    low: i128,
    /// The lowest level not below the limit, without `add`.
    high: i128,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    moments: Vec<Moment>,
    peak: Track,
    valley: Track,
}

/// The moments of one key's window, by time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Levels {
    runs: VecDeque<Run>,
}

/// No level is this low.
const LOW: i128 = i128::MIN / 4;
/// No level is this high.
const HIGH: i128 = i128::MAX / 4;

impl Track {
    const NEW: Self = Self { add: 0, low: LOW, high: HIGH };

    fn note(&mut self, level: i128, limit: i128) {
        if level < limit {
            self.low = self.low.max(level);
        } else {
            self.high = self.high.min(level);
        }
    }

    /// Whether all levels can change by this much without one that crosses the limit.
    fn is_clear(&self, delta: i128, limit: i128) -> bool {
        let (low, high) = (self.low + self.add + delta, self.high + self.add + delta);
        (self.low == LOW || low < limit) && (self.high == HIGH || high >= limit)
    }
}

impl Run {
    fn new(moments: Vec<Moment>, limit: i128) -> Self {
        let mut run = Self { moments, peak: Track::NEW, valley: Track::NEW };
        run.settle(limit);
        run
    }

    /// Adds what is noted beside the run to its moments.
    fn settle(&mut self, limit: i128) {
        let (peak, valley) = (self.peak.add, self.valley.add);
        (self.peak, self.valley) = (Track::NEW, Track::NEW);
        for moment in &mut self.moments {
            moment.peak += peak;
            moment.valley += valley;
            self.peak.note(moment.peak, limit);
            self.valley.note(moment.valley, limit);
        }
    }

    fn get(&self, index: usize) -> Option<Moment> {
        let found = self.moments.get(index)?;
        let (peak, valley) = (found.peak + self.peak.add, found.valley + self.valley.add);
        Some(Moment { time: found.time, peak, valley })
    }

    const fn track(&mut self, side: Side) -> &mut Track {
        match side {
            Side::Peak => &mut self.peak,
            Side::Valley => &mut self.valley,
        }
    }

    fn last_time(&self) -> Timestamp {
        self.moments.last().map_or(Timestamp::MIN, |moment| moment.time)
    }

    fn first_time(&self) -> Timestamp {
        self.moments.first().map_or(Timestamp::MAX, |moment| moment.time)
    }
}

impl Moment {
    const fn level(&mut self, side: Side) -> &mut i128 {
        match side {
            Side::Peak => &mut self.peak,
            Side::Valley => &mut self.valley,
        }
    }
}

impl Levels {
    pub(super) fn newest(&self) -> Option<Moment> {
        let run = self.runs.back()?;
        run.get(run.moments.len().checked_sub(1)?)
    }

    /// The first moment not before this time.
    pub(super) fn at_or_after(&self, time: Timestamp) -> Option<Moment> {
        let run = self.runs.get(self.run_of(time))?;
        run.get(run.moments.partition_point(|moment| moment.time < time))
    }

    pub(super) fn get(&self, time: Timestamp) -> Option<Moment> {
        self.at_or_after(time).filter(|moment| moment.time == time)
    }

    /// The first run that reaches to this time.
    fn run_of(&self, time: Timestamp) -> usize {
        self.runs.partition_point(|run| run.last_time() < time)
    }

    /// Takes in a moment that is not known yet.
    pub(super) fn insert(&mut self, mut moment: Moment, limit: i128) {
        let place = self.run_of(moment.time);
        if place == self.runs.len() {
            match self.runs.back_mut() {
                Some(last) if last.moments.len() < RUN_MAX => {
                    last.peak.note(moment.peak - last.peak.add, limit - last.peak.add);
                    last.valley.note(moment.valley - last.valley.add, limit - last.valley.add);
                    moment.peak -= last.peak.add;
                    moment.valley -= last.valley.add;
                    last.moments.push(moment);
                }
                _ => self.runs.push_back(Run::new(vec![moment], limit)),
            }
            return;
        }
        let Some(run) = self.runs.get_mut(place) else { return };
        run.settle(limit);
        let offset = run.moments.partition_point(|known| known.time < moment.time);
        run.moments.insert(offset, moment);
        let upper = (run.moments.len() > RUN_MAX).then(|| run.moments.split_off(RUN_MAX / 2));
        run.settle(limit);
        if let Some(upper) = upper {
            self.runs.insert(place + 1, Run::new(upper, limit));
        }
    }

    /// Raises (or lowers) one level of every moment in `[from, to]`; `crossed` gets the moments that came up to
    /// the limit.
    pub(super) fn raise(
        &mut self,
        (side, limit): (Side, i128),
        (from, to): (Timestamp, Timestamp),
        delta: i128,
        crossed: &mut Vec<Timestamp>,
    ) {
        let first = self.run_of(from);
        for run in self.runs.range_mut(first..).take_while(|run| run.first_time() <= to) {
            let is_whole = from <= run.first_time() && run.last_time() <= to;
            if is_whole && run.track(side).is_clear(delta, limit) {
                run.track(side).add += delta;
                continue;
            }
            run.settle(limit);
            let mut track = Track::NEW;
            for moment in &mut run.moments {
                let time = moment.time;
                let level = moment.level(side);
                if (from..=to).contains(&time) {
                    crossed.extend((*level < limit && *level + delta >= limit).then_some(time));
                    *level += delta;
                }
                track.note(*level, limit);
            }
            *run.track(side) = track;
        }
    }

    /// Sets one level to the limit at every moment in `[from, to]` that is below it and where `is_reached`.
    pub(super) fn reach(
        &mut self,
        (side, limit): (Side, i128),
        (from, to): (Timestamp, Timestamp),
        crossed: &mut Vec<Timestamp>,
        is_reached: impl Fn(Timestamp) -> bool,
    ) {
        let first = self.run_of(from);
        for run in self.runs.range_mut(first..).take_while(|run| run.first_time() <= to) {
            if run.track(side).low == LOW {
                continue;
            }
            for moment in &mut run.moments {
                let time = moment.time;
                let level = moment.level(side);
                if *level < limit && (from..=to).contains(&time) && is_reached(time) {
                    *level = limit;
                    crossed.push(time);
                }
            }
            run.settle(limit);
        }
    }

    /// Lets go of runs that lie before this time; the newest moment stays.
    pub(super) fn forget(&mut self, before: Timestamp) {
        while self.runs.len() > 1 && self.runs.front().is_some_and(|run| run.last_time() < before) {
            self.runs.pop_front();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let full = self.runs.len().saturating_sub(1) * size::block(RUN_MAX * size_of::<Moment>());
        let last = self.runs.back().map_or(0, |run| size::list::<Moment>(run.moments.len()));
        full + last + size::queue(&self.runs)
    }
}

/// The moments whose window `(t - within, t]` an event of this time is in and, one after another, those whose
/// `[t - within, t)` it is in, given that it adds nothing from `until` on.
pub(super) fn reach_of((from, until): (Timestamp, Timestamp), side: Side) -> Option<(Timestamp, Timestamp)> {
    let one = Span(1);
    let range = match side {
        Side::Peak => (from, until.minus(one)),
        Side::Valley => (from.plus(one), until),
    };
    (range.0 <= range.1).then_some(range)
}
