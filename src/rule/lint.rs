//! What a rule can hardly mean although it can be read: values no event has, tests that exclude each other, work
//! for nothing. Warnings only, and only where nothing speaks for the rule being right.

mod contradiction;
mod cost;
mod enriched;

use std::sync::Arc;

use super::ast::{
    Behavior, Body, Compare, Condition, Detection, Filter, Kind, Node, Op, Origin, Rule, Spike, SpikeOf, Test,
};
use super::{Diagnostic, Severity, closest, suggest};
use crate::event::{Catalogue, Format};
use contradiction::Alternatives;

/// Looks at one rule. `text` is its file, for finding the words that are meant.
#[must_use]
pub fn lint(rule: &Rule, catalogue: &Catalogue, text: Option<&str>) -> Vec<Diagnostic> {
    let product = rule.logsource.product.as_deref();
    let mut linter = Linter::new(&rule.origin, product, catalogue, text);
    if let Body::Single(detection) | Body::Behavior(detection, _) | Body::Script(detection, _, _) = &rule.body
    {
        linter.detection(detection);
        linter.targets(rule, detection);
    }
    if let Body::Behavior(_, behavior) | Body::Script(_, behavior, _) = &rule.body {
        linter.behavior(behavior);
    }
    linter.found
}

/// Looks at one exception; its selections have the same slips as a rule's.
#[must_use]
pub fn lint_filter(filter: &Filter, catalogue: &Catalogue, text: Option<&str>) -> Vec<Diagnostic> {
    let product = filter.logsource.product.as_deref();
    let mut linter = Linter::new(&filter.origin, product, catalogue, text);
    linter.detection(&filter.detection);
    linter.found
}

/// Where a word first stands from a line on: line, column and width, in characters. The line's beginning where the
/// word is not found.
#[must_use]
pub fn locate(text: Option<&str>, line: u32, word: &str) -> (u32, u32, u32) {
    let first = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let lines = text.unwrap_or_default().lines().zip(1u32..).skip(first);
    for (content, number) in lines {
        if let Some(byte) = word_in(content, word) {
            let column = content.get(..byte).map_or(0, |before| before.chars().count());
            let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            return (number, small(column + 1), small(word.chars().count().max(1)));
        }
    }
    (line, 1, 1)
}

