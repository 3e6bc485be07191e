//! The keys of recent events, by which duplicates are known.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use crate::event::Position;
use crate::time::Timestamp;

/// The keys of the last commits, oldest out first, at most `max` of them. About 60 bytes each when full; those that
/// were read back from sealed segments are cut to 8 bytes, and take about 30.
#[derive(Debug)]
pub(super) struct Recent {
    max: usize,
    known: FxHashSet<u128>,
    order: VecDeque<u128>,
    /// The kept keys in runs of one commit or block each.
    runs: VecDeque<Run>,
    /// How many keys at the end of `order` are not in a run yet, since their commit is not done.
    fresh: usize,
    /// Keys from before the first run, by segment: the latest arrival among them, and the keys.
    sealed: VecDeque<(Timestamp, Vec<u64>)>,
    cut: FxHashSet<u64>,
    /// The latest arrival among the keys that were forgotten.
    forgotten: Timestamp,
}

#[derive(Debug)]
struct Run {
    received_max: Timestamp,
    last: Position,
    count: usize,
}

/// The part of a key that sealed segments keep.
pub(super) const fn cut(key: u128) -> u64 {
    key as u64
}

impl Recent {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            known: FxHashSet::default(),
            order: VecDeque::new(),
            runs: VecDeque::new(),
            fresh: 0,
            sealed: VecDeque::new(),
            cut: FxHashSet::default(),
            forgotten: Timestamp::MIN,
        }
    }

    /// The latest arrival among the keys that were forgotten since this was asked last.
    pub(super) fn take_forgotten(&mut self) -> Timestamp {
        std::mem::replace(&mut self.forgotten, Timestamp::MIN)
    }

    /// Whether a key is known.
    pub(super) fn has(&self, key: u128) -> bool {
        self.known.contains(&key) || self.cut.contains(&cut(key))
    }

    /// Notes a key; false if it is known already.
    pub(super) fn insert(&mut self, key: u128) -> bool {
        let is_new = !self.cut.contains(&cut(key)) && self.known.insert(key);
        if is_new {
            self.order.push_back(key);
            self.fresh += 1;
        }
        is_new
    }

    /// Adds the keys of a sealed segment, from before all that is known; false if there is no room for them.
    pub(super) fn insert_sealed(&mut self, received_max: Timestamp, keys: Vec<u64>) -> bool {
        let has_room = self.order.len() + self.cut.len() + keys.len() <= self.max;
        if has_room {
            self.cut.extend(&keys);
            self.sealed.push_front((received_max, keys));
        }
        has_room
    }

    /// The keys noted since the last call are stored now, up to this position.
    pub(super) fn keep(&mut self, received_max: Timestamp, last: Position) {
        if self.fresh > 0 {
            self.runs.push_back(Run { received_max, last, count: self.fresh });
            self.fresh = 0;
        }
        while self.order.len() + self.cut.len() > self.max {
            if !self.forget_sealed() {
                self.forget_oldest();
            }
        }
    }

    /// The keys noted since the last [`Recent::keep`] were not stored.
    pub(super) fn undo(&mut self) {
        for _ in 0..std::mem::take(&mut self.fresh) {
            if let Some(key) = self.order.pop_back() {
                self.known.remove(&key);
            }
        }
    }

    /// Forgets the keys of events that all arrived before `horizon`, unless they stand behind `base`: there no
    /// segment has them yet.
    pub(super) fn expire(&mut self, horizon: Timestamp, base: Position) {
        while self.sealed.front().is_some_and(|(newest, _)| *newest < horizon) {
            self.forget_sealed();
        }
        while let Some(run) = self.runs.front()
            && run.received_max < horizon
            && run.last <= base
        {
            let count = run.count;
            (0..count).for_each(|_| self.forget_oldest());
        }
    }

    fn forget_sealed(&mut self) -> bool {
        let Some((newest, keys)) = self.sealed.pop_front() else { return false };
        self.forgotten = self.forgotten.max(newest);
        for key in keys {
            self.cut.remove(&key);
        }
        true
    }

    fn forget_oldest(&mut self) {
        let (Some(key), Some(run)) = (self.order.pop_front(), self.runs.front_mut()) else { return };
        self.known.remove(&key);
        self.forgotten = self.forgotten.max(run.received_max);
        run.count -= 1;
        if run.count == 0 {
            self.runs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_beyond_the_limit() {
        let mut recent = Recent::new(3);
        for key in 0..5 {
            assert!(recent.insert(key));
            recent.keep(Timestamp(0), 1);
        }
        assert!(!recent.insert(4) && !recent.insert(3) && !recent.insert(2));
        assert!(recent.insert(0) && recent.insert(1));
    }

    #[test]
    fn undone_keys_are_new_again() {
        let mut recent = Recent::new(10);
        recent.insert(1);
        recent.keep(Timestamp(0), 1);
        assert!(recent.insert(2));
        assert!(!recent.insert(2));
        recent.undo();
        assert!(recent.insert(2));
        assert!(!recent.insert(1));
    }

    #[test]
    fn a_run_expires_when_its_newest_is_too_old() {
        let mut recent = Recent::new(10);
        recent.insert(1);
        recent.insert(2);
        recent.keep(Timestamp(100), 2);
        recent.insert(3);
        recent.keep(Timestamp(200), 3);
        recent.expire(Timestamp(100), 3);
        assert!(!recent.insert(1));
        recent.expire(Timestamp(101), 1);
        assert!(!recent.insert(1));
        recent.expire(Timestamp(101), 2);
        assert!(recent.insert(1) && recent.insert(2) && !recent.insert(3));
    }
}
