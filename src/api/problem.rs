//! What goes wrong, as RFC 9457 has it: `application/problem+json`.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::no_cursor;
use crate::search::SearchError;
use crate::store::StoreError;

/// Its media type.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An error, as RFC 9457 describes it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:watchfire:problem:unknown_parameter", "title": "Bad Request", "status": 400,
    "code": "unknown_parameter", "detail": "there is no parameter `limt`", "help": "did you mean `limit`?",
    "errors": [{"parameter": "limt", "detail": "there is no parameter `limt`"}]
}))]
pub(super) struct ProblemBody {
    /// `urn:watchfire:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A stable short name.
    code: &'static str,
    /// What is wrong, in a sentence.
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    help: Option<String>,
    /// Where, if it can be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// One place that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Fault {
    /// The parameter of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) parameter: Option<String>,
    /// The field of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) field: Option<String>,
    /// Where in the parameter's text it begins, in bytes from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) at: Option<usize>,
    /// How many characters are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) width: Option<usize>,
    /// What is wrong there.
    pub(super) detail: String,
}

/// An answer that is no success.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    body: ProblemBody,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Goes with the response of a problem: its short name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code(pub(super) &'static str);

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let body = ProblemBody {
            kind: format!("urn:watchfire:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            help: None,
            errors: Vec::new(),
        };
        Self(Box::new(Inner { body, headers: Vec::new() }))
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.body.help = Some(help.into());
        self
    }

    #[must_use]
    pub(super) fn fault(mut self, fault: Fault) -> Self {
        self.0.body.errors.push(fault);
        self
    }

    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// 400 for what was written wrong.
    pub(super) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 422 for what a field of the body, or a parameter, cannot be.
    pub(super) fn unfit(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let fault = Fault { field: Some(field.to_owned()), detail: detail.clone(), ..Fault::default() };
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", format!("`{field}`: {detail}"));
        problem.fault(fault)
    }

    /// 404 for a thing that is not there.
    pub(super) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    /// 404 for a path that is nobody's.
    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path")
            .help("/api/v1/openapi.json has all paths")
    }

    /// 409 for what does not go together with how things stand.
    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 401, with what RFC 6750 wants to be told.
    pub(super) fn unauthorized(detail: &str, challenge: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .help("send `Authorization: Bearer TOKEN`; `watchfire token add` makes one")
            .header(WWW_AUTHENTICATE, challenge)
    }

    /// 429, and when to come again.
    pub(super) fn too_many(detail: &str, wait_ms: i64) -> Self {
        let seconds = wait_ms.max(1).saturating_add(999) / 1_000;
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
            .help("come again after the seconds in `Retry-After`")
            .header(RETRY_AFTER, &seconds.to_string())
    }

    /// 503, and when to come again.
    pub(super) fn unavailable(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .help("come again after the seconds in `Retry-After`")
            .header(RETRY_AFTER, "5")
    }

    /// 500; why is in our own log: it is nothing for callers.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this failed here; the daemon's log says why",
        )
    }

    /// What a status alone says, where no handler said more.
    pub(super) fn of(status: StatusCode) -> Self {
        let words = status.canonical_reason().unwrap_or("it failed");
        let code = match status {
            StatusCode::BAD_REQUEST => "bad_request",
            StatusCode::NOT_FOUND => "not_found",
            // The router adds `Allow` further out.
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::UNPROCESSABLE_ENTITY => "unprocessable",
            status if status.is_server_error() => return Self::internal(),
            _ => "refused",
        };
        Self::new(status, code, words)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotWritable { .. } | StoreError::Locked { .. } => {
                tracing::warn!(%error, "the store takes no changes");
                Self::unavailable("changes cannot be written at present")
            }
            StoreError::Unknown { what } => Self::missing(what),
            StoreError::Conflict { what } => Self::conflict("conflict", what.clone()),
            StoreError::Outdated { what } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "outdated", what.clone()).help("fetch it again")
            }
            StoreError::Database(_) | StoreError::Corrupt { .. } | StoreError::Version { .. } => {
                tracing::error!(%error, "the store failed");
                Self::internal()
            }
        }
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Cursor => no_cursor(),
            SearchError::Stretches(_) => Self::bad("bad_parameter", error.to_string()),
            SearchError::Log(_) | SearchError::Index(_) | SearchError::Moved => {
                tracing::error!(%error, "the log cannot be searched");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { body, headers } = *self.0;
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() =
            StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(Code(body.code));
        response
    }
}
