//! An alert that never was: for a look at what an action sends.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Notification, Place, RuleText};
use crate::alert::{Alert, AlertId, AlertState, Key, Level, Occasion, Triage, Verdict};
use crate::event::Format;
use crate::time::{Span, Timestamp};

/// What is told of an alert that was made up, on this occasion. `unique` makes it differ from every other one.
#[must_use]
pub fn example(occasion: Occasion, unique: &str, now: Timestamp) -> Notification {
    let id: String =
        unique.chars().filter(char::is_ascii_hexdigit).chain(std::iter::repeat('0')).take(32).collect();
    let began = now.minus(Span::minutes(8));
    let events: Vec<Map<String, Value>> = (0..3).filter_map(|n| event(n, began)).collect();
    let (state, verdict) = match occasion {
        Occasion::Acknowledged => (AlertState::Acknowledged, None),
        Occasion::Resolved => (AlertState::Resolved, Some(Verdict::Test)),
        _ => (AlertState::Open, None),
    };
    let is_touched = matches!(occasion, Occasion::Acknowledged | Occasion::Resolved | Occasion::Reopened);
    Notification {
        occasion,
        alert: Alert {
            id: AlertId(id.clone()),
            rule: "watchfire-test".into(),
            title: "This is only a test of a notification".into(),
            level: Level::Informational,
            tags: Vec::new(),
            key: Key(vec![("author_id".into(), "7".into())]),
            started_at: began,
            last_at: now,
            position: 1,
            findings: 1,
            value: 3.0,
            reason: "somebody ran `watchfire notify test`; nothing has happened".into(),
            evidence: vec![1, 2, 3],
            evidence_count: 3,
            merged_into: None,
        },
        triage: Triage {
            state,
            verdict,
            changed_at: is_touched.then_some(now),
            changed_by: is_touched.then(|| "watchfire notify test".to_owned()),
            ..Triage::default()
        },
        others: Vec::new(),
        rule: RuleText {
            description: Some("An example, so that you see how alerts arrive.".into()),
            ..RuleText::default()
        },
        events,
        places: BTreeSet::from([Place { forge: "gitlab".into(), format: Format::Gitlab }]),
        responses: Vec::new(),
        incident: None,
        earlier: None,
        idempotency_key: format!("test-{id}-{}", occasion.name()),
        attempt: 1,
    }
}

fn event(n: i64, began: Timestamp) -> Option<Map<String, Value>> {
    let event = json!({
        "id": n, "position": n + 1, "source": "gitlab", "author_id": 7, "author_name": "Example Person",
        "author_class": "User", "created_at": began.plus(Span::minutes(n)).to_string(),
        "event_type": "repository_git_operation", "entity_path": format!("example/project-{n}"),
        "target_type": "Project", "target_details": format!("project-{n}"), "ip_address": "192.0.2.7",
    });
    event.as_object().cloned()
}
