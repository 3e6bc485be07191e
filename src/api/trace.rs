//! `/api/v1/events/{position}/trace`: what happened around one event.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use super::alerts::{Alert, with_standings};
use super::ask::Asked;
use super::control::Control;
use super::events::missing;
use super::lookup::{Damaged, LOOKS_FOR_A_COUNT, Object};
use super::problem::Problem;
use crate::search::{self, Found, TraceOptions};
use crate::time::Span;

/// Alerts are looked through from this long before the event on: its own time may be ahead of the clock.
const MARGIN: Span = Span::days(1);
const SPAN_MAX: Span = Span::days(366);
const STRAND_MAX: usize = 100;

/// How far to look.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct TraceAsked {
    /// How long before and after the event the author is followed, such as `90m`; a year at most.
    #[param(value_type = String, required = false, default = "1h", example = "90m", pattern = r"^[0-9]{1,3}(w|d|h|m|s)$")]
    author: Length,
    /// How long before and after it the entity, the target and the request are.
    #[param(value_type = String, required = false, default = "30d", example = "7d", pattern = r"^[0-9]{1,3}(w|d|h|m|s)$")]
    things: Length,
    /// How many events of each strand before and after.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 100, default = 20)]
    limit: StrandLimit,
}

impl Default for TraceAsked {
    fn default() -> Self {
        let TraceOptions { author, things, events } = TraceOptions::default();
        Self { author: Length(author), things: Length(things), limit: StrandLimit(events) }
    }
}

#[derive(Debug)]
struct Length(Span);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span: Span = text.parse().map_err(de::Error::custom)?;
        // A longer one is cut rather than refused: `999w` is as good as any long time.
        Ok(Self(span.min(SPAN_MAX)))
    }
}

#[derive(Debug)]
struct StrandLimit(usize);

impl<'de> Deserialize<'de> for StrandLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = usize::deserialize(deserializer)?;
        if (1..=STRAND_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(de::Error::custom(format_args!("it must be from 1 to {STRAND_MAX}")))
        }
    }
}

/// What happened around an event. A strand is null where the event does not name what it is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTrace)]
pub(super) struct Trace {
    #[schema(value_type = Object)]
    event: Object,
    /// What the same author did around it.
    author: Option<Strand>,
    /// What else happened to the same entity.
    entity: Option<Strand>,
    /// What else happened to the same target.
    target: Option<Strand>,
    /// What else the same request did.
    request: Option<Strand>,
    /// The newest 100 alerts that have it among their evidence.
    alerts: Vec<Alert>,
    /// Parts of the log that could not be read: events may be missing from the strands. Empty as a rule.
    damaged: Vec<Damaged>,
}

/// Events that have something in common with the traced one, in the order they were received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventStrand)]
pub(super) struct Strand {
    /// What finds them: a `q` for `/api/v1/events`.
    query: String,
    #[schema(value_type = Vec<Object>)]
    before: Vec<Object>,
    #[schema(value_type = Vec<Object>)]
    after: Vec<Object>,
    /// There are more before these.
    has_earlier: bool,
    /// There are more after these.
    has_later: bool,
}

impl From<search::Strand> for Strand {
    fn from(strand: search::Strand) -> Self {
        let shown = |found: Vec<Found>| found.into_iter().map(|found| found.shown).collect();
        Self {
            query: strand.query.to_string(),
            before: shown(strand.before),
            after: shown(strand.after),
            has_earlier: strand.has_earlier,
            has_later: strand.has_later,
        }
    }
}

/// Trace an event
///
/// What the same author did around it, what else happened to the same entity and target, what else the same request did,
/// and which alerts cite it.
#[utoipa::path(get, path = "/api/v1/events/{position}/trace", tag = "events",
    params(("position" = u64, Path, description = "Its position in the log"), TraceAsked),
    responses((status = 200, description = "What happened around it", body = Trace)))]
pub(super) async fn trace(
    State(control): State<Arc<Control>>,
    Path(position): Path<String>,
    Asked(TraceAsked { author, things, limit }): Asked<TraceAsked>,
) -> Result<Json<Trace>, Problem> {
    let position = position.parse().map_err(|_| missing())?;
    let options = TraceOptions { author: author.0, things: things.0, events: limit.0 };
    let traced = control.find(move |events| {
        events.search_telling(LOOKS_FOR_A_COUNT, |searcher| {
            searcher.get(position)?.map(|event| searcher.trace(event, options)).transpose()
        })
    });
    let (found, damaged) = traced.await?;
    let found = found.ok_or_else(missing)?;
    let since = found.event.event.time.minus(MARGIN);
    let alerts =
        control.ask(move |store| with_standings(store, store.alerts_citing(position, since)?)).await?;
    Ok(Json(Trace {
        event: found.event.shown,
        author: found.author.map(Strand::from),
        entity: found.entity.map(Strand::from),
        target: found.target.map(Strand::from),
        request: found.request.map(Strand::from),
        alerts: alerts.iter().map(Alert::from).collect(),
        damaged,
    }))
}
