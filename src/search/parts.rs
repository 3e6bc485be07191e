//! What a searcher needs of the log: its sealed segments, and the rest of it in order.

use std::fmt;
use std::ops::ControlFlow;

use super::SearchError;
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

/// A part of the log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The first position that is missing, or may be.
    pub first: Position,
    /// The last one.
    pub last: Position,
    /// When its events happened, if that is known.
    pub times: Option<(Timestamp, Timestamp)>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, reason, .. } = self;
        write!(f, "events at positions {first} to {last} may be missing from this: {reason}")
    }
}

/// A sealed segment: its index and its events.
pub trait Sealed: Timed + Terms<Error = LogError> {
    /// Whether its index is of the version that this program knows; else only its times count.
    fn is_indexed(&self) -> bool;

    /// Visits the events with these numbers in their order, which is one of positions or its reverse, until told to
    /// stop; numbers that are no events are left out. An event that is visited may hold a whole block: who keeps it
    /// copies what was sent.
    fn events(&mut self, numbers: &[u32], visit: &mut VisitEvent<'_>) -> Result<(), LogError>;
}

/// A log: sealed segments, and behind them the part that is not sealed.
///
/// A daemon seals and merges while a search goes on. So [`Parts::segments`] decides what is sealed until it is called
/// again: those segments can be opened, and [`Parts::backwards`] and [`Parts::forwards`] give every event that is in
/// none of them, also one that was sealed since. One that was merged may be gone, which says so.
pub trait Parts {
    /// The sealed segments, in order of position; without those that are damaged.
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError>;

    /// The segment that begins at this position. [`SearchError::Moved`] where it is gone: all must be asked anew.
    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, SearchError>;

    /// What could not be listed, or be read since.
    fn damaged(&self) -> &[Damage];

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
