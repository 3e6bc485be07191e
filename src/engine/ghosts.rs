//! A compact memory of keys that had to be forgotten, so that one that comes back is known to come back.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Fingerprints of forgotten keys, 16 bits each, in buckets of eight: the newest pushes out the oldest of its bucket.
///
/// So it remembers about as many keys as it has places, the newest ones: some a little fewer, some a little more.
/// A key that never was here is taken for one that was with a probability of at most 8 in 65,536; then it is
/// protected without having earned it, and nothing else happens.
#[derive(Clone, Default)]
pub(super) struct Ghosts {
    /// Little-endian fingerprints; 0 is an empty place.
    cells: Vec<u8>,
}

const CELL: usize = 2;
const BUCKET: usize = 8 * CELL;

impl Ghosts {
    /// Takes so many bytes, rounded down to whole buckets.
    pub(super) fn new(bytes: usize) -> Self {
        Self { cells: vec![0; bytes / BUCKET * BUCKET] }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cells.len()
    }

    /// Whether it was made for so many bytes.
    pub(super) fn is_of(&self, bytes: usize) -> bool {
        self.cells.len() == bytes / BUCKET * BUCKET
    }

    /// A key of this hash is forgotten.
    pub(super) fn remember(&mut self, hash: u64) {
        let range = self.bucket(hash);
        let Some(bucket) = self.cells.get_mut(range) else { return };
        let fingerprint = fingerprint(hash);
        let known = bucket.chunks_exact(CELL).position(|cell| cell == fingerprint);
        let end = known.map_or(BUCKET, |place| (place + 1) * CELL);
        if let Some(moved) = bucket.get_mut(..end) {
            moved.rotate_right(CELL);
        }
        if let Some(newest) = bucket.first_chunk_mut() {
            *newest = fingerprint;
        }
    }

    /// Whether a key of this hash was forgotten not long ago.
    pub(super) fn recall(&self, hash: u64) -> bool {
        let bucket = self.cells.get(self.bucket(hash)).unwrap_or_default();
        let fingerprint = fingerprint(hash);
        bucket.chunks_exact(CELL).any(|cell| cell == fingerprint)
    }

    /// Takes over the newer half of what another one of the same size remembers.
    pub(super) fn absorb(&mut self, other: &Self) {
        if self.cells.is_empty() {
            self.cells.clone_from(&other.cells);
        }
        if self.cells.len() != other.cells.len() {
            return;
        }
        for (own, new) in self.cells.chunks_exact_mut(BUCKET).zip(other.cells.chunks_exact(BUCKET)) {
            let is_used = |cell: &&[u8]| cell.iter().any(|byte| *byte != 0);
            for cell in new.chunks_exact(CELL).take(4).rev().filter(is_used) {
                own.rotate_right(CELL);
                own.iter_mut().zip(cell).for_each(|(own, new)| *own = *new);
            }
        }
    }

    /// The upper half of the hash chooses the bucket.
    fn bucket(&self, hash: u64) -> std::ops::Range<usize> {
        let buckets = (self.cells.len() / BUCKET) as u64;
        let bucket = usize::try_from(((hash >> 32) * buckets) >> 32).unwrap_or(usize::MAX / BUCKET);
        bucket * BUCKET..(bucket + 1) * BUCKET
    }
}

/// The lowest bits of the hash; never 0.
fn fingerprint(hash: u64) -> [u8; CELL] {
    let [low, high, ..] = hash.to_le_bytes();
    if (low, high) == (0, 0) { [1, 0] } else { [low, high] }
}

impl fmt::Debug for Ghosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ghosts").field("bytes", &self.bytes()).finish()
    }
}

impl Serialize for Ghosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.cells)
    }
}

impl<'de> Deserialize<'de> for Ghosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl Visitor<'_> for Reading {
            type Value = Ghosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("whole buckets of fingerprints")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Ghosts, E> {
                if !bytes.len().is_multiple_of(BUCKET) {
                    return Err(E::invalid_length(bytes.len(), &self));
                }
                Ok(Ghosts { cells: bytes.to_vec() })
            }
        }
        deserializer.deserialize_bytes(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well-spread numbers (SplitMix64).
    fn spread(number: u64) -> u64 {
        let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn the_newest_are_recalled_and_strangers_hardly_ever() {
        let mut ghosts = Ghosts::new(16 << 10);
        let places = 8 << 10;
        for number in 0..places * 4 {
            ghosts.remember(spread(number));
        }
        let recalled = |range: std::ops::Range<u64>| {
            let len = range.end - range.start;
            let count = range.filter(|number| ghosts.recall(spread(*number))).count();
            count as f64 / len as f64
        };
        let newest = recalled(places * 4 - places / 4..places * 4);
        assert!(newest > 0.99, "{newest} of the newest quarter");
        let oldest = recalled(0..places * 2);
        assert!(oldest < 0.05, "{oldest} of what is long gone");
        let strangers = recalled(1_000_000..1_200_000);
        assert!(strangers < 3.0 * 8.0 / 65_536.0, "{strangers} of the strangers");
    }

    #[test]
    fn a_key_forgotten_again_is_new_again_and_takes_one_place() {
        let mut ghosts = Ghosts::new(BUCKET);
        let key = |number: u64| spread(number) >> 32 << 32 | number;
        ghosts.remember(key(1));
        for number in 2..=8 {
            ghosts.remember(key(number));
            ghosts.remember(key(1));
        }
        ghosts.remember(key(9));
        assert!(ghosts.recall(key(1)) && ghosts.recall(key(9)) && ghosts.recall(key(3)));
        assert!(!ghosts.recall(key(2)), "the oldest has to go");
    }

    #[test]
    fn nothing_fits_into_nothing() {
        let mut ghosts = Ghosts::new(BUCKET - 1);
        ghosts.remember(7);
        assert!(!ghosts.recall(7));
        assert_eq!(ghosts.bytes(), 0);
    }
}
