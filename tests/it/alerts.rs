//! Alerts in the hands of people: over the API, at the command line, and as a stream that breaks off.

use serde_json::{Value, json};
use watchfire::alert::{Change, Verdict};
use watchfire::clock::Clock;
use watchfire::store::{Deed, Store};
use watchfire::time::{Span, Timestamp};

use crate::harness::{ADMIN_TOKEN, Daemon, PATIENCE, START, Setup, deed};

const RULE: &str = "title: A project is gone\nid: gone\nlevel: high\nlogsource: {product: gitlab}\n\
    detection: {a: {event_type: project_destroyed}, condition: a}\n";

/// A daemon with one rule.
fn setup() -> Setup {
    let setup = Setup::new(Clock::fixed(START.plus(Span::hours(10))), "incidents: {gap: 2h}\n");
    setup.rule("gone.yml", RULE);
    setup
}

fn destroyed(author: i64, minutes: i64, number: i64) -> Value {
    let mut event = deed("project_destroyed", author, START.plus(Span::minutes(minutes)));
    event["id"] = json!(number);
    event
}

async fn send(daemon: &Daemon, path: &str, body: Value, tag: Option<&str>) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(daemon.url(path)).bearer_auth(ADMIN_TOKEN).json(&body);
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

async fn get(daemon: &Daemon, path: &str) -> (Value, Option<String>) {
    let request = reqwest::Client::new().get(daemon.url(path)).bearer_auth(ADMIN_TOKEN);
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{path}");
    let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    (response.json().await.unwrap(), tag)
}

