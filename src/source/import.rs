//! Importing the past through a running daemon: events are posted to it, and it says what became of each.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Refusal};
use super::body;
use super::intake::{Context, Intake};
use super::metrics::Reason;
use super::past::Past;
use super::split::{SplitError, split};
use super::tokens::{Tokens, bearer};
use super::{SourceError, http};
use crate::event::{Format, PAST};
use crate::log::{AppendError, Receipt};

/// `POST /api/v1/import`, for who has the administrator's token.
#[derive(Debug)]
pub struct ImportEndpoint {
    tokens: Tokens,
    context: Context,
}

/// How the events are to be taken.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    /// The name they are stored under.
    source: Option<String>,
    /// Their format; each is recognised by itself without it.
    format: Option<Format>,
    /// Whether rules raise alerts for them.
    judge: bool,
}

impl ImportEndpoint {
    /// Its path.
    pub const PATH: &str = "/api/v1/import";

    /// Takes events into this log from who shows one of these tokens.
    #[must_use]
    pub const fn new(tokens: Tokens, context: Context) -> Self {
        Self { tokens, context }
    }

    /// What answers there.
    pub fn route(self) -> MethodRouter {
        post(receive).fallback(http::only_post).with_state(Arc::new(self))
    }

    async fn answer(&self, wish: Wish, request: Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let given = parts.headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        if !given.is_some_and(|token| self.tokens.admit(token)) {
            return Err(Refusal::unauthorized(
                "send `Authorization: Bearer TOKEN` with the token of `api.token`",
            ));
        }
        let name = source_name(wish.source.as_deref(), wish.judge)?;
        let limits = &self.context.limits;
        let body = body::read(&parts.headers, body, limits, &self.context.in_flight).await?;
        let (max, long) = (limits.events, body.is_long());
        let intake = Intake::named(name.into(), wish.format, &self.context);
        let decoder = intake.clone();
        let work = move || {
            let pieces = split(&body.bytes, max).map_err(|error| match error {
                SplitError::TooMany => Refusal::too_many(max),
                SplitError::Bad(bad) => {
                    Refusal::undecodable(&bad, "send a JSON array, one object, or one object per line")
                }
            })?;
            Ok(decoder.decode_all(pieces, false, decoder.clock.now()))
        };
        let decoded = body::off_runtime(long, work).await?;
        intake.counters.rejected(Reason::Undecodable, decoded.bad.len() as u64);
        let past = Past::over(intake);
        let added = past.add(decoded.events, &CancellationToken::new()).await.map_err(|e| not_added(&e))?;
        let receipt = Receipt { stored: added.stored, duplicates: added.duplicates, last: 0 };
        Ok(answer::partly_stored(receipt, &decoded.bad))
    }
}

/// The name under which imported events are stored: with `judge` as those of any source, else as those of the past.
fn source_name(given: Option<&str>, judge: bool) -> Result<String, Refusal> {
    let given = given.unwrap_or("import");
    let is_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if given.is_empty() || given.len() > 100 || !given.chars().all(is_ok) {
        let message = "`source` must be a name of lower-case letters, digits, `-` and `_`";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message));
    }
    Ok(if judge { given.to_owned() } else { format!("{PAST}{given}") })
}

fn not_added(error: &SourceError) -> Refusal {
    match error {
        SourceError::Closed | SourceError::Stopped => Refusal::not_appended(&AppendError::Closed),
        other => {
            tracing::error!(error = %other, "the past cannot be imported");
            Refusal::not_appended(&AppendError::Unavailable(other.to_string()))
        }
    }
}

async fn receive(
    State(endpoint): State<Arc<ImportEndpoint>>,
    wish: Result<Query<Wish>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let wish = match wish {
        Ok(Query(wish)) => wish,
        Err(error) => {
            return Refusal::new(StatusCode::BAD_REQUEST, "bad_request", error.to_string()).into_response();
        }
    };
    endpoint.answer(wish, request).await.unwrap_or_else(IntoResponse::into_response)
}
