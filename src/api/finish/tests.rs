use axum::Router;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::api::testing::of;

async fn answer(router: Router, method: &str, path: &str) -> (u16, axum::http::HeaderMap, Value) {
    let response = router.oneshot(of(method, path, None)).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn boom() -> StatusCode {
    panic!("a handler fell over")
}

fn router() -> Router {
    Router::new()
        .route("/api/v1/boom", get(boom))
        .route("/api/v1/plain", get(|| async { (StatusCode::UNSUPPORTED_MEDIA_TYPE, "in plain words") }))
        .route("/api/v1/post", post(|| async {}))
        .route("/other", get(|| async { (StatusCode::NOT_FOUND, "as it is") }))
        .layer(from_fn(finish))
}

#[tokio::test]
async fn every_error_has_one_form() {
    for (method, path, status, code) in [
        (Method::GET, "/api/v1/boom", 500, "internal"),
        (Method::GET, "/api/v1/plain", 415, "unsupported_media_type"),
        (Method::DELETE, "/api/v1/post", 405, "method_not_allowed"),
    ] {
        let (found, headers, body) = answer(router(), method.as_str(), path).await;
        assert_eq!((found, body["status"].as_u64()), (status, Some(status.into())), "{path}");
        assert_eq!(
            (body["code"].as_str(), headers["content-type"].to_str().unwrap()),
            (Some(code), "application/problem+json")
        );
        assert_eq!(body["type"], format!("urn:watchfire:problem:{code}"));
        assert_eq!(headers["x-request-id"].len(), 16);
        assert_eq!(headers.contains_key(axum::http::header::ALLOW), status == 405);
    }
}

#[tokio::test]
async fn headers_keep_answers_out_of_caches_and_frames() {
    let (_, headers, _) = answer(router(), "POST", "/api/v1/post").await;
    for (name, value) in HEADERS {
        assert_eq!(headers[name].to_str().unwrap(), value);
    }
    let (status, headers, _) = answer(router(), "GET", "/other").await;
    assert_eq!(
        (status, headers.contains_key(REQUEST_ID)),
        (404, false),
        "what is not the API's is left alone"
    );
}

/// Tells when it is dropped.
struct Told(tokio::sync::mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send(self.1).unwrap();
    }
}

#[tokio::test]
async fn a_question_ends_with_its_caller_and_a_change_does_not() {
    let (sender, mut said) = tokio::sync::mpsc::unbounded_channel();
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let handler = |ended: &'static str, done: &'static str| {
        let (sender, go) = (sender.clone(), std::sync::Arc::clone(&go));
        move || async move {
            let _ended = Told(sender.clone(), ended);
            sender.send("begun").unwrap();
            go.notified().await;
            sender.send(done).unwrap();
        }
    };
    let router = Router::new()
        .route(
            "/api/v1/x",
            get(handler("question ended", "answered")).post(handler("change ended", "changed")),
        )
        .layer(from_fn(finish));
    for (method, then) in [("GET", ["question ended"].as_slice()), ("POST", &["changed", "change ended"])] {
        let call = tokio::spawn(router.clone().oneshot(of(method, "/api/v1/x", None)));
        assert_eq!(said.recv().await, Some("begun"));
        call.abort();
        assert!(call.await.is_err());
        if method == "POST" {
            go.notify_one();
        }
        for expected in then {
            assert_eq!(said.recv().await, Some(*expected));
        }
    }
}
