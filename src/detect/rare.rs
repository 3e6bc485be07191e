//! A value that hardly any of the peers shows. The state's key is the peers' group; a hit's value is the alert's key
//! and then the looked-at fields, joined by unit separators.
//!
//! Of the N events of the group before an event, n show its value, and K different values are known, its own included.
//! Its share is estimated as `(n + 1/2) / (N + K/2)` (Krichevsky and Trofimov, "The performance of universal encoding",
//! IEEE Transactions on Information Theory 27, 1981): as if each value had been seen half a time more, so that in a
//! small sample what was not seen yet is not rare at once.
//!
//! A late event changes the shares of those after it: each is judged when the watermark has passed it. Events of one
//! millisecond have no order: none counts for the others.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome, hash, shown};
use super::{size, sorted};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A value that hardly any of the peers shows.
#[derive(Debug, Clone)]
pub struct RareSpec {
    /// The fields, for people.
    pub fields: String,
    /// The peers' fields, for people; empty: all are peers.
    pub peers: String,
    /// How many of a hit's values are the alert's key.
    pub key_fields: usize,
    /// How far back events count, to the thirtieth of it.
    pub history: Span,
    /// A share under this is rare, 0 to 1.
    pub below: f64,
    /// With fewer events nothing is said.
    pub min_events: u64,
    /// How late an event may still count.
    pub lateness: Span,
}

/// The history is forgotten in so many steps.
const SLOTS: i64 = 30;

/// How many different values of a group are counted one by one. At the limit those with the fewest events, half of
/// them, become "others": they go on counting among all events, but are new when they show again. That changes no
/// answer for shares far above one in so many.
const VALUES_MAX: usize = 10_000;

/// How many events of a group wait to be judged; beyond it the oldest is counted but not judged, and the ledger says
/// so.
const PENDING_MAX: usize = 50_000;

/// An event that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    time: Timestamp,
    position: Position,
    value: u64,
    is_judged: bool,
    /// The alert's key.
    key: Box<str>,
    /// The value, for people.
    text: Box<str>,
}

/// What was shown in a thirtieth of the history.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Slot {
    number: i64,
    events: u64,
    /// Without the values that became others.
    #[serde(with = "sorted")]
    values: FxHashMap<u64, u64>,
}

/// What one group of peers showed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RareState {
    last: Option<Timestamp>,
    /// By time, then position.
    pending: VecDeque<Pending>,
    /// Of the history, oldest first.
    slots: VecDeque<Slot>,
    /// Over all slots.
    #[serde(with = "sorted")]
    values: FxHashMap<u64, u64>,
    events: u64,
    /// What the keys and texts of what waits take.
    texts: usize,
}

impl RareSpec {
    /// After that a group has nothing left to count.
    pub(super) fn memory(&self) -> Span {
        Span(self.history.0.saturating_add(self.slot().0))
    }

