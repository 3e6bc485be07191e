//! What is remembered of one key of one rule.

use serde::{Deserialize, Serialize};

use super::table::{INDEX_BYTES, NONE};
use crate::detect::size::block;
use crate::detect::{Detector, Episodes, KeyState};
use crate::time::{Span, Timestamp};

/// The two queues of a rule's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Queue {
    /// Keys that have not come back yet.
    Probation,
    /// Keys that came back: after they had come to the end of the other queue, or were forgotten and recognised.
    Protected,
}

/// What is remembered of one key. There may be millions of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) key: Box<str>,
    pub(super) state: Option<KeyState>,
    pub(super) episodes: Option<Box<Episodes>>,
    /// What the slot was last counted as, in bytes.
    pub(super) bytes: u32,
    pub(super) queue: Queue,
    /// How often it came back since it was last looked at; at most [`VISITS_MAX`].
    pub(super) visits: u8,
    /// Its neighbours in the queue; of a free slot, the next free one.
    #[serde(skip)]
    pub(super) before: u32,
    #[serde(skip)]
    pub(super) next: u32,
}

/// More visits do not make a key safer: each is one more round through the protected queue.
const VISITS_MAX: u8 = 3;

impl Slot {
    pub(super) fn new(key: &str, state: Option<KeyState>, queue: Queue) -> Self {
        Self { key: key.into(), state, episodes: None, bytes: 0, queue, visits: 0, before: NONE, next: NONE }
    }

    pub(super) fn free(next: u32) -> Self {
        Self { next, ..Self::new("", None, Queue::Probation) }
    }

    /// Its key came back.
    pub(super) fn visit(&mut self) {
        self.visits = VISITS_MAX.min(self.visits + 1);
    }

    /// What it takes in memory, all in all.
    pub(super) fn weight(&self) -> u32 {
        let state = self.state.as_ref().map_or(0, KeyState::bytes);
        let episodes = self.episodes.as_ref().map_or(0, |episodes| episodes.bytes());
        let all = size_of::<Self>() + INDEX_BYTES + block(self.key.len()) + state + episodes;
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    /// Closes the episodes that nothing can join any more; answers whether the key can matter no more at all.
    pub(super) fn is_over(&mut self, detector: &Detector, reach: Span, watermark: Timestamp) -> bool {
        if let Some(episodes) = &mut self.episodes {
            episodes.close(watermark, reach);
        }
        self.episodes.take_if(|episodes| episodes.is_empty());
        let is_past =
            |state: &KeyState| detector.memory().is_some_and(|memory| state.last().plus(memory) < watermark);
        self.episodes.is_none() && self.state.as_ref().is_none_or(is_past)
    }
}
