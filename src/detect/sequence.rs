//! Steps that happen one after another, or together in any order, within a window.
//!
//! Different steps are different events; two events of the same millisecond may stand in either order. Without
//! `unless` a sequence is judged when an event arrives; with it, when the watermark has passed the last step.

mod chain;
mod known;
mod search;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::hit::{Completion, Evidence, Held, Hit, Outcome, hash};
use super::size;
use crate::event::Position;
use crate::time::{Span, Timestamp};
use chain::{Search, ordered, unordered};
use search::{TRIES_MAX, Trial};

/// A sequence behaviour. A hit's role is its step; the role after the last step is the `unless` selection.
#[derive(Debug, Clone)]
pub struct SequenceSpec {
    /// The names of the steps, for people.
    pub steps: Vec<String>,
    /// Whether they must come in this order.
    pub ordered: bool,
    /// The name of the selection that must not come in between.
    pub unless: Option<String>,
    /// Whether the values that hits carry must differ between any two steps.
    pub different: bool,
    /// The longest time from before the first to the last step.
    pub within: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// How many events of one step a key keeps: the newest ones.
const STEP_EVENTS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct StepEvent {
    time: Timestamp,
    position: Position,
    value: u64,
}

/// One key's steps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SequenceState {
    /// Per role, by time, then position.
    roles: Vec<VecDeque<StepEvent>>,
}

impl SequenceSpec {
    fn unless_role(&self) -> usize {
        self.steps.len()
    }

    /// Takes in an event; what the watermark has left behind is let go.
    pub(super) fn on_hit(&self, state: &mut SequenceState, hit: &Hit, watermark: Timestamp) -> Outcome {
        state.roles.resize(self.steps.len() + 1, VecDeque::new());
        let value = if self.different { hash(hit.value.as_deref().unwrap_or_default()) } else { 0 };
        let event = StepEvent { time: hit.time, position: hit.position, value };
        let role = usize::from(hit.role);
        let Some(events) = state.roles.get_mut(role) else { return Outcome::default() };
        let place = events.partition_point(|known| *known <= event);
        events.insert(place, event);
        let overflowed = events.len() > STEP_EVENTS_MAX && events.pop_front().is_some();
        self.trim(state, watermark);
        let last_step = self.steps.len() - 1;
        let mut outcome = if self.unless.is_some() {
            let ends_sequence = if self.ordered { role == last_step } else { role <= last_step };
            if ends_sequence { Outcome::timer(hit.time) } else { Outcome::default() }
        } else {
            self.judge(state, event, role)
        };
        outcome.overflowed |= overflowed;
        outcome
    }

    /// Judges the sequences that end at `at`, once no event of that time can come any more.
    pub(super) fn on_timer(&self, state: &SequenceState, at: Timestamp) -> Outcome {
        let mut tries = TRIES_MAX;
        let mut ends = self.ends(state, at, at);
        ends.reverse();
        let chains = ends.into_iter().filter_map(|end| self.chain(state, end, &mut tries));
        let mut chains = chains.filter(|chain| !self.is_refuted(state, chain));
        // Of several that end together, the longest says most.
        let chain = chains.by_ref().min_by_key(|chain| stretch(chain).0);
        let completion = chain.map(|chain| self.completion(&chain, smallvec![stretch(&chain)]));
        Outcome { overflowed: tries == 0, ..Outcome::completed(completion) }
    }

    /// Judges every sequence a new event may have completed: those that end between it and one window later.
    fn judge(&self, state: &SequenceState, event: StepEvent, role: usize) -> Outcome {
        let is_last = self.ordered && role == self.steps.len() - 1;
        let until = if is_last { event.time } else { event.time.plus(Span(self.within.0 - 1)) };
        let ends = if is_last { vec![event] } else { self.ends(state, event.time, until) };
        let mut held: SmallVec<[Held; 1]> = SmallVec::new();
        let mut completed = None;
        let mut tries = TRIES_MAX;
        for end in ends {
            // A late step changes something only for the sequences that use it.
            let chain = self.chain(state, end, &mut tries);
            let chain = chain.filter(|chain| chain.iter().any(|step| step.position == event.position));
            if let Some(chain) = chain {
                if held.last() != Some(&stretch(&chain)) {
                    held.push(stretch(&chain));
                }
                completed = Some(chain);
            }
        }
        let completion = completed.map(|chain| self.completion_at(&chain, held, event.position));
        Outcome { overflowed: tries == 0, ..Outcome::completed(completion) }
    }

