//! What a pass over history leaves out: repeated events, and lines that are no events.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// The keys of recent events, in two generations: bounded, and duplicates lie close together. Half a key is
/// kept: among the four million keys of both generations an event is taken for another once in 10^12.
#[derive(Default)]
pub(super) struct Recent {
    young: Keys,
    old: Keys,
}

type Keys = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// Keys are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Recent {
    const GENERATION: usize = 2_000_000;

    /// Whether the key is new.
    pub(super) fn insert(&mut self, key: u128) -> bool {
        let key = key as u64;
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
