//! What could not be decoded: looking at it, and trying again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::source::{Context, Intake, Refusal, Sink, Source, SourceError, Tokens, bearer, json};
use crate::store::Rejected;

/// The rejected bodies of these sources, for who has the administrator's token.
#[derive(Debug)]
pub struct RejectedApi {
    tokens: Tokens,
    sink: Sink,
    intakes: BTreeMap<String, Intake>,
}

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// How much of each body a list shows.
const SHOWN_MAX: usize = 4096;

impl RejectedApi {
    /// Replays through the way in of the source that once got the body.
    #[must_use]
    pub fn new(tokens: Tokens, sources: &[Source], context: &Context) -> Self {
        let intake = |source: &Source| (source.name.to_string(), Intake::new(source, context));
        Self { tokens, sink: context.sink.clone(), intakes: sources.iter().map(intake).collect() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct List {
    rejected: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: i64,
    source: String,
    received_at: String,
    reason: String,
    type_hint: Option<String>,
    /// Text; bytes that are no UTF-8 show as U+FFFD.
    body: String,
    /// The size of the whole body in bytes.
    size: usize,
    truncated: bool,
    replayed_at: Option<String>,
}

impl Shown {
    fn new(kept: &Rejected, shown_max: usize) -> Self {
        let rejected = &kept.rejected;
        let shown = rejected.body.get(..shown_max).unwrap_or(&rejected.body);
        Self {
            id: kept.id,
            source: rejected.source.clone(),
            received_at: rejected.received_at.to_string(),
            reason: rejected.reason.clone(),
            type_hint: rejected.type_hint.clone(),
            body: String::from_utf8_lossy(shown).into_owned(),
            size: rejected.body.len(),
            truncated: shown.len() < rejected.body.len(),
            replayed_at: kept.replayed_at.map(|at| at.to_string()),
        }
    }
}

/// Lets nobody through without the token.
pub(super) async fn admit(
    State(api): State<Arc<RejectedApi>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    if given.is_some_and(|token| api.tokens.admit(token)) {
        Ok(next.run(request).await)
    } else {
        Err(Refusal::unauthorized("send `Authorization: Bearer TOKEN` with the token of `api.token`"))
    }
}

/// The newest rejected bodies, each cut to what fits a list.
pub(super) async fn list(
    State(api): State<Arc<RejectedApi>>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query.map_err(|error| bad_request(&error))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad_request(&format!("`limit` must be from 1 to {LIMIT_MAX}")));
    }
    let kept = api.sink.rejected(limit).await.map_err(|error| failed(&error))?;
    let rejected = kept.iter().map(|kept| Shown::new(kept, SHOWN_MAX)).collect();
    Ok(json(StatusCode::OK, &List { rejected }))
}

/// One rejected body, whole.
pub(super) async fn show(
    State(api): State<Arc<RejectedApi>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let kept = find(&api, &id).await?;
    Ok(json(StatusCode::OK, &Shown::new(&kept, usize::MAX)))
}

/// Decodes a rejected body again, as it is understood now, and appends it.
pub(super) async fn replay(
    State(api): State<Arc<RejectedApi>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let kept = find(&api, &id).await?;
    let rejected = &kept.rejected;
    if let Some(at) = kept.replayed_at {
        let message = format!("it was replayed at {at}");
        return Err(Refusal::new(StatusCode::CONFLICT, "already_replayed", message));
    }
    let intake = api.intakes.get(&rejected.source).ok_or_else(|| {
        let message = format!("the source `{}` is no longer configured", rejected.source);
        Refusal::new(StatusCode::CONFLICT, "unknown_source", message)
    })?;
    let body = Bytes::from(rejected.body.clone());
    let raw = body.slice_ref(body.trim_ascii());
    let event = intake
        .decode(raw, rejected.type_hint.as_deref(), rejected.received_at)
        .map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "undecodable", error.to_string()))?;
    let receipt = intake.append(vec![event]).await.map_err(|error| Refusal::not_appended(&error))?;
    // Marking comes last: an interruption costs a second replay, which is recognised as a duplicate.
    api.sink.rejected_settle(kept.id, intake.clock.now()).await.map_err(|error| failed(&error))?;
    tracing::info!(id = kept.id, source = %intake.name, "replayed a rejected body");
    let answer = serde_json::json!({ "stored": receipt.stored, "duplicates": receipt.duplicates });
    Ok(json(StatusCode::OK, &answer))
}

async fn find(api: &RejectedApi, id: &str) -> Result<Rejected, Refusal> {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no rejected body of that id");
    let id = id.parse().map_err(|_| missing())?;
    api.sink.rejected_get(id).await.map_err(|error| failed(&error))?.ok_or_else(missing)
}

fn bad_request(message: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message.to_string())
}

fn failed(error: &SourceError) -> Refusal {
    tracing::error!(%error, "the rejected bodies cannot be read or marked");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", "the store failed; its log says why")
}
