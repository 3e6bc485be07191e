//! One pass over the events of some entries: which of them are due, and when the others are.

use std::collections::BTreeMap;

use bytes::Bytes;
use roaring::RoaringBitmap;

use super::schedule::Schedule;
use super::terms::{Said, after};
use super::{Held, Retention};
use crate::engine::Hits;
use crate::event::{Entry, Event, Extracted, Format, Plan, Position};
use crate::log::LogError;
use crate::log::decoder::Decoder;
use crate::log::deletion::DeletedBy;
use crate::log::recent::cut;
use crate::log::row::Rows;
use crate::log::segment::{Input, Pace, Positions};
use crate::log::verify::dedupe_key;
use crate::time::Timestamp;

/// So many different types are told apart in a record; all others are counted together.
const TYPES_MAX: usize = 1_000;
/// Under this name.
const OTHER_TYPES: &str = "other types";

/// What a pass found.
#[derive(Debug, Default)]
pub(in crate::log::sealer) struct Judged {
    /// What is due and nothing holds back: position less the first one.
    pub due: RoaringBitmap,
    /// How many events there are.
    pub events: u64,
    /// How many of them would be due and are held back.
    pub held: u64,
    /// The cut keys of what is due.
    pub keys: Vec<u64>,
    pub by: BTreeMap<String, DeletedBy>,
    pub types: BTreeMap<String, u64>,
    pub schedule: Schedule,
}

/// Judges all events at some positions.
pub(in crate::log::sealer) fn judge(
    input: &mut dyn Input,
    positions: Positions,
    (terms, held): (&Retention, &Held<'_>),
    now: Timestamp,
    pace: &mut Pace<'_>,
) -> Result<Judged, LogError> {
    let mut judged = Judged::default();
    let mut kinds = Kinds::default();
    each_event(input, positions, pace, &mut |position, event| {
        let event_type = kinds.event_type(event, terms);
        let event_type = event_type.as_deref();
        judged.events += 1;
        let (keep, said) = terms.keep(event, event_type, &mut kinds.hits);
        let due = after(event.received_at, keep);
        let is_due = due <= now && position <= terms.settled;
        if is_due && held.has(position, event) {
            judged.held += 1;
            return;
        }
        judged.schedule.add(due, keep);
        if is_due && let Ok(number) = u32::try_from(position - positions.0) {
            judged.due.insert(number);
            judged.keys.push(cut(dedupe_key(event)));
            judged.count(terms.type_name(event.format, event_type), event.received_at, said);
        }
    })?;
    Ok(judged)
}

impl Judged {
    fn count(&mut self, event_type: &str, received: Timestamp, said: Said<'_>) {
        let is_known = self.types.contains_key(event_type) || self.types.len() < TYPES_MAX;
        let name = if is_known { event_type } else { OTHER_TYPES };
        match self.types.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.types.insert(name.to_owned(), 1)),
        }
        let received = received.0;
        let share = match self.by.get_mut(said.by) {
            Some(share) => share,
            None => self.by.entry(said.by.to_owned()).or_insert_with(|| DeletedBy {
                name: said.by.to_owned(),
                said: said.text(),
                events: 0,
                received_min: received,
                received_max: received,
            }),
        };
        share.events += 1;
        share.received_min = share.received_min.min(received);
        share.received_max = share.received_max.max(received);
    }
}

/// Visits all events at some positions.
pub(super) fn each_event(
    input: &mut dyn Input,
    (first, last): Positions,
    pace: &mut Pace<'_>,
    visit: &mut dyn FnMut(Position, &Event),
) -> Result<(), LogError> {
    let mut decoder = Decoder::default();
    let mut next = first;
    while next <= last {
        pace()?;
        let (positions, plain) = input.block(next)?;
        let plain = Bytes::from(plain);
        for row in Rows::new(&plain, positions) {
            let (position, row, _) = row?;
            if let Some(Entry::Event(event)) = decoder.entry(position, &row, &plain) {
                visit(position, &event);
            }
        }
        next = positions.1 + 1;
    }
    Ok(())
}

/// Reads the types of events.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    plans: Vec<(Format, Plan)>,
    extracted: Extracted,
    /// For what rules see of events.
    pub hits: Hits,
}

impl Kinds {
    /// The type of an event, as it is called now or as it was sent.
    pub(super) fn event_type(&mut self, event: &Event, terms: &Retention) -> Option<String> {
        let raw = std::str::from_utf8(&event.raw).ok()?;
        let known = self.plans.iter().position(|(format, _)| *format == event.format);
        let index = known.unwrap_or_else(|| {
            self.plans.push((event.format, Plan::new(event.format, &["event_type".to_owned()], false)));
            self.plans.len() - 1
        });
        let (_, plan) = self.plans.get(index)?;
        plan.extract(event, raw, &terms.catalogue, &mut self.extracted).ok()?;
        self.extracted.text(0, raw).map(str::to_owned)
    }
}
