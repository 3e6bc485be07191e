//! How many events a query finds, in all and by a field.

use std::ops::ControlFlow;
use std::sync::Arc;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::SearchError;
use super::parts::{Bounds, Parts};
use super::searcher::{Look, Searcher, range};
use crate::event::{Event, Position};
use crate::index::{has_dictionary, tally};
use crate::log::LogError;
use crate::query::{Query, any_at, fold, text};

/// So many values are told apart; events with further ones are counted together.
const VALUES_MAX: usize = 200_000;
/// No answer lists more groups.
pub const GROUPS_MAX: usize = 10_000;
/// How many events of a segment are gone through together.
pub(super) const CHUNK: usize = 1024;
/// Of so few events reading is quicker than going through a dictionary.
const FEW: u64 = 512;

/// A number of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How many were found.
    pub events: u64,
    /// Whether all were counted: one call looks at a limited number of events, the newest ones.
    pub is_complete: bool,
}

/// The events of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As one of the events has it.
    pub value: String,
    /// How many have it, in whatever case.
    pub events: u64,
}

/// Events by the values of a field. One with several values counts for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// The largest first; of equal ones the first in the alphabet.
    pub groups: Vec<Group>,
    /// How many further values there are; a lower bound beyond 200,000.
    pub other_values: u64,
    /// How many times they occur.
    pub other_events: u64,
    /// All events that were found.
    pub total: Count,
}

/// What is done with events that were found, newest part of the log first.
pub(super) trait Collect<P: Parts> {
    /// One event that was looked at.
    fn event(&mut self, event: &Event, shown: &Map<String, Value>);

    /// Events of a segment that are surely found; answers which of them it must look at.
    fn sure(
        &mut self,
        searcher: &mut Searcher<P>,
        first: Position,
        sure: &RoaringBitmap,
    ) -> Result<RoaringBitmap, SearchError>;
}

impl<P: Parts> Searcher<P> {
    /// How many events a query finds.
    ///
    /// # Errors
    ///
    /// What the log says when it cannot be read.
    pub fn count(&mut self, query: &Query) -> Result<Count, SearchError> {
        self.again(|own| {
            let mut events = 0_u64;
            let is_complete = own.collect(query, &mut events)?;
            Ok(Count { events, is_complete })
        })
    }

    /// How many events a query finds by the values of a field, the `top` most frequent ones by name. Short names of
    /// fields will do; `author` stands for `author_name`.
    ///
    /// # Errors
    ///
    /// What the log says when it cannot be read.
    pub fn count_by(&mut self, query: &Query, field: &str, top: usize) -> Result<Groups, SearchError> {
        let field = match field {
            "author" => "author_name",
            _ => crate::query::fields(field).next().unwrap_or(field),
        };
        let (tallies, is_complete) = self.again(|own| {
            let mut tallies =
                Tallies { field, values: FxHashMap::default(), other_events: 0, other_values: 0, events: 0 };
            let is_complete = own.collect(query, &mut tallies)?;
            Ok((tallies, is_complete))
        })?;
        let total = Count { events: tallies.events, is_complete };
        self.groups(tallies, top.clamp(1, GROUPS_MAX), total)
    }

    /// Goes through all that a query finds. False if there were too many events to look at.
    pub(super) fn collect(&mut self, query: &Query, into: &mut dyn Collect<P>) -> Result<bool, SearchError> {
        let catalogue = Arc::clone(&self.catalogue);
        let mut look = Look::new(query, &catalogue, self.looks_max);
        let mut is_complete = true;
        let segments = self.segments(query)?;
        self.parts.backwards(Position::MAX, range(query), &mut |event| {
            if look.is_spent() {
                is_complete = false;
                return ControlFlow::Break(());
            }
            if let Some(shown) = look.at(&event) {
                into.event(&event, &shown);
            }
            ControlFlow::Continue(())
        })?;
        for bounds in segments.iter().rev() {
            match self.collect_sealed(query, bounds, (&mut look, into)) {
                Ok(is_whole) => is_complete &= is_whole,
                Err(error) => self.set_aside(bounds, error)?,
            }
        }
        Ok(is_complete)
    }

