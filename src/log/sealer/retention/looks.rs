//! When each segment has to be looked at next.

use std::collections::BTreeMap;

use crate::log::segment::{Name, Shelf};
use crate::time::Timestamp;

/// What was found out about segments; forgotten when what may be deleted changes.
#[derive(Debug, Default)]
pub(in crate::log::sealer) struct Looks {
    known: BTreeMap<Name, Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    next: Timestamp,
    held: u64,
}

impl Looks {
    /// Forgets segments that are not there any more.
    pub(super) fn keep(&mut self, shelf: &Shelf) {
        self.known
            .retain(|name, _| shelf.with(name.positions.0).is_some_and(|listed| listed.name() == *name));
    }

    /// Whether a segment has to be looked at now.
    pub(super) fn is_due(&self, name: Name, now: Timestamp) -> bool {
        self.known.get(&name).is_none_or(|look| look.next <= now)
    }

    /// Notes when to look again, and how much is held back.
    pub(super) fn set(&mut self, name: Name, next: Timestamp, held: u64) {
        self.known.insert(name, Look { next, held });
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// The next time that anything has to be looked at.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.known.values().map(|look| look.next).min()
    }

    /// How much is held back in all of them.
    pub(super) fn held(&self) -> u64 {
        self.known.values().map(|look| look.held).sum()
    }
}
