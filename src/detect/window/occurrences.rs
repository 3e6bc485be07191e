//! When each value, or role, occurred: which events of one value stand next to another.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::super::{size, sorted as sorted_map};
use super::measure::Entry;
use super::sorted::Sorted;
use crate::time::Timestamp;

/// One event of a value.
type At = (Timestamp, u64);

/// Most values occur once.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Times {
    Once(At),
    Often(Box<Sorted<At>>),
}

/// By value, the events that have it: found in constant time where values differ, by bisection where they are the
/// same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Occurrences {
    #[serde(with = "sorted_map")]
    times: FxHashMap<i64, Times>,
}

impl Occurrences {
    /// The times of the events of the same value next before and next after this one, which need not be there.
    pub(super) fn around(&self, entry: &Entry) -> (Option<Timestamp>, Option<Timestamp>) {
        let own = (entry.time, entry.tag);
        match self.times.get(&entry.value) {
            None => (None, None),
            Some(Times::Once(at)) if *at < own => (Some(at.0), None),
            Some(Times::Once(at)) if *at > own => (None, Some(at.0)),
            Some(Times::Once(_)) => (None, None),
            Some(Times::Often(all)) => {
                let before = all.back(|at| *at < own).next();
                let after = all.from(|at| *at <= own).next();
                (before.map(|at| at.0), after.map(|at| at.0))
            }
        }
    }

    /// Whether a value occurs in `[from, to]`.
    pub(super) fn is_any(&self, value: i64, from: Timestamp, to: Timestamp) -> bool {
        match self.times.get(&value) {
            None => false,
            Some(Times::Once(at)) => (from..=to).contains(&at.0),
            Some(Times::Often(all)) => all.from(|at| at.0 < from).next().is_some_and(|at| at.0 <= to),
        }
    }

    pub(super) fn insert(&mut self, entry: &Entry) {
        let own = (entry.time, entry.tag);
        let times = self.times.entry(entry.value).or_insert(Times::Once(own));
        match times {
            Times::Once(at) if *at == own => {}
            Times::Once(at) => {
                let mut all = Box::<Sorted<At>>::default();
                all.insert(*at);
                all.insert(own);
                *times = Times::Often(all);
            }
            Times::Often(all) => all.insert(own),
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        let is_last = match self.times.get_mut(&entry.value) {
            None => return,
            Some(Times::Once(_)) => true,
            Some(Times::Often(all)) => {
                all.remove(&(entry.time, entry.tag));
                all.len() == 0
            }
        };
        if is_last {
            self.times.remove(&entry.value);
        }
        if self.times.capacity() > 4 * self.times.len() + 64 {
            self.times.shrink_to(2 * self.times.len());
        }
    }

    /// What this takes, with `count` events in all. Not by its capacity, which is another after a restart.
    pub(super) fn bytes(&self, count: usize) -> usize {
        let slots = size::map::<i64, Times>(self.times.len());
        // Values that occur more than once have a list each; at most every other event is one's second.
        let more = count.saturating_sub(self.times.len());
        let lists = more.min(self.times.len()) * (size_of::<Sorted<At>>() + 4 * size_of::<Vec<At>>());
        slots + lists + more * 2 * size_of::<At>()
    }
}
