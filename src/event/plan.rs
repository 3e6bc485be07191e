//! Which fields to take out of events of one format: a tree of the wanted paths, made once per rule set.

use std::hash::BuildHasher;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use serde::de::DeserializeSeed;
use smallvec::SmallVec;

use super::computed::Step;
use super::extract::{ExtractError, Extracted};
use super::mend::mended;
use super::scan;
use super::walk::{Root, Walk};
use super::{Catalogue, Event, Format};
use crate::enrich::Enrichment;

/// Which fields to take out of events of one format.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) nodes: Vec<Branch>,
    pub(super) fields: Arc<[Field]>,
    /// Values that are made, not found.
    pub(super) own: Vec<Own>,
    /// Where the event's type stands, if a value is made of it.
    pub(super) type_slots: Vec<u16>,
    pub(super) slots: usize,
    pub(super) takes_all: bool,
    /// Works out the fields that are `Computed`.
    pub(super) steps: Vec<Step>,
    /// Equal plans have equal fingerprints.
    pub(super) fingerprint: u64,
}

/// One level of the tree of wanted paths.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) keys: Keys,
    /// Where the values of this path go; [`NO_SLOT`] if nobody wants them.
    pub(super) slot: u16,
}

/// Beyond all slots: a plan has no more than this.
pub(super) const NO_SLOT: u16 = u16::MAX;

impl Default for Branch {
    fn default() -> Self {
        Self { keys: Keys::default(), slot: NO_SLOT }
    }
}

/// Where a field's values come from.
#[derive(Debug, Clone)]
pub(super) enum Field {
    /// The first of these slots that holds something other than null.
    Slots(SmallVec<[u16; 4]>),
    /// One of the plan's own values.
    Own(u16),
}

/// A value that does not stand in the event as it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Own {
    /// As it stands there, then the type hint; former names become current ones.
    EventType,
    /// The catalogue's; failing that, what stands in this slot.
    Category(u16),
    /// Likewise.
    Tier(u16),
    ReceivedFrom,
    Forge,
    ReceivedAt,
    /// Filled in by a step.
    Computed,
}

/// The wanted keys of one object and the nodes they lead to. A key is found by its length and first eight
/// bytes, which nearly always tell keys apart: looking up is a multiplication and one comparison.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    entries: Vec<(Box<str>, u32)>,
    /// Open addressing: 0 is free, else the entry's index plus 1. A power of two, at least twice the entries.
    places: Vec<u16>,
}

impl Keys {
    fn insert(&mut self, key: &str, node: u32) {
        self.entries.push((key.into(), node));
        let size = (self.entries.len() * 2).next_power_of_two().max(4);
        self.places.clear();
        self.places.resize(size, 0);
        for (index, (key, _)) in (1..).zip(&self.entries) {
            let mut place = place(first_bytes(key), key.len()) & (size - 1);
            while self.places[place] != 0 {
                place = (place + 1) & (size - 1);
            }
            self.places[place] = index;
        }
    }

    /// The node a key leads to.
    pub(super) fn get(&self, key: &str) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let mut place = place(first_bytes(key), key.len()) & mask;
        loop {
            let index = usize::from(*self.places.get(place)?).checked_sub(1)?;
            let (known, node) = self.entries.get(index)?;
            if **known == *key {
                return Some(*node);
            }
            place = (place + 1) & mask;
        }
    }
}

fn first_bytes(key: &str) -> u64 {
    key.bytes().take(8).zip(0..).fold(0, |word, (byte, at)| word | u64::from(byte) << (8 * at))
}

