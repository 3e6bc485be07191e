//! A log and a store in memory, for tests: what was appended can be looked at, and failures can be ordered.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::event::{Event, Position};
use crate::log::{AppendError, NewEvent, Receipt};
use crate::source::SourceError;
use crate::store::{NewRejected, Rejected};

/// Shared by the test and its sink.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    events: Vec<Event>,
    seen: HashSet<u128>,
    rejected: Vec<Rejected>,
    checkpoints: BTreeMap<String, Vec<u8>>,
    failures: Vec<AppendError>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    /// The next appends fail like this, last one first.
    pub fn fail(&self, failures: &[AppendError]) {
        self.lock().failures = failures.to_vec();
    }

    /// The bytes of every event, in order.
    pub fn bodies(&self) -> Vec<String> {
        self.lock().events.iter().map(|e| String::from_utf8(e.raw.to_vec()).unwrap()).collect()
    }

    /// Every event, in order.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    pub(super) fn append(&self, batch: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        let mut kept = self.lock();
        if let Some(failure) = kept.failures.pop() {
            return Err(failure);
        }
        let (mut stored, mut duplicates) = (0, 0);
        for new in batch {
            if kept.seen.insert(new.dedupe) {
                kept.events.push(new.event);
                stored += 1;
            } else {
                duplicates += 1;
            }
        }
        Ok(Receipt { stored, duplicates, last: kept.events.len() as Position })
    }

    pub(super) fn tick(&self) -> Result<Position, AppendError> {
        let failure = self.lock().failures.pop();
        failure.map_or_else(|| Ok(self.position()), Err)
    }

    pub(super) fn position(&self) -> Position {
        self.lock().events.len() as Position
    }

    pub(super) fn reject(&self, rejected: NewRejected) -> Result<i64, SourceError> {
        let mut kept = self.lock();
        let id = kept.rejected.len() as i64 + 1;
        let size = rejected.body.len() as u64;
        kept.rejected.push(Rejected { id, rejected, size, replayed_at: None });
        Ok(id)
    }

    /// Newest first.
    pub fn rejected(&self, limit: usize) -> Vec<Rejected> {
        self.lock().rejected.iter().rev().take(limit).cloned().collect()
    }

    pub(super) fn checkpoint(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().checkpoints.get(name).cloned()
    }

    pub(super) fn set_checkpoint(&self, name: String, bytes: Vec<u8>) -> Result<(), SourceError> {
        self.lock().checkpoints.insert(name, bytes);
        Ok(())
    }
}
