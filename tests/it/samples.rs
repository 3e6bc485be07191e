//! GitLab's documented payloads, posted exactly as GitLab posts them.
//!
//! The payloads are those of docs.gitlab.com/user/compliance/audit_event_schema.

use serde_json::{Value, json};
use watchfire::clock::Clock;
use watchfire::store::NewRejected;
use watchfire::time::Timestamp;

use crate::harness::{Setup, answer, as_gitlab, client};
use reqwest::Method;

const PAYLOADS: &str = include_str!("fixtures/gitlab.ndjson");

fn payloads() -> Vec<&'static str> {
    PAYLOADS.lines().filter(|line| !line.is_empty()).collect()
}

/// One stateless rule for each payload: author and moment tell them apart.
fn rules(setup: &Setup) {
    for (number, payload) in payloads().iter().enumerate() {
        let event: Value = serde_json::from_str(payload).unwrap();
        let (author, moment, kind) = (&event["author_id"], &event["created_at"], &event["event_type"]);
        let text = format!(
            "title: Payload {number}\nid: payload-{number}\nlevel: low\nlogsource: {{product: gitlab}}\n\
             detection: {{any: {{author_id: {author}, created_at: {moment}, event_type: {kind}}}, condition: any}}\n"
        );
        setup.rule(&format!("payload-{number}.yml"), &text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_stored_found_byte_for_byte_and_matched_once() {
    let setup = Setup::new(Clock::system(), "");
    rules(&setup);
    let daemon = setup.start().await;
    for payload in payloads() {
        let (status, answer) = daemon.gitlab(payload).await;
        assert_eq!((status, answer), (200, json!({"stored": 1, "duplicates": 0})), "{payload}");
    }
    daemon.judged().await;
    let raw: Vec<String> =
        daemon.stored().iter().map(|event| String::from_utf8(event.raw.to_vec()).unwrap()).collect();
    assert_eq!(raw, payloads());
    let expected: Vec<String> = (0..payloads().len()).map(|number| format!("payload-{number}")).collect();
    let matched = || daemon.alerts().iter().map(|alert| alert.rule.to_string()).collect::<Vec<_>>();
    assert_eq!(matched(), expected);

    // GitLab never repeats an event, but a proxy may.
    let duplicate = (200, json!({"stored": 0, "duplicates": 1}));
    assert_eq!(daemon.gitlab(payloads()[0]).await, duplicate);
    daemon.stop().await;
    let daemon = setup.start().await;
    for payload in payloads() {
        assert_eq!(daemon.gitlab(payload).await, duplicate, "after a restart: {payload}");
    }
    daemon.judged().await;
    assert_eq!(daemon.stored().len(), payloads().len());
    assert_eq!(daemon.alerts().len(), payloads().len());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_type_in_the_header_stands_in_for_a_missing_one() {
    let setup = Setup::new(Clock::system(), "");
    let rule = "title: Operation\nid: operation\nlogsource: {product: gitlab}\n\
                detection: {any: {event_type: repository_git_operation}, condition: any}\n";
    setup.rule("operation.yml", rule);
    let daemon = setup.start().await;
    let mut event: Value = serde_json::from_str(payloads()[0]).unwrap();
    event.as_object_mut().unwrap().remove("event_type");
    let url = daemon.url("/ingest/gitlab");
    let request = as_gitlab(&client(), &url, &event.to_string(), Some("repository_git_operation"));
    assert_eq!(answer(request).await.0, 200);
    daemon.judged().await;
    assert_eq!(&*daemon.only_alert().rule, "operation");
    assert_eq!(daemon.canonical()[0]["event_type"], "repository_git_operation");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_the_token() {
    let setup = Setup::new(Clock::system(), "");
    let daemon = setup.start().await;
    let bare = |path| daemon.request(Method::POST, path).body(payloads()[0]);
    let header = "X-Gitlab-Event-Streaming-Token";
    for request in [
        bare("/ingest/gitlab"),
        bare("/ingest/gitlab").header(header, "wrong"),
        bare("/ingest/gitlab").header(header, ""),
        bare("/ingest/gitlab").bearer_auth(crate::harness::TOKEN),
        bare("/ingest/generic").header(header, crate::harness::TOKEN),
        bare("/ingest/generic").bearer_auth("wrong"),
    ] {
        let (status, answer) = answer(request).await;
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthorized")));
    }
    let api = daemon.request(Method::GET, "/api/v1/rejected").bearer_auth(crate::harness::TOKEN);
    let (status, answer) = answer(api).await;
    assert_eq!((status, &answer["code"]), (401, &json!("unauthorized")));
    assert!(daemon.stored().is_empty());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_kept_and_can_be_replayed() {
    let setup = Setup::new(Clock::system(), "");
    rules(&setup);
    let daemon = setup.start().await;
    let broken = &payloads()[0][..100];
    let (status, answer) = daemon.gitlab(broken).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("undecodable")), "{answer}");
    let list = daemon.admin(Method::GET, "/api/v1/rejected").await.1;
    let kept = &list["items"][0];
    assert_eq!((kept["body"].as_str(), &kept["source"]), (Some(broken), &json!("gitlab")), "{list}");
    assert!(!kept["reason"].as_str().unwrap().is_empty());
    let path = format!("/api/v1/rejected/{}/replay", kept["id"]);
    assert_eq!(daemon.admin(Method::POST, &path).await.0, 422, "it is as broken as before");

    // A body that an older version could not read.
    let body = payloads()[1].as_bytes().to_vec();
    let rejected = NewRejected {
        source: "gitlab".to_owned(),
        received_at: Timestamp(1_700_000_000_000),
        reason: "not understood yet".to_owned(),
        type_hint: None,
        body,
    };
    let id = daemon.app.store().reject(&rejected).unwrap();
    let path = format!("/api/v1/rejected/{id}/replay");
    let replayed = daemon.admin(Method::POST, &path).await;
    assert_eq!(replayed, (200, json!({"stored": 1, "duplicates": 0})));
    assert_eq!(daemon.admin(Method::POST, &path).await.0, 409, "once is enough");
    daemon.judged().await;
    assert_eq!(&*daemon.only_alert().rule, "payload-1");
    assert_eq!(daemon.stored()[0].raw, payloads()[1]);
    daemon.stop().await;
}
