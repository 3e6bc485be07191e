//! The values of a field, common and rare ones alike.

use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::answer::ReadError;
use super::field::{Field, PRESENT};
use super::postings::{self, Damaged};
use super::{Terms, rare};

/// Looks values up in a segment's index.
#[derive(Debug)]
pub struct Dictionary<'a, T: ?Sized> {
    terms: &'a mut T,
}

/// The events that have a value.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// Only this one.
    One(u32),
    /// So many; their numbers are encoded.
    List(u32, &'a [u8]),
}

impl Numbers<'_> {
    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::List(count, _) => count,
        }
    }

    /// The first of them.
    pub(super) fn first(self) -> Result<Option<u32>, Damaged> {
        match self {
            Self::One(number) => Ok(Some(number)),
            Self::List(_, bytes) => postings::first(bytes),
        }
    }

    pub(super) fn add_to(self, bitmap: &mut RoaringBitmap) -> Result<(), Damaged> {
        match self {
            Self::One(number) => {
                bitmap.insert(number);
                Ok(())
            }
            Self::List(_, bytes) => postings::decode_into(bytes, bitmap),
        }
    }
}

/// What [`Dictionary::visit`] calls for each value: its bytes (see `Field::decode`) and its events.
pub type VisitValue<'a> = dyn FnMut(&[u8], Numbers<'_>) -> ControlFlow<()> + 'a;

impl<'a, T: Terms + ?Sized> Dictionary<'a, T> {
    /// Of this index.
    pub const fn new(terms: &'a mut T) -> Self {
        Self { terms }
    }

    /// The events that have the field at all.
    pub fn present(&mut self, field: Field) -> Result<RoaringBitmap, ReadError<T::Error>> {
        self.common(field, PRESENT).map(Option::unwrap_or_default)
    }

    /// Every event of the segment.
    pub fn all(&mut self) -> Result<RoaringBitmap, ReadError<T::Error>> {
        Ok(self.present(Field::Source)? | self.present(Field::Unindexed)?)
    }

    /// The events with this stored value.
    pub(super) fn lookup(
        &mut self,
        field: Field,
        value: &[u8],
    ) -> Result<RoaringBitmap, ReadError<T::Error>> {
        if let Some(found) = self.common(field, value)? {
            return Ok(found);
        }
        let mut found = RoaringBitmap::new();
        self.rare(field, value, &mut |known, numbers| {
            if let (true, Numbers::One(number)) = (known == value, numbers) {
                found.insert(number);
            }
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Visits the values from one on: first the common ones, then those that one event has each, both in order of
    /// their bytes. A break ends only the part that it comes in.
    pub fn visit(
        &mut self,
        field: Field,
        from: &[u8],
        visit: &mut VisitValue<'_>,
    ) -> Result<(), ReadError<T::Error>> {
        let mut common = |value: &[u8], count: u32, bytes: &[u8]| visit(value, Numbers::List(count, bytes));
        self.terms.scan(field.number(), from, &mut common).map_err(ReadError::Terms)?;
        self.rare(field, from, visit)
    }

    fn common(&mut self, field: Field, value: &[u8]) -> Result<Option<RoaringBitmap>, ReadError<T::Error>> {
        let found = self.terms.postings(field.number(), value).map_err(ReadError::Terms)?;
        found.map(|bytes| Ok(postings::decode(&bytes)?)).transpose()
    }

    /// The rare values from one on. A block stands under its last value, so the first block from `from` on is the
    /// one in which `from` would be.
    fn rare(
        &mut self,
        field: Field,
        from: &[u8],
        visit: &mut VisitValue<'_>,
    ) -> Result<(), ReadError<T::Error>> {
        let (mut damaged, mut blocks) = (false, rare::Blocks::default());
        let mut block = |_: &[u8], _: u32, bytes: &[u8]| {
            let flow = blocks.visit(bytes, &mut |value, number| {
                if value < from { ControlFlow::Continue(()) } else { visit(value, Numbers::One(number)) }
            });
            damaged |= flow.is_err();
            flow.unwrap_or(ControlFlow::Break(()))
        };
        self.terms.scan(field.rare(), from, &mut block).map_err(ReadError::Terms)?;
        if damaged { Err(Damaged.into()) } else { Ok(()) }
    }
}
