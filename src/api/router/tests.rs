use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::api::Detection;
use crate::event::Format;
use crate::log::AppendError;
use crate::source::testing::{Fixture, source};
use crate::source::{Input, Intake, Tokens, endpoints};

struct Setup {
    fixture: Fixture,
    router: Router,
    detection: watch::Sender<Detection>,
}

fn tokens(value: &str) -> Tokens {
    let reference: crate::deliver::SecretRef = serde_json::from_str(r#"{"env":"T"}"#).unwrap();
    Tokens::new(&[reference.resolve(&|_| Some(value.to_owned()), std::path::Path::new("")).unwrap()])
}

fn setup(with_administration: bool) -> Setup {
    let mut fixture = Fixture::new();
    let gitlab = source("gitlab", Input::Gitlab { path: "/in".into(), tokens: tokens("t") });
    let (detection, receiver) = watch::channel(Detection::Starting);
    let sources = [gitlab];
    let rejected = RejectedApi::new(tokens("admin"), &sources, &fixture.context);
    let api = Api {
        endpoints: endpoints(&sources, &fixture.context),
        health: Health {
            sink: fixture.context.sink.clone(),
            detection: receiver,
            polls: fixture.context.metrics.polls().clone(),
        },
        registry: Arc::new(std::mem::take(&mut fixture.registry)),
        rejected: with_administration.then_some(rejected),
        import: with_administration
            .then(|| ImportEndpoint::new(tokens("admin"), fixture.context.clone())),
    };
    Setup { fixture, router: router(api), detection }
}

impl Setup {
    async fn send(&self, request: Request<Body>) -> (u16, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn json(&self, request: Request<Body>) -> (u16, Value) {
        let (status, _, body) = self.send(request).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn of(method: &str, path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn ready_means_written_and_judged() {
    let setup = setup(false);
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

    setup.fixture.memory.fail(&[AppendError::Unavailable("disk full".into())]);
    let sink = &setup.fixture.context.sink;
    assert!(sink.tick(crate::time::Timestamp(0)).await.is_err());
    let (status, body) = setup.json(of("GET", "/readyz", None)).await;
    assert_eq!((status, &body["log"]["error"]), (503, &json!("disk full")));

    sink.tick(crate::time::Timestamp(0)).await.unwrap();
    assert_eq!(setup.json(of("GET", "/readyz", None)).await.0, 200);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let setup = setup(false);
    setup.send(Request::post("/in").body(Body::from("{}")).unwrap()).await;
    let (status, headers, text) = setup.send(of("GET", "/metrics", None)).await;
    assert_eq!((status, &headers[CONTENT_TYPE]), (200, &HeaderValue::from_static(OPEN_METRICS)));
    let line = r#"watchfire_source_refused_requests_total{source="gitlab",code="unauthorized"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn what_is_not_there_is_answered_in_json() {
    let setup = setup(false);
    let (status, body) = setup.json(of("GET", "/nowhere", None)).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
    let (status, body) = setup.json(of("DELETE", "/metrics", None)).await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!("method_not_allowed")));
    let (status, _) = setup.json(of("GET", "/api/v1/rejected", Some("admin"))).await;
    assert_eq!(status, 404, "without `api.token` there is no administration");
}

#[tokio::test]
async fn administration_needs_its_token() {
    let setup = setup(true);
    for path in ["/api/v1/rejected", "/api/v1/rejected/1"] {
        for wrong in [None, Some("t"), Some("")] {
            assert_eq!(setup.json(of("GET", path, wrong)).await.0, 401, "{path} {wrong:?}");
        }
    }
    assert_eq!(setup.json(of("POST", "/api/v1/rejected/1/replay", None)).await.0, 401);
}

#[tokio::test]
async fn rejected_bodies_are_listed_and_replayed_once() {
    let setup = setup(true);
    let intake = Intake::new(&source("gitlab", Input::Stdin), &setup.fixture.context);
    let long = format!("{{\"id\":1,\"text\":\"{}\"}}", "x".repeat(5_000));
    intake.reject(long.as_bytes(), Some("user_blocked"), "was not understood".into()).await.unwrap();
    intake.reject(b"never JSON", None, "expected value".into()).await.unwrap();

    let (status, body) = setup.json(of("GET", "/api/v1/rejected?limit=5", Some("admin"))).await;
    assert_eq!(status, 200);
    let list = body["rejected"].as_array().unwrap();
    assert_eq!(list.iter().map(|r| r["id"].clone()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((&list[0]["body"], &list[0]["truncated"]), (&json!("never JSON"), &json!(false)));
    assert_eq!((&list[1]["size"], &list[1]["truncated"]), (&json!(long.len()), &json!(true)));
    let (_, whole) = setup.json(of("GET", "/api/v1/rejected/1", Some("admin"))).await;
    assert_eq!(whole["body"], json!(long));

    let replay = |id: &str| of("POST", &format!("/api/v1/rejected/{id}/replay"), Some("admin"));
    assert_eq!(setup.json(replay("1")).await, (200, json!({"stored": 1, "duplicates": 0})));
    let stored = &setup.fixture.memory.events()[0];
    assert_eq!((stored.type_hint.as_deref(), stored.format), (Some("user_blocked"), Format::Gitlab));
    let (status, body) = setup.json(replay("1")).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("already_replayed")));
    assert_eq!(setup.json(replay("2")).await.0, 422);
    for missing in ["3", "x", "-1"] {
        assert_eq!(setup.json(replay(missing)).await.0, 404, "{missing}");
    }
    assert_eq!(setup.fixture.memory.bodies().len(), 1);
}

#[tokio::test]
async fn a_wrong_query_is_answered_in_json() {
    let setup = setup(true);
    for query in ["limit=0", "limit=1001", "limit=many", "lmit=1"] {
        let (status, body) = setup.json(of("GET", &format!("/api/v1/rejected?{query}"), Some("admin"))).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")), "{query}");
    }
}
