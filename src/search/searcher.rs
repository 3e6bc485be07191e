//! What searches a log, and how it looks at events.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::SearchError;
use super::disk::Disk;
use super::parts::{Bounds, Damage, Parts};
use crate::event::{Catalogue, Event, Position, canonical};
use crate::index::{Answer, evaluate};
use crate::log::{LogError, Reader, TimeRange};
use crate::query::{Query, Sieve};
use crate::time::Span;

/// How many events one call looks at before it gives back what it has; about ten seconds' work.
const LOOKS_MAX: u64 = 2_000_000;

/// How often segments may be merged under a search before it gives up.
const TRIES: usize = 8;

/// Searches a log. One per thread; reads while a daemon writes.
#[derive(Debug)]
pub struct Searcher<P = Disk> {
    pub(super) parts: P,
    pub(super) catalogue: Arc<Catalogue>,
    /// How many events a call may look at.
    pub(super) looks_max: u64,
    damaged: Vec<Damage>,
}

impl Searcher {
    /// Of the log in a data folder.
    ///
    /// # Errors
    ///
    /// [`SearchError::Log`] where there is no log that can be read.
    pub fn open(dir: &Path, catalogue: impl Into<Arc<Catalogue>>) -> Result<Self, SearchError> {
        Ok(Self::new(Disk::new(Reader::open(dir)?), catalogue))
    }
}

impl<P: Parts> Searcher<P> {
    /// Of these parts; events are shown with this catalogue.
    pub fn new(parts: P, catalogue: impl Into<Arc<Catalogue>>) -> Self {
        Self { parts, catalogue: catalogue.into(), looks_max: LOOKS_MAX, damaged: Vec::new() }
    }

    /// The same with another limit to how many events one call looks at.
    #[must_use]
    pub fn with_looks(self, looks_max: u64) -> Self {
        Self { looks_max: looks_max.max(1), ..self }
    }

    /// The canonical form that is shown.
    pub fn show(&self, event: &Event) -> Map<String, Value> {
        canonical(event, &self.catalogue)
    }

    /// The event at a position.
    ///
    /// # Errors
    ///
    /// [`SearchError::Log`].
    pub fn get(&mut self, position: Position) -> Result<Option<Event>, SearchError> {
        Ok(self.parts.get(position)?)
    }

    /// The event that came last; none while there is none.
    ///
    /// # Errors
    ///
    /// [`SearchError::Log`].
    pub fn newest(&mut self) -> Result<Option<Event>, SearchError> {
        let page = self.page(&Query::all_of(&[]), None, (1, super::Order::NewestFirst))?;
        Ok(page.events.into_iter().next().map(|found| found.event))
    }

    /// What could not be read since this was asked last, as far as it concerns what was searched for.
    pub fn take_damaged(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damaged)
    }

    /// Asks anew where a segment was merged meanwhile.
    pub(super) fn again<T>(
        &mut self,
        mut ask: impl FnMut(&mut Self) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        let noted = self.damaged.len();
        for _ in 1..TRIES {
            match ask(self) {
                // What was only missing because it moved is not damaged.
                Err(SearchError::Moved) => self.damaged.truncate(noted),
                asked => return asked,
            }
        }
        ask(self)
    }

    /// Sets a segment aside that is damaged; other errors come back.
    pub(super) fn set_aside(&mut self, bounds: &Bounds, error: SearchError) -> Result<(), SearchError> {
        let reason = match error {
            SearchError::Log(LogError::Corrupt { reason, .. }) => reason,
            SearchError::Index(_) => "its index is damaged".to_owned(),
            other => return Err(other),
        };
        let times = Some((bounds.from, bounds.to));
        self.note(&[Damage { first: bounds.first, last: bounds.last, times, reason }]);
        Ok(())
    }

    /// What the parts found out on the way through the events that are not sealed.
    pub(super) fn note_damaged(&mut self, query: &Query) {
        let (from, to) = query.time_range();
        let is_near = |damage: &&Damage| damage.times.is_none_or(|(min, max)| min <= to && from <= max);
        let damaged: Vec<Damage> = self.parts.damaged().iter().filter(is_near).cloned().collect();
        self.note(&damaged);
    }

    fn note(&mut self, damaged: &[Damage]) {
        for damage in damaged {
            let is_known = |known: &Damage| (known.first, known.last) == (damage.first, damage.last);
            if !self.damaged.iter().any(is_known) {
                self.damaged.push(damage.clone());
            }
        }
    }

    /// The segments that may have events of these times.
    pub(super) fn segments(&mut self, query: &Query) -> Result<Vec<Bounds>, SearchError> {
        let (from, to) = query.time_range();
        let mut segments = self.parts.segments()?;
        segments.retain(|segment| segment.from <= to && from <= segment.to);
        self.note_damaged(query);
        Ok(segments)
    }

    /// Which events of a segment a query finds, as far as its index tells.
    pub(super) fn ask(&mut self, query: &Query, first: Position) -> Result<Answer, SearchError> {
        let segment = self.parts.segment(first)?;
        if !segment.is_indexed() {
            let (from, to) = query.time_range();
            return Ok(Answer { sure: RoaringBitmap::new(), possible: segment.between(from, to)? });
        }
        evaluate(query, segment, &self.catalogue).map_err(SearchError::of_segment(first))
    }
}

/// Looks at events, and counts how many it looked at.
pub(super) struct Look<'a> {
    query: &'a Query,
    sieve: Sieve<'a>,
    catalogue: &'a Catalogue,
    pub(super) left: u64,
}

impl<'a> Look<'a> {
    pub(super) fn new(query: &'a Query, catalogue: &'a Catalogue, looks_max: u64) -> Self {
        Self { query, sieve: query.sieve(), catalogue, left: looks_max }
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// The event as it is shown, if the query finds it.
    pub(super) fn at(&mut self, event: &Event) -> Option<Map<String, Value>> {
        self.left = self.left.saturating_sub(1);
        if self.sieve.rules_out(event) {
            return None;
        }
        let shown = canonical(event, self.catalogue);
        self.query.finds(&shown, self.catalogue.enrichment()).then_some(shown)
    }
}

/// The query's times are both included, the reader's last one is not.
pub(super) fn range(query: &Query) -> TimeRange {
    let (from, to) = query.time_range();
    TimeRange { from, to: to.plus(Span::millis(1)) }
}
