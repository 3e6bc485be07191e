//! How far a forwarder is, for metrics and the console.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::event::Position;

/// Shared with whoever shows it.
#[derive(Debug, Default)]
pub struct ForwardStatus {
    position: AtomicU64,
    log_position: AtomicU64,
    events: AtomicU64,
    failures: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl ForwardStatus {
    /// Everything up to here has arrived.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position.load(Relaxed)
    }

    /// How many log entries have not arrived yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.log_position.load(Relaxed).saturating_sub(self.position())
    }

    /// How many events were forwarded since the start.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// How many tries failed since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Why the last try failed; none once one has succeeded.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The log's own position, which is what the lag is measured against.
    pub(super) fn log_at(&self, position: Position) {
        self.log_position.fetch_max(position, Relaxed);
    }

    pub(super) fn arrived(&self, position: Position, events: u64) {
        self.position.store(position, Relaxed);
        self.log_at(position);
        self.events.fetch_add(events, Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failed(&self, error: String) {
        self.failures.fetch_add(1, Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_has_not_arrived() {
        let status = ForwardStatus::default();
        status.log_at(100);
        status.arrived(40, 39);
        assert_eq!((status.position(), status.lag(), status.events()), (40, 60, 39));
        status.failed("away".into());
        assert_eq!((status.failures(), status.last_error().as_deref()), (1, Some("away")));
        status.log_at(90);
        status.arrived(100, 60);
        assert_eq!((status.lag(), status.events(), status.last_error()), (0, 99, None));
    }
}
