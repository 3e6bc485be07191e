//! Which event types and sources the log has: from the index, without looking at sealed events one by one.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::SearchError;
use super::count::Collect;
use super::parts::Parts;
use super::searcher::Searcher;
use crate::event::{Event, Format, Position};
use crate::index::{Field, values};
use crate::query::{Query, fold};
use crate::reach::SeenType;
use crate::time::Timestamp;

/// So many types, and so many sources, are told apart; events of further ones are counted together.
const NAMES_MAX: usize = 10_000;

/// What the log has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// By forge and name, folded.
    pub types: Vec<SeenType>,
    /// By name.
    pub sources: Vec<SeenSource>,
    /// How many events have a type or source beyond the first 10,000.
    pub others: u64,
    /// How many events have no type.
    pub untyped: u64,
    /// Whether all events were looked at that the index does not know: one call looks at a limited number.
    pub is_complete: bool,
}

/// What came from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSource {
    /// Its name.
    pub name: String,
    /// How many events.
    pub events: u64,
    /// When the last of them arrived.
    pub last_received: Option<Timestamp>,
}

impl<P: Parts> Searcher<P> {
    /// Which event types and sources there are. Reads a dictionary and the times of each segment, and one event for
    /// each source and each type that is no forge's own.
    ///
    /// # Errors
    ///
    /// What the log says when it cannot be read.
    pub fn seen(&mut self) -> Result<Seen, SearchError> {
        let (gathered, is_complete) = self.again(|own| {
            let mut gathered = Gathered::default();
            let is_complete = own.collect(&Query::all_of(&[]), &mut gathered)?;
            Ok((gathered, is_complete))
        })?;
        let Gathered { types, sources, others, untyped, .. } = gathered;
        let mut found = Seen { others, untyped, is_complete, ..Seen::default() };
        let mut merged: BTreeMap<(Format, String), Tally> = BTreeMap::new();
        for ((format, name), tally) in types {
            let format = match format {
                Some(format) => format,
                None => self.format_at(tally.last_position)?,
            };
            merged.entry((format, name)).or_default().merge(&tally);
        }
        let typed = |((format, name), tally): ((Format, String), Tally)| SeenType {
            format,
            name,
            events: tally.events,
            first: tally.first,
            last: tally.last,
        };
        found.types = merged.into_iter().map(typed).collect();
        for (name, tally) in sources {
            let last = self.event_at(tally.last_position)?;
            let last_received = last.as_ref().map(|event| event.received_at);
            // The index has names in lower case only.
            let name = last.map_or(name, |event| event.source.to_string());
            found.sources.push(SeenSource { name, events: tally.events, last_received });
        }
        Ok(found)
    }

    fn format_at(&mut self, position: Position) -> Result<Format, SearchError> {
        Ok(self.event_at(position)?.map_or(Format::Generic, |event| event.format))
    }

    /// An event as an example; what is damaged is none.
    fn event_at(&mut self, position: Position) -> Result<Option<Event>, SearchError> {
        match self.get(position) {
            Err(SearchError::Log(crate::log::LogError::Corrupt { .. })) => Ok(None),
            found => found,
        }
    }
}

/// Events of one type or source.
#[derive(Debug, Clone, Copy)]
struct Tally {
    events: u64,
    first: Timestamp,
    last: Timestamp,
    last_position: Position,
}

impl Default for Tally {
    fn default() -> Self {
        Self { events: 0, first: Timestamp::MAX, last: Timestamp::MIN, last_position: 0 }
    }
}

impl Tally {
    fn at(&mut self, time: Timestamp) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.last_position = self.last_position.max(other.last_position);
    }
}

/// A type is known by its format and name; of some the index does not tell the format.
type TypeName = (Option<Format>, String);

#[derive(Default)]
struct Gathered {
    types: BTreeMap<TypeName, Tally>,
    sources: BTreeMap<String, Tally>,
    others: u64,
    untyped: u64,
}

impl Gathered {
    fn add<K: Ord>(names: &mut BTreeMap<K, Tally>, name: K, tally: &Tally, others: &mut u64) {
        if names.len() < NAMES_MAX || names.contains_key(&name) {
            names.entry(name).or_default().merge(tally);
        } else {
            *others += tally.events;
        }
    }
}

impl<P: Parts> Collect<P> for Gathered {
    fn event(&mut self, event: &Event, shown: &Map<String, Value>) {
        let (time, last_position) = (event.time, event.position);
        let tally = Tally { events: 1, first: time, last: time, last_position };
        match shown.get("event_type").and_then(Value::as_str) {
            Some(name) => {
                let name = (Some(event.format), fold(name));
                Self::add(&mut self.types, name, &tally, &mut self.others);
            }
            None => self.untyped += 1,
        }
        Self::add(&mut self.sources, fold(&event.source), &tally, &mut self.others);
    }