#[tokio::test]
async fn what_one_does_the_other_sees() {
    let setup = setup();
    let daemon = setup.start().await;
    daemon
        .post_all(&[destroyed(7, 1, 1), destroyed(7, 30, 2), destroyed(8, 31, 3), destroyed(7, 300, 4)])
        .await;
    let (list, _) = get(&daemon, "/api/v1/alerts?state=open").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    let (incidents, _) = get(&daemon, "/api/v1/incidents").await;
    let counts: Vec<_> = incidents["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["about"].as_str().unwrap().to_owned(), one["alerts"].as_u64().unwrap()))
        .collect();
    let expected =
        [("author_id = 7 at gitlab", 1), ("author_id = 8 at gitlab", 1), ("author_id = 7 at gitlab", 2)];
    assert_eq!(counts, expected.map(|(about, count)| (about.to_owned(), count)));
    let id = list["items"][3]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/alerts/{id}");
    let (whole, tag) = get(&daemon, &path).await;
    assert_eq!((&whole["alert"]["state"], &whole["timeline"][0]["what"]), (&json!("open"), &json!("opened")));
    // At the command line, beside the daemon.
    let beside = Store::open(&setup.path("data")).unwrap();
    let by = Deed::new(START, "ann", "watchfire alert ack");
    let alert = beside.alerts_named(&id[..8]).unwrap().remove(0);
    beside.change(&alert, &Change::Acknowledge { note: Some("mine".into()) }, None, &by).unwrap();
    let body = json!({"verdict": "benign"});
    let (status, answer) = send(&daemon, &format!("{path}/resolve"), body.clone(), tag.as_deref()).await;
    assert_eq!((status, &answer["code"]), (412, &json!("outdated")));
    assert!(answer["detail"].as_str().unwrap().contains("ann acknowledged it"), "{answer}");
    let (whole, tag) = get(&daemon, &path).await;
    assert_eq!((&whole["alert"]["state"], &whole["alert"]["note"]), (&json!("acknowledged"), &json!("mine")));
    let (status, answer) = send(&daemon, &format!("{path}/resolve"), body.clone(), tag.as_deref()).await;
    assert_eq!((status, &answer["verdict"]), (200, &json!("benign")), "{answer}");
    // Once more, with what was seen before: it is so already.
    assert_eq!(send(&daemon, &format!("{path}/resolve"), body, tag.as_deref()).await.0, 200);
    assert_eq!(beside.triage(&alert).unwrap().verdict, Some(Verdict::Benign));
    let (status, answer) = send(&daemon, &format!("{path}/acknowledge"), json!({}), None).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")));
    for (what, body, status) in [
        ("resolve", json!({"verdict": "duplicate"}), 422),
        ("resolve", json!({"verdict": "good"}), 422),
        ("assign", json!({}), 422),
        ("assign", json!({"assignee": "ann"}), 200),
        ("comment", json!({"text": " "}), 422),
        ("comment", json!({"text": "done"}), 200),
        ("reopen", json!({"revision": 1}), 412),
        ("reopen", json!({}), 200),
    ] {
        let (found, answer) = send(&daemon, &format!("{path}/{what}"), body.clone(), None).await;
        assert_eq!(found, status, "{what} {body}: {answer}");
    }
    let incident = whole["alert"]["incident"].as_str().unwrap().to_owned();
    let body = json!({"verdict": "true_positive", "note": "he left in anger"});
    let (_, changed) = send(&daemon, &format!("/api/v1/incidents/{incident}/resolve"), body, None).await;
    assert_eq!(
        (changed["changed"].as_array().unwrap().len(), &changed["incident"]["state"]),
        (2, &json!("resolved"))
    );
    let (shown, _) = get(&daemon, &format!("/api/v1/incidents/{incident}")).await;
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    assert_eq!(shown["timeline"].as_array().unwrap().last().unwrap()["what"], "resolved");
    let (quality, _) = get(&daemon, "/api/v1/rules/quality?rule=gone").await;
    assert_eq!(quality["items"][0]["verdicts"]["true_positive"], 2);
    let (exception, _) = get(&daemon, "/api/v1/rules/gone/exception").await;
    assert!(exception["reason"].as_str().unwrap().contains("nothing to learn from"), "{exception}");
    assert!(beside.audit_verify().unwrap().wrong.is_none());
    daemon.stop().await;
}

/// A stream of server-sent events, read event by event.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(daemon: &Daemon, last: Option<&str>) -> Self {
        let mut request =
            reqwest::Client::new().get(daemon.url("/api/v1/alerts/stream")).bearer_auth(ADMIN_TOKEN);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!((header("content-type"), header("cache-control")), ("text/event-stream", "no-store"));
        Self { response, text: String::new() }
    }

    /// The next event: its name, its id, its data. None at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_owned)
                };
                let Some(data) = field("data: ") else { continue };
                return Some((field("event: ")?, field("id: ")?, serde_json::from_str(&data).unwrap()));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    async fn alert(&mut self) -> (String, Value) {
        let (name, id, data) = self.next().await.unwrap();
        assert_eq!(name, "alert", "{data}");
        (id, data)
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke_off() {
    let setup = setup();
    let daemon = setup.start().await;
    daemon.post_all(&[destroyed(7, 1, 1)]).await;
    let mut stream = Stream::open(&daemon, None).await;
    let (name, begins, _) = stream.next().await.unwrap();
    assert_eq!(name, "position", "what was there before is in the lists");
    daemon.post_all(&[destroyed(8, 2, 2)]).await;
    let (_, second) = stream.alert().await;
    assert_eq!(second["key"]["author_id"], 8);
    drop(stream);
    // While nobody listens: an alert, and what somebody does at the command line; then the daemon starts anew.
    daemon.post_all(&[destroyed(9, 3, 3)]).await;
    let beside = Store::open(&setup.path("data")).unwrap();
    let id = beside.alerts_named(second["id"].as_str().unwrap()).unwrap().remove(0);
    let by = Deed::new(Timestamp(0), "ann", "test");
    beside.change(&id, &Change::Acknowledge { note: None }, None, &by).unwrap();
    let mut idle = Stream::open(&daemon, None).await;
    idle.next().await.unwrap();
    daemon.stop().await;
    assert!(idle.next().await.is_none(), "a stop ends streams");
    let daemon = setup.start().await;
    let mut stream = Stream::open(&daemon, Some(&begins)).await;
    assert_eq!(stream.next().await.unwrap().1, begins);
    let (third, third_data) = stream.alert().await;
    let (fourth, fourth_data) = stream.alert().await;
    assert_eq!((&third_data["key"]["author_id"], &third_data["state"]), (&json!(9), &json!("open")));
    assert_eq!((&fourth_data["id"], &fourth_data["state"]), (&second["id"], &json!("acknowledged")));
    assert!(third.parse::<u64>().unwrap() < fourth.parse::<u64>().unwrap());
    let mut lost = Stream::open(&daemon, Some("999999")).await;
    assert_eq!(lost.next().await.unwrap().0, "reset");
    let request = reqwest::Client::new().get(daemon.url("/api/v1/alerts/stream"));
    let wrong = request.bearer_auth(ADMIN_TOKEN).header("last-event-id", "x").send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 400);
    daemon.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let setup = setup();
    let daemon = setup.start().await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Stream::open(&daemon, None).await);
    }
    let more = async || {
        let request =
            reqwest::Client::new().get(daemon.url("/api/v1/alerts/stream")).bearer_auth(ADMIN_TOKEN);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(more().await, 503);
    drop(streams.pop());
    let room = async { while more().await != 200 {} };
    tokio::time::timeout(PATIENCE, room).await.expect("who leaves makes room");
    daemon.stop().await;
}
