//! One page of found events.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::parts::{Bounds, Parts};
use super::searcher::{Look, Searcher, range};
use super::{Cursor, SearchError};
use crate::event::{Event, Position};
use crate::query::Query;

/// No page has more events.
pub const PAGE_MAX: usize = 10_000;
/// How many events of a segment are gone through together, at least.
const CHUNK: usize = 64;
/// A page ends before its events take more than this, however few they are; never before the first one. They count as
/// they were sent, and once more for how they are shown.
const BYTES_MAX: usize = 32 << 20;

/// Which events come first: by position, the order in which they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The last one received.
    #[default]
    NewestFirst,
    /// The one received before all others.
    OldestFirst,
}

/// An event that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As it was received.
    pub event: Event,
    /// As it is shown: its canonical form.
    pub shown: Map<String, Value>,
}

/// Events that were found, and where the next ones begin.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// In the order that was asked for. There may be fewer than asked for, even none, although more follow: one call
    /// looks at a limited number of events, and gives a limited number of bytes.
    pub events: Vec<Found>,
    /// For the next page; none at the end of the log.
    pub next: Option<Cursor>,
}

/// A page while it is filled.
struct Filling<'a> {
    look: Look<'a>,
    limit: usize,
    bytes_max: usize,
    /// What the events take so far.
    bytes: usize,
    events: Vec<Found>,
    /// The last position that is settled: found or left behind.
    reached: Position,
    /// There was no more room, or no more looking.
    is_cut: bool,
}

impl<P: Parts> Searcher<P> {
    /// The events that a query finds, from the beginning or from a cursor on; at most `limit` of them, and never
    /// more than [`PAGE_MAX`].
    ///
    /// # Errors
    ///
    /// [`SearchError::Cursor`] where the cursor is of another query or order; what the log says when it cannot be
    /// read.
    pub fn page(
        &mut self,
        query: &Query,
        cursor: Option<Cursor>,
        (limit, order): (usize, Order),
    ) -> Result<Page, SearchError> {
        let start = match order {
            Order::NewestFirst => Position::MAX,
            Order::OldestFirst => 0,
        };
        let behind = cursor.map_or(Ok(start), |cursor| cursor.position(query, order))?;
        self.page_from(query, behind, (limit, order), BYTES_MAX)
    }

    /// The same from behind a position on; and the position that is settled then, from behind which to go on.
    ///
    /// # Errors
    ///
    /// What the log says when it cannot be read.
    pub fn page_behind(
        &mut self,
        query: &Query,
        behind: Position,
        (limit, order): (usize, Order),
    ) -> Result<(Page, Position), SearchError> {
        let page = self.page_from(query, behind, (limit, order), BYTES_MAX)?;
        let reached = match (page.next, page.events.last()) {
            (Some(next), _) => next.position(query, order)?,
            (None, Some(last)) => last.event.position,
            (None, None) => behind,
        };
        Ok((page, reached))
    }

    /// The page alone, with so many bytes at most.
    pub(super) fn page_from(
        &mut self,
        query: &Query,
        behind: Position,
        (limit, order): (usize, Order),
        bytes_max: usize,
    ) -> Result<Page, SearchError> {
        self.again(|own| own.page_once(query, behind, (limit, order), bytes_max))
    }

    fn page_once(
        &mut self,
        query: &Query,
        behind: Position,
        (limit, order): (usize, Order),
        bytes_max: usize,
    ) -> Result<Page, SearchError> {
        let catalogue = Arc::clone(&self.catalogue);
        let mut filling = Filling {
            look: Look::new(query, &catalogue, self.looks_max),
            limit: limit.clamp(1, PAGE_MAX),
            bytes_max,
            bytes: 0,
            events: Vec::new(),
            reached: behind,
            is_cut: false,
        };
        let segments = self.segments(query)?;
        if order == Order::NewestFirst {
            self.parts.backwards(behind, range(query), &mut |event| filling.take(event))?;
            for segment in segments.iter().rev().filter(|segment| segment.first < behind) {
                if let Err(error) = self.fill(query, segment, order, &mut filling) {
                    self.set_aside(segment, error)?;
                }
            }
        } else {
            for segment in segments.iter().filter(|segment| segment.last > behind) {
                if let Err(error) = self.fill(query, segment, order, &mut filling) {
                    self.set_aside(segment, error)?;
                }
            }
            if !filling.is_cut {
                let after = filling.reached;
                self.parts.forwards(after, range(query), &mut |event| filling.take(event))?;
                self.note_damaged(query);
            }
        }
        let next = filling.is_cut.then(|| Cursor::behind(filling.reached, query, order));
        Ok(Page { events: filling.events, next })
    }

    /// Takes what a segment has, some events at a time.
    fn fill(
        &mut self,
        query: &Query,
        bounds: &Bounds,
        order: Order,
        filling: &mut Filling<'_>,
    ) -> Result<(), SearchError> {
        if filling.is_cut {
            return Ok(());
        }
        let mut left =
            numbers_behind(self.ask(query, bounds.first)?.possible, bounds, filling.reached, order);
        while !filling.is_cut && !left.is_empty() {
            let count = CHUNK.max(filling.limit + 1 - filling.events.len()).min(PAGE_MAX);
            let chunk = take(&mut left, count, order);
            self.parts.segment(bounds.first)?.events(&chunk, &mut |event| filling.take(event))?;
        }
        Ok(())
    }
}

impl Filling<'_> {
    /// Looks at the next event.
    fn take(&mut self, event: Event) -> ControlFlow<()> {
        if self.look.is_spent() {
            self.is_cut = true;
            return ControlFlow::Break(());
        }
        let position = event.position;
        if let Some(shown) = self.look.at(&event) {
            let bytes = event.raw.len().saturating_mul(2);
            let is_full = !self.events.is_empty() && self.bytes.saturating_add(bytes) > self.bytes_max;
            if is_full || self.events.len() >= self.limit {
                self.is_cut = true;
                return ControlFlow::Break(());
            }
            self.bytes = self.bytes.saturating_add(bytes);
            // A copy: it must not keep its whole block.
            let event = Event { raw: Bytes::copy_from_slice(&event.raw), ..event };
            self.events.push(Found { event, shown });
        }
        self.reached = position;
        ControlFlow::Continue(())
    }
}

/// The numbers of a segment that lie behind a position.
fn numbers_behind(
    mut numbers: RoaringBitmap,
    bounds: &Bounds,
    position: Position,
    order: Order,
) -> RoaringBitmap {
    let number =
        |position: Position| u32::try_from(position.saturating_sub(bounds.first)).unwrap_or(u32::MAX);
    match order {
        Order::NewestFirst if position <= bounds.last => numbers.remove_range(number(position)..),
        Order::OldestFirst if position >= bounds.first => numbers.remove_range(..=number(position)),
        _ => 0,
    };
    numbers
}

/// Takes the first numbers in an order.
fn take(left: &mut RoaringBitmap, count: usize, order: Order) -> Vec<u32> {
    match order {
        Order::NewestFirst => {
            let chunk: Vec<u32> = left.iter().rev().take(count).collect();
            left.remove_biggest(chunk.len() as u64);
            chunk
        }
        Order::OldestFirst => {
            let chunk: Vec<u32> = left.iter().take(count).collect();
            left.remove_smallest(chunk.len() as u64);
            chunk
        }
    }
}
