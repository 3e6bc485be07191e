//! What a pass over history leaves out: repeated events, and lines that are no events.

/// The keys of recent events, in two generations: bounded, and duplicates lie close together. Half a key is
/// kept: among the four million keys of both generations an event is taken for another once in 10^12.
#[derive(Default)]
pub(super) struct Recent {
    young: Keys,
    old: Keys,
}

impl Recent {
    const GENERATION: usize = 2_000_000;

    /// Looks where keys would be, without using it: memory is asked for many of them at the same time, where
    /// `insert` would wait for one after the other.
    pub(super) fn expect(&self, keys: impl Iterator<Item = u128>) {
        let look = |key: u128| self.young.first(key as u64) ^ self.old.first(key as u64);
        std::hint::black_box(keys.fold(0, |seen, key| seen ^ look(key)));
    }

    /// Whether the key is new.
    pub(super) fn insert(&mut self, key: u128) -> bool {
        let key = key as u64;
        if self.young.count >= Self::GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        !self.old.contains(key) && self.young.insert(key)
    }
}

/// Hashes, in a table that is large enough from the start: a look-up is one step into memory, and memory that
/// no key falls into is never touched.
#[derive(Default)]
struct Keys {
    /// Open addressing; 0 is free.
    places: Vec<u64>,
    count: usize,
}

impl Keys {
    /// Twice a generation.
    const BITS: u32 = 22;

    /// Where the key is, or would be.
    fn place(&self, key: u64) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut place = (key >> (64 - Self::BITS)) as usize & mask;
        while self.places[place] != 0 && self.places[place] != key {
            place = (place + 1) & mask;
        }
        Some(place)
    }

    /// What stands where a key is looked for first.
    fn first(&self, key: u64) -> u64 {
        self.places.get((key >> (64 - Self::BITS)) as usize).copied().unwrap_or_default()
    }

    fn contains(&self, key: u64) -> bool {
        self.place(key.max(1)).is_some_and(|place| self.places[place] != 0)
    }

    /// Whether the key is new. There must be room.
    fn insert(&mut self, key: u64) -> bool {
        if self.places.is_empty() {
            self.places = vec![0; 1 << Self::BITS];
        }
        let key = key.max(1);
        let Some(place) = self.place(key) else { return true };
        let is_new = self.places[place] == 0;
        self.places[place] = key;
        self.count += usize::from(is_new);
        is_new
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_for_a_generation_and_forgotten_after_two() {
        let mut recent = Recent::default();
        assert!(recent.insert(0) && recent.insert(1 << 63));
        assert!(!recent.insert(0) && !recent.insert(1 << 63));
        let generation = Recent::GENERATION as u128;
        let spread = |number: u128| number * 0x9e37_79b9_7f4a_7c15;
        assert!((1..=generation).all(|number| recent.insert(spread(number))));
        assert!(!recent.insert(0), "still in the old generation");
        assert!((generation..2 * generation).all(|number| recent.insert(spread(number + 1))));
        assert!(recent.insert(0), "two generations ago");
    }
}
