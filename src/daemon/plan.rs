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
        let rule = rules.unit(&alert.rule).map(|unit| &unit.rule);
        let named = rule.map(|rule| rule.respond.as_slice()).unwrap_or_default();
        let rehearses = rule.is_some_and(|rule| rule.dry_run);
        let Way { told, escalate } = way(&self.routes, named, &Case { alert, scene: &scene }, at);
        let told =
            told.into_iter().filter_map(|told| Some((self.actions.kind(&told.action)?, told))).collect();
        let tells = |name: &String| self.actions.kind(name) == Some(DeliveryKind::Notify);
        let step = |step: Escalation| {
            let actions = step.actions.into_iter().filter(tells).collect();
            Escalation { actions, ..step }
        };
        let escalate = escalate.into_iter().map(step).collect();
        Candidate { alert: alert.clone(), scene, told, escalate, rehearses }
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

/// The names of the actions of an alert, each once, in the order rule, routes; also of those that nobody configured. What
/// only its events could tell, such as paths, is taken from its key alone, and the hour is that of its last finding.
#[must_use]
pub fn actions_of(alert: &Alert, rules: &RuleSet, routes: &[Route]) -> Vec<String> {
    let named = rules.unit(&alert.rule).map(|unit| unit.rule.respond.as_slice()).unwrap_or_default();
    let scene = Scene::of_key(&alert.key);
    let way = way(routes, named, &Case { alert, scene: &scene }, alert.last_at);
    way.told.into_iter().map(|told| told.action).collect()
}
