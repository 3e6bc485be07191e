//! Sliding windows over events, exact for any arrival order within the lateness.
//!
//! The window of a moment t is `(t - within, t]`. A measure that more events can only push towards its threshold
//! is judged at once; one that a late event could refute is judged when the watermark has passed the moment.
//! An empty window never holds.
//!
//! A key begins with its bare events ([`flat`]). When they become many they are summed up: [`deep`] where events
//! are judged at once, [`waiting`] where they wait. All three answer the same.

mod deep;
mod flat;
mod levels;
mod measure;
mod occurrences;
mod sorted;
mod tally;
mod waiting;
mod words;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::hit::{Completion, Evidence, Held, Hit, Outcome};
use super::size;
use crate::alert::Finding;
use crate::event::Position;
use crate::rule::ast::Compare;
use crate::time::{Span, Timestamp};
use deep::{Deep, News, Terms};
use flat::{Entries, FLAT_MAX, Flat, between};
use levels::Level;
pub use measure::Measure;
use measure::{Adds, Entry, Gauge};
use sorted::{RUN_MAX, Sorted};
use tally::Reading;
use waiting::Waiting;
pub(super) use words::number;

/// A window behaviour.
#[derive(Debug, Clone)]
pub struct WindowSpec {
    /// What is measured.
    pub measure: Measure,
    /// The length of the window.
    pub within: Span,
    /// How late an event may still count.
    pub lateness: Span,
    /// When the measure is worth a finding. A ratio is a share: 50 % is 0.5.
    pub compare: Compare,
    /// What is counted, for people: `events`, `different entity_id`, `sum of details.size`; the condition of
    /// [`Measure::Rules`]; for a ratio see [`WindowSpec::ratio_noun`].
    pub noun: String,
}

/// How many events one key's window keeps; beyond it the oldest is given up and the ledger says so.
const ENTRIES_MAX: usize = if cfg!(test) { 200 } else { 200_000 };

/// One key's window: 40 bytes, and nothing else for up to two events of a count.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WindowState {
    store: Store,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Store {
    Flat(Flat),
    Deep(Box<Deep<i64>>),
    /// The same with sums, which need more room.
    Sum(Box<Deep<i128>>),
    Waiting(Box<Waiting>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Flat(Flat::default())
    }
}

