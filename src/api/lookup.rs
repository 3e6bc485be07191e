//! How the API finds events: the only place that knows how searchers are made and kept, and how an answer says what was
//! left out of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::rules::RulesStatus;
use crate::event::{Catalogue, Position};
use crate::search::{self, SearchError, Searcher};

/// A canonical event.
pub(super) type Object = Map<String, Value>;

/// A part of the log that could not be read, so that events may be missing from the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DamagedPart)]
pub(super) struct Damaged {
    /// The first log position that is missing, or may be.
    first: u64,
    /// The last one.
    last: u64,
    /// The earliest time of an event there, if it is known.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The latest one.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// What is wrong.
    reason: String,
}

impl From<search::Damage> for Damaged {
    fn from(damage: search::Damage) -> Self {
        let search::Damage { first, last, times, reason } = damage;
        let (from, to) = times.map(|(from, to)| (from.to_string(), to.to_string())).unzip();
        Self { first, last, from, to, reason }
    }
}

/// Searches the log, and shows events as the newest rules see them. Calls block.
#[derive(Debug)]
pub struct Events {
    dir: PathBuf,
    rules: watch::Receiver<Arc<RulesStatus>>,
    /// Searchers that nobody uses now, at most [`IDLE_MAX`], with what they show events with.
    idle: Mutex<Vec<(Arc<Catalogue>, Searcher)>>,
}

const IDLE_MAX: usize = 4;
/// Events that are looked at for one page, beside those the index is sure of: a second's work.
pub(super) const LOOKS_FOR_A_PAGE: u64 = 200_000;
/// Events that are looked at to count or to trace: some seconds' work.
pub(super) const LOOKS_FOR_A_COUNT: u64 = 1_000_000;

impl Events {
    /// Searches the log of this data folder.
    #[must_use]
    pub fn new(dir: &Path, rules: watch::Receiver<Arc<RulesStatus>>) -> Self {
        Self { dir: dir.to_owned(), rules, idle: Mutex::default() }
    }

    /// The data folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks a searcher that looks at so many events at most.
    pub(super) fn search<T>(
        &self,
        looks_max: u64,
        ask: impl FnOnce(&mut Searcher) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        Ok(self.search_telling(looks_max, ask)?.0)
    }

    /// The same, with what could not be read on the way.
    pub(super) fn search_telling<T>(
        &self,
        looks_max: u64,
        ask: impl FnOnce(&mut Searcher) -> Result<T, SearchError>,
    ) -> Result<(T, Vec<Damaged>), SearchError> {
        let catalogue = Arc::clone(self.rules.borrow().rules.catalogue());
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // After a reload events are shown anew.
        idle.retain(|(shown_with, _)| Arc::ptr_eq(shown_with, &catalogue));
        let kept = idle.pop().map(|(_, searcher)| searcher);
        drop(idle);
        let searcher = kept.map_or_else(|| Searcher::open(&self.dir, Arc::clone(&catalogue)), Ok)?;
        let mut searcher = searcher.with_looks(looks_max);
        // One that failed is not used again.
        let answer = ask(&mut searcher)?;
        // Taken out, so that the next one who asks is not told of it.
        let damaged = searcher.take_damaged().into_iter().map(Damaged::from).collect();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((catalogue, searcher));
        }
        Ok((answer, damaged))
    }

    /// The events at these positions that are there, in this order.
    pub(super) fn at(&self, positions: &[Position]) -> Result<Vec<Object>, SearchError> {
        self.search(LOOKS_FOR_A_PAGE, |searcher| {
            let mut events = Vec::new();
            for position in positions {
                events.extend(searcher.get(*position)?.map(|event| searcher.show(&event)));
            }
            Ok(events)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::status;
    use crate::decode::decode;
    use crate::event::Format;
    use crate::log::testing::SealedLog;
    use crate::query::Query;
    use crate::search::Order;
    use crate::time::{Span, Timestamp};

    const NOW: Timestamp = Timestamp(1_772_452_800_000);

    fn events(day: i64) -> Vec<crate::event::Event> {
        let event = |number: i64| {
            let time = NOW.minus(Span::days(day)).plus(Span::seconds(number));
            let raw = format!(
                r#"{{"id":"{day}-{number}","created_at":"{time}","event_type":"user_created","author_id":1,"entity_id":1}}"#
            );
            decode(Format::Gitlab, &"gitlab".into(), raw.into(), None, time).unwrap().event
        };
        (0..20).map(event).collect()
    }

    #[test]
    fn an_answer_says_what_was_left_out_and_the_next_one_does_not() {
        let mut log = SealedLog::new(NOW);
        for day in [20, 10] {
            log.append(&events(day));
            log.seal();
        }
        std::fs::remove_file(log.segments()[0].with_extension("json")).unwrap();
        let (_rules, rules_in) = watch::channel(Arc::new(status(&[])));
        let lookup = Events::new(log.path(), rules_in);
        let page = |text: &str| {
            let query = Query::parse(text, NOW).unwrap();
            let asked = lookup.search_telling(LOOKS_FOR_A_PAGE, |searcher| {
                searcher.page(&query, None, (100, Order::NewestFirst))
            });
            let (page, damaged) = asked.unwrap();
            (page.events.len(), damaged)
        };
        let (found, damaged) = page("");
        assert_eq!((found, damaged.len(), damaged[0].first, damaged[0].last), (20, 1, 1, 21));
        let json = serde_json::to_value(&damaged[0]).unwrap();
        assert!(json["reason"].as_str().unwrap().contains("manifest") && json["from"].is_null(), "{json}");
        // Asked without telling: the searcher that is put back has nothing left to tell.
        lookup
            .search(LOOKS_FOR_A_PAGE, |searcher| {
                searcher.page(&Query::all_of(&[]), None, (1, Order::OldestFirst))
            })
            .unwrap();
        assert_eq!(lookup.idle.lock().unwrap().len(), 1);
        let left = lookup.search(LOOKS_FOR_A_PAGE, |searcher| Ok(searcher.take_damaged()));
        assert_eq!(left.unwrap(), []);
    }
}
