//! One rule and one event: what matched, what excepted it, what the key's window holds, and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::past::Past;
use super::tree::{self, Tree};
use crate::alert::{Key, LedgerEntry, LedgerReason};
use crate::cli::{ledger, report};
use crate::daemon::Reading;
use crate::detect::{Detector, Hit, Measure};
use crate::engine::{Effects, Engine, Hits, Limits, Unit};
use crate::event::{Catalogue, Event, Position, canonical};
use crate::rule::ast::{Body, Detection, Filter};
use crate::rule::print_condition;

/// How many remembered events are looked at.
const REMEMBERED_MAX: usize = 10_000;
/// How many of them are told.
const TOLD_MAX: usize = 5;

/// What became of one event under one rule.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) unit: &'a Unit,
    /// At least one selection matches, or the rule counts the event.
    pub(super) is_near: bool,
    pub(super) fires: bool,
    /// Why, in one sentence.
    pub(super) verdict: String,
    /// The condition as written, and as it came out; none for correlations.
    pub(super) condition: Option<(String, Tree)>,
    /// Selections that only the behaviour names.
    pub(super) others: Vec<Tree>,
    /// Exceptions for this rule: title, place, and how they came out.
    pub(super) filters: Vec<(String, String, Tree)>,
    /// The groups it counts in.
    pub(super) keys: Vec<String>,
    /// What each group's window holds, and its newest events.
    pub(super) window: Vec<String>,
    /// What each group knows, in sentences, where a window does not say it all.
    pub(super) knew: Vec<String>,
}

/// Looks at rules and an event.
pub(super) struct Judge<'a, 'e> {
    pub(super) reading: &'a Reading,
    pub(super) event: &'e Event,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) limits: Limits,
}

