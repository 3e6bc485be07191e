//! Seeded chance: the same seed gives the same organisation and the same week, on every machine.

/// A small generator of our own (SplitMix64, Steele, Lea and Flood 2014): the numbers a library's default
/// generator draws may change with its version, and then the demo's story would change too.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent generator for one purpose, so that drawing more in one place changes no other.
    pub(super) fn fork(&self, purpose: &str, number: u64) -> Self {
        let mut child = Self(self.0 ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for byte in purpose.bytes() {
            child.0 = child.next() ^ u64::from(byte);
        }
        child
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number from `low` up to and without `high`; `low` where the range is empty.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0).max(1);
        low + i64::try_from(self.next() % width).unwrap_or(0)
    }

    /// An index below `len`; 0 for an empty list.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % (len.max(1) as u64)).unwrap_or(0)
    }

    /// True `per_mille` times in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    /// One of a list that is not empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A random UUID's text (version 4), as GitLab gives events that are not in its database.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }
}
