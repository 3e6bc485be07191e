//! Rules over rules: who counts whose alerts.
//!
//! A match of a rule without behaviour reaches the correlations over it at once, as any event does. A rule with a
//! behaviour is counted by its *alerts*: each counts once, at its first moment, and is told when the watermark has
//! passed that moment, since until then a late event may show that it began earlier.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ruleset::{Follower, Told, Unit};
use super::weave::{Called, by_name, is_called};
use crate::detect::Detector;
use crate::rule::ast::{Behavior, Body, Correlation, Kind};
use crate::rule::{Diagnostic, Severity};
use crate::time::Span;
use crate::tuple;

/// The rules that add up scores, and their keys.
pub(super) fn risks(units: &[Unit]) -> Vec<(u32, Vec<String>)> {
    let is_risk = |unit: &Unit| matches!(unit.detector, Detector::Risk(_));
    let risks = (0..).zip(units).filter(|(_, unit)| is_risk(unit));
    risks.map(|(number, unit)| (number, unit.key_names.clone())).collect()
}

/// What each match of a rule adds to risks, if every match is an alert.
pub(super) fn score_at_once(unit: &Unit) -> Option<Box<str>> {
    let score = unit.rule.score.filter(|_| !unit.detector.is_stateful() && unit.rule.suppress == Span(0))?;
    Some(score_of(score, unit))
}

/// A score as the value of a hit.
pub(super) fn score_of(score: f64, unit: &Unit) -> Box<str> {
    tuple::value([score.to_string().as_str(), &unit.rule.id]).into()
}

/// Links every rule to those that count its alerts, and ranks them.
pub(super) fn link(units: &mut [Unit], diagnostics: &mut Vec<Diagnostic>) {
    let mut links: Vec<(usize, Follower)> = Vec::new();
    let called = by_name(units);
    for (number, unit) in (0..).zip(&*units) {
        match &unit.rule.body {
            Body::Correlation(correlation) => {
                follow((number, unit), correlation, &called, (&mut links, diagnostics));
            }
            Body::Behavior(_, Behavior { kind: Kind::Risk { .. }, .. }) => {
                add_up((number, unit), units, (&mut links, diagnostics));
            }
            _ => {}
        }
    }
    let edges: Vec<(usize, usize)> = links.iter().map(|(of, to)| (*of, to.detector as usize)).collect();
    for (of, follower) in links {
        if let Some(unit) = units.get_mut(of) {
            unit.followers.push(follower);
        }
    }
    rank(units, &edges);
}

/// What linking has found so far: links and mistakes.
type Found<'a> = (&'a mut Vec<(usize, Follower)>, &'a mut Vec<Diagnostic>);

/// The rules that a correlation names and whose alerts, not events, it counts.
fn follow(
    (number, outer): (u32, &Unit),
    correlation: &Correlation,
    called: &Called<'_>,
    (links, diagnostics): Found<'_>,
) {
    for (role, name) in (0..).zip(&correlation.rules) {
        let Some((base, inner)) = called.get(name.as_str()) else { continue };
        if matches!(inner.rule.body, Body::Single(_)) {
            continue;
        }
        let place = |field: &String| {
            let alias = correlation.aliases.iter();
            let mut alias = alias.filter(|(alias, rule, _)| alias == field && is_called(&inner.rule, rule));
            let original = alias.next().map_or(field, |(_, _, original)| original);
            inner.key_names.iter().position(|name| name == original).ok_or_else(|| original.clone())
        };
        let keys: Result<_, String> = correlation.by.iter().map(place).collect();
        let values: Result<_, String> = correlation.fields.iter().map(place).collect();
        match (keys, values) {
            (Ok(keys), Ok(values)) => {
                let follower = Follower { detector: number, role, keys, value: Told::Fields(values) };
                links.push((*base as usize, follower));
            }
            (Err(field), _) | (_, Err(field)) => {
                let message = format!(
                    "`{}` needs `{field}`, which is not part of the key of `{}`",
                    outer.rule.title, inner.rule.title
                );
                let help =
                    format!("its key is {}; add the field there, or an alias", inner.key_names.join(", "));
                diagnostics.push(diagnostic(outer, Severity::Error, message, help));
            }
        }
    }
}

