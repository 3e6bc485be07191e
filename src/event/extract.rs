//! One pass over an event's JSON that takes out only the fields somebody asked for.
//!
//! A [`Plan`] is a tree of the wanted paths; [`Plan::extract`] walks the JSON beside it and skips the rest.
//! What it finds goes into an [`Extracted`] that is reused from event to event, so that the steady state
//! allocates nothing.

use std::fmt;
use std::ops::Range;

use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Catalogue, Event, Format};

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

/// Which fields to take out of events of one format.
#[derive(Debug, Clone)]
pub struct Plan {
    nodes: Vec<Branch>,
    fields: Vec<Source>,
    slots: usize,
    takes_all: bool,
}

/// One level of the tree of wanted paths.
#[derive(Debug, Clone, Default)]
struct Branch {
    children: FxHashMap<Box<str>, u32>,
    slots: Vec<u16>,
}

/// Where a field's values come from.
#[derive(Debug, Clone)]
enum Source {
    /// The first of these slots that holds something other than null.
    Slots(Vec<u16>),
    /// As `Slots`, then the type hint; former names become current ones.
    EventType(Vec<u16>),
    Category(Vec<u16>),
    Tier(Vec<u16>),
    SourceName,
    ReceivedAt,
}

/// What one event holds of the wanted fields.
#[derive(Debug, Default)]
pub struct Extracted {
    heads: Vec<u32>,
    tails: Vec<u32>,
    pieces: Vec<Piece>,
    all: Vec<Held>,
    scratch: String,
    fields: Vec<Resolved>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    held: Held,
    next: u32,
}

/// Where a scalar's text lies: in the event's bytes or, unescaped, in the scratch text.
#[derive(Debug, Clone, Copy)]
enum Held {
    Null,
    Bool(bool),
    Number(u32, u32),
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

impl Plan {
    /// A plan for these field names (canonical or original, dotted), whose values [`Extracted::values`] then
    /// gives by index; with `takes_all` also every scalar of the event, for keywords.
    #[must_use]
    pub fn new(format: Format, fields: &[String], takes_all: bool) -> Self {
        let mut plan = Self { nodes: vec![Branch::default()], fields: Vec::new(), slots: 0, takes_all };
        for field in fields {
            let source = plan.source(format, field);
            plan.fields.push(source);
        }
        plan
    }

    fn source(&mut self, format: Format, field: &str) -> Source {
        match field {
            "category" | "tier" | "event_type" => {
                let paths = format.paths("event_type").unwrap_or_default();
                let slots = paths.iter().map(|path| self.slot(path)).collect();
                match field {
                    "category" => Source::Category(slots),
                    "tier" => Source::Tier(slots),
                    _ => Source::EventType(slots),
                }
            }
            "source" => Source::SourceName,
            "received_at" => Source::ReceivedAt,
            _ => match format.paths(field) {
                Some(paths) if !paths.is_empty() => {
                    let mut slots: Vec<u16> = paths.iter().map(|path| self.slot(path)).collect();
                    if !paths.contains(&field) {
                        slots.push(self.slot(field));
                    }
                    Source::Slots(slots)
                }
                _ => Source::Slots(vec![self.slot(field)]),
            },
        }
    }

    /// The slot of a path, entered into the tree; a dotted name is also looked for as one key of the top level.
    fn slot(&mut self, path: &str) -> u16 {
        let mut node = 0;
        for part in path.split('.') {
            node = self.child(node, part);
        }
        if let Some(slot) = self.nodes[node].slots.first() {
            return *slot;
        }
        let slot = u16::try_from(self.slots).unwrap_or(u16::MAX);
        self.slots += 1;
        self.nodes[node].slots.push(slot);
        if path.contains('.') {
            let flat = self.child(0, path);
            self.nodes[flat].slots.push(slot);
        }
        slot
    }

    fn child(&mut self, node: usize, part: &str) -> usize {
        if let Some(child) = self.nodes[node].children.get(part) {
            return *child as usize;
        }
        let child = self.nodes.len();
        self.nodes.push(Branch::default());
        self.nodes[node].children.insert(part.into(), u32::try_from(child).unwrap_or(u32::MAX));
        child
    }

    /// Takes the planned fields out of an event. Fails where the bytes are no JSON object.
    pub fn extract(
        &self,
        event: &Event,
        raw: &str,
        catalogue: &Catalogue,
        out: &mut Extracted,
    ) -> Result<(), ExtractError> {
        out.clear(self.slots);
        let mut json = serde_json::Deserializer::from_str(raw);
        let base = raw.as_ptr() as usize;
        Root(Walk { plan: self, out, base }).deserialize(&mut json)?;
        json.end()?;
        out.resolve(self, event, raw, catalogue);
        Ok(())
    }
}

impl Extracted {
    fn clear(&mut self, slots: usize) {
        self.heads.clear();
        self.heads.resize(slots, 0);
        self.tails.clear();
        self.tails.resize(slots, 0);
        self.pieces.clear();
        self.all.clear();
        self.scratch.clear();
        self.fields.clear();
    }

    fn push(&mut self, slots: &[u16], held: Held) {
        for slot in slots {
            self.pieces.push(Piece { held, next: 0 });
            let index = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
            let slot = usize::from(*slot);
            match self.tails[slot] {
                0 => self.heads[slot] = index,
                tail => self.pieces[tail as usize - 1].next = index,
            }
            self.tails[slot] = index;
        }
    }

