//! A value other than the key's last one.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A value other than the key's last one.
#[derive(Debug, Clone)]
pub struct ChangeSpec {
    /// The fields, for people.
    pub fields: String,
    /// How long a value holds; zero: for ever.
    pub within: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// What one key showed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangeState {
    last: Timestamp,
}

impl ChangeSpec {
    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut ChangeState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut ChangeState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl ChangeState {
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
