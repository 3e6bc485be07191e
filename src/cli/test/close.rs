//! How near a rule came to firing: what matched, and the fullest window of any key.

use std::collections::{BTreeMap, VecDeque};

use super::run::Story;
use crate::alert::LedgerEntry;
use crate::cli::ledger;
use crate::detect::{Detector, Hit, Measure, SequenceSpec, WindowSpec};
use crate::engine::Unit;
use crate::event::Position;
use crate::rule::ast::Body;

/// How many keys are told of.
const KEYS_MAX: usize = 3;

/// One line for each thing worth knowing.
pub(super) fn lines(unit: &Unit, story: &Story, ledger: &[&LedgerEntry]) -> Vec<String> {
    let mut matched: Vec<Position> = story.hits.iter().map(|hit| hit.position).collect();
    matched.dedup();
    let all = story.events.len();
    let mut lines = vec![match (&unit.rule.body, matched.len()) {
        (_, 0) if all > 0 => "none of the events matches".to_owned(),
        (Body::Correlation(_), count) => format!("{count} of {all} events match one of its rules"),
        (_, count) => format!("{count} of {all} events match"),
    }];
    let mut by_key: BTreeMap<&str, Vec<&Hit>> = BTreeMap::new();
    for hit in &story.hits {
        by_key.entry(&hit.key).or_default().push(hit);
    }
    let told: Vec<String> = match &unit.detector {
        Detector::Window(spec) => windows(unit, spec, &by_key),
        Detector::Sequence(spec) => sequences(unit, spec, &by_key),
        _ => Vec::new(),
    };
    let more = told.len().saturating_sub(KEYS_MAX);
    lines.extend(told.into_iter().take(KEYS_MAX));
    if more > 0 {
        lines.push(format!("and {more} more keys"));
    }
    for entry in ledger {
        let events =
            if entry.count == 1 { "event was".to_owned() } else { format!("{} events were", entry.count) };
        let count = if entry.count == 1 { "1 " } else { "" };
        let detail = entry.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        lines.push(format!("{count}{events} not judged: {}{detail}", ledger::words(entry.reason)));
    }
    lines
}

/// The key's name for people.
pub(super) fn key_name(unit: &Unit, key: &str) -> String {
    let key = unit.key(key).to_string();
    if key.is_empty() { "all events together".to_owned() } else { key }
}

/// Each key's fullest window, the fullest first.
fn windows(unit: &Unit, spec: &WindowSpec, by_key: &BTreeMap<&str, Vec<&Hit>>) -> Vec<String> {
    let mut most: Vec<(usize, &str)> = by_key.iter().map(|(key, hits)| (fullest(spec, hits), *key)).collect();
    most.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let line = |(count, key): (usize, &str)| {
        let (noun, within, wanted) = (&spec.noun, spec.within, spec.compare.words());
        format!("{}: at most {count} {noun} within {within}; it takes {wanted}", key_name(unit, key))
    };
    most.into_iter().map(line).collect()
}

fn fullest(spec: &WindowSpec, hits: &[&Hit]) -> usize {
    let mut hits = hits.to_vec();
    hits.sort_by_key(|hit| (hit.time, hit.position));
    let mut window: VecDeque<&Hit> = VecDeque::new();
    let mut values: BTreeMap<&str, usize> = BTreeMap::new();
    let mut most = 0;
    for hit in hits {
        window.push_back(hit);
        *values.entry(hit.value.as_deref().unwrap_or_default()).or_default() += 1;
        while let Some(oldest) = window.front().filter(|oldest| oldest.time.plus(spec.within) <= hit.time) {
            let value = oldest.value.as_deref().unwrap_or_default();
            if let Some(count) = values.get_mut(value) {
                *count -= 1;
                if *count == 0 {
                    values.remove(value);
                }
            }
            window.pop_front();
        }
        most = most.max(match spec.measure {
            Measure::Distinct => values.len(),
            _ => window.len(),
        });
    }
    most
}

/// Which steps each key has seen.
fn sequences(unit: &Unit, spec: &SequenceSpec, by_key: &BTreeMap<&str, Vec<&Hit>>) -> Vec<String> {
    let line = |(key, hits): (&&str, &Vec<&Hit>)| {
        let name = |role: usize| spec.steps.get(role).or(spec.unless.as_ref()).map_or("?", String::as_str);
        let mut hits = hits.clone();
        hits.sort_by_key(|hit| (hit.time, hit.position));
        let mut seen: Vec<String> = Vec::new();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for hit in hits {
            let role = usize::from(hit.role);
            match runs.last_mut() {
                Some((last, count)) if *last == role => *count += 1,
                _ => runs.push((role, 1)),
            }
        }
        for (role, count) in runs.iter().take(8) {
            let times = if *count > 1 { format!(" ×{count}") } else { String::new() };
            seen.push(format!("{}{times}", name(*role)));
        }
        let rest = if runs.len() > 8 { ", …" } else { "" };
        let (wanted, within) = (spec.steps.join(", "), spec.within);
        let order = if spec.ordered { "" } else { " in any order" };
        let saw = seen.join(", ");
        format!("{}: saw {saw}{rest}; it takes {wanted}{order} within {within}", key_name(unit, key))
    };
    by_key.iter().map(line).collect()
}
