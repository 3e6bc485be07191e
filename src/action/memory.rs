//! An action that collects what it is given: the double for tests. The configuration cannot name it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::deliver::DeliveryError;
use crate::encode::Notification;
use crate::store::{DeliveryKind, Outcome};

/// Collects notifications; clones share what they collect.
#[derive(Debug, Clone)]
pub struct Memory {
    kind: DeliveryKind,
    seen: Arc<Mutex<Vec<Notification>>>,
    failures: Arc<Mutex<Vec<DeliveryError>>>,
}

impl Memory {
    /// Empty, as a response or a notification.
    #[must_use]
    pub fn new(kind: DeliveryKind) -> Self {
        Self { kind, seen: Arc::default(), failures: Arc::default() }
    }

    /// Lets the next run fail; several are taken last first.
    pub fn fail_next(&self, error: DeliveryError) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// All it was given, failed runs included, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Notification> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) const fn kind(&self) -> DeliveryKind {
        self.kind
    }

    pub(super) fn run(&self, notification: &Notification) -> Result<Outcome, DeliveryError> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(notification.clone());
        if let Some(error) = self.failures.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Err(error);
        }
        let changed = self.kind == DeliveryKind::Respond;
        let summary = format!("kept alert {} in memory", notification.alert.id);
        Ok(Outcome { changed, dry_run: false, summary, undo: None, needs_human: false })
    }
}
