//! What a key knows of its sequence, in words.

use super::{SequenceSpec, SequenceState, StepEvent, steps};
use crate::time::Timestamp;

impl SequenceSpec {
    /// Which steps are met in the window of a moment, which one is missing, and until when it may come.
    pub(in crate::detect) fn known(&self, state: &SequenceState, at: Timestamp) -> Vec<String> {
        let start = at.minus(self.within);
        let in_window = |role: usize| {
            let events = state.roles.get(role).into_iter().flatten();
            events.filter(|event| event.time > start && event.time <= at).copied().collect::<Vec<_>>()
        };
        let roles: Vec<Vec<StepEvent>> = (0..self.steps.len()).map(in_window).collect();
        let mut known =
            if self.ordered { self.in_order(&roles, at) } else { vec![self.in_any_order(&roles)] };
        let refuting = in_window(self.unless_role());
        if let (Some(name), Some(last)) = (&self.unless, refuting.last()) {
            known.push(format!("{name} came at {}, and rules out every sequence that it lies in", last.time));
        }
        known
    }

    fn in_order(&self, roles: &[Vec<StepEvent>], at: Timestamp) -> Vec<String> {
        // The most steps that can be met: each as early as possible.
        let (mut met, mut before) = (0, None);
        for events in roles {
            let next = events.iter().find(|event| before.is_none_or(|before| is_after(before, **event)));
            let Some(next) = next else { break };
            (met, before) = (met + 1, Some(*next));
        }
        let missing = |from: usize| steps(self.steps.get(from..).unwrap_or_default()).join(", then ");
        if met == 0 {
            let first = self.steps.first().map_or("", String::as_str);
            return vec![format!("no step is met: {first} did not come in the {} before", self.within)];
        }
        // And the latest events that meet them, which have the most time left.
        let mut chain: Vec<(usize, StepEvent)> = Vec::new();
        for (index, events) in roles.iter().enumerate().take(met).rev() {
            let bound = chain.last().map(|(_, event)| *event);
            let latest = events.iter().rev().find(|event| bound.is_none_or(|bound| is_after(**event, bound)));
            chain.extend(latest.map(|latest| (index, *latest)));
        }
        chain.reverse();
        let name = |index: usize| self.steps.get(index).map_or("", String::as_str);
        let told: Vec<String> =
            chain.iter().map(|(index, event)| format!("{} at {}", name(*index), event.time)).collect();
        let mut known =
            vec![format!("{met} of {} steps are met: {}", self.steps.len(), told.join(", then "))];
        let began = chain.first().map_or(at, |(_, event)| event.time);
        known.push(if met == self.steps.len() {
            String::from("nothing is missing")
        } else {
            format!("{} is missing; it would have to come before {}", missing(met), began.plus(self.within))
        });
        known
    }

    fn in_any_order(&self, roles: &[Vec<StepEvent>]) -> String {
        let of = |is_met: bool| {
            let names = self.steps.iter().zip(roles).filter(|(_, events)| events.is_empty() != is_met);
            names.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        };
        let (met, missing) = (of(true), of(false));
        let list = |names: &[&str]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        format!("in the {} before it has {}; missing: {}", self.within, list(&met), list(&missing))
    }
}

/// Events of one millisecond may stand in either order.
fn is_after(before: StepEvent, event: StepEvent) -> bool {
    event.time >= before.time && event.position != before.position
}
