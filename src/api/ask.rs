//! How handlers get what a caller asked for: strictly, and with an answer that says where the mistake is.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Fault, Problem};
use crate::rule::closest;

/// Bytes of a body; no call needs nearly as many.
pub(super) const BODY_MAX: usize = 64 << 10;
/// Characters of a text that people give: a reason, an owner.
const TEXT_MAX: usize = 1_000;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// 422 for a text of a field that says nothing, or more than anybody reads.
pub(super) fn check_text(field: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::unfit(field, "it must not be empty"));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(Problem::unfit(field, format!("it must have at most {TEXT_MAX} characters")));
    }
    Ok(())
}

/// The query, as `T` has it.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(bad_value(&error.body_text())),
        }
    }
}

/// `Failed to deserialize query string: limit: it must be …`, taken apart.
fn bad_value(text: &str) -> Problem {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let named =
        text.split_once(": ").filter(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
    let (parameter, reason) = match (named, missing(text)) {
        (Some((name, reason)), _) => (Some(name.to_owned()), reason),
        (None, Some(name)) => (Some(name.to_owned()), MISSING),
        (None, None) => (None, text),
    };
    let detail = match &parameter {
        Some(name) => format!("`{name}`: {reason}"),
        None => reason.to_owned(),
    };
    let problem = Problem::bad("bad_parameter", detail);
    problem.fault(Fault { parameter, detail: reason.to_owned(), ..Fault::default() })
}

const MISSING: &str = "it is missing, and must be given";

/// The name of what serde says is missing.
fn missing(text: &str) -> Option<&str> {
    text.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Refuses parameters that a path does not have, and those given twice.
pub(super) fn check_names(uri: &Uri, known: &[String]) -> Result<(), Problem> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(Problem::bad("bad_parameter", "the query is not made of `name=value` pairs"));
    };
    for (index, (name, _)) in pairs.iter().enumerate() {
        if !known.contains(name) {
            return Err(unknown("parameter", name, known, |fault, name| fault.parameter = Some(name)));
        }
        if pairs.iter().take(index).any(|(earlier, _)| earlier == name) {
            let detail = format!("the parameter `{name}` stands there twice");
            let fault = Fault { parameter: Some(name.clone()), detail: detail.clone(), ..Fault::default() };
            return Err(Problem::bad("bad_parameter", detail).fault(fault));
        }
    }
    Ok(())
}

fn unknown(what: &str, name: &str, known: &[String], place: impl FnOnce(&mut Fault, String)) -> Problem {
    let shown: String = name.chars().take(100).collect();
    let detail = format!("there is no {what} `{shown}`");
    let mut fault = Fault { detail: detail.clone(), ..Fault::default() };
    place(&mut fault, shown);
    let names = known.iter().map(String::as_str);
    let help = match closest(name, names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("it takes no {what}s"),
        None => format!("the {what}s are `{}`", known.join("`, `")),
    };
    let problem = if what == "field" {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_field", detail)
    } else {
        Problem::bad("unknown_parameter", detail)
    };
    problem.help(help).fault(fault)
}

/// The body, a JSON object of at most 64 KiB, as `T` has it. Words that are no JSON are 400; JSON that is not what is
/// wanted is 422.
#[derive(Debug)]
pub(super) struct Sent<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "the body must be JSON";
            let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
            return Err(problem.help("send it with `Content-Type: application/json`"));
        }
        let bytes = read(body).await?;
        let body: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::bad("bad_json", format!("the body is no JSON: {error}")))?;
        // A struct would be read from an array too.
        if !body.is_object() {
            return Err(unprocessable("the body must be a JSON object".to_owned()));
        }
        serde_path_to_error::deserialize(body).map(Self).map_err(|error| bad_body(&error))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let slow =
        || Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body did not arrive in time");
    let read = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY_MAX));
    read.await.map_err(|_| slow())?.map_err(|error| {
        // That the limit was met is only told as the cause of the error.
        let is_long =
            std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if is_long {
            let detail = format!("the body is larger than {BODY_MAX} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        } else {
            Problem::bad("body_incomplete", "the body broke off")
        }
    })
}

fn bad_body(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (text, path) = (error.inner().to_string(), error.path().to_string());
    let mut quoted = text.split('`').skip(1).step_by(2).map(str::to_owned);
    if text.starts_with("unknown field")
        && let Some(name) = quoted.next()
    {
        let known: Vec<String> = quoted.collect();
        return unknown("field", &name, &known, |fault, name| fault.field = Some(name));
    }
    match missing(&text) {
        Some(name) => Problem::unfit(name, MISSING),
        None if path == "." => unprocessable(text),
        None => Problem::unfit(&path, text),
    }
}

fn unprocessable(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::testing::{CONFIGURED, Setup, of};

    #[tokio::test]
    async fn a_wrong_body_is_told_which_field_is_wrong_and_how() {
        let setup = Setup::new(true);
        for (path, body, field, words) in [
            ("alerts/a/resolve", json!({"verdict": "bad"}), "verdict", "expected one of `true_positive`"),
            ("alerts/a/resolve", json!({}), "verdict", "must be given"),
            ("alerts/a/assign", json!({}), "assignee", "must be given"),
            ("alerts/a/acknowledge", json!({"note": 7}), "note", "expected a string"),
            ("alerts/a/acknowledge", json!({"revision": u64::MAX}), "revision", "no number is that large"),
            ("alerts/a/comment", json!({"txt": "x"}), "txt", "there is no field"),
            ("silences", json!({"matchers": ["rule=x", 7]}), "matchers[1]", "expected a string"),
        ] {
            let (status, answer) = setup.post(&format!("/api/v1/{path}"), CONFIGURED, body).await;
            assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!(field)), "{answer}");
            assert!(answer["detail"].as_str().unwrap().contains(words), "{words}: {answer}");
        }
        let (status, answer) = setup.json(of("DELETE", "/api/v1/silences/1", Some(CONFIGURED))).await;
        assert_eq!((status, &answer["errors"][0]["parameter"]), (400, &json!("reason")), "{answer}");
        assert_eq!(answer["detail"], "`reason`: it is missing, and must be given");
    }
}
