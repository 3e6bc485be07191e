//! A value other than the key's last one.
//!
//! The events of one millisecond have no order among themselves, so a moment shows a set of values. It is a change if
//! it shows one that the moment before did not, or several at once. A late event between two moments can make or undo
//! a change: each moment is judged when the watermark has passed it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::hit::{Completion, Evidence, Hit, Outcome, shown};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A value other than the key's last one.
#[derive(Debug, Clone)]
pub struct ChangeSpec {
    /// The fields, for people.
    pub fields: String,
    /// How long a value holds; zero: for ever.
    pub within: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// How many events of one key wait to be judged; beyond it the oldest is given up and the ledger says so.
const EVENTS_MAX: usize = 10_000;

/// An event that showed a value.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Shown {
    time: Timestamp,
    position: Position,
    /// The value's hash.
    value: u64,
    judged: bool,
}

/// What one key showed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangeState {
    /// By time, then position: the last moment that was judged, and what waits.
    events: VecDeque<Shown>,
    /// How each of these values reads, and how many events show it.
    texts: BTreeMap<u64, (u32, Box<str>)>,
    /// What the texts take.
    text_bytes: usize,
}

impl ChangeSpec {
    /// A value that holds for ever is remembered for ever.
    pub(super) const fn memory(&self) -> Option<Span> {
        if self.within.0 > 0 { Some(self.within) } else { None }
    }

    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut ChangeState, hit: &Hit, _watermark: Timestamp) -> Outcome {
        let event = Shown { time: hit.time, position: hit.position, value: hit.value_hash(), judged: false };
        let place =
            state.events.partition_point(|known| (known.time, known.position) < (hit.time, hit.position));
        let known = state.events.get(place);
        if known.is_some_and(|known| (known.time, known.position) == (hit.time, hit.position)) {
            return Outcome::default();
        }
        state.events.insert(place, event);
        state.name(event.value, hit.value.as_deref().unwrap_or_default());
        let overflowed = state.events.len() > EVENTS_MAX && state.pop();
        Outcome { timer: Some(hit.time), overflowed, completion: None }
    }

    /// Judges a moment.
    pub(super) fn on_timer(&self, state: &mut ChangeState, at: Timestamp) -> Outcome {
        let completion = self.judge(state, at);
        let moment = state.moment(at);
        state.events.range_mut(moment).for_each(|event| event.judged = true);
        state.trim();
        Outcome::completed(completion)
    }

    fn judge(&self, state: &ChangeState, at: Timestamp) -> Option<Completion> {
        let moment = state.moment(at);
        let before = moment.start.checked_sub(1).and_then(|before| state.events.get(before));
        let before = before.map(|event| event.time);
        let before = before.filter(|time| self.within.0 == 0 || at.since(*time) < self.within);
        let former = before.map_or(0..0, |before| state.moment(before));
        let is_former = |value: u64| state.events.range(former.clone()).any(|event| event.value == value);
        let now = state.events.range(moment.clone());
        let (old, new) = match state.events.range(former.clone()).next_back() {
            Some(old) => {
                (*old, *now.clone().rev().find(|event| !is_former(event.value)).or_else(|| two(now))?)
            }
            None => (*state.events.get(moment.start)?, *two(now)?),
        };
        let text = |event: Shown| state.texts.get(&event.value).map_or("", |(_, text)| text);
        Some(Completion {
            time: at,
            position: new.position,
            value: 1.0,
            reason: format!("{} changed from \"{}\" to \"{}\"", self.fields, text(old), text(new)),
            evidence: Evidence::sample([old.position, new.position].into_iter()),
            held: smallvec::smallvec![(at, at)],
            score: None,
            key: None,
        })
    }
}

impl ChangeSpec {
    /// The value that another one would be a change from, and how long it holds.
    pub(super) fn known(&self, state: &ChangeState, at: Timestamp) -> Vec<String> {
        let Some(last) = state.events.back() else { return vec![String::from("no value is known")] };
        let values: Vec<&str> = state
            .events
            .range(state.moment(last.time))
            .map(|event| state.texts.get(&event.value).map_or("", |(_, text)| text))
            .collect();
        let mut known =
            vec![format!("{} was last \"{}\", at {}", self.fields, values.join("\" and \""), last.time)];
        let ends = last.time.plus(self.within);
        known.push(match self.within.0 {
            0 => String::from("it fires at the next event with another value"),
            _ if ends > at => format!("it fires at an event with another value before {ends}"),
            _ => format!("that no longer holds, since {ends}: the next value is no change"),
        });
        known
    }
}

/// The last of these events that shows another value than the first.
fn two<'e>(mut events: impl DoubleEndedIterator<Item = &'e Shown>) -> Option<&'e Shown> {
    let first = events.next()?;
    events.rev().find(|event| event.value != first.value)
}

impl ChangeState {
    /// The places of the events of one moment.
    fn moment(&self, at: Timestamp) -> Range<usize> {
        let from = self.events.partition_point(|event| event.time < at);
        from..self.events.partition_point(|event| event.time <= at)
    }

    /// Lets go of the moments after which another one was judged.
    fn trim(&mut self) {
        while let Some(front) = self.events.front() {
            let end = self.moment(front.time).end;
            let next = self.events.get(end).map(|next| self.moment(next.time));
            let next = next.filter(|next| self.events.range(0..next.end).all(|event| event.judged));
            if next.is_none() {
                return;
            }
            (0..end).for_each(|_| _ = self.pop());
        }
    }

    /// Remembers how a value reads.
    fn name(&mut self, value: u64, text: &str) {
        let (count, _) = self.texts.entry(value).or_insert_with(|| {
            let text: Box<str> = shown(text).into();
            self.text_bytes += text.len() + size_of::<(u64, u32, Box<str>)>();
            (0, text)
        });
        *count += 1;
    }

    /// Gives up the oldest event.
    fn pop(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else { return false };
        if let Some((count, text)) = self.texts.get_mut(&event.value) {
            *count -= 1;
            if *count == 0 {
                self.text_bytes -= text.len() + size_of::<(u64, u32, Box<str>)>();
                self.texts.remove(&event.value);
            }
        }
        true
    }

    pub(super) fn last(&self) -> Timestamp {
        self.events.back().map_or(Timestamp::MIN, |event| event.time)
    }

    pub(super) fn bytes(&self) -> usize {
        super::size::queue(&self.events) + self.text_bytes * 2
    }

    /// The last event, and those that wait, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.events.iter().map(|event| event.position).collect()
    }
}

#[cfg(test)]
mod tests;
