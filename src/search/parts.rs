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
pub trait Parts {
    /// The sealed segments, in order of position. While a search goes on they may be merged; those named here can
    /// be opened until the next call.
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError>;

    /// The segment that begins at this position.
    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, LogError>;

    /// Visits the events that are not sealed, before a position and with their own time in the range, by position
    /// descending, until told to stop.
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