/// The rules whose scores a risk adds up.
fn add_up((number, risk): (u32, &Unit), units: &[Unit], (links, diagnostics): Found<'_>) {
    for (of, unit) in units.iter().enumerate() {
        if !may_score(unit) || score_at_once(unit).is_some() {
            continue;
        }
        if let Some(keys) = places(risk, unit) {
            links.push((of, Follower { detector: number, role: 0, keys, value: Told::Score }));
        } else if unit.rule.score.is_some() {
            let message = format!(
                "the score of `{}` does not count for `{}`, which is by {}",
                unit.rule.title,
                risk.rule.title,
                risk.key_names.join(", ")
            );
            let help = "its key has no such field".to_owned();
            diagnostics.push(diagnostic(unit, Severity::Warning, message, help));
        }
    }
}

fn may_score(unit: &Unit) -> bool {
    let has_score = unit.rule.score.is_some() || matches!(unit.detector, Detector::Script(_));
    has_score && !matches!(unit.detector, Detector::Risk(_))
}

/// Where the fields of a risk's key stand in the key of a rule.
fn places(risk: &Unit, unit: &Unit) -> Option<SmallVec<[usize; 2]>> {
    let place = |field: &String| unit.key_names.iter().position(|name| name == field);
    risk.key_names.iter().map(place).collect()
}

/// The rules whose scores a risk adds up, by their matches or by their alerts.
pub(super) fn scorers<'u>(risk: &Unit, units: &'u [Unit]) -> impl Iterator<Item = (usize, &'u Unit)> {
    units.iter().enumerate().filter(move |(_, unit)| {
        may_score(unit) && (score_at_once(unit).is_some() || places(risk, unit).is_some())
    })
}

/// A rule comes after all whose alerts it counts. The loader lets no circle through; the bound is for who does not
/// use it.
fn rank(units: &mut [Unit], edges: &[(usize, usize)]) {
    for _ in 0..units.len().min(64) {
        let mut has_changed = false;
        for (of, to) in edges {
            let above = units.get(*of).map_or(0, |unit| unit.rank.saturating_add(1));
            if let Some(unit) = units.get_mut(*to).filter(|unit| unit.rank < above) {
                unit.rank = above;
                has_changed = true;
            }
        }
        if !has_changed {
            return;
        }
    }
}

fn diagnostic(unit: &Unit, severity: Severity, message: String, help: String) -> Diagnostic {
    Diagnostic {
        severity,
        code: "unreachable-field",
        message,
        help: Some(help),
        path: Arc::clone(&unit.rule.origin.path),
        line: unit.rule.origin.line,
        column: 1,
        width: 1,
    }
}

impl Follower {
    /// What an alert is to the follower: the key and the value of its hit.
    pub(super) fn told(&self, unit: &Unit, key: &str, score: u32) -> Option<(Box<str>, Option<Box<str>>)> {
        let parts: Vec<Cow<'_, str>> = tuple::of_key(key).collect();
        let mut own = String::new();
        for place in &self.keys {
            tuple::end(parts.get(*place)?, &mut own);
        }
        let value = match &self.value {
            Told::Fields(places) if places.is_empty() => None,
            Told::Fields(places) => {
                let values: Option<Vec<&str>> =
                    places.iter().map(|place| parts.get(*place).map(|part| &**part)).collect();
                Some(tuple::value(values?).into())
            }
            Told::Score if score > 0 => Some(score_of(f64::from(score) / 1000.0, unit)),
            Told::Score => Some(score_of(unit.rule.score?, unit)),
        };
        Some((own.into(), value))
    }
}

#[cfg(test)]
mod tests;
