//! How far the poller came: what it goes on with after a restart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::run::{Poller, Sweep, seconds};
use super::targets::Listing;
use crate::source::SourceError;
use crate::source::past::Added;
use crate::time::{Span, Timestamp};

/// How often it is saved how far the poller came, while it has much to fetch.
const SAVED_EVERY: Span = Span::seconds(30);

/// Saved under `source/NAME`: up to when each target's events are in the log.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) until: BTreeMap<String, Timestamp>,
    /// Nothing before this is judged: the first look reached back further.
    #[serde(default)]
    pub(super) judged_from: Option<Timestamp>,
    /// Gaps that are being filled, by their id.
    #[serde(default)]
    pub(super) fills: BTreeMap<i64, Filled>,
}

/// How far a gap is filled.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filled {
    /// Up to when, by target.
    pub(super) until: BTreeMap<String, Timestamp>,
    /// How many events were stored that are not counted in the gap itself yet.
    pub(super) stored: u64,
}

/// Where it is noted how far a sweep came.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoteAs {
    /// As the end of what is known of the target.
    Look,
    /// As a part of this gap.
    Gap(i64),
}

impl Poller {
    /// Goes on where it was.
    pub(super) async fn resume(&mut self) -> Result<(), SourceError> {
        let Some(saved) = self.sink.checkpoint(format!("source/{}", self.name)).await? else { return Ok(()) };
        match serde_json::from_slice(&saved) {
            Ok(checkpoint) => self.done = checkpoint,
            Err(_) => {
                tracing::warn!(source = %self.name, "the saved position is unreadable; asks for `since` again");
            }
        }
        Ok(())
    }

    /// What is listed no more has no position any more.
    pub(super) fn forget_gone(&mut self, listing: &Listing) {
        if listing.is_whole() && self.done.until.len() > listing.targets.len() {
            let names: BTreeSet<String> = listing.targets.iter().map(ToString::to_string).collect();
            self.done.until.retain(|name, _| names.contains(name));
            self.change();
        }
    }

    /// Notes how far a sweep came.
    pub(super) async fn note(
        &mut self,
        sweep: &Sweep<'_>,
        end: Timestamp,
        added: Added,
    ) -> Result<(), SourceError> {
        let (now, name) = (seconds(self.access.now()), sweep.target.to_string());
        let end = end.min(now);
        match sweep.note_as {
            NoteAs::Look => {
                let known = self.done.until.get(&name).copied().unwrap_or(Timestamp::MIN);
                // Looking further back again moves nothing back; a note from the future does not hold.
                if end == known || (end < known && known <= now) {
                    return Ok(());
                }
                self.done.until.insert(name, end);
            }
            NoteAs::Gap(id) => {
                let filled = self.done.fills.entry(id).or_default();
                filled.stored += added.stored;
                filled.until.insert(name, end);
            }
        }
        let now = self.clock.now();
        let since = now.since(*self.changed_since.get_or_insert(now));
        if since >= SAVED_EVERY || since < Span(0) { self.save().await } else { Ok(()) }
    }

    /// Saves how far everything is done, if that has changed: all of it is written each time, so not for each target.
    /// What is not saved when a crash comes is asked for again.
    pub(super) async fn save(&mut self) -> Result<(), SourceError> {
        if self.changed_since.is_none() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&self.done).unwrap_or_default();
        self.sink.set_checkpoint(format!("source/{}", self.name), bytes).await?;
        self.changed_since = None;
        Ok(())
    }

    /// That something is to be saved.
    pub(super) fn change(&mut self) {
        self.changed_since.get_or_insert(self.clock.now());
    }
}
