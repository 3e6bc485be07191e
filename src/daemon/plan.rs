//! Which actions an alert sets off: those its rule names, and those of every route that matches; and what may hold them
//! back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::ActionSet;
use crate::alert::Alert;
use crate::config::{Config, Route};
use crate::engine::RuleSet;
use crate::route::{Case, Escalation, Policy, Scene, Way, way};
use crate::store::{Candidate, DeliveryKind};
use crate::time::Timestamp;

/// The routes, what holds back, and the actions that routes and rules may name.
#[derive(Debug)]
pub(super) struct Plan {
    routes: Vec<Route>,
    policy: Policy,
    actions: Arc<ActionSet>,
}

impl Plan {
    /// A plan; tells the operator which actions the rules name in vain.
    pub(super) fn new(config: &Config, actions: Arc<ActionSet>, rules: &RuleSet) -> Self {
        let plan = Self { routes: config.routes.clone(), policy: config.noise.clone(), actions };
        for (action, rules) in plan.unknown_actions(rules) {
            tracing::warn!(action, rules, "rules name an action that is not configured; it is passed over");
        }
        plan
    }

    /// One that sends nothing anywhere.
    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self { routes: Vec::new(), policy: Policy::default(), actions: Arc::default() }
    }

    /// What holds alerts back.
    pub(super) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What a new alert is to set off.
    pub(super) fn candidate(&self, alert: &Alert, scene: Scene, rules: &RuleSet, at: Timestamp) -> Candidate {
        let named = rules.unit(&alert.rule).map(|unit| unit.rule.respond.as_slice()).unwrap_or_default();
        let Way { told, escalate } = way(&self.routes, named, &Case { alert, scene: &scene }, at);
        let told =
            told.into_iter().filter_map(|told| Some((self.actions.kind(&told.action)?, told))).collect();
        let tells = |name: &String| self.actions.kind(name) == Some(DeliveryKind::Notify);
        let step = |step: Escalation| {
            let actions = step.actions.into_iter().filter(tells).collect();
            Escalation { actions, ..step }
        };
        Candidate { alert: alert.clone(), scene, told, escalate: escalate.into_iter().map(step).collect() }
    }

    /// The action names in rules that no configured action has, which are passed over, and how many rules
    /// name each.
    fn unknown_actions(&self, rules: &RuleSet) -> BTreeMap<String, usize> {
        let mut unknown = BTreeMap::new();
        for name in rules.units().iter().flat_map(|unit| &unit.rule.respond) {
            if self.actions.kind(name).is_none() {
                *unknown.entry(name.clone()).or_default() += 1;
            }
        }
        unknown
    }
}
