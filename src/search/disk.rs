//! The log of a data folder: its sealed segments with their index, and what came since, event by event.

use std::ops::ControlFlow;

use super::SearchError;
use super::parts::{Bounds, Damage, Parts, Sealed, VisitEvent};
use crate::event::{Entry, Event, Position};
use crate::index;
use crate::log::{LogError, Reader, Segment, TimeRange};

/// How many entries are read at once when going forward.
const READ: usize = 4096;

/// The log as its reader gives it.
#[derive(Debug)]
pub struct Disk {
    reader: Reader,
    /// First and last position of the segments that were listed last, in order.
    listed: Vec<(Position, Position)>,
    /// From here on, no segment had anything when they were listed.
    rest: Position,
    damaged: Vec<Damage>,
}

impl Disk {
    /// Reads through this reader.
    #[must_use]
    pub const fn new(reader: Reader) -> Self {
        Self { reader, listed: Vec::new(), rest: 1, damaged: Vec::new() }
    }

    /// Where to go on behind damage in what was sealed since the segments were listed; the hot end's is an error.
    fn behind(&mut self, after: Position, error: LogError) -> Result<Position, LogError> {
        let LogError::Corrupt { first, last, ref reason } = error else { return Err(error) };
        let infos = self.reader.segments()?;
        if !infos.iter().any(|info| (info.first..=info.last).contains(&first)) {
            return Err(error);
        }
        self.damaged.push(Damage { first, last, times: None, reason: reason.clone() });
        Ok(last.max(after.saturating_add(1)))
    }
}

impl Sealed for Segment {
    fn is_indexed(&self) -> bool {
        self.index_version() == index::VERSION
    }

    fn events(&mut self, numbers: &[u32], visit: &mut VisitEvent<'_>) -> Result<(), LogError> {
        Self::events(self, numbers, visit)
    }
}

impl Parts for Disk {
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError> {
        let infos = self.reader.segments()?;
        self.rest = self.reader.first_unsealed();
        self.listed.clear();
        self.damaged.clear();
        let mut segments = Vec::with_capacity(infos.len());
        for info in infos {
            let (first, last) = (info.first, info.last);
            match (info.damage, info.times) {
                (Some(reason), times) => self.damaged.push(Damage { first, last, times, reason }),
                (None, Some((from, to))) => {
                    self.listed.push((first, last));
                    segments.push(Bounds { first, last, from, to });
                }
                // No events.
                (None, None) => {}
            }
        }
        Ok(segments)
    }

    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, SearchError> {
        let wanted = self.listed.binary_search_by_key(&first, |(first, _)| *first);
        let wanted = wanted.ok().and_then(|index| self.listed.get(index)).ok_or(SearchError::Moved)?;
        if self.reader.gone(first)?.is_some() {
            return Err(SearchError::Moved);
        }
        let segment = self.reader.segment(first)?;
        // The reader lists anew now and then, and gives the one that has taken its place.
        if (segment.info().first, segment.info().last) == *wanted {
            Ok(segment)
        } else {
            Err(SearchError::Moved)
        }
    }

    fn damaged(&self) -> &[Damage] {
        &self.damaged
    }

    fn backwards(
        &mut self,
        before: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        if before <= self.rest {
            return Ok(());
        }
        self.reader.newest_between((self.rest, before), range, visit)
    }

    fn forwards(
        &mut self,
        after: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        let mut after = after.max(self.rest - 1);
        loop {
            let entries = match self.reader.read_after(after, READ) {
                Ok(entries) => entries,
                Err(error) => {
                    after = self.behind(after, error)?;
                    continue;
                }
            };
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.position();
            for entry in entries {
                let Entry::Event(event) = entry else { continue };
                if (range.from..range.to).contains(&event.time) && visit(event) == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        }
    }

    fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        self.reader.get(position)
    }
}

#[cfg(test)]
mod tests;