    fn sure(
        &mut self,
        searcher: &mut Searcher<P>,
        first: Position,
        sure: &RoaringBitmap,
    ) -> Result<RoaringBitmap, SearchError> {
        let catalogue = std::sync::Arc::clone(&searcher.catalogue);
        let segment = searcher.parts.segment(first)?;
        let failed = SearchError::of_segment(first);
        // The place of each event's type in `tallies`, so that one pass over the times will do.
        let mut places = vec![0_u32; sure.max().map_or(0, |last| last as usize + 1)];
        let mut tallies: Vec<(TypeName, Tally)> = Vec::new();
        let mut typed = 0;
        for field in [Field::EventType, Field::OtherType] {
            values(segment, field, &mut |name, numbers| {
                let numbers = numbers & sure;
                let Some(last) = numbers.max() else { return };
                let known = catalogue.get(Format::Gitlab, name).filter(|_| field == Field::EventType);
                let name = known.map_or(name, |known| &known.name).to_owned();
                let format = (field == Field::EventType).then_some(Format::Gitlab);
                let tally = Tally {
                    events: numbers.len(),
                    last_position: first + u64::from(last),
                    ..Tally::default()
                };
                typed += numbers.len();
                tallies.push(((format, name), tally));
                let place = u32::try_from(tallies.len()).unwrap_or(0);
                for number in &numbers {
                    if let Some(slot) = places.get_mut(number as usize) {
                        *slot = place;
                    }
                }
            })
            .map_err(&failed)?;
        }
        self.untyped += sure.len().saturating_sub(typed);
        segment.times(&mut |number, time| {
            let place = places.get(number as usize).copied().unwrap_or(0) as usize;
            if let Some((_, tally)) = place.checked_sub(1).and_then(|place| tallies.get_mut(place)) {
                tally.at(time);
            }
        })?;
        for (name, tally) in tallies {
            Self::add(&mut self.types, name, &tally, &mut self.others);
        }
        let (sources, others) = (&mut self.sources, &mut self.others);
        values(segment, Field::Source, &mut |name, numbers| {
            let numbers = numbers & sure;
            let Some(last) = numbers.max() else { return };
            let last_position = first + u64::from(last);
            let tally = Tally { events: numbers.len(), last_position, ..Tally::default() };
            Self::add(sources, name.to_owned(), &tally, others);
        })
        .map_err(&failed)?;
        Ok(RoaringBitmap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use crate::event::Catalogue;
    use crate::search::testing::Memory;
    use crate::time::Span;

    const NOW: Timestamp = Timestamp(1_772_452_800_000);

    /// Of three sources; times do not follow positions, and one type has an old name.
    fn event(number: i64) -> Event {
        let time = NOW.minus(Span::seconds(number * 7_919 % 1_000));
        let names = ["user_created", "User_Created", "user_destroyed", "brand_new", "delete_merge_request"];
        let name = names[usize::try_from(number).unwrap() % names.len()];
        let (format, source, raw) = match number % 7 {
            6 => (
                Format::Github,
                "Octo",
                format!(
                    r#"{{"action":"repo.Destroy","actor":"a","_document_id":"{number}","created_at":{}}}"#,
                    time.0
                ),
            ),
            5 => (Format::Generic, "tools", format!(r#"{{"id":{number},"time":"{time}"}}"#)),
            _ => (
                Format::Gitlab,
                "gitlab",
                format!(
                    r#"{{"id":{number},"author_id":1,"entity_id":1,"event_type":"{name}","created_at":"{time}"}}"#
                ),
            ),
        };
        decode(format, &source.into(), raw.into(), None, NOW.plus(Span::seconds(number))).unwrap().event
    }

    fn seen(lengths: &[usize]) -> (Seen, usize) {
        let catalogue = Catalogue::built_in();
        let memory = Memory::new((0..200).map(event).collect(), lengths, &catalogue);
        let mut searcher = Searcher::new(memory, catalogue);
        let seen = searcher.seen().unwrap();
        (seen, searcher.parts.reads())
    }

    #[test]
    fn the_index_says_what_a_look_at_every_event_says() {
        let catalogue = Catalogue::built_in();
        let (expected, _) = seen(&[]);
        let mut types: BTreeMap<(Format, String), (u64, Timestamp, Timestamp)> = BTreeMap::new();
        for event in (0..200).map(event) {
            let shown = crate::event::canonical(&event, &catalogue);
            let Some(name) = shown.get("event_type").and_then(Value::as_str) else { continue };
            let tally =
                types.entry((event.format, fold(name))).or_insert((0, Timestamp::MAX, Timestamp::MIN));
            *tally = (tally.0 + 1, tally.1.min(event.time), tally.2.max(event.time));
        }
        let found: BTreeMap<_, _> = expected
            .types
            .iter()
            .map(|seen| ((seen.format, seen.name.clone()), (seen.events, seen.first, seen.last)))
            .collect();
        assert_eq!(found, types);
        assert!(found.contains_key(&(Format::Github, "repo.destroy".to_owned())), "{found:?}");
        let sources: Vec<(&str, u64)> =
            expected.sources.iter().map(|source| (source.name.as_str(), source.events)).collect();
        assert_eq!(sources, [("gitlab", 144), ("Octo", 28), ("tools", 28)]);
        assert_eq!((expected.untyped, expected.others, expected.is_complete), (28, 0, true));
        for lengths in [&[200][..], &[1, 60, 90], &[150, 50]] {
            let (found, reads) = seen(lengths);
            assert_eq!(found, expected, "{lengths:?}");
            assert_eq!(reads, 0, "no sealed event is looked at but by its position");
        }
    }
}
