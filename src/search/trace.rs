//! What happened around one event.

use serde_json::{Map, Value};

use super::SearchError;
use super::page::{Found, Order};
use super::parts::Parts;
use super::searcher::Searcher;
use crate::event::Event;
use crate::query::{Query, any_at, text};
use crate::time::Span;

/// How far a trace looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceOptions {
    /// How long before and after the event the author is followed.
    pub author: Span,
    /// How long before and after it the entity, the target and the request are.
    pub things: Span,
    /// At most so many events of each kind before and after; never more than 1,000.
    pub events: usize,
}

/// No strand has more events before or after the traced one.
const EVENTS_MAX: usize = 1000;
/// Nor more bytes; there are eight such pages.
const BYTES_MAX: usize = 4 << 20;

impl Default for TraceOptions {
    fn default() -> Self {
        Self { author: Span::hours(1), things: Span::days(30), events: 20 }
    }
}

/// Events that have something in common with the traced one, in the order they were received.
#[derive(Debug, Clone, PartialEq)]
pub struct Strand {
    /// What finds them; shown as a query it can be searched for.
    pub query: Query,
    /// Those before it.
    pub before: Vec<Found>,
    /// Those after it.
    pub after: Vec<Found>,
    /// There are more before these.
    pub has_earlier: bool,
    /// There are more after these.
    pub has_later: bool,
}

/// What happened around one event. A strand is missing where the event does not name what it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The event.
    pub event: Found,
    /// What the same author did around it.
    pub author: Option<Strand>,
    /// What else happened to the same entity.
    pub entity: Option<Strand>,
    /// What else happened to the same target: who opened, approved, merged this merge request.
    pub target: Option<Strand>,
    /// What else the same request did.
    pub request: Option<Strand>,
}

impl<P: Parts> Searcher<P> {
    /// What happened around an event. Bounded by the times in the options and, within each of these, by the number
    /// of events that one page looks at.
    ///
    /// # Errors
    ///
    /// What the log says when it cannot be read.
    pub fn trace(&mut self, event: Event, options: TraceOptions) -> Result<Trace, SearchError> {
        let shown = self.show(&event);
        let value = |field: &str| first_text(&shown, field);
        let pick = |fields: &[&'static str]| -> Vec<(&'static str, String)> {
            fields.iter().filter_map(|field| Some((*field, value(field)?))).collect()
        };
        let author = or_else(pick(&["author_id"]), || pick(&["author_name"]));
        // A path may move from one project to another; an id alone is one of some type.
        let entity = or_else(only_whole(pick(&["entity_type", "entity_id"])), || pick(&["entity_path"]));
        let target = or_else(only_whole(pick(&["target_type", "target_id"])), || {
            only_whole(pick(&["target_type", "target_details"]))
        });
        let is_same = target.iter().map(|(_, value)| value).eq(entity.iter().map(|(_, value)| value));
        let target = if is_same { Vec::new() } else { within(target, pick(&["entity_path"])) };
        let request = pick(&["correlation_id"]);
        Ok(Trace {
            author: self.strand(&event, &author, (options.author, options.events))?,
            entity: self.strand(&event, &entity, (options.things, options.events))?,
            target: self.strand(&event, &target, (options.things, options.events))?,
            request: self.strand(&event, &request, (options.things, options.events))?,
            event: Found { event, shown },
        })
    }

    fn strand(
        &mut self,
        event: &Event,
        values: &[(&'static str, String)],
        (span, limit): (Span, usize),
    ) -> Result<Option<Strand>, SearchError> {
        if values.is_empty() {
            return Ok(None);
        }
        let pairs: Vec<(&str, &str)> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        let query = Query::all_of(&pairs);
        let around = query.clone().between(event.time.minus(span), event.time.plus(span));
        let limit = limit.clamp(1, EVENTS_MAX);
        let mut before = self.page_from(&around, event.position, (limit, Order::NewestFirst), BYTES_MAX)?;
        before.events.reverse();
        let after = self.page_from(&around, event.position, (limit, Order::OldestFirst), BYTES_MAX)?;
        Ok(Some(Strand {
            query,
            before: before.events,
            after: after.events,
            has_earlier: before.next.is_some(),
            has_later: after.next.is_some(),
        }))
    }

    /// The event that a person names: by its position, or by the forge's own id. The newest one with that id; none
    /// if there is none among the events that one page looks at.
    ///
    /// # Errors
    ///
    /// What the log says when it cannot be read.
    pub fn named(&mut self, name: &str) -> Result<Option<Event>, SearchError> {
        if let Some(event) = name.parse().ok().map(|position| self.get(position)).transpose()?.flatten() {
            return Ok(Some(event));
        }
        let page = self.page(&Query::all_of(&[("id", name)]), None, (1, Order::NewestFirst))?;
        Ok(page.events.into_iter().next().map(|found| found.event))
    }
}

type Values = Vec<(&'static str, String)>;

fn or_else(values: Values, others: impl FnOnce() -> Values) -> Values {
    if values.is_empty() { others() } else { values }
}

/// Half of a pair names nothing.
fn only_whole(values: Values) -> Values {
    if values.len() == 2 { values } else { Vec::new() }
}

/// Details such as a branch's name are told apart by where they are.
fn within(mut target: Values, entity: Values) -> Values {
    if target.iter().any(|(field, _)| *field == "target_details") {
        target.extend(entity);
    }
    target
}

fn first_text(shown: &Map<String, Value>, field: &str) -> Option<String> {
    let mut found = None;
    any_at(shown, field, &mut |value| {
        found = text(value).filter(|text| !text.is_empty()).map(|text| text.into_owned());
        found.is_some()
    });
    found
}

impl Strand {
    /// Whether nothing else happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}
