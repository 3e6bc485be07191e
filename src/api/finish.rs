//! The outermost layer: what every answer of the API has, whatever happened inside.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::task::AbortHandle;

use super::problem::{Code, Problem};

/// The paths that are the API's.
const PREFIX: &str = "/api/v1";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every answer. Nothing of it may be shown in a frame, run as a script or kept by somebody in between.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

/// Ends a task when dropped.
struct Until(AbortHandle);

impl Drop for Until {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gives the call an id, runs it on a task of its own (a panic is answered, and a change that has begun is finished
/// even if the caller goes away; what changes nothing then ends), and completes the answer.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    if !is_api(request.uri().path()) {
        return next.run(request).await;
    }
    let id = format!("{:016x}", rand::random::<u64>());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let call = tokio::spawn(next.run(request));
    let changes_nothing = matches!(method, Method::GET | Method::HEAD);
    let _until_gone = changes_nothing.then(|| Until(call.abort_handle()));
    let response = match call.await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, %method, %path, request = %id, "a call of the API ended in a panic");
            Problem::internal().into_response()
        }
    };
    let mut response = as_problem(response);
    let status = response.status().as_u16();
    tracing::debug!(%method, %path, status, request = %id, "answered a call of the API");
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // A page for people says itself what it needs.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.extend(HeaderValue::from_str(&id).ok().map(|id| (REQUEST_ID, id)));
    response
}

/// Whether a path is the API's.
pub(super) fn is_api(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An error that axum answered on its own, in the form of all others.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<Code>().is_some() {
        return response;
    }
    Problem::of(status).into_response()
}

#[cfg(test)]
mod tests;
