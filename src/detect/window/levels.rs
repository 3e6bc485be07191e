//! How high a window stood at each moment of the past, and just before it, kept up to date as late events raise
//! whole stretches of moments at once.
//!
//! Moments stand in runs. What is raised from end to end is only noted beside the run, unless some moment in it
//! crosses the limit; each moment crosses once, so that a late event costs the number of runs plus one run.

use std::collections::VecDeque;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

use super::super::size;
use crate::time::{Span, Timestamp};

/// The longest run.
const RUN_MAX: usize = if cfg!(test) { 6 } else { 128 };

/// The number a level is: 64 bits for counts, 128 for sums of amounts.
pub(super) trait Level:
    Copy + Ord + Default + From<i64> + Into<i128> + Add<Output = Self> + Sub<Output = Self> + AddAssign
{
    /// No level is this low.
    const LOW: Self;
    /// No level is this high.
    const HIGH: Self;

    /// A limit, or one out of reach if it is beyond what a level can be.
    fn limit(limit: i128) -> Self;
}

impl Level for i64 {
    const LOW: Self = Self::MIN / 4;
    const HIGH: Self = Self::MAX / 4;

    fn limit(limit: i128) -> Self {
        Self::try_from(limit).map_or(Self::HIGH, |limit| limit.min(Self::HIGH))
    }
}

impl Level for i128 {
    const LOW: Self = Self::MIN / 4;
    const HIGH: Self = Self::MAX / 4;

    fn limit(limit: i128) -> Self {
        limit.min(Self::HIGH)
    }
}

/// A moment at which an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment<N> {
    pub(super) time: Timestamp,
    /// The level of the window that ends here, `(time - within, time]`.
    pub(super) peak: N,
    /// The level just before, of `[time - within, time)`: the lowest since the moment before this one.
    pub(super) valley: N,
}

/// Which of a moment's two levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Peak,
    Valley,
}

/// One of the two levels, over a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Track<N> {
    /// To be added to the level of every moment.
    add: N,
    /// The highest level below the limit, without `add`.
    low: N,
    /// The lowest level not below the limit, without `add`.
    high: N,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run<N> {
    moments: Vec<Moment<N>>,
    peak: Track<N>,
    valley: Track<N>,
}

/// The moments of one key's window, by time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Levels<N> {
    runs: VecDeque<Run<N>>,
}

impl<N: Level> Track<N> {
    fn new() -> Self {
        Self { add: N::default(), low: N::LOW, high: N::HIGH }
    }

    fn note(&mut self, level: N, limit: N) {
        if level < limit {
            self.low = self.low.max(level);
        } else {
            self.high = self.high.min(level);
        }
    }

    /// Whether all levels can change by this much without one that crosses the limit.
    fn is_clear(&self, delta: N, limit: N) -> bool {
        let (low, high) = (self.low + self.add + delta, self.high + self.add + delta);
        (self.low == N::LOW || low < limit) && (self.high == N::HIGH || high >= limit)
    }
}

impl<N: Level> Run<N> {
    fn new(moments: Vec<Moment<N>>, limit: N) -> Self {
        let mut run = Self { moments, peak: Track::new(), valley: Track::new() };
        run.settle(limit);
        run
    }

    /// Adds what is noted beside the run to its moments.
    fn settle(&mut self, limit: N) {
        let (peak, valley) = (self.peak.add, self.valley.add);
        (self.peak, self.valley) = (Track::new(), Track::new());
        for moment in &mut self.moments {
            moment.peak += peak;
            moment.valley += valley;
            self.peak.note(moment.peak, limit);
            self.valley.note(moment.valley, limit);
        }
    }

    fn get(&self, index: usize) -> Option<Moment<N>> {
        let found = self.moments.get(index)?;
        let (peak, valley) = (found.peak + self.peak.add, found.valley + self.valley.add);
        Some(Moment { time: found.time, peak, valley })
    }

    fn track(&mut self, side: Side) -> &mut Track<N> {
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

impl<N> Moment<N> {
    const fn level(&mut self, side: Side) -> &mut N {
        match side {
            Side::Peak => &mut self.peak,
            Side::Valley => &mut self.valley,
        }
    }
}

impl<N: Level> Levels<N> {
    pub(super) fn newest(&self) -> Option<Moment<N>> {
        let run = self.runs.back()?;
        run.get(run.moments.len().checked_sub(1)?)
    }

    /// The first moment not before this time.
    pub(super) fn at_or_after(&self, time: Timestamp) -> Option<Moment<N>> {
        let run = self.runs.get(self.run_of(time))?;
        run.get(run.moments.partition_point(|moment| moment.time < time))
    }

    pub(super) fn get(&self, time: Timestamp) -> Option<Moment<N>> {
        self.at_or_after(time).filter(|moment| moment.time == time)
    }

    /// The first run that reaches to this time.
    fn run_of(&self, time: Timestamp) -> usize {
        self.runs.partition_point(|run| run.last_time() < time)
    }

    /// Takes in a moment that is not known yet.
    pub(super) fn insert(&mut self, mut moment: Moment<N>, limit: N) {
        let place = self.run_of(moment.time);
        if place == self.runs.len() {
            match self.runs.back_mut() {
                Some(last) if last.moments.len() < RUN_MAX => {
                    last.peak.note(moment.peak - last.peak.add, limit - last.peak.add);
                    last.valley.note(moment.valley - last.valley.add, limit - last.valley.add);
                    moment.peak = moment.peak - last.peak.add;
                    moment.valley = moment.valley - last.valley.add;
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
        (side, limit): (Side, N),
        (from, to): (Timestamp, Timestamp),
        delta: N,
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
            let mut track = Track::new();
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
        (side, limit): (Side, N),
        (from, to): (Timestamp, Timestamp),
        crossed: &mut Vec<Timestamp>,
        is_reached: impl Fn(Timestamp) -> bool,
    ) {
        let first = self.run_of(from);
        for run in self.runs.range_mut(first..).take_while(|run| run.first_time() <= to) {
            if run.track(side).low == N::LOW {
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
        let full = self.runs.len().saturating_sub(1) * size::block(RUN_MAX * size_of::<Moment<N>>());
        let last = self.runs.back().map_or(0, |run| size::list::<Moment<N>>(run.moments.len()));
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