impl WindowSpec {
    fn terms(&self) -> Option<Terms<'_>> {
        Some(Terms { spec: self, gauge: Gauge::of(&self.measure, self.compare)? })
    }

    /// Takes in an event; what the watermark has left behind is let go.
    ///
    /// `watermark` is the slowest one of all sources that may still send events of this key: what lies one
    /// window before it can matter no more. A known event changes nothing.
    pub(super) fn on_hit(&self, state: &mut WindowState, hit: &Hit, watermark: Timestamp) -> Outcome {
        let Some(entry) = self.measure.entry(hit) else { return Outcome::default() };
        let terms = self.terms();
        let completion = match (&mut state.store, terms) {
            (Store::Flat(flat), _) => {
                let mut entries = flat.entries();
                let Err(place) = entries.binary_search(&entry) else { return Outcome::default() };
                entries.insert(place, entry);
                flat.insert(place, entry, self.measure.has_values());
                terms.and_then(|_| self.judge(&entries, entry))
            }
            (Store::Deep(deep), Some(terms)) if !deep.entries.contains(&entry) => {
                self.take(deep, terms, entry)
            }
            (Store::Sum(deep), Some(terms)) if !deep.entries.contains(&entry) => {
                self.take(deep, terms, entry)
            }
            (Store::Waiting(waiting), None) if !waiting.entries.contains(&entry) => {
                waiting.insert(self, entry);
                None
            }
            _ => return Outcome::default(),
        };
        let overflowed = self.trim(state, watermark);
        Outcome { completion, timer: terms.is_none().then_some(hit.time), overflowed }
    }

    /// Judges the moment `at`, once no event of that time can come any more.
    pub(super) fn on_timer(&self, state: &mut WindowState, at: Timestamp) -> Outcome {
        let completion = match &mut state.store {
            Store::Flat(flat) => {
                let entries = flat.entries();
                let before = entries.iter().rev().map(|entry| entry.time).find(|time| *time < at);
                let held = self.segments(&entries, before.unwrap_or(at), at);
                let held = held.last().filter(|(_, to)| *to == at).copied();
                held.and_then(|held| self.completion_of(&entries, None, (at, smallvec![held])))
            }
            Store::Waiting(waiting) => {
                let completing = waiting.entries.back(|entry| entry.time <= at).next();
                completing.filter(|completing| completing.time == at).and_then(|completing| {
                    let (held, reading) = waiting.judge(self, at)?;
                    let news = News { moment: at, reading, held: smallvec![held] };
                    Some(self.completion(&waiting.entries, completing, news))
                })
            }
            Store::Deep(_) | Store::Sum(_) => None,
        };
        Outcome::completed(completion)
    }

    fn take<N: Level>(&self, deep: &mut Deep<N>, terms: Terms<'_>, entry: Entry) -> Option<Completion> {
        let news = deep.take(terms, entry)?;
        Some(self.completion(&deep.entries, entry, news))
    }

    /// Judges every moment whose window a new event among few changed.
    fn judge(&self, entries: &Entries, new: Entry) -> Option<Completion> {
        let before = entries.iter().rev().map(|entry| entry.time).find(|time| *time < new.time);
        let segments = self.segments(entries, before.unwrap_or(new.time), new.time.plus(self.within));
        let held: SmallVec<[Held; 1]> = segments.into_iter().filter(|(_, end)| *end >= new.time).collect();
        let moment = held.last()?.1;
        self.completion_of(entries, Some(new), (moment, held))
    }

    /// The completion at a moment of few events; what completed it is the moment's last event if not given.
    fn completion_of(
        &self,
        entries: &Entries,
        completing: Option<Entry>,
        (moment, held): (Timestamp, SmallVec<[Held; 1]>),
    ) -> Option<Completion> {
        let window = between(entries, moment.minus(self.within), moment);
        let mut positions: Vec<Position> = window.iter().map(Entry::position).collect();
        positions.dedup();
        let reading = self.read(window);
        Some(Completion {
            time: moment,
            position: completing.as_ref().or(window.last())?.position(),
            value: reading.value.unwrap_or_default(),
            reason: self.reason(reading),
            evidence: Evidence::sample(positions.into_iter()),
            held,
            score: None,
            key: None,
        })
    }

    fn completion(&self, entries: &Sorted<Entry>, completing: Entry, news: News) -> Completion {
        Completion {
            time: news.moment,
            position: completing.position(),
            value: news.reading.value.unwrap_or_default(),
            reason: self.reason(news.reading),
            evidence: self.evidence(entries, news.moment, news.reading),
            held: news.held,
            score: None,
            key: None,
        }
    }

    /// The events of the window at a moment, without looking at more than are shown.
    fn evidence(&self, entries: &Sorted<Entry>, moment: Timestamp, reading: Reading) -> Evidence {
        let start = moment.minus(self.within);
        let (from, to) =
            (entries.rank(|entry| entry.time <= start), entries.rank(|entry| entry.time <= moment));
        let half = Finding::EVIDENCE_MAX / 2;
        let count = to - from;
        let head = if count <= Finding::EVIDENCE_MAX { count } else { half };
        let first = entries.from(|entry| entry.time <= start).take(head);
        let mut positions: Vec<Position> = first.map(|entry| entry.position()).collect();
        let last = entries.back(|entry| entry.time <= moment).take((count - head).min(half));
        positions.extend(last.map(|entry| entry.position()));
        if let Some(last) = positions.get_mut(head..) {
            last.reverse();
        }
        positions.dedup();
        // An event with both roles of a ratio stands there twice.
        let count = match self.measure {
            Measure::Ratio { .. } => reading.parts.0.max(reading.parts.1),
            _ => count as u64,
        };
        Evidence { positions, count }
    }

    /// Lets go of what no window can need any more, and of the oldest event where there are too many.
    fn trim(&self, state: &mut WindowState, watermark: Timestamp) -> bool {
        let moments = state.last().minus(self.lateness).min(watermark);
        let start = moments.minus(self.within);
        // Whether the first moment from there on is joined to the one before asks for that one's window.
        let before = |before: Option<Timestamp>| {
            before.filter(|before| *before > start).map_or(start, |before| before.minus(self.within))
        };
        let mut overflowed = false;
        match (&mut state.store, self.terms()) {
            (Store::Flat(flat), _) if flat.ends().is_some_and(|(first, _)| first < start) => {
                let entries = flat.entries();
                let last = entries.iter().rev().map(|entry| entry.time).find(|time| *time < moments);
                let horizon = before(last);
                let gone = entries.iter().take_while(|entry| entry.time < horizon).count();
                if gone > 0 {
                    flat.forget(gone, self.measure.has_values());
                }
            }
            (Store::Deep(deep), Some(terms)) => overflowed = deep.trim(terms, start, moments),
            (Store::Sum(deep), Some(terms)) => overflowed = deep.trim(terms, start, moments),
            (Store::Waiting(waiting), _) => {
                let last = waiting.entries.back(|entry| entry.time < moments).next();
                let horizon = before(last.map(|entry| entry.time));
                waiting.forget(horizon);
                overflowed = waiting.entries.len() > ENTRIES_MAX;
                if overflowed {
                    waiting.give_up(self);
                }
            }
            (Store::Flat(_) | Store::Deep(_) | Store::Sum(_), _) => {}
        }
        self.reshape(state, start.minus(self.within));
        overflowed
    }

    /// Sums up what has become many, and lists again what has become few.
    fn reshape(&self, state: &mut WindowState, horizon: Timestamp) {
        match &state.store {
            Store::Flat(flat) => {
                if flat.len() <= FLAT_MAX {
                    return;
                }
                let entries = flat.entries();
                state.store = match self.terms() {
                    Some(terms) if matches!(terms.gauge.adds, Adds::Amount) => {
                        Store::Sum(Box::new(Deep::of(terms, &entries)))
                    }
                    Some(terms) => Store::Deep(Box::new(Deep::of(terms, &entries))),
                    None => {
                        let mut waiting = Box::<Waiting>::default();
                        entries.iter().for_each(|entry| waiting.insert(self, *entry));
                        Store::Waiting(waiting)
                    }
                };
            }
            _ => {
                let Some(entries) = state.sorted().filter(|entries| entries.len() <= RUN_MAX) else { return };
                let living = entries.len() - entries.rank(|entry| entry.time < horizon);
                if living <= FLAT_MAX / 2 {
                    let left: Entries = entries.from(|entry| entry.time < horizon).collect();
                    state.store = Store::Flat(Flat::of(&left, self.measure.has_values()));
                }
            }
        }
    }
}

