//! What a sealed segment knows about its events besides the events: which of them have a value in a field, or a word
//! anywhere. Pure: [`Builder`] makes terms of events, [`Terms`] is how a reader asks for them, wherever they are kept.

use std::ops::ControlFlow;

mod builder;

pub use builder::Builder;

/// One line of the index: the events, by their number in the segment, that have this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The number of the field; numbers are never used again for another one.
    pub field: u8,
    /// The value, in the form that is compared.
    pub value: Box<[u8]>,
    /// How many events have it.
    pub count: u32,
    /// Their numbers, encoded.
    pub postings: Vec<u8>,
}

/// What [`Terms::scan`] calls for each term: value, count, postings.
pub type Visit<'a> = dyn FnMut(&[u8], u32, &[u8]) -> ControlFlow<()> + 'a;

/// The index of one segment, wherever it is kept.
pub trait Terms {
    /// Why it could not be read.
    type Error;

    /// The postings of one term; none where no event has the value.
    fn postings(&mut self, field: u8, value: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// All terms of a field from a value on, in the order of their bytes, until told to stop.
    fn scan(&mut self, field: u8, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Self::Error>;
}
