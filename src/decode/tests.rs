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
fn numbers_are_read_in_the_unit_that_fits_and_refused_beyond_the_calendar() {
    let time = |number: &str| {
        let raw = Bytes::from(format!(r#"{{"created_at":{number}}}"#));
        decode(Format::Gitlab, &Arc::from("s"), raw, None, NOW).map(|decoded| decoded.event.time.to_string())
    };
    for number in
        ["1605719148", "1605719148000", "1605719148000000", "1605719148000000000", "1605719148000.0"]
    {
        assert_eq!(time(number).unwrap(), "2020-11-18T17:05:48.000Z", "{number}");
    }
    assert_eq!(time("1605719148.5").unwrap(), "2020-11-18T17:05:48.500Z");
    for number in [
        "9223372036854775807",
        "-9223372036854775808",
        "99999999999999",
        "8000000000000000",
        "1e300",
        "-1e19",
    ] {
        let error = time(number).unwrap_err().to_string();
        assert!(error.contains("is no time") && error.contains("epoch milliseconds"), "{number}: {error}");
    }
    let far = r#"{"timestamp":{"epochSecond":9223372036854775,"nano":0}}"#;
    let raw = Bytes::copy_from_slice(far.as_bytes());
    let error = decode(Format::Bitbucket, &Arc::from("s"), raw, None, NOW).unwrap_err();
    assert!(error.to_string().contains("`9223372036854775` is no time"), "{error}");
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

/// The same three deeds as GitLab streams them, as its REST API has them, as its log has them, as its export has them.
const FORMS: [[&str; 4]; 3] = [
    [
        r#"{"id":"1","author_id":1,"entity_id":6,"entity_type":"Project","details":{"event_name":"project_archived","author_name":"Administrator","author_class":"User","target_id":6,"target_type":"Project","target_details":"flightjs/flight","custom_message":"Project archived","ip_address":"127.0.0.1","entity_path":"flightjs/flight"},"ip_address":"127.0.0.1","author_name":"Administrator","entity_path":"flightjs/flight","target_details":"flightjs/flight","created_at":"2019-08-30T07:00:41.885Z","target_type":"Project","target_id":6,"event_type":"project_archived"}"#,
        r#"{"id":1,"author_id":1,"entity_id":6,"entity_type":"Project","details":{"custom_message":"Project archived","author_name":"Administrator","author_email":"admin@example.com","target_id":"flightjs/flight","target_type":"Project","target_details":"flightjs/flight","ip_address":"127.0.0.1","entity_path":"flightjs/flight"},"created_at":"2019-08-30T07:00:41.885Z"}"#,
        r#"{"severity":"INFO","time":"2019-08-30T07:00:41.921Z","correlation_id":"01J","id":1,"author_id":1,"entity_id":6,"entity_type":"Project","created_at":"2019-08-30T07:00:41.885Z","details":{"custom_message":"Project archived"},"custom_message":"Project archived","author_name":"Administrator","target_id":6,"target_type":"Project","target_details":"flightjs/flight","entity_path":"flightjs/flight"}"#,
        r#"{"ID":"1","Author ID":"1","Author Name":"Administrator","Entity ID":"6","Entity Type":"Project","Entity Path":"flightjs/flight","Target ID":"6","Target Type":"Project","Target Details":"flightjs/flight","Action":"Project archived","IP Address":"127.0.0.1","Created At (UTC)":"2019-08-30T07:00:41Z"}"#,
    ],
    [
        r#"{"id":"3","author_id":51,"entity_id":51,"entity_type":"User","details":{"change":"email address"},"created_at":"2019-08-22T16:34:25.639Z","target_type":"User","target_id":51,"event_type":"user_email_address_updated"}"#,
        r#"{"id":3,"author_id":51,"entity_id":51,"entity_type":"User","details":{"change":"email address","from":"hello@flightjs.com","to":"maintainer@flightjs.com","author_name":"Andreas","target_id":51,"target_type":"User","ip_address":null,"event_name":"user_email_address_updated"},"created_at":"2019-08-22T16:34:25.639Z"}"#,
        r#"{"severity":"INFO","time":"2019-08-22T16:34:25.700Z","id":3,"author_id":51,"entity_id":51,"entity_type":"User","change":"email address","created_at":"2019-08-22T16:34:25.639Z","event_name":"user_email_address_updated"}"#,
        r#"{"ID":"3","Author ID":"51","Author Name":"Andreas","Author Email":"","Entity ID":"51","Entity Type":"User","Created At (UTC)":"2019-08-22T16:34:25Z"}"#,
    ],
    [
        r#"{"id":4,"author_id":-2,"entity_id":1,"entity_type":"Gitlab::Audit::InstanceScope","details":{},"created_at":"2023-08-01T11:29:44.764Z","target_id":32,"event_type":"audit_events_streaming_instance_headers_create"}"#,
        r#"{"id":4,"author_id":-2,"entity_id":1,"entity_type":"Gitlab::Audit::InstanceScope","details":{"target_id":32},"created_at":"2023-08-01T13:29:44.764+02:00"}"#,
        r#"{"time":"2023-08-01T11:29:45.001Z","id":4,"author_id":-2,"entity_id":1,"created_at":"2023-08-01T11:29:44.764Z"}"#,
        r#"{"ID":"4","Author ID":"-2","Entity ID":"1","Created At (UTC)":"2023-08-01T11:29:44Z"}"#,
    ],
];

#[test]
fn one_event_has_one_key_however_gitlab_writes_it() {
    let keys: Vec<u128> = FORMS.iter().map(|[streamed, ..]| key(streamed)).collect();
    for (forms, expected) in FORMS.iter().zip(&keys) {
        for form in forms {
            assert_eq!(key(form), *expected, "{form}");
        }
    }
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

#[test]
fn github_events_are_known_by_their_document() {
    let key = |body: &str| {
        let raw = Bytes::copy_from_slice(body.as_bytes());
        decode(Format::Github, &Arc::from("s"), raw, None, NOW).unwrap().dedupe
    };
    let streamed = r#"{"@timestamp":1605719148837,"_document_id":"LwW2vpJZCDS","action":"repo.destroy","actor":"monalisa","actor_id":7,"created_at":1605719148837,"repo_id":"9"}"#;
    let exported = r#"{"_document_id":"LwW2vpJZCDS","action":"repo.destroy","actor":"monalisa","created_at":1605719148837}"#;
    let other = r#"{"_document_id":"LwW2vpJZCDT","action":"repo.destroy","actor":"monalisa","created_at":1605719148837}"#;
    assert_eq!(key(streamed), key(exported));
    assert_ne!(key(streamed), key(other));
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
