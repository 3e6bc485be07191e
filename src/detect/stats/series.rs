//! A row of counts in few bytes: runs of zeros and small numbers, as most sources have them.
//!
//! Written as variable-length numbers of seven bits a byte: a count as itself, a run of zeros as 0 and its length.
//! 28 days of hours are 672 bytes for a source that is always busy below 128, some 250 for a person.

use serde::{Deserialize, Serialize};

/// Counts of consecutive buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Series {
    /// The bucket of the first count.
    start: i64,
    /// How many counts there are, those of `zeros` included.
    length: i64,
    bytes: Vec<u8>,
    /// How many zeros stand at the end, not yet written.
    zeros: i64,
}

impl Series {
    /// A row whose first count will be that of `start`.
    pub(crate) fn starting_at(start: i64) -> Self {
        Self { start, ..Self::default() }
    }

    /// The bucket of the first count.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// The bucket after the last count.
    pub(crate) fn end(&self) -> i64 {
        self.start.saturating_add(self.length)
    }

    /// Adds a count at the end.
    pub(crate) fn push(&mut self, count: u64) {
        self.length += 1;
        if count == 0 {
            self.zeros += 1;
            return;
        }
        if self.zeros > 0 {
            self.bytes.push(0);
            write(&mut self.bytes, self.zeros.unsigned_abs());
            self.zeros = 0;
        }
        write(&mut self.bytes, count);
    }

    /// Adds zeros up to the bucket `end`.
    pub(crate) fn extend_to(&mut self, end: i64) {
        let more = end.saturating_sub(self.end()).max(0);
        self.length += more;
        self.zeros += more;
    }

    /// The counts as (first bucket, how many, count), oldest first.
    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs { bytes: &self.bytes, bucket: self.start, zeros: self.zeros }
    }

    /// The counts of `[from, to)` as numbers; beyond its ends there is nothing.
    pub(crate) fn values(&self, from: i64, to: i64) -> Vec<f64> {
        let from = from.max(self.start);
        let length = usize::try_from(to.min(self.end()).saturating_sub(from)).unwrap_or(0);
        let mut values = vec![0.0; length];
        for (bucket, _, count) in self.runs().filter(|(.., count)| *count > 0) {
            let place = usize::try_from(bucket - from).ok().and_then(|index| values.get_mut(index));
            if let Some(value) = place {
                *value = count as f64;
            }
        }
        values
    }

    /// Lets go of the counts before `from`.
    pub(crate) fn forget_before(&mut self, from: i64) {
        if from <= self.start {
            return;
        }
        if from >= self.end() {
            *self = Self::starting_at(from);
            return;
        }
        self.rewrite(from, |_, count| count);
    }

    /// Adds to a count inside the row; false if it lies outside.
    pub(crate) fn add(&mut self, bucket: i64, more: u64) -> bool {
        let is_inside = (self.start..self.end()).contains(&bucket);
        if is_inside {
            self.rewrite(
                self.start,
                |at, count| if at == bucket { count.saturating_add(more) } else { count },
            );
        }
        is_inside
    }

    /// What it takes in memory beyond itself.
    pub(crate) fn bytes(&self) -> usize {
        super::super::size::list::<u8>(self.bytes.len())
    }

    fn rewrite(&mut self, from: i64, change: impl Fn(i64, u64) -> u64) {
        let mut fresh = Self::starting_at(from);
        fresh.bytes.reserve(self.bytes.len() + 8);
        for (bucket, run, count) in self.runs() {
            for at in bucket.max(from)..bucket + run {
                fresh.push(change(at, count));
            }
        }
        *self = fresh;
    }
}

/// The runs of a [`Series`].
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    bucket: i64,
    zeros: i64,
}

impl Iterator for Runs<'_> {
    type Item = (i64, i64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let bucket = self.bucket;
        let (length, count) = match read(&mut self.bytes) {
            Some(0) => (read(&mut self.bytes).and_then(|run| i64::try_from(run).ok()).unwrap_or(0), 0),
            Some(count) => (1, count),
            None if self.zeros > 0 => (std::mem::take(&mut self.zeros), 0),
            None => return None,
        };
        self.bucket = bucket.saturating_add(length);
        Some((bucket, length, count))
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..).unwrap_or_default();
            return Some(number);
        }
    }
    *bytes = &[];
    None
}
