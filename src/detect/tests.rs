//! Every behaviour against a naive recount, in any arrival order within the lateness.

mod absences;
mod sequences;
mod windows;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::alert::AlertId;
use crate::script::EventValue;
use crate::time::{Span, Timestamp};

const LATENESS: i64 = 20;

fn hit(time: i64, position: u64, role: u16, value: Option<&str>) -> Hit {
    Hit { detector: 0, role, key: "k".into(), value: value.map(Into::into), time: Timestamp(time), position }
}

/// How far apart times may lie: with a coarse step many events share a millisecond, or lie exactly a window or the
/// lateness apart.
fn step() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![1, 1, 5, 10])
}

/// The length of a window, often a multiple of the steps.
fn length(most: i64) -> impl Strategy<Value = i64> {
    prop_oneof![1..most, (1..most / 10).prop_map(|tens| tens * 10)]
}

/// Events as `(time, value, position)` in an order of arrival in which none comes more than the lateness behind.
fn arrivals() -> impl Strategy<Value = Vec<(i64, u8, u64)>> {
    let event = (0i64..200, 0u8..6, 0i64..LATENESS);
    (step(), prop::collection::vec(event, 1..60)).prop_map(|(step, events)| {
        let mut sorted: Vec<_> =
            events.into_iter().map(|(time, value, delay)| (time / step * step, value, delay)).collect();
        sorted.sort_by_key(|(time, ..)| *time);
        let mut numbered: Vec<(i64, i64, u8)> =
            sorted.iter().map(|(time, value, delay)| (time + delay, *time, *value)).collect();
        numbered.sort_by_key(|(arrival, ..)| *arrival);
        (1..).zip(numbered).map(|(position, (_, time, value))| (time, value, position)).collect()
    })
}

/// Stretches as a union of what completions reported.
fn union(held: impl IntoIterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut episodes = Episodes::default();
    for (number, (start, end)) in held.into_iter().enumerate() {
        let name = |_| AlertId(number.to_string());
        episodes.hold(&[(Timestamp(start), Timestamp(end))], Span::default(), (number as u64, 0), name);
    }
    let mut all: Vec<_> = episodes.open().iter().map(|episode| (episode.start.0, episode.end.0)).collect();
    all.sort_unstable();
    all
}

/// One key of a detector, with what it waits for.
struct Key<'a> {
    detector: &'a Detector,
    state: KeyState,
    timers: BTreeSet<Timestamp>,
    completions: Vec<Completion>,
}

impl<'a> Key<'a> {
    fn new(detector: &'a Detector) -> Self {
        let state = detector.fresh().unwrap();
        Self { detector, state, timers: BTreeSet::new(), completions: Vec::new() }
    }

    fn take(&mut self, outcome: Outcome) {
        self.timers.extend(outcome.timer);
        self.completions.extend(outcome.completion);
    }

    fn hit(&mut self, hit: &Hit, watermark: Timestamp) {
        let outcome = self.detector.on_hit(&mut self.state, hit, watermark, &EventValue::default);
        self.take(outcome.unwrap());
    }

    /// The watermark comes to here: what waited for it is judged.
    fn pass(&mut self, watermark: Timestamp) {
        while self.timers.first().is_some_and(|due| *due < watermark) {
            let due = self.timers.pop_first().unwrap();
            let outcome = self.detector.on_timer(&mut self.state, due);
            self.take(outcome);
        }
    }

    fn stretches(&self) -> Vec<(i64, i64)> {
        union(self.completions.iter().flat_map(|c| &c.held).map(|(start, end)| (start.0, end.0)))
    }
}

/// Feeds events to a detector, lets timers come due as the watermark passes, and gives what it completed.
fn completions(detector: &Detector, hits: &[Hit]) -> Vec<Completion> {
    fed(detector, hits).completions
}

fn fed<'a>(detector: &'a Detector, hits: &[Hit]) -> Key<'a> {
    let mut key = Key::new(detector);
    let mut newest = Timestamp::MIN;
    for hit in hits {
        key.hit(hit, newest.minus(Span(LATENESS)));
        newest = newest.max(hit.time);
        key.pass(newest.minus(Span(LATENESS)));
    }
    key.pass(Timestamp::MAX);
    key
}

/// Feeds events and gives the stretches over which the behaviour held.
fn run(detector: &Detector, hits: &[Hit]) -> Vec<(i64, i64)> {
    fed(detector, hits).stretches()
}
