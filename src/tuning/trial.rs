//! The rule as it is, and with each exception, over the stretches of the log in which its alerts were raised: the same
//! engine as in the daemon and in backtests.

use std::sync::Arc;

use super::TuneError;
use super::case::Case;
use crate::alert::{Alert, Key};
use crate::engine::{Effects, Engine, Environment, Hits, Limits, RuleSet, compile};
use crate::event::{Catalogue, Entry, Event, Position};
use crate::log::Reader;
use crate::rule::ast::{Filter, Rule};
use crate::script::{Cage, ListTable};
use crate::time::{Span, Timestamp};

/// Entries of one alert's stretch: what is longer is not tried.
const STRETCH_MAX: u64 = 50_000;
/// Entries of all stretches together.
const ENTRIES_MAX: u64 = 300_000;
/// Entries read at once.
const READ: usize = 4_096;

/// What a rule set found: for whom, and when.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<(Key, Timestamp)>);

impl Found {
    /// Whether it found this alert.
    pub(super) fn has(&self, alert: &Alert) -> bool {
        let is_it = |(key, at): &(Key, Timestamp)| {
            *key == alert.key && (alert.started_at..=alert.last_at).contains(at)
        };
        self.0.iter().any(is_it)
    }
}

/// Compiles a rule with or without a filter; none if it does not compile by itself.
pub(super) fn rule_set(
    rule: Rule,
    filter: Option<&Filter>,
    catalogue: &Arc<Catalogue>,
) -> Option<Arc<RuleSet>> {
    let environment = Environment {
        catalogue: Arc::clone(catalogue),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: Limits::default().lateness,
        today: Timestamp::MIN,
    };
    let compiled = compile(vec![rule], filter.map(std::slice::from_ref).unwrap_or_default(), &environment);
    (compiled.rules.units().len() == 1).then(|| Arc::new(compiled.rules))
}

/// Whether one of these events is found by a rule over single events.
pub(super) fn touches(probe: &RuleSet, events: &[Event]) -> bool {
    let mut hits = Hits::default();
    events.iter().any(|event| {
        probe.hits(event, &mut hits);
        !hits.hits.is_empty()
    })
}

/// Runs all rule sets side by side, in one reading of the log.
pub(super) fn run(
    sets: &[Arc<RuleSet>],
    reader: &mut Reader,
    cases: &[&Case],
    catalogue: &Arc<Catalogue>,
) -> Result<Vec<Found>, TuneError> {
    let state = 64 << 20;
    let limits =
        Limits { judges_past: true, state_bytes_max: state, rule_bytes_max: state, ..Limits::default() };
    let engine = |set: &Arc<RuleSet>| Engine::new(Arc::clone(set), Arc::clone(catalogue), limits);
    let mut engines: Vec<(Engine, Found)> = sets.iter().map(|set| (engine(set), Found::default())).collect();
    let mut effects = Effects::default();
    for (first, last) in stretches(cases) {
        let mut behind = first.saturating_sub(1);
        while behind < last {
            let mut entries = reader.read_after(behind, READ)?;
            entries.retain(|entry| entry.position() <= last);
            let Some(end) = entries.last().map(Entry::position) else { break };
            for (engine, found) in &mut engines {
                for entry in &entries {
                    engine.handle(entry, &mut effects);
                }
                found.take(&mut effects);
            }
            behind = end;
        }
    }
    for (engine, found) in &mut engines {
        if let Some(newest) = engine.newest() {
            engine.finish(newest.plus(Span::millis(1)), &mut effects);
            found.take(&mut effects);
        }
    }
    Ok(engines.into_iter().map(|(_, found)| found).collect())
}

impl Found {
    fn take(&mut self, effects: &mut Effects) {
        self.0.extend(effects.findings.iter().map(|finding| (finding.key.clone(), finding.time)));
        effects.clear();
    }
}

/// Where the cases lie in the log, in order and without overlap, as far as there is room.
fn stretches(cases: &[&Case]) -> Vec<(Position, Position)> {
    let mut all: Vec<(Position, Position)> = cases.iter().filter_map(|case| case.stretch()).collect();
    all.retain(|(first, last)| last - first < STRETCH_MAX);
    all.sort_unstable();
    let (mut joined, mut room): (Vec<(Position, Position)>, u64) = (Vec::new(), ENTRIES_MAX);
    for (first, last) in all {
        let begins = joined.last().map_or(first, |(_, end)| first.max(end + 1));
        let new = (last + 1).saturating_sub(begins);
        if new > room {
            break;
        }
        room -= new;
        match joined.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}
