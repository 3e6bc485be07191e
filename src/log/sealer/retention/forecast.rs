//! What a policy would delete: a look at the whole log that changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::Held;
use super::Retention;
use super::judge::{Kinds, each_event};
use super::terms::after;
use crate::event::{Entry, Event, Position};
use crate::log::row::GENESIS;
use crate::log::sealer::input::SegmentsInput;
use crate::log::segment::{Listed, Segment, Shelf};
use crate::log::{LogError, Reader};
use crate::time::Timestamp;

/// What one part of the policy would delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// The rule's name, `coverage`, or `default`.
    pub name: String,
    /// What it says: how long events are kept, or `store: no`.
    pub said: String,
    /// Events that are due now, and about how many bytes they take.
    pub now: (u64, u64),
    /// Events that will be due by the end of the time that was asked for.
    pub later: (u64, u64),
}

/// What a policy would delete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forecast {
    /// By the parts of the policy.
    pub rules: Vec<Foreseen>,
    /// How many events would be due by then and are held back.
    pub held: u64,
    /// How many segments were looked at; in the others nothing is due by then.
    pub looked_at: u64,
}

/// What is due now, and what will be until a later time. Events that detection has yet to see count as well.
pub fn forecast(
    dir: &Path,
    terms: &Retention,
    (now, until): (Timestamp, Timestamp),
) -> Result<Forecast, LogError> {
    let mut reader = Reader::open(dir)?;
    let (base, _) = reader.base()?;
    let mut shelf = Shelf::new(dir);
    shelf.refresh(base)?;
    let mut foreseeing = Foreseeing {
        terms,
        times: (now, until),
        kinds: Kinds::default(),
        rules: BTreeMap::new(),
        forecast: Forecast::default(),
    };
    for listed in shelf.all() {
        let oldest = listed.info.received.map(|(min, _)| after(min, terms.shortest()));
        if listed.info.damage.is_none() && oldest.is_some_and(|oldest| oldest <= until) {
            foreseeing.segment(listed)?;
        }
    }
    let held = Held::without_index(terms);
    let mut position = shelf.last().max(base);
    loop {
        let entries = reader.read_after(position, 4096)?;
        let Some(last) = entries.last() else { break };
        position = last.position();
        for entry in &entries {
            if let Entry::Event(event) = entry {
                foreseeing.add(event.position, event, event.raw.len() as u64, &held);
            }
        }
    }
    foreseeing.forecast.rules = foreseeing.rules.into_values().collect();
    Ok(foreseeing.forecast)
}

struct Foreseeing<'a> {
    terms: &'a Retention,
    times: (Timestamp, Timestamp),
    kinds: Kinds,
    rules: BTreeMap<String, Foreseen>,
    forecast: Forecast,
}

impl Foreseeing<'_> {
    fn segment(&mut self, listed: &Listed) -> Result<(), LogError> {
        let head = listed.manifest.as_ref().map_or(GENESIS, |manifest| manifest.head_before.0);
        let segments = vec![Segment::open(&listed.path, listed.info.clone())?];
        let mut input = SegmentsInput::of(segments, head);
        let held = Held::of(self.terms, &mut input.segments)?;
        let bytes = listed.info.bytes / listed.info.events.max(1);
        self.forecast.looked_at += 1;
        each_event(&mut input, listed.positions(), &mut || Ok(()), &mut |position, event| {
            self.add(position, event, bytes, &held);
        })
    }

    fn add(&mut self, position: Position, event: &Event, bytes: u64, held: &Held<'_>) {
        let event_type = self.kinds.event_type(event, self.terms);
        let (keep, said) = self.terms.keep(event, event_type.as_deref(), &mut self.kinds.hits);
        let due = after(event.received_at, keep);
        if due > self.times.1 {
            return;
        }
        if held.has(position, event) {
            self.forecast.held += 1;
            return;
        }
        let foreseen = self.rules.entry(said.by.to_owned()).or_insert_with(|| Foreseen {
            name: said.by.to_owned(),
            said: said.text(),
            now: (0, 0),
            later: (0, 0),
        });
        let count = if due <= self.times.0 { &mut foreseen.now } else { &mut foreseen.later };
        count.0 += 1;
        count.1 += bytes;
    }
}
