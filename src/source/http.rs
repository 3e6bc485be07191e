//! Sources that are posted to. 200 means: on disk.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};

use super::answer::{self, Refusal};
use super::body::{self, BodyLimits, InFlight, ReadBody};
use super::config::{Input, Source};
use super::intake::{Context, Decoded, Intake, detached};
use super::metrics::Reason;
use super::split::{Bad, SplitError, split};
use super::tokens::{Tokens, bearer};

// docs.gitlab.com/user/compliance/audit_event_streaming: the token goes with every request, the type with those
// that have one. The content type is no help: GitLab posts JSON as `application/x-www-form-urlencoded`.
const GITLAB_TOKEN: &str = "x-gitlab-event-streaming-token";
const GITLAB_TYPE: &str = "x-gitlab-audit-event-type";

/// A path that is posted to.
#[derive(Debug)]
pub struct Endpoint {
    path: String,
    tokens: Tokens,
    protocol: Protocol,
    intake: Intake,
    limits: BodyLimits,
    in_flight: InFlight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// One event per request, GitLab's headers.
    Gitlab,
    /// Any number of events per request, a bearer token.
    Batch,
}

/// The endpoints among these sources.
#[must_use]
pub fn endpoints(sources: &[Source], context: &Context) -> Vec<Endpoint> {
    let endpoint = |source: &Source| {
        let (protocol, path, tokens) = match &source.input {
            Input::Gitlab { path, tokens } => (Protocol::Gitlab, path, tokens),
            Input::Http { path, tokens } => (Protocol::Batch, path, tokens),
            Input::File(_) | Input::Stdin | Input::Api(_) => return None,
        };
        Some(Endpoint {
            path: path.clone(),
            tokens: tokens.clone(),
            protocol,
            intake: Intake::new(source, context),
            limits: context.limits,
            in_flight: context.in_flight.clone(),
        })
    };
    sources.iter().filter_map(endpoint).collect()
}

impl Endpoint {
    /// The path, and what answers there.
    pub fn route(self) -> (String, MethodRouter) {
        let path = self.path.clone();
        (path, post(receive).fallback(only_post).with_state(Arc::new(self)))
    }

    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let opened = match self.admit(&parts.headers) {
            Ok(()) => body::read(&parts.headers, body, &self.limits, &self.in_flight).await,
            Err(refusal) => Err(refusal),
        };
        let body = opened.inspect_err(|refusal| self.refused(refusal))?;
        match self.protocol {
            Protocol::Gitlab => self.take_one(&parts.headers, body).await,
            Protocol::Batch => self.take_batch(is_partial(parts.uri.query()), body).await,
        }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let (given, help) = match self.protocol {
            Protocol::Gitlab => (
                headers.get(GITLAB_TOKEN).map(|value| value.as_bytes()),
                "send the destination's token as `X-Gitlab-Event-Streaming-Token`",
            ),
            Protocol::Batch => (
                headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())),
                "send `Authorization: Bearer TOKEN`",
            ),
        };
        if given.is_some_and(|token| self.tokens.admit(token)) {
            Ok(())
        } else {
            Err(Refusal::unauthorized(help))
        }
    }

    fn refused(&self, refusal: &Refusal) {
        let (source, code) = (&self.intake.name, refusal.error.code);
        tracing::debug!(%source, code, "turned a request away");
        self.intake.counters.refused(code);
    }

    /// GitLab sends an event once, whatever the answer: what cannot be read must be kept, or it is gone.
    async fn take_one(&self, headers: &HeaderMap, body: ReadBody) -> Result<Response, Refusal> {
        let hint = headers.get(GITLAB_TYPE).and_then(|value| value.to_str().ok());
        let raw = body.bytes.slice_ref(body.bytes.trim_ascii());
        let event = match self.intake.decode(raw, hint, self.intake.clock.now()) {
            Ok(event) => event,
            Err(error) => {
                let source = &self.intake.name;
                tracing::warn!(%source, reason = %error, "kept an event that cannot be decoded");
                if let Err(failed) = self.intake.reject(&body.bytes, hint, error.to_string()).await {
                    // Not stored, not kept: a sender that tries again shall, and it is not said to be there.
                    tracing::error!(%source, error = %failed, "an event that cannot be decoded cannot be kept");
                    return Err(Refusal::not_kept());
                }
                let bad = Bad { line: 1, column: error.column.max(1), reason: error.reason };
                return Err(Refusal::undecodable(&bad, "the body is kept among the rejected ones"));
            }
        };
        let events = detached(vec![event], body.bytes.len());
        drop(body);
        let receipt = self.intake.append(events).await.map_err(|e| Refusal::not_appended(&e))?;
        Ok(answer::stored(receipt))
    }

    async fn take_batch(&self, partial: bool, body: ReadBody) -> Result<Response, Refusal> {
        let (intake, max, long) = (self.intake.clone(), self.limits.events, body.is_long());
        // The body moves along and is let go of when the events are decoded: from then on they are the log's to bound.
        let work = move || read_batch(&intake, &body, max, partial);
        let decoded = body::off_runtime(long, work).await?;
        self.intake.counters.rejected(Reason::Undecodable, decoded.bad.len() as u64);
        let receipt = self.intake.append(decoded.events).await.map_err(|e| Refusal::not_appended(&e))?;
        if partial {
            return Ok(answer::partly_stored(receipt, &decoded.bad));
        }
        Ok(answer::stored(receipt))
    }
}

/// Takes the body apart and decodes it. Unless `partial`, one bad event refuses all of them.
fn read_batch(intake: &Intake, body: &ReadBody, max: usize, partial: bool) -> Result<Decoded, Refusal> {
    const HELP: &str = "nothing was stored; correct it, or add `?partial=true` to store the others";
    let counters = &intake.counters;
    let pieces = split(&body.bytes, max).map_err(|error| match error {
        SplitError::TooMany => {
            let refusal = Refusal::too_many(max);
            counters.refused(refusal.error.code);
            refusal
        }
        SplitError::Bad(bad) => {
            counters.rejected(Reason::Undecodable, 1);
            Refusal::undecodable(&bad, "send a JSON array, one object, or one object per line")
        }
    })?;
    let count = pieces.len() as u64;
    let decoded = intake.decode_all(pieces, !partial, intake.clock.now());
    match decoded.bad.first() {
        Some(bad) if !partial => {
            counters.rejected(Reason::Undecodable, 1);
            counters.rejected(Reason::Batch, count - 1);
            Err(Refusal::undecodable(bad, HELP))
        }
        _ => Ok(Decoded { events: detached(decoded.events, body.bytes.len()), bad: decoded.bad }),
    }
}

fn is_partial(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "partial=true"))
}

async fn receive(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    endpoint.answer(request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn only_post() -> Refusal {
    Refusal::method("POST")
}

/// 404, for paths that are nobody's.
pub async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

#[cfg(test)]
mod tests;
