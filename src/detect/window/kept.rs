//! The entries of a busy key, and which of them are another role of an event that is there already.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::super::hit::Evidence;
use super::measure::Entry;
use super::sorted::Sorted;
use crate::alert::Finding;
use crate::event::Position;
use crate::time::Timestamp;

/// Entries by time and tag: an event with several roles has several, next to one another.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    entries: Sorted<Entry>,
    /// When each entry but the first of its event was: events can be counted without looking at them.
    echoes: Sorted<Timestamp>,
}

impl Deref for Kept {
    type Target = Sorted<Entry>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl Kept {
    /// Takes in an entry that is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) {
        if self.is_known(&entry) {
            self.echoes.insert(entry.time);
        }
        self.entries.insert(entry);
    }

    /// Whether the entry's event is there, in whatever role.
    fn is_known(&self, entry: &Entry) -> bool {
        let is_it = |other: Entry| other.time == entry.time && other.position() == entry.position();
        let own = (entry.time, entry.position());
        self.entries.from(|other| (other.time, other.position()) < own).next().is_some_and(is_it)
    }

    /// Gives up the oldest entry.
    pub(super) fn pop_first(&mut self) -> Option<Entry> {
        let oldest = self.entries.first()?;
        self.entries.remove(&oldest);
        if self.is_known(&oldest) {
            self.echoes.remove(&oldest.time);
        }
        Some(oldest)
    }

    /// Lets go of the first run if all of it lies before `horizon`, and of nothing that lies after.
    pub(super) fn pop_run(&mut self, horizon: Timestamp) -> Option<Vec<Entry>> {
        while self.echoes.pop_run(|time| *time < horizon).is_some() {}
        self.entries.pop_run(|entry| entry.time < horizon)
    }

    /// The events after `start` and not after `end`, each once, without looking at more than are shown.
    pub(super) fn evidence(&self, start: Timestamp, end: Timestamp) -> Evidence {
        let among = |count: &dyn Fn(Timestamp) -> usize| count(end) - count(start);
        let entries = among(&|until| self.entries.rank(|entry| entry.time <= until));
        let echoes = among(&|until| self.echoes.rank(|time| *time <= until));
        let (count, half) = (entries - echoes, Finding::EVIDENCE_MAX / 2);
        let head = if count <= Finding::EVIDENCE_MAX { count } else { half };
        let mut positions = first_of(self.entries.from(|entry| entry.time <= start), head);
        let mut last = first_of(self.entries.back(|entry| entry.time <= end), (count - head).min(half));
        last.reverse();
        positions.append(&mut last);
        Evidence { positions, count: count as u64 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.bytes() + self.echoes.bytes()
    }
}

/// The first so many events of these entries.
fn first_of(entries: impl Iterator<Item = Entry>, count: usize) -> Vec<Position> {
    let mut last = None;
    let positions = entries.map(|entry| entry.position());
    positions.filter(|position| last.replace(*position) != Some(*position)).take(count).collect()
}
