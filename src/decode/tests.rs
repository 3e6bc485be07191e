//! What counts as an event, when it happened, and which deliveries are one.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::{DecodeError, Decoded, decode};
use crate::event::Format;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn gitlab(body: &str) -> Result<Decoded, DecodeError> {
    decode(Format::Gitlab, &Arc::from("gitlab"), Bytes::copy_from_slice(body.as_bytes()), None, NOW)
}

fn key(body: &str) -> u128 {
    gitlab(body).unwrap().dedupe
}

#[test]
fn the_bytes_stay_as_they_came() {
    let body = "{ \"id\" : 1,\t\"created_at\":\"2022-02-23T06:23:08.746Z\", \"x\":\"\\u00e4\" }";
    let decoded = gitlab(body).unwrap();
    assert_eq!(decoded.event.raw, body.as_bytes());
    assert_eq!(decoded.event.time.to_string(), "2022-02-23T06:23:08.746Z");
    assert_eq!(decoded.event.received_at, NOW);
}

#[test]
fn times_are_found_where_each_format_has_them() {
    let time = |format, body: &str| {
        let raw = Bytes::copy_from_slice(body.as_bytes());
        decode(format, &Arc::from("s"), raw, None, NOW).unwrap().event.time.to_string()
    };
    assert_eq!(time(Format::Gitlab, r#"{"time":"2018-10-17T17:38:22.523Z"}"#), "2018-10-17T17:38:22.523Z");
    assert_eq!(time(Format::Github, r#"{"created_at":1605719148837}"#), "2020-11-18T17:05:48.837Z");
    let azure = r#"{"timestamp":"2019-03-05T14:00:35.5034419+00:00"}"#;
    assert_eq!(time(Format::AzureDevops, azure), "2019-03-05T14:00:35.503Z");
    let file = r#"{"timestamp":{"epochSecond":1638036799,"nano":888000000}}"#;
    assert_eq!(time(Format::Bitbucket, file), "2021-11-27T18:13:19.888Z");
    assert_eq!(
        time(Format::Bitbucket, r#"{"timestamp":"2021-11-27T17:38:53.360Z"}"#),
        "2021-11-27T17:38:53.360Z"
    );
    assert_eq!(time(Format::Generic, r#"{"@timestamp":1605719148}"#), "2020-11-18T17:05:48.000Z");
    assert_eq!(time(Format::Generic, r#"{"a":1}"#), NOW.to_string());
}

#[test]
fn what_is_no_event_is_refused_with_place_and_reason() {
    for (body, said) in [
        ("", "empty"),
        ("[1]", "expected a JSON object"),
        ("{\"a\":", "EOF"),
        ("{\"a\":1} x", "trailing characters"),
        ("{\"created_at\":\"yesterday\"}", "`yesterday` is no time"),
    ] {
        let error = gitlab(body).unwrap_err();
        assert!(error.to_string().contains(said), "{body}: {error}");
    }
    let raw = Bytes::from_static(b"{\"a\":\"\xff\"}");
    let error = decode(Format::Gitlab, &Arc::from("s"), raw, None, NOW).unwrap_err();
    assert_eq!((error.column, error.reason.contains("UTF-8")), (7, true));
}

#[test]
fn an_id_alone_does_not_make_a_duplicate() {
    let first =
        r#"{"id":1,"author_id":1,"event_type":"project_created","created_at":"2022-02-23T06:23:08Z"}"#;
    let again = r#"{"created_at":"2022-02-23T06:23:08.000Z","id":"1","author_id":"1","event_type":"project_created"}"#;
    let other =
        r#"{"id":1,"author_id":1,"event_type":"project_created","created_at":"2022-02-23T06:23:09Z"}"#;
    assert_eq!(key(first), key(again), "numbers and texts, and the order of keys, do not matter");
    assert_ne!(key(first), key(other), "documentation reuses the id 1");
}

#[test]
fn stream_only_events_are_known_by_their_content() {
    let event = |id: &str, entity: u32, kind: &str| {
        format!(
            r#"{{"id":"{id}","entity_id":{entity},"event_type":"{kind}","created_at":"2022-02-23T06:23:08Z"}}"#
        )
    };
    let (a, b) = ("1d0a1c6e-8f0b-4ad2-9d0a-7b1c8f0e2a11", "aad2e6f0-0c56-4cc2-8f6a-5a9a4f0e9b22");
    assert_eq!(key(&event(a, 7, "repository_git_operation")), key(&event(b, 7, "repository_git_operation")));
    assert_ne!(key(&event(a, 7, "repository_git_operation")), key(&event(b, 8, "repository_git_operation")));
    assert_eq!(
        key(&event("x", 7, "repository_git_operation")),
        key(&event("y", 7, "repository_git_operation"))
    );
    assert_ne!(key(&event("10", 7, "project_created")), key(&event("11", 7, "project_created")));
}

#[test]
fn without_id_and_time_nothing_is_a_duplicate() {
    let at = |now| {
        let raw = Bytes::from_static(b"{\"a\":1}");
        decode(Format::Generic, &Arc::from("s"), raw, None, Timestamp(now)).unwrap().dedupe
    };
    assert_ne!(at(1), at(2));
    assert_eq!(at(1), at(1));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in Format::ALL {
            let raw = Bytes::from(bytes.clone());
            let is_object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok();
            let read = decode(format, &Arc::from("s"), raw, None, NOW).is_ok();
            prop_assert!(is_object || !read);
        }
    }

    #[test]
    fn any_json_object_without_a_time_is_an_event(text in "\\PC{0,40}", number in any::<i64>()) {
        let body = serde_json::json!({"text": text, "number": number, "list": [text, {"deep": number}]});
        let raw = Bytes::from(body.to_string());
        let decoded = decode(Format::Generic, &Arc::from("s"), raw.clone(), None, NOW);
        prop_assert_eq!(decoded.unwrap().event.raw, raw);
    }
}
