//! A value that hardly any of the peers shows. The state's key is the peers' group; a hit's value is the alert's key and then the looked-at fields, joined by unit separators.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A value that hardly any of the peers shows. The state's key is the peers' group; a hit's value is the alert's key and then the looked-at fields, joined by unit separators.
#[derive(Debug, Clone)]
pub struct RareSpec {
    /// The fields, for people.
    pub fields: String,
    /// The peers' fields, for people; empty: all are peers.
    pub peers: String,
    /// How many of a hit's values are the alert's key.
    pub key_fields: usize,
    /// How far back events count.
    pub history: Span,
    /// A share under this is rare, 0 to 1.
    pub below: f64,
    /// With fewer events nothing is said.
    pub min_events: u64,
    /// How late an event may still count.
    pub lateness: Span,
}

/// What one group of peers showed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RareState {
    last: Timestamp,
}

impl RareSpec {
    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut RareState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut RareState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl RareState {
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
