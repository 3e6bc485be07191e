use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request};
use serde_json::json;

use crate::api::Detection;
use crate::api::figures::OPEN_METRICS;
use crate::api::testing::{CONFIGURED, Setup, of};
use crate::log::AppendError;
use crate::source::Sink;
use crate::store::Deed;
use crate::time::Timestamp;

#[tokio::test]
async fn ready_means_written_and_judged() {
    let setup = Setup::new(true);
    assert_eq!(setup.json(of("GET", "/healthz", None)).await.0, 200);
    let (status, body) = setup.json(of("GET", "/readyz", None)).await;
    assert_eq!(
        (status, &body["ready"], &body["detection"]["state"]),
        (503, &json!(false), &json!("starting"))
    );

    setup.detection.send_replace(Detection::CatchingUp { position: 0 });
    assert_eq!(setup.json(of("GET", "/readyz", None)).await.0, 503);

    setup.detection.send_replace(Detection::Running { position: 0 });
    let (status, body) = setup.json(of("GET", "/readyz", None)).await;
    assert_eq!((status, &body["log"]["writable"], &body["lag"]), (200, &json!(true), &json!(0)));
    assert_eq!(setup.get("/api/v1/health", CONFIGURED).await, (200, but_responses(body)));

    setup.fixture.memory.fail(&[AppendError::Unavailable("disk full".into())]);
    let sink: &Sink = &setup.memory_sink;
    assert!(sink.tick(Timestamp(0)).await.is_err());
    let (status, body) = setup.json(of("GET", "/readyz", None)).await;
    assert_eq!((status, &body["log"]["error"]), (503, &json!("disk full")));
    assert_eq!(setup.get("/api/v1/health", CONFIGURED).await, (200, but_responses(body)));

    sink.tick(Timestamp(0)).await.unwrap();
    assert_eq!(setup.json(of("GET", "/readyz", None)).await.0, 200);
}

/// Without what both say in their own ways.
fn but_responses(mut body: serde_json::Value) -> serde_json::Value {
    body.as_object_mut().unwrap().remove("responses_stopped");
    body
}

/// `/readyz` needs no token: nobody's name and no free text stands there.
#[tokio::test]
async fn that_responses_are_stopped_is_told_and_makes_nothing_unready() {
    let setup = Setup::new(true);
    setup.detection.send_replace(Detection::Running { position: 0 });
    let (_, body) = setup.json(of("GET", "/readyz", None)).await;
    assert_eq!(body["responses_stopped"], false);
    assert_eq!(setup.get("/api/v1/health", CONFIGURED).await.1.get("responses_stopped"), None);
    let deed = |at| Deed::new(Timestamp(at), "ann", "watchfire respond stop");
    setup.store.responses_stop("a rule blocks everybody", &deed(86_400_000)).unwrap();
    let (status, body) = setup.json(of("GET", "/readyz", None)).await;
    assert_eq!((status, &body["ready"], &body["responses_stopped"]), (200, &json!(true), &json!(true)));
    let shown = body.to_string();
    assert!(!["ann", "1970", "everybody"].iter().any(|part| shown.contains(part)), "{shown}");
    let told = json!({"by": "ann", "since": "1970-01-02T00:00:00.000Z", "reason": "a rule blocks everybody"});
    let (status, health) = setup.get("/api/v1/health", CONFIGURED).await;
    assert_eq!((status, &health["ready"], &health["responses_stopped"]), (200, &json!(true), &told));
    assert_eq!(but_responses(health), but_responses(body));
    setup.store.responses_resume(&deed(2)).unwrap();
    assert_eq!(setup.json(of("GET", "/readyz", None)).await.1["responses_stopped"], false);
    assert_eq!(setup.get("/api/v1/health", CONFIGURED).await.1.get("responses_stopped"), None);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let setup = Setup::new(false);
    setup.send(Request::post("/in").body(Body::from("{}")).unwrap()).await;
    let (status, headers, text) = setup.send(of("GET", "/metrics", None)).await;
    assert_eq!((status, &headers[CONTENT_TYPE]), (200, &HeaderValue::from_static(OPEN_METRICS)));
    let line = r#"watchfire_source_refused_requests_total{source="gitlab",code="unauthorized"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn what_is_not_there_is_answered_in_json() {
    let setup = Setup::new(false);
    let (status, body) = setup.json(of("GET", "/nowhere", None)).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
    let (status, body) = setup.json(of("DELETE", "/metrics", None)).await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!("method_not_allowed")));
    for path in ["/api/v1", "/api/v1/", "/api/v1/nowhere", "/api/v1/alerts/"] {
        let (status, headers, body) = setup.send(of("GET", path, None)).await;
        assert_eq!((status, headers[CONTENT_TYPE].as_bytes()), (404, &b"application/problem+json"[..]));
        assert!(body.contains("no_such_path"), "{body}");
    }
    let (_, body) = setup.json(of("GET", "/api/v10", None)).await;
    assert_eq!(body["error"]["code"], "not_found");
}
