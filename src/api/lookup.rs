//! How the API finds events: behind a trait, so that the log can be asked in a better way without a handler knowing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::rules::RulesStatus;
use crate::event::{Entry, Event, Position, canonical};
use crate::log::{LogError, Reader};
use crate::query::Query;

/// A canonical event.
pub type Object = Map<String, Value>;

/// Events of a page, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventPage {
    /// What was found.
    pub events: Vec<Object>,
    /// Where to go on: before this position. None at the end of the log. There may be more pages although this one is
    /// not full, or even empty: a query that finds little is answered in steps.
    pub next: Option<Position>,
}

/// Why nothing could be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The log cannot be read.
    #[error("{0}")]
    Log(#[from] LogError),
}

/// Finds events. Calls block.
pub trait Events: fmt::Debug + Send + Sync {
    /// Events that the query finds before a position, or of all, newest first, at most `limit`.
    fn page(&self, query: &Query, before: Option<Position>, limit: usize) -> Result<EventPage, LookupError>;

    /// The events at these positions that are there, in this order.
    fn at(&self, positions: &[Position]) -> Result<Vec<Object>, LookupError>;
}

/// Finds events by reading the log from its end.
#[derive(Debug)]
pub struct LogEvents {
    dir: PathBuf,
    rules: watch::Receiver<Arc<RulesStatus>>,
    /// Readers that nobody uses now, at most [`IDLE_MAX`].
    idle: Mutex<Vec<Reader>>,
}

const IDLE_MAX: usize = 4;
/// Entries that are read for one page at most.
const SCAN_MAX: u64 = 100_000;
/// Entries that are read at once.
const READ: u64 = 4_096;

impl LogEvents {
    /// Finds events in the log of this data folder, and shows them as the newest rules see them.
    #[must_use]
    pub fn new(dir: &Path, rules: watch::Receiver<Arc<RulesStatus>>) -> Self {
        Self { dir: dir.to_owned(), rules, idle: Mutex::default() }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Reader) -> Result<T, LogError>) -> Result<T, LookupError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut reader = kept.map_or_else(|| Reader::open(&self.dir), Ok)?;
        let answer = ask(&mut reader)?;
        let mut idle = idle();
        if idle.len() < IDLE_MAX {
            idle.push(reader);
        }
        Ok(answer)
    }

    fn show(&self, event: &Event) -> Object {
        let rules = Arc::clone(&self.rules.borrow());
        canonical(event, rules.catalogue())
    }
}

impl Events for LogEvents {
    fn page(&self, query: &Query, before: Option<Position>, limit: usize) -> Result<EventPage, LookupError> {
        let (from, to) = query.time_range();
        self.with(|reader| {
            let end = reader.last_position()?.saturating_add(1);
            let mut before = before.unwrap_or(end).min(end);
            let lowest = before.saturating_sub(SCAN_MAX);
            let mut page = EventPage::default();
            while before > 1 && before > lowest {
                let after = before.saturating_sub(READ + 1);
                for event in events_between(reader, after, before)?.iter().rev() {
                    if !(from..=to).contains(&event.time) || query.is_ruled_out(&event.raw) {
                        continue;
                    }
                    let shown = self.show(event);
                    if query.matches(&shown) {
                        page.events.push(shown);
                        if page.events.len() == limit {
                            page.next = (event.position > 1).then_some(event.position);
                            return Ok(page);
                        }
                    }
                }
                before = after + 1;
            }
            page.next = (before > 1).then_some(before);
            Ok(page)
        })
    }

    fn at(&self, positions: &[Position]) -> Result<Vec<Object>, LookupError> {
        self.with(|reader| {
            let mut events = Vec::new();
            for position in positions {
                events.extend(reader.get(*position)?.map(|event| self.show(&event)));
            }
            Ok(events)
        })
    }
}

/// The events after one position and before another, in order.
fn events_between(reader: &mut Reader, after: Position, before: Position) -> Result<Vec<Event>, LogError> {
    let (mut events, mut last) = (Vec::new(), after);
    while last + 1 < before {
        let wanted = usize::try_from(before - last - 1).unwrap_or(usize::MAX);
        let entries = reader.read_after(last, wanted)?;
        let Some(end) = entries.last() else { break };
        last = end.position();
        events.extend(entries.into_iter().filter_map(|entry| match entry {
            Entry::Event(event) if event.position < before => Some(event),
            Entry::Event(_) | Entry::Tick { .. } => None,
        }));
    }
    Ok(events)
}
