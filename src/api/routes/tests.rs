use std::collections::BTreeSet;

use axum::http::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::*;
use crate::alert::{Alert, AlertId, Key, LedgerEntry, LedgerReason, Level, Occasion};
use crate::api::testing::{CONFIGURED, Setup, of, status};
use crate::store::{Commit, DeliveryKind, NewRejected, OutboxRow, OutboxState, Settlement};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_772_452_800_000);

fn alert(number: i64) -> Alert {
    Alert {
        id: AlertId(format!("a{number}")),
        rule: if number % 2 == 0 { "even" } else { "odd" }.into(),
        title: "Title".to_owned(),
        level: if number > 3 { Level::High } else { Level::Low },
        tags: Vec::new(),
        key: Key(vec![("author_id".to_owned(), "7".to_owned())]),
        started_at: NOW,
        last_at: NOW.plus(Span::seconds(number)),
        position: 1,
        findings: 1,
        value: 3.0,
        reason: "3 events".to_owned(),
        evidence: vec![2, 1, 99],
        evidence_count: 3,
        merged_into: (number == 6).then(|| AlertId("a5".to_owned())),
    }
}

fn delivery(id: &str, alert: &str, seconds: i64) -> OutboxRow {
    OutboxRow {
        occasion: Occasion::Opened,
        id: id.to_owned(),
        alert: AlertId(alert.to_owned()),
        action: "mail".to_owned(),
        kind: DeliveryKind::Notify,
        created_at: NOW.plus(Span::seconds(seconds)),
        due_at: NOW,
        attempts: 0,
        state: OutboxState::Pending,
        last_error: None,
        outcome: None,
    }
}

fn event(number: u32) -> String {
    format!(
        r#"{{"id":"e{number}","created_at":"2026-03-01T09:00:{number:02}Z","event_type":"{}","author_id":{},"entity_id":1}}"#,
        if number.is_multiple_of(2) { "user_created" } else { "user_destroyed" },
        number % 3
    )
}

/// Something of everything.
async fn filled() -> Setup {
    let setup = Setup::new(true);
    setup.append(&(1..=9).map(event).collect::<Vec<_>>()).await;
    let alerts: Vec<Alert> = (1..=6).map(alert).collect();
    let outbox = [delivery("d1", "a1", 1), delivery("d2", "a1", 2), delivery("d3", "a2", 2)];
    let ledger = LedgerEntry {
        rule: "odd".into(),
        reason: LedgerReason::TooLate,
        count: 3,
        first: 1,
        last: 9,
        detail: None,
    };
    let commit =
        Commit { position: 9, at: NOW, alerts: &alerts, outbox: &outbox, ledger: &[ledger], snapshot: None };
    setup.store.commit(&commit).unwrap();
    setup.store.outbox_settle("d1", &Settlement::Dead { error: "404".to_owned() }, NOW).unwrap();
    for body in [b"never JSON".to_vec(), event(57).into_bytes(), vec![b'x'; 5_000]] {
        let reason = "was not understood".to_owned();
        setup
            .store
            .reject(&NewRejected {
                source: "gitlab".to_owned(),
                received_at: NOW,
                reason,
                type_hint: None,
                body,
            })
            .unwrap();
    }
    let rule = |id: &str| {
        format!(
            "title: {id}\nid: {id}\nlevel: high\nlogsource: {{product: gitlab}}\ndetection: {{any: {{event_type: user_created}}, condition: any}}\n"
        )
    };
    setup.rules.send_replace(Arc::new(status(&[&rule("odd"), &rule("even"), "title: broken\n"])));
    setup
}

async fn ids(setup: &Setup, path: &str, key: &str) -> Vec<String> {
    let (status, body) = setup.get(path, CONFIGURED).await;
    assert_eq!(status, 200, "{path}: {body}");
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item[key].as_str().map_or_else(|| item[key].to_string(), str::to_owned)).collect()
}

