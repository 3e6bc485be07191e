//! An hour of the week at which the key practically never acts.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// An hour of the week at which the key practically never acts.
#[derive(Debug, Clone)]
pub struct UnusualHourSpec {
    /// How long a key is watched before it may fire.
    pub learn: Span,
    /// Expected false alarms per key and year.
    pub sensitivity: f64,
    /// How late an event may still count.
    pub lateness: Span,
}

/// When one key acts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UnusualHourState {
    last: Timestamp,
}

impl UnusualHourSpec {
    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut UnusualHourState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut UnusualHourState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl UnusualHourState {
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
