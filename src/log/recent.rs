//! The keys of recent events, by which duplicates are known.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use crate::time::Timestamp;

/// The keys of the last commits, oldest out first, at most `max` of them. About 60 bytes each when full.
#[derive(Debug)]
pub(super) struct Recent {
    max: usize,
    known: FxHashSet<u128>,
    order: VecDeque<u128>,
    /// The kept keys in runs of one commit or block each: the latest arrival among them, and how many.
    runs: VecDeque<(Timestamp, usize)>,
    /// How many keys at the end of `order` are not in a run yet, since their commit is not done.
    fresh: usize,
}

impl Recent {
    pub(super) fn new(max: usize) -> Self {
        Self { max, known: FxHashSet::default(), order: VecDeque::new(), runs: VecDeque::new(), fresh: 0 }
    }

    /// Notes a key; false if it is known already.
    pub(super) fn insert(&mut self, key: u128) -> bool {
        let is_new = self.known.insert(key);
        if is_new {
            self.order.push_back(key);
            self.fresh += 1;
        }
        is_new
    }

    /// The keys noted since the last call are stored now.
    pub(super) fn keep(&mut self, received_max: Timestamp) {
        if self.fresh > 0 {
            self.runs.push_back((received_max, self.fresh));
            self.fresh = 0;
        }
        while self.order.len() > self.max {
            self.forget_oldest();
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

    /// Forgets the keys of events that all arrived before `horizon`.
    pub(super) fn expire(&mut self, horizon: Timestamp) {
        while let Some((newest, count)) = self.runs.front().copied()
            && newest < horizon
        {
            for _ in 0..count {
                self.forget_oldest();
            }
        }
    }

    fn forget_oldest(&mut self) {
        let (Some(key), Some(run)) = (self.order.pop_front(), self.runs.front_mut()) else { return };
        self.known.remove(&key);
        run.1 -= 1;
        if run.1 == 0 {
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
            recent.keep(Timestamp(0));
        }
        assert!(!recent.insert(4) && !recent.insert(3) && !recent.insert(2));
        assert!(recent.insert(0) && recent.insert(1));
    }

    #[test]
    fn undone_keys_are_new_again() {
        let mut recent = Recent::new(10);
        recent.insert(1);
        recent.keep(Timestamp(0));
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
        recent.keep(Timestamp(100));
        recent.insert(3);
        recent.keep(Timestamp(200));
        recent.expire(Timestamp(100));
        assert!(!recent.insert(1));
        recent.expire(Timestamp(101));
        assert!(recent.insert(1) && recent.insert(2) && !recent.insert(3));
    }
}
