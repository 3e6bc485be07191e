//! The window of a key with few events: nothing but the events, judged by reading them again. Most keys never
//! have more, and one or two events need no memory of their own.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::super::hit::Held;
use super::WindowSpec;
use super::measure::{Adds, Entry, Gauge};
use super::tally::{Reading, read};
use crate::time::Timestamp;

/// How many events a key may have before its window is summed up as it moves.
pub(super) const FLAT_MAX: usize = if cfg!(test) { 5 } else { 32 };

/// The events of a window, taken out of where they are kept.
pub(super) type Entries = SmallVec<[Entry; 36]>;

/// An event whose value is its role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Stamp {
    time: Timestamp,
    tag: u64,
}

/// A few events, by time and tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Flat {
    /// The first ones.
    Few(u8, [Stamp; 2]),
    /// More of them.
    Stamps(Vec<Stamp>),
    /// With values.
    Entries(Vec<Entry>),
}

impl Default for Flat {
    fn default() -> Self {
        Self::Few(0, [Stamp::default(); 2])
    }
}

impl Stamp {
    const fn of(entry: &Entry) -> Self {
        Self { time: entry.time, tag: entry.tag }
    }

    fn entry(&self) -> Entry {
        let entry = Entry { time: self.time, tag: self.tag, value: 0 };
        Entry { value: i64::from(entry.role()), ..entry }
    }
}

impl Flat {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(len, _) => usize::from(*len),
            Self::Stamps(stamps) => stamps.len(),
            Self::Entries(entries) => entries.len(),
        }
    }

    /// The times of the first and the last event.
    pub(super) fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        let time = |index: usize| match self {
            Self::Few(_, stamps) => stamps.get(index).map(|stamp| stamp.time),
            Self::Stamps(stamps) => stamps.get(index).map(|stamp| stamp.time),
            Self::Entries(entries) => entries.get(index).map(|entry| entry.time),
        };
        Some((time(0)?, time(self.len().checked_sub(1)?)?))
    }

    pub(super) fn entries(&self) -> Entries {
        match self {
            Self::Few(len, stamps) => stamps.iter().take(usize::from(*len)).map(Stamp::entry).collect(),
            Self::Stamps(stamps) => stamps.iter().map(Stamp::entry).collect(),
            Self::Entries(entries) => entries.iter().copied().collect(),
        }
    }

    /// Keeps these, in order; the room taken is what they need.
    pub(super) fn of(entries: &[Entry], has_values: bool) -> Self {
        if has_values {
            return Self::Entries(entries.to_vec());
        }
        let mut few = [Stamp::default(); 2];
        if entries.len() > few.len() {
            return Self::Stamps(entries.iter().map(Stamp::of).collect());
        }
        for (place, entry) in few.iter_mut().zip(entries) {
            *place = Stamp::of(entry);
        }
        Self::Few(u8::try_from(entries.len()).unwrap_or_default(), few)
    }

    /// Takes in an event at its place among those that `entries` gave.
    pub(super) fn insert(&mut self, place: usize, entry: Entry, has_values: bool) {
        match self {
            Self::Few(len, stamps) if !has_values && usize::from(*len) < stamps.len() => {
                stamps.copy_within(place..usize::from(*len), place + 1);
                if let Some(slot) = stamps.get_mut(place) {
                    *slot = Stamp::of(&entry);
                }
                *len += 1;
            }
            Self::Few(..) => {
                let mut entries = self.entries();
                entries.insert(place, entry);
                *self = Self::of(&entries, has_values);
            }
            Self::Stamps(stamps) => put(stamps, place, Stamp::of(&entry)),
            Self::Entries(entries) => put(entries, place, entry),
        }
    }

    /// Lets go of the first ones.
    pub(super) fn forget(&mut self, count: usize, has_values: bool) {
        match self {
            Self::Stamps(stamps) if stamps.len() > count + 2 => drop(stamps.drain(..count)),
            Self::Entries(entries) => drop(entries.drain(..count)),
            _ => {
                let left = self.entries().into_iter().skip(count).collect::<Entries>();
                *self = Self::of(&left, has_values);
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Few(..) => 0,
            Self::Stamps(stamps) => stamps.capacity() * size_of::<Stamp>(),
            Self::Entries(entries) => entries.capacity() * size_of::<Entry>(),
        }
    }
}

/// Inserts, with little room to spare.
fn put<T>(list: &mut Vec<T>, place: usize, thing: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(1));
    }
    list.insert(place, thing);
}

/// The part of a window's events after `start` and not after `end`.
pub(super) fn between(entries: &[Entry], start: Timestamp, end: Timestamp) -> &[Entry] {
    let from = entries.partition_point(|entry| entry.time <= start);
    let to = entries.partition_point(|entry| entry.time <= end);
    entries.get(from..to).unwrap_or_default()
}

impl WindowSpec {
    pub(super) fn is_held(&self, window: &[Entry]) -> bool {
        match Gauge::of(&self.measure, self.compare) {
            _ if window.is_empty() => false,
            Some(gauge) if !matches!(gauge.adds, Adds::Distinct | Adds::Rules(_)) => {
                window.iter().map(|entry| gauge.weight(entry)).sum::<i128>() >= gauge.limit
            }
            _ => self.read(window).value.is_some_and(|value| self.compare.holds(value)),
        }
    }

    pub(super) fn read(&self, window: &[Entry]) -> Reading {
        read(&self.measure, window)
    }

    /// The stretches over which the behaviour held, looking at the moments of events in `[from, to]`.
    pub(super) fn segments(&self, entries: &[Entry], from: Timestamp, to: Timestamp) -> SmallVec<[Held; 1]> {
        let mut segments: SmallVec<[Held; 1]> = SmallVec::new();
        let mut before: Option<Timestamp> = None;
        let moments = entries.iter().map(|entry| entry.time);
        for moment in moments.filter(|moment| (from..=to).contains(moment)) {
            if before == Some(moment) {
                continue;
            }
            let continues = before.is_some_and(|before| self.goes_on(entries, before, moment));
            before = None;
            if self.is_held(between(entries, moment.minus(self.within), moment)) {
                match segments.last_mut() {
                    Some(last) if continues => last.1 = moment,
                    _ => segments.push((moment, moment)),
                }
                before = Some(moment);
            }
        }
        segments
    }

    /// Whether what held at `before` went on to hold up to the next event, at `moment`, as older ones left. An
    /// empty window ends it: what holds of nothing would hold for ever, and how long it did would depend on when
    /// the key is forgotten.
    fn goes_on(&self, entries: &[Entry], before: Timestamp, moment: Timestamp) -> bool {
        let start = moment.minus(self.within);
        let leaving = between(entries, before.minus(self.within), start);
        let leaving = leaving.iter().map(|entry| entry.time).filter(|time| *time < start);
        let mut last = None;
        leaving
            .filter(|time| last.replace(*time) != Some(*time))
            .collect::<SmallVec<[_; 8]>>()
            .iter()
            .all(|left| self.is_held(between(entries, *left, before)))
    }
}
