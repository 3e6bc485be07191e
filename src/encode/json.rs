//! The alert as JSON, version 1: the body of webhooks and what templates see.
//!
//! ```json
//! {"version": 1, "id": "idempotency key", "attempt": 1,
//!  "occasion": "opened|reminder|escalated|acknowledged|resolved|reopened|undo",
//!  "alert": {"id", "rule", "title", "level", "tags": [], "key": {"author_id": 7}, "started_at", "last_at", "position",
//!            "findings": 1, "value": 20, "reason", "evidence": [positions], "evidence_count": 20, "merged_into": null},
//!  "triage": {"state": "open|acknowledged|resolved", "assignee": null, "verdict": null, "note": null,
//!             "changed_at": null, "changed_by": null},
//!  "others": [further alerts that are told in the same message],
//!  "rule": {"id", "title", "description": null, "references": [], "falsepositives": []},
//!  "events": [canonical events, oldest first],
//!  "responses": [{"action", "state": "pending|done|failed", "changed", "dry_run", "needs_human", "summary", "undo"}],
//!  "search": "watchfire search '…'"}
//! ```
//!
//! Times are RFC 3339 in UTC with milliseconds. Keys may be added within a version; none is renamed or removed.

use serde_json::{Map, Value, json};

use crate::alert::{Alert, Triage};

use super::{Notification, search_command};

/// The version of the shape below.
pub const ALERT_JSON_VERSION: u32 = 1;

/// A notification as the JSON above.
#[must_use]
pub fn notification_json(notification: &Notification) -> Value {
    let Notification {
        occasion,
        alert,
        triage,
        others,
        rule,
        events,
        places: _,
        responses,
        incident: _,
        earlier: _,
        idempotency_key,
        attempt,
    } = notification;
    json!({
        "version": ALERT_JSON_VERSION,
        "id": idempotency_key,
        "attempt": attempt,
        "occasion": occasion,
        "alert": alert_json(alert),
        "triage": triage_json(triage),
        "others": others.iter().map(|other| alert_json(&other.alert)).collect::<Vec<_>>(),
        "rule": {
            "id": alert.rule.as_ref(),
            "title": alert.title,
            "description": rule.description,
            "references": rule.references,
            "falsepositives": rule.falsepositives,
        },
        "events": events,
        "responses": responses,
        "search": search_command(alert),
    })
}

/// An alert alone: the `alert` of the JSON above.
#[must_use]
pub fn alert_json(alert: &Alert) -> Value {
    json!({
        "id": alert.id.0,
        "rule": alert.rule.as_ref(),
        "title": alert.title,
        "level": alert.level.name(),
        "tags": alert.tags,
        "key": alert.key.to_json(),
        "started_at": alert.started_at.to_string(),
        "last_at": alert.last_at.to_string(),
        "position": alert.position,
        "findings": alert.findings,
        "value": number(alert.value),
        "reason": alert.reason,
        "evidence": alert.evidence,
        "evidence_count": alert.evidence_count,
        "merged_into": alert.merged_into.as_ref().map(|id| id.0.as_str()),
    })
}

/// Where an alert stands: the `triage` of the JSON above.
#[must_use]
pub fn triage_json(triage: &Triage) -> Value {
    json!({
        "state": triage.state,
        "assignee": triage.assignee,
        "verdict": triage.verdict,
        "note": triage.note,
        "changed_at": triage.changed_at.map(|at| at.to_string()),
        "changed_by": triage.changed_by,
    })
}

/// One event as people see it: the columns of the mail's table. Missing fields are empty.
#[must_use]
pub fn row_json(event: &Map<String, Value>) -> Value {
    let text = |field: &str| event.get(field).map(plain).unwrap_or_default();
    // Types are class names; the last part is the telling one.
    let kind = text("target_type").rsplit("::").next().unwrap_or_default().to_owned();
    let target = match (kind, text("target_details")) {
        (kind, details) if kind.is_empty() || details == text("entity_path") => details,
        (kind, details) => format!("{kind} {details}").trim_end().to_owned(),
    };
    json!({
        "time": minute(&text("created_at")),
        "event_type": text("event_type"),
        "entity": text("entity_path"),
        "target": target,
        "ip": text("ip_address"),
    })
}

/// `2026-01-31T09:00:00.123Z` as `2026-01-31 09:00:00`.
pub(super) fn minute(time: &str) -> String {
    time.replacen('T', " ", 1).chars().take(19).collect()
}

/// A value as a person would write it: texts without quotes, null as nothing.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A measure without `.0` where it is whole.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { Value::from(value as i64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::notification;
    use super::*;

    #[test]
    fn the_shape_is_what_receivers_were_promised() {
        let mut value = notification_json(&notification());
        value["events"] = json!(value["events"].as_array().unwrap().len());
        assert_eq!(value["triage"]["state"], "open");
        value["triage"] = json!(value["triage"].as_object().unwrap().len());
        value["alert"]["evidence"] = json!(value["alert"]["evidence"].as_array().unwrap().len());
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap(), @r#"
        {
          "alert": {
            "evidence": 22,
            "evidence_count": 25,
            "findings": 3,
            "id": "0123456789abcdef0123456789abcdef",
            "key": {
              "author_id": 7
            },
            "last_at": "2026-01-31T09:08:00.000Z",
            "level": "high",
            "merged_into": null,
            "position": 40,
            "reason": "22 different entity_id within 10m, at least 20",
            "rule": "gitlab-mass-clone",
            "started_at": "2026-01-31T09:00:00.000Z",
            "tags": [
              "attack.t1213.003"
            ],
            "title": "One account clones many projects",
            "value": 22
          },
          "attempt": 1,
          "events": 22,
          "id": "fedcba9876543210",
          "occasion": "opened",
          "others": [],
          "responses": [
            {
              "action": "block-author",
              "changed": true,
              "dry_run": false,
              "needs_human": false,
              "state": "done",
              "summary": "blocked user 7 (alice); read back: blocked",
              "undo": "Admin area > Users > alice > Unblock"
            },
            {
              "action": "ticket",
              "changed": false,
              "dry_run": false,
              "needs_human": false,
              "state": "failed",
              "summary": "POST https://tickets answered 500",
              "undo": null
            }
          ],
          "rule": {
            "description": "Someone copies far more projects in ten minutes than a person reads.",
            "falsepositives": [
              "A new colleague setting up a workstation"
            ],
            "id": "gitlab-mass-clone",
            "references": [
              "https://attack.mitre.org/techniques/T1213/003/"
            ],
            "title": "One account clones many projects"
          },
          "search": "watchfire search 'author_id:7 created_at:>=2026-01-31T08:00:00Z created_at:<=2026-01-31T10:08:00Z'",
          "triage": 6,
          "version": 1
        }
        "#);
    }

    #[test]
    fn rows_show_what_is_there() {
        let row = |event: Value| row_json(event.as_object().unwrap());
        let found = row(json!({
            "created_at": "2026-01-31T09:00:00.123Z", "event_type": "user_created", "target_type": "User",
            "target_details": {"a": 1}, "entity_path": null,
        }));
        assert_eq!(found["time"], "2026-01-31 09:00:00");
        assert_eq!(found["target"], r#"User {"a":1}"#);
        assert_eq!(found["entity"], "");
        assert_eq!(row(json!({}))["ip"], "");
    }

    #[test]
    fn whole_measures_are_whole_numbers() {
        assert_eq!(number(20.0).to_string(), "20");
        assert_eq!(number(0.5).to_string(), "0.5");
        assert_eq!(number(f64::NAN), Value::Null);
    }
}
