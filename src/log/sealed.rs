//! The sealed part of the log as readers use it: segments are opened when they are needed, and a few stay open.

use std::path::Path;
use std::sync::Arc;

use super::segment::{Listed, Positions, Segment, SegmentInfo, Shelf};
use super::{LogError, Reader};
use crate::event::Position;

/// How many segments stay open at most; the one that was asked for longest ago is closed first.
const OPEN_MAX: usize = 32;

/// The segments of a data folder.
#[derive(Debug)]
pub(super) struct Sealed {
    shelf: Shelf,
    base: Position,
    /// The one that was asked for last stands last.
    open: Vec<Segment>,
    /// What was found damaged, and why; these are not opened again.
    aside: Vec<(Positions, String)>,
    /// Segments of which only some blocks are damaged, and why.
    noted: Vec<(Positions, String)>,
}

impl Sealed {
    pub(super) fn new(dir: &Path) -> Self {
        let shelf = Shelf::new(dir);
        Self { shelf, base: 0, open: Vec::new(), aside: Vec::new(), noted: Vec::new() }
    }

    /// Lists anew; `base` is the last position that the hot end has no more.
    pub(super) fn refresh(&mut self, base: Position) -> Result<(), LogError> {
        self.base = base;
        self.shelf.refresh(base)?;
        let shelf = &self.shelf;
        let is_listed = |positions: Positions| {
            shelf.with(positions.0).is_some_and(|listed| listed.positions() == positions)
        };
        self.open.retain(|segment| {
            shelf.with(segment.info().first).is_some_and(|listed| listed.path == segment.path())
        });
        self.aside.retain(|(positions, _)| is_listed(*positions));
        self.noted.retain(|(positions, _)| is_listed(*positions));
        Ok(())
    }

    /// Every segment, in order; with the damage found so far.
    pub(super) fn infos(&self) -> Vec<SegmentInfo> {
        let info = |listed: &Arc<Listed>| {
            let mut info = listed.info.clone();
            let mut found = self.aside.iter().chain(&self.noted);
            let found = found.find(|(positions, _)| *positions == listed.positions());
            info.damage = info.damage.or_else(|| found.map(|(_, reason)| reason.clone()));
            info
        };
        self.shelf.all().iter().map(info).collect()
    }

    /// The segments as they were listed.
    pub(super) fn listed(&self) -> &[Arc<Listed>] {
        self.shelf.all()
    }

    /// The last position of the removed segment that had this one, as of the last listing.
    pub(super) fn gone(&self, position: Position) -> Option<Position> {
        self.shelf.gone(position).map(|range| range.positions.1)
    }

    /// The last position that any segment has or had.
    pub(super) fn last(&self) -> Position {
        self.shelf.last()
    }

    /// Whether a listed segment has this position.
    pub(super) fn has(&self, position: Position) -> bool {
        self.shelf.with(position).is_some_and(|listed| listed.info.damage.is_none())
    }

    /// The segment that has this position. [`LogError::Corrupt`] with the segment's positions where it is set aside or
    /// cannot be opened.
    pub(super) fn with(&mut self, position: Position) -> Result<&mut Segment, LogError> {
        for attempt in 0.. {
            let listed = self.find(position)?;
            let first = listed.info.first;
            if let Some(index) = self.open.iter().position(|segment| segment.info().first == first) {
                let segment = self.open.remove(index);
                self.open.push(segment);
                break;
            }
            match Segment::open(&listed.path, listed.info.clone()) {
                Ok(segment) => {
                    if self.open.len() >= OPEN_MAX {
                        self.open.remove(0);
                    }
                    self.open.push(segment);
                    break;
                }
                // Merged into another one since it was listed.
                Err(_) if attempt == 0 && !listed.path.exists() => self.refresh(self.base)?,
                Err(error) => {
                    self.set_aside(listed.positions(), &error);
                    return Err(error);
                }
            }
        }
        self.open.last_mut().ok_or(LogError::Stopped)
    }

    fn find(&self, position: Position) -> Result<Arc<Listed>, LogError> {
        let Some(listed) = self.shelf.with(position) else {
            let reason = "no segment has these entries".to_owned();
            return Err(LogError::Corrupt { first: position, last: position, reason });
        };
        let (first, last) = listed.positions();
        let aside = self.aside.iter().find(|(aside, _)| *aside == (first, last));
        match listed.info.damage.as_ref().or(aside.map(|(_, reason)| reason)) {
            Some(reason) => Err(LogError::Corrupt { first, last, reason: reason.clone() }),
            None => Ok(Arc::clone(listed)),
        }
    }

    /// Notes that the segment with this position cannot be read, and says so once.
    pub(super) fn set_aside(&mut self, positions: Positions, error: &LogError) {
        if !self.aside.iter().any(|(known, _)| *known == positions) {
            tracing::error!(first = positions.0, last = positions.1, %error, "a sealed segment is set aside");
            self.aside.push((positions, error.to_string()));
        }
        self.open.retain(|segment| segment.info().first != positions.0);
    }

    /// Notes that a part of a segment cannot be read, and says so once.
    pub(super) fn note(&mut self, positions: Positions, error: &LogError) {
        if !self.noted.iter().any(|(known, _)| *known == positions) {
            tracing::error!(first = positions.0, last = positions.1, %error, "a sealed segment is damaged");
            self.noted.push((positions, error.to_string()));
        }
    }
}

impl Reader {
    /// The last position of the segment that had this position, if retention has removed it.
    pub(crate) fn gone(&mut self, position: Position) -> Result<Option<Position>, LogError> {
        self.list_if_missing(position)?;
        if self.sealed.gone(position).is_none() && self.sealed.has(position) {
            // It may be gone since it was listed; then this lists anew.
            drop(self.sealed.with(position));
        }
        Ok(self.sealed.gone(position))
    }
}