    /// The events that may end a sequence, with times in `[from, to]`.
    fn ends(&self, state: &SequenceState, from: Timestamp, to: Timestamp) -> Vec<StepEvent> {
        let last = self.steps.len() - 1;
        let roles = if self.ordered { last..last + 1 } else { 0..last + 1 };
        let events = state.roles.get(roles).into_iter().flatten().flatten();
        let mut ends: Vec<StepEvent> =
            events.filter(|event| (from..=to).contains(&event.time)).copied().collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The sequence that ends with this event, in the order of time. With `unless` it is the shortest, which is
    /// the hardest to refute; else the one that began first, so that the stretch does not depend on the order of
    /// arrival.
    fn chain(&self, state: &SequenceState, end: StepEvent, tries: &mut u32) -> Option<Vec<StepEvent>> {
        let steps = state.roles.get(..self.steps.len())?;
        if steps.iter().any(VecDeque::is_empty) {
            return None;
        }
        // What finding one costs: in order a bisection for each step, else a look at what may be all events.
        let events: usize = steps.iter().map(VecDeque::len).sum();
        let cost = if self.ordered && !self.different { steps.len() } else { 1 + events / 8 };
        *tries = tries.saturating_sub(u32::try_from(cost).unwrap_or(u32::MAX));
        if *tries == 0 {
            return None;
        }
        let start = end.time.minus(self.within);
        let search = Search { end, start, is_shortest: self.unless.is_some() };
        let mut chain = if self.different {
            let mut trial = Trial { steps, is_ordered: self.ordered, tries: *tries };
            let chain = trial.chain(search);
            *tries = trial.tries;
            chain?
        } else if self.ordered {
            ordered(steps, search)?
        } else {
            unordered(steps, search)?
        };
        if !self.ordered {
            chain.sort_unstable();
        }
        Some(chain)
    }

    /// Whether the `unless` selection came between the first and the last step.
    fn is_refuted(&self, state: &SequenceState, chain: &[StepEvent]) -> bool {
        let (from, to) = stretch(chain);
        let refuting = state.roles.get(self.unless_role()).into_iter().flatten();
        let is_step = |event: &StepEvent| chain.iter().any(|step| step.position == event.position);
        refuting.filter(|event| !is_step(event)).any(|event| (from..=to).contains(&event.time))
    }

    fn completion(&self, chain: &[StepEvent], held: SmallVec<[Held; 1]>) -> Completion {
        let position = chain.last().map_or(0, |last| last.position);
        self.completion_at(chain, held, position)
    }

    fn completion_at(
        &self,
        chain: &[StepEvent],
        held: SmallVec<[Held; 1]>,
        position: Position,
    ) -> Completion {
        let (from, to) = stretch(chain);
        let joint = if self.ordered { ", then " } else { " and " };
        let unless = self.unless.as_ref().map_or_else(String::new, |name| format!(", without {name}"));
        Completion {
            time: to,
            position,
            value: chain.len() as f64,
            reason: format!(
                "{}{unless}, within {} (at most {})",
                steps(&self.steps).join(joint),
                to.since(from),
                self.within
            ),
            evidence: Evidence::sample(chain.iter().map(|event| event.position)),
            held,
            score: None,
            key: None,
        }
    }

    fn trim(&self, state: &mut SequenceState, watermark: Timestamp) {
        let horizon = state.last().minus(self.lateness).min(watermark).minus(self.within);
        for events in &mut state.roles {
            while events.front().is_some_and(|oldest| oldest.time <= horizon) {
                events.pop_front();
            }
        }
    }
}

/// The names of the steps; equal neighbours are counted: `5 × failed`.
fn steps(names: &[String]) -> Vec<String> {
    let runs = names.chunk_by(|left, right| left == right);
    let name = |run: &[String]| match run {
        [only] => only.clone(),
        run => format!("{} × {}", run.len(), run.first().map_or("", String::as_str)),
    };
    runs.map(name).collect()
}

/// From the first to the last step.
fn stretch(chain: &[StepEvent]) -> Held {
    let times = chain.iter().map(|event| event.time);
    (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default())
}

impl SequenceState {
    pub(super) fn last(&self) -> Timestamp {
        let newest = self.roles.iter().filter_map(|events| events.back()).map(|event| event.time);
        newest.max().unwrap_or(Timestamp::MIN)
    }

    pub(super) fn bytes(&self) -> usize {
        size::list::<VecDeque<StepEvent>>(self.roles.len())
            + self.roles.iter().map(size::queue).sum::<usize>()
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.roles.iter().flatten().map(|event| event.position).collect()
    }
}
