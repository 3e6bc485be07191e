//! Forgetting: keys that can matter no more, and the coldest ones when memory runs out.
//!
//! Which ones are cold: a new key is on *probation*, in the order of arrival. When room is needed, the oldest one is
//! looked at. If it came back meanwhile, it moves to the *protected* keys; else it is forgotten, and a fingerprint
//! of it is kept ([`Ghosts`]). A forgotten key that comes back is protected from then on. Of the protected keys the
//! oldest gives way too, but only when those on probation take less than a tenth; each time it came back (at most three
//! count) earns it another round. (The S3-FIFO algorithm of Yang and others, SOSP 2023, in bytes instead of entries.)
//!
//! A key costs constant work per event: each step of a search for a victim uses up a visit, a probation, or the
//! victim. Nothing depends on the order inside a hash table, on addresses or on a clock, so a replay forgets the same.

use super::effects::Effects;
use super::ghosts::Ghosts;
use super::judge::Engine;
use super::limits::Limits;
use super::ruleset::Unit;
use super::slot::Queue;
use super::state::Memory;
use crate::alert::LedgerReason;
use crate::time::{Span, Timestamp};

/// Keys on probation keep at least this part of what their rule takes.
const PROBATION: usize = 10;

/// When all memory is used, so much is made free at once, so that the largest rule need not be looked for at each
/// event: this part of the limit …
const BATCH: usize = 64;
/// … but not more than this many bytes, which take about a millisecond.
const BATCH_BYTES_MAX: usize = 1 << 20;

impl Engine {
    /// Puts out the keys whose windows the watermark has left behind; looks at each rule now and then.
    pub(super) fn sweep(&mut self, watermark: Timestamp) {
        if watermark < self.state.sweep_at {
            return;
        }
        while let Some((at, number)) = self.state.sweeps.pop_first() {
            if at > watermark {
                self.state.sweeps.insert((at, number));
                break;
            }
            let memory = self.state.memories.get_mut(number as usize);
            let (Some(unit), Some(memory)) = (self.rules.units().get(number as usize), memory) else {
                continue;
            };
            let reach = reach(unit, &self.limits);
            self.state.bytes -= memory.keys.retain(|slot| !slot.is_over(&unit.detector, reach, watermark));
            let pause = Span(reach.0 / 4).max(Span::minutes(1));
            memory.sweep_at = watermark.plus(pause);
            if !memory.keys.is_empty() {
                self.state.sweeps.insert((memory.sweep_at, number));
            }
        }
        let next = self.state.sweeps.first().map_or(Timestamp::MAX, |(at, _)| *at);
        self.state.sweep_at = next.min(watermark.plus(Span::minutes(1)));
    }

    /// Forgets keys until this rule, which was just fed, and all rules together keep to their limits.
    pub(super) fn make_room(&mut self, detector: u32, effects: &mut Effects) {
        let limits = self.limits;
        let own = self.state.memories.get(detector as usize).map_or(0, Memory::bytes);
        if own <= limits.rule_bytes_max && self.state.bytes <= limits.state_bytes_max {
            return;
        }
        self.prepare_ghosts();
        if own > limits.rule_bytes_max {
            self.shrink(detector as usize, own - limits.rule_bytes_max, effects);
        }
        let batch = (limits.state_bytes_max / BATCH).min(BATCH_BYTES_MAX);
        while self.state.bytes > limits.state_bytes_max {
            let sizes = self.state.memories.iter().map(Memory::bytes).enumerate();
            let Some((largest, bytes)) = sizes.max_by_key(|(number, bytes)| (*bytes, usize::MAX - number))
            else {
                return;
            };
            let surplus = self.state.bytes - limits.state_bytes_max;
            if bytes == 0 || !self.shrink(largest, (surplus + batch).min(bytes), effects) {
                return;
            }
        }
    }

    /// Forgets keys of a rule until so many bytes are free; false if nothing could be forgotten.
    fn shrink(&mut self, number: usize, bytes: usize, effects: &mut Effects) -> bool {
        let before = self.state.bytes;
        let watermark = self.state.slowest_watermark(self.limits.lateness);
        if self.state.timers > self.state.purge_at {
            self.state.purge_timers();
        }
        let rules = std::sync::Arc::clone(&self.rules);
        let Some(unit) = rules.units().get(number) else { return false };
        let reach = reach(unit, &self.limits);
        let goal = before.saturating_sub(bytes);
        while self.state.bytes > goal {
            let Some(memory) = self.state.memories.get_mut(number) else { return false };
            let is_over = |memory: &mut Memory, victim| {
                memory.keys.get_mut(victim).is_some_and(|slot| slot.is_over(&unit.detector, reach, watermark))
            };
            let Some((freed, is_lost)) = forget_one(memory, &mut self.state.ghosts, is_over) else {
                // Only timers are left, of keys that are gone.
                self.state.purge_timers();
                break;
            };
            self.state.bytes -= freed;
            if is_lost {
                effects.ledger(unit.id(), LedgerReason::Evicted, self.state.position, None);
            }
        }
        if let Some(memory) = self.state.memories.get(number).filter(|memory| memory.keys.is_empty()) {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            self.state.sweeps.remove(&(memory.sweep_at, number));
        }
        self.state.bytes < before
    }

    /// The memory of forgotten keys is made when the first one is to be forgotten, or when the limit is another.
    fn prepare_ghosts(&mut self) {
        let bytes = self.limits.ghost_bytes();
        if !self.state.ghosts.is_of(bytes) {
            self.state.bytes -= self.state.ghosts.bytes();
            self.state.ghosts = Ghosts::new(bytes);
            self.state.bytes += self.state.ghosts.bytes();
        }
    }
}

/// Forgets the coldest key; answers how many bytes that freed, and whether the key could still have mattered.
fn forget_one(
    memory: &mut Memory,
    ghosts: &mut Ghosts,
    mut is_over: impl FnMut(&mut Memory, u32) -> bool,
) -> Option<(usize, bool)> {
    let mut freed = 0;
    loop {
        let on_probation = memory.keys.queue_bytes(Queue::Probation);
        let queues = if on_probation * PROBATION >= memory.keys.bytes() {
            [Queue::Probation, Queue::Protected]
        } else {
            [Queue::Protected, Queue::Probation]
        };
        let oldest = queues.into_iter().find_map(|queue| memory.keys.first(queue))?;
        if is_over(memory, oldest) {
            let slot = memory.keys.remove(oldest)?;
            return Some((freed + slot.bytes as usize, false));
        }
        let slot = memory.keys.get_mut(oldest)?;
        if slot.visits == 0 {
            let slot = memory.keys.remove(oldest)?;
            ghosts.remember(memory.keys.hash(&slot.key));
            return Some((freed + slot.bytes as usize, true));
        }
        // To find out whether it was over, it has let go of what is past.
        let weight = slot.weight();
        let before = memory.keys.weigh(oldest, weight)?;
        freed += before.saturating_sub(weight) as usize;
        let slot = memory.keys.get_mut(oldest)?;
        slot.visits -= 1;
        memory.keys.requeue(oldest, Queue::Protected);
    }
}

/// For how long after its end an episode may still be joined: by a stretch that begins within `suppress`, and is found
/// when its last event comes, up to `within` after that.
fn reach(unit: &Unit, limits: &Limits) -> Span {
    let longest = unit.detector.within().0.saturating_add(unit.rule.suppress.0);
    Span(longest.saturating_add(limits.lateness.0))
}