    fn keep(&mut self, text: &str) -> (u32, u32) {
        let start = self.scratch.len();
        self.scratch.push_str(text);
        (narrow(start), narrow(self.scratch.len()))
    }

    fn resolve(&mut self, plan: &Plan, event: &Event, raw: &str, catalogue: &Catalogue) {
        for source in &plan.fields {
            let held = match source {
                Source::Slots(slots) => self.first(slots),
                Source::EventType(slots) => {
                    self.event_type(slots, event, raw, catalogue, |known| &known.name, true)
                }
                Source::Category(slots) => {
                    self.event_type(slots, event, raw, catalogue, |known| &known.category, false)
                }
                Source::Tier(slots) => {
                    self.event_type(slots, event, raw, catalogue, |known| known.tier.name(), false)
                }
                Source::SourceName => {
                    let (start, end) = self.keep(&event.source);
                    Resolved::One(Held::Scratch(start, end))
                }
                Source::ReceivedAt => {
                    let (start, end) = self.keep(&event.received_at.to_string());
                    Resolved::One(Held::Scratch(start, end))
                }
            };
            self.fields.push(held);
        }
    }

    /// The first slot that holds a value; failing that, the first that holds null.
    fn first(&self, slots: &[u16]) -> Resolved {
        let mut found = Resolved::Missing;
        for slot in slots {
            let head = self.heads[usize::from(*slot)];
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
        event: &Event,
        raw: &str,
        catalogue: &'c Catalogue,
        part: impl Fn(&'c super::EventType) -> &'c str,
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
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

struct Walk<'p, 'o> {
    plan: &'p Plan,
    out: &'o mut Extracted,
    base: usize,
}

/// The top level, which must be an object.
struct Root<'p, 'o>(Walk<'p, 'o>);

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        walk_object(&mut self.0, 0, map)
    }
}

fn walk_object<'de, A: MapAccess<'de>>(
    walk: &mut Walk<'_, '_>,
    node: u32,
    mut map: A,
) -> Result<(), A::Error> {
    let plan = walk.plan;
    while let Some(child) = map.next_key_seed(KeyIn(&plan.nodes[node as usize]))? {
        match child {
            Some(child) => map.next_value_seed(ValueAt { walk, node: child })?,
            None if plan.takes_all => map.next_value_seed(ValueAt { walk, node: u32::MAX })?,
            None => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
}

/// Reads a key and answers which wanted child it is.
struct KeyIn<'p>(&'p Branch);

impl<'de> DeserializeSeed<'de> for KeyIn<'_> {
    type Value = Option<u32>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIn<'_> {
    type Value = Option<u32>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<u32>, E> {
        Ok(self.0.children.get(key).copied())
    }
}

/// Reads a value below a node of the tree (`u32::MAX`: not a wanted path, all scalars are taken).
struct ValueAt<'w, 'p, 'o> {
    walk: &'w mut Walk<'p, 'o>,
    node: u32,
}

impl ValueAt<'_, '_, '_> {
    fn take(self, held: Held) {
        let plan = self.walk.plan;
        if let Some(node) = plan.nodes.get(self.node as usize) {
            self.walk.out.push(&node.slots, held);
        }
        if plan.takes_all && !matches!(held, Held::Null | Held::Composite) {
            self.walk.out.all.push(held);
        }
    }

    fn take_number(self, text: &str) {
        let (start, end) = self.walk.out.keep(text);
        self.take(Held::Number(start, end));
    }
}

impl<'de> DeserializeSeed<'de> for ValueAt<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueAt<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.take(Held::Null);
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.take(Held::Bool(value));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.take_number(itoa::Buffer::new().format(value));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.take_number(itoa::Buffer::new().format(value));
        Ok(())
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number out of range"))?;
        // 1.0 and 1 are one number, so they get one text.
        let text = number.to_string();
        self.take_number(text.strip_suffix(".0").unwrap_or(&text));
        Ok(())
    }
    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<(), E> {
        let start = (text.as_ptr() as usize)
            .checked_sub(self.walk.base)
            .ok_or_else(|| E::custom("a text outside the event"))?;
        self.take(Held::Raw(narrow(start), narrow(start + text.len())));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let (start, end) = self.walk.out.keep(text);
        self.take(Held::Scratch(start, end));
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let plan = self.walk.plan;
        match plan.nodes.get(self.node as usize) {
            Some(node) => {
                self.walk.out.push(&node.slots, Held::Composite);
                walk_object(self.walk, self.node, map)
            }
            None => walk_all(self.walk, map),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut is_empty = true;
        while seq.next_element_seed(ValueAt { walk: self.walk, node: self.node })?.is_some() {
            is_empty = false;
        }
        if is_empty {
            self.take(Held::Composite);
        }
        Ok(())
    }
}

fn walk_all<'de, A: MapAccess<'de>>(walk: &mut Walk<'_, '_>, mut map: A) -> Result<(), A::Error> {
    while map.next_key::<IgnoredAny>()?.is_some() {
        map.next_value_seed(ValueAt { walk, node: u32::MAX })?;
    }
    Ok(())
}
