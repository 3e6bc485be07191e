//! What one pass over an event's JSON took out of it: only the fields somebody asked for.
//!
//! A [`Plan`] is a tree of the wanted paths; [`Plan::extract`] walks the JSON beside it and skips the rest.
//! What it finds goes into an [`Extracted`] that is reused from event to event, so that the steady state
//! allocates nothing.

use std::ops::Range;
use std::sync::Arc;

use super::computed::Memo;
use super::marks::Marks;
use super::plan::{Field, Own, Plan};
use super::shape::Shape;
use super::{Catalogue, Event};

/// A scalar of an event, as text where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// JSON null.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as its shortest text.
    Number(&'a str),
    /// A string, unescaped.
    Text(&'a str),
    /// An object or array: present, but without a text of its own.
    Composite,
}

impl<'a> Scalar<'a> {
    /// Its text; none for null and composites.
    #[must_use]
    pub const fn text(self) -> Option<&'a str> {
        match self {
            Self::Null | Self::Composite => None,
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Number(text) | Self::Text(text) => Some(text),
        }
    }
}

/// What one event holds of the wanted fields.
#[derive(Debug, Default)]
pub struct Extracted {
    /// Of the plan: where the fields' values come from.
    fields: Arc<[Field]>,
    pub(super) slots: Slots,
    /// Values of the receiver's own.
    own: Vec<Piece>,
    pub(super) all: Vec<Held>,
    scratch: String,
    pub(super) shape: Shape,
    pub(super) memo: Memo,
    /// Room for what a table is asked.
    pub(super) key: String,
    pub(super) marks: Marks,
}

/// The values of each path.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// The slots that hold something.
    touched: Vec<u16>,
    /// The values of slots beyond their first ones.
    pieces: Vec<Piece>,
}

/// A path's values: the first and, as an index plus 1, the last one's piece.
#[derive(Debug, Clone, Copy)]
struct Slot {
    first: Piece,
    last: u32,
}

/// A value, and the index plus 1 of the piece with the next one.
#[derive(Debug, Clone, Copy)]
struct Piece {
    held: Held,
    next: u32,
}

impl Piece {
    const fn only(held: Held) -> Self {
        Self { held, next: 0 }
    }
}

const EMPTY: Slot = Slot { first: Piece::only(Held::Missing), last: 0 };

/// Where a scalar's text lies: in the event's bytes or, unescaped, in the scratch text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    Missing,
    Null,
    Bool(bool),
    Number(u32, u32),
    /// A number whose text in the event is already its shortest one.
    RawNumber(u32, u32),
    Raw(u32, u32),
    Scratch(u32, u32),
    Composite,
}

/// Why bytes could not be read: where and what.
pub type ExtractError = serde_json::Error;

impl Slots {
    fn clear(&mut self) {
        for slot in self.touched.drain(..) {
            self.slots[usize::from(slot)] = EMPTY;
        }
        self.pieces.clear();
    }

    #[inline]
    pub(super) fn push(&mut self, slot: u16, held: Held) {
        let Some(found) = self.slots.get_mut(usize::from(slot)) else { return };
        if !matches!(found.first.held, Held::Missing) {
            return self.push_behind(slot, held);
        }
        found.first.held = held;
        self.touched.push(slot);
    }

    #[inline(never)]
    fn push_behind(&mut self, slot: u16, held: Held) {
        self.pieces.push(Piece::only(held));
        let index = narrow(self.pieces.len());
        let Some(found) = self.slots.get_mut(usize::from(slot)) else { return };
        match found.last {
            0 => found.first.next = index,
            last => self.pieces[last as usize - 1].next = index,
        }
        found.last = index;
    }
}

impl Extracted {
    /// Another event comes, to be read by this plan.
    pub(super) fn begin(&mut self, plan: &Plan) {
        if self.shape.begin(plan.fingerprint, plan.nodes.len()) {
            self.fields = Arc::clone(&plan.fields);
            self.slots = Slots::default();
            self.slots.slots.resize(plan.slots, EMPTY);
        }
        self.clear();
    }

