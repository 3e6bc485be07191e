//! A stretch of time with far more, or far less, than the key's own past.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A stretch of time with far more, or far less, than the key's own past.
#[derive(Debug, Clone)]
pub struct SpikeSpec {
    /// What is measured.
    pub spike: crate::rule::ast::Spike,
    /// How late an event may still count.
    pub lateness: Span,
}

/// One key's past.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SpikeState {
    last: Timestamp,
}

impl SpikeSpec {
    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut SpikeState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut SpikeState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl SpikeState {
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
