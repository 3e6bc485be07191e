//! An action that collects what it is given: the double for tests. The configuration cannot name it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::deliver::DeliveryError;
use crate::encode::{Notice, Notification};
use crate::store::{DeliveryKind, Outcome};

/// Collects notifications; clones share what they collect.
#[derive(Debug, Clone)]
pub struct Memory {
    kind: DeliveryKind,
    seen: Arc<Mutex<Vec<Notification>>>,
    noticed: Arc<Mutex<Vec<Notice>>>,
    failures: Arc<Mutex<Vec<DeliveryError>>>,
}

impl Memory {
    /// Empty, as a response or a notification.
    #[must_use]
    pub fn new(kind: DeliveryKind) -> Self {
        Self { kind, seen: Arc::default(), noticed: Arc::default(), failures: Arc::default() }
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

    /// All notices it was given, in order.
    #[must_use]
    pub fn noticed(&self) -> Vec<Notice> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn tell(&self, notice: &Notice) -> Result<Outcome, DeliveryError> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).push(notice.clone());
        self.end(format!("kept notice {} in memory", notice.title))
    }

    pub(super) fn run(&self, notification: &Notification) -> Result<Outcome, DeliveryError> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(notification.clone());
        self.end(format!("kept alert {} in memory", notification.alert.id))
    }

    fn end(&self, summary: String) -> Result<Outcome, DeliveryError> {
        if let Some(error) = self.failures.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Err(error);
        }
        let changed = self.kind == DeliveryKind::Respond;
        Ok(Outcome { changed, dry_run: false, summary, undo: None, needs_human: false })
    }
}
