//! Sequences whose steps must differ in a value: combinations are tried, up to a limit.
//!
//! Which event begins is tried from the first one on (or the last, for the shortest), so that the first success is
//! the answer. Of several events of a step with one value only the one that leaves most room is tried.

use rustc_hash::FxHashSet;

use super::StepEvent;
use super::chain::{Search, Steps, among, roles};
use crate::time::{Span, Timestamp};

/// How many times an event may be tried for one arrival; then the search is given up and the ledger says so.
pub(super) const TRIES_MAX: u32 = 4_000;

/// A search that may be given up.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    pub(super) steps: &'a Steps,
    pub(super) is_ordered: bool,
    /// How many tries are left; at zero it was given up.
    pub(super) tries: u32,
}

impl Trial<'_> {
    /// The sequence that ends with this event.
    pub(super) fn chain(&mut self, search: Search) -> Option<Vec<StepEvent>> {
        let last = self.steps.len().checked_sub(1)?;
        let own = if self.is_ordered { vec![last] } else { roles(self.steps, &search.end) };
        for (first, its) in self.firsts(search) {
            for (role, first_role) in own.iter().flat_map(|own| its.iter().map(move |its| (*own, *its))) {
                if role == first_role || !differ(&first, &self.as_step(search.end, role)) {
                    continue;
                }
                let mut chain = vec![None; self.steps.len()];
                set(&mut chain, role, Some(self.as_step(search.end, role)));
                set(&mut chain, first_role, Some(self.as_step(first, first_role)));
                if self.complete(last, (first.time, search.end.time), &mut chain) {
                    return chain.into_iter().collect();
                }
                if self.tries == 0 {
                    return None;
                }
            }
        }
        None
    }

    /// An event may carry another value as another step.
    fn as_step(&self, event: StepEvent, role: usize) -> StepEvent {
        let events = self.steps.get(role).map(|events| among(events, event.time, event.time));
        let found = events.into_iter().flatten().find(|known| known.position == event.position);
        found.copied().unwrap_or(event)
    }

    /// The events that may begin a sequence, and the steps they can be.
    fn firsts(&self, search: Search) -> Vec<(StepEvent, Vec<usize>)> {
        let count = if self.is_ordered { 1 } else { self.steps.len() };
        let from = search.start.plus(Span(1));
        let mut firsts: Vec<(StepEvent, usize)> = Vec::new();
        for (role, events) in self.steps.iter().take(count).enumerate() {
            firsts.extend(among(events, from, search.end.time).map(|event| (*event, role)));
        }
        firsts.sort_unstable();
        if search.is_shortest {
            firsts.reverse();
        } else {
            // What the first one of a value cannot begin, a later one cannot.
            let mut known = FxHashSet::default();
            let end = search.end;
            firsts
                .retain(|(event, role)| event.position != end.position && known.insert((event.value, *role)));
        }
        firsts.into_iter().map(|(event, role)| (event, vec![role])).collect()
    }

    /// Finds events for the steps up to `step` that have none, with times in `[from, to]`.
    fn complete(
        &mut self,
        step: usize,
        (from, to): (Timestamp, Timestamp),
        chain: &mut Vec<Option<StepEvent>>,
    ) -> bool {
        let given = chain.get(step).copied().flatten();
        let until = given.filter(|_| self.is_ordered).map_or(to, |given| given.time);
        if given.is_some() {
            return step.checked_sub(1).is_none_or(|before| self.complete(before, (from, until), chain));
        }
        let mut tried = FxHashSet::default();
        let steps = self.steps;
        for event in steps.get(step).into_iter().flat_map(|events| among(events, from, to).rev()) {
            let fits = chain.iter().flatten().all(|known| differ(known, event));
            if !fits || !tried.insert(event.value) {
                continue;
            }
            self.tries = self.tries.saturating_sub(1);
            if self.tries == 0 {
                return false;
            }
            set(chain, step, Some(*event));
            let until = if self.is_ordered { event.time } else { to };
            if step.checked_sub(1).is_none_or(|before| self.complete(before, (from, until), chain)) {
                return true;
            }
            set(chain, step, None);
        }
        false
    }
}

fn differ(left: &StepEvent, right: &StepEvent) -> bool {
    left.position != right.position && left.value != right.value
}

fn set(chain: &mut [Option<StepEvent>], step: usize, event: Option<StepEvent>) {
    if let Some(place) = chain.get_mut(step) {
        *place = event;
    }
}
