//! That something does not happen: judged when the watermark has passed the time it had.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome};
use super::size;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// An absence behaviour. A hit's role is 0 for the event that must come, 1 for the one it must follow.
#[derive(Debug, Clone)]
pub struct AbsenceSpec {
    /// What must come, for people.
    pub of: String,
    /// What it must follow; none: the key's own last event.
    pub after: Option<String>,
    /// How long it has.
    pub within: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// The role of an event that must be followed.
const AFTER: u16 = 1;

/// How many open expectations and answers one key keeps.
const EVENTS_MAX: usize = 1024;

/// One key's expectations.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AbsenceState {
    /// Events that must be followed, not yet judged, by time.
    open: VecDeque<(Timestamp, Position)>,
    /// Events that follow, by time.
    answers: VecDeque<(Timestamp, Position)>,
}

impl AbsenceSpec {
    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut AbsenceState, hit: &Hit) -> Outcome {
        let event = (hit.time, hit.position);
        let opens = self.after.is_none() || hit.role == AFTER;
        let answers = self.after.is_none() || hit.role != AFTER;
        let mut overflowed = false;
        if opens {
            overflowed |= insert(&mut state.open, event);
        }
        if answers {
            overflowed |= insert(&mut state.answers, event);
        }
        let timer = opens.then(|| hit.time.plus(self.within));
        Outcome { timer, overflowed, completion: None }
    }

    /// Judges the expectations whose time ran out at `at`. Earlier ones stay: their events came from another source, and
    /// their timers wait for that one.
    pub(super) fn on_timer(&self, state: &mut AbsenceState, at: Timestamp) -> Outcome {
        let opened_at = at.minus(self.within);
        let from = state.open.partition_point(|(time, _)| *time < opened_at);
        let upto = state.open.partition_point(|(time, _)| *time <= opened_at);
        let due: Vec<(Timestamp, Position)> = state.open.drain(from..upto).collect();
        let is_unanswered =
            |open: &(Timestamp, Position)| !self.is_answered(&due, &state.answers, *open, Timestamp::MAX);
        let unanswered = due.iter().copied().rfind(is_unanswered);
        let earliest = state.open.front().map_or(opened_at, |(time, _)| opened_at.min(*time));
        let horizon = earliest.minus(self.lateness);
        while state.answers.front().is_some_and(|(time, _)| *time < horizon) {
            state.answers.pop_front();
        }
        Outcome::completed(unanswered.map(|open| self.completion(open, at)))
    }

    /// Whether what opened, one of `opened` in order, is followed in time by an event not after `at`.
    fn is_answered(
        &self,
        opened: &[(Timestamp, Position)],
        answers: &VecDeque<(Timestamp, Position)>,
        open: (Timestamp, Position),
        at: Timestamp,
    ) -> bool {
        let until = open.0.plus(self.within).min(at);
        // Of events of one millisecond that open and answer the last one is not answered by the others: else none of
        // them would have to be followed by anything.
        let is_earlier = |answer: &(Timestamp, Position)| {
            *answer < open && answer.0 == open.0 && opened.binary_search(answer).is_ok()
        };
        let mut in_time = answers.iter().filter(|answer| (open.0..=until).contains(&answer.0));
        in_time.any(|answer| answer.1 != open.1 && !is_earlier(answer))
    }

    /// What is waited for at a moment, and until when.
    pub(super) fn known(&self, state: &AbsenceState, at: Timestamp) -> Vec<String> {
        let (of, within) = (&self.of, self.within);
        let answer = state.answers.iter().rev().find(|(time, _)| *time <= at);
        let answer = answer.map(|(time, _)| format!("the last {of} came at {time}"));
        let opened: Vec<(Timestamp, Position)> = state.open.iter().copied().collect();
        let is_open = |open: &&(Timestamp, Position)| {
            (open.0..=open.0.plus(within)).contains(&at)
                && !self.is_answered(&opened, &state.answers, **open, at)
        };
        let open: Vec<_> = opened.iter().filter(is_open).collect();
        let waits = match (open.last(), &self.after) {
            (Some((time, _)), Some(after)) => {
                let others = match open.len() {
                    1 => String::new(),
                    count => format!(" (and {} earlier ones)", count - 1),
                };
                format!("{after} came at {time}{others}: {of} must follow by {}", time.plus(within))
            }
            (Some((time, _)), None) => {
                format!("it fires when there is no {of} from {time} to {}", time.plus(within))
            }
            (None, Some(after)) => {
                format!("nothing is waited for: no {after} came, it was followed, or its time is over")
            }
            (None, None) => {
                format!("nothing is waited for: the silence since the last {of} was told already")
            }
        };
        let answer = answer.filter(|_| self.after.is_some());
        std::iter::once(waits).chain(answer).collect()
    }

    fn completion(&self, open: (Timestamp, Position), at: Timestamp) -> Completion {
        let reason = match &self.after {
            Some(after) => format!("no {} within {} after {after}", self.of, self.within),
            None => format!("no {} for {} (the last one at {})", self.of, self.within, open.0),
        };
        Completion {
            time: at,
            position: open.1,
            value: self.within.0 as f64 / 1000.0,
            reason,
            evidence: Evidence::sample([open.1].into_iter()),
            held: smallvec![(at, at)],
            score: None,
            key: None,
        }
    }
}

/// Inserts by time; true if the oldest had to go.
fn insert(events: &mut VecDeque<(Timestamp, Position)>, event: (Timestamp, Position)) -> bool {
    let place = events.partition_point(|known| *known <= event);
    events.insert(place, event);
    events.len() > EVENTS_MAX && events.pop_front().is_some()
}

impl AbsenceState {
    pub(super) fn last(&self) -> Timestamp {
        let newest = [self.open.back(), self.answers.back()].into_iter().flatten().map(|(time, _)| *time);
        newest.max().unwrap_or(Timestamp::MIN)
    }

    pub(super) fn bytes(&self) -> usize {
        size::queue(&self.open) + size::queue(&self.answers)
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.open.iter().map(|(_, position)| *position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_lags_does_not_lose_its_expectations() {
        let minutes = |count| Timestamp(0).plus(Span::minutes(count));
        let spec = AbsenceSpec {
            of: "closed".to_owned(),
            after: Some("opened".to_owned()),
            within: Span::minutes(20),
            lateness: Span::minutes(5),
        };
        let hit =
            |role, time, position| Hit { detector: 0, role, key: "k".into(), value: None, time, position };
        for is_answered in [false, true] {
            let mut state = AbsenceState::default();
            let timers: Vec<Timestamp> = [hit(AFTER, minutes(0), 1), hit(AFTER, minutes(2), 2)]
                .iter()
                .filter_map(|hit| spec.on_hit(&mut state, hit).timer)
                .collect();
            if is_answered {
                spec.on_hit(&mut state, &hit(0, minutes(1), 3));
            }
            // The later one's source is ahead: its timer comes due first.
            let second = spec.on_timer(&mut state, timers[1]).completion;
            let first = spec.on_timer(&mut state, timers[0]).completion;
            assert_eq!(second.map(|found| found.position), Some(2));
            assert_eq!(first.map(|found| found.position), (!is_answered).then_some(1));
        }
    }
}
