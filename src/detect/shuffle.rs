//! For tests: events in any order of arrival within the lateness, and what a detector makes of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::alert::AlertId;
use crate::event::Position;
use crate::script::EventValue;
use crate::time::{Span, Timestamp};

/// How late events arrive, in the unit of the times.
pub(super) const LATE: i64 = 20;

/// An event: its time, what it shows, and its place in the order of arrival.
pub(super) type Shown = (i64, u8, Position);

/// Events with times under `until` and values under `values`, in an order of arrival in which none comes more than the
/// lateness behind.
pub(super) fn arrivals(until: i64, values: u8) -> impl Strategy<Value = Vec<Shown>> {
    let event = (0..until, 0..values, 0..LATE);
    prop::collection::vec(event, 1..60).prop_map(|events| {
        let mut numbered: Vec<(i64, i64, u8)> =
            events.into_iter().map(|(time, value, delay)| (time + delay, time, value)).collect();
        numbered.sort_by_key(|(arrival, time, _)| (*arrival, *time));
        (1..).zip(numbered).map(|(position, (_, time, value))| (time, value, position)).collect()
    })
}

/// A detector on trial, and the unit of its events' times in milliseconds.
pub(super) struct Trial {
    pub(super) detector: Detector,
    pub(super) unit: i64,
    pub(super) suppress: i64,
}

/// Key, first and last moment of each episode.
pub(super) type Found = Vec<(String, i64, i64)>;

struct Bench<'t> {
    trial: &'t Trial,
    state: KeyState,
    timers: BTreeSet<Timestamp>,
    episodes: BTreeMap<String, Episodes>,
    known: BTreeSet<Position>,
    number: u64,
}

impl Trial {
    /// Gives hits to one state in the order of their arrival, lets timers come due, and answers the episodes in the unit
    /// of the trial. On the way every hit comes twice, and the state goes through bytes.
    pub(super) fn run(&self, events: &[Shown], value: impl Fn(u8) -> String) -> Found {
        let mut bench = Bench {
            trial: self,
            state: self.detector.fresh().unwrap(),
            timers: BTreeSet::new(),
            episodes: BTreeMap::new(),
            known: BTreeSet::new(),
            number: 0,
        };
        let mut newest = Timestamp::MIN;
        for (time, shown, position) in events {
            let hit = Hit {
                detector: 0,
                role: 0,
                key: "k\u{1f}".into(),
                value: Some(value(*shown).into()),
                time: Timestamp(time * self.unit),
                position: *position,
            };
            bench.hit(&hit, newest.minus(Span(LATE * self.unit)));
            newest = newest.max(hit.time);
            bench.advance(newest.minus(Span(LATE * self.unit)));
            assert_eq!(bench.state.last(), newest);
            assert!(
                bench
                    .state
                    .positions(Span::days(10_000))
                    .iter()
                    .all(|position| bench.known.contains(position))
            );
            assert!(bench.state.bytes() >= size_of::<KeyState>() && bench.state.bytes() < 100_000);
        }
        bench.advance(Timestamp::MAX);
        bench.found()
    }
}

impl Bench<'_> {
    fn hit(&mut self, hit: &Hit, watermark: Timestamp) {
        self.known.insert(hit.position);
        let bytes = postcard::to_stdvec(&self.state).unwrap();
        self.state = postcard::from_bytes(&bytes).unwrap();
        let detector = &self.trial.detector;
        let outcome = detector.on_hit(&mut self.state, hit, watermark, &EventValue::default).unwrap();
        self.take(outcome);
        let again = detector.on_hit(&mut self.state, hit, watermark, &EventValue::default).unwrap();
        assert!(again.completion.is_none(), "an event counted twice: {again:?}");
        self.take(again);
    }

    fn advance(&mut self, watermark: Timestamp) {
        while let Some(due) = self.timers.first().copied().filter(|due| *due < watermark) {
            self.timers.pop_first();
            let outcome = self.trial.detector.on_timer(&mut self.state, due);
            self.take(outcome);
        }
    }

    fn take(&mut self, outcome: Outcome) {
        assert!(!outcome.overflowed);
        self.timers.extend(outcome.timer);
        let Some(completion) = outcome.completion else { return };
        assert!(completion.evidence.positions.iter().all(|position| self.known.contains(position)));
        assert!(self.known.contains(&completion.position) && !completion.evidence.positions.is_empty());
        assert!(!completion.reason.is_empty());
        self.number += 1;
        let (number, suppress) = (self.number, Span(self.trial.suppress * self.trial.unit));
        let name = |index| AlertId(format!("{number}-{index}"));
        let key = completion.key.as_deref().unwrap_or("k\u{1f}").to_owned();
        let episodes = self.episodes.entry(key).or_default();
        let merges = match completion.held.as_slice() {
            [moment] if self.trial.detector.is_movable() => {
                episodes.moment(*moment, suppress, (number, 0), name)
            }
            held => episodes.hold(held, suppress, (number, 0), name),
        };
        assert!(!merges.is_empty());
    }

    fn found(self) -> Found {
        let unit = self.trial.unit;
        let mut found = Found::new();
        for (key, episodes) in self.episodes {
            let open = episodes.open().iter();
            found.extend(open.map(|episode| (key.clone(), episode.start.0 / unit, episode.end.0 / unit)));
        }
        found.sort();
        found
    }
}

/// Stretches joined where they overlap or are no further apart than `suppress`, of one key.
pub(super) fn union(key: &str, held: impl IntoIterator<Item = (i64, i64)>, suppress: i64) -> Found {
    let mut held: Vec<(i64, i64)> = held.into_iter().collect();
    held.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in held {
        match joined.last_mut() {
            Some(last) if from <= last.1 + suppress => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined.into_iter().map(|(from, to)| (key.to_owned(), from, to)).collect()
}

/// The key of a trial.
pub(super) const KEY: &str = "k\u{1f}";

/// The different moments at which something happened, in order.
pub(super) fn moments<'e>(events: impl IntoIterator<Item = &'e Shown>) -> Vec<i64> {
    let times: BTreeSet<i64> = events.into_iter().map(|(time, ..)| *time).collect();
    times.into_iter().collect()
}
