//! All that detection remembers: plain data, a function of the log and the rules alone.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::detect::{Episodes, KeyState};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// What is remembered of one key of one rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) state: Option<KeyState>,
    pub(super) episodes: Episodes,
    /// What the slot was last counted as, in bytes.
    pub(super) bytes: usize,
}

/// What is remembered for one rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) keys: FxHashMap<Box<str>, Slot>,
    pub(super) bytes: usize,
    /// When the watermark passes this, keys that can matter no more are put out.
    pub(super) sweep_at: Timestamp,
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Timer {
    pub(super) at: Timestamp,
    /// See [`super::ruleset::Unit::rank`].
    pub(super) rank: u16,
    /// Whether an episode that begins then is told to the rules that count it; else the key is judged again.
    pub(super) tells: bool,
    pub(super) detector: u32,
    pub(super) key: Box<str>,
}

/// A source that was silent for this much longer than the liveliest one does not keep old keys in memory.
const SILENT: Span = Span::hours(1);

/// All that detection remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) position: Position,
    pub(super) memories: Vec<Memory>,
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) bytes: usize,
    /// When the watermark passes this, some rule may have keys to put out.
    pub(super) sweep_at: Timestamp,
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

    /// Counts a slot anew after it changed.
    pub(super) fn recount(&mut self, detector: u32, key: &str) {
        let Some(memory) = self.memories.get_mut(detector as usize) else { return };
        let Some(slot) = memory.keys.get_mut(key) else { return };
        let now = size_of::<Slot>() + key.len() + 16 + slot.state.as_ref().map_or(0, KeyState::bytes);
        let before = std::mem::replace(&mut slot.bytes, now);
        memory.bytes = memory.bytes + now - before;
        self.bytes = self.bytes + now - before;
    }
}

impl Memory {
    /// Removes the keys that `is_over`, and answers how many bytes that freed.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, &mut Slot) -> bool) -> (usize, u64) {
        let (mut freed, mut count) = (0, 0);
        self.keys.retain(|key, slot| {
            let keeps = keep(key, slot);
            if !keeps {
                freed += slot.bytes;
                count += 1;
            }
            keeps
        });
        self.bytes -= freed;
        (freed, count)
    }
}
