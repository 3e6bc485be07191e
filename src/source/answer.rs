//! What a sender is told: JSON, whether it went well or not.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::split::Bad;
use crate::log::{AppendError, Receipt};

/// Why a request was not answered as wished. Becomes a JSON answer with the fitting status and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// What the body says.
    pub error: Box<ErrorBody>,
    /// A header that goes with the answer.
    pub header: Option<(HeaderName, &'static str)>,
}

/// The `error` object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// A stable short name.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The line of the body that is meant, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in it, in bytes from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'static str>,
}

impl Refusal {
    /// A refusal without a place in the body.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let error = ErrorBody { code, message: message.into(), line: None, column: None, help: None };
        Self { status, error: Box::new(error), header: None }
    }

    fn help(mut self, help: &'static str) -> Self {
        self.error.help = Some(help);
        self
    }

    fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// 401 for a sender that shows no token, or a wrong one; which of the two is not told.
    #[must_use]
    pub fn unauthorized(help: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "the token is missing or wrong")
            .help(help)
            .header(WWW_AUTHENTICATE, "Bearer")
    }

    /// 405 for anything but the allowed methods.
    #[must_use]
    pub fn method(allow: &'static str) -> Self {
        let message = format!("this path takes {allow} only");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).header(ALLOW, allow)
    }

    pub(super) fn too_large(limit: u64) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            .help("send smaller batches, or raise `limits.body`")
    }

    pub(super) fn bomb(limit: u64) -> Self {
        let message = format!("the decompressed body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "decompressed_too_large", message)
            .help("send smaller batches, or raise `limits.decompressed`")
    }

    pub(super) fn too_many(limit: usize) -> Self {
        let message = format!("the body holds more than {limit} events");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", message)
            .help("send smaller batches, or raise `limits.events`")
    }

    pub(super) fn encoding() -> Self {
        let message = "this content encoding is not understood";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
            .help("send the body as it is or with `Content-Encoding: gzip`")
            .header(axum::http::header::ACCEPT_ENCODING, "gzip")
    }

    pub(super) fn gzip(error: &std::io::Error) -> Self {
        let message = format!("the body is no whole gzip stream: {error}");
        Self::new(StatusCode::BAD_REQUEST, "bad_gzip", message)
    }

    pub(super) fn slow() -> Self {
        let message = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
            .header(axum::http::header::CONNECTION, "close")
    }

    pub(super) fn broken_off() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body_incomplete", "the body broke off")
    }

    pub(super) fn overloaded() -> Self {
        let message = "more is coming in than can be written; nothing of this request was stored";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
            .help("send it again after the time in `Retry-After`")
            .header(RETRY_AFTER, "1")
    }

    /// 503, with the time after which it is worth trying again.
    #[must_use]
    pub fn not_appended(error: &AppendError) -> Self {
        let message = match error {
            AppendError::Overloaded => return Self::overloaded(),
            // Why is in our own log: a path or a disk's name is nothing for senders.
            AppendError::Unavailable(_) => "events cannot be written at present",
            AppendError::Closed => "shutting down",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .help("send it again after the time in `Retry-After`")
            .header(RETRY_AFTER, "5")
    }

    /// 503 for an import that the log does not take; some of it may be there.
    pub(super) fn import_broken_off() -> Self {
        let message =
            "events cannot be written at present; what of this import is stored already will be passed over";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .help("send it again after the time in `Retry-After`")
            .header(RETRY_AFTER, "5")
    }

    /// 503 for what can neither be read nor be kept for people to look at.
    pub(super) fn not_kept() -> Self {
        let message = "the body cannot be decoded, and cannot be kept among the rejected ones at present";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .help("send it again after the time in `Retry-After`")
            .header(RETRY_AFTER, "5")
    }

    pub(super) fn undecodable(bad: &Bad, help: &'static str) -> Self {
        let mut refusal = Self::new(StatusCode::BAD_REQUEST, "undecodable", bad.reason.clone()).help(help);
        refusal.error.line = Some(bad.line);
        refusal.error.column = Some(bad.column);
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer {
            error: Box<ErrorBody>,
        }
        let mut response = json(self.status, &Answer { error: self.error });
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200: everything is on disk.
pub(super) fn stored(receipt: Receipt) -> Response {
    #[derive(Serialize)]
    struct Stored {
        stored: u64,
        duplicates: u64,
    }
    json(StatusCode::OK, &Stored { stored: receipt.stored, duplicates: receipt.duplicates })
}

/// 200 with `?partial=true`: what could be decoded is on disk, and this is what could not.
pub(super) fn partly_stored(receipt: Receipt, bad: &[Bad]) -> Response {
    #[derive(Serialize)]
    struct PartlyStored<'a> {
        stored: u64,
        duplicates: u64,
        rejected: Vec<RejectedLine<'a>>,
    }
    #[derive(Serialize)]
    struct RejectedLine<'a> {
        line: usize,
        column: usize,
        reason: &'a str,
    }
    let rejected = bad
        .iter()
        .map(|bad| RejectedLine { line: bad.line, column: bad.column, reason: &bad.reason })
        .collect();
    let Receipt { stored, duplicates, .. } = receipt;
    json(StatusCode::OK, &PartlyStored { stored, duplicates, rejected })
}