/// All items of a list, three by three.
async fn walked(setup: &Setup, path: &str, key: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = format!("{path}{separator}limit=2{cursor}");
        found.extend(ids(setup, &page, key).await);
        let (_, body) = setup.get(&page, CONFIGURED).await;
        let Some(next) = body["next"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

fn operations_of(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        item.as_object()
            .unwrap()
            .keys()
            .map(|method| (method.to_uppercase(), path.clone()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_documented_operation_answers_as_documented() {
    let setup = filled().await;
    let (status, document) = setup.json(of("GET", DOCUMENT, None)).await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(document, serde_json::to_value(crate::api::document()).unwrap());
    let operations = operations_of(&document);
    // Streams have no end of their own.
    setup.guard.end_streams();
    assert!(operations.len() >= 25, "{operations:?}");
    for (method, path) in operations {
        let operation = &document["paths"][&path][method.to_lowercase()];
        for place in ["nowhere", "1", "a1", "d1", "odd", "daily"] {
            let actual = ["{id}", "{position}", "{every}"]
                .iter()
                .fold(path.clone(), |path, name| path.replace(name, place));
            let (status, headers, body) = setup.send(of(&method, &actual, Some(CONFIGURED))).await;
            assert!(status != 405 && !body.contains("no_such_path"), "{method} {actual} is nowhere");
            let answer = &operation["responses"][status.to_string()];
            assert!(answer.is_object(), "{method} {actual}: {status} is not documented: {body}");
            let kind = headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
            let kind = kind.map(|kind| kind.split(';').next().unwrap().to_owned());
            let kinds: Vec<String> =
                answer["content"].as_object().into_iter().flatten().map(|(kind, _)| kind.clone()).collect();
            let is_told = kind.as_ref().map_or(kinds.is_empty(), |kind| kinds.contains(kind));
            assert!(is_told, "{method} {actual}: {status} {kind:?}");
        }
        assert!(
            operation["summary"].is_string() && operation["tags"].is_array(),
            "{method} {path} says nothing of itself"
        );
        for error in ["400", "401", "429", "500", "503"] {
            assert!(operation["responses"][error].is_object(), "{method} {path}: {error}");
        }
        assert_eq!(setup.send(of(&method, &path, None)).await.0, 401, "{method} {path} needs a token");
    }
}

#[test]
fn the_document_knows_every_schema_it_refers_to() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(to)) = object.get("$ref") {
                    found.insert(to.clone());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(crate::api::document()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for to in found {
        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
    }
    let ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "operation ids are unique: {ids:?}");
}

#[tokio::test]
async fn lists_are_filtered_and_walked_without_gaps() {
    let setup = filled().await;
    for (path, key, expected) in [
        ("/api/v1/alerts", "id", "a5 a4 a3 a2 a1"),
        ("/api/v1/alerts?merged=true", "id", "a6 a5 a4 a3 a2 a1"),
        ("/api/v1/alerts?rule=odd", "id", "a5 a3 a1"),
        ("/api/v1/alerts?level=high", "id", "a5 a4"),
        ("/api/v1/alerts?since=2026-03-02T12:00:02Z&until=2026-03-02T12:00:05.000Z", "id", "a4 a3 a2"),
        ("/api/v1/outbox", "id", "d3 d2 d1"),
        ("/api/v1/outbox?state=dead", "id", "d1"),
        ("/api/v1/outbox?alert=a1&action=mail", "id", "d2 d1"),
        ("/api/v1/outbox?action=block", "id", ""),
        ("/api/v1/rejected", "id", "3 2 1"),
        ("/api/v1/rules", "id", "even odd"),
        ("/api/v1/events", "position", "9 8 7 6 5 4 3 2 1"),
        ("/api/v1/events?q=type:user_created", "position", "8 6 4 2"),
        ("/api/v1/events?q=created_at:%3E2026-03-01T09:00:05Z%20author_id:0", "position", "9 6"),
        ("/api/v1/events?q=nothing-like-this", "position", ""),
        ("/api/v1/events?order=oldest&q=type:user_created", "position", "2 4 6 8"),
    ] {
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(ids(&setup, path, key).await, expected, "{path}");
        assert_eq!(walked(&setup, path, key).await, expected, "{path}");
    }
}

#[tokio::test]
async fn single_things_are_shown_whole() {
    let setup = filled().await;
    let (_, whole) = setup.get("/api/v1/alerts/a1", CONFIGURED).await;
    assert_eq!((&whole["alert"]["rule"], &whole["alert"]["key"]), (&json!("odd"), &json!({"author_id": 7})));
    let of_each = |name: &str, key: &str| -> Vec<Value> {
        whole[name].as_array().unwrap().iter().map(|item| item[key].clone()).collect()
    };
    assert_eq!(of_each("events", "position"), [json!(2), json!(1)], "what is gone is left out");
    assert_eq!(of_each("deliveries", "id"), [json!("d1"), json!("d2")]);
    let (_, event) = setup.get("/api/v1/events/4", CONFIGURED).await;
    assert_eq!((&event["event_type"], &event["position"]), (&json!("user_created"), &json!(4)));
    let (_, rejected) = setup.get("/api/v1/rejected/3", CONFIGURED).await;
    assert_eq!((rejected["body"].as_str().unwrap().len(), &rejected["truncated"]), (5_000, &json!(false)));
    let (_, listed) = setup.get("/api/v1/rejected?limit=1", CONFIGURED).await;
    let listed = &listed["items"][0];
    assert_eq!(
        (listed["body"].as_str().unwrap().len(), &listed["truncated"], &listed["size"]),
        (4_096, &json!(true), &json!(5_000))
    );
    let (_, rule) = setup.get("/api/v1/rules/odd", CONFIGURED).await;
    assert_eq!(
        (&rule["alerts"], &rule["last_alert_at"], &rule["kind"]),
        (&json!(3), &json!("2026-03-02T12:00:05.000Z"), &json!("single"))
    );
    let (_, loaded) = setup.get("/api/v1/rules/status", CONFIGURED).await;
    assert_eq!((&loaded["rules"], loaded["errors"].as_u64() > Some(0)), (&json!(2), true), "{loaded}");
    let (_, ledger) = setup.get("/api/v1/ledger", CONFIGURED).await;
    assert_eq!(
        ledger["items"],
        json!([{"rule": "odd", "reason": "too_late", "count": 3, "first": 1, "last": 9, "detail": null}])
    );
    let (_, counts) = setup.get("/api/v1/outbox/counts", CONFIGURED).await;
    assert_eq!(counts, json!({"pending": 2, "done": 0, "dead": 1, "waiting": 0}));
    for missing in [
        "alerts/x",
        "outbox/x",
        "rules/x",
        "rejected/x",
        "rejected/99",
        "events/x",
        "events/10",
        "events/-1",
        "tokens/x",
    ] {
        let (status, body) = setup.get(&format!("/api/v1/{missing}"), CONFIGURED).await;
        assert_eq!((status, body["code"].as_str()), (404, Some("not_found")), "{missing}");
    }
}

#[tokio::test]
async fn events_are_counted_and_traced() {
    let setup = filled().await;
    let counts = async |query: &str| setup.get(&format!("/api/v1/counts{query}"), CONFIGURED).await;
    let (status, all) = counts("").await;
    let nothing = Value::Null;
    assert_eq!(
        (status, &all["total"], &all["complete"], &all["values"]),
        (200, &json!(9), &json!(true), &nothing)
    );
    let (_, by) = counts("?by=author_id&limit=2&q=type:user_destroyed").await;
    assert_eq!(by["values"], json!([{"value": "0", "events": 2}, {"value": "1", "events": 2}]), "{by}");
    assert_eq!((&by["total"], &by["other_values"], &by["other_events"]), (&json!(5), &json!(1), &json!(1)));
    let (_, per) = counts("?per=hour").await;
    assert_eq!((&all["damaged"], &per["damaged"]), (&json!([]), &json!([])));
    assert_eq!(per["stretches"], json!([{"start": "2026-03-01T09:00:00.000Z", "events": 9}]));
    for (query, parameter) in [("?per=hour&by=x", "per"), ("?per=year", "per"), ("?by=", "by"), ("?q=(", "q")]
    {
        let (status, body) = counts(query).await;
        assert_eq!(
            (status, body["errors"][0]["parameter"].as_str()),
            (400, Some(parameter)),
            "{query}: {body}"
        );
    }

    let (status, trace) = setup.get("/api/v1/events/2/trace?author=4s&limit=1", CONFIGURED).await;
    assert_eq!((status, &trace["event"]["position"]), (200, &json!(2)), "{trace}");
    let alerts: Vec<&Value> = trace["alerts"].as_array().unwrap().iter().map(|alert| &alert["id"]).collect();
    assert_eq!(alerts, ["a5", "a4", "a3", "a2", "a1"]);
    assert_eq!(trace["damaged"], json!([]));
    assert_eq!(trace["author"]["after"][0]["position"], 5, "the next one of author 2");
    let query = trace["author"]["query"].as_str().unwrap().to_owned();
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let found = ids(&setup, &format!("/api/v1/events?q={encoded}"), "position").await;
    assert!(found.contains(&"5".to_owned()), "{query} finds {found:?}");
    for (path, status) in
        [("99/trace", 404), ("x/trace", 404), ("2/trace?author=soon", 400), ("2/trace?limit=0", 400)]
    {
        assert_eq!(setup.get(&format!("/api/v1/events/{path}"), CONFIGURED).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn a_dead_delivery_is_redriven_once_and_recorded() {
    let setup = filled().await;
    let (status, delivery) = setup.post("/api/v1/outbox/d1/redrive", CONFIGURED, json!(null)).await;
    assert_eq!(
        (status, &delivery["state"], &delivery["due_at"]),
        (200, &json!("pending"), &json!("2026-03-02T12:00:00.000Z"))
    );
    let (status, again) = setup.post("/api/v1/outbox/d1/redrive", CONFIGURED, json!(null)).await;
    assert_eq!((status, &again["code"]), (409, &json!("not_given_up")));
    assert_eq!(ids(&setup, "/api/v1/audit", "outcome").await, ["refused: 409 not_given_up", "done"]);
    // The worker was woken: this returns at once.
    setup.wake.notified().await;
}

#[tokio::test]
async fn a_rejected_body_is_replayed_once_and_recorded() {
    let setup = filled().await;
    let replay = |id: &str| format!("/api/v1/rejected/{id}/replay");
    assert_eq!(
        setup.post(&replay("2"), CONFIGURED, json!(null)).await,
        (200, json!({"stored": 1, "duplicates": 0}))
    );
    assert_eq!(setup.get("/api/v1/events/10", CONFIGURED).await.1["id"], "e57");
    for (id, status, code) in
        [("2", 409, "already_replayed"), ("1", 422, "undecodable"), ("9", 404, "not_found")]
    {
        let (found, body) = setup.post(&replay(id), CONFIGURED, json!(null)).await;
        assert_eq!((found, body["code"].as_str()), (status, Some(code)));
    }
    let outcomes = ids(&setup, "/api/v1/audit", "outcome").await;
    assert_eq!(outcomes.last().unwrap(), "done: 1 stored, 0 duplicates");
    assert_eq!(outcomes.len(), 4);
}

#[tokio::test]
async fn a_wrong_question_is_told_where_it_is_wrong() {
    let setup = filled().await;
    for (path, code, help, parameter) in [
        ("alerts?limt=1", "unknown_parameter", Some("did you mean `limit`?"), "limt"),
        ("alerts?levl=high", "unknown_parameter", Some("did you mean `level`?"), "levl"),
        ("ledger?limit=1", "unknown_parameter", Some("it takes no parameters"), "limit"),
        ("alerts/a1?x=1", "unknown_parameter", Some("it takes no parameters"), "x"),
        ("alerts?limit=0", "bad_parameter", None, "limit"),
        ("alerts?limit=1001", "bad_parameter", None, "limit"),
        ("alerts?limit=many", "bad_parameter", None, "limit"),
        ("alerts?level=loud", "bad_parameter", None, "level"),
        ("alerts?since=then", "bad_parameter", None, "since"),
        ("alerts?cursor=!", "bad_parameter", None, "cursor"),
        ("events?cursor=AAAA", "bad_parameter", None, "cursor"),
        ("events?order=random", "bad_parameter", None, "order"),
        ("alerts?limit=1&limit=2", "bad_parameter", None, "limit"),
        ("outbox?state=gone", "bad_parameter", None, "state"),
        ("events?q=ip:(", "bad_query", None, "q"),
    ] {
        let (status, body) = setup.get(&format!("/api/v1/{path}"), CONFIGURED).await;
        assert_eq!((status, body["code"].as_str()), (400, Some(code)), "{path}: {body}");
        assert_eq!(body["errors"][0]["parameter"], parameter, "{path}: {body}");
        assert!(help.is_none_or(|help| body["help"] == help), "{path}: {body}");
    }
    let (_, alerts) = setup.get("/api/v1/alerts?limit=1", CONFIGURED).await;
    let cursor = alerts["next"].as_str().unwrap();
    let (status, body) = setup.get(&format!("/api/v1/outbox?cursor={cursor}"), CONFIGURED).await;
    assert_eq!(
        (status, &body["errors"][0]["parameter"]),
        (400, &json!("cursor")),
        "a cursor of another list"
    );
    let (_, body) = setup.get("/api/v1/events?q=author_id:7%20(", CONFIGURED).await;
    assert!(body["errors"][0]["at"].as_u64() > Some(0), "{body}");
    let long = format!("/api/v1/events?q={}", "x".repeat(5_000));
    assert_eq!(setup.get(&long, CONFIGURED).await.1["code"], "bad_query");
}

#[tokio::test]
async fn who_has_it_already_is_told_so() {
    let setup = filled().await;
    let asking = |path: &str, tag: Option<&HeaderValue>| {
        let mut request = of("GET", path, Some(CONFIGURED));
        request.headers_mut().extend(tag.map(|tag| (IF_NONE_MATCH, tag.clone())));
        request
    };
    for path in ["/api/v1/alerts", "/api/v1/alerts/a1", DOCUMENT] {
        let (_, headers, body) = setup.send(asking(path, None)).await;
        let tag = &headers[ETAG];
        let (status, again, nothing) = setup.send(asking(path, Some(tag))).await;
        assert_eq!((status, &again[ETAG], nothing.as_str()), (304, tag, ""), "{path}");
        let other = HeaderValue::from_static("\"other\"");
        let (status, _, whole) = setup.send(asking(path, Some(&other))).await;
        assert_eq!((status, whole), (200, body), "{path}");
    }
    let (_, headers, _) = setup.send(asking("/api/v1/alerts", None)).await;
    let grown = Alert { findings: 2, ..alert(1) };
    let commit = Commit { position: 10, at: NOW, alerts: &[grown], outbox: &[], ledger: &[], snapshot: None };
    setup.store.commit(&commit).unwrap();
    assert_eq!(setup.send(asking("/api/v1/alerts", Some(&headers[ETAG]))).await.0, 200, "it has changed");
}
