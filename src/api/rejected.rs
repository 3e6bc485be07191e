//! `/api/v1/rejected`: what could not be decoded: looking at it, and trying again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::page::{Cursor, Page, PageAsked, number};
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::log::AppendError;
use crate::store;

const LIST: &str = "rejected";

/// A body that could not be decoded.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rejected {
    id: i64,
    /// The source's name.
    source: String,
    #[schema(format = DateTime)]
    received_at: String,
    reason: String,
    /// The event's type from the request's header.
    type_hint: Option<String>,
    /// Text; bytes that are no UTF-8 show as U+FFFD. In a list at most the first 4 KiB.
    body: String,
    /// The size of the whole body in bytes.
    size: u64,
    /// Whether `body` is not all of it.
    truncated: bool,
    #[schema(format = DateTime)]
    replayed_at: Option<String>,
}

/// What a replay stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replayed {
    stored: u64,
    /// How many had been stored before.
    duplicates: u64,
}

impl From<&store::Rejected> for Rejected {
    fn from(kept: &store::Rejected) -> Self {
        let rejected = &kept.rejected;
        Self {
            id: kept.id,
            source: rejected.source.clone(),
            received_at: rejected.received_at.to_string(),
            reason: rejected.reason.clone(),
            type_hint: rejected.type_hint.clone(),
            body: String::from_utf8_lossy(&rejected.body).into_owned(),
            size: kept.size,
            truncated: (rejected.body.len() as u64) < kept.size,
            replayed_at: kept.replayed_at.map(|at| at.to_string()),
        }
    }
}

/// List rejected bodies
///
/// The newest first, each cut to 4 KiB.
#[utoipa::path(get, path = "/api/v1/rejected", tag = "rejected", params(PageAsked),
    responses((status = 200, description = "A page of rejected bodies", body = Page<Rejected>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(PageAsked { cursor, limit }): Asked<PageAsked>,
) -> Result<Json<Page<Rejected>>, Problem> {
    let before = cursor.map(|cursor| number(cursor.place::<1>(LIST)?[0])).transpose()?;
    let rows = control.ask(move |store| store.rejected(before, limit.and_one())).await?;
    let place = |row: &store::Rejected| Cursor::new(LIST, &[&row.id]);
    Ok(Json(Page::new(rows, limit, place, |row| Rejected::from(&row))))
}

/// Show a rejected body
///
/// Whole.
#[utoipa::path(get, path = "/api/v1/rejected/{id}", tag = "rejected",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "The rejected body", body = Rejected)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Rejected>, Problem> {
    Ok(Json(Rejected::from(&find(&control, &id).await?)))
}

/// Decode a rejected body again
///
/// As it is understood now, for the source that once got it; what is understood is stored with its first time of arrival.
#[utoipa::path(post, path = "/api/v1/rejected/{id}/replay", tag = "rejected",
    params(("id" = i64, Path, description = "Its number")),
    responses(
        (status = 200, description = "It is stored", body = Replayed),
        (status = 409, description = "It was replayed already, or its source is no longer configured"),
        (status = 422, description = "It still cannot be decoded"),
    ))]
pub(super) async fn replay(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
) -> Result<Recorded<Json<Replayed>>, Problem> {
    let kept = find(&control, &id).await?;
    let rejected = kept.rejected;
    if let Some(at) = kept.replayed_at {
        return Err(Problem::conflict("already_replayed", format!("it was replayed at {at}")));
    }
    let intake = control.intakes.get(&rejected.source).ok_or_else(|| {
        let detail = format!("the source `{}` is no longer configured", rejected.source);
        Problem::conflict("unknown_source", detail)
    })?;
    let deed = ticket.asking(format!("{} bytes of the source {}", kept.size, rejected.source));
    let body = Bytes::from(rejected.body);
    let raw = body.slice_ref(body.trim_ascii());
    let event = intake
        .decode(raw, rejected.type_hint.as_deref(), rejected.received_at)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "undecodable", error.to_string()))?;
    let receipt = intake.append(vec![event]).await.map_err(|error| not_appended(&error))?;
    let replayed = Replayed { stored: receipt.stored, duplicates: receipt.duplicates };
    let outcome = format!("done: {} stored, {} duplicates", receipt.stored, receipt.duplicates);
    // Marking comes last: an interruption costs a second replay, which is recognised as a duplicate.
    control.ask(move |store| store.rejected_settle(kept.id, &deed, &outcome)).await?;
    tracing::info!(id = kept.id, source = %intake.name, "replayed a rejected body");
    Ok(Recorded(Json(replayed)))
}

fn not_appended(error: &AppendError) -> Problem {
    tracing::warn!(%error, "a replayed body could not be stored");
    Problem::unavailable("events cannot be written at present; nothing was stored")
}

async fn find(control: &Control, id: &str) -> Result<store::Rejected, Problem> {
    let missing = || Problem::missing("rejected body of this number");
    let id = id.parse().map_err(|_| missing())?;
    control.ask(move |store| store.rejected_get(id)).await?.ok_or_else(missing)
}