#[inline]
const fn place(first: u64, length: usize) -> usize {
    ((first ^ (length as u64).rotate_left(59)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

impl Plan {
    /// A plan for these field names (canonical or original, dotted), whose values [`Extracted::values`] then
    /// gives by index; with `takes_all` also every scalar of the event, for keywords.
    #[must_use]
    pub fn new(format: Format, fields: &[String], takes_all: bool) -> Self {
        Self::enriched(format, fields, takes_all, &Enrichment::default())
    }

    /// A plan for these fields in which none has a source yet.
    pub(super) fn empty(format: Format, fields: &[String], takes_all: bool) -> Self {
        Self {
            nodes: vec![Branch::default()],
            fields: Arc::default(),
            own: Vec::new(),
            type_slots: Vec::new(),
            slots: 0,
            takes_all,
            steps: Vec::new(),
            fingerprint: FxBuildHasher.hash_one((format, fields, takes_all)),
        }
    }

    pub(super) fn field(&mut self, format: Format, field: &str) -> Field {
        let own = match field {
            "event_type" => Own::EventType,
            "category" => Own::Category(self.slot(field)),
            "tier" => Own::Tier(self.slot(field)),
            "source" => Own::ReceivedFrom,
            "forge" => Own::Forge,
            "received_at" => Own::ReceivedAt,
            _ => return Field::Slots(self.slots_of(format, field)),
        };
        if self.type_slots.is_empty() {
            let paths = format.paths("event_type").unwrap_or_default();
            self.type_slots = paths.iter().map(|path| self.slot(path)).collect();
        }
        self.made(own)
    }

    /// A field whose value is made.
    pub(super) fn made(&mut self, own: Own) -> Field {
        self.own.push(own);
        Field::Own(u16::try_from(self.own.len() - 1).unwrap_or(u16::MAX))
    }

    fn slots_of(&mut self, format: Format, field: &str) -> SmallVec<[u16; 4]> {
        let paths = format.paths(field).unwrap_or_default();
        let mut slots: SmallVec<[u16; 4]> = paths.iter().map(|path| self.slot(path)).collect();
        if !paths.contains(&field) {
            slots.push(self.slot(field));
        }
        slots
    }

    /// The slots a field's values are found in; none for a field that is made.
    pub(crate) fn slots_of_field(&self, field: usize) -> Option<&[u16]> {
        match self.fields.get(field)? {
            Field::Slots(slots) => Some(slots),
            Field::Own(_) => None,
        }
    }

    /// The slot of a path, entered into the tree; a dotted name is also looked for as one key of the top level.
    pub(super) fn slot(&mut self, path: &str) -> u16 {
        let mut node = 0;
        for part in path.split('.') {
            node = self.child(node, part);
        }
        if self.nodes[node].slot != NO_SLOT {
            return self.nodes[node].slot;
        }
        let slot = u16::try_from(self.slots).unwrap_or(NO_SLOT);
        self.slots += 1;
        self.nodes[node].slot = slot;
        if path.contains('.') {
            let flat = self.child(0, path);
            self.nodes[flat].slot = slot;
        }
        slot
    }

    fn child(&mut self, node: usize, part: &str) -> usize {
        if let Some(child) = self.nodes[node].keys.get(part) {
            return child as usize;
        }
        let child = self.nodes.len();
        self.nodes.push(Branch::default());
        self.nodes[node].keys.insert(part, u32::try_from(child).unwrap_or(u32::MAX));
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
        out.begin(self);
        // The scanner gives up on what it does not know; the parser then decides, and words the error.
        if !scan::scan(self, raw, out) {
            out.clear();
            if let Err(error) = self.parse(raw, out) {
                let mended = mended(raw).ok_or(error)?;
                out.clear();
                self.parse(&mended, out)?;
            }
        }
        out.resolve(self, event, raw, catalogue);
        Ok(())
    }

    /// The event's time of arrival has changed since the fields were taken out.
    pub fn arrived(&self, event: &Event, raw: &str, catalogue: &Catalogue, out: &mut Extracted) {
        if self.own.iter().any(|own| matches!(own, Own::ReceivedAt)) {
            out.resolve(self, event, raw, catalogue);
        }
    }

    /// What the scanner does, by the complete parser.
    pub(super) fn parse(&self, raw: &str, out: &mut Extracted) -> Result<(), ExtractError> {
        let mut json = serde_json::Deserializer::from_str(raw);
        let base = raw.as_ptr() as usize;
        Root(Walk { plan: self, out, base }).deserialize(&mut json)?;
        json.end()
    }
}
