//! The decaying sum of the scores of a key's alerts. A hit's value is the score and the rule's id, joined by a unit separator.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// The decaying sum of the scores of a key's alerts. A hit's value is the score and the rule's id, joined by a unit separator.
#[derive(Debug, Clone)]
pub struct RiskSpec {
    /// After how long a score counts half.
    pub half_life: Span,
    /// When the sum is worth a finding.
    pub compare: crate::rule::ast::Compare,
    /// How late an event may still count.
    pub lateness: Span,
}

/// One key's scores.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RiskState {
    last: Timestamp,
}

impl RiskSpec {
    /// After twenty half-lives nothing is left of a score.
    pub(super) const fn memory(&self) -> Span {
        Span(self.half_life.0.saturating_mul(20))
    }

    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut RiskState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut RiskState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl RiskState {
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
