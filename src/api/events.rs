//! `/api/v1/events`: what is in the log.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::lookup::{Damaged, LOOKS_FOR_A_PAGE, Object};
use super::page::Limit;
use super::problem::{Fault, Problem};
use crate::query::{Query, QueryError};
use crate::search::{Cursor, Order};

/// Bytes of a query.
const QUERY_MAX: usize = 4_096;

/// Which events to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsAsked {
    /// What to look for, in the language of `watchfire search`; all events if it is empty.
    #[serde(default)]
    #[param(required = false, max_length = 4096, example = "author_id:7 created_at:-7d")]
    q: String,
    /// Which come first, by their position in the log.
    #[serde(default)]
    #[param(required = false)]
    order: First,
    /// The `next` of the page before; of the same query and order.
    #[param(value_type = String, required = false)]
    cursor: Option<String>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// Which events come first.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum First {
    /// The last one received.
    #[default]
    Newest,
    /// The one received before all others.
    Oldest,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PageOfEvents)]
pub(super) struct EventPage {
    /// In the order that was asked for.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Object>,
    /// The `cursor` of the next page; null on the last one.
    next: Option<String>,
    /// Parts of the log that could not be read: events may be missing. Empty as a rule.
    damaged: Vec<Damaged>,
}

/// Find events
///
/// By log position, newest first unless asked otherwise, as canonical events. A query that finds little is answered in
/// steps: a page may have fewer events than `limit`, even none, and a `next` all the same; only `next: null` is the end.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsAsked),
    responses((status = 200, description = "A page of events", body = EventPage)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(EventsAsked { q, order, cursor, limit }): Asked<EventsAsked>,
) -> Result<Json<EventPage>, Problem> {
    let cursor = cursor.as_deref().map(Cursor::parse).transpose()?;
    let query = query(&q, &control)?;
    let order = match order {
        First::Newest => Order::NewestFirst,
        First::Oldest => Order::OldestFirst,
    };
    let found = control.find(move |events| {
        events.search_telling(LOOKS_FOR_A_PAGE, |searcher| searcher.page(&query, cursor, (limit.0, order)))
    });
    let (page, damaged) = found.await?;
    let items = page.events.into_iter().map(|found| found.shown).collect();
    Ok(Json(EventPage { items, next: page.next.map(|cursor| cursor.to_string()), damaged }))
}

/// Show an event
#[utoipa::path(get, path = "/api/v1/events/{position}", tag = "events",
    params(("position" = u64, Path, description = "Its position in the log")),
    responses((status = 200, description = "The canonical event", body = Object)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(position): Path<String>,
) -> Result<Json<Object>, Problem> {
    let position = position.parse().map_err(|_| missing())?;
    let found = control.find(move |events| events.at(&[position])).await?;
    found.into_iter().next().map(Json).ok_or_else(missing)
}

/// 404 for a position without an event.
pub(super) fn missing() -> Problem {
    Problem::missing("event at this position")
}

/// The query of a call; its mistakes are told with their place.
pub(super) fn query(text: &str, control: &Control) -> Result<Query, Problem> {
    let fault = |detail: String| Fault { parameter: Some("q".to_owned()), detail, ..Fault::default() };
    if text.len() > QUERY_MAX {
        let detail = format!("a query has at most {QUERY_MAX} bytes");
        return Err(Problem::bad("bad_query", detail.clone()).fault(fault(detail)));
    }
    Query::parse(text, control.clock.now()).map_err(|error| {
        let QueryError { message, at, width, help, .. } = error;
        let fault = Fault { at: Some(at), width: Some(width), ..fault(message.clone()) };
        let problem = Problem::bad("bad_query", message).fault(fault);
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    })
}
