use axum::Router;
use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::testing::{Fixture, source};
use super::super::tokens::tests::tokens;
use super::*;
use crate::log::AppendError;

fn router(fixture: &Fixture) -> Router {
    let gitlab = Input::Gitlab { path: "/ingest/gitlab".into(), tokens: tokens(&["s3cret", "n3xt"]) };
    let generic = Input::Http { path: "/ingest/generic".into(), tokens: tokens(&["b3arer"]) };
    let sources = [source("gitlab", gitlab), source("generic", generic), source("in", Input::Stdin)];
    endpoints(&sources, &fixture.context)
        .into_iter()
        .map(Endpoint::route)
        .fold(Router::new(), |router, (path, route)| router.route(&path, route))
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn send(fixture: &Fixture, request: Request) -> Answer {
    let response = router(fixture).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
    let body = serde_json::from_slice(&bytes).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn from_gitlab(body: impl Into<Body>) -> Request {
    Request::post("/ingest/gitlab")
        .header("X-Gitlab-Event-Streaming-Token", "s3cret")
        .header("X-Gitlab-Audit-Event-Type", "project_destroyed")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.into())
        .unwrap()
}

fn batch(query: &str, body: impl Into<Body>) -> Request {
    Request::post(format!("/ingest/generic{query}"))
        .header(AUTHORIZATION, "Bearer b3arer")
        .body(body.into())
        .unwrap()
}

/// received, stored, duplicate of one source.
fn totals(fixture: &Fixture, source: &str) -> (u64, u64, u64) {
    fixture.context.metrics.of(source).totals()
}

#[tokio::test]
async fn gitlab_is_answered_when_its_event_is_stored() {
    let fixture = Fixture::new();
    let event = "  {\"id\":1,\"author_id\":7}\n";
    let answer = send(&fixture, from_gitlab(event)).await;
    assert_eq!((answer.status, answer.body), (200, json!({"stored": 1, "duplicates": 0})));
    let stored = &fixture.memory.events()[0];
    assert_eq!(stored.raw, event.trim());
    assert_eq!(stored.type_hint.as_deref(), Some("project_destroyed"));
    assert_eq!(stored.source.as_ref(), "gitlab");

    let again = send(&fixture, from_gitlab(event)).await;
    assert_eq!((again.status, again.body), (200, json!({"stored": 0, "duplicates": 1})));
    assert_eq!(totals(&fixture, "gitlab"), (2, 1, 1));
}

#[tokio::test]
async fn every_token_of_a_destination_is_admitted_and_no_other() {
    let fixture = Fixture::new();
    let with = |token: Option<&str>| {
        let request = Request::post("/ingest/gitlab");
        let request = match token {
            Some(token) => request.header("x-gitlab-event-streaming-token", token),
            None => request.header(AUTHORIZATION, "Bearer s3cret"),
        };
        request.body(Body::from("{}")).unwrap()
    };
    assert_eq!(send(&fixture, with(Some("n3xt"))).await.status, 200);
    for wrong in [Some("b3arer"), Some(""), None] {
        let answer = send(&fixture, with(wrong)).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert_eq!(answer.body["error"]["code"], "unauthorized");
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
    }
    assert_eq!(fixture.memory.bodies().len(), 1);
}

#[tokio::test]
async fn what_gitlab_sends_is_kept_even_if_it_cannot_be_read() {
    let fixture = Fixture::new();
    for body in ["{\"id\":1", "", "[1]"] {
        let answer = send(&fixture, from_gitlab(body)).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("undecodable")), "{body}");
    }
    let kept = fixture.memory.rejected(10);
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[2].rejected.body, b"{\"id\":1");
    assert_eq!(kept[2].rejected.type_hint.as_deref(), Some("project_destroyed"));
    assert_eq!(totals(&fixture, "gitlab"), (3, 0, 0));
}

