//! How the API finds events: the only place that knows how searchers are made and kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::rules::RulesStatus;
use crate::event::{Catalogue, Position};
use crate::search::{SearchError, Searcher};

/// A canonical event.
pub(super) type Object = Map<String, Value>;

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

    /// Asks a searcher that looks at so many events at most.
    pub(super) fn search<T>(
        &self,
        looks_max: u64,
        ask: impl FnOnce(&mut Searcher) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
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
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((catalogue, searcher));
        }
        Ok(answer)
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
