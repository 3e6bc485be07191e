//! What a sealed segment knows about its events besides the events: which of them have a value in a field, or a word
//! anywhere. Pure: [`Builder`] makes terms of events, [`Terms`] is how a reader asks for them, wherever they are kept,
//! and [`evaluate`] says which events of a segment a query finds.
//!
//! | row of the index | field | value | postings |
//! |---|---|---|---|
//! | a value that several events have | the [`Field`]'s number | the folded value | their numbers |
//! | values that one event has each | that number + 128 | the last of them | a block of values and numbers |
//!
//! A value that only one event has costs a row more than it is worth, and such values (ids, hashes) are most of an
//! index. So they are packed, in order, some hundred to a row that is found by the last of them.

use std::ops::ControlFlow;

mod answer;
mod builder;
mod dictionary;
mod evaluate;
mod field;
mod gather;
mod glance;
mod known;
mod leaf;
mod merge;
mod postings;
mod rare;
mod tally;
mod values;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use answer::{Answer, ReadError};
pub use builder::Builder;
pub use dictionary::{Dictionary, Numbers, VisitValue};
pub use evaluate::evaluate;
pub use field::{Field, Value};
pub use gather::Finished;
pub use merge::{Source, Take, merge};
pub use tally::{VisitTally, has_dictionary, tally};
pub use values::values;

use roaring::RoaringBitmap;

use crate::event::Position;
use crate::time::Timestamp;

/// Changed whenever the same events give other terms, or terms are read in another way. An index of another version is
/// not asked: all events of its segment are looked at.
pub const VERSION: u32 = 1;

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

/// A segment whose index also knows when its events happened.
pub trait Timed: Terms {
    /// The position of the event with the number 0.
    fn first(&self) -> Position;

    /// The numbers of the events whose own time lies between these two, both included. Numbers of entries that are no
    /// events may be among them.
    fn between(&mut self, from: Timestamp, to: Timestamp) -> Result<RoaringBitmap, Self::Error>;

    /// Visits the numbers of all events with their own times, in order.
    fn times(&mut self, visit: &mut dyn FnMut(u32, Timestamp)) -> Result<(), Self::Error>;
}
