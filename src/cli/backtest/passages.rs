//! Which way the alerts of a backtest would have gone: the routes, and what would have kept alerts from being told.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::progress::grouped;
use crate::alert::Alert;
use crate::cli::terminal::{clean, wrap};
use crate::route::{HeldBy, Passage, Route};

/// How many rules are told apart.
const RULES_MAX: usize = 10_000;

/// What became of all alerts.
#[derive(Debug, Default)]
pub(super) struct Passages {
    /// Each route, by its numbers from the root, with the actions it names and how many alerts went it.
    routes: BTreeMap<Vec<usize>, (Vec<String>, u64)>,
    /// Alerts that no route matched.
    without: u64,
    /// Alerts of which something was held back, by the first that did.
    held: BTreeMap<HeldBy, u64>,
    /// How often a storm began.
    storms: u64,
    /// The actions that alerts of a rule went to, in the order in which they came up.
    actions: BTreeMap<String, Vec<String>>,
}

impl Passages {
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut all = Self::default();
        all.enter(routes, &[]);
        all
    }

    fn enter(&mut self, routes: &[Route], above: &[usize]) {
        for (number, route) in (1..).zip(routes) {
            let path: Vec<usize> = above.iter().copied().chain([number]).collect();
            self.enter(&route.routes, &path);
            self.routes.insert(path, (route.actions.clone(), 0));
        }
    }

    /// One alert more.
    pub(super) fn add(&mut self, alert: &Alert, passage: &Passage) {
        for path in &passage.routes {
            if let Some((_, count)) = self.routes.get_mut(path) {
                *count += 1;
            }
        }
        self.without += u64::from(passage.routes.is_empty());
        if let Some(first) = passage.holds.first() {
            *self.held.entry(first.by).or_default() += 1;
        }
        self.storms += u64::from(passage.begins_storm);
        if self.actions.len() >= RULES_MAX && !self.actions.contains_key(&*alert.rule) {
            return;
        }
        let actions = self.actions.entry(alert.rule.to_string()).or_default();
        for (told, _) in &passage.told {
            if !actions.contains(&told.action) {
                actions.push(told.action.clone());
            }
        }
    }

    /// The actions that alerts of a rule went to.
    pub(super) fn actions_of(&self, rule: &str) -> &[String] {
        self.actions.get(rule).map(Vec::as_slice).unwrap_or_default()
    }

    /// For people; nothing where nothing is routed and nothing was held back.
    pub(super) fn text(&self, width: usize) -> String {
        let mut text = String::new();
        if self.routes.is_empty() && self.held.is_empty() {
            return text;
        }
        text.push_str("which way the alerts would have gone\n");
        let mut line = |said: &str| text.push_str(&wrap(&clean(said), (2, 6), width));
        for (path, (actions, count)) in self.routes.iter().filter(|(_, (_, count))| *count > 0) {
            let to = if actions.is_empty() { String::new() } else { format!(" to {}", actions.join(", ")) };
            line(&format!("route {}: {}{to}", numbers(path), alerts(*count)));
        }
        if self.without > 0 && !self.routes.is_empty() {
            line(&format!("no route: {}", alerts(self.without)));
        }
        let idle: Vec<String> =
            self.routes.iter().filter(|(_, (_, count))| *count == 0).map(|(path, _)| numbers(path)).collect();
        if !idle.is_empty() {
            line(&format!("never: route {}", idle.join(", ")));
        }
        for (by, count) in &self.held {
            let more = match (by, self.storms) {
                (HeldBy::Storm, 1) => ", in 1 storm".to_owned(),
                (HeldBy::Storm, storms @ 2..) => format!(", in {} storms", grouped(storms)),
                _ => String::new(),
            };
            line(&format!("held back by {}: {}{more}", by.name(), alerts(*count)));
        }
        line(
            "Silences are not asked: they are of today. Nobody acknowledges, resolves or approves anything.",
        );
        let _ = writeln!(text);
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let held: BTreeMap<&str, u64> = self.held.iter().map(|(by, count)| (by.name(), *count)).collect();
        let route = |(path, (actions, count)): (&Vec<usize>, &(Vec<String>, u64))| json!({"route": numbers(path), "actions": actions, "alerts": count});
        json!({
            "routes": self.routes.iter().map(route).collect::<Vec<_>>(),
            "without": self.without,
            "held": held,
            "storms": self.storms,
            "by_rule": self.actions,
        })
    }
}

/// As `watchfire route explain` numbers them.
fn numbers(path: &[usize]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

fn alerts(count: u64) -> String {
    if count == 1 { "1 alert".to_owned() } else { format!("{} alerts", grouped(count)) }
}
