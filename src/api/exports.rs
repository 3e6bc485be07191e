//! `/api/v1/exports`: all found events in one answer, which is made while it is sent.
//!
//! Never more than a page is in memory; who takes nothing loses the connection, which ends the export. A caller whose
//! connection broke goes on behind the `position` of the last whole line that came: that works with any client, and needs
//! nothing that comes at the end of an answer.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::ask::Asked;
use super::conditional::Streamed;
use super::control::Control;
use super::events::query;
use super::lookup::LOOKS_FOR_A_PAGE;
use super::page::Counted;
use super::problem::Problem;
use crate::event::Position;
use crate::query::Query;
use crate::reporting::{ExportFormat, encode};
use crate::search::{Order, Searcher};

/// Events of one page.
const EVENTS: usize = 1_000;

/// Which events to export.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportsAsked {
    /// What to look for, in the language of `watchfire search`; all events if it is empty.
    #[serde(default)]
    #[param(required = false, max_length = 4096, example = "tier:destructive created_at:2026-01")]
    q: String,
    /// How they are written.
    #[serde(default)]
    #[param(required = false)]
    format: Lines,
    /// Go on behind this log position: the `position` of the last whole line that came.
    #[param(value_type = u64, required = false, minimum = 0)]
    after: Option<Counted>,
}

/// How events are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExportFormat)]
pub(super) enum Lines {
    /// RFC 4180.
    #[default]
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl From<Lines> for ExportFormat {
    fn from(lines: Lines) -> Self {
        match lines {
            Lines::Csv => Self::Csv,
            Lines::Ndjson => Self::Ndjson,
        }
    }
}

/// Export events
///
/// All events that a query finds, in the order of the log, as CSV with a heading (safe to open in a spreadsheet) or as one
/// canonical event a line; up to the last event of the moment the call began. The answer is sent while it is made and has no
/// length: one that breaks off has no proper end, which clients report (curl: exit code 18). Go on with `after`, the
/// `position` (of CSV the first column) of the last whole line; CSV has no heading then. Four exports run at once; beyond
/// that the answer is 503. There is no `ETag`, and no room
/// to say what of the log could not be read: `/api/v1/counts` with the same query does.
#[utoipa::path(get, path = "/api/v1/exports", tag = "events", params(ExportsAsked),
    responses((status = 200, description = "The events", content(
        (String = "text/csv"),
        (String = "application/x-ndjson"),
    ))))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(ExportsAsked { q, format, after }): Asked<ExportsAsked>,
) -> Result<Response, Problem> {
    let kind = format;
    let format = ExportFormat::from(format);
    let query = Arc::new(query(&q, &control)?);
    let turn = Arc::clone(&control.guard.exports).try_acquire_owned();
    let turn = turn.map_err(|_| Problem::unavailable("four exports are running already"))?;
    let until = newest(&control).await?;
    let start = after.map_or(0, |behind| behind.0);
    let is_first = after.is_none();
    let mut export =
        Export { control, query, format, behind: start, until, is_first, is_last: false, _turn: turn };
    // What is wrong with the first page can still be said properly.
    let first = export.page().await?;
    let pages = stream::try_unfold((Some(first), export), |(made, export)| export.next(made));
    let (kind, name) = match kind {
        Lines::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"events.csv\""),
        Lines::Ndjson => ("application/x-ndjson", "attachment; filename=\"events.ndjson\""),
    };
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name)];
    let mut response = (headers, Body::from_stream(pages)).into_response();
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

async fn newest(control: &Control) -> Result<Position, Problem> {
    let found = control.find(|events| events.search(LOOKS_FOR_A_PAGE, Searcher::newest));
    Ok(found.await?.map_or(0, |event| event.position))
}

/// An export on its way.
struct Export {
    control: Arc<Control>,
    query: Arc<Query>,
    format: ExportFormat,
    behind: Position,
    until: Position,
    is_first: bool,
    is_last: bool,
    _turn: OwnedSemaphorePermit,
}

impl Export {
    /// The next page as bytes.
    async fn page(&mut self) -> Result<Bytes, Problem> {
        let (query, behind, until) = (Arc::clone(&self.query), self.behind, self.until);
        let found = self.control.find(move |events| {
            events.search(LOOKS_FOR_A_PAGE, |searcher| {
                searcher.page_behind(&query, behind, (EVENTS, Order::OldestFirst))
            })
        });
        let (mut page, reached) = found.await?;
        let count = page.events.len();
        page.events.retain(|found| found.event.position <= until);
        self.is_last = page.next.is_none() || page.events.len() < count || reached >= until;
        let shown: Vec<_> = page.events.into_iter().map(|found| found.shown).collect();
        let bytes = encode(&shown, self.format, self.is_first).map_err(|error| {
            tracing::error!(%error, "an export cannot be written");
            Problem::internal()
        })?;
        (self.behind, self.is_first) = (reached, false);
        Ok(bytes.into())
    }

    /// The page that is made already, or else the next one; none behind the last.
    async fn next(mut self, made: Option<Bytes>) -> Result<Option<(Bytes, (Option<Bytes>, Self))>, Broken> {
        let page = match made {
            Some(page) => page,
            None if self.is_last => return Ok(None),
            // The answer has begun; all that is left is not to end it properly.
            None => self.page().await.map_err(|_| Broken)?,
        };
        Ok(Some((page, (None, self))))
    }
}

/// The log could not be read any further.
#[derive(Debug, thiserror::Error)]
#[error("the export breaks off: the log cannot be read any further")]
struct Broken;
