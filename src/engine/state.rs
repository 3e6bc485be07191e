//! All that detection remembers: plain data, a function of the log and the rules alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::ghosts::Ghosts;
use super::ruleset::RuleSet;
use super::slot::{Queue, Slot};
use super::table::Table;
use crate::detect::KeyState;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// What is remembered for one rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) keys: Table,
    /// How many timers wait for its keys.
    #[serde(skip)]
    pub(super) timers: usize,
    /// When the watermark passes this, keys that can matter no more are put out.
    pub(super) sweep_at: Timestamp,
}

/// Where a key's slot is. Good until a key of the same rule is put in or taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    detector: u32,
    number: u32,
    hash: u64,
}

/// How far a source's events have come, and what waits for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    /// The newest event time.
    pub(super) newest: Timestamp,
    /// When the last event arrived, or the clock last ticked.
    pub(super) heard_at: Timestamp,
    /// What wants to be judged again once this source's watermark has passed it.
    pub(super) timers: BTreeSet<Timer>,
}

/// A time at which something is to be done for a key of a detector. The order of the fields is the order of the
/// doing: a rule over other rules is judged about a moment after they have told what they found then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Timer {
    pub(super) at: Timestamp,
    /// See [`super::ruleset::Unit::rank`].
    pub(super) rank: u16,
    /// Whether an episode that begins then is told to the rules that count it; else the key is judged again.
    pub(super) tells: bool,
    pub(super) detector: u32,
    /// Of the key: half of what the key itself would take, and often less.
    pub(super) hash: u64,
}

/// What a timer takes, in bytes: a tree's nodes are at least half full.
pub(super) const TIMER_BYTES: usize = 2 * size_of::<Timer>();

/// A source that was silent for this much longer than the liveliest one does not keep old keys in memory.
const SILENT: Span = Span::hours(1);

/// All that detection remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) position: Position,
    pub(super) memories: Vec<Memory>,
    pub(super) sources: BTreeMap<String, Source>,
    /// Keys that had to be forgotten; nothing until the first one is.
    pub(super) ghosts: Ghosts,
    /// What all this takes, as far as it grows with events.
    pub(super) bytes: usize,
    /// When the watermark passes this, some rule may have keys to put out.
    pub(super) sweep_at: Timestamp,
    /// When which rules are to be swept, of those that have keys: nobody looks at ten thousand others each minute.
    pub(super) sweeps: BTreeSet<(Timestamp, u32)>,
    /// How many timers wait, over all rules.
    pub(super) timers: u64,
    /// With so many of them, those that wait for forgotten keys are looked for.
    pub(super) purge_at: u64,
}

impl Source {
    /// An event of this time arrived.
    pub(super) fn hear(&mut self, time: Timestamp, received_at: Timestamp) {
        self.newest = self.newest.max(time);
        self.heard_at = self.heard_at.max(received_at);
    }

    /// Where event time is when the clock says `at` and nothing came: it has moved on as much as the clock did
    /// since the last event arrived. (Not to the clock itself: a source may send history.)
    pub(super) fn ticked(&self, at: Timestamp) -> Timestamp {
        self.newest.plus(Span(at.since(self.heard_at).0.max(0)))
    }

    /// The clock says `at`, and nothing came.
    pub(super) fn tick(&mut self, at: Timestamp) {
        self.newest = self.ticked(at);
        self.heard_at = self.heard_at.max(at);
    }
}

impl State {
    /// Nothing, for these rules.
    pub(super) fn new(rules: &RuleSet) -> Self {
        let memories = rules.units().iter().map(|unit| Memory::new(unit.fingerprint)).collect();
        Self { memories, ..Self::default() }
    }

    /// No event of this source before this is to be expected. Sources move on by themselves: one that sends
    /// history, or has fallen silent, does not hold up the rules that watch another.
    pub(super) fn watermark(&self, source: &str, lateness: Span) -> Timestamp {
        self.sources.get(source).map_or(Timestamp::MIN, |source| source.newest.minus(lateness))
    }

    /// No event before this is to be expected from any source that still speaks.
    pub(super) fn slowest_watermark(&self, lateness: Span) -> Timestamp {
        let heard_at = self.sources.values().map(|source| source.heard_at).max().unwrap_or_default();
        let speaking = self.sources.values().filter(|source| source.heard_at >= heard_at.minus(SILENT));
        speaking.map(|source| source.newest).min().map_or(Timestamp::MIN, |newest| newest.minus(lateness))
    }

    /// An event of this source has arrived; a new source is noted.
    pub(super) fn hear(&mut self, name: &str, received_at: Timestamp) {
        if !self.sources.contains_key(name) {
            self.source(name, received_at);
        }
    }

    /// The source of that name; a new one has heard nothing yet.
    pub(super) fn source(&mut self, name: &str, heard_at: Timestamp) -> &mut Source {
        if !self.sources.contains_key(name) {
            let new = Source { newest: Timestamp::MIN, heard_at, timers: BTreeSet::new() };
            self.sources.insert(name.to_owned(), new);
        }
        self.sources.entry(name.to_owned()).or_default()
    }

