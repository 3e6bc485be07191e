//! Events are deleted when their time has come, the rest is proven, and a hold keeps what it finds.

use serde_json::json;
use watchfire::clock::Clock;
use watchfire::log::{Reader, read_deletions};
use watchfire::time::Span;

use crate::harness::{ADMIN_TOKEN, START, Setup, at, clone, deed, until};

const SECTIONS: &str = "\
log: {seal_entries: 256, seal_after: 1h, segment_entries: 256}
retention:
  keep: 90d
  rules:
    - {name: people, types: [user_*], keep: 7y}
    - {name: clones, types: [repository_git_operation], store: no}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_goes_and_what_is_held_stays() {
    let clock = Clock::fixed(START);
    let setup = Setup::new(clock.clone(), SECTIONS);
    setup.shipped_rule("mass-clone.yml");
    let daemon = setup.start().await;
    let hold = json!({"query": "author_id:3", "reason": "case 7", "owner": "legal"});
    let made = daemon.request(reqwest::Method::POST, "/api/v1/holds").bearer_auth(ADMIN_TOKEN).json(&hold);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let events = [
        deed("project_destroyed", 2, at(0)),
        deed("project_destroyed", 3, at(1)),
        deed("user_created", 4, at(2)),
        clone(5, 6, at(3)),
    ];
    daemon.post_all(&events).await;
    let sealed = |count: usize| {
        let data = setup.path("data");
        move || Reader::open(&data).unwrap().segments().unwrap().len() == count
    };
    let types = || -> Vec<String> {
        let name = |event: &serde_json::Map<String, serde_json::Value>| {
            event["event_type"].as_str().unwrap().to_owned()
        };
        daemon.canonical().iter().map(name).collect()
    };
    // A snapshot, and then a seal, which leaves out what was only to be judged: nobody would look back on it any more.
    clock.set(at(120));
    until(|| daemon.app.store().settled().unwrap() >= 4, || "no snapshot".to_owned()).await;
    clock.set(START.plus(Span::days(3)));
    until(sealed(1), || "nothing is sealed".to_owned()).await;
    until(|| types().len() == 3, || format!("{:?}", types())).await;
    assert_eq!(types(), ["project_destroyed", "project_destroyed", "user_created"]);
    clock.set(START.plus(Span::days(120)));
    until(|| types().len() == 2, || format!("{:?}", types())).await;
    assert_eq!(types(), ["project_destroyed", "user_created"]);
    assert_eq!(daemon.canonical()[0]["author_id"], 3);
    daemon.metric_becomes("watchfire_retention_deleted_events_total", 2.0).await;
    let data = setup.path("data");
    let records = read_deletions(&data).unwrap();
    let said: Vec<&str> = records.iter().map(|record| record.rules[0].said.as_str()).collect();
    assert_eq!(said, ["store: no", "90d"]);
    Reader::open(&data).unwrap().verify().unwrap();
    let (status, shown) = daemon.admin(reqwest::Method::GET, "/api/v1/retention").await;
    assert_eq!((status, &shown["deleted_events"], &shown["trouble"]), (200, &json!(2), &json!(null)));
    let (_, found) =
        daemon.admin(reqwest::Method::GET, "/api/v1/events?q=event_type:project_destroyed").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    let (_, page) = daemon.admin(reqwest::Method::GET, "/api/v1/retention/deletions?limit=1").await;
    assert_eq!((&page["items"][0]["number"], page["next"].is_string()), (&json!(2), true));

    // What the hold kept goes when it ends; in seven years all of it, with its segment.
    daemon.stop().await;
    let daemon = setup.start().await;
    let (status, _) = daemon.admin(reqwest::Method::DELETE, "/api/v1/holds/1?reason=closed").await;
    assert_eq!(status, 204);
    let left = || daemon.stored().len();
    until(|| left() == 1, || format!("{}", left())).await;
    clock.set(START.plus(Span::years(8)));
    until(|| left() == 0, || format!("{}", left())).await;
    until(sealed(0), || "the segment is still there".to_owned()).await;
    Reader::open(&data).unwrap().verify().unwrap();
    daemon.post_all(&[deed("user_created", 7, at(10))]).await;
    assert_eq!(left(), 1);
    daemon.stop().await;
    let daemon = setup.start().await;
    assert_eq!(daemon.stored().len(), 1);
    daemon.stop().await;
    Reader::open(&data).unwrap().verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_brings_another_policy() {
    let clock = Clock::fixed(START);
    let setup = Setup::new(clock.clone(), SECTIONS);
    setup.shipped_rule("mass-clone.yml");
    let daemon = setup.start().await;
    daemon.post_all(&[deed("user_created", 4, at(0)), deed("user_created", 5, at(1))]).await;
    clock.set(at(120));
    until(|| daemon.app.store().settled().unwrap() >= 2, || "no snapshot".to_owned()).await;
    clock.set(START.plus(Span::days(120)));
    daemon.metric_becomes("watchfire_log_segments", 1.0).await;
    let path = setup.path("watchfire.yaml");
    let text = std::fs::read_to_string(&path).unwrap().replace("keep: 7y", "keep: 30d");
    std::fs::write(&path, text).unwrap();
    assert_eq!(daemon.stored().len(), 2);
    daemon.app.reload().await.unwrap();
    until(|| daemon.stored().is_empty(), || format!("{:?}", daemon.stored())).await;
    daemon.stop().await;
}