impl<'a> Judge<'a, '_> {
    /// What matches, without any history.
    pub(super) fn look(&self, unit: &'a Unit) -> anyhow::Result<Case<'a>> {
        let mut case = Case {
            unit,
            is_near: false,
            fires: false,
            verdict: String::new(),
            condition: None,
            others: Vec::new(),
            filters: Vec::new(),
            keys: Vec::new(),
            window: Vec::new(),
            knew: Vec::new(),
        };
        if let Some(product) =
            unit.rule.logsource.product.as_deref().filter(|p| !self.event.format.is_product(p))
        {
            let seen = self.event.format.name();
            case.verdict = format!("not looked at: the rule is for {product}, the event is of {seen}");
            return Ok(case);
        }
        match &unit.rule.body {
            Body::Correlation(_) => case.is_near = self.counts(unit),
            Body::Single(detection) | Body::Behavior(detection, _) | Body::Script(detection, _, _) => {
                self.detection(detection, &mut case)?;
            }
        }
        for filter in self.reading.filters.iter().filter(|filter| self.applies(filter, unit)) {
            let found = tree::evaluate(&filter.detection, self.event, (self.reading, &self.catalogue))?;
            let place = format!("{}:{}", filter.origin.path, filter.origin.line);
            case.filters.push((filter.title.clone(), place, found.condition));
        }
        Ok(case)
    }

    fn detection(&self, detection: &Detection, case: &mut Case<'_>) -> anyhow::Result<()> {
        let found = tree::evaluate(detection, self.event, (self.reading, &self.catalogue))?;
        case.is_near = found.selections.iter().any(|tree| tree.holds) || detection.selections.is_empty();
        let names: Vec<&str> = detection.selections.iter().map(|s| s.name.as_str()).collect();
        let written = print_condition(&detection.condition, &names);
        let mut named = BTreeSet::new();
        labels(&found.condition, &mut named);
        case.others = found.selections.into_iter().filter(|tree| !named.contains(&tree.label)).collect();
        case.condition = Some((written, found.condition));
        Ok(())
    }

    /// Whether the rule's detector takes the event in.
    fn counts(&self, unit: &Unit) -> bool {
        let mut hits = Hits::default();
        self.reading.rules.hits(self.event, &mut hits);
        let number = self.reading.rules.number(&unit.rule.id);
        hits.hits.iter().any(|hit| Some(hit.detector as usize) == number)
    }

    fn applies(&self, filter: &Filter, unit: &Unit) -> bool {
        let (rule, product) = (&unit.rule, &filter.logsource.product);
        let is_named = |name: &String| **name == *rule.id || Some(name) == rule.name.as_ref();
        filter.expires.is_none_or(|expires| expires > self.reading.environment.today)
            && (product.is_none() || *product == rule.logsource.product)
            && (filter.rules.is_empty() || filter.rules.iter().any(is_named))
    }

    /// Judges the event after its past, and says what came of it.
    pub(super) fn conclude(&self, cases: &mut [Case<'_>], past: &mut Past) -> anyhow::Result<()> {
        let rules = &self.reading.rules;
        let mut engine = Engine::new(Arc::clone(rules), Arc::clone(&self.catalogue), self.limits);
        let (mut effects, mut hits) = (Effects::default(), Hits::default());
        let mut forgotten: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let needs_past = |case: &Case<'_>| case.unit.detector.is_stateful() || case.unit.rule.suppress.0 > 0;
        if cases.iter().any(|case| case.is_near && needs_past(case)) {
            past.before(self.event.position, &mut |entry| {
                engine.handle(entry, &mut effects);
                for entry in effects.ledger.iter().filter(|entry| entry.reason == LedgerReason::Evicted) {
                    *forgotten.entry(Arc::clone(&entry.rule)).or_default() += entry.count;
                }
                effects.clear();
            })?;
        }
        rules.hits(self.event, &mut hits);
        engine.judge(self.event, &hits, &mut effects);
        for case in cases.iter_mut().filter(|case| case.verdict.is_empty()) {
            let Some(number) = rules.number(&case.unit.rule.id) else { continue };
            let own = hits.hits.iter().filter(|hit| hit.detector as usize == number);
            let own: Vec<_> = own.collect();
            let mut keys: Vec<&str> = own.iter().map(|hit| &*hit.key).collect();
            keys.sort_unstable();
            keys.dedup();
            case.keys = own.iter().map(|hit| name_of(&key_of(case.unit, hit))).collect();
            case.keys.sort_unstable();
            case.keys.dedup();
            if case.unit.detector.is_stateful() {
                for key in &keys {
                    let positions = engine.remembered(&case.unit.rule.id, key).unwrap_or_default();
                    let window = self.window(case.unit, number, &positions, past)?;
                    if window.is_empty() {
                        case.knew.extend(
                            engine.known(&case.unit.rule.id, key, self.event.time).unwrap_or_default(),
                        );
                    }
                    case.window.extend(window);
                }
            }
            if let Some(count) = forgotten.get(&case.unit.rule.id) {
                let keys = report::counted(*count, "key");
                case.knew.push(format!(
                    "{keys} of this rule had been given up to save memory: its past may be missing"
                ));
            }
            self.verdict(case, &effects, !keys.is_empty());
        }
        Ok(())
    }

    fn verdict(&self, case: &mut Case<'_>, effects: &Effects, is_counted: bool) {
        let id = &case.unit.rule.id;
        if let Some(finding) = effects.findings.iter().find(|finding| finding.rule == *id) {
            case.fires = true;
            let opened =
                effects.alerts.iter().find(|opened| Some(&opened.alert.id) == finding.alert.as_ref());
            let alert = match opened {
                _ if case.unit.is_silent => " (counts in correlations only)",
                Some(opened) if !opened.is_new => " (belongs to the alert that is open already)",
                _ => "",
            };
            case.verdict = format!("{}{alert}", finding.reason);
            return;
        }
        let matches = case.condition.as_ref().is_none_or(|(_, tree)| tree.holds);
        let excepted = case.filters.iter().find(|(_, _, tree)| tree.holds);
        let unjudged = effects.ledger.iter().find(|entry| entry.rule == *id);
        case.verdict = match (unjudged, excepted) {
            (_, Some((title, place, _))) if matches => format!("excepted by `{title}` ({place})"),
            (Some(entry), _) => not_judged(entry, case.unit),
            _ if is_counted => waiting(&case.unit.detector),
            _ if matches && case.condition.is_some() => "the condition holds, but no step is met".to_owned(),
            _ if case.condition.is_none() => "none of the rules it is over matches".to_owned(),
            _ => case.condition.as_ref().map_or_else(String::new, |(_, tree)| unmet(tree)),
        };
    }

    /// What a key remembers.
    fn window(
        &self,
        unit: &Unit,
        number: usize,
        positions: &[Position],
        past: &mut Past,
    ) -> anyhow::Result<Vec<String>> {
        let mut values: BTreeMap<Box<str>, usize> = BTreeMap::new();
        let mut told = Vec::new();
        let mut hits = Hits::default();
        let skipped = positions.len().saturating_sub(REMEMBERED_MAX);
        for position in positions.iter().skip(skipped) {
            let Some(event) = past.get(*position)? else { continue };
            self.reading.rules.hits(&event, &mut hits);
            let Some(hit) = hits.hits.iter().find(|hit| hit.detector as usize == number) else { continue };
            *values.entry(hit.value.clone().unwrap_or_default()).or_default() += 1;
            told.push(line(unit, &event, hit, &canonical(&event, &self.catalogue)));
        }
        let summary = match &unit.detector {
            Detector::Window(spec) => {
                let count = match spec.measure {
                    Measure::Distinct => values.len(),
                    _ => positions.len(),
                };
                format!("{count} {} within {}; it takes {}", spec.noun, spec.within, spec.compare.words())
            }
            Detector::Sequence(spec) => {
                let order = if spec.ordered { ", in this order," } else { "" };
                format!("it takes {}{order} within {}", spec.steps.join(", "), spec.within)
            }
            _ => return Ok(Vec::new()),
        };
        let more = told.len().saturating_sub(TOLD_MAX);
        let mut lines = vec![summary];
        if more > 0 {
            lines.push(format!("  {more} earlier events, then"));
        }
        lines.extend(told.into_iter().skip(more));
        Ok(lines)
    }
}

fn line(unit: &Unit, event: &Event, hit: &Hit, shown: &serde_json::Map<String, serde_json::Value>) -> String {
    let kind = shown.get("event_type").and_then(serde_json::Value::as_str).unwrap_or("event");
    let what = match (&unit.detector, &hit.value) {
        (Detector::Sequence(spec), _) => {
            let step = spec.steps.get(usize::from(hit.role)).or(spec.unless.as_ref());
            step.map(|step| format!("  {step}")).unwrap_or_default()
        }
        (Detector::Window(spec), Some(value)) if spec.measure == Measure::Distinct => {
            format!("  {}", value.replace(Hit::SEPARATOR, ", "))
        }
        _ => String::new(),
    };
    format!("  {}  {kind}{what}", event.time)
}

/// The key that an alert would have. The state of `rare` is that of the peers; whose event it is stands in the value.
pub(super) fn key_of(unit: &Unit, hit: &Hit) -> Key {
    let Detector::Rare(spec) = &unit.detector else { return unit.key(&hit.key) };
    let value = hit.value.as_deref().unwrap_or_default();
    let own: Vec<&str> = value.split(Hit::SEPARATOR).take(spec.key_fields).collect();
    unit.key(&own.join(&Hit::SEPARATOR.to_string()))
}

fn name_of(key: &Key) -> String {
    let key = key.to_string();
    if key.is_empty() { "one group for all events".to_owned() } else { key }
}

fn labels(tree: &Tree, names: &mut BTreeSet<String>) {
    names.insert(tree.label.clone());
    for part in &tree.parts {
        labels(part, names);
    }
}

/// What keeps a condition from holding.
fn unmet(tree: &Tree) -> String {
    let parts = if tree.label == "all of" { tree.parts.as_slice() } else { std::slice::from_ref(tree) };
    let told = parts.iter().filter(|part| !part.holds).map(|part| match part.parts.as_slice() {
        [only] if part.label == "not" => format!("`{}` matches", only.label),
        _ if part.label == "one of" => "no alternative matches".to_owned(),
        _ => format!("`{}` does not match", part.label),
    });
    format!("the condition does not hold: {}", told.collect::<Vec<_>>().join(", "))
}

fn not_judged(entry: &LedgerEntry, unit: &Unit) -> String {
    let detail = entry.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let keys = match entry.reason {
        LedgerReason::MissingKey if !unit.key_names.is_empty() => format!(" ({})", unit.key_names.join(", ")),
        _ => String::new(),
    };
    format!("not judged: {}{keys}{detail}", ledger::words(entry.reason))
}

/// Why an event that counts is not enough.
pub(super) fn waiting(detector: &Detector) -> String {
    match detector {
        Detector::Single => "matches, but nothing came of it".to_owned(),
        Detector::Window(spec) if !spec.compare.is_monotone() => {
            "counted; judged once no late event can change it".to_owned()
        }
        Detector::Window(_) => "counted, but the window is not full".to_owned(),
        Detector::Sequence(spec) if spec.unless.is_some() => {
            "a step is met; judged once no late event can change it".to_owned()
        }
        Detector::Sequence(_) => "a step is met, others are missing".to_owned(),
        Detector::Absence(_) => "taken in; judged when the time for what must follow is over".to_owned(),
        Detector::FirstSeen(spec) => {
            format!("this key showed this {} before, or is still being learnt", spec.fields)
        }
        Detector::Dormant(spec) => format!("the key was not silent for {} before it", spec.silence),
        Detector::Script(_) => "the script took it in and found nothing".to_owned(),
        Detector::Change(spec) => format!("{} is what it was, or was not known before", spec.fields),
        Detector::Bucket(spec) => format!("poured in; the bucket of {} does not overflow", spec.capacity),
        Detector::Rare(spec) => {
            format!("{} is common among the peers, or too few events are known", spec.fields)
        }
        Detector::Travel(_) => "the places known of this key can be reached in the time between".to_owned(),
        Detector::Risk(spec) => format!("its score was added; it takes {}", spec.compare.words()),
        Detector::Spike(_) => {
            "counted; this stretch is like the key's past, or the past is too short".to_owned()
        }
        Detector::UnusualHour(_) => {
            "the key acts at this hour of the week, or is still being learnt".to_owned()
        }
    }
}
