//! What events are enriched with changes while the daemon runs.

use serde_json::{Value, json};
use watchfire::clock::Clock;
use watchfire::time::Timestamp;

use crate::harness::{Setup, at};

const RULES: &str = "\
lookup: people
match: {author_name: username}
as: author
---
title: team
id: team
logsource: {product: gitlab}
detection: {any: {author.team: red}, condition: any}
---
title: place
id: place
logsource: {product: gitlab}
detection: {any: {geo.city: Munich, geo.asn|exists: false}, condition: any}
---
title: What Watchfire itself did
logsource: {product: gitlab}
filter: {rules: any, own: {self: true}, condition: own}
";

fn event(author: i64, address: &str, time: Timestamp) -> Value {
    json!({
        "id": format!("{author}-{time}"), "author_id": author, "author_name": format!("user{author}"),
        "entity_id": 1, "entity_type": "User", "entity_path": "x", "ip_address": address,
        "created_at": time.to_string(), "event_type": "user_created", "details": {},
    })
}

fn list(setup: &Setup, text: &str) {
    let beside = setup.path("people.new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, setup.path("lists/people.csv")).unwrap();
}

fn place(setup: &Setup, bytes: &[u8]) {
    let beside = setup.path("geo.new");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(beside, setup.path("geo/city.mmdb")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_databases_are_picked_up_as_they_change() {
    let sections = "lists: lists\ngeo: {databases: [geo/city.mmdb]}\nself: {author_ids: [9]}\n";
    let setup = Setup::new(Clock::system(), sections);
    std::fs::create_dir(setup.path("lists")).unwrap();
    std::fs::create_dir(setup.path("geo")).unwrap();
    list(&setup, "username,team\nuser4,red\nuser9,red\n");
    setup.rule("all.yml", RULES);
    let daemon = setup.start().await;
    // There is no database yet, which is told and stops nothing else.
    daemon.metric_becomes("watchfire_rule_files_broken", 1.0).await;
    let munich = "203.0.113.7";
    daemon.post_all(&[event(4, munich, at(0)), event(5, munich, at(1)), event(9, munich, at(2))]).await;
    let team = |author: &str| ("team".to_owned(), author.to_owned());
    let city = |author: &str| ("place".to_owned(), author.to_owned());
    assert_eq!(daemon.raised(), [team("4")]);

    place(&setup, include_bytes!("../fixtures/geo/city.mmdb"));
    daemon.metric_becomes("watchfire_rule_files_broken", 0.0).await;
    daemon
        .post_all(&[event(6, munich, at(3)), event(6, "198.51.100.1", at(4)), event(9, munich, at(5))])
        .await;
    assert_eq!(daemon.raised()[1..], [city("6")]);

    // Half a file: the database goes on as it was, while a new row counts.
    place(&setup, b"half");
    daemon.metric_becomes("watchfire_rule_files_broken", 1.0).await;
    list(&setup, "username,team\nuser5,red\n");
    setup.rule("sign.yml", "title: s\nid: s\nlogsource: {}\ndetection: {a: {x: 1}, condition: a}\n");
    daemon.metric_becomes("watchfire_rules", 3.0).await;
    daemon
        .post_all(&[event(4, "10.0.0.1", at(6)), event(5, "10.0.0.1", at(7)), event(6, munich, at(8))])
        .await;
    let mut last = daemon.raised()[2..].to_vec();
    last.sort_unstable();
    assert_eq!(last, [city("6"), team("5")]);
    daemon.stop().await;
}
