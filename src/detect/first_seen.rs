//! What a key never did before.
//!
//! The moment of a value is that of its first showing, in whatever order events arrive: a finding that was told too
//! late in event time is moved back. Where a late event could still show that there was nothing to tell (the value was
//! about to be forgotten, the key was still being learnt), the showing waits for the watermark.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome, shown};
use super::showing::{New, Newness, Showings, Taken};
use super::{size, sorted};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// A value this key never showed before.
#[derive(Debug, Clone)]
pub struct FirstSeenSpec {
    /// The fields, for people.
    pub fields: String,
    /// How long a key is watched before it may fire.
    pub learn: Span,
    /// After how long without it a value counts as new again; zero: never.
    pub forget: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// What one key showed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FirstSeenState {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// When each value was last shown, by its hash: 16 bytes each. Without what late events may still come before.
    #[serde(with = "sorted")]
    values: FxHashMap<u64, Timestamp>,
    showings: Showings,
    /// How those values read that are judged later.
    #[serde(with = "sorted")]
    texts: FxHashMap<u64, Box<str>>,
}

/// How many values one key keeps. At the limit the eighth not shown for longest is forgotten, so that it is seldom
/// needed, and the ledger says so.
const VALUES_MAX: usize = 100_000;

impl FirstSeenSpec {
    const fn newness(&self) -> Newness {
        Newness { gap: self.forget, is_first_new: true, lateness: self.lateness }
    }

    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut FirstSeenState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let first = state.first.map_or(hit.time, |first| first.min(hit.time));
        (state.first, state.last) = (Some(first), state.last.max(Some(hit.time)));
        let overflowed = self.settle(state, watermark);
        let known_for = hit.time.since(first);
        let is_sure = self.learn.0 == 0 || known_for.0 >= self.learn.0.saturating_add(self.lateness.0);
        let may_count = known_for >= self.learn || self.learn <= self.lateness;
        let value = hit.value_hash();
        let settled = state.values.get(&value).copied();
        let showing = (value, hit.time, hit.position);
        let text = hit.value.as_deref().unwrap_or_default();
        match state.showings.take(self.newness(), showing, settled, (is_sure, may_count)) {
            Taken::Known => Outcome { overflowed, ..Outcome::default() },
            Taken::New(new) => {
                let completion = Some(self.completion(state, &new, &shown(text)));
                Outcome { completion, overflowed, timer: None }
            }
            Taken::Waits => {
                state.texts.insert(value, shown(text).into());
                Outcome { timer: Some(hit.time), overflowed, completion: None }
            }
        }
    }

    /// Judges what waited at a moment, one value after another.
    pub(super) fn on_timer(&self, state: &mut FirstSeenState, at: Timestamp) -> Outcome {
        let values = &state.values;
        let judged = state.showings.judge(self.newness(), at, |value| values.get(&value).copied());
        let Some((value, new)) = judged else {
            state.forget_texts();
            return Outcome::default();
        };
        let learnt = state.first.is_none_or(|first| at.since(first) >= self.learn);
        let new = new.filter(|_| learnt);
        let text = state.texts.get(&value).map_or("", |text| text);
        let completion = new.map(|new| self.completion(state, &new, text));
        Outcome { completion, timer: Some(at), overflowed: false }
    }

    /// Moves what can no longer change to the values that are known; true if some of those had to go.
    fn settle(&self, state: &mut FirstSeenState, watermark: Timestamp) -> bool {
        let horizon = state.last().minus(self.lateness).min(watermark);
        let values = &mut state.values;
        let overflowed = state.showings.settle((self.newness(), horizon), |showing| {
            let last = values.entry(showing.value).or_insert(showing.time);
            *last = (*last).max(showing.time);
        });
        if state.values.len() > VALUES_MAX && self.forget.0 > 0 {
            let forget = self.forget.0.saturating_add(self.lateness.0);
            state.values.retain(|_, last| horizon.since(*last).0 < forget);
        }
        if state.values.len() <= VALUES_MAX {
            return overflowed;
        }
        let mut oldest: Vec<(Timestamp, u64)> =
            state.values.iter().map(|(value, last)| (*last, *value)).collect();
        oldest.select_nth_unstable(VALUES_MAX / 8);
        for (_, value) in oldest.iter().take(VALUES_MAX / 8) {
            state.values.remove(value);
        }
        true
    }

    /// How much is known, whether that is enough, and what would be new.
    pub(super) fn known(&self, state: &FirstSeenState, at: Timestamp) -> Vec<String> {
        let Some(first) = state.first else { return vec![String::from("nothing was shown yet")] };
        let count = state.known_before(at.plus(Span::millis(1)));
        let mut known = vec![format!(
            "{count} different {} known since {first}, the last one shown at {}",
            self.fields,
            state.last()
        )];
        let learnt = first.plus(self.learn);
        known.push(if learnt > at {
            format!("it is still learning, until {learnt}: nothing is new before that")
        } else {
            format!("it fires for the next {} that is not among them", self.fields)
        });
        if self.forget.0 > 0 {
            known.push(format!("one that is not shown for {} counts as new again", self.forget));
        }
        known
    }

    fn completion(&self, state: &FirstSeenState, new: &New, text: &str) -> Completion {
        let known = state.known_before(new.time);
        let since = state.first.unwrap_or(new.time);
        let reason = match new.before {
            Some(before) => format!("{} {text} was not seen here since {before}", self.fields),
            None => {
                format!("{} {text} was never seen here before ({known} known since {since})", self.fields)
            }
        };
        Completion {
            time: new.time,
            position: new.position,
            value: known as f64,
            reason,
            evidence: Evidence::sample([new.position].into_iter()),
            held: smallvec![(new.time, new.instead_of)],
            score: None,
            key: None,
        }
    }
}

impl FirstSeenState {
    /// How many different values are known from before a moment.
    fn known_before(&self, time: Timestamp) -> usize {
        let of_each = self.showings.all().chunk_by(|left, right| left.value == right.value);
        let firsts = of_each.filter_map(<[_]>::first).filter(|showing| showing.time < time);
        self.values.len() + firsts.filter(|showing| !self.values.contains_key(&showing.value)).count()
    }

    /// Only what waits needs its text.
    fn forget_texts(&mut self) {
        let waiting = self.showings.waiting();
        self.texts.retain(|value, _| waiting.contains(value));
    }

    pub(super) fn last(&self) -> Timestamp {
        self.last.unwrap_or(Timestamp::MIN)
    }

    pub(super) fn bytes(&self) -> usize {
        let texts = size::map::<u64, Box<str>>(self.texts.len())
            + self.texts.values().map(|text| size::block(text.len())).sum::<usize>();
        size::map::<u64, Timestamp>(self.values.len()) + self.showings.bytes() + texts
    }

    /// The latest showings, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.showings.positions()
    }
}

#[cfg(test)]
mod tests;
