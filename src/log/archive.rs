//! The keys of sealed segments, for events that come again long after the recent keys are forgotten.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::LogError;
use super::segment::{Listed, Segment, Shelf};
use crate::event::Position;
use crate::time::Timestamp;

/// So many keys are kept in memory for the next batch (8 bytes each); the segment that was loaded first goes first.
const KEYS_MAX: usize = 8 << 20;
/// Fewer keys than this are looked up in the file.
const FEW: usize = 32;

/// Finds keys in sealed segments.
#[derive(Debug)]
pub(super) struct Archive {
    shelf: Shelf,
    loaded: VecDeque<(PathBuf, Arc<[u64]>)>,
}

impl Archive {
    pub(super) fn new(dir: &Path) -> Self {
        Self { shelf: Shelf::new(dir), loaded: VecDeque::new() }
    }

    /// Lists the segments anew.
    pub(super) fn refresh(&mut self, base: Position) -> Result<(), LogError> {
        self.shelf.refresh(base)?;
        let shelf = &self.shelf;
        self.loaded.retain(|(path, _)| shelf.all().iter().any(|listed| listed.path == *path));
        Ok(())
    }

    /// Whether a listed segment has this position.
    pub(super) fn has(&self, position: Position) -> bool {
        self.shelf.with(position).is_some()
    }

    /// The segments, newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Listed>> {
        self.shelf.all().iter().rev().filter(|listed| listed.info.damage.is_none()).map(Arc::clone).collect()
    }

    /// Which of these keys stand in a segment that has events of that time. A segment that cannot be read has none:
    /// rather twice than not at all.
    pub(super) fn known(&mut self, wanted: &[(Timestamp, u64)], base: Position) -> FxHashSet<u64> {
        match self.search(wanted) {
            Ok(found) => found,
            // Merged meanwhile: the file has another name.
            Err(_) => match self.refresh(base).and_then(|()| self.search(wanted)) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, "old events may be stored twice: their keys cannot be looked up");
                    FxHashSet::default()
                }
            },
        }
    }

    fn search(&mut self, wanted: &[(Timestamp, u64)]) -> Result<FxHashSet<u64>, LogError> {
        let mut found = FxHashSet::default();
        for listed in self.newest_first() {
            let Some((min, max)) = listed.info.times else { continue };
            let here: Vec<u64> =
                wanted.iter().filter(|(time, _)| min <= *time && *time <= max).map(|(_, key)| *key).collect();
            if here.is_empty() {
                continue;
            }
            let is_loaded = self.loaded.iter().any(|(path, _)| *path == listed.path);
            if here.len() < FEW && !is_loaded {
                let segment = Segment::open(&listed.path, listed.info.clone())?;
                for key in here {
                    if segment.has_key(key)? {
                        found.insert(key);
                    }
                }
            } else {
                let keys = self.keys(&listed)?;
                found.extend(here.into_iter().filter(|key| keys.binary_search(key).is_ok()));
            }
        }
        Ok(found)
    }

    /// Gives the memory of loaded keys free.
    pub(super) fn unload(&mut self) {
        self.loaded.clear();
    }

    /// The keys of a segment, sorted.
    pub(super) fn keys(&mut self, listed: &Listed) -> Result<Arc<[u64]>, LogError> {
        let loaded = self.loaded.iter().find(|(path, _)| *path == listed.path);
        if let Some((_, keys)) = loaded {
            return Ok(Arc::clone(keys));
        }
        let keys: Arc<[u64]> = Segment::open(&listed.path, listed.info.clone())?.keys()?.into();
        self.loaded.push_back((listed.path.clone(), Arc::clone(&keys)));
        let mut count: usize = self.loaded.iter().map(|(_, keys)| keys.len()).sum();
        while count > KEYS_MAX
            && self.loaded.len() > 1
            && let Some((_, oldest)) = self.loaded.pop_front()
        {
            count -= oldest.len();
        }
        Ok(keys)
    }
}
