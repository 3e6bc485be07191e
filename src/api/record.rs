//! The audit log of calls that change something.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::admit::{Caller, Peer};
use super::control::Control;
use super::problem::{Code, Problem};
use super::repeats::{TOGETHER, Turn};
use crate::store::Deed;

/// Bytes that are kept of the path and the wishes of a call that was refused: anybody with a token can send them.
const REFUSED_MAX: usize = 200;

/// The call as it will stand in the audit log.
#[derive(Debug, Clone)]
pub(super) struct Ticket(Arc<Mutex<Deed>>);

impl Ticket {
    /// The call with what was asked for, without secrets; for the transaction of the change.
    pub(super) fn asking(&self, request: impl Into<String>) -> Deed {
        let mut deed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        deed.request = request.into();
        deed.clone()
    }

    fn deed(&self) -> Deed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Sync> FromRequestParts<S> for Ticket {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::internal)
    }
}

/// An answer whose change stands in the audit log already.
#[derive(Debug)]
pub(super) struct Recorded<T>(pub(super) T);

#[derive(Debug, Clone, Copy)]
struct IsRecorded;

impl<T: IntoResponse> IntoResponse for Recorded<T> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.extensions_mut().insert(IsRecorded);
        response
    }
}

/// Records each call that would change something: what was changed is recorded with the change, in its transaction;
/// what was refused or failed is recorded here, the first of many alike by itself and the others in one row. Paths and methods that are not there are none.
pub(super) async fn record(
    State(control): State<Arc<Control>>,
    mut request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let author = request.extensions().get().map(Caller::author).unwrap_or_default();
    let what = format!("{} {}", request.method(), request.uri().path());
    let deed =
        Deed { address: Peer::of(&request).to_string(), ..Deed::new(control.clock.now(), author, what) };
    let ticket = Ticket(Arc::new(Mutex::new(deed)));
    request.extensions_mut().insert(ticket.clone());
    let response = next.run(request).await;
    let status = response.status();
    if response.extensions().get::<IsRecorded>().is_some() || status == StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let outcome = match response.extensions().get::<Code>() {
        Some(Code(code)) => format!("refused: {} {code}", status.as_u16()),
        None => format!("done: {}", status.as_u16()),
    };
    let mut deed = ticket.deed();
    if !response.status().is_success() {
        deed.what.truncate(deed.what.floor_char_boundary(REFUSED_MAX));
        deed.request.truncate(deed.request.floor_char_boundary(REFUSED_MAX));
        match control.guard.repeats.note(&deed, &outcome) {
            Turn::Write => {}
            Turn::Counted => return response,
            Turn::Later => {
                tokio::spawn(write_repeats(control, deed.author, outcome));
                return response;
            }
        }
    }
    write(&control, deed, outcome).await;
    response
}

/// Writes down how many refusals there were, when they have been counted for long enough.
async fn write_repeats(control: Arc<Control>, author: String, outcome: String) {
    control.clock.sleep(TOGETHER).await;
    if let Some((deed, outcome)) = control.guard.repeats.take(&author, &outcome) {
        write(&control, deed, outcome).await;
    }
}

async fn write(control: &Control, deed: Deed, outcome: String) {
    if let Err(problem) = control.ask(move |store| store.record(&deed, &outcome)).await {
        tracing::error!(?problem, "a call could not be recorded in the audit log");
    }
}

#[cfg(test)]
mod tests;
