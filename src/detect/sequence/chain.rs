//! The sequence that ends with an event, found without trying combinations.
//!
//! In order: from the last step back, each as late as it can be. Taking a step later never leaves less room for
//! those before it, so nothing is ever taken back; only among events of one millisecond, which may stand in either
//! order and of which one may be several steps, is there a choice, and that is a matching of steps to events
//! (augmenting paths, H. W. Kuhn 1955). In any order the whole is such a matching, and one that covers every step
//! can be made to have any event, or any two with steps of their own (N. S. Mendelsohn, A. L. Dulmage 1958).

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::StepEvent;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// Per step its events, by time.
pub(super) type Steps = [VecDeque<StepEvent>];

/// Which sequence that ends with `end` is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    pub(super) end: StepEvent,
    /// All events are after this.
    pub(super) start: Timestamp,
    /// The one that began last, which is the hardest to refute; else the one that began first.
    pub(super) is_shortest: bool,
}

/// Those of a step's events with times in `[from, to]`.
pub(super) fn among(
    events: &VecDeque<StepEvent>,
    from: Timestamp,
    to: Timestamp,
) -> std::collections::vec_deque::Iter<'_, StepEvent> {
    let first = events.partition_point(|event| event.time < from);
    let last = events.partition_point(|event| event.time <= to);
    events.range(first..last.max(first))
}

/// The steps that an event can be.
pub(super) fn roles(steps: &Steps, event: &StepEvent) -> Vec<usize> {
    let is_of = |events: &VecDeque<StepEvent>| {
        among(events, event.time, event.time).any(|known| known.position == event.position)
    };
    steps.iter().enumerate().filter(|(_, events)| is_of(events)).map(|(role, _)| role).collect()
}

/// Steps and the events they were given.
#[derive(Debug)]
struct Matching<'a> {
    steps: &'a Steps,
    from: Timestamp,
    to: Timestamp,
    given: Vec<Option<StepEvent>>,
}

impl<'a> Matching<'a> {
    fn new(steps: &'a Steps, from: Timestamp, to: Timestamp) -> Self {
        Self { steps, from, to, given: vec![None; steps.len()] }
    }

    fn give(&mut self, step: usize, event: StepEvent) {
        if let Some(given) = self.given.get_mut(step) {
            *given = Some(event);
        }
    }

    /// Gives a step an event, if need be one that another step can do without. `seen` are events that it is no use
    /// to ask for.
    fn augment(&mut self, step: usize, seen: &mut FxHashSet<Position>) -> bool {
        let Some(events) = self.steps.get(step) else { return false };
        for event in among(events, self.from, self.to) {
            if !seen.insert(event.position) {
                continue;
            }
            let is_given =
                |given: &Option<StepEvent>| given.is_some_and(|given| given.position == event.position);
            let owner = self.given.iter().position(is_given);
            if owner.is_none_or(|owner| self.augment(owner, seen)) {
                self.give(step, *event);
                return true;
            }
        }
        false
    }

    /// Gives every step that has none an event; none if some step must go without.
    fn complete(mut self) -> Option<Vec<StepEvent>> {
        for step in 0..self.given.len() {
            if self.given.get(step).is_some_and(Option::is_none)
                && !self.augment(step, &mut FxHashSet::default())
            {
                return None;
            }
        }
        self.given.into_iter().collect()
    }
}

/// The steps one after another, the last of them `end`.
pub(super) fn ordered(steps: &Steps, search: Search) -> Option<Vec<StepEvent>> {
    let Search { end, start, .. } = search;
    let mut chain = vec![end; steps.len()];
    let mut left = steps.len().checked_sub(1)?;
    let mut until = end.time;
    while left > 0 {
        let events = among(steps.get(left - 1)?, start.plus(Span(1)), until);
        let latest = events.rev().find(|event| event.position != end.position)?.time;
        let mut matching = Matching::new(steps, latest, latest);
        while left > 0 && matching.augment(left - 1, &mut FxHashSet::from_iter([end.position])) {
            left -= 1;
        }
        for (place, given) in chain.iter_mut().zip(matching.given) {
            *place = given.unwrap_or(*place);
        }
        until = latest.minus(Span(1));
    }
    if !search.is_shortest {
        let second = chain.get(1)?.time;
        let mut firsts = among(steps.first()?, start.plus(Span(1)), second);
        let is_free = |event: &&StepEvent| chain.iter().skip(1).all(|step| step.position != event.position);
        let first = firsts.find(is_free).copied();
        if let (Some(place), Some(first)) = (chain.first_mut(), first) {
            *place = first;
        }
    }
    Some(chain)
}

/// The steps in any order, one of them `end`, which is the last in time.
pub(super) fn unordered(steps: &Steps, search: Search) -> Option<Vec<StepEvent>> {
    let Search { end, start, .. } = search;
    let own = roles(steps, &end);
    let first_role = *own.first()?;
    let chain_from = |from: Timestamp| {
        let mut matching = Matching::new(steps, from, end.time);
        matching.give(first_role, end);
        matching.complete()
    };
    let events = steps.iter().flat_map(|events| among(events, start.plus(Span(1)), end.time));
    let mut events: Vec<StepEvent> = events.copied().collect();
    events.sort_unstable();
    if search.is_shortest {
        // With more of the past there is never less to choose from.
        let times: Vec<Timestamp> = events.iter().map(|event| event.time).collect();
        let possible = times.partition_point(|time| chain_from(*time).is_some());
        return chain_from(*times.get(possible.checked_sub(1)?)?);
    }
    events.dedup_by_key(|event| (event.time, event.position));
    let pair = |first: &StepEvent| {
        let theirs = roles(steps, first);
        let mut pairs = own.iter().flat_map(|own| theirs.iter().map(move |theirs| (*own, *theirs)));
        pairs.find(|(own, theirs)| own != theirs).filter(|_| first.position != end.position)
    };
    let (first, (role, first_role)) = events.iter().find_map(|first| Some((*first, pair(first)?)))?;
    let mut matching = Matching::new(steps, start.plus(Span(1)), end.time);
    matching.give(role, end);
    matching.give(first_role, first);
    matching.complete()
}
