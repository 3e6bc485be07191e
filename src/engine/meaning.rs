//! What a rule means, as 16 bytes: rules keep what they know as long as these stay the same.

use super::chain::scorers;
use super::compile::Environment;
use super::ruleset::Unit;
use super::weave::{Called, by_name, filters_of};
use crate::detect::Detector;
use crate::rule::ast::{Body, Filter, Rule};

/// What a rule says itself, with its filters and what its events are enriched with.
pub(super) fn fingerprint(rule: &Rule, filters: &[&Filter], environment: &Environment) -> [u8; 16] {
    let applied: Vec<String> =
        filters_of(rule, filters).map(|filter| format!("{:?}", filter.detection)).collect();
    let meaning = format!(
        "{:?} {:?} {:?} {} {applied:?}",
        rule.body, rule.logsource, rule.suppress, environment.lateness
    );
    let enriched = environment.catalogue.enrichment().fingerprint(&meaning);
    let mut fingerprint = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(meaning.as_bytes()).update(&enriched).finalize_xof().fill(&mut fingerprint);
    fingerprint
}

/// Whether a rule, or a filter of it, says something about the field `self`.
pub(super) fn asks_self(rule: &Rule, filters: &[&Filter]) -> bool {
    let is_named = |said: String| said.contains("\"self\"");
    is_named(format!("{:?}", rule.body))
        || filters_of(rule, filters).any(|filter| is_named(format!("{:?}", filter.detection)))
}

/// A rule over rules judges what one of those does.
pub(super) fn pass_on_self(units: &mut [Unit]) {
    for _ in 0..DEPTH_MAX {
        let called = by_name(units);
        let passed = |unit: &Unit| {
            let bases = bases(unit, units, &called);
            !unit.asks_self && bases.iter().any(|base| units.get(base.number).is_some_and(|of| of.asks_self))
        };
        let new: Vec<bool> = units.iter().map(passed).collect();
        if !new.contains(&true) {
            return;
        }
        for (unit, is_new) in units.iter_mut().zip(new) {
            unit.asks_self |= is_new;
        }
    }
}

/// As deep as rules over rules may lie; the loader lets no circle through, the bound is for who does not use it.
const DEPTH_MAX: usize = 64;

/// A rule over rules means something else when one of those does, and so on upwards.
pub(super) fn include_bases(units: &mut [Unit]) {
    let called = by_name(units);
    let bases: Vec<Vec<Base>> = units.iter().map(|unit| bases(unit, units, &called)).collect();
    let own: Vec<[u8; 16]> = units.iter().map(|unit| unit.fingerprint).collect();
    for _ in 0..DEPTH_MAX {
        let before: Vec<[u8; 16]> = units.iter().map(|unit| unit.fingerprint).collect();
        for ((unit, own), bases) in
            units.iter_mut().zip(&own).zip(&bases).filter(|(_, bases)| !bases.is_empty())
        {
            let mut hasher = blake3::Hasher::new();
            hasher.update(own);
            for base in bases {
                hasher.update(before.get(base.number).unwrap_or(&[0; 16])).update(&base.adds);
            }
            hasher.finalize_xof().fill(&mut unit.fingerprint);
        }
        if units.iter().zip(&before).all(|(unit, before)| unit.fingerprint == *before) {
            return;
        }
    }
}

/// A rule that another one is over.
struct Base {
    number: usize,
    /// Of a rule whose score counts: its id and its score.
    adds: Vec<u8>,
}

fn bases(unit: &Unit, units: &[Unit], called: &Called<'_>) -> Vec<Base> {
    if let Body::Correlation(correlation) = &unit.rule.body {
        let found = correlation.rules.iter().filter_map(|name| called.get(name.as_str()));
        return found.map(|(number, _)| Base { number: *number as usize, adds: Vec::new() }).collect();
    }
    if !matches!(unit.detector, Detector::Risk(_)) {
        return Vec::new();
    }
    let mut scoring: Vec<(usize, &Unit)> = scorers(unit, units).collect();
    scoring.sort_by_key(|(_, unit)| unit.id());
    let base = |(number, unit): (usize, &Unit)| {
        let score = unit.rule.score.map(f64::to_bits);
        Base { number, adds: format!("{} {score:?}", unit.id()).into_bytes() }
    };
    scoring.into_iter().map(base).collect()
}
