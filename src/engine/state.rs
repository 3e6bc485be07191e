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

/// How far a source's events have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The newest event time.
    pub(super) newest: Timestamp,
    /// When the last event arrived, or the clock last ticked.
    pub(super) heard_at: Timestamp,
}

/// A time at which a key wants to be judged again, once the watermark has passed it.
pub(super) type Timer = (Timestamp, u32, Box<str>);

/// All that detection remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) position: Position,
    pub(super) memories: Vec<Memory>,
    pub(super) timers: BTreeSet<Timer>,
    pub(super) sources: BTreeMap<String, Progress>,
    pub(super) bytes: usize,
    /// When the watermark passes this, some rule may have keys to put out.
    pub(super) sweep_at: Timestamp,
}

impl State {
    /// No event before this is to be expected: the least of the sources' newest times, less the lateness.
    pub(super) fn watermark(&self, lateness: Span) -> Timestamp {
        let slowest = self.sources.values().map(|source| source.newest).min();
        slowest.map_or(Timestamp::MIN, |newest| newest.minus(lateness))
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
