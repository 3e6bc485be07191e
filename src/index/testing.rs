//! A segment in memory, for tests.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::{Builder, Source, Term, Terms, Timed, Visit};
use crate::event::{Catalogue, Event, Position};
use crate::time::Timestamp;

/// Events from one position on, and their index.
#[derive(Debug)]
pub(crate) struct MemorySegment {
    pub events: Vec<Event>,
    terms: BTreeMap<(u8, Box<[u8]>), Term>,
}

impl MemorySegment {
    /// Indexed with this catalogue; positions without gaps.
    pub(crate) fn new(events: Vec<Event>, catalogue: &Catalogue) -> Self {
        Self::built(Builder::default(), events, catalogue)
    }

    /// Indexed by this builder.
    pub(crate) fn built(mut builder: Builder, events: Vec<Event>, catalogue: &Catalogue) -> Self {
        for (number, event) in (0..).zip(&events) {
            builder.add(number, event, catalogue);
        }
        let mut terms = BTreeMap::new();
        let mut last = None;
        for term in builder.finish() {
            let key = (term.field, term.value.clone());
            assert!(last.as_ref() < Some(&key), "terms come in order: {last:?} {key:?}");
            last = Some(key.clone());
            terms.insert(key, term);
        }
        Self { events, terms }
    }
}

impl MemorySegment {
    /// Cuts the last byte off all postings.
    pub(crate) fn damage(&mut self) {
        for term in self.terms.values_mut() {
            term.postings.pop();
        }
    }
}

impl MemorySegment {
    /// All terms in order.
    pub(crate) fn all_terms(&self) -> Vec<Term> {
        self.terms.values().cloned().collect()
    }
}

impl Source for MemorySegment {
    type Error = Infallible;

    fn terms(&self, field: u8, after: Option<&[u8]>) -> Result<VecDeque<Term>, Infallible> {
        let rest = self.terms.range((field, after.unwrap_or_default().into())..);
        let rest = rest.take_while(|((found, _), _)| *found == field).map(|(_, term)| term.clone());
        Ok(rest.filter(|term| Some(&*term.value) != after).take(3).collect())
    }
}

impl Terms for MemorySegment {
    type Error = Infallible;

    fn postings(&mut self, field: u8, value: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.terms.get(&(field, value.into())).map(|term| term.postings.clone()))
    }

    fn scan(&mut self, field: u8, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Infallible> {
        let terms = self.terms.range((field, from.into())..);
        for ((_, value), term) in terms.take_while(|((found, _), _)| *found == field) {
            if visit(value, term.count, &term.postings) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Timed for MemorySegment {
    fn first(&self) -> Position {
        self.events.first().map_or(1, |event| event.position)
    }

    fn between(&mut self, from: Timestamp, to: Timestamp) -> Result<RoaringBitmap, Infallible> {
        let events = (0..).zip(&self.events);
        Ok(events.filter(|(_, event)| from <= event.time && event.time <= to).map(|(n, _)| n).collect())
    }

    fn times(&mut self, visit: &mut dyn FnMut(u32, Timestamp)) -> Result<(), Infallible> {
        (0..).zip(&self.events).for_each(|(number, event)| visit(number, event.time));
        Ok(())
    }
}
