//! What a searcher needs of the log: its sealed segments, and the rest of it in order.

use std::ops::ControlFlow;

use crate::event::{Event, Position};
use crate::index::{Terms, Timed};
use crate::log::{LogError, TimeRange};
use crate::time::Timestamp;

/// What visits events.
pub type VisitEvent<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// What a sealed segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Its first position.
    pub first: Position,
    /// Its last one.
    pub last: Position,
    /// The earliest time of an event in it.
    pub from: Timestamp,
    /// The latest one.
    pub to: Timestamp,
}

/// A sealed segment: its index and its events.
pub trait Sealed: Timed + Terms<Error = LogError> {
    /// The events with these numbers, which ascend; numbers that are no events are left out.
    fn events(&mut self, numbers: &[u32]) -> Result<Vec<Event>, LogError>;
}

/// A log: sealed segments, and behind them the part that is not sealed.
///
/// A daemon seals and merges while a search goes on. So [`Parts::segments`] decides what is sealed until it is called
/// again: those segments can be opened, and [`Parts::backwards`] and [`Parts::forwards`] give every event that is in
/// none of them, also one that was sealed since.
pub trait Parts {
    /// The sealed segments, in order of position.
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError>;

    /// The segment that begins at this position.
    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, LogError>;

    /// Visits the events that are not sealed, before a position and with their own time in the range, by position
    /// descending, until told to stop. Reads nothing where all of them come later.
    fn backwards(
        &mut self,
        before: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError>;

    /// The same by position ascending, after a position.
    fn forwards(
        &mut self,
        after: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError>;

    /// The event at a position, sealed or not; none where there is none.
    fn get(&mut self, position: Position) -> Result<Option<Event>, LogError>;
}
