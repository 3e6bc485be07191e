//! What happened: one audit event as it was received, and the entries of the log.
//!
//! An event is its sender's bytes plus what the receiver knows about them. Nothing is taken out of the bytes
//! and put elsewhere: [`canonical`] lays the common field names over the original ones when somebody reads.

mod canonical;
mod catalogue;
mod computed;
mod extract;
mod format;
mod mend;
mod marks;
mod number;
mod past;
mod plan;
mod scan;
mod shape;
mod walk;

pub use canonical::canonical;
pub use catalogue::{Catalogue, EventType, Tier};
pub use extract::{ExtractError, Extracted, Scalar, Values};
pub use format::{Format, Mapping};
pub(crate) use marks::Marks;
pub use number::{millionths, number};
pub use past::{PAST, is_past};
pub use plan::Plan;

use std::sync::Arc;

use bytes::Bytes;

use crate::time::Timestamp;

/// An event's place in the log: 1 for the first, without gaps.
pub type Position = u64;

/// One audit event, immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Place in the log; 0 while it is not yet there.
    pub position: Position,
    /// When the receiver had it; in a backtest over files, the event's own time.
    pub received_at: Timestamp,
    /// The event's own time (`created_at`); the arrival time where the event has none.
    pub time: Timestamp,
    /// The name of the configured source.
    pub source: Arc<str>,
    /// The system it happened in: which ids are of one account, and which deliveries of one event.
    pub forge: Arc<str>,
    /// How the bytes are to be read; also the Sigma `product` they belong to.
    pub format: Format,
    /// The type that stood in the request's header, where the body has none.
    pub type_hint: Option<Box<str>>,
    /// One JSON object, exactly as the sender wrote it.
    pub raw: Bytes,
}

impl Event {
    /// The time the windows use: the event's own, or its arrival when it claims to come from the future
    /// (more than five minutes ahead), so that one wrong clock cannot move everybody's windows.
    #[must_use]
    pub fn judged_at(&self) -> Timestamp {
        if self.is_from_the_future() { self.received_at } else { self.time }
    }

    /// Whether the event's own time lies more than five minutes after its arrival.
    #[must_use]
    pub fn is_from_the_future(&self) -> bool {
        self.time > self.received_at.plus(crate::time::Span::minutes(5))
    }
}

/// One entry of the log; all that the engine ever reads, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Something happened.
    Event(Event),
    /// The clock moved on while the sources were idle.
    Tick {
        /// Place in the log.
        position: Position,
        /// What the clock said.
        at: Timestamp,
    },
}

impl Entry {
    /// Place in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Tick { position, .. } => *position,
        }
    }
}