fn word_in(line: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(word).map(|(byte, _)| byte).find(|byte| {
        let before = line.get(..*byte).and_then(|before| before.chars().next_back());
        let after = line.get(byte + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Fields of GitLab's events that are no canonical ones, so that they are not taken for slips.
const GITLAB_FIELDS: [&str; 7] =
    ["details", "message", "meta", "severity", "time", "event_name", "created_by"];
/// Fields that every event has beside those its format maps.
const OWN_FIELDS: [&str; 6] = ["category", "tier", "source", "forge", "received_at", "position"];

struct Linter<'a> {
    origin: &'a Origin,
    /// Whether only GitLab's events are seen, whose types and fields are known.
    is_gitlab: bool,
    catalogue: &'a Catalogue,
    text: Option<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> Linter<'a> {
    fn new(
        origin: &'a Origin,
        product: Option<&str>,
        catalogue: &'a Catalogue,
        text: Option<&'a str>,
    ) -> Self {
        let is_gitlab = product.is_some_and(|product| Format::Gitlab.is_product(product));
        Self { origin, is_gitlab, catalogue, text, found: Vec::new() }
    }

    fn warn(&mut self, code: &'static str, (line, word): (u32, &str), message: String, help: Option<String>) {
        let (line, column, width) = locate(self.text, line, word);
        let path = Arc::clone(&self.origin.path);
        let known =
            Diagnostic { severity: Severity::Warning, code, message, help, path, line, column, width };
        if !self.found.contains(&known) {
            self.found.push(known);
        }
    }

    fn detection(&mut self, detection: &Detection) {
        for selection in &detection.selections {
            each_test(&selection.node, &mut |test| self.test(test, selection.line));
        }
    }

    fn test(&mut self, test: &Test, line: u32) {
        let Some(field) = &test.field else { return };
        self.field(field, line);
        if let Op::FieldRef(other, _) = &test.op {
            self.field(other, line);
        }
        if let (true, "event_type", Op::Exact(name)) = (self.is_gitlab, field.as_str(), &test.op) {
            self.event_type(name, line);
        }
    }

    /// A name that is not a field but a slip away from one.
    fn field(&mut self, field: &str, line: u32) {
        if self.enriched(field, line) {
            return;
        }
        let first = field.split('.').next().unwrap_or(field);
        let known = || Format::Gitlab.mappings().iter().map(|mapping| mapping.field).chain(OWN_FIELDS);
        let is_known = known().chain(GITLAB_FIELDS).any(|known| known == first);
        if !self.is_gitlab || is_known || field.contains('.') {
            return;
        }
        if let Some(meant) = known().find(|known| suggest::is_slip(first, known)) {
            let message = format!("no event of this product has the field `{field}`");
            self.warn("unknown-field", (line, field), message, Some(format!("did you mean `{meant}`?")));
        }
    }

    fn event_type(&mut self, name: &str, line: u32) {
        let lower = name.to_lowercase();
        if let Some((_, now)) = self.catalogue.aliases().find(|(former, _)| *former == lower) {
            let message = format!("`{name}` is a former name, under which no event is seen any more");
            let help = format!("write `{now}`: older events are seen under that name too");
            self.warn("former-event-type", (line, name), message, Some(help));
            return;
        }
        let known = || self.catalogue.types().iter().map(|known| known.name.as_str());
        if known().any(|known| known == lower) {
            return;
        }
        let help = closest(name, known()).map(|near| format!("did you mean `{near}`?"));
        let message = format!("GitLab has no event type `{name}`");
        self.warn("unknown-event-type", (line, name), message, help);
    }

    fn behavior(&mut self, behavior: &Behavior) {
        let line = self.origin.line;
        let (line, ..) = locate(self.text, line, "behavior");
        for field in behavior.by.iter().map(String::as_str).chain(looked_at(&behavior.kind)) {
            self.field(field, line);
        }
        if let Kind::Travel { .. } = &behavior.kind {
            self.field("geo.latitude", line);
        }
        self.one_value(behavior);
    }

    /// What the rule is woken for: the condition, or each step of a sequence.
    fn targets(&mut self, rule: &Rule, detection: &Detection) {
        let is_scalar = |field: &str| is_scalar(field, rule.logsource.product.as_deref());
        let mut is_blamed = false;
        for selection in &detection.selections {
            let alternatives = contradiction::of_node(&selection.node);
            if let Some(reason) = alternatives.and_then(|found| found.impossible(&is_scalar)) {
                let message = format!("the selection `{}` can never match: {reason}", selection.name);
                self.warn("never-matches", (selection.line, &selection.name), message, None);
                is_blamed = true;
            }
        }
        let whole = contradiction::of_condition(&detection.condition, detection);
        for (index, name) in steps(&rule.body, detection) {
            let chosen = Condition::Selection(index);
            let alone = contradiction::of_condition(&chosen, detection);
            let joined = match alone {
                Some(alone) if mentions(&detection.condition, index) => {
                    whole.clone().and_then(|w| alone.and(w))
                }
                other => other,
            };
            if let (false, Some(reason)) = (is_blamed, joined.and_then(|found| found.impossible(&is_scalar)))
            {
                let message = format!("the step `{name}` can never match: {reason}");
                self.warn("never-fires", (self.origin.line, "condition"), message, None);
            }
        }
        if has_steps(&rule.body) {
            return self.costs(rule, detection);
        }
        if let (false, Some(whole)) = (is_blamed, &whole) {
            match whole.impossible(&is_scalar) {
                Some(reason) => {
                    let message = format!("the rule can never fire: {reason}");
                    self.warn("never-fires", (self.origin.line, "condition"), message, None);
                }
                None => self.distinct(&rule.body, whole, &is_scalar),
            }
        }
        self.costs(rule, detection);
    }

    /// Different values are counted of what is the same for all events of a key.
    fn one_value(&mut self, behavior: &Behavior) {
        let Kind::Distinct(fields) = &behavior.kind else { return };
        let needs_more = needed(behavior.compare).is_some_and(|needed| needed > 1.0);
        if needs_more && fields.iter().all(|field| behavior.by.contains(field)) {
            let fields = fields.join(", ");
            let message = format!("the rule can never fire: all events of a key have the same {fields}");
            let help = "count another field, or take it out of `by`".to_owned();
            self.warn("never-fires", (self.origin.line, "distinct"), message, Some(help));
        }
    }

    /// More different values are asked for than the selections let through.
    fn distinct(&mut self, body: &Body, whole: &Alternatives<'_>, is_scalar: &dyn Fn(&str) -> bool) {
        let Body::Behavior(_, behavior) = body else { return };
        let Kind::Distinct(fields) = &behavior.kind else { return };
        let [field] = fields.as_slice() else { return };
        let Some(needed) = needed(behavior.compare) else { return };
        if let Some(count) = whole.values_of(field, is_scalar).filter(|count| (*count as f64) < needed) {
            let message = format!(
                "the rule can never fire: it lets through {count} different {field}, and needs {needed}"
            );
            self.warn("never-fires", (self.origin.line, "distinct"), message, None);
        }
    }

    /// A regular expression or script that must be tried on every event.
    fn costs(&mut self, rule: &Rule, detection: &Detection) {
        if let Body::Script(..) = &rule.body
            && detection.selections.is_empty()
        {
            let message = "the script runs for every event of the product".to_owned();
            let help = "add `detection` with the event types it is for".to_owned();
            return self.warn("costly", (self.origin.line, "title"), message, Some(help));
        }
        let mut conditions: Vec<Condition> =
            steps(&rule.body, detection).into_iter().map(|(index, _)| Condition::Selection(index)).collect();
        if !has_steps(&rule.body) {
            conditions.push(detection.condition.clone());
        }
        for condition in conditions {
            let Some((what, line)) = cost::unindexed(&condition, detection) else { continue };
            let message = format!("this {what} is tried on every event of the product");
            let help = "add a field with a plain value beside it, such as `event_type`: then only those \
                        events are looked at";
            let word = if what == "script" { "script" } else { "re" };
            self.warn("costly", (line, word), message, Some(help.to_owned()));
        }
    }
}

/// The smallest number that is enough, where more never is too much.
fn needed(compare: Compare) -> Option<f64> {
    match compare {
        Compare::AtLeast(number) => Some(number),
        Compare::MoreThan(number) => Some(number.floor() + 1.0),
        _ => None,
    }
}

/// The fields of events that a behaviour looks at, beside its key.
fn looked_at(kind: &Kind) -> Vec<&str> {
    fn all(fields: &[String]) -> Vec<&str> {
        fields.iter().map(String::as_str).collect()
    }
    match kind {
        Kind::Distinct(fields) | Kind::FirstSeen { fields, .. } | Kind::Change(fields) => all(fields),
        Kind::Spike(Spike { of: SpikeOf::Distinct(fields), .. }) => all(fields),
        Kind::Rare { fields, peers, .. } => [all(fields), all(peers)].concat(),
        Kind::Spike(Spike { of: SpikeOf::Sum(field), .. })
        | Kind::Aggregate { field, .. }
        | Kind::Travel { field, .. } => vec![field],
        Kind::Sequence(sequence) => {
            let renamed = sequence.steps.iter().flat_map(|step| &step.rename).map(|(_, name)| name.as_str());
            [all(&sequence.same), all(&sequence.different), renamed.collect()].concat()
        }
        Kind::Spike(Spike { of: SpikeOf::Count, .. })
        | Kind::Count
        | Kind::Absence { .. }
        | Kind::Dormant(_)
        | Kind::Ratio { .. }
        | Kind::UnusualHour { .. }
        | Kind::Bucket { .. }
        | Kind::Risk { .. }
        | Kind::Script => Vec::new(),
    }
}

/// Fields that hold one value, so that two different ones exclude each other.
fn is_scalar(field: &str, product: Option<&str>) -> bool {
    let format =
        product.and_then(|product| Format::ALL.into_iter().find(|format| format.is_product(product)));
    // Elsewhere a canonical field may come out of an array.
    format == Some(Format::Gitlab)
        && (OWN_FIELDS.contains(&field)
            || Format::Gitlab.mappings().iter().any(|mapping| mapping.field == field))
}

fn has_steps(body: &Body) -> bool {
    matches!(body, Body::Behavior(_, Behavior { kind: Kind::Sequence(_) | Kind::Absence { .. }, .. }))
}

/// The selections without which a sequence, or an absence after something, cannot come about.
fn steps<'d>(body: &Body, detection: &'d Detection) -> Vec<(usize, &'d str)> {
    let Body::Behavior(_, behavior) = body else { return Vec::new() };
    let indexes: Vec<usize> = match &behavior.kind {
        Kind::Sequence(sequence) => sequence.steps.iter().map(|step| step.selection).collect(),
        Kind::Absence { after, .. } => after.iter().copied().collect(),
        _ => Vec::new(),
    };
    let named = |index: usize| Some((index, detection.selections.get(index)?.name.as_str()));
    indexes.into_iter().filter_map(named).collect()
}

fn mentions(condition: &Condition, selection: usize) -> bool {
    match condition {
        Condition::And(children) | Condition::Or(children) => {
            children.iter().any(|child| mentions(child, selection))
        }
        Condition::Not(child) => mentions(child, selection),
        Condition::Selection(index) => *index == selection,
    }
}

fn each_test<'n>(node: &'n Node, visit: &mut dyn FnMut(&'n Test)) {
    match node {
        Node::And(children) | Node::Or(children) => {
            for child in children {
                each_test(child, visit);
            }
        }
        Node::Not(child) => each_test(child, visit),
        Node::Test(test) => visit(test),
        Node::Script(_) => {}
    }
}

#[cfg(test)]
mod tests;
