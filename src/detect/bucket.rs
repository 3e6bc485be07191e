//! A bucket that leaks, and overflows when events come faster.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A bucket that leaks, and overflows when events come faster.
#[derive(Debug, Clone)]
pub struct BucketSpec {
    /// How many events it holds; one more overflows.
    pub capacity: u64,
    /// How long one event takes to leak out.
    pub leak: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// One key's bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BucketState {
    last: Timestamp,
}

impl BucketSpec {
    /// Empty after this much silence.
    pub(super) fn memory(&self) -> Span {
        Span(self.leak.0.saturating_mul(i64::try_from(self.capacity).unwrap_or(i64::MAX)))
    }

    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut BucketState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut BucketState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl BucketState {
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        0
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        Vec::new()
    }
}