impl WindowState {
    fn sorted(&self) -> Option<&Sorted<Entry>> {
        match &self.store {
            Store::Flat(_) => None,
            Store::Deep(deep) => Some(&deep.entries),
            Store::Sum(deep) => Some(&deep.entries),
            Store::Waiting(waiting) => Some(&waiting.entries),
        }
    }

    pub(super) fn last(&self) -> Timestamp {
        let last = match &self.store {
            Store::Flat(flat) => flat.ends().map(|(_, last)| last),
            Store::Deep(deep) => deep.entries.last().map(|entry| entry.time),
            Store::Sum(deep) => deep.entries.last().map(|entry| entry.time),
            Store::Waiting(waiting) => waiting.entries.last().map(|entry| entry.time),
        };
        last.unwrap_or(Timestamp::MIN)
    }

    /// What it takes in memory beyond its own 40 bytes. Depends on the content alone: capacities differ after a restart.
    pub(super) fn bytes(&self) -> usize {
        match &self.store {
            Store::Flat(flat) => flat.bytes(),
            Store::Deep(deep) => size::boxed::<Deep<i64>>() + deep.bytes(),
            Store::Sum(deep) => size::boxed::<Deep<i128>>() + deep.bytes(),
            Store::Waiting(waiting) => size::boxed::<Waiting>() + waiting.bytes(),
        }
    }

    /// What lies in `(start, end]`, by time.
    fn window(&self, start: Timestamp, end: Timestamp) -> Vec<Entry> {
        match (&self.store, self.sorted()) {
            (Store::Flat(flat), _) => between(&flat.entries(), start, end).to_vec(),
            (_, Some(entries)) => {
                entries.from(|entry| entry.time <= start).take_while(|entry| entry.time <= end).collect()
            }
            (_, None) => Vec::new(),
        }
    }

    /// The events in the newest window, each once, for `explain`.
    pub(super) fn positions(&self, within: Span) -> Vec<Position> {
        let (start, end) = (self.last().minus(within), self.last());
        let mut positions: Vec<Position> = match (&self.store, self.sorted()) {
            (Store::Flat(flat), _) => {
                between(&flat.entries(), start, end).iter().map(Entry::position).collect()
            }
            (_, Some(entries)) => {
                entries.from(|entry| entry.time <= start).map(|entry| entry.position()).collect()
            }
            (_, None) => Vec::new(),
        };
        positions.dedup();
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_two_events_is_small() {
        assert_eq!(size_of::<WindowState>(), 40);
    }
}