    fn collect_sealed(
        &mut self,
        query: &Query,
        bounds: &Bounds,
        (look, into): (&mut Look<'_>, &mut dyn Collect<P>),
    ) -> Result<bool, SearchError> {
        let answer = self.ask(query, bounds.first)?;
        let mut left = answer.doubtful() | into.sure(self, bounds.first, &answer.sure)?;
        while !left.is_empty() && !look.is_spent() {
            let most = usize::try_from(look.left).unwrap_or(CHUNK).min(CHUNK);
            let chunk: Vec<u32> = left.iter().rev().take(most).collect();
            left.remove_biggest(chunk.len() as u64);
            let ascending: Vec<u32> = chunk.into_iter().rev().collect();
            self.parts.segment(bounds.first)?.events(&ascending, &mut |event| {
                if let Some(shown) = look.at(&event) {
                    into.event(&event, &shown);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(left.is_empty())
    }

    /// The largest groups, by the names that events have for them.
    fn groups(&mut self, tallies: Tallies<'_>, top: usize, total: Count) -> Result<Groups, SearchError> {
        let Tallies { field, values, mut other_events, mut other_values, .. } = tallies;
        let mut values: Vec<(String, Tally)> = values.into_iter().collect();
        values.sort_unstable_by(|a, b| (b.1.events, &a.0).cmp(&(a.1.events, &b.0)));
        for (_, tally) in values.iter().skip(top) {
            other_events += tally.events;
            other_values += 1;
        }
        let mut groups = Vec::new();
        for (value, tally) in values.into_iter().take(top) {
            let value = match tally.written {
                Some(written) => written,
                None => self.written(field, value, tally.example)?,
            };
            groups.push(Group { value, events: tally.events });
        }
        Ok(Groups { groups, other_values, other_events, total })
    }

    /// A folded value as an event has it.
    fn written(&mut self, field: &str, folded: String, example: Position) -> Result<String, SearchError> {
        let event = match self.parts.get(example) {
            Ok(Some(event)) => event,
            Ok(None) | Err(LogError::Corrupt { .. }) => return Ok(folded),
            Err(error) => return Err(error.into()),
        };
        let (shown, mut written) = (self.show(&event), None);
        any_at(&shown, field, &mut |value| {
            written = text(value).filter(|text| fold(text) == folded).map(|text| text.into_owned());
            written.is_some()
        });
        Ok(written.unwrap_or(folded))
    }
}

impl<P: Parts> Collect<P> for u64 {
    fn event(&mut self, _: &Event, _: &Map<String, Value>) {
        *self += 1;
    }

    fn sure(
        &mut self,
        _: &mut Searcher<P>,
        _: Position,
        sure: &RoaringBitmap,
    ) -> Result<RoaringBitmap, SearchError> {
        *self += sure.len();
        Ok(RoaringBitmap::new())
    }
}

/// How often each folded value was seen.
struct Tallies<'a> {
    field: &'a str,
    values: FxHashMap<String, Tally>,
    other_events: u64,
    other_values: u64,
    events: u64,
}

struct Tally {
    events: u64,
    example: Position,
    /// As an event has it that was looked at.
    written: Option<String>,
}

impl Tallies<'_> {
    fn add(&mut self, folded: &str, events: u64, example: Position, written: Option<&str>) {
        if let Some(tally) = self.values.get_mut(folded) {
            tally.events += events;
        } else if self.values.len() < VALUES_MAX {
            let written = written.map(str::to_owned);
            self.values.insert(folded.to_owned(), Tally { events, example, written });
        } else {
            self.other_events += events;
            self.other_values = self.other_values.max(1);
        }
    }
}

impl<P: Parts> Collect<P> for Tallies<'_> {
    fn event(&mut self, event: &Event, shown: &Map<String, Value>) {
        self.events += 1;
        let mut seen: Vec<String> = Vec::new();
        any_at(shown, self.field, &mut |value| {
            if let Some(text) = text(value) {
                let folded = fold(&text);
                if !seen.contains(&folded) {
                    self.add(&folded, 1, event.position, Some(&text));
                    seen.push(folded);
                }
            }
            false
        });
    }

    fn sure(
        &mut self,
        searcher: &mut Searcher<P>,
        first: Position,
        sure: &RoaringBitmap,
    ) -> Result<RoaringBitmap, SearchError> {
        if sure.len() <= FEW || !has_dictionary(&searcher.catalogue, self.field) {
            return Ok(sure.clone());
        }
        let field = self.field;
        let mut add = |value: &str, events: u64, example: u32| {
            self.add(value, events, first + u64::from(example), None);
        };
        let segment = searcher.parts.segment(first)?;
        let doubtful = tally(segment, &searcher.catalogue, field, sure, &mut add);
        let doubtful = doubtful.map_err(SearchError::of_segment(first))?.unwrap_or_default();
        self.events += sure.len() - doubtful.len();
        Ok(doubtful)
    }
}
