//! `/api/v1/exports`: all found events in one answer, which is made while it is sent.
//!
//! Never more than a few pages are in memory. A caller whose connection broke goes on behind the `position` of the last
//! whole line that came: that works with any client, and needs nothing that comes at the end of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::{Deserialize, Deserializer, de};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::ToSchema;

use super::ask::Asked;
use super::conditional::Streamed;
use super::control::Control;
use super::events::query;
use super::lookup::LOOKS_FOR_A_PAGE;
use super::problem::Problem;
use crate::event::Position;
use crate::query::Query;
use crate::reporting::{ExportFormat, encode};
use crate::search::{Order, Searcher};
use crate::time::Span;

/// Events of one page.
const EVENTS: usize = 1_000;
/// Pages that wait to be sent.
const PAGES_AHEAD: usize = 2;
/// A caller who takes nothing for so long is given up.
const PATIENCE: Span = Span::minutes(1);

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
    after: Option<Behind>,
}

/// A position that a log can have: they are numbered from 1 on, in 63 bits.
#[derive(Debug, Clone, Copy)]
struct Behind(Position);

impl<'de> Deserialize<'de> for Behind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let position = Position::deserialize(deserializer)?;
        let is_one = position <= Position::MAX >> 1;
        is_one.then_some(Self(position)).ok_or_else(|| de::Error::custom("no log has this position"))
    }
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
    let mut export =
        Export { control, query, format, behind: start, until, is_first: after.is_none(), _turn: turn };
    // What is wrong with the first page can still be said properly.
    let (first, is_last) = export.page().await?;
    let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(export.send(first, is_last, sender));
    let (kind, name) = match kind {
        Lines::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"events.csv\""),
        Lines::Ndjson => ("application/x-ndjson", "attachment; filename=\"events.ndjson\""),
    };
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name)];
    let mut response = (headers, Body::new(Pages(receiver))).into_response();
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
    _turn: OwnedSemaphorePermit,
}

impl Export {
    /// The next page as bytes, and whether it is the last one.
    async fn page(&mut self) -> Result<(Bytes, bool), Problem> {
        let (query, behind, until) = (Arc::clone(&self.query), self.behind, self.until);
        let found = self.control.find(move |events| {
            events.search(LOOKS_FOR_A_PAGE, |searcher| {
                searcher.page_behind(&query, behind, (EVENTS, Order::OldestFirst))
            })
        });
        let (mut page, reached) = found.await?;
        let count = page.events.len();
        page.events.retain(|found| found.event.position <= until);
        let is_last = page.next.is_none() || page.events.len() < count || reached >= until;
        let shown: Vec<_> = page.events.into_iter().map(|found| found.shown).collect();
        let bytes = encode(&shown, self.format, self.is_first).map_err(|error| {
            tracing::error!(%error, "an export cannot be written");
            Problem::internal()
        })?;
        (self.behind, self.is_first) = (reached, false);
        Ok((bytes.into(), is_last))
    }

    /// Sends page after page, as fast as they are taken, and stops when nobody takes them any more.
    async fn send(mut self, first: Bytes, is_last: bool, sender: mpsc::Sender<Result<Bytes, Broken>>) {
        let (mut bytes, mut is_last) = (first, is_last);
        loop {
            let taken = tokio::select! {
                sent = sender.send(Ok(bytes)) => sent.is_ok(),
                () = self.control.clock.sleep(PATIENCE) => false,
            };
            if !taken || is_last {
                return;
            }
            match self.page().await {
                Ok(page) => (bytes, is_last) = page,
                Err(_) => {
                    // The answer has begun; all that is left is not to end it properly.
                    sender.send(Err(Broken)).await.ok();
                    return;
                }
            }
        }
    }
}

/// The log could not be read any further.
#[derive(Debug, thiserror::Error)]
#[error("the export breaks off: the log cannot be read any further")]
struct Broken;

/// Pages as they are made.
struct Pages(mpsc::Receiver<Result<Bytes, Broken>>);

impl hyper::body::Body for Pages {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(context).map(|page| page.map(|page| page.map(Frame::data)))
    }
}