#[tokio::test]
async fn a_batch_comes_in_any_form() {
    let lines = "{\"id\":1}\n{\"id\":2}\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, lines.as_bytes()).unwrap();
    let mut gzip = batch("", packed.finish().unwrap());
    gzip.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    for request in [batch("", lines), batch("", r#"[{"id":1},{"id":2}]"#), gzip] {
        let fixture = Fixture::new();
        let answer = send(&fixture, request).await;
        assert_eq!((answer.status, answer.body), (200, json!({"stored": 2, "duplicates": 0})));
        assert_eq!(fixture.memory.bodies(), [r#"{"id":1}"#, r#"{"id":2}"#]);
    }
}

#[tokio::test]
async fn one_bad_line_refuses_the_whole_body() {
    let fixture = Fixture::new();
    let answer = send(&fixture, batch("", "{\"id\":1}\n\n {\"id\" 2}\n{\"id\":3}\n")).await;
    assert_eq!(answer.status, 400);
    let error = &answer.body["error"];
    assert_eq!((&error["code"], &error["line"]), (&json!("undecodable"), &json!(3)));
    assert_eq!(error["column"], 8, "in the body's line, not in the trimmed event");
    assert!(error["message"].is_string() && error["help"].is_string());
    assert_eq!(fixture.memory.bodies(), Vec::<String>::new());
    assert_eq!(totals(&fixture, "generic"), (3, 0, 0));
}

#[tokio::test]
async fn a_partial_batch_stores_the_rest_and_lists_what_it_refused() {
    let fixture = Fixture::new();
    let body = "{\"id\":1}\nno\n{\"id\":1}\n7\n";
    let answer = send(&fixture, batch("?partial=true", body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["stored"], &answer.body["duplicates"]), (&json!(1), &json!(1)));
    let lines: Vec<_> =
        answer.body["rejected"].as_array().unwrap().iter().map(|r| r["line"].clone()).collect();
    assert_eq!(lines, [2, 4]);
    assert!(answer.body["rejected"][0]["reason"].is_string());
    assert_eq!(totals(&fixture, "generic"), (4, 1, 1));
    assert!(fixture.memory.rejected(10).is_empty(), "the sender knows what to send again");
}

#[tokio::test]
async fn a_body_of_nothing_stores_nothing() {
    let fixture = Fixture::new();
    for body in ["", "\n\n", "[]"] {
        let answer = send(&fixture, batch("", body)).await;
        assert_eq!((answer.status, &answer.body["stored"]), (200, &json!(0)), "{body:?}");
    }
}

#[tokio::test]
async fn an_array_is_good_or_bad_as_a_whole() {
    let fixture = Fixture::new();
    for query in ["", "?partial=true"] {
        let answer = send(&fixture, batch(query, "[{\"id\":1},\n{\"id\":2}")).await;
        assert_eq!((answer.status, &answer.body["error"]["line"]), (400, &json!(2)));
    }
    assert_eq!(totals(&fixture, "generic"), (2, 0, 0));
}

#[tokio::test]
async fn a_log_that_takes_nothing_says_when_to_come_again() {
    let fixture = Fixture::new();
    let cases = [
        (AppendError::Overloaded, "overloaded", "1"),
        (AppendError::Unavailable("/var/lib/x: disk full".into()), "unavailable", "5"),
        (AppendError::Closed, "unavailable", "5"),
    ];
    for (failure, code, after) in cases {
        fixture.memory.fail(&[failure]);
        let answer = send(&fixture, from_gitlab("{\"id\":1}")).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (503, &json!(code)));
        assert_eq!(answer.headers[RETRY_AFTER], after);
        assert!(!answer.body.to_string().contains("/var/lib"), "senders are told nothing of our disks");
    }
    assert!(fixture.context.sink.trouble().is_some());
    assert_eq!(send(&fixture, from_gitlab("{\"id\":1}")).await.status, 200);
    assert_eq!(fixture.context.sink.trouble(), None);
    assert_eq!(totals(&fixture, "gitlab"), (4, 1, 0));
}

#[tokio::test]
async fn limits_and_methods_are_answered_in_json() {
    let fixture = Fixture::new();
    let code = async |request| {
        let answer = send(&fixture, request).await;
        (answer.status, answer.body["error"]["code"].as_str().unwrap().to_owned())
    };
    let expect = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(code(batch("", vec![b' '; 10_001])).await, expect(413, "body_too_large"));
    assert_eq!(code(batch("", "{}\n".repeat(1_001))).await, expect(413, "too_many_events"));
    let mut brotli = batch("", "x");
    brotli.headers_mut().insert(CONTENT_ENCODING, "br".parse().unwrap());
    assert_eq!(code(brotli).await, expect(415, "unsupported_encoding"));
    let mut get = batch("", "");
    *get.method_mut() = Method::GET;
    let answer = send(&fixture, get).await;
    assert_eq!((answer.status, &answer.headers[ALLOW]), (405, &HeaderValue::from_static("POST")));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    struct Never;
    impl axum::body::HttpBody for Never {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    let mut fixture = Fixture::new();
    fixture.context.limits.read_time = crate::time::Span(0);
    let answer = send(&fixture, from_gitlab(Body::new(Never))).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (408, &json!("body_timeout")));
}
