//! What a key never did before, and keys that wake after a long silence.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome};
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
}

/// What one key showed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FirstSeenState {
    first: Option<Timestamp>,
    /// By the hash of a value.
    #[serde(with = "sorted")]
    values: FxHashMap<u64, Acquaintance>,
    last: Timestamp,
}

/// How long a value is known.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Acquaintance {
    /// When it was last seen before it was forgotten; the beginning of time if it never was.
    before: Timestamp,
    /// When it became new.
    since: Timestamp,
    /// When it was last seen.
    last: Timestamp,
}

/// How many values one key keeps; at the limit the one not seen for longest is forgotten.
const VALUES_MAX: usize = 100_000;

impl FirstSeenSpec {
    /// Takes in an event. One that arrives late but shows the value earlier than what first showed it moves the
    /// beginning back.
    pub(super) fn on_hit(&self, state: &mut FirstSeenState, hit: &Hit) -> Outcome {
        let first = state.first.map_or(hit.time, |first| first.min(hit.time));
        state.first = Some(first);
        state.last = state.last.max(hit.time);
        let known = state.values.len();
        let new_until = self.acquaint(&mut state.values, hit);
        let overflowed = state.values.len() > VALUES_MAX && forget_oldest(&mut state.values);
        let new_until = new_until.filter(|_| hit.time.since(first) >= self.learn);
        let completion = new_until.map(|until| self.completion(hit, known, first, until));
        Outcome { completion, overflowed, timer: None }
    }

    /// Notes that a value was seen; if it is new, up to when it was believed to be: the time of the event itself, or
    /// of the later one that was taken for the first.
    fn acquaint(&self, values: &mut FxHashMap<u64, Acquaintance>, hit: &Hit) -> Option<Timestamp> {
        let time = hit.time;
        let fresh = |before| Acquaintance { before, since: time, last: time };
        let is_forgotten = |last: Timestamp| self.forget.0 > 0 && time.since(last) >= self.forget;
        match values.entry(hit.value_hash()) {
            Entry::Vacant(place) => {
                place.insert(fresh(Timestamp::MIN));
                Some(time)
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                if is_forgotten(known.last) {
                    *known = fresh(known.last);
                    return Some(time);
                }
                known.last = known.last.max(time);
                let is_earlier =
                    time < known.since && (known.before == Timestamp::MIN || is_forgotten(known.before));
                is_earlier.then(|| std::mem::replace(&mut known.since, time))
            }
        }
    }

    fn completion(&self, hit: &Hit, known: usize, first: Timestamp, until: Timestamp) -> Completion {
        let value = hit.value.as_deref().unwrap_or_default().replace(Hit::SEPARATOR, ", ");
        Completion {
            time: hit.time,
            position: hit.position,
            value: known as f64,
            reason: format!(
                "{} {value} was never seen here before ({known} known since {first})",
                self.fields
            ),
            evidence: Evidence::sample([hit.position].into_iter()),
            held: smallvec![(hit.time, until)],
            score: None,
            key: None,
        }
    }
}

fn forget_oldest(values: &mut FxHashMap<u64, Acquaintance>) -> bool {
    let oldest = values.iter().map(|(value, known)| (known.last, *value)).min();
    oldest.is_some_and(|(_, value)| values.remove(&value).is_some())
}

impl FirstSeenState {
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        size::map::<u64, Acquaintance>(self.values.len())
    }
}

/// The first event of a key after a silence.
#[derive(Debug, Clone)]
pub struct DormantSpec {
    /// How long the silence must be.
    pub silence: Span,
}

/// When one key was last heard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DormantState {
    last: Option<(Timestamp, Position)>,
    /// The last sign of life before the silence that ended most recently, and when it ended.
    woke: Option<((Timestamp, Position), Timestamp)>,
}

impl DormantSpec {
    /// Takes in an event. One that arrives late but belongs before the event that ended the silence moves the
    /// awakening back.
    pub(super) fn on_hit(&self, state: &mut DormantState, hit: &Hit) -> Outcome {
        let Some(last) = state.last else {
            state.last = Some((hit.time, hit.position));
            return Outcome::default();
        };
        let (before, until) = if hit.time >= last.0 {
            state.last = Some((hit.time, hit.position));
            (last, hit.time)
        } else {
            match state.woke {
                Some((before, woke_at)) if hit.time > before.0 && hit.time < woke_at => (before, woke_at),
                _ => return Outcome::default(),
            }
        };
        let silence = hit.time.since(before.0);
        if silence < self.silence {
            return Outcome::default();
        }
        state.woke = Some((before, hit.time));
        let days = silence.0 as f64 / 86_400_000.0;
        Outcome::completed(Some(Completion {
            time: hit.time,
            position: hit.position,
            value: days.floor(),
            reason: format!("first event after {days:.0} days of silence (at least {})", self.silence),
            evidence: Evidence::sample([before.1, hit.position].into_iter()),
            held: smallvec![(hit.time, until)],
            score: None,
            key: None,
        }))
    }
}

impl DormantState {
    pub(super) fn last(&self) -> Timestamp {
        self.last.map_or(Timestamp::MIN, |(time, _)| time)
    }
}
