//! Which parts of rules their tests have seen match, and not match.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::run::Runner;
use crate::cli::explain::tree::{self, Tree};
use crate::cli::terminal::clean;
use crate::daemon::Reading;
use crate::engine::Unit;
use crate::rule::ast::{Body, Detection};

/// The coverage of all rules that have tests.
pub(super) struct Coverage {
    rules: Vec<Covered>,
}

/// One rule's parts: selections, their tests, and the rule itself.
struct Covered {
    id: String,
    place: String,
    /// In the order of the file: where in the tree, what it is, and how it came out.
    parts: BTreeMap<Vec<usize>, Part>,
    raised: Seen,
}

struct Part {
    label: String,
    seen: Seen,
}

/// Whether something was seen to hold, and not to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    yes: bool,
    no: bool,
}

impl Coverage {
    /// Evaluates every part of every tested rule on every event of its tests.
    pub(super) fn of(runner: &Runner<'_>, reading: &Reading) -> anyhow::Result<Self> {
        let mut rules = Vec::new();
        for unit in runner.rules.units().iter().filter(|unit| !unit.rule.tests.is_empty()) {
            let detection = match &unit.rule.body {
                Body::Single(found) | Body::Behavior(found, _) | Body::Script(found, _, _) => found,
                Body::Correlation(_) => continue,
            };
            rules.push(covered(runner, reading, (unit, detection))?);
        }
        Ok(Self { rules })
    }

    fn totals(&self) -> (usize, usize) {
        let sides = |seen: Seen| usize::from(seen.yes) + usize::from(seen.no);
        let of = |rule: &Covered| -> (usize, usize) {
            let parts: usize = rule.parts.values().map(|part| sides(part.seen)).sum();
            (parts + sides(rule.raised), 2 * (rule.parts.len() + 1))
        };
        self.rules.iter().map(of).fold((0, 0), |sum, rule| (sum.0 + rule.0, sum.1 + rule.1))
    }

    /// What no test shows, for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for rule in &self.rules {
            let missing = rule.missing();
            if !missing.is_empty() {
                let _ = writeln!(text, "{}  {}", rule.id, rule.place);
                for line in missing {
                    let _ = writeln!(text, "  {line}");
                }
            }
        }
        let (covered, all) = self.totals();
        let share = (covered * 100).checked_div(all).unwrap_or(100);
        let _ =
            writeln!(text, "coverage: {covered} of {all} outcomes ({share} %), {} rules", self.rules.len());
        text
    }

    /// The same as an object.
    pub(super) fn json(&self) -> Value {
        let (covered, all) = self.totals();
        let rule = |rule: &Covered| json!({"rule": rule.id, "at": rule.place, "missing": rule.missing()});
        json!({"covered": covered, "all": all, "rules": self.rules.iter().map(rule).collect::<Vec<_>>()})
    }
}

fn covered(
    runner: &Runner<'_>,
    reading: &Reading,
    (unit, detection): (&Unit, &Detection),
) -> anyhow::Result<Covered> {
    let catalogue = Arc::clone(reading.rules.catalogue());
    let rule = &unit.rule;
    let mut covered = Covered {
        id: rule.id.to_string(),
        place: format!("{}:{}", rule.origin.path, rule.origin.line),
        parts: BTreeMap::new(),
        raised: Seen::default(),
    };
    for test in &rule.tests {
        let own = test
            .alerts
            .iter()
            .any(|alert| alert.get("rule").and_then(Value::as_str).is_none_or(|other| *other == *rule.id));
        covered.raised.yes |= own;
        covered.raised.no |= !own;
        // Events that differ only in time and id come out the same; a few of each test are enough to know.
        for event in runner.events(rule, test).unwrap_or_default().iter().take(EVENTS_MAX) {
            let found = tree::evaluate(detection, event, (reading, &catalogue))?;
            for (index, selection) in found.selections.iter().enumerate() {
                covered.note(selection, &mut vec![index]);
            }
        }
    }
    Ok(covered)
}

/// How many events of one test are looked at.
const EVENTS_MAX: usize = 200;

impl Covered {
    fn note(&mut self, tree: &Tree, path: &mut Vec<usize>) {
        let part = self
            .parts
            .entry(path.clone())
            .or_insert_with(|| Part { label: clean(&tree.label), seen: Seen::default() });
        part.seen.yes |= tree.holds;
        part.seen.no |= !tree.holds;
        for (index, inner) in tree.parts.iter().enumerate() {
            path.push(index);
            self.note(inner, path);
            path.pop();
        }
    }

    fn missing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.raised.yes {
            lines.push("no test expects an alert".to_owned());
        }
        if !self.raised.no {
            lines.push("no test expects that there is none".to_owned());
        }
        for part in self.parts.values() {
            match (part.seen.yes, part.seen.no) {
                (false, _) => lines.push(format!("never matches: {}", part.label)),
                (true, false) => lines.push(format!("always matches: {}", part.label)),
                (true, true) => {}
            }
        }
        lines
    }
}
