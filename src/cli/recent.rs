//! What a pass over history leaves out: repeated events, and lines that are no events.

use rustc_hash::FxHashSet;

/// The keys of recent events, in two generations: bounded, and duplicates lie close together.
#[derive(Default)]
pub(super) struct Recent {
    young: FxHashSet<u128>,
    old: FxHashSet<u128>,
}

impl Recent {
    const GENERATION: usize = 2_000_000;

    /// Whether the key is new.
    pub(super) fn insert(&mut self, key: u128) -> bool {
        if self.young.len() >= Self::GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        !self.old.contains(&key) && self.young.insert(key)
    }
}

/// Lines that are no events: how many, and the first few.
#[derive(Debug, Default)]
pub(super) struct Refused {
    count: u64,
    first: Vec<String>,
}

impl Refused {
    pub(super) fn add(&mut self, line: u64, reason: &str) {
        self.count += 1;
        if self.first.len() < 5 {
            self.first.push(format!("line {line}: {reason}"));
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// What to tell the person.
    pub(super) fn messages(&self) -> Vec<String> {
        let mut messages = self.first.clone();
        if self.count > 0 {
            messages.push(format!("{} lines are no events and were left out", self.count));
        }
        messages
    }
}
