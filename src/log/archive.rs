//! The keys of sealed segments, for events that come again long after the recent keys are forgotten.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::LogError;
use super::segment::{Listed, Positions, Segment, Shelf};
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
    /// By their paths: one that is written anew has the positions of the one before.
    loaded: VecDeque<(PathBuf, Arc<[u64]>)>,
    /// Segments that could not be read, which was said.
    told: BTreeSet<Positions>,
}

impl Archive {
    pub(super) fn new(dir: &Path) -> Self {
        Self { shelf: Shelf::new(dir), loaded: VecDeque::new(), told: BTreeSet::new() }
    }

    /// Lists the segments anew.
    pub(super) fn refresh(&mut self, base: Position) -> Result<(), LogError> {
        self.shelf.refresh(base)?;
        let shelf = &self.shelf;
        self.loaded.retain(|(path, _)| shelf.all().iter().any(|listed| listed.path == *path));
        self.told.retain(|(first, _)| shelf.with(*first).is_some());
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
    /// rather twice than not at all. The others still tell theirs.
    pub(super) fn known(&mut self, wanted: &[(Timestamp, u64)], base: Position) -> FxHashSet<u64> {
        let (found, unread) = self.search(wanted);
        if unread.is_empty() {
            return found;
        }
        // Merged meanwhile: the file has another name.
        let (found, unread) = match self.refresh(base) {
            Ok(()) => self.search(wanted),
            Err(error) => {
                tracing::error!(%error, "the segments cannot be listed: old events may be stored twice");
                (found, unread)
            }
        };
        for (positions, error) in unread {
            self.tell(positions, &error);
        }
        found
    }

    /// Says that a segment's keys cannot be read, once.
    pub(super) fn tell(&mut self, positions: Positions, error: &LogError) {
        if self.told.insert(positions) {
            let (first, last) = positions;
            tracing::error!(first, last, %error, "events that this segment has may be stored twice: its keys cannot be read");
        }
    }

    /// What was found, and the segments that could not be read.
    fn search(&mut self, wanted: &[(Timestamp, u64)]) -> (FxHashSet<u64>, Vec<(Positions, LogError)>) {
        let (mut found, mut unread) = (FxHashSet::default(), Vec::new());
        for listed in self.newest_first() {
            let Some((min, max)) = listed.info.times else { continue };
            let here: Vec<u64> =
                wanted.iter().filter(|(time, _)| min <= *time && *time <= max).map(|(_, key)| *key).collect();
            if !here.is_empty()
                && let Err(error) = self.search_one(&listed, here, &mut found)
            {
                unread.push((listed.positions(), error));
            }
        }
        (found, unread)
    }

    fn search_one(
        &mut self,
        listed: &Listed,
        here: Vec<u64>,
        found: &mut FxHashSet<u64>,
    ) -> Result<(), LogError> {
        let is_loaded = self.loaded.iter().any(|(path, _)| *path == listed.path);
        if here.len() >= FEW || is_loaded {
            let keys = self.keys(listed)?;
            found.extend(here.into_iter().filter(|key| keys.binary_search(key).is_ok()));
            return Ok(());
        }
        let segment = Segment::open(&listed.path, listed.info.clone())?;
        for key in here {
            if segment.has_key(key)? {
                found.insert(key);
            }
        }
        Ok(())
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
