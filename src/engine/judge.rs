//! The stateful half: hits go to their keys in the order of the log, the watermark moves, timers come due.

use std::sync::Arc;

use super::effects::Effects;
use super::limits::Limits;
use super::ruleset::{Hits, RuleSet, Unit};
use super::snapshot::{self, SnapshotError};
use super::state::State;
use crate::alert::{Alert, AlertId, Finding, LedgerReason};
use crate::detect::{Completion, Detector, Episode, Episodes, Hit, Outcome};
use crate::event::{Catalogue, Entry, Event, Position, canonical};
use crate::time::{Span, Timestamp};

/// Detection: a pure function of the log and the rules.
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: Arc<RuleSet>,
    catalogue: Arc<Catalogue>,
    pub(super) limits: Limits,
    pub(super) state: State,
    hits: Hits,
    newcomers: Vec<u32>,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, catalogue: Arc<Catalogue>, limits: Limits) -> Self {
        let state = State::new(&rules);
        Self { rules, catalogue, limits, state, hits: Hits::default(), newcomers: Vec::new() }
    }

    /// An engine that goes on from a snapshot.
    pub fn restore(
        rules: Arc<RuleSet>,
        catalogue: Arc<Catalogue>,
        limits: Limits,
        bytes: &[u8],
    ) -> Result<Self, SnapshotError> {
        let (state, newcomers) = snapshot::read(bytes, &rules)?;
        Ok(Self { state, newcomers, ..Self::new(rules, catalogue, limits) })
    }

    /// The state as bytes.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        snapshot::write(&self.state, &self.rules)
    }

    /// Goes on with other rules; those that mean the same keep their state.
    pub fn replace_rules(&mut self, rules: Arc<RuleSet>) -> Result<(), SnapshotError> {
        (self.state, self.newcomers) = snapshot::read(&self.snapshot()?, &rules)?;
        self.rules = rules;
        self.hits.reset();
        Ok(())
    }

    /// The numbers of rules that remember things but have not seen the past: new ones, and those whose meaning
    /// changed.
    #[must_use]
    pub fn newcomers(&self) -> &[u32] {
        &self.newcomers
    }

    /// Lets the newcomers begin with what they have.
    pub fn settle_newcomers(&mut self) {
        self.newcomers.clear();
    }

    /// Takes over what newcomers learnt in another engine with the same rules. Their open episodes are left
    /// behind: what goes on now is worth an alert of its own, since nobody was told of it.
    pub fn adopt(&mut self, mut learner: Self, newcomers: &[u32]) {
        for number in newcomers {
            let learnt = learner.state.memories.get_mut(*number as usize).map(std::mem::take);
            if let (Some(mut learnt), Some(memory)) = (learnt, self.state.memories.get_mut(*number as usize))
            {
                learnt.keys.retain(|slot| {
                    slot.episodes = None;
                    true
                });
                *memory = learnt;
            }
        }
        for (name, learnt) in &mut learner.state.sources {
            let timers = std::mem::take(&mut learnt.timers).into_iter();
            let own = self.state.source(name, learnt.heard_at);
            own.timers.extend(timers.filter(|(_, number, _)| newcomers.contains(number)));
        }
        self.state.ghosts.absorb(&learner.state.ghosts);
        self.state.count_all();
        self.newcomers.clear();
    }

    /// The rules it runs.
    #[must_use]
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// The last entry it judged.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.state.position
    }

    /// What the state takes in memory, in bytes.
    #[must_use]
    pub const fn state_bytes(&self) -> usize {
        self.state.bytes
    }

    /// How many keys are remembered, over all rules.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.state.memories.iter().map(|memory| memory.keys.len()).sum()
    }

    /// The events that one key of a rule remembers, for `explain`.
    #[must_use]
    pub fn remembered(&self, rule: &str, key: &str) -> Option<Vec<Position>> {
        let number = self.rules.number(rule)?;
        let place = self.state.find(u32::try_from(number).ok()?, key)?;
        Some(self.state.slot(place)?.state.as_ref()?.positions())
    }

    /// Judges one entry of the log. Entries come in order, each once.
    pub fn handle(&mut self, entry: &Entry, effects: &mut Effects) {
        match entry {
            Entry::Event(event) => {
                let rules = Arc::clone(&self.rules);
                let mut hits = std::mem::take(&mut self.hits);
                rules.hits(event, &mut hits);
                self.judge(event, &hits, effects);
                self.hits = hits;
            }
            Entry::Tick { position, at } => {
                self.state.position = *position;
                self.state.sources.values_mut().for_each(|source| source.tick(*at));
                self.advance_all(effects);
            }
        }
    }

    /// Judges what an event means to the detectors, as [`RuleSet::hits`] found out.
    pub fn judge(&mut self, event: &Event, hits: &Hits, effects: &mut Effects) {
        self.state.position = event.position;
        let time = event.judged_at();
        let is_late = time < self.state.watermark(&event.source, self.limits.lateness);
        let rules = Arc::clone(&self.rules);
        for hit in &hits.hits {
            let Some(unit) = rules.units().get(hit.detector as usize) else { continue };
            match &unit.detector {
                Detector::Single => {
                    self.conclude(unit, hit.detector, &hit.key, Detector::single(hit), effects)
                }
                _ if is_late => effects.ledger(unit.id(), LedgerReason::TooLate, event.position, None),
                _ => self.feed(unit, hit, event, effects),
            }
            self.make_room(hit.detector, effects);
        }
        for (detector, reason, detail) in &hits.misses {
            if let Some(unit) = rules.units().get(*detector as usize) {
                effects.ledger(unit.id(), *reason, event.position, detail.clone());
            }
        }
        match self.state.sources.get_mut(&*event.source) {
            Some(source) => source.hear(time, event.received_at),
            None => self.state.source(&event.source, event.received_at).hear(time, event.received_at),
        }
        self.advance(&event.source, effects);
    }

    /// The input has ended: everything is judged as if the watermark had come to `until`.
    pub fn finish(&mut self, until: Timestamp, effects: &mut Effects) {
        for source in self.state.sources.values_mut() {
            source.newest = source.newest.max(until.plus(self.limits.lateness));
        }
        self.advance_all(effects);
    }

    /// The newest event time seen.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.state.sources.values().map(|source| source.newest).max()
    }

    /// Whether a tick of the clock would bring a timer due: only then is it worth an entry in the log.
    #[must_use]
    pub fn wants_tick(&self, now: Timestamp) -> bool {
        self.state.sources.values().any(|source| {
            let watermark = source.ticked(now).minus(self.limits.lateness);
            source.timers.first().is_some_and(|(due, ..)| *due < watermark)
        })
    }

    fn feed(&mut self, unit: &Unit, hit: &Hit, event: &Event, effects: &mut Effects) {
        let watermark = self.state.watermark(&event.source, self.limits.lateness);
        let fresh = || unit.detector.fresh();
        let Some(place) = self.state.enter(hit.detector, &hit.key, fresh) else { return };
        let state = self.state.slot_mut(place).and_then(|slot| slot.state.as_mut());
        let Some(state) = state else { return };
        let catalogue = &self.catalogue;
        let outcome = unit.detector.on_hit(state, hit, watermark, &|| canonical(event, catalogue));
        self.state.recount(place);
        match outcome {
            Ok(outcome) => {
                if let Some(at) = outcome.timer {
                    self.state.wake((&event.source, event.received_at), place, at);
                }
                self.settle(unit, hit.detector, &hit.key, outcome, effects);
            }
            Err(error) => {
                let detail = Some(error.to_string());
                effects.ledger(unit.id(), LedgerReason::ScriptFailed, hit.position, detail);
            }
        }
    }

    fn settle(&mut self, unit: &Unit, detector: u32, key: &str, outcome: Outcome, effects: &mut Effects) {
        if outcome.overflowed {
            effects.ledger(unit.id(), LedgerReason::WindowFull, self.state.position, None);
        }
        if let Some(completion) = outcome.completion {
            self.conclude(unit, detector, key, completion, effects);
        }
    }

    /// From a completion to a finding and its alert.
    fn conclude(
        &mut self,
        unit: &Unit,
        detector: u32,
        key: &str,
        completion: Completion,
        effects: &mut Effects,
    ) {
        let mut finding = Finding {
            rule: Arc::clone(unit.id()),
            key: unit.key(key),
            time: completion.time,
            position: completion.position,
            value: completion.value,
            reason: completion.reason,
            evidence: completion.evidence.positions,
            evidence_count: completion.evidence.count,
            alert: None,
        };
        if !unit.is_silent {
            let name = |index: usize| alert_id(&unit.rule.id, key, completion.position, index);
            let is_first = |episode: &Episode| episode.findings <= 1;
            let hold = |episodes: &mut Episodes| {
                episodes.hold(&completion.held, unit.rule.suppress, completion.position, name)
            };
            for merge in self.with_episodes(unit, detector, key, hold) {
                finding.alert = Some(merge.episode.alert.clone());
                let alert = alert(unit, &finding, &merge.episode);
                for absorbed in merge.absorbed {
                    effects.absorb(absorbed.alert.clone(), &merge.episode.alert, alert.clone());
                }
                effects
                    .alert(alert, is_first(&merge.episode) && merge.episode.position == completion.position);
            }
        }
        effects.findings.push(finding);
    }

    /// Changes the open episodes of a key. A rule whose every match is an alert of its own does not keep them.
    fn with_episodes<T>(
        &mut self,
        unit: &Unit,
        detector: u32,
        key: &str,
        change: impl FnOnce(&mut Episodes) -> T,
    ) -> T {
        let place = if unit.detector.is_stateful() {
            self.state.find(detector, key)
        } else if unit.rule.suppress > Span::default() {
            self.state.enter(detector, key, || None)
        } else {
            None
        };
        let Some((place, slot)) = place.and_then(|place| Some((place, self.state.slot_mut(place)?))) else {
            return change(&mut Episodes::default());
        };
        let changed = change(slot.episodes.get_or_insert_default());
        self.state.recount(place);
        changed
    }

    fn advance_all(&mut self, effects: &mut Effects) {
        let names: Vec<String> = self.state.sources.keys().cloned().collect();
        for name in names {
            self.advance(&name, effects);
        }
    }

    /// A source's watermark has moved: judges what waited for it, and forgets what can matter no more.
    fn advance(&mut self, source: &str, effects: &mut Effects) {
        let watermark = self.state.watermark(source, self.limits.lateness);
        let rules = Arc::clone(&self.rules);
        while let Some(timer) = self.state.due(source, watermark) {
            let (due, detector, _) = timer;
            let Some(unit) = rules.units().get(detector as usize) else { continue };
            for place in self.state.woken(timer) {
                let Some(slot) = self.state.slot_mut(place) else { continue };
                let Some(state) = slot.state.as_mut() else { continue };
                let outcome = unit.detector.on_timer(state, due);
                let key = slot.key.clone();
                self.state.recount(place);
                self.settle(unit, detector, &key, outcome, effects);
            }
        }
        self.sweep(self.state.slowest_watermark(self.limits.lateness));
    }
}

/// 16 bytes of BLAKE3 over rule, key, completing event and the stretch's number, in hex.
fn alert_id(rule: &str, key: &str, position: Position, index: usize) -> AlertId {
    let mut hasher = blake3::Hasher::new();
    for part in [rule.as_bytes(), key.as_bytes(), &position.to_le_bytes(), &index.to_le_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex = hasher.finalize().to_hex();
    AlertId(hex.chars().take(32).collect())
}

fn alert(unit: &Unit, finding: &Finding, episode: &Episode) -> Alert {
    Alert {
        id: episode.alert.clone(),
        rule: Arc::clone(unit.id()),
        title: unit.rule.title.clone(),
        level: unit.rule.level,
        tags: unit.rule.tags.clone(),
        key: finding.key.clone(),
        started_at: episode.start,
        last_at: episode.end,
        position: episode.position,
        findings: episode.findings,
        value: finding.value,
        reason: finding.reason.clone(),
        evidence: finding.evidence.clone(),
        evidence_count: finding.evidence_count,
        merged_into: None,
    }
}
