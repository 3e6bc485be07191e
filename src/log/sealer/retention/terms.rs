//! What the sealer is told about deleting, and what it tells.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Hits, Needs};
use crate::event::{Catalogue, Event, Format, PAST, Position};
use crate::query::Query;
use crate::retention::{Keep, Kind, Policy};
use crate::time::{Span, Timestamp};

/// What may be deleted at this moment.
#[derive(Debug, Clone)]
pub struct Retention {
    /// How long each kind of event is kept.
    pub policy: Arc<Policy>,
    /// How long events are kept at least that are only judged.
    pub to_judge: Span,
    /// How long rules need them beyond that; none: no rules.
    pub needs: Option<Arc<Needs>>,
    /// How late an event may come and still be judged.
    pub lateness: Span,
    /// Nothing is deleted sooner, whatever the policy says: the time for which duplicates are recognised.
    pub at_least: Span,
    /// Detection and every forwarder have passed this position for good.
    pub settled: Position,
    /// What is held back.
    pub holds: Vec<HeldBack>,
    /// With which holds look at events.
    pub catalogue: Arc<Catalogue>,
}

/// A legal hold: what its query finds is not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldBack {
    /// Its number.
    pub id: i64,
    /// What it finds.
    pub query: Query,
}

/// Answers what may be deleted now, or why that cannot be said; then nothing is.
pub type Ask = Arc<dyn Fn() -> Result<Retention, String> + Send + Sync>;

/// How deleting goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionState {
    /// When a segment has to be looked at next; none while it is not known.
    pub next_look: Option<Timestamp>,
    /// How many due events are held back in the segments that were looked at.
    pub held: u64,
    /// Up to where detection and forwarders have come.
    pub settled: Position,
    /// How long events are kept at least that are only judged.
    pub to_judge: Option<Span>,
    /// The longest time for which a rule needs an event.
    pub longest: Option<Span>,
    /// Nothing is deleted sooner.
    pub at_least: Option<Span>,
    /// Why nothing is deleted, if that is so.
    pub trouble: Option<String>,
}

/// Where the daemon and the sealer tell each other about deleting. Without anybody to ask nothing is deleted.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    ask: Option<Ask>,
    state: RetentionState,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Board").field(&self.state()).finish()
    }
}

impl Board {
    /// From now on this is asked.
    pub fn answer_with(&self, ask: Ask) {
        self.with(|inner| inner.ask = Some(ask));
    }

    /// How deleting goes.
    #[must_use]
    pub fn state(&self) -> RetentionState {
        self.with(|inner| inner.state.clone())
    }

    pub(in crate::log::sealer) fn ask(&self) -> Option<Ask> {
        self.with(|inner| inner.ask.clone())
    }

    pub(in crate::log::sealer) fn tell(&self, state: RetentionState) {
        self.with(|inner| inner.state = state);
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Retention {
    /// How long an event is kept from its arrival, and which part of the policy says so.
    pub(super) fn keep(&self, event: &Event, event_type: Option<&str>, hits: &mut Hits) -> (Span, Said<'_>) {
        // What is imported is of the source that it was imported for.
        let source = event.source.strip_prefix(PAST).unwrap_or(&event.source);
        let kind = Kind::of(&self.catalogue, event.format, source, event_type);
        let verdict = self.policy.verdict(&kind);
        let span = match verdict.keep {
            Keep::For(span) => span,
            Keep::ToJudge => {
                let needed = self.needs.as_ref().map_or(Span(0), |needs| needs.of(event, hits));
                self.to_judge.max(Span(needed.0.saturating_add(self.lateness.0)))
            }
        };
        (span.max(self.at_least), Said { by: verdict.by, keep: verdict.keep })
    }

    /// What is younger need not be looked at.
    pub(in crate::log::sealer) fn shortest(&self) -> Span {
        self.policy.shortest(self.to_judge).max(self.at_least)
    }

    /// Whether the same would be deleted, as far as it was judged.
    pub(in crate::log::sealer) fn agrees(&self, other: &Self) -> bool {
        let one = (&self.policy, self.to_judge, self.at_least, self.lateness, &self.holds);
        let rules = |own: &Self| own.needs.as_ref().map(|needs| Arc::as_ptr(needs.rules()));
        one == (&other.policy, other.to_judge, other.at_least, other.lateness, &other.holds)
            && (!self.policy.is_partial() || rules(self) == rules(other))
            && (self.holds.is_empty() || Arc::ptr_eq(&self.catalogue, &other.catalogue))
    }

    /// The name of a type as it is counted: the current one.
    pub(super) fn type_name<'a>(&'a self, format: Format, event_type: Option<&'a str>) -> &'a str {
        Kind::of(&self.catalogue, format, "", event_type).event_type.unwrap_or_default()
    }
}

/// Which part of the policy decides about an event, and what it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub by: &'a str,
    keep: Keep,
}

impl Said<'_> {
    /// In words.
    pub(super) fn text(self) -> String {
        self.keep.to_string()
    }
}

/// Later, without an end of time.
pub(super) const fn after(time: Timestamp, span: Span) -> Timestamp {
    Timestamp(time.0.saturating_add(span.0))
}
