//! What an index knows about a query: which events it surely finds, and which it may find.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::postings::Damaged;

/// The events of a segment that a query finds, by number, as far as the index tells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Found, without a look at them.
    pub sure: RoaringBitmap,
    /// All that may be found; has the sure ones too. What is only possible must be looked at.
    pub possible: RoaringBitmap,
}

/// Why an index could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// Where it is kept, something went wrong.
    #[error(transparent)]
    Terms(E),
    /// What is kept is not what was written.
    #[error("the index of a segment is damaged")]
    Damaged,
}

impl<E> From<Damaged> for ReadError<E> {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
}

impl Answer {
    /// Exactly these.
    pub(super) fn exactly(found: RoaringBitmap) -> Self {
        Self { sure: found.clone(), possible: found }
    }

    /// Perhaps some of these.
    pub(super) fn at_most(possible: RoaringBitmap) -> Self {
        Self { sure: RoaringBitmap::new(), possible }
    }

    /// Whether nothing needs to be looked at.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sure.len() == self.possible.len()
    }

    /// What must be looked at.
    #[must_use]
    pub fn doubtful(&self) -> RoaringBitmap {
        &self.possible - &self.sure
    }

    pub(super) fn and(&mut self, other: &Self) {
        self.sure &= &other.sure;
        self.possible &= &other.possible;
    }

    pub(super) fn or(&mut self, other: &Self) {
        self.sure |= &other.sure;
        self.possible |= &other.possible;
    }

    /// What is surely not found becomes sure, and what may be found may not be.
    pub(super) fn not(self, all: &RoaringBitmap) -> Self {
        Self { sure: all - self.possible, possible: all - self.sure }
    }

    /// Only the events with these numbers.
    #[must_use]
    pub fn within(mut self, numbers: Range<u32>) -> Self {
        for bitmap in [&mut self.sure, &mut self.possible] {
            bitmap.remove_range(..numbers.start);
            bitmap.remove_range(numbers.end..);
        }
        self
    }
}
