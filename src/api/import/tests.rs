use std::io::Write as _;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};

use super::IMPORT_PATH;
use crate::api::testing::{CONFIGURED, Setup, of};
use crate::event::Entry;
use crate::store::Role;

fn event(number: u32) -> String {
    format!(
        r#"{{"id":"e{number}","created_at":"2024-03-01T09:{:02}:{:02}Z","event_type":"user_created","author_id":1,"entity_id":1}}"#,
        number / 60 % 60,
        number % 60
    )
}

fn posting(query: &str, token: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = of("POST", &format!("{IMPORT_PATH}{query}"), Some(token));
    *request.body_mut() = body.into();
    request
}

async fn last_deed(setup: &Setup) -> Value {
    let (_, audit) = setup.get("/api/v1/audit?limit=1", CONFIGURED).await;
    audit["items"][0].clone()
}

fn sources(setup: &Setup) -> Vec<String> {
    let entries = setup.log.reader().unwrap().read_after(0, 10_000).unwrap();
    let name = |entry| match entry {
        Entry::Event(event) => Some(event.source.to_string()),
        Entry::Tick { .. } => None,
    };
    entries.into_iter().filter_map(name).collect()
}

#[tokio::test]
async fn administrators_import_and_it_is_recorded_who_did() {
    let setup = Setup::new(true);
    setup.append(&[event(1)]).await;
    let admin = setup.token("mover", Role::Admin);
    let body = [event(1), event(2), "nonsense".to_owned()].join("\n");
    let (status, said) = setup.json(posting("?format=gitlab", &admin, body)).await;
    assert_eq!((status, &said["stored"], &said["duplicates"]), (200, &json!(1), &json!(1)), "{said}");
    assert_eq!((&said["rejected"][0]["line"], said["rejected"].as_array().unwrap().len()), (&json!(3), 1));
    let deed = last_deed(&setup).await;
    assert!(deed["author"].as_str().unwrap().starts_with("mover (wf_"), "{deed}");
    assert_eq!(
        (&deed["what"], &deed["request"], &deed["outcome"]),
        (
            &json!("POST /api/v1/import"),
            &json!("source past/import, format gitlab"),
            &json!("done: 1 stored, 1 duplicates, 1 rejected")
        )
    );
    let (status, said) = setup.json(posting("?source=old&judge=true", CONFIGURED, event(3))).await;
    assert_eq!((status, &said["stored"]), (200, &json!(1)), "{said}");
    assert_eq!(sources(&setup), ["gitlab", "past/import", "old"]);
    assert_eq!(last_deed(&setup).await["request"], "source old, format each event's own");
    let (status, said) = setup.json(posting("?forge=gitlab-b&format=gitlab", CONFIGURED, event(1))).await;
    assert_eq!((status, &said["stored"]), (200, &json!(1)), "another GitLab has events of its own: {said}");
}

#[tokio::test]
async fn who_may_less_stores_nothing_and_that_is_recorded() {
    let setup = Setup::new(true);
    let responder = setup.token("soc", Role::Responder);
    let (status, body) = setup.json(posting("", &responder, event(1))).await;
    assert_eq!((status, &body["code"]), (403, &json!("forbidden")));
    assert_eq!(last_deed(&setup).await["outcome"], "refused: 403 forbidden");
    assert_eq!(setup.json(of("POST", IMPORT_PATH, None)).await.0, 401);
    assert!(sources(&setup).is_empty());
}

#[tokio::test]
async fn bodies_have_the_limits_of_sources() {
    let setup = Setup::new(true);
    let many: Vec<String> = (0..700).map(event).collect();
    let array = format!("[{}]", many.join(",\n"));
    assert!(array.len() > 64 << 10, "more than other calls may send");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(array.as_bytes()).unwrap();
    let mut request = posting("", CONFIGURED, packed.finish().unwrap());
    request.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    let (status, said) = setup.json(request).await;
    assert_eq!((status, &said["stored"]), (200, &json!(700)), "{said}");

    let limits = setup.fixture.context.limits;
    let lines = "{}\n".repeat(limits.events + 1);
    let mut odd = posting("", CONFIGURED, "{}");
    odd.headers_mut().insert(CONTENT_ENCODING, "br".parse().unwrap());
    let long = vec![b' '; usize::try_from(limits.body).unwrap() + 1];
    for (request, status, code) in [
        (posting("", CONFIGURED, lines), 413, "too_many_events"),
        (posting("", CONFIGURED, long), 413, "body_too_large"),
        (odd, 415, "unsupported_encoding"),
        (posting("", CONFIGURED, "[1,\n2"), 400, "undecodable"),
        (posting("", CONFIGURED, ""), 400, "no_body"),
    ] {
        let (found, headers, body) = setup.send(request).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, &body["code"]), (status, &json!(code)), "{body}");
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(last_deed(&setup).await["outcome"], format!("refused: {status} {code}"));
    }
    let (_, body) = setup.json(posting("", CONFIGURED, "[1,\n2")).await;
    assert!(body["detail"].as_str().unwrap().starts_with("line 2, column "), "{body}");
    setup.log.close().await;
    let (status, headers, body) = setup.send(posting("", CONFIGURED, event(7_000))).await;
    assert_eq!((status, headers["retry-after"].as_bytes()), (503, &b"5"[..]), "{body}");
}

#[tokio::test]
async fn a_wrong_wish_is_told_where_it_is_wrong() {
    let setup = Setup::new(true);
    for (query, parameter) in [
        ("source=past/x", "source"),
        ("source=A", "source"),
        ("source=", "source"),
        ("format=xml", "format"),
        ("judge=maybe", "judge"),
        ("forge=A", "forge"),
        ("jugde=true", "jugde"),
    ] {
        let (status, body) = setup.json(posting(&format!("?{query}"), CONFIGURED, event(1))).await;
        assert_eq!((status, &body["errors"][0]["parameter"]), (400, &json!(parameter)), "{query}: {body}");
    }
    assert!(sources(&setup).is_empty());
}
