//! Two places too far apart for the time between. A hit's value is address, latitude, longitude and accuracy in kilometres (may be empty), joined by unit separators.

use serde::{Deserialize, Serialize};

use super::hit::{Hit, Outcome};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// Two places too far apart for the time between. A hit's value is address, latitude, longitude and accuracy in kilometres (may be empty), joined by unit separators.
#[derive(Debug, Clone)]
pub struct TravelSpec {
    /// Faster than this nobody travels, in kilometres an hour.
    pub max_kmh: f64,
    /// Places nearer than this are one place, in kilometres.
    pub min_km: f64,
    /// How late an event may still count.
    pub lateness: Span,
}

/// Where one key was.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TravelState {
    last: Timestamp,
}

impl TravelSpec {
    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut TravelState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let _ = watermark;
        state.last = state.last.max(hit.time);
        Outcome::default()
    }

    /// The watermark has passed a time that was asked for.
    pub(super) fn on_timer(&self, state: &mut TravelState, at: Timestamp) -> Outcome {
        let _ = (state, at);
        Outcome::default()
    }
}

impl TravelState {
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
