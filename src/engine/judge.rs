//! The stateful half: hits go to their keys in the order of the log, the watermark moves, timers come due.

use std::sync::Arc;

use super::conclude::Place;
use super::effects::Effects;
use super::limits::Limits;
use super::ruleset::{Hits, RuleSet, Unit};
use super::snapshot::{self, SnapshotError};
use super::state::{State, Timer};
use crate::alert::LedgerReason;
use crate::detect::{Detector, Hit, Outcome};
use crate::event::{Catalogue, Entry, Event, Position};
use crate::script::EventValue;
use crate::time::Timestamp;

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
        self.catalogue = Arc::clone(rules.catalogue());
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
            own.timers.extend(timers.filter(|timer| newcomers.contains(&timer.detector)));
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
        let handle = self.state.find(u32::try_from(number).ok()?, key)?;
        let within = self.rules.units().get(number)?.detector.within();
        Some(self.state.slot(handle)?.state.as_ref()?.positions(within))
    }

    /// What one key of a rule knows, in sentences, for `explain`.
    #[must_use]
    pub fn known(&self, rule: &str, key: &str, at: Timestamp) -> Option<Vec<String>> {
        let number = self.rules.number(rule)?;
        let handle = self.state.find(u32::try_from(number).ok()?, key)?;
        let state = self.state.slot(handle)?.state.as_ref()?;
        Some(self.rules.units().get(number)?.detector.known(state, at))
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
        let source = &*event.source;
        let watermark = self.state.watermark(source, self.limits.lateness);
        let rules = Arc::clone(&self.rules);
        let catalogue = Arc::clone(&self.catalogue);
        let form = || EventValue::new(event, &catalogue);
        self.state.hear(source, event.received_at);
        for hit in &hits.hits {
            let Some(unit) = rules.units().get(hit.detector as usize) else { continue };
            match &unit.detector {
                Detector::Single => {
                    let place = Place { unit, detector: hit.detector, key: &hit.key, source };
                    self.conclude(&place, Detector::single(hit), effects);
                    self.make_room(hit.detector, effects);
                }
                _ if time < watermark => {
                    effects.ledger(unit.id(), LedgerReason::TooLate, event.position, None);
                }
                _ => self.feed(unit, hit, (source, watermark), &form, effects),
            }
        }
        for (detector, reason, detail) in &hits.misses {
            if let Some(unit) = rules.units().get(*detector as usize) {
                effects.ledger(unit.id(), *reason, event.position, detail.clone());
            }
        }
        if let Some(heard) = self.state.sources.get_mut(source) {
            heard.hear(time, event.received_at);
        }
        self.advance(source, effects);
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

    /// The time before which no event of a source is expected any more; the beginning of time for one never heard of.
    #[must_use]
    pub fn watermark(&self, source: &str) -> Timestamp {
        self.state.watermark(source, self.limits.lateness)
    }

    /// Whether a tick of the clock would bring a timer due: only then is it worth an entry in the log.
    #[must_use]
    pub fn wants_tick(&self, now: Timestamp) -> bool {
        self.state.sources.values().any(|source| {
            let watermark = source.ticked(now).minus(self.limits.lateness);
            source.timers.first().is_some_and(|timer| timer.at < watermark)
        })
    }

    /// Gives a hit to its key's state; `form` is what a script sees of the event.
    pub(super) fn feed(
        &mut self,
        unit: &Unit,
        hit: &Hit,
        (source, watermark): (&str, Timestamp),
        form: &dyn Fn() -> EventValue,
        effects: &mut Effects,
    ) {
        // What is let go must be past for every source that may still send events of this key.
        let watermark = watermark.min(self.state.slowest_watermark(self.limits.lateness));
        let fresh = || unit.detector.fresh();
        let Some(handle) = self.state.enter(hit.detector, &hit.key, fresh) else { return };
        let Some(slot) = self.state.slot_mut(handle) else { return };
        // Where alerts have keys of their own, a slot may have been made for those.
        slot.state = slot.state.take().or_else(fresh);
        let Some(state) = &mut slot.state else { return };
        let outcome = unit.detector.on_hit(state, hit, watermark, form);
        self.state.recount(handle);
        let place = Place { unit, detector: hit.detector, key: &hit.key, source };
        match outcome {
            Ok(outcome) => self.settle(&place, outcome, effects),
            Err(error) => {
                let detail = Some(error.to_string());
                effects.ledger(unit.id(), LedgerReason::ScriptFailed, hit.position, detail);
            }
        }
        self.make_room(hit.detector, effects);
    }

    fn settle(&mut self, place: &Place<'_>, outcome: Outcome, effects: &mut Effects) {
        if let Some(at) = outcome.timer {
            self.wake(place, at, false);
        }
        if outcome.overflowed {
            effects.ledger(place.unit.id(), LedgerReason::WindowFull, self.state.position, None);
        }
        if let Some(completion) = outcome.completion {
            self.conclude(place, completion, effects);
        }
    }

    /// Asks to come back once the watermark has passed a time.
    pub(super) fn wake(&mut self, place: &Place<'_>, at: Timestamp, tells: bool) {
        let (rank, detector) = (place.unit.rank, place.detector);
        let hash = self.state.hash(detector, place.key);
        self.state.wake(place.source, Timer { at, rank, tells, detector, hash });
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
            let Some(unit) = rules.units().get(timer.detector as usize) else { continue };
            for handle in self.state.woken(&timer) {
                let Some(slot) = self.state.slot_mut(handle) else { continue };
                let key = slot.key.clone();
                let place = Place { unit, detector: timer.detector, key: &key, source };
                if timer.tells {
                    self.tell(&place, timer.at, effects);
                    continue;
                }
                let Some(state) = slot.state.as_mut() else { continue };
                let outcome = unit.detector.on_timer(state, timer.at);
                self.state.recount(handle);
                self.settle(&place, outcome, effects);
                self.make_room(timer.detector, effects);
            }
        }
        self.sweep(self.state.slowest_watermark(self.limits.lateness));
    }
}