    fn slot(&self) -> Span {
        Span((self.history.0 / SLOTS).max(1))
    }

    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut RareState, hit: &Hit, _watermark: Timestamp) -> Outcome {
        let order = |known: &Pending| (known.time, known.position);
        let place = state.pending.partition_point(|known| order(known) < (hit.time, hit.position));
        if state.pending.get(place).is_some_and(|known| order(known) == (hit.time, hit.position)) {
            return Outcome::default();
        }
        let event = self.pending(hit);
        state.texts += event.key.len() + event.text.len();
        state.pending.insert(place, event);
        state.last = state.last.max(Some(hit.time));
        let overflowed = state.pending.len() > PENDING_MAX;
        if overflowed && let Some(oldest) = state.pending.pop_front() {
            self.count(state, &oldest);
        }
        Outcome { timer: Some(hit.time), overflowed, completion: None }
    }

    fn pending(&self, hit: &Hit) -> Pending {
        let mut key = String::new();
        let mut value = hit.value.as_deref().unwrap_or_default();
        for _ in 0..self.key_fields {
            let (part, rest) = value.split_once(Hit::SEPARATOR).unwrap_or((value, ""));
            key.push_str(part);
            key.push(Hit::SEPARATOR);
            value = rest;
        }
        let (time, position) = (hit.time, hit.position);
        let text = shown(value).into();
        Pending { time, position, value: hash(value), is_judged: false, key: key.into(), text }
    }

    /// Judges the events up to a time, moment by moment, until one is rare; then it asks to be called again.
    pub(super) fn on_timer(&self, state: &mut RareState, at: Timestamp) -> Outcome {
        while let Some(moment) = state.pending.front().map(|event| event.time).filter(|time| *time <= at) {
            self.forget(state, moment);
            let mut found = None;
            let end = state.pending.partition_point(|event| event.time <= moment);
            for index in 0..end {
                let Some(event) = state.pending.get_mut(index).filter(|event| !event.is_judged) else {
                    continue;
                };
                event.is_judged = true;
                found = state.pending.get(index).and_then(|event| self.judge(state, event));
                if found.is_some() {
                    break;
                }
            }
            if found.is_some() {
                return Outcome { completion: found, timer: Some(at), overflowed: false };
            }
            let judged: Vec<Pending> = state.pending.drain(..end).collect();
            judged.iter().for_each(|event| self.count(state, event));
        }
        Outcome::default()
    }

    fn judge(&self, state: &RareState, event: &Pending) -> Option<Completion> {
        let seen = state.values.get(&event.value).copied().unwrap_or_default();
        let kinds = state.values.len() + usize::from(seen == 0);
        let share = (seen as f64 + 0.5) / (state.events as f64 + kinds as f64 / 2.0);
        if state.events < self.min_events || share >= self.below {
            return None;
        }
        let whose =
            if self.peers.is_empty() { String::new() } else { format!(" of the same {}", self.peers) };
        let reason = format!(
            "{} \"{}\" in {seen} of {} events{whose} in {}: a share of about {} (less than {})",
            self.fields,
            event.text,
            state.events,
            self.history,
            percent(share),
            percent(self.below)
        );
        Some(Completion {
            time: event.time,
            position: event.position,
            value: share,
            reason,
            evidence: Evidence::sample([event.position].into_iter()),
            held: smallvec![(event.time, event.time)],
            score: None,
            key: Some(event.key.clone()),
        })
    }

    /// How much the peers showed, and what would be rare among them.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not below zero, and as large as a count"
    )]
    pub(super) fn known(&self, state: &RareState) -> Vec<String> {
        let kinds = state.values.len();
        let whose =
            if self.peers.is_empty() { String::new() } else { format!(" of the same {}", self.peers) };
        let mut known = vec![format!(
            "{} events{whose} with {kinds} different {} are known of the last {}",
            state.events, self.fields, self.history
        )];
        known.push(if state.events < self.min_events {
            let missing = self.min_events - state.events;
            format!("nothing is rare before there are {}: {missing} are missing", self.min_events)
        } else {
            // (n + 1/2) / (N + K/2) < below, of a value that is known.
            let border = self.below * (state.events as f64 + kinds as f64 / 2.0) - 0.5;
            let new = 0.5 / (state.events as f64 + (kinds + 1) as f64 / 2.0) < self.below;
            match border.ceil().max(0.0) as u64 {
                0 | 1 if new => {
                    format!("only a value never shown before is rare (less than {})", percent(self.below))
                }
                0 | 1 => format!(
                    "not even a new value is rare: its share is not less than {}",
                    percent(self.below)
                ),
                border => format!(
                    "a value shown by fewer than {border} of them is rare (less than {})",
                    percent(self.below)
                ),
            }
        });
        if !state.pending.is_empty() {
            known.push(format!("{} events wait until no earlier one can come", state.pending.len()));
        }
        known
    }

    /// Lets go of the slots that lie before the history of a moment.
    fn forget(&self, state: &mut RareState, moment: Timestamp) {
        let oldest = moment.0.div_euclid(self.slot().0) - SLOTS;
        while state.slots.front().is_some_and(|slot| slot.number < oldest) {
            let Some(slot) = state.slots.pop_front() else { return };
            state.events -= slot.events;
            for (value, count) in slot.values {
                let is_gone = state.values.get_mut(&value).is_some_and(|sum| {
                    *sum -= count;
                    *sum == 0
                });
                if is_gone {
                    state.values.remove(&value);
                }
            }
        }
    }

    /// From now on the event counts for those after it.
    fn count(&self, state: &mut RareState, event: &Pending) {
        state.texts -= event.key.len() + event.text.len();
        let number = event.time.0.div_euclid(self.slot().0);
        let place = state.slots.partition_point(|slot| slot.number < number);
        if state.slots.get(place).is_none_or(|slot| slot.number != number) {
            state.slots.insert(place, Slot { number, ..Slot::default() });
        }
        if let Some(slot) = state.slots.get_mut(place) {
            slot.events += 1;
            *slot.values.entry(event.value).or_default() += 1;
        }
        state.events += 1;
        *state.values.entry(event.value).or_default() += 1;
        if state.values.len() > VALUES_MAX {
            state.lump();
        }
    }
}

/// A share for people, with two digits that mean something.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = [(10.0, 0), (1.0, 1), (0.1, 2), (0.01, 3)].iter().find(|(from, _)| percent >= *from);
    let text = format!("{percent:.*}", digits.map_or(4, |(_, digits)| *digits));
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{short}%")
}

impl RareState {
    /// Makes the values with the fewest events others: half of them, so that it is seldom needed.
    fn lump(&mut self) {
        let mut counts: Vec<(u64, u64)> = self.values.iter().map(|(value, count)| (*count, *value)).collect();
        counts.sort_unstable();
        for (_, value) in counts.iter().take(VALUES_MAX / 2) {
            self.values.remove(value);
            self.slots.iter_mut().for_each(|slot| _ = slot.values.remove(value));
        }
    }

    pub(super) fn last(&self) -> Timestamp {
        self.last.unwrap_or(Timestamp::MIN)
    }

    pub(super) fn bytes(&self) -> usize {
        let map = |values: &FxHashMap<u64, u64>| size::map::<u64, u64>(values.len());
        let counted = map(&self.values) + self.slots.iter().map(|slot| map(&slot.values)).sum::<usize>();
        size::queue(&self.pending) + self.texts + size::queue(&self.slots) + counted
    }

    /// The events that wait to be judged, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.pending.iter().map(|event| event.position).collect()
    }
}

#[cfg(test)]
mod tests;
