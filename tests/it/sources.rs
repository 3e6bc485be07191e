//! Where events come from, apart from GitLab: batches and files.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};
use watchfire::clock::Clock;

use crate::harness::{Daemon, Setup, TOKEN, answer, at, clone, deed, until};

async fn batch(daemon: &Daemon, query: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let path = format!("/ingest/generic{query}");
    answer(daemon.request(Method::POST, &path).bearer_auth(TOKEN).body(body)).await
}

fn lines(count: i64) -> Vec<String> {
    (0..count).map(|number| deed("user_created", number, at(number)).to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_taken_whole_or_not_at_all() {
    let setup = Setup::new(Clock::system(), "");
    let daemon = setup.start().await;
    let mut lines = lines(5);
    lines[3] = "{\"id\": 3, \"author_id\": }".to_owned();
    let (status, refused) = batch(&daemon, "", lines.join("\n")).await;
    assert_eq!((status, &refused["error"]["line"]), (400, &json!(4)), "{refused}");
    assert!(refused["error"]["column"].as_i64() > Some(1), "{refused}");
    assert!(daemon.stored().is_empty());

    let (status, taken) = batch(&daemon, "?partial=true", lines.join("\n")).await;
    assert_eq!(
        (status, &taken["stored"], &taken["rejected"][0]["line"]),
        (200, &json!(4), &json!(4)),
        "{taken}"
    );
    assert_eq!(daemon.stored().len(), 4);
    let (status, again) = batch(&daemon, "", [lines[0].as_str(), &lines[4]].join("\n")).await;
    assert_eq!((status, again), (200, json!({"stored": 0, "duplicates": 2})));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrays_objects_and_gzip_are_understood() {
    let setup = Setup::new(Clock::system(), "");
    let daemon = setup.start().await;
    let lines = lines(10);
    let stored = |count: u64| (200, json!({"stored": count, "duplicates": 0}));
    assert_eq!(batch(&daemon, "", format!("[{}]", lines[..3].join(","))).await, stored(3));
    assert_eq!(batch(&daemon, "", lines[3].clone()).await, stored(1));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(lines[4..].join("\n").as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    let request = daemon.request(Method::POST, "/ingest/generic").bearer_auth(TOKEN);
    assert_eq!(answer(request.header("Content-Encoding", "gzip").body(body)).await, stored(6));
    let raw: Vec<String> =
        daemon.stored().iter().map(|event| String::from_utf8(event.raw.to_vec()).unwrap()).collect();
    assert_eq!(raw, lines, "byte for byte, in order");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_is_refused_and_nothing_of_it_kept() {
    let limits = "limits: {body: 4KiB, decompressed: 16KiB, events: 8}\n";
    let setup = Setup::new(Clock::system(), limits);
    let daemon = setup.start().await;
    let code = |answer: (u16, Value)| (answer.0, answer.1["error"]["code"].as_str().unwrap_or("").to_owned());
    let refused = |name: &str| (413, name.to_owned());
    assert_eq!(code(batch(&daemon, "", vec![b' '; 5000]).await), refused("body_too_large"));
    let pieces = ["{}"; 9].join("\n");
    assert_eq!(code(batch(&daemon, "", pieces).await), refused("too_many_events"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&vec![b' '; 20_000]).unwrap();
    let bomb = gzip.finish().unwrap();
    let request = daemon.request(Method::POST, "/ingest/generic").bearer_auth(TOKEN);
    let answered = answer(request.header("Content-Encoding", "gzip").body(bomb)).await;
    assert_eq!(code(answered), refused("decompressed_too_large"));
    let large = json!({"id": 1, "author_id": 4, "event_type": "user_created", "text": "x".repeat(5000)});
    assert_eq!(code(daemon.gitlab(&large.to_string()).await), refused("body_too_large"));
    assert!(daemon.stored().is_empty());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_count_once() {
    let setup = Setup::new(Clock::system(), "");
    let rule = "title: Three\nid: three\nlogsource: {product: gitlab}\n\
                detection: {any: {event_type: user_created}, condition: any}\n\
                behavior: {by: entity_id, within: 10m, at_least: 3}\n";
    setup.rule("three.yml", rule);
    let daemon = setup.start().await;
    let lines = lines(3);
    let body = [&lines[0], &lines[1], &lines[0], &lines[1]].map(String::as_str).join("\n");
    assert_eq!(batch(&daemon, "", body.clone()).await, (200, json!({"stored": 2, "duplicates": 2})));
    assert_eq!(batch(&daemon, "", body).await, (200, json!({"stored": 0, "duplicates": 4})));
    daemon.judged().await;
    assert!(daemon.alerts().is_empty(), "{:?}", daemon.alerts());
    assert_eq!(batch(&daemon, "", lines[2].clone()).await.1["stored"], 1);
    daemon.judged().await;
    assert_eq!(daemon.only_alert().evidence_count, 3);
    daemon.stop().await;
}

const FILE: &str = "data_dir: data\nlisten: 127.0.0.1:0\nrules: [rules]\n\
                    sources: [{name: rails, type: file, file: audit_json.log, format: gitlab, forge: gitlab}]\n";

fn append(setup: &Setup, events: &[Value]) {
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(setup.path("audit_json.log")).unwrap();
    for event in events {
        file.write_all(format!("{event}\n").as_bytes()).unwrap();
    }
}

async fn holds(daemon: &Daemon, count: usize) {
    until(|| daemon.stored().len() >= count, || format!("{} events are stored", daemon.stored().len())).await;
    daemon.judged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_followed_through_rotation_and_restart() {
    let setup = Setup::with_config(Clock::system(), FILE);
    setup.shipped_rule("mass-clone.yml");
    let events: Vec<Value> = (0..20).map(|number| clone(7, 100 + number, at(number * 20))).collect();
    append(&setup, &events[..4]);
    let daemon = setup.start().await;
    holds(&daemon, 4).await;
    append(&setup, &events[4..6]);
    holds(&daemon, 6).await;
    // Rotated: the old one still gets a line, the new one begins.
    std::fs::rename(setup.path("audit_json.log"), setup.path("audit_json.log.1")).unwrap();
    let mut old = std::fs::OpenOptions::new().append(true).open(setup.path("audit_json.log.1")).unwrap();
    writeln!(old, "{}", events[6]).unwrap();
    append(&setup, &events[7..9]);
    holds(&daemon, 9).await;
    daemon.stop().await;
    // While it is away: more lines, and another rotation.
    append(&setup, &events[9..11]);
    std::fs::rename(setup.path("audit_json.log.1"), setup.path("audit_json.log.2")).unwrap();
    std::fs::rename(setup.path("audit_json.log"), setup.path("audit_json.log.1")).unwrap();
    append(&setup, &events[11..14]);
    let daemon = setup.start().await;
    holds(&daemon, 14).await;
    // A line in two pieces is one event; an emptied file is read from its start.
    let last = events[14].to_string();
    let mut file = std::fs::OpenOptions::new().append(true).open(setup.path("audit_json.log")).unwrap();
    file.write_all(&last.as_bytes()[..30]).unwrap();
    append(&setup, &[]);
    file.write_all(&last.as_bytes()[30..]).unwrap();
    file.write_all(b"\n").unwrap();
    holds(&daemon, 15).await;
    file.set_len(0).unwrap();
    append(&setup, &events[15..]);
    holds(&daemon, 20).await;
    let mut stored: Vec<Value> =
        daemon.stored().iter().map(|event| serde_json::from_slice(&event.raw).unwrap()).collect();
    stored.sort_by_key(|event| event["created_at"].as_str().map(str::to_owned));
    assert_eq!(stored, events, "each once");
    assert_eq!(daemon.only_alert().value, 20.0);
    daemon.stop().await;
}
