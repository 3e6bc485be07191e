//! Open alerts that may hold others back, found by what both must have in common.

use std::collections::BTreeMap;

use super::case::Case;
use super::condition::Reach;
use super::hold::OpenAlert;
use super::policy::{Inhibition, Policy};
use crate::alert::{AlertId, Level};
use crate::time::Timestamp;

/// Open alerts that were told.
#[derive(Debug, Clone, Default)]
pub struct Inhibitors {
    /// An alert that went up in another leaves its place empty.
    alerts: Vec<Option<OpenAlert>>,
    places: BTreeMap<AlertId, usize>,
    /// For each inhibition: which alerts may be its causes, by their values of its fields.
    causes: Vec<BTreeMap<Vec<String>, Vec<usize>>>,
}

impl Inhibitors {
    /// Of these alerts, in this order, those that the policy's inhibitions take for causes, whatever the hour is.
    #[must_use]
    pub fn new(policy: &Policy, alerts: impl IntoIterator<Item = OpenAlert>) -> Self {
        let mut all = Self { causes: vec![BTreeMap::new(); policy.inhibit.len()], ..Self::default() };
        for alert in alerts {
            all.push(policy, alert);
        }
        all
    }

    /// One more, behind the others.
    pub fn push(&mut self, policy: &Policy, open: OpenAlert) {
        let place = self.alerts.len();
        let case = Case { alert: &open.alert, scene: &open.scene };
        let mut is_cause = false;
        for (inhibition, causes) in policy.inhibit.iter().zip(&mut self.causes) {
            let may = inhibition.when.may_hold(&case, Reach::Any);
            if let Some(values) = inhibition.values(&case).filter(|_| may) {
                causes.entry(values).or_default().push(place);
                is_cause = true;
            }
        }
        if is_cause {
            self.places.insert(open.alert.id.clone(), place);
            self.alerts.push(Some(open));
        }
    }

    /// An alert has grown, or gone up in another.
    pub fn changed(&mut self, alert: &AlertId, at: Timestamp, is_gone: bool) {
        let place = self.places.get(alert).and_then(|place| self.alerts.get_mut(*place));
        match place {
            Some(place) if is_gone => *place = None,
            Some(Some(open)) => open.changed_at = open.changed_at.max(at),
            _ => {}
        }
    }

    /// How many places are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Lets go of those that did not change after this moment, and of all but the newest so many.
    pub fn keep(&mut self, policy: &Policy, since: Timestamp, most: usize) {
        let alerts = std::mem::take(&mut self.alerts);
        let left: Vec<OpenAlert> =
            alerts.into_iter().flatten().filter(|open| open.changed_at > since).collect();
        let old = left.len().saturating_sub(most);
        *self = Self::new(policy, left.into_iter().skip(old));
    }

    /// Those that may be causes of the inhibition of this number, from 1, and have the case's values.
    pub(super) fn of(
        &self,
        (number, inhibition): (usize, &Inhibition),
        case: &Case<'_>,
    ) -> impl Iterator<Item = &OpenAlert> {
        let causes = number.checked_sub(1).and_then(|place| self.causes.get(place));
        let places = causes.zip(inhibition.values(case)).and_then(|(causes, values)| causes.get(&values));
        places.into_iter().flatten().filter_map(|place| self.alerts.get(*place)?.as_ref())
    }
}

impl Policy {
    /// Whether an alert of this rule and level may hold others back, as far as that says.
    #[must_use]
    pub fn may_inhibit(&self, rule: &str, level: Level) -> bool {
        self.inhibit.iter().any(|inhibition| {
            let when = &inhibition.when;
            (when.levels.is_empty() || when.levels.contains(&level))
                && (when.rules.is_empty() || when.rules.iter().any(|name| name.matches(rule)))
        })
    }

    /// The longest time for which an open alert holds others back; none without inhibitions.
    #[must_use]
    pub fn longest_inhibition(&self) -> Option<crate::time::Span> {
        self.inhibit.iter().map(|inhibition| inhibition.within).max()
    }
}
