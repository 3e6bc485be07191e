//! Forgetting: keys that can matter no more, and the coldest ones when memory runs out.

use super::effects::Effects;
use super::judge::Engine;
use super::state::Slot;
use crate::alert::LedgerReason;
use crate::detect::KeyState;
use crate::time::{Span, Timestamp};

impl Engine {
    /// Puts out the keys whose windows the watermark has left behind; looks at each rule now and then.
    pub(super) fn sweep(&mut self, watermark: Timestamp) {
        if watermark < self.state.sweep_at {
            return;
        }
        let mut next = Timestamp::MAX;
        for (unit, memory) in self.rules.units().iter().zip(&mut self.state.memories) {
            if memory.keys.is_empty() {
                continue;
            }
            if memory.sweep_at <= watermark {
                let reach =
                    unit.detector.within().max(unit.rule.suppress).plus_lateness(self.limits.lateness);
                let (freed, _) = memory.retain(|_, slot| {
                    slot.episodes.close(watermark, reach);
                    let over = slot.state.as_ref().is_none_or(|state| {
                        unit.detector.memory().is_some_and(|memory| state.last().plus(memory) < watermark)
                    });
                    !(over && slot.episodes.is_empty())
                });
                self.state.bytes -= freed;
                let pause = Span(reach.0 / 4).max(Span::minutes(1));
                memory.sweep_at = watermark.plus(pause);
            }
            next = next.min(memory.sweep_at);
        }
        self.state.sweep_at = next.min(watermark.plus(Span::minutes(1)));
    }

    /// Beyond the limit the coldest eighth of the largest rule's keys is forgotten, and the ledger says so.
    pub(super) fn make_room(&mut self, effects: &mut Effects) {
        while self.state.bytes > self.limits.state_bytes_max {
            let sizes = self.state.memories.iter().map(|memory| memory.bytes).enumerate();
            let Some((number, _)) = sizes.max_by_key(|(_, bytes)| *bytes) else { return };
            let (Some(unit), Some(memory)) =
                (self.rules.units().get(number), self.state.memories.get_mut(number))
            else {
                return;
            };
            let mut ages: Vec<(Timestamp, Box<str>)> =
                memory.keys.iter().map(|(key, slot)| (slot.last(), key.clone())).collect();
            ages.sort_unstable();
            ages.truncate((ages.len() / 8).max(1));
            let Some((limit, _)) = ages.last().cloned() else { return };
            let doomed: rustc_hash::FxHashSet<Box<str>> = ages.into_iter().map(|(_, key)| key).collect();
            let (freed, count) = memory.retain(|key, slot| slot.last() > limit || !doomed.contains(key));
            self.state.bytes -= freed;
            for _ in 0..count {
                effects.ledger(unit.id(), LedgerReason::Evicted, self.state.position, None);
            }
        }
    }
}

impl Slot {
    fn last(&self) -> Timestamp {
        let episodes = self.episodes.open().iter().map(|episode| episode.end).max();
        let state = self.state.as_ref().map(KeyState::last);
        state.into_iter().chain(episodes).max().unwrap_or(Timestamp::MIN)
    }
}

impl Span {
    const fn plus_lateness(self, lateness: Self) -> Self {
        Self(self.0.saturating_add(lateness.0))
    }
}
