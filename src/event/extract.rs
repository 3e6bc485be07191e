//! What one pass over an event's JSON took out of it: only the fields somebody asked for.
//!
//! A [`Plan`] is a tree of the wanted paths; [`Plan::extract`] walks the JSON beside it and skips the rest.
//! What it finds goes into an [`Extracted`] that is reused from event to event, so that the steady state
//! allocates nothing.

use std::ops::Range;

use super::computed::Memo;
use super::plan::{Plan, Source};
use super::shape::Shape;
use super::{Catalogue, Event, EventType};

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
    /// The first and the last piece of each slot, as an index plus 1.
    ends: Vec<(u32, u32)>,
    pieces: Vec<Piece>,
    pub(super) all: Vec<Held>,
    scratch: String,
    fields: Vec<Resolved>,
    pub(super) shape: Shape,
    pub(super) memo: Memo,
    /// Room for what a table is asked.
    pub(super) key: String,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    held: Held,
    next: u32,
}

/// Where a scalar's text lies: in the event's bytes or, unescaped, in the scratch text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    Null,
    Bool(bool),
    Number(u32, u32),
    /// A number whose text in the event is already its shortest one.
    RawNumber(u32, u32),
    Raw(u32, u32),
    Scratch(u32, u32),
    Composite,
}

/// A field after resolution: a chain of pieces, or one value of the receiver's own.
#[derive(Debug, Clone, Copy)]
enum Resolved {
    Missing,
    Chain(u32),
    One(Held),
}

/// Why bytes could not be read: where and what.
pub type ExtractError = serde_json::Error;

impl Extracted {
    pub(super) fn clear(&mut self, slots: usize) {
        self.ends.clear();
        self.ends.resize(slots, (0, 0));
        self.pieces.clear();
        self.all.clear();
        self.scratch.clear();
        self.fields.clear();
    }

    #[inline]
    pub(super) fn push(&mut self, slots: &[u16], held: Held) {
        for slot in slots {
            self.pieces.push(Piece { held, next: 0 });
            let index = narrow(self.pieces.len());
            let Some((head, tail)) = self.ends.get_mut(usize::from(*slot)) else { continue };
            match *tail {
                0 => *head = index,
                tail => self.pieces[tail as usize - 1].next = index,
            }
            *tail = index;
        }
    }

    pub(super) fn keep(&mut self, text: &str) -> (u32, u32) {
        let start = self.scratch.len();
        self.scratch.push_str(text);
        (narrow(start), narrow(self.scratch.len()))
    }

    pub(super) fn resolve(&mut self, plan: &Plan, event: &Event, raw: &str, catalogue: &Catalogue) {
        for source in &plan.fields {
            let held = match source {
                Source::Slots(slots) => self.first(slots),
                Source::EventType(slots) => {
                    self.event_type(slots, (event, raw), catalogue, |known| &known.name, true)
                }
                Source::Category(slots) => {
                    self.event_type(slots, (event, raw), catalogue, |known| &known.category, false)
                }
                Source::Tier(slots) => {
                    self.event_type(slots, (event, raw), catalogue, |known| known.tier.name(), false)
                }
                Source::ReceivedFrom => {
                    let (start, end) = self.keep(&event.source);
                    Resolved::One(Held::Scratch(start, end))
                }
                Source::ReceivedAt => {
                    let (start, end) = self.keep(&event.received_at.to_string());
                    Resolved::One(Held::Scratch(start, end))
                }
                Source::Computed => Resolved::Missing,
            };
            self.fields.push(held);
        }
        if !plan.steps.is_empty() {
            self.compute(plan, raw);
        }
    }

    /// Gives a field the value that was worked out for it.
    pub(super) fn set(&mut self, field: usize, held: Held) {
        if let Some(known) = self.fields.get_mut(field) {
            *known = Resolved::One(held);
        }
    }

    /// Gives a field what the event itself has there.
    pub(super) fn set_sent(&mut self, field: usize, slots: &[u16]) {
        let sent = self.first(slots);
        if let Some(known) = self.fields.get_mut(field) {
            *known = sent;
        }
    }

    /// The first slot that holds a value; failing that, the first that holds null.
    fn first(&self, slots: &[u16]) -> Resolved {
        let mut found = Resolved::Missing;
        for slot in slots {
            let (head, _) = self.ends[usize::from(*slot)];
            if head == 0 {
                continue;
            }
            if !matches!(self.pieces[head as usize - 1].held, Held::Null) {
                return Resolved::Chain(head);
            }
            if matches!(found, Resolved::Missing) {
                found = Resolved::Chain(head);
            }
        }
        found
    }

    fn event_type<'c>(
        &mut self,
        slots: &[u16],
        (event, raw): (&Event, &str),
        catalogue: &'c Catalogue,
        part: impl Fn(&'c EventType) -> &'c str,
        falls_back: bool,
    ) -> Resolved {
        let found = self.first(slots);
        let name = match found {
            Resolved::Chain(head) => self.scalar(self.pieces[head as usize - 1].held, raw).text(),
            Resolved::Missing | Resolved::One(_) => None,
        };
        let hint = event.type_hint.as_deref();
        let known = name.or(hint).and_then(|name| catalogue.get(event.format, name));
        match (known, name, hint) {
            (Some(known), name, _) if Some(part(known)) != name => {
                let (start, end) = self.keep(part(known));
                Resolved::One(Held::Scratch(start, end))
            }
            (None, None, Some(hint)) if falls_back => {
                let (start, end) = self.keep(hint);
                Resolved::One(Held::Scratch(start, end))
            }
            (None, _, _) if !falls_back => Resolved::Missing,
            _ => found,
        }
    }

    fn scalar<'a>(&'a self, held: Held, raw: &'a str) -> Scalar<'a> {
        let range = |start: u32, end: u32| -> Range<usize> { start as usize..end as usize };
        match held {
            Held::Null => Scalar::Null,
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
    pub fn values<'a>(&'a self, field: usize, raw: &'a str) -> Values<'a> {
        let held = self.fields.get(field).copied().unwrap_or(Resolved::Missing);
        Values { extracted: self, raw, held }
    }

    /// The first value of a planned field that has a text.
    #[must_use]
    pub fn text<'a>(&'a self, field: usize, raw: &'a str) -> Option<&'a str> {
        self.values(field, raw).find_map(Scalar::text)
    }

    /// Where in the event the first value of a planned field stands as it is, without quotes.
    #[must_use]
    pub fn place(&self, field: usize) -> Option<Range<usize>> {
        let Resolved::Chain(index) = *self.fields.get(field)? else { return None };
        match self.pieces.get(index as usize - 1)?.held {
            Held::Raw(start, end) | Held::RawNumber(start, end) => Some(start as usize..end as usize),
            Held::Null | Held::Bool(_) | Held::Number(..) | Held::Scratch(..) | Held::Composite => None,
        }
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
    held: Resolved,
}

impl<'a> Iterator for Values<'a> {
    type Item = Scalar<'a>;

    fn next(&mut self) -> Option<Scalar<'a>> {
        match self.held {
            Resolved::Missing => None,
            Resolved::One(held) => {
                self.held = Resolved::Missing;
                Some(self.extracted.scalar(held, self.raw))
            }
            Resolved::Chain(index) => {
                let piece = self.extracted.pieces.get(index as usize - 1)?;
                self.held = if piece.next == 0 { Resolved::Missing } else { Resolved::Chain(piece.next) };
                Some(self.extracted.scalar(piece.held, self.raw))
            }
        }
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
