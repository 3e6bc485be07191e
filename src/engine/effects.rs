//! What judging a stretch of the log led to.

use rustc_hash::FxHashMap;

use crate::alert::{Alert, AlertId, Finding, LedgerEntry, LedgerReason};
use crate::event::Position;

/// What judging a stretch of the log led to, until somebody takes it.
#[derive(Debug, Default)]
pub struct Effects {
    /// Every finding, in the order of the log.
    pub findings: Vec<Finding>,
    /// New and changed alerts, each once, in the order they first changed.
    pub alerts: Vec<OpenedAlert>,
    /// What could not be judged, summed per rule and reason.
    pub ledger: Vec<LedgerEntry>,
    places: FxHashMap<AlertId, usize>,
    ledger_places: FxHashMap<(std::sync::Arc<str>, LedgerReason), usize>,
}

/// An alert and whether this stretch opened it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenedAlert {
    /// As it now stands.
    pub alert: Alert,
    /// Whether it is new, so that its actions are due.
    pub is_new: bool,
}

impl Effects {
    /// Empties it for the next stretch.
    pub fn clear(&mut self) {
        self.findings.clear();
        self.alerts.clear();
        self.ledger.clear();
        self.places.clear();
        self.ledger_places.clear();
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.alerts.is_empty() && self.ledger.is_empty()
    }

    pub(super) fn alert(&mut self, alert: Alert, is_new: bool) {
        if let Some(known) = self.places.get(&alert.id).and_then(|place| self.alerts.get_mut(*place)) {
            known.alert = alert;
            return;
        }
        self.places.insert(alert.id.clone(), self.alerts.len());
        self.alerts.push(OpenedAlert { alert, is_new });
    }

    pub(super) fn absorb(&mut self, absorbed: AlertId, into: &AlertId, mut alert: Alert) {
        alert.id = absorbed;
        alert.merged_into = Some(into.clone());
        self.alert(alert, false);
    }

    pub(super) fn ledger(
        &mut self,
        rule: &std::sync::Arc<str>,
        reason: LedgerReason,
        position: Position,
        detail: Option<String>,
    ) {
        let place =
            self.ledger_places.entry((std::sync::Arc::clone(rule), reason)).or_insert(self.ledger.len());
        match self.ledger.get_mut(*place) {
            Some(entry) => {
                entry.count += 1;
                entry.last = position;
                entry.detail = detail.or(entry.detail.take());
            }
            None => self.ledger.push(LedgerEntry {
                rule: std::sync::Arc::clone(rule),
                reason,
                count: 1,
                first: position,
                last: position,
                detail,
            }),
        }
    }
}
