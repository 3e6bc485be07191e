//! A log with sealed segments in memory, for tests.

use std::convert::Infallible;
use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::SearchError;
use super::parts::{Bounds, Damage, Parts, Sealed, VisitEvent};
use crate::event::{Catalogue, Event, Position};
use crate::index::testing::MemorySegment;
use crate::index::{Terms, Timed, Visit};
use crate::log::{LogError, TimeRange};
use crate::time::Timestamp;

/// Sealed segments, and events that are not sealed.
pub(super) struct Memory {
    segments: Vec<Segment>,
    rest: Vec<Event>,
    /// How many events of segments were read.
    pub(super) read: usize,
}

struct Segment {
    inner: MemorySegment,
    read: usize,
}

impl Memory {
    /// Seals runs of these lengths; what is left stays as it is. Positions begin at 1.
    pub(super) fn new(events: Vec<Event>, lengths: &[usize], catalogue: &Catalogue) -> Self {
        let mut events = (1..).zip(events).map(|(position, event)| Event { position, ..event });
        let sealed = |events: Vec<Event>| Segment { inner: MemorySegment::new(events, catalogue), read: 0 };
        let segments = lengths.iter().map(|length| sealed(events.by_ref().take(*length).collect())).collect();
        Self { segments, rest: events.collect(), read: 0 }
    }

    /// How many events of sealed segments were read so far.
    pub(super) fn reads(&self) -> usize {
        self.read + self.segments.iter().map(|segment| segment.read).sum::<usize>()
    }
}

fn no_error<T>(result: Result<T, Infallible>) -> Result<T, LogError> {
    result.map_err(|never| match never {})
}

impl Terms for Segment {
    type Error = LogError;

    fn postings(&mut self, field: u8, value: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        no_error(self.inner.postings(field, value))
    }

    fn scan(&mut self, field: u8, from: &[u8], visit: &mut Visit<'_>) -> Result<(), LogError> {
        no_error(self.inner.scan(field, from, visit))
    }
}

impl Timed for Segment {
    fn first(&self) -> Position {
        self.inner.first()
    }

    fn between(&mut self, from: Timestamp, to: Timestamp) -> Result<RoaringBitmap, LogError> {
        no_error(self.inner.between(from, to))
    }

    fn times(&mut self, visit: &mut dyn FnMut(u32, Timestamp)) -> Result<(), LogError> {
        no_error(self.inner.times(visit))
    }
}

impl Sealed for Segment {
    fn is_indexed(&self) -> bool {
        true
    }

    fn events(&mut self, numbers: &[u32], visit: &mut VisitEvent<'_>) -> Result<(), LogError> {
        assert!(numbers.is_sorted() || numbers.iter().rev().is_sorted(), "{numbers:?}");
        for number in numbers {
            self.read += 1;
            if visit(self.inner.events[*number as usize].clone()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Parts for Memory {
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError> {
        let bounds = |segment: &Segment| {
            let events = &segment.inner.events;
            let times = || events.iter().map(|event| event.time);
            Bounds {
                first: events[0].position,
                last: events[events.len() - 1].position,
                from: times().min().unwrap(),
                to: times().max().unwrap(),
            }
        };
        Ok(self.segments.iter().filter(|segment| !segment.inner.events.is_empty()).map(bounds).collect())
    }

    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, SearchError> {
        Ok(self.segments.iter_mut().find(|segment| segment.first() == first).unwrap())
    }

    fn damaged(&self) -> &[Damage] {
        &[]
    }

    fn backwards(
        &mut self,
        before: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        let events = self.rest.iter().rev().filter(|event| event.position < before);
        let mut events = events.filter(|event| (range.from..range.to).contains(&event.time));
        let _ = events.try_for_each(|event| visit(event.clone()));
        Ok(())
    }

    fn forwards(
        &mut self,
        after: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        let events = self.rest.iter().filter(|event| event.position > after);
        let mut events = events.filter(|event| (range.from..range.to).contains(&event.time));
        let _: ControlFlow<()> = events.try_for_each(|event| visit(event.clone()));
        Ok(())
    }

    fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        let sealed = self.segments.iter().flat_map(|segment| &segment.inner.events);
        Ok(sealed.chain(&self.rest).find(|event| event.position == position).cloned())
    }
}
