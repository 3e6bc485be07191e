//! Which actions an alert sets off: those its rule names, and those of every route that matches.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::ActionSet;
use crate::alert::Alert;
use crate::config::Route;
use crate::engine::RuleSet;
use crate::store::OutboxRow;
use crate::time::Timestamp;

/// The routes, and the actions they and the rules may name.
#[derive(Debug)]
pub(super) struct Plan {
    routes: Vec<Route>,
    actions: Arc<ActionSet>,
}

impl Plan {
    /// A plan; tells the operator which actions the rules name in vain.
    pub(super) fn new(routes: Vec<Route>, actions: Arc<ActionSet>, rules: &RuleSet) -> Self {
        let plan = Self { routes, actions };
        for (action, rules) in plan.unknown_actions(rules) {
            tracing::warn!(action, rules, "rules name an action that is not configured; it is passed over");
        }
        plan
    }

    /// The deliveries of a new alert, each action once, in the order rule, routes.
    pub(super) fn deliveries(&self, alert: &Alert, rules: &RuleSet, now: Timestamp) -> Vec<OutboxRow> {
        let names = actions_of(alert, rules, &self.routes);
        let rows = names.into_iter().filter_map(|name| Some((name, self.actions.kind(name)?)));
        rows.map(|(name, kind)| {
            let unique = format!("{}\0{name}", alert.id);
            OutboxRow::owed(kind, (alert.id.clone(), name), &unique, now)
        })
        .collect()
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

/// The names of the actions of an alert, each once, in the order rule, routes; also of those that nobody configured.
#[must_use]
pub fn actions_of<'a>(alert: &Alert, rules: &'a RuleSet, routes: &'a [Route]) -> Vec<&'a str> {
    let named = rules.unit(&alert.rule).map(|unit| unit.rule.respond.as_slice()).unwrap_or_default();
    let routed = routes.iter().filter(|route| route.matches(&alert.rule, alert.level, &alert.tags));
    let mut names: Vec<&str> = Vec::new();
    for name in named.iter().chain(routed.flat_map(|route| &route.actions)) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}
