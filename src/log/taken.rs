//! What one read gathers.

use crate::event::{Entry, Position};

/// One read gives no more than the entry with which it comes to this many bytes.
const READ_BYTES_MAX: usize = 32 << 20;

/// What one read has gathered.
pub(super) struct Taken {
    pub next: Position,
    pub max: usize,
    pub bytes: usize,
    pub entries: Vec<Entry>,
}

impl Taken {
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.max || self.bytes >= READ_BYTES_MAX
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if let Entry::Event(event) = &entry {
            self.bytes += event.raw.len();
        }
        self.next = entry.position() + 1;
        self.entries.push(entry);
    }

    /// Takes from a block that stays cached.
    pub(super) fn copy(&mut self, entries: &[Entry]) {
        for entry in entries {
            if self.is_full() {
                return;
            }
            self.push(entry.clone());
        }
    }

    /// Takes the block that ends with `last`, without copying when all of it fits; gives it back if something is left
    /// in it.
    pub(super) fn take(&mut self, entries: Vec<Entry>, last: Position) -> Option<Vec<Entry>> {
        // Deleted entries have left gaps.
        let starts_here = entries.first().is_none_or(|entry| entry.position() >= self.next);
        let bytes: usize = entries.iter().map(size).sum();
        if starts_here
            && self.entries.len() + entries.len() <= self.max
            && self.bytes + bytes <= READ_BYTES_MAX
        {
            entries.into_iter().for_each(|entry| self.push(entry));
            self.next = last + 1;
            return None;
        }
        let next = self.next;
        let start = entries.iter().position(|entry| entry.position() >= next).unwrap_or(entries.len());
        self.copy(&entries[start..]);
        if entries.last().is_none_or(|entry| entry.position() < self.next) {
            self.next = last + 1;
        }
        Some(entries)
    }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Event(event) => event.raw.len(),
        Entry::Tick { .. } => 0,
    }
}