    /// Forgets what was found.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.own.clear();
        self.all.clear();
        self.scratch.clear();
    }

    pub(super) fn keep(&mut self, text: &str) -> (u32, u32) {
        let start = self.scratch.len();
        self.scratch.push_str(text);
        (narrow(start), narrow(self.scratch.len()))
    }

    /// Makes the values that do not stand in the event as they are.
    pub(super) fn resolve(&mut self, plan: &Plan, event: &Event, raw: &str, catalogue: &Catalogue) {
        if plan.own.is_empty() {
            return;
        }
        self.own.clear();
        let found = self.first(&plan.type_slots);
        let name = self.scalar(found.held, raw).text();
        let known = name.or(event.type_hint.as_deref()).and_then(|name| catalogue.get(event.format, name));
        // A text that is made, or else what was found.
        let type_piece = match (known, event.type_hint.as_deref()) {
            (Some(known), _) if name != Some(&*known.name) => Ok(&*known.name),
            (None, Some(hint)) if name.is_none() => Ok(hint),
            _ => Err(found),
        };
        for own in &plan.own {
            let made = match own {
                Own::EventType => type_piece,
                Own::Category(slot) => known.map(|known| &*known.category).ok_or(self.first(&[*slot])),
                Own::Tier(slot) => known.map(|known| known.tier.name()).ok_or(self.first(&[*slot])),
                Own::ReceivedFrom => Ok(&*event.source),
                Own::Forge => Ok(&*event.forge),
                Own::ReceivedAt => {
                    let (start, end) = self.keep(&event.received_at.to_string());
                    Err(Piece::only(Held::Scratch(start, end)))
                }
                Own::Computed => Err(EMPTY.first),
            };
            let piece = made.map_or_else(
                |found| found,
                |text| {
                    let (start, end) = self.keep(text);
                    Piece::only(Held::Scratch(start, end))
                },
            );
            self.own.push(piece);
        }
        if !plan.steps.is_empty() {
            self.compute(plan, &event.forge, raw);
        }
    }

    /// Gives a field the value that was worked out for it.
    pub(super) fn set(&mut self, field: usize, held: Held) {
        self.put(field, Piece::only(held));
    }

    /// Gives a field what the event itself has there.
    pub(super) fn set_sent(&mut self, field: usize, slots: &[u16]) {
        let sent = self.first(slots);
        self.put(field, sent);
    }

    fn put(&mut self, field: usize, piece: Piece) {
        let Some(Field::Own(index)) = self.fields.get(field) else { return };
        if let Some(own) = self.own.get_mut(usize::from(*index)) {
            *own = piece;
        }
    }

    /// The first slot that holds a value; failing that, the first that holds null.
    fn first(&self, slots: &[u16]) -> Piece {
        let mut found = Piece::only(Held::Missing);
        for slot in slots {
            let Some(Slot { first, .. }) = self.slots.slots.get(usize::from(*slot)) else { continue };
            match (first.held, found.held) {
                (Held::Missing, _) => {}
                (Held::Null, Held::Missing) => found = *first,
                (Held::Null, _) => {}
                _ => return *first,
            }
        }
        found
    }

    /// The first value of a planned field and where the others are.
    #[inline]
    fn piece(&self, field: usize) -> Piece {
        match self.fields.get(field) {
            Some(Field::Slots(slots)) => self.first(slots),
            Some(Field::Own(index)) => {
                self.own.get(usize::from(*index)).copied().unwrap_or(Piece::only(Held::Missing))
            }
            None => Piece::only(Held::Missing),
        }
    }

    fn scalar<'a>(&'a self, held: Held, raw: &'a str) -> Scalar<'a> {
        let range = |start: u32, end: u32| -> Range<usize> { start as usize..end as usize };
        match held {
            Held::Missing | Held::Null => Scalar::Null,
            Held::Bool(value) => Scalar::Bool(value),
            Held::Number(start, end) => {
                Scalar::Number(self.scratch.get(range(start, end)).unwrap_or_default())
            }
            Held::RawNumber(start, end) => Scalar::Number(raw.get(range(start, end)).unwrap_or_default()),
            Held::Raw(start, end) => Scalar::Text(raw.get(range(start, end)).unwrap_or_default()),
            Held::Scratch(start, end) => {
                Scalar::Text(self.scratch.get(range(start, end)).unwrap_or_default())
            }
            Held::Composite => Scalar::Composite,
        }
    }

    /// The values of a planned field, by its index in the plan: several where arrays lie on the path.
    #[inline]
    pub fn values<'a>(&'a self, field: usize, raw: &'a str) -> Values<'a> {
        Values { extracted: self, raw, next: self.piece(field) }
    }

    /// The first value of a planned field that has a text.
    #[must_use]
    pub fn text<'a>(&'a self, field: usize, raw: &'a str) -> Option<&'a str> {
        self.values(field, raw).find_map(Scalar::text)
    }

    /// Where in the event the first value of a planned field stands as it is, without quotes.
    #[must_use]
    pub fn place(&self, field: usize) -> Option<Range<usize>> {
        match self.piece(field).held {
            Held::Raw(start, end) | Held::RawNumber(start, end) => Some(start as usize..end as usize),
            Held::Missing
            | Held::Null
            | Held::Bool(_)
            | Held::Number(..)
            | Held::Scratch(..)
            | Held::Composite => None,
        }
    }

    /// The slots in which something was found, each once.
    pub(crate) fn filled(&self) -> &[u16] {
        &self.slots.touched
    }

    /// Every scalar of the event, if the plan takes all.
    pub fn all<'a>(&'a self, raw: &'a str) -> impl Iterator<Item = Scalar<'a>> {
        self.all.iter().map(move |held| self.scalar(*held, raw))
    }
}

/// Iterates over the values of one field.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    extracted: &'a Extracted,
    raw: &'a str,
    next: Piece,
}

impl<'a> Iterator for Values<'a> {
    type Item = Scalar<'a>;

    #[inline]
    fn next(&mut self) -> Option<Scalar<'a>> {
        let Piece { held, next } = self.next;
        if matches!(held, Held::Missing) {
            return None;
        }
        self.next = match next {
            0 => Piece::only(Held::Missing),
            next => *self.extracted.slots.pieces.get(next as usize - 1)?,
        };
        Some(self.extracted.scalar(held, self.raw))
    }
}

/// Texts are kept as 32-bit ranges: an event is far below 4 GiB.
pub(super) fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A number as JSON has it: whole ones without a fraction.
pub(super) fn json_number(number: f64) -> serde_json::Value {
    #[expect(clippy::cast_possible_truncation, reason = "only where it is whole and small")]
    let whole = (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
    whole.map_or_else(|| number.into(), Into::into)
}
