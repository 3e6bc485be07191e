//! What a report takes out of one event.

use serde_json::{Map, Value};

use super::Cell;
use super::kinds::Kind;
use crate::time::Timestamp;

/// A longer value is cut: what somebody typed must not fill a report.
const CHARS_MAX: usize = 500;

/// A field's text, empty where there is none.
pub(super) fn text(event: &Map<String, Value>, field: &str) -> String {
    let text = match event.get(field) {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    cut(text)
}

fn cut(text: String) -> String {
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    text.chars().take(CHARS_MAX - 1).chain(['…']).collect()
}

/// A field of `details`, or the field itself, as text.
fn detail(event: &Map<String, Value>, field: &str) -> String {
    let inside = event.get("details").and_then(Value::as_object).map(|details| text(details, field));
    inside.filter(|text| !text.is_empty()).unwrap_or_else(|| text(event, field))
}

/// The name of who did it, or the id where there is no name.
pub(super) fn author(event: &Map<String, Value>) -> String {
    let name = text(event, "author_name");
    if name.is_empty() { text(event, "author_id") } else { name }
}

/// The row of an event, in the order of the columns.
pub(super) fn row(time: Timestamp, event: &Map<String, Value>) -> Vec<Cell> {
    let position = event.get("position").and_then(Value::as_u64);
    vec![
        time.into(),
        text(event, "event_type").into(),
        change(event).into(),
        text(event, "target_details").into(),
        text(event, "entity_path").into(),
        author(event).into(),
        text(event, "author_id").into(),
        text(event, "ip_address").into(),
        text(event, "source").into(),
        position.map_or_else(|| "".into(), Cell::Number),
    ]
}

/// What was changed into what: `Developer to Owner`, `as Developer`, or the sender's own sentence.
fn change(event: &Map<String, Value>) -> String {
    let (from, to) = (detail(event, "from"), detail(event, "to"));
    let role = detail(event, "as");
    let given = detail(event, "permission");
    let old = detail(event, "old_permission");
    match () {
        () if !from.is_empty() => format!("{from} to {}", or_none(&to)),
        () if !to.is_empty() => format!("to {to}"),
        () if !role.is_empty() => format!("as {role}"),
        () if !given.is_empty() && !old.is_empty() => format!("{old} to {given}"),
        () if !given.is_empty() => format!("as {given}"),
        () => sentence(event),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// `custom_message` is a text, or an object that has one.
fn sentence(event: &Map<String, Value>) -> String {
    let details = event.get("details").and_then(Value::as_object);
    match details.and_then(|details| details.get("custom_message")) {
        Some(Value::String(text)) => cut(text.clone()),
        Some(Value::Object(inside)) => ["name", "action", "message"]
            .into_iter()
            .map(|key| text(inside, key))
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

/// Whether a change gives or takes: roles are ranked, and what no rank is known of counts as given, which is looked at.
pub(super) fn settled(kind: Kind, event: &Map<String, Value>) -> Kind {
    if kind != Kind::AccessChanged {
        return kind;
    }
    let (mut from, mut to) = (detail(event, "from"), detail(event, "to"));
    if from.is_empty() && to.is_empty() {
        (from, to) = (detail(event, "old_permission"), detail(event, "permission"));
    }
    match (rank(&from), rank(&to)) {
        (Some(from), Some(to)) if to < from => Kind::AccessLost,
        (Some(from), None) if from > 0 && to.is_empty() => Kind::AccessLost,
        _ => Kind::AccessGained,
    }
}

/// GitLab's roles with their numbers, GitHub's beside those they are like, and switches.
const RANKS: [(&str, u32); 22] = [
    ("false", 0),
    ("off", 0),
    ("no access", 0),
    ("none", 0),
    ("awaiting", 1),
    ("minimal access", 5),
    ("guest", 10),
    ("planner", 15),
    ("read", 20),
    ("reporter", 20),
    ("triage", 25),
    ("security manager", 25),
    ("developer", 30),
    ("write", 30),
    ("member", 30),
    ("active", 30),
    ("maintainer", 40),
    ("maintain", 40),
    ("admin", 50),
    ("owner", 50),
    ("on", 50),
    ("true", 50),
];

fn rank(role: &str) -> Option<u32> {
    let lower = role.trim().to_lowercase();
    let known = RANKS.iter().find(|(name, _)| *name == lower).map(|(_, rank)| *rank);
    // An access level may come as its number.
    known.or_else(|| lower.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(details: Value) -> (Kind, String) {
        let event = json!({"event_type": "member_updated", "details": details});
        let event = event.as_object().unwrap();
        (settled(Kind::AccessChanged, event), change(event))
    }

    #[test]
    fn a_change_of_role_gives_or_takes() {
        for (details, kind, text) in [
            (json!({"from": "Guest", "to": "Owner"}), Kind::AccessGained, "Guest to Owner"),
            (json!({"from": "Owner", "to": "Developer"}), Kind::AccessLost, "Owner to Developer"),
            (json!({"from": 40, "to": 10}), Kind::AccessLost, "40 to 10"),
            (json!({"from": false, "to": true}), Kind::AccessGained, "false to true"),
            (json!({"from": "true", "to": "false"}), Kind::AccessLost, "true to false"),
            (json!({"from": "Maintainer", "to": ""}), Kind::AccessLost, "Maintainer to none"),
            (json!({"from": "Knight", "to": "King"}), Kind::AccessGained, "Knight to King"),
            (json!({"old_permission": "admin", "permission": "read"}), Kind::AccessLost, "admin to read"),
            (json!({"to": "Developer"}), Kind::AccessGained, "to Developer"),
            (json!({"as": "Developer"}), Kind::AccessGained, "as Developer"),
            (json!({"custom_message": "Changed"}), Kind::AccessGained, "Changed"),
            (json!({"custom_message": {"action": "Changed it"}}), Kind::AccessGained, "Changed it"),
            (json!("text"), Kind::AccessGained, ""),
        ] {
            assert_eq!(of(details.clone()), (kind, text.to_owned()), "{details}");
        }
        let long = of(json!({"as": "x".repeat(2000)})).1;
        assert!(long.chars().count() <= CHARS_MAX + 3, "{}", long.len());
    }
}
