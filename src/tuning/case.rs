//! Alerts that people have judged, with the events that are their evidence.

use serde_json::{Map, Value};

use super::TuneError;
use crate::alert::{Alert, AlertState, Verdict};
use crate::event::{Catalogue, Event, Position, canonical};
use crate::log::Reader;
use crate::store::{AlertQuery, Store};

/// Alerts of one verdict that are looked at, the newest first.
const ALERTS_MAX: usize = 200;

/// An alert and its events.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) alert: Alert,
    pub(super) events: Vec<Event>,
    /// The same in canonical form.
    pub(super) shown: Vec<Map<String, Value>>,
}

impl Case {
    /// From the first to the last event that is known to count; none without any.
    pub(super) fn stretch(&self) -> Option<(Position, Position)> {
        let positions = self.events.iter().map(|event| event.position);
        Some((positions.clone().min()?, positions.max()?))
    }

    /// Whether some of its events are out of sight: gone from the log, or more than an alert keeps the places of.
    pub(super) fn is_unseen(&self) -> bool {
        self.events.is_empty() || (self.events.len() as u64) < self.alert.evidence_count
    }
}

/// What is known of a rule's alerts. Those whose events retention has taken have none.
#[derive(Debug)]
pub(super) struct Cases {
    /// False positives and benign ones.
    pub(super) wrong: Vec<Case>,
    /// True positives.
    pub(super) right: Vec<Case>,
    /// Those that nobody has judged.
    pub(super) open: Vec<Case>,
}

impl Cases {
    /// Reads them.
    pub(super) fn read(
        store: &Store,
        reader: &mut Reader,
        (rule, catalogue): (&str, &Catalogue),
    ) -> Result<Self, TuneError> {
        let query = || AlertQuery {
            rule: Some(rule.to_owned()),
            whole_only: true,
            limit: ALERTS_MAX,
            ..AlertQuery::default()
        };
        let mut read = |query: AlertQuery| -> Result<Vec<Case>, TuneError> {
            let mut cases = Vec::new();
            for stored in store.alerts(&query)? {
                let mut events = Vec::new();
                for position in &stored.alert.evidence {
                    events.extend(reader.get(*position)?);
                }
                let shown = events.iter().map(|event| canonical(event, catalogue)).collect();
                cases.push(Case { alert: stored.alert, events, shown });
            }
            Ok(cases)
        };
        let mut wrong = read(AlertQuery { verdict: Some(Verdict::FalsePositive), ..query() })?;
        wrong.extend(read(AlertQuery { verdict: Some(Verdict::Benign), ..query() })?);
        let right = read(AlertQuery { verdict: Some(Verdict::TruePositive), ..query() })?;
        let mut open = read(AlertQuery { state: Some(AlertState::Open), ..query() })?;
        open.extend(read(AlertQuery { state: Some(AlertState::Acknowledged), ..query() })?);
        Ok(Self { wrong, right, open })
    }
}