    /// The slot of a key, which comes back or is entered: among the protected ones if it was forgotten not long ago.
    pub(super) fn enter(
        &mut self,
        detector: u32,
        key: &str,
        fresh: impl FnOnce() -> Option<KeyState>,
    ) -> Option<Handle> {
        let Memory { keys, sweep_at, .. } = self.memories.get_mut(detector as usize)?;
        let hash = keys.hash(key);
        if let Some(number) = keys.find(hash, key) {
            keys.get_mut(number)?.visit();
            return Some(Handle { detector, number, hash });
        }
        if keys.is_empty() {
            self.sweeps.insert((*sweep_at, detector));
        }
        let queue = if self.ghosts.recall(hash) { Queue::Protected } else { Queue::Probation };
        let number = keys.push(hash, Slot::new(key, fresh(), queue));
        let handle = Handle { detector, number, hash };
        self.recount(handle);
        Some(handle)
    }

    /// The slot of a key that is there.
    pub(super) fn find(&self, detector: u32, key: &str) -> Option<Handle> {
        let keys = &self.memories.get(detector as usize)?.keys;
        let hash = keys.hash(key);
        Some(Handle { detector, number: keys.find(hash, key)?, hash })
    }

    /// The slots that a timer is for.
    pub(super) fn woken(&self, timer: &Timer) -> SmallVec<[Handle; 2]> {
        let (detector, hash) = (timer.detector, timer.hash);
        let Some(memory) = self.memories.get(detector as usize) else { return SmallVec::new() };
        memory.keys.all(hash).into_iter().map(|number| Handle { detector, number, hash }).collect()
    }

    pub(super) fn slot(&self, handle: Handle) -> Option<&Slot> {
        self.memories.get(handle.detector as usize)?.keys.get(handle.number)
    }

    pub(super) fn slot_mut(&mut self, handle: Handle) -> Option<&mut Slot> {
        self.memories.get_mut(handle.detector as usize)?.keys.get_mut(handle.number)
    }

    /// Counts a slot anew after it changed.
    pub(super) fn recount(&mut self, handle: Handle) {
        let Some(memory) = self.memories.get_mut(handle.detector as usize) else { return };
        let Some(now) = memory.keys.get(handle.number).map(Slot::weight) else { return };
        let before = memory.keys.weigh(handle.number, now).unwrap_or(now);
        self.bytes = self.bytes + now as usize - before as usize;
    }

    /// A key asks to come back once this source's watermark has passed a time.
    pub(super) fn wake(&mut self, source: &str, timer: Timer) {
        if self.sources.get_mut(source).is_some_and(|source| source.timers.insert(timer)) {
            self.count_timer(timer.detector, true);
        }
    }

    /// The hash of a key of a detector.
    pub(super) fn hash(&self, detector: u32, key: &str) -> u64 {
        self.memories.get(detector as usize).map_or(0, |memory| memory.keys.hash(key))
    }

    /// The next timer of a source that its watermark has passed.
    pub(super) fn due(&mut self, source: &str, watermark: Timestamp) -> Option<Timer> {
        let timers = &mut self.sources.get_mut(source)?.timers;
        let timer =
            timers.first().is_some_and(|timer| timer.at < watermark).then(|| timers.pop_first())??;
        self.count_timer(timer.detector, false);
        Some(timer)
    }

    fn count_timer(&mut self, detector: u32, is_new: bool) {
        let Some(memory) = self.memories.get_mut(detector as usize) else { return };
        if is_new {
            memory.timers += 1;
            self.timers += 1;
            self.bytes += TIMER_BYTES;
        } else {
            memory.timers -= 1;
            self.timers -= 1;
            self.bytes -= TIMER_BYTES;
        }
    }

    /// Counts everything anew, after memories or timers came from elsewhere.
    pub(super) fn count_all(&mut self) {
        self.memories.iter_mut().for_each(|memory| memory.timers = 0);
        for timer in self.sources.values().flat_map(|source| &source.timers) {
            if let Some(memory) = self.memories.get_mut(timer.detector as usize) {
                memory.timers += 1;
            }
        }
        let filled = (0..).zip(&self.memories).filter(|(_, memory)| !memory.keys.is_empty());
        self.sweeps = filled.map(|(number, memory)| (memory.sweep_at, number)).collect();
        self.timers = self.memories.iter().map(|memory| memory.timers as u64).sum();
        self.bytes = self.ghosts.bytes() + self.memories.iter().map(Memory::bytes).sum::<usize>();
    }

    /// Drops the timers of keys that were forgotten.
    pub(super) fn purge_timers(&mut self) {
        let memories = &self.memories;
        let is_alive = |timer: &Timer| {
            let memory = memories.get(timer.detector as usize);
            memory.is_some_and(|memory| !memory.keys.all(timer.hash).is_empty())
        };
        self.sources.values_mut().for_each(|source| source.timers.retain(is_alive));
        self.count_all();
        self.purge_at = (self.timers * 2).max(PURGE_MIN);
    }
}

/// Fewer timers are not worth the search.
const PURGE_MIN: u64 = 1024;

impl Memory {
    /// An empty one for a rule whose meaning has this fingerprint.
    pub(super) fn new(fingerprint: [u8; 16]) -> Self {
        Self { keys: Table::new(fingerprint), ..Self::default() }
    }

    /// Whether it never held anything. (One that is empty again still knows when it is to be swept, and may have timers.)
    pub(super) fn is_untouched(&self) -> bool {
        self.keys.is_empty() && self.timers == 0 && self.sweep_at == Timestamp::default()
    }

    /// What its keys and their timers take.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes() + self.timers * TIMER_BYTES
    }
}
